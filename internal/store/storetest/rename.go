package storetest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/recipe"
)

// declared is a client of a recipe.
func declared(id, was string) iam.Client {
	return iam.Client{ID: id, Was: was, Kind: recipe.Native, Auth: oauth.AuthNone, Scope: oauth.Scope{"openid", "a.read"},
		Grants: []oauth.GrantType{oauth.AuthorizationCode, oauth.RefreshToken}, RedirectURIs: []string{"https://app.example/cb"}}
}

// apply declares clients and nothing else.
func (h *house) apply(clients ...iam.Client) {
	h.t.Helper()
	last, err := h.InForce(h.ctx)
	if err != nil {
		h.want(err, iam.ErrNotFound)
	}
	_, err = h.Apply(h.ctx, last.Number, iam.Revision{}, clients)
	h.must(err)
}

// redeemFor redeems a code that ada gave a client.
func (h *house) redeemFor(client string) issued {
	h.t.Helper()
	code := newCodeOf(h, client)
	h.must(h.AddCode(h.ctx, code, iam.FlowHash{}, nil))
	got := issued{code, h.newRefresh(code.Grant.ID), h.newAccess(code.Grant)}
	h.must(h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: client, User: "u-ada", Code: proofOf(code), NewRefresh: got.refresh, NewAccess: got.access}))
	return got
}

// rotateAs refreshes as a client.
func (h *house) rotateAs(client string, token *iam.Refresh) (*iam.Refresh, error) {
	next := h.newRefresh(token.Grant)
	return next, h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: client, User: "u-ada",
		Refresh: &iam.RefreshProof{Hash: token.Hash, Client: client}, Replace: next})
}

func renamings(t *testing.T, open Opener) {
	t.Run("what was given to a client goes on under its new id", func(t *testing.T) {
		h := newHouse(t, open)
		h.apply(declared("old", ""), declared("other", ""))
		h.must(h.AddClientSecret(h.ctx, "old", iam.ClientSecret{ID: "s", Hash: iam.Hash("s"), Created: h.clock.Now()}))
		h.must(h.GiveConsent(h.ctx, iam.Consent{User: "u-ada", Client: "old", Scope: oauth.Scope{"a.read"}, Given: h.clock.Now()}))
		h.must(h.GiveConsent(h.ctx, iam.Consent{User: "u-ada", Client: "new", Scope: oauth.Scope{"openid"}, Given: h.clock.Now()}))
		got, others := h.redeemFor("old"), h.redeemFor("other")
		waiting := newCodeOf(h, "old")
		h.must(h.AddCode(h.ctx, waiting, iam.FlowHash{}, nil))

		h.apply(declared("new", "old"), declared("other", ""))
		client, err := h.Client(h.ctx, "new")
		h.must(err)
		if client.Disabled || len(client.Secrets) != 1 || client.Was != "" {
			t.Fatalf("%+v", client)
		}
		consents, err := h.UserConsents(h.ctx, "u-ada")
		h.must(err)
		h.same(consents, []iam.Consent{{User: "u-ada", Client: "new", Scope: oauth.Scope{"a.read"}, Given: h.clock.Now()}})
		grant, err := h.Grant(h.ctx, got.code.Grant.ID)
		h.must(err)
		h.same(grant.Client, "new")
		h.same(grant.Revoked.IsZero(), true)
		_, err = h.rotateAs("old", got.refresh)
		h.want(err, iam.ErrMismatch)
		next, err := h.rotateAs("new", got.refresh)
		h.must(err)
		_, err = h.rotateAs("new", next)
		h.must(err)
		_, err = h.rotateAs("other", others.refresh)
		h.must(err)

		_, err = h.Client(h.ctx, "old")
		h.want(err, iam.ErrNotFound)
		h.wantChanges(iam.ChangeClient, "old")
		h.wantChanges(iam.ChangedClient, "new")
		_, err = h.Access(h.ctx, got.access.Hash, h.clock.Now())
		h.want(err, iam.ErrNotFound)
		for _, id := range []string{"old", "new"} {
			proof := *proofOf(waiting)
			proof.Client = id
			h.want(h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: id, Code: &proof}), errAny)
		}
		h.want(h.AddCode(h.ctx, newCodeOf(h, "old"), iam.FlowHash{}, nil), iam.ErrRevoked)
	})
	t.Run("who is disabled stays so, and what has ended stays ended", func(t *testing.T) {
		h := newHouse(t, open)
		h.apply(declared("old", ""))
		ended := h.redeemFor("old")
		h.must(h.SetClientDisabled(h.ctx, "old", true))
		h.apply(declared("new", "old"))
		client, err := h.Client(h.ctx, "new")
		h.must(err)
		h.same(client.Disabled, true)
		h.must(h.SetClientDisabled(h.ctx, "new", false))
		_, err = h.rotateAs("old", ended.refresh)
		h.want(err, iam.ErrRevoked)
		_, err = h.rotateAs("new", ended.refresh)
		h.want(err, iam.ErrMismatch)
	})
	t.Run("a name that was borne before does not wake what it was given then", func(t *testing.T) {
		h := newHouse(t, open)
		h.apply(declared("one", ""))
		first := h.redeemFor("one")
		h.apply()
		h.apply(declared("two", ""))
		second := h.redeemFor("two")
		h.apply(declared("one", "two"))
		_, err := h.rotateAs("one", first.refresh)
		h.want(err, iam.ErrRevoked)
		_, err = h.rotateAs("one", second.refresh)
		h.must(err)
	})
}

func newCodeOf(h *house, client string) iam.Code {
	code := newCode(h.clock.Now(), "")
	code.Grant.Client = client
	return code
}

func renamingBounds(t *testing.T, open Opener) {
	t.Run("nobody takes the place of one who stays, of one made at run time, or of two at once", func(t *testing.T) {
		h := newHouse(t, open)
		h.apply(declared("old", ""))
		got, app := h.redeemFor("old"), h.redeem("")
		h.apply(declared("a", "old"), declared("old", ""), declared("z", "c-app"))
		_, err := h.rotate(app.refresh)
		h.must(err)
		h.apply(declared("a", "old"), declared("b", "old"), declared("old", ""))
		next, err := h.rotateAs("old", got.refresh)
		h.must(err)
		h.apply(declared("a", "old")) // a stood already, so it is another
		_, err = h.rotateAs("a", next)
		h.want(err, iam.ErrMismatch)
		_, err = h.rotateAs("old", next)
		h.want(err, iam.ErrRevoked)

		again := h.redeemFor("a")
		h.apply(declared("b", "a"), declared("c", "a"))
		_, err = h.rotateAs("c", again.refresh)
		h.want(err, iam.ErrMismatch)
		_, err = h.rotateAs("b", again.refresh)
		h.must(err)
		h.apply(declared("b", "a"), declared("c", "a")) // the recipe may go on saying so
		_, err = h.Client(h.ctx, "b")
		h.must(err)
	})
	t.Run("a family that is refreshed meanwhile goes on, under one id", func(t *testing.T) {
		h := newHouse(t, open)
		h.apply(declared("n0", ""))
		token := h.redeemFor("n0").refresh
		for i := range often(10, 200) {
			old, now := fmt.Sprint("n", i), fmt.Sprint("n", i+1)
			var next *iam.Refresh
			var lost error
			h.both(func() error {
				next, lost = h.rotateAs(old, token)
				return lost
			}, func() error {
				_, err := h.Apply(h.ctx, int64(i+1), iam.Revision{}, []iam.Client{declared(now, old)})
				return err
			})
			switch {
			case lost == nil:
				token = next
			case !errors.Is(lost, iam.ErrMismatch) && !errors.Is(lost, iam.ErrRevoked):
				t.Fatal(lost)
			}
			_, err := h.rotateAs(old, token)
			h.want(err, iam.ErrMismatch)
			token, err = h.rotateAs(now, token)
			h.must(err)
		}
	})
	t.Run("who is disabled meanwhile is disabled, or the disabling is refused", func(t *testing.T) {
		h := newHouse(t, open)
		h.apply(declared("n0", ""))
		for i := range often(10, 200) {
			old, now := fmt.Sprint("n", i), fmt.Sprint("n", i+1)
			var lost error
			h.both(func() error {
				lost = h.SetClientDisabled(h.ctx, old, true)
				return lost
			}, func() error {
				_, err := h.Apply(h.ctx, int64(i+1), iam.Revision{}, []iam.Client{declared(now, old)})
				return err
			})
			client, err := h.Client(h.ctx, now)
			h.must(err)
			h.same(client.Disabled, lost == nil)
			h.must(h.SetClientDisabled(h.ctx, now, false))
		}
	})
}
