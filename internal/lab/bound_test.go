package lab_test

import (
	"net/url"
	"testing"

	"github.com/gardeauth/garde/internal/binding/prover"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/lab"
)

// holder is a DPoP key with which requests go to the doors.
type holder struct {
	*prover.Key
	t *testing.T
	h *lab.House
}

func newHolder(t *testing.T, h *lab.House) holder {
	t.Helper()
	made, err := prover.New("ES256")
	must(t, err)
	made.Now = h.Clock.Now
	return holder{made, t, h}
}

// post sends a form as a client of the recipe, with a proof of the key.
func (k holder) post(client, path string, form url.Values) lab.Reply {
	k.t.Helper()
	headers := k.h.Prove(client, form)
	proof, err := k.Proof("POST", k.h.Issuer+path, "", nil)
	must(k.t, err)
	return k.h.Post(path, form, append(headers, "DPoP", proof)...)
}

// show shows an access token with a proof of the key.
func (k holder) show(path, value string) lab.Reply {
	k.t.Helper()
	proof, err := k.Proof("GET", k.h.Issuer+path, value, nil)
	must(k.t, err)
	return k.h.Get(path, "Authorization", "DPoP "+value, "DPoP", proof)
}

func refreshing(value string) url.Values {
	return lab.Form("grant_type", "refresh_token", "refresh_token", value)
}

// TestBoundTokensThroughTheDoors: what was asked for with a key is no use without it, from the code to introspection.
func TestBoundTokensThroughTheDoors(t *testing.T) {
	h := lab.New(t, lab.Options{})
	alice := h.NewPerson("alice")
	own, thief := newHolder(t, h), newHolder(t, h)
	for scope, owner := range map[string]string{"openid accounts.read": lab.Accounts, "openid vault.read": lab.Vault} {
		for client, public := range map[string]bool{lab.Native: true, lab.Browser: true, lab.WebA: false, lab.WebKey: false} {
			t.Run("D17 "+client+" "+scope, func(t *testing.T) {
				reply := own.post(client, "/token", h.Code(alice, lab.Plant{Client: client, Scope: scope + " offline_access"}).Form())
				granted(t, reply)
				access, refresh := reply.Text("access_token"), reply.Text("refresh_token")
				if reply.Text("token_type") != "DPoP" {
					t.Errorf("token_type %q", reply.Text("token_type"))
				}
				if reply := own.show("/userinfo", access); reply.Status != 200 {
					t.Errorf("its own key: %d %s", reply.Status, reply.Body)
				}
				for what, reply := range map[string]lab.Reply{"as Bearer": h.UserInfo(access), "another key": thief.show("/userinfo", access)} {
					if reply.Status != 401 {
						t.Errorf("%s: %d %s", what, reply.Status, reply.Body)
					}
				}
				var said struct {
					Cnf  iam.Binding `json:"cnf"`
					Type string      `json:"token_type"`
				}
				h.Introspect(owner, access).Into(&said)
				if said.Cnf.JKT != own.JKT || said.Type != "DPoP" {
					t.Errorf("D17 introspection says %+v", said)
				}
				if public {
					refused(t, thief.post(client, "/token", refreshing(refresh)), 400, "invalid_grant")
					refused(t, h.As(client, "/token", refreshing(refresh)), 400, "invalid_grant")
				} else {
					granted(t, thief.post(client, "/token", refreshing(refresh)))
				}
				if client == lab.WebKey { // it asked for rotation
					return
				}
				again := own.post(client, "/token", refreshing(refresh))
				granted(t, again)
				if again.Text("refresh_token") != "" || again.Text("token_type") != "DPoP" {
					t.Errorf("a bound grant rotates: %s", again.Body)
				}
			})
		}
	}
	t.Run("D15 a code for one key", func(t *testing.T) {
		plant := lab.Plant{Twist: func(c *iam.Code) { c.JKT = own.JKT }}
		code := h.Code(alice, plant).Form()
		refused(t, thief.post(lab.WebA, "/token", code), 400, "invalid_grant")
		refused(t, h.As(lab.WebA, "/token", code), 400, "invalid_grant")
		granted(t, own.post(lab.WebA, "/token", code))
	})
	t.Run("a client's own token", func(t *testing.T) {
		reply := own.post(lab.Job, "/token", lab.Form("grant_type", "client_credentials", "scope", "accounts.read"))
		granted(t, reply)
		if _, claims := peek(t, reply.Text("access_token")); claims["cnf"].(map[string]any)["jkt"] != own.JKT {
			t.Errorf("%v", claims)
		}
	})
}

// TestDetailsThroughTheDoor: a token request may ask for fewer details than were granted, never for others.
func TestDetailsThroughTheDoor(t *testing.T) {
	h := lab.New(t, lab.Options{})
	alice := h.NewPerson("alice")
	code := func() url.Values { return h.Code(alice, lab.Plant{}).Form() }
	for name, details := range map[string]string{
		"more than nothing": `[{"type":"pay"}]`, "no list": `{"type":"pay"}`, "J18 doubled": `[{"type":"pay","type":"pay"}]`, "no JSON": `x`,
	} {
		t.Run(name, func(t *testing.T) {
			form := code()
			form.Set("authorization_details", details)
			refused(t, h.As(lab.WebA, "/token", form), 400, "invalid_authorization_details")
		})
	}
	form := lab.Form("grant_type", "client_credentials", "scope", "accounts.read", "authorization_details", `[{"type":"pay"}]`)
	refused(t, h.As(lab.WebA, "/token", form), 400, "invalid_request")
}
