package token_test

import (
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/token"
)

var (
	now   = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	stamp = token.Stamp{Issuer: "https://login.example", ID: "j", Now: now, Life: 5 * time.Minute}
	order = token.Order{
		Client: iam.Client{ID: "web"}, Subject: "u-1", Audience: "https://api.example", Scope: oauth.Scope{"openid", "read"}, Nonce: "n",
		Grant: iam.Grant{ID: "g", Session: "s", AuthTime: now.Add(-time.Hour), AMR: []string{"pwd"}, ACR: "urn:basic"},
	}
	alice = iam.User{
		ID: "u-1", Username: "alice", Name: "Alice", Email: "a@example.com", EmailVerified: true, Changed: now,
		Claims: map[string]any{"address": map[string]any{"country": "FR"}, "sub": "u-2", "iss": "https://evil", "aud": "x", "azp": "y",
			"given_name": "", "email": "other@example.com", "email_verified": "true", "admin": true},
	}
)

func TestJ36ClaimsOfAPersonReplaceNothing(t *testing.T) {
	wanted, err := iam.ReadWanted(`{"id_token":{"sub":null,"iss":null,"aud":null,"exp":null,"azp":null,"admin":null,"email":null,"email_verified":null,"given_name":null}}`)
	if err != nil {
		t.Fatal(err)
	}
	extra := token.IDClaims(alice, nil, wanted)
	extra["azp"], extra["nonce"], extra["acr"], extra["sub"], extra["ds_hash"] = "evil", "evil", "evil", "evil", "evil"
	claims := token.IDOf(order, stamp, "ES256", token.Beside{Access: "access"}, extra)
	if claims["ds_hash"] != nil {
		t.Errorf("ds_hash is %v, and there is no device secret", claims["ds_hash"])
	}
	for name, want := range map[string]any{
		"iss": "https://login.example", "sub": "u-1", "aud": "web", "nonce": "n", "acr": "urn:basic", "sid": "s", "email": "a@example.com",
		"email_verified": true, "auth_time": now.Add(-time.Hour).Unix(), "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
	} {
		if claims[name] != want {
			t.Errorf("%s is %v, want %v", name, claims[name], want)
		}
	}
	for _, name := range []string{"azp", "admin", "given_name", "name"} {
		if value, there := claims[name]; there {
			t.Errorf("%s is %v", name, value)
		}
	}
	bare := order
	bare.Nonce, bare.Grant.ACR, bare.Grant.Session = "", "", ""
	claims = token.IDOf(bare, stamp, "ES256", token.Beside{}, map[string]any{"nonce": "evil", "acr": "evil", "sid": "evil"})
	for _, name := range []string{"nonce", "acr", "sid"} {
		if value, there := claims[name]; there {
			t.Errorf("%s is invented: %v", name, value)
		}
	}
}

func TestUserInfoSaysWhatTheScopesOpen(t *testing.T) {
	for scope, names := range map[string][]string{
		"openid": {"sub"}, "openid email": {"sub", "email", "email_verified"}, "openid address": {"sub", "address"}, "openid phone": {"sub"},
		"openid profile": {"sub", "name", "preferred_username", "updated_at"},
	} {
		parsed, err := oauth.ParseScope(scope)
		if err != nil {
			t.Fatal(err)
		}
		claims := token.UserInfoClaims(alice, "u-1", parsed, token.Wanted{})
		if len(claims) != len(names) || claims["sub"] != "u-1" {
			t.Errorf("%s opens %v", scope, claims)
		}
		for _, name := range names {
			if _, there := claims[name]; !there {
				t.Errorf("%s does not open %s", scope, name)
			}
		}
	}
}

func TestAccessTokens(t *testing.T) {
	claims := token.AccessOf(order, stamp)
	if claims.Subject != "u-1" || claims.ClientID != "web" || claims.Audience != "https://api.example" || claims.SessionID != "s" ||
		claims.GrantID != "g" || claims.Expires-claims.IssuedAt != 300 || claims.AuthTime != now.Add(-time.Hour).Unix() {
		t.Errorf("%+v", claims)
	}
	own := token.AccessOf(token.Order{Client: iam.Client{ID: "svc"}, Audience: "a"}, stamp)
	if own.Subject != "svc" || own.AuthTime != 0 || own.ACR != "" || own.SessionID != "" || own.GrantID != "" {
		t.Errorf("of a client: %+v", own)
	}
	row := token.OpaqueOf(order, stamp, iam.NewSecret(iam.PrefixAccess))
	if iam.Digest(row.Hash).Zero() || row.User != "u-1" || row.Audience != "https://api.example" || !row.Expires.Equal(now.Add(5*time.Minute)) {
		t.Errorf("opaque: %+v", row)
	}
}

// The values of OpenID Connect Core section 3.1.3.6 depend on the hash of the signature.
func TestLeftHash(t *testing.T) {
	for alg, length := range map[string]int{"ES256": 22, "PS256": 22, "RS256": 22, "ES384": 32, "PS384": 32, "ES512": 43, "PS512": 43, "EdDSA": 43} {
		if got := token.LeftHash(alg, "access"); len(got) != length {
			t.Errorf("%s: %q", alg, got)
		}
	}
	// The example of OpenID Connect Core appendix A.3.
	if got := token.LeftHash("RS256", "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"); got != "77QmUPtjPfzWtF2AnpK9RQ" {
		t.Errorf("at_hash %s", got)
	}
}
