package lab_test

import (
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/lab"
	"github.com/gardeauth/garde/recipe"
)

// weighedFiles are the files that addWeighed names.
var weighedFiles = map[string][]byte{"payment.json": []byte(`{"type":"object","additionalProperties":false,"required":["type","amount"],"properties":{"type":{"const":"payment"},"amount":{"type":"integer"}}}`)}

// addWeighed adds an API whose operations ask for more than a good token: a rule that the token tells, one that only the
// Server can tell, and a call for exactly what was granted.
func addWeighed(r *recipe.Recipe) {
	people, accounts := []recipe.Caller{recipe.ForUser}, r.APIs["accounts"]
	r.APIs["weighed"] = recipe.API{
		At: strings.Replace(accounts.At, "/accounts", "/weighed", 1), Upstream: accounts.Upstream, Client: lab.Vault,
		Details: map[string]recipe.Detail{"payment": {Schema: "payment.json", Say: recipe.Text{"en": "Pay {amount}"}, Amount: "amount"}},
		Operations: map[string]recipe.Operation{
			"GET /plain": {For: people, Scope: "weighed"},
			"GET /old":   {For: people, Scope: "weighed", Raise: []recipe.Raise{{When: "token.age > 3600", Level: "basic", Fresh: recipe.Duration(time.Hour)}}},
			"GET /inner": {For: people, Scope: "weighed", Raise: []recipe.Raise{{When: `!("staff" in user.groups)`, Deny: recipe.Words{"en": "This is for our own people.", "fr": "C’est réservé à nos équipes."}}}},
			"POST /sum": {For: people, Scope: "weighed", Send: map[string]string{"sum": "body.sum"}, Raise: []recipe.Raise{
				{When: "values.sum > 100", Deny: recipe.Words{"en": "Nobody may have so much at once."}},
				{When: "values.sum > 10", Level: "basic", Fresh: recipe.Duration(time.Minute)},
			}},
			"POST /pay": {For: people, Scope: "weighed", Details: "payment", Match: map[string]string{"amount": "body.amount"}},
		},
	}
	r.Scopes["weighed"] = recipe.Scope{Say: recipe.Text{"en": "Do what is weighed"}}
	for _, id := range []string{lab.WebA, lab.Native} {
		client := r.Clients[id]
		client.Scopes = append(client.Scopes, "weighed")
		client.Metadata.Details = append(client.Metadata.Details, "payment")
		r.Clients[id] = client
	}
}
