package storetest

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/recipe"
)

func (h *house) newRegistered(policy string) iam.Registered {
	return iam.Registered{
		Client: iam.Client{ID: iam.RegisteredPrefix + uuid.NewString(), Source: iam.FromRegistration, Kind: recipe.Web, Auth: oauth.AuthBasic,
			Scope: oauth.Scope{"openid", "a.read"}, Grants: []oauth.GrantType{oauth.AuthorizationCode}, RedirectURIs: []string{"https://app.example/cb"}, Policy: policy,
			Secrets: []iam.ClientSecret{{ID: "s", Hash: iam.Hash("s"), Sealed: "sealed", Created: h.clock.Now()}}, Changed: h.clock.Now()},
		Keeper: iam.HashKeeper(iam.NewSecret(iam.PrefixKeeper)), Document: `{"client_name":"é"}`, Created: h.clock.Now(), Used: h.clock.Now(),
	}
}

func (h *house) register(policy string) iam.Registered {
	h.t.Helper()
	registered := h.newRegistered(policy)
	h.must(h.Register(h.ctx, registered, iam.InitialHash{}, 100))
	return registered
}

func registrations(t *testing.T, open Opener) {
	t.Run("what is registered is found by its id and token, and as any client", func(t *testing.T) {
		h := newHouse(t, open)
		want := h.register("open")
		got, err := h.Registered(h.ctx, want.ID, want.Keeper)
		h.must(err)
		h.same(got, want)
		client, err := h.Client(h.ctx, want.ID)
		h.must(err)
		h.same(client, want.Client)
		h.wantChanges(iam.ChangedClient, want.ID)
		all, err := h.ListClients(h.ctx, iam.Page{})
		h.must(err)
		h.same(len(all), 2)
		h.want(h.Register(h.ctx, want, iam.InitialHash{}, 100), iam.ErrExists)
	})
	t.Run("G10 no other token opens it, before, after a change and after its end", func(t *testing.T) {
		h := newHouse(t, open)
		mine, other := h.register("open"), h.register("open")
		shut := func(keeper iam.KeeperHash) {
			t.Helper()
			h.want(second(h.Registered(h.ctx, mine.ID, keeper)), iam.ErrNotFound)
			h.want(h.Reregister(h.ctx, mine, keeper), iam.ErrNotFound)
			h.want(h.Unregister(h.ctx, mine.ID, keeper), iam.ErrNotFound)
		}
		shut(other.Keeper)
		shut(iam.KeeperHash{})
		old := mine.Keeper
		mine.Keeper = iam.HashKeeper(iam.NewSecret(iam.PrefixKeeper))
		h.must(h.Reregister(h.ctx, mine, old))
		shut(old)
		h.must(second(h.Registered(h.ctx, mine.ID, mine.Keeper)))
		h.must(h.Unregister(h.ctx, mine.ID, mine.Keeper))
		shut(mine.Keeper)
		h.want(h.Register(h.ctx, mine, iam.InitialHash{}, 100), iam.ErrExists) // its id never comes back
		h.want(second(h.Registered(h.ctx, "c-app", iam.KeeperHash{})), iam.ErrNotFound)
	})
	t.Run("a change replaces all that was said, and of many at once one wins", func(t *testing.T) {
		h := newHouse(t, open)
		was := h.register("open")
		access := h.newAccess(iam.Grant{Client: was.ID})
		h.must(h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: was.ID, NewAccess: access, Events: []event{h.event()}}))
		h.clock.Pass(time.Second)
		h.same(h.race(20, func() error {
			next := h.newRegistered("open")
			next.ID, next.Scope = was.ID, oauth.Scope{"openid"}
			return h.Reregister(h.ctx, next, was.Keeper)
		}, iam.ErrNotFound), 1)
		client, err := h.Client(h.ctx, was.ID)
		h.must(err)
		h.same(client.Scope, oauth.Scope{"openid"})
		h.same(len(client.Secrets), 1)
		h.wantChanges(iam.ChangeClient, was.ID) // it may have less now (X15)
	})
	t.Run("its end ends what it was given", func(t *testing.T) {
		h := newHouse(t, open)
		mine := h.register("open")
		got := h.redeemFor(mine.ID)
		h.must(h.Unregister(h.ctx, mine.ID, mine.Keeper, h.event()))
		h.want(second(h.rotateAs(mine.ID, got.refresh)), iam.ErrRevoked)
		h.want(second(h.Access(h.ctx, got.access.Hash, h.clock.Now())), iam.ErrNotFound)
		h.want(second(h.Client(h.ctx, mine.ID)), iam.ErrNotFound)
		h.wantChanges(iam.ChangeClient, mine.ID)
	})
	t.Run("it is disabled as any other", func(t *testing.T) {
		h := newHouse(t, open)
		mine := h.register("open")
		h.must(h.SetClientDisabled(h.ctx, mine.ID, true))
		got, err := h.Registered(h.ctx, mine.ID, mine.Keeper)
		h.must(err)
		h.same(got.Disabled, true)
		h.must(h.Reregister(h.ctx, mine, mine.Keeper))
		got, err = h.Registered(h.ctx, mine.ID, mine.Keeper)
		h.must(err)
		h.same(got.Disabled, true)
	})
}

func policies(t *testing.T, open Opener) {
	t.Run("of fifty that register at once under a policy as many win as it has room for", func(t *testing.T) {
		h := newHouse(t, open)
		made := make(chan iam.Registered, 50)
		h.same(h.race(50, func() error {
			registered := h.newRegistered("few")
			err := h.Register(h.ctx, registered, iam.InitialHash{}, 7)
			if err == nil {
				made <- registered
			}
			return err
		}, iam.ErrExists), 7)
		h.want(h.PutDocument(h.ctx, document("one", "few"), iam.Room{Most: 7}), iam.ErrExists)
		h.want(second(h.Client(h.ctx, "https://one.example/client")), iam.ErrNotFound)
		h.must(h.Register(h.ctx, h.newRegistered("other"), iam.InitialHash{}, 7))
		gone := <-made
		h.must(h.Unregister(h.ctx, gone.ID, gone.Keeper))
		h.must(h.PutDocument(h.ctx, document("one", "few"), iam.Room{Most: 7}))
		h.want(h.Register(h.ctx, h.newRegistered("few"), iam.InitialHash{}, 7), iam.ErrExists)
	})
	t.Run("an initial token registers as many clients as it says, of its policy", func(t *testing.T) {
		h := newHouse(t, open)
		initial := iam.Initial{ID: "i", Hash: iam.HashInitial(iam.NewSecret(iam.PrefixInitial)), Policy: "partners", Left: 3, Note: "for Eve\x00",
			Created: h.clock.Now(), Expires: h.clock.Now().Add(time.Hour)}
		h.must(h.AddInitial(h.ctx, initial, h.event()))
		initial.Note = "for Eve\uFFFD"
		got, err := h.Initial(h.ctx, initial.Hash, h.clock.Now())
		h.must(err)
		h.same(got, initial)
		h.want(h.Register(h.ctx, h.newRegistered("other"), initial.Hash, 100), iam.ErrNotFound)
		h.want(h.Register(h.ctx, h.newRegistered("partners"), initial.Hash, 0), iam.ErrExists) // and it is not used
		h.same(h.race(20, func() error { return h.Register(h.ctx, h.newRegistered("partners"), initial.Hash, 100) }, iam.ErrSpent), 3)
		h.want(second(h.Initial(h.ctx, initial.Hash, h.clock.Now())), iam.ErrSpent)
		all, err := h.ListInitials(h.ctx)
		h.must(err)
		h.same([]int{len(all), all[0].Left}, []int{1, 0})
		h.must(h.RemoveInitial(h.ctx, "i"))
		h.want(h.RemoveInitial(h.ctx, "i"), iam.ErrNotFound)
		h.want(h.Register(h.ctx, h.newRegistered("partners"), initial.Hash, 100), iam.ErrNotFound)
	})
	t.Run("C28 a policy that is dropped ends what its clients were given, and brings none of it back", func(t *testing.T) {
		h := newHouse(t, open)
		gone, kept := h.register("gone"), h.register("kept")
		h.must(h.PutDocument(h.ctx, document("one", "gone"), iam.Room{Most: 10}))
		ids := []string{gone.ID, "https://one.example/client"}
		h.must(h.GiveConsent(h.ctx, iam.Consent{User: "u-ada", Client: gone.ID, Scope: oauth.Scope{"openid"}, Given: h.clock.Now()}))
		waiting := newCodeOf(h, gone.ID)
		h.must(h.AddCode(h.ctx, waiting, iam.FlowHash{}, nil))
		given := []issued{h.redeemFor(ids[0]), h.redeemFor(ids[1])}
		others := []issued{h.redeemFor(kept.ID), h.redeemFor("c-app")}
		_, err := h.Apply(h.ctx, 0, iam.Revision{Narrowed: []string{"gone"}, Dropped: []string{"gone"}}, nil)
		h.must(err)
		_, err = h.Apply(h.ctx, 1, iam.Revision{}, nil) // and there it is again
		h.must(err)
		for i, id := range ids {
			h.want(second(h.rotateAs(id, given[i].refresh)), iam.ErrRevoked)
			h.want(second(h.Access(h.ctx, given[i].access.Hash, h.clock.Now())), iam.ErrNotFound)
			h.wantChanges(iam.ChangeClient, id)
			h.must(second(h.rotateAs(id, h.redeemFor(id).refresh)))
		}
		h.want(h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: gone.ID, User: "u-ada", Code: proofOf(waiting), NewAccess: h.newAccess(waiting.Grant)}), iam.ErrRevoked)
		h.want(second(h.Consent(h.ctx, "u-ada", gone.ID)), iam.ErrNotFound)
		h.must(second(h.rotateAs(kept.ID, others[0].refresh)))
		h.must(second(h.rotateAs("c-app", others[1].refresh)))
	})
	t.Run("time ends an initial token", func(t *testing.T) {
		h := newHouse(t, open)
		initial := iam.Initial{ID: "i", Hash: iam.HashInitial(iam.NewSecret(iam.PrefixInitial)), Policy: "p", Left: 3, Expires: h.clock.Now().Add(time.Hour)}
		h.must(h.AddInitial(h.ctx, initial))
		h.clock.Pass(time.Hour)
		h.want(second(h.Initial(h.ctx, initial.Hash, h.clock.Now())), iam.ErrExpired)
		h.want(h.Register(h.ctx, h.newRegistered("p"), initial.Hash, 100), iam.ErrExpired)
		h.want(second(h.Initial(h.ctx, iam.InitialHash{}, h.clock.Now())), iam.ErrNotFound)
		h.clock.Pass(48 * time.Hour)
		h.must(second(h.Sweep(h.ctx, h.clock.Now())))
		h.want(second(h.Initial(h.ctx, initial.Hash, h.clock.Now())), iam.ErrNotFound)
	})
}

// document is a client that a document describes.
func document(name, policy string) iam.Client {
	return iam.Client{ID: fmt.Sprintf("https://%s.example/client", name), Source: iam.FromDocument, Kind: recipe.Native, Auth: oauth.AuthNone,
		Scope: oauth.Scope{"openid", "a.read"}, Grants: []oauth.GrantType{oauth.AuthorizationCode}, Policy: policy}
}

func documents(t *testing.T, open Opener) {
	t.Run("of many that read a new document at once all keep it, and it counts once", func(t *testing.T) {
		h := newHouse(t, open)
		h.same(h.race(20, func() error { return h.PutDocument(h.ctx, document("one", "mcp"), iam.Room{Most: 1}) }, nil), 20)
		client, err := h.Client(h.ctx, "https://one.example/client")
		h.must(err)
		want := document("one", "mcp")
		want.Changed = h.clock.Now()
		h.same(client, want)
		h.want(h.PutDocument(h.ctx, document("two", "mcp"), iam.Room{Most: 1}), iam.ErrExists)
		moved := document("one", "other")
		h.must(h.PutDocument(h.ctx, moved, iam.Room{Most: 1})) // it makes room where it was
		h.must(h.PutDocument(h.ctx, document("two", "mcp"), iam.Room{Most: 1}))
	})
	t.Run("of one site as many stand under a policy as it may have, and no other is kept out", func(t *testing.T) {
		h := newHouse(t, open)
		of := func(site string) iam.Room { return iam.Room{Most: 10, Site: site, OfSite: 3} }
		var next atomic.Int32
		h.same(h.race(20, func() error {
			return h.PutDocument(h.ctx, document(fmt.Sprintf("a%d.evil", next.Add(1)), "mcp"), of("evil.example"))
		}, iam.ErrExists), 3)
		h.must(h.PutDocument(h.ctx, document("one", "mcp"), of("one.example")))
		h.must(h.PutDocument(h.ctx, document("a.evil", "other"), of("evil.example")))
		all, err := h.ListSelfMade(h.ctx, "mcp", iam.Page{})
		h.must(err)
		h.same([]any{len(all), all[0].Document}, []any{4, ""})
		h.must(h.PutDocument(h.ctx, all[0].Client, of("evil.example"))) // it stands already
		h.clock.Pass(time.Hour)
		h.must(h.RemoveUnused(h.ctx, all[0].ID, h.clock.Now()))
		h.must(h.PutDocument(h.ctx, document("last.evil", "mcp"), of("evil.example")))
	})
	t.Run("a client of one source never takes the place of another's", func(t *testing.T) {
		h := newHouse(t, open)
		registered := h.register("open")
		h.must(h.PutDocument(h.ctx, document("one", "mcp"), iam.Room{Most: 10}))
		h.apply(declared("app", ""))
		ids := []string{registered.ID, "https://one.example/client", "c-app", "app"}
		before := map[string]iam.Client{}
		for _, id := range ids {
			client, err := h.Client(h.ctx, id)
			h.must(err)
			before[id] = client
		}
		for _, id := range ids {
			other := registered
			other.ID = id
			at := document("x", "mcp")
			at.ID = id
			if id != "c-app" {
				h.want(h.PutClient(h.ctx, iam.Client{ID: id}), iam.ErrExists)
				h.want(h.RemoveClient(h.ctx, id), iam.ErrNotFound)
			}
			if id != registered.ID {
				h.want(h.Reregister(h.ctx, other, registered.Keeper), iam.ErrNotFound)
				h.want(h.Unregister(h.ctx, id, iam.KeeperHash{}), iam.ErrNotFound)
			}
			if id != "https://one.example/client" {
				h.want(h.PutDocument(h.ctx, at, iam.Room{Most: 10}), iam.ErrExists)
			}
			if id != "app" {
				_, err := h.Apply(h.ctx, 1, iam.Revision{}, []iam.Client{declared("app", ""), declared(id, "")})
				h.want(err, iam.ErrExists)
			}
			h.want(h.Register(h.ctx, other, iam.InitialHash{}, 10), iam.ErrExists)
			after, err := h.Client(h.ctx, id)
			h.must(err)
			h.same(after, before[id])
		}
	})
	t.Run("a document that says less ends tokens, and one that was removed comes back without what it had", func(t *testing.T) {
		h := newHouse(t, open)
		h.must(h.PutDocument(h.ctx, document("one", "mcp"), iam.Room{Most: 10}))
		id := "https://one.example/client"
		first := h.redeemFor(id)
		less := document("one", "mcp")
		less.Scope = oauth.Scope{"openid"}
		h.must(h.PutDocument(h.ctx, less, iam.Room{Most: 10}))
		h.wantChanges(iam.ChangeClient, id)
		h.clock.Pass(time.Hour)
		h.must(h.RemoveUnused(h.ctx, id, h.clock.Now()))
		h.want(second(h.Client(h.ctx, id)), iam.ErrNotFound)
		h.must(h.PutDocument(h.ctx, document("one", "mcp"), iam.Room{Most: 10}))
		h.want(second(h.rotateAs(id, first.refresh)), iam.ErrRevoked)
		again := h.redeemFor(id)
		h.must(second(h.rotateAs(id, again.refresh)))
	})
	t.Run("what nobody uses is found and removed, and no other", func(t *testing.T) {
		h := newHouse(t, open)
		old, used, other := h.register("open"), h.register("open"), h.register("kept")
		h.must(h.PutDocument(h.ctx, document("one", "open"), iam.Room{Most: 100}))
		one := "https://one.example/client"
		h.clock.Pass(30 * 24 * time.Hour)
		h.must(h.UseClient(h.ctx, used.ID, h.clock.Now()))
		h.must(h.UseClient(h.ctx, used.ID, h.clock.Now().Add(time.Hour))) // within a day it is not written again
		h.must(h.UseClient(h.ctx, "none", h.clock.Now()))
		got, err := h.Registered(h.ctx, used.ID, used.Keeper)
		h.must(err)
		h.same(got.Used, h.clock.Now())
		since := h.clock.Now().Add(-time.Hour)
		ids, err := h.Unused(h.ctx, "open", since, 10)
		h.must(err)
		slices.Sort(ids)
		h.same(ids, []string{one, old.ID})
		few, err := h.Unused(h.ctx, "open", since, 1)
		h.must(err)
		h.same(len(few), 1)
		h.want(h.RemoveUnused(h.ctx, used.ID, since), iam.ErrNotFound)
		h.want(h.RemoveUnused(h.ctx, "c-app", since), iam.ErrNotFound)
		h.same(h.race(10, func() error { return h.RemoveUnused(h.ctx, old.ID, since, h.event()) }, iam.ErrNotFound), 1)
		h.must(h.RemoveUnused(h.ctx, one, since))
		h.want(second(h.Registered(h.ctx, old.ID, old.Keeper)), iam.ErrNotFound)
		all, err := h.ListSelfMade(h.ctx, "", iam.Page{})
		h.must(err)
		h.same(len(all), 2)
		kept, err := h.ListSelfMade(h.ctx, "kept", iam.Page{})
		h.must(err)
		other.Keeper, other.Document = iam.KeeperHash{}, ""
		h.same(kept, []iam.Registered{other})
		none, err := h.ListSelfMade(h.ctx, "kept", iam.Page{After: other.ID})
		h.must(err)
		h.same(len(none), 0)
	})
}
