package lab_test

import (
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/lab"
)

// TestForgedAccessTokens shows every broken token at every door that takes access tokens: none may believe it, and none
// may fall over it.
func TestForgedAccessTokens(t *testing.T) {
	h := lab.New(t, lab.Options{Gate: true})
	alice := h.NewPerson("alice")
	honest := h.Tokens(alice, lab.Plant{}).AccessToken
	signer, err := h.Server.Keys.Signer("ES256")
	if err != nil {
		t.Fatal(err)
	}
	_, claims := peek(t, honest)
	for _, name := range []string{"iat", "exp", "auth_time"} {
		claims[name] = int64(claims[name].(float64))
	}
	f := forger{t, signer, members{"alg": "ES256", "typ": "at+jwt", "kid": signer.KeyID}, claims}
	judged := func(t *testing.T, token string) map[string]string {
		t.Helper()
		says := map[string]string{"introspection": "refused", "userinfo": "refused", "Gate": "refused"}
		reply := h.As(lab.Accounts, "/introspect", lab.Form("token", token))
		if reply.True("active") {
			says["introspection"] = "believed"
		} else if reply.Status != 200 || strings.TrimSpace(string(reply.Body)) != `{"active":false}` {
			t.Errorf("X11 introspection: %d %s", reply.Status, reply.Body)
		}
		if strings.ContainsAny(token, "\n ") {
			return says // no header can carry it
		}
		for door, reply := range map[string]lab.Reply{"userinfo": h.UserInfo(token), "Gate": h.Call("GET", "/accounts/balance", token)} {
			switch code := reply.Code(); {
			case reply.Status == 200:
				says[door] = "believed"
			case reply.Status == 401 && code == "invalid_token", reply.Status == 431, code == "invalid_request" && reply.Status == 400:
			default:
				t.Errorf("%s: %d %s", door, reply.Status, reply.Body)
			}
			if reply.Status == 401 && !strings.Contains(reply.Header.Get("WWW-Authenticate"), `error="invalid_token"`) {
				t.Errorf("%s: WWW-Authenticate %q", door, reply.Header.Get("WWW-Authenticate"))
			}
		}
		return says
	}
	for door, says := range judged(t, f.with(nil, nil)) {
		if says != "believed" {
			t.Errorf("%s does not believe a good token, so it proves nothing", door)
		}
	}
	broken := f.broken()
	broken["J17 typ JWT, as ID tokens have"] = f.with(members{"typ": "JWT"}, nil)
	broken["J17 no typ"] = f.with(members{"typ": nil}, nil)
	broken["J12 iat is missing"] = f.with(nil, members{"iat": nil})
	broken["jti is missing"] = f.with(nil, members{"jti": nil})
	broken["sub is missing"] = f.with(nil, members{"sub": nil})
	broken["client_id is missing"] = f.with(nil, members{"client_id": nil})
	broken["bound in a way that nobody knows"] = f.with(nil, members{"cnf": members{"new": "x"}})
	broken["bound in a way that nobody knows beside one that all know"] = f.with(nil, members{"cnf": members{"new": "x", "jkt": "x"}})
	broken["bound to nothing"] = f.with(nil, members{"cnf": members{}})
	for name, token := range broken {
		t.Run(name, func(t *testing.T) {
			for door, says := range judged(t, token) {
				if says != "refused" {
					t.Errorf("%s believes it", door)
				}
			}
		})
	}
	for name, cnf := range map[string]members{"D12 to a DPoP key": {"jkt": "x"}, "to a certificate": {"x5t#S256": "x"}} {
		t.Run("bound "+name+", shown as Bearer", func(t *testing.T) {
			token := f.with(nil, members{"cnf": cnf})
			// Whoever is asked about it is told the key: to have it proved is the API's to do (RFC 9449 section 6.2, RFC 8705
			// section 3.2).
			for door, says := range judged(t, token) {
				if wanted := map[bool]string{true: "believed", false: "refused"}[door == "introspection"]; says != wanted {
					t.Errorf("%s: %s", door, says)
				}
			}
			var told struct{ Cnf map[string]any }
			if h.Introspect(lab.Accounts, token).Into(&told); !maps.Equal(told.Cnf, cnf) {
				t.Errorf("introspection says cnf %v", told.Cnf)
			}
		})
	}
	t.Run("J19 members in another case are not the members", func(t *testing.T) {
		token := f.with(nil, members{"SUB": "admin", "\u017fub": "admin", "Scope": "transfers.write"})
		if got := h.Introspect(lab.Accounts, token); got.True("active") && (got.Text("sub") != alice.ID || strings.Contains(got.Text("scope"), "write")) {
			t.Errorf("%s", got.Body)
		}
	})
	t.Run("J22 a revoked token is dead under every spelling", func(t *testing.T) {
		tokens := h.Tokens(alice, lab.Plant{})
		granted(t, h.As(lab.WebA, "/revoke", lab.Form("token", tokens.AccessToken)))
		h.Within(time.Second, "it is dead", func() bool { return h.UserInfo(tokens.AccessToken).Status == 401 })
		if h.UserInfo(respelled(tokens.AccessToken)).Status != 401 {
			t.Error("it lives under another spelling")
		}
	})
}

// TestIntrospection says who may know what (X08-X11).
func TestIntrospection(t *testing.T) {
	h := lab.New(t, lab.Options{})
	alice := h.NewPerson("alice")
	signed := h.Tokens(alice, lab.Plant{})
	opaque := h.Tokens(alice, lab.Plant{Scope: "openid vault.read"})
	own := h.Credentials(lab.Job, "scope", "ledger.post").Text("access_token")
	for name, row := range map[string]struct {
		client, token string
		active        bool
	}{
		"the API about its signed token":             {lab.Accounts, signed.AccessToken, true},
		"the API about its opaque token":             {lab.Vault, opaque.AccessToken, true},
		"the client about its own signed token":      {lab.WebA, signed.AccessToken, true},
		"the client about its own opaque token":      {lab.WebA, opaque.AccessToken, true},
		"a Gate about any":                           {lab.GateClient, opaque.AccessToken, true},
		"an API about a client's own token":          {lab.Ledger, own, true},
		"X09 another API about a signed token":       {lab.Ledger, signed.AccessToken, false},
		"X09 another API about an opaque token":      {lab.Accounts, opaque.AccessToken, false},
		"X09 another client about a signed token":    {lab.WebB, signed.AccessToken, false},
		"X09 another client about an opaque token":   {lab.WebB, opaque.AccessToken, false},
		"X09 a service about a person's token":       {lab.Job, signed.AccessToken, false},
		"X10 a refresh token":                        {lab.WebA, signed.RefreshToken, false},
		"X10 an ID token":                            {lab.WebA, signed.IDToken, false},
		"X10 a code":                                 {lab.WebA, h.Code(alice, lab.Plant{}).Value, false},
		"X10 a session cookie":                       {lab.WebA, strings.TrimPrefix(alice.Cookie, "garde-session="), false},
		"X10 the client's own secret":                {lab.WebA, h.Secret(lab.WebA), false},
		"X11 an opaque token that never was":         {lab.Vault, iam.NewSecret(iam.PrefixAccess), false},
		"X11 a truncated opaque token":               {lab.Vault, opaque.AccessToken[:40], false},
		"X11 rubbish":                                {lab.Vault, "hello", false},
		"an opaque token with one letter more":       {lab.Vault, opaque.AccessToken + "A", false},
		"an opaque token after white space":          {lab.Vault, " " + opaque.AccessToken, false},
		"a signed token with Bearer before it":       {lab.Accounts, "Bearer " + signed.AccessToken, false},
		"a signed token as a hash would be, of 60KB": {lab.Accounts, strings.Repeat("x", 60_000), false},
	} {
		t.Run(name, func(t *testing.T) {
			reply := h.Introspect(row.client, row.token)
			granted(t, reply)
			if reply.True("active") != row.active {
				t.Errorf("%s", reply.Body)
			}
			if !row.active && strings.TrimSpace(string(reply.Body)) != `{"active":false}` {
				t.Errorf("X11 the shape tells more: %s", reply.Body)
			}
		})
	}
	t.Run("it says what the token says", func(t *testing.T) {
		for client, token := range map[string]string{lab.Accounts: signed.AccessToken, lab.Vault: opaque.AccessToken} {
			reply := h.Introspect(client, token)
			if reply.Text("sub") != alice.ID || reply.Text("client_id") != lab.WebA || reply.Text("iss") != h.Issuer || reply.Text("token_type") != "Bearer" || reply.Text("jti") == "" {
				t.Errorf("%s", reply.Body)
			}
		}
	})
	t.Run("token missing or empty", func(t *testing.T) {
		refused(t, h.As(lab.Accounts, "/introspect", nil), 400, "invalid_request")
		refused(t, h.As(lab.Accounts, "/introspect", lab.Form("token", "")), 400, "invalid_request")
	})
	t.Run("X08 nobody without a proof", func(t *testing.T) {
		refused(t, h.Post("/introspect", lab.Form("token", signed.AccessToken)), 400, "invalid_request")
		refused(t, h.Post("/introspect", lab.Form("token", signed.AccessToken, "client_id", lab.Native)), 401, "invalid_client")
		refused(t, h.Post("/introspect", lab.Form("token", signed.AccessToken, "client_id", lab.WebA)), 401, "invalid_client")
		refused(t, h.Post("/introspect", lab.Form("token", signed.AccessToken), "Authorization", "Bearer "+signed.AccessToken), 400, "invalid_request")
	})
}

// TestRevocation gives tokens back, one's own and others' (F12-F15).
func TestRevocation(t *testing.T) {
	h := lab.New(t, lab.Options{Gate: true})
	alice := h.NewPerson("alice")
	give := func(client, token string) lab.Reply { return h.As(client, "/revoke", lab.Form("token", token)) }
	lives := func(tokens lab.Tokens) bool { return h.UserInfo(tokens.AccessToken).Status == 200 }
	for name, which := range map[string]func(lab.Tokens) string{
		"F12 the refresh token takes the access token along": func(t lab.Tokens) string { return t.RefreshToken },
		"F12 the access token takes the refresh token along": func(t lab.Tokens) string { return t.AccessToken },
	} {
		for _, scope := range []string{"openid accounts.read", "openid vault.read"} {
			t.Run(name+" of "+scope, func(t *testing.T) {
				for _, client := range []string{lab.WebA, lab.Native} {
					tokens := h.Tokens(alice, lab.Plant{Client: client, Scope: scope})
					path := map[bool]string{true: "/vault/secrets", false: "/accounts/balance"}[strings.Contains(scope, "vault")]
					if h.Call("GET", path, tokens.AccessToken).Status != 200 {
						t.Fatal("it never worked")
					}
					reply := give(client, which(tokens))
					granted(t, reply)
					if len(reply.Body) != 0 {
						t.Errorf("%s", reply.Body)
					}
					h.Within(time.Second, "all is dead everywhere", func() bool {
						return !lives(tokens) && h.Call("GET", path, tokens.AccessToken).Status == 401
					})
					refused(t, h.Refresh(client, tokens.RefreshToken), 400, "invalid_grant")
					granted(t, give(client, which(tokens)))
				}
			})
		}
	}
	t.Run("F14 another client's tokens are untouched, and it is told nothing", func(t *testing.T) {
		tokens := h.Tokens(alice, lab.Plant{})
		never := give(lab.WebB, iam.NewSecret(iam.PrefixRefresh))
		for _, value := range []string{tokens.RefreshToken, tokens.AccessToken} {
			if reply := give(lab.WebB, value); !lab.Same(reply, never) {
				t.Errorf("it tells itself apart: %d %s", reply.Status, reply.Body)
			}
		}
		granted(t, give(lab.Native, tokens.RefreshToken))
		granted(t, h.Refresh(lab.WebA, tokens.RefreshToken))
		if !lives(tokens) {
			t.Error("another client ended the token")
		}
	})
	t.Run("a client's own token", func(t *testing.T) {
		token := h.Credentials(lab.Job, "scope", "ledger.post").Text("access_token")
		if h.Call("POST", "/ledger/entries", token).Status != 200 {
			t.Fatal("it never worked")
		}
		granted(t, give(lab.Job, token))
		h.Within(time.Second, "it is dead at the Gate", func() bool { return h.Call("POST", "/ledger/entries", token).Status == 401 })
	})
	t.Run("RFC 7009 2.2: what is no token is no error", func(t *testing.T) {
		for _, value := range []string{"x", "rt_x", iam.NewSecret(iam.PrefixAccess), h.Code(alice, lab.Plant{}).Value} {
			granted(t, give(lab.WebA, value))
		}
	})
	t.Run("a wrong hint changes nothing", func(t *testing.T) {
		tokens := h.Tokens(alice, lab.Plant{})
		granted(t, h.As(lab.WebA, "/revoke", lab.Form("token", tokens.RefreshToken, "token_type_hint", "access_token")))
		refused(t, h.Refresh(lab.WebA, tokens.RefreshToken), 400, "invalid_grant")
	})
	t.Run("F15 nobody without the client's proof", func(t *testing.T) {
		tokens := h.Tokens(alice, lab.Plant{})
		refused(t, h.Post("/revoke", lab.Form("token", tokens.RefreshToken)), 400, "invalid_request")
		refused(t, h.Post("/revoke", lab.Form("token", tokens.RefreshToken, "client_id", lab.WebA)), 401, "invalid_client")
		refused(t, h.As(lab.WebA, "/revoke", nil), 400, "invalid_request")
		granted(t, h.Refresh(lab.WebA, tokens.RefreshToken))
	})
	t.Run("F13 no 200 for what could not be kept", func(t *testing.T) {
		tokens := h.Tokens(alice, lab.Plant{Client: lab.Native})
		h.Break()
		for _, value := range []string{tokens.RefreshToken, tokens.AccessToken} {
			reply := give(lab.Native, value)
			if refused(t, reply, 503, "temporarily_unavailable"); reply.Header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
		}
		for name, reply := range map[string]lab.Reply{
			"refresh": h.Refresh(lab.Native, tokens.RefreshToken), "client credentials": h.Credentials(lab.Job, "scope", "ledger.post"),
			"userinfo": h.UserInfo(tokens.AccessToken),
		} {
			if reply.Status != 503 || strings.Contains(string(reply.Body), "sql") {
				t.Errorf("A09 %s without a storage: %d %s", name, reply.Status, reply.Body)
			}
		}
	})
}

// TestUserInfo holds the door that tells of people (X12, X13).
func TestUserInfo(t *testing.T) {
	h := lab.New(t, lab.Options{})
	alice := h.NewPerson("alice")
	tokens := h.Tokens(alice, lab.Plant{Scope: "openid email accounts.read"})
	bare := h.Tokens(alice, lab.Plant{Scope: "accounts.read"})
	bearer := func(value string) []string { return []string{"Authorization", "Bearer " + value} }
	own := h.Credentials(lab.Job, "scope", "ledger.post").Text("access_token")
	form := func(body string, headers ...string) *http.Request {
		return lab.Request("POST", "/userinfo", body, append(headers, "Content-Type", lab.FormType)...)
	}
	for name, row := range map[string]struct {
		request *http.Request
		status  int
		code    string
	}{
		"GET":                              {lab.Request("GET", "/userinfo", "", bearer(tokens.AccessToken)...), 200, ""},
		"POST":                             {lab.Request("POST", "/userinfo", "", bearer(tokens.AccessToken)...), 200, ""},
		"the scheme in another case":       {lab.Request("GET", "/userinfo", "", "Authorization", "bearer "+tokens.AccessToken), 200, ""},
		"PUT":                              {lab.Request("PUT", "/userinfo", "", bearer(tokens.AccessToken)...), 405, "invalid_request"},
		"nothing":                          {lab.Request("GET", "/userinfo", ""), 401, ""},
		"X13 the token in the query":       {lab.Request("GET", "/userinfo?access_token="+tokens.AccessToken, ""), 401, ""},
		"X13 the token in the body":        {lab.Request("POST", "/userinfo", "access_token="+tokens.AccessToken, "Content-Type", lab.FormType), 401, ""},
		"X13 the token in a cookie":        {lab.Request("GET", "/userinfo", "", "Cookie", "access_token="+tokens.AccessToken), 401, ""},
		"X13 a second token in the query":  {lab.Request("GET", "/userinfo?access_token=x", "", bearer(tokens.AccessToken)...), 400, "invalid_request"},
		"X13 the same token in the query":  {lab.Request("POST", "/userinfo?a=b&access%5Ftoken="+tokens.AccessToken, "", bearer(tokens.AccessToken)...), 400, "invalid_request"},
		"X13 a second token in the body":   {form("access_token=x", bearer(tokens.AccessToken)...), 400, "invalid_request"},
		"X13 the same token in the body":   {form("access_token="+tokens.AccessToken, bearer(tokens.AccessToken)...), 400, "invalid_request"},
		"a form without a token":           {form("schema=openid", bearer(tokens.AccessToken)...), 200, ""},
		"an empty form":                    {form("", bearer(tokens.AccessToken)...), 200, ""},
		"two Authorization headers":        {lab.Request("GET", "/userinfo", "", append(bearer(tokens.AccessToken), bearer("x")...)...), 400, "invalid_request"},
		"Basic":                            {lab.Request("GET", "/userinfo", "", "Authorization", lab.BasicAuth(lab.WebA, h.Secret(lab.WebA))), 400, "invalid_request"},
		"an empty Bearer":                  {lab.Request("GET", "/userinfo", "", "Authorization", "Bearer "), 400, "invalid_request"},
		"DPoP for a token that is unbound": {lab.Request("GET", "/userinfo", "", "Authorization", "DPoP "+tokens.AccessToken), 401, "invalid_dpop_proof"},
		"D10 DPoP with a proof of a key for a token that is unbound": {lab.Request("GET", "/userinfo", "", "Authorization", "DPoP "+tokens.AccessToken,
			"DPoP", h.NewKey().Show("GET", h.Issuer+"/userinfo", tokens.AccessToken)), 401, "invalid_token"},
		"X12 an ID token":          {lab.Request("GET", "/userinfo", "", bearer(tokens.IDToken)...), 401, "invalid_token"},
		"X12 a refresh token":      {lab.Request("GET", "/userinfo", "", bearer(tokens.RefreshToken)...), 401, "invalid_token"},
		"X12 without openid":       {lab.Request("GET", "/userinfo", "", bearer(bare.AccessToken)...), 403, "insufficient_scope"},
		"X12 a client's own token": {lab.Request("GET", "/userinfo", "", bearer(own)...), 403, "insufficient_scope"},
		"a session cookie alone":   {lab.Request("GET", "/userinfo", "", "Cookie", alice.Cookie), 401, ""},
	} {
		t.Run(name, func(t *testing.T) {
			reply := h.Do(row.request)
			if reply.Status != row.status || reply.Text("error") != row.code {
				t.Errorf("got %d %s", reply.Status, reply.Body)
			}
			never(t, reply)
			challenge := reply.Header.Get("WWW-Authenticate")
			if (challenge != "") != (row.status == 401 || row.status == 403 || row.status == 400) && row.status != 405 {
				t.Errorf("WWW-Authenticate: %q", challenge)
			}
			if row.status == 401 && row.code == "" && strings.Contains(challenge, "error=") {
				t.Errorf("RFC 6750 3.1: no error where no credentials were sent: %q", challenge)
			}
		})
	}
	t.Run("it tells what the scopes open and nothing else", func(t *testing.T) {
		reply := h.UserInfo(tokens.AccessToken)
		if reply.Text("sub") != alice.ID || reply.Text("email") != alice.Email || !reply.True("email_verified") || reply.Text("name") != "" || reply.Text("preferred_username") != "" {
			t.Errorf("%s", reply.Body)
		}
	})
	t.Run("an opaque token is as good", func(t *testing.T) {
		if reply := h.UserInfo(h.Tokens(alice, lab.Plant{Scope: "openid vault.read"}).AccessToken); reply.Text("sub") != alice.ID {
			t.Errorf("%s", reply.Body)
		}
	})
}

// TestX06APersonOfNoSignInIsNoClient: a token for another issuer's assertion names a person and need not say when they
// authenticated. It opens nothing that is for clients, and nothing that is for people.
func TestX06APersonOfNoSignInIsNoClient(t *testing.T) {
	h := lab.New(t, lab.Options{Gate: true})
	_, claims := peek(t, h.Tokens(h.NewPerson("alice"), lab.Plant{}).AccessToken)
	for _, name := range []string{"iat", "exp"} {
		claims[name] = int64(claims[name].(float64))
	}
	for _, name := range []string{"auth_time", "acr", "amr", "sid"} {
		delete(claims, name)
	}
	token := h.Forge("at+jwt", claims)
	for _, path := range []string{"/accounts/report", "/accounts/balance"} {
		if reply := h.Call("GET", path, token); reply.Status != 403 || reply.Code() != "insufficient_scope" {
			t.Errorf("%s: %d %s", path, reply.Status, reply.Body)
		}
	}
}
