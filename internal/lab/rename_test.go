package lab_test

import (
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/lab"
	"github.com/gardeauth/garde/recipe"
)

// TestARenamedClientGoesOn: its refresh tokens work under the new id, its codes and access tokens end with the old one.
func TestARenamedClientGoesOn(t *testing.T) {
	h := lab.New(t, lab.Options{})
	alice := h.NewPerson("alice")
	before := h.Tokens(alice, lab.Plant{Client: lab.Native, Twist: offline})
	code := h.Code(alice, lab.Plant{Client: lab.Native})
	const now = "renamed"
	h.Followed(h.Change(func(r *recipe.Recipe) {
		client := r.Clients[lab.Native]
		client.Was = lab.Native
		delete(r.Clients, lab.Native)
		r.Clients[now] = client
	}))
	h.Within(time.Second, "the access token is dead", func() bool { return h.UserInfo(before.AccessToken).Status == 401 })
	refused(t, h.Refresh(lab.Native, before.RefreshToken), 401, "invalid_client")
	reply := h.Refresh(now, before.RefreshToken)
	granted(t, reply)
	if status := h.UserInfo(reply.Text("access_token")).Status; status != 200 {
		t.Errorf("the new access token: %d", status)
	}
	form := code.Form()
	form.Set("client_id", now)
	refused(t, h.As(now, "/token", form), 400, "invalid_grant")
}
