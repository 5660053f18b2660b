package lab_test

import (
	"sync"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/lab"
	"github.com/gardeauth/garde/recipe"
)

// TestTwoNodes races and follows across two nodes on one PostgreSQL. TestMatrix crosses the controls there.
func TestTwoNodes(t *testing.T) {
	h := lab.New(t, lab.Options{Engine: lab.Postgres, Nodes: 2, Gate: true})
	alice, nodes := h.NewPerson("alice"), h.Nodes
	t.Run("C03 of fifty that redeem one code at both nodes exactly one is answered", func(t *testing.T) {
		for range 4 {
			code := h.Code(alice, lab.Plant{})
			if said := lab.Together(50, func(i int) string { return nodes[i%2].Redeem(code).Says() }); said["ok"] != 1 || said["invalid_grant"] != 49 {
				t.Errorf("%v", said)
			}
		}
	})
	t.Run("F04 of fifty that refresh at both nodes at most one chain goes on", func(t *testing.T) {
		for range 4 {
			first := h.Tokens(alice, lab.Plant{Client: lab.Native})
			var mu sync.Mutex
			var given []string
			lab.Together(50, func(i int) string {
				reply := nodes[i%2].Refresh(lab.Native, first.RefreshToken)
				mu.Lock()
				defer mu.Unlock()
				if value := reply.Text("refresh_token"); value != "" {
					given = append(given, value)
				}
				return reply.Says()
			})
			living := 0
			for i, value := range given {
				if nodes[i%2].Refresh(lab.Native, value).Status == 200 {
					living++
				}
			}
			if living > 1 {
				t.Errorf("%d chains go on", living)
			}
		}
	})
	t.Run("F06 after one node has revoked, nothing works at the other", func(t *testing.T) {
		for range 50 {
			first := h.Tokens(alice, lab.Plant{Client: lab.Native})
			var given string
			lab.Together(2, func(i int) string {
				if i == 0 {
					return nodes[0].As(lab.Native, "/revoke", lab.Form("token", first.RefreshToken)).Says()
				}
				reply := nodes[1].Refresh(lab.Native, first.RefreshToken)
				given = reply.Text("refresh_token")
				return reply.Says()
			})
			for _, value := range []string{first.RefreshToken, given} {
				if value != "" && (nodes[0].Refresh(lab.Native, value).Status == 200 || nodes[1].Refresh(lab.Native, value).Status == 200) {
					t.Fatal("a refresh token works after its family was revoked")
				}
			}
		}
	})
	t.Run("T17 an assertion is believed at one node only", func(t *testing.T) {
		assertion := h.Assertion(lab.JobKey, nil)
		said := lab.Together(20, func(i int) string {
			return nodes[i%2].Post("/token", asserted(assertion, "grant_type", "client_credentials", "scope", "ledger.post")).Says()
		})
		if said["ok"] != 1 {
			t.Errorf("%v", said)
		}
	})
	t.Run("what one node issues the other believes, and what it revokes the other refuses within a second", func(t *testing.T) {
		for _, scope := range []string{"openid accounts.read", "openid vault.read"} {
			tokens := h.Tokens(alice, lab.Plant{Scope: scope})
			if nodes[1].UserInfo(tokens.AccessToken).Status != 200 {
				t.Fatal("the other node does not believe the token")
			}
			granted(t, nodes[1].As(lab.WebA, "/revoke", lab.Form("token", tokens.AccessToken)))
			took := h.Within(time.Second, "the first node refuses it", func() bool { return nodes[0].UserInfo(tokens.AccessToken).Status == 401 })
			t.Logf("%s: refused after %s", scope, took)
		}
	})
	t.Run("a recipe that one node applied the other adopts, the Gate too", func(t *testing.T) {
		number := nodes[1].Change(func(r *recipe.Recipe) {
			r.Scopes["new.scope"] = recipe.Scope{Say: recipe.Text{"en": "Something new"}}
			accounts := r.APIs["accounts"]
			accounts.Operations["GET /new"] = recipe.Operation{For: []recipe.Caller{recipe.ForClient}, Scope: "new.scope"}
			r.APIs["accounts"] = accounts
			job := r.Clients[lab.Job]
			job.Scopes = append(job.Scopes, "new.scope")
			r.Clients[lab.Job] = job
		})
		h.Followed(number)
		for _, node := range nodes {
			reply := node.Credentials(lab.Job, "scope", "new.scope")
			granted(t, reply)
			if reply := h.Call("GET", "/accounts/new", reply.Text("access_token")); reply.Status != 200 {
				t.Errorf("the Gate says %d %s", reply.Status, reply.Body)
			}
		}
	})
	t.Run("a key that one node made the other publishes, and signs are believed everywhere", func(t *testing.T) {
		key, err := nodes[1].Server.Keys.Rotate(t.Context(), "ES256", true, "test")
		must(t, err)
		h.Within(time.Second, "the first node knows the key", func() bool { _, known := nodes[0].Server.Keys.Find(key.ID); return known })
		token := nodes[1].Credentials(lab.Job, "scope", "ledger.post").Text("access_token")
		if header, _ := peek(t, token); header.KeyID != key.ID {
			t.Errorf("signed with %s", header.KeyID)
		}
		if !nodes[0].Introspect(lab.Ledger, token).True("active") {
			t.Error("the other node does not believe it")
		}
	})
	t.Run("A15 one node goes, the other goes on", func(t *testing.T) {
		tokens := h.Tokens(alice, lab.Plant{Client: lab.Native})
		nodes[1].Stop()
		granted(t, nodes[0].Refresh(lab.Native, tokens.RefreshToken))
	})
}
