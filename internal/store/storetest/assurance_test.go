package storetest

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/gardeauth/garde/internal/iam"
)

func (h *house) approval(flow iam.Flow) iam.Approval {
	return iam.Approval{ID: uuid.NewString(), User: "u-ada", Flow: flow.Hash, Number: "42", Agent: "Chrome\x00", Address: "192.0.2.7",
		Created: h.clock.Now(), Expires: h.clock.Now().Add(2 * time.Minute)}
}

// asked asks ada on her other devices about a sign-in that waits.
func (h *house) asked() iam.Approval {
	h.t.Helper()
	a := h.approval(h.flow(""))
	h.must(h.AskApproval(h.ctx, a))
	return a
}

func (h *house) decide(a iam.Approval, session string) error {
	return h.DecideApproval(h.ctx, a.ID, "u-ada", session, true, h.clock.Now(), h.event())
}

func (h *house) take(a iam.Approval) error {
	return second(h.TakeApproval(h.ctx, a.Flow, h.clock.Now()))
}

func approvals(t *testing.T, open Opener) {
	t.Run("of many that decide one does, and of many that take one gets it", func(t *testing.T) {
		h := newHouse(t, open)
		h.user("bob")
		s, a := h.session(), h.asked()
		h.want(h.take(a), iam.ErrPending)
		waiting, err := h.WaitingApprovals(h.ctx, "u-ada", h.clock.Now())
		h.must(err)
		want := a
		want.Agent = "Chrome\uFFFD"
		h.same(waiting, []iam.Approval{want})
		none, err := h.WaitingApprovals(h.ctx, "u-bob", h.clock.Now())
		h.must(err)
		h.same(len(none), 0)
		h.want(h.DecideApproval(h.ctx, a.ID, "u-bob", s.ID, true, h.clock.Now()), iam.ErrRevoked) // not his session
		h.same(h.race(20, func() error { return h.decide(a, s.ID) }, iam.ErrNotFound), 1)
		got := make(chan iam.Approval, 20)
		h.same(h.race(20, func() error {
			taken, err := h.TakeApproval(h.ctx, a.Flow, h.clock.Now())
			if err == nil {
				got <- taken
			}
			return err
		}, iam.ErrNotFound), 1)
		want.Decided, want.Allowed, want.By = h.clock.Now(), true, s.ID
		h.same(<-got, want)
	})
	t.Run("a question ends with its time, its flow, and another of that flow", func(t *testing.T) {
		h := newHouse(t, open)
		s, a := h.session(), h.asked()
		again := a
		again.ID = "again"
		h.must(h.AskApproval(h.ctx, again))
		h.want(h.decide(a, s.ID), iam.ErrNotFound)
		h.want(h.decide(again, "none"), iam.ErrRevoked)
		h.must(h.EndFlow(h.ctx, a.Flow))
		h.want(h.decide(again, s.ID), iam.ErrNotFound)
		waiting, err := h.WaitingApprovals(h.ctx, "u-ada", h.clock.Now())
		h.must(err)
		h.same(len(waiting), 0)
		late := h.asked()
		h.clock.Pass(2 * time.Minute)
		h.want(h.decide(late, s.ID), iam.ErrNotFound)
		h.want(h.take(late), iam.ErrNotFound)
	})
	t.Run("no more than a few wait, also of sign-ins that were given up, and of many that ask at once", func(t *testing.T) {
		h := newHouse(t, open)
		h.must(h.EndFlow(h.ctx, h.asked().Flow))
		flows := make(chan iam.Flow, 10)
		for range 10 {
			flows <- h.flow("")
		}
		h.same(h.race(10, func() error { return h.AskApproval(h.ctx, h.approval(<-flows)) }, iam.ErrFull), iam.MaxApprovals-1)
		h.clock.Pass(2 * time.Minute)
		h.asked()
		lost := h.approval(h.flow(""))
		lost.User = "u-none"
		h.want(h.AskApproval(h.ctx, lost), iam.ErrRevoked)
	})
	t.Run("nobody approves their own sign-in, and a session that ended has approved nothing", func(t *testing.T) {
		h := newHouse(t, open)
		s := h.session()
		own := h.flow("u-ada")
		own.Session = s.ID
		h.must(h.SetFlow(h.ctx, own))
		a := h.approval(own)
		h.must(h.AskApproval(h.ctx, a))
		h.want(h.decide(a, s.ID), iam.ErrNotFound)
		next := h.renew(s)
		h.want(h.decide(a, s.ID), iam.ErrRevoked)
		h.want(h.decide(a, next.ID), iam.ErrNotFound)
		other := h.session()
		h.must(h.decide(a, other.ID))
		taken := h.asked()
		h.must(h.decide(taken, other.ID))
		other = h.renew(other)
		got, err := h.TakeApproval(h.ctx, taken.Flow, h.clock.Now())
		h.must(err)
		h.same(got.By, other.ID)
		h.must(h.EndSession(h.ctx, other.ID))
		h.want(h.take(a), iam.ErrNotFound)
	})
}

func (h *house) deviceSecret(session string) iam.DeviceSecret {
	return iam.DeviceSecret{Hash: iam.HashDeviceSecret(iam.NewSecret(iam.PrefixNative)), User: "u-ada", Session: session, Family: "bank", Client: "c-app",
		JKT: "jkt", Created: h.clock.Now(), Expires: h.clock.Now().Add(8 * time.Hour)}
}

// keepSecret redeems a code and gets a device secret with it.
func (h *house) keepSecret(session string) (iam.DeviceSecret, error) {
	h.t.Helper()
	code, secret := h.code(session), h.deviceSecret(session)
	return secret, h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: "c-app", User: "u-ada", Session: session, Code: proofOf(code), NewDevice: &secret})
}

func (h *house) secretLives(s iam.DeviceSecret) error {
	_, _, err := h.DeviceSecret(h.ctx, s.Hash, h.clock.Now())
	return err
}

func deviceSecrets(t *testing.T, open Opener) {
	t.Run("one lives with its session, under whichever id", func(t *testing.T) {
		h := newHouse(t, open)
		s := h.session()
		secret, err := h.keepSecret(s.ID)
		h.must(err)
		got, in, err := h.DeviceSecret(h.ctx, secret.Hash, h.clock.Now())
		h.must(err)
		h.same(got, secret)
		h.same(in, s)
		next := h.renew(h.renew(s))
		got, in, err = h.DeviceSecret(h.ctx, secret.Hash, h.clock.Now())
		h.must(err)
		h.same([]string{got.Session, in.ID}, []string{next.ID, next.ID})
		_, _, err = h.DeviceSecret(h.ctx, secret.Hash, secret.Expires)
		h.want(err, iam.ErrNotFound)
		h.want(h.secretLives(h.deviceSecret(next.ID)), iam.ErrNotFound)
		h.must(h.EndSession(h.ctx, next.ID))
		h.want(h.secretLives(secret), iam.ErrNotFound)
	})
	t.Run("none is made where nobody is", func(t *testing.T) {
		h := newHouse(t, open)
		s, ended := h.session(), h.session()
		h.must(h.EndSession(h.ctx, ended.ID))
		h.client("c-off")
		h.must(h.SetClientDisabled(h.ctx, "c-off", true))
		for name, change := range map[string]func(*iam.DeviceSecret){
			"of an ended session":   func(d *iam.DeviceSecret) { d.Session = ended.ID },
			"of another person":     func(d *iam.DeviceSecret) { d.User = "u-bob" },
			"of a disabled client":  func(d *iam.DeviceSecret) { d.Client = "c-off" },
			"of a session that was": func(d *iam.DeviceSecret) { d.Created = s.Expires },
		} {
			secret := h.deviceSecret(s.ID)
			change(&secret)
			t.Log(name)
			code := h.code(s.ID)
			h.want(h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: "c-app", Code: proofOf(code), NewDevice: &secret}), iam.ErrRevoked)
			h.must(second(h.Try(h.ctx, *proofOf(code), h.clock.Now()))) // the code is not spent
		}
		plain := h.deviceSecret(s.ID)
		h.must(h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: "c-app", NewDevice: &plain, Events: []event{h.event()}}))
		h.must(h.secretLives(plain))
	})
	for name, end := range map[string]func(*house, iam.Session) error{
		"the person's disabling": func(h *house, _ iam.Session) error { h.disable("u-ada"); return nil },
		"a new password": func(h *house, _ iam.Session) error {
			return h.SetPassword(h.ctx, iam.Password{User: "u-ada", PHC: "x"}, "")
		},
		"a sign-out everywhere":  func(h *house, s iam.Session) error { return h.EndUserSessions(h.ctx, "u-ada", s.ID) },
		"the client's disabling": func(h *house, _ iam.Session) error { return h.SetClientDisabled(h.ctx, "c-app", true) },
		"a withdrawn consent":    func(h *house, _ iam.Session) error { return h.RevokeConsent(h.ctx, "u-ada", "c-app") },
		"a lost device":          func(h *house, _ iam.Session) error { return h.ForgetDevice(h.ctx, "u-ada", "d") },
		"a removal":              func(h *house, _ iam.Session) error { return h.RemoveUser(h.ctx, "u-ada") },
	} {
		t.Run("it ends with "+name, func(t *testing.T) {
			h := newHouse(t, open)
			h.device("d")
			s := h.sessionOf("d")
			secret, err := h.keepSecret(s.ID)
			h.must(err)
			h.must(end(h, s))
			h.want(h.secretLives(secret), iam.ErrNotFound)
			if name == "the client's disabling" {
				h.must(h.SetClientDisabled(h.ctx, "c-app", false))
				h.want(h.secretLives(secret), iam.ErrNotFound)
			}
		})
	}
	t.Run("a new password leaves those of the session that is kept", func(t *testing.T) {
		h := newHouse(t, open)
		s, other := h.session(), h.session()
		secret, err := h.keepSecret(s.ID)
		h.must(err)
		gone, err := h.keepSecret(other.ID)
		h.must(err)
		h.must(h.SetPassword(h.ctx, iam.Password{User: "u-ada", PHC: "x"}, s.ID))
		h.must(h.secretLives(secret))
		h.want(h.secretLives(gone), iam.ErrNotFound)
	})
}

func sessionProofs(t *testing.T, open Opener) {
	t.Run("a session keeps what was proved and answered, and is found by its ids", func(t *testing.T) {
		h := newHouse(t, open)
		key := h.authenticator(iam.FactorPasskey)
		s := h.newSession()
		s.Device = "d"
		s.Proofs = []iam.Proved{{Factor: "password", At: h.clock.Now(), Begun: h.clock.Now(), Methods: []string{"pwd"}}, h.proved(key)}
		s.Answered = []iam.Answer{{Cause: iam.Hash("why"), ACR: "urn:strong", At: h.clock.Now()}}
		h.must(h.StartSession(h.ctx, s, iam.SessionHash{}))
		got, err := h.Session(h.ctx, s.Hash, h.clock.Now(), time.Hour)
		h.must(err)
		h.same(got, s)
		got, err = h.LivingSession(h.ctx, s.ID, h.clock.Now(), time.Hour)
		h.must(err)
		h.same(got, s)
		next := h.renew(h.renew(s))
		for _, id := range []string{s.ID, next.ID} { // a token names the id that it was born under
			got, err = h.LivingSession(h.ctx, id, h.clock.Now(), time.Hour)
			h.must(err)
			h.same(got, next)
		}
		for _, id := range []string{"", "none"} {
			h.want(second(h.LivingSession(h.ctx, id, h.clock.Now(), time.Hour)), iam.ErrNotFound)
		}
		h.want(second(h.LivingSession(h.ctx, s.ID, next.Expires, 100*time.Hour)), iam.ErrNotFound)
		h.clock.Pass(time.Hour)
		h.want(second(h.LivingSession(h.ctx, s.ID, h.clock.Now(), time.Hour)), iam.ErrNotFound) // idle
		h.must(h.EndSession(h.ctx, next.ID))
		h.want(second(h.LivingSession(h.ctx, s.ID, h.clock.Now(), 2*time.Hour)), iam.ErrNotFound)
	})
	t.Run("a disabled person's session is not found by its id", func(t *testing.T) {
		h := newHouse(t, open)
		s := h.session()
		h.disable("u-ada")
		h.want(second(h.LivingSession(h.ctx, s.ID, h.clock.Now(), time.Hour)), iam.ErrNotFound)
	})
}

func flowStates(t *testing.T, open Opener) {
	t.Run("a flow keeps what was proved and what it needs, and its state is changed by nothing but a swap", func(t *testing.T) {
		h := newHouse(t, open)
		f := h.flow("")
		f.User, f.Proofs = "u-ada", []iam.Proved{{Factor: "password", At: h.clock.Now(), Begun: h.clock.Now(), Methods: []string{"pwd"}}}
		f.Need = &iam.Need{ACR: "urn:strong", Fresh: 5 * time.Minute, Sets: []string{"passkey", "password+totp"}, Since: h.clock.Now(), Cause: iam.Hash("why"),
			Reasons: []string{"amount"}, Enrol: true}
		h.must(h.SwapState(h.ctx, f.Hash, "", "challenge\x00"))
		h.must(h.SetFlow(h.ctx, f))
		f.State = "challenge\uFFFD"
		h.must(h.SwapState(h.ctx, f.Hash, "challenge\x00", f.State))
		got, err := h.Flow(h.ctx, f.Hash, f.Browser, h.clock.Now())
		h.must(err)
		h.same(got, f)
		f.Need, f.Proofs = nil, nil
		h.must(h.SetFlow(h.ctx, f))
		got, err = h.Flow(h.ctx, f.Hash, f.Browser, h.clock.Now())
		h.must(err)
		h.same(got, f)
		f.Hash = iam.HashFlow(iam.NewSecret(iam.PrefixFlow))
		h.must(h.AddFlow(h.ctx, f))
		got, err = h.Flow(h.ctx, f.Hash, f.Browser, h.clock.Now())
		h.must(err)
		h.same(got, f)
	})
	t.Run("a challenge serves once: of many that swap one wins", func(t *testing.T) {
		h := newHouse(t, open)
		f := h.flow("")
		h.same(h.race(20, func() error { return h.SwapState(h.ctx, f.Hash, "", "1") }, iam.ErrRaced), 1)
		h.same(h.race(20, func() error { return h.SwapState(h.ctx, f.Hash, "1", "") }, iam.ErrRaced), 1)
		h.want(h.SwapState(h.ctx, iam.HashFlow(iam.NewSecret(iam.PrefixFlow)), "", "1"), iam.ErrNotFound)
		h.clock.Pass(time.Hour)
		h.want(h.SwapState(h.ctx, f.Hash, "", "1"), iam.ErrNotFound)
	})
}

func factorEnds(t *testing.T, open Opener) {
	for name, end := range map[string]func(*house) error{
		"a new password":        func(h *house) error { return h.SetPassword(h.ctx, iam.Password{User: "u-ada", PHC: "x"}, "") },
		"disabling":             func(h *house) error { h.disable("u-ada"); return nil },
		"a sign-out everywhere": func(h *house) error { return h.EndUserSessions(h.ctx, "u-ada", "") },
		"a removal":             func(h *house) error { return h.RemoveUser(h.ctx, "u-ada") },
	} {
		t.Run("half a sign-in and what was asked end with "+name, func(t *testing.T) {
			h := newHouse(t, open)
			s, half := h.session(), h.flow("u-ada", iam.Proved{Factor: "password", Methods: []string{"pwd"}})
			waiting, decided := h.asked(), h.asked()
			h.must(h.decide(decided, s.ID))
			h.must(end(h))
			h.want(h.waits(half), iam.ErrNotFound)
			h.want(h.take(waiting), iam.ErrNotFound)
			h.want(h.take(decided), iam.ErrNotFound)
		})
	}
}

func removedPeople(t *testing.T, open Opener) {
	h := newHouse(t, open)
	key := h.authenticator(iam.FactorPasskey)
	code := iam.Hash("recovery")
	h.must(h.SetRecovery(h.ctx, "u-ada", []iam.Digest{code}))
	d := h.device("d")
	h.must(h.LearnHabits(h.ctx, iam.Habits{User: "u-ada", Sealed: "s"}, 0))
	h.must(h.RemoveUser(h.ctx, "u-ada"))
	all, err := h.Authenticators(h.ctx, "u-ada")
	h.must(err)
	known, err := h.UserDevices(h.ctx, "u-ada", h.clock.Now())
	h.must(err)
	left, err := h.RecoveryLeft(h.ctx, "u-ada")
	h.must(err)
	h.same([]int{len(all), len(known), left}, []int{0, 0, 0})
	h.want(second(h.Habits(h.ctx, "u-ada")), iam.ErrNotFound)
	for name, err := range map[string]error{
		"add": h.AddAuthenticator(h.ctx, key), "recover": h.SetRecovery(h.ctx, "u-ada", nil), "keep": h.KeepDevice(h.ctx, d),
		"learn": h.LearnHabits(h.ctx, iam.Habits{User: "u-ada"}, 0), "ask": h.AskApproval(h.ctx, h.approval(h.flow(""))),
	} {
		t.Log(name)
		h.want(err, iam.ErrRevoked)
	}
	for name, err := range map[string]error{
		"switch": h.SwitchHabits(h.ctx, "u-ada", false), "remove": h.RemoveAuthenticator(h.ctx, "u-ada", key.ID, "", anyWayIn),
		"forget": h.ForgetDevice(h.ctx, "u-ada", "d"), "spend": h.UseRecovery(h.ctx, "u-ada", code), "use": h.UseAuthenticator(h.ctx, key.ID, 7, 8, "", d.Seen),
	} {
		t.Log(name)
		h.want(err, iam.ErrNotFound)
	}
	h.user("eve")
	key.User = "u-eve" // the key itself may serve someone else
	h.must(h.AddAuthenticator(h.ctx, key))
}

func factorSweeps(t *testing.T, open Opener) {
	h := newHouse(t, open)
	h.must(second(h.ReserveUse(h.ctx, iam.Use{Key: iam.Hash("u"), Expires: h.clock.Now().Add(time.Minute)})))
	s := h.session()
	h.must(second(h.keepSecret(s.ID)))
	h.asked()
	h.device("d")
	h.must(h.ForgetDevice(h.ctx, "u-ada", "d"))
	h.device("e")
	n, err := h.Sweep(h.ctx, h.clock.Now())
	h.must(err)
	h.same(n, int64(0))
	h.want(h.KeepDevice(h.ctx, iam.Device{ID: "d", User: "u-ada", Expires: h.clock.Now().Add(time.Hour)}), iam.ErrRevoked) // still remembered
	h.clock.Pass(10 * time.Minute)
	swept := func(least int64) {
		t.Helper()
		n, err := h.Sweep(h.ctx, h.clock.Now())
		h.must(err)
		if n < least {
			t.Fatalf("swept %d of %d", n, least)
		}
	}
	swept(2) // the use, the question
	first, err := h.ReserveUse(h.ctx, iam.Use{Key: iam.Hash("u")})
	h.must(err)
	h.same(first, true)
	h.clock.Pass(9 * time.Hour)
	swept(1) // the device secret
	h.clock.Pass(90 * 24 * time.Hour)
	swept(2) // the devices
	h.device("d")
}

// foreignFactors: what comes from foreign hands finds nothing and breaks nothing.
func foreignFactors(t *testing.T, open Opener) {
	h := newHouse(t, open)
	for _, foreign := range []string{"a\x00b", "\xff\xfe", "'; DROP TABLE devices; --"} {
		h.want(second(h.Device(h.ctx, foreign, foreign, h.clock.Now())), iam.ErrNotFound)
		h.want(second(h.LivingSession(h.ctx, foreign, h.clock.Now(), time.Hour)), iam.ErrNotFound)
		h.want(second(h.Habits(h.ctx, foreign)), iam.ErrNotFound)
		h.want(h.RenameAuthenticator(h.ctx, foreign, foreign, foreign), iam.ErrNotFound)
		h.want(h.RemoveAuthenticator(h.ctx, "u-ada", foreign, foreign, anyWayIn), iam.ErrNotFound)
		h.want(h.RenameDevice(h.ctx, "u-ada", foreign, foreign), iam.ErrNotFound)
		h.want(h.ForgetDevice(h.ctx, "u-ada", foreign), iam.ErrNotFound)
		h.want(h.DecideApproval(h.ctx, foreign, "u-ada", foreign, true, h.clock.Now()), iam.ErrRevoked)
		d := iam.Device{ID: foreign, User: "u-ada", Name: foreign, Agent: foreign, Address: foreign, Seen: h.clock.Now(), Expires: h.clock.Now().Add(time.Hour)}
		h.must(h.KeepDevice(h.ctx, d))
		h.must(second(h.Device(h.ctx, "u-ada", foreign, h.clock.Now())))
	}
}
