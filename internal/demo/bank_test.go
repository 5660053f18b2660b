package demo_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"html"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestAPersonSeesTheBalanceMovesMoneyAndSignsOut(t *testing.T) {
	g := newGarde(t)
	b := g.browser()
	if home := b.get("/"); home.Status != 200 || !strings.Contains(home.Body, `id="sign-in"`) {
		t.Fatalf("home: %d", home.Status)
	}
	seen := b.get("/sign-in")
	if seen.URL.Path != "/accounts" || seen.URL.RawQuery != "" || !strings.Contains(seen.Body, "Alice Martin") || !strings.Contains(seen.Body, `id="balance"`) {
		t.Fatalf("after sign-in: %s %d\n%s", seen.URL, seen.Status, seen.Body)
	}
	if !strings.Contains(seen.Body, "Garde-Subject: usr_alice") {
		t.Error("the page does not show what the API saw")
	}
	order := func(p page, amount string) url.Values {
		return url.Values{"csrf": {field(p.Body, `name="csrf"`)}, "from": {field(p.Body, `id="from"`)},
			"to": {field(p.Body, "selected")}, "amount": {amount}, "note": {"for the <b>boat</b>"}}
	}
	form := order(seen, "12,50")
	options := strings.Split(seen.Body, "<option ")
	form.Set("from", field(options[1], ""))
	form.Set("to", field(options[2], ""))
	seen = b.post("/transfers", form)
	if !strings.Contains(seen.Body, "insufficient_scope") || !strings.Contains(seen.Body, `id="allow-transfers"`) {
		t.Fatalf("the refusal is not shown:\n%s", seen.Body)
	}
	seen = b.get("/sign-in?for=transfers")
	if !strings.Contains(seen.Body, `value="12.50"`) {
		t.Error("the order was lost while the person allowed it")
	}
	form.Set("csrf", field(seen.Body, `name="csrf"`))
	seen = b.post("/transfers", form)
	if !strings.Contains(seen.Body, `id="moved"`) || !strings.Contains(seen.Body, "for the &lt;b&gt;boat") {
		t.Fatalf("the money did not move:\n%s", seen.Body)
	}
	for _, fault := range []string{"0", "-1", "1e3", "1.234", "", "١٢", "1,2,3"} {
		form.Set("amount", fault)
		if seen = b.post("/transfers", form); !strings.Contains(seen.Body, "25.50") {
			t.Errorf("the amount %q was taken", fault)
		}
	}
	seen = b.post("/sign-out", url.Values{"csrf": {field(seen.Body, `name="csrf"`)}})
	if seen.URL.Path != "/signed-out" || len(g.refresh) != 1 { // the grant of the first sign-in is the Server's to end
		t.Errorf("after sign-out: %s, %d refresh tokens left", seen.URL, len(g.refresh))
	}
	if seen = b.get("/accounts"); seen.URL.RawQuery != "ended=1" {
		t.Errorf("the visit survives: %s", seen.URL)
	}
}

func TestTheAuthorizationRequest(t *testing.T) {
	g := newGarde(t)
	b := g.browser()
	b.get("/sign-in")
	b.get("/sign-in")
	first, second := g.asked[0], g.asked[1]
	for _, name := range []string{"state", "nonce", "code_challenge"} {
		t.Run("K02 K03 fresh "+name, func(t *testing.T) {
			if len(first.Get(name)) < 26 || first.Get(name) == second.Get(name) {
				t.Errorf("%q then %q", first.Get(name), second.Get(name))
			}
		})
	}
	if first.Get("code_challenge_method") != "S256" || first.Get("resource") != g.site.Gate || first.Get("response_type") != "code" {
		t.Errorf("asked: %v", first)
	}
	t.Run("K20 asks for no more than it uses", func(t *testing.T) {
		if first.Get("scope") != "openid profile accounts.read" {
			t.Errorf("scope %q", first.Get("scope"))
		}
	})
	t.Run("K11 no secret travels", func(t *testing.T) {
		for _, form := range g.exchanged {
			if form.Has("client_secret") {
				t.Error("a client secret was sent")
			}
		}
	})
}

func TestAnswersThatAreNotTaken(t *testing.T) {
	set := func(name, value string) func(url.Values) { return func(v url.Values) { v.Set(name, value) } }
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	claim := func(name string, value any) func(*garde) {
		return func(g *garde) { g.twistID = func(_, c map[string]any) { c[name] = value } }
	}
	answer := func(twist func(url.Values)) func(*garde) { return func(g *garde) { g.twistAnswer = twist } }
	for name, c := range map[string]struct {
		twist  func(*garde)
		asks   int // token requests that are made all the same
		status int
	}{
		"K01 another state":             {answer(set("state", "x")), 0, 400},
		"K01 no state":                  {answer(func(v url.Values) { v.Del("state") }), 0, 400},
		"K05 another issuer":            {answer(set("iss", "https://evil.example")), 0, 400},
		"K05 no issuer though promised": {answer(func(v url.Values) { v.Del("iss") }), 0, 400},
		"K15 code twice":                {answer(func(v url.Values) { v.Add("code", "x") }), 0, 400},
		"K15 state twice":               {answer(func(v url.Values) { v.Add("state", v.Get("state")) }), 0, 400},
		"K15 iss twice":                 {answer(func(v url.Values) { v.Add("iss", v.Get("iss")) }), 0, 400},
		"no code":                       {answer(func(v url.Values) { v.Del("code") }), 0, 400},
		"an empty code":                 {answer(set("code", "")), 0, 400},
		"access was denied":             {answer(set("error", "access_denied")), 0, 200},
		"an error with a code beside":   {answer(set("error", "server_error")), 0, 502},
		"a code of another sign-in":     {answer(set("code", "stolen")), 1, 502},
		"K06 another nonce":             {claim("nonce", "other"), 1, 400},
		"K06 no nonce":                  {func(g *garde) { g.twistID = func(_, c map[string]any) { delete(c, "nonce") } }, 1, 400},
		"K06 another issuer within":     {claim("iss", "https://evil.example"), 1, 400},
		"K06 another audience":          {claim("aud", "bank-cli"), 1, 400},
		"K06 two audiences":             {claim("aud", []string{"bank-web", "bank-cli"}), 1, 400},
		"K06 another azp":               {claim("azp", "bank-cli"), 1, 400},
		"K06 expired":                   {claim("exp", time.Now().Add(-time.Minute).Unix()), 1, 400},
		"K06 no exp":                    {func(g *garde) { g.twistID = func(_, c map[string]any) { delete(c, "exp") } }, 1, 400},
		"K06 from the future":           {claim("iat", time.Now().Add(time.Hour).Unix()), 1, 400},
		"K06 nobody":                    {claim("sub", ""), 1, 400},
		"K06 wrong at_hash":             {claim("at_hash", "AAAAAAAAAAAAAAAAAAAAAA"), 1, 400},
		"K06 another key":               {func(g *garde) { g.idKey = other }, 1, 400},
		"K07 alg none":                  {func(g *garde) { g.twistID = func(h, _ map[string]any) { h["alg"] = "none" } }, 1, 400},
		"K06 another alg":               {func(g *garde) { g.twistID = func(h, _ map[string]any) { h["alg"] = "RS256" } }, 1, 400},
		"no ID token":                   {func(g *garde) { g.twistToken = func(a map[string]any) { delete(a, "id_token") } }, 1, 400},
		"another token type":            {func(g *garde) { g.twistToken = func(a map[string]any) { a["token_type"] = "N_A" } }, 1, 502},
		"a token without end":           {func(g *garde) { g.twistToken = func(a map[string]any) { delete(a, "expires_in") } }, 1, 502},
		"K09 userinfo of another":       {func(g *garde) { g.twistInfo = func(i map[string]any) { i["sub"] = "usr_bruno" } }, 1, 400},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGarde(t)
			c.twist(g)
			b := g.browser()
			page := b.get("/sign-in")
			if page.Status != c.status || len(g.exchanged) != c.asks {
				t.Errorf("answered %d after %d token requests, want %d after %d", page.Status, len(g.exchanged), c.status, c.asks)
			}
			if b.cookie("bank_session") != "" {
				t.Error("the bank opened a visit")
			}
		})
	}
}

func TestMetadataThatIsNotBelieved(t *testing.T) {
	for name, twist := range map[string]func(map[string]any){
		"K04 no S256":                        func(m map[string]any) { m["code_challenge_methods_supported"] = []string{"plain"} },
		"K05 G14 another issuer":             func(m map[string]any) { m["issuer"] = "https://evil.example" },
		"K18 G18 a token endpoint elsewhere": func(m map[string]any) { m["token_endpoint"] = "https://evil.example/token" },
		"K18 an authorize page elsewhere":    func(m map[string]any) { m["authorization_endpoint"] = "https://evil.example/authorize" },
		"K22 keys elsewhere":                 func(m map[string]any) { m["jwks_uri"] = "http://evil.example/jwks" },
		"K23 a document that is far too big": func(m map[string]any) { m["x"] = strings.Repeat("x", 2<<20) },
	} {
		t.Run(name, func(t *testing.T) {
			g := newGarde(t)
			g.twistMeta = twist
			page := g.browser().get("/sign-in")
			if page.Status < 400 || page.URL.Path != "/sign-in" || len(g.asked) != 0 {
				t.Errorf("answered %d at %s", page.Status, page.URL)
			}
		})
	}
}

func TestTheStateWorksOnceAndInOneBrowser(t *testing.T) {
	g := newGarde(t)
	b := g.browser().stop()
	begun := b.get("/sign-in").Header.Get("Location")
	back := b.get(begun).Header.Get("Location")
	t.Run("K02 another browser", func(t *testing.T) {
		if page := g.browser().stop().get(back); page.Status != 400 || len(g.exchanged) != 0 {
			t.Errorf("answered %d", page.Status)
		}
	})
	if page := b.get(back); page.Status != 303 || page.Header.Get("Location") != "/accounts" {
		t.Fatalf("answered %d", page.Status)
	}
	t.Run("K02 a second time", func(t *testing.T) {
		if page := b.get(back); page.Status != 400 || len(g.exchanged) != 1 {
			t.Errorf("answered %d", page.Status)
		}
	})
	t.Run("K02 a second time with the cookie still there", func(t *testing.T) {
		keeper := g.browser().stop()
		begun := keeper.get("/sign-in")
		back := keeper.get(begun.Header.Get("Location")).Header.Get("Location")
		kept := keeper.cookie("bank_signin")
		keeper.get(back)
		u, _ := url.Parse(g.bank.URL)
		keeper.http.Jar.SetCookies(u, []*http.Cookie{{Name: "bank_signin", Value: kept, Path: "/"}})
		before := len(g.exchanged)
		if page := keeper.get(back); page.Status != 400 || len(g.exchanged) != before {
			t.Errorf("answered %d after %d token requests", page.Status, len(g.exchanged)-before)
		}
	})
	t.Run("K24 a new id after each sign-in", func(t *testing.T) {
		before := b.cookie("bank_session")
		b.get(b.get(b.get("/sign-in").Header.Get("Location")).Header.Get("Location"))
		if after := b.cookie("bank_session"); after == before || after == "" {
			t.Error("the session kept its id")
		}
		old := g.browser().stop()
		u, _ := url.Parse(g.bank.URL)
		old.http.Jar.SetCookies(u, []*http.Cookie{{Name: "bank_session", Value: before}})
		if page := old.get("/accounts"); page.Status != 303 {
			t.Error("the old id still opens the visit")
		}
	})
	t.Run("K24 an id chosen by somebody else", func(t *testing.T) {
		victim := g.browser()
		u, _ := url.Parse(g.bank.URL)
		victim.http.Jar.SetCookies(u, []*http.Cookie{{Name: "bank_session", Value: "chosen", Path: "/"}})
		victim.get("/sign-in")
		if victim.cookie("bank_session") == "chosen" {
			t.Error("the chosen id was kept")
		}
	})
}

func TestTheBrowserNeverHoldsAToken(t *testing.T) {
	g := newGarde(t)
	b := g.browser()
	pages := []page{b.get("/sign-in"), b.get("/try"), b.get("/")}
	u, _ := url.Parse(g.bank.URL)
	var held strings.Builder
	for _, c := range b.http.Jar.Cookies(u) {
		held.WriteString(c.Value + "\n")
	}
	for _, p := range pages {
		held.WriteString(p.Body)
	}
	t.Run("K12 neither in a cookie nor in a page", func(t *testing.T) {
		for token := range strings.FieldsSeq(held.String()) {
			if strings.Count(token, ".") >= 2 && strings.Contains(token, "eyJ") && len(token) > 100 {
				t.Errorf("a token: %.40s...", token)
			}
		}
	})
	t.Run("K14 headers of every page", func(t *testing.T) {
		for _, p := range append(pages, b.get("/callback?code=x&state=y"), b.get("/nowhere")) {
			policy := p.Header.Get("Content-Security-Policy")
			if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || !strings.Contains(policy, "frame-ancestors 'none'") {
				t.Errorf("%s: policy %q", p.URL, policy)
			}
			if p.Header.Get("Referrer-Policy") != "no-referrer" || p.Header.Get("Cache-Control") != "no-store" || p.Header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s: headers %v", p.URL, p.Header)
			}
			if strings.Contains(p.Body, "<script") || strings.Contains(p.Body, "code=x") {
				t.Errorf("%s: a script, or the code", p.URL)
			}
		}
	})
}

func TestK13NoOpenRedirector(t *testing.T) {
	g := newGarde(t)
	b := g.browser().stop()
	for _, back := range []string{"https://evil.example", "//evil.example", "/\\evil.example", "/accounts@evil.example", "/accounts\n", "", "javascript:1"} {
		if to := b.get("/language?to=fr&back=" + url.QueryEscape(back)).Header.Get("Location"); to != "/" {
			t.Errorf("%q leads to %q", back, to)
		}
	}
	if to := b.get("/language?to=fr&back=%2Ftry").Header.Get("Location"); to != "/try" {
		t.Errorf("the try page leads to %q", to)
	}
	r, _ := http.NewRequest(http.MethodGet, g.bank.URL+"//evil.example/", nil)
	r.Host = strings.Replace(r.URL.Host, "127.0.0.1", "localhost", 1)
	if to := b.do(r).Header.Get("Location"); !strings.HasPrefix(to, g.bank.URL+"/") {
		t.Errorf("localhost leads to %q", to)
	}
	r.Host = "evil.example"
	if page := b.do(r); page.Status != 421 {
		t.Errorf("a foreign name is answered %d", page.Status)
	}
}

func TestFormsOfOthersDoNothing(t *testing.T) {
	g := newGarde(t)
	b := g.browser()
	own := field(b.get("/sign-in").Body, `name="csrf"`)
	for name, form := range map[string]url.Values{
		"no token":      {"from": {"a"}},
		"another token": {"csrf": {"x"}, "from": {"a"}},
		"an empty one":  {"csrf": {""}},
		"twice":         {"csrf": {"x", "x"}},
	} {
		if page := b.post("/transfers", form); page.Status != 403 {
			t.Errorf("%s: answered %d", name, page.Status)
		}
		if page := b.post("/sign-out", form); page.Status != 403 {
			t.Errorf("%s: sign-out answered %d", name, page.Status)
		}
	}
	r, _ := http.NewRequest(http.MethodPost, g.bank.URL+"/sign-out", strings.NewReader("csrf="+own))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", "https://evil.example")
	if page := b.do(r); page.Status != 403 {
		t.Errorf("another origin is answered %d", page.Status)
	}
	if page := b.get("/accounts"); page.URL.Path != "/accounts" {
		t.Error("the visit ended")
	}
}

func TestRenewal(t *testing.T) {
	t.Run("K19 many pages at once refresh once", func(t *testing.T) {
		g := newGarde(t)
		g.life = 4 * time.Second // within the bank's grace: every token is due at once
		b := g.browser().stop()
		b.get(b.get(b.get("/sign-in").Header.Get("Location")).Header.Get("Location"))
		g.life = time.Minute
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if page := b.get("/accounts"); page.Status != 200 {
					t.Errorf("answered %d", page.Status)
				}
			})
		}
		all.Wait()
		n := 0
		for _, form := range g.exchanged {
			if form.Get("grant_type") == "refresh_token" {
				n++
			}
		}
		if n != 1 {
			t.Errorf("refreshed %d times", n)
		}
	})
	t.Run("a refresh token that does not rotate is used again", func(t *testing.T) {
		g := newGarde(t)
		g.life = 4 * time.Second
		b := g.browser()
		b.get("/sign-in")
		g.twistToken = func(a map[string]any) { delete(a, "refresh_token"); delete(a, "scope") }
		for range 2 {
			if page := b.get("/accounts"); page.URL.Path != "/accounts" || !strings.Contains(page.Body, "see your accounts") {
				t.Fatalf("answered %s", page.URL)
			}
		}
	})
	t.Run("a session that ended at the Server ends here", func(t *testing.T) {
		g := newGarde(t)
		b := g.browser()
		b.get("/sign-in")
		g.mu.Lock()
		g.denyGate = true
		clear(g.refresh)
		g.mu.Unlock()
		if page := b.get("/accounts"); page.URL.RawQuery != "ended=1" || !strings.Contains(page.Body, "Your visit has ended") {
			t.Errorf("answered %s", page.URL)
		}
	})
	t.Run("a token that was revoked alone is replaced, and a stubborn refusal is shown", func(t *testing.T) {
		g := newGarde(t)
		b := g.browser()
		b.get("/sign-in")
		g.mu.Lock()
		g.denyGate = true
		g.mu.Unlock()
		page := b.get("/accounts")
		if !strings.Contains(page.Body, "invalid_token") || !strings.Contains(page.Body, "garde explain 7d1c0f3a9b52e664") || len(g.exchanged) != 2 {
			t.Errorf("answered %s after %d token requests", page.URL, len(g.exchanged))
		}
	})
}

func TestWhenGardeIsDownTheVisitIsKept(t *testing.T) {
	g := newGarde(t)
	b := g.browser()
	b.get("/sign-in")
	g.gate.CloseClientConnections()
	g.gate.Close()
	if page := b.get("/accounts"); page.Status != 502 || !strings.Contains(page.Body, "No answer for now") {
		t.Errorf("answered %d", page.Status)
	}
	if page := b.get("/try"); page.Status != 200 || !strings.Contains(page.Body, "The Gate does not answer") {
		t.Errorf("the try page answered %d", page.Status)
	}
	if b.cookie("bank_session") == "" {
		t.Error("the visit was lost")
	}
	g2 := newGarde(t)
	g2.server.Close()
	if page := g2.browser().get("/sign-in"); page.Status != 502 {
		t.Errorf("without the Server: %d", page.Status)
	}
}

func TestTheTryPageShowsRealAnswers(t *testing.T) {
	g := newGarde(t)
	now := time.Now()
	var mu sync.Mutex
	g.bankApp.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	b := g.browser()
	page := b.get("/try")
	if !strings.Contains(page.Body, "Sign in to try this one.") || !strings.Contains(page.Body, "still lives") {
		t.Errorf("before sign-in:\n%s", page.Body)
	}
	kept, err := os.ReadFile(g.bankApp.Dir + "/expired-token.json")
	if err != nil || !json.Valid(kept) {
		t.Errorf("the token was not kept: %v", err)
	}
	if info, err := os.Stat(g.bankApp.Dir + "/expired-token.json"); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others may read it: %v", info.Mode())
	}
	b.get("/sign-in")
	page = b.get("/try")
	if strings.Contains(page.Body, "This is not what should have happened") {
		t.Errorf("a surprise:\n%s", page.Body)
	}
	for _, want := range []string{"401 Unauthorized", "403 Forbidden", "404 Not Found", "200 OK", "insufficient_scope", "invalid_token", "&#34;subject&#34;: &#34;usr_alice&#34;"} {
		if !strings.Contains(page.Body, want) {
			t.Errorf("no %q on the page", want)
		}
	}
	if strings.Contains(page.Body, "&#34;subject&#34;: &#34;somebody-else") {
		t.Error("the forged name reached the API")
	}
}

func TestTheBankSpeaksFrench(t *testing.T) {
	g := newGarde(t)
	b := g.browser()
	b.lang = "fr-CH, fr;q=0.9, en;q=0.8"
	if page := b.get("/sign-in"); !strings.Contains(page.Body, `lang="fr"`) || !strings.Contains(page.Body, "Vos comptes") || !strings.Contains(page.Body, "\u00a0€") {
		t.Errorf("answered:\n%s", page.Body)
	}
	if g.asked[0].Get("ui_locales") != "fr" {
		t.Error("the Server was not told")
	}
	if !maps.Equal(g.spoken, map[string]bool{"fr": true}) {
		t.Errorf("the Gate was asked for words in %v", g.spoken)
	}
	if page := b.get("/language?to=en&back=/"); !strings.Contains(page.Body, `lang="en"`) {
		t.Error("the choice was not kept")
	}
}

func TestThePublishedKeyIsTheOneThatSigns(t *testing.T) {
	g := newGarde(t)
	page := g.browser().get("/jwks.json")
	if page.Body != string(g.bankApp.Web.JWKS()) || strings.Contains(page.Body, `"d"`) {
		t.Errorf("published: %s", page.Body)
	}
	g.browser().get("/sign-in")
	if !slices.ContainsFunc(g.exchanged, func(f url.Values) bool { return f.Get("client_assertion") != "" }) {
		t.Error("nothing was proved")
	}
}

// Access may be denied by the person, by a rule or by the Server: the site knows no more than what it is told, and says that.
func TestARefusalIsToldInTheServersWords(t *testing.T) {
	g := newGarde(t)
	for _, words := range []string{"the company's policy refuses this", "the person did not allow it"} {
		g.twistAnswer = func(v url.Values) {
			v.Del("code")
			v.Set("error", "access_denied")
			v.Set("error_description", words)
		}
		page := g.browser().get("/sign-in")
		body := html.UnescapeString(page.Body)
		if page.Status != 200 || !strings.Contains(body, words) || strings.Contains(body, "You said no") {
			t.Errorf("answered %d:\n%s", page.Status, body)
		}
	}
}
