package login_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gardeauth/garde/internal/iam"
)

func TestL04EveryPageSaysWhichMethodsItTakes(t *testing.T) {
	h := open(t)
	for path, want := range map[string]string{
		"/signin": "GET, HEAD, POST", "/signup": "GET, HEAD, POST", "/forgot": "GET, HEAD, POST", "/consent": "GET, HEAD, POST",
		"/link/verify": "GET, HEAD, POST", "/link/reset": "GET, HEAD, POST", "/link/enrol": "GET, HEAD, POST",
		"/account": "GET, HEAD", "/logout": "GET, HEAD, POST", "/authorize": "GET, POST",
	} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} {
			got := h.browser().do(method, path, "")
			refused := got.status == http.StatusMethodNotAllowed
			if refused == slices.Contains(strings.Split(want, ", "), method) || refused && got.header.Get("Allow") != want {
				t.Errorf("%s %s: %d, Allow %q", method, path, got.status, got.header.Get("Allow"))
			}
		}
	}
}

func TestAfterARestoreOnlyAdministratorsSignIn(t *testing.T) {
	h := open(t)
	h.login.Confined = func() bool { return true }
	h.person("u-1", "alice", "alice@bank.example", right)
	h.must(h.tenant.SetUser(t.Context(), func() iam.User {
		user := h.person("u-2", "root", "root@bank.example", right)
		user.Admin = true
		return user
	}()))
	b := h.browser()
	// Her password may be one that was changed since the backup, because somebody else knew it.
	b.signIn(b.follow(b.get("/account")), "alice", right).is(http.StatusServiceUnavailable, "administrator")
	if b.cookie("__Host-garde-session") != "" {
		t.Error("a session began")
	}
	b.signIn(b.follow(b.get("/account")), "alice", "another lamp of rivers").is(http.StatusUnprocessableEntity)
	b.signIn(b.follow(b.get("/account")), "root", right).to("/account")
}
