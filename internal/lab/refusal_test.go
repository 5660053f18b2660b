package lab_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/lab"
	"github.com/gardeauth/garde/recipe"
)

// top is the acr of a level above lab.Strong.
const top = "urn:test:top"

// demanding is a house with three levels, a rule that refuses, and details to be allowed.
func demanding(r *recipe.Recipe) {
	climbing(r)
	addWeighed(r)
	r.Levels = append(r.Levels, recipe.Level{Name: "top", ACR: top, Any: []string{"password+passkey"}})
	r.Raise = append(r.Raise, recipe.Raise{When: "'ledger.read' in scopes", Deny: recipe.Words{"en": "The ledger is closed."}})
}

// TestS13S14WhatCanNotBeMetIsSaid sends what can't be met without a page, or at all: each hears the word of OpenID Connect
// Core section 3.1.2.6, or of Unmet Authentication Requirements, with state and iss, and no code and no token (RFC 9207).
func TestS13S14WhatCanNotBeMetIsSaid(t *testing.T) {
	h := onLocalhost(t, lab.Options{Engine: lab.Postgres, Nodes: 2, Recipe: demanding, Files: weighedFiles})
	alice, bob, staff := h.NewPerson("alice"), h.NewPerson("bob"), h.NewPerson("staff")
	must(t, h.Server.House.PutGroup(t.Context(), iam.Group{Name: "staff", Created: h.Clock.Now()}))
	must(t, h.Server.House.SetMember(t.Context(), "staff", staff.ID, true))
	h.Followed(h.Change(func(r *recipe.Recipe) {
		r.SignIn.Enrol = []recipe.Enrol{{Level: "strong", Groups: []string{"staff"}}}
	}))
	able := newClimber(t, h, "able") // has what reaches every level
	able.proves(h.Node, able.asks(h.Node, lab.WebB), "password")
	here := &lab.Person{User: able.user, Cookie: able.cookie()[1]}
	hint := func(p *lab.Person) string { return h.Tokens(p, lab.Plant{}).IDToken }
	essential := func(acr string) string {
		return `{"id_token":{"acr":{"essential":true,"values":["` + acr + `"]}}}`
	}
	const none = "none"
	for name, row := range map[string]struct {
		person *lab.Person
		pairs  []string
		client string
		want   string
	}{
		"nobody is signed in":                          {nil, []string{"prompt", none}, lab.WebA, "login_required"},
		"nobody is signed in, and a hint":              {nil, []string{"prompt", none, "id_token_hint", hint(alice)}, lab.WebA, "login_required"},
		"all is well":                                  {alice, []string{"prompt", none}, lab.WebA, ""},
		"S14 a hint of who is here":                    {alice, []string{"prompt", none, "id_token_hint", hint(alice)}, lab.WebA, ""},
		"S14 a hint of somebody else":                  {alice, []string{"prompt", none, "id_token_hint", hint(bob)}, lab.WebA, "login_required"},
		"S14 a sub of somebody else":                   {alice, []string{"prompt", none, "claims", `{"id_token":{"sub":{"value":"` + bob.ID + `"}}}`}, lab.WebA, "login_required"},
		"S12 max_age=0":                                {alice, []string{"prompt", none, "max_age", "0"}, lab.WebA, "login_required"},
		"S12 max_age of a minute, two minutes after":   {alice, []string{"prompt", none, "max_age", "60"}, lab.WebA, "login_required"},
		"S12 max_age of an hour":                       {alice, []string{"prompt", none, "max_age", "3600"}, lab.WebA, ""},
		"S13 none and login":                           {alice, []string{"prompt", "none login"}, lab.WebA, "invalid_request"},
		"S13 none and select_account":                  {alice, []string{"prompt", "none select_account"}, lab.WebA, "invalid_request"},
		"N04 a scope that was never allowed":           {here, []string{"prompt", none, "scope", "openid vault.read"}, lab.WebA, "consent_required"},
		"N04 a client that was never allowed anything": {here, []string{"prompt", none}, lab.WebKey, "consent_required"},
		"N04 a detail, which is allowed each time": {here, []string{"prompt", none, "scope", "openid",
			"authorization_details", `[{"type":"payment","amount":1}]`}, lab.WebA, "consent_required"},
		"a level that more proofs would reach":                            {here, []string{"prompt", none, "acr_values", lab.Strong}, lab.WebA, "interaction_required"},
		"an essential level that more proofs would reach":                 {here, []string{"prompt", none, "claims", essential(top)}, lab.WebA, "interaction_required"},
		"an essential level that a new factor would reach":                {alice, []string{"prompt", none, "claims", essential(lab.Strong)}, lab.WebA, "interaction_required"},
		"who must add a factor first":                                     {staff, []string{"prompt", none}, lab.WebA, "interaction_required"},
		"an essential level that there is not":                            {here, []string{"claims", essential("urn:test:nowhere")}, lab.WebA, "unmet_authentication_requirements"},
		"an essential level that there is not, silently":                  {here, []string{"prompt", none, "claims", essential("urn:test:nowhere")}, lab.WebA, "unmet_authentication_requirements"},
		"a wish for a level that there is not":                            {alice, []string{"prompt", none, "acr_values", "urn:test:nowhere"}, lab.WebA, ""},
		"a rule of the company refuses":                                   {alice, []string{"prompt", none, "scope", "openid ledger.read"}, lab.WebA, "access_denied"},
		"S05 half a sign-in":                                              {half(t, h), []string{"prompt", none}, lab.WebA, "login_required"},
		"an unknown prompt":                                               {alice, []string{"prompt", "maybe"}, lab.WebA, "invalid_request"},
		"S33 a hint that nobody signed":                                   {alice, []string{"prompt", none, "id_token_hint", "x.y.z"}, lab.WebA, "invalid_request"},
		"an account that is asked for and can't be made":                  {alice, []string{"prompt", "create"}, lab.WebA, "invalid_request"},
		"max_age and an essential level, and nothing of both can be told": {nil, []string{"prompt", none, "max_age", "0", "claims", essential(top)}, lab.WebA, "login_required"},
	} {
		t.Run(name, func(t *testing.T) {
			query := lab.Ask(row.client)
			for i := 0; i < len(row.pairs); i += 2 {
				query.Set(row.pairs[i], row.pairs[i+1])
			}
			if strings.Contains(name, "two minutes after") {
				h.Clock.Skip(2 * time.Minute)
			}
			for _, node := range h.Nodes {
				says(t, h, node.Authorize(row.person, query), row.client, row.want)
			}
		})
	}
}

// says holds that an answer carries a code, or that error and nothing else that opens anything.
func says(t *testing.T, h *lab.House, reply lab.Reply, client, want string) {
	t.Helper()
	back, ok := reply.Sent(lab.Redirect(client))
	if !ok {
		t.Fatalf("%d to %s\n%s", reply.Status, reply.Header.Get("Location"), reply.Body)
	}
	if back.Get("state") != "a-state" || back.Get("iss") != h.Issuer {
		t.Errorf("state %q, iss %q", back.Get("state"), back.Get("iss"))
	}
	if back.Get("error") != want || (want == "") != back.Has("code") || back.Has("access_token") || back.Has("id_token") {
		t.Errorf("%v, not %q", back, want)
	}
	if want != "" && back.Get("error_description") == "" {
		t.Error("the client is not told what to do")
	}
}

// half is a browser in which somebody has proved one of two factors that were asked for.
func half(t *testing.T, h *lab.House) *lab.Person {
	c := newClimber(t, h, "half")
	c.proves(h.Node, c.asks(h.Node, lab.WebA), "password")
	h.Pass(10 * time.Minute)
	page := c.proves(h.Node, c.asks(h.Node, lab.WebA, "acr_values", lab.Strong, "max_age", "60"), "totp")
	if page.Status != http.StatusOK || !strings.Contains(string(page.Body), `action="/signin/next"`) {
		t.Fatalf("%d %s\n%s", page.Status, page.Header.Get("Location"), page.Body)
	}
	delete(c.cookies, "garde-session") // the session that it stepped up from
	return &lab.Person{User: c.user, Cookie: c.cookie()[1]}
}

// TestS14AHintOfAnAccountThatIsSetAside: a browser has two accounts. Without a page the one that is not chosen is as one
// that is not signed in: no client makes the choice for the person. With a page the browser goes on as who was named, and
// nobody else gets a code.
func TestS14AHintOfAnAccountThatIsSetAside(t *testing.T) {
	h := onLocalhost(t, lab.Options{Recipe: climbing})
	ada, ben := newClimber(t, h, "ada-hinted"), newClimber(t, h, "ben-hinted")
	first, ok := ada.tokens(h.Node, lab.WebA, ada.proves(h.Node, ada.asks(h.Node, lab.WebA), "password"))
	if !ok {
		t.Fatal("no code for the first")
	}
	ben.at = ada.at // the same browser
	page := ada.asks(h.Node, lab.WebA, "prompt", "select_account")
	page = ada.within(h.Node, ada.post(h.Node, "/choose", page, "other", "yes"))
	second, ok := ben.tokens(h.Node, lab.WebA, ben.proves(h.Node, page, "password"))
	if !ok {
		t.Fatal("no code for the second")
	}
	says(t, h, ada.asks(h.Node, lab.WebA, "prompt", "none", "id_token_hint", second.IDToken), lab.WebA, "")
	says(t, h, ada.asks(h.Node, lab.WebA, "prompt", "none", "id_token_hint", first.IDToken), lab.WebA, "login_required")
	// With a page it goes on as who was named, and asks for nothing that was proved.
	says(t, h, ada.asks(h.Node, lab.WebA, "id_token_hint", first.IDToken), lab.WebA, "")
	// Whoever is not named is refused after having signed in once.
	cyd := newClimber(t, h, "cyd-hinted")
	third, ok := cyd.tokens(h.Node, lab.WebA, cyd.proves(h.Node, cyd.asks(h.Node, lab.WebA), "password"))
	if !ok {
		t.Fatal("no code for the third")
	}
	page = ada.asks(h.Node, lab.WebA, "id_token_hint", third.IDToken)
	says(t, h, ben.proves(h.Node, page, "password"), lab.WebA, "login_required")
}
