package lab_test

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/lab"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/recipe"
)

// rights is everything that a client holds at one moment for one person, and for itself.
type rights struct {
	h                                *lab.House
	client                           string
	person                           *lab.Person
	code                             lab.Code
	device, request                  string     // allowed elsewhere
	seen, fresh, sealed, sealedFresh lab.Tokens // signed and opaque tokens, shown to the Gate before or not
}

// newRights gets them all and sees that they work.
func newRights(t *testing.T, h *lab.House, client string) *rights {
	t.Helper()
	r := &rights{h: h, client: client, person: h.NewPerson("alice")}
	signed, opaque := lab.Plant{Client: client}, lab.Plant{Client: client, Scope: "openid vault.read"}
	r.seen, r.fresh, r.sealed, r.sealedFresh = h.Tokens(r.person, signed), h.Tokens(r.person, signed), h.Tokens(r.person, opaque), h.Tokens(r.person, opaque)
	r.code = h.Code(r.person, signed)
	r.device, r.request = h.Asked(r.person, client, iam.AskedDevice), h.Asked(r.person, client, iam.AskedCIBA)
	for name, use := range ways() {
		if !once[name] && !use(r) {
			t.Fatalf("%s never worked, so that its end proves nothing", name)
		}
	}
	return r
}

// ways are all the ways to use a right; each tells whether it worked.
func ways() map[string]func(*rights) bool {
	good := func(reply lab.Reply) bool { return reply.Status == 200 }
	return map[string]func(*rights) bool{
		"redeem a code": func(r *rights) bool { return good(r.h.Redeem(r.code)) },
		"refresh":       func(r *rights) bool { return good(r.h.Refresh(r.client, r.seen.RefreshToken)) },
		"exchange an assertion": func(r *rights) bool {
			return good(r.h.As(r.client, "/token", lab.Form("grant_type", string(oauth.JWTBearer), "assertion", r.h.Told(r.person.ID, nil), "scope", "accounts.read")))
		},
		"redeem a device code": func(r *rights) bool {
			return good(r.h.As(r.client, "/token", lab.Form("grant_type", string(oauth.DeviceCode), "device_code", r.device)))
		},
		"redeem an auth_req_id": func(r *rights) bool {
			return good(r.h.As(r.client, "/token", lab.Form("grant_type", string(oauth.CIBA), "auth_req_id", r.request)))
		},
		"client credentials":          func(r *rights) bool { return good(r.h.Credentials(r.client, "scope", "accounts.read")) },
		"introspect a signed token":   func(r *rights) bool { return r.h.Introspect(lab.GateClient, r.seen.AccessToken).True("active") },
		"introspect an opaque token":  func(r *rights) bool { return r.h.Introspect(lab.GateClient, r.sealed.AccessToken).True("active") },
		"introspect an unseen opaque": func(r *rights) bool { return r.h.Introspect(lab.GateClient, r.sealedFresh.AccessToken).True("active") },
		"userinfo":                    func(r *rights) bool { return good(r.h.UserInfo(r.seen.AccessToken)) },
		"userinfo by opaque token":    func(r *rights) bool { return good(r.h.UserInfo(r.sealed.AccessToken)) },
		"Gate, signed, seen before":   func(r *rights) bool { return good(r.h.Call("GET", "/accounts/balance", r.seen.AccessToken)) },
		"Gate, signed, new":           func(r *rights) bool { return good(r.h.Call("GET", "/accounts/balance", r.fresh.AccessToken)) },
		"Gate, opaque, seen before":   func(r *rights) bool { return good(r.h.Call("GET", "/vault/secrets", r.sealed.AccessToken)) },
		"Gate, opaque, new":           func(r *rights) bool { return good(r.h.Call("GET", "/vault/secrets", r.sealedFresh.AccessToken)) },
	}
}

// once are the ways that are tried only after the control: the first use would spend them, or make them seen.
var once = map[string]bool{"redeem a code": true, "redeem a device code": true, "redeem an auth_req_id": true, "introspect an unseen opaque": true, "Gate, signed, new": true, "Gate, opaque, new": true}

func names(match ...string) []string {
	var found []string
	for name := range ways() {
		if slices.ContainsFunc(match, func(part string) bool { return part == "" || strings.Contains(name, part) }) {
			found = append(found, name)
		}
	}
	return found
}

func but(all []string, less ...string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(name string) bool { return slices.Contains(less, name) })
}

// control is one thing that an operator, a person or time does.
type control struct {
	do    func(t *testing.T, n *lab.Node, r *rights) // at a node that the rights are not used at, where there are two
	ends  []string
	after func(t *testing.T, n *lab.Node, r *rights) // puts the house in order for the next row
	again bool                                       // signing in anew works at once
}

func clients(change func(map[string]recipe.Client)) func(*recipe.Recipe) {
	return func(r *recipe.Recipe) { change(r.Clients) }
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func asItWas(_ *testing.T, n *lab.Node, r *rights) {
	r.h.Followed(n.Change(nil))
	r.h.Pass(3 * time.Second)
}

func controls() map[string]control {
	all := names("")
	persons := but(all, "client credentials")
	// Another issuer says who the person is, whoever is signed in here, and for clients that the recipe names.
	elsewhere := names("device code", "auth_req_id")
	ofSessions := but(persons, "exchange an assertion")
	signed := names("signed", "userinfo")
	signed = but(signed, "userinfo by opaque token")
	opaque := names("opaque")
	return map[string]control{
		"X16 the client is disabled": {func(t *testing.T, n *lab.Node, r *rights) {
			must(t, n.Store().SetClientDisabled(t.Context(), r.client, true))
		}, all, func(t *testing.T, n *lab.Node, r *rights) {
			must(t, n.Store().SetClientDisabled(t.Context(), r.client, false))
			r.h.Pass(3 * time.Second)
		}, false},
		"X16 the client is removed from the recipe": {func(_ *testing.T, n *lab.Node, r *rights) {
			n.Change(clients(func(c map[string]recipe.Client) { delete(c, r.client) }))
		}, all, asItWas, false},
		"A14 X15 the client loses its scopes by a new recipe": {func(_ *testing.T, n *lab.Node, r *rights) {
			n.Change(clients(func(c map[string]recipe.Client) {
				less := c[r.client]
				less.Scopes = []string{"openid", "profile", "ledger.read"}
				c[r.client] = less
			}))
		}, all, asItWas, false},
		"the client loses its grants by a new recipe": {func(_ *testing.T, n *lab.Node, r *rights) {
			n.Change(clients(func(c map[string]recipe.Client) {
				less := c[r.client]
				less.Grants, less.CIBADelivery = []string{"authorization_code"}, ""
				c[r.client] = less
			}))
		}, append(slices.Clone(elsewhere), "refresh", "client credentials", "exchange an assertion"), asItWas, false},
		"C28 the client loses its redirect URI by a new recipe": {func(_ *testing.T, n *lab.Node, r *rights) {
			n.Change(clients(func(c map[string]recipe.Client) {
				moved := c[r.client]
				moved.RedirectURIs = []string{"https://moved.example/cb"}
				c[r.client] = moved
			}))
		}, []string{"redeem a code"}, asItWas, false},
		"T08 the client gets another way to prove itself": {func(_ *testing.T, n *lab.Node, r *rights) {
			n.Change(clients(func(c map[string]recipe.Client) {
				other := c[r.client]
				other.Auth = "client_secret_post"
				c[r.client] = other
			}))
		}, append(slices.Clone(elsewhere), "redeem a code", "refresh", "client credentials", "exchange an assertion"), asItWas, false},
		"F11 C28 X16 the person is disabled": {func(t *testing.T, n *lab.Node, r *rights) {
			user := r.person.User
			user.Disabled = true
			must(t, n.Store().SetUser(t.Context(), user))
		}, persons, nil, false},
		"X16 the person is removed": {func(t *testing.T, n *lab.Node, r *rights) {
			must(t, n.Store().RemoveUser(t.Context(), r.person.ID))
		}, persons, nil, false},
		"F11 the password is changed": {func(t *testing.T, n *lab.Node, r *rights) {
			must(t, n.Store().SetPassword(t.Context(), iam.Password{User: r.person.ID, PHC: "$argon2id$new"}, ""))
		}, ofSessions, nil, true},
		"the person signs out everywhere": {func(t *testing.T, n *lab.Node, r *rights) {
			must(t, n.Store().EndUserSessions(t.Context(), r.person.ID, ""))
		}, ofSessions, nil, true},
		"the session ends": {func(t *testing.T, n *lab.Node, r *rights) {
			must(t, n.Store().EndSession(t.Context(), r.person.Session))
		}, ofSessions, nil, true},
		"F11 C28 the consent is revoked": {func(t *testing.T, n *lab.Node, r *rights) {
			must(t, n.Store().RevokeConsent(t.Context(), r.person.ID, r.client))
		}, ofSessions, nil, true},
		"the API is removed": {func(_ *testing.T, n *lab.Node, _ *rights) {
			n.Change(func(r *recipe.Recipe) { delete(r.APIs, "accounts") })
		}, slices.Concat(signed, elsewhere, []string{"redeem a code", "refresh", "client credentials", "exchange an assertion"}), asItWas, false},
		"the API with opaque tokens is removed": {func(_ *testing.T, n *lab.Node, _ *rights) {
			n.Change(func(r *recipe.Recipe) { delete(r.APIs, "vault") })
		}, opaque, asItWas, false},
		"S12 the operations of the scope need a level that the person has not reached": {func(_ *testing.T, n *lab.Node, _ *rights) {
			n.Change(func(r *recipe.Recipe) {
				r.Levels = append(r.Levels, recipe.Level{Name: "strong", ACR: lab.Strong, Any: []string{"password+totp"}})
				for _, name := range []string{"GET /balance", "GET /statement"} {
					operation := r.APIs["accounts"].Operations[name]
					operation.Level = "strong"
					r.APIs["accounts"].Operations[name] = operation
				}
			})
		}, slices.Concat(elsewhere, names("signed, "), []string{"redeem a code", "refresh", "exchange an assertion"}), asItWas, false},
		"A13 the signing key is removed": {func(t *testing.T, n *lab.Node, r *rights) {
			header, _ := peek(t, r.seen.AccessToken)
			_, err := n.Server.Keys.Rotate(t.Context(), "ES256", true, "test")
			must(t, err)
			must(t, n.Server.Keys.Remove(t.Context(), header.KeyID, "test"))
		}, signed, func(_ *testing.T, _ *lab.Node, r *rights) {
			r.h.Pass(11 * time.Second) // the Gate asks for keys it does not know once in ten seconds
		}, false},
		"six minutes pass": {func(_ *testing.T, _ *lab.Node, r *rights) { r.h.Pass(6 * time.Minute) },
			but(all, "refresh", "client credentials", "exchange an assertion"), nil, true},
		"F10 eight days pass": {func(_ *testing.T, _ *lab.Node, r *rights) { r.h.Pass(8 * 24 * time.Hour) }, ofSessions, nil, true},
	}
}

// TestMatrix crosses every control with every way to use a right. What a control ends, ends within a second at every
// door; what it does not end, goes on.
func TestMatrix(t *testing.T) {
	for name, options := range map[string]lab.Options{
		"one node on SQLite": {Gate: true, Partner: true}, "two nodes on PostgreSQL": {Gate: true, Partner: true, Engine: lab.Postgres, Nodes: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := lab.New(t, options)
			for _, name := range slices.Sorted(maps.Keys(controls())) {
				t.Run(name, func(t *testing.T) { cross(t, h, controls()[name]) })
			}
		})
	}
}

func cross(t *testing.T, h *lab.House, c control) {
	r := newRights(t, h, lab.WebSpare)
	acting := h.Nodes[len(h.Nodes)-1]
	c.do(t, acting, r)
	done := time.Now()
	uses := ways()
	for _, single := range []bool{false, true} { // those that must wait come last
		for _, name := range slices.Sorted(maps.Keys(uses)) {
			if once[name] != single || !slices.Contains(c.ends, name) {
				continue
			}
			for uses[name](r) {
				if time.Since(done) > time.Second {
					t.Errorf("a second later one can still %s", name)
					break
				}
				time.Sleep(5 * time.Millisecond)
			}
		}
	}
	for name, use := range uses {
		if !slices.Contains(c.ends, name) && !use(r) {
			t.Errorf("one can no longer %s", name)
		}
	}
	if c.again {
		h.SignIn(r.person)
		h.Allow(r.person, r.client, "openid", "accounts.read")
		anew := h.Tokens(r.person, lab.Plant{Client: r.client})
		if h.UserInfo(anew.AccessToken).Status != 200 || h.Call("GET", "/accounts/balance", anew.AccessToken).Status != 200 {
			t.Error("who signs in anew gets tokens that are dead")
		}
	}
	if c.after != nil {
		c.after(t, acting, r)
	}
}

// TestA12RestoredStorage restores a backup from before: nothing that was given lives on, at the Gate neither.
func TestA12RestoredStorage(t *testing.T) {
	h := lab.New(t, lab.Options{Gate: true, Partner: true})
	r := newRights(t, h, lab.WebA)
	backup := filepath.Join(t.TempDir(), "backup.db")
	must(t, h.Server.Store.Backup(t.Context(), backup))
	later := newRights(t, h, lab.WebA) // of these the backup knows nothing
	h.Restart(func() {
		must(t, h.Restore(backup))
	})
	dead := func(when string) {
		t.Helper()
		for which, held := range map[string]*rights{"before the backup": r, "after the backup": later} {
			uses := ways()
			for _, name := range but(names(""), "client credentials", "exchange an assertion") {
				h.Within(time.Second, when+", from "+which+": no longer "+name, func() bool { return !uses[name](held) })
			}
		}
	}
	h.Pass(0)
	h.Clock.Skip(11 * time.Second) // the Gate has heard nothing for that long: it waits for the confirmation too
	dead("before the restore is confirmed")
	if h.Credentials(lab.WebA, "scope", "accounts.read").Status != 503 {
		t.Error("a client gets tokens before the restore is confirmed")
	}
	must(t, h.Server.House.Confirm(t.Context()))
	h.Within(15*time.Second, "the Gate follows the new epoch", func() bool {
		h.Clock.Skip(20 * time.Millisecond) // some of its pauses go by the clock
		return h.Gateway.Gate.Ready() && h.Credentials(lab.WebA, "scope", "accounts.read").Status == 200
	})
	dead("afterwards")
}

// TestAudiences shows tokens of one API at the others.
func TestAudiences(t *testing.T) {
	h := lab.New(t, lab.Options{Gate: true})
	alice := h.NewPerson("alice")
	tokens := map[string]string{
		"/accounts/balance": h.Tokens(alice, lab.Plant{}).AccessToken,
		"/vault/secrets":    h.Tokens(alice, lab.Plant{Scope: "openid vault.read"}).AccessToken,
		"/ledger/entries":   h.Tokens(alice, lab.Plant{Scope: "openid ledger.read"}).AccessToken,
		"nowhere":           h.Tokens(alice, lab.Plant{Scope: "openid profile"}).AccessToken,
	}
	for home, token := range tokens {
		for path := range tokens {
			if path == "nowhere" {
				continue
			}
			want := map[bool]int{true: 200, false: 401}[home == path]
			for range 2 {
				if reply := h.Call("GET", path, token); reply.Status != want {
					t.Errorf("the token for %s at %s: %d %s", home, path, reply.Status, reply.Body)
				}
			}
		}
	}
}
