package lab_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/lab"
	"github.com/gardeauth/garde/recipe"
)

// decided counts what the journal tells of an operation, once it is written.
func decided(t *testing.T, h *lab.House, verdict, operation string) (times int) {
	t.Helper()
	events, err := h.Server.House.Events(t.Context(), iam.JournalQuery{Kind: "decision.made", Limit: 1000})
	must(t, err)
	for _, event := range events {
		var made journal.Decided
		must(t, json.Unmarshal(event.Detail, &made))
		if made.Verdict == verdict && (operation == "" || made.Operation == operation) {
			times += int(max(made.Times, 1))
		}
	}
	return times
}

// Who shows a spent detail again is refused before the Server is asked: else each replay would stand in the journal as a
// payment that was permitted, and teach that the amount is usual.
func TestS12AReplayedDetailIsNoPaymentThatWasPermitted(t *testing.T) {
	h := lab.New(t, lab.Options{Gate: true, Recipe: addWeighed, Files: weighedFiles})
	alice := h.NewPerson("alice")
	h.Allow(alice, lab.WebA, "openid", "weighed", "offline_access")
	tokens := allowedTo(h, alice, `[{"type":"payment","amount":7}]`)
	pay := func() lab.Reply {
		return h.Raw(lab.Request("POST", "/weighed/pay", `{"amount":7}`, "Authorization", "Bearer "+tokens.AccessToken, "Content-Type", "application/json"))
	}
	if reply := pay(); reply.Status != 200 {
		t.Fatalf("%d %s", reply.Status, reply.Body)
	}
	for range 6 {
		if reply := pay(); reply.Status != 403 {
			t.Fatalf("%d %s", reply.Status, reply.Body)
		}
	}
	h.Within(5*time.Second, "the payment is in the journal", func() bool { return decided(t, h, "permit", "POST /pay") > 0 })
	time.Sleep(200 * time.Millisecond)
	if times := decided(t, h, "permit", "POST /pay"); times != 1 {
		t.Errorf("one payment was done, and %d are told", times)
	}
}

// addTwofold adds an API that takes what it pays from the query, as the recipe says, or from a form, as its framework does.
func addTwofold(r *recipe.Recipe) {
	accounts := r.APIs["accounts"]
	strong := []recipe.Raise{{When: "amount > 500", Level: "strong"}}
	people := []recipe.Caller{recipe.ForUser}
	r.Levels = append(r.Levels, recipe.Level{Name: "strong", ACR: lab.Strong, Any: []string{"password+totp"}})
	r.APIs["twofold"] = recipe.API{
		At: strings.Replace(accounts.At, "/accounts", "/twofold", 1), Upstream: accounts.Upstream, Client: lab.Accounts,
		Operations: map[string]recipe.Operation{
			"POST /pay":        {For: people, Scope: "accounts.read", Send: map[string]string{"amount": "query.amount"}, Raise: strong},
			"POST /pay/{sum}":  {For: people, Scope: "accounts.read", Send: map[string]string{"amount": "path.sum"}, Raise: strong},
			"POST /pay-body":   {For: people, Scope: "accounts.read", Send: map[string]string{"amount": "body.amount"}, Raise: strong},
			"POST /files/{id}": {For: people, Scope: "accounts.read", Send: map[string]string{"id": "path.id"}, Raise: []recipe.Raise{{When: `values.id == "7"`, Level: "strong"}}},
		},
	}
}

func TestJ18WhatIsPaidStandsInOnePlace(t *testing.T) {
	h := lab.New(t, lab.Options{Gate: true, Recipe: addTwofold})
	alice := h.NewPerson("alice")
	tokens := h.Tokens(alice, lab.Plant{Scope: "openid accounts.read", Resource: h.GateURL + "/twofold"})
	const form, multi, js = "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json"
	parts := "--x\r\nContent-Disposition: form-data; name=\"amount\"\r\n\r\n9000\r\n--x--\r\n"
	for name, c := range map[string]struct {
		path, kind, body string
		status           int
	}{
		"an honest amount":                     {"/pay?amount=5", "", "", 200},
		"an honest amount, and something else": {"/pay?amount=5", js, `{"note":"x"}`, 200},
		"a large one":                          {"/pay?amount=5000", "", "", 403},
		"none":                                 {"/pay", "", "", 403},
		"none, and a form":                     {"/pay", form, "amount=9000", 415},
		"a form besides":                       {"/pay?amount=5", form, "amount=9000", 415},
		"a form of parts besides":              {"/pay?amount=5", multi, parts, 415},
		"JSON besides":                         {"/pay?amount=5", js, `{"amount":9000}`, 400},
		"JSON of another case besides":         {"/pay?amount=5", js, `{"AMOUNT":9000}`, 400},
		"a form beside a path":                 {"/pay/5", form, "sum=9000", 415},
		"JSON beside a path":                   {"/pay/5", js, `{"sum":9000}`, 400},
		"a path alone":                         {"/pay/5", "", "", 200},
		"a file where nothing is paid":         {"/files/5", multi, parts, 200},
		"1e3 is a thousand":                    {"/pay-body", js, `{"amount":1e3}`, 403},
		"1000.0 is a thousand":                 {"/pay-body", js, `{"amount":1000.0}`, 403},
		"a name that is spelled by escapes":    {"/pay-body", js, `{"\u0061mount":1000}`, 403},
		"the name twice, once by escapes":      {"/pay-body", js, `{"amount":5,"\u0061mount":1000}`, 400},
		"more than anybody counts":             {"/pay-body", js, `{"amount":1e400}`, 400},
		"beyond 64 bits":                       {"/pay-body", js, `{"amount":18446744073709551621}`, 403},
		"less than nothing by a text":          {"/pay-body", js, `{"amount":"1e3"}`, 403},
		"a list":                               {"/pay-body", js, `{"amount":[5]}`, 403},
		"an honest body":                       {"/pay-body", js, `{"amount":5}`, 200},
		"two kinds":                            {"/pay-body", js + "\x00" + form, `{"amount":5}`, 400},
		"JSON in UTF-16":                       {"/pay-body", js + "; charset=utf-16", `{"amount":5}`, 415},
		"JSON after a mark of order":           {"/pay-body", js, "\ufeff" + `{"amount":5}`, 400},
		"two objects":                          {"/pay-body", js, `{"amount":5}{"amount":9000}`, 400},
	} {
		t.Run(name, func(t *testing.T) {
			r := lab.Request("POST", "/twofold"+c.path, c.body, "Authorization", "Bearer "+tokens.AccessToken)
			if c.kind != "" {
				r.Header["Content-Type"] = strings.Split(c.kind, "\x00")
			}
			before := len(h.Upstream.Seen())
			if reply := h.Raw(r); reply.Status != c.status {
				t.Errorf("%d %s", reply.Status, reply.Body)
			}
			if reached := len(h.Upstream.Seen()) > before; reached != (c.status == 200) {
				t.Errorf("it reached the API: %v", reached)
			}
		})
	}
}

// Whoever asks says of its callers what it likes, but makes the journal lose nothing of what others did beside it: PostgreSQL
// keeps no NUL in a text.
func TestWhatAnAskerSaysSpoilsNoJournal(t *testing.T) {
	h := lab.New(t, lab.Options{Engine: lab.Postgres, Gate: true, Recipe: addTwofold})
	alice, token := h.NewPerson("alice"), gateToken(h)
	pay := func(note any) {
		t.Helper()
		asked := question(h, alice, h.GateURL+"/twofold", "POST /pay-body", "accounts.read", members{"amount": 5, "note": note, "payee": note})
		if reply := evaluate(t, h, evaluation, token, asked); !reply.True("decision") {
			t.Fatalf("%d %s", reply.Status, reply.Body)
		}
	}
	pay("x")
	for _, name := range []string{"sid", "grant_id", "client_id", "acr"} {
		asked := question(h, alice, h.GateURL+"/accounts", "GET /rates", "accounts.read", nil)
		asked["subject"].(members)["properties"].(members)[name] = "a\x00b"
		evaluate(t, h, evaluation, token, asked)
		pay("a\x00b")
	}
	pay(members{"\x00": "\x00"})
	h.Within(5*time.Second, "all payments are in the journal", func() bool { return decided(t, h, "permit", "POST /pay-body") == 6 })
}
