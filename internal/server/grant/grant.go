// Package grant is the token endpoint and the family of its grants: a file per member and one visible list (all.go). A
// grant decides and gives an order; it makes, spends, stores and answers nothing.
package grant

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"sync"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/issue"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/token"
	"github.com/gardeauth/garde/internal/web"
)

// Grant is one way to get tokens.
type Grant interface {
	Type() oauth.GrantType
	// Params are the parameters beyond grant_type and client authentication that it understands.
	Params() []string
	// Redeem reads the request and says what to issue. It returns *oauth.Error for what the client may know.
	Redeem(ctx context.Context, request Request) (token.Order, error)
}

// Request is a token request whose client has proved itself.
type Request struct {
	Client iam.Client
	Form   web.Form
	Proven iam.Binding // keys that the caller proved: DPoP, certificate. The endpoint puts them into every order itself

	Address netip.Addr // where it comes from; the zero address is unknown
	Agent   string     // what it says of its program
}

// meaningful are parameters that would change what is issued: a grant that does not declare one refuses it rather than
// issue something else than was asked. All other unknown parameters are dropped (RFC 6749 section 3.2).
var meaningful = []string{
	"resource", "audience", "scope", "authorization_details", "actor_token", "subject_token", "assertion",
	"requested_token_type", "code", "refresh_token", "device_code", "auth_req_id", "dpop_jkt", "request", "request_uri",
}

// Clients proves who calls.
type Clients interface {
	Authenticate(r *http.Request, form web.Form) (iam.Client, error)
}

// Proofs finds out which keys a caller proved. It may set headers of the answer (DPoP-Nonce); its errors are
// invalid_dpop_proof and use_dpop_nonce.
type Proofs interface {
	// Spend is called once the grant is found good, and before anything is issued.
	Offered(w http.ResponseWriter, r *http.Request) (proven iam.Binding, spend func() error, err error)
}

// Issuer makes tokens.
type Issuer interface {
	Issue(ctx context.Context, order token.Order) (token.Answer, error)
}

var _ Issuer = (*issue.Desk)(nil)

// Endpoint is /token.
type Endpoint struct {
	Clients Clients
	Grants  []Grant
	Issuer  Issuer
	Proofs  Proofs                           // nil: nobody proves a key
	Caller  func(r *http.Request) netip.Addr // address of the program; nil: unknown
}

// Token answers a token request (OAuth 2.1 section 3.2).
func (e *Endpoint) Token(w http.ResponseWriter, r *http.Request) error {
	form, err := web.PostForm(r)
	if err != nil {
		return err
	}
	client, err := e.Clients.Authenticate(r, form)
	if err != nil {
		return err
	}
	chosen, err := e.choose(form, client)
	if err != nil {
		return err
	}
	request, spend := Request{Client: client, Form: form, Agent: r.UserAgent()}, func() error { return nil }
	if e.Proofs != nil {
		if request.Proven, spend, err = e.Proofs.Offered(w, r); err != nil {
			return err
		}
	}
	if e.Caller != nil {
		request.Address = e.Caller(r)
	}
	spend = sync.OnceValue(spend)
	answer, err := e.answer(r.Context(), chosen, request, spend)
	if errors.Is(err, iam.ErrRaced) { // what this node remembered was no longer so, and is forgotten: the storage is asked now
		answer, err = e.answer(r.Context(), chosen, request, spend)
	}
	if errors.Is(err, iam.ErrRaced) {
		err = issue.Refused(err)
	}
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, true, answer)
}

func (e *Endpoint) answer(ctx context.Context, chosen Grant, request Request, spend func() error) (token.Answer, error) {
	order, err := chosen.Redeem(ctx, request)
	if err == nil {
		err = spend()
	}
	if err != nil {
		return token.Answer{}, err
	}
	order.Proven = request.Proven
	return e.Issuer.Issue(ctx, order)
}

func (e *Endpoint) choose(form web.Form, client iam.Client) (Grant, error) {
	wanted := oauth.GrantType(form.Value("grant_type"))
	if wanted == "" {
		return nil, oauth.InvalidRequest("grant_type is missing")
	}
	for _, member := range e.Grants {
		if member.Type() != wanted {
			continue
		}
		if !client.MayUse(wanted) {
			return nil, oauth.UnauthorizedClient("the client is not registered for this grant")
		}
		return member, declared(member, form)
	}
	return nil, oauth.UnsupportedGrantType("this server has no such grant")
}

func declared(member Grant, form web.Form) error {
	params := member.Params()
	for _, name := range meaningful {
		if form.Has(name) && !slices.Contains(params, name) {
			return oauth.InvalidRequest("the parameter %s has no meaning for this grant", name)
		}
	}
	return nil
}

// Types lists the grant types of a family, for discovery.
func Types(family []Grant) []oauth.GrantType {
	var types []oauth.GrantType
	for _, member := range family {
		types = append(types, member.Type())
	}
	return types
}
