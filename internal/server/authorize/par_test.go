package authorize_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/session"
)

const payment = `[{"type":"payment","amount":"123.50","creditor":"Merchant <b>A</b>","iban":"DE02"}]`

// assertion proves a client.
func (h *house) assertion(client string) string {
	h.t.Helper()
	text, err := h.client.Sign("client-authentication+jwt", map[string]any{
		"iss": client, "sub": client, "aud": h.server.URL, "jti": uuid.NewString(), "iat": h.now().Unix(), "exp": h.now().Add(time.Minute).Unix(),
	})
	h.must(err)
	return text
}

// object signs a request.
func (h *house) object(query string, changes map[string]any) string {
	h.t.Helper()
	values, err := url.ParseQuery(query)
	h.must(err)
	claims := map[string]any{"aud": h.server.URL, "iss": values.Get("client_id"), "exp": h.now().Add(time.Minute).Unix()}
	for name := range values {
		claims[name] = values.Get(name)
	}
	for name, value := range changes {
		claims[name] = value
	}
	text, err := h.client.Sign("oauth-authz-req+jwt", claims)
	h.must(err)
	return text
}

// proved adds the proof of a client to a form.
func (h *house) proved(client, form string) string {
	return form + "&" + url.Values{
		"client_assertion":      {h.assertion(client)},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
	}.Encode()
}

// pushes pushes a request of a client with a key, and gives its request_uri.
func (b *browser) pushes(client string, changes ...string) string {
	b.t.Helper()
	got := b.post("/par", b.proved(client, ask(client, changes...)))
	var answer struct {
		URI     string `json:"request_uri"`
		Expires int64  `json:"expires_in"`
	}
	if err := json.Unmarshal([]byte(got.body), &answer); err != nil || got.status != http.StatusCreated || answer.Expires != 90 ||
		!iam.WellFormed(iam.PrefixPushed, strings.TrimPrefix(answer.URI, iam.RequestURN)) {
		b.t.Fatalf("status %d, %s", got.status, got.body)
	}
	if got.header.Get("Cache-Control") != "no-store" || !strings.HasPrefix(got.header.Get("Content-Type"), "application/json") {
		b.t.Errorf("headers %v", got.header)
	}
	return answer.URI
}

func pushed(client, uri string, more ...string) string {
	values := url.Values{"client_id": {client}, "request_uri": {uri}}
	for i := 0; i < len(more); i += 2 {
		values.Set(more[i], more[i+1])
	}
	return "/authorize?" + values.Encode()
}

// told fails the test unless the answer is an error of the protocol with exactly that status, code and text.
func (s seen) told(status int, code, description string) {
	s.t.Helper()
	var body struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
		Trace       string `json:"trace_id"`
	}
	if err := json.Unmarshal([]byte(s.body), &body); err != nil || s.status != status || body.Error != code || body.Description != description {
		s.t.Errorf("status %d, %s; want %d %s %q", s.status, s.body, status, code, description)
	}
	if s.location() != "" {
		s.t.Errorf("it redirects to %s", s.location())
	}
}

// page fails the test unless the answer is a page with that code, and leads nowhere.
func (s seen) page(code string) {
	s.t.Helper()
	if s.status != http.StatusBadRequest || s.location() != "" || !strings.Contains(s.body, `id="error-page"`) || !strings.Contains(s.body, code) {
		s.t.Errorf("status %d, location %q, want a page with %s", s.status, s.location(), code)
	}
}

func TestP01P08P09WhatParRefuses(t *testing.T) {
	h := open(t)
	b := h.browser()
	good := ask("pay")
	const redirect = "redirect_uri is not registered for this client, byte for byte"
	for name, c := range map[string]struct {
		form        string
		status      int
		code, descr string
	}{
		"P01 no proof":               {good, 401, "invalid_client", "the client is unknown or did not prove itself as registered"},
		"P01 another client's proof": {h.proved("front", good), 401, "invalid_client", "the client is unknown or did not prove itself as registered"},
		"P08 request_uri":            {h.proved("pay", good+"&request_uri="+iam.RequestURN+"x"), 400, "invalid_request", "request_uri has no meaning here"},
		"P09 unregistered":           {h.proved("pay", ask("pay", "redirect_uri", "https://evil.example/cb")), 400, "invalid_request", redirect},
		"P09 of a public client":     {ask("web", "redirect_uri", "https://evil.example/cb"), 400, "invalid_request", redirect},
		"C07 no challenge":           {h.proved("pay", ask("pay", "code_challenge", "")), 400, "invalid_request", "code_challenge is missing: PKCE is needed, by every client"},
		"C08 plain":                  {h.proved("pay", ask("pay", "code_challenge_method", "plain")), 400, "invalid_request", "code_challenge_method must be S256"},
		"P10 a broken object":        {h.proved("pay", "client_id=pay&request=x"), 400, "invalid_request_object", "the request object is not a signed JWT"},
		"P17 unknown type": {h.proved("pay", ask("pay", "scope", "openid payments.write", "authorization_details", `[{"type":"x"}]`)), 400,
			"invalid_authorization_details", "authorization_details, object 1: the type is unknown, or not for this client"},
		"P17 a member more": {h.proved("pay", ask("pay", "scope", "openid payments.write", "authorization_details", strings.Replace(payment, "{", `{"x":1,`, 1))), 400,
			"invalid_authorization_details", "authorization_details, object 1: it does not obey the schema of its type"},
		"unknown scope":      {h.proved("pay", ask("pay", "scope", "nothing")), 400, "invalid_scope", "no such scope: nothing"},
		"unknown resource":   {h.proved("pay", ask("pay", "resource", "https://evil")), 400, "invalid_target", "no API has this address"},
		"C16 a token":        {h.proved("pay", ask("pay", "response_type", "token")), 400, "unsupported_response_type", "this server has no such response_type"},
		"C16 id_token":       {h.proved("pay", ask("pay", "response_type", "id_token")), 400, "unsupported_response_type", "this client may not use this response_type"},
		"C26 twice":          {h.proved("pay", good+"&scope=openid"), 400, "invalid_request", "a parameter was sent twice"},
		"registration":       {h.proved("pay", good+"&registration=x"), 400, "registration_not_supported", "the parameter registration is not accepted"},
		"grant management":   {h.proved("pay", good+"&grant_management_action=create"), 400, "invalid_request", "this server does not support the parameter grant_management_action"},
		"prompt":             {h.proved("pay", ask("pay", "prompt", "none login")), 400, "invalid_request", "prompt=none excludes every other"},
		"a key that isn't":   {h.proved("pay", ask("pay", "dpop_jkt", "x")), 400, "invalid_request", "dpop_jkt is no SHA-256 in base64url"},
		"R26 a long state":   {h.proved("pay", ask("pay", "state", strings.Repeat("s", 4097))), 400, "invalid_request", "state is longer than 4096 bytes"},
		"R28 a junk mode":    {h.proved("pay", ask("pay", "response_mode", "x")), 400, "invalid_request", "response_mode must be query, fragment or form_post, or one of these with .jwt, or jwt"},
		"L05 much of little": {h.proved("pay", ask("pay", "id_token_hint", strings.Repeat("x", 33<<10))), 400, "invalid_request", "id_token_hint is not an ID token of this server"},
	} {
		t.Run(name, func(t *testing.T) {
			got := b.post("/par", c.form)
			got.t = t
			got.told(c.status, c.code, c.descr)
		})
	}
	t.Run("only by POST", func(t *testing.T) {
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
			r, err := http.NewRequestWithContext(t.Context(), method, h.server.URL+"/par", nil)
			h.must(err)
			if got := b.do(r); got.status != http.StatusMethodNotAllowed || got.header.Get("Allow") != http.MethodPost {
				t.Errorf("%s: %d", method, got.status)
			}
		}
		if got := b.post("/par?x=1", h.proved("pay", good)); got.status != http.StatusBadRequest {
			t.Errorf("a query: %d", got.status)
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.server.URL+"/par", strings.NewReader(`{"client_id":"pay"}`))
		h.must(err)
		r.Header.Set("Content-Type", "application/json")
		if got := b.do(r); got.status != http.StatusBadRequest {
			t.Errorf("JSON: %d", got.status)
		}
	})
}

func TestP03APushedRequestGivesOneCode(t *testing.T) {
	h := open(t)
	b := h.browser()
	uri := b.pushes("pay", "nonce", "n-1")
	first := b.get(pushed("pay", uri)).to("/signin")
	second := b.get(pushed("pay", uri)).to("/signin") // the link opened twice
	h.pass(20 * time.Minute)                          // its 90 seconds are for the way here
	b.get(pushed("pay", uri)).to("/signin")
	code := b.does(first, "user=u-alice&did=login").gives("code", "").values().Get("code")
	if code == "" {
		t.Fatal("no code")
	}
	b.get(pushed("pay", uri)).page("invalid_request_uri")
	b.does(second, "did=login").page("expired_flow") // who was slower
	stored, err := h.tenant.Try(t.Context(), iam.CodeProof{Hash: iam.HashCode(code), Client: "pay", Challenge: challenge}, h.now())
	if err != nil || stored.Grant.Nonce != "n-1" || stored.Grant.Login == "" {
		t.Errorf("the code is %+v, %v", stored, err)
	}
}

func TestP03ADenialEndsIt(t *testing.T) {
	h := open(t)
	b := h.browser()
	uri := b.pushes("pay", "prompt", "consent")
	asked := b.does(b.get(pushed("pay", uri)).to("/signin"), "user=u-alice&did=login").to("/consent")
	b.does(asked, "did=denied").gives("error", "access_denied")
	b.get(pushed("pay", uri)).page("invalid_request_uri")
}

func TestP02P04P05P06P07AtAuthorize(t *testing.T) {
	h := open(t)
	b := h.browser().signIn("u-alice")
	b.get("/authorize?" + ask("pay")).page("invalid_request") // P07
	b.post("/authorize", ask("pay")).page("invalid_request")
	uri := b.pushes("pay")
	b.get(pushed("front", uri)).page("invalid_request_uri") // P02
	b.get(pushed("pay", iam.RequestURN+iam.NewSecret(iam.PrefixPushed))).page("invalid_request_uri")
	b.get("/authorize?request_uri=" + url.QueryEscape(uri)).page("invalid_request")
	got := b.get(pushed("pay", uri, "redirect_uri", "https://evil.example/cb", "scope", "openid payments.write", "state", "evil",
		"response_mode", "fragment", "code_challenge", "x", "prompt", "login")).gives("code", "") // P06
	if !strings.HasPrefix(got.location(), "https://pay.example/cb?") {
		t.Errorf("it goes to %s", got.location())
	}
	late := b.pushes("pay")
	h.pass(91 * time.Second)
	b.get(pushed("pay", late)).page("invalid_request_uri") // P04
	posted := b.pushes("pay")
	parked := b.post("/authorize", url.Values{"client_id": {"pay"}, "request_uri": {posted}}.Encode())
	b.get(parked.location()).gives("code", "")
	b.get(pushed("pay", posted)).page("invalid_request_uri")
	one, two := b.pushes("pay"), b.pushes("pay")
	if one == two || len(one) < len(iam.RequestURN)+43 {
		t.Errorf("P05 %s, %s", one, two)
	}
}

func TestP07APushedRequestOfAPublicClient(t *testing.T) {
	h := open(t)
	b := h.browser().signIn("u-alice")
	h.consent("u-alice", "web", "openid")
	got := b.post("/par", ask("web"))
	var answer struct {
		URI string `json:"request_uri"`
	}
	h.must(json.Unmarshal([]byte(got.body), &answer))
	b.get(pushed("web", answer.URI)).gives("code", "")
	b.get(pushed("web", answer.URI)).page("invalid_request_uri")
}

func TestP19OneClientFillsNothingUp(t *testing.T) {
	h := open(t)
	b := h.browser()
	for range 20 {
		if got := b.post("/par", ask("web")); got.status != http.StatusCreated {
			t.Fatalf("status %d, %s", got.status, got.body)
		}
	}
	got := b.post("/par", ask("web"))
	got.told(http.StatusTooManyRequests, "temporarily_unavailable", "too many pushed requests of this client wait for a browser")
	if got.header.Get("Retry-After") != "90" {
		t.Errorf("Retry-After %q", got.header.Get("Retry-After"))
	}
	b.pushes("pay") // others go on
	h.pass(91 * time.Second)
	if got := b.post("/par", ask("web")); got.status != http.StatusCreated {
		t.Errorf("when they have run out: %d", got.status)
	}
}

func TestAPushedRequestBindsItsCodeToAKey(t *testing.T) {
	h := open(t)
	b := h.browser().signIn("u-alice")
	push := func(jkt, proved string) seen {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.server.URL+"/par", strings.NewReader(h.proved("pay", ask("pay", "dpop_jkt", jkt))))
		h.must(err)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Proved", proved)
		return b.do(r)
	}
	const other = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
	push(challenge, other).told(http.StatusBadRequest, "invalid_dpop_proof", "the proof is of another key than dpop_jkt names")
	for name, got := range map[string]seen{"by the parameter": push(other, ""), "by a proof": push("", other), "by both": push(other, other)} {
		var answer struct {
			URI string `json:"request_uri"`
		}
		h.must(json.Unmarshal([]byte(got.body), &answer))
		code := b.get(pushed("pay", answer.URI)).gives("code", "").values().Get("code")
		proof := iam.CodeProof{Hash: iam.HashCode(code), Client: "pay", Challenge: challenge}
		if _, err := h.tenant.Try(t.Context(), proof, h.now()); err == nil {
			t.Errorf("%s: it is redeemed without the key", name)
		}
		proof.JKT = other
		if _, err := h.tenant.Try(t.Context(), proof, h.now()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestP10P12P13AtAuthorize(t *testing.T) {
	h := open(t)
	b := h.browser().signIn("u-alice")
	jar := func(object string, more ...string) seen {
		values := url.Values{"client_id": {"front"}, "request": {object}}
		for i := 0; i < len(more); i += 2 {
			values.Set(more[i], more[i+1])
		}
		return b.get("/authorize?" + values.Encode())
	}
	good := h.object(ask("front"), map[string]any{"jti": "j-1"})
	jar(good, "state", "evil", "redirect_uri", "https://evil.example/cb").gives("code", "")
	jar(good).page("invalid_request_object")                                                                      // P13
	jar(h.object(ask("front"), map[string]any{"aud": "https://other"})).page("invalid_request_object")            // P13
	jar(h.object(ask("front"), map[string]any{"exp": h.now().Unix() - 10})).page("invalid_request_object")        // P13
	jar("eyJhbGciOiJub25lIn0.e30.").page("invalid_request_object")                                                // P10
	jar(h.object(ask("front", "redirect_uri", ""), nil), "redirect_uri", redirects["front"]).page("redirect_uri") // P12
	jar(h.assertion("front")).page("invalid_request_object")                                                      // P15
	back := jar("x", "redirect_uri", redirects["front"], "state", "st", "response_type", "code").gives("error", "invalid_request_object")
	if back.values().Get("error_description") != "the request object is not a signed JWT" {
		t.Errorf("told %q", back.values().Get("error_description"))
	}
	// A sign-in under way goes on after the object has run out.
	stranger := h.browser()
	left := stranger.get("/authorize?" + url.Values{"client_id": {"front"}, "request": {h.object(ask("front"), map[string]any{"jti": "j-2"})}}.Encode()).to("/signin")
	h.pass(5 * time.Minute)
	stranger.does(left, "user=u-bob&did=login").gives("code", "")
}

// What was parked for something else holds whatever anybody sent, and is no request that was accepted.
func TestC20AParkedSignOutIsNoRequest(t *testing.T) {
	h := open(t)
	b := h.browser().signIn("u-alice")
	h.consent("u-alice", "web", "openid")
	forged := ask("pay", "garde.signed", "1", "garde.pushed", challenge)
	for _, kind := range []session.Parked{session.ParkedSignOut, session.ParkedTelling} {
		key, err := h.sessions.Park(t.Context(), h.tenant, kind, forged, "")
		h.must(err)
		b.get("/authorize?flow=" + url.QueryEscape(key)).page("expired_flow")
	}
}
