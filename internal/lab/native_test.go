package lab_test

import (
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/lab"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/recipe"
)

// The apps of two families, and one of none. All but careful are the company's own: nobody is asked.
const (
	mail    = "mail"    // bank
	pay     = "pay"     // bank
	careful = "careful" // bank, asks for consent
	games   = "games"   // fun
	alone   = "alone"
)

func families(r *recipe.Recipe) {
	app := func(family string, consent recipe.Consent) recipe.Client {
		scopes := []string{"openid", "profile", "offline_access", "accounts.read", "transfers.write", "vault.read", "secure.read"}
		if family != "" {
			scopes = append(scopes, "device_sso")
		}
		return recipe.Client{Type: recipe.Native, Scopes: scopes, RedirectURIs: []string{"http://127.0.0.1/cb"}, Apps: family, Consent: consent}
	}
	r.Clients[mail], r.Clients[pay] = app("bank", recipe.ConsentImplied), app("bank", recipe.ConsentImplied)
	r.Clients[careful] = app("bank", recipe.ConsentAsk)
	r.Clients[games], r.Clients[alone] = app("fun", recipe.ConsentImplied), app("", recipe.ConsentImplied)
	secure := r.APIs["secure"]
	secure.Bound = recipe.BoundRequired
	r.APIs["secure"] = secure
}

// ofApp plants a code of an app.
func ofApp(client, scope string) lab.Plant {
	return lab.Plant{Client: client, Scope: scope, Twist: func(c *iam.Code) {
		c.RedirectURI, c.Grant.Login = "http://127.0.0.1/cb", c.Grant.Session
		if strings.Contains(scope, "offline_access") {
			c.From, c.Grant.Session = c.Grant.Session, ""
		}
	}}
}

const shares = "openid device_sso accounts.read"

// exchange is the honest request of a second app, with changes by name and value; "" takes one away.
func exchange(h *lab.House, id, secret string, pairs ...string) url.Values {
	form := lab.Form("grant_type", string(oauth.TokenExchange), "audience", h.Issuer, "subject_token", id, "subject_token_type", oauth.TokenTypeID,
		"actor_token", secret, "actor_token_type", oauth.TokenTypeDevice, "scope", "openid accounts.read")
	for i := 0; i < len(pairs); i += 2 {
		form.Del(pairs[i])
		if pairs[i+1] != "" {
			form.Set(pairs[i], pairs[i+1])
		}
	}
	return form
}

func newFamilies(t *testing.T, options lab.Options) (*lab.House, *lab.Person) {
	t.Helper()
	options.Recipe = families
	h := lab.New(t, options)
	return h, h.NewPerson("alice")
}

func TestASecondAppIsSignedInWithoutTyping(t *testing.T) {
	h, alice := newFamilies(t, lab.Options{Gate: true})
	first := h.Tokens(alice, ofApp(mail, shares))
	if !iam.WellFormed(iam.PrefixNative, first.DeviceSecret) {
		t.Fatalf("device_secret %q", first.DeviceSecret)
	}
	_, said := peek(t, first.IDToken)
	if hash, _ := said["ds_hash"].(string); len(hash) != 43 || said["sid"] != alice.Session || strings.Contains(first.DeviceSecret, hash) {
		t.Errorf("the ID token says %v", said)
	}
	reply := h.As(pay, "/token", exchange(h, first.IDToken, first.DeviceSecret))
	granted(t, reply)
	if reply.Text("issued_token_type") != oauth.TokenTypeAccess || reply.Text("token_type") != "Bearer" || reply.Text("device_secret") != "" || reply.Text("refresh_token") == "" {
		t.Errorf("section 4.4: %s", reply.Body)
	}
	_, id := peek(t, reply.Text("id_token"))
	_, access := peek(t, reply.Text("access_token"))
	for name, want := range map[string]any{"aud": pay, "sub": alice.ID, "sid": alice.Session, "acr": lab.Basic, "auth_time": said["auth_time"], "iss": h.Issuer} {
		if id[name] != want {
			t.Errorf("%s of the ID token is %v, not %v", name, id[name], want)
		}
	}
	if access["client_id"] != pay || access["sid"] != alice.Session || access["scope"] != "openid accounts.read" || access["act"] != nil || id["ds_hash"] != nil {
		t.Errorf("access token %v, ID token %v", access, id)
	}
	if got := h.Call("GET", "/accounts/balance", reply.Text("access_token")); got.Status != 200 {
		t.Errorf("at the Gate: %d %s", got.Status, got.Body)
	}
	granted(t, h.Refresh(pay, reply.Text("refresh_token")))

	t.Run("the third app, by what the second has", func(t *testing.T) {
		second := h.As(pay, "/token", exchange(h, first.IDToken, first.DeviceSecret, "scope", "openid device_sso accounts.read"))
		granted(t, second)
		if second.Text("device_secret") != first.DeviceSecret {
			t.Errorf("%s", second.Body)
		}
		h.Allow(alice, careful, "openid", "accounts.read")
		granted(t, h.As(careful, "/token", exchange(h, second.Text("id_token"), first.DeviceSecret)))
	})
	t.Run("an expired ID token of a living session", func(t *testing.T) {
		h.Pass(2 * time.Hour)
		granted(t, h.As(pay, "/token", exchange(h, first.IDToken, first.DeviceSecret)))
	})
	t.Run("without a scope, all but what outlives the session", func(t *testing.T) {
		reply := h.As(pay, "/token", exchange(h, first.IDToken, first.DeviceSecret, "scope", "", "resource", h.AccountsAPI()))
		granted(t, reply)
		if reply.Text("scope") != "openid profile accounts.read transfers.write device_sso" {
			t.Errorf("%s", reply.Body)
		}
	})
}

// TestTokenExchangeDoor sends the exchange what it must refuse.
func TestTokenExchangeDoor(t *testing.T) {
	h, alice := newFamilies(t, lab.Options{})
	bob := h.NewPerson("bob")
	hers, his := h.Tokens(alice, ofApp(mail, shares)), h.Tokens(bob, ofApp(mail, shares))
	again, fun := h.Tokens(alice, ofApp(mail, shares)), h.Tokens(alice, ofApp(games, shares))
	plain, web := h.Tokens(alice, ofApp(mail, "openid accounts.read")), h.Tokens(alice, lab.Plant{})
	elsewhere := *alice
	h.SignIn(&elsewhere)
	other := h.Tokens(&elsewhere, ofApp(mail, shares))
	id, ds := hers.IDToken, hers.DeviceSecret
	_, claims := peek(t, id)
	forge := func(name string, value any) string {
		changed := maps.Clone(claims)
		changed[name] = value
		return h.Forge("JWT", changed)
	}
	foreign := func() string {
		signed, err := h.Signer(lab.WebKey).Sign("JWT", claims)
		must(t, err)
		return signed
	}
	asked := func(pairs ...string) url.Values { return exchange(h, id, ds, pairs...) }
	twice := asked()
	twice.Add("subject_token", id)
	for name, row := range map[string]struct {
		client string
		form   url.Values
		code   string
	}{
		"honest":                                         {pay, asked(), ""},
		"honest, by the app that has it":                 {mail, asked(), ""},
		"honest, for an API by name":                     {pay, asked("resource", h.AccountsAPI()), ""},
		"X04 no subject_token":                           {pay, asked("subject_token", ""), "invalid_request"},
		"X04 two of them":                                {pay, twice, "invalid_request"},
		"X04 no subject_token_type":                      {pay, asked("subject_token_type", ""), "invalid_request"},
		"X04 an ID token that is called an access token": {pay, asked("subject_token_type", oauth.TokenTypeAccess), "invalid_request"},
		"X03 an access token":                            {pay, asked("subject_token", hers.AccessToken, "subject_token_type", oauth.TokenTypeAccess), "invalid_request"},
		"an access token that is called an ID token":     {pay, asked("subject_token", hers.AccessToken), "invalid_request"},
		"a refresh token":                                {pay, asked("subject_token", hers.RefreshToken), "invalid_request"},
		"X01 J02 an ID token of somebody else":           {pay, asked("subject_token", foreign()), "invalid_request"},
		"X01 a changed ID token":                         {pay, asked("subject_token", id[:len(id)-4]+"AAAA"), "invalid_request"},
		"X01 an ID token of another issuer":              {pay, asked("subject_token", forge("iss", "https://other.example")), "invalid_request"},
		"J17 a logout token":                             {pay, asked("subject_token", h.Forge("logout+jwt", claims)), "invalid_request"},
		"T28 a subject token of 40 KB":                   {pay, asked("subject_token", strings.Repeat("a", 40_000)), "invalid_request"},
		"no actor_token":                                 {pay, asked("actor_token", ""), "invalid_request"},
		"no actor_token_type":                            {pay, asked("actor_token_type", ""), "invalid_request"},
		"X06 a person as actor":                          {pay, asked("actor_token", his.IDToken, "actor_token_type", oauth.TokenTypeID), "invalid_request"},
		"X06 delegation: an access token as actor":       {pay, asked("actor_token", his.AccessToken, "actor_token_type", oauth.TokenTypeAccess), "invalid_request"},
		"no audience":                                    {pay, asked("audience", ""), "invalid_request"},
		"X03 an API as audience":                         {pay, asked("audience", h.AccountsAPI()), "invalid_target"},
		"X03 an app as audience":                         {pay, asked("audience", mail), "invalid_target"},
		"the issuer with a slash more":                   {pay, asked("audience", h.Issuer+"/"), "invalid_target"},
		"a refresh token is wished for":                  {pay, asked("requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token"), "invalid_request"},
		"with a code":                                    {pay, asked("code", "x"), "invalid_request"},
		"T21 an unknown device secret":                   {pay, asked("actor_token", iam.NewSecret(iam.PrefixNative)), "invalid_grant"},
		"T21 an app's refresh token as device secret":    {pay, asked("actor_token", hers.RefreshToken), "invalid_grant"},
		"the ds_hash of another secret of the session":   {pay, asked("actor_token", again.DeviceSecret), "invalid_grant"},
		"another person's device secret":                 {pay, asked("actor_token", his.DeviceSecret), "invalid_grant"},
		"another person's ID token":                      {pay, asked("subject_token", his.IDToken), "invalid_grant"},
		"the device secret of another session":           {pay, asked("actor_token", other.DeviceSecret), "invalid_grant"},
		"an ID token without ds_hash":                    {pay, asked("subject_token", plain.IDToken), "invalid_grant"},
		"an ID token of a web client":                    {pay, asked("subject_token", web.IDToken), "invalid_grant"},
		"a signed ID token that names a web client":      {pay, asked("subject_token", forge("aud", lab.WebA)), "invalid_grant"},
		"a signed ID token that names another person":    {pay, asked("subject_token", forge("sub", bob.ID)), "invalid_grant"},
		"a signed ID token of another session":           {pay, asked("subject_token", forge("sid", elsewhere.Session)), "invalid_grant"},
		"a signed ID token without a session":            {pay, asked("subject_token", forge("sid", "")), "invalid_grant"},
		"T08 an app of another family":                   {games, asked(), "invalid_grant"},
		"T08 what another family has":                    {pay, exchange(h, fun.IDToken, fun.DeviceSecret), "invalid_grant"},
		"T08 another family's ID token":                  {pay, asked("subject_token", fun.IDToken), "invalid_grant"},
		"T08 an app of no family":                        {alone, asked(), "unauthorized_client"},
		"T08 a web client":                               {lab.WebA, asked(), "unauthorized_client"},
		"T08 a service":                                  {lab.Job, asked(), "unauthorized_client"},
		"T26 a scope that the app may not have":          {pay, asked("scope", "openid ledger.read"), "invalid_scope"},
		"T26 a scope that nobody has":                    {pay, asked("scope", "openid nothing"), "invalid_scope"},
		"a scope without openid":                         {pay, asked("scope", "accounts.read"), "invalid_scope"},
		"X07 offline_access":                             {pay, asked("scope", "openid offline_access accounts.read"), "invalid_scope"},
		"scopes of two APIs":                             {pay, asked("scope", "openid accounts.read vault.read"), "invalid_target"},
		"an unknown resource":                            {pay, asked("resource", "https://evil.example"), "invalid_target"},
		"what the person has not allowed":                {careful, asked(), "interaction_required"},
		"bound: required, and a bearer secret":           {pay, asked("scope", "openid secure.read"), "interaction_required"},
	} {
		t.Run(name, func(t *testing.T) {
			reply := h.As(row.client, "/token", row.form)
			if row.code == "" {
				granted(t, reply)
				return
			}
			refused(t, reply, 400, row.code)
		})
	}
	t.Run("T29 all of them read the same", func(t *testing.T) {
		reference := h.As(pay, "/token", asked("actor_token", iam.NewSecret(iam.PrefixNative)))
		for _, form := range []url.Values{asked("actor_token", his.DeviceSecret), asked("subject_token", web.IDToken), asked("subject_token", forge("sid", "x"))} {
			if !lab.Same(reference, h.As(pay, "/token", form)) {
				t.Error("the client learns why")
			}
		}
		if !lab.Same(reference, h.As(games, "/token", asked())) {
			t.Error("another family learns that the secret is good")
		}
	})
	t.Run("a person may have allowed a part", func(t *testing.T) {
		h.Allow(alice, careful, "openid", "accounts.read")
		granted(t, h.As(careful, "/token", asked()))
		refused(t, h.As(careful, "/token", asked("scope", "openid accounts.read profile")), 400, "interaction_required")
		reply := h.As(careful, "/token", asked("scope", ""))
		granted(t, reply)
		if reply.Text("scope") != "openid accounts.read" {
			t.Errorf("%s", reply.Body)
		}
	})
	if strings.Contains(h.Log.String(), ds) {
		t.Error("A07 a device secret is in the log")
	}
}

// TestASecondAppProvesNoLessThanInTheBrowser: what a rule or an operation wants to be fresh can't be had by an exchange of
// what was proved long ago, or a stolen device secret would be the way around it.
func TestASecondAppProvesNoLessThanInTheBrowser(t *testing.T) {
	h := lab.New(t, lab.Options{Recipe: func(r *recipe.Recipe) {
		families(r)
		r.Raise = append(r.Raise, recipe.Raise{When: "'transfers.write' in scopes", Fresh: recipe.Duration(5 * time.Minute)})
	}})
	alice := h.NewPerson("alice")
	first := h.Tokens(alice, ofApp(mail, shares))
	granted(t, h.As(pay, "/token", exchange(h, first.IDToken, first.DeviceSecret, "scope", "openid transfers.write")))
	h.Pass(6 * time.Minute)
	refused(t, h.As(pay, "/token", exchange(h, first.IDToken, first.DeviceSecret, "scope", "openid transfers.write")), 400, "interaction_required")
	granted(t, h.As(pay, "/token", exchange(h, first.IDToken, first.DeviceSecret)))
}

// TestDeviceSecrets says who gets one, and which.
func TestDeviceSecrets(t *testing.T) {
	h, alice := newFamilies(t, lab.Options{})
	t.Run("nobody without a family or the scope", func(t *testing.T) {
		for client, scope := range map[string]string{mail: "openid accounts.read", alone: shares} {
			if reply := h.Redeem(h.Code(alice, ofApp(client, scope))); reply.Text("device_secret") != "" {
				t.Errorf("%s got %s", client, reply.Body)
			}
		}
		refused(t, h.Credentials(lab.WebA, "scope", "device_sso accounts.read"), 400, "invalid_scope")
	})
	redeem := func(client string, person *lab.Person, shown string) lab.Reply {
		form := h.Code(person, ofApp(client, shares)).Form()
		form.Set("device_secret", shown)
		return h.As(client, "/token", form)
	}
	first := h.Tokens(alice, ofApp(mail, shares))
	t.Run("section 3.2 a good one lives on", func(t *testing.T) {
		for _, client := range []string{mail, pay} {
			reply := redeem(client, alice, first.DeviceSecret)
			granted(t, reply)
			if reply.Text("device_secret") != first.DeviceSecret {
				t.Errorf("%s got another", client)
			}
			granted(t, h.As(pay, "/token", exchange(h, reply.Text("id_token"), first.DeviceSecret)))
		}
	})
	t.Run("section 3.4 one that is not good counts as none", func(t *testing.T) {
		bob := h.NewPerson("bob")
		elsewhere := *alice
		h.SignIn(&elsewhere)
		fun := h.Tokens(alice, ofApp(games, shares)).DeviceSecret
		for what, reply := range map[string]lab.Reply{
			"another person's": redeem(mail, bob, first.DeviceSecret), "of another session": redeem(mail, &elsewhere, first.DeviceSecret),
			"of another family": redeem(mail, alice, fun), "no secret at all": redeem(mail, alice, "ds_x"),
		} {
			granted(t, reply)
			if got := reply.Text("device_secret"); got == "" || got == first.DeviceSecret || got == fun {
				t.Errorf("%s: %q", what, got)
			}
		}
	})
	t.Run("section 3.4.3 refreshing", func(t *testing.T) {
		refresh := first.RefreshToken
		next := func(pairs ...string) lab.Reply {
			reply := h.Refresh(mail, refresh, pairs...)
			granted(t, reply)
			refresh = reply.Text("refresh_token")
			return reply
		}
		if reply := next(); reply.Text("device_secret") != "" {
			t.Errorf("an app that never asked got one more: %s", reply.Body)
		}
		reply := next("device_secret", first.DeviceSecret)
		if reply.Text("device_secret") != first.DeviceSecret {
			t.Errorf("%s", reply.Body)
		}
		granted(t, h.As(pay, "/token", exchange(h, reply.Text("id_token"), first.DeviceSecret)))
		reply = next("scope", shares)
		if got := reply.Text("device_secret"); got == "" || got == first.DeviceSecret {
			t.Errorf("asked by name: %s", reply.Body)
		}
		granted(t, h.As(pay, "/token", exchange(h, reply.Text("id_token"), reply.Text("device_secret"))))
		if reply = next("scope", "openid accounts.read"); reply.Text("device_secret") != "" {
			t.Errorf("without the scope: %s", reply.Body)
		}
	})
	t.Run("a grant that outlives its session has none to give", func(t *testing.T) {
		person := h.NewPerson("carol")
		offline := h.Tokens(person, ofApp(mail, shares+" offline_access"))
		granted(t, h.As(pay, "/token", exchange(h, offline.IDToken, offline.DeviceSecret)))
		must(t, h.Store().EndSession(t.Context(), person.Session))
		reply := h.Refresh(mail, offline.RefreshToken, "scope", shares, "device_secret", offline.DeviceSecret)
		granted(t, reply)
		if reply.Text("device_secret") != "" {
			t.Errorf("%s", reply.Body)
		}
		refused(t, h.As(pay, "/token", exchange(h, offline.IDToken, offline.DeviceSecret)), 400, "invalid_grant")
	})
}

// TestBoundDeviceSecrets: what was given for a key is no use without it, and what must be bound is not given for a bearer.
func TestBoundDeviceSecrets(t *testing.T) {
	h, alice := newFamilies(t, lab.Options{})
	own, thief := newHolder(t, h), newHolder(t, h)
	reply := own.post(mail, "/token", h.Code(alice, ofApp(mail, shares)).Form())
	granted(t, reply)
	id, ds := reply.Text("id_token"), reply.Text("device_secret")
	t.Run("D12 no key, or another", func(t *testing.T) {
		unknown := h.As(pay, "/token", exchange(h, id, iam.NewSecret(iam.PrefixNative)))
		for _, reply := range []lab.Reply{h.As(pay, "/token", exchange(h, id, ds)), thief.post(pay, "/token", exchange(h, id, ds))} {
			refused(t, reply, 400, "invalid_grant")
			if reply.Text("error_description") != unknown.Text("error_description") {
				t.Errorf("T29 %s", reply.Body)
			}
		}
	})
	t.Run("D17 the second app's tokens are bound too", func(t *testing.T) {
		reply := own.post(pay, "/token", exchange(h, id, ds))
		granted(t, reply)
		if reply.Text("token_type") != "DPoP" {
			t.Errorf("%s", reply.Body)
		}
		refused(t, h.Refresh(pay, reply.Text("refresh_token")), 400, "invalid_grant")
		refused(t, thief.post(pay, "/token", refreshing(reply.Text("refresh_token"))), 400, "invalid_grant")
		granted(t, own.post(pay, "/token", refreshing(reply.Text("refresh_token"))))
	})
	t.Run("D16 bound: required", func(t *testing.T) {
		granted(t, own.post(pay, "/token", exchange(h, id, ds, "scope", "openid secure.read")))
		bearer := h.Tokens(alice, ofApp(mail, shares))
		refused(t, thief.post(pay, "/token", exchange(h, bearer.IDToken, bearer.DeviceSecret, "scope", "openid secure.read")), 400, "interaction_required")
		granted(t, own.post(pay, "/token", exchange(h, bearer.IDToken, bearer.DeviceSecret)))
	})
	t.Run("a code with a bound secret and no key", func(t *testing.T) {
		form := h.Code(alice, ofApp(mail, shares)).Form()
		form.Set("device_secret", ds)
		if reply := h.As(mail, "/token", form); reply.Text("device_secret") == ds {
			t.Errorf("%s", reply.Body)
		}
	})
}

// TestNativeSSOEnds: everything ends with the session, on every node, within a second.
func TestNativeSSOEnds(t *testing.T) {
	for name, options := range map[string]lab.Options{
		"one node on SQLite": {Gate: true}, "two nodes on PostgreSQL": {Gate: true, Engine: lab.Postgres, Nodes: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, _ := newFamilies(t, options)
			acting := h.Nodes[len(h.Nodes)-1]
			for what, end := range map[string]struct {
				do   func(*lab.Person, lab.Tokens)
				only bool // the exchange alone: what was exchanged before goes on
			}{
				"X02 sign-out of the session": {func(p *lab.Person, _ lab.Tokens) { must(t, acting.Store().EndSession(t.Context(), p.Session)) }, false},
				"X02 sign-out everywhere":     {func(p *lab.Person, _ lab.Tokens) { must(t, acting.Store().EndUserSessions(t.Context(), p.ID, "")) }, false},
				"sign-out of all apps by one of them": {func(_ *lab.Person, first lab.Tokens) {
					if reply := acting.As(careful, "/revoke", lab.Form("token", first.DeviceSecret)); reply.Status != 200 {
						t.Errorf("%d %s", reply.Status, reply.Body)
					}
				}, false},
				"the person is disabled": {func(p *lab.Person, _ lab.Tokens) {
					user := p.User
					user.Disabled = true
					must(t, acting.Store().SetUser(t.Context(), user))
				}, false},
				"the first app is taken back":    {func(p *lab.Person, _ lab.Tokens) { must(t, acting.Store().RevokeConsent(t.Context(), p.ID, mail)) }, true},
				"twelve hours without a browser": {func(*lab.Person, lab.Tokens) { h.Pass(13 * time.Hour) }, true},
			} {
				t.Run(what, func(t *testing.T) { endNative(t, h, end.do, end.only) })
			}
			t.Run("T08 another family can't sign out", func(t *testing.T) {
				person := h.NewPerson("dan")
				first := h.Tokens(person, ofApp(mail, shares))
				for _, client := range []string{games, alone, lab.WebA} {
					if reply := acting.As(client, "/revoke", lab.Form("token", first.DeviceSecret)); reply.Status != 200 {
						t.Errorf("%s: %d", client, reply.Status)
					}
				}
				granted(t, h.As(pay, "/token", exchange(h, first.IDToken, first.DeviceSecret)))
			})
		})
	}
}

func endNative(t *testing.T, h *lab.House, do func(*lab.Person, lab.Tokens), only bool) {
	person := h.NewPerson("erin")
	first := h.Tokens(person, ofApp(mail, shares))
	second := h.As(pay, "/token", exchange(h, first.IDToken, first.DeviceSecret))
	granted(t, second)
	refresh := second.Text("refresh_token")
	ways := map[string]func() bool{
		"exchange":    func() bool { return h.As(pay, "/token", exchange(h, first.IDToken, first.DeviceSecret)).Status == 200 },
		"the Gate":    func() bool { return h.Call("GET", "/accounts/balance", second.Text("access_token")).Status == 200 },
		"refresh":     func() bool { return h.Refresh(pay, refresh).Status == 200 },
		"its refresh": func() bool { return h.Refresh(mail, first.RefreshToken).Status == 200 },
	}
	do(person, first)
	done := time.Now()
	if only {
		ways = map[string]func() bool{"exchange": ways["exchange"]}
	}
	for _, name := range slices.Sorted(maps.Keys(ways)) {
		for ways[name]() {
			if time.Since(done) > time.Second {
				t.Errorf("a second later: %s", name)
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	if only && name(t) == "the first app is taken back" {
		if reply := h.Refresh(pay, refresh); reply.Status != 200 {
			t.Errorf("the second app is signed out too: %s", reply.Body)
		}
	}
}

func name(t *testing.T) string { return t.Name()[strings.LastIndex(t.Name(), "/")+1:] }

// TestNativeSSORaces: a sign-out that is faster than an exchange leaves nothing alive.
func TestNativeSSORaces(t *testing.T) {
	h, _ := newFamilies(t, lab.Options{Engine: lab.Postgres, Nodes: 2})
	for range 5 {
		person := h.NewPerson("frank")
		first := h.Tokens(person, ofApp(mail, shares))
		refreshes := make([]string, 16)
		lab.Together(17, func(i int) string {
			if i == 16 {
				must(t, h.Nodes[1].Store().EndSession(t.Context(), person.Session))
				return "ended"
			}
			reply := h.Nodes[i%2].As(pay, "/token", exchange(h, first.IDToken, first.DeviceSecret))
			refreshes[i] = reply.Text("refresh_token")
			return reply.Says()
		})
		for _, refresh := range refreshes {
			if refresh != "" && h.Refresh(pay, refresh).Status == 200 {
				t.Fatal("an app is signed in in a session that has ended")
			}
		}
	}
}

// TestNativeSSOIsDiscovered: it is told where it is, and only there.
func TestNativeSSOIsDiscovered(t *testing.T) {
	for _, there := range []bool{true, false} {
		options := lab.Options{}
		if there {
			options.Recipe = families
		}
		var said struct {
			Native bool     `json:"native_sso_supported"`
			Grants []string `json:"grant_types_supported"`
			Scopes []string `json:"scopes_supported"`
		}
		lab.New(t, options).Get("/.well-known/openid-configuration").Into(&said)
		if said.Native != there || slices.Contains(said.Grants, string(oauth.TokenExchange)) != there || slices.Contains(said.Scopes, "device_sso") != there {
			t.Errorf("with families %v: %+v", there, said)
		}
	}
}

// TestEmbeddedViewsAreExplained: who is shown /authorize by an app in a view of its own is led to the browser.
func TestEmbeddedViewsAreExplained(t *testing.T) {
	h := lab.New(t, lab.Options{})
	alice := h.NewPerson("alice")
	const view = "Mozilla/5.0 (Linux; Android 14; Pixel 8 Build/UD1A; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/126.0.0.0 Mobile Safari/537.36"
	for name, row := range map[string]struct {
		client, more, agent string
		explained, stay     bool
	}{
		"an app in a view":              {lab.Native, "", view, true, false},
		"an app that wants to stay":     {lab.Native, "&embedded_view=1", view, true, false},
		"a site in somebody's view":     {lab.WebA, "", view, true, true},
		"its person stays":              {lab.WebA, "&embedded_view=1", view, false, false},
		"silently":                      {lab.Native, "&prompt=none", view, false, false},
		"an app in the browser":         {lab.Native, "", strings.Replace(strings.Replace(view, "; wv", "", 1), "Version/4.0 ", "", 1), false, false},
		"an unknown client is not told": {"nobody", "", view, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			reply := h.Get("/authorize?"+lab.Ask(row.client).Encode()+row.more, "User-Agent", row.agent, "Cookie", alice.Cookie)
			body := string(reply.Body)
			if strings.Contains(body, `id="embedded-page"`) != row.explained || strings.Contains(body, `id="embedded-stay"`) != row.stay {
				t.Errorf("%d %s", reply.Status, body)
			}
		})
	}
}
