package consent_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/gardeauth/garde/internal/binding/prover"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/server/request"
	"github.com/gardeauth/garde/internal/token"
)

const (
	cibaGrant = "urn:openid:params:grant-type:ciba"
	nobody    = "the hint names nobody who can be asked"
)

// asks asks alice, and gives the auth_req_id.
func (h *house) asks(client string, fields ...string) string {
	h.t.Helper()
	if !slices.Contains(fields, "scope") {
		fields = append([]string{"scope", "openid accounts.read"}, fields...)
	}
	if !strings.Contains(strings.Join(fields, " "), "hint") {
		fields = append(fields, "login_hint", "alice")
	}
	members := h.calls(client, "/bc-authorize", fields...).json(http.StatusOK)
	id, _ := members["auth_req_id"].(string)
	if !iam.WellFormed(iam.PrefixCIBA, id) || members["expires_in"] == nil {
		h.t.Fatalf("V01 %v", members)
	}
	return id
}

func (h *house) fetches(client, id string, fields ...string) seen {
	h.t.Helper()
	return h.calls(client, "/token", append([]string{"grant_type", cibaGrant, "auth_req_id", id}, fields...)...)
}

// person is a browser with somebody signed in.
func (h *house) person(name string) *browser {
	h.t.Helper()
	b := h.browser()
	b.signIn(b.get("/account/requests"), name).is(200, "Requests that wait for you")
	return b
}

// first opens the newest request that waits.
func (b *browser) first() seen {
	b.t.Helper()
	list := b.get("/account/requests").is(200)
	_, rest, ok := strings.Cut(list.body, `href="/account/requests?id=`)
	if !ok {
		b.t.Fatalf("nothing waits:\n%s", list.body)
	}
	id, _, _ := strings.Cut(rest, `"`)
	return b.get("/account/requests?id="+id).is(200, `id="asked-allow"`)
}

func (b *browser) answers(at seen, decision string) seen {
	b.t.Helper()
	return b.post("/account/requests", "request", at.hidden("request"), "csrf", at.hidden("csrf"), "decision", decision)
}

func TestTheWayOfABackchannelRequest(t *testing.T) {
	h := open(t)
	members := h.calls("shop", "/bc-authorize", "scope", "openid accounts.read", "login_hint", "Alice@bank.example", "binding_message", "Till 7: 12.50 €").json(200)
	if members["expires_in"] != 300.0 || members["interval"] != 5.0 || len(members) != 3 {
		t.Errorf("%v", members)
	}
	id, _ := members["auth_req_id"].(string)
	h.fetches("shop", id).told(400, pending, undecided)
	b := h.person("alice")
	b.get("/account").is(200, "An application waits for your decision", "Access asked for by")
	at := b.first().is(200, "Till 7: 12.50 €", "Corner Shop", "See your balances", "Go on only if you started this yourself")
	done := b.answers(at, "allow").to("/account/requests?done=request_allowed&proof=")
	b.follow(done).is(200, "Access allowed", "Nothing waits for you")
	h.person("bob").get(done.location).is(200).lacks("Access allowed")
	tokens := h.fetches("shop", id).json(200)
	if tokens["access_token"] == nil || tokens["id_token"] == nil || tokens["refresh_token"] == nil {
		t.Errorf("%v", tokens)
	}
	h.fetches("shop", id).told(400, "invalid_grant", badGrant)
	b.answers(at, "deny").is(400, "expired_request")
	denied := h.asks("shop")
	b.follow(b.answers(b.first(), "deny")).is(200, "Access refused")
	h.fetches("shop", denied).told(400, "access_denied", "the person said no")
	late := h.asks("shop", "requested_expiry", "30")
	at = b.first()
	h.clock.pass(31 * time.Second)
	h.fetches("shop", late).told(400, "expired_token", "the time to decide has run out: begin again")
	b.answers(at, "allow").is(400, "expired_request")
}

func TestV12WhatTheBackchannelRefuses(t *testing.T) {
	h := open(t)
	const one, message = "exactly one of login_hint, id_token_hint and login_hint_token is needed", "binding_message holds characters that can't be seen"
	ok := func(fields ...string) []string {
		return append([]string{"scope", "openid", "login_hint", "alice"}, fields...)
	}
	for name, c := range map[string]struct {
		client      string
		fields      []string
		status      int
		code, descr string
	}{
		"unknown client":                 {"nobody", ok("client_id", "nobody"), 401, "invalid_client", "the client is unknown or did not prove itself as registered"},
		"no such grant":                  {"tv", ok(), 400, "unauthorized_client", "the client is not registered for this grant"},
		"without openid":                 {"shop", []string{"scope", "email", "login_hint", "alice"}, 400, "invalid_scope", "scope must hold openid"},
		"no hint":                        {"shop", []string{"scope", "openid"}, 400, "invalid_request", one},
		"two hints":                      {"shop", ok("id_token_hint", "x"), 400, "invalid_request", one},
		"three hints":                    {"shop", ok("id_token_hint", "x", "login_hint_token", "y"), 400, "invalid_request", one},
		"V12 doubled":                    {"shop", ok("login_hint", "bob"), 400, "invalid_request", "a parameter was sent twice"},
		"V11 unknown":                    {"shop", []string{"scope", "openid", "login_hint", "mallory"}, 400, "unknown_user_id", nobody},
		"V11 no name at all":             {"shop", []string{"scope", "openid", "login_hint", "\u202e"}, 400, "unknown_user_id", nobody},
		"V11 another's subject":          {"shop", []string{"scope", "openid", "login_hint", "u-alice"}, 400, "unknown_user_id", nobody},
		"a long message":                 {"shop", ok("binding_message", strings.Repeat("é", 101)), 400, "invalid_binding_message", "binding_message is longer than 100 characters"},
		"a message that turns round":     {"shop", ok("binding_message", "pay \u202e05.21"), 400, "invalid_binding_message", message},
		"a message with a line break":    {"shop", ok("binding_message", "a\nb"), 400, "invalid_binding_message", message},
		"a message of nothing":           {"shop", ok("binding_message", "   "), 400, "invalid_binding_message", "binding_message says nothing"},
		"nothing to tell it by":          {"bank", ok(), 400, "invalid_binding_message", "the client's profile demands a binding_message where nothing else tells requests apart"},
		"user_code":                      {"shop", ok("user_code", "1234"), 400, "invalid_request", "the parameter user_code is not supported"},
		"claims":                         {"shop", ok("claims", "{}"), 400, "invalid_request", "the parameter claims has no meaning here"},
		"expiry of zero":                 {"shop", ok("requested_expiry", "0"), 400, "invalid_request", "requested_expiry must be a positive number of seconds"},
		"a negative expiry":              {"shop", ok("requested_expiry", "-5"), 400, "invalid_request", "requested_expiry must be a positive number of seconds"},
		"an expiry of words":             {"shop", ok("requested_expiry", "soon"), 400, "invalid_request", "requested_expiry must be a positive number of seconds"},
		"ping without a token":           {"ping", ok(), 400, "invalid_request", "client_notification_token is missing: the client is told by ping"},
		"push with a header for a token": {"push", ok("client_notification_token", "a\r\nX: y"), 400, "invalid_request", "client_notification_token is no Bearer credential of at most 1024 characters"},
		"a token too long":               {"ping", ok("client_notification_token", strings.Repeat("a", 1025)), 400, "invalid_request", "client_notification_token is no Bearer credential of at most 1024 characters"},
		"an ID token of nobody":          {"shop", []string{"scope", "openid", "id_token_hint", "x"}, 400, "invalid_request", "id_token_hint is not an ID token of this server"},
		"a hint token that is none":      {"shop", []string{"scope", "openid", "login_hint_token", "x"}, 400, "invalid_request", "login_hint_token is not a signed JWT"},
		"request_uri":                    {"shop", ok("request_uri", "urn:x"), 400, "invalid_request", "request_uri has no meaning here"},
		"unsigned":                       {"signed", ok(), 400, "invalid_request", "this client's requests must be signed, in a request object"},
		"a request object of no key":     {"shop", []string{"request", "e30.e30.e30"}, 400, "invalid_request", "the request object is not a signed JWT"},
	} {
		t.Run(name, func(*testing.T) { h.calls(c.client, "/bc-authorize", c.fields...).told(c.status, c.code, c.descr) })
	}
	if members := h.calls("shop", "/bc-authorize", ok("requested_expiry", "86400")...).json(200); members["expires_in"] != 1800.0 {
		t.Errorf("an expiry of a day became %v", members["expires_in"])
	}
	h.calls("shop", "/bc-authorize", ok("binding_message", "1234 👍🏿 品川 Lor")...).json(200)
}

// changed changes claims; nil takes one away.
func changed(claims, changes map[string]any) {
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
}

func TestHintsOfEachKind(t *testing.T) {
	h := open(t)
	b := h.person("alice")
	id := h.asks("hints")
	b.answers(b.first(), "allow").to("/account/requests")
	idToken, _ := h.fetches("hints", id).json(200)["id_token"].(string)
	now := h.clock.now()
	claims := func(changes map[string]any) map[string]any {
		all := map[string]any{"iss": "hints", "aud": h.server.URL, "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(), "sub_id": map[string]any{"format": "email", "email": "alice@bank.example"}}
		changed(all, changes)
		return all
	}
	signed := func(typ string, changes map[string]any) string {
		text, err := h.signer.Sign(typ, claims(changes))
		h.must(err)
		return text
	}
	stranger := *h.signer
	key, err := jose.GenerateKey(jose.ES256)
	h.must(err)
	stranger.Key = key
	forged, err := stranger.Sign("JWT", claims(nil))
	h.must(err)
	t.Run("an ID token of the client", func(*testing.T) {
		h.asks("hints", "id_token_hint", idToken)
		h.calls("other", "/bc-authorize", "scope", "openid", "id_token_hint", idToken).told(400, "invalid_request", "id_token_hint is another client's")
		b.answers(b.first(), "deny")
	})
	for name, c := range map[string]struct {
		token, code, descr string
	}{
		"by address":           {signed("JWT", nil), "", ""},
		"by name":              {signed("JWT", map[string]any{"sub_id": map[string]any{"format": "opaque", "id": "alice"}}), "", ""},
		"by subject":           {signed("JWT", map[string]any{"sub_id": map[string]any{"format": "iss_sub", "iss": h.server.URL, "sub": "u-alice"}}), "", ""},
		"V11 nobody":           {signed("JWT", map[string]any{"sub_id": map[string]any{"format": "email", "email": "nobody@bank.example"}}), "unknown_user_id", nobody},
		"of another server":    {signed("JWT", map[string]any{"sub_id": map[string]any{"format": "iss_sub", "iss": "https://evil.example", "sub": "u-alice"}}), "invalid_request", "sub_id of login_hint_token must be opaque, email, or iss_sub of this server"},
		"of another kind":      {signed("client-authentication+jwt", nil), "invalid_request", "login_hint_token is another kind of JWT"},
		"of another key":       {forged, "invalid_request", "login_hint_token is not signed by a key of the client"},
		"of another client":    {signed("JWT", map[string]any{"iss": "shop"}), "invalid_request", "iss of login_hint_token must be the client's id"},
		"for another server":   {signed("JWT", map[string]any{"aud": "https://evil.example"}), "invalid_request", "aud of login_hint_token must be the issuer, alone and as a string"},
		"expired":              {signed("JWT", map[string]any{"exp": now.Add(-time.Minute).Unix()}), "expired_login_hint_token", "the login_hint_token has expired"},
		"without an end":       {signed("JWT", map[string]any{"exp": nil}), "invalid_request", "exp and iat of login_hint_token are needed"},
		"with an end far away": {signed("JWT", map[string]any{"exp": now.Add(48 * time.Hour).Unix()}), "invalid_request", "exp of login_hint_token is too far ahead"},
		"of tomorrow":          {signed("JWT", map[string]any{"iat": now.Add(time.Hour).Unix(), "exp": now.Add(30 * time.Minute).Unix()}), "invalid_request", "iat of login_hint_token is ahead"},
	} {
		t.Run(name, func(*testing.T) {
			got := h.calls("hints", "/bc-authorize", "scope", "openid", "login_hint_token", c.token)
			if c.code != "" {
				got.told(400, c.code, c.descr)
				return
			}
			got.json(200)
			b.answers(b.first(), "allow").to("/account/requests")
		})
	}
}

func TestSignedRequests(t *testing.T) {
	h := open(t)
	object := func(changes map[string]any) string {
		now := h.clock.now()
		claims := map[string]any{
			"iss": "signed", "aud": h.server.URL, "jti": uuid.NewString(), "iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Minute).Unix(),
			"scope": "openid", "login_hint": "alice", "binding_message": "Till 7", "requested_expiry": 60,
		}
		changed(claims, changes)
		text, err := h.signer.Sign("oauth-authz-req+jwt", claims)
		h.must(err)
		return text
	}
	// What stands beside the object does not count.
	members := h.calls("signed", "/bc-authorize", "request", object(nil), "binding_message", "forged", "login_hint", "bob").json(200)
	if members["expires_in"] != 60.0 {
		t.Errorf("requested_expiry as a number: %v", members)
	}
	b := h.person("alice")
	b.first().is(200, "Till 7").lacks("forged")
	if members := h.calls("signed", "/bc-authorize", "request", object(map[string]any{"requested_expiry": "45"})).json(200); members["expires_in"] != 45.0 {
		t.Errorf("requested_expiry as a text: %v", members)
	}
	const refused = "the request object is refused: "
	for name, c := range map[string]struct {
		changes map[string]any
		descr   string
	}{
		"no aud":   {map[string]any{"aud": nil}, refused + "aud must be the issuer, or hold it"},
		"no iss":   {map[string]any{"iss": nil}, refused + "iss must be the client's id"},
		"no exp":   {map[string]any{"exp": nil}, refused + "exp and nbf are needed"},
		"no nbf":   {map[string]any{"nbf": nil}, refused + "exp and nbf are needed"},
		"no iat":   {map[string]any{"iat": nil}, refused + "iat and jti are needed"},
		"no jti":   {map[string]any{"jti": nil}, refused + "iat and jti are needed"},
		"too long": {map[string]any{"exp": h.clock.now().Add(61 * time.Minute).Unix()}, refused + "it lives for more than 60 minutes"},
	} {
		t.Run(name, func(*testing.T) {
			h.calls("signed", "/bc-authorize", "request", object(c.changes)).told(400, "invalid_request", c.descr)
		})
	}
	once := object(nil)
	h.calls("signed", "/bc-authorize", "request", once).json(200)
	h.calls("signed", "/bc-authorize", "request", once).told(400, "invalid_request", "the request object came before: make a new one")
}

func TestV11NobodyIsWornDown(t *testing.T) {
	h := open(t)
	const asked = "this person has been asked too often"
	ask := func(client, who string) seen {
		return h.calls(client, "/bc-authorize", "scope", "openid", "login_hint", who)
	}
	for range 5 {
		ask("shop", "alice").json(200)
	}
	got := ask("other", "alice")
	if got.told(429, "temporarily_unavailable", asked); got.header.Get("Retry-After") == "" {
		t.Error("V11 no Retry-After")
	}
	ask("shop", "bob").json(200) // another person is not concerned
	b := h.person("bob")
	b.answers(b.first(), "deny").to("/account/requests")
	heard := 0
	for range 10 {
		if got := ask("shop", "bob"); got.status == 200 {
			heard++
			b.answers(b.first(), "deny").to("/account/requests")
		}
	}
	if heard == 0 || heard > 3 {
		t.Errorf("V11 after a no, the client was heard %d times more", heard)
	}
	ask("other", "bob").json(200)
	t.Run("V11 people cannot be counted", func(t *testing.T) {
		var known, unknown seen
		for range 40 {
			unknown = ask("other", "mallory")
		}
		if unknown.told(429, "temporarily_unavailable", "too many people were named whom nobody knows"); unknown.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		user, err := h.tenant.User(t.Context(), "u-bob")
		h.must(err)
		user.Disabled = true
		h.must(h.tenant.SetUser(t.Context(), user))
		h.clock.pass(2 * time.Minute)
		known, unknown = ask("other", "bob"), ask("other", "mallory")
		known.told(400, "unknown_user_id", nobody)
		unknown.told(400, "unknown_user_id", nobody)
	})
}

func TestV07WhoCannotSignInAnyMore(t *testing.T) {
	for name, c := range map[string]struct {
		end         func(*house, context.Context) error
		status      int
		code, descr string
	}{
		"V07 the person is disabled": {func(h *house, ctx context.Context) error {
			user, err := h.tenant.User(ctx, "u-alice")
			user.Disabled = true
			h.must(err)
			return h.tenant.SetUser(ctx, user)
		}, 400, "access_denied", "the person's account no longer stands"},
		"V07 signed out everywhere":  {func(h *house, ctx context.Context) error { return h.tenant.EndUserSessions(ctx, "u-alice", "") }, 400, "invalid_grant", badGrant},
		"V07 the client is disabled": {func(h *house, ctx context.Context) error { return h.tenant.SetClientDisabled(ctx, "shop", true) }, 401, "invalid_client", "the client is unknown or did not prove itself as registered"},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			id := h.asks("shop")
			b := h.person("alice")
			b.answers(b.first(), "allow").to("/account/requests")
			h.must(c.end(h, t.Context()))
			h.fetches("shop", id).told(c.status, c.code, c.descr)
		})
	}
	t.Run("V07 what waits ends with a sign-out everywhere", func(t *testing.T) {
		h := open(t)
		id := h.asks("shop")
		h.person("alice")
		h.must(h.tenant.EndUserSessions(t.Context(), "u-alice", ""))
		h.fetches("shop", id).told(400, "invalid_grant", badGrant)
		h.person("alice").get("/account/requests").is(200, "Nothing waits for you")
	})
}

func TestV09OnlyThePersonsOwnButtonDecides(t *testing.T) {
	h := open(t)
	id := h.asks("shop")
	b, bob := h.person("alice"), h.person("bob")
	at := b.first()
	request, csrf := at.hidden("request"), at.hidden("csrf")
	bob.get("/account/requests").is(200, "Nothing waits for you")
	bob.get("/account/requests?id="+request).is(400, "expired_request")
	bob.post("/account/requests", "request", request, "csrf", csrf, "decision", "allow").is(403, "csrf")
	h.browser().post("/account/requests", "request", request, "csrf", csrf, "decision", "allow").is(403, "login_required")
	b.post("/account/requests", "request", request, "decision", "allow").is(403, "csrf")
	b.post("/account/requests", "request", "another", "csrf", csrf, "decision", "allow").is(403, "csrf")
	b.post("/account/requests", "request", request, "csrf", b.get("/account").hidden("csrf"), "decision", "allow").is(403, "csrf")
	b.post("/account/requests", "request", request, "csrf", csrf, "decision", "perhaps").is(400)
	b.header.Set("Sec-Fetch-Site", "cross-site")
	b.post("/account/requests", "request", request, "csrf", csrf, "decision", "allow").is(403, "csrf")
	h.fetches("shop", id).told(400, pending, undecided)
}

// api calls the authentication-device API.
func (h *house) api(method, path, bearer, body string) seen {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), method, h.server.URL+path, strings.NewReader(body))
	h.must(err)
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	return h.send(h.server.Client(), r)
}

func TestAnApplicationOfThePersonDecides(t *testing.T) {
	h := open(t)
	b := h.browser()
	holds := func(scope, name string) string {
		given := h.begins("wallet", "scope", scope)
		b := h.browser()
		b.decides(b.confirms(given.user, name), "allow").to("/device/done")
		access, _ := h.polls("wallet", given).json(200)["access_token"].(string)
		return access
	}
	alice, bob, plain := holds("openid garde.approve", "alice"), holds("openid garde.approve", "bob"), holds("openid", "alice")
	id := h.asks("shop", "binding_message", "Till 7")
	list, _ := h.api(http.MethodGet, "/requests", alice, "").json(200)["requests"].([]any)
	if len(list) != 1 {
		t.Fatalf("%v", list)
	}
	one, _ := list[0].(map[string]any)
	client, _ := one["client"].(map[string]any)
	if one["binding_message"] != "Till 7" || client["id"] != "shop" || one["id"] == "" || one["expires"] == nil {
		t.Errorf("%v", one)
	}
	name, _ := one["id"].(string)
	path := "/requests/" + name
	if text, err := json.Marshal(one); err != nil || strings.Contains(string(text), id) {
		t.Error("the application is told the client's secret")
	}
	if list, _ := h.api(http.MethodGet, "/requests", bob, "").json(200)["requests"].([]any); len(list) != 0 {
		t.Errorf("bob sees %v", list)
	}
	allow := `{"decision":"allow"}`
	h.api(http.MethodPost, path, bob, allow).told(400, "expired_request", "this request has ended or was decided before: start again where it began")
	h.api(http.MethodPost, path, plain, allow).told(403, "insufficient_scope", "the token does not hold the scope garde.approve")
	if got := h.api(http.MethodPost, path, "", allow); got.status != 401 || got.header.Get("WWW-Authenticate") == "" {
		t.Errorf("no token: %d", got.status)
	}
	for _, body := range []string{"", "{}", `{"decision":"maybe"}`, `{"decision":"allow","decision":"deny"}`, `{"Decision":"allow"}`, strings.Repeat(" ", 2000) + allow} {
		if got := h.api(http.MethodPost, path, alice, body); got.status != 400 {
			t.Errorf("%.40q: %d", body, got.status)
		}
	}
	if got := b.post("/requests/"+name, "decision", "allow"); got.status != 401 {
		t.Errorf("a form: %d", got.status)
	}
	h.fetches("shop", id).told(400, pending, undecided)
	if got := h.api(http.MethodPost, path, alice, allow); got.status != 204 || got.body != "" {
		t.Errorf("%d %s", got.status, got.body)
	}
	h.api(http.MethodPost, path, alice, allow).told(400, "expired_request", "this request has ended or was decided before: start again where it began")
	h.fetches("shop", id).json(200)
	h.must(h.tenant.EndUserSessions(t.Context(), "u-alice", ""))
	h.api(http.MethodGet, "/requests", alice, "").told(401, "invalid_token", "the authorization behind the token has ended")
}

func TestV08AnApplicationCannotAllowWhatItAsksForItself(t *testing.T) {
	h := open(t)
	shop, err := h.tenant.Client(t.Context(), "shop")
	h.must(err)
	shop.Scope = append(slices.Clone(shop.Scope), "garde.approve")
	shop.Grants = append(slices.Clone(shop.Grants), deviceGrant)
	h.must(h.tenant.PutClient(t.Context(), shop))
	given := h.begins("shop", "scope", "openid garde.approve")
	b := h.browser()
	b.decides(b.confirms(given.user, "alice"), "allow").to("/device/done")
	own, _ := h.polls("shop", given).json(200)["access_token"].(string)
	id := h.asks("shop")
	list, _ := h.api(http.MethodGet, "/requests", own, "").json(200)["requests"].([]any)
	if len(list) != 1 {
		t.Fatalf("%v", list)
	}
	name, _ := list[0].(map[string]any)["id"].(string)
	h.api(http.MethodPost, "/requests/"+name, own, `{"decision":"allow"}`).told(403, "access_denied", "an application can't allow what it asks for itself")
	h.fetches("shop", id).told(400, pending, undecided)
	if got := h.api(http.MethodPost, "/requests/"+name, own, `{"decision":"deny"}`); got.status != 204 {
		t.Errorf("a no is always taken: %d %s", got.status, got.body)
	}
}

func TestPing(t *testing.T) {
	for name, answer := range map[string]func(http.ResponseWriter){
		"204":             func(w http.ResponseWriter) { w.WriteHeader(204) },
		"200 with a body": func(w http.ResponseWriter) { _, _ = w.Write([]byte(strings.Repeat("x", 100_000))) },
		"401":             func(w http.ResponseWriter) { w.WriteHeader(401) },
		"403":             func(w http.ResponseWriter) { w.WriteHeader(403) },
		"a redirect": func(w http.ResponseWriter) {
			w.Header().Set("Location", "http://169.254.169.254/latest")
			w.WriteHeader(302)
		},
		"500": func(w http.ResponseWriter) { w.WriteHeader(500) },
	} {
		t.Run("V11 "+name, func(t *testing.T) {
			h := open(t)
			h.callback.answers(answer)
			id := h.asks("ping", "client_notification_token", "a.token~of+the/client==")
			kept, err := h.tenant.AskedOf(t.Context(), "u-alice", h.clock.now())
			h.must(err)
			if strings.Contains(kept[0].Notify, "a.token") || strings.Contains(kept[0].Notify, id) || kept[0].Notify == "" {
				t.Errorf("kept as %q", kept[0].Notify)
			}
			b := h.person("alice")
			h.deliveries()
			if got := h.callback.take(); len(got) != 0 {
				t.Fatalf("told before anything was decided: %v", got)
			}
			b.answers(b.first(), "allow").to("/account/requests")
			h.deliveries()
			got := h.callback.take()
			if len(got) != 1 || got[0].bearer != "Bearer a.token~of+the/client==" || len(got[0].body) != 1 || got[0].body["auth_req_id"] != id {
				t.Fatalf("%v", got)
			}
			h.fetches("ping", id).json(200)
			h.clock.pass(15 * time.Second)
			h.deliveries()
			if again := h.callback.take(); (len(again) == 1) != (name == "500") {
				t.Errorf("tried again: %v", again)
			}
		})
	}
	t.Run("a no is told too", func(t *testing.T) {
		h := open(t)
		id := h.asks("ping", "client_notification_token", "t")
		b := h.person("alice")
		b.answers(b.first(), "deny").to("/account/requests")
		h.deliveries()
		if got := h.callback.take(); len(got) != 1 || got[0].body["auth_req_id"] != id || len(got[0].body) != 1 {
			t.Errorf("%v", got)
		}
		h.fetches("ping", id).told(400, "access_denied", "the person said no")
	})
}

// A yes of somebody who was not sure enough by the rules that are in force when the tokens are asked for gives none.
func TestS12AnAnswerIsNoLevel(t *testing.T) {
	for _, client := range []string{"shop", "ping"} {
		t.Run(client, func(t *testing.T) {
			h := open(t)
			var notify []string
			if client == "ping" {
				notify = []string{"client_notification_token", "t"}
			}
			id := h.asks(client, notify...)
			b := h.person("alice")
			b.answers(b.first(), "allow").to("/account/requests")
			h.needsMore()
			h.deliveries()
			h.clock.pass(6 * time.Second)
			if got := h.fetches(client, id).json(http.StatusBadRequest); got["error"] != "invalid_grant" || got["access_token"] != nil || got["id_token"] != nil {
				t.Errorf("%v", got)
			}
		})
	}
}

// needsMore puts a recipe in force by which all that is asked for here needs the passkey.
func (h *house) needsMore() {
	h.t.Helper()
	h.adopt(h.reads(strings.Replace(rules, "scope: accounts.read}", "scope: accounts.read, level: strong}", 1)))
}

// TestADecisionIsToldByWhoeverLives: what is to be told is kept with the decision, and the next node finds it.
func TestADecisionIsToldByWhoeverLives(t *testing.T) {
	for mode, decision := range map[string]string{"ping": "allow", "push": "deny"} {
		h := open(t)
		id := h.asks(mode, "client_notification_token", "t")
		h.dies = true
		b := h.person("alice")
		b.answers(b.first(), decision)
		h.deliveries()
		if got := h.callback.take(); len(got) != 1 || got[0].body["auth_req_id"] != id {
			t.Errorf("%s: %v", mode, got)
		}
	}
}

func TestPush(t *testing.T) {
	h := open(t)
	key, err := prover.New(jose.ES256)
	h.must(err)
	members := h.callsWith(key, "push", "/bc-authorize", "scope", "openid accounts.read", "login_hint", "alice", "client_notification_token", "t").json(200)
	if members["interval"] != nil {
		t.Errorf("%v", members)
	}
	id, _ := members["auth_req_id"].(string)
	b := h.person("alice")
	b.answers(b.first(), "allow").to("/account/requests")
	h.deliveries()
	got := h.callback.take()
	if len(got) != 1 || got[0].bearer != "Bearer t" || got[0].body["auth_req_id"] != id || got[0].body["id_token"] == nil || got[0].body["refresh_token"] == nil {
		t.Fatalf("%v", got)
	}
	if got[0].body["token_type"] != token.DPoP {
		t.Errorf("V13 the tokens are not bound to the key that asked: %v", got[0].body["token_type"])
	}
	grants, err := h.tenant.UserGrants(t.Context(), "u-alice")
	h.must(err)
	if len(grants) != 1 {
		t.Errorf("%v", grants)
	}
	h.callsWith(key, "push", "/token", "grant_type", cibaGrant, "auth_req_id", id).told(400, "unauthorized_client", "the tokens of this client are pushed to it")
	h.clock.pass(10 * time.Minute)
	h.deliveries()
	if late := h.callback.take(); len(late) != 0 {
		t.Errorf("and then %v", late)
	}

	for name, c := range map[string]struct {
		answer int
		after  time.Duration
		calls  int
	}{
		"refused":            {403, 0, 1},
		"a redirect":         {302, 0, 1},
		"out of order":       {503, 0, 1},
		"out of order, long": {503, 4 * time.Minute, 1},
	} {
		t.Run("undeliverable: "+name, func(t *testing.T) {
			h := open(t)
			h.callback.answers(func(w http.ResponseWriter) { w.WriteHeader(c.answer) })
			h.asks("push", "client_notification_token", "t")
			b := h.person("alice")
			b.answers(b.first(), "allow").to("/account/requests")
			h.deliveries()
			if c.after > 0 {
				h.clock.pass(c.after)
				h.deliveries()
			}
			if got := h.callback.take(); len(got) != c.calls {
				t.Errorf("%d calls", len(got))
			}
			grants, err := h.tenant.UserGrants(t.Context(), "u-alice")
			h.must(err)
			if want := c.answer != 503 || c.after > 0; (len(grants) == 0) != want { // it lists what stands
				t.Errorf("revoked: want %v, %+v", want, grants)
			}
		})
	}
	for name, c := range map[string]struct {
		decide func(*house)
		want   string
	}{
		"a no":        {func(h *house) { b := h.person("alice"); b.answers(b.first(), "deny") }, "access_denied"},
		"no decision": {func(h *house) { h.clock.pass(6 * time.Minute) }, "expired_token"},
		"V07 the person is disabled": {func(h *house) {
			b := h.person("alice")
			b.answers(b.first(), "allow")
			user, err := h.tenant.User(h.t.Context(), "u-alice")
			user.Disabled = true
			h.must(err)
			h.must(h.tenant.SetUser(h.t.Context(), user))
		}, "access_denied"},
		"V07 the consent is taken back": {func(h *house) {
			b := h.person("alice")
			b.answers(b.first(), "allow")
			h.must(h.tenant.RevokeConsent(h.t.Context(), "u-alice", "push"))
		}, "transaction_failed"},
		"S12 the level that is needed now was not reached": {func(h *house) {
			b := h.person("alice")
			b.answers(b.first(), "allow")
			h.needsMore()
		}, "transaction_failed"},
	} {
		t.Run("told of "+name, func(t *testing.T) {
			h := open(t)
			id := h.asks("push", "client_notification_token", "t")
			c.decide(h)
			h.deliveries()
			if got := h.callback.take(); len(got) != 1 || got[0].body["error"] != c.want || got[0].body["auth_req_id"] != id || len(got[0].body) != 2 {
				t.Errorf("%v", got)
			}
		})
	}
}

func TestWhatIsAllowedIsWhatWasShownAndIsInTheToken(t *testing.T) {
	h := open(t)
	const asked = `[{"type":"payment","amount":"12.50","creditor":"Shop <b>7</b>","iban":"DE02"}]`
	given := h.begins("tv", "scope", "openid accounts.read", "authorization_details", asked)
	b := h.browser()
	b.header.Set("Accept-Language", "fr")
	at := b.confirms(given.user, "alice").is(200, "Payer", "12.50", "Shop <b>7</b>", "iban", "DE02", "Voir vos soldes").lacks("<b>7")
	b.decides(at, "allow").to("/device/done")
	id := h.asks("shop", "authorization_details", asked)
	b.answers(b.first().is(200, "Payer", "DE02"), "allow").to("/account/requests")
	for _, got := range []seen{h.polls("tv", given), h.fetches("shop", id)} {
		text, err := json.Marshal(got.json(200)["authorization_details"])
		h.must(err)
		var want, is any
		h.must(json.Unmarshal([]byte(asked), &want))
		h.must(json.Unmarshal(text, &is))
		if !reflect.DeepEqual(want, is) {
			t.Errorf("the token is for %s", text)
		}
	}
	t.Run("the recipe gives the type up while the page waits", func(*testing.T) {
		given := h.begins("tv", "scope", "openid accounts.read", "authorization_details", asked)
		at := b.confirms(given.user, "alice")
		h.details = &request.Details{}
		b.decides(at, "allow").is(400, "expired_request")
		b.types(given.user).is(422)
	})
}
