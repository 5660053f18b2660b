package enact_test

import (
	"slices"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/enact"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/recipe"
)

const doors = rules + `  shop:
    type: web
    auth: client_secret_post
    profile: oauth21
    redirect_uris: ["https://shop.example/cb", "https://shop.example/other"]
    scopes: [openid]
    subject_type: pairwise
    require_pushed_authorization_requests: true
registration:
  partners: {scopes: [openid], grants: [authorization_code], profile: oauth21}
exceptions:
  shop: {client: shop, allow: [client_secret_post, no_pkce], why: old, until: 2026-12-31}
  shop-later: {client: shop, allow: [no_pkce], why: older, until: 2027-01-31}
  partners: {registration: partners, allow: [error_redirect], why: tests, until: 2026-12-31}
`

func end(year int, month time.Month, day int) time.Time {
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}

func TestADeclaredClientIsKeptWithItsExceptionsProfileAndSector(t *testing.T) {
	declared := enact.Declared(bundle(t, doors))
	shop := declared[slices.IndexFunc(declared, func(c iam.Client) bool { return c.ID == "shop" })]
	want := []iam.Allowed{{Name: "client_secret_post", Until: end(2027, 1, 1)}, {Name: "no_pkce", Until: end(2027, 2, 1)}}
	if !slices.Equal(shop.Allowed, want) || shop.Profile != recipe.OAuth21 || shop.Sector != "shop.example" || !shop.Pairwise() || !shop.Demands().PAR {
		t.Errorf("kept %+v", shop)
	}
	if !shop.Allows("no_pkce", end(2027, 1, 31)) || shop.Allows("no_pkce", end(2027, 2, 1)) {
		t.Error("an exception lasts to the end of its last day, and no longer")
	}
	for _, client := range declared {
		if client.ID == "web" && len(client.Allowed) > 0 {
			t.Errorf("the exceptions of another client are web's, too: %+v", client.Allowed)
		}
	}
}

func TestARegisteredClientStandsUnderItsPolicy(t *testing.T) {
	r := bundle(t, doors).Recipe
	said := recipe.Client{
		Type: recipe.Web, Auth: "private_key_jwt", Scopes: []string{"openid"}, Grants: []string{"authorization_code"},
		RedirectURIs: []string{"https://partner.example/cb"}, Consent: recipe.ConsentImplied,
	}
	client := enact.Registered("r-1", "partners", said, `{"keys":[]}`, r)
	if client.Source != iam.FromRegistration || client.Policy != "partners" || !client.Unverified || client.JWKS == "" ||
		client.Consent != recipe.ConsentAsk || client.Profile != recipe.OAuth21 || client.Sector != "partner.example" ||
		!client.Allows("error_redirect", now) || client.Allows("no_pkce", now) {
		t.Errorf("registered %+v", client)
	}
	later := *r
	later.Exceptions = nil
	later.Registration = map[string]recipe.Registration{"partners": {Trusted: true, Profile: recipe.FAPI2Security}}
	if moved := enact.Under(client, &later); len(moved.Allowed) > 0 || moved.Unverified || len(moved.Scope) > 0 ||
		moved.Profile != recipe.FAPI2Security || moved.Disabled || len(client.Scope) != 1 {
		t.Errorf("the policy took something back, and the client is %+v", moved)
	}
	later.Registration = nil
	if gone := enact.Under(client, &later); !gone.Disabled {
		t.Error("a client outlives its policy")
	}
	if mine := (iam.Client{ID: "web", Scope: []string{"openid"}}); len(enact.Under(mine, &later).Scope) != 1 {
		t.Error("a declared client stands under no policy")
	}
}
