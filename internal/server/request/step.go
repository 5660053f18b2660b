package request

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/token"
	"github.com/gardeauth/garde/internal/web"
)

// The limits of what a request may carry along.
const (
	maxState = 4096
	maxNonce = 2048
)

// Modes are the response modes, ResponseTypes the response types, Prompts the prompts: one list for the checks and for
// discovery.
var (
	Modes         = []oauth.ResponseMode{oauth.ModeQuery, oauth.ModeFragment, oauth.ModeFormPost}
	ResponseTypes = []string{"code"}
	Prompts       = []string{"none", "login", "consent", "select_account"}
)

func knownMode(_ context.Context, _ *Parser, form web.Form, request *Request) error {
	if !form.Has("response_mode") {
		return nil
	}
	mode := oauth.ResponseMode(form.Value("response_mode"))
	if !slices.Contains(Modes, mode) {
		return oauth.InvalidRequest("response_mode must be query, fragment or form_post")
	}
	if mode == oauth.ModeFormPost {
		if err := mayPost(request); err != nil {
			return err
		}
	}
	request.Mode = mode
	return nil
}

func mayPost(request *Request) error {
	uri := request.RedirectURI
	if !strings.HasPrefix(uri, "https://") && !strings.HasPrefix(uri, "http://") {
		return oauth.InvalidRequest("form_post needs an http address to post to")
	}
	if strings.ContainsAny(request.State, "\r\n") {
		return oauth.InvalidRequest("state holds a line break, which a form can't carry unchanged")
	}
	return nil
}

func boundedState(_ context.Context, _ *Parser, form web.Form, request *Request) error {
	state := form.Value("state")
	if len(state) > maxState {
		return oauth.InvalidRequest("state is longer than %d bytes", maxState)
	}
	request.State = state
	return nil
}

// nothingUnsupported refuses by name what would change the meaning of the request if it were ignored.
func nothingUnsupported(_ context.Context, _ *Parser, form web.Form, _ *Request) error {
	if form.Has("request") {
		return oauth.RequestNotSupported()
	}
	if form.Has("request_uri") {
		return oauth.RequestURINotSupported()
	}
	if form.Has("registration") {
		return oauth.RegistrationNotSupported()
	}
	for _, name := range []string{"authorization_details", "dpop_jkt", "grant_management_action"} {
		if form.Has(name) {
			return oauth.InvalidRequest("this server does not support the parameter %s", name)
		}
	}
	return nil
}

func codeOnly(_ context.Context, _ *Parser, form web.Form, _ *Request) error {
	switch asked := form.Value("response_type"); {
	case asked == "":
		return oauth.InvalidRequest("response_type is missing")
	case !slices.Contains(ResponseTypes, asked):
		return oauth.UnsupportedResponseType("response_type must be code")
	}
	return nil
}

func mayAuthorize(_ context.Context, _ *Parser, _ web.Form, request *Request) error {
	if !request.Client.MayUse(oauth.AuthorizationCode) {
		return oauth.UnauthorizedClient("the client is not registered for the authorization code grant")
	}
	return nil
}

func allowedScope(_ context.Context, p *Parser, form web.Form, request *Request) error {
	scope, err := oauth.ParseScope(form.Value("scope"))
	if err != nil {
		return err
	}
	if len(scope) == 0 {
		return oauth.InvalidScope("scope is missing")
	}
	policy := p.Policy()
	for _, name := range scope {
		if !policy.Knows(name) {
			return oauth.InvalidScope("no such scope: %s", name)
		}
	}
	if !scope.Within(request.Client.Scope) {
		return oauth.InvalidScope("more than the client may have")
	}
	if scope.Has(oauth.ScopeGate) {
		return oauth.InvalidScope("%s is not about a person", oauth.ScopeGate)
	}
	request.Scope = scope
	return nil
}

const maxResources = 10

func knownResource(_ context.Context, p *Parser, form web.Form, request *Request) error {
	request.Resource = form.Values("resource")
	if len(request.Resource) > maxResources {
		return oauth.InvalidTarget("more than %d resources", maxResources)
	}
	return p.Policy().Resources(request.Resource)
}

// challengeS256 demands PKCE of every client (RFC 9700 section 2.1.1). A missing method would mean plain.
func challengeS256(_ context.Context, _ *Parser, form web.Form, request *Request) error {
	challenge := form.Value("code_challenge")
	switch {
	case challenge == "":
		return oauth.InvalidRequest("code_challenge is missing: PKCE is needed, by every client")
	case form.Value("code_challenge_method") != "S256":
		return oauth.InvalidRequest("code_challenge_method must be S256")
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(challenge)
	if err != nil || len(raw) != 32 || len(challenge) != 43 {
		return oauth.InvalidRequest("code_challenge is no SHA-256 in base64url")
	}
	request.Challenge = challenge
	return nil
}

func boundedNonce(_ context.Context, _ *Parser, form web.Form, request *Request) error {
	nonce := form.Value("nonce")
	if len(nonce) > maxNonce {
		return oauth.InvalidRequest("nonce is longer than %d bytes", maxNonce)
	}
	request.Nonce = nonce
	return nil
}

func knownPrompt(_ context.Context, _ *Parser, form web.Form, request *Request) error {
	for value := range strings.FieldsSeq(form.Value("prompt")) {
		if !request.Prompted(value) {
			request.Prompt = append(request.Prompt, value)
		}
	}
	for _, value := range request.Prompt {
		if !slices.Contains(Prompts, value) {
			return oauth.InvalidRequest("prompt must be of: %s", strings.Join(Prompts, ", "))
		}
	}
	if request.Prompted("none") && len(request.Prompt) > 1 {
		return oauth.InvalidRequest("prompt=none excludes every other")
	}
	return nil
}

func readMaxAge(_ context.Context, _ *Parser, form web.Form, request *Request) error {
	if !form.Has("max_age") {
		return nil
	}
	seconds, err := strconv.ParseUint(form.Value("max_age"), 10, 31)
	if err != nil {
		return oauth.InvalidRequest("max_age must be a number of seconds")
	}
	request.MaxAge = time.Duration(seconds) * time.Second
	return nil
}

const maxClaims = 8192

// readClaims reads the claims parameter. What it demands (whom, which acr) is read strictly: a demand that was
// misunderstood would be no demand. What the client may not have is left out without a word (OpenID Connect Core
// section 5.5.1).
func readClaims(_ context.Context, _ *Parser, form web.Form, request *Request) error {
	text := form.Value("claims")
	if len(text) > maxClaims {
		return oauth.InvalidRequest("claims is longer than %d bytes", maxClaims)
	}
	wanted, err := iam.ReadWanted(text)
	if err != nil {
		return oauth.InvalidRequest("claims is not the JSON of OpenID Connect Core section 5.5").Because(err)
	}
	for _, claims := range []map[string]json.RawMessage{wanted.UserInfo, wanted.IDToken} {
		for name, raw := range claims {
			if _, err := readClaim(raw); err != nil {
				return oauth.InvalidRequest("claims asks for %.40s in a way that OpenID Connect Core section 5.5.1 does not know", name).Because(err)
			}
		}
	}
	request.Wanted = wanted.Within(request.Client.Scope)
	return readDemands(wanted, request)
}

func readDemands(wanted iam.Wanted, request *Request) error {
	acr, err := demand(wanted.IDToken["acr"])
	if err != nil {
		return oauth.InvalidRequest("claims asks for an acr that is no text").Because(err)
	}
	if acr.Essential {
		request.Essential = acr.values
	}
	sub, err := demand(wanted.IDToken["sub"])
	switch {
	case err != nil:
		return oauth.InvalidRequest("claims asks for a sub that is no text").Because(err)
	case len(sub.values) > 1:
		return oauth.InvalidRequest("claims names several people: ask for each by itself")
	case len(sub.values) == 1:
		request.Subject = sub.values[0]
	}
	return nil
}

// claim is one entry of the claims parameter (OpenID Connect Core section 5.5.1).
type claim struct {
	Essential bool              `json:"essential"`
	Value     json.RawMessage   `json:"value"`
	Values    []json.RawMessage `json:"values"`

	values []string // of a demand
}

// readClaim reads one entry; null, and no entry, ask in the default manner.
func readClaim(raw json.RawMessage) (claim, error) {
	var asked claim
	if len(raw) == 0 || string(raw) == "null" {
		return asked, nil
	}
	err := jose.DecodeJSON(raw, &asked)
	return asked, err
}

// demand reads an entry whose values are texts and decide something.
func demand(raw json.RawMessage) (claim, error) {
	asked, err := readClaim(raw)
	if err != nil {
		return asked, err
	}
	if asked.Values != nil && len(asked.Values) == 0 {
		return asked, errors.New("values is empty: nothing could meet it")
	}
	named := asked.Values
	if len(asked.Value) > 0 && string(asked.Value) != "null" {
		named = append(named, asked.Value)
	}
	for _, each := range named {
		var text string
		if err := jose.DecodeJSON(each, &text); err != nil {
			return asked, err
		}
		if text == "" {
			return asked, errors.New("a value is empty")
		}
		if !slices.Contains(asked.values, text) {
			asked.values = append(asked.values, text)
		}
	}
	return asked, nil
}

// hint is what of an ID token names a person. An expired one is as good: it only says whom the client means.
type hint struct {
	Issuer  string `json:"iss"`
	Subject string `json:"sub"`
	Session string `json:"sid"`
	Client  string `json:"aud"`

	IssuedAt jose.NumericDate `json:"iat"`
}

// skew is how far the clocks of nodes may stand apart.
const skew = time.Minute

// Hint says whom an ID token of ours is about.
type Hint struct{ Subject, Session, Client string }

// ReadHint verifies an id_token_hint: signed by this server, an ID token and nothing else, for whichever of its clients.
func (p *Parser) ReadHint(ctx context.Context, text string) (Hint, error) {
	refuse := func(cause error) error {
		return oauth.InvalidRequest("id_token_hint is not an ID token of this server").Because(cause)
	}
	unverified, err := jose.Parse(text)
	if err != nil {
		return Hint{}, refuse(err)
	}
	key, err := p.Keys.Key(ctx, unverified.Header.KeyID)
	if err != nil {
		return Hint{}, refuse(err)
	}
	payload, err := key.Verify(unverified)
	if err != nil {
		return Hint{}, refuse(err)
	}
	var said hint
	if err := jose.DecodeJSON(payload, &said); err != nil {
		return Hint{}, refuse(err)
	}
	if unverified.Header.Typ != token.TypeID || said.Issuer != p.Issuer || said.Subject == "" {
		return Hint{}, refuse(errors.New("another kind of token, or another server's"))
	}
	if time.Unix(int64(said.IssuedAt), 0).After(p.now().Add(skew)) {
		return Hint{}, refuse(errors.New("issued in the future"))
	}
	return Hint{said.Subject, said.Session, said.Client}, nil
}

func ownHint(ctx context.Context, p *Parser, form web.Form, request *Request) error {
	if !form.Has("id_token_hint") {
		return nil
	}
	hint, err := p.ReadHint(ctx, form.Value("id_token_hint"))
	if err != nil {
		return err
	}
	if hint.Client != request.Client.ID {
		return oauth.InvalidRequest("id_token_hint is another client's")
	}
	if request.Subject != "" && request.Subject != hint.Subject {
		return oauth.InvalidRequest("id_token_hint and claims name different people")
	}
	request.Subject = hint.Subject
	return nil
}

var displays = []string{"page", "popup", "touch", "wap"}

// The most that is read of wishes.
const (
	maxLoginHint = 256
	maxWishes    = 10
)

// readWishes keeps what a client may wish and never demand. Too long a wish is left out; a display that OpenID Connect
// does not know is refused, since the client can't mean it.
func readWishes(_ context.Context, _ *Parser, form web.Form, request *Request) error {
	if hint := form.Value("login_hint"); len(hint) <= maxLoginHint {
		request.LoginHint = hint
	}
	request.ACRValues = wishes(form.Value("acr_values"))
	request.Locales = wishes(form.Value("ui_locales"))
	request.Display = form.Value("display")
	if request.Display != "" && !slices.Contains(displays, request.Display) {
		return oauth.InvalidRequest("display must be page, popup, touch or wap")
	}
	return nil
}

func wishes(text string) []string {
	all := strings.Fields(text)
	return all[:min(len(all), maxWishes)]
}
