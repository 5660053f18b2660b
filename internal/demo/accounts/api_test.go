package accounts_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/demo/accounts"
	"github.com/gardeauth/garde/internal/demo/local"
)

func ask(api http.Handler, method, path, subject, body string, more ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://127.0.0.1:7101"+path, strings.NewReader(body))
	if subject != "" {
		r.Header.Set("Garde-Subject", subject)
		r.Header.Set("Garde-Client", "bank-web")
		r.Header.Set("Garde-Scope", "accounts.read")
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(more); i += 2 {
		if more[i] == "Host" {
			r.Host = more[i+1]
			continue
		}
		r.Header.Add(more[i], more[i+1])
	}
	w := httptest.NewRecorder()
	api.ServeHTTP(w, r)
	return w
}

type holding struct {
	Cents    int64
	Accounts []accounts.Account
}

func holdings(t *testing.T, api http.Handler, subject string) holding {
	t.Helper()
	var h holding
	w := ask(api, "GET", "/balance", subject, "")
	if err := json.Unmarshal(w.Body.Bytes(), &h); err != nil || w.Code != 200 {
		t.Fatalf("answered %d: %v", w.Code, err)
	}
	return h
}

func TestWhatAPersonHasIsTheSameAfterARestart(t *testing.T) {
	now := func() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) }
	first, again, other := holdings(t, &accounts.API{Now: now}, "usr_a"), holdings(t, &accounts.API{Now: now}, "usr_a"), holdings(t, &accounts.API{Now: now}, "usr_b")
	if first.Cents != again.Cents || first.Accounts[0].ID != again.Accounts[0].ID {
		t.Error("another balance after a restart")
	}
	if first.Cents == other.Cents || first.Accounts[0].ID == other.Accounts[0].ID {
		t.Error("two people have the same")
	}
	var sum int64
	for _, a := range first.Accounts {
		sum += a.Cents
		if rest := mod97(a.Number); rest != 1 {
			t.Errorf("%s does not add up: %d", a.Number, rest)
		}
	}
	if sum != first.Cents {
		t.Errorf("the total is %d, the accounts hold %d", first.Cents, sum)
	}
}

// mod97 is the check of ISO 13616: the first four characters go to the end, letters count from 10.
func mod97(number string) int {
	number = strings.ReplaceAll(number, " ", "")
	rest := 0
	for _, c := range number[4:] + number[:4] {
		if c >= 'A' {
			rest = (rest*100 + int(c-'A') + 10) % 97
		} else {
			rest = (rest*10 + int(c-'0')) % 97
		}
	}
	return rest
}

func TestTheAPIRefuses(t *testing.T) {
	api := &accounts.API{}
	mine, theirs := holdings(t, api, "usr_a").Accounts, holdings(t, api, "usr_b").Accounts
	order := func(members string) string {
		return `{"from":"` + mine[0].ID + `","to":"` + mine[1].ID + `"` + members + `}`
	}
	for name, c := range map[string]struct {
		method, path, subject, body string
		more                        []string
		status                      int
	}{
		"nobody named":               {"GET", "/balance", "", "", nil, 401},
		"a client without a person":  {"GET", "/balance", "", "", []string{"Garde-Client", "bank-nightly", "Garde-Subject", "bank-nightly"}, 401},
		"a person without a client":  {"GET", "/balance", "", "", []string{"Garde-Subject", "usr_a"}, 401},
		"two subjects":               {"GET", "/balance", "usr_a", "", []string{"Garde-Subject", "usr_b"}, 401},
		"a name that was rebound":    {"GET", "/balance", "usr_a", "", []string{"Host", "rebound.example:7101"}, 421},
		"another person's account":   {"GET", "/accounts/" + theirs[0].ID, "usr_a", "", nil, 404},
		"no such account":            {"GET", "/accounts/acc-x", "usr_a", "", nil, 404},
		"no such operation":          {"GET", "/admin", "usr_a", "", nil, 404},
		"another method":             {"PUT", "/balance", "usr_a", "", nil, 404},
		"a person wants a statement": {"GET", "/statement", "usr_a", "", nil, 403},
		"a day that is none":         {"GET", "/statement?day=soon", "", "", []string{"Garde-Client", "bank-nightly"}, 400},
		"two days":                   {"GET", "/statement?day=2026-01-01&day=2026-01-02", "", "", []string{"Garde-Client", "bank-nightly"}, 400},
		"a form for a body":          {"POST", "/transfers", "usr_a", "", []string{"Content-Type", "application/x-www-form-urlencoded"}, 415},
		"no amount":                  {"POST", "/transfers", "usr_a", order(``), nil, 400},
		"a negative amount":          {"POST", "/transfers", "usr_a", order(`,"cents":-1`), nil, 400},
		"half a cent":                {"POST", "/transfers", "usr_a", order(`,"cents":0.5`), nil, 400},
		"an amount with exponent":    {"POST", "/transfers", "usr_a", order(`,"cents":1e2`), nil, 400},
		"an amount as text":          {"POST", "/transfers", "usr_a", order(`,"cents":"1"`), nil, 400},
		"too much for one order":     {"POST", "/transfers", "usr_a", order(`,"cents":1000001`), nil, 400},
		"J18 a name twice":           {"POST", "/transfers", "usr_a", order(`,"cents":1,"cents":2`), nil, 400},
		"J18 a name in another case": {"POST", "/transfers", "usr_a", order(`,"Cents":1`), nil, 400},
		"an unknown name":            {"POST", "/transfers", "usr_a", order(`,"cents":1,"fee":0`), nil, 400},
		"a note of two lines":        {"POST", "/transfers", "usr_a", order(`,"cents":1,"note":"a\nb"`), nil, 400},
		"something after the object": {"POST", "/transfers", "usr_a", order(`,"cents":1`) + "{}", nil, 400},
		"a list":                     {"POST", "/transfers", "usr_a", `[]`, nil, 400},
		"nested":                     {"POST", "/transfers", "usr_a", order(`,"cents":{"a":1}`), nil, 400},
		"too long":                   {"POST", "/transfers", "usr_a", order(`,"note":"` + strings.Repeat("x", 5000) + `"`), nil, 413},
		"to another person":          {"POST", "/transfers", "usr_a", `{"from":"` + mine[0].ID + `","to":"` + theirs[0].ID + `","cents":1}`, nil, 422},
		"from another person":        {"POST", "/transfers", "usr_a", `{"from":"` + theirs[0].ID + `","to":"` + mine[0].ID + `","cents":1}`, nil, 422},
		"to the same account":        {"POST", "/transfers", "usr_a", `{"from":"` + mine[0].ID + `","to":"` + mine[0].ID + `","cents":1}`, nil, 422},
		"more than there is":         {"POST", "/transfers", "usr_a", order(`,"cents":1000000`), nil, 422},
	} {
		t.Run(name, func(t *testing.T) {
			if w := ask(api, c.method, c.path, c.subject, c.body, c.more...); w.Code != c.status {
				t.Errorf("answered %d, want %d: %s", w.Code, c.status, w.Body)
			}
		})
	}
	if now := holdings(t, api, "usr_a").Accounts; now[0].Cents != mine[0].Cents || now[1].Cents != mine[1].Cents {
		t.Error("money moved all the same")
	}
}

func TestMoneyMovesOnceAndIsConserved(t *testing.T) {
	api := &accounts.API{}
	before := holdings(t, api, "usr_a")
	body := `{"from":"` + before.Accounts[0].ID + `","to":"` + before.Accounts[1].ID + `","cents":1250,"note":"été"}`
	if w := ask(api, "POST", "/transfers", "usr_a", body); w.Code != 201 {
		t.Fatalf("answered %d: %s", w.Code, w.Body)
	}
	after := holdings(t, api, "usr_a")
	if after.Cents != before.Cents || after.Accounts[1].Cents != before.Accounts[1].Cents+1250 {
		t.Errorf("before %+v, after %+v", before, after)
	}
	if w := ask(api, "GET", "/accounts/"+before.Accounts[1].ID, "usr_a", ""); !strings.Contains(w.Body.String(), "été") {
		t.Errorf("no entry: %s", w.Body)
	}
}

func TestNothingListensOffLoopback(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", ":0", "[::]:0", "example.com:0", "10.0.0.1:0"} {
		if l, err := local.Listen(address, ""); err == nil {
			l.Close()
			t.Errorf("%s was listened on", address)
		}
	}
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Skip(err)
	}
	ctx, stop := context.WithTimeout(context.Background(), 5*time.Second)
	defer stop()
	if err := (&accounts.API{}).Run(ctx, l); err == nil || ctx.Err() != nil {
		t.Errorf("the API ran: %v", err)
	}
}

func TestTheFreePortIsTakenAgain(t *testing.T) {
	file := t.TempDir() + "/accounts.port"
	first, err := local.Listen("127.0.0.1:0", file)
	if err != nil {
		t.Fatal(err)
	}
	address := first.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- (&accounts.API{}).Run(ctx, first) }()
	response, err := http.Get("http://" + address + "/rates")
	if err != nil || response.StatusCode != 200 {
		t.Fatalf("rates: %v", err)
	}
	response.Body.Close()
	stop()
	if err := <-done; err != nil {
		t.Errorf("it ended with %v", err)
	}
	again, err := local.Listen("127.0.0.1:0", file)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if again.Addr().String() != address {
		t.Errorf("%s, then %s", address, again.Addr())
	}
	if third, err := local.Listen("127.0.0.1:0", file); err != nil {
		t.Errorf("a port in use stopped the start: %v", err)
	} else {
		third.Close()
	}
}

func FuzzTransfer(f *testing.F) {
	for _, seed := range []string{`{"from":"a","to":"b","cents":1}`, `{"cents":1,"cents":2}`, `{"Cents":1}`, `{}`, `[]`, `{"note":"\ud800"}`, "{\"\xff\":1}", `{"cents":1e9}`, `{"a":{}}`, ``} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		order, err := accounts.ReadTransfer(body)
		if err != nil {
			return
		}
		if order.Cents <= 0 || order.From == "" || order.To == "" || len(order.Note) > 4*60 {
			t.Errorf("%q was read as %+v", body, order)
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal(body, &members); err != nil || len(members) > 4 {
			t.Errorf("%q is no such object: %v", body, err)
		}
	})
}

func TestWhatAnAggregatorWasAllowed(t *testing.T) {
	api := &accounts.API{Now: func() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) }}
	id := holdings(t, api, "usr_a").Accounts[0].ID
	const name = "Garde-Authorization-Details"
	for what, row := range map[string]struct {
		method, path, details string
		status                int
	}{
		"balances":                         {"GET", "/balance", `[{"type":"account_information","until":"2026-11-23"}]`, 200},
		"balances, a day too late":         {"GET", "/balance", `[{"type":"account_information","until":"2026-11-22"}]`, 403},
		"balances, until no day":           {"GET", "/balance", `[{"type":"account_information"}]`, 403},
		"balances, by something unknown":   {"GET", "/balance", `[{"type":"payment","until":"2026-11-23"}]`, 403},
		"balances, by one of two":          {"GET", "/balance", `[{"type":"payment"},{"type":"account_information","until":"2026-12-01"}]`, 200},
		"what was spent":                   {"GET", "/accounts/" + id, `[{"type":"account_information","until":"2026-12-01"}]`, 403},
		"moving money":                     {"POST", "/transfers", `[{"type":"account_information","until":"2026-12-01"}]`, 403},
		"what was spent, without a detail": {"GET", "/accounts/" + id, "", 200},
		"details that are none":            {"GET", "/balance", `{}`, 401},
		"no details in a list":             {"GET", "/balance", `[]`, 401},
	} {
		t.Run(what, func(t *testing.T) {
			more := []string{}
			if row.details != "" {
				more = []string{name, row.details}
			}
			if w := ask(api, row.method, row.path, "usr_a", "", more...); w.Code != row.status {
				t.Errorf("answered %d %s", w.Code, w.Body)
			}
		})
	}
	if w := ask(api, "GET", "/balance", "usr_a", "", name, `[{"type":"account_information","until":"2999-01-01"}]`, name, "[]"); w.Code != 401 {
		t.Errorf("the header twice: %d", w.Code)
	}
}
