package lab_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/lab"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/token"
	"github.com/gardeauth/garde/recipe"
)

// listener is a client made at run time, with the key to which it wants its answers encrypted.
type listener struct {
	t      *testing.T
	h      *lab.House
	id     string
	secret string
	opener *jose.Opener
}

const listenerURI = "https://listener.example/cb"

func newListener(t *testing.T, h *lab.House, id string, metadata recipe.Metadata) listener {
	t.Helper()
	opener, err := jose.GenerateOpener("its-key", jose.ECDHES)
	must(t, err)
	public, err := jose.EncryptionJWK(opener.Public())
	must(t, err)
	must(t, h.Store().PutClient(t.Context(), iam.Client{
		ID: id, Kind: recipe.Web, Auth: oauth.AuthBasic, Consent: recipe.ConsentImplied, RedirectURIs: []string{listenerURI},
		Scope: oauth.Scope{"openid", "email", "offline_access", "accounts.read", "vault.read"}, JWKS: `{"keys":[` + string(public) + `]}`,
		Grants: []oauth.GrantType{oauth.AuthorizationCode, oauth.RefreshToken}, Sector: "listener.example", Metadata: metadata,
	}))
	secret := iam.NewSecret(iam.PrefixClient)
	must(t, h.Store().AddClientSecret(t.Context(), id, iam.ClientSecret{ID: "s", Hash: iam.Hash(secret), Created: h.Clock.Now()}))
	return listener{t, h, id, secret, opener}
}

func (l listener) post(path string, form url.Values, headers ...string) lab.Reply {
	l.t.Helper()
	return l.h.Post(path, form, append([]string{"Authorization", lab.BasicAuth(l.id, l.secret)}, headers...)...)
}

// tokens redeems a code of a person.
func (l listener) tokens(p *lab.Person, scope string) token.Answer {
	l.t.Helper()
	code := l.h.Code(p, lab.Plant{Client: lab.WebA, Scope: scope, Twist: func(c *iam.Code) { c.Grant.Client, c.RedirectURI = l.id, listenerURI }})
	var answer token.Answer
	l.post("/token", code.Form()).Into(&answer)
	return answer
}

// read opens an answer if it is encrypted, and gives what the server signed.
func (l listener) read(text string, typ string) members {
	l.t.Helper()
	if strings.Count(text, ".") == 4 {
		sealed, err := jose.ParseEncrypted(text)
		must(l.t, err)
		plain, err := l.opener.Open(sealed)
		must(l.t, err)
		text = string(plain)
		if sealed.Header.Content == "" {
			var said members
			must(l.t, json.Unmarshal(plain, &said))
			return said
		}
	}
	header, claims := peek(l.t, text)
	unverified, err := jose.Parse(text)
	must(l.t, err)
	key, known := l.h.Server.Keys.Find(unverified.Header.KeyID)
	if _, err := key.Verify(unverified); err != nil || !known || header.Typ != typ {
		l.t.Fatalf("%+v: %v", header, err)
	}
	return claims
}

// TestUserInfoInTheFormOfItsReader (OpenID Connect Core section 5.3.2).
func TestUserInfoInTheFormOfItsReader(t *testing.T) {
	h := lab.New(t, lab.Options{})
	for name, metadata := range map[string]recipe.Metadata{
		"signed":               {UserInfoAlg: "RS256"},
		"encrypted":            {UserInfoEncryption: "ECDH-ES"},
		"signed and encrypted": {UserInfoAlg: "ES256", UserInfoEncryption: "ECDH-ES", UserInfoContent: "A256GCM"},
	} {
		t.Run(name, func(t *testing.T) {
			alice := h.NewPerson("alice")
			l := newListener(t, h, "c-info-"+strings.ReplaceAll(name, " ", "-"), metadata)
			reply := h.UserInfo(l.tokens(alice, "openid email accounts.read").AccessToken)
			if reply.Status != 200 || reply.Header.Get("Content-Type") != "application/jwt" || !strings.Contains(reply.Header.Get("Cache-Control"), "no-store") {
				t.Fatalf("%d %v %s", reply.Status, reply.Header, reply.Body)
			}
			said := l.read(string(reply.Body), "JWT")
			if said["sub"] != alice.ID || said["iss"] != h.Issuer || said["aud"] != l.id || said["email"] != alice.Email || said["nonce"] != nil || said["exp"] != nil {
				t.Errorf("%v", said)
			}
		})
	}
	t.Run("a key that is not there", func(t *testing.T) {
		l := newListener(t, h, "c-info-keyless", recipe.Metadata{UserInfoAlg: "ES256", UserInfoEncryption: "RSA-OAEP-256"})
		reply := h.UserInfo(l.tokens(h.NewPerson("alice"), "openid email accounts.read").AccessToken)
		if reply.Status != 400 || reply.Code() != "invalid_request" || strings.Contains(string(reply.Body), "people.example") {
			t.Errorf("%d %s", reply.Status, reply.Body)
		}
	})
	t.Run("X13 a token in the body or the query is none", func(t *testing.T) {
		l := newListener(t, h, "c-info-body", recipe.Metadata{})
		value := l.tokens(h.NewPerson("alice"), "openid accounts.read").AccessToken
		for what, reply := range map[string]lab.Reply{
			"body": h.Post("/userinfo", lab.Form("access_token", value)), "query": h.Get("/userinfo?access_token=" + value),
		} {
			if reply.Status != 401 {
				t.Errorf("%s: %d %s", what, reply.Status, reply.Body)
			}
		}
	})
}

// TestX18IntrospectionAsAJWT (RFC 9701): for one reader, of its own type, and of no more than plain JSON says.
func TestX18IntrospectionAsAJWT(t *testing.T) {
	const accept = "application/token-introspection+jwt"
	h := lab.New(t, lab.Options{})
	l := newListener(t, h, "c-intro", recipe.Metadata{})
	registered := newListener(t, h, "c-intro-registered", recipe.Metadata{IntrospectAlg: "RS256", IntrospectWrap: "ECDH-ES"})
	alice := h.NewPerson("alice")
	for name, row := range map[string]struct {
		asks    listener
		token   string
		headers []string
		active  bool
	}{
		"X18 asked for":            {l, l.tokens(alice, "openid accounts.read").AccessToken, []string{"Accept", accept}, true},
		"X18 among others":         {l, l.tokens(alice, "vault.read").AccessToken, []string{"Accept", "application/json;q=0.5, " + accept}, true},
		"X18 registered":           {registered, registered.tokens(alice, "openid accounts.read").AccessToken, nil, true},
		"X09 another client's":     {l, registered.tokens(alice, "openid accounts.read").AccessToken, []string{"Accept", accept}, false},
		"X11 one that never lived": {l, "at_nothing", []string{"Accept", accept}, false},
		"X10 a refresh token":      {l, l.tokens(alice, "openid accounts.read offline_access").RefreshToken, []string{"Accept", accept}, false},
	} {
		t.Run(name, func(t *testing.T) {
			reply := row.asks.post("/introspect", lab.Form("token", row.token), row.headers...)
			if reply.Status != 200 || reply.Header.Get("Content-Type") != accept {
				t.Fatalf("%d %v %s", reply.Status, reply.Header, reply.Body)
			}
			claims := row.asks.read(string(reply.Body), "token-introspection+jwt")
			said, _ := claims["token_introspection"].(map[string]any)
			if claims["iss"] != h.Issuer || claims["aud"] != row.asks.id || claims["iat"] == nil || claims["exp"] != nil || claims["sub"] != nil {
				t.Errorf("X18 %v", claims)
			}
			if said["active"] != row.active || !row.active && len(said) != 1 || row.active && said["sub"] != alice.ID {
				t.Errorf("%v", said)
			}
			if reply := h.UserInfo(string(reply.Body)); reply.Status != 401 {
				t.Errorf("J17 it is taken for an access token: %d", reply.Status)
			}
		})
	}
	plain := l.post("/introspect", lab.Form("token", "x"), "Accept", "*/*")
	if plain.Header.Get("Content-Type") != "application/json" {
		t.Errorf("who takes anything gets %s", plain.Header.Get("Content-Type"))
	}
}

// TestX14OnePersonBySeveralNames: a pairwise client hears one name at every door, an API with opaque tokens the one that
// stays, and what ends the person's tokens ends those that call the person otherwise.
func TestX14OnePersonBySeveralNames(t *testing.T) {
	h := lab.New(t, lab.Options{Gate: true})
	alice := h.NewPerson("alice")
	l := newListener(t, h, "c-pair", recipe.Metadata{SubjectType: "pairwise"})
	signed, opaque := l.tokens(alice, "openid accounts.read offline_access"), l.tokens(alice, "openid vault.read offline_access")
	name := l.read(signed.IDToken, "JWT")["sub"]
	if name == alice.ID || !strings.HasPrefix(name.(string), token.PairwisePrefix) {
		t.Fatalf("X14 the client knows %v", name)
	}
	for what, got := range map[string]any{
		"the other ID token":       l.read(opaque.IDToken, "JWT")["sub"],
		"the access token":         l.read(signed.AccessToken, "at+jwt")["sub"],
		"userinfo":                 h.UserInfo(signed.AccessToken).Text("sub"),
		"userinfo, opaque":         h.UserInfo(opaque.AccessToken).Text("sub"),
		"introspection":            l.post("/introspect", lab.Form("token", signed.AccessToken)).Text("sub"),
		"introspection, opaque":    l.post("/introspect", lab.Form("token", opaque.AccessToken)).Text("sub"),
		"introspection of the API": h.Introspect(lab.Accounts, signed.AccessToken).Text("sub"),
	} {
		if got != name {
			t.Errorf("X14 %s says %v, not %v", what, got, name)
		}
	}
	if got := h.Introspect(lab.Vault, opaque.AccessToken).Text("sub"); got != alice.ID {
		t.Errorf("the API with opaque tokens knows %q", got)
	}
	if reply := h.Call("GET", "/accounts/balance", signed.AccessToken); reply.Status != 200 {
		t.Fatalf("%d %s", reply.Status, reply.Body)
	}
	must(t, h.Store().EndUserSessions(t.Context(), alice.ID, ""))
	h.Within(time.Second, "every token to be dead", func() bool {
		return h.Call("GET", "/accounts/balance", signed.AccessToken).Status == 401 && h.UserInfo(opaque.AccessToken).Status == 401 &&
			!h.Introspect(lab.Accounts, signed.AccessToken).True("active")
	})
}

// TestRevokingWhatOnlyTheAPICanRead is refused in words, for to say that it was done would be untrue (RFC 7009 section 2.2.1).
func TestRevokingWhatOnlyTheAPICanRead(t *testing.T) {
	h := lab.New(t, lab.Options{})
	reply := h.As(lab.WebA, "/revoke", lab.Form("token", "a.b.c.d.e"))
	if reply.Status != 400 || reply.Code() != "unsupported_token_type" {
		t.Errorf("%d %s", reply.Status, reply.Body)
	}
}
