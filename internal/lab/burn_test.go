package lab_test

import (
	"maps"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/lab"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/recipe"
)

// elsewhereToo lets the client with a key ask people on other devices, and show what the partner says of them.
func elsewhereToo(r *recipe.Recipe) {
	client := r.Clients[lab.WebKey]
	client.Grants = append(slices.Clone(client.Grants), string(oauth.DeviceCode), string(oauth.CIBA), string(oauth.JWTBearer))
	for name, issuer := range r.Issuers {
		issuer.Clients = append(slices.Clone(issuer.Clients), lab.WebKey)
		r.Issuers[name] = issuer
	}
	client.CIBADelivery = "poll"
	r.Clients[lab.WebKey] = client
}

// burning is a door, what is good there, and what spoils it.
type burning struct {
	path  string
	good  func() url.Values
	spoil [2]string
	code  string // of the refusal
}

func burnings(h *lab.House, alice *lab.Person) map[string]burning {
	const nowhere = "https://x.example"
	grant := func(kind oauth.GrantType, name string, value func() string) burning {
		return burning{"/token", func() url.Values { return lab.Form("grant_type", string(kind), name, value()) }, [2]string{"resource", nowhere}, "invalid_target"}
	}
	return map[string]burning{
		"a code": {"/token", func() url.Values { return h.Code(alice, lab.Plant{Client: lab.WebKey}).Form() }, [2]string{"resource", nowhere}, "invalid_target"},
		"a refresh token": grant(oauth.RefreshToken, "refresh_token", func() string {
			return h.Tokens(alice, lab.Plant{Client: lab.WebKey, Scope: "openid offline_access accounts.read"}).RefreshToken
		}),
		"a device code":    grant(oauth.DeviceCode, "device_code", func() string { return h.Asked(alice, lab.WebKey, iam.AskedDevice) }),
		"an auth_req_id":   grant(oauth.CIBA, "auth_req_id", func() string { return h.Asked(alice, lab.WebKey, iam.AskedCIBA) }),
		"an assertion":     grant(oauth.JWTBearer, "assertion", func() string { return h.Told(alice.ID, nil) }),
		"its own token":    {"/token", func() url.Values { return lab.Form("grant_type", "client_credentials", "scope", "accounts.read") }, [2]string{"resource", nowhere}, "invalid_target"},
		"a pushed request": {"/par", func() url.Values { return lab.Ask(lab.WebKey) }, [2]string{"redirect_uri", "https://evil.example/cb"}, "invalid_request"},
		"a device":         {"/device_authorization", func() url.Values { return lab.Form("scope", "openid") }, [2]string{"scope", "x"}, "invalid_scope"},
		"a person": {"/bc-authorize", func() url.Values {
			return lab.Form("scope", "openid", "login_hint", h.NewPerson("bob").Username)
		}, [2]string{"login_hint", "nobody-at-all"}, "unknown_user_id"},
	}
}

// TestWhatARefusalBurnsAtEachDoor: the assertion by which a client proved itself is used up whatever comes of the request; what
// the client would have got something for is not, nor is the proof of its key.
func TestWhatARefusalBurnsAtEachDoor(t *testing.T) {
	h := lab.New(t, lab.Options{Partner: true, Recipe: elsewhereToo})
	alice, key := h.NewPerson("alice"), newHolder(t, h)
	for name, door := range burnings(h, alice) {
		t.Run(name, func(t *testing.T) {
			calm(h)
			send := func(form url.Values, assertion, proof string) lab.Reply {
				form = merged(maps.Clone(form), "client_assertion_type", lab.AssertionType, "client_assertion", assertion)
				return h.Post(door.path, form, "DPoP", proof)
			}
			prove := func(path string) string {
				proof, err := key.Proof("POST", h.Issuer+path, "", nil)
				must(t, err)
				return proof
			}
			assert := func() string { return h.Assertion(lab.WebKey, nil) }
			good := door.good()
			spoiled := merged(maps.Clone(good), door.spoil[0], door.spoil[1])
			proof, shown, id := prove(door.path), assert(), uuid.NewString()
			named := func(audience string) string {
				return h.Assertion(lab.WebKey, func(claims map[string]any) { claims["jti"], claims["aud"] = id, audience })
			}

			refused(t, send(good, shown, prove("/elsewhere")), 400, "invalid_dpop_proof")
			refused(t, send(good, shown, proof), 401, "invalid_client") // T18: it proved the client once
			shown = assert()
			refused(t, send(spoiled, shown, proof), 400, door.code)
			refused(t, send(good, shown, proof), 401, "invalid_client")
			refused(t, send(good, named("https://evil.example"), proof), 401, "invalid_client") // it proved nobody
			beside := merged(maps.Clone(good), "client_assertion_type", lab.AssertionType, "client_assertion", named(h.Issuer))
			refused(t, h.Post(door.path, beside, "DPoP", proof, "Authorization", lab.BasicAuth(lab.WebA, h.Secret(lab.WebA))), 400, "invalid_request")

			if reply := send(good, named(h.Issuer), proof); reply.Status/100 != 2 {
				t.Fatalf("what five refusals left: %d %s", reply.Status, reply.Body)
			}
			next := door.good()
			refused(t, send(next, assert(), proof), 400, "invalid_dpop_proof") // D08: and burns nothing else
			if reply := send(next, assert(), prove(door.path)); reply.Status/100 != 2 {
				t.Errorf("what a replayed proof left: %d %s", reply.Status, reply.Body)
			}
		})
	}
}

// TestD08OneProofAtTheDoorsThatBegin: of many callers with one proof one begins something, and who comes too often loses none.
func TestD08OneProofAtTheDoorsThatBegin(t *testing.T) {
	h := lab.New(t, lab.Options{Partner: true, Recipe: elsewhereToo})
	alice, key := h.NewPerson("alice"), newHolder(t, h)
	for name, door := range burnings(h, alice) {
		if door.path == "/token" { // proven_test.go
			continue
		}
		t.Run("D08 "+name, func(t *testing.T) {
			proof, err := key.Proof("POST", h.Issuer+door.path, "", nil)
			must(t, err)
			form := door.good()
			said := lab.Together(12, func(int) string {
				own := maps.Clone(form)
				return h.Post(door.path, own, append(h.Prove(lab.WebKey, own), "DPoP", proof)...).Says()
			})
			if said["ok"] != 1 || said["invalid_dpop_proof"]+said["temporarily_unavailable"] != 11 {
				t.Errorf("%v", said)
			}
		})
	}
	t.Run("D08 a device that asks too often", func(t *testing.T) {
		proof, err := key.Proof("POST", h.Issuer+"/device_authorization", "", nil)
		must(t, err)
		ask := func(headers ...string) lab.Reply {
			form := lab.Form("scope", "openid")
			return h.Post("/device_authorization", form, append(h.Prove(lab.WebKey, form), headers...)...)
		}
		if reply := until429(func() lab.Reply { return ask() }); reply.Status != 429 {
			t.Fatalf("%d %s", reply.Status, reply.Body)
		}
		refused(t, ask("DPoP", proof), 429, "temporarily_unavailable")
		h.Pass(3 * time.Second)
		granted(t, ask("DPoP", proof))
		refused(t, ask("DPoP", proof), 400, "invalid_dpop_proof")
	})
}

// TestAnAssertionServesOnce: whoever shows one of another issuer's gets one token for it, from whichever node, and what issue
// refuses at its very end has cost them nothing.
func TestAnAssertionServesOnce(t *testing.T) {
	h := lab.New(t, lab.Options{Partner: true, Engine: lab.Postgres, Nodes: 2, Recipe: func(r *recipe.Recipe) {
		spare := r.Clients[lab.WebSpare]
		spare.Metadata.DPoP = true
		r.Clients[lab.WebSpare] = spare
	}})
	alice, key := h.NewPerson("alice"), newHolder(t, h)
	show := func(told string) url.Values {
		return lab.Form("grant_type", string(oauth.JWTBearer), "assertion", told)
	}
	t.Run("T17 of many at once at two nodes one wins", func(t *testing.T) {
		told := h.Told(alice.ID, nil)
		said := lab.Together(16, func(i int) string { return h.Nodes[i%2].As(lab.WebA, "/token", show(told)).Says() })
		if said["ok"] != 1 || said["invalid_grant"] != 15 {
			t.Errorf("%v", said)
		}
	})
	t.Run("a key that is missing leaves it", func(t *testing.T) {
		told := h.Told(alice.ID, nil)
		refused(t, h.As(lab.WebSpare, "/token", show(told)), 400, "invalid_dpop_proof")
		granted(t, key.post(lab.WebSpare, "/token", show(told)))
		refused(t, key.post(lab.WebSpare, "/token", show(told)), 400, "invalid_grant")
	})
}

// TestAPushClientWithoutItsKeyIsRefusedAtOnce: its tokens would be bound to nothing, so that nobody is asked.
func TestAPushClientWithoutItsKeyIsRefusedAtOnce(t *testing.T) {
	h := lab.New(t, lab.Options{})
	alice, key := h.NewPerson("alice"), newHolder(t, h)
	secret := iam.NewSecret(iam.PrefixClient)
	must(t, h.Store().PutClient(t.Context(), iam.Client{
		ID: "pushed-to", Kind: recipe.Web, Auth: oauth.AuthBasic, Scope: oauth.Scope{"openid"}, Grants: []oauth.GrantType{oauth.CIBA},
		Metadata: recipe.Metadata{DPoP: true, CIBADelivery: "push", CIBANotify: "https://rp.example/push"},
	}))
	must(t, h.Store().AddClientSecret(t.Context(), "pushed-to", iam.ClientSecret{ID: "s", Hash: iam.Hash(secret), Created: h.Clock.Now()}))
	waiting := func() int {
		asked, err := h.Store().AskedOf(t.Context(), alice.ID, h.Clock.Now())
		must(t, err)
		return len(asked)
	}
	ask := func(headers ...string) lab.Reply {
		form := lab.Form("scope", "openid", "login_hint", alice.Username, "client_notification_token", "its-own-token")
		return h.Post("/bc-authorize", form, append([]string{"Authorization", lab.BasicAuth("pushed-to", secret)}, headers...)...)
	}
	refused(t, ask(), 400, "invalid_dpop_proof")
	if n := waiting(); n != 0 {
		t.Errorf("V13 %d requests wait for the person", n)
	}
	proof, err := key.Proof("POST", h.Issuer+"/bc-authorize", "", nil)
	must(t, err)
	if granted(t, ask("DPoP", proof)); waiting() != 1 {
		t.Error("with its key nobody is asked")
	}
}
