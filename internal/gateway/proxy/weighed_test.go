package proxy_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/authzen"
	"github.com/gardeauth/garde/internal/gateway/proxy"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/recipe"
)

// point is the Server, as far as these steps ask it.
type point struct {
	says  atomic.Pointer[authzen.Decision] // nil: it can't be reached
	asked atomic.Int64
	heard atomic.Pointer[authzen.Evaluation] // what it was asked last

	mu       sync.Mutex
	used     map[iam.Digest]bool
	gone     atomic.Bool
	releases atomic.Int64
}

var errGone = errors.New("the Server can't be reached")

func (p *point) Evaluate(_ context.Context, question authzen.Evaluation) (authzen.Decision, error) {
	p.asked.Add(1)
	p.heard.Store(&question)
	if said := p.says.Load(); said != nil {
		return *said, nil
	}
	return authzen.Decision{}, errGone
}

func (p *point) ReserveUse(_ context.Context, use iam.Use) (bool, error) {
	if p.gone.Load() {
		return false, errGone
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	first := !p.used[use.Key]
	p.used[use.Key] = true
	return first, nil
}

func (p *point) ReleaseUse(_ context.Context, key iam.Digest) error {
	p.releases.Add(1)
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.used, key)
	return nil
}

// weighed is a Gate whose operations ask for more than a good token.
func weighed(t *testing.T, change ...func(*recipe.Recipe)) (*set, *point) {
	t.Helper()
	p := &point{used: map[iam.Digest]bool{}}
	p.says.Store(&authzen.Decision{Decision: true})
	s := build(t, func(c *proxy.Config) { c.Decider, c.Uses = p, p })
	adopt(t, s, s.upstream.URL, change...)
	return s, p
}

func adopt(t *testing.T, s *set, upstream string, change ...func(*recipe.Recipe)) {
	t.Helper()
	r := bank(upstream)
	forUser := []recipe.Caller{recipe.ForUser}
	r.Clients = map[string]recipe.Client{"mobile": {Type: recipe.Native}}
	accounts := r.APIs["accounts"]
	accounts.Details = map[string]recipe.Detail{"transfer": {}}
	accounts.Operations["POST /payments"] = recipe.Operation{For: forUser, Scope: "transfers.write", Details: "transfer", Match: map[string]string{"amount": "body.amount"}}
	accounts.Operations["GET /old"] = recipe.Operation{For: forUser, Scope: "accounts.read", Raise: []recipe.Raise{{When: "token.age > 5", Level: "strong", Fresh: recipe.Duration(time.Minute)}}}
	accounts.Operations["GET /risky"] = recipe.Operation{For: forUser, Scope: "accounts.read", Raise: []recipe.Raise{{When: "risk.score > 50", Level: "strong"}}}
	accounts.Operations["POST /valued"] = recipe.Operation{For: forUser, Scope: "accounts.read", Send: map[string]string{"a": "body.a"}, Raise: []recipe.Raise{{When: "values.a > 5", Deny: recipe.Words{"en": "x"}}}}
	for _, each := range change {
		each(r)
	}
	if err := s.gate.Adopt(r); err != nil {
		t.Fatal(err)
	}
}

func (s *set) detailed(t testing.TB) string {
	return s.token(t, map[string]any{"authorization_details": []map[string]any{{"type": "transfer", "amount": 7}}})
}

func (s *set) pay(t testing.TB, token, body string) answered {
	t.Helper()
	header := bearer(token)
	header.Set("Content-Type", "application/json")
	return s.do(t, "POST", "/accounts/payments", header, strings.NewReader(body))
}

func TestARecipeThatNobodyCanApplyIsNotAdopted(t *testing.T) {
	s := build(t)
	for name, operation := range map[string]recipe.Operation{
		"rules":   {For: []recipe.Caller{recipe.ForUser}, Scope: "a", Raise: []recipe.Raise{{When: "risk.score > 5", Deny: recipe.Words{"en": "x"}}}},
		"details": {For: []recipe.Caller{recipe.ForUser}, Scope: "a", Details: "d", Match: map[string]string{"a": "body.a"}},
	} {
		r := bank(s.upstream.URL)
		r.APIs["accounts"].Operations["POST /it"] = operation
		if err := s.gate.Adopt(r); err == nil {
			t.Errorf("%s: adopted by a Gate that has nobody to ask", name)
		}
	}
}

func TestS12ADetailServesForExactlyItsRequestOnce(t *testing.T) {
	s, _ := weighed(t)
	token := s.detailed(t)
	for name, body := range map[string]string{
		"another amount": `{"amount":8}`, "no amount": `{}`, "no body": ``, "the amount as a text": `{"amount":"7"}`,
	} {
		if a := s.pay(t, token, body); a.status != 403 || !strings.Contains(a.header.Get("WWW-Authenticate"), "insufficient_scope") {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	for name, body := range map[string]string{
		"W J18 twice": `{"amount":7,"amount":9}`, "W J19 in other letters too": `{"amount":7,"Amount":9}`, "no JSON": `amount=7`, "two": `{"amount":7}{}`,
	} {
		if a := s.pay(t, token, body); a.status != 400 {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if a := s.pay(t, token, `{"amount":7,"memo":"`+strings.Repeat("x", 2000)+`"}`); a.status != 413 {
		t.Errorf("too large: %d", a.status)
	}
	if s.reached.Load() != 0 {
		t.Fatal("the API was reached")
	}
	const odd = " {\"memo\" : \"caf\\u00e9\",\r\n \"amount\":7.0 }\n"
	if a := s.pay(t, token, odd); a.status != 200 || a.seen.Body != odd || a.seen.Header.Get("Content-Length") != "" && a.seen.Header.Get("Content-Length") != "41" {
		t.Errorf("%d %q %v", a.status, a.seen.Body, a.seen.Header)
	}
	if a := s.pay(t, token, odd); a.status != 403 || !strings.Contains(a.body, "serves once") {
		t.Errorf("again: %d %s", a.status, a.body)
	}
	if a := s.pay(t, s.detailed(t), odd); a.status != 403 {
		t.Errorf("with another token of the grant: %d", a.status)
	}
	if a := s.pay(t, s.token(t, nil), odd); a.status != 403 || !strings.Contains(a.body, "authorization_details") {
		t.Errorf("without details: %d %s", a.status, a.body)
	}
}

func TestABodyWithoutLengthIsReadAndForwarded(t *testing.T) {
	s, _ := weighed(t)
	header := bearer(s.detailed(t))
	header.Set("Content-Type", "application/json")
	body := `{"amount":7,"more":"` + strings.Repeat("y", 200) + `"}`
	if a := s.do(t, "POST", "/accounts/payments", header, struct{ io.Reader }{strings.NewReader(body)}); a.status != 200 || a.seen.Body != body {
		t.Errorf("%d %s", a.status, a.body)
	}
	header = bearer(s.detailed(t))
	header.Set("Content-Type", "application/json")
	if a := s.do(t, "POST", "/accounts/payments", header, struct{ io.Reader }{strings.NewReader(strings.Repeat(" ", 5000))}); a.status != 413 {
		t.Errorf("too large: %d %s", a.status, a.body)
	}
}

func TestOfManyAtOnceOneIsForwarded(t *testing.T) {
	s, _ := weighed(t)
	for range 5 {
		token := s.token(t, map[string]any{"grant_id": iam.NewSecret("g"), "authorization_details": []map[string]any{{"type": "transfer", "amount": 7}}})
		before := s.reached.Load()
		var good, spent atomic.Int64
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				switch s.pay(t, token, `{"amount":7}`).status {
				case 200:
					good.Add(1)
				case 403:
					spent.Add(1)
				}
			})
		}
		all.Wait()
		if good.Load() != 1 || spent.Load() != 19 || s.reached.Load() != before+1 {
			t.Errorf("%d good, %d spent, %d reached the API", good.Load(), spent.Load(), s.reached.Load()-before)
		}
	}
}

func TestAUseIsReleasedOnlyWhenNothingWasSent(t *testing.T) {
	s, p := weighed(t)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	token := s.detailed(t)
	adopt(t, s, "http://"+closed.Addr().String())
	if a := s.pay(t, token, `{"amount":7}`); a.status != 502 || p.releases.Load() != 2 { // both names of its use
		t.Fatalf("nobody listens: %d, %d releases", a.status, p.releases.Load())
	}
	adopt(t, s, s.upstream.URL)
	s.does(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		panic(http.ErrAbortHandler)
	})
	if a := s.pay(t, token, `{"amount":7}`); a.status != 502 {
		t.Fatalf("broken off: %d", a.status)
	}
	s.answer.Store(nil)
	if a := s.pay(t, token, `{"amount":7}`); a.status != 403 || p.releases.Load() != 2 {
		t.Errorf("after bytes were sent: %d, %d releases", a.status, p.releases.Load())
	}
	t.Run("an API that refuses has been asked", func(t *testing.T) {
		token := s.token(t, map[string]any{"grant_id": "other", "authorization_details": []map[string]any{{"type": "transfer", "amount": 7}}})
		s.does(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
		defer s.answer.Store(nil)
		if first, second := s.pay(t, token, `{"amount":7}`), s.pay(t, token, `{"amount":7}`); first.status != 503 || second.status != 403 {
			t.Errorf("%d %d", first.status, second.status)
		}
	})
	t.Run("without the Server nothing is forwarded", func(t *testing.T) {
		p.gone.Store(true)
		defer p.gone.Store(false)
		before := s.reached.Load()
		if a := s.pay(t, s.token(t, map[string]any{"grant_id": "third", "authorization_details": []map[string]any{{"type": "transfer", "amount": 7}}}), `{"amount":7}`); a.status != 503 || s.reached.Load() != before {
			t.Errorf("%d", a.status)
		}
	})
}

func TestRulesAtTheGate(t *testing.T) {
	s, p := weighed(t)
	minute := int64(60)
	token := s.token(t, nil)
	if a := s.get(t, "/accounts/old", token); a.status != 401 || !strings.Contains(a.header.Get("WWW-Authenticate"), `acr_values="urn:strong", max_age="60"`) || p.asked.Load() != 0 {
		t.Errorf("W42 by the token: %d %q, asked %d times", a.status, a.header.Get("WWW-Authenticate"), p.asked.Load())
	}
	if a := s.get(t, "/accounts/old", s.token(t, map[string]any{"acr": "urn:strong"})); a.status != 200 {
		t.Errorf("strong: %d %s", a.status, a.body)
	}
	for name, c := range map[string]struct {
		says      *authzen.Decision
		status    int
		challenge string
		body      string
	}{
		"the Server can't be reached": {nil, 503, "", "temporarily_unavailable"},
		"it permits":                  {&authzen.Decision{Decision: true}, 200, "", ""},
		"it refuses":                  {&authzen.Decision{Context: &authzen.Context{Reasons: []authzen.Reason{{Code: "denied", Say: "not at night"}, {Code: "signal", Say: "a new country"}}}}, 403, "access_denied", "not at night"},
		"it refuses without a word":   {&authzen.Decision{}, 403, "access_denied", "trace"},
		"it asks for more":            {&authzen.Decision{Context: &authzen.Context{ACR: "urn:strong", MaxAge: &minute}}, 401, `acr_values="urn:strong", max_age="60"`, ""},
	} {
		p.says.Store(c.says)
		a := s.get(t, "/accounts/risky", s.token(t, nil))
		if a.status != c.status || !strings.Contains(a.header.Get("WWW-Authenticate"), c.challenge) || !strings.Contains(a.body, c.body) || strings.Contains(a.body, "new country") {
			t.Errorf("%s: %d %q %s", name, a.status, a.header.Get("WWW-Authenticate"), a.body)
		}
	}
	t.Run("S a payment that the Server can't be asked about is refused, however strong the token", func(t *testing.T) {
		p.says.Store(nil)
		before := s.reached.Load()
		strong := map[string]any{"acr": "urn:strong", "authorization_details": []map[string]any{{"type": "transfer", "amount": 7}}}
		if a := s.pay(t, s.token(t, strong), `{"amount":7}`); a.status != 503 || s.reached.Load() != before {
			t.Errorf("%d %s", a.status, a.body)
		}
		if a := s.get(t, "/accounts/risky", s.token(t, strong)); a.status != 503 {
			t.Errorf("a rule that reads the risk: %d", a.status)
		}
		p.says.Store(&authzen.Decision{Decision: true})
		if a := s.pay(t, s.token(t, strong), `{"amount":7}`); a.status != 200 {
			t.Errorf("and then %d %s", a.status, a.body)
		}
	})
	t.Run("what is sent on is what was read", func(t *testing.T) {
		p.says.Store(&authzen.Decision{Decision: true})
		header := bearer(s.token(t, nil))
		header.Set("Content-Type", "application/json")
		if a := s.do(t, "POST", "/accounts/valued", header, strings.NewReader(` {"a":1}`)); a.status != 200 || a.seen.Body != ` {"a":1}` {
			t.Errorf("%d %s", a.status, a.body)
		}
		header.Set("Authorization", "Bearer "+s.token(t, nil))
		if a := s.do(t, "POST", "/accounts/valued", header, strings.NewReader(`{"a":1,"A":9}`)); a.status != 400 {
			t.Errorf("%d %s", a.status, a.body)
		}
	})
}

// BenchmarkRulesOfATokenSeenBefore has a rule that the token tells, at an operation that is otherwise as plain as that of
// BenchmarkTokenSeenBefore.
func BenchmarkRulesOfATokenSeenBefore(b *testing.B) {
	upstream := backend(b)
	p := &point{}
	s := build(b, func(c *proxy.Config) { c.Decider, c.Uses = p, p })
	r := bank(upstream.URL)
	r.Clients = map[string]recipe.Client{"mobile": {Type: recipe.Native}}
	r.Raise = []recipe.Raise{{When: "token.age > 36000", Level: "strong"}, {When: `client.kind == "browser"`, Deny: recipe.Words{"en": "x"}}}
	if err := s.gate.Adopt(r); err != nil {
		b.Fatal(err)
	}
	token := s.token(b, nil)
	same := func() string { return token }
	compare(b, newCaller(b, bare(b, upstream.URL), same), newCaller(b, s.gate, same))
}

// TestARefusalIsReadInTheLanguageOfTheCaller: of a rule that the token tells, and of one that the Server is asked about, which
// then hears the languages. A challenge is a header, and leaves a text out that is not ASCII.
func TestARefusalIsReadInTheLanguageOfTheCaller(t *testing.T) {
	s, p := weighed(t, func(r *recipe.Recipe) {
		r.APIs["accounts"].Operations["GET /old"] = recipe.Operation{For: []recipe.Caller{recipe.ForUser}, Scope: "accounts.read", Raise: []recipe.Raise{
			{When: "token.age >= 0", Deny: recipe.Words{"en": "Not today.", "fr": "Désolés, pas aujourd’hui."}},
		}}
	})
	for accept, want := range map[string]string{"": "Not today.", "fr-CA, en;q=0.5": "Désolés, pas aujourd’hui.", "de": "Not today."} {
		header := bearer(s.token(t, nil))
		if accept != "" {
			header.Set("Accept-Language", accept)
		}
		a := s.do(t, "GET", "/accounts/old", header, nil)
		challenge := a.header.Get("WWW-Authenticate")
		if a.status != 403 || !strings.Contains(a.body, want) || strings.Contains(challenge, "error_description") != (want == "Not today.") || strings.Contains(challenge, "?") {
			t.Errorf("%q: %d %s %q", accept, a.status, a.body, challenge)
		}
	}
	p.says.Store(&authzen.Decision{Context: &authzen.Context{Lifetime: 60, Reasons: []authzen.Reason{{Code: "denied", Say: "Appelez-nous."}}}})
	header := bearer(s.token(t, nil))
	header.Set("Accept-Language", "fr-CA, en;q=0.5")
	a := s.do(t, "GET", "/accounts/risky", header, nil)
	if a.status != 403 || !strings.Contains(a.body, "Appelez-nous.") || strings.Join(p.heard.Load().Languages, " ") != "fr-CA fr en" {
		t.Errorf("asked: %d %s %v", a.status, a.body, p.heard.Load())
	}
	before := p.asked.Load()
	if s.do(t, "GET", "/accounts/risky", bearer(header.Get("Authorization")[len("Bearer "):]), nil); p.asked.Load() == before {
		t.Error("words in one language were remembered for another")
	}
}
