package request_test

import (
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/server/request"
	"github.com/gardeauth/garde/internal/token"
	"github.com/gardeauth/garde/internal/web"
)

type members = map[string]any

// object gives the claims of a good request object of a client, with changes; a nil leaves the member out.
func (h *house) object(client string, changes members) members {
	all := members{
		"iss": client, "aud": issuer, "exp": h.now.Add(5 * time.Minute).Unix(), "nbf": h.now.Unix(), "iat": h.now.Unix(),
		"client_id": client, "redirect_uri": "https://jar.example/cb", "response_type": "code", "scope": "openid",
		"state": "inner", "nonce": "n-1", "code_challenge": challenge, "code_challenge_method": "S256",
	}
	maps.Copy(all, changes)
	maps.DeleteFunc(all, func(_ string, value any) bool { return value == nil })
	return all
}

func (h *house) sign(t testing.TB, with jose.Alg, typ string, claims members) string {
	t.Helper()
	text, err := h.signer[with].Sign(typ, claims)
	must(t, err)
	return text
}

// jar is a request by value with nothing beside the object but what OAuth demands.
func jar(client, object string, beside ...string) string {
	values := url.Values{"client_id": {client}, "request": {object}}
	for i := 0; i < len(beside); i += 2 {
		values.Set(beside[i], beside[i+1])
	}
	return values.Encode()
}

const typObject = "oauth-authz-req+jwt"

func TestRequestObjectsAreRead(t *testing.T) {
	h := open(t)
	for name, c := range map[string]struct {
		client  string
		alg     jose.Alg
		typ     string
		changes members
	}{
		"ES256":                             {"jar", jose.ES256, typObject, nil},
		"PS256":                             {"jar", jose.PS256, typObject, nil},
		"EdDSA":                             {"jar", jose.EdDSA, typObject, nil},
		"RS256, which the client asked for": {"rs", jose.RS256, typObject, nil},
		"no typ, as older clients":          {"jar", jose.ES256, "JWT", nil},
		"jwt in lower case":                 {"jar", jose.ES256, "jwt", nil},
		"several audiences":                 {"jar", jose.ES256, typObject, members{"aud": []string{"https://other", issuer}}},
		"nbf 8 s ahead":                     {"jar", jose.ES256, typObject, members{"nbf": h.now.Add(8 * time.Second).Unix()}},
		"no times":                          {"jar", jose.ES256, typObject, members{"exp": nil, "nbf": nil, "iat": nil}},
		"no client_id inside":               {"jar", jose.ES256, typObject, members{"client_id": nil}},
		"fresh under a profile":             {"signing", jose.ES256, typObject, members{"nbf": h.now.Add(-55 * time.Minute).Unix()}},
		"sub of a person":                   {"jar", jose.ES256, typObject, members{"sub": "u-1"}},
		"members nobody knows":              {"jar", jose.ES256, typObject, members{"foo": members{"bar": 1}, "nothing": nil}},
	} {
		t.Run(name, func(t *testing.T) {
			object := h.sign(t, c.alg, c.typ, h.object(c.client, c.changes))
			parse := h.parse
			if c.client == "signing" { // which pushes its requests
				parse = h.push("signing")
			}
			asked, err := parse(t, jar(c.client, object, "state", "outer", "nonce", "outer"))
			if err != nil {
				t.Fatal(err)
			}
			if !asked.Signed || asked.State != "inner" || asked.Nonce != "n-1" || asked.RedirectURI != "https://jar.example/cb" {
				t.Errorf("read as %+v", asked)
			}
			again, err := h.parser.Again(t.Context(), asked.Query())
			if c.client != "signing" && (err != nil || !again.Signed || again.Query() != asked.Query()) {
				t.Errorf("kept as %s, read as %v, %v", asked.Query(), again, err)
			}
		})
	}
}

// push reads a form as /par does.
func (h *house) push(client string) func(testing.TB, string) (*request.Request, error) {
	return func(t testing.TB, query string) (*request.Request, error) {
		t.Helper()
		known, err := h.tenant.Client(t.Context(), client)
		must(t, err)
		return h.parser.ParseOf(t.Context(), request.Pushed, known, formOf(t, query))
	}
}

func formOf(t testing.TB, query string) web.Form {
	t.Helper()
	form, err := web.Query(get(query))
	must(t, err)
	return form
}

func TestP10P11P13P15RequestObjectsAreRefused(t *testing.T) {
	h := open(t)
	good := h.sign(t, jose.ES256, typObject, h.object("jar", nil))
	signed := func(alg jose.Alg, typ, client string, changes members) string {
		return h.sign(t, alg, typ, h.object(client, changes))
	}
	at := func(d time.Duration) int64 { return h.now.Add(d).Unix() }
	parts := strings.Split(good, ".")
	for name, c := range map[string]struct{ client, object string }{
		"P10 unsigned":                    {"jar", "eyJhbGciOiJub25lIn0." + parts[1] + "."},
		"P10 signature left out":          {"jar", parts[0] + "." + parts[1] + "."},
		"P10 altered":                     {"jar", parts[0] + "." + strings.Split(signed(jose.ES256, typObject, "jar", members{"scope": "openid accounts.read"}), ".")[1] + "." + parts[2]},
		"P10 a stranger's key":            {"jar", signed("nobody", typObject, "jar", nil)},
		"P10 RS256":                       {"jar", signed(jose.RS256, typObject, "jar", nil)},
		"P10 another than registered":     {"rs", signed(jose.ES256, typObject, "rs", nil)},
		"P10 not encrypted as registered": {"sealed", signed(jose.ES256, typObject, "sealed", nil)},
		"P10 a client without keys":       {"web", signed(jose.ES256, typObject, "web", members{"redirect_uri": "https://app.example/cb"})},
		"P10 no JWT":                      {"jar", "x"},
		"P10 too long":                    {"jar", signed(jose.ES256, typObject, "jar", members{"x": strings.Repeat("y", 20_000)})},
		"P11 client_id of another":        {"jar", signed(jose.ES256, typObject, "jar", members{"client_id": "rs"})},
		"P11 another client's object":     {"jar", signed(jose.ES256, typObject, "rs", nil)},
		"P13 no iss":                      {"jar", signed(jose.ES256, typObject, "jar", members{"iss": nil})},
		"P13 no aud":                      {"jar", signed(jose.ES256, typObject, "jar", members{"aud": nil})},
		"P13 aud of another server":       {"jar", signed(jose.ES256, typObject, "jar", members{"aud": "https://other"})},
		"P13 aud almost":                  {"jar", signed(jose.ES256, typObject, "jar", members{"aud": issuer + "/"})},
		"P13 aud of odd kinds":            {"jar", signed(jose.ES256, typObject, "jar", members{"aud": []any{issuer, 1}})},
		"P13 expired":                     {"jar", signed(jose.ES256, typObject, "jar", members{"exp": at(-time.Second)})},
		"P13 expires in a week":           {"jar", signed(jose.ES256, typObject, "jar", members{"exp": at(7 * 24 * time.Hour)})},
		"P13 nbf 60 s ahead":              {"jar", signed(jose.ES256, typObject, "jar", members{"nbf": at(time.Minute)})},
		"P13 iat 60 s ahead":              {"jar", signed(jose.ES256, typObject, "jar", members{"iat": at(time.Minute)})},
		"P13 exp as a text":               {"jar", signed(jose.ES256, typObject, "jar", members{"exp": "9999999999"})},
		"P13 a long jti":                  {"jar", signed(jose.ES256, typObject, "jar", members{"jti": strings.Repeat("j", 257)})},
		"P13 no exp under a profile":      {"signing", signed(jose.ES256, typObject, "signing", members{"exp": nil})},
		"P13 no nbf under a profile":      {"signing", signed(jose.ES256, typObject, "signing", members{"nbf": nil})},
		"P13 nbf 61 minutes ago":          {"signing", signed(jose.ES256, typObject, "signing", members{"nbf": at(-61 * time.Minute), "exp": at(-61*time.Minute + time.Hour - time.Second + 2*time.Minute)})},
		"P13 lives for 61 minutes":        {"signing", signed(jose.ES256, typObject, "signing", members{"exp": at(61 * time.Minute)})},
		"P13 RS256 under a profile":       {"signing", signed(jose.RS256, typObject, "signing", nil)},
		"P15 a client assertion":          {"jar", signed(jose.ES256, "client-authentication+jwt", "jar", nil)},
		"P15 an older one":                {"jar", signed(jose.ES256, "JWT", "jar", members{"sub": "jar"})},
		"P15 a DPoP proof":                {"jar", signed(jose.ES256, "dpop+jwt", "jar", nil)},
		"an object in the object":         {"jar", signed(jose.ES256, typObject, "jar", members{"request": good})},
		"a request_uri in the object":     {"jar", signed(jose.ES256, typObject, "jar", members{"request_uri": "https://evil"})},
		"a NUL in the object":             {"jar", signed(jose.ES256, typObject, "jar", members{"state": "a\x00b"})},
		"resources that are no texts":     {"jar", signed(jose.ES256, typObject, "jar", members{"resource": []int{1}})},
	} {
		t.Run(name, func(t *testing.T) {
			parse := h.parse
			if c.client == "signing" {
				parse = h.push("signing")
			}
			asked, err := parse(t, jar(c.client, c.object))
			if oauth.CodeOf(err) != "invalid_request_object" {
				t.Fatalf("read as %+v, error %v", asked, err)
			}
			var refusal *request.Refusal
			if errors.As(err, &refusal) {
				t.Error("the error goes back though nothing says where to")
			}
		})
	}
	// The client learns of it where what stands beside the object names an address of its own.
	for uri, back := range map[string]bool{"https://jar.example/cb": true, "https://evil.example/cb": false} {
		_, err := h.parse(t, jar("jar", "x", "redirect_uri", uri, "state", "outer", "response_type", "code"))
		var refusal *request.Refusal
		if errors.As(err, &refusal) != back || oauth.CodeOf(err) != "invalid_request_object" || back && refusal.Request.State != "outer" {
			t.Errorf("an error about an object beside %s: %v", uri, err)
		}
	}
	// And by the way that stands beside the object, so that what a form should bring never comes in a query.
	for mode, way := range map[string]oauth.ResponseMode{
		"": oauth.ModeQuery, "form_post": oauth.ModeFormPost, "fragment": oauth.ModeFragment, "jwt": oauth.ModeQueryJWT, "web_message": oauth.ModeQuery,
	} {
		with := []string{"redirect_uri", "https://jar.example/cb", "response_type", "code"}
		if mode != "" {
			with = append(with, "response_mode", mode)
		}
		_, err := h.parse(t, jar("jar", "x", with...))
		var refusal *request.Refusal
		if !errors.As(err, &refusal) || refusal.Request.Mode != way || oauth.CodeOf(err) != "invalid_request_object" {
			t.Errorf("response_mode %q: %v", mode, err)
		}
	}
}

func TestP12WhatStandsBesideTheObjectDoesNotCount(t *testing.T) {
	h := open(t)
	beside := []string{
		"redirect_uri", "https://jar.example/other", "scope", "openid accounts.read", "state", "outer", "response_type", "code",
		"code_challenge", challenge, "code_challenge_method", "S256", "nonce", "outer", "prompt", "none", "response_mode", "fragment",
	}
	object := func(client string, changes members) string {
		return h.sign(t, jose.ES256, typObject, h.object(client, changes))
	}
	asked, err := h.parse(t, jar("jar", object("jar", nil), beside...))
	must(t, err)
	if asked.RedirectURI != "https://jar.example/cb" || asked.Scope.String() != "openid" || asked.State != "inner" || asked.Nonce != "n-1" ||
		len(asked.Prompt) != 0 || asked.Mode != oauth.ModeQuery {
		t.Errorf("read as %+v", asked)
	}
	for name, code := range map[string]string{
		"redirect_uri": "invalid_request", "code_challenge": "invalid_request", "code_challenge_method": "invalid_request",
	} {
		if _, err := h.parse(t, jar("jar", object("jar", members{name: nil}), beside...)); oauth.CodeOf(err) != code {
			t.Errorf("%s only beside the object: %v", name, err)
		}
	}
	for name, c := range map[string]struct {
		client, code string
		beside       []string
		without      string
	}{
		"OpenID may leave response_type outside": {"jar", "", beside, "response_type"},
		"and scope":                              {"jar", "", beside, "scope"},
		"but not without openid":                 {"jar", "invalid_request", []string{"scope", "accounts.read", "response_type", "code"}, "response_type"},
		"nor under a profile":                    {"signing", "invalid_scope", beside, "scope"},
	} {
		t.Run(name, func(t *testing.T) {
			parse := h.parse
			if c.client == "signing" {
				parse = h.push("signing")
			}
			_, err := parse(t, jar(c.client, object(c.client, members{c.without: nil}), c.beside...))
			if oauth.CodeOf(err) != c.code {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestWhatNestsInAnObject(t *testing.T) {
	h := open(t)
	asked, err := h.parse(t, jar("jar", h.sign(t, jose.ES256, typObject, h.object("jar", members{
		"claims":  members{"userinfo": members{"sub": nil}, "id_token": members{"acr": members{"essential": true, "value": "a"}}},
		"max_age": 0, "resource": []string{"https://api.bank.example/payments"}, "scope": "openid payments.write", "prompt": "consent",
		"authorization_details": []members{{"type": "payment", "creditor": "A", "amount": members{"value": "1.00", "currency": "EUR"}}},
	}))))
	must(t, err)
	if asked.MaxAge != 0 || !slices.Equal(asked.Essential, []string{"a"}) || len(asked.Resource) != 1 || !strings.Contains(asked.Details, `"creditor":"A"`) {
		t.Errorf("read as %+v", asked)
	}
	plain, err := h.parse(t, jar("jar", h.sign(t, jose.ES256, typObject, h.object("jar", nil))))
	must(t, err)
	if plain.MaxAge != 10*time.Minute || !slices.Equal(plain.ACRValues, []string{"urn:garde:loa:basic"}) {
		t.Errorf("what the client prefers: %v %v", plain.MaxAge, plain.ACRValues)
	}
}

func TestP13AnObjectWithAnIDComesOnce(t *testing.T) {
	h := open(t)
	object := h.sign(t, jose.ES256, typObject, h.object("jar", members{"jti": "j-1"}))
	asked, err := h.parse(t, jar("jar", object))
	must(t, err)
	if _, err := h.parse(t, jar("jar", object)); oauth.CodeOf(err) != "invalid_request_object" {
		t.Errorf("the same object again: %v", err)
	}
	if _, err := h.parser.Again(t.Context(), asked.Query()); err != nil {
		t.Errorf("the sign-in under way: %v", err)
	}
	if _, err := h.parse(t, jar("rs", h.sign(t, jose.RS256, typObject, h.object("rs", members{"jti": "j-1"})))); err != nil {
		t.Errorf("the same id of another client: %v", err)
	}
}

func TestEncryptedRequestObjects(t *testing.T) {
	h := open(t)
	sealTo := func(text, content string) string {
		t.Helper()
		keys, err := jose.ParseEncryptionSet(h.keys.Published())
		must(t, err)
		key, ok := keys.For(jose.ECDHES)
		if !ok {
			t.Fatal("the server publishes no key to encrypt to")
		}
		sealed, err := key.Encrypt(jose.ECDHES, jose.ContentAlg(content), typObject, "JWT", []byte(text))
		must(t, err)
		return sealed
	}
	inner := h.sign(t, jose.ES256, typObject, h.object("sealed", nil))
	good := sealTo(inner, "A256GCM")
	asked, err := h.parse(t, jar("sealed", good))
	if err != nil || !asked.Signed || asked.State != "inner" {
		t.Fatalf("read as %+v, %v", asked, err)
	}
	for name, object := range map[string]string{
		"another content encryption": sealTo(inner, "A128GCM"),
		"P10 nothing signed inside":  sealTo(`{"client_id":"sealed"}`, "A256GCM"),
		"encrypted twice":            sealTo(good, "A256GCM"),
		"altered":                    good[:len(good)-4] + "AAAA",
		"empty parts":                "....",
	} {
		if _, err := h.parse(t, jar("sealed", object)); oauth.CodeOf(err) != "invalid_request_object" {
			t.Errorf("%s: %v", name, err)
		}
	}
	h.parser.Opener = nil
	if _, err := h.parse(t, jar("sealed", good)); oauth.CodeOf(err) != "invalid_request_object" {
		t.Errorf("where nothing decrypts: %v", err)
	}
}

func TestWhatAProfileDemands(t *testing.T) {
	h := open(t)
	plain := asking("signing", "redirect_uri", "https://jar.example/cb").Encode()
	object := h.sign(t, jose.ES256, typObject, h.object("signing", nil))
	for name, c := range map[string]struct {
		parse func(testing.TB, string) (*request.Request, error)
		query string
	}{
		"P07 a plain request":              {h.parse, plain},
		"P07 signed and not pushed":        {h.parse, jar("signing", object)},
		"P10 pushed and not signed":        {h.push("signing"), plain},
		"P07 of who only has to push":      {h.parse, asking("pushing", "redirect_uri", "https://jar.example/cb").Encode()},
		"P07 with a request_uri elsewhere": {h.parse, asking("pushing", "redirect_uri", "https://jar.example/cb", "request_uri", "https://evil").Encode()},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.parse(t, c.query)
			var refusal *request.Refusal
			if oauth.CodeOf(err) != "invalid_request" || errors.As(err, &refusal) {
				t.Errorf("error %v", err)
			}
		})
	}
	if _, err := h.push("pushing")(t, asking("pushing", "redirect_uri", "https://jar.example/cb").Encode()); err != nil {
		t.Errorf("pushed: %v", err)
	}
}

// Where keys are missing, what needs them is refused by name.
func TestWithoutKeysOrShelfNothingIsAccepted(t *testing.T) {
	h := open(t)
	object := h.sign(t, jose.ES256, typObject, h.object("jar", nil))
	h.parser.ClientKeys = nil
	if _, err := h.parse(t, jar("jar", object)); oauth.CodeOf(err) != "request_not_supported" {
		t.Errorf("request: %v", err)
	}
	h.parser.Shelf = nil
	if _, err := h.parse(t, jar("byref", "", "request_uri", "https://jar.example/r")); oauth.CodeOf(err) != "request_uri_not_supported" {
		t.Errorf("request_uri: %v", err)
	}
}

func TestTheTypeOfHintsIsThatOfIDTokens(t *testing.T) {
	h := open(t)
	hint := h.token(t, token.TypeID, members{"iss": issuer, "sub": "u-1", "aud": "web", "iat": h.now.Unix(), "exp": h.now.Unix()})
	if _, err := h.parser.ReadHint(t.Context(), hint); err != nil {
		t.Error(err)
	}
}
