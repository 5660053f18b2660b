package consent_test

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/binding/prover"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
)

// begun is what a device was given.
type begun struct{ device, user string }

func (h *house) begins(client string, fields ...string) begun {
	h.t.Helper()
	if len(fields) == 0 {
		fields = []string{"scope", "openid accounts.read"}
	}
	members := h.calls(client, "/device_authorization", fields...).json(http.StatusOK)
	return begun{members["device_code"].(string), members["user_code"].(string)}
}

const deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"

func (h *house) polls(client string, given begun, fields ...string) seen {
	h.t.Helper()
	return h.calls(client, "/token", append([]string{"grant_type", deviceGrant, "device_code", given.device}, fields...)...)
}

// types enters a code on the page.
func (b *browser) types(code string) seen {
	b.t.Helper()
	at := b.get("/device").is(http.StatusOK, `id="user-code"`)
	return b.post("/device", "csrf", at.hidden("csrf"), "user_code", code)
}

// confirms goes from the code to the page on which one decides, with a sign-in if there is none.
func (b *browser) confirms(code, name string) seen {
	b.t.Helper()
	at := b.follow(b.types(code).to("/device/confirm?flow="))
	if strings.Contains(at.body, `id="login-submit"`) {
		at = b.post("/signin", "flow", at.hidden("flow"), "csrf", at.hidden("csrf"), "username", name, "password", right).to("/device/confirm?flow=")
		at = b.follow(at)
	}
	return at.is(http.StatusOK, `id="asked-allow"`)
}

func (b *browser) decides(at seen, decision string) seen {
	b.t.Helper()
	return b.post("/device/confirm", "flow", at.hidden("flow"), "csrf", at.hidden("csrf"), "decision", decision)
}

const (
	badGrant = "the grant is unknown, expired, spent, revoked or not this client's"
	pending  = "authorization_pending"

	undecided = "the person has not decided yet: ask again after the interval"
	tooSoon   = "asked too soon: the interval is five seconds longer from now on"
)

func (h *house) code(s seen) string {
	h.t.Helper()
	code, _ := s.json(s.status)["error"].(string)
	return code
}

func TestTheWayOfADevice(t *testing.T) {
	h := open(t)
	members := h.calls("tv", "/device_authorization", "scope", "openid accounts.read").json(http.StatusOK)
	device, _ := members["device_code"].(string)
	user, _ := members["user_code"].(string)
	if !iam.WellFormed(iam.PrefixDevice, device) || iam.UserCode(user) != user || len(members) != 5 ||
		members["verification_uri"] != h.server.URL+"/device" || members["expires_in"] != 600.0 || members["interval"] != 5.0 {
		t.Fatalf("V01 V02 %v", members)
	}
	given := begun{device, user}
	if got := h.code(h.polls("tv", given)); got != pending {
		t.Fatal(got)
	}
	b := h.browser()
	b.header.Set("Test-Network", "198.51.100.0/24")
	at := b.confirms(strings.ToLower(user), "alice").is(200, "<bdi>Budget on TV</bdi>", user, "See your balances", "127.0.0.1", "another network", "You are signed in as", "<bdi>alice</bdi>").
		lacks("not verified", device)
	if policy := at.header.Get("Content-Security-Policy"); !strings.Contains(policy, "frame-ancestors 'none'") || at.header.Get("X-Frame-Options") != "DENY" {
		t.Errorf("V09 %s", policy)
	}
	done := b.decides(at, "allow").to("/device/done?note=device_allowed&proof=")
	b.follow(done).is(200, "The device is connected")
	h.browser().get(done.location).to("/device") // nobody else is told
	tokens := h.polls("tv", given).json(http.StatusOK)
	for _, name := range []string{"access_token", "id_token", "refresh_token"} {
		if tokens[name] == nil {
			t.Errorf("no %s: %v", name, tokens)
		}
	}
	if tokens["scope"] != "openid accounts.read" {
		t.Errorf("V05 scope %v", tokens["scope"])
	}
	h.polls("tv", given).told(400, "invalid_grant", badGrant)
	b.get("/device/confirm?flow="+at.hidden("flow")).is(400, "expired_flow")
}

func TestV12WhatTheDeviceEndpointRefuses(t *testing.T) {
	h := open(t)
	for name, c := range map[string]struct {
		client      string
		fields      []string
		status      int
		code, descr string
	}{
		"unknown client":      {"nobody", []string{"client_id", "nobody", "scope", "openid"}, 401, "invalid_client", "the client is unknown or did not prove itself as registered"},
		"no such grant":       {"codeless", []string{"scope", "openid"}, 400, "unauthorized_client", "the client is not registered for this grant"},
		"who signs":           {"signing", []string{"scope", "openid"}, 400, "unauthorized_client", "this client's requests must be signed, and none can be here"},
		"no scope":            {"tv", nil, 400, "invalid_scope", "scope is missing"},
		"unknown scope":       {"tv", []string{"scope", "openid fly"}, 400, "invalid_scope", "no such scope: fly"},
		"more than it may":    {"tv", []string{"scope", "openid garde.approve"}, 400, "invalid_scope", "more than the client may have"},
		"for Gates":           {"tv", []string{"scope", "garde.gate"}, 400, "invalid_scope", "more than the client may have"},
		"V12 doubled":         {"tv", []string{"scope", "openid", "scope", "openid"}, 400, "invalid_request", "a parameter was sent twice"},
		"unknown resource":    {"tv", []string{"scope", "openid", "resource", "https://evil.example"}, 400, "invalid_target", "no API has this address"},
		"details of no type":  {"tv", []string{"scope", "openid", "authorization_details", `[{"type":"x"}]`}, 400, "invalid_authorization_details", "authorization_details, object 1: the type is unknown, or not for this client"},
		"claims":              {"tv", []string{"scope", "openid", "claims", "{}"}, 400, "invalid_request", "the parameter claims has no meaning here"},
		"a request object":    {"tv", []string{"scope", "openid", "request", "x"}, 400, "request_not_supported", "request objects are not accepted"},
		"a pushed one":        {"tv", []string{"scope", "openid", "request_uri", "urn:x"}, 400, "invalid_request", "request_uri has no meaning here"},
		"registration":        {"tv", []string{"scope", "openid", "registration", "{}"}, 400, "registration_not_supported", "the parameter registration is not accepted"},
		"dpop_jkt by its own": {"tv", []string{"scope", "openid", "dpop_jkt", "x"}, 400, "invalid_request", "the parameter dpop_jkt has no meaning here"},
	} {
		t.Run(name, func(*testing.T) {
			h.calls(c.client, "/device_authorization", c.fields...).told(c.status, c.code, c.descr)
		})
	}
	t.Run("unknown parameters are ignored", func(*testing.T) {
		h.calls("tv", "/device_authorization", "scope", "openid", "colour", "blue").json(http.StatusOK)
	})
	t.Run("V12 too many codes", func(t *testing.T) {
		var last seen
		for range 62 {
			last = h.calls("radio", "/device_authorization", "scope", "openid")
		}
		if last.told(429, "temporarily_unavailable", "too many codes were asked for"); last.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		h.calls("tv", "/device_authorization", "scope", "openid").json(http.StatusOK)
	})
	t.Run("a disabled client", func(t *testing.T) {
		h.must(h.tenant.SetClientDisabled(t.Context(), "radio", true))
		h.calls("radio", "/device_authorization", "scope", "openid").told(401, "invalid_client", "the client is unknown or did not prove itself as registered")
	})
}

func TestV03WhatADeviceHearsWhileItPolls(t *testing.T) {
	h := open(t)
	given := h.begins("tv")
	h.polls("tv", given).told(400, pending, undecided)
	h.polls("tv", given).told(400, "slow_down", tooSoon)
	h.clock.pass(6 * time.Second) // ten are needed now
	h.polls("tv", given).told(400, "slow_down", tooSoon)
	h.clock.pass(16 * time.Second)
	h.polls("tv", given).told(400, pending, undecided)
	denied := h.begins("tv")
	b := h.browser()
	b.follow(b.decides(b.confirms(denied.user, "alice"), "deny").to("/device/done?note=device_denied")).is(200, "The device was not connected")
	h.polls("tv", denied).told(400, "access_denied", "the person said no")
	h.polls("tv", denied).told(400, "access_denied", "the person said no")
	h.clock.pass(10 * time.Minute)
	h.polls("tv", given).told(400, "expired_token", "the time to decide has run out: begin again")
	b.types(given.user).is(422, "No device waits with this code")
	h.calls("tv", "/token", "grant_type", deviceGrant).told(400, "invalid_request", "device_code is missing")
	h.calls("codeless", "/token", "grant_type", deviceGrant, "device_code", given.device).told(400, "unauthorized_client", "the client is not registered for this grant")
	h.polls("tv", begun{"dc_x", ""}).told(400, "invalid_grant", badGrant)
	h.polls("tv", begun{iam.NewSecret(iam.PrefixDevice), ""}).told(400, "invalid_grant", badGrant)
}

func TestV02NobodyGuessesUserCodes(t *testing.T) {
	h := open(t)
	given := h.begins("tv")
	t.Run("V02 five tries for one browser", func(t *testing.T) {
		b := h.browser()
		for range 5 {
			b.types("BBBB-BBBB").is(422, "No device waits with this code")
		}
		if got := b.types(given.user); got.status != 429 || got.header.Get("Retry-After") == "" {
			t.Errorf("V02 the right code after five wrong ones: %d", got.status)
		}
		h.clock.pass(2 * time.Minute)
		b.types(given.user).to("/device/confirm")
	})
	t.Run("V02 a thousand, of many browsers and networks at once", func(t *testing.T) {
		var group sync.WaitGroup
		var mu sync.Mutex
		judged := map[string]int{}
		for n := range 4 {
			group.Go(func() {
				net := "203.0.113." + strconv.Itoa(n) + "/32"
				for range 25 { // browsers without cookies of before
					b := h.browser()
					b.header.Set("Test-Network", net)
					for range 10 {
						got := b.types("CCCC-CCCC")
						switch signIn := got.status == 303 && strings.HasPrefix(got.header.Get("Location"), "/signin?flow="); {
						case got.status == 422:
							mu.Lock()
							judged[net]++
							mu.Unlock()
						case got.status != 429 && !signIn:
							t.Errorf("status %d", got.status)
						}
					}
				}
			})
		}
		group.Wait()
		for net, times := range judged {
			if times > 101 {
				t.Errorf("V02 %s could try %d times", net, times)
			}
		}
	})
	t.Run("V02 a neighbour of guessers signs in, and types on", func(t *testing.T) {
		given, b := h.begins("tv"), h.browser()
		b.header.Set("Test-Network", "203.0.113.0/32")
		b.signIn(b.types(given.user).to("/signin?flow="), "alice").is(http.StatusOK, `id="user-code"`)
		b.types(given.user).to("/device/confirm")
	})
	t.Run("a right code costs nothing", func(*testing.T) {
		h.clock.pass(10 * time.Minute)
		b := h.browser()
		for range 8 {
			b.types(h.begins("tv").user).to("/device/confirm")
		}
	})
	t.Run("what is none", func(*testing.T) {
		b := h.browser()
		b.types("").is(422, "Fill in this field")
		b.types(strings.Repeat("<script>", 2000)).is(422, "No device waits with this code").lacks("<script><script>")
	})
}

func TestV04V05ACodeIsItsClientsAlone(t *testing.T) {
	h := open(t)
	given := h.begins("tv")
	b := h.browser()
	h.polls("radio", given).told(400, "invalid_grant", badGrant)
	b.decides(b.confirms(given.user, "alice"), "allow").to("/device/done")
	h.polls("radio", given).told(400, "invalid_grant", badGrant)
	h.calls("tv", "/token", "grant_type", "urn:openid:params:grant-type:ciba", "auth_req_id", given.device).
		told(400, "unauthorized_client", "the client is not registered for this grant")
	// V05: the scope is what the person saw.
	h.polls("tv", given, "scope", "openid accounts.read email offline_access").told(400, "invalid_request", "the parameter scope has no meaning for this grant")
	if tokens := h.polls("tv", given).json(200); tokens["scope"] != "openid accounts.read" {
		t.Errorf("scope %v", tokens["scope"])
	}
}

func TestV07WhatEndsBeforeTheTokens(t *testing.T) {
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
		"V07 the person is removed":     {func(h *house, ctx context.Context) error { return h.tenant.RemoveUser(ctx, "u-alice") }, 400, "access_denied", "the person's account no longer stands"},
		"V07 signed out everywhere":     {func(h *house, ctx context.Context) error { return h.tenant.EndUserSessions(ctx, "u-alice", "") }, 400, "invalid_grant", badGrant},
		"V07 the consent is taken back": {func(h *house, ctx context.Context) error { return h.tenant.RevokeConsent(ctx, "u-alice", "tv") }, 400, "invalid_grant", badGrant},
		"V07 the client is disabled":    {func(h *house, ctx context.Context) error { return h.tenant.SetClientDisabled(ctx, "tv", true) }, 401, "invalid_client", "the client is unknown or did not prove itself as registered"},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			given := h.begins("tv")
			b := h.browser()
			b.decides(b.confirms(given.user, "alice"), "allow").to("/device/done")
			h.must(c.end(h, t.Context()))
			h.polls("tv", given).told(c.status, c.code, c.descr)
		})
	}
	t.Run("V07 while the page waits", func(t *testing.T) {
		h := open(t)
		given := h.begins("tv")
		b := h.browser()
		at := b.confirms(given.user, "alice")
		h.must(h.tenant.SetClientDisabled(t.Context(), "tv", true))
		b.decides(at, "allow").is(400, "expired_request")
		h.must(h.tenant.SetClientDisabled(t.Context(), "tv", false))
		b.decides(at, "allow").is(400) // what it asked for ended with it
	})
	t.Run("V07 signed out while the page waits", func(t *testing.T) {
		h := open(t)
		given := h.begins("tv")
		b := h.browser()
		at := b.confirms(given.user, "alice")
		h.must(h.tenant.EndUserSessions(t.Context(), "u-alice", ""))
		if got := b.decides(at, "allow"); got.status == 303 && !strings.HasPrefix(got.location, "/signin") || got.status == 200 {
			t.Errorf("%d %s", got.status, got.location)
		}
		h.polls("tv", given).told(400, pending, undecided)
	})
}

func TestV08ALinkApprovesNothing(t *testing.T) {
	h := open(t)
	members := h.calls("own", "/device_authorization", "scope", "openid").json(200)
	user, _ := members["user_code"].(string)
	device, _ := members["device_code"].(string)
	if members["verification_uri_complete"] != h.server.URL+"/device?user_code="+user {
		t.Errorf("%v", members)
	}
	b := h.browser()
	b.decides(b.confirms(h.begins("tv").user, "alice"), "deny") // signed in
	at := b.get("/device?user_code="+user).is(200, `value="`+user+`"`, "letter by letter", `id="user-code-submit"`)
	if got := h.code(h.polls("own", begun{device, user})); got != pending {
		t.Error("V08 opening the link decided")
	}
	// Of a client that is the company's own, too: the person is asked.
	at = b.follow(b.post("/device", "csrf", at.hidden("csrf"), "user_code", user))
	at.is(200, "Go on only if you started this yourself", `id="asked-code">`+user)
	h.clock.pass(6 * time.Second)
	if got := h.code(h.polls("own", begun{device, user})); got != pending {
		t.Error("V08 looking at the page decided")
	}
	b.get("/device?user_code=%3Cscript%3E").is(200).lacks("<script>")
	given := h.begins("stranger")
	b.confirms(given.user, "alice").is(200, "This application is not verified")
}

func TestV09OnlyTheButtonOfThePageDecides(t *testing.T) {
	h := open(t)
	given, second := h.begins("tv"), h.begins("radio")
	b := h.browser()
	at, other := b.confirms(given.user, "alice"), b.confirms(second.user, "alice")
	at = b.get("/device/confirm?flow=" + at.hidden("flow")) // the browser shows the last code alone
	at.to("/device")
	at = b.confirms(given.user, "alice")
	flow, csrf := at.hidden("flow"), at.hidden("csrf")
	for what, fields := range map[string][]string{
		"V09 no token":          {"flow", flow, "decision", "allow"},
		"V09 another request's": {"flow", flow, "csrf", other.hidden("csrf"), "decision", "allow"},
		"V09 the entry form's":  {"flow", flow, "csrf", b.get("/device").hidden("csrf"), "decision", "allow"},
	} {
		t.Run(what, func(*testing.T) { b.post("/device/confirm", fields...).is(403, "csrf") })
	}
	b.post("/device/confirm", "flow", flow, "csrf", csrf).is(400)
	b.post("/device/confirm", "flow", flow, "csrf", csrf, "decision", "maybe").is(400)
	b.header.Set("Sec-Fetch-Site", "cross-site")
	b.post("/device/confirm", "flow", flow, "csrf", csrf, "decision", "allow").is(403, "csrf")
	b.header.Del("Sec-Fetch-Site")
	h.browser().post("/device/confirm", "flow", flow, "csrf", csrf, "decision", "allow").is(400, "expired_flow")
	h.browser().post("/device", "csrf", csrf, "user_code", given.user).is(403, "csrf")
	b.get("/device/confirm?flow="+iam.NewSecret(iam.PrefixFlow)).is(400, "expired_flow")
	if got := b.do(http.MethodPut, "/device/confirm", ""); got.status != 405 {
		t.Errorf("PUT: %d", got.status)
	}
	// A transaction of a device is none of another page.
	b.get("/consent?flow="+flow).is(400, "expired_flow")
	h.clock.pass(6 * time.Second)
	if got := h.code(h.polls("tv", given)); got != pending {
		t.Error("something of this decided")
	}
}

func TestV13TheKeyThatAskedMustPoll(t *testing.T) {
	h := open(t)
	key, err := prover.New(jose.ES256)
	h.must(err)
	thief, err := prover.New(jose.ES256)
	h.must(err)
	members := h.callsWith(key, "tv", "/device_authorization", "scope", "openid accounts.read").json(200)
	device, _ := members["device_code"].(string)
	user, _ := members["user_code"].(string)
	b := h.browser()
	b.decides(b.confirms(user, "alice"), "allow").to("/device/done")
	h.callsWith(thief, "tv", "/token", "grant_type", deviceGrant, "device_code", device).told(400, "invalid_grant", badGrant)
	h.polls("tv", begun{device, user}).told(400, "invalid_grant", badGrant)
	if tokens := h.callsWith(key, "tv", "/token", "grant_type", deviceGrant, "device_code", device).json(200); tokens["token_type"] != "DPoP" {
		t.Errorf("token_type %v", tokens["token_type"])
	}
}
