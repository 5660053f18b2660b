package app_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/lab"
	"github.com/gardeauth/garde/recipe"
)

// TestA21ManyAtOnceAtEveryDoor is for the race detector, which make test has in this room: Server and Gate in one process,
// every door called at once, while the recipe changes, a key comes and sessions end. Nothing is our fault, whoever meets whom.
func TestA21ManyAtOnceAtEveryDoor(t *testing.T) {
	h := lab.New(t, lab.Options{Gate: true})
	people := make([]*lab.Person, 3)
	for i := range people {
		people[i] = h.NewPerson(fmt.Sprintf("person%d", i))
		h.SignIn(people[i])
	}
	call := func(tokens lab.Tokens) []lab.Reply {
		return []lab.Reply{
			h.UserInfo(tokens.AccessToken),
			h.Introspect(lab.WebA, tokens.AccessToken),
			h.Call(http.MethodGet, "/accounts/balance", tokens.AccessToken),
			h.As(lab.WebA, "/revoke", lab.Form("token", tokens.AccessToken)),
			h.Call(http.MethodGet, "/accounts/balance", tokens.AccessToken),
		}
	}
	doors := map[string]func(turn int) []lab.Reply{
		"credentials": func(int) []lab.Reply { return []lab.Reply{h.Credentials(lab.Job, "scope", "ledger.post")} },
		"code": func(turn int) []lab.Reply {
			return call(h.Tokens(people[turn%2], lab.Plant{}))
		},
		"opaque": func(turn int) []lab.Reply {
			return call(h.Tokens(people[turn%2], lab.Plant{Scope: "openid vault.read"}))
		},
		"refresh": func(turn int) []lab.Reply {
			tokens := h.Tokens(people[turn%2], lab.Plant{Client: lab.Native})
			return []lab.Reply{h.Refresh(lab.Native, tokens.RefreshToken), h.Refresh(lab.Native, "unknown")}
		},
		"authorize": func(turn int) []lab.Reply { return []lab.Reply{h.Authorize(people[turn%2], lab.Ask(lab.WebA))} },
		"pages": func(int) []lab.Reply {
			return []lab.Reply{h.Authorize(&lab.Person{}, lab.Ask(lab.WebA)), h.Get("/account")}
		},
		"metadata": func(int) []lab.Reply {
			return []lab.Reply{h.Get("/.well-known/openid-configuration"), h.Get("/jwks")}
		},
		"nonsense": func(turn int) []lab.Reply {
			return []lab.Reply{h.Post("/token", url.Values{"turn": {fmt.Sprint(turn)}}), h.Call(http.MethodGet, "/accounts/balance", "x")}
		},
	}
	over := time.Now().Add(2 * time.Second)
	var all sync.WaitGroup
	var opened sync.Map
	for name, door := range doors {
		for range 2 {
			all.Go(func() {
				for turn := 0; time.Now().Before(over); turn++ {
					for i, reply := range door(turn) {
						if reply.Status >= http.StatusInternalServerError && reply.Status != http.StatusServiceUnavailable {
							t.Errorf("%s, call %d: %d %s", name, i, reply.Status, reply.Body)
							return
						}
						if reply.Status < http.StatusBadRequest {
							opened.Store(name, true)
						}
					}
				}
			})
		}
	}
	ctx := context.Background()
	for turn := 0; time.Now().Before(over); turn++ {
		h.Change(func(r *recipe.Recipe) { r.Company.Name = fmt.Sprintf("Bank %d", turn) })
		if _, err := h.Server.Keys.Rotate(ctx, jose.ES256, turn%2 == 0, "test"); err != nil {
			t.Error(err)
		}
		if err := h.Store().EndUserSessions(ctx, people[2].ID, "", journal.New(time.Now(), journal.Revoked{What: "user", ID: people[2].ID})); err != nil {
			t.Error(err)
		}
		h.SignIn(people[2]) // nobody else is this person: who they are changes with each sign-in
		time.Sleep(100 * time.Millisecond)
	}
	all.Wait()
	for name := range doors {
		if _, found := opened.Load(name); !found && name != "nonsense" {
			t.Errorf("%s: nobody ever got in", name)
		}
	}
}
