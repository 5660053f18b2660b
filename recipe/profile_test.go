package recipe_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/gardeauth/garde/recipe"
)

// model is a client that meets every profile but for what each of them asks alone.
func model(p recipe.Profile) recipe.Client {
	client := recipe.Client{
		Type: recipe.Web, Auth: "private_key_jwt", JWKSURI: "https://bank.example/jwks", Profile: p, Scopes: []string{"openid"},
		RedirectURIs: []string{"https://bank.example/cb"}, IDTokenAlg: "ES256",
	}
	client.InitiateLogin = "https://bank.example/begin"
	return client
}

// breaks has one client for each rule: it meets all the others.
var breaks = map[string]struct {
	profiles []recipe.Profile
	section  string
	change   func(*recipe.Client)
}{
	"no token through the browser": {nil, "OAuth 2.1 section 10.1", func(c *recipe.Client) { c.ResponseTypes = []string{"code", "code token"} }},
	"confidential":                 {fapi, "FAPI 2.0 Security Profile section 5.3.2.1", func(c *recipe.Client) { c.Type, c.Auth = recipe.Native, "" }},
	"proof by key":                 {fapi, "FAPI 2.0 Security Profile section 5.3.2.1", func(c *recipe.Client) { c.Auth = "client_secret_basic" }},
	"no rotation":                  {fapi, "FAPI 2.0 Security Profile section 5.3.2.1", func(c *recipe.Client) { c.Rotate = true }},
	"code alone":                   {fapi, "FAPI 2.0 Security Profile section 5.3.2.2", func(c *recipe.Client) { c.ResponseTypes = []string{"code id_token"} }},
	"pushed requests": {fapi, "FAPI 2.0 Security Profile section 5.3.2.2", func(c *recipe.Client) {
		c.RequestURIs = []string{"https://bank.example/request"}
	}},
	"https redirects": {fapi, "FAPI 2.0 Security Profile section 5.3.2.2", func(c *recipe.Client) {
		c.RedirectURIs = append(c.RedirectURIs, "http://127.0.0.1/cb")
	}},
	"algorithms": {fapi, "FAPI 2.0 Security Profile section 5.4.1", func(c *recipe.Client) { c.AuthAlg = "RS256" }},
	"no push": {fapi, "FAPI: CIBA Profile section 5.2.2", func(c *recipe.Client) {
		c.CIBADelivery = "push"
	}},
	"keys for requests": {fapi[1:], "FAPI 2.0 Message Signing section 5.3.1", func(c *recipe.Client) {
		c.Auth, c.JWKSURI, c.SANDNS = "tls_client_auth", "", "bank.example"
	}},
	"signed backchannel requests": {fapi[1:], "FAPI: CIBA Profile section 5.2.2", func(c *recipe.Client) {
		c.Grants = []string{"urn:openid:params:grant-type:ciba"}
	}},
	"people":          {ipsie, "IPSIE OpenID Connect SL1 section 3.3.2", func(c *recipe.Client) { c.Grants = []string{"client_credentials"} }},
	"claims alone":    {ipsie, "IPSIE OpenID Connect SL1 section 3.3.1", func(c *recipe.Client) { c.Scopes = append(c.Scopes, "pay") }},
	"bound by DPoP":   {ipsie, "IPSIE OpenID Connect SL1 section 3.3.1", func(c *recipe.Client) { c.TLSBound = true }},
	"begun by others": {ipsie, "IPSIE OpenID Connect SL1 section 3.3.2", func(c *recipe.Client) { c.InitiateLogin = "" }},
	"code alone, IPSIE": {ipsie, "IPSIE OpenID Connect SL1 section 3.3.1", func(c *recipe.Client) {
		c.ResponseTypes = []string{"id_token"}
	}},
	"https redirects, IPSIE": {ipsie, "IPSIE OpenID Connect SL1 section 3.3.1", func(c *recipe.Client) {
		c.RedirectURIs = []string{"com.bank.app:/cb"}
	}},
	"algorithms, IPSIE": {ipsie, "IPSIE OpenID Connect SL1 section 3.2", func(c *recipe.Client) { c.IDTokenAlg = "PS512" }},
}

var (
	fapi  = []recipe.Profile{recipe.FAPI2Security, recipe.FAPI2Messages}
	ipsie = []recipe.Profile{recipe.IPSIEOpenIDSL1}
	every = append(append([]recipe.Profile{recipe.OAuth21}, fapi...), ipsie...)
)

// TestEachRuleOfAProfileIsExplainedBySection: a client that meets all but one rule is refused by that rule and its section.
func TestEachRuleOfAProfileIsExplainedBySection(t *testing.T) {
	for name, row := range breaks {
		rule, _, _ := strings.Cut(name, ", IPSIE")
		profiles := row.profiles
		if profiles == nil {
			profiles = every
		}
		for _, profile := range profiles {
			t.Run(name+" of "+string(profile), func(t *testing.T) {
				client := model(profile)
				if held := profile.Refusals(client); len(held) > 0 {
					t.Fatalf("the model is refused: %v", held)
				}
				row.change(&client)
				breaches := profile.Refusals(client)
				// A token through the browser is more than a code, too.
				if rule == "no token through the browser" {
					breaches = slices.DeleteFunc(breaches, func(b recipe.Breach) bool { return b.Name == "code alone" })
				}
				if len(breaches) != 1 || breaches[0].Name != rule || breaches[0].Section != row.section || breaches[0].Key == "" ||
					!strings.Contains(breaches[0].Error(), row.section) {
					t.Errorf("refused by %v, want %s alone", breaches, rule)
				}
			})
		}
	}
}

// TestEachRuleIsTried: a rule without a row above, or without anything that it refuses, turns this red.
func TestEachRuleIsTried(t *testing.T) {
	known := recipe.Exceptions()
	for _, profile := range every {
		seen := map[string]bool{}
		for _, rule := range profile.Rules() {
			if seen[rule.Name] || rule.Section == "" || rule.Say == "" {
				t.Errorf("%s: %+v", profile, rule)
			}
			seen[rule.Name] = true
			for _, excluded := range rule.Excludes {
				if !slices.Contains(known, excluded) {
					t.Errorf("%s: there is no exception %s", rule.Name, excluded)
				}
			}
			_, one := breaks[rule.Name]
			_, two := breaks[rule.Name+", IPSIE"]
			if !one && !two && len(rule.Excludes) == 0 {
				t.Errorf("%s: nothing tries the rule %s", profile, rule.Name)
			}
		}
	}
	if len(recipe.Profile("").Rules()) != 0 {
		t.Error("without a profile there are rules")
	}
}

func TestProfilesHaveAnOrder(t *testing.T) {
	none := recipe.Profile("")
	above := map[recipe.Profile][]recipe.Profile{
		none: {none}, recipe.OAuth21: {none, recipe.OAuth21}, recipe.FAPI2Security: {none, recipe.OAuth21, recipe.FAPI2Security},
		recipe.FAPI2Messages:  {none, recipe.OAuth21, recipe.FAPI2Security, recipe.FAPI2Messages},
		recipe.IPSIEOpenIDSL1: {none, recipe.OAuth21, recipe.IPSIEOpenIDSL1}, "fapi3": {none, "fapi3"},
	}
	for p, meets := range above {
		for other := range above {
			if got, want := p.Meets(other), slices.Contains(meets, other); got != want {
				t.Errorf("%q meets %q: %t", p, other, got)
			}
		}
	}
}

// TestDemands: what a stricter profile asks of requests holds all that the laxer one asks.
func TestDemands(t *testing.T) {
	security, messages, people := recipe.FAPI2Security.Demands(), recipe.FAPI2Messages.Demands(), recipe.IPSIEOpenIDSL1.Demands()
	if !security.PAR || !security.Bound || !security.CodeOnly || !security.PlainAudience || !security.NoRotation || !security.Confidential ||
		!security.RedirectsHTTPS || security.SignedRequest || security.FreshRequest || security.DPoPOnly ||
		!slices.Equal(security.Algs, []string{"PS256", "ES256", "EdDSA"}) || slices.Contains(security.Auth, "client_secret_basic") || len(security.Auth) != 3 {
		t.Errorf("fapi2-security: %+v", security)
	}
	if !messages.SignedRequest || !messages.FreshRequest || !messages.PAR || !messages.Bound || !messages.NoRotation || len(messages.Auth) != 3 {
		t.Errorf("fapi2-message-signing: %+v", messages)
	}
	if people.PAR || people.Confidential || people.NoRotation || !people.Bound || !people.DPoPOnly || !people.CodeOnly || !people.PlainAudience || len(people.Auth) != 0 {
		t.Errorf("ipsie-sl1: %+v", people)
	}
	for _, p := range []recipe.Profile{"", recipe.OAuth21} {
		if d := p.Demands(); d.PAR || d.Bound || d.CodeOnly || len(d.Algs) > 0 {
			t.Errorf("%q: %+v", p, d)
		}
	}
	if unknown := recipe.Profile("fapi3").Demands(); !unknown.SignedRequest || !unknown.Bound || len(recipe.Profile("fapi3").Refusals(model(""))) == 0 {
		t.Errorf("an unknown profile is lax: %+v", unknown)
	}
}
