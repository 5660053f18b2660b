package account_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
)

// device keeps a device of a person.
func (h *house) device(user, id, agent string) {
	h.t.Helper()
	now := h.now()
	h.must(h.tenant.KeepDevice(h.t.Context(), iam.Device{
		ID: id, User: user, Agent: agent, Address: "192.0.2.9/32", Created: now, Seen: now, Expires: now.Add(24 * time.Hour),
	}))
}

func TestALostDeviceIsCutOff(t *testing.T) {
	h := open(t)
	h.person("alice")
	h.person("bob")
	h.device("alice", "d-here", "Firefox on Linux")
	h.device("alice", "d-lost", "Safari on iPhone")
	h.device("bob", "d-bob", "Chrome on Windows")
	b, lost, bob := h.as("alice", "password", "device=d-here"), h.as("alice", "password", "device=d-lost"), h.as("bob", "password", "device=d-bob")
	b.get("/account/devices").is(200, "Firefox on Linux", "Safari on iPhone", "This device").lacks("Chrome on Windows")
	csrf := b.get("/account/devices?id=d-lost").is(200, "Signed in", "192.0.2.9").lacks("192.0.2.9/32").hidden("csrf")
	b.get(b.post("/account/devices", "csrf", csrf, "id", "d-lost", "do", "rename", "factor_name", "Old phone").
		to("/account/devices?done=device_renamed").location).is(200, "Old phone", "Name saved")
	b.get("/account").is(200, "Old phone")
	b.post("/account/devices", "csrf", csrf, "id", "d-lost", "do", "rename", "factor_name", strings.Repeat("x", 65)).is(422)
	b.get(b.post("/account/devices", "csrf", csrf, "id", "d-lost", "do", "forget").to("/account/devices?done=device_forgotten").location).
		is(200, "Device forgotten").lacks("Old phone")
	lost.get("/account").to("/signin")
	b.post("/account/devices", "csrf", csrf, "id", "d-lost", "do", "forget").to("/account/devices")
	t.Run("another person's", func(*testing.T) {
		b.get("/account/devices?id=d-bob").is(404)
		b.post("/account/devices", "csrf", csrf, "id", "d-bob", "do", "rename", "factor_name", "Mine").is(404)
		b.post("/account/devices", "csrf", csrf, "id", "d-bob", "do", "forget").to("/account/devices")
		bob.get("/account/devices").is(200, "Chrome on Windows")
	})
	if h.journaled("alice", "device.forgotten", "d-lost") != 1 {
		t.Error("it is not journalled")
	}
	b.post("/account/devices", "csrf", csrf, "id", "d-here", "do", "forget").to("/logout/done")
	b.get("/account").to("/signin")
	bob.get("/account").is(200)
}

func TestHabitsAreThePersonsOwn(t *testing.T) {
	h := open(t)
	h.person("alice")
	h.person("bob")
	b := h.as("alice", "password")
	at := b.get("/account/habits").is(200, "Nothing has been learned yet", "Switch off").lacks("Erase it", "Download it")
	csrf := at.hidden("csrf")
	do := func(what string) seen { return b.post("/account/habits", "csrf", csrf, "do", what) }
	h.must(h.tenant.LearnHabits(t.Context(), iam.Habits{User: "alice", Sealed: "g1.x.y", Changed: h.now()}, 0))
	b.get("/account/habits").is(200, "Last changed on", "Erase it", "Download it")
	b.get(do("erase").to("/account/habits?done=habits_erased").location).is(200, "Erased", "Nothing has been learned yet")
	b.get(do("off").to("/account/habits?done=habits_off").location).is(200, "Switched off", "nothing is kept", "Switch on")
	if err := h.tenant.LearnHabits(t.Context(), iam.Habits{User: "alice", Sealed: "x"}, 0); !errors.Is(err, iam.ErrRevoked) {
		t.Errorf("something is learned: %v", err)
	}
	b.get(do("on").to("/account/habits?done=habits_on").location).is(200, "Switched on")
	out := do("export").is(200)
	var told map[string]any
	if err := json.Unmarshal([]byte(out.body), &told); err != nil || out.header.Get("Content-Type") != "application/json" ||
		!strings.HasPrefix(out.header.Get("Content-Disposition"), "attachment") || out.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%v: %v %s", err, out.header, out.body)
	}
	do("").is(400)
	do("sell").is(400)
	for _, what := range []string{"habits on", "habits off", "habits erased"} {
		if h.journaled("alice", "user.changed", what) != 1 || h.journaled("bob", "user.changed", what) != 0 {
			t.Errorf("%s is journalled otherwise", what)
		}
	}
	b.get("/account").is(200, "Learning of habits switched off", "Learned habits erased")
}

// waits is a sign-in of a person on another device, and its number.
func (h *house) waits(user string) iam.Approval {
	h.t.Helper()
	key, now := iam.NewSecret(iam.PrefixFlow), h.now()
	h.must(h.tenant.AddFlow(h.t.Context(), iam.Flow{Hash: iam.HashFlow(key), Browser: iam.Hash(key), User: user, Created: now, Expires: now.Add(time.Hour)}))
	asked := iam.Approval{
		ID: "ask-" + key[3:12], User: user, Flow: iam.HashFlow(key), Number: "42", Agent: "Chrome on Windows", Address: "198.51.100.7/32",
		Created: now, Expires: now.Add(5 * time.Minute),
	}
	h.must(h.tenant.AskApproval(h.t.Context(), asked))
	return asked
}

func (h *house) decided(asked iam.Approval) (iam.Approval, error) {
	return h.tenant.TakeApproval(h.t.Context(), asked.Flow, h.now())
}

var button = regexp.MustCompile(`name="number" value="(\d\d)"`)

func TestV08ASignInElsewhereIsAllowedByItsNumberAlone(t *testing.T) {
	h := open(t)
	h.person("alice")
	h.person("bob")
	b := h.as("alice", "password")
	b.get("/account/approvals").is(200, "Nobody waits for you")
	decide := func(fields ...string) seen {
		return b.post("/account/approvals", append([]string{"csrf", b.csrf()}, fields...)...)
	}
	asked := h.waits("alice")
	at := b.get("/account/approvals").is(200, "Chrome on Windows", "198.51.100.7", "Which number", "Only allow it if")
	var numbers []string
	for _, found := range button.FindAllStringSubmatch(at.body, -1) {
		numbers = append(numbers, found[1])
	}
	if len(numbers) != 3 || !slices.Contains(numbers, "42") || !slices.IsSorted(numbers) || len(slices.Compact(numbers)) != 3 {
		t.Errorf("numbers %v", numbers)
	}
	t.Run("the wrong ones don't change with each look", func(t *testing.T) {
		for range 5 {
			if got := b.get("/account/approvals"); len(button.FindAllString(got.body, -1)) != 3 || !strings.Contains(got.body, `value="`+numbers[0]+`"`) ||
				!strings.Contains(got.body, `value="`+numbers[2]+`"`) {
				t.Fatalf("not %v:\n%s", numbers, got.body)
			}
		}
	})
	t.Run("a look decides nothing", func(t *testing.T) {
		b.get("/account/approvals?id=" + asked.ID + "&number=42")
		if _, err := h.decided(asked); !errors.Is(err, iam.ErrPending) {
			t.Error(err)
		}
	})
	b.get("/account").is(200, "A device waits for you")
	t.Run("neither number nor refusal", func(*testing.T) { decide("id", asked.ID).is(400) })
	t.Run("another person's", func(t *testing.T) {
		bob := h.as("bob", "password")
		bob.get("/account/approvals").is(200, "Nobody waits for you")
		bob.post("/account/approvals", "csrf", bob.csrf(), "id", asked.ID, "number", "42").to("/account/approvals?done=signin_over")
		if _, err := h.decided(asked); !errors.Is(err, iam.ErrPending) {
			t.Error(err)
		}
	})
	b.get(decide("id", asked.ID, "number", "42").to("/account/approvals?done=signin_allowed").location).is(200, "Allowed")
	if got, err := h.decided(asked); err != nil || !got.Allowed || got.By == "" {
		t.Errorf("%+v, %v", got, err)
	}
	decide("id", asked.ID, "number", "42").to("/account/approvals?done=signin_over")
	for what, fields := range map[string][]string{
		"a wrong number is a no": {"number", "41"}, "a no": {"decision", "deny"}, "a no with the right number": {"decision", "deny", "number", "42"},
		"V11 a number of three digits": {"number", "042"},
	} {
		t.Run(what, func(t *testing.T) {
			asked := h.waits("alice")
			decide(append(fields, "id", asked.ID)...).to("/account/approvals?done=signin_denied")
			decide("id", asked.ID, "number", "42").to("/account/approvals?done=signin_over")
			if got, err := h.decided(asked); err != nil || got.Allowed {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	t.Run("V11 three wait at most", func(t *testing.T) {
		for range iam.MaxApprovals {
			h.waits("alice")
		}
		key := iam.NewSecret(iam.PrefixFlow)
		h.must(h.tenant.AddFlow(t.Context(), iam.Flow{Hash: iam.HashFlow(key), Browser: iam.Hash(key), Expires: h.now().Add(time.Hour)}))
		err := h.tenant.AskApproval(t.Context(), iam.Approval{ID: "one-more", User: "alice", Flow: iam.HashFlow(key), Number: "42", Created: h.now(), Expires: h.now().Add(time.Minute)})
		if !errors.Is(err, iam.ErrFull) {
			t.Error(err)
		}
		h.pass(6 * time.Minute)
		b.get("/account/approvals").is(200, "Nobody waits for you")
	})
}

func TestThisWasNotMe(t *testing.T) {
	h := open(t)
	h.person("alice")
	thief, b := h.as("alice", "password"), h.as("alice", "password")
	at := b.get("/account").is(200, "This was not me")
	done := b.post("/account/notme", "csrf", at.hidden("csrf")).to("/account?done=not_you&proof=")
	if !strings.HasSuffix(done.location, "#password-title") {
		t.Errorf("to %s", done.location)
	}
	thief.get("/account").to("/signin")
	address, _, _ := strings.Cut(done.location, "#")
	b.get(address).is(200, "Everything else is signed out", `id="password-title"`)
	b.get("/account?done=not_you&proof=x").lacks("Everything else is signed out")
}

func TestSeveralAccountsInOneBrowser(t *testing.T) {
	h := open(t)
	for _, user := range []string{"alice", "bob", "carol", "dave", "erin"} {
		h.person(user)
	}
	b := h.as("alice", "password")
	another := func(user string) {
		t.Helper()
		at := b.get("/choose").is(200)
		b.post("/choose", "csrf", at.hidden("csrf"), "other", "yes").to("/signin?flow=")
		b.get("/account").to("/signin")
		b.enter(user, "password")
	}
	pick := func(user string, fields ...string) seen {
		t.Helper()
		at := b.get("/choose").is(200)
		id := at.match(`value="([^"]*)" type="submit"><span class="avatar" aria-hidden="true">D</span><span class="what"><strong><bdi>Dr ` + user)
		return b.post("/choose", append(fields, "csrf", at.hidden("csrf"), "session", id)...)
	}
	another("bob")
	b.get("/account").is(200, "bob@bank.example").lacks("alice")
	b.get("/choose").is(200, "Dr alice", "Dr bob", "In use")
	before := b.cookie("garde-session")
	pick("alice").to("/account")
	b.get("/account").is(200, "alice@bank.example").lacks("bob@")
	if b.cookie("garde-session") == before {
		t.Error("the cookie is the same")
	}
	t.Run("a form of one account is none of another", func(*testing.T) {
		old := b.csrf()
		pick("bob").to("/account")
		b.post("/account/everywhere", "csrf", old).is(403, "csrf")
		b.post("/account/habits", "csrf", old, "do", "off").is(403, "csrf")
		pick("alice").to("/account")
	})
	t.Run("within a transaction", func(t *testing.T) {
		key := b.begin(iam.Flow{Client: "budget", Query: "client_id=budget&redirect_uri=https%3A%2F%2Fbudget.example%2Fcb", User: "alice",
			Asked: []string{"login", "consent"}, Proofs: []iam.Proved{{Factor: "password", At: h.now()}}, Need: &iam.Need{ACR: "strong", Sets: []string{"passkey"}}})
		at := b.get("/choose?flow="+key).is(200, "Dr bob")
		id := at.match(`value="([^"]*)" type="submit"><span class="avatar" aria-hidden="true">D</span><span class="what"><strong><bdi>Dr bob`)
		b.post("/choose", "flow", key, "csrf", b.get("/choose").hidden("csrf"), "session", id).is(403, "csrf")
		b.post("/choose", "flow", key, "csrf", at.hidden("csrf"), "session", id).to("/authorize?flow=" + key)
		flow := b.flow(seen{location: "/?flow=" + key})
		if flow.User != "bob" || flow.Session != id || !slices.Equal(flow.Asked, []string{"select_account"}) || len(flow.Proofs) != 0 || flow.Need != nil {
			t.Errorf("flow %+v", flow)
		}
		other := b.get("/choose?flow=" + key)
		b.post("/choose", "flow", key, "csrf", other.hidden("csrf"), "other", "yes").to("/signin?other=1&flow=" + key)
		if flow := b.flow(seen{location: "/?flow=" + key}); flow.User != "" || flow.Session != "" || len(flow.Asked) != 0 {
			t.Errorf("flow %+v", flow)
		}
		b.enter("carol", "password")
	})
	t.Run("four at most", func(*testing.T) {
		another("dave")
		at := b.get("/choose").is(200, "Dr alice", "Dr bob", "Dr carol", "Dr dave").lacks("Use another account")
		b.post("/choose", "csrf", at.hidden("csrf"), "other", "yes").is(422, "as many accounts")
		b.get("/account").is(200, "dave@")
	})
	t.Run("S04 half of it is worth nothing", func(*testing.T) {
		thief := h.browser()
		thief.plant("garde-accounts", b.cookie("garde-accounts"))
		thief.get("/choose").to("/signin")
		thief.plant("garde-browser", iam.NewSecret(iam.PrefixFlow))
		thief.get("/choose").to("/signin")
		eve := h.as("erin", "password")
		eve.plant("garde-accounts", b.cookie("garde-accounts"))
		eve.get("/choose").is(200, "Dr erin").lacks("Dr alice", "Dr bob")
	})
	t.Run("S30 what ended elsewhere is gone", func(*testing.T) {
		h.must(h.tenant.EndUserSessions(t.Context(), "bob", ""))
		b.get("/choose").is(200, "Dr alice").lacks("Dr bob")
	})
	t.Run("out of one", func(t *testing.T) {
		old := b.cookie("garde-browser")
		b.post("/account/signout", "csrf", b.csrf()).to("/choose")
		b.get("/account").to("/signin")
		b.get("/choose").is(200, "Dr alice", "Dr carol").lacks("Dr dave", "In use")
		if b.cookie("garde-browser") == old {
			t.Error("S04 forms of before serve whoever comes next")
		}
		pick("carol").to("/account")
		b.get("/account").is(200, "carol@")
	})
	t.Run("out of all", func(t *testing.T) {
		at := b.get("/choose")
		b.post("/choose", "csrf", at.hidden("csrf"), "out", "yes").to("/logout/done")
		b.get("/choose").to("/signin")
		for _, user := range []string{"alice", "carol"} {
			if living, err := h.tenant.UserSessions(t.Context(), user); err != nil || len(living) != 0 {
				t.Errorf("%s: %d sessions, %v", user, len(living), err)
			}
		}
	})
}

func TestS37AccountsOfManyBrowsersNeverCross(t *testing.T) {
	h := open(t)
	for i := range 4 {
		h.person(fmt.Sprint("person", i))
	}
	var group sync.WaitGroup
	for i := range 8 {
		mine, other := fmt.Sprint("person", i%4), fmt.Sprint("person", (i+1)%4)
		b := h.as(mine, "password")
		group.Go(func() {
			for range 3 {
				at := b.get("/choose")
				b.post("/choose", "csrf", at.hidden("csrf"), "other", "yes")
				b.enter(other, "password")
				at = b.get("/choose").is(200, "Dr "+mine, "Dr "+other)
				for j := range 4 {
					if who := fmt.Sprint("person", j); who != mine && who != other {
						at.lacks("Dr " + who)
					}
				}
				b.post("/choose", "csrf", at.hidden("csrf"), "out", "yes").to("/logout/done")
				b.enter(mine, "password")
			}
		})
	}
	group.Wait()
}

// The pages, and forms that each would accept from its own.
var pages = map[string][]string{
	"/account/security": nil, "/account/security/factor?id=x": nil, "/account/security/passkey": nil, "/account/security/security_key": nil,
	"/account/security/totp": nil, "/account/devices": nil, "/account/devices?id=x": nil, "/account/habits": nil, "/account/approvals": nil,
}

var forms = map[string][]string{
	"/account/security/factor": {"id", "x", "do", "remove"}, "/account/security/codes": nil, "/account/security/totp": {"new_code", "123456"},
	"/account/security/passkey": {"answer", "{}"}, "/account/devices": {"id", "x", "do", "forget"}, "/account/habits": {"do", "off"},
	"/account/approvals": {"id", "x", "number", "42"}, "/account/notme": nil, "/choose": {"other", "yes"}, "/signin/enrol": {"later", "yes"},
}

func TestN01N12EveryPageAndFormOfTheAccountIsGuarded(t *testing.T) {
	h := open(t)
	h.person("alice")
	h.person("bob")
	b, bob := h.as("alice", "password"), h.as("bob", "password")
	foreign := bob.csrf()
	for path, fields := range forms {
		t.Run(path, func(*testing.T) {
			key := ""
			if slices.Contains([]string{"/account/security/totp", "/account/security/passkey", "/signin/enrol"}, path) {
				key = b.begin(iam.Flow{Client: "budget"})
				fields = append(fields, "flow", key)
			}
			own := b.csrf()
			b.post(path, fields...).is(403, "csrf")
			b.post(path, append(fields, "csrf", "")...).is(403, "csrf")
			b.post(path, append(fields, "csrf", foreign)...).is(403, "csrf")
			b.header.Set("Sec-Fetch-Site", "cross-site")
			b.post(path, append(fields, "csrf", own)...).is(403, "csrf")
			b.header.Del("Sec-Fetch-Site")
			nobody := h.browser()
			nobody.get("/account")
			if got := nobody.post(path, append(fields, "csrf", own)...); got.status != 403 && got.status != 400 {
				t.Errorf("%s answers nobody with %d", path, got.status)
			}
			b.do("PUT", path, "").is(405)
			b.do("POST", path, "csrf="+own+"&csrf="+own).is(400)
			b.do("POST", path, "csrf=%ff").is(400)
		})
	}
	for path := range pages {
		t.Run(path, func(*testing.T) {
			h.browser().get(path).to("/signin?flow=")
			ended := h.as("alice", "password")
			living, err := h.tenant.UserSessions(t.Context(), "alice")
			h.must(err)
			for _, one := range living {
				if iam.HashSession(ended.cookie("garde-session")) == one.Hash {
					h.must(h.tenant.EndSession(t.Context(), one.ID))
				}
			}
			ended.get(path).to("/signin?flow=")
			if at := b.get(path); at.status == 200 && (at.header.Get("X-Frame-Options") != "DENY" || !strings.Contains(at.header.Get("Content-Security-Policy"), "frame-ancestors 'none'")) {
				t.Errorf("%s: %v", path, at.header)
			}
			if !strings.Contains(path, "?") {
				b.get(path + "?x=1&x=2").is(400)
			}
		})
	}
	t.Run("S30 a disabled person", func(*testing.T) {
		user, err := h.tenant.User(t.Context(), "alice")
		h.must(err)
		user.Disabled = true
		csrf := b.csrf()
		h.must(h.tenant.SetUser(context.Background(), user))
		for path, fields := range forms {
			if got := b.post(path, append(fields, "csrf", csrf)...); got.status != http.StatusForbidden && got.status != http.StatusBadRequest {
				t.Errorf("%s: %d", path, got.status)
			}
		}
		for path := range pages {
			b.get(path).to("/signin")
		}
	})
}

func TestN05IDsOfOthersOpenNothing(t *testing.T) {
	h := open(t)
	h.person("alice")
	h.person("bob")
	bob := h.as("bob", "password")
	theirs := bob.addTOTP("Bobs app")
	b := h.as("alice", "password")
	b.get("/account/security/factor?id=" + theirs.ID).is(404).lacks("Bobs app")
	csrf := b.csrf()
	for _, do := range []string{"rename", "remove"} {
		b.post("/account/security/factor", "csrf", csrf, "id", theirs.ID, "do", do, "factor_name", "Mine").is(404)
	}
	b.post("/account/security/factor", "csrf", csrf, "id", theirs.ID, "user", "bob", "do", "remove").is(404)
	if kept := h.factor("Bobs app"); kept.ID != theirs.ID {
		t.Error("it was touched")
	}
}
