package assurance_test

import (
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/assurance/signal"
)

const wary = `
garde: 1
company: {name: Bank of Example}
levels:
  - {name: basic,  acr: urn:basic,  any: [password, passkey]}
  - {name: strong, acr: urn:strong, any: [passkey, password+totp]}
scopes:
  read: {say: {en: See your balance}}
raise:
  - {when: "place.country == 'XX'", deny: Nobody comes from there.}
  - {when: "known.country && place.country != 'FR' && client.kind == 'web'", level: strong}
apis:
  accounts:
    at: https://api.bank.example
    operations:
      POST /transfers:
        for: [user]
        scope: read
        level: basic
        raise: [{when: "amount > 500000 || risk.new_country || risk.score >= 60", level: strong, fresh: 5m}, {when: "risk.young_account", level: strong}]
clients:
  app: {type: web, auth: client_secret_basic, redirect_uris: ["https://app.bank.example/cb"], scopes: [openid, read]}
`

// Whoever changes what guards an account proves, lately, the most that they can, and in a moment that is unlike them as much as
// any rule would ask for.
func TestWhatGuardsAnAccountIsAskedForByTheMoment(t *testing.T) {
	policy := compiled(t, wary)
	at := func(country string, risk signal.Result, held []string, password, totp time.Duration) *assurance.Question {
		q := person(proved("password", password))
		if totp >= 0 {
			q.Proofs = append(q.Proofs, proved("totp", totp))
		}
		q.Door, q.Client, q.Place.Country, q.Risk, q.User.Factors = assurance.DoorAccount, assurance.Client{Kind: "web"}, country, risk, held
		return q
	}
	only, both := []string{"password"}, []string{"password", "totp"}
	for name, c := range map[string]struct {
		question *assurance.Question
		verdict  assurance.Verdict
		acr      string
		unmet    bool
	}{
		"a calm moment, and a password of now":             {at("FR", signal.Result{}, only, 0, -1), assurance.Permit, "urn:basic", false},
		"a password of an hour ago":                        {at("FR", signal.Result{}, only, time.Hour, -1), assurance.StepUp, "urn:basic", false},
		"who has more proves more":                         {at("FR", signal.Result{}, both, 0, -1), assurance.StepUp, "urn:strong", false},
		"S09 a new country, and a password alone":          {at("FR", fired(25, "new_country"), only, 0, -1), assurance.Deny, "urn:strong", true},
		"a new country, and both":                          {at("FR", fired(25, "new_country"), both, 0, 0), assurance.Permit, "urn:strong", false},
		"a new country, and the other long ago":            {at("FR", fired(25, "new_country"), both, 0, time.Hour), assurance.StepUp, "urn:strong", false},
		"S09 a device that no rule names, and is strange":  {at("FR", fired(25, "new_device"), only, 0, -1), assurance.Deny, "urn:strong", true},
		"S09 a score that a rule reads":                    {at("FR", fired(60, "failures"), only, 0, -1), assurance.Deny, "urn:strong", true},
		"an account of today is not strange":               {at("FR", fired(20, "young_account", "new_client"), only, 0, -1), assurance.Permit, "urn:basic", false},
		"S09 another country by a rule that reads places":  {at("DE", signal.Result{}, only, 0, -1), assurance.Deny, "urn:strong", true},
		"S09 a country that is refused":                    {at("XX", signal.Result{}, both, 0, 0), assurance.Deny, "", false},
		"S09 nothing can be found out":                     {at("FR", fired(100, "unreachable"), only, 0, -1), assurance.Deny, "urn:strong", true},
		"nobody has anything":                              {at("FR", signal.Result{}, nil, time.Hour, -1), assurance.Deny, "", true},
		"what is not held any more does not lead anywhere": {at("FR", signal.Result{}, []string{"totp"}, 0, 0), assurance.Deny, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			got := policy.Decide(c.question)
			if got.Verdict != c.verdict || got.ACR != c.acr || got.Unmet() != c.unmet {
				t.Errorf("%s %q unmet %v, want %s %q unmet %v: %v %v", got.Verdict, got.ACR, got.Unmet(), c.verdict, c.acr, c.unmet, got.Rules, got.Reasons)
			}
		})
	}
	if got := compiled(t, wary).Decide(&assurance.Question{Door: assurance.DoorAccount, Online: true, Now: noon}); got.Verdict != assurance.Deny {
		t.Error("nobody was permitted")
	}
}
