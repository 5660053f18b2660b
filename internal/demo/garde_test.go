package demo_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/demo"
	"github.com/gardeauth/garde/internal/demo/accounts"
	"github.com/gardeauth/garde/internal/demo/local"
)

func b64(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

func sign(t testing.TB, key *ecdsa.PrivateKey, header, claims map[string]any) string {
	t.Helper()
	h, _ := json.Marshal(header)
	c, _ := json.Marshal(claims)
	input := b64(h) + "." + b64(c)
	digest := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	var raw [64]byte
	r.FillBytes(raw[:32])
	s.FillBytes(raw[32:])
	return input + "." + b64(raw[:])
}

// verified checks an ES256 signature and gives header and claims.
func verified(token string, key *ecdsa.PublicKey) (header, claims map[string]any, ok bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, nil, false
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || len(raw) != 64 {
		return nil, nil, false
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if !ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:])) {
		return nil, nil, false
	}
	h, _ := base64.RawURLEncoding.DecodeString(parts[0])
	c, _ := base64.RawURLEncoding.DecodeString(parts[1])
	return header, claims, json.Unmarshal(h, &header) == nil && json.Unmarshal(c, &claims) == nil
}

// garde is as much of a Server and a Gate as the bank can tell from outside. Its twists are what a hostile or broken
// one would do.
type garde struct {
	t       testing.TB
	key     *ecdsa.PrivateKey
	server  *httptest.Server
	gate    *httptest.Server
	bank    *httptest.Server
	bankApp *demo.Bank
	budget  *httptest.Server
	dir     string
	keys    demo.Keys
	site    demo.Site
	life    time.Duration

	mu        sync.Mutex
	codes     map[string]url.Values // code -> authorization request
	refresh   map[string]string     // refresh token -> scope
	asked     []url.Values          // authorization requests
	exchanged []url.Values          // token requests
	revoked   map[string]bool
	subject   string
	denyGate  bool
	openGate  bool                  // whoever has a token gets in, however it is shown
	pushed    map[string]url.Values // request_uri -> pushed request
	proofs    []map[string]any      // claims of all that were shown
	jtis      map[any]bool
	nonce     string          // what proofs must hold; empty: nothing
	spoken    map[string]bool // the languages that the Gate was asked for

	twistMeta   func(map[string]any)
	twistAnswer func(url.Values)
	twistID     func(header, claims map[string]any)
	twistToken  func(map[string]any)
	twistInfo   func(map[string]any)
	twistPushed func(map[string]any)
	restless    bool // every proof needs another nonce
	idKey       *ecdsa.PrivateKey
}

func newGarde(t testing.TB) *garde {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	g := &garde{t: t, key: key, idKey: key, life: 2 * time.Minute, codes: map[string]url.Values{}, refresh: map[string]string{},
		revoked: map[string]bool{}, subject: "usr_alice",
		pushed: map[string]url.Values{}, jtis: map[any]bool{}, nonce: "n-1"}
	api := httptest.NewServer(&accounts.API{})
	upstream, _ := url.Parse(api.URL)
	g.gate = httptest.NewServer(g.gateway(upstream))
	mux := http.NewServeMux()
	g.server = httptest.NewServer(mux)
	for pattern, h := range map[string]http.HandlerFunc{
		"GET /.well-known/openid-configuration": g.discovery, "GET /jwks": g.jwks, "GET /authorize": g.authorize,
		"POST /token": g.token, "GET /userinfo": g.userinfo, "GET /logout": g.logout, "POST /revoke": g.revoke,
		"POST /par": g.par,
	} {
		mux.HandleFunc(pattern, h)
	}
	bank := httptest.NewUnstartedServer(nil)
	address := bank.Listener.Addr().String()
	g.site = demo.Site{Issuer: g.server.URL, Gate: g.gate.URL, Bank: "http://" + address,
		IssuerListen: strings.TrimPrefix(g.server.URL, "http://"), BankListen: address}
	budget := httptest.NewUnstartedServer(nil)
	g.site.BudgetListen = budget.Listener.Addr().String()
	g.site.Budget = "http://" + g.site.BudgetListen
	dir := t.TempDir()
	keys, err := demo.Furnish(dir)
	if err != nil {
		t.Fatal(err)
	}
	g.bankApp = &demo.Bank{Site: g.site, Dir: dir, Web: keys.Web, Nightly: keys.Nightly}
	bank.Config.Handler = g.bankApp
	bank.Start()
	budget.Config.Handler = &demo.Budget{Site: g.site, Dir: dir, Keys: keys}
	budget.Start()
	g.bank, g.budget, g.dir, g.keys = bank, budget, dir, keys
	t.Cleanup(func() { bank.Close(); budget.Close(); g.server.Close(); g.gate.Close(); api.Close() })
	return g
}

func (g *garde) say(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body)
}

func (g *garde) discovery(w http.ResponseWriter, _ *http.Request) {
	meta := map[string]any{
		"issuer": g.site.Issuer, "authorization_endpoint": g.site.Issuer + "/authorize", "token_endpoint": g.site.Issuer + "/token",
		"jwks_uri": g.site.Issuer + "/jwks", "userinfo_endpoint": g.site.Issuer + "/userinfo", "end_session_endpoint": g.site.Issuer + "/logout",
		"revocation_endpoint": g.site.Issuer + "/revoke", "code_challenge_methods_supported": []string{"S256"},
		"authorization_response_iss_parameter_supported": true, "id_token_signing_alg_values_supported": []string{"ES256", "RS256"},
		"pushed_authorization_request_endpoint": g.site.Issuer + "/par", "dpop_signing_alg_values_supported": []string{"ES256"},
	}
	if g.twistMeta != nil {
		g.twistMeta(meta)
	}
	g.say(w, 200, meta)
}

func (g *garde) jwks(w http.ResponseWriter, _ *http.Request) {
	point, _ := g.key.PublicKey.Bytes()
	g.say(w, 200, map[string]any{"keys": []any{map[string]string{"kty": "EC", "crv": "P-256", "kid": "k1", "use": "sig", "alg": "ES256",
		"x": b64(point[1:33]), "y": b64(point[33:])}}})
}

// authorize stands for a person who is signed in and says yes.
func (g *garde) authorize(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	q := r.URL.Query()
	if pushed, ok := g.pushed[q.Get("request_uri")]; ok && len(q) == 2 && q.Get("client_id") == pushed.Get("client_id") {
		q = pushed
	}
	g.asked = append(g.asked, q)
	code := rand.Text()
	g.codes[code] = q
	answer := url.Values{"code": {code}, "state": {q.Get("state")}, "iss": {g.site.Issuer}}
	if g.twistAnswer != nil {
		g.twistAnswer(answer)
	}
	http.Redirect(w, r, q.Get("redirect_uri")+"?"+answer.Encode(), http.StatusSeeOther)
}

func (g *garde) token(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := r.ParseForm(); err != nil {
		g.t.Error(err)
	}
	form := r.PostForm
	g.exchanged = append(g.exchanged, form)
	client := form.Get("client_id")
	if client != demo.CLIClient {
		if fault := g.proved(form); fault != "" {
			g.say(w, 401, map[string]string{"error": "invalid_client", "error_description": fault})
			return
		}
	}
	answer := map[string]any{"token_type": "Bearer", "expires_in": int(g.life / time.Second)}
	jkt, fault := g.shown(w, r, g.site.Issuer+"/token", "")
	if fault != "" {
		g.say(w, 400, map[string]string{"error": fault})
		return
	}
	if jkt != "" {
		answer["token_type"] = "DPoP"
	}
	subject, scope := g.subject, ""
	switch form.Get("grant_type") {
	case "authorization_code":
		asked, ok := g.codes[form.Get("code")]
		delete(g.codes, form.Get("code"))
		sum := sha256.Sum256([]byte(form.Get("code_verifier")))
		if !ok || asked.Get("code_challenge") != b64(sum[:]) || asked.Get("code_challenge_method") != "S256" ||
			asked.Get("redirect_uri") != form.Get("redirect_uri") || asked.Get("client_id") != client {
			g.say(w, 400, map[string]string{"error": "invalid_grant", "error_description": "the code is unknown or spent"})
			return
		}
		scope = asked.Get("scope")
		header := map[string]any{"alg": "ES256", "kid": "k1"}
		claims := map[string]any{"iss": g.site.Issuer, "sub": subject, "aud": client, "nonce": asked.Get("nonce"),
			"iat": time.Now().Unix(), "exp": time.Now().Add(5 * time.Minute).Unix()}
		if g.twistID != nil {
			g.twistID(header, claims)
		}
		answer["id_token"] = sign(g.t, g.idKey, header, claims)
	case "refresh_token":
		var ok bool
		if scope, ok = g.refresh[form.Get("refresh_token")]; !ok {
			g.say(w, 400, map[string]string{"error": "invalid_grant"})
			return
		}
		if client == demo.CLIClient {
			delete(g.refresh, form.Get("refresh_token"))
		}
	case "client_credentials":
		subject, scope = client, form.Get("scope")
	}
	// A client that proves itself keeps its refresh token.
	if kind := form.Get("grant_type"); kind == "authorization_code" || kind == "refresh_token" && client == demo.CLIClient {
		next := rand.Text()
		g.refresh[next] = scope
		answer["refresh_token"] = next
	}
	answer["scope"] = scope
	answer["access_token"] = sign(g.t, g.key, map[string]any{"alg": "ES256", "typ": "at+jwt", "kid": "k1"}, map[string]any{
		"iss": g.site.Issuer, "sub": subject, "aud": form.Get("resource"), "client_id": client, "scope": scope, "jti": rand.Text(),
		"iat": time.Now().Unix(), "exp": time.Now().Add(g.life).Unix(), "auth_time": time.Now().Add(-time.Minute).Unix(), "acr": "urn:garde:loa:basic",
		"cnf": map[string]any{"jkt": jkt}})
	if g.twistToken != nil {
		g.twistToken(answer)
	}
	g.say(w, 200, answer)
}

// proved checks a client assertion against the key that the bank publishes.
func (g *garde) proved(form url.Values) string {
	client := form.Get("client_id")
	var set struct{ Keys []map[string]string }
	keys := g.keys.Web
	switch client {
	case demo.ServiceClient:
		keys = g.keys.Nightly
	case demo.BudgetClient:
		keys = g.keys.Budget
	}
	if json.Unmarshal(keys.JWKS(), &set) != nil || len(set.Keys) != 1 {
		return "no key"
	}
	x, _ := base64.RawURLEncoding.DecodeString(set.Keys[0]["x"])
	y, _ := base64.RawURLEncoding.DecodeString(set.Keys[0]["y"])
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
	if err != nil {
		return "bad key"
	}
	header, claims, ok := verified(form.Get("client_assertion"), public)
	switch {
	case !ok || header["kid"] != set.Keys[0]["kid"]:
		return "bad signature"
	case claims["iss"] != client || claims["sub"] != client || claims["aud"] != g.site.Issuer:
		return "wrong names"
	case g.revoked[claims["jti"].(string)]:
		return "replayed"
	}
	g.revoked[claims["jti"].(string)] = true
	return ""
}

func (g *garde) userinfo(w http.ResponseWriter, _ *http.Request) {
	info := map[string]any{"sub": g.subject, "name": "Alice Martin"}
	if g.twistInfo != nil {
		g.twistInfo(info)
	}
	g.say(w, 200, info)
}

func (g *garde) revoke(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	r.ParseForm()
	delete(g.refresh, r.PostForm.Get("token"))
	w.WriteHeader(200)
}

func (g *garde) logout(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("id_token_hint") == "" {
		w.WriteHeader(400)
		return
	}
	http.Redirect(w, r, r.URL.Query().Get("post_logout_redirect_uri"), http.StatusSeeOther)
}

// gateway is the recipe of the bank, by hand.
func (g *garde) gateway(upstream *url.URL) http.Handler {
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(upstream) }}
	needs := map[string]string{"/balance": "accounts.read", "/transfers": "transfers.write", "/statement": "statements.read"}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refuse := func(status int, challenge string) {
			if challenge != "" {
				w.Header().Set("WWW-Authenticate", challenge)
			}
			w.Header().Set("Garde-Trace", "7d1c0f3a9b52e664")
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(status)
			json.NewEncoder(w).Encode(map[string]any{"title": http.StatusText(status), "status": status})
		}
		meta := `resource_metadata="` + g.site.Gate + `/.well-known/oauth-protected-resource"`
		scope, known := needs[r.URL.Path]
		if strings.HasPrefix(r.URL.Path, "/accounts/") {
			scope, known = "accounts.read", true
		}
		if r.URL.Path == "/rates" {
			proxy.ServeHTTP(w, r)
			return
		}
		g.mu.Lock()
		deny := g.denyGate
		if g.spoken == nil {
			g.spoken = map[string]bool{}
		}
		g.spoken[r.Header.Get("Accept-Language")] = true
		g.mu.Unlock()
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		header, claims, ok := verified(token, &g.key.PublicKey)
		if cnf, _ := claims["cnf"].(map[string]any); ok && !g.openGate && cnf["jkt"] != "" {
			jkt, fault := g.shown(w, r, g.site.Gate+r.URL.Path, token)
			if fault == "" && (scheme != "DPoP" || jkt != cnf["jkt"]) {
				fault = "invalid_token"
			}
			if fault != "" {
				refuse(401, `DPoP error="`+fault+`"`)
				return
			}
		}
		switch {
		case !known:
			refuse(404, "")
			return
		case token == "":
			refuse(401, "Bearer "+meta)
			return
		case deny || !ok || header["typ"] != "at+jwt" || claims["aud"] != g.site.Gate:
			refuse(401, `Bearer error="invalid_token", error_description="the token is not valid here", `+meta)
			return
		case claims["exp"].(float64) <= float64(time.Now().Unix()):
			refuse(401, `Bearer error="invalid_token", error_description="the token has expired", `+meta)
			return
		case !slices.Contains(strings.Fields(claims["scope"].(string)), scope):
			refuse(403, `Bearer error="insufficient_scope", scope="`+scope+`", `+meta)
			return
		}
		if claims["client_id"] == demo.BudgetClient {
			r.Header.Set("Garde-Authorization-Details", `[{"type":"account_information","until":"2999-01-01"}]`)
		}
		for _, name := range []string{"Subject", "Client", "Scope"} {
			r.Header.Del("Garde-" + name)
		}
		r.Header.Set("Garde-Subject", claims["sub"].(string))
		r.Header.Set("Garde-Client", claims["client_id"].(string))
		r.Header.Set("Garde-Scope", claims["scope"].(string))
		proxy.ServeHTTP(w, r)
	})
}

// browser keeps cookies and follows redirects, like a person's.
type browser struct {
	t    testing.TB
	base string
	http *http.Client
	lang string
}

type page struct {
	Status int
	Body   string
	URL    *url.URL
	Header http.Header
}

func (g *garde) browser() *browser {
	jar, _ := cookiejar.New(nil)
	return &browser{t: g.t, base: g.bank.URL, http: &http.Client{Jar: jar}}
}

func (b *browser) do(r *http.Request) page {
	b.t.Helper()
	r.Header.Set("Accept-Language", b.lang)
	response, err := b.http.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return page{response.StatusCode, string(body), response.Request.URL, response.Header}
}

func (b *browser) get(path string) page {
	b.t.Helper()
	if !strings.HasPrefix(path, "http") {
		path = b.base + path
	}
	r, err := http.NewRequest(http.MethodGet, path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.do(r)
}

func (b *browser) post(path string, form url.Values) page {
	b.t.Helper()
	r, err := http.NewRequest(http.MethodPost, b.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return b.do(r)
}

// stop keeps the browser from following redirects.
func (b *browser) stop() *browser {
	b.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return b
}

func (b *browser) cookie(name string) string {
	u, _ := url.Parse(b.base)
	for _, c := range b.http.Jar.Cookies(u) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// field finds the value of the first input or option after a mark.
func field(body, mark string) string {
	_, rest, ok := strings.Cut(body, mark)
	if !ok {
		return ""
	}
	_, rest, _ = strings.Cut(rest, `value="`)
	value, _, _ := strings.Cut(rest, `"`)
	return value
}

func loopback(t testing.TB) net.Listener {
	t.Helper()
	l, err := local.Listen("127.0.0.1:0", "")
	if err != nil {
		t.Fatal(err)
	}
	return l
}
