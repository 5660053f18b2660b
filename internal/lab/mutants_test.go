package lab_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/gateway/proxy"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/issue"
	"github.com/gardeauth/garde/internal/lab"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/server/request"
	"github.com/gardeauth/garde/internal/token"
	"github.com/gardeauth/garde/internal/verify"
	"github.com/gardeauth/garde/recipe"
)

// promise is what one step holds. It tells whether it is broken in a house; steps are those of issue there.
type promise struct {
	name   string
	broken func(t *testing.T, h *lab.House, steps []issue.Step) bool
}

// ordered sends an order straight to the desk, as a door would that had forgotten every check of its own, and tells
// whether tokens came of it.
func ordered(change func(*testing.T, *lab.House, *issue.Desk, *token.Order)) func(*testing.T, *lab.House, []issue.Step) bool {
	return func(t *testing.T, h *lab.House, steps []issue.Step) bool {
		s := h.Server
		client, err := s.House.Client(t.Context(), lab.WebA)
		must(t, err)
		desk := &issue.Desk{
			Issuer: h.Issuer, Deeds: s.House, Users: s.House, Consents: s.House, Keys: s.Keys, Policy: s.Policy, Steps: steps, Now: h.Clock.Now,
		}
		order := token.Order{
			GrantType: oauth.ClientCredentials, Client: client, Audience: h.AccountsAPI(), Kind: recipe.TokenJWT, Scope: oauth.Scope{"accounts.read"},
		}
		change(t, h, desk, &order)
		answer, err := desk.Issue(t.Context(), order)
		return err == nil && answer.AccessToken != ""
	}
}

func issuing() map[string]promise {
	return map[string]promise{
		"policy in force": {"nothing is issued before a recipe is in force", ordered(func(_ *testing.T, _ *lab.House, d *issue.Desk, o *token.Order) {
			d.Policy, o.Scope = func() *assurance.Policy { return &assurance.Policy{} }, nil
		})},
		"client in good standing": {"X16 a disabled client gets nothing", ordered(func(_ *testing.T, _ *lab.House, _ *issue.Desk, o *token.Order) {
			o.Client.Disabled = true
		})},
		"grant type allowed": {"C18 a grant that the client is not registered for", ordered(func(_ *testing.T, _ *lab.House, _ *issue.Desk, o *token.Order) {
			o.GrantType = "urn:ietf:params:oauth:grant-type:token-exchange"
		})},
		"scope within client": {"T26 more than the client may have", ordered(func(_ *testing.T, _ *lab.House, _ *issue.Desk, o *token.Order) {
			o.Scope = oauth.Scope{"ledger.post"}
		})},
		"scope known": {"a scope that the recipe does not know", ordered(func(_ *testing.T, _ *lab.House, _ *issue.Desk, o *token.Order) {
			o.Scope, o.Client.Scope = oauth.Scope{"ghost"}, oauth.Scope{"ghost"}
		})},
		"audience": {"J15 a token for nobody in particular", ordered(func(_ *testing.T, _ *lab.House, _ *issue.Desk, o *token.Order) {
			o.Audience = ""
		})},
		"profile": {"a client that proves itself by less than its profile asks for", ordered(func(_ *testing.T, _ *lab.House, _ *issue.Desk, o *token.Order) {
			o.Client.Profile, o.Proven = recipe.FAPI2Security, iam.Binding{JKT: "a-key"}
		})},
		"details": {"authorization details that nobody allowed", ordered(func(_ *testing.T, _ *lab.House, _ *issue.Desk, o *token.Order) {
			o.Details = `[{"type":"payment"}]`
		})},
		"binding": {"D16 a token without a key for a client whose tokens are bound", ordered(func(_ *testing.T, _ *lab.House, _ *issue.Desk, o *token.Order) {
			o.Client.DPoP = true
		})},
		// The deed refuses a person who no longer stands by itself (see the matrix); the step also reads who it is.
		"user in good standing": {"an ID token says the claims that were asked for", func(t *testing.T, h *lab.House, _ []issue.Step) bool {
			alice := h.NewPerson("alice")
			code := h.Code(alice, lab.Plant{Twist: func(c *iam.Code) { c.Grant.Claims = `{"id_token":{"email":null}}` }})
			_, claims := peek(t, h.Redeem(code).Text("id_token"))
			return claims["email"] != alice.Email
		}},
		"assurance": {"S12 a token for what was not proved", ordered(func(_ *testing.T, h *lab.House, _ *issue.Desk, o *token.Order) {
			alice := h.NewPerson("alice")
			o.Subject, o.Scope = alice.ID, oauth.Scope{"transfers.write"}
			o.Grant = iam.Grant{ID: "g", Client: lab.WebA, User: alice.ID, AuthTime: h.Clock.Now(), Expires: h.Clock.Now().Add(time.Hour)}
		})},
		"restore confirmed": {"A12 nobody gets anything before a restore is confirmed", ordered(func(_ *testing.T, _ *lab.House, d *issue.Desk, _ *token.Order) {
			d.Confined = func() bool { return true }
		})},
		"grant in good standing": {"F07 a grant of another client", ordered(func(_ *testing.T, h *lab.House, _ *issue.Desk, o *token.Order) {
			alice := h.NewPerson("alice")
			o.Subject = alice.ID
			o.Grant = iam.Grant{ID: "g", Client: lab.WebB, User: alice.ID, AuthTime: h.Clock.Now(), Expires: h.Clock.Now().Add(time.Hour)}
		})},
		"consent current": {"F11 what the person no longer allows", ordered(func(t *testing.T, h *lab.House, _ *issue.Desk, o *token.Order) {
			alice := h.NewPerson("alice")
			must(t, h.Store().RevokeConsent(t.Context(), alice.ID, lab.WebA))
			o.Subject = alice.ID
		})},
	}
}

// asked sends an authorization request from the browser of somebody who is signed in and has allowed everything, and
// tells whether a code came back.
func asked(pairs ...string) func(*testing.T, *lab.House, []issue.Step) bool {
	return func(_ *testing.T, h *lab.House, _ []issue.Step) bool {
		query := lab.Ask(lab.WebA)
		for i := 0; i < len(pairs); i += 2 {
			query.Del(pairs[i])
			if pairs[i+1] != "" {
				query.Set(pairs[i], pairs[i+1])
			}
		}
		reply := h.Authorize(h.NewPerson("alice"), query)
		return strings.Contains(reply.Header.Get("Location"), "code=ac_") || strings.Contains(string(reply.Body), "ac_")
	}
}

func not(broken func(*testing.T, *lab.House, []issue.Step) bool) func(*testing.T, *lab.House, []issue.Step) bool {
	return func(t *testing.T, h *lab.House, steps []issue.Step) bool { return !broken(t, h, steps) }
}

func asking() map[string]promise {
	return map[string]promise{
		"client_id":     {"an honest request gets its code", not(asked())},
		"redirect_uri":  {"R01 no code leaves for an address that is not registered", asked("redirect_uri", "https://evil.example/cb")},
		"response_mode": {"R28 an unknown response mode", asked("response_mode", "web_message")},
		"state":         {"R26 a state of 5 KB", asked("state", strings.Repeat("s", 5000))},
		"unsupported":   {"a registration that would be ignored", asked("registration", "{}")},
		"request":       {"P10 a request object that nobody signed", asked("request", "eyJhbGciOiJub25lIn0.e30.")},
		"request_uri":   {"P14 a request at an address that nobody registered", asked("request_uri", "https://evil.example/r")},
		"pushed only":   {"P07 a plain request of a client that pushes its own", askedBy(recipe.Metadata{PAR: true})},
		"signed only":   {"P10 an unsigned request of a client that signs its own", askedBy(recipe.Metadata{SignedRequest: true})},

		"authorization_details": {"P17 details that are none", asked("authorization_details", "[{}]")},
		"dpop_jkt":              {"a key that is none", asked("dpop_jkt", "x")},
		"response_type":         {"C16 the implicit grant", asked("response_type", "token")},
		"grant type": {"C18 a client that is not registered for codes", func(t *testing.T, h *lab.House, steps []issue.Step) bool {
			must(t, h.Store().PutClient(t.Context(), iam.Client{
				ID: "c-nocode", Kind: recipe.Web, Auth: oauth.AuthBasic, Scope: oauth.Scope{"openid", "accounts.read"}, Consent: recipe.ConsentImplied,
				Grants: []oauth.GrantType{oauth.ClientCredentials}, RedirectURIs: []string{"https://nocode.example/cb"},
			}))
			return asked("client_id", "c-nocode", "redirect_uri", "https://nocode.example/cb")(t, h, steps)
		}},
		"scope":         {"T26 a scope that does not exist", asked("scope", "openid nothing")},
		"resource":      {"a resource that does not exist", asked("resource", "https://evil.example")},
		"pkce":          {"C07 C08 no PKCE", asked("code_challenge", "", "code_challenge_method", "")},
		"nonce":         {"a nonce of 3 KB", asked("nonce", strings.Repeat("n", 3000))},
		"prompt":        {"prompt=none with another", asked("prompt", "none consent")},
		"max_age":       {"a max_age that is no number", asked("max_age", "soon")},
		"claims":        {"claims that are no JSON", asked("claims", "{")},
		"id_token_hint": {"a hint that nobody signed", asked("id_token_hint", "x")},
		"wishes":        {"a display that does not exist", asked("display", "hologram")},
	}
}

// askedBy is asked for a client of its own, with further metadata.
func askedBy(more recipe.Metadata) func(*testing.T, *lab.House, []issue.Step) bool {
	return func(t *testing.T, h *lab.House, steps []issue.Step) bool {
		must(t, h.Store().PutClient(t.Context(), iam.Client{
			ID: "c-more", Kind: recipe.Web, Auth: oauth.AuthBasic, Scope: oauth.Scope{"openid", "accounts.read"}, Consent: recipe.ConsentImplied,
			Grants: []oauth.GrantType{oauth.AuthorizationCode}, RedirectURIs: []string{"https://more.example/cb"}, Metadata: more,
		}))
		return asked("client_id", "c-more", "redirect_uri", "https://more.example/cb")(t, h, steps)
	}
}

// shown shows the Gate a token forged with the Server's own key, and tells whether it let the call through.
func shown(path string, header, claims members) func(*testing.T, *lab.House, []issue.Step) bool {
	return func(t *testing.T, h *lab.House, _ []issue.Step) bool {
		return h.Call("GET", path, forged(t, h, header, claims)).Status == 200
	}
}

// forged is a good token for the accounts, with changes.
func forged(t *testing.T, h *lab.House, header, claims members) string {
	t.Helper()
	signer, err := h.Server.Keys.Signer("ES256")
	must(t, err)
	now := h.Clock.Now().Unix()
	f := forger{t, signer, members{"alg": "ES256", "typ": "at+jwt", "kid": signer.KeyID}, members{
		"iss": h.Issuer, "aud": h.AccountsAPI(), "sub": "somebody", "client_id": lab.WebA, "scope": "accounts.read transfers.write", "jti": iam.NewSecret("j"),
		"iat": now, "exp": now + 60, "auth_time": now, "acr": lab.Basic,
	}}
	if claims["aud"] == pinned {
		claims = changed(claims, members{"aud": h.GateURL + "/pinned"})
	}
	if claims["aud"] == weighed {
		claims = changed(claims, members{"aud": h.GateURL + "/weighed"})
	}
	for name, value := range claims { // times are said as how far they are from now
		if far, ok := value.(time.Duration); ok {
			claims = changed(claims, members{name: now + int64(far/time.Second)})
		}
	}
	return f.with(header, claims)
}

func verifying() map[string]promise {
	good := "/accounts/balance"
	return map[string]promise{
		"type": {"J17 an ID token", shown(good, members{"typ": "JWT"}, nil)},
		"encryption": {"a token that anybody can read, where the API asks for encrypted ones", func(t *testing.T, h *lab.House, _ []issue.Step) bool {
			return h.Call("GET", "/sealed/it", forged(t, h, nil, members{"aud": h.GateURL + "/sealed", "scope": "pinned.read"})).Status == 200
		}},
		"signature": {"J16 a token that somebody else signed", func(t *testing.T, h *lab.House, _ []issue.Step) bool {
			parts, other := strings.Split(forged(t, h, nil, nil), "."), h.Assertion(lab.WebKey, nil)
			return h.Call("GET", good, parts[0]+"."+parts[1]+other[strings.LastIndex(other, "."):]).Status == 200
		}},
		"issuer":       {"J16 a token of another issuer", shown(good, nil, members{"iss": "https://evil.example"})},
		"audience":     {"J15 a token for another API", shown(good, nil, members{"aud": "https://evil.example"})},
		"required":     {"J12 a token without jti", shown(good, nil, members{"jti": nil})},
		"expiry":       {"J12 a token that has expired", shown(good, nil, members{"exp": -time.Minute, "iat": -2 * time.Minute})},
		"issued":       {"J14 a token from the future", shown(good, nil, members{"iat": 2 * time.Minute, "exp": 3 * time.Minute})},
		"confirmation": {"a bound token shown as Bearer", shown(good, nil, members{"cnf": members{"jkt": "x"}})},
		"fresh": {"W24 no token is believed while nobody knows what was revoked", func(t *testing.T, h *lab.House, _ []issue.Step) bool {
			for range 5 { // a heartbeat may come in between
				value := forged(t, h, nil, members{"exp": 10 * time.Minute})
				h.Clock.Skip(7 * time.Second)
				if h.Call("GET", good, value).Status == 503 {
					h.Pass(0)
					return false
				}
			}
			return true
		}},
		"revocation": {"W24 a revoked token", func(_ *testing.T, h *lab.House, _ []issue.Step) bool {
			tokens := h.Tokens(h.NewPerson("alice"), lab.Plant{})
			h.As(lab.WebA, "/revoke", lab.Form("token", tokens.AccessToken))
			begun := time.Now()
			for h.Call("GET", good, tokens.AccessToken).Status == 200 {
				if time.Since(begun) > time.Second {
					return true
				}
				time.Sleep(10 * time.Millisecond)
			}
			return false
		}},
	}
}

// called calls an API with a good token, and tells whether the answer had that status.
func called(method, path, body string, status int, claims members, headers ...string) func(*testing.T, *lab.House, []issue.Step) bool {
	return func(t *testing.T, h *lab.House, _ []issue.Step) bool {
		r := lab.Request(method, path, body, append(headers, "Authorization", "Bearer "+forged(t, h, nil, claims))...)
		return h.Raw(r).Status == status
	}
}

func guarding() map[string]promise {
	honest := not(called("GET", "/accounts/balance", "", 200, nil))
	return map[string]promise{
		"shield": {"W a token in the query", called("GET", "/accounts/balance?access_token=x", "", 200, nil)},
		"route":  {"an honest call arrives", honest},
		"peer":   {"forwarding headers that make no sense", called("GET", "/accounts/balance", "", 200, nil, "X-Forwarded-For", "nobody")},
		"scheme": {"L01 what is for https only, in clear", func(_ *testing.T, h *lab.House, _ []issue.Step) bool {
			r := lab.Request("GET", "/open", "")
			r.Host = strings.TrimPrefix(h.SecureAPI(), "https://")
			return h.Raw(r).Status == 200
		}},
		"size": {"a body that is too large does not even reach the API", func(t *testing.T, h *lab.House, steps []issue.Step) bool {
			before := len(h.Upstream.Seen())
			called("POST", "/accounts/transfers", strings.Repeat("x", 5000), 413, nil)(t, h, steps)
			time.Sleep(50 * time.Millisecond) // what is on its way arrives
			return len(h.Upstream.Seen()) > before
		}},
		"credentials": {"an honest call is believed", honest},
		"token":       {"an honest call is believed", honest},
		"proof":       {"an honest proof is believed", not(proved(1))},
		"bound":       {"a token that whoever stole it could use, where only bound ones are taken", called("GET", "/pinned/it", "", 200, members{"aud": pinned, "scope": "pinned.read"})},
		"replay":      {"D08 the same proof twice", proved(2)},
		"caller":      {"T27 a client's own token where a person is asked for", called("GET", "/accounts/balance", "", 200, members{"sub": lab.WebA, "auth_time": nil, "acr": nil})},
		"scope":       {"a token without the scope", called("GET", "/accounts/balance", "", 200, members{"scope": "transfers.write"})},
		"level":       {"a token of somebody who proved too little", called("GET", "/accounts/statement", "", 200, members{"acr": nil})},
		"fresh":       {"a sign-in of ten minutes ago where five are asked for", called("POST", "/accounts/transfers", "", 200, members{"auth_time": -10 * time.Minute})},

		"rules":   {"S12 a sign-in that a rule of the operation finds too old", called("GET", "/weighed/old", "", 200, members{"aud": weighed, "scope": "weighed", "auth_time": -2 * time.Hour})},
		"request": {"an honest call that was granted in detail arrives", not(paid(1, 7))},
		"exact":   {"S12 what was granted in detail serves for that, and for nothing else", either(not(paid(1, 7)), paid(1, 8))},
		"online":  {"a call that only the Server can decide about", called("GET", "/weighed/inner", "", 200, members{"aud": weighed, "scope": "weighed"})},
		"once":    {"S12 what was granted in detail is used twice", paid(2, 7)},
	}
}

// weighed stands for the audience of the API whose operations ask for more than a good token.
const weighed = "the weighed API"

// either is broken where one of two is.
func either(one, other func(*testing.T, *lab.House, []issue.Step) bool) func(*testing.T, *lab.House, []issue.Step) bool {
	return func(t *testing.T, h *lab.House, steps []issue.Step) bool {
		return one(t, h, steps) || other(t, h, steps)
	}
}

// paid pays an amount so many times with a token that was granted to pay 7 once, and tells whether the last was let through.
func paid(times, amount int) func(*testing.T, *lab.House, []issue.Step) bool {
	return func(t *testing.T, h *lab.House, _ []issue.Step) bool {
		alice := h.NewPerson("alice")
		h.Allow(alice, lab.WebA, "openid", "weighed", "offline_access")
		token := allowedTo(h, alice, `[{"type":"payment","amount":7}]`).AccessToken
		last := lab.Reply{}
		for range times {
			last = h.Raw(lab.Request("POST", "/weighed/pay", fmt.Sprintf(`{"amount":%d}`, amount), "Authorization", "Bearer "+token, "Content-Type", "application/json"))
		}
		return last.Status == 200
	}
}

// pinned stands for the audience of the API that takes only bound tokens.
const pinned = "the pinned API"

// proved shows a token with a proof of its key so many times, and tells whether the last was let through.
func proved(times int) func(*testing.T, *lab.House, []issue.Step) bool {
	return func(t *testing.T, h *lab.House, _ []issue.Step) bool {
		key := h.NewKey()
		token := forged(t, h, nil, members{"aud": pinned, "scope": "pinned.read", "cnf": members{"jkt": key.JKT}})
		proof, last := key.Show("GET", h.GateURL+"/pinned/it", token), lab.Reply{}
		for range times {
			last = h.Raw(lab.Request("GET", "/pinned/it", "", "Authorization", "DPoP "+token, "DPoP", proof))
		}
		return last.Status == 200
	}
}

// standing has an API more, which takes only tokens that are bound to a key, and one whose operations ask for more than a
// good token.
func standing(t *testing.T) lab.Options {
	t.Helper()
	options := lab.Options{Gate: true, Silence: 5 * time.Second, Proxies: []string{"127.0.0.0/8"}, Files: weighedFiles, Recipe: func(r *recipe.Recipe) {
		addWeighed(r)
		accounts := r.APIs["accounts"]
		r.APIs["pinned"] = recipe.API{
			At: strings.Replace(accounts.At, "/accounts", "/pinned", 1), Upstream: accounts.Upstream, Bound: recipe.BoundRequired,
			Operations: map[string]recipe.Operation{"GET /it": {For: []recipe.Caller{recipe.ForUser, recipe.ForClient}, Scope: "pinned.read"}},
		}
		r.Scopes["pinned.read"] = recipe.Scope{Say: recipe.Text{"en": "Read what is pinned"}}
		job := r.Clients[lab.Job]
		job.Scopes = append(job.Scopes, "pinned.read")
		r.Clients[lab.Job] = job
		accounts.Operations = r.APIs["pinned"].Operations
		accounts.At = strings.Replace(accounts.At, "/accounts", "/sealed", 1)
		r.APIs["sealed"] = accounts
	}}
	sealedTo(t, &options, "sealed")
	return options
}

// tables are the tables of steps with what each step holds, and how a house is built without one.
func tables() map[string]struct {
	steps    []string
	promises map[string]promise
	without  func(step string) lab.Without
} {
	type table = struct {
		steps    []string
		promises map[string]promise
		without  func(step string) lab.Without
	}
	named := map[string]table{
		"issue":   {nil, issuing(), func(step string) lab.Without { return lab.Without{Issue: step} }},
		"request": {nil, asking(), func(step string) lab.Without { return lab.Without{Request: step} }},
		"verify":  {nil, verifying(), func(step string) lab.Without { return lab.Without{Verify: step} }},
		"Gate":    {nil, guarding(), func(step string) lab.Without { return lab.Without{Gate: step} }},
	}
	add := func(name, step string) {
		t := named[name]
		t.steps = append(t.steps, step)
		named[name] = t
	}
	for _, step := range issue.Standard {
		add("issue", step.Name)
	}
	for _, step := range request.Standard {
		add("request", step.Name)
	}
	for _, step := range verify.Standard {
		add("verify", step.Name)
	}
	for _, step := range proxy.Standard {
		add("Gate", step.Name)
	}
	return named
}

// TestEveryStepHoldsItsPromise tries in the house as it is what TestMutants tries in the houses without a step.
func TestEveryStepHoldsItsPromise(t *testing.T) {
	h := lab.New(t, standing(t))
	for name, table := range tables() {
		for _, step := range table.steps {
			held, ok := table.promises[step]
			if !ok {
				t.Errorf("nothing tells what the step %q of %s is for: give it a promise here", step, name)
				continue
			}
			t.Run(name+": "+step+": "+held.name, func(t *testing.T) {
				if held.broken(t, h, issue.Standard) {
					t.Error("the promise is broken")
				}
			})
		}
		for step := range table.promises {
			if !slices.Contains(table.steps, step) {
				t.Errorf("%s has no step %q any more", name, step)
			}
		}
	}
}

// TestMutants takes each step out of a house in turn: its promise must break, else no test would miss it.
func TestMutants(t *testing.T) {
	if os.Getenv("GARDE_MUTANTS") != "1" {
		t.Skip("make mutants runs it")
	}
	for name, table := range tables() {
		for _, step := range slices.Sorted(maps.Keys(table.promises)) {
			t.Run(name+" without "+step, func(t *testing.T) {
				options, steps := standing(t), issue.Standard
				options.Without = table.without(step)
				if name == "issue" {
					steps = issue.Without(step)
				}
				if !table.promises[step].broken(t, lab.New(t, options), steps) {
					t.Errorf("nobody misses it: %s", table.promises[step].name)
				}
			})
		}
	}
}
