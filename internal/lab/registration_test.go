package lab_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/lab"
	"github.com/gardeauth/garde/recipe"
)

// TestAClientThatRegisteredItself walks through the doors: it registers, gets a token, is narrowed by its policy, and its
// tokens end with it.
func TestAClientThatRegisteredItself(t *testing.T) {
	h := lab.New(t, lab.Options{})
	policy := recipe.Registration{Open: true, Types: []recipe.ClientType{recipe.Web, recipe.Service}, Scopes: []string{"openid", "accounts.read"},
		Grants: []string{"authorization_code", "refresh_token", "client_credentials"}}
	h.Followed(h.Change(func(r *recipe.Recipe) { r.Registration = map[string]recipe.Registration{"partners": policy} }))
	json := func(method, path, body, token string) lab.Reply {
		headers := []string{"Content-Type", "application/json"}
		if token != "" {
			headers = append(headers, "Authorization", "Bearer "+token)
		}
		return h.Do(lab.Request(method, path, body, headers...))
	}
	made := json(http.MethodPost, "/register", `{"grant_types":["client_credentials"]}`, "")
	if made.Status != http.StatusCreated {
		t.Fatalf("%d %s", made.Status, made.Body)
	}
	id, secret := made.Text("client_id"), made.Text("client_secret")
	got := h.Post("/token", lab.Form("grant_type", "client_credentials", "scope", "accounts.read", "resource", h.AccountsAPI()), "Authorization", lab.BasicAuth(id, secret))
	if got.Status != 200 {
		t.Fatalf("%d %s", got.Status, got.Body)
	}
	token := got.Text("access_token")
	if !h.Introspect(lab.Accounts, token).True("active") {
		t.Error("the token is dead")
	}
	at := strings.TrimPrefix(made.Text("registration_client_uri"), h.Issuer)
	if gone := json(http.MethodDelete, at, "", made.Text("registration_access_token")); gone.Status != 204 {
		t.Fatalf("%d %s", gone.Status, gone.Body)
	}
	h.Within(time.Second, "the token ends", func() bool { return !h.Introspect(lab.Accounts, token).True("active") })
	if got := h.Post("/token", lab.Form("grant_type", "client_credentials", "scope", "accounts.read"), "Authorization", lab.BasicAuth(id, secret)); got.Status != 401 {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	if got := json(http.MethodGet, at, "", made.Text("registration_access_token")); got.Status != 401 || got.Header.Get("WWW-Authenticate") == "" {
		t.Errorf("G10 %d %s %v", got.Status, got.Body, got.Header)
	}
	discovery := h.Get("/.well-known/openid-configuration")
	if discovery.Text("registration_endpoint") != h.Issuer+"/register" {
		t.Errorf("metadata says %q", discovery.Text("registration_endpoint"))
	}
	web := json(http.MethodPost, "/register", `{"redirect_uris":["https://app.example/cb"],"client_name":"Shop"}`, "")
	ask := lab.Ask(lab.WebA)
	ask.Set("client_id", web.Text("client_id"))
	ask.Set("redirect_uri", "https://app.example/cb")
	ask.Set("scope", "openid")
	p := h.NewPerson("zoe")
	h.SignIn(p)
	page := h.Authorize(p, ask)
	if page.Status != http.StatusSeeOther || !strings.HasPrefix(page.Header.Get("Location"), "/consent?") {
		t.Errorf("nobody is asked: %d %v", page.Status, page.Header.Get("Location"))
	}
}
