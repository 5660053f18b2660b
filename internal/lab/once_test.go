package lab_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/lab"
)

// allowedTo gives a person's tokens that are granted to pay an amount once.
func allowedTo(h *lab.House, p *lab.Person, details string) lab.Tokens {
	return h.Tokens(p, lab.Plant{Scope: "openid weighed offline_access", Resource: h.GateURL + "/weighed", Twist: func(c *iam.Code) { c.Grant.Details = details }})
}

// TestOneUseOfADetail: what a person allowed in detail is done once, whoever repeats it, at whichever Gate, with whichever
// token of the grant.
func TestOneUseOfADetail(t *testing.T) {
	h := lab.New(t, lab.Options{Gate: true, Recipe: addWeighed, Files: weighedFiles})
	gates := []string{h.GateAddress, h.AnotherGate()}
	alice := h.NewPerson("alice")
	h.Allow(alice, lab.WebA, "openid", "weighed", "offline_access")
	pay := func(gate int, token, body string) lab.Reply {
		r := lab.Request("POST", "http://"+gates[gate]+"/weighed/pay", body, "Authorization", "Bearer "+token, "Content-Type", "application/json")
		r.Host = strings.TrimPrefix(h.GateURL, "http://")
		return h.Raw(r)
	}
	reached := func() int { return len(h.Upstream.Seen()) }
	const seven = `[{"type":"payment","amount":7}]`

	t.Run("S12 of many at once at two Gates one is done", func(t *testing.T) {
		for range 3 {
			tokens, before := allowedTo(h, alice, seven), reached()
			said := lab.Together(20, func(i int) string { return pay(i%2, tokens.AccessToken, `{"amount":7}`).Says() })
			if said["ok"] != 1 || said["insufficient_scope"] != 19 || reached() != before+1 {
				t.Errorf("%v, %d reached the API", said, reached()-before)
			}
		}
	})
	t.Run("S12 neither a refreshed token nor another Gate is a second use", func(t *testing.T) {
		tokens := allowedTo(h, alice, seven)
		if reply := pay(0, tokens.AccessToken, `{"amount":7}`); reply.Status != 200 {
			t.Fatalf("%d %s", reply.Status, reply.Body)
		}
		reply := pay(1, tokens.AccessToken, `{"amount":7}`)
		if reply.Status != 403 || !strings.Contains(string(reply.Body), "ask them again") {
			t.Errorf("at the other Gate: %d %s", reply.Status, reply.Body)
		}
		fresh := h.Refresh(lab.WebA, tokens.RefreshToken, "resource", h.GateURL+"/weighed").Text("access_token")
		if reply := pay(0, fresh, `{"amount":7}`); fresh == "" || reply.Status != 403 {
			t.Errorf("with a refreshed token: %d %s", reply.Status, reply.Body)
		}
		h.Pass(10 * time.Minute) // the token that was used is dead
		again := h.Refresh(lab.WebA, tokens.RefreshToken, "resource", h.GateURL+"/weighed").Text("access_token")
		if reply := pay(1, again, `{"amount":7}`); again == "" || reply.Status != 403 {
			t.Errorf("when the first token is dead: %d %s", reply.Status, reply.Body)
		}
	})
	t.Run("S12 what was allowed twice is done twice", func(t *testing.T) {
		for range 2 {
			if reply := pay(0, allowedTo(h, alice, seven).AccessToken, `{"amount":7}`); reply.Status != 200 {
				t.Errorf("%d %s", reply.Status, reply.Body)
			}
		}
	})
	t.Run("S12 something else than what was allowed", func(t *testing.T) {
		tokens, before := allowedTo(h, alice, seven), reached()
		for body, status := range map[string]int{
			`{"amount":8}`: 403, `{"amount":"7"}`: 403, `{}`: 403, `{"Amount":7}`: 403, `{"amount":7,"Amount":8}`: 400, `{"amount":7,"amount":8}`: 400, `amount=7`: 400,
		} {
			if reply := pay(0, tokens.AccessToken, body); reply.Status != status {
				t.Errorf("%s: %d %s", body, reply.Status, reply.Body)
			}
		}
		if reached() != before {
			t.Error("the API was reached")
		}
		if reply := pay(0, tokens.AccessToken, `{"amount":7}`); reply.Status != 200 {
			t.Errorf("and then the right one: %d %s", reply.Status, reply.Body)
		}
	})
	t.Run("only a Gate reserves", func(t *testing.T) {
		use := `{"reserve":{"key":"` + strings.Repeat("A", 43) + `","until":` + strconv.FormatInt(h.Clock.Now().Add(time.Minute).Unix(), 10) + `}}`
		for name, c := range map[string]struct {
			authorization, body string
			status              int
			says                string
		}{
			"a Gate":                       {gateToken(h), use, 200, `"first":true`},
			"nobody":                       {"Bearer x", use, 401, "invalid_token"},
			"a client":                     {"Bearer " + h.Credentials(lab.Job, "scope", "accounts.read").Text("access_token"), use, 403, "insufficient_scope"},
			"both at once":                 {gateToken(h), `{"reserve":{"key":"x"},"release":{"key":"x"}}`, 400, ""},
			"nothing":                      {gateToken(h), `{}`, 400, ""},
			"J18 twice":                    {gateToken(h), strings.Replace(use, `"until"`, `"key":"x","until"`, 1), 400, ""},
			"a key that is none":           {gateToken(h), `{"reserve":{"key":"x","until":1}}`, 400, ""},
			"a token that is dead":         {gateToken(h), `{"reserve":{"key":"` + strings.Repeat("A", 42) + `E","until":1}}`, 200, `"first":false`},
			"release of what is not there": {gateToken(h), `{"release":{"key":"` + strings.Repeat("A", 42) + `I"}}`, 200, ""},
		} {
			reply := h.Do(lab.Request("POST", "/signals/uses", c.body, "Authorization", c.authorization, "Content-Type", "application/json"))
			if reply.Status != c.status || !strings.Contains(string(reply.Body), c.says) {
				t.Errorf("%s: %d %s", name, reply.Status, reply.Body)
			}
		}
		if reply := h.Do(lab.Request("POST", "/signals/uses", use, "Authorization", gateToken(h), "Content-Type", "application/json")); !strings.Contains(string(reply.Body), `"first":false`) {
			t.Errorf("a Gate again: %d %s", reply.Status, reply.Body)
		}
	})
	t.Run("without the Server nothing is done", func(t *testing.T) {
		tokens, before := allowedTo(h, alice, seven), reached()
		if reply := h.Raw(lab.Request("GET", "/weighed/plain", "", "Authorization", "Bearer "+tokens.AccessToken)); reply.Status != 200 {
			t.Fatalf("%d %s", reply.Status, reply.Body)
		}
		before++
		h.Stop()
		if reply := pay(0, tokens.AccessToken, `{"amount":7}`); reply.Status != 503 || reached() != before {
			t.Errorf("%d %s", reply.Status, reply.Body)
		}
	})
}
