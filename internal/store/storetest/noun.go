package storetest

import (
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/recipe"
)

// same fails the test when two values differ.
func (h *house) same(got, want any) {
	h.t.Helper()
	// Of two digests that were never set neither equals the other, to whoever compares secrets.
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b iam.Digest) bool { return a == b })); diff != "" {
		h.t.Fatalf("(-want +got)\n%s", diff)
	}
}

func clients(t *testing.T, open Opener) {
	t.Run("what is put is found", func(t *testing.T) {
		h := newHouse(t, open)
		want := h.client("c-one")
		got, err := h.Client(h.ctx, "c-one")
		h.must(err)
		want.Changed = h.clock.Now()
		h.same(got, want)
		_, err = h.Client(h.ctx, "c-none")
		h.want(err, iam.ErrNotFound)
	})
	t.Run("two secrets live, a third is refused", func(t *testing.T) {
		h := newHouse(t, open)
		secret := func(id string) iam.ClientSecret {
			return iam.ClientSecret{ID: id, Hash: iam.Hash(id), Created: h.clock.Now()}
		}
		h.must(h.AddClientSecret(h.ctx, "c-app", secret("s1")))
		h.clock.Pass(time.Second)
		h.must(h.AddClientSecret(h.ctx, "c-app", secret("s2")))
		h.want(h.AddClientSecret(h.ctx, "c-app", secret("s3")), iam.ErrExists)
		client, err := h.Client(h.ctx, "c-app")
		h.must(err)
		if len(client.Secrets) != 2 || !client.Secrets[0].Hash.Equal(iam.Hash("s1")) {
			t.Fatalf("secrets: %v", client.Secrets)
		}
		h.must(h.RemoveClientSecret(h.ctx, "c-app", "s1"))
		h.want(h.RemoveClientSecret(h.ctx, "c-app", "s1"), iam.ErrNotFound)
		h.must(h.AddClientSecret(h.ctx, "c-app", secret("s3")))
		h.want(h.AddClientSecret(h.ctx, "c-none", secret("s1")), iam.ErrNotFound)
	})
	t.Run("a secret past its end neither lives nor counts", func(t *testing.T) {
		h := newHouse(t, open)
		for _, id := range []string{"s1", "s2"} {
			h.must(h.AddClientSecret(h.ctx, "c-app", iam.ClientSecret{ID: id, Hash: iam.Hash(id), Created: h.clock.Now(), Expires: h.clock.Now().Add(time.Hour)}))
		}
		h.clock.Pass(2 * time.Hour)
		client, err := h.Client(h.ctx, "c-app")
		h.must(err)
		if len(client.Secrets) != 0 {
			t.Fatalf("secrets: %v", client.Secrets)
		}
		h.must(h.AddClientSecret(h.ctx, "c-app", iam.ClientSecret{ID: "s3", Hash: iam.Hash("s3"), Created: h.clock.Now()}))
	})
	t.Run("of many secrets at once two are kept", func(t *testing.T) {
		h := newHouse(t, open)
		n := make(chan int, 20)
		for i := range 20 {
			n <- i
		}
		wins := h.race(20, func() error {
			id := fmt.Sprint("s", <-n)
			return h.AddClientSecret(h.ctx, "c-app", iam.ClientSecret{ID: id, Hash: iam.Hash(id), Created: h.clock.Now()})
		}, iam.ErrExists)
		if wins != 2 {
			t.Fatalf("%d were kept", wins)
		}
	})
}

func clientEnds(t *testing.T, open Opener) {
	t.Run("a removed id never comes back", func(t *testing.T) {
		h := newHouse(t, open)
		h.must(h.RemoveClient(h.ctx, "c-app"))
		_, err := h.Client(h.ctx, "c-app")
		h.want(err, iam.ErrNotFound)
		h.want(h.PutClient(h.ctx, iam.Client{ID: "c-app", Kind: recipe.Web}), iam.ErrExists)
		h.want(h.RemoveClient(h.ctx, "c-app"), iam.ErrNotFound)
		h.want(h.SetClientDisabled(h.ctx, "c-app", true), iam.ErrNotFound)
	})
	t.Run("a disabled one is found and gets nothing", func(t *testing.T) {
		h := newHouse(t, open)
		h.must(h.SetClientDisabled(h.ctx, "c-app", true))
		client, err := h.Client(h.ctx, "c-app")
		h.must(err)
		if !client.Disabled {
			t.Fatal("it is not disabled")
		}
		own := iam.Issue{Now: h.clock.Now(), Client: "c-app", Events: []event{h.event()}}
		h.want(h.Issue(h.ctx, own), iam.ErrRevoked)
		own.Events = nil
		h.want(h.Issue(h.ctx, own), iam.ErrRevoked)
		h.want(h.AddCode(h.ctx, newCode(h.clock.Now(), ""), iam.FlowHash{}, nil), iam.ErrRevoked)
		events, err := h.Events(h.ctx, iam.JournalQuery{})
		h.must(err)
		h.same(len(events), 0)
	})
	t.Run("pages go through all of them once", func(t *testing.T) {
		h := newHouse(t, open)
		for i := range 25 {
			h.client(fmt.Sprintf("c-%02d", i))
		}
		h.must(h.AddClientSecret(h.ctx, "c-07", iam.ClientSecret{ID: "s", Hash: iam.Hash("s"), Created: h.clock.Now()}))
		var ids []string
		for page := (iam.Page{Limit: 10}); ; {
			clients, err := h.ListClients(h.ctx, page)
			h.must(err)
			for _, client := range clients {
				ids = append(ids, client.ID)
				if want := map[bool]int{true: 1}[client.ID == "c-07"]; len(client.Secrets) != want {
					t.Fatalf("%s has %d secrets", client.ID, len(client.Secrets))
				}
			}
			if len(clients) == 0 {
				break
			}
			page.After = ids[len(ids)-1]
		}
		h.same(len(ids), 26)
	})
	t.Run("a client's own opaque token dies with its era", func(t *testing.T) {
		h := newHouse(t, open)
		access := h.newAccess(iam.Grant{Client: "c-app"})
		h.must(h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: "c-app", NewAccess: access, Events: []event{h.event()}}))
		got, err := h.Access(h.ctx, access.Hash, h.clock.Now())
		h.must(err)
		h.same(got, *access)
		_, err = h.Access(h.ctx, access.Hash, access.Expires)
		h.want(err, iam.ErrNotFound)
		h.must(h.SetClientDisabled(h.ctx, "c-app", true))
		h.must(h.SetClientDisabled(h.ctx, "c-app", false))
		_, err = h.Access(h.ctx, access.Hash, h.clock.Now())
		h.want(err, iam.ErrNotFound)
	})
}

func people(t *testing.T, open Opener) {
	t.Run("what is added is found, by id, name and verified address", func(t *testing.T) {
		h := newHouse(t, open)
		h.must(h.PutGroup(h.ctx, iam.Group{Name: "staff"}))
		want := iam.User{ID: "u-bob", Username: "bob", Email: "Bob@example.com", EmailKey: "bob@example.com", EmailVerified: true, Name: "Bob",
			Claims: map[string]any{"given_name": "Bob"}, Groups: []string{"staff"}, Admin: true, Locale: "fr", Created: h.clock.Now(), Changed: h.clock.Now()}
		h.must(h.AddUser(h.ctx, want, iam.Password{PHC: "$argon2id$"}))
		for _, find := range []func() (iam.User, error){
			func() (iam.User, error) { return h.User(h.ctx, "u-bob") },
			func() (iam.User, error) { return h.UserByName(h.ctx, "bob") },
			func() (iam.User, error) { return h.UserByName(h.ctx, "bob@example.com") },
		} {
			got, err := find()
			h.must(err)
			h.same(got, want)
		}
		password, err := h.Password(h.ctx, "u-bob")
		h.must(err)
		h.same(password, iam.Password{User: "u-bob", PHC: "$argon2id$", Changed: h.clock.Now()})
		_, err = h.Password(h.ctx, "u-ada")
		h.want(err, iam.ErrNotFound)
		_, err = h.UserByName(h.ctx, "ada@example.com")
		h.want(err, iam.ErrNotFound) // not verified
		_, err = h.UserByName(h.ctx, "")
		h.want(err, iam.ErrNotFound)
	})
	t.Run("names and verified addresses are unique, unverified ones are not", func(t *testing.T) {
		h := newHouse(t, open)
		h.want(h.AddUser(h.ctx, iam.User{ID: "u-2", Username: "ada"}, iam.Password{}), iam.ErrExists)
		h.want(h.AddUser(h.ctx, iam.User{ID: "u-ada", Username: "other"}, iam.Password{}), iam.ErrExists)
		h.must(h.AddUser(h.ctx, iam.User{ID: "u-3", Username: "eve", EmailKey: "ada@example.com"}, iam.Password{}))
		h.must(h.AddUser(h.ctx, iam.User{ID: "u-4", Username: "fay", EmailKey: "fay@example.com", EmailVerified: true}, iam.Password{}))
		h.want(h.AddUser(h.ctx, iam.User{ID: "u-5", Username: "gus", EmailKey: "fay@example.com", EmailVerified: true}, iam.Password{PHC: "x"}), iam.ErrExists)
		_, err := h.Password(h.ctx, "u-5")
		h.want(err, iam.ErrNotFound)
	})
}

func peopleEnd(t *testing.T, open Opener) {
	t.Run("a removed id never comes back, its name may", func(t *testing.T) {
		h := newHouse(t, open)
		h.must(h.SetPassword(h.ctx, iam.Password{User: "u-ada", PHC: "x"}, ""))
		h.must(h.RemoveUser(h.ctx, "u-ada"))
		_, err := h.User(h.ctx, "u-ada")
		h.want(err, iam.ErrNotFound)
		_, err = h.Password(h.ctx, "u-ada")
		h.want(err, iam.ErrNotFound)
		h.want(h.AddUser(h.ctx, iam.User{ID: "u-ada", Username: "again"}, iam.Password{}), iam.ErrExists)
		h.must(h.AddUser(h.ctx, iam.User{ID: "u-new", Username: "ada"}, iam.Password{}))
		h.want(h.SetPassword(h.ctx, iam.Password{User: "u-ada", PHC: "x"}, ""), iam.ErrNotFound)
	})
	t.Run("a password is rehashed only while it is the same", func(t *testing.T) {
		h := newHouse(t, open)
		h.must(h.SetPassword(h.ctx, iam.Password{User: "u-ada", PHC: "one"}, ""))
		session := h.session()
		h.must(h.Rehash(h.ctx, "u-ada", "one", "two"))
		h.want(h.Rehash(h.ctx, "u-ada", "one", "three"), iam.ErrRaced)
		_, err := h.Session(h.ctx, session.Hash, h.clock.Now(), time.Hour)
		h.must(err)
	})
	t.Run("groups", func(t *testing.T) {
		h := newHouse(t, open)
		h.want(h.SetMember(h.ctx, "staff", "u-ada", true), iam.ErrNotFound)
		h.must(h.PutGroup(h.ctx, iam.Group{Name: "staff", Say: "Staff"}))
		h.want(h.SetMember(h.ctx, "staff", "u-none", true), iam.ErrNotFound)
		for range 2 {
			h.must(h.SetMember(h.ctx, "staff", "u-ada", true))
		}
		groups, err := h.ListGroups(h.ctx, iam.Page{})
		h.must(err)
		h.same(groups, []iam.Group{{Name: "staff", Say: "Staff", Members: 1, Created: h.clock.Now()}})
		members, err := h.GroupMembers(h.ctx, "staff", iam.Page{})
		h.must(err)
		h.same(len(members), 1)
		h.same(members[0].Groups, []string{"staff"})
		user := members[0]
		user.Groups = []string{"none"}
		h.want(h.SetUser(h.ctx, user), iam.ErrNotFound)
		h.must(h.RemoveGroup(h.ctx, "staff"))
		h.want(h.RemoveGroup(h.ctx, "staff"), iam.ErrNotFound)
		user, err = h.User(h.ctx, "u-ada")
		h.must(err)
		h.same(len(user.Groups), 0)
		_, err = h.GroupMembers(h.ctx, "staff", iam.Page{})
		h.want(err, iam.ErrNotFound)
	})
}

func sessions(t *testing.T, open Opener) {
	t.Run("a session lives until its end, or until it is idle", func(t *testing.T) {
		h := newHouse(t, open)
		want := h.session()
		got, err := h.Session(h.ctx, want.Hash, h.clock.Now(), time.Hour)
		h.must(err)
		h.same(got, want)
		h.clock.Pass(59 * time.Minute)
		h.must(h.TouchSession(h.ctx, want.ID, h.clock.Now()))
		h.clock.Pass(59 * time.Minute)
		_, err = h.Session(h.ctx, want.Hash, h.clock.Now(), time.Hour)
		h.must(err)
		h.clock.Pass(2 * time.Minute)
		_, err = h.Session(h.ctx, want.Hash, h.clock.Now(), time.Hour)
		h.want(err, iam.ErrNotFound)
		_, err = h.Session(h.ctx, want.Hash, want.Expires, 100*time.Hour)
		h.want(err, iam.ErrNotFound)
		_, err = h.Session(h.ctx, iam.SessionHash{}, h.clock.Now(), time.Hour)
		h.want(err, iam.ErrNotFound)
	})
	t.Run("signing in again rotates the cookie and takes along what was given", func(t *testing.T) {
		h := newHouse(t, open)
		old := h.session()
		got := h.redeem(old.ID)
		next := old
		next.ID, next.Hash = "sid-2", iam.HashSession(iam.NewSecret(iam.PrefixSession))
		h.must(h.StartSession(h.ctx, next, old.Hash))
		_, err := h.Session(h.ctx, old.Hash, h.clock.Now(), time.Hour)
		h.want(err, iam.ErrNotFound)
		_, err = h.rotate(got.refresh)
		h.must(err)
		h.must(h.EndSession(h.ctx, "sid-2"))
		h.must(h.EndSession(h.ctx, "sid-2"))
		h.wantChanges(iam.ChangeGrant, got.code.Grant.ID)
	})
	t.Run("another person in the same browser ends the first one's", func(t *testing.T) {
		h := newHouse(t, open)
		h.user("bob")
		old := h.session()
		got := h.redeem(old.ID)
		next := old
		next.ID, next.User, next.Hash = "sid-2", "u-bob", iam.HashSession(iam.NewSecret(iam.PrefixSession))
		h.must(h.StartSession(h.ctx, next, old.Hash))
		h.wantChanges(iam.ChangeSession, old.ID)
		_, err := h.rotate(got.refresh)
		h.want(err, iam.ErrRevoked)
	})
	t.Run("a disabled person starts none", func(t *testing.T) {
		h := newHouse(t, open)
		user, err := h.User(h.ctx, "u-ada")
		h.must(err)
		user.Disabled = true
		h.must(h.SetUser(h.ctx, user))
		h.want(h.StartSession(h.ctx, iam.Session{ID: "s", User: "u-ada", Expires: h.clock.Now().Add(time.Hour)}, iam.SessionHash{}), iam.ErrRevoked)
	})
	t.Run("lists", func(t *testing.T) {
		h := newHouse(t, open)
		one, two := h.session(), h.session()
		mine, err := h.UserSessions(h.ctx, "u-ada")
		h.must(err)
		all, err := h.ListSessions(h.ctx, iam.Page{})
		h.must(err)
		h.same([]int{len(mine), len(all)}, []int{2, 2})
		h.must(h.EndUserSessions(h.ctx, "u-ada", one.ID))
		mine, err = h.UserSessions(h.ctx, "u-ada")
		h.must(err)
		h.same(mine, []iam.Session{one})
		h.wantChanges(iam.ChangeSession, two.ID)
	})
}

func flows(t *testing.T, open Opener) {
	flow := func(h *house) iam.Flow {
		f := iam.Flow{Hash: iam.HashFlow(iam.NewSecret(iam.PrefixFlow)), Browser: iam.Hash("browser"), Client: "c-app", Query: "client_id=c-app",
			Created: h.clock.Now(), Expires: h.clock.Now().Add(time.Hour)}
		h.must(h.AddFlow(h.ctx, f))
		return f
	}
	t.Run("only its browser finds it, until it ends", func(t *testing.T) {
		h := newHouse(t, open)
		f := flow(h)
		got, err := h.Flow(h.ctx, f.Hash, f.Browser, h.clock.Now())
		h.must(err)
		h.same(got, f)
		for _, browser := range []iam.Digest{{}, iam.Hash("other")} {
			_, err = h.Flow(h.ctx, f.Hash, browser, h.clock.Now())
			h.want(err, iam.ErrNotFound)
		}
		f.User, f.Asked = "u-ada", []string{"login", "consent"}
		h.must(h.SetFlow(h.ctx, f))
		got, err = h.Flow(h.ctx, f.Hash, f.Browser, h.clock.Now())
		h.must(err)
		h.same(got, f)
		_, err = h.Flow(h.ctx, f.Hash, f.Browser, f.Expires)
		h.want(err, iam.ErrNotFound)
		h.must(h.EndFlow(h.ctx, f.Hash))
		h.want(h.SetFlow(h.ctx, f), iam.ErrNotFound)
	})
	t.Run("a flow gives one code", func(t *testing.T) {
		h := newHouse(t, open)
		f := flow(h)
		wins := h.race(10, func() error {
			return h.AddCode(h.ctx, newCode(h.clock.Now(), ""), f.Hash, &iam.Consent{User: "u-ada", Client: "c-app", Scope: oauth.Scope{"a.read"}})
		}, iam.ErrNotFound)
		h.same(wins, 1)
		consent, err := h.Consent(h.ctx, "u-ada", "c-app")
		h.must(err)
		h.same(consent.Scope, oauth.Scope{"a.read"})
	})
	t.Run("a code that can't be given leaves the flow", func(t *testing.T) {
		h := newHouse(t, open)
		f := flow(h)
		code := newCode(h.clock.Now(), "no-such-session")
		h.want(h.AddCode(h.ctx, code, f.Hash, nil), iam.ErrRevoked)
		_, err := h.Flow(h.ctx, f.Hash, f.Browser, h.clock.Now())
		h.must(err)
	})
}

func consents(t *testing.T, open Opener) {
	h := newHouse(t, open)
	give := func(scope ...string) {
		h.must(h.GiveConsent(h.ctx, iam.Consent{User: "u-ada", Client: "c-app", Scope: scope, Given: h.clock.Now()}))
	}
	_, err := h.Consent(h.ctx, "u-ada", "c-app")
	h.want(err, iam.ErrNotFound)
	give("a", "b")
	give("b", "c")
	all, err := h.UserConsents(h.ctx, "u-ada")
	h.must(err)
	h.same(all, []iam.Consent{{User: "u-ada", Client: "c-app", Scope: oauth.Scope{"a", "b", "c"}, Given: h.clock.Now()}})
	h.must(h.RevokeConsent(h.ctx, "u-ada", "c-app"))
	h.want(h.RevokeConsent(h.ctx, "u-ada", "c-app"), iam.ErrNotFound)
	_, err = h.Consent(h.ctx, "u-ada", "c-app")
	h.want(err, iam.ErrNotFound)
}

func links(t *testing.T, open Opener) {
	t.Run("a link of one kind is never another", func(t *testing.T) {
		h := newHouse(t, open)
		l := linkOf(h, iam.LinkVerify)
		got, err := h.Link(h.ctx, iam.LinkVerify, l.Hash)
		h.must(err)
		h.same(got, l)
		for _, kind := range []iam.LinkKind{iam.LinkReset, iam.LinkEnrol, ""} {
			_, err := h.Link(h.ctx, kind, l.Hash)
			h.want(err, iam.ErrNotFound)
			_, err = h.UsePasswordLink(h.ctx, kind, l.Hash, "x")
			h.want(err, iam.ErrNotFound)
		}
		_, err = h.UsePasswordLink(h.ctx, iam.LinkVerify, l.Hash, "x")
		h.want(err, iam.ErrNotFound)
		reset := linkOf(h, iam.LinkReset)
		_, err = h.VerifyEmail(h.ctx, reset.Hash)
		h.want(err, iam.ErrNotFound)
		user, err := h.VerifyEmail(h.ctx, l.Hash)
		h.must(err)
		h.same(user.EmailVerified, true)
		_, err = h.VerifyEmail(h.ctx, l.Hash)
		h.want(err, iam.ErrNotFound)
	})
	t.Run("of many that use one reset link one wins, and everything given before ends", func(t *testing.T) {
		h := newHouse(t, open)
		session := h.session()
		got := h.redeem(session.ID)
		l := linkOf(h, iam.LinkReset)
		wins := h.race(20, func() error {
			_, err := h.UsePasswordLink(h.ctx, iam.LinkReset, l.Hash, "new")
			return err
		}, iam.ErrNotFound)
		h.same(wins, 1)
		_, err := h.rotate(got.refresh)
		h.want(err, iam.ErrRevoked)
		password, err := h.Password(h.ctx, "u-ada")
		h.must(err)
		h.same(password.PHC, "new")
	})
	t.Run("a new link ends the one before, a new password ends them all, time ends any", func(t *testing.T) {
		h := newHouse(t, open)
		first, second := linkOf(h, iam.LinkReset), linkOf(h, iam.LinkReset)
		_, err := h.Link(h.ctx, iam.LinkReset, first.Hash)
		h.want(err, iam.ErrNotFound)
		_, err = h.Link(h.ctx, iam.LinkReset, second.Hash)
		h.must(err)
		h.must(h.SetPassword(h.ctx, iam.Password{User: "u-ada", PHC: "x"}, ""))
		_, err = h.UsePasswordLink(h.ctx, iam.LinkReset, second.Hash, "y")
		h.want(err, iam.ErrNotFound)
		late := linkOf(h, iam.LinkEnrol)
		h.clock.Pass(time.Hour)
		_, err = h.UsePasswordLink(h.ctx, iam.LinkEnrol, late.Hash, "y")
		h.want(err, iam.ErrNotFound)
	})
	t.Run("an address that another verified first stays the other's", func(t *testing.T) {
		h := newHouse(t, open)
		h.must(h.AddUser(h.ctx, iam.User{ID: "u-eve", Username: "eve", EmailKey: "ada@example.com", EmailVerified: true}, iam.Password{}))
		_, err := h.VerifyEmail(h.ctx, linkOf(h, iam.LinkVerify).Hash)
		h.want(err, iam.ErrExists)
	})
	t.Run("a link proves only the address that it was sent to", func(t *testing.T) {
		h := newHouse(t, open)
		l := linkOf(h, iam.LinkVerify)
		user, err := h.User(h.ctx, "u-ada")
		h.must(err)
		user.Email, user.EmailKey = "new@example.com", "new@example.com"
		h.must(h.SetUser(h.ctx, user))
		_, err = h.VerifyEmail(h.ctx, l.Hash)
		h.want(err, iam.ErrNotFound)
	})
}

// linkOf keeps a link of Ada's.
func linkOf(h *house, kind iam.LinkKind) iam.Link {
	l := iam.Link{Hash: iam.HashLink(iam.NewSecret(iam.PrefixLink)), Kind: kind, User: "u-ada", Email: "ada@example.com", Flow: "sealed",
		Created: h.clock.Now(), Expires: h.clock.Now().Add(time.Hour)}
	h.must(h.AddLink(h.ctx, l))
	return l
}

// linksOfFactors: a link of an administrator adds an authenticator.
func linksOfFactors(t *testing.T, open Opener) {
	t.Run("of many that use one link of an administrator one adds an authenticator, and everything given before ends", func(t *testing.T) {
		h := newHouse(t, open)
		session := h.session()
		got := h.redeem(session.ID)
		h.must(h.AddAuthenticator(h.ctx, iam.Authenticator{ID: "taken", User: "u-ada", Kind: iam.FactorPasskey, Handle: iam.Hash("taken")}))
		reset, l := linkOf(h, iam.LinkReset), linkOf(h, iam.LinkEnrol)
		_, err := h.UseFactorLink(h.ctx, reset.Hash, iam.Authenticator{ID: "x", Kind: iam.FactorPasskey})
		h.want(err, iam.ErrNotFound)
		_, err = h.UseFactorLink(h.ctx, l.Hash, iam.Authenticator{ID: "x", Kind: iam.FactorPasskey, Handle: iam.Hash("taken")})
		h.want(err, iam.ErrExists)
		_, err = h.rotate(got.refresh)
		h.must(err) // nothing was done by halves
		wins := h.race(20, func() error {
			id := rand.Text()
			_, err := h.UseFactorLink(h.ctx, l.Hash, iam.Authenticator{ID: id, User: "u-other", Kind: iam.FactorPasskey, Handle: iam.Hash(id)})
			return err
		}, iam.ErrNotFound)
		h.same(wins, 1)
		held, err := h.Authenticators(h.ctx, "u-ada")
		h.must(err)
		h.same(len(held), 2)
		_, err = h.rotate(got.refresh)
		h.want(err, iam.ErrRevoked)
	})
}
