package conform_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/binding/prover"
	"github.com/gardeauth/garde/internal/lab"
	"github.com/gardeauth/garde/recipe"
)

// through sends the party's form to one node, with a proof, as if a balancer had chosen it.
func (p *party) through(t testing.TB, n *lab.Node, path string, form map[string][]string, proof string) lab.Reply {
	t.Helper()
	with := proven(t, p, form)
	headers := []string{}
	if proof != "" {
		headers = append(headers, "DPoP", proof)
	}
	return n.Post(path, with, headers...)
}

// TestTwoNodes: what one node was told, the other knows; what one node took, the other refuses.
func TestTwoNodes(t *testing.T) {
	p := &party{id: "fapi-one", auth: "private_key_jwt", bound: "dpop", profile: recipe.FAPI2Security}
	away := newOutside(t)
	h := newHouse(t, lab.Options{
		Engine: lab.Postgres, Nodes: 2, Reach: []string{away.listener.Addr().String()}, Recipe: func(r *recipe.Recipe) {
			r.Proofs = recipe.Proofs{Shared: true}
			r.Registration = map[string]recipe.Registration{"open": {Open: true, Trusted: true, Scopes: []string{"openid", "profile"}}}
		},
	}, p)
	away.serve(h)
	a, b := h.Nodes[0], h.Nodes[1]
	alice := h.NewPerson("alice")
	proof := func(path string) string { return p.key.Show("POST", h.Issuer+path, "") }
	cc := func() map[string][]string {
		return lab.Form("grant_type", "client_credentials", "scope", "accounts.read")
	}
	t.Run("a request that was pushed at one is answered by the other, and redeemed at the first", func(t *testing.T) {
		for _, pair := range [][2]*lab.Node{{a, b}, {b, a}} {
			query := p.ask("openid payments.write")
			pushed := p.pushed(t, p.through(t, pair[0], "/par", p.pushing(t, query), proof("/par")))
			_, search, _ := strings.Cut(pushed, "?")
			reply := pair[1].Get("/authorize?"+search, "Cookie", alice.Cookie)
			sent := p.answered(t, reply.Header.Get("Location"), query)
			got := p.given(t, p.through(t, pair[0], "/token", p.redeeming(sent.Get("code"), query), proof("/token")))
			if got.AccessToken == "" {
				t.Error("nothing was given")
			}
			refused(t, p.through(t, pair[1], "/token", p.redeeming(sent.Get("code"), query), proof("/token")), 400, "invalid_grant")
			if again := pair[0].Get("/authorize?"+search, "Cookie", alice.Cookie); again.Status != 400 || again.Header.Get("Location") != "" {
				t.Errorf("P03 it is answered again: %d", again.Status)
			}
		}
	})
	t.Run("P03 of twenty arrivals at both nodes one request is answered once", func(t *testing.T) {
		query := p.ask("openid payments.write")
		_, search, _ := strings.Cut(p.pushed(t, p.through(t, a, "/par", p.pushing(t, query), proof("/par"))), "?")
		said := lab.Together(20, func(i int) string {
			reply := h.Nodes[i%2].Get("/authorize?"+search, "Cookie", alice.Cookie)
			if strings.Contains(reply.Header.Get("Location"), "code=") {
				return "a code"
			}
			return "refused"
		})
		if said["a code"] != 1 {
			t.Errorf("%v", said)
		}
	})
	t.Run("T17 an assertion is believed once, at whichever node", func(t *testing.T) {
		form := cc()
		with := proven(t, p, form)
		if reply := a.Post("/token", with, "DPoP", proof("/token")); reply.Status != 200 {
			t.Fatalf("%d %s", reply.Status, reply.Body)
		}
		for _, node := range h.Nodes {
			refused(t, node.Post("/token", with, "DPoP", proof("/token")), 401, "invalid_client")
		}
	})
	t.Run("D08 a proof is taken once, at whichever node, where proofs are shared", func(t *testing.T) {
		one := proof("/token")
		if reply := p.through(t, a, "/token", cc(), one); reply.Status != 200 {
			t.Fatalf("%d %s", reply.Status, reply.Body)
		}
		refused(t, p.through(t, b, "/token", cc(), one), 400, "invalid_dpop_proof")
		two := proof("/token")
		if said := lab.Together(20, func(i int) string { return p.through(t, h.Nodes[i%2], "/token", cc(), two).Says() }); said["ok"] != 1 {
			t.Errorf("%v", said)
		}
	})
	t.Run("who registers at one is known at the other within a second, and who leaves is forgotten", func(t *testing.T) {
		var known struct {
			ID     string `json:"client_id"`
			Keeper string `json:"registration_access_token"`
			At     string `json:"registration_client_uri"`
		}
		reply := a.Do(lab.Request("POST", "/register", `{"redirect_uris":["https://rp.example/two"]}`, "Content-Type", "application/json"))
		if reply.Status != http.StatusCreated {
			t.Fatalf("%d %s", reply.Status, reply.Body)
		}
		reply.Status = 200
		reply.Into(&known)
		ask := "/authorize?" + lab.Form("client_id", known.ID, "redirect_uri", "https://rp.example/two", "response_type", "code", "scope", "openid",
			"state", "s", "nonce", "n", "code_challenge", lab.Challenge(lab.Verifier), "code_challenge_method", "S256").Encode()
		h.Within(time.Second, "the other node knows it", func() bool { return b.Get(ask, "Cookie", alice.Cookie).Status == 303 })
		path := strings.TrimPrefix(known.At, h.Issuer)
		if reply := b.Do(lab.Request("DELETE", path, "", "Authorization", "Bearer "+known.Keeper)); reply.Status != http.StatusNoContent {
			t.Fatalf("%d %s", reply.Status, reply.Body)
		}
		h.Within(time.Second, "the first node has forgotten it", func() bool { return a.Get(ask, "Cookie", alice.Cookie).Status == 400 })
	})
	t.Run("of a sign-out a party is told once, whichever node ends it", func(t *testing.T) {
		h.Followed(a.Change(func(r *recipe.Recipe) {
			r.Proofs.Shared = true
			client := r.Clients[p.id]
			client.BackLogoutURI = away.at("/back")
			r.Clients[p.id] = client
		}))
		for i, node := range []*lab.Node{a, b} {
			person := h.NewPerson("bob")
			query := p.ask("openid payments.write")
			_, search, _ := strings.Cut(p.pushed(t, p.through(t, a, "/par", p.pushing(t, query), proof("/par"))), "?")
			sent := p.answered(t, a.Get("/authorize?"+search, "Cookie", person.Cookie).Header.Get("Location"), query)
			p.given(t, p.through(t, b, "/token", p.redeeming(sent.Get("code"), query), proof("/token")))
			must(t, node.Store().EndUserSessions(t.Context(), person.ID, ""))
			h.Within(20*time.Second, "the party is told", func() bool { heard, _ := away.told(); return len(heard) > i })
			time.Sleep(time.Second)
			if heard, _ := away.told(); len(heard) != i+1 {
				t.Fatalf("told %d times", len(heard))
			}
		}
	})
	t.Run("a nonce of one node is good at the other", func(t *testing.T) {
		h.Followed(a.Change(func(r *recipe.Recipe) { r.Proofs.Nonce = true }))
		first := p.through(t, a, "/token", cc(), proof("/token"))
		refused(t, first, 400, "use_dpop_nonce")
		reply := p.through(t, b, "/token", cc(), p.key.With(nil, "POST", h.Issuer+"/token", "", prover.Members{"nonce": first.Nonce()}))
		if reply.Status != 200 {
			t.Errorf("%d %s", reply.Status, reply.Body)
		}
	})
}
