package issue_test

import (
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/issue"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/keys"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/seal"
	"github.com/gardeauth/garde/internal/store"
	"github.com/gardeauth/garde/internal/store/sqlstore"
	"github.com/gardeauth/garde/internal/token"
	"github.com/gardeauth/garde/recipe"
)

const (
	issuer    = "https://login.example"
	audience  = "https://api.example"
	redirect  = "https://app.example/cb"
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

// house is a desk on SQLite, with its keys, a recipe, a client of each kind, and alice, who allowed them everything.
type house struct {
	t      testing.TB
	tenant *sqlstore.Tenant
	ring   *keys.Ring
	desk   *issue.Desk
	now    time.Time
	files  map[string][]byte // of the recipe
	other  recipe.API        // beside the one API, if it has an address
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

var everything = oauth.Scope{"openid", "email", "offline_access", "read", "write"}

func open(t testing.TB) *house {
	t.Helper()
	h := &house{t: t, now: time.Now().UTC().Truncate(time.Second)}
	clock := func() time.Time { return h.now }
	kept, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "garde.db"), store.Options{Now: clock})
	h.must(err)
	t.Cleanup(func() { h.must(kept.Close()) })
	h.tenant = kept.Tenant(iam.DefaultTenant)
	master, err := seal.ParseMaster(seal.GenerateMaster())
	h.must(err)
	h.ring = &keys.Ring{Store: h.tenant, Sealer: seal.Sealer{Current: master}, Tenant: iam.DefaultTenant, Now: clock}
	h.must(h.ring.Ensure(t.Context(), jose.ES256))
	h.must(h.ring.EnsureSalt(t.Context()))
	h.desk = &issue.Desk{
		Issuer: issuer, Deeds: &ear{Issuing: h.tenant}, Users: h.tenant, Consents: h.tenant, Keys: h.ring, Salt: h.ring.Salt, Steps: issue.Standard, Now: clock,
	}
	h.api(func(*recipe.API) {})
	for id, client := range map[string]iam.Client{
		"c-web": {Kind: recipe.Web, Auth: oauth.AuthBasic}, "c-own": {Kind: recipe.Web, Auth: oauth.AuthBasic, Consent: recipe.ConsentImplied},
		"c-turns": {Kind: recipe.Web, Auth: oauth.AuthBasic, Rotate: true}, "c-native": {Kind: recipe.Native, Auth: oauth.AuthNone},
		"c-page": {Kind: recipe.Browser, Auth: oauth.AuthNone},
	} {
		client.ID, client.Source, client.Scope, client.RedirectURIs = id, iam.FromAdmin, everything, []string{redirect}
		client.Grants = []oauth.GrantType{oauth.AuthorizationCode, oauth.RefreshToken, oauth.ClientCredentials}
		h.must(h.tenant.PutClient(t.Context(), client))
	}
	h.person("u-alice", false)
	h.person("u-root", true)
	return h
}

// api puts a recipe in force in which the one API is changed.
func (h *house) api(change func(*recipe.API)) {
	h.t.Helper()
	say := recipe.Scope{Say: recipe.Text{"en": "Do it"}}
	api := recipe.API{At: audience, Operations: map[string]recipe.Operation{"GET /": {Scope: "read"}, "POST /": {Scope: "write"}}}
	change(&api)
	apis := map[string]recipe.API{"api": api}
	if h.other.At != "" {
		apis["other"] = h.other
	}
	policy, err := assurance.Assemble(&recipe.Bundle{Recipe: &recipe.Recipe{
		Levels: []recipe.Level{{Name: "basic", ACR: "urn:basic", Any: []string{"password"}}}, Scopes: map[string]recipe.Scope{"read": say, "write": say},
		APIs: apis,
	}, Files: h.files}, 1, issuer)
	h.must(err)
	h.desk.Policy = func() *assurance.Policy { return policy }
}

// person adds somebody who allowed every client everything.
func (h *house) person(id string, admin bool) {
	h.t.Helper()
	user := iam.User{ID: id, Username: id, Email: id + "@bank.example", EmailKey: id + "@bank.example", EmailVerified: true, Admin: admin, Created: h.now, Changed: h.now}
	h.must(h.tenant.AddUser(h.t.Context(), user, iam.Password{User: id}))
	for _, client := range []string{"c-web", "c-turns", "c-native", "c-page"} {
		h.must(h.tenant.GiveConsent(h.t.Context(), iam.Consent{User: id, Client: client, Scope: everything, Given: h.now}))
	}
}

func (h *house) client(id string) iam.Client {
	h.t.Helper()
	client, err := h.tenant.Client(h.t.Context(), id)
	h.must(err)
	return client
}

// code plants a code of alice's and gives the order that redeems it.
func (h *house) code(client string) token.Order { return h.codeWith(client, func(*iam.Code) {}) }

func (h *house) codeWith(client string, change func(*iam.Code)) token.Order {
	h.t.Helper()
	value := iam.NewSecret(iam.PrefixCode)
	grant := iam.Grant{
		ID: "g-" + value[3:20], Client: client, User: "u-alice", Scope: everything, AuthTime: h.now.Add(-time.Minute), AMR: []string{"pwd"}, ACR: "urn:basic",
		Created: h.now, Expires: h.now.Add(30 * 24 * time.Hour),
	}
	code := iam.Code{
		Hash: iam.HashCode(value), RedirectURI: redirect, Challenge: challenge, Grant: grant, Created: h.now, Expires: h.now.Add(time.Minute),
	}
	change(&code)
	h.must(h.tenant.AddCode(h.t.Context(), code, iam.FlowHash{}, nil))
	return token.Order{
		GrantType: oauth.AuthorizationCode, Client: h.client(client), Subject: "u-alice", Grant: grant, Audience: audience, Kind: recipe.TokenJWT,
		Scope: oauth.Scope{"openid", "read"}, GiveRefresh: true, GiveID: true, Nonce: "a-nonce",
		Code: &iam.CodeProof{Hash: iam.HashCode(value), Client: client, RedirectURI: redirect, Challenge: challenge},
	}
}

// again is the order of the same client with a refresh token.
func again(first token.Order, value string) token.Order {
	first.GrantType, first.Code, first.GiveRefresh, first.Nonce = oauth.RefreshToken, nil, false, ""
	first.Refresh = &iam.RefreshProof{Hash: iam.HashRefresh(value), Client: first.Client.ID}
	return first
}

func (h *house) issued(order token.Order) token.Answer {
	h.t.Helper()
	answer, err := h.desk.Issue(h.t.Context(), order)
	h.must(err)
	return answer
}

// refused fails the test unless the order is refused with that code, and nothing comes out beside the error.
func (h *house) refused(order token.Order, code string) error {
	h.t.Helper()
	answer, err := h.desk.Issue(h.t.Context(), order)
	if oauth.CodeOf(err) != code || !reflect.DeepEqual(answer, token.Answer{}) {
		h.t.Errorf("%+v, error %v, want %s", answer, err, code)
	}
	return err
}

// verified gives the claims of what the house signed, by an algorithm.
func (h *house) verified(signed string, alg jose.Alg, typ string) map[string]any {
	h.t.Helper()
	unverified, err := jose.Parse(signed)
	h.must(err)
	key, known := h.ring.Find(unverified.Header.KeyID)
	if !known || unverified.Header.Alg != alg || unverified.Header.Typ != typ {
		h.t.Fatalf("%+v", unverified.Header)
	}
	payload, err := unverified.Verify(key.Key, alg)
	h.must(err)
	var claims map[string]any
	h.must(jose.DecodeJSON(payload, &claims))
	return claims
}
