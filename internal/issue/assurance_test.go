package issue_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/recipe"
)

// ruled puts a recipe in force with two levels, an operation that asks for one, and rules for all.
func (h *house) ruled(level string, fresh time.Duration, rules ...recipe.Raise) {
	h.t.Helper()
	policy, err := assurance.Assemble(&recipe.Bundle{Recipe: &recipe.Recipe{
		Levels: []recipe.Level{
			{Name: "basic", ACR: "urn:basic", Any: []string{"password"}}, {Name: "strong", ACR: "urn:strong", Any: []string{"passkey"}},
		},
		Scopes: map[string]recipe.Scope{"read": {Say: recipe.Text{"en": "Read"}}, "write": {Say: recipe.Text{"en": "Write"}}}, Raise: rules,
		APIs: map[string]recipe.API{"api": {At: audience, Operations: map[string]recipe.Operation{
			"GET /":  {Scope: "read", For: []recipe.Caller{recipe.ForUser}, Level: level, Fresh: recipe.Duration(fresh)},
			"POST /": {Scope: "write", For: []recipe.Caller{recipe.ForUser, recipe.ForClient}},
		}}},
	}}, 2, issuer)
	h.must(err)
	h.desk.Policy = func() *assurance.Policy { return policy }
}

func TestS12WhatWasProvedMustBeEnoughUnderThePolicyOfNow(t *testing.T) {
	for name, c := range map[string]struct {
		level string
		fresh time.Duration
		rules []recipe.Raise
		acr   string
		code  string
	}{
		"the level of before":                   {"basic", 0, nil, "urn:basic", ""},
		"a higher one than was needed":          {"basic", 0, nil, "urn:strong", ""},
		"the recipe has raised it since":        {"strong", 0, nil, "urn:basic", "invalid_grant"},
		"the level is gone":                     {"basic", 0, nil, "urn:gone", "invalid_grant"},
		"no level was ever reached":             {"basic", 0, nil, "", "invalid_grant"},
		"none is needed":                        {"", 0, nil, "", ""},
		"how long ago is the operation's":       {"basic", time.Minute, nil, "urn:basic", ""},
		"a rule about the client raises":        {"basic", 0, []recipe.Raise{{When: `client.id == "c-web"`, Level: "strong"}}, "urn:basic", "invalid_grant"},
		"and is met":                            {"basic", 0, []recipe.Raise{{When: `client.id == "c-web"`, Level: "strong"}}, "urn:strong", ""},
		"a rule refuses":                        {"basic", 0, []recipe.Raise{{When: `client.kind == "web"`, Deny: recipe.Words{"en": "no"}}}, "urn:strong", "invalid_grant"},
		"a rule over the moment is not for now": {"basic", 0, []recipe.Raise{{When: `risk.score > 10`, Deny: recipe.Words{"en": "no"}}}, "urn:basic", ""},
		"F11 a rule about the person's groups":  {"basic", 0, []recipe.Raise{{When: `!("staff" in user.groups)`, Level: "strong"}}, "urn:basic", "invalid_grant"},
		"about a group that they are not in":    {"basic", 0, []recipe.Raise{{When: `"staff" in user.groups`, Deny: recipe.Words{"en": "no"}}}, "urn:basic", ""},
		"and one over groups and the moment":    {"basic", 0, []recipe.Raise{{When: `"staff" in user.groups && risk.score > 10`, Deny: recipe.Words{"en": "no"}}}, "urn:basic", ""},
		"nor one over freshness alone":          {"basic", 0, []recipe.Raise{{When: `client.id == "c-web"`, Fresh: recipe.Duration(time.Minute)}}, "urn:basic", ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			h.desk.Journal = h.tenant
			order := h.codeWith("c-web", func(code *iam.Code) { code.Grant.ACR, code.Grant.AuthTime = c.acr, h.now.Add(-time.Hour) })
			order.Grant.ACR, order.Grant.AuthTime = c.acr, h.now.Add(-time.Hour)
			first := h.issued(order)
			h.ruled(c.level, c.fresh, c.rules...)
			answer, err := h.desk.Issue(t.Context(), again(order, first.RefreshToken))
			if oauth.CodeOf(err) != c.code || (err == nil) != (answer.AccessToken != "") {
				t.Fatalf("error %v, want %q", err, c.code)
			}
			events, err := h.tenant.Events(t.Context(), iam.JournalQuery{Kind: "decision.made", Limit: 5})
			h.must(err)
			if c.code == "" {
				if len(events) > 0 {
					t.Errorf("the journal says %s", events[0].Detail)
				}
				return
			}
			var said journal.Decided
			if len(events) != 1 || json.Unmarshal(events[0].Detail, &said) != nil || said.Verdict != "deny" || said.Door != "token" || said.Reached != c.acr {
				t.Errorf("the journal says %+v", events)
			}
			h.ruled("", 0) // and nothing has ended: the recipe that asks for less gives again
			h.issued(again(order, first.RefreshToken))
		})
	}
	t.Run("a client for itself proves nothing of a person", func(t *testing.T) {
		h := open(t)
		h.ruled("strong", time.Minute, recipe.Raise{When: "true", Level: "strong"})
		order := h.code("c-web")
		order.GrantType, order.Code, order.Subject, order.Grant, order.GiveID, order.GiveRefresh = oauth.ClientCredentials, nil, "", iam.Grant{}, false, false
		order.Scope = oauth.Scope{"write"}
		h.issued(order)
	})
}
