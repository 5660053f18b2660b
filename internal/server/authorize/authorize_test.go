package authorize_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
)

func TestTheWayOfARequest(t *testing.T) {
	h := open(t)
	b := h.browser()
	at := b.get("/authorize?" + ask("web")).to("/signin")
	at = b.does(at, "user=u-alice&did=login").to("/consent")
	code := b.does(at, "did=consent").gives("code", "").values().Get("code")
	if !iam.WellFormed(iam.PrefixCode, code) {
		t.Errorf("C19 the code is %q", code)
	}
	if got := b.get("/authorize?flow=" + at.location()[len("/consent?flow="):]); got.status != http.StatusBadRequest || got.location() != "" {
		t.Errorf("a flow gives one code: then status %d, location %q", got.status, got.location())
	}
}

func TestTheCodeIsBound(t *testing.T) {
	h := open(t)
	b := h.browser().signIn("u-alice")
	h.consent("u-alice", "web", "openid email")
	answer := b.get("/authorize?"+ask("web", "nonce", "n", "claims", `{"id_token":{"email":null,"address":null}}`)).gives("code", "")
	proof := iam.CodeProof{Hash: iam.HashCode(answer.values().Get("code")), Client: "web", RedirectURI: redirects["web"], Challenge: challenge}
	code, err := h.tenant.Try(t.Context(), proof, h.now())
	h.must(err)
	grant := code.Grant
	if grant.User != "u-alice" || grant.Client != "web" || grant.Nonce != "n" || grant.Session == "" || grant.ACR != "urn:basic" ||
		grant.Claims != `{"id_token":{"email":null}}` || grant.AuthTime.Nanosecond() != 0 {
		t.Errorf("the code will be %+v", grant)
	}
	if life := code.Expires.Sub(code.Created); life != time.Minute {
		t.Errorf("C05 it lives %v", life)
	}
}

func TestOfflineAccessOutlivesTheSession(t *testing.T) {
	h := open(t)
	b := h.browser().signIn("u-alice")
	for scope, outlives := range map[string]bool{"openid": false, "openid offline_access": true} {
		answer := b.get("/authorize?"+ask("own", "scope", scope)).gives("code", "")
		code, err := h.tenant.Try(t.Context(), iam.CodeProof{
			Hash: iam.HashCode(answer.values().Get("code")), Client: "own", RedirectURI: redirects["own"], Challenge: challenge,
		}, h.now())
		h.must(err)
		if outlives != (code.Grant.Session == "") {
			t.Errorf("scope %q: the grant is of session %q", scope, code.Grant.Session)
		}
	}
}

func TestWhenASignInIsAskedFor(t *testing.T) {
	h := open(t)
	for name, c := range map[string]struct {
		after   time.Duration
		changes []string
		asks    bool
	}{
		"signed in":                    {0, nil, false},
		"prompt=login":                 {0, []string{"prompt", "login"}, true},
		"prompt=select_account":        {0, []string{"prompt", "select_account"}, true},
		"S12 max_age=0 at once":        {0, []string{"max_age", "0"}, true},
		"max_age=10000":                {time.Minute, []string{"max_age", "10000"}, false},
		"max_age=1 too late":           {3 * time.Second, []string{"max_age", "1"}, true},
		"S14 a hint for another":       {0, []string{"id_token_hint", h.hint("u-bob")}, true},
		"a hint for this one":          {0, []string{"id_token_hint", h.hint("u-alice")}, false},
		"sub of another":               {0, []string{"claims", `{"id_token":{"sub":{"value":"u-bob"}}}`}, true},
		"S40 session of 13 hours idle": {13 * time.Hour, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			b := h.browser().signIn("u-alice")
			h.pass(c.after)
			if answer := b.get("/authorize?" + ask("own", c.changes...)); c.asks {
				answer.to(map[bool]string{true: "/choose", false: "/signin"}[slices.Contains(c.changes, "select_account")])
			} else {
				answer.gives("code", "")
			}
			if len(c.changes) > 0 && c.changes[0] == "prompt" {
				return
			}
			answer := b.get("/authorize?" + ask("own", append(c.changes, "prompt", "none")...))
			if c.asks {
				answer.gives("error", "login_required")
			} else {
				answer.gives("code", "")
			}
		})
	}
}

// What was proved within the request is not asked again; another person is no proof, and a page left open is not fresh.
func TestSignInWithinTheRequestEndsTheAsking(t *testing.T) {
	h := open(t)
	for _, changes := range [][]string{
		{"prompt", "login"}, {"prompt", "login select_account"}, {"max_age", "0"}, {"max_age", "1"}, {"id_token_hint", h.hint("u-alice")},
	} {
		b := h.browser().signIn("u-bob")
		h.pass(2 * time.Second)
		step := "/signin"
		if strings.Contains(changes[1], "select_account") { // first as whom, and who has signed in has said it
			step = "/choose"
		}
		at := b.get("/authorize?" + ask("own", changes...)).to(step)
		b.does(at, "user=u-alice&did=login").gives("code", "")
	}
	b := h.browser().signIn("u-alice")
	b.does(b.get("/authorize?"+ask("own", "prompt", "select_account")).to("/choose"), "did=select_account").gives("code", "")
	b.does(b.get("/authorize?"+ask("own", "prompt", "login select_account")).to("/choose"), "did=select_account").to("/signin")
	b.get("/authorize?" + ask("own", "prompt", "select_account")).to("/choose") // chosen for another request
	b = h.browser()
	at := b.get("/authorize?" + ask("own", "id_token_hint", h.hint("u-alice"))).to("/signin")
	b.does(at, "user=u-bob&did=login").gives("error", "login_required")

	b = h.browser()
	at = b.does(b.get("/authorize?"+ask("web", "max_age", "60")).to("/signin"), "user=u-alice&did=login").to("/consent")
	h.pass(4 * time.Minute)
	b.get("/authorize?flow=" + at.location()[len("/consent?flow="):]).to("/consent")
	h.pass(2 * time.Minute)
	b.get("/authorize?flow=" + at.location()[len("/consent?flow="):]).to("/signin")

	// A sign-in within one flow is none in another, nor in another browser's session.
	b = h.browser()
	b.does(b.get("/authorize?"+ask("own", "prompt", "login")).to("/signin"), "user=u-alice&did=login").gives("code", "")
	b.get("/authorize?" + ask("own", "prompt", "login")).to("/signin")
}

func TestConsent(t *testing.T) {
	h := open(t)
	b := h.browser().signIn("u-alice")
	none := func(client string, changes ...string) seen {
		t.Helper()
		return b.get("/authorize?" + ask(client, append(changes, "prompt", "none")...))
	}
	none("web").gives("error", "consent_required")
	h.consent("u-alice", "web", "openid")
	none("web").gives("code", "")
	none("web", "scope", "openid accounts.read").gives("error", "consent_required")         // N04
	none("web", "claims", `{"userinfo":{"email":null}}`).gives("error", "consent_required") // N04
	none("web", "claims", `{"userinfo":{"phone_number":null}}`).gives("code", "")           // not the client's to have
	b.get("/authorize?" + ask("web", "prompt", "consent")).to("/consent")
	h.consent("u-alice", "web", "email")
	none("web", "claims", `{"userinfo":{"email":null}}`).gives("code", "")
	none("own").gives("code", "") // implied
	h.consent("u-alice", "app", "openid")
	none("app").gives("error", "consent_required") // N03: any other application could claim its redirect URI
	h.must(h.tenant.RevokeConsent(t.Context(), "u-alice", "web"))
	none("web").gives("error", "consent_required") // N15

	at := b.get("/authorize?" + ask("web")).to("/consent")
	b.does(at, "did=denied").gives("error", "access_denied")
	if again := b.get("/authorize?flow=" + at.location()[len("/consent?flow="):]); again.status != http.StatusBadRequest {
		t.Errorf("a denied flow goes on: %d %s", again.status, again.location())
	}
}

func TestAnEssentialLevelThatNobodyReaches(t *testing.T) {
	h := open(t)
	b := h.browser().signIn("u-alice")
	b.get("/authorize?"+ask("own", "claims", `{"id_token":{"acr":{"essential":true,"values":["urn:strong"]}}}`)).
		gives("error", "unmet_authentication_requirements")
	b.get("/authorize?"+ask("own", "claims", `{"id_token":{"acr":{"essential":true,"values":["urn:strong","urn:basic"]}}}`)).gives("code", "")
	b.get("/authorize?"+ask("own", "acr_values", "urn:strong")).gives("code", "") // a wish
}

// A request that came by POST is stored, and its browser sent to a GET; no cookie is needed for that, and none is lost.
func TestR23PostIsStoredAndThen303(t *testing.T) {
	h := open(t)
	b := h.browser()
	waiting := b.get("/authorize?" + ask("own")).to("/signin") // a tab that waits
	elsewhere := h.browser()                                   // SameSite=Lax: a POST from another site brings no cookies
	answer := elsewhere.post("/authorize", ask("own", "state", "a b"))
	if answer.status != http.StatusSeeOther || len(answer.header["Set-Cookie"]) > 0 || strings.Contains(answer.location(), "state") {
		t.Fatalf("status %d, cookies %v, location %q", answer.status, answer.header["Set-Cookie"], answer.location())
	}
	at := b.get(answer.location()).to("/signin")
	if at.location() == answer.location() {
		t.Error("the flow keeps the name that it had before it was this browser's")
	}
	if got := b.does(at, "user=u-alice&did=login").values().Get("state"); got != "a b" {
		t.Errorf("state %q", got)
	}
	if again := b.get(answer.location()); again.status != http.StatusBadRequest {
		t.Errorf("what was parked is there twice: %d", again.status)
	}
	b.does(waiting, "did=login").gives("code", "") // the other tab goes on
	late := b.post("/authorize", ask("own"))
	h.pass(3 * time.Minute)
	if got := b.get(late.location()); got.status != http.StatusBadRequest {
		t.Errorf("what was parked waits for ever: %d", got.status)
	}
}

func TestS02AFlowIsOneBrowsers(t *testing.T) {
	h := open(t)
	attacker, victim := h.browser(), h.browser().signIn("u-alice")
	at := attacker.get("/authorize?" + ask("own")).to("/signin")
	flow := at.location()[len("/signin?flow="):]
	for name, b := range map[string]*browser{"signed in elsewhere": victim, "no cookies at all": h.browser()} {
		if got := b.get("/authorize?flow=" + flow); got.status != http.StatusBadRequest || got.location() != "" {
			t.Errorf("%s: S03 status %d, location %q", name, got.status, got.location())
		}
	}
	for _, wrong := range []string{"", "x", "fl_", strings.Repeat("f", 5000), iam.NewSecret(iam.PrefixFlow), iam.NewSecret(iam.PrefixCode)} {
		if got := attacker.get("/authorize?flow=" + wrong); got.status != http.StatusBadRequest {
			t.Errorf("flow=%.20s: status %d", wrong, got.status)
		}
	}
	// The victim's sign-in in the victim's browser is nothing in the attacker's.
	attacker.get("/authorize?flow=" + flow).to("/signin")
	h.pass(31 * time.Minute)
	if got := attacker.get("/authorize?flow=" + flow); got.status != http.StatusBadRequest {
		t.Errorf("a flow lives for ever: %d", got.status)
	}
}

func TestAFlowGivesOneCodeToManyTabs(t *testing.T) {
	h := open(t)
	b := h.browser()
	at := b.get("/authorize?" + ask("own")).to("/signin")
	flow := at.location()[len("/signin?flow="):]
	if got := b.get("/enter?user=u-alice&did=login&flow=" + flow); got.status != http.StatusOK {
		t.Fatal(got.body)
	}
	var mu sync.Mutex
	codes := 0
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			got := b.get("/authorize?flow=" + flow)
			mu.Lock()
			defer mu.Unlock()
			if strings.Contains(got.location(), "code=") {
				codes++
			} else if got.status != http.StatusBadRequest {
				t.Errorf("status %d, location %q", got.status, got.location())
			}
		})
	}
	if all.Wait(); codes != 1 {
		t.Errorf("%d codes", codes)
	}
}

var hidden = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`)

func TestResponseModes(t *testing.T) {
	h := open(t)
	b := h.browser().signIn("u-alice")
	if got := b.get("/authorize?"+ask("own", "response_mode", "fragment")).gives("code", ""); strings.Contains(got.location(), "?") {
		t.Errorf("a fragment at %s", got.location())
	}
	if got := b.get("/authorize?"+ask("own", "response_mode", "query")).gives("code", ""); !strings.HasSuffix(got.location(), "#_") {
		t.Errorf("R24 %s", got.location())
	}
	state := `"><svg onload=alert(1)> état & +`
	for want, changes := range map[string][]string{"code": nil, "error": {"scope", "nothing"}} {
		got := b.get("/authorize?" + ask("own", append(changes, "response_mode", "form_post", "state", state)...))
		values := url.Values{}
		for _, field := range hidden.FindAllStringSubmatch(got.body, -1) {
			values.Add(html.UnescapeString(field[1]), html.UnescapeString(field[2]))
		}
		if got.status != http.StatusOK || got.location() != "" || values.Get("state") != state || values.Get(want) == "" || len(values["iss"]) != 1 {
			t.Errorf("R26 form_post gives status %d and %v", got.status, values)
		}
		policy := got.header.Get("Content-Security-Policy")
		if strings.Contains(got.body, "<svg onload") || !strings.Contains(policy, "form-action") || !strings.Contains(policy, "https://own.example") {
			t.Errorf("R27 under the policy %q", policy)
		}
		if !strings.Contains(got.header.Get("Cache-Control"), "no-store") || got.header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("R29 headers %v", got.header)
		}
	}
}

func TestErrorsGoBackOnlyWhereTheyMay(t *testing.T) {
	h := open(t)
	b := h.browser()
	back := b.get("/authorize?"+ask("own", "response_type", "token")).gives("error", "unsupported_response_type")
	if back.header.Get("Referrer-Policy") != "no-referrer" || back.header.Get("Cache-Control") != "no-store" {
		t.Errorf("R29 headers %v", back.header)
	}
	for name := range back.values() {
		if name != "error" && name != "error_description" && name != "state" && name != "iss" {
			t.Errorf("the error carries %s", name)
		}
	}
	if by := b.post("/authorize", ask("own", "prompt", "none login")); by.gives("error", "invalid_request").status != http.StatusSeeOther {
		t.Error("R23")
	}
	b.get("/authorize?"+ask("own", "prompt", "none")).gives("error", "login_required") // R22: to the registered URI, and no other
	if flood := b.get("/authorize?"+ask("own", "response_mode", "junk", "state", "st")).gives("error", "invalid_request"); flood.location() == "" {
		t.Error("no way back")
	}
	for name, query := range map[string]string{
		"R01": ask("own", "redirect_uri", "https://evil.example/cb"), "R19": ask("own") + "&redirect_uri=https%3A%2F%2Fevil", "nothing": "",
		"R34": ask("own", "redirect_uri", "https://own.example/cb\r\nX-Evil: 1"),
	} {
		for door, got := range map[string]seen{"GET": b.get("/authorize?" + query), "POST": b.post("/authorize", query)} {
			if got.status != http.StatusBadRequest || got.location() != "" || !strings.Contains(got.body, "invalid_request") || got.header.Get("X-Evil") != "" {
				t.Errorf("%s by %s: status %d, location %q", name, door, got.status, got.location())
			}
			if !strings.Contains(got.header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
				t.Errorf("N01 %s: it may be framed", name)
			}
		}
	}
	for _, method := range []string{http.MethodPut, http.MethodDelete, http.MethodOptions} {
		r, err := http.NewRequestWithContext(t.Context(), method, h.server.URL+"/authorize?"+ask("own"), nil)
		h.must(err)
		if got := b.do(r); got.status != http.StatusMethodNotAllowed || got.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: status %d", method, got.status)
		}
	}
}

func TestC28WhoNoLongerStandsGetsNoCode(t *testing.T) {
	h := open(t)
	b := h.browser().signIn("u-alice")
	b.get("/authorize?"+ask("own")).gives("code", "")
	h.must(h.tenant.SetUser(t.Context(), iam.User{ID: "u-alice", Username: "alice", Disabled: true}))
	b.get("/authorize?"+ask("own", "prompt", "none")).gives("error", "login_required")
	b.signIn("u-bob")
	h.must(h.tenant.SetClientDisabled(t.Context(), "own", true))
	if got := b.get("/authorize?" + ask("own")); got.status != http.StatusBadRequest || got.location() != "" {
		t.Errorf("a disabled client: status %d, location %q", got.status, got.location())
	}
}
