package weigh_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/authzen"
	"github.com/gardeauth/garde/internal/gateway/weigh"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/verify"
	"github.com/gardeauth/garde/recipe"
)

const audience = "https://api.bank.example/accounts"

// book compiles a recipe whose operations the tests change.
func book(t testing.TB, raise []recipe.Raise, operations map[string]recipe.Operation) *weigh.Book {
	t.Helper()
	r := &recipe.Recipe{
		Garde:  recipe.Format,
		Levels: []recipe.Level{{Name: "basic", ACR: "urn:basic", Any: []string{"password"}}, {Name: "strong", ACR: "urn:strong", Any: []string{"passkey"}}},
		Scopes: map[string]recipe.Scope{"a": {}}, Raise: raise,
		Clients: map[string]recipe.Client{"web": {Type: recipe.Web}, "spa": {Type: recipe.Browser}, "pair": {Type: recipe.Web, Metadata: recipe.Metadata{SubjectType: "pairwise"}}},
		APIs: map[string]recipe.API{"accounts": {At: audience, Upstream: "http://127.0.0.1:1", Operations: operations, Details: map[string]recipe.Detail{
			"transfer": {Amount: "amount", Payee: "to.iban"},
		}}},
	}
	made, err := weigh.Compile(r, "https://id.bank.example")
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func guarded(change func(*recipe.Operation)) recipe.Operation {
	operation := recipe.Operation{For: []recipe.Caller{recipe.ForUser, recipe.ForClient}, Scope: "a"}
	if change != nil {
		change(&operation)
	}
	return operation
}

var now = time.Unix(1_790_000_000, 0)

func caller(change func(*weigh.Caller)) weigh.Caller {
	c := weigh.Caller{Claims: verify.Claims{
		Subject: "alice", ClientID: "web", Scope: oauth.Scope{"a"}, ACR: "urn:basic", AuthTime: 1_790_000_000 - 60, ID: "j1", Grant: "g1", SessionID: "s1",
		Expires: 1_790_000_000 + 300,
	}, Person: true, Address: netip.MustParseAddr("192.0.2.7"), Now: now}
	if change != nil {
		change(&c)
	}
	return c
}

func TestWhatAsksForNothingCostsNothing(t *testing.T) {
	b := book(t, nil, map[string]recipe.Operation{"GET /a": guarded(nil), "GET /open": {Open: "public"}, "GET /b": guarded(func(o *recipe.Operation) {
		o.Raise = []recipe.Raise{{When: "token.age > 30", Fresh: recipe.Duration(30 * time.Second)}}
	})})
	if b.Operation("accounts", "GET /a") != nil || b.Operation("accounts", "GET /open") != nil || b.Operation("accounts", "GET /b") == nil || b.Operation("x", "GET /b") != nil {
		t.Error("the wrong operations ask for more")
	}
	if (&weigh.Book{}).Operation("accounts", "GET /a") != nil {
		t.Error("the zero book asks")
	}
	for _, broken := range []recipe.Operation{
		guarded(func(o *recipe.Operation) { o.Details = "transfer" }),
		guarded(func(o *recipe.Operation) { o.Details, o.Match = "transfer", map[string]string{"a": "path.other"} }),
		guarded(func(o *recipe.Operation) { o.Details, o.Match = "transfer", map[string]string{"a": "header.x"} }),
		guarded(func(o *recipe.Operation) { o.Details, o.Match = "transfer", map[string]string{"a": "body"} }),
	} {
		r := &recipe.Recipe{APIs: map[string]recipe.API{"x": {At: audience, Operations: map[string]recipe.Operation{"POST /{id}": broken}}}}
		if _, err := weigh.Compile(r, ""); err == nil {
			t.Errorf("compiled: %+v", broken)
		}
	}
}

func TestRulesThatTheTokenTells(t *testing.T) {
	young := recipe.Raise{When: "token.age > 30", Fresh: recipe.Duration(30 * time.Second)}
	for name, c := range map[string]struct {
		rules  []recipe.Raise
		caller func(*weigh.Caller)
		want   string
	}{
		"it does not apply":            {[]recipe.Raise{{When: "token.age > 3600", Level: "strong"}}, nil, "permit"},
		"it asks for a level":          {[]recipe.Raise{{When: "token.age > 30", Level: "strong"}}, nil, "step up [urn:strong] -1ns"},
		"it asks for freshness":        {[]recipe.Raise{young}, nil, "step up [] 30s"},
		"it refuses":                   {[]recipe.Raise{{When: `client.kind == "browser"`, Deny: recipe.Words{"en": "not from a page"}}}, func(c *weigh.Caller) { c.Claims.ClientID = "spa" }, "deny: not from a page"},
		"of another kind":              {[]recipe.Raise{{When: `client.kind == "browser"`, Deny: recipe.Words{"en": "not from a page"}}}, nil, "permit"},
		"a client that is not known":   {[]recipe.Raise{{When: `client.kind == "browser"`, Deny: recipe.Words{"en": "not from a page"}}}, func(c *weigh.Caller) { c.Claims.ClientID = "c-run" }, "ask"},
		"a person of another name":     {[]recipe.Raise{{When: `user.id == "alice-by-id"`, Deny: recipe.Words{"en": "x"}}}, func(c *weigh.Caller) { c.Claims.ClientID = "pair" }, "ask"},
		"risk":                         {[]recipe.Raise{{When: "risk.score > 50", Level: "strong"}}, nil, "ask"},
		"risk, and already strong":     {[]recipe.Raise{{When: "risk.score > 50", Level: "strong"}}, func(c *weigh.Caller) { c.Claims.ACR = "urn:strong" }, "ask"}, // nobody would learn of it
		"risk that refuses":            {[]recipe.Raise{{When: "risk.score > 50", Deny: recipe.Words{"en": "x"}}}, func(c *weigh.Caller) { c.Claims.ACR = "urn:strong" }, "ask"},
		"a group":                      {[]recipe.Raise{{When: `"staff" in user.groups`, Deny: recipe.Words{"en": "x"}}}, nil, "ask"},
		"a value":                      {[]recipe.Raise{{When: "values.amount > 5", Deny: recipe.Words{"en": "x"}}}, nil, "ask"},
		"a country":                    {[]recipe.Raise{{When: `place.country != "FR"`, Level: "strong"}}, nil, "ask"},
		"the token tells what is more": {[]recipe.Raise{young, {When: "risk.score > 50", Level: "strong"}}, nil, "step up [] 30s"},
	} {
		t.Run(name, func(t *testing.T) {
			asks := book(t, nil, map[string]recipe.Operation{"GET /a": guarded(func(o *recipe.Operation) { o.Raise = c.rules })}).Operation("accounts", "GET /a")
			global := book(t, c.rules, map[string]recipe.Operation{"GET /a": guarded(nil)}).Operation("accounts", "GET /a")
			for _, each := range []*weigh.Operation{asks, global} {
				if got := said(each.Offline(caller(c.caller))); got != c.want {
					t.Errorf("%s, and not %s", got, c.want)
				}
			}
		})
	}
}

func said(a weigh.Answer) string {
	switch {
	case a.Ask && a.Permits():
		return "both"
	case a.Ask:
		return "ask"
	case a.Permits():
		return "permit"
	case a.StepUp():
		return fmt.Sprintf("step up %v %s", a.ACR, a.MaxAge)
	}
	return "deny: " + a.Say
}

// transfer is an operation for exactly one request.
func transfer(t testing.TB) *weigh.Operation {
	t.Helper()
	return book(t, nil, map[string]recipe.Operation{"POST /accounts/{from}/transfers": guarded(func(o *recipe.Operation) {
		o.Details = "transfer"
		o.Match = map[string]string{"amount": "body.amount", "to.iban": "body.to.iban", "from": "path.from", "urgent": "query.urgent"}
	})}).Operation("accounts", "POST /accounts/{from}/transfers")
}

const (
	granted = `[{"type":"transfer","amount":1050,"to":{"iban":"FR76 1","name":"Acme"},"from":"42","urgent":true}]`
	honest  = `{"amount":1050,"to":{"iban":"FR76 1"},"memo":"rent"}`
)

func source(body string) weigh.Source {
	return weigh.Source{Path: "/accounts/42/transfers", Query: "urgent=true", Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(body)}
}

func TestExactlyWhatWasAllowed(t *testing.T) {
	asks := transfer(t)
	for name, c := range map[string]struct {
		details string
		body    string
		change  func(*weigh.Source)
		code    string // "": it is exact
		status  int
	}{
		"the same":                                  {granted, honest, nil, "", 0},
		"members in another order":                  {granted, `{"to":{"bic":"X","iban":"FR76 1"},"amount":1050}`, nil, "", 0},
		"the number in another spelling":            {granted, `{"amount":1.050e3,"to":{"iban":"FR76 1"}}`, nil, "", 0},
		"JSON of another name":                      {granted, honest, func(s *weigh.Source) { s.Header.Set("Content-Type", "application/vnd.bank+json; charset=UTF-8") }, "", 0},
		"a letter of the path encoded":              {granted, honest, func(s *weigh.Source) { s.Path = "/accounts/4%32/transfers" }, "", 0},
		"the second of two details":                 {`[{"type":"transfer","amount":1},` + granted[1:], honest, nil, "", 0},
		"another amount":                            {granted, `{"amount":1051,"to":{"iban":"FR76 1"}}`, nil, "insufficient_scope", 403},
		"an amount that floats take for the same":   {`[{"type":"transfer","amount":9007199254740993,"to":{"iban":"FR76 1"},"from":"42","urgent":true}]`, `{"amount":9007199254740992,"to":{"iban":"FR76 1"}}`, nil, "insufficient_scope", 403},
		"an amount that is a hair larger":           {granted, `{"amount":1050.00000000000000000001,"to":{"iban":"FR76 1"}}`, nil, "insufficient_scope", 403},
		"the amount as a text":                      {granted, `{"amount":"1050","to":{"iban":"FR76 1"}}`, nil, "insufficient_scope", 403},
		"the amount in a list":                      {granted, `{"amount":[1050],"to":{"iban":"FR76 1"}}`, nil, "insufficient_scope", 403},
		"no amount":                                 {granted, `{"to":{"iban":"FR76 1"}}`, nil, "insufficient_scope", 403},
		"an amount of null":                         {granted, `{"amount":null,"to":{"iban":"FR76 1"}}`, nil, "insufficient_scope", 403},
		"the amount in other letters alone":         {granted, `{"Amount":1050,"to":{"iban":"FR76 1"}}`, nil, "insufficient_scope", 403},
		"another payee":                             {granted, `{"amount":1050,"to":{"iban":"FR76 2"}}`, nil, "insufficient_scope", 403},
		"a payee with a space more":                 {granted, `{"amount":1050,"to":{"iban":"FR76 1 "}}`, nil, "insufficient_scope", 403},
		"a payee that is not where it was":          {granted, `{"amount":1050,"to.iban":"FR76 1"}`, nil, "insufficient_scope", 403},
		"another account in the path":               {granted, honest, func(s *weigh.Source) { s.Path = "/accounts/43/transfers" }, "insufficient_scope", 403},
		"another word in the query":                 {granted, honest, func(s *weigh.Source) { s.Query = "urgent=false" }, "insufficient_scope", 403},
		"no query":                                  {granted, honest, func(s *weigh.Source) { s.Query = "" }, "insufficient_scope", 403},
		"no body":                                   {granted, ``, nil, "insufficient_scope", 403},
		"a token without details":                   {``, honest, nil, "insufficient_scope", 403},
		"a token with another kind of detail":       {`[{"type":"other","amount":1050,"to":{"iban":"FR76 1"},"from":"42","urgent":true}]`, honest, nil, "insufficient_scope", 403},
		"a detail that says less":                   {`[{"type":"transfer","amount":1050}]`, honest, nil, "insufficient_scope", 403},
		"details that can't be read":                {`[{"type":"transfer","type":"transfer"}]`, honest, nil, "invalid_token", 401},
		"W J18 the amount twice":                    {granted, `{"amount":1050,"amount":9999,"to":{"iban":"FR76 1"}}`, nil, "invalid_request", 400},
		"W J18 the amount twice, one encoded":       {granted, `{"amount":1050,"\u0061mount":9999,"to":{"iban":"FR76 1"}}`, nil, "invalid_request", 400},
		"W J19 the amount in other letters too":     {granted, `{"amount":1050,"Amount":9999,"to":{"iban":"FR76 1"}}`, nil, "invalid_request", 400},
		"W J19 the payee in other letters too":      {granted, `{"amount":1050,"to":{"iban":"FR76 1","ıban":"x","IBAN":"FR76 2"}}`, nil, "invalid_request", 400},
		"W J19 a long s":                            {granted, `{"amount":1050,"to":{"iban":"FR76 1"},"res":1,"reſ":2}`, nil, "invalid_request", 400},
		"J18 the amount in the query too":           {granted, honest, func(s *weigh.Source) { s.Query += "&amount=9999" }, "invalid_request", 400},
		"J18 in a list of the query":                {granted, honest, func(s *weigh.Source) { s.Query += "&Amount%5B%5D=9999" }, "invalid_request", 400},
		"J18 behind a semicolon of the query":       {granted, honest, func(s *weigh.Source) { s.Query = "urgent=true&x=1;amount=9999" }, "invalid_request", 400},
		"J18 the payee in the query too":            {granted, honest, func(s *weigh.Source) { s.Query += "&to%5Biban%5D=FR76+2" }, "invalid_request", 400},
		"J18 the payee by its path in the query":    {granted, honest, func(s *weigh.Source) { s.Query += "&to.iban=FR762" }, "invalid_request", 400},
		"J18 a query that can't be read":            {granted, honest, func(s *weigh.Source) { s.Query += "&am%unt=9" }, "invalid_request", 400},
		"J18 the account of the path in the query":  {granted, honest, func(s *weigh.Source) { s.Query += "&from=43" }, "invalid_request", 400},
		"J18 and in the body":                       {granted, `{"amount":1050,"to":{"iban":"FR76 1"},"from":"43"}`, nil, "invalid_request", 400},
		"J18 and in the body, in other letters":     {granted, `{"amount":1050,"to":{"iban":"FR76 1"},"From":"42"}`, nil, "invalid_request", 400},
		"the same account in the body":              {granted, `{"amount":1050,"to":{"iban":"FR76 1"},"from":"42"}`, nil, "", 0},
		"J18 the word of the query in the body":     {granted, `{"amount":1050,"to":{"iban":"FR76 1"},"urgent":true}`, nil, "invalid_request", 400},
		"other words in the query":                  {granted, honest, func(s *weigh.Source) { s.Query += "&amounts=9&memo=x" }, "", 0},
		"W J20 something behind the body":           {granted, honest + honest, nil, "invalid_request", 400},
		"W J20 a byte order mark":                   {granted, "\ufeff" + honest, nil, "invalid_request", 400},
		"W J20 invalid UTF-8":                       {granted, "{\"amount\":1050,\"x\":\"\xff\"}", nil, "invalid_request", 400},
		"W J38 deep":                                {granted, strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100), nil, "invalid_request", 400},
		"a list":                                    {granted, "[" + honest + "]", nil, "invalid_request", 400},
		"a form":                                    {granted, "amount=1050", func(s *weigh.Source) { s.Header.Set("Content-Type", "application/x-www-form-urlencoded") }, "invalid_request", 415},
		"JSON that is called a text":                {granted, honest, func(s *weigh.Source) { s.Header.Set("Content-Type", "text/plain") }, "invalid_request", 415},
		"JSON that is called nothing":               {granted, honest, func(s *weigh.Source) { s.Header.Del("Content-Type") }, "invalid_request", 415},
		"JSON in other letters":                     {granted, honest, func(s *weigh.Source) { s.Header.Set("Content-Type", "application/json; charset=utf-16") }, "invalid_request", 415},
		"compressed":                                {granted, honest, func(s *weigh.Source) { s.Header.Set("Content-Encoding", "gzip") }, "invalid_request", 415},
		"compressed and not":                        {granted, honest, func(s *weigh.Source) { s.Header["Content-Encoding"] = []string{"identity", "gzip"} }, "invalid_request", 415},
		"the query twice":                           {granted, honest, func(s *weigh.Source) { s.Query = "urgent=true&urgent=false" }, "invalid_request", 400},
		"the query twice, one encoded":              {granted, honest, func(s *weigh.Source) { s.Query = "urgent=true&%75rgent=false" }, "invalid_request", 400},
		"the query in other letters too":            {granted, honest, func(s *weigh.Source) { s.Query = "urgent=true&Urgent=false" }, "invalid_request", 400},
		"the query as a list":                       {granted, honest, func(s *weigh.Source) { s.Query = "urgent=true&urgent[]=false" }, "invalid_request", 400},
		"the query behind a semicolon":              {granted, honest, func(s *weigh.Source) { s.Query = "urgent=true&a=b;urgent=false" }, "invalid_request", 400},
		"the query with a plus sign":                {granted, honest, func(s *weigh.Source) { s.Query = "urgent=tr+ue" }, "invalid_request", 400},
		"the query broken":                          {granted, honest, func(s *weigh.Source) { s.Query = "urgent=%zz" }, "invalid_request", 400},
		"something else in the query":               {granted, honest, func(s *weigh.Source) { s.Query = "page=2&urgent=true" }, "", 0},
		"a value of the query that is no true":      {granted, honest, func(s *weigh.Source) { s.Query = "urgent=TRUE" }, "insufficient_scope", 403},
		"a number of the path with a zero in front": {strings.Replace(granted, `"42"`, `42`, 1), honest, func(s *weigh.Source) { s.Path = "/accounts/042/transfers" }, "insufficient_scope", 403},
		"a number of the path":                      {strings.Replace(granted, `"42"`, `42`, 1), honest, nil, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			from := source(c.body)
			if c.change != nil {
				c.change(&from)
			}
			values, err := asks.Read(from, false)
			if err == nil {
				_, err = asks.Exact(caller(func(w *weigh.Caller) { w.Claims.Details = json.RawMessage(c.details) }).Claims, values)
			}
			var told *oauth.Error
			if errors.As(err, &told); oauth.CodeOf(err) != c.code || told != nil && told.Status != c.status {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestAUseIsNamedByTheGrantAndWhatIsCompared(t *testing.T) {
	asks := transfer(t)
	name := func(details string, change func(*verify.Claims)) string {
		t.Helper()
		values, err := asks.Read(source(honest), false)
		if err != nil {
			t.Fatal(err)
		}
		claims := caller(nil).Claims
		claims.Details = json.RawMessage(details)
		if change != nil {
			change(&claims)
		}
		uses, err := asks.Exact(claims, values)
		if err != nil || len(uses) != 2 || uses[0].Key.Zero() || uses[1].Key.Zero() || uses[0].Key == uses[1].Key || uses[1].Expires.Unix() != int64(claims.Expires) {
			t.Fatalf("%+v %v", uses, err)
		}
		return uses[1].Key.String()
	}
	first := name(granted, nil)
	for what, other := range map[string]string{
		"another token of the grant":       name(granted, func(c *verify.Claims) { c.ID = "j2" }),
		"the members in another order":     name(`[{"urgent":true,"from":"42","to":{"iban":"FR76 1"},"amount":1050.0,"type":"transfer"}]`, nil),
		"a narrower spelling":              name(`[{"type":"transfer","amount":105e1,"to":{"iban":"FR76 1"},"from":"42","urgent":true}]`, nil),
		"the same one again in that token": name(granted[:len(granted)-1]+","+granted[1:], nil),
	} {
		if other != first {
			t.Errorf("%s is another use", what)
		}
	}
	if name(granted, func(c *verify.Claims) { c.Grant = "g2" }) == first {
		t.Error("another grant is the same use")
	}
	none := name(granted, func(c *verify.Claims) { c.Grant = "" })
	if none == first || none == name(granted, func(c *verify.Claims) { c.Grant, c.ID = "", "j2" }) {
		t.Error("tokens without a grant share a use")
	}
}

// A detail that two operations take, each of which compares other members of it, serves for one of them.
func TestTwoOperationsShareTheOneUseOfADetail(t *testing.T) {
	take := func(match map[string]string) recipe.Operation {
		return guarded(func(o *recipe.Operation) { o.Details, o.Match = "transfer", match })
	}
	made := book(t, nil, map[string]recipe.Operation{
		"POST /transfers": take(map[string]string{"amount": "body.amount", "to.iban": "body.to.iban"}), "POST /orders": take(map[string]string{"to.iban": "body.to.iban"}),
	})
	key := func(operation, details string) string {
		asks := made.Operation("accounts", operation)
		values, err := asks.Read(source(`{"amount":1050,"to":{"iban":"FR76 1"}}`), false)
		if err != nil {
			t.Fatal(err)
		}
		claims := caller(nil).Claims
		claims.Details = json.RawMessage(details)
		uses, err := asks.Exact(claims, values)
		if err != nil {
			t.Fatal(err)
		}
		return uses[1].Key.String()
	}
	if key("POST /transfers", granted) != key("POST /orders", granted) {
		t.Error("what was allowed once serves twice")
	}
	if key("POST /orders", granted) == key("POST /orders", `[{"type":"transfer","amount":7,"to":{"iban":"FR76 1"}}]`) {
		t.Error("two transfers that were allowed are one")
	}
}

// server answers, and remembers what it was asked.
type server struct {
	said  authzen.Decision
	err   error
	asked []authzen.Evaluation
}

func (s *server) Evaluate(_ context.Context, question authzen.Evaluation) (authzen.Decision, error) {
	s.asked = append(s.asked, question)
	return s.said, s.err
}

func TestOnlyMappedMembersAreSent(t *testing.T) {
	asks := book(t, nil, map[string]recipe.Operation{"POST /a/{id}": guarded(func(o *recipe.Operation) {
		o.Raise = []recipe.Raise{{When: "values.sum > 5", Level: "strong"}}
		o.Details, o.Match, o.Send = "transfer", map[string]string{"to.iban": "body.to.iban"}, map[string]string{"sum": "body.sum", "id": "path.id", "gone": "body.gone"}
	})}).Operation("accounts", "POST /a/{id}")
	from := weigh.Source{Path: "/a/7", Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(`{"sum":12345678901234567890,"secret":"x","to":{"iban":"I","name":"N"}}`)}
	values, err := asks.Read(from, true)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{said: authzen.Decision{Decision: true}}
	if answer, err := asks.Online(t.Context(), s, caller(nil), values); err != nil || !answer.Permits() {
		t.Fatal(answer, err)
	}
	raw, _ := json.Marshal(s.asked[0])
	want := `{"subject":{"type":"user","id":"alice","properties":{"acr":"urn:basic","auth_time":1789999940,"bound":false,"client_id":"web","grant_id":"g1","scope":"a","sid":"s1"}},` +
		`"action":{"name":"POST /a/{id}"},"resource":{"type":"api","id":"` + audience + `"},` +
		`"context":{"address":"192.0.2.7","values":{"id":"7","sum":12345678901234567890,"to.iban":"I"}}}`
	if string(raw) != want {
		t.Errorf("%s", raw)
	}
	_, _ = asks.Online(t.Context(), s, caller(func(c *weigh.Caller) {
		c.Person, c.Address = false, netip.Addr{}
		c.Claims = verify.Claims{Subject: "job", ClientID: "job", Scope: oauth.Scope{"a"}}
	}), nil)
	if raw, _ := json.Marshal(s.asked[1]); !strings.Contains(string(raw), `"type":"client","id":"job","properties":{"bound":false,"client_id":"job","scope":"a"}`) || strings.Contains(string(raw), "context") {
		t.Errorf("%s", raw)
	}
}

func TestWhatTheServerSaysIsObeyed(t *testing.T) {
	minute, none, far := int64(60), int64(0), int64(1)<<60
	for name, c := range map[string]struct {
		said authzen.Decision
		want string
	}{
		"yes":                   {authzen.Decision{Decision: true}, "permit"},
		"no":                    {authzen.Decision{}, "deny: "},
		"no, for operators":     {authzen.Decision{Context: &authzen.Context{Reasons: []authzen.Reason{{Code: "signal", Say: "a new country"}}}}, "deny: "},
		"no, in words":          {authzen.Decision{Context: &authzen.Context{Reasons: []authzen.Reason{{Code: "denied", Say: "call us"}}}}, "deny: call us"},
		"a level":               {authzen.Decision{Context: &authzen.Context{ACR: "urn:strong"}}, "step up [urn:strong] -1ns"},
		"a level, fresh":        {authzen.Decision{Context: &authzen.Context{ACR: "urn:strong", MaxAge: &minute}}, "step up [urn:strong] 1m0s"},
		"fresh alone":           {authzen.Decision{Context: &authzen.Context{MaxAge: &none}}, "step up [] 0s"},
		"a time beyond all":     {authzen.Decision{Context: &authzen.Context{MaxAge: &far}}, "step up [] 87600h0m0s"},
		"yes, whatever is said": {authzen.Decision{Decision: true, Context: &authzen.Context{ACR: "urn:strong"}}, "permit"},
	} {
		asks := book(t, []recipe.Raise{{When: "risk.score > 1", Level: "strong"}}, map[string]recipe.Operation{"GET /a": guarded(nil)}).Operation("accounts", "GET /a")
		answer, err := asks.Online(t.Context(), &server{said: c.said}, caller(nil), nil)
		if got := said(answer); got != c.want || err != nil {
			t.Errorf("%s: %s %v", name, got, err)
		}
	}
}

func TestAnAnswerServesAgainForExactlyTheSameQuestion(t *testing.T) {
	ask := func(s *server, changes ...func(*weigh.Caller, *weigh.Source)) (times int) {
		asks := book(t, nil, map[string]recipe.Operation{"GET /a": guarded(func(o *recipe.Operation) {
			o.Raise, o.Send = []recipe.Raise{{When: "values.x > 5", Level: "strong"}}, map[string]string{"x": "query.x"}
		})}).Operation("accounts", "GET /a")
		for _, change := range changes {
			who, from := caller(nil), weigh.Source{Query: "x=1&y=1"}
			if change != nil {
				change(&who, &from)
			}
			values, err := asks.Read(from, true)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := asks.Online(t.Context(), s, who, values); !errors.Is(err, s.err) {
				t.Fatal(err)
			}
		}
		return len(s.asked)
	}
	living := func() *server {
		return &server{said: authzen.Decision{Decision: true, Context: &authzen.Context{Lifetime: 30}}}
	}
	for name, c := range map[string]struct {
		s      *server
		change func(*weigh.Caller, *weigh.Source)
		asked  int
	}{
		"the same":                 {living(), nil, 1},
		"what is not mapped":       {living(), func(_ *weigh.Caller, s *weigh.Source) { s.Query = "x=1&y=2" }, 1},
		"a denial too":             {&server{said: authzen.Decision{Context: &authzen.Context{Lifetime: 30}}}, nil, 1},
		"later":                    {living(), func(c *weigh.Caller, _ *weigh.Source) { c.Now = now.Add(29 * time.Second) }, 1},
		"too late":                 {living(), func(c *weigh.Caller, _ *weigh.Source) { c.Now = now.Add(30 * time.Second) }, 2},
		"too late, whatever said":  {&server{said: authzen.Decision{Decision: true, Context: &authzen.Context{Lifetime: 1 << 60}}}, func(c *weigh.Caller, _ *weigh.Source) { c.Now = now.Add(weigh.MaxLifetime) }, 2},
		"no lifetime":              {&server{said: authzen.Decision{Decision: true}}, nil, 2},
		"another token":            {living(), func(c *weigh.Caller, _ *weigh.Source) { c.Claims.ID = "j2" }, 2},
		"another value":            {living(), func(_ *weigh.Caller, s *weigh.Source) { s.Query = "x=2" }, 2},
		"a value less":             {living(), func(_ *weigh.Caller, s *weigh.Source) { s.Query = "" }, 2},
		"another address":          {living(), func(c *weigh.Caller, _ *weigh.Source) { c.Address = netip.MustParseAddr("192.0.2.8") }, 2},
		"an error is no answer":    {&server{err: errors.New("no")}, nil, 2},
		"a token that has no name": {living(), func(c *weigh.Caller, _ *weigh.Source) { c.Claims.ID = "" }, 2},
	} {
		first := func(who *weigh.Caller, from *weigh.Source) {
			if strings.Contains(name, "no name") {
				c.change(who, from)
			}
		}
		if got := ask(c.s, first, c.change); got != c.asked {
			t.Errorf("%s: asked %d times", name, got)
		}
	}
}

// FuzzRead: whatever is sent, it is refused or read as the standard library would.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{honest, `{"amount":1,"Amount":2}`, `{"to":{"iban":"x"}}`, `[]`, `{"amount":1e999}`, "{\"amount\":\"\xff\"}", `{"amount":-0.0}`} {
		f.Add([]byte(seed), "urgent=true", "/accounts/42/transfers")
	}
	asks := transfer(f)
	f.Fuzz(func(t *testing.T, body []byte, query, path string) {
		from := source(string(body))
		from.Query, from.Path = query, path
		values, err := asks.Read(from, false)
		if err != nil {
			return
		}
		claims := caller(func(w *weigh.Caller) { w.Claims.Details = json.RawMessage(granted) }).Claims
		if _, err := asks.Exact(claims, values); err != nil {
			return
		}
		var plain struct {
			Amount float64
			To     struct{ IBAN string }
		}
		if json.Unmarshal(body, &plain) != nil || plain.Amount != 1050 || plain.To.IBAN != "FR76 1" {
			t.Errorf("exact, and yet the API would read %+v of %q", plain, body)
		}
	})
}

func BenchmarkOffline(b *testing.B) {
	asks := book(b, nil, map[string]recipe.Operation{"GET /a": guarded(func(o *recipe.Operation) {
		o.Raise = []recipe.Raise{{When: "token.age > 3600", Level: "strong"}, {When: `client.kind == "browser" && !client.bound`, Deny: recipe.Words{"en": "x"}}}
	})}).Operation("accounts", "GET /a")
	who := caller(nil)
	b.ReportAllocs()
	for b.Loop() {
		if !asks.Offline(who).Permits() {
			b.Fatal("refused")
		}
	}
}

func BenchmarkNothing(b *testing.B) {
	made := book(b, nil, map[string]recipe.Operation{"GET /a": guarded(nil)})
	b.ReportAllocs()
	for b.Loop() {
		if made.Operation("accounts", "GET /a") != nil {
			b.Fatal("asks")
		}
	}
}

func TestTheZeroAnswerRefuses(t *testing.T) {
	if (weigh.Answer{}).Permits() || (weigh.Answer{}).StepUp() || !reflect.DeepEqual(weigh.Answer{}.Verdict, assurance.Deny) {
		t.Error("it lets through")
	}
}

// A detail that was spent stays so when the recipe compares other members, or its operation is called otherwise.
func TestARecipeMakesNoSpentDetailFreeAgain(t *testing.T) {
	keys := func(operation string, match map[string]string) map[string]bool {
		asks := book(t, nil, map[string]recipe.Operation{operation: guarded(func(o *recipe.Operation) { o.Details, o.Match = "transfer", match })}).Operation("accounts", operation)
		values, err := asks.Read(source(honest), false)
		if err != nil {
			t.Fatal(err)
		}
		claims := caller(nil).Claims
		claims.Details = json.RawMessage(granted)
		uses, err := asks.Exact(claims, values)
		if err != nil {
			t.Fatal(err)
		}
		named := map[string]bool{}
		for _, use := range uses {
			named[use.Key.String()] = true
		}
		return named
	}
	before := keys("POST /transfers", map[string]string{"amount": "body.amount"})
	for what, after := range map[string]map[string]bool{
		"more members":      keys("POST /transfers", map[string]string{"amount": "body.amount", "to.iban": "body.to.iban"}),
		"other members":     keys("POST /transfers", map[string]string{"to.iban": "body.to.iban"}),
		"another operation": keys("PUT /orders", map[string]string{"to.iban": "body.to.iban"}),
	} {
		spent := false
		for key := range after {
			spent = spent || before[key]
		}
		if !spent {
			t.Errorf("%s: it serves again", what)
		}
	}
}

// A detail whose members stand in path and query is compared with all of the request: a body must not name them besides.
func TestJ18ABodyNamesNothingBesides(t *testing.T) {
	asks := book(t, nil, map[string]recipe.Operation{"DELETE /a/{id}": guarded(func(o *recipe.Operation) {
		o.Details, o.Match = "transfer", map[string]string{"id": "path.id", "why": "query.why"}
	})}).Operation("accounts", "DELETE /a/{id}")
	for name, c := range map[string]struct {
		kind, body string
		good       bool
	}{
		"no body":           {"", "", true},
		"something else":    {"application/json", `{"x":1}`, true},
		"a picture":         {"image/png", "\x89PNG", true},
		"the word again":    {"application/json", `{"why":"other"}`, false},
		"another id":        {"application/json", `{"id":8}`, false},
		"the same id":       {"application/json", `{"id":7}`, true},
		"a form":            {"application/x-www-form-urlencoded", "why=other", false},
		"a form of parts":   {"multipart/form-data; boundary=x", "--x", false},
		"nobody knows what": {"", "why=other", false},
	} {
		from := weigh.Source{Path: "/a/7", Query: "why=because", Header: http.Header{}, Body: []byte(c.body)}
		if c.kind != "" {
			from.Header.Set("Content-Type", c.kind)
		}
		if _, err := asks.Read(from, false); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Of a payment the Server hears, however strong the token, and with no rule at all.
func TestOfWhatCountsTheServerHears(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*recipe.Operation)
		want   string
	}{
		"an amount": {func(o *recipe.Operation) { o.Send = map[string]string{"amount": "body.a"} }, "ask"},
		"a payee":   {func(o *recipe.Operation) { o.Send = map[string]string{"payee": "body.a"} }, "ask"},
		"a detail":  {func(o *recipe.Operation) { o.Details, o.Match = "transfer", map[string]string{"a": "body.a"} }, "ask"},
		"and the token is old": {func(o *recipe.Operation) {
			o.Send, o.Raise = map[string]string{"amount": "body.a"}, []recipe.Raise{{When: "token.age > 30", Level: "strong", Fresh: recipe.Duration(30 * time.Second)}}
		}, "step up [urn:strong] 30s"},
		"anything else": {func(o *recipe.Operation) { o.Send = map[string]string{"x": "body.a"} }, "nothing"},
	} {
		asks := book(t, nil, map[string]recipe.Operation{"POST /a": guarded(c.change)}).Operation("accounts", "POST /a")
		got := "nothing"
		if asks != nil && asks.Rules {
			got = said(asks.Offline(caller(func(w *weigh.Caller) { w.Claims.ACR = "urn:strong" })))
		}
		if got != c.want {
			t.Errorf("%s: %s, and not %s", name, got, c.want)
		}
	}
}
