package lab_test

import (
	"strings"
	"testing"

	"github.com/gardeauth/garde/internal/lab"
	"github.com/gardeauth/garde/recipe"
)

// TestV08AnAddressWithTheCodeInIt: only the recipe gives a client's devices one, and from its next revision on.
func TestV08AnAddressWithTheCodeInIt(t *testing.T) {
	h := lab.New(t, lab.Options{Partner: true})
	ask := func() lab.Reply {
		t.Helper()
		reply := h.As(lab.WebA, "/device_authorization", lab.Form("scope", "accounts.read"))
		granted(t, reply)
		return reply
	}
	if reply := ask(); reply.Text("verification_uri_complete") != "" {
		t.Errorf("V08 by default: %s", reply.Body)
	}
	h.Followed(h.Change(func(r *recipe.Recipe) {
		client := r.Clients[lab.WebA]
		client.Complete = true
		r.Clients[lab.WebA] = client
	}))
	reply := ask()
	if at := reply.Text("verification_uri_complete"); at != h.Issuer+"/device?user_code="+reply.Text("user_code") || !strings.HasSuffix(reply.Text("verification_uri"), "/device") {
		t.Errorf("V08 where the recipe says so: %s", reply.Body)
	}
}
