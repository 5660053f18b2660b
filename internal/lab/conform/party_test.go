package conform_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/google/uuid"

	"github.com/gardeauth/garde/internal/binding/prover"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/lab"
	"github.com/gardeauth/garde/recipe"
)

type members = map[string]any

// party is a relying party that checks whatever there is to check. What does not hold fails its test.
type party struct {
	h       *lab.House
	id      string
	auth    string         // how it proves itself
	bound   string         // dpop, mtls or "": what its tokens are bound to
	profile recipe.Profile // of FAPI, or none
	secret  string
	uri     string // where it is answered; "": see redirect
	keeper  string // registration_access_token of one that registered itself
	manage  string // registration_client_uri
	signer  *jose.Signer
	cert    *tls.Certificate
	spare   *tls.Certificate // under its name, but by the other of the two ways
	key     *lab.Key
	about   members // the server's metadata
	keys    *oidc.RemoteKeySet
	web     *http.Client
}

func (p *party) redirect() string {
	if p.uri != "" {
		return p.uri
	}
	return "https://rp.example/" + p.id
}

// declared is the party as a recipe names it.
func (p *party) declared() recipe.Client {
	client := recipe.Client{
		Type: recipe.Web, Auth: p.auth, Profile: p.profile, Consent: recipe.ConsentImplied, RedirectURIs: []string{p.redirect()},
		Scopes: everything, JWKS: p.id + ".jwks.json", Grants: []string{"authorization_code", "refresh_token", "client_credentials"},
	}
	if p.auth == "tls_client_auth" {
		client.SubjectDN = "CN=" + p.id
	}
	client.DPoP, client.TLSBound = p.bound == "dpop", p.bound == "mtls"
	client.Details = []string{"payment"}
	return client
}

var everything = []string{"openid", "profile", "email", "address", "phone", "offline_access", "accounts.read", "payments.write"}

// equip gives the party its keys, before there is a house.
func (p *party) equip(t testing.TB) []byte {
	t.Helper()
	private, err := jose.GenerateKey(jose.ES256)
	must(t, err)
	p.signer = &jose.Signer{KeyID: p.id + "-1", Alg: jose.ES256, Key: private}
	keys := []jose.PublicKey{p.signer.Public()}
	if p.auth == "self_signed_tls_client_auth" || p.auth == "private_key_jwt" && p.bound == "mtls" {
		own := lab.SelfSigned(t, pkix.Name{CommonName: p.id})
		p.cert = &own
	}
	if p.auth == "self_signed_tls_client_auth" {
		keys = append(keys, jose.PublicKey{KeyID: p.id + "-tls", Alg: jose.ES256, Key: p.cert.Leaf.PublicKey})
	}
	set, err := jose.NewSet(keys...)
	must(t, err)
	raw, err := set.MarshalJSON()
	must(t, err)
	return raw
}

// meet has the party discover the server.
func (p *party) meet(t testing.TB, h *lab.House) {
	t.Helper()
	p.h = h
	if p.auth == "tls_client_auth" {
		own := h.Callers.Client(pkix.Name{CommonName: p.id}, nil)
		p.cert = &own
	}
	p.web, p.key, p.about = h.With(p.cert), h.NewKey(), members{}
	h.Get("/.well-known/openid-configuration").Into(&p.about)
	if p.about["issuer"] != h.Issuer {
		t.Fatalf("the issuer is %v", p.about["issuer"])
	}
	jwks, _ := p.about["jwks_uri"].(string)
	p.keys = oidc.NewRemoteKeySet(oidc.ClientContext(context.Background(), h.With(nil)), jwks)
}

// at is where the party asks: at the alias for certificates, if it has one (RFC 8705 section 5).
func (p *party) at(endpoint string) string {
	if aliases, ok := p.about["mtls_endpoint_aliases"].(members); ok && p.cert != nil {
		if alias, ok := aliases[endpoint].(string); ok {
			return alias
		}
	}
	address, _ := p.about[endpoint].(string)
	return address
}

// prove adds the party's proof of itself to a form.
func (p *party) prove(t testing.TB, form url.Values, twist func(members)) {
	t.Helper()
	switch p.auth {
	case "private_key_jwt":
		form.Set("client_assertion_type", lab.AssertionType)
		form.Set("client_assertion", p.assertion(t, twist))
	default:
		form.Set("client_id", p.id)
	}
	if p.auth == "client_secret_post" {
		form.Set("client_secret", p.secret)
	}
}

func (p *party) assertion(t testing.TB, twist func(members)) string {
	t.Helper()
	now := p.h.Clock.Now().Unix()
	claims := members{"iss": p.id, "sub": p.id, "aud": p.h.Issuer, "jti": uuid.NewString(), "iat": now, "exp": now + 60}
	if twist != nil {
		twist(claims)
	}
	text, err := p.signer.Sign("client-authentication+jwt", claims)
	must(t, err)
	return text
}

// post sends a form to an endpoint, proven, with a DPoP proof where the party's tokens are bound so.
func (p *party) post(t testing.TB, endpoint string, form url.Values) lab.Reply {
	t.Helper()
	if p.bound != "dpop" {
		return p.send(t, endpoint, form, "")
	}
	return lab.Retry(func(claims prover.Members) lab.Reply {
		return p.send(t, endpoint, form, p.key.With(nil, "POST", p.at(endpoint), "", claims))
	})
}

// send is post with whatever proof, and none where it is "".
func (p *party) send(t testing.TB, endpoint string, form url.Values, proof string) lab.Reply {
	t.Helper()
	form = maps.Clone(form)
	if !form.Has("client_assertion") && !form.Has("client_id") {
		p.prove(t, form, nil)
	}
	headers := []string{"Content-Type", lab.FormType}
	if proof != "" {
		headers = append(headers, "DPoP", proof)
	}
	if p.auth == "client_secret_basic" {
		form.Del("client_id")
		headers = append(headers, "Authorization", lab.BasicAuth(p.id, p.secret))
	}
	return p.h.Through(p.web, lab.Request("POST", p.at(endpoint), form.Encode(), headers...))
}

// ask is a new request of the party.
func (p *party) ask(scope string, more ...string) url.Values {
	query := lab.Form("client_id", p.id, "redirect_uri", p.redirect(), "response_type", "code", "scope", scope,
		"state", "state-"+strconv.Itoa(rand.Int()), "code_challenge", lab.Challenge(lab.Verifier), "code_challenge_method", "S256")
	if slices.Contains(strings.Fields(scope), "openid") {
		query.Set("nonce", "nonce-"+uuid.NewString())
	}
	for i := 0; i+1 < len(more); i += 2 {
		query.Del(more[i])
		if more[i+1] != "" {
			query.Set(more[i], more[i+1])
		}
	}
	return query
}

// object signs a request (RFC 9101), as FAPI 2.0 Message Signing wants it.
func (p *party) object(t testing.TB, query url.Values, twist func(members)) string {
	t.Helper()
	now := p.h.Clock.Now().Unix()
	claims := members{"iss": p.id, "aud": p.h.Issuer, "nbf": now, "iat": now, "exp": now + 300, "jti": uuid.NewString()}
	for name := range query {
		claims[name] = query.Get(name)
		if name == "authorization_details" || name == "claims" {
			claims[name] = json.RawMessage(query.Get(name))
		}
	}
	if twist != nil {
		twist(claims)
	}
	text, err := p.signer.Sign("oauth-authz-req+jwt", claims)
	must(t, err)
	return text
}

// pushing is what the party pushes: a request, signed where its profile wants that.
func (p *party) pushing(t testing.TB, query url.Values) url.Values {
	t.Helper()
	if p.profile == recipe.FAPI2Messages {
		return lab.Form("request", p.object(t, query, nil))
	}
	pushed := maps.Clone(query)
	pushed.Del("client_id")
	return pushed
}

// push pushes a request, and gives the address for the browser.
func (p *party) push(t testing.TB, query url.Values) string {
	t.Helper()
	reply := p.post(t, "pushed_authorization_request_endpoint", p.pushing(t, query))
	return p.pushed(t, reply)
}

func (p *party) pushed(t testing.TB, reply lab.Reply) string {
	t.Helper()
	var said struct {
		URI     string `json:"request_uri"`
		Expires int    `json:"expires_in"`
	}
	if err := json.Unmarshal(reply.Body, &said); err != nil || reply.Status != http.StatusCreated || said.Expires < 5 || said.Expires >= 600 ||
		!strings.HasPrefix(said.URI, "urn:ietf:params:oauth:request_uri:") || !strings.Contains(reply.Header.Get("Cache-Control"), "no-store") {
		t.Fatalf("push: %d %v %s", reply.Status, reply.Header, reply.Body)
	}
	return p.at("authorization_endpoint") + "?" + lab.Form("client_id", p.id, "request_uri", said.URI).Encode()
}

// answered reads what a browser brings back to the party, and whether it is an answer to query.
func (p *party) answered(t testing.TB, left string, query url.Values) url.Values {
	t.Helper()
	to, err := url.Parse(left)
	must(t, err)
	params := to.Query()
	if query.Get("response_mode") == "fragment" || strings.HasPrefix(query.Get("response_mode"), "fragment.") || query.Get("response_type") != "code" && query.Get("response_mode") != "form_post" {
		if len(params) > 0 {
			t.Errorf("there is something in the query of %s", left)
		}
		params, err = url.ParseQuery(to.Fragment)
		must(t, err)
	}
	to.RawQuery, to.Fragment = "", ""
	if to.String() != p.redirect() {
		t.Fatalf("it came to %s", left)
	}
	return p.judged(t, params, query)
}

// judged is answered for parameters that came in whatever way.
func (p *party) judged(t testing.TB, params, query url.Values) url.Values {
	t.Helper()
	if strings.HasSuffix(query.Get("response_mode"), "jwt") {
		params = p.opened(t, params)
	}
	for name, values := range params {
		if !slices.Contains([]string{"code", "state", "iss", "error", "error_description", "session_state", "access_token", "token_type", "expires_in", "id_token", "scope"}, name) || len(values) != 1 {
			t.Errorf("the answer has %s: %v", name, values)
		}
	}
	if params.Get("iss") != p.h.Issuer || params.Get("state") != query.Get("state") {
		t.Fatalf("RFC 9207: the answer %v is none to %v", params, query)
	}
	for _, r := range params.Get("error_description") {
		if r < 0x20 || r > 0x7e || r == '"' || r == '\\' {
			t.Errorf("RFC 6749 4.1.2.1: the description holds %q", r)
		}
	}
	return params
}

// opened checks a signed answer (JARM section 2.4).
func (p *party) opened(t testing.TB, params url.Values) url.Values {
	t.Helper()
	if len(params) != 1 || len(params["response"]) != 1 {
		t.Fatalf("P16 beside the response stands something: %v", params)
	}
	claims := p.read(t, params.Get("response"), "")
	now := float64(p.h.Clock.Now().Unix())
	if exp, _ := claims["exp"].(float64); claims["aud"] != p.id || exp <= now || exp > now+600 {
		t.Fatalf("P16 the response is not good: %v", claims)
	}
	plain := url.Values{}
	for name, value := range claims {
		if name != "aud" && name != "exp" {
			text, ok := value.(string)
			if !ok {
				t.Errorf("P16 %s is no text: %v", name, value)
			}
			plain.Set(name, text)
		}
	}
	return plain
}

// read checks signature, algorithm, kid and iss of a token of the server; typ "" is any.
func (p *party) read(t testing.TB, text, typ string) members {
	t.Helper()
	head, _, _ := strings.Cut(text, ".")
	raw, err := base64.RawURLEncoding.DecodeString(head)
	must(t, err)
	var header struct{ Alg, Kid, Typ string }
	must(t, json.Unmarshal(raw, &header))
	algs := []string{"ES256", "PS256", "EdDSA"}
	if p.profile == "" {
		algs = append(algs, "RS256")
	}
	if !slices.Contains(algs, header.Alg) || header.Kid == "" || typ != "" && header.Typ != typ {
		t.Fatalf("the header %s", raw)
	}
	payload, err := p.keys.VerifySignature(oidc.ClientContext(t.Context(), p.h.With(nil)), text)
	must(t, err)
	claims := members{}
	must(t, json.Unmarshal(payload, &claims))
	if claims["iss"] != p.h.Issuer {
		t.Fatalf("of another issuer: %v", claims)
	}
	return claims
}

// answer is that of the token endpoint.
type answer struct {
	AccessToken  string          `json:"access_token"`
	TokenType    string          `json:"token_type"`
	ExpiresIn    int64           `json:"expires_in"`
	RefreshToken string          `json:"refresh_token"`
	IDToken      string          `json:"id_token"`
	Scope        string          `json:"scope"`
	Details      json.RawMessage `json:"authorization_details"`
}

// redeem exchanges a code and checks the answer.
func (p *party) redeem(t testing.TB, code string, query url.Values) (answer, members) {
	t.Helper()
	got := p.given(t, p.post(t, "token_endpoint", p.redeeming(code, query)))
	if query.Get("nonce") == "" && !strings.Contains(query.Get("scope"), "openid") {
		if got.IDToken != "" {
			t.Errorf("an ID token that nobody asked for")
		}
		return got, nil
	}
	claims := p.identity(t, got.IDToken, query)
	if hash, ok := claims["at_hash"]; ok && hash != half(got.AccessToken) {
		t.Errorf("at_hash is %v", hash)
	}
	return got, claims
}

func (p *party) redeeming(code string, query url.Values) url.Values {
	return lab.Form("grant_type", "authorization_code", "code", code, "redirect_uri", query.Get("redirect_uri"), "code_verifier", lab.Verifier)
}

// given checks an answer of the token endpoint (RFC 6749 section 5.1).
func (p *party) given(t testing.TB, reply lab.Reply) answer {
	t.Helper()
	var got answer
	reply.Into(&got)
	wanted := map[bool]string{true: "DPoP", false: "Bearer"}[p.bound == "dpop"]
	if reply.Header.Get("Content-Type") != "application/json" || !strings.Contains(reply.Header.Get("Cache-Control"), "no-store") ||
		got.TokenType != wanted || got.ExpiresIn <= 0 || got.ExpiresIn > 3600 {
		t.Fatalf("%v %s", reply.Header, reply.Body)
	}
	return got
}

// identity checks an ID token (OpenID Connect Core section 3.1.3.7).
func (p *party) identity(t testing.TB, text string, query url.Values) members {
	t.Helper()
	claims := p.read(t, text, "")
	now := float64(p.h.Clock.Now().Unix())
	exp, _ := claims["exp"].(float64)
	iat, _ := claims["iat"].(float64)
	if claims["aud"] != p.id || claims["azp"] != nil && claims["azp"] != p.id || exp <= now || iat > now+1 || iat < now-300 ||
		claims["sub"] == "" || claims["sub"] == nil || claims["acr"] == "" {
		t.Fatalf("the ID token says %v", claims)
	}
	if want := query.Get("nonce"); want == "" && claims["nonce"] != nil || want != "" && claims["nonce"] != want {
		t.Fatalf("nonce %v, not %q", claims["nonce"], want)
	}
	return claims
}

// half is the left half of the SHA-256 of a value (OpenID Connect Core section 3.3.2.11).
func half(value string) string {
	sum := sha256.Sum256([]byte(value))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// call shows a token at an address, with the proof of the key that it is bound to.
func (p *party) call(t testing.TB, method, address, token string) lab.Reply {
	t.Helper()
	if p.bound != "dpop" {
		return p.h.Through(p.web, lab.Request(method, address, "", "Authorization", "Bearer "+token))
	}
	return lab.Retry(func(claims prover.Members) lab.Reply {
		return p.h.Through(p.web, lab.Request(method, address, "", "Authorization", "DPoP "+token,
			"DPoP", p.key.With(nil, method, address, token, claims)))
	})
}

// signIn takes a person through a whole request: it pushes, answers every page and gives what came back.
func (p *party) signIn(t testing.TB, b *browser, query url.Values) url.Values {
	t.Helper()
	address := p.at("authorization_endpoint") + "?" + query.Encode()
	if p.profile.Demands().PAR {
		address = p.push(t, query)
	}
	return p.answered(t, p.pages(t, b, b.open(address)), query)
}

// pages allows what is asked, and gives where the browser is sent then.
func (p *party) pages(t testing.TB, b *browser, on page) string {
	t.Helper()
	if on.has("consent-allow") {
		on = b.press(on, "consent-allow")
	}
	if on.left == "" {
		t.Fatalf("the browser stands at %s: %d %s\n%s", on.at, on.status, on.code(), on.body)
	}
	return on.left
}
