package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/gardeauth/garde/internal/iam"
)

// RunFactors proves, on the engine that open opens, how people prove who they are and what is known of their ways.
func RunFactors(t *testing.T, open Opener) {
	proofs{
		"authenticators": authenticators, "marks": marks, "removals": removals, "last ones": lastOnes, "recovery": recoveries, "devices": devices, "lost devices": lostDevices,
		"approvals": approvals, "habits": habits, "uses": uses, "owed tries": owed, "device secrets": deviceSecrets, "proofs of sessions": sessionProofs, "states of flows": flowStates,
		"ends of factors": factorEnds, "removed people": removedPeople, "sweep of factors": factorSweeps, "foreign text": foreignFactors,
	}.run(t, open)
}

// authenticator gives ada one of a kind.
func (h *house) authenticator(kind iam.FactorKind) iam.Authenticator {
	h.t.Helper()
	a := iam.Authenticator{ID: uuid.NewString(), User: "u-ada", Kind: kind, Name: "Yubi", Model: "aaguid", Synced: true, Sealed: "sealed", Mark: 7, Created: h.clock.Now()}
	if kind != iam.FactorTOTP {
		a.Handle = iam.Hash(a.ID)
	}
	h.must(h.AddAuthenticator(h.ctx, a))
	h.clock.Pass(time.Second)
	return a
}

// proved is a proof by an authenticator.
func (h *house) proved(a iam.Authenticator) iam.Proved {
	return iam.Proved{Factor: string(a.Kind), At: h.clock.Now(), Begun: h.clock.Now().Add(-time.Second), Credential: a.ID, Methods: []string{"hwk", "user"}}
}

// sessionOf starts a session of ada with what it rests on.
func (h *house) sessionOf(device string, proofs ...iam.Proved) iam.Session {
	h.t.Helper()
	s := h.newSession()
	s.Device, s.Proofs = device, proofs
	h.must(h.StartSession(h.ctx, s, iam.SessionHash{}))
	return s
}

func (h *house) newSession() iam.Session {
	return iam.Session{ID: uuid.NewString(), Hash: iam.HashSession(iam.NewSecret(iam.PrefixSession)), User: "u-ada", AuthTime: h.clock.Now(),
		AMR: []string{"pwd"}, ACR: "urn:basic", Created: h.clock.Now(), Seen: h.clock.Now(), Expires: h.clock.Now().Add(8 * time.Hour)}
}

func (h *house) flow(user string, proofs ...iam.Proved) iam.Flow {
	h.t.Helper()
	f := iam.Flow{Hash: iam.HashFlow(iam.NewSecret(iam.PrefixFlow)), Browser: iam.Hash("browser"), Client: "c-app", User: user, Proofs: proofs,
		Created: h.clock.Now(), Expires: h.clock.Now().Add(time.Hour)}
	h.must(h.AddFlow(h.ctx, f))
	return f
}

func (h *house) lives(s iam.Session) error {
	return second(h.Session(h.ctx, s.Hash, h.clock.Now(), time.Hour))
}

func (h *house) waits(f iam.Flow) error {
	return second(h.Flow(h.ctx, f.Hash, f.Browser, h.clock.Now()))
}

func authenticators(t *testing.T, open Opener) {
	t.Run("what is added is found, oldest first, and by its handle", func(t *testing.T) {
		h := newHouse(t, open)
		key, totp := h.authenticator(iam.FactorPasskey), h.authenticator(iam.FactorTOTP)
		h.user("bob")
		all, err := h.Authenticators(h.ctx, "u-ada")
		h.must(err)
		h.same(all, []iam.Authenticator{key, totp})
		none, err := h.Authenticators(h.ctx, "u-bob")
		h.must(err)
		h.same(len(none), 0)
		got, err := h.AuthenticatorOf(h.ctx, key.Handle)
		h.must(err)
		h.same(got, key)
		for _, handle := range []iam.Digest{{}, iam.Hash("other")} {
			h.want(second(h.AuthenticatorOf(h.ctx, handle)), iam.ErrNotFound)
		}
		h.want(h.RenameAuthenticator(h.ctx, "u-bob", key.ID, "mine"), iam.ErrNotFound)
		h.want(h.RemoveAuthenticator(h.ctx, "u-bob", key.ID, "", anyWayIn), iam.ErrNotFound)
		h.must(h.RenameAuthenticator(h.ctx, "u-ada", key.ID, "Blue\x00key"))
		got, err = h.AuthenticatorOf(h.ctx, key.Handle)
		h.must(err)
		h.same(got.Name, "Blue\uFFFDkey")
	})
	t.Run("a handle is one person's, and of many that bring it at once one has it", func(t *testing.T) {
		h := newHouse(t, open)
		h.user("bob")
		taken := h.authenticator(iam.FactorPasskey)
		taken.ID, taken.User = "other", "u-bob"
		h.want(h.AddAuthenticator(h.ctx, taken), iam.ErrExists)
		wins := h.race(10, func() error {
			return h.AddAuthenticator(h.ctx, iam.Authenticator{ID: uuid.NewString(), User: "u-ada", Kind: iam.FactorPasskey, Handle: iam.Hash("one")})
		}, iam.ErrExists)
		h.same(wins, 1)
	})
	t.Run("of many that are added at once as many stay as there may be", func(t *testing.T) {
		h := newHouse(t, open)
		wins := h.race(iam.MaxAuthenticators+10, func() error {
			return h.AddAuthenticator(h.ctx, iam.Authenticator{ID: uuid.NewString(), User: "u-ada", Kind: iam.FactorTOTP})
		}, iam.ErrFull)
		h.same(wins, iam.MaxAuthenticators)
	})
	t.Run("a disabled person adds none and is found by none", func(t *testing.T) {
		h := newHouse(t, open)
		key := h.authenticator(iam.FactorPasskey)
		h.disable("u-ada")
		h.want(second(h.AuthenticatorOf(h.ctx, key.Handle)), iam.ErrNotFound)
		h.want(h.UseAuthenticator(h.ctx, key.ID, 7, 8, "", h.clock.Now()), iam.ErrNotFound)
		h.want(h.AddAuthenticator(h.ctx, iam.Authenticator{ID: "x", User: "u-ada"}), iam.ErrRevoked)
		h.want(h.AddAuthenticator(h.ctx, iam.Authenticator{ID: "x", User: "u-none"}), iam.ErrRevoked)
		all, err := h.Authenticators(h.ctx, "u-ada")
		h.must(err)
		h.same(len(all), 1)
	})
}

func (h *house) disable(id string) {
	h.t.Helper()
	user, err := h.User(h.ctx, id)
	h.must(err)
	user.Disabled = true
	h.must(h.SetUser(h.ctx, user))
}

func marks(t *testing.T, open Opener) {
	t.Run("of many that use one mark at once one wins", func(t *testing.T) {
		h := newHouse(t, open)
		a := h.authenticator(iam.FactorTOTP)
		for mark := int64(7); mark < 12; mark++ {
			wins := h.race(20, func() error { return h.UseAuthenticator(h.ctx, a.ID, mark, mark+1, "", h.clock.Now()) }, iam.ErrSpent)
			h.same(wins, 1)
		}
	})
	t.Run("a mark never goes back, and what is sealed stays unless it is new", func(t *testing.T) {
		h := newHouse(t, open)
		a := h.authenticator(iam.FactorSecurityKey)
		h.must(h.UseAuthenticator(h.ctx, a.ID, 7, 9, "", h.clock.Now()))
		h.want(h.UseAuthenticator(h.ctx, a.ID, 9, 8, "new", h.clock.Now()), iam.ErrSpent)
		h.want(h.UseAuthenticator(h.ctx, a.ID, 7, 10, "new", h.clock.Now()), iam.ErrSpent)
		h.want(h.UseAuthenticator(h.ctx, "none", 7, 10, "new", h.clock.Now()), iam.ErrNotFound)
		got, err := h.AuthenticatorOf(h.ctx, a.Handle)
		h.must(err)
		a.Mark, a.Used = 9, h.clock.Now()
		h.same(got, a)
		h.must(h.UseAuthenticator(h.ctx, a.ID, 9, 9, "new", h.clock.Now()))
		got, err = h.AuthenticatorOf(h.ctx, a.Handle)
		h.must(err)
		h.same(got.Sealed, "new")
	})
}

func removals(t *testing.T, open Opener) {
	t.Run("what rests on it ends, but what is kept and what rests on others", func(t *testing.T) {
		h := newHouse(t, open)
		key, totp := h.authenticator(iam.FactorPasskey), h.authenticator(iam.FactorTOTP)
		h.authenticator(iam.FactorPasskey)
		keep, gone, other := h.sessionOf("", h.proved(key)), h.sessionOf("", h.proved(totp), h.proved(key)), h.sessionOf("", h.proved(totp))
		got, others := h.redeem(gone.ID), h.redeem(other.ID)
		half, mine := h.flow("u-ada", h.proved(totp)), h.flow("u-ada")
		mine.Session = keep.ID
		h.must(h.SetFlow(h.ctx, mine))
		resting := mine
		resting.Hash, resting.Proofs = iam.HashFlow(iam.NewSecret(iam.PrefixFlow)), []iam.Proved{h.proved(key)}
		h.must(h.AddFlow(h.ctx, resting))
		foreign := h.flow("")
		h.must(h.RemoveAuthenticator(h.ctx, "u-ada", key.ID, keep.ID, anyWayIn, h.event()))
		h.must(h.lives(keep))
		h.must(h.lives(other))
		h.want(h.lives(gone), iam.ErrNotFound)
		h.wantChanges(iam.ChangeSession, gone.ID)
		h.wantChanges(iam.ChangeGrant, got.code.Grant.ID)
		h.want(second(h.rotate(got.refresh)), iam.ErrRevoked)
		h.must(second(h.rotate(others.refresh)))
		h.want(h.waits(half), iam.ErrNotFound)
		h.want(h.waits(resting), iam.ErrNotFound)
		h.must(h.waits(mine))
		h.must(h.waits(foreign))
		h.want(h.RemoveAuthenticator(h.ctx, "u-ada", key.ID, keep.ID, anyWayIn), iam.ErrNotFound)
		h.want(second(h.AuthenticatorOf(h.ctx, key.Handle)), iam.ErrNotFound)
	})
	t.Run("no session begins on what was removed, but one that went on may go on", func(t *testing.T) {
		h := newHouse(t, open)
		key, totp := h.authenticator(iam.FactorPasskey), h.authenticator(iam.FactorTOTP)
		h.authenticator(iam.FactorPasskey)
		keep := h.sessionOf("", h.proved(key))
		late := h.newSession()
		late.Proofs = []iam.Proved{h.proved(key)}
		h.must(h.RemoveAuthenticator(h.ctx, "u-ada", key.ID, keep.ID, anyWayIn))
		h.want(h.StartSession(h.ctx, late, iam.SessionHash{}), iam.ErrRevoked)
		late.Proofs = []iam.Proved{keep.Proofs[0], h.proved(totp)}
		h.must(h.StartSession(h.ctx, late, keep.Hash))
		h.user("bob")
		theirs := h.newSession()
		theirs.User, theirs.Proofs = "u-bob", []iam.Proved{h.proved(totp)}
		h.want(h.StartSession(h.ctx, theirs, iam.SessionHash{}), iam.ErrRevoked)
	})
	t.Run("a session that begins while it is removed does not outlive it", func(t *testing.T) {
		h := newHouse(t, open)
		h.authenticator(iam.FactorPasskey)
		for range often(20, 500) {
			key := h.authenticator(iam.FactorTOTP)
			s := h.newSession()
			s.Proofs = []iam.Proved{h.proved(key)}
			h.both(func() error { return h.StartSession(h.ctx, s, iam.SessionHash{}) },
				func() error { return h.RemoveAuthenticator(h.ctx, "u-ada", key.ID, "", anyWayIn) })
			h.want(h.lives(s), iam.ErrNotFound)
		}
	})
}

func lastOnes(t *testing.T, open Opener) {
	for name, row := range map[string]struct {
		kind, other iam.FactorKind
		password    bool
		verified    bool
		want        error
	}{
		"the only passkey":              {kind: iam.FactorPasskey, want: iam.ErrLast},
		"with a one-time password":      {kind: iam.FactorPasskey, other: iam.FactorTOTP, want: iam.ErrLast},
		"with a security key":           {kind: iam.FactorPasskey, other: iam.FactorSecurityKey, want: iam.ErrLast},
		"with another passkey":          {kind: iam.FactorPasskey, other: iam.FactorPasskey},
		"with a password":               {kind: iam.FactorPasskey, password: true},
		"with a proved address":         {kind: iam.FactorPasskey, verified: true},
		"a one-time password, no other": {kind: iam.FactorTOTP, want: iam.ErrLast},
		"a one-time password":           {kind: iam.FactorTOTP, other: iam.FactorPasskey},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, open)
			a := h.authenticator(row.kind)
			if row.other != "" {
				h.authenticator(row.other)
			}
			if row.password {
				h.must(h.SetPassword(h.ctx, iam.Password{User: "u-ada", PHC: "x"}, ""))
			}
			user, err := h.User(h.ctx, "u-ada")
			h.must(err)
			user.EmailVerified = row.verified
			h.must(h.SetUser(h.ctx, user))
			s := h.sessionOf("", h.proved(a))
			h.want(h.RemoveAuthenticator(h.ctx, "u-ada", a.ID, "", anyWayIn), row.want)
			if row.want != nil {
				h.must(h.lives(s)) // all or nothing
			}
		})
	}
	t.Run("of two that remove the last two at once one stays", func(t *testing.T) {
		h := newHouse(t, open)
		for range often(10, 300) {
			ids := make(chan string, 2)
			ids <- h.authenticator(iam.FactorPasskey).ID
			ids <- h.authenticator(iam.FactorPasskey).ID
			h.same(h.race(2, func() error { return h.RemoveAuthenticator(h.ctx, "u-ada", <-ids, "", anyWayIn) }, iam.ErrLast), 1)
			all, err := h.Authenticators(h.ctx, "u-ada")
			h.must(err)
			h.same(len(all), 1)
			h.must(h.SetPassword(h.ctx, iam.Password{User: "u-ada", PHC: "x"}, ""))
			h.must(h.RemoveAuthenticator(h.ctx, "u-ada", all[0].ID, "", anyWayIn))
			h.must(h.RemoveUser(h.ctx, "u-ada"))
			h = newHouse(t, open)
		}
	})
}

func recoveries(t *testing.T, open Opener) {
	t.Run("of many that spend one code one wins, and a new set ends the one before", func(t *testing.T) {
		h := newHouse(t, open)
		h.user("bob")
		codes := []iam.Digest{iam.Hash("1"), iam.Hash("2"), iam.Hash("3")}
		h.must(h.SetRecovery(h.ctx, "u-ada", codes, h.event()))
		h.same(h.race(20, func() error { return h.UseRecovery(h.ctx, "u-ada", codes[1]) }, iam.ErrNotFound), 1)
		h.want(h.UseRecovery(h.ctx, "u-bob", codes[0]), iam.ErrNotFound)
		h.want(h.UseRecovery(h.ctx, "u-ada", iam.Digest{}), iam.ErrNotFound)
		h.left(2)
		h.must(h.SetRecovery(h.ctx, "u-ada", []iam.Digest{iam.Hash("4")}))
		h.want(h.UseRecovery(h.ctx, "u-ada", codes[0]), iam.ErrNotFound)
		h.left(1)
		h.must(h.SetRecovery(h.ctx, "u-ada", nil))
		h.left(0)
		h.want(h.SetRecovery(h.ctx, "u-none", codes), iam.ErrRevoked)
		h.want(h.SetRecovery(h.ctx, "u-ada", make([]iam.Digest, iam.MaxRecovery+1)), iam.ErrFull)
		h.must(h.SetRecovery(h.ctx, "u-ada", codes))
		h.disable("u-ada")
		h.want(h.UseRecovery(h.ctx, "u-ada", codes[0]), iam.ErrNotFound)
	})
	t.Run("of two sets that are made at once one is whole", func(t *testing.T) {
		h := newHouse(t, open)
		for i := range often(10, 200) {
			set := func(name string) []iam.Digest {
				return []iam.Digest{iam.Hash(fmt.Sprint(i, name, 1)), iam.Hash(fmt.Sprint(i, name, 2))}
			}
			h.both(func() error { return h.SetRecovery(h.ctx, "u-ada", set("a")) }, func() error { return h.SetRecovery(h.ctx, "u-ada", set("b")) })
			h.left(2)
		}
	})
}

func (h *house) left(want int) {
	h.t.Helper()
	left, err := h.RecoveryLeft(h.ctx, "u-ada")
	h.must(err)
	h.same(left, want)
}

// anyWayIn is what storage was told by a recipe that takes a password, a proved address or a passkey.
func anyWayIn(left iam.Left) bool {
	return left.Password || left.Mail || slices.Contains(left.Kinds, iam.FactorPasskey)
}
