package conform_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/gardeauth/garde/internal/binding/prover"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/lab"
)

// bank is a module of FAPI 2.0, in one combination of the variants.
type bank struct {
	*module
	key    *prover.Key // nil: tokens are bound to the certificate
	openid bool
	signed bool // requests
	jarm   bool
}

// end is an endpoint, at the alias for certificates where one is shown.
func (b *bank) end(name string) string {
	if aliases, ok := b.about["mtls_endpoint_aliases"].(members); ok && (b.key == nil || b.c.auth == "mtls") {
		if address, ok := aliases[name].(string); ok {
			return address
		}
	}
	return b.at(name)
}

// posted sends a form as the client, which may be another than it says; a proof goes with it where there is a key.
func (b *bank) posts(name string, form url.Values) heard {
	b.Helper()
	form, headers := b.proven(form, b.issuer)
	if b.key != nil {
		proof, err := b.key.Proof("POST", b.end(name), "", nil)
		must(b.T, err)
		headers = append(headers, "DPoP", proof)
	}
	return b.sends(b.end(name), form, headers...)
}

// sends shows the certificate only where it proves the client or binds its tokens.
func (b *bank) sends(address string, form url.Values, headers ...string) heard {
	b.Helper()
	if b.key != nil && b.c.auth != "mtls" {
		bare := *b.c
		bare.cert = nil
		other := *b.module
		other.c = &bare
		return other.send("POST", address, form.Encode(), headers...)
	}
	return b.send("POST", address, form.Encode(), headers...)
}

// wish is an authorization request of the combination.
func (b *bank) wish(more ...string) url.Values {
	b.Helper()
	with := []string{"code_challenge", lab.Challenge(lab.Verifier), "code_challenge_method", "S256"}
	if !b.openid {
		with = append(with, "nonce", "")
	}
	if strings.Contains(b.c.Scope, "offline_access") {
		with = append(with, "prompt", "consent")
	}
	if b.jarm {
		with = append(with, "response_mode", "jwt")
	}
	if b.Resource.Details != nil {
		with = append(with, "authorization_details", string(b.Resource.Details))
	}
	return b.asks(b.c.Scope, append(with, more...)...)
}

// pushes pushes a request, signed or not, and gives the address that the browser is sent to.
func (b *bank) pushes(query url.Values) string {
	b.Helper()
	form := maps.Clone(query)
	if b.signed {
		now := time.Now().Unix()
		claims := members{"iss": b.c.ID, "aud": b.issuer, "nbf": now, "iat": now, "exp": now + 300, "jti": uuid.NewString()}
		for name := range query {
			claims[name] = query.Get(name)
		}
		if query.Has("authorization_details") {
			claims["authorization_details"] = json.RawMessage(query.Get("authorization_details"))
		}
		object, err := b.c.signer.Sign("oauth-authz-req+jwt", claims)
		must(b.T, err)
		form = lab.Form("request", object, "client_id", b.c.ID)
	}
	got := b.posts("pushed_authorization_request_endpoint", form)
	said := got.members()
	expires, _ := said["expires_in"].(float64)
	reference, _ := said["request_uri"].(string)
	if got.status != 201 || got.header.Get("Content-Type") != "application/json" || expires < 5 || expires > 600 {
		b.Fatalf("PAR: %d %v %s", got.status, got.header, got.body)
	}
	b.random("request_uri", strings.TrimPrefix(reference, "urn:ietf:params:oauth:request_uri:"))
	return b.at("authorization_endpoint") + "?" + lab.Form("client_id", b.c.ID, "request_uri", reference).Encode()
}

// authorized goes through a whole request.
func (b *bank) authorized(query url.Values) url.Values {
	b.Helper()
	sent := b.back(b.visit(b.pushes(query)), query)
	if sent.Get("code") == "" {
		b.Fatalf("%v", sent)
	}
	return sent
}

func (b *bank) form(sent, query url.Values) url.Values {
	form := b.code(sent, query)
	form.Set("code_verifier", lab.Verifier)
	return form
}

// gives redeems, and finds fault with what is given.
func (b *bank) gives(sent, query url.Values) members {
	b.Helper()
	said := b.tokens(b.posts("token_endpoint", b.form(sent, query)))
	if wanted := map[bool]string{true: "DPoP", false: "Bearer"}[b.key != nil]; said["token_type"] != wanted {
		b.Errorf("token_type %v", said["token_type"])
	}
	if text, _ := said["id_token"].(string); b.openid {
		b.identity(text, url.Values{"nonce": query["nonce"], "response_type": {"code"}}, lab.Form("access_token", said["access_token"].(string)))
	} else if text != "" {
		b.Error("an ID token that nobody asked for")
	}
	return said
}

// calls shows a token at the resource, by a scheme, with headers as the plans of FAPI send them.
func (b *bank) calls(scheme, access string) heard {
	b.Helper()
	headers := []string{"Authorization", scheme + " " + access, "X-Fapi-Interaction-Id", uuid.NewString(), "X-Fapi-Auth-Date", "Sun, 10 Sep 2017 19:43:31 UTC",
		"X-Fapi-Customer-Ip-Address", "198.51.100.119", "Accept", "application/json;charset=utf-8"}
	if b.key != nil {
		proof, err := b.key.Proof("GET", b.Resource.URL, access, nil)
		must(b.T, err)
		headers = append(headers, "DPoP", proof)
	}
	got := b.send("GET", b.Resource.URL, "", headers...)
	if got.status == 200 && got.header.Get("X-Fapi-Interaction-Id") != headers[3] {
		b.Errorf("x-fapi-interaction-id %s came back as %s", headers[3], got.header.Get("X-Fapi-Interaction-Id"))
	}
	return got
}

func (b *bank) resource(access string) {
	b.Helper()
	scheme := map[bool]string{true: "DPoP", false: "Bearer"}[b.key != nil]
	if got := b.calls(scheme, access); got.status != 200 || !strings.HasPrefix(got.header.Get("Content-Type"), "application/json") {
		b.Errorf("the resource: %d %v %s", got.status, got.header, got.body)
	}
}

// second is the same module as the other client, which has keys of its own.
func (b *bank) second() *bank {
	b.Helper()
	other, own := *b, *b.module
	own.c = &b.Client2
	own.c.auth = b.c.auth
	other.module = &own
	if b.key != nil {
		key, err := prover.New(jose.ES256)
		must(b.T, err)
		other.key = key
	}
	return &other
}

// bare is a whole request with one parameter changed.
func bare(name, value string) func(*bank) {
	return func(b *bank) {
		query := b.wish(name, value)
		b.resource(b.gives(b.authorized(query), query)["access_token"].(string))
	}
}

// protocolClaims are those of claims_supported that tell of the token and not of the person.
var protocolClaims = []string{"iss", "aud", "exp", "iat", "auth_time", "acr", "amr", "nonce", "sid", "at_hash"}

// modulesOfBank run in every combination; the rest of the plan's modules are about one door each, and run in the house of the
// laboratory (suite.yaml says where).
var modulesOfBank = []struct {
	name string
	do   func(*bank)
}{
	{"fapi2-security-profile-final-discovery-end-point-verification", func(b *bank) {
		discovered(b.module, false)
		if b.about["authorization_response_iss_parameter_supported"] != true || b.at("pushed_authorization_request_endpoint") == "" {
			b.Errorf("%v", b.about)
		}
	}},
	{"fapi2-security-profile-final-happy-flow", func(b *bank) {
		first, second := b, b.second()
		query := first.wish()
		access := first.gives(first.authorized(query), query)["access_token"].(string)
		first.resource(access)
		second.open()
		query = second.wish()
		said := second.gives(second.authorized(query), query)
		second.resource(said["access_token"].(string))
		// The first client's key or certificate, and the second's token.
		if got := first.calls(said["token_type"].(string), said["access_token"].(string)); got.status != http.StatusUnauthorized {
			b.Errorf("another's token: %d %s", got.status, got.body)
		}
	}},
	{"fapi2-security-profile-final-test-claims-parameter-identity-claims", func(b *bank) {
		if !b.openid {
			b.Skip("plain OAuth knows no claims")
		}
		about, _ := b.about["claims_supported"].([]any)
		wanted := members{}
		for _, name := range about {
			if name != "sub" && !slices.Contains(protocolClaims, name.(string)) {
				wanted[name.(string)] = members{"essential": true}
			}
		}
		asked, err := json.Marshal(members{"id_token": wanted})
		must(b.T, err)
		query := b.wish("claims", string(asked))
		said := b.tokens(b.posts("token_endpoint", b.form(b.authorized(query), query)))
		text, _ := said["id_token"].(string)
		told := b.identity(text, url.Values{"nonce": query["nonce"], "response_type": {"code"}, "claims": {string(asked)}}, lab.Form("access_token", said["access_token"].(string)))
		for name := range wanted {
			if told[name] == nil {
				b.Errorf("the ID token does not tell %s: %v", name, told)
			}
		}
	}},
	{"fapi2-security-profile-final-user-rejects-authentication", func(b *bank) {
		for _, each := range []*bank{b, b.second()} {
			each.open()
			query := each.wish()
			if sent := each.back(each.visit(each.pushes(query)), query); sent.Get("error") != "access_denied" || sent.Has("code") {
				b.Errorf("%v", sent)
			}
		}
	}},
	{"fapi2-security-profile-final-par-ensure-reused-request-uri-prior-to-auth-completion-succeeds", func(b *bank) {
		query := b.wish()
		address := b.pushes(query)
		if on := b.visit(address); on.left != "" || !on.has("login-submit") {
			b.Fatalf("the first visit ends at %s %s", on.at, on.left)
		}
		b.gives(b.back(b.visit(address), query), query)
	}},
	{"fapi2-security-profile-final-par-attempt-reuse-request_uri", func(b *bank) {
		query := b.wish()
		address := b.pushes(query)
		b.back(b.visit(address), query)
		if on := b.visit(address); on.left != "" || on.code() != "invalid_request_uri" {
			b.Errorf("%d %s %s", on.status, on.code(), on.left)
		}
	}},
	{"fapi2-security-profile-final-access-token-type-header-case-sensitivity", func(b *bank) {
		query := b.wish()
		said := b.gives(b.authorized(query), query)
		for _, scheme := range []string{strings.ToLower(said["token_type"].(string)), strings.ToUpper(said["token_type"].(string)), "d" + said["token_type"].(string)[1:]} {
			if scheme == "dearer" {
				scheme = "bEARER"
			}
			if got := b.calls(scheme, said["access_token"].(string)); got.status != 200 {
				b.Errorf("%s: %d %s", scheme, got.status, got.body)
			}
		}
	}},
	{"fapi2-security-profile-final-ensure-authorization-code-is-bound-to-client", func(b *bank) {
		query := b.wish()
		b.refuses(b.second().posts("token_endpoint", b.form(b.authorized(query), query)), "invalid_grant")
	}},
	{"fapi2-security-profile-final-ensure-holder-of-key-required", func(b *bank) {
		query := b.wish()
		form := b.form(b.authorized(query), query)
		bare := *b
		if bare.key = nil; b.key == nil {
			own := *b.c
			own.cert = nil
			bare.module = &module{T: b.T, run: b.run, c: &own}
			if b.c.auth == "mtls" {
				b.refuses(bare.posts("token_endpoint", form), "invalid_client")
				return
			}
		}
		form, headers := bare.proven(form, b.issuer)
		b.refuses(bare.send("POST", b.end("token_endpoint"), form.Encode(), headers...), "invalid_request", "invalid_grant", "invalid_dpop_proof")
	}},
	{"fapi2-security-profile-final-attempt-reuse-authorization-code-after-one-second", func(b *bank) {
		query := b.wish()
		form := b.form(b.authorized(query), query)
		said := b.tokens(b.posts("token_endpoint", form))
		b.resource(said["access_token"].(string))
		time.Sleep(time.Second)
		b.refuses(b.posts("token_endpoint", form), "invalid_grant")
		for until := time.Now().Add(3 * time.Second); b.calls(said["token_type"].(string), said["access_token"].(string)).status == 200; time.Sleep(200 * time.Millisecond) {
			if time.Now().After(until) {
				b.Fatal("the access token lives")
			}
		}
	}},
	{"fapi2-security-profile-final-par-without-duplicate-parameters", func(b *bank) {
		query := b.wish()
		b.gives(b.authorized(query), query)
	}},
	{"fapi2-security-profile-final-ensure-authorization-request-with-long-state", func(b *bank) {
		query := b.wish("state", strings.Repeat("aZ-._~09", 48)) // 384, though 128 would do
		b.gives(b.authorized(query), query)
	}},
	{"fapi2-security-profile-final-ensure-authorization-request-with-long-nonce", func(b *bank) {
		if !b.openid {
			b.Skip("plain OAuth knows no nonce")
		}
		query := b.wish("nonce", strings.Repeat("n", 384))
		b.gives(b.authorized(query), query)
	}},
	{"fapi2-security-profile-final-ensure-authorization-request-without-state-success", bare("state", "")},
	{"fapi2-security-profile-final-ensure-authorization-request-without-nonce-success", bare("nonce", "")},
	{"fapi2-security-profile-final-ensure-authorization-request-with-64-char-nonce-success", func(b *bank) {
		if b.openid {
			bare("nonce", strings.Repeat("n", 64))(b)
		}
	}},
	{"fapi2-security-profile-final-ensure-other-scope-order-succeeds", func(b *bank) {
		scopes := strings.Fields(b.c.Scope)
		slices.Reverse(scopes)
		bare("scope", strings.Join(scopes, " "))(b)
	}},
	{"fapi2-security-profile-final-refresh-token", func(b *bank) {
		if !strings.Contains(b.c.Scope, "offline_access") {
			b.Skip("a plan of plain OAuth asks for no refresh token here")
		}
		query := b.wish()
		said := b.gives(b.authorized(query), query)
		refresh, _ := said["refresh_token"].(string)
		form := lab.Form("grant_type", "refresh_token", "refresh_token", refresh, "scope", b.c.Scope)
		if b.key != nil { // the suite refreshes with a new key
			key, err := prover.New(jose.ES256)
			must(b.T, err)
			b.key = key
		}
		next := b.tokens(b.posts("token_endpoint", form))
		b.resource(next["access_token"].(string))
		if fresh, _ := next["refresh_token"].(string); fresh != "" && fresh != refresh {
			b.Error("the refresh token was rotated")
		}
		if !b.signed && b.Resource.Details == nil { // once for each way to prove and to bind
			b.Parallel()
			time.Sleep(31 * time.Second)
		}
		b.resource(b.tokens(b.posts("token_endpoint", form))["access_token"].(string))
		b.refuses(b.second().posts("token_endpoint", form), "invalid_grant")
		form.Set("client_id", b.c.ID)
		b.refuses(b.send("POST", b.at("token_endpoint"), form.Encode()), "invalid_client", "invalid_request")
	}},
}

// TestSuiteFAPI2 are the plans of FAPI 2.0, in each combination that plans.yaml names, against the counterpart's resource.
func TestSuiteFAPI2(t *testing.T) {
	s := newSuite(t)
	for _, folder := range []string{"fapi2-security", "fapi2-message-signing"} {
		t.Run(folder, func(t *testing.T) {
			s.serve(t, folder)
			files, err := filepath.Glob(filepath.Join(s.dir, folder, "suite", "*.json"))
			must(t, err)
			for _, file := range files {
				name := strings.TrimSuffix(filepath.Base(file), ".json")
				r := s.paste(t, folder, name)
				for _, each := range modulesOfBank {
					t.Run(name+"/"+each.name, func(t *testing.T) {
						own := *r
						b := &bank{module: own.module(t, &own.Client, "code", "default"), openid: strings.Contains(name, "openid_connect"),
							signed: folder == "fapi2-message-signing", jarm: strings.Contains(name, ".jarm")}
						b.c.auth = map[bool]string{true: "mtls", false: "private_key_jwt"}[strings.HasPrefix(b.c.ID, "mtls-")]
						if b.c.DPoPAlg != "" {
							key, err := prover.New(jose.Alg(b.c.DPoPAlg))
							must(t, err)
							b.key = key
						}
						each.do(b)
					})
				}
			}
		})
	}
}
