// Package request reads authorization requests. Only Parser makes a Request, by one table that says which check runs at
// which door; whoever holds a Request need not check again what it promises. It spends nothing but the id of a request
// object, and asks nobody but the host of a registered request_uri.
package request

import (
	"context"
	"encoding/base64"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/once"
	"github.com/gardeauth/garde/internal/web"
	"github.com/gardeauth/garde/recipe"
)

// Door is where a request comes in; doors are bits, so that a step can name several.
type Door uint8

// The doors.
const (
	Authorize   Door = 1 << iota // the browser, at /authorize: nobody has proved anything
	Pushed                       // a client that proved itself, at /par (RFC 9126)
	Device                       // a client that proved itself, at the device authorization endpoint (RFC 8628)
	Backchannel                  // a client that proved itself, at the backchannel authentication endpoint (CIBA)

	again // ours: what was accepted and kept is read once more
)

// front are the doors of requests that a browser carries or will carry, every all of them.
const (
	front = Authorize | Pushed | again
	every = front | Device | Backchannel
)

// Request is an authorization request that passed every check.
type Request struct {
	Client      iam.Client
	RedirectURI string // as registered, but for the port of a native client's loopback URI
	State       string
	Type        oauth.ResponseType
	Mode        oauth.ResponseMode // never ModeJWT: the way is always said
	Scope       oauth.Scope
	Resource    []string
	Details     string // authorization_details, a JSON array; empty: none
	Nonce       string
	Challenge   string // S256; empty: by exception, or no code is asked for
	JKT         string // DPoP key that the code is to be bound to (RFC 9449 section 10); empty: any
	Prompt      []string
	MaxAge      time.Duration // since the last authentication; negative: not asked
	LoginHint   string
	Subject     string     // whom id_token_hint or claims.id_token.sub names, as the client knows them; empty: anyone
	ACRValues   []string   // wishes
	Essential   []string   // values of an essential acr claim: demands
	Wanted      iam.Wanted // the claims parameter, without what the client may not have
	Locales     []string
	Display     string

	Pushed iam.PushedHash // the pushed request that it is; zero: it was not pushed
	Signed bool           // it came in a request object of the client

	kept url.Values
	said web.Form
}

// Query writes the request so that Parser.Again reads the same: without what nobody reads.
func (r *Request) Query() string { return r.kept.Encode() }

// Param gives a parameter that belongs to a door alone (binding_message, user_code): as it was sent or, where the request
// was signed, as the request object says it. Names that a step reads are not to be read here.
func (r *Request) Param(name string) string { return r.said.Value(name) }

// Allowance is what the person must have allowed: the scopes, and those that open the claims asked by name.
func (r *Request) Allowance() oauth.Scope { return r.Scope.Or(r.Wanted.Opened()) }

// Prompted tells whether prompt holds value.
func (r *Request) Prompted(value string) bool { return slices.Contains(r.Prompt, value) }

// MayHear tells whether errors may go back to the client before anybody has signed in: not to one that nobody vouches
// for, unless an exception says so.
func (r *Request) MayHear(now time.Time) bool {
	return !r.Client.Unverified || r.Client.Allows(recipe.AllowErrorRedirect, now)
}

// BindTo names the DPoP key that the client proved as it sent the request. It is refused when the request names another.
func (r *Request) BindTo(jkt string) error {
	if r.JKT != "" && r.JKT != jkt {
		return oauth.InvalidProof("the proof is of another key than dpop_jkt names")
	}
	r.JKT = jkt
	r.kept.Set("dpop_jkt", jkt)
	return nil
}

// Refusal is a request that was refused after its redirect URI was found good: the error may go back to the client.
type Refusal struct {
	Request *Request
	Err     error
}

func (r *Refusal) Error() string { return r.Err.Error() }

// Unwrap gives the error itself.
func (r *Refusal) Unwrap() error { return r.Err }

// KeySource finds the keys of this server, for id_token_hint.
type KeySource interface {
	Key(ctx context.Context, kid string) (jose.PublicKey, error)
}

// ClientKeys finds the public keys of clients.
type ClientKeys interface {
	For(ctx context.Context, client iam.Client, header jose.Header) (jose.PublicKey, error)
}

// Opener opens a compact JWE that a client made for this server. Its failures are jose's, or iam.ErrUnavailable.
type Opener interface {
	Decrypt(token string) ([]byte, error)
}

// Parser reads requests. The fields up to Steps are required.
type Parser struct {
	Issuer  string
	Clients iam.Clients
	Policy  func() *assurance.Policy
	Keys    KeySource // of this server, for id_token_hint
	Steps   []Step    // Standard, but in a lab

	Waiting    iam.PushedRequests // nil: nothing was pushed
	ClientKeys ClientKeys         // nil: no request objects
	Opener     Opener             // nil: no encrypted ones
	Once       once.Checker       // with ClientKeys
	Shelf      *Shelf             // request objects behind a request_uri; nil: none
	Details    func() *Details    // types of authorization_details; nil: none
	Now        func() time.Time   // nil: time.Now
}

// Step is one check at some doors.
type Step struct {
	Name  string
	Doors Door
	check func(context.Context, *Parser, *reading) error
}

// reading is a request on its way through the steps.
type reading struct {
	*Request
	door    Door
	form    web.Form // what holds: as it was sent, as it was pushed, or what the request object says
	object  string   // the request object, if there is one
	proved  bool     // Client has proved itself
	returns bool     // errors may go back to the client
}

// Standard are the checks, in their order.
var Standard = []Step{
	{"client_id", every, knownClient},
	// Which of the parameters hold is settled before any is read: what was pushed or signed wins over what a browser
	// carries beside it (P06, P12).
	{"pushed only", Authorize, pushedOnly},
	{"request_uri", Authorize | Pushed | Device | Backchannel, readRequestURI},
	{"request", Authorize | Pushed | Device | Backchannel, readObject},
	{"signed only", front, signedOnly},
	{"redirect_uri", front, registeredRedirect},
	// From here on, errors may go back to the client: whoever owns the redirect URI is the one that registered it.
	// State comes first, and then how to answer, so that every later error carries the one by the other.
	{"state", front, boundedState},
	{"response_mode", front, knownMode},
	{"unsupported", every, nothingUnsupported},
	{"response_type", front, allowedType},
	{"grant type", front, mayAuthorize},
	{"scope", every, allowedScope},
	{"resource", every, knownResource},
	{"authorization_details", every, allowedDetails},
	{"pkce", front, challengeS256},
	{"dpop_jkt", front, thumbprint},
	{"nonce", front, boundedNonce},
	{"prompt", front, knownPrompt},
	{"max_age", front, readMaxAge},
	{"claims", front, readClaims},
	{"id_token_hint", front, ownHint},
	{"wishes", every, readWishes},
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

// Parse checks a request that a browser brings to Authorize. Its error is a *Refusal when it may be told by redirect,
// else it is for a page.
func (p *Parser) Parse(ctx context.Context, door Door, form web.Form) (*Request, error) {
	return p.read(ctx, &reading{Request: &Request{}, door: door, form: form})
}

// ParseOf checks a request of a client that has proved itself, at any door but Authorize. A client_id in the form must
// be its own. Its error is never a *Refusal.
func (p *Parser) ParseOf(ctx context.Context, door Door, client iam.Client, form web.Form) (*Request, error) {
	return p.read(ctx, &reading{Request: &Request{Client: client}, door: door, form: form, proved: true})
}

// Again reads what Query wrote: the client and the recipe may have changed meanwhile. Nothing that a stranger sent may
// come this way.
func (p *Parser) Again(ctx context.Context, query string) (*Request, error) {
	form, err := formOf(query)
	if err != nil {
		return nil, err
	}
	return p.read(ctx, recalled(&reading{Request: &Request{}}, form))
}

// recalled makes r a request that was accepted before.
func recalled(r *reading, form web.Form) *reading {
	r.door, r.form = again, form
	r.Pushed, r.Signed = pushedOf(form.Value(markPushed)), form.Has(markSigned)
	return r
}

// formOf reads a query of ours by the same rules as one that was sent.
func formOf(query string) (web.Form, error) {
	return web.Query(&http.Request{Method: http.MethodGet, URL: &url.URL{RawQuery: query}})
}

func (p *Parser) read(ctx context.Context, r *reading) (*Request, error) {
	r.MaxAge, r.Mode, r.Type = -1, oauth.ModeQuery, oauth.TypeCode
	for _, step := range p.Steps {
		if step.Doors&r.door == 0 {
			continue
		}
		if err := step.check(ctx, p, r); err != nil {
			return nil, r.refused(err)
		}
		r.returns = r.returns || step.Name == redirected
	}
	r.said, r.kept = r.form, r.keep()
	if len(r.Query()) > maxKept {
		return nil, r.refused(oauth.InvalidRequest("the request is longer than %d bytes", maxKept))
	}
	return r.Request, nil
}

func (r *reading) refused(err error) error {
	if r.returns && !r.proved && oauth.CodeOf(err) != "" {
		return &Refusal{r.Request, err}
	}
	return err
}

// parameters are those that some step reads. Others are ignored (RFC 6749 section 3.1) and not kept.
var parameters = []string{
	"client_id", "redirect_uri", "response_type", "response_mode", "state", "scope", "resource", "authorization_details",
	"code_challenge", "code_challenge_method", "dpop_jkt", "nonce", "prompt", "max_age", "claims", "id_token_hint",
	"login_hint", "acr_values", "ui_locales", "claims_locales", "display",
}

// Marks of a request that is kept. They stand in no list of parameters, so nobody brings them in from outside.
const (
	markPushed = "garde.pushed" // digest of its request_uri
	markSigned = "garde.signed"
)

// maxKept bounds what is kept of one request.
const maxKept = 32 << 10

func (r *reading) keep() url.Values {
	values := r.form.Map()
	maps.DeleteFunc(values, func(name string, _ []string) bool { return !slices.Contains(parameters, name) })
	// Of what may be long, only what was understood is kept: whoever has proved nothing must not fill the disk.
	for name, understood := range map[string]string{
		"client_id": r.Client.ID, "claims": r.Wanted.String(), "scope": r.Scope.String(), "prompt": strings.Join(r.Prompt, " "),
		"authorization_details": r.Details, "login_hint": r.LoginHint, "acr_values": strings.Join(r.ACRValues, " "),
		"ui_locales": strings.Join(r.Locales, " "), "claims_locales": strings.Join(wishes(r.form.Value("claims_locales")), " "),
		markPushed: digest(r.Pushed), markSigned: map[bool]string{true: "1"}[r.Signed],
	} {
		if delete(values, name); understood != "" {
			values.Set(name, understood)
		}
	}
	return values
}

// digest and pushedOf write and read the hash of a pushed request: its request_uri is never kept in clear.
func digest(hash iam.PushedHash) string {
	if iam.Digest(hash).Zero() {
		return ""
	}
	return iam.Digest(hash).String()
}

func pushedOf(text string) iam.PushedHash {
	var hash iam.PushedHash
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(raw) != len(hash) {
		return iam.PushedHash{}
	}
	copy(hash[:], raw)
	return hash
}

func (p *Parser) now() time.Time {
	if p.Now != nil {
		return p.Now()
	}
	return time.Now()
}

// knownClient finds the client. Nothing is redirected for one that is unknown. A client that has proved itself may leave
// its id out, and name no other (P02).
func knownClient(ctx context.Context, p *Parser, r *reading) error {
	id := r.form.Value("client_id")
	if r.proved {
		if id != "" && id != r.Client.ID {
			return oauth.InvalidRequest("client_id is not that of the client that has proved itself")
		}
		return nil
	}
	if id == "" {
		return oauth.InvalidRequest("client_id is missing").For(oauth.ReasonClientMissing)
	}
	client, err := p.Clients.Client(ctx, id)
	switch {
	case errors.Is(err, iam.ErrNotFound), err == nil && client.Disabled:
		refused := oauth.InvalidRequest("no application with this client_id may sign people in here").Because(iam.ErrNotFound)
		if err == nil { // its id is no secret, and its people should know whom to ask
			return refused.For(oauth.ReasonClientDisabled)
		}
		return refused.For(oauth.ReasonUnknownClient)
	case err != nil:
		return err
	}
	r.Client = client
	return nil
}

// registeredRedirect compares bytes. Only the port of a native client's loopback IP may differ (RFC 8252 section 7.3).
func registeredRedirect(_ context.Context, _ *Parser, r *reading) error {
	uri := r.form.Value("redirect_uri")
	if uri == "" {
		return oauth.InvalidRequest("redirect_uri is missing").For(oauth.ReasonRedirectMissing)
	}
	if !Registered(r.Client, uri) {
		return oauth.InvalidRequest("redirect_uri is not registered for this client, byte for byte").For(oauth.ReasonRedirectURI)
	}
	r.RedirectURI = uri
	return nil
}

// Location gives the redirect that carries parameters back, by query or fragment. A fragment is always there, so that a
// browser does not attach one of its own (RFC 9700 section 4.1.2). A space is %20, which every reader understands, not
// the plus of forms, which some native platforms take for itself.
func (r *Request) Location(params url.Values) string {
	answer := strings.ReplaceAll(params.Encode(), "+", "%20")
	if r.Mode.Plain() == oauth.ModeFragment {
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
