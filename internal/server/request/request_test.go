package request_test

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/server/request"
)

// Before the redirect URI is known to be the client's, an error is for a page and goes nowhere.
func TestWhatIsForAPage(t *testing.T) {
	h := open(t)
	long := strings.Repeat("x", 100)
	cases := map[string]string{
		"no client":                       asking("-").Encode(),
		"unknown client":                  asking("nobody").Encode(),
		"C28 disabled client":             asking("off", "redirect_uri", "https://off.example/cb").Encode(),
		"R10 service without redirects":   asking("robot").Encode(),
		"R20 no redirect_uri":             asking("web", "redirect_uri", "-").Encode(),
		"R20 not with one either":         asking("other", "redirect_uri", "-").Encode(),
		"C13 empty redirect_uri":          asking("web", "redirect_uri", "").Encode(),
		"R01 not registered":              asking("web", "redirect_uri", "https://evil.example/cb").Encode(),
		"R01 another client's":            asking("web", "redirect_uri", "https://other.example/cb").Encode(),
		"R02 more query":                  asking("web", "redirect_uri", "https://app.example/cb?extra=1").Encode(),
		"R02 other query":                 asking("web", "redirect_uri", "https://app.example/cb?tenant=2").Encode(),
		"R03 more path":                   asking("web", "redirect_uri", "https://app.example/cb/x").Encode(),
		"R05 code in the query":           asking("web", "redirect_uri", "https://app.example/cb?code=attacker").Encode(),
		"R06 userinfo":                    asking("web", "redirect_uri", "https://app.example@evil/cb").Encode(),
		"R06 two at signs":                asking("web", "redirect_uri", "https://a@app.example@evil/cb").Encode(),
		"R07 dots behind a semicolon":     asking("web", "redirect_uri", "https://app.example/cb/..;/x").Encode(),
		"R08 longer host":                 asking("web", "redirect_uri", "https://app.example.evil/cb").Encode(),
		"R09 dot as any letter":           asking("web", "redirect_uri", "https://appxexample/cb").Encode(),
		"R11 script":                      asking("web", "redirect_uri", "JaVaScRiPt://%0aalert(1)").Encode(),
		"R12 fragment":                    asking("web", "redirect_uri", "https://app.example/cb#x").Encode(),
		"R12 bare fragment":               asking("web", "redirect_uri", "https://app.example/cb#").Encode(),
		"R13 upper case":                  asking("web", "redirect_uri", "https://APP.example/cb").Encode(),
		"R13 default port":                asking("web", "redirect_uri", "https://app.example:443/cb").Encode(),
		"R13 trailing dot":                asking("web", "redirect_uri", "https://app.example./cb").Encode(),
		"R14 another full stop":           asking("web", "redirect_uri", "https://app。example/cb").Encode(),
		"R15 scheme-less":                 asking("web", "redirect_uri", "//app.example/cb").Encode(),
		"R15 backslash":                   asking("web", "redirect_uri", `/\app.example/cb`).Encode(),
		"R15 one slash":                   asking("web", "redirect_uri", "https:/app.example/cb").Encode(),
		"R17 http":                        asking("web", "redirect_uri", "http://app.example/cb").Encode(),
		"R18 another scheme":              asking("cli", "redirect_uri", "app:/cb").Encode(),
		"R19 good first, evil second":     asking("web").Encode() + "&redirect_uri=https%3A%2F%2Fevil",
		"R19 evil first":                  "redirect_uri=https%3A%2F%2Fevil&" + asking("web").Encode(),
		"C26 two clients":                 asking("web").Encode() + "&client_id=other",
		"C26 two of anything":             asking("web").Encode() + "&state=st",
		"R34 line break in redirect_uri":  asking("web", "redirect_uri", "https://app.example/cb\r\nX: y").Encode(),
		"not UTF-8":                       asking("web").Encode() + "&nonce=%FF",
		"NUL":                             asking("web").Encode() + "&nonce=a%00b",
		"a very long client_id, not told": asking("c" + long).Encode(),
	}
	for _, tail := range []string{
		"/..%2fF", "/%2e%2e%2fF", "/..%252fF", "/%252e%252e%252fF", "/F/..", "/F/../cb", ";/../..", "%3B/../..", "%0A%0D/../..",
		"%250A%250D/../..", "/.", "/%2e", "//", "/", "%2F", "%20", " ", "%23x", "%3Fx", "\\", "%5C..", "/..\\F", "\t",
	} {
		cases["R04 "+tail] = asking("web", "redirect_uri", "https://app.example/cb"+tail).Encode()
	}
	for name, query := range cases {
		t.Run(name, func(t *testing.T) {
			asked, err := h.parse(t, query)
			if oauth.CodeOf(err) != "invalid_request" || asked != nil {
				t.Fatalf("read as %+v, error %v", asked, err)
			}
			var refusal *request.Refusal
			if errors.As(err, &refusal) {
				t.Errorf("the error may go to %s", refusal.Request.RedirectURI)
			}
			if strings.Contains(err.Error(), long) {
				t.Error("the answer repeats what came")
			}
		})
	}
}

func TestR16OnlyTheLoopbackPortMayDiffer(t *testing.T) {
	h := open(t)
	for uri, good := range map[string]bool{
		"http://127.0.0.1/cb": true, "http://127.0.0.1:1/cb": true, "http://127.0.0.1:80/cb": true,
		"http://127.0.0.1:54321/cb": true, "http://127.0.0.1:65535/cb": true, "http://[::1]:8080/cb": true,
		"com.bank.app:/cb": true,

		"http://127.0.0.1:0/cb": false, "http://127.0.0.1:080/cb": false, "http://127.0.0.1:65536/cb": false,
		"http://127.0.0.1:+80/cb": false, "http://127.0.0.1:/cb": false, "http://127.0.0.1:8080": false,
		"http://127.0.0.1:8080/": false, "http://127.0.0.1:8080/cb/": false, "http://127.0.0.1:8080/cb?x=1": false,
		"http://127.0.0.1:8080/CB": false, "http://127.0.0.1": false, "http://127.0.0.1.evil/cb": false,
		"http://127.0.0.1.evil:80/cb": false, "http://127.0.0.1:80.evil/cb": false, "http://127.0.0.1@evil/cb": false,
		"http://127.0.0.1:80@evil/cb": false, "http://127.0.0.1:8080#/cb": false, "http://127.0.0.1:80:80/cb": false,
		"http://127.0.0.1:8_0/cb": false, "http://127.0.0.1: 80/cb": false, "http://127.0.0.1:８０/cb": false,
		"http://localhost:8080/cb": false, "https://127.0.0.1:8080/cb": false, "http://127.0.0.2:8080/cb": false,
		"http://[::1]:8080:/cb": false, "http://[::1/cb": false, "http://[0::1]:8080/cb": false,
		"com.bank.app:1/cb": false, "com.bank.app:/cb?x": false, "http://2130706433:8080/cb": false,
	} {
		t.Run(uri, func(t *testing.T) {
			asked, err := h.parse(t, asking("cli", "redirect_uri", uri).Encode())
			if good != (err == nil) {
				t.Fatalf("good %v, error %v", good, err)
			}
			if good && asked.RedirectURI != uri {
				t.Errorf("the answer would go to %s", asked.RedirectURI)
			}
		})
	}
}

// After that, every error goes back to the client, with its state.
func TestWhatGoesBack(t *testing.T) {
	h := open(t)
	for name, c := range map[string]struct {
		code    string
		changes []string
	}{
		"C07 no challenge":                {"invalid_request", []string{"code_challenge", "-"}},
		"C08 plain":                       {"invalid_request", []string{"code_challenge_method", "plain"}},
		"C08 no method":                   {"invalid_request", []string{"code_challenge_method", "-"}},
		"C10 method without challenge":    {"invalid_request", []string{"code_challenge", ""}},
		"C12 short challenge":             {"invalid_request", []string{"code_challenge", challenge[:42]}},
		"C12 long challenge":              {"invalid_request", []string{"code_challenge", challenge + "A"}},
		"C12 padded challenge":            {"invalid_request", []string{"code_challenge", challenge[:42] + "="}},
		"C12 another last character":      {"invalid_request", []string{"code_challenge", challenge[:42] + "N"}},
		"C12 line break in it":            {"invalid_request", []string{"code_challenge", challenge[:41] + "\n" + challenge[42:]}},
		"C13 empty challenge":             {"invalid_request", []string{"code_challenge", ""}},
		"C13 empty scope":                 {"invalid_scope", []string{"scope", ""}},
		"C14 S512":                        {"invalid_request", []string{"code_challenge_method", "S512"}},
		"C14 s256":                        {"invalid_request", []string{"code_challenge_method", "s256"}},
		"C15 no response_type":            {"invalid_request", []string{"response_type", "-"}},
		"C15 none":                        {"unsupported_response_type", []string{"response_type", "none"}},
		"C15 code twice":                  {"unsupported_response_type", []string{"response_type", "code code"}},
		"C15 upper case":                  {"unsupported_response_type", []string{"response_type", "CODE"}},
		"R28 jwt of something else":       {"invalid_request", []string{"response_mode", "web_message.jwt"}},
		"R28 web_message":                 {"invalid_request", []string{"response_mode", "web_message"}},
		"R32 junk mode":                   {"invalid_request", []string{"response_mode", "*"}},
		"request object":                  {"invalid_request_object", []string{"request", "e30.e30."}},
		"request_uri":                     {"request_uri_not_supported", []string{"request_uri", "https://evil/r"}},
		"registration":                    {"registration_not_supported", []string{"registration", "{}"}},
		"no rich authorization":           {"invalid_authorization_details", []string{"authorization_details", "[]"}},
		"a key that is none":              {"invalid_request", []string{"dpop_jkt", "x"}},
		"grant management":                {"invalid_request", []string{"grant_management_action", "create"}},
		"unknown scope":                   {"invalid_scope", []string{"scope", "openid nothing"}},
		"scope of others":                 {"invalid_scope", []string{"scope", "openid phone"}},
		"scope of Gates":                  {"invalid_scope", []string{"scope", "openid garde.gate"}},
		"scope with a quote":              {"invalid_scope", []string{"scope", `openid "`}},
		"unknown resource":                {"invalid_target", []string{"resource", "https://api.evil.example"}},
		"resource, almost":                {"invalid_target", []string{"resource", "https://api.bank.example/accounts/"}},
		"long nonce":                      {"invalid_request", []string{"nonce", strings.Repeat("n", 2049)}},
		"S13 none and login":              {"invalid_request", []string{"prompt", "none login"}},
		"unknown prompt":                  {"invalid_request", []string{"prompt", "create"}},
		"negative max_age":                {"invalid_request", []string{"max_age", "-1"}},
		"max_age of a float":              {"invalid_request", []string{"max_age", "1.5"}},
		"max_age too large":               {"invalid_request", []string{"max_age", "99999999999999999999"}},
		"unknown display":                 {"invalid_request", []string{"display", "hologram"}},
		"claims that are no JSON":         {"invalid_request", []string{"claims", "x"}},
		"claims that are a list":          {"invalid_request", []string{"claims", "[]"}},
		"claims that are null":            {"invalid_request", []string{"claims", "null"}},
		"J18 doubled claims":              {"invalid_request", []string{"claims", `{"id_token":{"sub":{"value":"u-1"}},"id_token":{}}`}},
		"claims too long":                 {"invalid_request", []string{"claims", `{"x":"` + strings.Repeat("y", 9000) + `"}`}},
		"a claim that is a text":          {"invalid_request", []string{"claims", `{"userinfo":{"email":"x"}}`}},
		"essential as a text":             {"invalid_request", []string{"claims", `{"id_token":{"acr":{"essential":"true","value":"x"}}}`}},
		"essential acr of a number":       {"invalid_request", []string{"claims", `{"id_token":{"acr":{"essential":true,"value":7}}}`}},
		"essential acr of nothing":        {"invalid_request", []string{"claims", `{"id_token":{"acr":{"essential":true,"values":[]}}}`}},
		"sub that is a number":            {"invalid_request", []string{"claims", `{"id_token":{"sub":{"value":7}}}`}},
		"sub that is empty":               {"invalid_request", []string{"claims", `{"id_token":{"sub":{"value":""}}}`}},
		"several people":                  {"invalid_request", []string{"claims", `{"id_token":{"sub":{"values":["u-1","u-2"]}}}`}},
		"S33 hint that is no token":       {"invalid_request", []string{"id_token_hint", "x"}},
		"S33 hint without signature":      {"invalid_request", []string{"id_token_hint", "eyJhbGciOiJub25lIn0.e30."}},
		"R26 state too long":              {"invalid_request", []string{"state", strings.Repeat("s", 4097)}},
		"R26 line break cannot be posted": {"invalid_request", []string{"state", "a\nb", "response_mode", "form_post"}},
	} {
		t.Run(name, func(t *testing.T) {
			query := asking("web", c.changes...)
			_, err := h.parse(t, query.Encode())
			var refusal *request.Refusal
			if !errors.As(err, &refusal) || oauth.CodeOf(err) != c.code {
				t.Fatalf("error %v, want %s to go back", err, c.code)
			}
			if state := refusal.Request.State; state != query.Get("state") && len(query.Get("state")) <= 4096 {
				t.Errorf("R26 the error carries the state %q", state)
			}
			if refusal.Request.RedirectURI != "https://app.example/cb" || refusal.Request.Mode != oauth.ModeQuery {
				t.Errorf("it goes to %s by %s", refusal.Request.RedirectURI, refusal.Request.Mode)
			}
		})
	}
	t.Run("form_post to an application", func(t *testing.T) {
		_, err := h.parse(t, asking("cli", "redirect_uri", "com.bank.app:/cb", "response_mode", "form_post").Encode())
		var refusal *request.Refusal
		if !errors.As(err, &refusal) || refusal.Request.State != "st" || refusal.Request.Mode != oauth.ModeQuery {
			t.Fatalf("error %v", err)
		}
	})
}

func TestWhatIsRead(t *testing.T) {
	h := open(t)
	read := func(changes ...string) *request.Request {
		t.Helper()
		asked, err := h.parse(t, asking("web", changes...).Encode())
		must(t, err)
		return asked
	}
	asked := read("scope", "accounts.read  openid openid", "resource", "https://api.bank.example/accounts", "nonce", "né",
		"prompt", "login consent", "max_age", "0", "display", "touch", "ui_locales", "fr en", "login_hint", "alice",
		"acr_values", "a b", "response_mode", "fragment", "foo", "bar")
	if got := asked.Scope.String(); got != "accounts.read openid" {
		t.Errorf("scope %q", got)
	}
	if asked.MaxAge != 0 || !asked.Prompted("login") || asked.Prompted("none") || asked.Nonce != "né" || asked.Challenge != challenge ||
		asked.Mode != oauth.ModeFragment || asked.LoginHint != "alice" || !slices.Equal(asked.Locales, []string{"fr", "en"}) {
		t.Errorf("read as %+v", asked)
	}
	if strings.Contains(asked.Query(), "foo") {
		t.Error("C27 what nobody reads is kept")
	}
	again, err := h.parser.Again(t.Context(), asked.Query())
	must(t, err)
	if again.Query() != asked.Query() {
		t.Errorf("kept as %s, then as %s", asked.Query(), again.Query())
	}
	if plain := read("max_age", "", "login_hint", strings.Repeat("x", 257), "ui_locales", strings.Repeat("fr ", 500)); plain.MaxAge >= 0 ||
		plain.LoginHint != "" || len(plain.Locales) > 10 {
		t.Errorf("N16 C13 read as %+v", plain)
	}
	for _, display := range []string{"page", "popup", "wap", ""} {
		read("display", display)
	}
	long := read("login_hint", strings.Repeat("x", 8000), "prompt", strings.Repeat("login ", 1000),
		"acr_values", strings.Repeat("a ", 2000), "ui_locales", strings.Repeat("fr ", 2000), "scope", strings.Repeat("openid ", 500))
	if size := len(long.Query()); size > 1000 {
		t.Errorf("L05 %d bytes are kept of a request that says next to nothing", size)
	}
}

func TestClaimsAskForNoMoreThanTheClientMayHave(t *testing.T) {
	h := open(t)
	asked, err := h.parse(t, asking("web", "claims", `{
		"userinfo": {"email": null, "phone_number": {"essential": true}, "name": null, "unheard": null, "zoneinfo": {"values": ["a", 7]}},
		"id_token": {"email_verified": {"value": true}, "address": null, "auth_time": {"essential": true}, "acr": null, "sub": null},
		"ID_TOKEN": {"phone_number": null}, "other": 7}`).Encode())
	must(t, err)
	got := asked.Wanted.String()
	for _, name := range []string{"phone_number", "address", "name", "zoneinfo", "ID_TOKEN"} {
		if strings.Contains(got, name) {
			t.Errorf("%s is asked for by a client that may not have it: %s", name, got)
		}
	}
	if !strings.Contains(got, `"email":null`) || !strings.Contains(got, "auth_time") {
		t.Errorf("left of it: %s", got)
	}
	if allowance := asked.Allowance(); allowance.String() != "openid email" {
		t.Errorf("N04 the person is asked for %q", allowance)
	}
	if asked.Subject != "" || len(asked.Essential) != 0 {
		t.Errorf("null demands %q %q", asked.Subject, asked.Essential)
	}
	again, err := h.parser.Again(t.Context(), asked.Query())
	must(t, err)
	if again.Wanted.String() != got {
		t.Errorf("read again as %s", again.Wanted)
	}
	other, err := h.parse(t, asking("other", "redirect_uri", "https://other.example/cb", "claims", `{"userinfo":{"email":null}}`).Encode())
	must(t, err)
	if other.Wanted.String() != "" || other.Allowance().String() != "openid" {
		t.Errorf("a client without the scope is left with %s", other.Wanted)
	}
}

func TestWhatIsDemanded(t *testing.T) {
	h := open(t)
	for claims, want := range map[string]struct {
		subject   string
		essential []string
	}{
		`{"id_token":{"sub":{"value":"u-1"}}}`:                                   {"u-1", nil},
		`{"id_token":{"sub":{"values":["u-1"],"value":"u-1"}}}`:                  {"u-1", nil},
		`{"id_token":{"sub":{"value":null}}}`:                                    {"", nil},
		`{"id_token":{"acr":{"value":"a"}}}`:                                     {"", nil},
		`{"id_token":{"acr":{"essential":true}}}`:                                {"", nil},
		`{"id_token":{"acr":{"essential":true,"value":"a"}}}`:                    {"", []string{"a"}},
		`{"id_token":{"acr":{"essential":true,"values":["a","b"],"value":"c"}}}`: {"", []string{"a", "b", "c"}},
		`{"userinfo":{"acr":{"essential":true,"value":"a"}}}`:                    {"", nil},
	} {
		asked, err := h.parse(t, asking("web", "claims", claims).Encode())
		must(t, err)
		if asked.Subject != want.subject || !slices.Equal(asked.Essential, want.essential) {
			t.Errorf("%s demands %q %q", claims, asked.Subject, asked.Essential)
		}
	}
}

func TestS33Hints(t *testing.T) {
	h := open(t)
	claims := func(changes map[string]any) map[string]any {
		all := map[string]any{"iss": issuer, "sub": "u-1", "aud": "web", "sid": "s-1", "iat": h.now.Unix() - 7200, "exp": h.now.Unix() - 3600}
		for name, value := range changes {
			all[name] = value
		}
		return all
	}
	good := h.token(t, "JWT", claims(nil))
	asked, err := h.parse(t, asking("web", "id_token_hint", good).Encode())
	must(t, err)
	if asked.Subject != "u-1" {
		t.Errorf("an expired hint names %q", asked.Subject)
	}
	asked, err = h.parse(t, asking("web", "id_token_hint", good, "claims", `{"id_token":{"sub":{"value":"u-1"}}}`).Encode())
	if err != nil || asked.Subject != "u-1" {
		t.Errorf("twice the same person: %v", err)
	}
	for name, changes := range map[string][]string{
		"access token":         {"id_token_hint", h.token(t, "at+jwt", claims(nil))},
		"recipe statement":     {"id_token_hint", h.token(t, "garde-recipe+jwt", claims(nil))},
		"another issuer":       {"id_token_hint", h.token(t, "JWT", claims(map[string]any{"iss": "https://evil"}))},
		"another client's":     {"id_token_hint", h.token(t, "JWT", claims(map[string]any{"aud": "other"}))},
		"several audiences":    {"id_token_hint", h.token(t, "JWT", claims(map[string]any{"aud": []string{"web", "other"}}))},
		"nobody":               {"id_token_hint", h.token(t, "JWT", claims(map[string]any{"sub": ""}))},
		"from the future":      {"id_token_hint", h.token(t, "JWT", claims(map[string]any{"iat": h.now.Add(time.Hour).Unix()}))},
		"altered":              {"id_token_hint", good[:len(good)-4] + "AAAA"},
		"a foreign server's":   {"id_token_hint", open(t).token(t, "JWT", claims(nil))},
		"S14 two people named": {"id_token_hint", good, "claims", `{"id_token":{"sub":{"value":"u-2"}}}`},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := h.parse(t, asking("web", changes...).Encode()); oauth.CodeOf(err) != "invalid_request" {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestR24R26TheAnswerCarriesWhatCame(t *testing.T) {
	h := open(t)
	for _, state := range []string{
		"plain", "a b", "a+b", "%20", "%0d%0a", "a\r\nSet-Cookie: x=y", `"'><svg onload=alert(1)>`, "état 状態 \U0001f600", "#x?y&z=1;", strings.Repeat("s", 4096),
		"\u2028\u202e", "\x01\x7f",
	} {
		for mode, at := range map[string]func(*url.URL) string{
			"query": func(u *url.URL) string { return u.RawQuery }, "fragment": func(u *url.URL) string { return u.EscapedFragment() },
		} {
			asked, err := h.parse(t, asking("web", "state", state, "response_mode", mode).Encode())
			must(t, err)
			location := asked.Location(url.Values{"state": {asked.State}, "code": {"c"}})
			for i := range len(location) {
				if c := location[i]; c <= ' ' || c > '~' {
					t.Errorf("R34 byte %q in a header", c)
				}
			}
			target, err := url.Parse(location)
			must(t, err)
			values, err := url.ParseQuery(at(target))
			must(t, err)
			if got := values.Get("state"); got != state {
				t.Errorf("%s: %q came back as %q", mode, state, got)
			}
			if strings.Contains(location, "+") {
				t.Error("a plus, which not every platform reads as a space")
			}
			if _, fragment, found := strings.Cut(location, "#"); !found || fragment == "" {
				t.Error("R24 no fragment: the browser would attach its own")
			}
		}
	}
}

func TestLocationKeepsTheRegisteredQuery(t *testing.T) {
	for uri, want := range map[string]string{
		"https://a.example/cb":         "https://a.example/cb?code=c#_",
		"https://a.example/cb?":        "https://a.example/cb?code=c#_",
		"https://a.example/cb?t=1":     "https://a.example/cb?t=1&code=c#_",
		"https://a.example/cb?t=1?u=2": "https://a.example/cb?t=1?u=2&code=c#_",
		"https://a.example":            "https://a.example?code=c#_",
		"com.bank.app:/cb":             "com.bank.app:/cb?code=c#_",
	} {
		asked := request.Request{RedirectURI: uri, Mode: oauth.ModeQuery}
		if got := asked.Location(url.Values{"code": {"c"}}); got != want {
			t.Errorf("%s becomes %s", uri, got)
		}
		asked.Mode = oauth.ModeFragment
		if got := asked.Location(url.Values{"code": {"c"}}); got != uri+"#code=c" {
			t.Errorf("%s becomes %s", uri, got)
		}
	}
}

func TestEachStepIsNeeded(t *testing.T) {
	h := open(t)
	held := map[string]bool{"client_id": true, "grant type": true} // without a client nothing else stands; see TestGrantTypes
	for name, query := range map[string]string{
		"state":                 asking("web", "state", strings.Repeat("s", 4097)).Encode(),
		"response_mode":         asking("web", "response_mode", "junk").Encode(),
		"redirect_uri":          asking("web", "redirect_uri", "https://evil").Encode(),
		"unsupported":           asking("web", "registration", "{}").Encode(),
		"pushed only":           asking("pushing", "redirect_uri", "https://jar.example/cb").Encode(),
		"signed only":           asking("signs", "redirect_uri", "https://jar.example/cb").Encode(),
		"request_uri":           asking("web", "request_uri", "https://evil.example/r").Encode(),
		"request":               asking("web", "request", "x").Encode(),
		"dpop_jkt":              asking("web", "dpop_jkt", "x").Encode(),
		"authorization_details": asking("web", "authorization_details", "[]").Encode(),
		"response_type":         asking("web", "response_type", "token").Encode(),
		"scope":                 asking("web", "scope", "nothing").Encode(),
		"resource":              asking("web", "resource", "https://evil").Encode(),
		"pkce":                  asking("web", "code_challenge", "-").Encode(),
		"nonce":                 asking("web", "nonce", strings.Repeat("n", 2049)).Encode(),
		"prompt":                asking("web", "prompt", "none login").Encode(),
		"max_age":               asking("web", "max_age", "x").Encode(),
		"claims":                asking("web", "claims", "x").Encode(),
		"id_token_hint":         asking("web", "id_token_hint", "x").Encode(),
		"wishes":                asking("web", "display", "x").Encode(),
	} {
		held[name] = true
		h.parser.Steps = request.Standard
		if _, err := h.parse(t, query); err == nil {
			t.Errorf("%s: the whole table lets it through", name)
		}
		h.parser.Steps = request.Without(name)
		if _, err := h.parse(t, query); err != nil {
			t.Errorf("%s: without the step it is still refused: %v", name, err)
		}
	}
	for _, step := range request.Standard {
		if !held[step.Name] {
			t.Errorf("nothing tells what %q is for", step.Name)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a step that there is not could be left out")
		}
	}()
	request.Without("nothing")
}
