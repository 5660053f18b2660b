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
	"github.com/gardeauth/garde/recipe"
)

// The limits of what a request may carry along.
const (
	maxState = 4096
	maxNonce = 2048
)

// Prompts are the prompts that every recipe has; see PromptsOf.
var Prompts = []string{"none", "login", "consent", "select_account"}

// promptCreate asks for a new account (OpenID Connect Prompt Create).
const promptCreate = "create"

func boundedState(_ context.Context, _ *Parser, r *reading) error {
	state := r.form.Value("state")
	if len(state) > maxState {
		return oauth.InvalidRequest("state is longer than %d bytes", maxState)
	}
	r.State = state
	return nil
}

// nothingUnsupported refuses by name what would change the meaning of the request if it were ignored.
func nothingUnsupported(_ context.Context, _ *Parser, r *reading) error {
	if r.form.Has("registration") {
		return oauth.RegistrationNotSupported()
	}
	if r.form.Has("grant_management_action") {
		return oauth.InvalidRequest("this server does not support the parameter grant_management_action")
	}
	return nil
}

func allowedScope(_ context.Context, p *Parser, r *reading) error {
	scope, err := oauth.ParseScope(r.form.Value("scope"))
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
	if !scope.Within(r.Client.Scope) {
		return oauth.InvalidScope("more than the client may have")
	}
	if scope.Has(oauth.ScopeGate) {
		return oauth.InvalidScope("%s is not about a person", oauth.ScopeGate)
	}
	r.Scope = scope
	return nil
}

const maxResources = 10

func knownResource(_ context.Context, p *Parser, r *reading) error {
	r.Resource = r.form.Values("resource")
	if len(r.Resource) > maxResources {
		return oauth.InvalidTarget("more than %d resources", maxResources)
	}
	return p.Policy().Resources(r.Resource)
}

// challengeS256 demands PKCE of every client (RFC 9700 section 2.1.1), but of one that keeps a secret, sends a nonce and has
// an exception; not under a profile. A missing method would mean plain. A test of conformance wants a code with neither of
// the two: that is an exception of its own.
func challengeS256(_ context.Context, p *Parser, r *reading) error {
	challenge := r.form.Value("code_challenge")
	switch {
	case challenge == "" && !r.form.Has("code_challenge_method") && (!r.Type.Gives("code") || p.mayGoWithout(r)):
		return nil
	case challenge == "":
		return oauth.InvalidRequest("code_challenge is missing: PKCE is needed, by every client")
	case r.form.Value("code_challenge_method") != "S256":
		return oauth.InvalidRequest("code_challenge_method must be S256")
	}
	if !sha256Text(challenge) {
		return oauth.InvalidRequest("code_challenge is no SHA-256 in base64url")
	}
	r.Challenge = challenge
	return nil
}

func (p *Parser) mayGoWithout(r *reading) bool {
	if r.Client.Public() || r.Client.Demands().CodeOnly || !r.Client.Allows(recipe.AllowNoPKCE, p.now()) {
		return false
	}
	// A nonce protects nothing where no ID token bears it.
	return r.form.Has("nonce") && r.Scope.Has(oauth.ScopeOpenID) || r.Client.Allows(recipe.AllowNoNonce, p.now())
}

func sha256Text(text string) bool {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return err == nil && len(raw) == 32 && len(text) == 43
}

// thumbprint reads the key that the code is to be bound to.
func thumbprint(_ context.Context, _ *Parser, r *reading) error {
	jkt := r.form.Value("dpop_jkt")
	if jkt != "" && !sha256Text(jkt) {
		return oauth.InvalidRequest("dpop_jkt is no SHA-256 in base64url")
	}
	r.JKT = jkt
	return nil
}

// boundedNonce demands a nonce where an ID token comes through the browser (OpenID Connect Core section 3.2.2.1).
func boundedNonce(_ context.Context, _ *Parser, r *reading) error {
	nonce := r.form.Value("nonce")
	switch {
	case len(nonce) > maxNonce:
		return oauth.InvalidRequest("nonce is longer than %d bytes", maxNonce)
	case nonce == "" && r.Type.Gives("id_token"):
		return oauth.InvalidRequest("nonce is missing: an ID token from the front channel needs one")
	}
	r.Nonce = nonce
	return nil
}

func knownPrompt(_ context.Context, p *Parser, r *reading) error {
	for value := range strings.FieldsSeq(r.form.Value("prompt")) {
		if !r.Prompted(value) {
			r.Prompt = append(r.Prompt, value)
		}
	}
	known := PromptsOf(p.Policy().Recipe)
	for _, value := range r.Prompt {
		if !slices.Contains(known, value) {
			return oauth.InvalidRequest("prompt must be of: %s", strings.Join(known, ", "))
		}
	}
	if r.Prompted("none") && len(r.Prompt) > 1 {
		return oauth.InvalidRequest("prompt=none excludes every other")
	}
	return nil
}

func readMaxAge(_ context.Context, _ *Parser, r *reading) error {
	if !r.form.Has("max_age") {
		if preferred := r.Client.MaxAge; preferred != nil && *preferred >= 0 && *preferred < 1<<31 {
			r.MaxAge = time.Duration(*preferred) * time.Second
		}
		return nil
	}
	seconds, err := strconv.ParseUint(r.form.Value("max_age"), 10, 31)
	if err != nil {
		return oauth.InvalidRequest("max_age must be a number of seconds")
	}
	r.MaxAge = time.Duration(seconds) * time.Second
	return nil
}

const maxClaims = 8192

// readClaims reads the claims parameter. What it demands (whom, which acr) is read strictly: a demand that was
// misunderstood would be no demand. What the client may not have is left out without a word (OpenID Connect Core
// section 5.5.1).
func readClaims(_ context.Context, _ *Parser, r *reading) error {
	text := r.form.Value("claims")
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
	r.Wanted = wanted.Within(r.Client.Scope)
	return readDemands(wanted, r)
}

func readDemands(wanted iam.Wanted, r *reading) error {
	acr, err := demand(wanted.IDToken["acr"])
	if err != nil {
		return oauth.InvalidRequest("claims asks for an acr that is no text").Because(err)
	}
	if acr.Essential {
		r.Essential = acr.values
	}
	sub, err := demand(wanted.IDToken["sub"])
	switch {
	case err != nil:
		return oauth.InvalidRequest("claims asks for a sub that is no text").Because(err)
	case len(sub.values) > 1:
		return oauth.InvalidRequest("claims names several people: ask for each by itself")
	case len(sub.values) == 1:
		r.Subject = sub.values[0]
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

// typID is the typ of our ID tokens.
const typID = "JWT"

// hint is what of an ID token names a person. An expired one is as good: it only says whom the client means.
type hint struct {
	Issuer  string `json:"iss"`
	Subject string `json:"sub"`
	Session string `json:"sid"`
	Client  string `json:"aud"`
	Device  string `json:"ds_hash"`

	IssuedAt jose.NumericDate `json:"iat"`
	Expires  jose.NumericDate `json:"exp"` // past or not; only that it is there
}

// skew is how far the clocks of nodes may stand apart.
const skew = time.Minute

// Hint says whom an ID token of ours is about. Device binds it to a device secret (OpenID Native SSO section 3.4.1).
type Hint struct{ Subject, Session, Client, Device string }

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
	// What userinfo and the front channel sign for the same client has the same typ, and not all of these claims (J17).
	if unverified.Header.Typ != typID || said.Issuer != p.Issuer || said.Subject == "" || said.IssuedAt <= 0 || said.Expires <= 0 {
		return Hint{}, refuse(errors.New("another kind of token, or another server's"))
	}
	if time.Unix(int64(said.IssuedAt), 0).After(p.now().Add(skew)) {
		return Hint{}, refuse(errors.New("issued in the future"))
	}
	return Hint{said.Subject, said.Session, said.Client, said.Device}, nil
}

func ownHint(ctx context.Context, p *Parser, r *reading) error {
	if !r.form.Has("id_token_hint") {
		return nil
	}
	hint, err := p.ReadHint(ctx, r.form.Value("id_token_hint"))
	if err != nil {
		return err
	}
	if hint.Client != r.Client.ID {
		return oauth.InvalidRequest("id_token_hint is another client's")
	}
	if r.Subject != "" && r.Subject != hint.Subject {
		return oauth.InvalidRequest("id_token_hint and claims name different people")
	}
	r.Subject = hint.Subject
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
func readWishes(_ context.Context, _ *Parser, r *reading) error {
	if hint := r.form.Value("login_hint"); len(hint) <= maxLoginHint {
		r.LoginHint = hint
	}
	if r.ACRValues = wishes(r.form.Value("acr_values")); len(r.ACRValues) == 0 {
		r.ACRValues = r.Client.ACRs
	}
	r.Locales = wishes(r.form.Value("ui_locales"))
	r.Display = r.form.Value("display")
	if r.Display != "" && !slices.Contains(displays, r.Display) {
		return oauth.InvalidRequest("display must be page, popup, touch or wap")
	}
	return nil
}

func wishes(text string) []string {
	all := strings.Fields(text)
	return all[:min(len(all), maxWishes)]
}
