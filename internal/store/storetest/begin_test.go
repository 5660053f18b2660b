package storetest

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/gardeauth/garde/internal/iam"
)

// boundCodes: what a code may be bound to beyond its client.
func boundCodes(t *testing.T, open Opener) {
	t.Run("a code with a key is redeemed by that key alone, one without by any", func(t *testing.T) {
		h := newHouse(t, open)
		code := newCode(h.clock.Now(), "")
		code.JKT = "key"
		h.must(h.AddCode(h.ctx, code, iam.FlowHash{}, nil))
		for _, key := range []string{"", "other"} {
			proof := *proofOf(code)
			proof.JKT = key
			h.want(h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: "c-app", Code: &proof}), iam.ErrMismatch)
			h.want(second(h.Try(h.ctx, proof, h.clock.Now())), iam.ErrMismatch)
		}
		proof := *proofOf(code)
		proof.JKT = "key"
		got, err := h.Try(h.ctx, proof, h.clock.Now())
		h.must(err)
		h.same(got, code)
		h.must(h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: "c-app", Code: &proof}))
		proof.JKT = "other" // whoever has no key can't end what it gave, either
		h.want(h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: "c-app", Code: &proof}), iam.ErrMismatch)
		free := *proofOf(h.code(""))
		free.JKT = "whatever"
		h.must(h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: "c-app", Code: &free}))
	})
	t.Run("C22 wrong keys are tries", func(t *testing.T) {
		h := newHouse(t, open)
		code := newCode(h.clock.Now(), "")
		code.JKT = "key"
		h.must(h.AddCode(h.ctx, code, iam.FlowHash{}, nil))
		for range iam.MaxCodeTries + 1 {
			h.want(h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: "c-app", Code: proofOf(code)}), iam.ErrMismatch)
		}
		proof := *proofOf(code)
		proof.JKT = "key"
		h.want(h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: "c-app", Code: &proof}), iam.ErrNotFound)
	})
	t.Run("C09 C10 a challenge and a verifier come together or not at all", func(t *testing.T) {
		h := newHouse(t, open)
		with, without := h.code(""), newCode(h.clock.Now(), "")
		without.Challenge = ""
		h.must(h.AddCode(h.ctx, without, iam.FlowHash{}, nil))
		bare, stray := *proofOf(with), *proofOf(without)
		bare.Challenge, stray.Challenge = "", "challenge"
		h.want(h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: "c-app", Code: &bare}), iam.ErrMismatch)
		h.want(h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: "c-app", Code: &stray}), iam.ErrMismatch)
		h.must(h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: "c-app", Code: proofOf(with)}))
		h.must(h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: "c-app", Code: proofOf(without)}))
	})
	t.Run("what is said of a grant and of an opaque token comes back", func(t *testing.T) {
		h := newHouse(t, open)
		bound := iam.Binding{JKT: "key", X5T: "certificate"}
		code := newCode(h.clock.Now(), "")
		code.Grant.Details, code.Grant.Login, code.Grant.Claims = `[{"type":"pay"}]`, "sid-1", `{"userinfo":{}}`
		h.must(h.AddCode(h.ctx, code, iam.FlowHash{}, nil))
		access, refresh := h.newAccess(code.Grant), h.newRefresh(code.Grant.ID)
		access.Binding, access.Details = iam.Binding{X5T: "certificate"}, `[{"type":"pay","amount":1}]`
		h.must(h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: "c-app", Code: proofOf(code), Binding: bound, NewAccess: access, NewRefresh: refresh}))
		code.Grant.Binding = bound
		grant, err := h.Grant(h.ctx, code.Grant.ID)
		h.must(err)
		h.same(grant, code.Grant)
		_, grant, err = h.Refresh(h.ctx, refresh.Hash)
		h.must(err)
		h.same(grant, code.Grant)
		got, err := h.Access(h.ctx, access.Hash, h.clock.Now())
		h.must(err)
		h.same(got, *access)

		asked := h.ask(iam.AskedDevice)
		approved := h.approve(asked, "")
		proof := proofOfAsked(asked)
		h.must(h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: "c-app", Asked: &proof, Binding: iam.Binding{JKT: "key"}}))
		approved.Binding = iam.Binding{JKT: "key"}
		grant, err = h.Grant(h.ctx, approved.ID)
		h.must(err)
		h.same(grant, approved)
	})
}

// begun lets a grant begin in the front channel, with a code and a flow.
func (h *house) begun(session string, flow iam.FlowHash) (iam.Code, *iam.Access, error) {
	code := newCode(h.clock.Now(), session)
	access := h.newAccess(code.Grant)
	return code, access, h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: "c-app", User: "u-ada", Session: session, Begin: &code.Grant, NewCode: &code,
		Flow: flow, NewAccess: access, Events: []event{h.event()}})
}

func beginnings(t *testing.T, open Opener) {
	t.Run("a grant begins in the front channel, and its code redeems once", func(t *testing.T) {
		h := newHouse(t, open)
		session := h.session()
		code, access, err := h.begun(session.ID, iam.FlowHash{})
		h.must(err)
		h.must(second(h.Access(h.ctx, access.Hash, h.clock.Now())))
		grant, err := h.Grant(h.ctx, code.Grant.ID)
		h.must(err)
		h.same(grant, code.Grant)
		refresh := h.newRefresh(code.Grant.ID)
		redeem := func() error {
			return h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: "c-app", User: "u-ada", Session: session.ID, Code: proofOf(code), NewRefresh: refresh,
				Binding: iam.Binding{JKT: "key"}})
		}
		h.must(redeem())
		grant, err = h.Grant(h.ctx, code.Grant.ID)
		h.must(err)
		h.same(grant.Binding, iam.Binding{JKT: "key"})
		h.must(second(h.Access(h.ctx, access.Hash, h.clock.Now())))
		h.want(redeem(), iam.ErrSpent) // C01: also what the front channel gave
		h.want(second(h.Access(h.ctx, access.Hash, h.clock.Now())), iam.ErrNotFound)
		h.want(second(h.rotate(refresh)), iam.ErrRevoked)
	})
	t.Run("a grant that has ended takes its code along", func(t *testing.T) {
		h := newHouse(t, open)
		code, _, err := h.begun(h.session().ID, iam.FlowHash{})
		h.must(err)
		h.must(h.RevokeGrant(h.ctx, code.Grant.ID))
		h.want(h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: "c-app", Code: proofOf(code)}), iam.ErrRevoked)
	})
	t.Run("a flow begins one grant", func(t *testing.T) {
		h := newHouse(t, open)
		session := h.session()
		flow := iam.Flow{Hash: iam.HashFlow(iam.NewSecret(iam.PrefixFlow)), Client: "c-app", Created: h.clock.Now(), Expires: h.clock.Now().Add(time.Hour)}
		h.must(h.AddFlow(h.ctx, flow))
		h.same(h.race(20, func() error {
			_, _, err := h.begun(session.ID, flow.Hash)
			return err
		}, iam.ErrNotFound), 1)
		grants, err := h.UserGrants(h.ctx, "u-ada")
		h.must(err)
		h.same(len(grants), 1)
	})
	t.Run("C28 nothing begins for who does not stand, and then nothing ends", func(t *testing.T) {
		for name, end := range map[string]func(*house, iam.Session) error{
			"the session": func(h *house, s iam.Session) error { return h.EndSession(h.ctx, s.ID) },
			"the person":  func(h *house, _ iam.Session) error { return h.RemoveUser(h.ctx, "u-ada") },
			"the client":  func(h *house, _ iam.Session) error { return h.SetClientDisabled(h.ctx, "c-app", true) },
		} {
			t.Log(name)
			h := newHouse(t, open)
			session := h.session()
			flow := iam.Flow{Hash: iam.HashFlow(iam.NewSecret(iam.PrefixFlow)), Browser: iam.Hash("b"), Client: "c-app", Created: h.clock.Now(), Expires: h.clock.Now().Add(time.Hour)}
			h.must(h.AddFlow(h.ctx, flow))
			h.must(end(h, session))
			code, _, err := h.begun(session.ID, flow.Hash)
			h.want(err, iam.ErrRevoked)
			h.want(second(h.Grant(h.ctx, code.Grant.ID)), iam.ErrNotFound)
			h.must(second(h.Flow(h.ctx, flow.Hash, flow.Browser, h.clock.Now())))
			own := iam.Grant{ID: uuid.NewString(), Client: "c-app", User: "u-ada", Created: h.clock.Now(), Expires: h.clock.Now().Add(time.Hour)}
			if name != "the session" {
				h.want(h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: "c-app", Begin: &own, Events: []event{h.event()}}), iam.ErrRevoked)
			}
		}
	})
	t.Run("an assertion begins a grant, of a person or of the client itself", func(t *testing.T) {
		h := newHouse(t, open)
		for _, user := range []string{"u-ada", ""} {
			grant := h.granted("")
			grant.User, grant.Binding = user, iam.Binding{JKT: "key"}
			refresh := h.newRefresh(grant.ID)
			h.must(h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: "c-app", User: user, Begin: &grant, NewRefresh: refresh, Events: []event{h.event()}}))
			_, got, err := h.Refresh(h.ctx, refresh.Hash)
			h.must(err)
			h.same(got, grant)
			h.must(h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: "c-app", User: user,
				Refresh: &iam.RefreshProof{Hash: refresh.Hash, Client: "c-app"}, Replace: h.newRefresh(grant.ID)}))
		}
	})
	t.Run("a grant that begins while the person is disabled stays dead when the person is enabled", func(t *testing.T) {
		h := newHouse(t, open)
		for range often(20, 500) {
			var access *iam.Access
			h.whileDisabled(func() (err error) {
				_, access, err = h.begun("", iam.FlowHash{})
				return err
			})
			h.want(second(h.Access(h.ctx, access.Hash, h.clock.Now())), iam.ErrNotFound)
		}
	})
}
