package lab_test

import (
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/gardeauth/garde/internal/lab"
	"github.com/gardeauth/garde/recipe"
)

const (
	vouch     = "https://vouch.example"
	bearerJWT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	goodbye   = "https://key.example/bye"
)

// confusing is the house in which tokens could most easily be taken for one another: one client with every kind of signed
// answer, and an issuer of assertions and of statements that signs with the client's own key.
func confusing(t *testing.T) *lab.House {
	t.Helper()
	return lab.New(t, lab.Options{Gate: true, Recipe: func(r *recipe.Recipe) {
		client := r.Clients[lab.WebKey]
		client.Grants = append(slices.Clone(client.Grants), bearerJWT)
		client.LogoutURIs = []string{goodbye}
		client.UserInfoAlg, client.IntrospectAlg, client.ResponseAlg = "ES256", "ES256", "ES256"
		r.Clients[lab.WebKey] = client
		r.Issuers = map[string]recipe.Issuer{"vouch": {
			At: vouch, JWKS: client.JWKS, Clients: []string{lab.WebKey}, Scopes: []string{"accounts.read"}, Subjects: "user",
		}}
		r.Registration = map[string]recipe.Registration{"vouched": {Statements: []string{vouch + "=" + client.JWKS}, Scopes: []string{"openid"}}}
	}})
}

// TestJ17EveryTokenIsOfOneKind shows each kind of token at each door that takes one. Each is made as leniently as its own
// door allows, by the same keys as the others.
func TestJ17EveryTokenIsOfOneKind(t *testing.T) {
	h := confusing(t)
	alice := h.NewPerson("alice")
	tokens, doors := tokensOf(t, h, alice), doorsOf(t, h, alice)
	for _, kind := range slices.Sorted(maps.Keys(tokens)) {
		for _, name := range slices.Sorted(maps.Keys(doors)) {
			t.Run("J17 "+kind+" at "+name, func(t *testing.T) {
				door := doors[name]
				reply, taken := door.show(tokens[kind]())
				if own := kind == door.takes; taken != own {
					t.Errorf("J17 taken: %t, %d %s %s", taken, reply.Status, reply.Body, reply.Header.Get("Location"))
				}
			})
		}
	}
}

func tokensOf(t *testing.T, h *lab.House, alice *lab.Person) map[string]func() string {
	t.Helper()
	given := h.Tokens(alice, lab.Plant{Client: lab.WebKey, Scope: "openid email accounts.read"})
	now := func() int64 { return h.Clock.Now().Unix() }
	signed := func(typ string, claims members) string {
		text, err := h.Signer(lab.WebKey).Sign(typ, changed(members{
			"aud": h.Issuer, "iat": now(), "nbf": now(), "exp": now() + 60, "jti": uuid.NewString(),
		}, claims))
		must(t, err)
		return text
	}
	asked := members{}
	for name, values := range lab.Ask(lab.WebKey) {
		asked[name] = values[0]
	}
	key := newHolder(t, h)
	return map[string]func() string{
		"an ID token":      func() string { return given.IDToken },
		"an access token":  func() string { return given.AccessToken },
		"a userinfo":       func() string { return string(h.UserInfo(given.AccessToken).Body) },
		"an introspection": func() string { return string(h.Introspect(lab.WebKey, given.AccessToken).Body) },
		"a response": func() string {
			ask := lab.Ask(lab.WebKey)
			ask.Set("response_mode", "jwt")
			sent, _ := h.Authorize(alice, ask).Sent(lab.Redirect(lab.WebKey))
			return sent.Get("response")
		},
		"a logout token": func() string {
			return h.Forge("logout+jwt", members{
				"iss": h.Issuer, "sub": alice.ID, "aud": lab.WebKey, "iat": now(), "exp": now() + 60, "jti": uuid.NewString(), "sid": alice.Session,
				"events": members{"http://schemas.openid.net/event/backchannel-logout": members{}},
			})
		},
		"a client assertion": func() string { return h.Assertion(lab.WebKey, nil) },
		"a request object":   func() string { return signed("JWT", changed(asked, members{"iss": lab.WebKey})) },
		"a hint of the client": func() string {
			return signed("JWT", members{"iss": lab.WebKey, "sub_id": members{"format": "opaque", "id": alice.Username}})
		},
		"a bearer assertion":   func() string { return signed("JWT", members{"iss": vouch, "sub": alice.ID}) },
		"a software statement": func() string { return signed("JWT", members{"iss": vouch, "software_id": "an-app"}) },
		"a proof": func() string {
			proof, err := key.Proof("POST", h.Issuer+"/token", "", nil)
			must(t, err)
			return proof
		},
	}
}

type takingDoor struct {
	takes string
	show  func(token string) (lab.Reply, bool)
}

func doorsOf(t *testing.T, h *lab.House, alice *lab.Person) map[string]takingDoor {
	t.Helper()
	says := func(status int, reply lab.Reply) (lab.Reply, bool) { return reply, reply.Status == status }
	own := func() url.Values { return lab.Form("grant_type", "client_credentials", "scope", "accounts.read") }
	return map[string]takingDoor{
		"userinfo": {"an access token", func(token string) (lab.Reply, bool) { return says(200, h.UserInfo(token)) }},
		"the Gate": {"an access token", func(token string) (lab.Reply, bool) { return says(200, h.Call("GET", "/accounts/balance", token)) }},
		"introspection": {"an access token", func(token string) (lab.Reply, bool) {
			reply := h.Introspect(lab.Accounts, token)
			return reply, reply.True("active")
		}},
		"authorize, as a hint": {"an ID token", func(token string) (lab.Reply, bool) {
			ask := lab.Ask(lab.WebKey)
			ask.Set("id_token_hint", token)
			reply := h.Authorize(alice, ask)
			sent, _ := reply.Sent(lab.Redirect(lab.WebKey))
			return reply, sent.Has("code")
		}},
		"logout, as a hint": {"an ID token", func(token string) (lab.Reply, bool) {
			reply := h.Get("/logout?" + lab.Form("id_token_hint", token, "post_logout_redirect_uri", goodbye).Encode())
			return reply, reply.Header.Get("Location") == goodbye
		}},
		"client authentication": {"a client assertion", func(token string) (lab.Reply, bool) {
			form := own()
			form.Set("client_assertion_type", lab.AssertionType)
			form.Set("client_assertion", token)
			return says(200, h.Post("/token", form))
		}},
		"PAR, as a request": {"a request object", func(token string) (lab.Reply, bool) {
			return says(201, h.As(lab.WebKey, "/par", lab.Form("request", token)))
		}},
		"the token endpoint, as a proof": {"a proof", func(token string) (lab.Reply, bool) {
			form := own()
			return says(200, h.Post("/token", form, append(h.Prove(lab.WebKey, form), "DPoP", token)...))
		}},
		"the token endpoint, as a grant": {"a bearer assertion", func(token string) (lab.Reply, bool) {
			return says(200, h.As(lab.WebKey, "/token", lab.Form("grant_type", bearerJWT, "assertion", token)))
		}},
		"registration": {"a software statement", func(token string) (lab.Reply, bool) {
			body, err := json.Marshal(members{"software_statement": token, "redirect_uris": []string{"https://app.example/cb"}})
			must(t, err)
			return says(201, h.Do(lab.Request("POST", "/register", string(body), "Content-Type", "application/json")))
		}},
	}
}
