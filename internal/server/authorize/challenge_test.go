package authorize_test

import (
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/assurance/signal"
	"github.com/gardeauth/garde/internal/decide"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
)

// ladder has two levels, operations that ask for them, and rules about the moment.
const ladder = `
garde: 1
company: {name: Bank, help: "https://bank.example/help"}
levels:
  - {name: basic,  acr: "urn:basic",  any: [password, passkey]}
  - {name: strong, acr: "urn:strong", any: [passkey, password+totp]}
scopes:
  accounts.read: {say: {en: See your balances}}
  transfers.write: {say: {en: Move money}}
  payees.write: {say: {en: Add recipients}}
raise:
  - {when: "risk.new_device", level: strong}
  - {when: "place.country == 'ATLANTIS'", deny: "We do not serve Atlantis."}
apis:
  accounts:
    at: https://api.bank.example/accounts
    upstream: http://127.0.0.1:7101
    operations:
      GET /balance: {for: [user], scope: accounts.read}
      POST /transfers: {for: [user], scope: transfers.write, level: basic, fresh: 5m}
      POST /payees: {for: [user], scope: payees.write, level: strong, fresh: 5m}
clients:
  web:
    type: browser
    redirect_uris: ["https://app.example/cb"]
    scopes: [openid, offline_access, accounts.read, transfers.write, payees.write]
  own:
    type: browser
    redirect_uris: ["https://own.example/cb"]
    scopes: [openid, accounts.read, transfers.write, payees.write]
    consent: implied
`

func high(t testing.TB) *house {
	h := openWith(t, ladder)
	h.has["u-alice"] = []string{"password", "passkey", "totp"}
	h.moment = decide.Moment{}
	h.moment.Place.Country = "FR"
	return h
}

// says sets what the facts say of the next moments.
func (h *house) says(country string, signs ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.moment = decide.Moment{}
	h.moment.Place.Country = country
	for _, name := range signs {
		h.moment.Risk.Score += 30
		h.moment.Risk.Findings = append(h.moment.Risk.Findings, signal.Finding{Name: name, Points: 30, Say: name + " speaks"})
	}
}

// granted gives the grant of the code that an answer carries.
func (h *house) granted(answer seen, client string) iam.Grant {
	h.t.Helper()
	code, err := h.tenant.Try(h.t.Context(), iam.CodeProof{
		Hash: iam.HashCode(answer.gives("code", "").values().Get("code")), Client: client, RedirectURI: redirects[client], Challenge: challenge,
	}, h.now())
	h.must(err)
	return code.Grant
}

func flowOf(at seen) string {
	_, key, _ := strings.Cut(at.location(), "?flow=")
	return key
}

func (h *house) needOf(b *browser, at seen) *iam.Need {
	h.t.Helper()
	key, err := url.QueryUnescape(flowOf(at))
	h.must(err)
	target, err := url.Parse(h.server.URL)
	h.must(err)
	r, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, h.server.URL, nil)
	h.must(err)
	for _, cookie := range b.client.Jar.Cookies(target) {
		r.AddCookie(cookie)
	}
	flow, err := h.sessions.Resume(r, h.tenant, key)
	h.must(err)
	return flow.Need
}

func TestS12OnlyWhatIsMissingIsAskedAndTheClaimIsTrue(t *testing.T) {
	h := high(t)
	b := h.browser().signIn("u-alice")
	if grant := h.granted(b.get("/authorize?"+ask("own", "scope", "openid accounts.read")), "own"); grant.ACR != "urn:basic" {
		t.Errorf("the balance: %+v", grant)
	}
	at := b.get("/authorize?" + ask("own", "scope", "openid payees.write")).to("/signin")
	need := h.needOf(b, at)
	if need == nil || need.ACR != "urn:strong" || need.Fresh != 5*time.Minute || !slices.Contains(need.Sets, "passkey") || need.Enrol || !need.Cause.Zero() {
		t.Fatalf("asked for %+v", need)
	}
	b.get("/authorize?"+ask("own", "scope", "openid payees.write", "prompt", "none")).gives("error", "interaction_required") // S05
	grant := h.granted(b.does(at, "user=u-alice&did=login&prove=passkey"), "own")
	if grant.ACR != "urn:strong" || !slices.Equal(grant.AMR, []string{"hwk"}) || h.now().Sub(grant.AuthTime) > 2*time.Second {
		t.Errorf("the recipient: %+v", grant)
	}
	// Three hours later a new password is no new passkey: the level and its time belong together.
	h.pass(3 * time.Hour)
	at = b.get("/authorize?" + ask("own", "scope", "openid transfers.write")).to("/signin")
	grant = h.granted(b.does(at, "user=u-alice&did=login"), "own")
	if grant.ACR != "urn:basic" || !slices.Equal(grant.AMR, []string{"pwd"}) || h.now().Sub(grant.AuthTime) > 2*time.Second {
		t.Errorf("the transfer: %+v", grant)
	}
	b.get("/authorize?" + ask("own", "scope", "openid payees.write")).to("/signin")
	b.get("/authorize?"+ask("own", "scope", "openid payees.write", "prompt", "none")).gives("error", "login_required") // reached, too long ago
	grant = h.granted(b.get("/authorize?"+ask("own", "acr_values", "urn:strong")), "own")                              // a wish, of any age
	if grant.ACR != "urn:strong" || h.now().Sub(grant.AuthTime) < 3*time.Hour {
		t.Errorf("the wish: %+v", grant)
	}
}

func TestS05HalfASignInIsNone(t *testing.T) {
	h := high(t)
	b := h.browser().signIn("u-alice")
	at := b.get("/authorize?" + ask("own", "scope", "openid payees.write")).to("/signin")
	for _, half := range []string{"did=login", "user=u-alice&did=login&prove=password", "user=u-alice&did=login+consent&prove=password"} {
		b.does(at, half).to("/signin")
		b.get("/authorize?"+ask("own", "scope", "openid payees.write", "prompt", "none")).gives("error", "interaction_required")
	}
	// Another person in the same browser begins with their own proofs, and none of hers.
	b.does(at, "user=u-alice&did=login&prove=passkey").gives("code", "")
	at = b.get("/authorize?" + ask("own", "scope", "openid payees.write", "prompt", "login")).to("/signin")
	b.does(at, "user=u-bob&did=login").to("/signin/enrol")
	b.get("/authorize?" + ask("own", "scope", "openid payees.write")).to("/signin/enrol")
}

// Who asks goes through what was challenged, however long the pages are left open, and never twice for the same.
func TestNoChallengeLoops(t *testing.T) {
	h := high(t)
	h.says("FR", "new_device")
	b := h.browser()
	at := b.does(b.get("/authorize?"+ask("web", "scope", "openid payees.write")).to("/signin"), "user=u-alice&did=login").to("/signin")
	first := h.needOf(b, at)
	h.pass(10 * time.Second)
	again := b.get("/authorize?flow=" + flowOf(at)).to("/signin")
	if moved := h.needOf(b, again); !moved.Since.Equal(first.Since) || moved.Cause != first.Cause || moved.Cause.Zero() && first.ACR != "urn:strong" {
		t.Errorf("a reload moved the challenge: %+v, then %+v", first, moved)
	}
	consent := b.does(at, "user=u-alice&did=login&prove=passkey").to("/consent")
	h.pass(4 * time.Minute)
	b.get("/authorize?flow=" + flowOf(consent)).to("/consent")
	if grant := h.granted(b.does(consent, "did=consent"), "web"); grant.ACR != "urn:strong" {
		t.Errorf("%+v", grant)
	}
	h.consent("u-alice", "web", "openid accounts.read payees.write")
	// What raised it is answered for this session: the device is no less new, and nobody is asked again.
	for range 3 {
		h.granted(b.get("/authorize?"+ask("web", "scope", "openid payees.write")), "web")
	}
	h.pass(10 * time.Minute) // but the operation's own freshness is
	b.get("/authorize?" + ask("web", "scope", "openid payees.write")).to("/signin")
	// Patience has an end: who lets the pages wait for long is asked again, and can then go on.
	at = b.get("/authorize?" + ask("web", "scope", "openid payees.write", "prompt", "consent")).to("/signin")
	consent = b.does(at, "user=u-alice&did=login&prove=passkey").to("/consent")
	h.pass(6 * time.Minute)
	at = b.get("/authorize?flow=" + flowOf(consent)).to("/signin")
	b.does(b.does(at, "user=u-alice&did=login&prove=passkey").to("/consent"), "did=consent").gives("code", "")
}

func TestWhoCanNotReachALevelAddsAFactorOrHears(t *testing.T) {
	h := high(t)
	h.has["u-alice"] = []string{"password"}
	b := h.browser().signIn("u-alice")
	at := b.get("/authorize?" + ask("own", "scope", "openid payees.write")).to("/signin/enrol")
	if need := h.needOf(b, at); !need.Enrol || len(need.Sets) == 0 {
		t.Errorf("asked to add %+v", need)
	}
	b.get("/authorize?"+ask("own", "scope", "openid payees.write", "prompt", "none")).gives("error", "interaction_required")
	b.get("/authorize?"+ask("own", "claims", `{"id_token":{"acr":{"essential":true,"values":["urn:none"]}}}`)).
		gives("error", "unmet_authentication_requirements")
	// A rule asks for what she doesn't have: whoever stole the password must not add a factor of their own.
	h.says("FR", "new_device")
	b.get("/authorize?"+ask("own", "scope", "openid accounts.read")).gives("error", "unmet_authentication_requirements")
}

func TestAWishOnlyRaises(t *testing.T) {
	h := high(t)
	for name, changes := range map[string][]string{
		"acr_values below":       {"scope", "openid payees.write", "acr_values", "urn:basic"},
		"essential below":        {"scope", "openid payees.write", "claims", `{"id_token":{"acr":{"essential":true,"values":["urn:basic"]}}}`},
		"a long max_age":         {"scope", "openid transfers.write", "max_age", "100000"},
		"acr_values above":       {"scope", "openid accounts.read", "acr_values", "urn:strong"},
		"essential above":        {"scope", "openid accounts.read", "claims", `{"id_token":{"acr":{"essential":true,"values":["urn:strong"]}}}`},
		"max_age below":          {"scope", "openid accounts.read", "max_age", "60"},
		"unknown, and the level": {"scope", "openid payees.write", "acr_values", "urn:other"},
	} {
		t.Run(name, func(t *testing.T) {
			b := h.browser().signIn("u-alice")
			h.pass(6 * time.Minute)
			at := b.get("/authorize?" + ask("own", changes...)).to("/signin")
			b.does(at, "user=u-alice&did=login&prove=password%2Btotp").gives("code", "")
		})
	}
}

func TestARefusalSaysWhyAndWhereToGo(t *testing.T) {
	h := high(t)
	h.says("ATLANTIS")
	b := h.browser().signIn("u-alice")
	got := b.get("/authorize?" + ask("own", "scope", "openid accounts.read"))
	for _, want := range []string{`id="refused-page"`, "We do not serve Atlantis.", "https://bank.example/help", `id="refused-back"`} {
		if !strings.Contains(got.body, want) {
			t.Errorf("the page says no %s", want)
		}
	}
	if got.status != http.StatusForbidden || got.location() != "" {
		t.Fatalf("status %d, location %q", got.status, got.location())
	}
	back := regexp.MustCompile(`id="refused-back" href="([^"]*)"`).FindStringSubmatch(got.body)
	b.get(html.UnescapeString(back[1])).gives("error_description", "the company's policy refuses this") // and not that they said no
	b.get(html.UnescapeString(back[1])).page("expired_flow")                                            // it has ended
	b.get("/authorize?"+ask("own", "scope", "openid accounts.read", "prompt", "none")).gives("error", "access_denied")
	if elsewhere := h.browser().get(html.UnescapeString(back[1])); elsewhere.status != http.StatusBadRequest {
		t.Errorf("another browser: %d", elsewhere.status)
	}
	h.says("FR")
	b.get("/authorize?"+ask("own", "scope", "openid accounts.read")).gives("code", "")
}

// Only what was permitted after an authentication for it is taken for usual: nothing that a stolen session asks, nothing
// that was refused or left.
func TestOnlyCompletedSignInsTeach(t *testing.T) {
	h := high(t)
	lessons := func() int { h.mu.Lock(); defer h.mu.Unlock(); return len(h.learned) }
	b := h.browser().signIn("u-alice")
	h.granted(b.get("/authorize?"+ask("own", "scope", "openid accounts.read")), "own")
	at := b.get("/authorize?" + ask("own", "scope", "openid payees.write")).to("/signin")
	b.does(at, "user=u-alice&did=login&prove=password").to("/signin")
	if got := lessons(); got != 0 {
		t.Fatalf("%d lessons", got)
	}
	b.does(at, "user=u-alice&did=login&prove=passkey").gives("code", "")
	if got := lessons(); got != 1 || h.learned[0].Client != "own" || h.learned[0].User.ID != "u-alice" || !h.learned[0].Address.IsValid() {
		t.Fatalf("%d lessons: %+v", got, h.learned)
	}
}

func TestWhatWasDecidedStandsInTheJournal(t *testing.T) {
	h := high(t)
	h.says("FR", "new_device")
	b := h.browser().signIn("u-alice")
	at := b.get("/authorize?" + ask("own", "scope", "openid accounts.read")).to("/signin")
	b.get("/authorize?flow=" + flowOf(at)).to("/signin") // loaded again: told once
	events, err := h.tenant.Events(t.Context(), iam.JournalQuery{Kind: "decision.made", Limit: 10})
	h.must(err)
	var said journal.Decided
	if len(events) != 1 || json.Unmarshal(events[0].Detail, &said) != nil {
		t.Fatalf("%d events: %+v", len(events), events)
	}
	if said.Verdict != "step_up" || said.Level != "urn:strong" || said.Reached != "urn:basic" || !slices.Equal(said.Signals, []string{"new_device"}) ||
		events[0].Personal[decide.PersonalSigns] != "new_device speaks" || len(said.Rules) != 1 || events[0].User != "u-alice" || events[0].Client != "own" {
		t.Errorf("%+v of %+v", said, events[0])
	}
	before, err := decide.Unmarshal(events[0])
	h.must(err)
	if again := h.desk.Policy().Decide(&before.Question); again.Verdict.String() != said.Verdict || again.ACR != said.Level {
		t.Errorf("decided again: %+v", again)
	}
}
