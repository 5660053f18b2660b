package lab_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/gardeauth/garde/internal/iam"
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

// TestD14ARequestObjectOutlivesTheQuestionForANonce: whoever is asked for a nonce has lost nothing but a round trip, at each door
// that takes both.
func TestD14ARequestObjectOutlivesTheQuestionForANonce(t *testing.T) {
	h := lab.New(t, lab.Options{Recipe: func(r *recipe.Recipe) {
		r.Proofs.Nonce = true
		client := r.Clients[lab.WebKey]
		client.Grants = append(slices.Clone(client.Grants), "urn:openid:params:grant-type:ciba")
		client.CIBAAlg = "ES256"
		r.Clients[lab.WebKey] = client
	}})
	alice, key := h.NewPerson("alice"), newHolder(t, h)
	asked := members{"binding_message": "W4SCT", "login_hint": alice.Username, "scope": "openid"}
	pushed := members{}
	for name, values := range lab.Ask(lab.WebKey) {
		pushed[name] = values[0]
	}
	for path, claims := range map[string]members{"/par": pushed, "/bc-authorize": asked} {
		t.Run("D14 "+path, func(t *testing.T) {
			now := h.Clock.Now().Unix()
			object, err := h.Signer(lab.WebKey).Sign("oauth-authz-req+jwt", changed(members{
				"iss": lab.WebKey, "aud": h.Issuer, "iat": now, "nbf": now, "exp": now + 60, "jti": uuid.NewString(),
			}, claims))
			must(t, err)
			send := func(nonce any) lab.Reply {
				proof, err := key.Proof("POST", h.Issuer+path, "", members{"nonce": nonce})
				must(t, err)
				form := lab.Form("request", object)
				return h.Post(path, form, append(h.Prove(lab.WebKey, form), "DPoP", proof)...)
			}
			first := send(nil)
			refused(t, first, 400, "use_dpop_nonce")
			if second := send(first.Nonce()); second.Status/100 != 2 {
				t.Errorf("D14 %d %s", second.Status, second.Body)
			}
		})
	}
}

// TestC28APolicyThatIsGone: the clients that registered under a policy end with it, and so do their tokens, at every door. One
// that gives less ends those that may hold more.
func TestC28APolicyThatIsGone(t *testing.T) {
	h := lab.New(t, lab.Options{Gate: true})
	policy := recipe.Registration{Open: true, Types: []recipe.ClientType{recipe.Web}, Scopes: []string{"openid", "accounts.read"}}
	less := policy
	less.Scopes = []string{"openid"}
	for name, next := range map[string]map[string]recipe.Registration{"C28 gone": nil, "X15 narrowed": {"partners": less}} {
		t.Run(name, func(t *testing.T) {
			h.Followed(h.Change(func(r *recipe.Recipe) { r.Registration = map[string]recipe.Registration{"partners": policy} }))
			made := h.Do(lab.Request("POST", "/register", `{"redirect_uris":["https://app.example/cb"],"scope":"openid accounts.read"}`, "Content-Type", "application/json"))
			id, alice := made.Text("client_id"), h.NewPerson("alice")
			h.Allow(alice, id, "openid", "accounts.read")
			code := h.Code(alice, lab.Plant{Twist: func(c *iam.Code) { c.Grant.Client, c.RedirectURI = id, "https://app.example/cb" }})
			got := h.Post("/token", code.Form(), "Authorization", lab.BasicAuth(id, made.Text("client_secret")))
			granted(t, got)
			access := got.Text("access_token")
			if reply := h.UserInfo(access); reply.Status != 200 {
				t.Fatalf("%d %s", reply.Status, reply.Body)
			}
			h.Followed(h.Change(func(r *recipe.Recipe) { r.Registration = next }))
			h.Within(time.Second, "userinfo to refuse", func() bool { return h.UserInfo(access).Status == 401 })
			h.Within(time.Second, "introspection to deny", func() bool { return !h.Introspect(lab.Accounts, access).True("active") })
			h.Within(time.Second, "the Gate to refuse", func() bool { return h.Call("GET", "/accounts/balance", access).Status == 401 })
		})
	}
}

// TestP19StrangersTakeNoPlacesOfAPublicClient: whoever knows the id of a client that proves nothing could push in its name until
// nobody else can. One network runs out first, and a client that proves itself is not counted.
func TestP19StrangersTakeNoPlacesOfAPublicClient(t *testing.T) {
	h := lab.New(t, lab.Options{})
	made := lab.Together(400, func(int) string { return h.As(lab.Native, "/par", lab.Ask(lab.Native)).Code() })
	if made["temporarily_unavailable"] == 0 || made[""] < 100 || made[""] > 350 {
		t.Errorf("P19 %v", made)
	}
	if reply := h.As(lab.WebA, "/par", lab.Ask(lab.WebA)); reply.Status != 201 {
		t.Errorf("P19 %d %s", reply.Status, reply.Body)
	}
}

// TestG03AClientHasNoHostAskedWithoutEnd: each update may have a list of a sector fetched, from wherever the client says, so that
// updates wait like registrations do.
func TestG03AClientHasNoHostAskedWithoutEnd(t *testing.T) {
	h := lab.New(t, lab.Options{})
	h.Followed(h.Change(func(r *recipe.Recipe) {
		r.Registration = map[string]recipe.Registration{"partners": {Open: true, Scopes: []string{"openid"}}}
	}))
	made := h.Do(lab.Request("POST", "/register", `{"redirect_uris":["https://app.example/cb"]}`, "Content-Type", "application/json"))
	at, token := strings.TrimPrefix(made.Text("registration_client_uri"), h.Issuer), made.Text("registration_access_token")
	body := `{"client_id":"` + made.Text("client_id") + `","redirect_uris":["https://app.example/cb"],"subject_type":"pairwise","sector_identifier_uri":"https://127.0.0.1:1/list"}`
	answers := map[int]int{}
	for range 100 {
		answers[h.Do(lab.Request("PUT", at, body, "Content-Type", "application/json", "Authorization", "Bearer "+token)).Status]++
	}
	if answers[429] < 5 || answers[400] < 5 {
		t.Errorf("G03 %v", answers)
	}
}
