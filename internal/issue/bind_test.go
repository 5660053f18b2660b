package issue_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/token"
	"github.com/gardeauth/garde/recipe"
)

// key is what a caller has proved of a DPoP key.
var key = iam.Binding{JKT: "a-thumbprint"}

// pays lets the API know one type of rich authorization request.
func pays(api *recipe.API) { api.Details = map[string]recipe.Detail{"pay": {}} }

// TestWhatATokenIsBoundTo: by what was proved, what the API asks for and what the client is registered for.
func TestWhatATokenIsBoundTo(t *testing.T) {
	const jkt, x5t = "a-thumbprint", "a-certificate"
	for name, row := range map[string]struct {
		bound    recipe.Bound
		client   func(*iam.Client)
		proven   iam.Binding
		want     iam.Binding
		kind     string
		audience string
	}{
		"nothing proved":                               {kind: "Bearer"},
		"a DPoP key":                                   {proven: iam.Binding{JKT: jkt}, want: iam.Binding{JKT: jkt}, kind: "DPoP"},
		"a DPoP key for an API that takes none":        {bound: recipe.BoundOff, proven: iam.Binding{JKT: jkt}, kind: "Bearer"},
		"a certificate that nobody asks for":           {proven: iam.Binding{X5T: x5t}, kind: "Bearer"},
		"a certificate where a key is required":        {bound: recipe.BoundRequired, proven: iam.Binding{X5T: x5t}, want: iam.Binding{X5T: x5t}, kind: "Bearer"},
		"both where a key is required":                 {bound: recipe.BoundRequired, proven: iam.Binding{JKT: jkt, X5T: x5t}, want: iam.Binding{JKT: jkt}, kind: "DPoP"},
		"a certificate of a client registered for it":  {client: func(c *iam.Client) { c.TLSBound = true }, proven: iam.Binding{X5T: x5t}, want: iam.Binding{X5T: x5t}, kind: "Bearer"},
		"both of a client registered for certificates": {client: func(c *iam.Client) { c.TLSBound = true }, proven: iam.Binding{JKT: jkt, X5T: x5t}, want: iam.Binding{JKT: jkt, X5T: x5t}, kind: "DPoP"},
		"a certificate under a profile that asks for a key": {client: func(c *iam.Client) { c.Profile, c.Auth = recipe.FAPI2Security, oauth.AuthTLS },
			proven: iam.Binding{X5T: x5t}, want: iam.Binding{X5T: x5t}, kind: "Bearer"},
		"a DPoP key for this server itself": {proven: iam.Binding{JKT: jkt}, want: iam.Binding{JKT: jkt}, kind: "DPoP", audience: issuer},
	} {
		t.Run("D17 "+name, func(t *testing.T) {
			for _, kind := range []recipe.TokenKind{recipe.TokenJWT, recipe.TokenOpaque} {
				h := open(t)
				h.api(func(api *recipe.API) { api.Bound = row.bound })
				order := h.code("c-own")
				order.Kind, order.Proven = kind, row.proven
				if row.audience != "" {
					order.Audience = row.audience
				}
				if row.client != nil {
					row.client(&order.Client)
				}
				answer := h.issued(order)
				if answer.TokenType != row.kind {
					t.Errorf("token_type %s", answer.TokenType)
				}
				if kind == recipe.TokenJWT {
					if got := cnf(h.verified(answer.AccessToken, jose.ES256, token.TypeAccess)); got != row.want {
						t.Errorf("cnf %+v, want %+v", got, row.want)
					}
				}
			}
		})
	}
}

// cnf reads the confirmation of claims.
func cnf(claims map[string]any) iam.Binding {
	members, _ := claims["cnf"].(map[string]any)
	jkt, _ := members["jkt"].(string)
	x5t, _ := members["x5t#S256"].(string)
	return iam.Binding{JKT: jkt, X5T: x5t}
}

// ear hears what deeds are asked of the storage.
type ear struct {
	iam.Issuing
	last iam.Issue
}

func (e *ear) Issue(ctx context.Context, deed iam.Issue) error {
	e.last = deed
	return e.Issuing.Issue(ctx, deed)
}

// heard is the last deed.
func (h *house) heard() iam.Issue { return h.desk.Deeds.(*ear).last }

// TestD16NoWayAroundTheBinding: a client or an API whose tokens must be bound gets none through the browser, where nobody
// can prove a key, and an ID token alone is none.
func TestD16NoWayAroundTheBinding(t *testing.T) {
	for name, change := range map[string]func(*house, *token.Order){
		"D16 the client's metadata": func(_ *house, o *token.Order) { o.Client.DPoP = true },
		"D16 its certificate":       func(_ *house, o *token.Order) { o.Client.TLSBound = true },
		"D16 the API":               func(h *house, _ *token.Order) { h.api(func(api *recipe.API) { api.Bound = recipe.BoundRequired }) },
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			order := h.front(oauth.TypeIDTokenToken)
			change(h, &order)
			if answer, err := h.desk.Issue(t.Context(), order); err == nil || answer.AccessToken != "" {
				t.Errorf("%+v", answer)
			}
			order.NoAccess = true
			order.Pushed = iam.PushedHash{}
			if answer := h.issued(order); answer.AccessToken != "" || answer.IDToken == "" || answer.TokenType != "" || answer.ExpiresIn != 0 {
				t.Errorf("%+v", answer)
			}
		})
	}
	t.Run("D16 a profile lets only a code through", func(t *testing.T) {
		h := open(t)
		order := h.front(oauth.TypeIDToken)
		order.NoAccess, order.Client.Profile, order.Client.Auth = true, recipe.FAPI2Security, oauth.AuthPrivateKey
		h.refused(order, "unauthorized_client")
	})
}

// TestD23RefreshTokensOfPublicClients are for whoever proves the keys that the grant began with; such grants do not rotate.
// Clients that prove themselves may change their key.
func TestD23RefreshTokensOfPublicClients(t *testing.T) {
	cert := iam.Binding{X5T: "a-certificate"}
	for name, row := range map[string]struct {
		client         string
		tls            bool
		began, again   iam.Binding
		refused, keeps bool // the same refresh token lives on
	}{
		"the same key":                       {client: "c-native", began: key, again: key, keeps: true},
		"D17 another key":                    {client: "c-native", began: key, again: iam.Binding{JKT: "of a thief"}, refused: true},
		"D17 no key":                         {client: "c-native", began: key, refused: true},
		"D17 a certificate in place of it":   {client: "c-native", began: key, again: cert, refused: true},
		"D23 the same certificate":           {client: "c-native", tls: true, began: cert, again: cert, keeps: true},
		"D23 another certificate":            {client: "c-native", tls: true, began: cert, again: iam.Binding{X5T: "of a thief"}, refused: true},
		"an unbound grant rotates":           {client: "c-native"},
		"an unbound grant may take a key":    {client: "c-native", again: key},
		"a confidential client changes keys": {client: "c-web", began: key, again: iam.Binding{JKT: "another"}, keeps: true},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			first := h.code(row.client)
			first.Client.TLSBound, first.Proven = row.tls, row.began
			given := h.issued(first)
			second := again(first, given.RefreshToken)
			second.Grant.Binding, second.Proven = h.heard().Binding, row.again
			if row.refused {
				h.refused(second, "invalid_grant")
				return
			}
			if answer := h.issued(second); (answer.RefreshToken == "") != row.keeps {
				t.Errorf("it gave %+v", answer)
			}
		})
	}
}

// front is an order of the authorization endpoint, for alice.
func (h *house) front(kind oauth.ResponseType) token.Order {
	order := token.Order{
		GrantType: oauth.AuthorizationCode, Client: h.client("c-web"), Subject: "u-alice", Audience: audience, Kind: recipe.TokenJWT,
		Scope: oauth.Scope{"openid", "read", "email"}, Begins: true, GiveID: kind.Gives("id_token"), NoAccess: !kind.Gives("token"),
		Nonce: "a-nonce", State: "a-state",
		Grant: iam.Grant{
			ID: "g-" + iam.NewSecret("x")[:20], Client: "c-web", User: "u-alice", Scope: oauth.Scope{"openid", "read", "email"},
			AuthTime: h.now.Add(-time.Minute), AMR: []string{"pwd"}, ACR: "urn:basic", Created: h.now, Expires: h.now.Add(time.Hour),
		},
	}
	if kind.Gives("code") {
		order.GiveCode = &iam.Code{RedirectURI: redirect, Challenge: challenge}
	}
	return order
}

// TestFrontChannel: what each response type gives, and what its ID token says of what came along.
func TestFrontChannel(t *testing.T) {
	for _, kind := range []oauth.ResponseType{
		oauth.TypeIDToken, oauth.TypeIDTokenToken, oauth.TypeCodeIDToken, oauth.TypeCodeToken, oauth.TypeCodeIDTokenToken,
	} {
		t.Run("J30 "+string(kind), func(t *testing.T) {
			h := open(t)
			answer := h.issued(h.front(kind))
			for what, value := range map[string]string{"code": answer.Code, "token": answer.AccessToken, "id_token": answer.IDToken} {
				if (value != "") != kind.Gives(what) {
					t.Errorf("%s: %q", what, value)
				}
			}
			if answer.RefreshToken != "" {
				t.Error("a refresh token through the browser")
			}
			if answer.IDToken == "" {
				return
			}
			claims := h.verified(answer.IDToken, jose.ES256, token.TypeID)
			for name, value := range map[string]string{"at_hash": answer.AccessToken, "c_hash": answer.Code, "s_hash": "a-state"} {
				want := any(nil)
				if value != "" {
					want = token.LeftHash("ES256", value)
				}
				if claims[name] != want {
					t.Errorf("%s is %v, want %v", name, claims[name], want)
				}
			}
			if claims["nonce"] != "a-nonce" || claims["acr"] != "urn:basic" {
				t.Errorf("%v", claims)
			}
			if _, told := claims["email"]; told != (kind == oauth.TypeIDToken) {
				t.Errorf("the ID token tells the mail address: %v (OpenID Connect Core section 5.4)", told)
			}
		})
	}
	t.Run("what begins is kept in one deed", func(t *testing.T) {
		h := open(t)
		order := h.front(oauth.TypeCodeIDToken)
		order.Grant.Login = "" // of no session that the storage knows
		answer := h.issued(order)
		deed := h.heard()
		if deed.Begin == nil || deed.Begin.ID != order.Grant.ID || deed.NewCode == nil || deed.NewCode.Hash != iam.HashCode(answer.Code) ||
			deed.NewCode.Grant.ID != order.Grant.ID || !deed.NewCode.Expires.Equal(h.now.Add(h.desk.Policy().Lives.Code)) ||
			deed.NewCode.RedirectURI != redirect || deed.NewCode.Challenge != challenge {
			t.Errorf("%+v", deed)
		}
		order.Grant.ID, order.Grant.Login = "g-other", "a-session"
		if _, err := h.desk.Issue(t.Context(), order); err == nil || h.heard().Session != "a-session" {
			t.Errorf("given in a session that does not live: %v", err)
		}
	})
}

// TestDetails: a token says what was allowed of the types of its own API, and so does the answer (RFC 9396).
func TestDetails(t *testing.T) {
	const granted = `[{"type":"pay","amount":12345678901234567890},{"type":"other","x":1},{"amount":1,"type":"pay"}]`
	for name, row := range map[string]struct{ asked, want, code string }{
		"all":                   {granted, `[{"type":"pay","amount":12345678901234567890},{"amount":1,"type":"pay"}]`, ""},
		"fewer":                 {`[{"type":"pay","amount":1}]`, `[{"type":"pay","amount":1}]`, ""},
		"of another API":        {`[{"type":"other","x":1}]`, "", ""},
		"a little more":         {`[{"type":"pay","amount":12345678901234567891}]`, "", "invalid_authorization_details"},
		"J18 a doubled member":  {`[{"type":"pay","type":"pay","amount":1}]`, "", "invalid_authorization_details"},
		"one without a type":    {`[{"amount":1}]`, "", "invalid_authorization_details"},
		"J38 very deep":         {`[{"type":"pay","a":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}]`, "", "invalid_authorization_details"},
		"not a list of details": {`{"type":"pay"}`, "", "invalid_authorization_details"},
	} {
		for _, kind := range []recipe.TokenKind{recipe.TokenJWT, recipe.TokenOpaque} {
			t.Run(name+" "+string(kind), func(t *testing.T) {
				h := open(t)
				h.other = recipe.API{At: "https://other.example", Details: map[string]recipe.Detail{"other": {}}}
				h.api(pays)
				order := h.code("c-web")
				order.Kind, order.Details, order.Grant.Details = kind, row.asked, granted
				order.Client.Metadata.Details = []string{"pay", "other"}
				if row.code != "" {
					h.refused(order, row.code)
					return
				}
				answer := h.issued(order)
				if string(answer.Details) != row.want {
					t.Errorf("the answer says %s", answer.Details)
				}
				if kind == recipe.TokenOpaque {
					return
				}
				said, err := json.Marshal(h.verified(answer.AccessToken, jose.ES256, token.TypeAccess)["authorization_details"])
				h.must(err)
				if (row.want == "") != (string(said) == "null") {
					t.Errorf("the token says %s", said)
				}
			})
		}
	}
}

// TestSignedResponses are for one client, for a short while, and say what they are told but who speaks (JARM).
func TestSignedResponses(t *testing.T) {
	h := open(t)
	h.must(h.ring.Ensure(t.Context(), jose.PS256))
	for alg, want := range map[string]jose.Alg{"": jose.ES256, "PS256": jose.PS256} {
		client := h.client("c-web")
		client.ResponseAlg = alg
		text, err := h.desk.SignResponse(t.Context(), client, map[string]string{"code": "a-code", "state": "s", "iss": "https://evil.example", "exp": "1"})
		h.must(err)
		claims := h.verified(text, want, "JWT")
		if claims["iss"] != issuer || claims["aud"] != "c-web" || claims["code"] != "a-code" || claims["state"] != "s" ||
			number(claims["exp"]) != float64(h.now.Add(5*time.Minute).Unix()) || len(claims) != 5 {
			t.Errorf("J36 %v", claims)
		}
	}
}

// TestLogoutTokens can't be taken for ID tokens, and name a person as the client knows them.
func TestLogoutTokens(t *testing.T) {
	h := open(t)
	for _, kind := range []string{"", "pairwise"} {
		client := h.client("c-web")
		client.SubjectType, client.Sector = kind, "web.example"
		text, err := h.desk.LogoutToken(t.Context(), client, "u-alice", "a-session")
		h.must(err)
		claims := h.verified(text, jose.ES256, token.TypeLogout)
		events, _ := claims["events"].(map[string]any)
		if event, ok := events["http://schemas.openid.net/event/backchannel-logout"].(map[string]any); !ok || len(event) != 0 || len(events) != 1 {
			t.Errorf("events %v", claims["events"])
		}
		if claims["sub"] != token.Subject(h.ring.Salt(), client, "u-alice") || claims["sid"] != "a-session" || claims["aud"] != "c-web" ||
			claims["iss"] != issuer || claims["jti"] == nil || claims["nonce"] != nil {
			t.Errorf("J17 %v", claims)
		}
		if _, err := h.desk.LogoutToken(t.Context(), client, "", ""); err == nil {
			t.Error("a logout token that names nobody")
		}
	}
}

// TestX14PairwiseSubjects: each sector knows a person by another name, and a change of the master key by none.
func TestX14PairwiseSubjects(t *testing.T) {
	h := open(t)
	names := map[any]string{"u-alice": "the id"}
	for sector, same := range map[string]int{"a.example": 1, "b.example": 2, "": 3} {
		client := h.client("c-web")
		client.SubjectType, client.Sector = "pairwise", sector
		order := h.code("c-web")
		order.Client = client
		answer := h.issued(order)
		access, id := h.verified(answer.AccessToken, jose.ES256, token.TypeAccess), h.verified(answer.IDToken, jose.ES256, token.TypeID)
		if access["sub"] != id["sub"] || access["sub"] == nil || access["sub"] == "" {
			t.Errorf("%v and %v", access["sub"], id["sub"])
		}
		if other, known := names[access["sub"]]; known {
			t.Errorf("%q and %q know one name (%d)", sector, other, same)
		}
		names[access["sub"]] = sector
		order = h.code("c-web")
		order.Client = client
		if again := h.verified(h.issued(order).IDToken, jose.ES256, token.TypeID)["sub"]; again != id["sub"] {
			t.Errorf("the name changed: %v and %v", id["sub"], again)
		}
		opaque := h.code("c-web")
		opaque.Client, opaque.Kind = client, recipe.TokenOpaque
		row, err := h.tenant.Access(t.Context(), iam.HashAccess(h.issued(opaque).AccessToken), h.now)
		h.must(err)
		if row.User != "u-alice" {
			t.Errorf("the row names %s", row.User)
		}
	}
	t.Run("without a salt nobody is named", func(t *testing.T) {
		h.desk.Salt = nil
		order := h.code("c-web")
		order.Client.SubjectType = "pairwise"
		if answer, err := h.desk.Issue(t.Context(), order); err == nil {
			t.Errorf("%+v", answer)
		}
	})
}

// lock is a client's key for encryption.
type lock struct{ opener *jose.Opener }

func (l lock) EncryptionKey(_ context.Context, _ iam.Client, alg jose.KeyAlg) (jose.EncryptionKey, error) {
	if !l.opener.Public().Allows(alg) {
		return jose.EncryptionKey{}, errors.New("no such key")
	}
	return l.opener.Public(), nil
}

// TestEncryptedTokens: ID tokens for the client that registered so, access tokens for the API that has a key; signed within.
func TestEncryptedTokens(t *testing.T) {
	h := open(t)
	opener, err := jose.GenerateOpener("client-key", jose.ECDHES)
	h.must(err)
	h.desk.Locks = lock{opener}
	open := func(value string, opener *jose.Opener, enc jose.ContentAlg) string {
		t.Helper()
		sealed, err := jose.ParseEncrypted(value)
		h.must(err)
		if sealed.Header.Enc != enc || sealed.Header.Content != "JWT" || sealed.Header.KeyID != opener.KeyID {
			t.Errorf("%+v", sealed.Header)
		}
		plain, err := opener.Open(sealed)
		h.must(err)
		return string(plain)
	}
	order := h.code("c-web")
	order.Client.IDTokenEncryption = "ECDH-ES"
	answer := h.issued(order)
	if claims := h.verified(open(answer.IDToken, opener, jose.A128CBCHS256), jose.ES256, token.TypeID); claims["sub"] != "u-alice" {
		t.Errorf("%v", claims)
	}
	text, err := h.desk.LogoutToken(t.Context(), order.Client, "u-alice", "")
	h.must(err)
	h.verified(open(text, opener, jose.A128CBCHS256), jose.ES256, token.TypeLogout)

	order = h.code("c-web")
	order.Client.IDTokenEncryption = "RSA-OAEP-256"
	if answer, err := h.desk.Issue(t.Context(), order); err == nil || answer.IDToken != "" {
		t.Errorf("the client has no such key: %+v", answer)
	}
	order.Client.IDTokenEncryption = ""
	h.issued(order) // the code is not spent by that

	its, err := jose.GenerateOpener("api-key", jose.ECDHES)
	h.must(err)
	public, err := jose.EncryptionJWK(its.Public())
	h.must(err)
	h.files = map[string][]byte{"api.jwks": []byte(`{"keys":[` + string(public) + `]}`)}
	h.api(func(api *recipe.API) { api.JWKS, api.Encryption = "api.jwks", "ECDH-ES" })
	answer = h.issued(h.code("c-web"))
	if claims := h.verified(open(answer.AccessToken, its, jose.A256GCM), jose.ES256, token.TypeAccess); claims["aud"] != audience {
		t.Errorf("%v", claims)
	}
	if claims := h.verified(answer.IDToken, jose.ES256, token.TypeID); claims["at_hash"] != token.LeftHash("ES256", answer.AccessToken) {
		t.Error("J30 at_hash is of the token as the client has it")
	}
}

// TestRefreshedIDTokens: auth_time, acr and sid as at the beginning, no nonce of nobody's (OpenID Connect Core section 12.2).
func TestRefreshedIDTokens(t *testing.T) {
	h := open(t)
	first := h.code("c-web")
	first.Grant.Login, first.Grant.Session = "the-login", ""
	given := h.issued(first)
	h.now = h.now.Add(time.Minute)
	second := h.issued(again(first, given.RefreshToken))
	before, after := h.verified(given.IDToken, jose.ES256, token.TypeID), h.verified(second.IDToken, jose.ES256, token.TypeID)
	for _, name := range []string{"iss", "sub", "aud", "auth_time", "acr", "sid"} {
		if before[name] == nil || number(before[name]) != number(after[name]) {
			t.Errorf("%s: %v and %v", name, before[name], after[name])
		}
	}
	if after["nonce"] != nil || number(after["iat"]).(float64) <= number(before["iat"]).(float64) {
		t.Errorf("%v", after)
	}
	if access := h.verified(second.AccessToken, jose.ES256, token.TypeAccess); access["sid"] != nil {
		t.Error("an access token of a grant that outlives its session would end with it")
	}
}
