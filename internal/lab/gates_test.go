package lab_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/binding/prover"
	"github.com/gardeauth/garde/internal/lab"
	"github.com/gardeauth/garde/recipe"
)

// TestTwoGates: what one Gate was shown the other knows, where the recipe says so.
func TestTwoGates(t *testing.T) {
	for name, c := range map[string]struct {
		shared bool
		second int // status of a proof at the second Gate that the first has seen
	}{
		"D08 each Gate for itself":                {false, http.StatusOK},
		"D08 a proof that another Gate was shown": {true, http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			h := lab.New(t, lab.Options{Gate: true, Recipe: func(r *recipe.Recipe) { r.Proofs.Shared = c.shared }})
			gates := []string{h.GateAddress, h.AnotherGate()}
			key, form := h.NewKey(), lab.Form("grant_type", "client_credentials", "scope", "accounts.read")
			access := h.Post("/token", form, append(h.Prove(lab.Job, form), "DPoP", key.Show("POST", h.Issuer+"/token", ""))...).Text("access_token")
			place := h.GateURL + "/accounts/report"
			show := func(gate int, proof string) lab.Reply {
				r := lab.Request(http.MethodGet, "http://"+gates[gate]+"/accounts/report", "", "Authorization", "DPoP "+access, "DPoP", proof)
				r.Host = strings.TrimPrefix(h.GateURL, "http://")
				return h.Raw(r)
			}
			proof := key.Show("GET", place, access)
			if reply := show(0, proof); reply.Status != http.StatusOK {
				t.Fatalf("%d %s", reply.Status, reply.Body)
			}
			if reply := show(1, proof); reply.Status != c.second {
				t.Errorf("at the second Gate: %d %s", reply.Status, reply.Body)
			}
			for gate := range gates {
				if reply := show(gate, proof); reply.Status != http.StatusUnauthorized || reply.Code() != "invalid_dpop_proof" {
					t.Errorf("shown again: %d %s", reply.Status, reply.Body)
				}
			}
			if !c.shared {
				return
			}
			t.Run("D08 of many at once one is let through", func(t *testing.T) {
				for range 5 {
					proof := key.With(nil, "GET", place, access, prover.Members{})
					if said := lab.Together(20, func(i int) string { return show(i%2, proof).Says() }); said["ok"] != 1 || said["invalid_dpop_proof"] != 19 {
						t.Errorf("%v", said)
					}
				}
				said := lab.Together(100, func(i int) string { return show(i%2, key.Show("GET", place, access)).Says() })
				if said["ok"] != 100 {
					t.Errorf("with a proof each: %v", said)
				}
			})
			t.Run("D08 refuses while the Server does not say, soon", func(t *testing.T) {
				h.Stop()
				begun := time.Now()
				reply := show(1, key.Show("GET", place, access))
				if reply.Status != http.StatusServiceUnavailable || time.Since(begun) > 3*time.Second {
					t.Errorf("%d %s after %s", reply.Status, reply.Body, time.Since(begun))
				}
			})
		})
	}
}
