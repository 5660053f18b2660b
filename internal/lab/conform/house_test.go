package conform_test

import (
	"strings"
	"testing"

	"github.com/gardeauth/garde/internal/lab"
	"github.com/gardeauth/garde/recipe"
)

const paymentSchema = `{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","additionalProperties":false,
"required":["type","amount"],"properties":{"type":{"const":"payment"},"amount":{"type":"integer","minimum":1},"to":{"type":"string","maxLength":40}}}`

const payment = `[{"type":"payment","amount":1200,"to":"Ada"}]`

// newHouse builds a house on https, with these parties, and a payments API whose tokens are bound.
func newHouse(t testing.TB, options lab.Options, parties ...*party) *lab.House {
	t.Helper()
	files, change := map[string][]byte{"payment.json": []byte(paymentSchema)}, options.Recipe
	for _, each := range parties {
		files[each.id+".jwks.json"] = each.equip(t)
	}
	options.TLS, options.MTLS, options.Gate, options.Files = true, true, true, files
	options.Recipe = func(r *recipe.Recipe) {
		accounts, person := r.APIs["accounts"], []recipe.Caller{recipe.ForUser}
		r.Scopes["payments.write"] = recipe.Scope{Say: recipe.Text{"en": "Pay"}}
		r.APIs["payments"] = recipe.API{
			At: strings.Replace(accounts.At, "/accounts", "/payments", 1), Upstream: accounts.Upstream, Client: lab.Job, Bound: recipe.BoundRequired,
			Details:    map[string]recipe.Detail{"payment": {Schema: "payment.json", Say: recipe.Text{"en": "Pay {amount} to {to}"}}},
			Operations: map[string]recipe.Operation{"GET /it": {For: person, Scope: "payments.write"}, "POST /it": {For: person, Scope: "payments.write"}},
		}
		for _, each := range parties {
			r.Clients[each.id] = each.declared()
		}
		if change != nil {
			change(r)
		}
	}
	h := lab.New(t, options)
	for _, each := range parties {
		each.meet(t, h)
	}
	return h
}
