package lab_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/lab"
)

func peek(t *testing.T, token string) (jose.Header, map[string]any) {
	t.Helper()
	unverified, err := jose.Parse(token)
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := unverified.Peek(&claims); err != nil {
		t.Fatal(err)
	}
	return unverified.Header, claims
}

// TestTokenDoor sends every grant what it must refuse.
func TestTokenDoor(t *testing.T) {
	h := lab.New(t, lab.Options{})
	alice := h.NewPerson("alice")
	cc := func(pairs ...string) url.Values {
		return lab.Form(append([]string{"grant_type", "client_credentials"}, pairs...)...)
	}
	code := func(pairs ...string) url.Values {
		form := h.Code(alice, lab.Plant{}).Form()
		for i := 0; i < len(pairs); i += 2 {
			form.Del(pairs[i])
			if pairs[i+1] != "" {
				form.Set(pairs[i], pairs[i+1])
			}
		}
		return form
	}
	refresh := h.Tokens(alice, lab.Plant{Scope: "openid accounts.read vault.read offline_access", Resource: h.VaultAPI()}).RefreshToken
	rt := func(pairs ...string) url.Values {
		return lab.Form(append([]string{"grant_type", "refresh_token", "refresh_token", refresh}, pairs...)...)
	}
	two := cc()
	two["resource"] = []string{h.AccountsAPI(), h.LedgerAPI()}
	for name, row := range map[string]struct {
		client string
		form   url.Values
		code   string // "" is granted
	}{
		"no grant_type":                             {lab.Job, lab.Form("scope", "ledger.post"), "invalid_request"},
		"an empty grant_type":                       {lab.Job, lab.Form("grant_type", ""), "invalid_request"},
		"C16 the password grant":                    {lab.WebA, lab.Form("grant_type", "password", "username", "a", "password", "b"), "unsupported_grant_type"},
		"T21 the JWT grant":                         {lab.WebA, lab.Form("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion", "x"), "unauthorized_client"},
		"token exchange":                            {lab.WebA, lab.Form("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"), "unauthorized_client"},
		"a grant in upper case":                     {lab.WebA, lab.Form("grant_type", "CLIENT_CREDENTIALS"), "unsupported_grant_type"},
		"C18 a native client for itself":            {lab.Native, cc("scope", "accounts.read"), "unauthorized_client"},
		"C18 a service with a code":                 {lab.Job, code(), "unauthorized_client"},
		"C18 a service that refreshes":              {lab.Job, rt(), "unauthorized_client"},
		"cc: honest":                                {lab.Job, cc("scope", "ledger.post"), ""},
		"cc: honest by resource alone":              {lab.Job, cc("resource", h.LedgerAPI()), ""},
		"cc: T26 a scope that it may not have":      {lab.Job, cc("scope", "transfers.write"), "invalid_scope"},
		"cc: T26 a scope that nobody has":           {lab.Job, cc("scope", "nothing"), "invalid_scope"},
		"cc: one scope of two is too much":          {lab.Job, cc("scope", "ledger.post transfers.write"), "invalid_scope"},
		"cc: openid without a person":               {lab.WebA, cc("scope", "openid"), "invalid_scope"},
		"cc: offline_access without a person":       {lab.WebA, cc("scope", "offline_access accounts.read"), "invalid_scope"},
		"cc: a scope with a quote":                  {lab.Job, cc("scope", `a"b`), "invalid_scope"},
		"cc: a scope with a line break":             {lab.Job, cc("scope", "ledger.post\nx"), "invalid_scope"},
		"cc: T28 a scope of 5 KB":                   {lab.Job, cc("scope", strings.Repeat("a", 5000)), "invalid_scope"},
		"cc: the scope of Gates":                    {lab.Job, cc("scope", "garde.gate"), "invalid_scope"},
		"cc: scopes of two APIs and no resource":    {lab.Job, cc("scope", "ledger.post accounts.read"), "invalid_target"},
		"cc: an unknown resource":                   {lab.Job, cc("resource", "https://evil.example"), "invalid_target"},
		"cc: a resource with a slash more":          {lab.Job, cc("resource", h.LedgerAPI()+"/"), "invalid_target"},
		"cc: two resources":                         {lab.Job, two, "invalid_target"},
		"cc: a resource that knows no such scope":   {lab.Job, cc("scope", "ledger.post", "resource", h.AccountsAPI()), "invalid_scope"},
		"cc: audience, which would change meaning":  {lab.Job, cc("scope", "ledger.post", "audience", h.LedgerAPI()), "invalid_request"},
		"cc: authorization_details":                 {lab.Job, cc("scope", "ledger.post", "authorization_details", "[]"), "invalid_request"},
		"cc: with a code":                           {lab.WebA, cc("scope", "accounts.read", "code", "x"), "invalid_request"},
		"cc: X04 with a subject_token":              {lab.WebA, cc("scope", "accounts.read", "subject_token", "x"), "invalid_request"},
		"cc: C13 an empty scope is none":            {lab.JobKey, cc("scope", "", "resource", h.LedgerAPI()), ""},
		"cc: C13 an empty resource is none":         {lab.Job, cc("scope", "ledger.post", "resource", ""), ""},
		"code: honest":                              {lab.WebA, code(), ""},
		"code: C06 without redirect_uri":            {lab.WebA, code("redirect_uri", ""), ""},
		"code: C27 with an unknown parameter":       {lab.WebA, code("foo", "bar"), ""},
		"code: missing":                             {lab.WebA, code("code", ""), "invalid_request"},
		"code: unknown":                             {lab.WebA, code("code", iam.NewSecret(iam.PrefixCode)), "invalid_grant"},
		"code: not well formed":                     {lab.WebA, code("code", "ac_x"), "invalid_grant"},
		"code: of 60 KB":                            {lab.WebA, code("code", strings.Repeat("c", 60_000)), "invalid_grant"},
		"code: C06 another redirect_uri":            {lab.WebA, code("redirect_uri", "https://evil.example/cb"), "invalid_grant"},
		"code: C06 redirect_uri with a slash more":  {lab.WebA, code("redirect_uri", lab.Redirect(lab.WebA)+"/"), "invalid_grant"},
		"code: C09 no verifier":                     {lab.WebA, code("code_verifier", ""), "invalid_grant"},
		"code: C12 a verifier of 42":                {lab.WebA, code("code_verifier", strings.Repeat("v", 42)), "invalid_grant"},
		"code: C12 a verifier of 129":               {lab.WebA, code("code_verifier", strings.Repeat("v", 129)), "invalid_grant"},
		"code: C12 a verifier with spaces":          {lab.WebA, code("code_verifier", lab.Verifier+" "), "invalid_grant"},
		"code: C12 a verifier in another script":    {lab.WebA, code("code_verifier", strings.Repeat("é", 50)), "invalid_grant"},
		"code: C11 the challenge as plain verifier": {lab.WebA, code("code_verifier", lab.Challenge(lab.Verifier), "code_challenge_method", "plain"), "invalid_grant"},
		"code: with scope, which would be ignored":  {lab.WebA, code("scope", "openid"), "invalid_request"},
		"code: a resource of another API":           {lab.WebA, code("resource", h.LedgerAPI()), "invalid_scope"},
		"refresh: honest":                           {lab.WebA, rt("resource", h.AccountsAPI()), ""},
		"refresh: missing":                          {lab.WebA, lab.Form("grant_type", "refresh_token"), "invalid_request"},
		"refresh: F09 more than was granted":        {lab.WebA, rt("scope", "openid transfers.write"), "invalid_scope"},
		"refresh: a scope that is malformed":        {lab.WebA, rt("scope", `"`), "invalid_scope"},
		"refresh: with a code":                      {lab.WebA, rt("code", "x"), "invalid_request"},
		"refresh: scopes of two APIs":               {lab.WebA, rt(), "invalid_target"},
		"refresh: F07 as another client":            {lab.WebB, rt("resource", h.AccountsAPI()), "invalid_grant"},
		"refresh: F07 as a public client":           {lab.Native, rt("resource", h.AccountsAPI()), "invalid_grant"},
	} {
		t.Run(name, func(t *testing.T) {
			reply := h.As(row.client, "/token", row.form)
			if row.code != "" {
				refused(t, reply, 400, row.code)
				return
			}
			granted(t, reply)
			if reply.Header.Get("Pragma") != "no-cache" || reply.Header.Get("Content-Type") != "application/json" || reply.Text("token_type") != "Bearer" {
				t.Errorf("T24 %v %s", reply.Header, reply.Body)
			}
			if strings.HasPrefix(name, "cc") && (reply.Text("refresh_token") != "" || reply.Text("id_token") != "") {
				t.Errorf("T25 a client alone got %s", reply.Body)
			}
		})
	}
	t.Run("F08 refreshing without the client's proof", func(t *testing.T) {
		refused(t, h.Post("/token", rt("client_id", lab.WebA)), 401, "invalid_client")
		refused(t, h.Post("/token", rt()), 400, "invalid_request")
	})
}

// TestT29FailedCodesReadTheSame holds that a code tells nobody why it can't be used.
func TestT29FailedCodesReadTheSame(t *testing.T) {
	h := lab.New(t, lab.Options{})
	alice := h.NewPerson("alice")
	unknown := h.Code(alice, lab.Plant{})
	unknown.Value = iam.NewSecret(iam.PrefixCode)
	reference := h.Redeem(unknown)
	refused(t, reference, 400, "invalid_grant")
	late := func(c *iam.Code) {
		c.Created, c.Expires = c.Created.Add(-2*time.Minute), c.Created.Add(-time.Minute)
		c.Grant.Created = c.Created
	}
	spent := h.Code(alice, lab.Plant{})
	granted(t, h.Redeem(spent))
	foreign, foreignLate := h.Code(alice, lab.Plant{Client: lab.WebB}), h.Code(alice, lab.Plant{Client: lab.WebB, Twist: late})
	foreign.Client, foreignLate.Client = lab.WebA, lab.WebA
	wrong := h.Code(alice, lab.Plant{})
	wrong.Verifier = strings.Repeat("w", 43)
	for name, code := range map[string]lab.Code{
		"C05 expired": h.Code(alice, lab.Plant{Twist: late}), "C04 foreign": foreign, "C04 foreign and expired": foreignLate,
		"C01 spent": spent, "a wrong verifier": wrong,
	} {
		if reply := h.Redeem(code); !lab.Same(reply, reference) {
			t.Errorf("%s tells itself apart: %d %s", name, reply.Status, reply.Body)
		}
	}
}

// TestCodes is what happens to codes and to what they gave.
func TestCodes(t *testing.T) {
	h := lab.New(t, lab.Options{Gate: true})
	alice := h.NewPerson("alice")
	dead := func(t *testing.T, tokens lab.Tokens) {
		t.Helper()
		h.Within(time.Second, "the tokens are dead", func() bool {
			return !h.Introspect(lab.WebA, tokens.AccessToken).True("active") && h.UserInfo(tokens.AccessToken).Status == 401 &&
				h.Call("GET", "/accounts/balance", tokens.AccessToken).Status == 401
		})
		refused(t, h.Refresh(lab.WebA, tokens.RefreshToken), 400, "invalid_grant")
	}
	redeem := func(t *testing.T, code lab.Code) lab.Tokens {
		t.Helper()
		tokens := lab.Tokens{Client: code.Client}
		h.Redeem(code).Into(&tokens.Answer)
		return tokens
	}
	t.Run("C01 a replay is refused and ends what the code gave", func(t *testing.T) {
		code := h.Code(alice, lab.Plant{})
		tokens := redeem(t, code)
		if h.Call("GET", "/accounts/balance", tokens.AccessToken).Status != 200 {
			t.Fatal("the token never worked")
		}
		refused(t, h.Redeem(code), 400, "invalid_grant")
		dead(t, tokens)
	})
	t.Run("C02 of fifty at once exactly one is answered, and its tokens end", func(t *testing.T) {
		code := h.Code(alice, lab.Plant{})
		if said := lab.Together(50, func(int) string { return h.Redeem(code).Says() }); said["ok"] != 1 || said["invalid_grant"] != 49 {
			t.Errorf("%v", said)
		}
	})
	t.Run("C04 another client neither gets it nor harms it", func(t *testing.T) {
		code := h.Code(alice, lab.Plant{})
		crossed := code
		for _, client := range []string{lab.WebB, lab.WebKey, lab.Native, lab.Browser} {
			crossed.Client = client
			refused(t, h.Redeem(crossed), 400, "invalid_grant")
		}
		tokens := redeem(t, code)
		crossed.Client = lab.WebB
		refused(t, h.Redeem(crossed), 400, "invalid_grant")
		if h.UserInfo(tokens.AccessToken).Status != 200 {
			t.Error("a stranger's replay ended the grant")
		}
	})
	t.Run("C01 a replay with a wrong verifier harms nothing", func(t *testing.T) {
		code := h.Code(alice, lab.Plant{})
		tokens := redeem(t, code)
		code.Verifier = strings.Repeat("w", 43)
		refused(t, h.Redeem(code), 400, "invalid_grant")
		if h.UserInfo(tokens.AccessToken).Status != 200 {
			t.Error("whoever has only the code ended the grant")
		}
	})
	for name, row := range map[string]struct {
		wrong int
		says  string
	}{"C22 four wrong verifiers leave the code": {4, "ok"}, "C22 the fifth kills it": {5, "invalid_grant"}, "C22 a hundred at once kill it": {100, "invalid_grant"}} {
		t.Run(name, func(t *testing.T) {
			code := h.Code(alice, lab.Plant{})
			wrong := code
			wrong.Verifier = strings.Repeat("w", 43)
			if said := lab.Together(row.wrong, func(int) string { return h.Redeem(wrong).Says() }); said["invalid_grant"] != row.wrong {
				t.Errorf("%v", said)
			}
			if says := h.Redeem(code).Says(); says != row.says {
				t.Errorf("then the right one: %s", says)
			}
		})
	}
	t.Run("C20 no other kind of secret is a code, and none is consumed", func(t *testing.T) {
		tokens := h.Tokens(alice, lab.Plant{Scope: "openid vault.read"})
		code := h.Code(alice, lab.Plant{})
		for _, value := range []string{tokens.RefreshToken, tokens.AccessToken, tokens.IDToken, strings.TrimPrefix(alice.Cookie, "garde-session="), h.Secret(lab.WebA)} {
			disguised := code
			for _, disguised.Value = range []string{value, strings.Replace(value, value[:3], iam.PrefixCode, 1)} {
				refused(t, h.Redeem(disguised), 400, "invalid_grant")
			}
		}
		for _, value := range []string{code.Value, tokens.AccessToken, strings.TrimPrefix(alice.Cookie, "garde-session="), strings.Replace(code.Value, "ac_", "rt_", 1)} {
			refused(t, h.Refresh(lab.WebA, value), 400, "invalid_grant")
		}
		granted(t, h.Redeem(code))
		granted(t, h.Refresh(lab.WebA, tokens.RefreshToken))
	})
	t.Run("C19 a hundred codes, each of 256 bits and none like another", func(t *testing.T) {
		seen := map[string]bool{}
		for range 100 {
			sent, ok := h.Authorize(alice, lab.Ask(lab.WebA)).Sent(lab.Redirect(lab.WebA))
			value := sent.Get("code")
			if !ok || !iam.WellFormed(iam.PrefixCode, value) || seen[value] {
				t.Fatalf("%q", value)
			}
			seen[value] = true
		}
	})
	t.Run("C21 another house does not know the code", func(t *testing.T) {
		other := lab.New(t, lab.Options{})
		code := h.Code(alice, lab.Plant{})
		refused(t, other.Redeem(code), 400, "invalid_grant")
		granted(t, h.Redeem(code))
	})
	t.Run("C24 the nonce comes back letter by letter, and not with a refreshed token", func(t *testing.T) {
		nonce := strings.Repeat("né ", 330)
		ask := lab.Ask(lab.WebA)
		ask.Set("nonce", nonce)
		sent, _ := h.Authorize(alice, ask).Sent(lab.Redirect(lab.WebA))
		tokens := redeem(t, lab.Code{Value: sent.Get("code"), Client: lab.WebA, Redirect: lab.Redirect(lab.WebA), Verifier: lab.Verifier})
		if _, claims := peek(t, tokens.IDToken); claims["nonce"] != nonce {
			t.Errorf("%q", claims["nonce"])
		}
		if _, claims := peek(t, h.Refresh(lab.WebA, tokens.RefreshToken).Text("id_token")); claims["nonce"] != nil {
			t.Errorf("refreshed: %q", claims["nonce"])
		}
	})
	t.Run("C05 a minute later it is too late", func(t *testing.T) {
		code := h.Code(alice, lab.Plant{})
		h.Pass(61 * time.Second)
		refused(t, h.Redeem(code), 400, "invalid_grant")
	})
}

// TestTokensSayWhatTheyMust looks into the tokens (RFC 9068 section 2.2, OpenID Connect Core section 2).
func TestTokensSayWhatTheyMust(t *testing.T) {
	h := lab.New(t, lab.Options{})
	alice := h.NewPerson("alice")
	ask := lab.Ask(lab.WebA)
	ask.Set("claims", `{"id_token":{"email":null,"sub":null,"iss":{"value":"https://evil.example"},"aud":null}}`)
	sent, _ := h.Authorize(alice, ask).Sent(lab.Redirect(lab.WebA))
	var tokens lab.Tokens
	h.Redeem(lab.Code{Value: sent.Get("code"), Client: lab.WebA, Redirect: lab.Redirect(lab.WebA), Verifier: lab.Verifier}).Into(&tokens.Answer)
	header, access := peek(t, tokens.AccessToken)
	if header.Typ != "at+jwt" || access["aud"] != h.AccountsAPI() || access["iss"] != h.Issuer || access["sub"] != alice.ID || access["client_id"] != lab.WebA {
		t.Errorf("%v %v", header, access)
	}
	for _, name := range []string{"jti", "iat", "exp", "auth_time", "acr", "amr", "sid", "grant_id", "scope"} {
		if access[name] == nil {
			t.Errorf("the access token lacks %s", name)
		}
	}
	header, id := peek(t, tokens.IDToken)
	if header.Typ == "at+jwt" || id["aud"] != lab.WebA || id["nonce"] != "a-nonce" || id["scope"] != nil || id["client_id"] != nil {
		t.Errorf("J17 %v %v", header, id)
	}
	if id["iss"] != h.Issuer || id["sub"] != alice.ID || id["azp"] != nil {
		t.Errorf("J36 the request changed what is reserved: %v", id)
	}
	if id["email"] != alice.Email {
		t.Errorf("the claim that was asked for by name is %v", id["email"])
	}
	if id["at_hash"] == nil || strings.Contains(tokens.Scope, "email") {
		t.Errorf("J30 %v", id)
	}
	_, own := peek(t, h.Credentials(lab.Job, "scope", "ledger.post").Text("access_token"))
	if own["sub"] != lab.Job || own["auth_time"] != nil || own["sid"] != nil || own["acr"] != nil {
		t.Errorf("T27 a client's own token speaks of a person: %v", own)
	}
}

// TestT30CORS looks at what scripts of other origins may read.
func TestT30CORS(t *testing.T) {
	h := lab.New(t, lab.Options{})
	alice := h.NewPerson("alice")
	for origin, want := range map[string]string{
		lab.Origin: lab.Origin, "https://evil.example": "", "null": "", lab.Origin + ".evil.example": "", "http://spa.example": "", "https://SPA.example": "",
	} {
		for _, path := range []string{"/token", "/par", "/revoke", "/userinfo", "/device_authorization", "/requests"} {
			for _, reply := range []lab.Reply{
				h.Post(path, lab.Form("client_id", lab.Browser), "Origin", origin),
				h.Do(lab.Request("OPTIONS", path, "", "Origin", origin, "Access-Control-Request-Method", "POST")),
			} {
				if got := reply.Header.Get("Access-Control-Allow-Origin"); got != want || reply.Header.Get("Access-Control-Allow-Credentials") != "" {
					t.Errorf("%s for %s: %q", path, origin, got)
				}
			}
		}
		for _, reply := range []lab.Reply{h.Authorize(alice, lab.Ask(lab.WebA)), h.Post("/introspect", lab.Form("token", "x"), "Origin", origin)} {
			if got := reply.Header.Get("Access-Control-Allow-Origin"); got != "" {
				t.Errorf("a door that is not for scripts says %q", got)
			}
		}
	}
	for _, method := range []string{"GET", "PUT", "DELETE"} { // RFC 7592: who may register by script manages by script
		reply := h.Do(lab.Request("OPTIONS", "/register/any/client", "", "Origin", "https://app.example", "Access-Control-Request-Method", method))
		if allowed := reply.Header.Get("Access-Control-Allow-Methods"); reply.Status != 204 || !slices.Contains(strings.Split(allowed, ", "), method) {
			t.Errorf("%s of a registration: %d, allowed is %s", method, reply.Status, allowed)
		}
	}
}
