package lab

import (
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/gardeauth/garde/internal/enact"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/recipe"
)

// The clients of the test recipe. A and B are the pair to be crossed: alike but for their way to prove themselves.
const (
	WebA       = "web-a"     // web, client_secret_basic
	WebB       = "web-b"     // web, client_secret_post
	WebKey     = "web-key"   // web, private_key_jwt, refresh tokens rotate
	WebSpare   = "web-spare" // web, client_secret_basic, to be removed, renamed, disabled
	Native     = "native"    // native
	Browser    = "browser"   // browser, with an origin
	Job        = "job"       // service, client_secret_basic
	JobKey     = "job-key"   // service, private_key_jwt
	Accounts   = "accounts-svc"
	Vault      = "vault-svc"
	Ledger     = "ledger-svc"
	GateClient = "gate"
)

// ACR of the one level, and the origin of the browser client.
const (
	Basic  = "urn:test:basic"
	Strong = "urn:test:strong"
	Origin = "https://spa.example"
)

// Redirects are where the clients get their codes.
var redirects = map[string]string{
	WebA: "https://a.example/cb", WebB: "https://b.example/cb", WebKey: "https://key.example/cb", WebSpare: "https://spare.example/cb",
	Native: "http://127.0.0.1/cb", Browser: Origin + "/cb",
}

// AccountsAPI, VaultAPI (opaque tokens), LedgerAPI and SecureAPI (https only) are the audiences.
func (h *House) AccountsAPI() string { return h.GateURL + "/accounts" }

// VaultAPI: see AccountsAPI.
func (h *House) VaultAPI() string { return h.GateURL + "/vault" }

// LedgerAPI: see AccountsAPI.
func (h *House) LedgerAPI() string { return h.GateURL + "/ledger" }

// SecureAPI: see AccountsAPI.
func (h *House) SecureAPI() string { return "https://secure.example" }

func say(text string) recipe.Scope { return recipe.Scope{Say: recipe.Text{"en": text}} }

// recipe makes the recipe, with the keys and secrets that it names.
func (h *House) recipe() *recipe.Recipe {
	house := &recipe.Recipe{
		Garde:  recipe.Format,
		Levels: []recipe.Level{{Name: "basic", ACR: Basic, Any: []string{"password"}}},
		Scopes: map[string]recipe.Scope{
			"accounts.read": say("See balances"), "transfers.write": say("Move money"), "vault.read": say("Open the vault"),
			"ledger.read": say("Read entries"), "ledger.post": say("Post entries"), "secure.read": say("Read in private"),
		},
		APIs: h.apis(), Clients: h.clients(),
	}
	if h.options.Partner {
		h.trust(house)
	}
	excuse(house)
	return house
}

// partner is an issuer of assertions about people, by their id (RFC 7523 section 2.1).
const partner = "partner"

func (h *House) trust(house *recipe.Recipe) {
	h.keys[partner] = newKey(h.t, partner)
	h.files[partner+".jwks.json"] = h.keys[partner].set(h.t)
	house.Issuers = map[string]recipe.Issuer{partner: {
		At: "https://partner.example", JWKS: partner + ".jwks.json", Clients: []string{WebA, WebSpare}, Scopes: []string{"accounts.read"}, Subjects: "user",
	}}
	for _, id := range house.Issuers[partner].Clients {
		client := house.Clients[id]
		client.Grants = append(slices.Clone(client.Grants), string(oauth.JWTBearer), string(oauth.DeviceCode), string(oauth.CIBA))
		client.CIBADelivery = "poll"
		house.Clients[id] = client
	}
}

// trim takes clients that are gone, or have no such grant any more, from the issuers that named them.
func trim(house *recipe.Recipe) {
	for name, issuer := range house.Issuers {
		issuer.Clients = slices.DeleteFunc(issuer.Clients, func(id string) bool {
			return !slices.Contains(house.Clients[id].Grants, string(oauth.JWTBearer))
		})
		if house.Issuers[name] = issuer; len(issuer.Clients) == 0 {
			delete(house.Issuers, name)
		}
	}
}

// excuse writes the exceptions that clients need for their way to prove themselves. They end far away: the house's clock
// may be moved.
func excuse(house *recipe.Recipe) {
	for id, client := range house.Clients {
		if client.Auth != recipe.AllowSecretPost && client.Auth != recipe.AllowSecretJWT {
			continue
		}
		if house.Exceptions == nil {
			house.Exceptions = map[string]recipe.Exception{}
		}
		house.Exceptions["proof-of-"+id] = recipe.Exception{Client: id, Allow: []string{client.Auth}, Why: "each way to prove oneself is tried", Until: "2199-12-31"}
	}
}

func (h *House) apis() map[string]recipe.API {
	person, program := []recipe.Caller{recipe.ForUser}, []recipe.Caller{recipe.ForClient}
	both := []recipe.Caller{recipe.ForUser, recipe.ForClient}
	at := h.Upstream.server.URL
	return map[string]recipe.API{
		"accounts": {At: h.AccountsAPI(), Upstream: at, Client: Accounts, Body: 1024, Operations: map[string]recipe.Operation{
			"GET /rates":      {Open: "public prices"},
			"GET /balance":    {For: person, Scope: "accounts.read"},
			"GET /statement":  {For: person, Scope: "accounts.read", Level: "basic"},
			"POST /transfers": {For: person, Scope: "transfers.write", Level: "basic", Fresh: recipe.Duration(5 * time.Minute)},
			"GET /report":     {For: program, Scope: "accounts.read"},
		}},
		"vault": {At: h.VaultAPI(), Upstream: at, Client: Vault, Token: recipe.TokenOpaque, Operations: map[string]recipe.Operation{
			"GET /secrets": {For: both, Scope: "vault.read"},
		}},
		"ledger": {At: h.LedgerAPI(), Upstream: at, Client: Ledger, Operations: map[string]recipe.Operation{
			"GET /entries":  {For: both, Scope: "ledger.read"},
			"POST /entries": {For: program, Scope: "ledger.post"},
		}},
		"secure": {At: h.SecureAPI(), Upstream: at, Operations: map[string]recipe.Operation{
			"GET /": {For: both, Scope: "secure.read"}, "GET /open": {Open: "a page"},
		}},
	}
}

func (h *House) clients() map[string]recipe.Client {
	everything := []string{"openid", "profile", "email", "offline_access", "accounts.read", "transfers.write", "vault.read", "ledger.read", "secure.read"}
	all := []string{"authorization_code", "refresh_token", "client_credentials"}
	web := func(id, auth string) recipe.Client {
		return recipe.Client{Type: recipe.Web, Auth: auth, Grants: all, Scopes: everything, RedirectURIs: []string{redirects[id]}}
	}
	service := func(auth string, scopes ...string) recipe.Client {
		return recipe.Client{Type: recipe.Service, Auth: auth, Scopes: scopes}
	}
	key := web(WebKey, "private_key_jwt")
	key.Rotate = true
	clients := map[string]recipe.Client{
		WebA: web(WebA, "client_secret_basic"), WebB: web(WebB, "client_secret_post"), WebKey: key,
		WebSpare: web(WebSpare, "client_secret_basic"),
		Native:   {Type: recipe.Native, Scopes: everything, RedirectURIs: []string{redirects[Native]}},
		Browser: {Type: recipe.Browser, Scopes: everything, RedirectURIs: []string{redirects[Browser]}, Origins: []string{Origin},
			Consent: recipe.ConsentImplied},
		Job:        service("client_secret_basic", "accounts.read", "vault.read", "ledger.post"),
		JobKey:     service("private_key_jwt", "accounts.read", "ledger.post"),
		Accounts:   service("client_secret_basic"),
		Vault:      service("client_secret_basic"),
		Ledger:     service("client_secret_basic"),
		GateClient: service("client_secret_basic", "garde.gate"),
	}
	for id, client := range clients {
		clients[id] = h.equip(id, client)
	}
	return clients
}

// equip gives a confidential client its secret or its key.
func (h *House) equip(id string, client recipe.Client) recipe.Client {
	switch client.AuthMethod() {
	case "client_secret_basic", "client_secret_post":
		h.secrets[id] = iam.NewSecret(iam.PrefixClient)
		client.Secrets = []string{"file:" + id + ".secret"}
	case "private_key_jwt":
		h.keys[id] = newKey(h.t, id)
		client.JWKS = id + ".jwks.json"
		h.files[client.JWKS] = h.keys[id].set(h.t)
	}
	return client
}

func text(t testing.TB, r *recipe.Recipe) []byte {
	t.Helper()
	raw, err := yaml.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// Change applies the test recipe with changes, accepting every weakening, and gives the revision. Nodes follow by
// themselves; Followed waits for them.
func (n *Node) Change(change func(*recipe.Recipe)) int64 {
	h := n.House
	h.t.Helper()
	var next recipe.Recipe
	h.must(yaml.Unmarshal(text(h.t, h.base), &next))
	if change != nil {
		change(&next)
	}
	excuse(&next)
	trim(&next)
	files := map[string][]byte{}
	for _, client := range next.Clients {
		if client.JWKS != "" {
			files[client.JWKS] = h.files[client.JWKS]
		}
	}
	for _, issuer := range next.Issuers {
		files[issuer.JWKS] = h.files[issuer.JWKS]
	}
	for _, api := range next.APIs {
		for _, detail := range api.Details {
			files[detail.Schema] = h.files[detail.Schema]
		}
	}
	now := h.Clock.Now()
	bundle, err := recipe.Assemble("", []recipe.Source{{Name: "recipe.yaml", Text: text(h.t, &next)}}, files, now)
	h.must(err)
	force := n.Server.Force
	plan, err := force.Propose(context.Background(), bundle)
	h.must(err)
	revision, _, err := force.Apply(context.Background(), enact.Proposal{Bundle: bundle, Expect: -1, Accept: plan.Weaker, By: "test"}, now)
	h.must(err)
	return revision.Number
}

// Followed waits until every node obeys a revision, at most a second, and the Gate too.
func (h *House) Followed(number int64) {
	h.t.Helper()
	h.Within(time.Second, "every node follows the new recipe", func() bool {
		return !slices.ContainsFunc(h.Nodes, func(n *Node) bool { return n.Server.Force.InForce().Number < number })
	})
	if h.Gateway == nil {
		return
	}
	h.Within(time.Second, "the Gate follows the new recipe", func() bool {
		known, err := h.Server.House.ListNodes(context.Background(), time.Time{})
		h.must(err)
		return slices.ContainsFunc(known, func(n iam.Node) bool { return n.Role == "gate" && n.Revision >= number })
	})
}

// key is the key pair of a client.
type key struct{ signer *jose.Signer }

func newKey(t testing.TB, id string) *key {
	t.Helper()
	private, err := jose.GenerateKey(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	return &key{&jose.Signer{KeyID: id + "-1", Alg: jose.ES256, Key: private}}
}

func (k *key) set(t testing.TB) []byte {
	t.Helper()
	set, err := jose.NewSet(k.signer.Public())
	if err != nil {
		t.Fatal(err)
	}
	raw, err := set.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// Clients lists the clients of the test recipe by name.
func (h *House) Clients() []string { return slices.Sorted(maps.Keys(h.base.Clients)) }
