package lab_test

import (
	"fmt"
	"testing"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/lab"
	"github.com/gardeauth/garde/recipe"
)

// TestC28APolicyThatComesBack: what clients were given under a policy ends with it, and does not wait for its return.
func TestC28APolicyThatComesBack(t *testing.T) {
	h := lab.New(t, lab.Options{})
	policy := recipe.Registration{Open: true, Types: []recipe.ClientType{recipe.Web}, Scopes: []string{"openid", "offline_access", "accounts.read"}}
	with := func(policies map[string]recipe.Registration) {
		h.Followed(h.Change(func(r *recipe.Recipe) { r.Registration = policies }))
	}
	with(map[string]recipe.Registration{"partners": policy, "others": policy})
	register := func(under string) (id, secret string) {
		made := h.Do(lab.Request("POST", "/register/"+under, `{"redirect_uris":["https://app.example/cb"],"grant_types":["authorization_code","refresh_token"]}`,
			"Content-Type", "application/json"))
		if made.Status != 201 {
			t.Fatalf("%d %s", made.Status, made.Body)
		}
		return made.Text("client_id"), made.Text("client_secret")
	}
	alice := h.NewPerson("alice")
	given := func(id, secret string) string {
		h.Allow(alice, id, "openid", "offline_access", "accounts.read")
		code := h.Code(alice, lab.Plant{Scope: "openid offline_access accounts.read", Twist: func(c *iam.Code) {
			c.Grant.Client, c.RedirectURI = id, "https://app.example/cb"
		}})
		got := h.Post("/token", code.Form(), "Authorization", lab.BasicAuth(id, secret))
		granted(t, got)
		return got.Text("refresh_token")
	}
	refresh := func(id, secret, token string) lab.Reply {
		return h.Post("/token", lab.Form("grant_type", "refresh_token", "refresh_token", token), "Authorization", lab.BasicAuth(id, secret))
	}
	id, secret := register("partners")
	other, its := register("others")
	old, kept := given(id, secret), given(other, its)
	with(map[string]recipe.Registration{"others": policy})
	refused(t, refresh(id, secret, old), 401, "invalid_client")
	with(map[string]recipe.Registration{"partners": policy, "others": policy})
	refused(t, refresh(id, secret, old), 400, "invalid_grant")
	granted(t, refresh(id, secret, given(id, secret)))
	granted(t, refresh(other, its, kept))
}

// TestG16OneNetworkIsHeardOnlySoOften: the Server tells apart who names clients that nobody knew, whatever hosts they name.
func TestG16OneNetworkIsHeardOnlySoOften(t *testing.T) {
	h := lab.New(t, lab.Options{})
	h.Followed(h.Change(func(r *recipe.Recipe) {
		r.Registration = map[string]recipe.Registration{"pages": {Documents: []string{"*"}, Scopes: []string{"openid"}}}
	}))
	said := map[string]int{}
	for i := range 40 {
		id := fmt.Sprintf("https://10.0.0.%d/app", i)
		said[h.Post("/token", lab.Form("grant_type", "authorization_code", "code", "x", "client_id", id)).Code()]++
	}
	if said["invalid_client"] < 20 || said["temporarily_unavailable"] < 10 {
		t.Errorf("G16 %v", said)
	}
}
