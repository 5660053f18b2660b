package storetest

import (
	"testing"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/oauth"
)

// guesses: what a node remembers of a consent, a session or a person is asked again by every deed that rests on it, and a
// deed that rests on what is no longer so does nothing.
func guesses(t *testing.T, open Opener) {
	allow := func(h *house, scope ...string) *iam.Consent {
		h.must(h.GiveConsent(h.ctx, iam.Consent{User: "u-ada", Client: "c-app", Scope: scope, Given: h.clock.Now()}))
		consent, err := h.Consent(h.ctx, "u-ada", "c-app")
		h.must(err)
		return &consent
	}
	t.Run("X15 no code is given by a consent that was revoked, widened or never given", func(t *testing.T) {
		h := newHouse(t, open)
		code := newCode(h.clock.Now(), "")
		add := func(by *iam.Consent) error {
			code.Allowed = by
			return h.AddCode(h.ctx, code, iam.FlowHash{}, nil)
		}
		h.want(add(&iam.Consent{User: "u-ada", Client: "c-app", Scope: oauth.Scope{"openid"}}), iam.ErrRevoked)
		h.want(add(&iam.Consent{User: "u-ada", Client: "c-app"}), iam.ErrRevoked)
		first := allow(h, "openid")
		second := allow(h, "a.read")
		h.want(add(first), iam.ErrRevoked)
		h.want(h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: "c-app", Code: proofOf(code)}), iam.ErrNotFound)
		h.must(add(second))
		h.must(h.RevokeConsent(h.ctx, "u-ada", "c-app"))
		code = newCode(h.clock.Now(), "")
		h.want(add(second), iam.ErrRevoked)
	})
	// Each of these is wrong about what is kept, in one thing.
	wrong := map[string]struct {
		make   func(*iam.Issue)
		answer error
	}{
		"another person":               {func(i *iam.Issue) { i.User = "u-eve" }, iam.ErrMismatch},
		"another session":              {func(i *iam.Issue) { i.Session = "s-old" }, iam.ErrRaced},
		"a consent that was narrower":  {func(i *iam.Issue) { i.Allowed.Scope = oauth.Scope{"openid"} }, iam.ErrRaced},
		"a consent that was not given": {func(i *iam.Issue) { i.Allowed.Scope = nil }, iam.ErrRaced},
	}
	for name, guess := range wrong {
		t.Run(name+" spends no code, counts no try and journals nothing", func(t *testing.T) {
			h := newHouse(t, open)
			h.user("eve")
			session := h.session()
			code := h.code(session.ID)
			right := iam.Issue{Now: h.clock.Now(), Client: "c-app", User: "u-ada", Session: session.ID, Allowed: allow(h, "openid", "a.read"),
				Code: proofOf(code), NewRefresh: h.newRefresh(code.Grant.ID)}
			h.refusesEach(right, guess.make, guess.answer)
			h.must(h.Issue(h.ctx, right))
		})
		t.Run(name+" uses no refresh token", func(t *testing.T) {
			h := newHouse(t, open)
			h.user("eve")
			session := h.session()
			got := h.redeem(session.ID)
			right := iam.Issue{Now: h.clock.Now(), Client: "c-app", User: "u-ada", Session: session.ID, Allowed: allow(h, "openid", "a.read"),
				Refresh: &iam.RefreshProof{Hash: got.refresh.Hash, Client: "c-app"}, Replace: h.newRefresh(got.code.Grant.ID)}
			h.refusesEach(right, guess.make, guess.answer)
			h.must(h.Issue(h.ctx, right))
			again := right
			again.Replace = h.newRefresh(got.code.Grant.ID)
			h.clock.Pass(2 * iam.Grace)
			again.Now = h.clock.Now()
			h.want(h.Issue(h.ctx, again), iam.ErrSpent)
		})
	}
	laterGuesses(t, open, allow)
}

func laterGuesses(t *testing.T, open Opener, allow func(*house, ...string) *iam.Consent) {
	t.Run("nothing is issued without code or token by a consent that was revoked", func(t *testing.T) {
		h := newHouse(t, open)
		issue := iam.Issue{Now: h.clock.Now(), Client: "c-app", User: "u-ada", Allowed: allow(h, "openid")}
		h.must(h.Issue(h.ctx, issue))
		h.must(h.RevokeConsent(h.ctx, "u-ada", "c-app"))
		h.want(h.Issue(h.ctx, issue), iam.ErrRaced)
	})
	t.Run("a session that began anew is named anew", func(t *testing.T) {
		h := newHouse(t, open)
		old := h.session()
		code, got := h.code(old.ID), h.redeem(old.ID)
		next := old
		next.ID, next.Hash = "s-next", iam.HashSession(iam.NewSecret(iam.PrefixSession))
		h.must(h.StartSession(h.ctx, next, old.Hash))
		issue := iam.Issue{Now: h.clock.Now(), Client: "c-app", User: "u-ada", Session: old.ID, Code: proofOf(code)}
		h.want(h.Issue(h.ctx, issue), iam.ErrRaced)
		issue.Session = next.ID
		h.must(h.Issue(h.ctx, issue))
		issue.Code, issue.Refresh = nil, &iam.RefreshProof{Hash: got.refresh.Hash, Client: "c-app"}
		issue.Session = old.ID
		h.want(h.Issue(h.ctx, issue), iam.ErrRaced)
		issue.Session = next.ID
		h.must(h.Issue(h.ctx, issue))
	})
}

// refusesEach makes an issue wrong, tries it more often than a code survives wrong proofs, and looks that nothing was kept.
func (h *house) refusesEach(right iam.Issue, make func(*iam.Issue), answer error) {
	h.t.Helper()
	before, err := h.Events(h.ctx, iam.JournalQuery{})
	h.must(err)
	guess := right
	allowed := *right.Allowed
	guess.Allowed = &allowed
	make(&guess)
	guess.Events = append(guess.Events, h.event())
	for range iam.MaxCodeTries + 2 {
		h.want(h.Issue(h.ctx, guess), answer)
	}
	after, err := h.Events(h.ctx, iam.JournalQuery{})
	h.must(err)
	h.same(len(after), len(before))
}
