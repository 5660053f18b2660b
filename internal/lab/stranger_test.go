package lab_test

import (
	"testing"

	"github.com/gardeauth/garde/internal/lab"
	"github.com/gardeauth/garde/recipe"
)

// TestD08StrangersFillNoMemoryOfProofs: a proof is worth remembering only with a good token. Else anyone could fill the memory
// with proofs for tokens that never were, and every holder of a good one would be told to come later.
func TestD08StrangersFillNoMemoryOfProofs(t *testing.T) {
	h := lab.New(t, lab.Options{})
	key := newHolder(t, h)
	proof, err := key.Proof("GET", h.Issuer+"/userinfo", "never-was", nil)
	must(t, err)
	for range 2 {
		reply := h.Get("/userinfo", "Authorization", "DPoP never-was", "DPoP", proof)
		if reply.Status != 401 || reply.Code() != "invalid_token" {
			t.Errorf("D08 %d %s %v", reply.Status, reply.Body, reply.Header["Www-Authenticate"])
		}
	}
	good := key.post(lab.WebA, "/token", h.Code(h.NewPerson("alice"), lab.Plant{}).Form()).Text("access_token")
	proof, err = key.Proof("GET", h.Issuer+"/userinfo", good, nil)
	must(t, err)
	for i, status := range []int{200, 401} {
		if reply := h.Get("/userinfo", "Authorization", "DPoP "+good, "DPoP", proof); reply.Status != status {
			t.Errorf("D08 the proof of a good token, time %d: %d %s", i+1, reply.Status, reply.Body)
		}
	}
}

// TestX14SignOutOfAPairwiseClient: a client that knows the person by another name signs them out like any other, and one that
// shows the name of somebody else does not.
func TestX14SignOutOfAPairwiseClient(t *testing.T) {
	h := lab.New(t, lab.Options{})
	l := newListener(t, h, "c-pair", recipe.Metadata{SubjectType: "pairwise"})
	client, err := h.Store().Client(t.Context(), l.id)
	must(t, err)
	client.LogoutURIs = []string{"https://listener.example/bye"}
	must(t, h.Store().PutClient(t.Context(), client))
	alice, bob := h.NewPerson("alice"), h.NewPerson("bob")
	out := func(hint string) string {
		query := lab.Form("id_token_hint", hint, "post_logout_redirect_uri", client.LogoutURIs[0]).Encode()
		return h.Get("/logout?"+query, "Cookie", alice.Cookie).Header.Get("Location")
	}
	if to := out(l.tokens(bob, "openid accounts.read").IDToken); to != "" {
		t.Errorf("S32 by the hint of somebody else alice is sent to %q", to)
	}
	if to := out(l.tokens(alice, "openid accounts.read").IDToken); to != client.LogoutURIs[0] {
		t.Errorf("X14 alice is sent to %q", to)
	}
}
