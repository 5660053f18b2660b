package lab_test

import (
	"html"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gardeauth/garde/internal/lab"
	"github.com/gardeauth/garde/recipe"
)

// fronts are the response types of a client with an exception for each, and what each gives.
var fronts = map[string][]string{
	"id_token": {"id_token"}, "id_token token": {"access_token", "id_token"}, "code id_token": {"code", "id_token"},
	"code token": {"access_token", "code"}, "code id_token token": {"access_token", "code", "id_token"},
}

func fronting(r *recipe.Recipe) {
	climbing(r)
	client := r.Clients[lab.WebA]
	client.Grants = append(slices.Clone(client.Grants), "implicit")
	client.ResponseTypes = []string{"code"}
	allow := recipe.Exception{Client: lab.WebA, Why: "each response type is tried", Until: "2199-12-31"}
	for types := range fronts {
		client.ResponseTypes = append(client.ResponseTypes, types)
		allow.Allow = append(allow.Allow, recipe.AllowResponseType(types))
	}
	r.Clients[lab.WebA], r.Exceptions["fronts"] = client, allow
}

var handedOver = regexp.MustCompile(`<input type="hidden" name="([a-z_]+)" value="([^"]*)">`)

// TestS12NoLevelNoTokenInTheFrontChannel: where the level is missing, no response type gives anything, in whichever way its
// answer travels, and the client hears why; where it is reached, what each token says is what was proved.
func TestS12NoLevelNoTokenInTheFrontChannel(t *testing.T) {
	h := onLocalhost(t, lab.Options{Recipe: fronting})
	low, high := newClimber(t, h, "low"), newClimber(t, h, "high")
	for c, by := range map[*climber]string{low: "password", high: "passkey"} {
		if _, ok := c.tokens(h.Node, lab.WebB, c.proves(h.Node, c.asks(h.Node, lab.WebB), by)); !ok {
			t.Fatalf("no code by %s", by)
		}
	}
	sent := func(t *testing.T, reply lab.Reply, mode string) url.Values {
		t.Helper()
		if mode != "form_post" {
			values, ok := reply.Fragment(lab.Redirect(lab.WebA))
			if !ok {
				t.Fatalf("%d to %s", reply.Status, reply.Header.Get("Location"))
			}
			return values
		}
		values := url.Values{}
		if reply.Status != 200 || !strings.Contains(string(reply.Body), `action="`+lab.Redirect(lab.WebA)+`"`) {
			t.Fatalf("%d %s", reply.Status, reply.Body)
		}
		for _, found := range handedOver.FindAllStringSubmatch(string(reply.Body), -1) {
			values.Add(found[1], html.UnescapeString(found[2]))
		}
		return values
	}
	essential := func(acr string) string {
		return `{"id_token":{"acr":{"essential":true,"values":["` + acr + `"]}}}`
	}
	for types, gives := range fronts {
		for _, mode := range []string{"fragment", "form_post"} {
			for name, row := range map[string]struct {
				who       *climber
				acr, want string
			}{
				"missing": {low, lab.Strong, "interaction_required"}, "nowhere": {high, "urn:test:nowhere", "unmet_authentication_requirements"},
				"reached": {high, lab.Strong, ""},
			} {
				t.Run(types+" by "+mode+": the level is "+name, func(t *testing.T) {
					values := sent(t, row.who.asks(h.Node, lab.WebA, "response_type", types, "response_mode", mode, "prompt", "none",
						"claims", essential(row.acr)), mode)
					if values.Get("state") != "a-state" || values.Get("iss") != h.Issuer || values.Get("error") != row.want {
						t.Errorf("%v, not %q", values, row.want)
					}
					for _, each := range []string{"code", "access_token", "id_token"} {
						if wanted := row.want == "" && slices.Contains(gives, each); values.Has(each) != wanted {
							t.Errorf("%s: %t, not %t", each, values.Has(each), wanted)
						} else if wanted && each != "code" {
							if _, said := peek(t, values.Get(each)); said["acr"] != lab.Strong {
								t.Errorf("%s says %v", each, said["acr"])
							}
						}
					}
				})
			}
		}
	}
}
