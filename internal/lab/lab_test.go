package lab_test

import (
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/lab"
)

func TestTheHonestWayThroughTheHouse(t *testing.T) {
	for _, engine := range []string{lab.SQLite, lab.Postgres} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			h := lab.New(t, lab.Options{Engine: engine, Gate: true})
			alice := h.NewPerson("alice")
			sent, ok := h.Authorize(alice, lab.Ask(lab.WebA)).Sent(lab.Redirect(lab.WebA))
			if !ok || sent.Get("state") != "a-state" || sent.Get("iss") != h.Issuer {
				t.Fatalf("no code came back: %v", sent)
			}
			tokens := lab.Tokens{}
			h.Redeem(lab.Code{Value: sent.Get("code"), Client: lab.WebA, Redirect: lab.Redirect(lab.WebA), Verifier: lab.Verifier}).Into(&tokens.Answer)
			for range 2 {
				if reply := h.Call("GET", "/accounts/balance", tokens.AccessToken); reply.Status != 200 {
					t.Errorf("the Gate says %d %s", reply.Status, reply.Body)
				}
			}
			if got := h.UserInfo(tokens.AccessToken).Text("sub"); got != alice.ID {
				t.Errorf("userinfo says %q", got)
			}
			for client := range map[string]bool{lab.WebA: true, lab.WebB: true, lab.WebKey: true, lab.Native: true, lab.Browser: true} {
				got := h.Tokens(alice, lab.Plant{Client: client, Scope: "openid vault.read"})
				if reply := h.Call("GET", "/vault/secrets", got.AccessToken); reply.Status != 200 {
					t.Errorf("%s: the Gate says %d %s", client, reply.Status, reply.Body)
				}
				if reply := h.Refresh(client, got.RefreshToken); reply.Status != 200 {
					t.Errorf("%s: refresh says %s", client, reply.Body)
				}
			}
			if !h.Introspect(lab.Accounts, tokens.AccessToken).True("active") {
				t.Error("the API does not learn of its token")
			}
			for _, client := range []string{lab.Job, lab.JobKey} {
				if reply := h.Credentials(client, "scope", "ledger.post"); reply.Status != 200 {
					t.Errorf("%s: %s", client, reply.Body)
				}
			}
			h.Followed(h.Change(nil))
			h.Pass(time.Minute)
		})
	}
}
