package lab_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/lab"
	"github.com/gardeauth/garde/recipe"
)

// question is a question of AuthZEN about a person who acts through WebA.
func question(h *lab.House, p *lab.Person, api, operation, scope string, values members) members {
	properties := members{"client_id": lab.WebA, "scope": scope, "acr": lab.Basic, "auth_time": h.Clock.Now().Unix(), "sid": p.Session}
	return members{
		"subject": members{"type": "user", "id": p.ID, "properties": properties}, "action": members{"name": operation},
		"resource": members{"type": "api", "id": api}, "context": members{"address": "127.0.0.1", "values": values},
	}
}

func body(t *testing.T, value any) string {
	t.Helper()
	raw, err := json.Marshal(value)
	must(t, err)
	return string(raw)
}

// gateToken is the Authorization header of the Gate's own client.
func gateToken(h *lab.House) string {
	return "Bearer " + h.Credentials(lab.GateClient, "scope", "garde.gate").Text("access_token")
}

// evaluate asks at one of the places of the API.
func evaluate(t *testing.T, h *lab.House, place, authorization string, asked any, more ...string) lab.Reply {
	t.Helper()
	text, ok := asked.(string)
	if !ok {
		text = body(t, asked)
	}
	headers := append([]string{"Content-Type", "application/json"}, more...)
	if authorization != "" {
		headers = append(headers, "Authorization", authorization)
	}
	return h.Do(lab.Request(http.MethodPost, place, text, headers...))
}

const (
	evaluation  = "/access/v1/evaluation"
	evaluations = "/access/v1/evaluations"
)

// member makes somebody one of a group.
func member(t *testing.T, h *lab.House, group string, p *lab.Person) {
	t.Helper()
	house := h.Server.House
	must(t, house.PutGroup(t.Context(), iam.Group{Name: group, Created: h.Clock.Now()}))
	must(t, house.SetMember(t.Context(), group, p.ID, true))
}

// addTodo adds the API of AuthZEN's published scenario: a list of things to do that several people share. What its
// permissions are called are operations here; whose thing it is comes as a value of the request.
func addTodo(r *recipe.Recipe) {
	people, accounts := []recipe.Caller{recipe.ForUser}, r.APIs["accounts"]
	const (
		edits = `("editor" in user.groups || "admin" in user.groups || "evil_genius" in user.groups)`
		own   = `values.owner == user.id`
	)
	guarded := func(unless string) recipe.Operation {
		return recipe.Operation{For: people, Scope: "todo", Raise: []recipe.Raise{{When: "!(" + unless + ")", Deny: recipe.Words{"en": "This is not yours to do."}}}}
	}
	owned := func(unless string) recipe.Operation {
		operation := guarded(unless)
		operation.Send = map[string]string{"owner": "query.owner"}
		return operation
	}
	r.APIs["todo"] = recipe.API{
		At: strings.Replace(accounts.At, "/accounts", "/todo", 1), Upstream: accounts.Upstream, Client: lab.Accounts, Operations: map[string]recipe.Operation{
			"GET /users/{id}":    guarded(edits + ` || "viewer" in user.groups`),
			"GET /todos":         guarded(edits + ` || "viewer" in user.groups`),
			"POST /todos":        guarded(edits),
			"PUT /todos/{id}":    owned(`"evil_genius" in user.groups || ` + edits + ` && ` + own),
			"DELETE /todos/{id}": owned(`"admin" in user.groups || ` + edits + ` && ` + own),
		},
	}
	r.Scopes["todo"] = recipe.Scope{Say: recipe.Text{"en": "Keep a list"}}
	client := r.Clients[lab.WebA]
	client.Scopes = append(slices.Clone(client.Scopes), "todo")
	r.Clients[lab.WebA] = client
}

// TestAuthZENsFixturesAreDenied: the questions of the Foundation's plan bring nothing of a token. What the recipe does not know
// is denied, and what it does know is a fault; neither is ever permitted (decision 0024).
func TestAuthZENsFixturesAreDenied(t *testing.T) {
	h := lab.New(t, lab.Options{Recipe: addTodo})
	token, alice := gateToken(h), h.NewPerson("alice")
	for _, subject := range []members{
		{"type": "user", "id": "alice"}, {"type": "user", "id": "bob", "properties": members{"role": "admin"}}, {"type": "user", "id": alice.ID},
	} {
		for _, action := range []string{"read", "write", "delete"} {
			for _, resource := range []members{{"type": "record", "id": "record-1"}, {"type": "record", "id": "record-2", "properties": members{"status": "archived"}}, {"type": "api", "id": h.GateURL + "/todo"}} {
				reply := evaluate(t, h, evaluation, token, members{"subject": subject, "action": members{"name": action}, "resource": resource})
				if reply.Status != 200 || reply.True("decision") {
					t.Errorf("%v %s %v: %d %s", subject, action, resource, reply.Status, reply.Body)
				}
			}
		}
		known := members{"subject": subject, "action": members{"name": "GET /todos"}, "resource": members{"type": "api", "id": h.GateURL + "/todo"}}
		if reply := evaluate(t, h, evaluation, token, known); reply.Status != 400 || !strings.Contains(string(reply.Body), "client_id is missing") {
			t.Errorf("%v: %d %s", subject, reply.Status, reply.Body)
		}
	}
}

// TestAuthZENScenario is the published scenario of the working group, in our words: five people with four roles, each of
// whom does five things, some of them to what is their own and some to what is somebody else's.
func TestAuthZENScenario(t *testing.T) {
	h := lab.New(t, lab.Options{Recipe: addTodo})
	token, api := gateToken(h), h.GateURL+"/todo"
	roles := map[string][]string{"rick": {"admin", "evil_genius"}, "morty": {"editor"}, "summer": {"editor"}, "beth": {"viewer"}, "jerry": {"viewer"}}
	persons := map[string]*lab.Person{}
	for name, groups := range roles {
		persons[name] = h.NewPerson(name)
		for _, group := range groups {
			member(t, h, group, persons[name])
		}
	}
	// read a user, read the list, add, change one's own, change another's, delete one's own, delete another's
	expected := map[string]string{"rick": "yyyyyyy", "morty": "yyyynyn", "summer": "yyyynyn", "beth": "yynnnnn", "jerry": "yynnnnn"}
	for name, want := range expected {
		p := persons[name]
		other := persons["rick"]
		if name == "rick" {
			other = persons["morty"]
		}
		ask := func(operation string, owner *lab.Person) members {
			return question(h, p, api, operation, "todo", members{"owner": owner.ID})
		}
		asked := []members{
			ask("GET /users/{id}", other), ask("GET /todos", other), ask("POST /todos", other), ask("PUT /todos/{id}", p), ask("PUT /todos/{id}", other),
			ask("DELETE /todos/{id}", p), ask("DELETE /todos/{id}", other),
		}
		var one strings.Builder
		for _, each := range asked {
			one.WriteString(letter(evaluate(t, h, evaluation, token, each).True("decision")))
		}
		if one.String() != want {
			t.Errorf("%s: %s, and not %s", name, &one, want)
		}
		shared := members{"subject": asked[0]["subject"], "resource": asked[0]["resource"]}
		var list []members
		for _, each := range asked {
			list = append(list, members{"action": each["action"], "context": each["context"]})
		}
		for semantic, cut := range map[string]string{
			"execute_all": want, "deny_on_first_deny": upTo(want, "n"), "permit_on_first_permit": upTo(want, "y"),
		} {
			reply := evaluate(t, h, evaluations, token, changed(shared, members{"evaluations": list, "options": members{"evaluations_semantic": semantic}}))
			var said struct{ Evaluations []struct{ Decision bool } }
			reply.Into(&said)
			var many strings.Builder
			for _, each := range said.Evaluations {
				many.WriteString(letter(each.Decision))
			}
			if many.String() != cut {
				t.Errorf("%s, %s: %s, and not %s", name, semantic, &many, cut)
			}
		}
	}
}

func letter(yes bool) string {
	if yes {
		return "y"
	}
	return "n"
}

func upTo(text, last string) string {
	before, _, found := strings.Cut(text, last)
	if !found {
		return text
	}
	return before + last
}

func TestAuthZENSaysWhy(t *testing.T) {
	h := lab.New(t, lab.Options{Recipe: addWeighed, Files: weighedFiles})
	token, api := gateToken(h), h.GateURL+"/weighed"
	alice := h.NewPerson("alice")
	ask := func(operation string, values, properties members) lab.Reply {
		asked := question(h, alice, api, operation, "weighed", values)
		subject := asked["subject"].(members)
		subject["properties"] = changed(subject["properties"].(members), properties)
		return evaluate(t, h, evaluation, token, asked)
	}
	for name, c := range map[string]struct {
		operation          string
		values, properties members
		permit             bool
		says               string
	}{
		"a plain operation":              {"GET /plain", nil, nil, true, `"lifetime":1`},
		"too old":                        {"GET /old", nil, members{"auth_time": h.Clock.Now().Unix() - 7200}, false, `"acr_values":"` + lab.Basic + `","max_age":3600`},
		"fresh enough":                   {"GET /old", nil, nil, true, ""},
		"refused in words":               {"GET /inner", nil, nil, false, "This is for our own people."},
		"a small value":                  {"POST /sum", members{"sum": 5}, nil, true, ""},
		"a value that asks for more":     {"POST /sum", members{"sum": 50}, members{"auth_time": h.Clock.Now().Unix() - 120}, false, `"max_age":60`},
		"the same, fresh":                {"POST /sum", members{"sum": 50}, nil, true, ""},
		"a value that is too much":       {"POST /sum", members{"sum": 500}, nil, false, "Nobody may have so much at once."},
		"S12 a value that is not known":  {"POST /sum", nil, nil, false, "Nobody may have so much at once."},
		"S12 a value of another kind":    {"POST /sum", members{"sum": "much"}, nil, false, "Nobody may have so much at once."},
		"once":                           {"POST /pay", members{"amount": 7}, nil, true, `"authorization_details_type":"payment"`},
		"no level":                       {"GET /old", nil, members{"acr": "", "auth_time": 1}, false, `"acr_values"`},
		"without the scope":              {"GET /plain", nil, members{"scope": "accounts.read"}, false, "scope"},
		"an operation that is not there": {"GET /other", nil, nil, false, "no such operation"},
		"a session that has ended":       {"GET /plain", nil, members{"sid": "ended"}, false, "ended"},
		"a grant that has ended":         {"GET /plain", nil, members{"grant_id": "ended"}, false, "ended"},
		"a client that is not there":     {"GET /plain", nil, members{"client_id": "nobody"}, false, "no longer stands"},
	} {
		t.Run(name, func(t *testing.T) {
			reply := ask(c.operation, c.values, c.properties)
			if reply.Status != 200 || reply.True("decision") != c.permit || !strings.Contains(string(reply.Body), c.says) || !strings.Contains(string(reply.Body), `"trace":"`) {
				t.Errorf("%d %s", reply.Status, reply.Body)
			}
			if !c.permit && strings.Contains(string(reply.Body), "lifetime") {
				t.Errorf("a denial lives on: %s", reply.Body)
			}
		})
	}
	t.Run("somebody else, a client, and things that are none of ours", func(t *testing.T) {
		for name, c := range map[string]struct{ from, to, says string }{
			"another person":          {alice.ID, "6a1f2b30-0000-4000-8000-000000000000", `"decision":false`},
			"a subject of no kind":    {`"type":"user"`, `"type":"group"`, `"decision":false`},
			"a resource of no kind":   {`"type":"api"`, `"type":"todo"`, `"decision":false`},
			"an API of somebody else": {api, "https://evil.example", `"decision":false`},
		} {
			text := strings.ReplaceAll(body(t, question(h, alice, api, "GET /plain", "weighed", nil)), c.from, c.to)
			if reply := evaluate(t, h, evaluation, token, text); reply.Status != 200 || !strings.Contains(string(reply.Body), c.says) {
				t.Errorf("%s: %d %s", name, reply.Status, reply.Body)
			}
		}
		own := members{
			"subject": members{"type": "client", "id": lab.Job, "properties": members{"scope": "accounts.read"}}, "action": members{"name": "GET /report"},
			"resource": members{"type": "api", "id": h.AccountsAPI()},
		}
		if reply := evaluate(t, h, evaluation, token, own); !reply.True("decision") {
			t.Errorf("%d %s", reply.Status, reply.Body)
		}
		own["action"] = members{"name": "GET /balance"}
		if reply := evaluate(t, h, evaluation, token, own); reply.Status != 200 || reply.True("decision") {
			t.Errorf("a client as a person: %d %s", reply.Status, reply.Body)
		}
	})
	t.Run("a person who is disabled", func(t *testing.T) {
		bob := h.NewPerson("bob")
		gone := bob.User
		gone.Disabled = true
		must(t, h.Store().SetUser(t.Context(), gone))
		h.Pass(0)
		if reply := evaluate(t, h, evaluation, token, question(h, bob, api, "GET /plain", "weighed", nil)); reply.Status != 200 || reply.True("decision") {
			t.Errorf("%d %s", reply.Status, reply.Body)
		}
	})
}

// TestAuthZENHearsOfAnEnd: what is remembered of sessions and grants between two questions outlives no end. The clock stands
// still, so it is what the other node did that counts, and not that something grew old.
func TestAuthZENHearsOfAnEnd(t *testing.T) {
	for name, options := range map[string]lab.Options{"one node on SQLite": {}, "two nodes on PostgreSQL": {Engine: lab.Postgres, Nodes: 2}} {
		t.Run(name, func(t *testing.T) {
			options.Recipe, options.Files = addWeighed, weighedFiles
			h := lab.New(t, options)
			token, other := gateToken(h), h.Nodes[len(h.Nodes)-1].Server.House
			for what, end := range map[string]func(p *lab.Person, grant string) error{
				"a session that was ended": func(p *lab.Person, _ string) error { return other.EndSession(t.Context(), p.Session) },
				"sign out everywhere":      func(p *lab.Person, _ string) error { return other.EndUserSessions(t.Context(), p.ID, "") },
				"a grant that was revoked": func(_ *lab.Person, grant string) error { return other.RevokeGrant(t.Context(), grant) },
				"a person who is disabled": func(p *lab.Person, _ string) error {
					gone := p.User
					gone.Disabled = true
					return other.SetUser(t.Context(), gone)
				},
			} {
				t.Run(what, func(t *testing.T) {
					alice := h.NewPerson("alice-" + strings.ReplaceAll(what, " ", "-"))
					code := h.Code(alice, lab.Plant{Client: lab.WebA})
					if says := h.Redeem(code).Says(); says != "ok" {
						t.Fatal(says)
					}
					given := code.Grant
					asked := question(h, alice, h.GateURL+"/weighed", "GET /plain", "weighed", nil)
					asked["subject"].(members)["properties"].(members)["grant_id"] = given.ID
					for range 3 {
						if reply := evaluate(t, h, evaluation, token, asked); !reply.True("decision") {
							t.Fatalf("%d %s", reply.Status, reply.Body)
						}
					}
					must(t, end(alice, given.ID))
					h.Within(time.Second, what+" is denied", func() bool {
						reply := evaluate(t, h, evaluation, token, asked)
						return reply.Status == 200 && !reply.True("decision")
					})
				})
			}
		})
	}
}

func TestAuthZENIsForThoseWhoMayAsk(t *testing.T) {
	h := lab.New(t, lab.Options{Recipe: addWeighed, Files: weighedFiles})
	gate, alice := gateToken(h), h.NewPerson("alice")
	weighed := question(h, alice, h.GateURL+"/weighed", "GET /plain", "weighed", nil)
	basic := func(client, secret string) string { return lab.BasicAuth(client, secret) }
	for name, c := range map[string]struct {
		authorization string
		status        int
		challenge     string
	}{
		"nobody":                               {"", 401, "Bearer"},
		"a Gate's token":                       {gate, 200, ""},
		"a Gate by its secret":                 {basic(lab.GateClient, h.Secret(lab.GateClient)), 200, ""},
		"the API's own client":                 {basic(lab.Vault, h.Secret(lab.Vault)), 200, ""},
		"the client of another API":            {basic(lab.Ledger, h.Secret(lab.Ledger)), 403, "Bearer"},
		"a client with nothing to do here":     {basic(lab.Job, h.Secret(lab.Job)), 403, ""},
		"a wrong secret":                       {basic(lab.Vault, h.Secret(lab.Ledger)), 401, "Basic"},
		"a client's own token for an API":      {"Bearer " + h.Credentials(lab.Job, "scope", "accounts.read").Text("access_token"), 403, "insufficient_scope"},
		"a person's token":                     {"Bearer " + h.Tokens(alice, lab.Plant{}).AccessToken, 403, "insufficient_scope"},
		"a person's token for the Server":      {"Bearer " + h.Tokens(alice, lab.Plant{Scope: "openid"}).AccessToken, 403, "insufficient_scope"},
		"a person with the scope of a Gate":    {"Bearer " + h.Forge("at+jwt", forgedGate(h, members{"sub": alice.ID, "auth_time": h.Clock.Now().Unix()})), 403, "insufficient_scope"},
		"a Gate's token that somebody changed": {gate[:len(gate)-4] + "AAAA", 401, "invalid_token"},
		"a text":                               {"Bearer x", 401, "invalid_token"},
	} {
		t.Run(name, func(t *testing.T) {
			reply := evaluate(t, h, evaluation, c.authorization, weighed)
			if reply.Status != c.status || !strings.Contains(strings.Join(reply.Header["Www-Authenticate"], ", "), c.challenge) {
				t.Errorf("%d %q %s", reply.Status, reply.Header["Www-Authenticate"], reply.Body)
			}
			if reply.Status != 200 && !strings.HasPrefix(reply.Header.Get("Content-Type"), "text/plain") {
				t.Errorf("an error of the kind %s", reply.Header.Get("Content-Type"))
			}
		})
	}
	t.Run("one of several that is not theirs", func(t *testing.T) {
		other := question(h, alice, h.AccountsAPI(), "GET /balance", "accounts.read", nil)
		reply := evaluate(t, h, evaluations, basic(lab.Vault, h.Secret(lab.Vault)), members{"evaluations": []members{other, weighed, {"subject": members{"type": "user"}}}})
		var said struct {
			Evaluations []struct {
				Decision bool
				Context  struct{ Error struct{ Status int } }
			}
		}
		reply.Into(&said)
		if got := fmt.Sprint(said.Evaluations); len(said.Evaluations) != 3 || said.Evaluations[0].Decision || said.Evaluations[0].Context.Error.Status != 403 ||
			!said.Evaluations[1].Decision || said.Evaluations[2].Decision || said.Evaluations[2].Context.Error.Status != 400 {
			t.Error(got)
		}
	})
}

func forgedGate(h *lab.House, change members) members {
	now := h.Clock.Now().Unix()
	return changed(members{
		"iss": h.Issuer, "aud": h.Issuer, "sub": lab.GateClient, "client_id": lab.GateClient, "scope": "garde.gate", "jti": iam.NewSecret("j"), "iat": now, "exp": now + 60,
	}, change)
}

func TestAuthZENReadsStrictly(t *testing.T) {
	h := lab.New(t, lab.Options{Recipe: addWeighed, Files: weighedFiles})
	token, alice := gateToken(h), h.NewPerson("alice")
	good := body(t, question(h, alice, h.GateURL+"/weighed", "GET /plain", "weighed", nil))
	with := func(from, to string) string { return strings.Replace(good, from, to, 1) }
	long := strings.Repeat("x", 257)
	for name, c := range map[string]struct {
		text   string
		status int
	}{
		"as it should be":                {good, 200},
		"members that nobody knows":      {with(`{`, `{"more":{"x":[1]},`), 200},
		"J18 doubled":                    {with(`"action"`, `"subject":{"type":"user","id":"x"},"action"`), 400},
		"J18 doubled within":             {with(`"acr"`, `"acr":"urn:other","acr"`), 400},
		"J20 two documents":              {good + good, 400},
		"no JSON":                        {"subject=x", 400},
		"nothing":                        {"", 400},
		"no subject":                     {with(`"subject"`, `"object"`), 400},
		"an auth_time that is a text":    {with(`"auth_time":`, `"auth_time":"now","x":`), 400},
		"a bound that is a text":         {with(`"acr":`, `"bound":"true","acr":`), 400},
		"values that are a list":         {with(`"values":null`, `"values":[1]`), 400},
		"an address that is none":        {with(`127.0.0.1`, `here`), 400},
		"a scope that is malformed":      {with(`"scope":"weighed"`, `"scope":"a\"b"`), 400},
		"a person without a client":      {with(`"client_id"`, `"client"`), 400},
		"a sid that is too long":         {with(`"sid":"`, `"sid":"`+long), 400},
		"a grant_id that is too long":    {with(`"acr":`, `"grant_id":"`+long+`","acr":`), 400},
		"a client_id that is too long":   {with(`"client_id":"`, `"client_id":"`+long), 400},
		"an acr that is too long":        {with(`"acr":"`, `"acr":"`+long), 400},
		"an acr as long as may be":       {with(`"acr":"`+lab.Basic, `"acr":"`+long[1:]), 200},
		"larger than anybody has to say": {with(`{`, `{"more":"`+strings.Repeat("x", 70<<10)+`",`), 413},
	} {
		for _, place := range []string{evaluation, evaluations} {
			if reply := evaluate(t, h, place, token, c.text); reply.Status != c.status {
				t.Errorf("%s at %s: %d %s", name, place, reply.Status, reply.Body)
			}
		}
	}
	t.Run("the name of a request comes back", func(t *testing.T) {
		for _, place := range []string{evaluation, evaluations} {
			if reply := evaluate(t, h, place, token, good, "X-Request-ID", "a name: 7/é"[:9]); reply.Status != 200 || reply.Header.Get("X-Request-Id") != "a name: 7" {
				t.Errorf("%d %v", reply.Status, reply.Header)
			}
			if reply := evaluate(t, h, place, "", good, "X-Request-ID", "name"); reply.Status != 401 || reply.Header.Get("X-Request-Id") != "name" {
				t.Errorf("with an error: %d %v", reply.Status, reply.Header)
			}
			if reply := evaluate(t, h, place, token, good, "X-Request-ID", strings.Repeat("x", 300)); reply.Status != 400 {
				t.Errorf("too long: %d", reply.Status)
			}
		}
	})
	t.Run("only JSON, and only posted", func(t *testing.T) {
		if reply := h.Do(lab.Request("POST", evaluation, good, "Authorization", token, "Content-Type", "text/plain")); reply.Status != 400 {
			t.Errorf("%d", reply.Status)
		}
		if reply := h.Get(evaluation, "Authorization", token); reply.Status != 405 || reply.Header.Get("Allow") != "POST" {
			t.Errorf("%d %v", reply.Status, reply.Header)
		}
	})
	t.Run("metadata, and no search", func(t *testing.T) {
		var said map[string]any
		h.Get("/.well-known/authzen-configuration").Into(&said)
		if len(said) != 3 || said["policy_decision_point"] != h.Issuer || said["access_evaluation_endpoint"] != h.Issuer+evaluation || said["access_evaluations_endpoint"] != h.Issuer+evaluations {
			t.Errorf("%v", said)
		}
		for _, what := range []string{"subject", "resource", "action"} {
			if reply := evaluate(t, h, "/access/v1/search/"+what, token, good); reply.Status != 404 {
				t.Errorf("search for a %s: %d", what, reply.Status)
			}
		}
	})
}

// TestTheGateAsksTheServer: the policy that the token can't answer is the Server's, and without the Server nothing passes.
func TestTheGateAsksTheServer(t *testing.T) {
	h := lab.New(t, lab.Options{Gate: true, Recipe: addWeighed, Files: weighedFiles})
	alice, bob := h.NewPerson("alice"), h.NewPerson("bob")
	member(t, h, "staff", bob)
	for _, p := range []*lab.Person{alice, bob} {
		h.Allow(p, lab.WebA, "openid", "weighed", "offline_access")
	}
	token := func(p *lab.Person) string {
		return h.Tokens(p, lab.Plant{Scope: "openid weighed"}).AccessToken
	}
	of := map[*lab.Person]string{alice: token(alice), bob: token(bob)}
	send := func(path, value, body string) lab.Reply {
		method := "GET"
		if body != "" {
			method = "POST"
		}
		return h.Raw(lab.Request(method, path, body, "Authorization", "Bearer "+value, "Content-Type", "application/json"))
	}
	if reply := send("/weighed/inner", of[bob], ""); reply.Status != 200 {
		t.Errorf("one of the group: %d %s", reply.Status, reply.Body)
	}
	reply := send("/weighed/inner", of[alice], "")
	if reply.Status != 403 || reply.Code() != "access_denied" || !strings.Contains(string(reply.Body), "This is for our own people.") || reply.Text("trace") == "" {
		t.Errorf("another: %d %s", reply.Status, reply.Body)
	}
	french := h.Raw(lab.Request("GET", "/weighed/inner", "", "Authorization", "Bearer "+of[alice], "Accept-Language", "fr-CA, en;q=0.5"))
	if french.Status != 403 || !strings.Contains(string(french.Body), "C’est réservé à nos équipes.") {
		t.Errorf("another, who reads French: %d %s", french.Status, french.Body)
	}
	if reply := send("/weighed/sum", of[alice], `{"sum":5,"secret":"x"}`); reply.Status != 200 {
		t.Errorf("a small sum: %d %s", reply.Status, reply.Body)
	}
	for name, body := range map[string]string{"too much": `{"sum":500}`, "S12 not said": `{"other":5}`, "S12 in another kind": `{"sum":"5"}`, "S12 in other letters": `{"Sum":5}`} {
		if reply := send("/weighed/sum", of[alice], body); reply.Status != 403 {
			t.Errorf("%s: %d %s", name, reply.Status, reply.Body)
		}
	}
	if reply := send("/weighed/sum", of[alice], `{"sum":1e400}`); reply.Status != 400 || reply.Code() != "invalid_request" {
		t.Errorf("a number that nothing counts with: %d %s", reply.Status, reply.Body)
	}
	h.Pass(2 * time.Minute)
	if reply := send("/weighed/sum", of[alice], `{"sum":50}`); reply.Status != 401 || !strings.Contains(strings.Join(reply.Header["Www-Authenticate"], ""), `acr_values="`+lab.Basic+`", max_age="60"`) {
		t.Errorf("S12 a larger sum: %d %v %s", reply.Status, reply.Header["Www-Authenticate"], reply.Body)
	}
	before := len(h.Upstream.Seen())
	h.Stop()
	begun := time.Now()
	if reply := send("/weighed/inner", of[bob], ""); reply.Status != 503 || time.Since(begun) > 4*time.Second {
		t.Errorf("without the Server: %d %s", reply.Status, reply.Body)
	}
	if len(h.Upstream.Seen()) != before {
		t.Error("something reached the API")
	}
}
