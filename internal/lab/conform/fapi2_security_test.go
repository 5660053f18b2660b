package conform_test

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"github.com/gardeauth/garde/internal/lab"
	"github.com/gardeauth/garde/recipe"
)

// auths and bounds are what FAPI 2.0 Security Profile section 5.3.2.1 lets a client choose from.
var (
	auths  = []string{"private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth"}
	bounds = []string{"dpop", "mtls"}
)

// TestFAPI2 goes through every combination that the plans of FAPI 2.0 name: client authentication x sender constraint x plain
// OAuth or OpenID Connect x simple or rich requests x plain or signed responses.
func TestFAPI2(t *testing.T) {
	var parties []*party
	for _, profile := range []recipe.Profile{recipe.FAPI2Security, recipe.FAPI2Messages} {
		for _, auth := range auths {
			for _, bound := range bounds {
				id := strings.ReplaceAll(strings.Join([]string{string(profile), auth, bound}, "-"), "_", "-")
				parties = append(parties, &party{id: id, auth: auth, bound: bound, profile: profile})
			}
		}
	}
	h := newHouse(t, lab.Options{}, parties...)
	stranger := h.With(nil)
	alice := h.NewPerson("alice")
	for _, p := range parties {
		for _, scope := range []string{"payments.write", "openid payments.write"} {
			for _, details := range []string{"", payment} {
				for _, mode := range []string{"", "jwt"} {
					if mode == "jwt" && p.profile != recipe.FAPI2Messages {
						continue
					}
					words := []string{p.id, map[bool]string{true: "openid", false: "plain_oauth"}[strings.HasPrefix(scope, "openid")],
						map[bool]string{true: "rar", false: "simple"}[details != ""], map[bool]string{true: "jarm", false: "plain_response"}[mode != ""]}
					t.Run(strings.Join(words, " "), func(t *testing.T) {
						b := newBrowser(t, h, alice)
						query := p.ask(scope, "response_mode", mode, "authorization_details", details)
						address := p.push(t, query)
						sent := p.answered(t, p.pages(t, b, b.open(address)), query)
						got, claims := p.redeem(t, sent.Get("code"), query)
						if (string(got.Details) == "") != (details == "") {
							t.Errorf("authorization_details: %s", got.Details)
						}
						if claims != nil && claims["sub"] != alice.ID {
							t.Errorf("the ID token is of %v", claims["sub"])
						}
						it := h.GateURL + "/payments/it"
						if reply := p.call(t, "GET", it, got.AccessToken); reply.Status != 200 {
							t.Errorf("the API says %d %s", reply.Status, reply.Body)
						}
						for what, reply := range map[string]lab.Reply{
							"D12 as Bearer, without the key": h.Through(stranger, lab.Request("GET", it, "", "Authorization", "Bearer "+got.AccessToken)),
							"D10 with another key":           thief(t, p).call(t, "GET", it, got.AccessToken),
						} {
							if reply.Status != 401 {
								t.Errorf("%s: %d %s", what, reply.Status, reply.Body)
							}
						}
						var told struct {
							Active  bool
							Cnf     map[string]string
							Details json.RawMessage `json:"authorization_details"`
						}
						h.Introspect(lab.Job, got.AccessToken).Into(&told)
						if _, dpop := told.Cnf["jkt"]; !told.Active || len(told.Cnf) != 1 || dpop != (p.bound == "dpop") || (details != "") != (len(told.Details) > 0) {
							t.Errorf("D17 introspection says %+v", told)
						}
						again := p.given(t, p.post(t, "token_endpoint", lab.Form("grant_type", "refresh_token", "refresh_token", got.RefreshToken)))
						if again.RefreshToken != "" && again.RefreshToken != got.RefreshToken {
							t.Error("FAPI 2.0 section 5.3.2.1: the refresh token was rotated")
						}
						if reply := p.call(t, "GET", it, again.AccessToken); reply.Status != 200 {
							t.Errorf("after the refresh the API says %d %s", reply.Status, reply.Body)
						}
						refused(t, p.post(t, "token_endpoint", p.redeeming(sent.Get("code"), query)), 400, "invalid_grant")
						if on := b.open(address); on.left != "" || on.status != 400 || on.code() != "invalid_request_uri" {
							t.Errorf("P03 a second use: %d %s %s", on.status, on.code(), on.left)
						}
					})
				}
			}
		}
	}
}

// thief has all that the party has but its keys.
func thief(t testing.TB, p *party) *party {
	t.Helper()
	other := *p
	other.key = p.h.NewKey()
	if p.cert != nil {
		own := lab.SelfSigned(t, p.cert.Leaf.Subject)
		other.cert = &own
	}
	other.web = p.h.With(other.cert)
	return &other
}

func refused(t testing.TB, reply lab.Reply, status int, code string) {
	t.Helper()
	if reply.Status != status || reply.Text("error") != code || !strings.Contains(reply.Header.Get("Cache-Control"), "no-store") ||
		!strings.HasPrefix(reply.Header.Get("Content-Type"), "application/json") {
		t.Errorf("got %d %v %s, want %d %s", reply.Status, reply.Header, reply.Body, status, code)
	}
	for name := range maps.Keys(bodyOf(reply)) {
		if name != "error" && name != "error_description" && name != "error_uri" && name != "trace" {
			t.Errorf("the refusal holds %s", name)
		}
	}
}

func bodyOf(reply lab.Reply) members {
	all := members{}
	_ = json.Unmarshal(reply.Body, &all)
	return all
}
