// Package request reads authorization requests. Only Parse makes a Request, by one table that says which check runs at
// which door; whoever holds a Request need not check again what it promises. It spends nothing and asks nobody.
package request

import (
	"context"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/verify"
	"github.com/gardeauth/garde/internal/web"
)

// Door is where a request comes in; doors are bits, so that a step can name several.
type Door uint8

// The doors.
const (
	Authorize Door = 1 << iota // the browser, at /authorize
)

// Request is an authorization request that passed every check.
type Request struct {
	Client      iam.Client
	RedirectURI string // as registered, but for the port of a native client's loopback URI
	State       string
	Mode        oauth.ResponseMode
	Scope       oauth.Scope
	Resource    []string
	Nonce       string
	Challenge   string // S256
	Prompt      []string
	MaxAge      time.Duration // since the last authentication; negative: not asked
	LoginHint   string
	Subject     string     // whom id_token_hint or claims.id_token.sub names; empty: anyone
	ACRValues   []string   // wishes
	Essential   []string   // values of an essential acr claim: demands
	Wanted      iam.Wanted // the claims parameter, without what the client may not have
	Locales     []string
	Display     string

	kept url.Values
}

// Query writes the request so that Parse reads the same again: without what nobody reads.
func (r *Request) Query() string { return r.kept.Encode() }

// Allowance is what the person must have allowed: the scopes, and those that open the claims asked by name.
func (r *Request) Allowance() oauth.Scope { return r.Scope.Or(r.Wanted.Opened()) }

// Prompted tells whether prompt holds value.
func (r *Request) Prompted(value string) bool { return slices.Contains(r.Prompt, value) }

// Refusal is a request that was refused after its redirect URI was found good: the error may go back to the client.
type Refusal struct {
	Request *Request
	Err     error
}

func (r *Refusal) Error() string { return r.Err.Error() }

// Unwrap gives the error itself.
func (r *Refusal) Unwrap() error { return r.Err }

// Parser reads requests. All fields but Now are required.
type Parser struct {
	Issuer  string
	Clients iam.Clients
	Policy  func() *assurance.Policy
	Keys    verify.KeySource // of this server, for id_token_hint
	Steps   []Step           // Standard, but in a lab
	Now     func() time.Time // nil: time.Now
}

// Step is one check at some doors.
type Step struct {
	Name  string
	Doors Door
	check func(context.Context, *Parser, web.Form, *Request) error
}

// Standard are the checks, in their order.
var Standard = []Step{
	{"client_id", Authorize, knownClient},
	{"redirect_uri", Authorize, registeredRedirect},
	// From here on, errors may go back to the client: whoever owns the redirect URI is the one that registered it.
	// State comes first, and then how to answer, so that every later error carries the one by the other.
	{"state", Authorize, boundedState},
	{"response_mode", Authorize, knownMode},
	{"unsupported", Authorize, nothingUnsupported},
	{"response_type", Authorize, codeOnly},
	{"grant type", Authorize, mayAuthorize},
	{"scope", Authorize, allowedScope},
	{"resource", Authorize, knownResource},
	{"pkce", Authorize, challengeS256},
	{"nonce", Authorize, boundedNonce},
	{"prompt", Authorize, knownPrompt},
	{"max_age", Authorize, readMaxAge},
	{"claims", Authorize, readClaims},
	{"id_token_hint", Authorize, ownHint},
	{"wishes", Authorize, readWishes},
}

// redirected is the step after which errors may go back.
const redirected = "redirect_uri"

// Without gives the steps less one, for the lab and the mutation tests. It panics on a name that there is not.
func Without(name string) []Step {
	at := slices.IndexFunc(Standard, func(step Step) bool { return step.Name == name })
	if at < 0 {
		panic("request: no step named " + name)
	}
	return slices.Delete(slices.Clone(Standard), at, at+1)
}

// Parse checks a request at a door. Its error is a *Refusal when it may be told by redirect, else it is for a page.
func (p *Parser) Parse(ctx context.Context, door Door, form web.Form) (*Request, error) {
	request := &Request{MaxAge: -1, Mode: oauth.ModeQuery}
	mayReturn := false
	for _, step := range p.Steps {
		if step.Doors&door == 0 {
			continue
		}
		if err := step.check(ctx, p, form, request); err != nil {
			if mayReturn && oauth.CodeOf(err) != "" {
				return nil, &Refusal{request, err}
			}
			return nil, err
		}
		mayReturn = mayReturn || step.Name == redirected
	}
	request.kept = kept(form, request)
	return request, nil
}

// parameters are those that some step reads. Others are ignored (RFC 6749 section 3.1) and not kept.
var parameters = []string{
	"client_id", "redirect_uri", "response_type", "response_mode", "state", "scope", "resource", "code_challenge",
	"code_challenge_method", "nonce", "prompt", "max_age", "claims", "id_token_hint", "login_hint", "acr_values",
	"ui_locales", "display",
}

func kept(form web.Form, request *Request) url.Values {
	values := form.Map()
	maps.DeleteFunc(values, func(name string, _ []string) bool { return !slices.Contains(parameters, name) })
	// Of what may be long, only what was understood is kept: whoever has proved nothing must not fill the disk.
	for name, understood := range map[string]string{
		"claims": request.Wanted.String(), "scope": request.Scope.String(), "prompt": strings.Join(request.Prompt, " "),
		"login_hint": request.LoginHint, "acr_values": strings.Join(request.ACRValues, " "),
		"ui_locales": strings.Join(request.Locales, " "),
	} {
		if delete(values, name); understood != "" {
			values.Set(name, understood)
		}
	}
	return values
}

func (p *Parser) now() time.Time {
	if p.Now != nil {
		return p.Now()
	}
	return time.Now()
}

// knownClient finds the client. Nothing is redirected for one that is unknown.
func knownClient(ctx context.Context, p *Parser, form web.Form, request *Request) error {
	id := form.Value("client_id")
	if id == "" {
		return oauth.InvalidRequest("client_id is missing")
	}
	client, err := p.Clients.Client(ctx, id)
	switch {
	case errors.Is(err, iam.ErrNotFound), err == nil && client.Disabled:
		return oauth.InvalidRequest("no application with this client_id may sign people in here").Because(iam.ErrNotFound)
	case err != nil:
		return err
	}
	request.Client = client
	return nil
}

// registeredRedirect compares bytes. Only the port of a native client's loopback IP may differ (RFC 8252 section 7.3).
func registeredRedirect(_ context.Context, _ *Parser, form web.Form, request *Request) error {
	uri := form.Value("redirect_uri")
	if uri == "" {
		return oauth.InvalidRequest("redirect_uri is missing")
	}
	if !Registered(request.Client, uri) {
		return oauth.InvalidRequest("redirect_uri is not registered for this client, byte for byte")
	}
	request.RedirectURI = uri
	return nil
}

// Location gives the redirect that carries parameters back, by query or fragment. A fragment is always there, so that a
// browser does not attach one of its own (RFC 9700 section 4.1.2). A space is %20, which every reader understands, not
// the plus of forms, which some native platforms take for itself.
func (r *Request) Location(params url.Values) string {
	answer := strings.ReplaceAll(params.Encode(), "+", "%20")
	if r.Mode == oauth.ModeFragment {
		return r.RedirectURI + "#" + answer
	}
	separator := "?"
	if at := strings.IndexByte(r.RedirectURI, '?'); at >= 0 {
		separator = "&"
		if at == len(r.RedirectURI)-1 {
			separator = ""
		}
	}
	return r.RedirectURI + separator + answer + "#_"
}
