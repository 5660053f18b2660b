package conform_test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/gardeauth/garde/internal/lab"
)

// heard is an answer to the suite.
type heard struct {
	status int
	header http.Header
	body   []byte
}

func (h heard) members() members {
	all := members{}
	_ = json.Unmarshal(h.body, &all)
	return all
}

func (h heard) text(name string) string { text, _ := h.members()[name].(string); return text }

// send sends a request of the suite, whose content is body.
func (m *module) send(method, address, body string, headers ...string) heard {
	m.Helper()
	r, err := http.NewRequest(method, address, strings.NewReader(body))
	must(m.T, err)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	if body != "" && r.Header.Get("Content-Type") == "" {
		r.Header.Set("Content-Type", lab.FormType)
	}
	answer, err := m.client(m.T, m.c.cert).Do(r)
	must(m.T, err)
	raw, err := io.ReadAll(answer.Body)
	must(m.T, err)
	must(m.T, answer.Body.Close())
	return heard{answer.StatusCode, answer.Header, raw}
}

// asks is a request as the suite makes it; more changes it, "" takes away.
func (m *module) asks(scope string, more ...string) url.Values {
	query := lab.Form("client_id", m.c.ID, "redirect_uri", m.c.uri, "response_type", m.kind, "scope", scope, "state", rand.Text()[:10], "nonce", rand.Text()[:10])
	if m.mode == "form_post" {
		query.Set("response_mode", m.mode)
	}
	for i := 0; i+1 < len(more); i += 2 {
		query.Del(more[i])
		if more[i+1] != "" {
			query.Set(more[i], more[i+1])
		}
	}
	return query
}

// goes opens the authorization endpoint with a request.
func (m *module) goes(query url.Values) page {
	m.Helper()
	return m.visit(m.at("authorization_endpoint") + "?" + query.Encode())
}

// back reads what comes back to the suite, by the way that was asked for, and finds fault with it as the suite does.
func (m *module) back(on page, query url.Values) url.Values {
	m.Helper()
	if on.left == "" {
		m.Fatalf("the browser stands at %s: %d %s\n%s", on.at, on.status, on.code(), on.body)
	}
	to, err := url.Parse(on.left)
	must(m.T, err)
	wanted, err := url.Parse(query.Get("redirect_uri"))
	must(m.T, err)
	params := to.Query()
	for name := range wanted.Query() {
		if params.Get(name) != wanted.Query().Get(name) {
			m.Errorf("the registered query is lost: %s", on.left)
		}
		params.Del(name)
	}
	fragment, err := url.ParseQuery(to.Fragment)
	must(m.T, err)
	front := query.Get("response_type") != "code" && query.Get("response_type") != ""
	switch {
	case query.Get("response_mode") == "form_post":
		if len(params)+len(fragment) > 0 || m.posted == nil {
			m.Errorf("form_post came by %s", on.left)
		}
		params = m.posted
	case front:
		if len(params) > 0 {
			m.Errorf("in the query of %s", on.left)
		}
		params = fragment
	case len(fragment) > 0 && to.Fragment != "_": // it keeps a fragment of the request from being carried on
		m.Errorf("in the fragment of %s", on.left)
	}
	if to.Scheme != wanted.Scheme || to.Host != wanted.Host || to.Path != wanted.Path {
		m.Fatalf("it came to %s", on.left)
	}
	return m.judge(params, query)
}

// judge finds fault with an authorization response.
func (m *module) judge(params, query url.Values) url.Values {
	m.Helper()
	if query.Get("response_mode") == "jwt" {
		if len(params) != 1 {
			m.Errorf("beside the response stands something: %v", params)
		}
		claims := m.opens(params.Get("response"))
		now := float64(time.Now().Unix())
		if exp, _ := claims["exp"].(float64); claims["aud"] != m.c.ID || claims["iss"] != m.issuer || exp <= now || exp > now+600 {
			m.Errorf("the response says %v", claims)
		}
		params = url.Values{}
		for name, value := range claims {
			if text, ok := value.(string); ok && name != "aud" {
				params.Set(name, text)
			}
		}
	}
	known := []string{"code", "id_token", "access_token", "token_type", "expires_in", "scope", "state", "iss", "session_state"}
	if params.Has("error") {
		known = []string{"error", "error_description", "error_uri", "state", "iss", "session_state"}
	}
	for name, values := range params {
		if !slices.Contains(known, name) || len(values) != 1 {
			m.Errorf("the answer holds %s: %v", name, values)
		}
	}
	if params.Get("state") != query.Get("state") || params.Get("iss") != m.issuer {
		m.Errorf("state %q iss %q, for %v", params.Get("state"), params.Get("iss"), query)
	}
	for _, r := range params.Get("error_description") {
		if r < 0x20 || r > 0x7e || r == '"' || r == '\\' {
			m.Errorf("error_description has %q", r)
		}
	}
	if params.Has("error") {
		return params
	}
	for _, each := range []string{"code", "access_token", "id_token"} {
		wanted := strings.Contains(" "+query.Get("response_type")+" ", " "+strings.TrimPrefix(each, "access_")+" ")
		if params.Has(each) != wanted {
			m.Errorf("%s: %v", each, params)
		}
		if each != "id_token" && wanted {
			m.random(each, params.Get(each))
		}
	}
	if params.Has("id_token") {
		m.identity(params.Get("id_token"), query, params)
	}
	return params
}

// authorize is a request, the pages and the answer.
func (m *module) authorize(query url.Values) url.Values {
	m.Helper()
	sent := m.back(m.goes(query), query)
	if sent.Has("error") {
		m.Fatalf("%v", sent)
	}
	return sent
}

// opens checks the signature of a token by the published keys, and gives its claims.
func (m *module) opens(text string) members {
	m.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(text, ".")[0])
	must(m.T, err)
	var header struct{ Alg, Kid string }
	must(m.T, json.Unmarshal(raw, &header))
	if header.Kid == "" || header.Alg == "none" || strings.HasPrefix(header.Alg, "HS") {
		m.Errorf("the header %s", raw)
	}
	if strings.HasPrefix(m.Description, "Garde, fapi") && !slices.Contains([]string{"PS256", "ES256", "EdDSA"}, header.Alg) {
		m.Errorf("FAPI: the header %s", raw)
	}
	payload, err := m.keys.VerifySignature(oidc.ClientContext(m.Context(), m.client(m.T, nil)), text)
	must(m.T, err)
	claims := members{}
	must(m.T, json.Unmarshal(payload, &claims))
	return claims
}

// identity finds fault with an ID token; beside is what came with it.
func (m *module) identity(text string, query, beside url.Values) members {
	m.Helper()
	claims := m.opens(text)
	now := float64(time.Now().Unix())
	iat, _ := claims["iat"].(float64)
	exp, _ := claims["exp"].(float64)
	subject, _ := claims["sub"].(string)
	if claims["iss"] != m.issuer || claims["aud"] != m.c.ID || claims["azp"] != nil && claims["azp"] != m.c.ID || subject == "" || len(subject) > 255 ||
		exp <= now || exp > now+50*365*86400 || iat > now+5 || iat < now-300 {
		m.Errorf("the ID token says %v", claims)
	}
	if want := query.Get("nonce"); want == "" && claims["nonce"] != nil || want != "" && claims["nonce"] != want {
		m.Errorf("nonce %v, for %q", claims["nonce"], want)
	}
	if acr, told := claims["acr"]; told && acr == "" {
		m.Error("acr is empty")
	}
	if authTime, told := claims["auth_time"].(float64); query.Has("max_age") && !told || told && (authTime > now+5 || authTime < 1e9) {
		m.Errorf("auth_time %v", claims["auth_time"])
	}
	front := beside != nil && query.Get("response_type") != "code"
	for claim, param := range map[string]string{"at_hash": "access_token", "c_hash": "code"} {
		told, _ := claims[claim].(string)
		if front && beside.Has(param) && told == "" || told != "" && beside != nil && beside.Has(param) && told != half(beside.Get(param)) {
			m.Errorf("%s is %q", claim, told)
		}
	}
	// What nobody asked to be in the ID token stands in userinfo, if there is a token for it.
	alone := query.Get("response_type") == "id_token"
	for _, name := range []string{"name", "email", "phone_number", "address", "birthdate", "given_name", "preferred_username"} {
		if claims[name] != nil && !alone && !strings.Contains(query.Get("claims"), `"id_token"`) {
			m.Errorf("the ID token tells %s", name)
		}
	}
	return claims
}

// proven adds the client's proof of itself to a form; the headers are those to send.
func (m *module) proven(form url.Values, aud any) (url.Values, []string) {
	m.Helper()
	form = maps.Clone(form)
	switch m.c.auth {
	case "private_key_jwt":
		if !form.Has("client_assertion") {
			form.Set("client_assertion_type", lab.AssertionType)
			form.Set("client_assertion", m.assertion(func(c members) { c["aud"] = aud }))
		}
	case "client_secret_post":
		form.Set("client_id", m.c.ID)
		form.Set("client_secret", m.c.Secret)
	case "mtls":
		form.Set("client_id", m.c.ID)
	default:
		return form, []string{"Authorization", lab.BasicAuth(m.c.ID, m.c.Secret)}
	}
	return form, nil
}

// assertion is one of the client's; twist changes it.
func (m *module) assertion(twist func(members)) string {
	m.Helper()
	now := time.Now().Unix()
	claims := members{"iss": m.c.ID, "sub": m.c.ID, "aud": m.issuer, "jti": rand.Text(), "iat": now, "exp": now + 60}
	if twist != nil {
		twist(claims)
	}
	text, err := m.c.signer.Sign("JWT", claims)
	must(m.T, err)
	return text
}

// posts sends a form to the token endpoint as OpenID Connect's plans do: an assertion names that endpoint.
func (m *module) posts(form url.Values) heard {
	m.Helper()
	form, headers := m.proven(form, m.at("token_endpoint"))
	return m.send("POST", m.at("token_endpoint"), form.Encode(), headers...)
}

// tokens finds fault with a good answer of the token endpoint.
func (m *module) tokens(got heard) members {
	m.Helper()
	said := got.members()
	expires, number := said["expires_in"].(float64)
	kind, _ := said["token_type"].(string)
	if got.status != 200 || got.header.Get("Content-Type") != "application/json" || !strings.Contains(got.header.Get("Cache-Control"), "no-store") ||
		!number || expires < 1 || expires > 31536000 || kind != "Bearer" && kind != "DPoP" {
		m.Fatalf("%d %v %s", got.status, got.header, got.body)
	}
	access, _ := said["access_token"].(string)
	m.random("access_token", access)
	if refresh, _ := said["refresh_token"].(string); refresh != "" {
		m.random("refresh_token", refresh)
	}
	return said
}

// refuses finds fault with a refusal.
func (m *module) refuses(got heard, codes ...string) {
	m.Helper()
	code := got.text("error")
	status := got.status == 400 || code == "invalid_client" && got.status == 401
	if !status || !slices.Contains(codes, code) || !strings.HasPrefix(got.header.Get("Content-Type"), "application/json") {
		m.Errorf("%d %v %s, want %v", got.status, got.header, got.body, codes)
	}
	for _, r := range got.text("error_description") {
		if r < 0x20 || r > 0x7e || r == '"' || r == '\\' {
			m.Errorf("error_description has %q", r)
		}
	}
}

// redeems exchanges the code of an answer.
func (m *module) redeems(sent, query url.Values) (said, claims members) {
	m.Helper()
	said = m.tokens(m.posts(m.code(sent, query)))
	text, _ := said["id_token"].(string)
	access, _ := said["access_token"].(string)
	claims = m.identity(text, url.Values{"nonce": query["nonce"], "response_type": {"code"}, "claims": query["claims"], "max_age": query["max_age"]},
		lab.Form("access_token", access))
	if query.Get("max_age") == "" {
		return said, claims
	}
	return said, claims
}

func (m *module) code(sent, query url.Values) url.Values {
	return lab.Form("grant_type", "authorization_code", "code", sent.Get("code"), "redirect_uri", query.Get("redirect_uri"))
}

// whole is a request from beginning to end: what the ID token says (of the front channel, where there is one), and an access
// token if any is given.
func (m *module) whole(query url.Values) (claims members, access string) {
	m.Helper()
	return m.ended(m.authorize(query), query)
}

func (m *module) ended(sent, query url.Values) (claims members, access string) {
	m.Helper()
	access = sent.Get("access_token")
	if sent.Has("id_token") {
		claims = m.opens(sent.Get("id_token"))
	}
	if !sent.Has("code") {
		return claims, access
	}
	said, second := m.redeems(sent, query)
	access, _ = said["access_token"].(string)
	if claims != nil && (claims["sub"] != second["sub"] || claims["iss"] != second["iss"]) {
		m.Errorf("%v, then %v", claims, second)
	}
	return second, access
}

// info asks userinfo, and finds fault with the kinds of the claims.
func (m *module) info(access string) members {
	m.Helper()
	got := m.send("GET", m.at("userinfo_endpoint"), "", "Authorization", "Bearer "+access, "Accept", "application/json")
	return m.informed(got)
}

func (m *module) informed(got heard) members {
	m.Helper()
	said := got.members()
	if got.status != 200 || got.header.Get("Content-Type") != "application/json" {
		m.Fatalf("userinfo: %d %v %s", got.status, got.header, got.body)
	}
	for name, value := range said {
		_, object := value.(map[string]any)
		_, truth := value.(bool)
		_, number := value.(float64)
		text, isText := value.(string)
		if object != (name == "address") || truth != strings.HasSuffix(name, "_verified") || number != (name == "updated_at") || isText && text == "" {
			m.Errorf("%s is %T %v", name, value, value)
		}
	}
	return said
}

// dies waits for an access token to be worth nothing.
func (m *module) dies(access string) {
	m.Helper()
	for until := time.Now().Add(2 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		got := m.send("GET", m.at("userinfo_endpoint"), "", "Authorization", "Bearer "+access)
		if got.status == http.StatusUnauthorized {
			return
		}
		if time.Now().After(until) {
			m.Fatalf("the access token lives: %d %s", got.status, got.body)
		}
	}
}
