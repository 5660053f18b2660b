package consent_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/session"
)

const payees = "openid payees.write"

// proves is what the sign-in page of a passkey does, without a browser that has one: it merges the proof into a new session
// of the same person and answers the challenge of the transaction that the person was sent away in.
func (b *browser) proves(at seen) {
	b.t.Helper()
	target, err := url.Parse(at.location)
	b.must(err)
	if target.Path != "/signin" {
		b.t.Fatalf("sent to %s", at.location)
	}
	b.get("/passkey?flow=" + url.QueryEscape(target.Query().Get("flow"))).is(http.StatusOK)
}

func (h *house) passkey(w http.ResponseWriter, r *http.Request) error {
	current, err := h.sessions.Current(r)
	if err != nil {
		return err
	}
	flow, err := h.sessions.Resume(r, h.tenant, r.URL.Query().Get("flow"))
	if err != nil {
		return err
	}
	if flow.Need == nil || !slices.Contains(flow.Need.Sets, "passkey") {
		h.t.Errorf("asked for %+v", flow.Need)
	}
	now := h.clock.now()
	proved := iam.Proved{Factor: "passkey", At: now.Truncate(time.Second), Begun: now, Methods: []string{"hwk", "user", "mfa"}}
	started, err := h.sessions.Start(w, r, session.Proof{User: current.User, Proofs: append(slices.Clone(current.Proofs), proved)}, "")
	if err != nil {
		return err
	}
	flow.Session, flow.User, flow.Asked = started.ID, started.User, []string{session.StepSignIn}
	return h.tenant.SetFlow(r.Context(), flow)
}

// says reads claims of a token that was given.
func says(t *testing.T, given seen) map[string]any {
	t.Helper()
	parts := strings.Split(given.json(http.StatusOK)["access_token"].(string), ".")
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(raw, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

func TestS12ADeviceIsGivenNoMoreThanThePersonProves(t *testing.T) {
	for name, fields := range map[string][]string{
		"by what the scope opens":      {"scope", payees},
		"by what the application asks": {"scope", "openid accounts.read", "acr_values", "urn:garde:loa:strong"},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			b := h.browser()
			given := h.begins("tv", fields...)
			at := b.follow(b.types(given.user).to("/device/confirm?flow="))
			at = b.post("/signin", "flow", at.hidden("flow"), "csrf", at.hidden("csrf"), "username", "alice", "password", right).to("/device/confirm?flow=")
			here := at.location
			at = b.get(here[strings.Index(here, "/device"):]) // nothing is shown before she is sure enough
			if strings.Contains(at.body, "Budget") || at.status != http.StatusSeeOther {
				t.Fatalf("status %d: it shows what is asked", at.status)
			}
			b.proves(at)
			at = b.get(here[strings.Index(here, "/device"):]).is(http.StatusOK, `id="asked-allow"`)
			h.clock.pass(4 * time.Minute) // the page is left open
			b.decides(at, "allow").to("/device/done")
			claims := says(t, h.polls("tv", given))
			if claims["acr"] != "urn:garde:loa:strong" || !strings.Contains(strings.Join(texts(claims["amr"]), " "), "hwk") {
				t.Errorf("it says %v", claims)
			}
		})
	}
}

func texts(value any) []string {
	var all []string
	list, _ := value.([]any)
	for _, each := range list {
		text, _ := each.(string)
		all = append(all, text)
	}
	return all
}

// The form is no way round: who was sure enough when it was shown may not be when it is sent.
func TestS12TheButtonIsDecidedToo(t *testing.T) {
	h := open(t)
	b := h.browser()
	given := h.begins("tv")
	at := b.confirms(given.user, "alice")
	h.country = "ATLANTIS"
	b.decides(at, "allow").is(http.StatusForbidden, `id="refused-page"`, "We do not serve Atlantis.", "help@bank.example")
	if got := h.polls("tv", given).json(http.StatusBadRequest)["error"]; got != "authorization_pending" {
		t.Errorf("the device hears %v", got)
	}
	h.country = "FR"
	b.decides(at, "allow").to("/device/done")
}

// Who is refused may still say no, so that whoever waits hears it at once, and may go back without a word.
func TestWhoIsRefusedCanSayNo(t *testing.T) {
	h := open(t)
	t.Run("a device", func(t *testing.T) {
		b, given := h.browser(), h.begins("tv")
		at := b.confirms(given.user, "alice")
		h.country = "ATLANTIS"
		defer func() { h.country = "FR" }()
		page := b.get("/device/confirm?flow="+at.hidden("flow")).is(http.StatusForbidden,
			`id="refused-deny"`, `id="refused-back" href="/device"`, "<bdi>Budget on TV</bdi>")
		b.post("/device/confirm", "flow", page.hidden("flow"), "decision", "deny").is(http.StatusForbidden, "csrf")
		b.decides(page, "allow").is(http.StatusForbidden, `id="refused-page"`)
		b.follow(b.decides(page, "deny").to("/device/done?note=device_denied")).is(http.StatusOK)
		h.clock.pass(time.Minute)
		if got := h.polls("tv", given).json(http.StatusBadRequest)["error"]; got != "access_denied" {
			t.Errorf("the device hears %v", got)
		}
	})
	t.Run("a request", func(t *testing.T) {
		b, id := h.person("alice"), h.asks("shop", "binding_message", "Till 7")
		h.country = "ATLANTIS"
		defer func() { h.country = "FR" }()
		list := b.get("/account/requests").is(http.StatusOK)
		link := list.body[strings.Index(list.body, "/account/requests?id="):]
		page := b.get(link[:strings.IndexByte(link, '"')]).is(http.StatusForbidden,
			`id="refused-deny"`, `id="refused-back" href="/account/requests"`)
		b.answers(page, "deny").to("/account/requests?done=request_denied")
		h.clock.pass(time.Minute)
		h.fetches("shop", id).told(http.StatusBadRequest, "access_denied", "the person said no")
	})
}

// A challenge that the person walked away from, by going where nothing is asked, is no authentication: whoever stole a session
// would teach their own place so.
func TestOnlyWhoAuthenticatedForItTeaches(t *testing.T) {
	h := open(t)
	b := h.person("alice")
	given := h.begins("tv")
	h.country = "ELBONIA"
	at := b.get(b.types(given.user).to("/device/confirm?flow=").location)
	if at.status != http.StatusSeeOther || !strings.HasPrefix(at.location, "/signin?flow=") {
		t.Fatalf("status %d, to %s", at.status, at.location)
	}
	h.country = "FR"
	b.decides(b.get(strings.Replace(at.location, "/signin", "/device/confirm", 1)).is(http.StatusOK, `id="asked-allow"`), "allow").to("/device/done")
	if h.polls("tv", given).json(http.StatusOK); h.learnt != 0 {
		t.Errorf("it taught %d times", h.learnt)
	}
	other, code := h.browser(), h.begins("tv")
	if other.decides(other.confirms(code.user, "alice"), "allow").to("/device/done"); h.learnt != 1 {
		t.Errorf("a sign-in taught %d times", h.learnt)
	}
}

func TestS12ARequestIsShownToWhoIsSureEnough(t *testing.T) {
	h := open(t)
	b := h.person("alice")
	id := h.asks("shop", "scope", payees, "binding_message", "Till 7")
	list := b.get("/account/requests").is(http.StatusOK)
	link := list.body[strings.Index(list.body, "/account/requests?id="):]
	link = link[:strings.IndexByte(link, '"')]
	at := b.get(link)
	if at.status != http.StatusSeeOther {
		t.Fatalf("status %d: it shows what is asked", at.status)
	}
	b.proves(at)
	b.answers(b.get(link).is(http.StatusOK, `id="asked-allow"`), "allow")
	if claims := says(t, h.fetches("shop", id)); claims["acr"] != "urn:garde:loa:strong" {
		t.Errorf("it says %v", claims)
	}
}

// An application of the person's is told what they must prove first (RFC 9470 section 3), and shows nothing before.
func TestS12AnApplicationDecidesNoMoreThanItsTokenSays(t *testing.T) {
	h := open(t)
	given := h.begins("wallet", "scope", "openid garde.approve")
	b := h.browser()
	b.decides(b.confirms(given.user, "alice"), "allow").to("/device/done")
	access, _ := h.polls("wallet", given).json(http.StatusOK)["access_token"].(string)
	id := h.asks("shop", "scope", payees, "binding_message", "Till 7")
	list, _ := h.api(http.MethodGet, "/requests", access, "").json(http.StatusOK)["requests"].([]any)
	one, _ := list[0].(map[string]any)
	if one["acr_values"] != "urn:garde:loa:strong" || one["scope"] != nil || one["binding_message"] != nil {
		t.Errorf("it is told %v", one)
	}
	name, _ := one["id"].(string)
	got := h.api(http.MethodPost, "/requests/"+name, access, `{"decision":"allow"}`)
	challenged := got.header.Get("WWW-Authenticate")
	for _, want := range []string{`error="insufficient_user_authentication"`, `acr_values="urn:garde:loa:strong"`, `max_age="300"`} {
		if got.status != http.StatusUnauthorized || !strings.Contains(challenged, want) {
			t.Errorf("status %d, %s, want %s", got.status, challenged, want)
		}
	}
	h.fetches("shop", id).told(http.StatusBadRequest, pending, undecided)
	if got := h.api(http.MethodPost, "/requests/"+name, access, `{"decision":"deny"}`); got.status != http.StatusNoContent { // to say no takes nothing more
		t.Errorf("denied: %d", got.status)
	}
}

// TestV06WhomTheRulesRefuseApprovesNothing: neither the page, nor a form that was shown before, lets anybody allow what the rules
// keep from them; who waits goes on waiting, and gets nothing.
func TestV06WhomTheRulesRefuseApprovesNothing(t *testing.T) {
	t.Run("V06 a device", func(t *testing.T) {
		h := open(t)
		b, given := h.browser(), h.begins("tv")
		shown := b.confirms(given.user, "alice")
		h.country = "ATLANTIS"
		page := b.get("/device/confirm?flow="+shown.hidden("flow")).is(http.StatusForbidden, `id="refused-page"`)
		for _, form := range []seen{shown, page} {
			b.decides(form, "allow").is(http.StatusForbidden, `id="refused-page"`)
		}
		h.clock.pass(time.Minute)
		h.polls("tv", given).told(http.StatusBadRequest, "authorization_pending", "the person has not decided yet: ask again after the interval")
	})
	t.Run("V06 a request", func(t *testing.T) {
		h := open(t)
		b, id := h.person("alice"), h.asks("shop", "binding_message", "Till 7")
		shown := b.first()
		h.country = "ATLANTIS"
		b.answers(shown, "allow").is(http.StatusForbidden, `id="refused-page"`)
		h.clock.pass(time.Minute)
		h.fetches("shop", id).told(http.StatusBadRequest, "authorization_pending", "the person has not decided yet: ask again after the interval")
	})
}
