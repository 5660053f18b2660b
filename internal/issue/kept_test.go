package issue_test

import (
	"testing"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/token"
	"github.com/gardeauth/garde/recipe"
)

// TestD15CodesAreForTheKeyThatAskedForThem (RFC 9449 section 10).
func TestD15CodesAreForTheKeyThatAskedForThem(t *testing.T) {
	h := open(t)
	order := h.codeWith("c-web", func(code *iam.Code) { code.JKT = key.JKT })
	wrong := order
	proof := *order.Code
	wrong.Code, wrong.Proven = &proof, iam.Binding{JKT: "of a thief"}
	proof.JKT = "of a thief"
	h.refused(wrong, "invalid_grant")
	proof.JKT = ""
	wrong.Proven = iam.Binding{}
	h.refused(wrong, "invalid_grant")
	order.Code.JKT, order.Proven = key.JKT, key
	h.issued(order)
}

func TestHybridCodesGoOnWithTheirGrant(t *testing.T) {
	h := open(t)
	order := h.front(oauth.TypeCodeIDToken)
	answer := h.issued(order)
	redeem := token.Order{
		GrantType: oauth.AuthorizationCode, Client: order.Client, Subject: "u-alice", Grant: order.Grant, Audience: audience, Kind: recipe.TokenJWT,
		Scope: oauth.Scope{"openid", "read"}, GiveID: true, GiveRefresh: true, Nonce: "a-nonce",
		Code: &iam.CodeProof{Hash: iam.HashCode(answer.Code), Client: "c-web", RedirectURI: redirect, Challenge: challenge},
	}
	second := h.issued(redeem)
	first, later := h.verified(answer.IDToken, jose.ES256, token.TypeID), h.verified(second.IDToken, jose.ES256, token.TypeID)
	for _, name := range []string{"iss", "sub", "aud", "nonce", "auth_time", "acr"} {
		if number(first[name]) != number(later[name]) {
			t.Errorf("%s: %v and %v", name, first[name], later[name])
		}
	}
	h.refused(redeem, "invalid_grant")
}

// TestD17TheBindingIsKeptWithTheGrant: what a public client proved when its grant began is what the storage says later.
func TestD17TheBindingIsKeptWithTheGrant(t *testing.T) {
	for client, want := range map[string]iam.Binding{"c-native": key, "c-web": {}} {
		h := open(t)
		order := h.code(client)
		order.Proven = key
		given := h.issued(order)
		_, grant, err := h.tenant.Refresh(t.Context(), iam.HashRefresh(given.RefreshToken))
		h.must(err)
		if grant.Binding != want {
			t.Errorf("%s: %+v", client, grant.Binding)
		}
	}
	h := open(t)
	order := h.code("c-web")
	order.Kind, order.Proven = recipe.TokenOpaque, key
	row, err := h.tenant.Access(t.Context(), iam.HashAccess(h.issued(order).AccessToken), h.now)
	h.must(err)
	if row.Binding != key {
		t.Errorf("D17 the row of an opaque token says %+v", row.Binding)
	}
}
