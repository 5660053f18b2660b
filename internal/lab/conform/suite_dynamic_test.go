package conform_test

import (
	"encoding/json"
	"image"
	"image/png"
	"maps"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/lab"
)

// registers is a registration as the suite makes it: the same metadata again and again, a key for RS256, and more.
func (m *module) registers(more members) heard {
	m.Helper()
	said := m.metadata(more)
	raw, err := json.Marshal(said)
	must(m.T, err)
	return m.send("POST", m.at("registration_endpoint"), string(raw), "Content-Type", "application/json", "Accept", "application/json")
}

func (m *module) metadata(more members) members {
	grants := []string{}
	if strings.Contains(m.kind, "code") {
		grants = append(grants, "authorization_code")
	}
	if m.kind != "code" {
		grants = append(grants, "implicit")
	}
	said := members{
		"client_name": "a client of the suite", "grant_types": grants, "response_types": []string{m.kind}, "redirect_uris": []string{m.address + "/test/a/garde/callback"},
		"contacts": []string{"suite@suite.example"}, "token_endpoint_auth_method": "private_key_jwt", "jwks": json.RawMessage(m.public()),
	}
	maps.Copy(said, more)
	maps.DeleteFunc(said, func(_ string, value any) bool { return value == nil })
	return said
}

// public is the set of the client's public key.
func (m *module) public() []byte {
	m.Helper()
	set, err := jose.NewSet(m.c.signer.Public())
	must(m.T, err)
	raw, err := set.MarshalJSON()
	must(m.T, err)
	return raw
}

// key gives the client a new key.
func (m *module) key(kid string) {
	m.Helper()
	private, err := jose.GenerateKey(jose.RS256)
	must(m.T, err)
	m.c.signer = &jose.Signer{KeyID: kid, Alg: jose.RS256, Key: private}
}

// joins registers, finds fault with the answer, and goes on as that client. It is removed at the end.
func (m *module) joins(more members) members {
	m.Helper()
	wanted := m.metadata(more)
	got := m.registers(more)
	said := got.members()
	text := func(name string) string { value, _ := said[name].(string); return value }
	if got.status != 201 || got.header.Get("Content-Type") != "application/json" || said["error"] != nil || text("client_id") == "" {
		m.Fatalf("%d %v %s", got.status, got.header, got.body)
	}
	if _, told := said["client_secret_expires_at"]; text("client_secret") != "" && !told {
		m.Errorf("client_secret_expires_at: %s", got.body)
	}
	m.c.ID, m.c.Secret, m.c.auth, m.c.keeper, m.c.manage = text("client_id"), text("client_secret"), text("token_endpoint_auth_method"), text("registration_access_token"), text("registration_client_uri")
	m.c.uri = wanted["redirect_uris"].([]string)[0]
	if (m.c.keeper == "") != (m.c.manage == "") || !strings.HasPrefix(m.c.manage, "https://") {
		m.Errorf("%s", got.body)
	}
	m.random("registration_access_token", m.c.keeper)
	for _, name := range []string{"contacts", "logo_uri", "policy_uri", "tos_uri", "initiate_login_uri", "jwks_uri", "sector_identifier_uri", "request_uris"} {
		asked, err := json.Marshal(wanted[name])
		must(m.T, err)
		kept, err := json.Marshal(said[name])
		must(m.T, err)
		if wanted[name] != nil && string(asked) != string(kept) {
			m.Errorf("%s: %s became %s", name, asked, kept)
		}
	}
	own := *m.c
	m.Cleanup(func() {
		if got := m.send("DELETE", own.manage, "", "Authorization", "Bearer "+own.keeper); got.status != 204 || len(got.body) > 0 {
			m.Errorf("DELETE: %d %s", got.status, got.body)
		}
	})
	return said
}

// dot is the smallest picture.
func dot(m *module) string {
	m.Helper()
	var text strings.Builder
	must(m.T, png.Encode(&text, image.NewNRGBA(image.Rect(0, 0, 64, 64))))
	return text.String()
}

// pictured opens the pages of a sign-in, and looks for an address on one of them.
func pictured(member string) func(*module) {
	return func(m *module) {
		address := m.outside.publish("/"+member+".png", "image/png", dot(m))
		m.joins(members{member: address})
		m.whole(m.asks("openid"))
		for _, on := range m.seen {
			// A logo is drawn anew: no browser asks the client's host.
			if strings.Contains(on.body, address) || member == "logo_uri" && strings.Contains(on.body, `class="avatar" src="data:image/png`) {
				return
			}
		}
		m.Errorf("no page shows %s", address)
	}
}

// byReference is a request whose object stands at an address of the client.
func byReference(alg string) func(*module) {
	return func(m *module) {
		path := "/request-" + lab.Challenge(m.Name())
		address := m.outside.at(path)
		m.joins(members{"request_uris": []string{address + "#1234"}, "request_object_signing_alg": map[bool]any{true: alg, false: nil}[alg != ""]})
		query := m.asks("openid")
		said := members{"iss": m.c.ID, "aud": m.issuer}
		for name := range query {
			said[name] = query.Get(name)
		}
		object, err := m.c.signer.Sign("JWT", said)
		must(m.T, err)
		if alg == "" {
			// Nobody advertises none, so the suite skips it; an object without signature must not pass.
			object = "eyJhbGciOiJub25lIn0." + strings.Split(object, ".")[1] + "."
		}
		m.outside.publish(path, "application/oauth-authz-req+jwt", object)
		carried := lab.Form("client_id", m.c.ID, "response_type", m.kind, "scope", "openid", "request_uri", address+"#1234")
		on := m.goes(carried)
		if alg == "" {
			if on.left != "" || !on.has("error-page") || on.code() != "invalid_request_object" {
				m.Errorf("%d %s %s", on.status, on.code(), on.left)
			}
			return
		}
		m.ended(m.back(on, query), query)
	}
}

// queried is a client whose redirect URI has a query, and asks with another.
func queried(registered, asked string, good bool) func(*module) {
	return func(m *module) {
		base := m.address + "/test/a/garde/callback"
		m.joins(members{"redirect_uris": []string{base + registered}})
		query := m.asks("openid", "redirect_uri", base+asked)
		if good {
			m.whole(query)
			return
		}
		m.shown(query, "invalid_request")
	}
}

// modulesOfDynamic are those of the plans dynamic and third-party-initiated login, beside those of OpenID Connect that they share.
var modulesOfDynamic = []step{
	{"oidcc-server", "", false, func(m *module) {
		m.joins(nil)
		claims, access := m.whole(m.asks("openid"))
		if access != "" && m.info(access)["sub"] != claims["sub"] {
			m.Error("userinfo is of somebody else")
		}
	}},
	{"oidcc-idtoken-rs256", "", false, func(m *module) {
		m.joins(members{"id_token_signed_response_alg": "RS256"})
		m.whole(m.asks("openid"))
	}},
	{"oidcc-idtoken-unsigned", "code", false, func(m *module) {
		if list, _ := m.about["id_token_signing_alg_values_supported"].([]any); containsText(list, "none") {
			m.Errorf("%v", list)
		}
		m.refuses(m.registers(members{"id_token_signed_response_alg": "none"}), "invalid_client_metadata")
	}},
	{"oidcc-userinfo-rs256", "with token", false, func(m *module) {
		m.joins(members{"userinfo_signed_response_alg": "RS256"})
		claims, access := m.whole(m.asks("openid"))
		got := m.send("GET", m.at("userinfo_endpoint"), "", "Authorization", "Bearer "+access)
		said := m.opens(string(got.body))
		if got.status != 200 || got.header.Get("Content-Type") != "application/jwt" || said["iss"] != m.issuer || said["aud"] != m.c.ID || said["nonce"] != nil || said["sub"] != claims["sub"] {
			m.Errorf("%d %v %v", got.status, got.header, said)
		}
	}},
	{"oidcc-ensure-redirect-uri-in-authorization-request", "", false, func(m *module) {
		m.joins(members{"redirect_uris": []string{m.address + "/test/a/garde/callback", m.address + "/test/a/garde/callback?dummy1=lorem&dummy2=ipsum"}})
		m.shown(m.asks("openid", "redirect_uri", ""), "invalid_request")
	}},
	{"oidcc-redirect-uri-query-OK", "", false, queried("?foo=bar", "?foo=bar", true)},
	{"oidcc-redirect-uri-query-mismatch", "", false, queried("?foo=bar", "?bar=foo", false)},
	{"oidcc-redirect-uri-query-added", "", false, queried("", "?foo=bar", false)},
	{"oidcc-redirect-uri-regfrag", "", false, func(m *module) {
		m.refuses(m.registers(members{"redirect_uris": []string{m.address + "/test/a/garde/callback#foobar"}}), "invalid_redirect_uri")
	}},
	{"oidcc-registration-logo-uri", "", false, pictured("logo_uri")},
	{"oidcc-registration-policy-uri", "", false, pictured("policy_uri")},
	{"oidcc-registration-tos-uri", "", false, pictured("tos_uri")},
	{"oidcc-registration-jwks-uri", "with code", false, func(m *module) {
		m.joins(members{"jwks": nil, "jwks_uri": m.outside.publish("/jwks-"+lab.Challenge(m.Name()), "application/json", string(m.public()))})
		m.whole(m.asks("openid"))
	}},
	{"oidcc-registration-sector-uri", "", false, func(m *module) {
		list, err := json.Marshal([]string{m.address + "/test/a/garde/callback"})
		must(m.T, err)
		m.joins(members{"subject_type": "pairwise", "sector_identifier_uri": m.outside.publish("/sector", "application/json", string(list))})
		m.whole(m.asks("openid"))
	}},
	{"oidcc-registration-sector-bad", "", false, func(m *module) {
		bad := m.outside.publish("/bad-sector", "application/json", `["https://suite.example/elsewhere"]`)
		m.refuses(m.registers(members{"subject_type": "pairwise", "sector_identifier_uri": bad}), "invalid_client_metadata", "invalid_redirect_uri")
	}},
	{"oidcc-refresh-token", "with code", false, func(m *module) {
		m.joins(members{"grant_types": append(m.metadata(nil)["grant_types"].([]string), "refresh_token")})
		query := m.asks("openid offline_access", "prompt", "consent")
		said, claims := m.redeems(m.authorize(query), query)
		m.refreshed(said, claims)
	}},
	{"oidcc-refresh-token-rp-key-rotation", "with code", true, func(m *module) {
		path := "/rotating-" + lab.Challenge(m.Name())
		m.joins(members{
			"jwks": nil, "jwks_uri": m.outside.publish(path, "application/json", string(m.public())),
			"grant_types": append(m.metadata(nil)["grant_types"].([]string), "refresh_token"),
		})
		query := m.asks("openid offline_access", "prompt", "consent")
		said, claims := m.redeems(m.authorize(query), query)
		m.key("second")
		m.outside.publish(path, "application/json", string(m.public()))
		time.Sleep(60 * time.Second)
		m.refreshed(said, claims)
	}},
	{"oidcc-ensure-client-assertion-with-iss-aud-succeeds", "with code", false, func(m *module) {
		m.joins(nil)
		query := m.asks("openid")
		form := m.code(m.authorize(query), query)
		form, _ = m.proven(form, m.issuer)
		m.tokens(m.send("POST", m.at("token_endpoint"), form.Encode()))
	}},
	{"oidcc-request-uri-unsigned", "", false, byReference("")},
	{"oidcc-request-uri-signed-rs256", "", false, byReference("RS256")},
	{"oidcc-ensure-request-object-with-redirect-uri", "", false, func(m *module) {
		m.joins(members{"redirect_uris": []string{m.address + "/test/a/garde/callback", m.address + "/test/a/garde/callback?dummy1=lorem&dummy2=ipsum"}})
		query := m.asks("openid")
		said := members{"iss": m.c.ID, "aud": m.issuer}
		for name := range query {
			said[name] = query.Get(name)
		}
		object, err := m.c.signer.Sign("JWT", said)
		must(m.T, err)
		// The address outside is a bad one: the inner one holds.
		carried := lab.Form("client_id", m.c.ID, "response_type", m.kind, "scope", "openid", "request", object, "redirect_uri", m.address+"/evil")
		m.ended(m.back(m.goes(carried), query), query)
	}},
	{"oidcc-3rd_party-init-login", "", false, func(m *module) {
		address := m.address + "/test/a/garde/login-initiation?x=y"
		if said := m.joins(members{"initiate_login_uri": address}); said["initiate_login_uri"] != address {
			m.Errorf("%v", said)
		}
		got := m.send("GET", m.c.manage, "", "Authorization", "Bearer "+m.c.keeper)
		if got.status != 200 || got.text("initiate_login_uri") != address || got.text("client_id") != m.c.ID {
			m.Errorf("%d %s", got.status, got.body)
		}
		// What the client then begins is a request like any other.
		m.whole(m.asks("openid"))
	}},
	{"oidcc-3rd_party-init-login-nohttps", "", false, func(m *module) {
		m.refuses(m.registers(members{"initiate_login_uri": strings.Replace(m.address, "https:", "http:", 1) + "/login-initiation"}), "invalid_client_metadata")
	}},
}

// joined are modules of the static plans that run in the dynamic one too, and where it wants them.
func joined(name string) step {
	for _, each := range modulesOfOpenID {
		if each.name == name {
			return step{each.name + " (registered)", each.kinds, each.slow, func(m *module) { m.joins(nil); each.do(m) }}
		}
	}
	panic("no module named " + name)
}

// TestSuiteDynamic are the plans config, dynamic, and third-party-initiated login. Each module registers for itself.
func TestSuiteDynamic(t *testing.T) {
	s := newSuite(t)
	s.serve(t, "dynamic")
	config := s.paste(t, "dynamic", "oidcc-config-certification-test-plan")
	t.Run("oidcc-discovery-endpoint-verification", func(t *testing.T) {
		discovered(config.module(t, &config.Client, "", ""), true)
	})
	t.Run("oidcc-server-rotate-keys", func(t *testing.T) { rotated(t, s, config) })
	kinds := []string{"code", "id_token", "id_token token", "code id_token", "code token", "code id_token token"}
	for _, kind := range kinds {
		plan := "oidcc-dynamic-certification-test-plan." + strings.ReplaceAll(kind, " ", "-")
		r := s.paste(t, "dynamic", plan)
		modules := append(modulesOfDynamic[:len(modulesOfDynamic):len(modulesOfDynamic)], joined("oidcc-scope-all"), joined("oidcc-prompt-none-logged-in"))
		for _, each := range modules {
			if !each.concerns(kind) || each.slow && kind != "code" {
				continue // what waits is waited for once
			}
			t.Run(plan+"/"+each.name, func(t *testing.T) {
				if each.slow {
					t.Parallel()
				}
				m := r.module(t, &told{}, kind, "default")
				m.key("first")
				each.do(m)
			})
		}
	}
}

// rotated has the operator make a new key between two sign-ins, and the suite finds it (oidcc-server-rotate-keys).
func rotated(t *testing.T, s *suite, r *run) {
	m := r.module(t, &told{}, "code", "default")
	m.key("first")
	m.joins(nil)
	m.whole(m.asks("openid"))
	kids := func() map[string]bool {
		var set struct {
			Keys []struct{ Kid string }
		}
		must(t, json.Unmarshal(m.send("GET", m.at("jwks_uri"), "").body, &set))
		all := map[string]bool{}
		for _, key := range set.Keys {
			all[key.Kid] = true
		}
		return all
	}
	before := kids()
	command := exec.CommandContext(t.Context(), s.program, "key", "rotate", "--alg", "ES256", "--now", "--config", filepath.Join(s.dir, "dynamic", "node.yaml"))
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	after, fresh := kids(), 0
	for kid := range after {
		if !before[kid] {
			fresh++
		}
	}
	for kid := range before {
		if !after[kid] {
			t.Errorf("the key %s went at once, and what it signed with it", kid)
		}
	}
	if fresh != 1 {
		t.Errorf("%v, then %v", before, after)
	}
	m.open()
	m.whole(m.asks("openid"))
}

// discovered finds fault with metadata and keys.
func discovered(m *module, dynamic bool) {
	m.Helper()
	if strings.TrimSuffix(m.Server.DiscoveryURL, "/.well-known/openid-configuration") != m.about["issuer"] {
		m.Errorf("the issuer is %v", m.about["issuer"])
	}
	must(m.T, unique(m.raw))
	aliases, _ := m.about["mtls_endpoint_aliases"].(members)
	for _, each := range []members{m.about, aliases} {
		for name, value := range each {
			address, _ := value.(string)
			if !strings.HasSuffix(name, "_endpoint") && !strings.HasSuffix(name, "_uri") {
				continue
			}
			if to, err := url.Parse(address); err != nil || to.Scheme != "https" || to.Host == "" || to.Fragment != "" {
				m.Errorf("%s is %v", name, value)
			}
		}
	}
	for name, value := range m.about {
		switch list, isList := value.([]any); {
		case strings.HasSuffix(name, "_supported") && isList && len(list) == 0:
			m.Errorf("%s is empty", name)
		case value == nil || value == "":
			m.Errorf("%s is %v", name, value)
		}
	}
	needs := map[string][]string{
		"scopes_supported": {"openid"}, "subject_types_supported": {"public"}, "id_token_signing_alg_values_supported": {"RS256"},
		"claims_supported": {"sub", "name"}, "response_types_supported": {"code"}, "code_challenge_methods_supported": {"S256"}, "grant_types_supported": {"authorization_code", "refresh_token"},
	}
	if dynamic {
		needs["response_types_supported"] = []string{"code", "id_token", "id_token token"}
		needs["grant_types_supported"] = append(needs["grant_types_supported"], "implicit")
	}
	for name, values := range needs {
		list, _ := m.about[name].([]any)
		for _, value := range values {
			if !containsText(list, value) {
				m.Errorf("%s is %v", name, m.about[name])
			}
		}
	}
	for _, name := range []string{"claims_parameter_supported", "request_parameter_supported", "request_uri_parameter_supported", "authorization_response_iss_parameter_supported"} {
		if _, told := m.about[name].(bool); !told {
			m.Errorf("%s is %v", name, m.about[name])
		}
	}
	m.published()
}

// published finds fault with the key set (FAILURE: a private member, a kid twice, no RS256).
func (m *module) published() {
	m.Helper()
	got := m.send("GET", m.at("jwks_uri"), "")
	var set struct{ Keys []members }
	must(m.T, json.Unmarshal(got.body, &set))
	kids, algs := map[any]bool{}, map[any]bool{}
	for _, key := range set.Keys {
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "k", "oth"} {
			if key[private] != nil {
				m.Errorf("a key tells %s", private)
			}
		}
		if kids[key["kid"]] || key["kid"] == nil || key["kty"] == "oct" {
			m.Errorf("%v", key)
		}
		kids[key["kid"]], algs[key["alg"]] = true, true
	}
	if got.status != 200 || !algs["RS256"] {
		m.Errorf("%d %v", got.status, algs)
	}
}

// unique refuses JSON in which a member stands twice.
func unique(raw []byte) error {
	var all map[string]any
	return jose.DecodeJSON(raw, &all)
}
