package recipe_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/recipe"
)

const open = `
garde: 1
levels: [{name: basic, acr: "urn:example:basic", any: [password]}]
scopes: {read: {say: {en: Read}}, pay: {say: {en: Pay}}, admin: {say: {en: Rule}}}
apis:
  accounts:
    at: https://api.bank.example/accounts
    authorization_details: {payment: {schema: payment.json, say: {en: Pay}, scopes: [read]}, secret: {schema: payment.json, say: {en: See}}}
    operations: {GET /balance: {for: [user], scope: read}, GET /admin: {for: [user], scope: admin}}
  payments:
    at: https://api.bank.example/payments
    profile: fapi2-security
    operations: {POST /payments: {for: [user], scope: pay}}
clients:
  staff: {type: browser, redirect_uris: ["https://staff.example/cb"], scopes: [openid, admin]}
registration:
  open: {open: true, scopes: [openid, read], authorization_details_types: [payment]}
  wide:
    types: [web, native, browser, service]
    scopes: [openid, read]
    grants: [authorization_code, refresh_token, client_credentials, implicit, "urn:openid:params:grant-type:ciba"]
  brief: {types: [web, service], scopes: [openid], grants: [authorization_code]}
  strict: {types: [web], scopes: [openid, read, pay], profile: fapi2-security}
exceptions:
  wide: {registration: wide, allow: [response_type.id_token, request_uri, client_secret_post], why: certification, until: 2026-12-31}
  other: {registration: open, allow: [client_secret_jwt], why: another policy, until: 2026-12-31}
`

func force(t *testing.T) *recipe.Recipe {
	t.Helper()
	bundle, err := recipe.Assemble("", []recipe.Source{{Name: "recipe.yaml", Text: []byte(open)}},
		map[string][]byte{"payment.json": []byte(`{"type":"object"}`)}, today())
	if err != nil {
		t.Fatal(err)
	}
	return bundle.Recipe
}

const (
	ecKey  = `{"keys":[{"kty":"EC","crv":"P-256","x":"a","y":"b"}]}`
	sigKey = `{"keys":[{"kty":"EC","crv":"P-256","x":"a","y":"b","use":"sig"}]}`
)

// registers is a client that may stand under each policy of the recipe above.
func registers() recipe.Client {
	return recipe.Client{
		Type: recipe.Web, Auth: "private_key_jwt", Scopes: []string{"openid"}, RedirectURIs: []string{"https://app.example/cb"},
		Name: recipe.Text{"en": "An app"},
	}
}

// TestClientsThatRegister: the checks of declared clients hold, and so do the bounds of the policy; each fault names the
// member as RFC 7591 spells it.
func TestClientsThatRegister(t *testing.T) {
	secret := func(c *recipe.Client) { c.Auth = "client_secret_basic" }
	for name, row := range map[string]struct {
		policy string
		change func(*recipe.Client)
		jwks   string
		want   string // path of the only fault; "ok": none
		text   string
	}{
		"a client with a key":             {"open", nil, ecKey, "ok", ""},
		"a client with a secret":          {"open", secret, "", "ok", ""},
		"a secret and keys of no use":     {"open", secret, ecKey, "ok", ""},
		"keys at an address":              {"open", func(c *recipe.Client) { c.JWKSURI = "https://app.example/jwks" }, "", "ok", ""},
		"a native client":                 {"open", func(c *recipe.Client) { c.Type, c.Auth, c.RedirectURIs = recipe.Native, "", []string{"com.app:/cb"} }, "", "ok", ""},
		"a rich request of the policy":    {"open", func(c *recipe.Client) { c.Scopes, c.Details = []string{"read"}, []string{"payment"} }, ecKey, "ok", ""},
		"a response type by exception":    {"wide", func(c *recipe.Client) { c.ResponseTypes, c.Grants = []string{"id_token"}, []string{"implicit"} }, ecKey, "ok", ""},
		"a request URI by exception":      {"wide", func(c *recipe.Client) { c.RequestURIs = []string{"https://app.example/r#abc"} }, ecKey, "ok", ""},
		"the profile of the policy":       {"strict", nil, ecKey, "ok", ""},
		"a scope of an API with profile":  {"strict", func(c *recipe.Client) { c.Scopes = []string{"openid", "pay"} }, ecKey, "ok", ""},
		"a stricter profile than asked":   {"strict", func(c *recipe.Client) { c.Profile = recipe.FAPI2Messages }, ecKey, "ok", ""},
		"no such policy":                  {"nobody", nil, ecKey, "", "no such registration policy"},
		"no keys":                         {"open", nil, "", "token_endpoint_auth_method", "needs the client's public keys"},
		"T23 private keys":                {"open", nil, `{"keys":[{"kty":"EC","d":"x"}]}`, "jwks", "private or symmetric"},
		"J18 duplicate members in keys":   {"open", nil, `{"keys":[],"keys":[]}`, "jwks", "not strict JSON"},
		"keys without an end":             {"open", nil, `{"keys":[{"kty":"EC"}]}` + strings.Repeat(" ", 1<<17), "jwks", "longer than"},
		"keys in two places":              {"open", func(c *recipe.Client) { c.JWKSURI = "https://app.example/jwks" }, ecKey, "jwks_uri", "two places"},
		"G03 keys at an inner address":    {"open", func(c *recipe.Client) { c.JWKSURI = "http://169.254.169.254/" }, "", "jwks_uri", "not https"},
		"encryption to a signing key":     {"open", func(c *recipe.Client) { c.IDTokenEncryption = "ECDH-ES" }, sigKey, "id_token_encrypted_response_alg", "no key of the set"},
		"RSA encryption to an EC key":     {"open", func(c *recipe.Client) { c.IDTokenEncryption = "RSA-OAEP-256" }, ecKey, "id_token_encrypted_response_alg", "no key of the set"},
		"encryption to a key":             {"open", func(c *recipe.Client) { c.IDTokenEncryption = "ECDH-ES" }, ecKey, "ok", ""},
		"a type that registers elsewhere": {"open", func(c *recipe.Client) { c.Type = recipe.Browser; c.Auth = "" }, "", "application_type", "do not register here"},
		"a scope beyond the policy":       {"open", func(c *recipe.Client) { c.Scopes = append(c.Scopes, "admin") }, ecKey, "scope[1]", `"admin"`},
		"a scope of nowhere":              {"open", func(c *recipe.Client) { c.Scopes = append(c.Scopes, "raed") }, ecKey, "scope[1]", `"raed"`},
		"the scope of Gates":              {"wide", func(c *recipe.Client) { c.Scopes = append(c.Scopes, "garde.gate") }, ecKey, "scope[1]", "garde.gate"},
		"a grant beyond the policy":       {"open", func(c *recipe.Client) { c.Grants = []string{"authorization_code", "client_credentials"} }, ecKey, "grant_types[1]", "client_credentials"},
		"the password grant":              {"wide", func(c *recipe.Client) { c.Grants = []string{"authorization_code", "password"} }, ecKey, "grant_types[1]", "password"},
		"a rich request beyond it":        {"open", func(c *recipe.Client) { c.Details = []string{"secret"} }, ecKey, "authorization_details_types[0]", "secret"},
		"R10 no redirect URI":             {"open", func(c *recipe.Client) { c.RedirectURIs = nil }, ecKey, "redirect_uris", "nowhere to go"},
		"R12 a fragment":                  {"open", func(c *recipe.Client) { c.RedirectURIs = []string{"https://app.example/cb#x"} }, ecKey, "redirect_uris[0]", "fragment"},
		"R11 a script":                    {"open", func(c *recipe.Client) { c.RedirectURIs = []string{"javascript:alert(1)"} }, ecKey, "redirect_uris[0]", "not https"},
		"C16 a response type without":     {"open", func(c *recipe.Client) { c.ResponseTypes = []string{"id_token"} }, ecKey, "response_types[0]", "ask whoever runs the server"},
		"an exception of another policy":  {"wide", func(c *recipe.Client) { c.Auth = "client_secret_jwt" }, "", "token_endpoint_auth_method", "needs an exception"},
		"an exception of its own policy":  {"open", func(c *recipe.Client) { c.Auth = "client_secret_jwt" }, "", "ok", ""},
		"C15 a response type of no order": {"wide", func(c *recipe.Client) { c.ResponseTypes = []string{"token code"} }, ecKey, "response_types[0]", "no response type"},
		"X14 names for two hosts at once": {"open", func(c *recipe.Client) {
			c.SubjectType, c.RedirectURIs = "pairwise", []string{"https://app.example/cb", "https://victim.example/cb"}
		}, ecKey, "subject_type", "or several"},
		"X14 names for one host":           {"open", func(c *recipe.Client) { c.SubjectType = "pairwise" }, ecKey, "ok", ""},
		"G03 a list of the inside":         {"open", func(c *recipe.Client) { c.SectorURI = "http://169.254.169.254/list" }, ecKey, "sector_identifier_uri", "not https"},
		"G03 sign-outs told to the inside": {"open", func(c *recipe.Client) { c.BackLogoutURI = "http://127.0.0.1:6379/" }, ecKey, "backchannel_logout_uri", "not https"},
		"G03 a frame of another site":      {"open", func(c *recipe.Client) { c.FrontLogoutURI = "https://victim.example/" }, ecKey, "frontchannel_logout_uri", "another origin"},
		"implied consent":                  {"open", func(c *recipe.Client) { c.Consent = recipe.ConsentImplied }, ecKey, "consent", "people are asked"},
		"a secret of the node's files":     {"open", func(c *recipe.Client) { c.Auth, c.Secrets = "client_secret_basic", []string{"file:/etc/passwd"} }, "", "secrets", "only a recipe"},
		"a file of the recipe":             {"open", func(c *recipe.Client) { c.JWKS = "staff.jwks.json" }, ecKey, "jwks", "only a recipe"},
		"the name of another client":       {"open", func(c *recipe.Client) { c.Was = "staff" }, ecKey, "was", "only a recipe"},
		"a laxer profile than asked":       {"strict", func(c *recipe.Client) { c.Profile = recipe.OAuth21 }, ecKey, "profile", "fapi2-security"},
		"fewer grants than usual":          {"brief", nil, ecKey, "ok", ""},
		"none of the usual grants":         {"brief", func(c *recipe.Client) { c.Type = recipe.Service; c.Scopes, c.RedirectURIs = nil, nil }, ecKey, "grant_types[0]", "client_credentials"},
		"a secret under the profile":       {"strict", secret, "", "token_endpoint_auth_method", "FAPI 2.0 Security Profile section 5.3.2.1"},
		"RS256 under the profile":          {"strict", func(c *recipe.Client) { c.AuthAlg = "RS256" }, ecKey, "token_endpoint_auth_signing_alg", "section 5.4.1"},
		"tokens that are pushed to it": {"wide", func(c *recipe.Client) {
			c.Grants, c.CIBADelivery, c.CIBANotify = []string{"authorization_code", "urn:openid:params:grant-type:ciba"}, "push", "https://app.example/n"
		}, ecKey, "backchannel_token_delivery_mode", "that the recipe names"},
		"A10 a name that terminals obey": {"open", func(c *recipe.Client) { c.Name = recipe.Text{"en": "\x1b[2J"} }, ecKey, "client_name.en", "can't be shown"},
		"a name that is no text":         {"open", func(c *recipe.Client) { c.Name = recipe.Text{"en": "\xff"} }, ecKey, "client_name.en", "can't be shown"},
		"a contact that turns around":    {"open", func(c *recipe.Client) { c.Contacts = []string{"\u202eelpmaxe"} }, ecKey, "contacts[0]", "can't be shown"},
		"an address without an end":      {"open", func(c *recipe.Client) { c.Home = "https://a.example/" + strings.Repeat("a", 3000) }, ecKey, "client_uri", "too long"},
		"more redirect URIs than a list": {"open", func(c *recipe.Client) {
			c.RedirectURIs = slices.Repeat([]string{"https://app.example/cb"}, 101)
		}, ecKey, "redirect_uris", "too long"},
	} {
		t.Run(name, func(t *testing.T) {
			client := registers()
			if row.change != nil {
				row.change(&client)
			}
			var jwks []byte
			if row.jwks != "" {
				jwks = []byte(row.jwks)
			}
			found := force(t).CheckRegistered(row.policy, client, jwks, today())
			switch {
			case row.want == "ok" && len(found) > 0:
				t.Errorf("refused: %v", found)
			case row.want != "ok" && (len(found) != 1 || found[0].Path != row.want || !strings.Contains(found[0].Text+found[0].Hint, row.text)):
				t.Errorf("found %+v, want one fault of %q about %q", found, row.want, row.text)
			}
		})
	}
}

// TestAnEndedExceptionOfAPolicyAllowsNothing: what stood in the recipe on its last day is refused on the next.
func TestAnEndedExceptionOfAPolicyAllowsNothing(t *testing.T) {
	r, client := force(t), registers()
	client.Auth = "client_secret_post"
	last := time.Date(2026, 12, 31, 23, 59, 59, 0, time.UTC)
	if found := r.CheckRegistered("wide", client, nil, last); len(found) > 0 {
		t.Errorf("on its last day: %v", found)
	}
	if found := r.CheckRegistered("wide", client, nil, last.Add(time.Second)); len(found) != 1 {
		t.Errorf("a second later: %v", found)
	}
	if found := r.CheckClient(client, nil, today()); len(found) != 1 || found[0].Path != "auth" {
		t.Errorf("an administrator's client uses the exception of a policy: %v", found)
	}
	client = registers()
	client.Grants, client.CIBADelivery, client.CIBANotify = []string{"authorization_code", "urn:openid:params:grant-type:ciba"}, "push", "https://app.example/n"
	if found := r.CheckClient(client, []byte(ecKey), today()); len(found) != 1 || found[0].Path != "backchannel_token_delivery_mode" {
		t.Errorf("tokens are pushed to a client that no recipe names: %v", found)
	}
}

// TestAllFaultsOfAClientComeAtOnce: the reader of a refusal mends them in one go.
func TestAllFaultsOfAClientComeAtOnce(t *testing.T) {
	client := registers()
	client.Scopes, client.RedirectURIs, client.IDTokenAlg = []string{"admin"}, []string{"https://app.example/#"}, "none"
	found := force(t).CheckRegistered("open", client, []byte(ecKey), today())
	var paths []string
	for _, fault := range found {
		paths = append(paths, fault.Path)
	}
	slices.Sort(paths)
	if !slices.Equal(paths, []string{"id_token_signed_response_alg", "redirect_uris[0]", "scope[0]"}) {
		t.Errorf("%v", found)
	}
}

func TestExceptionsThatEnd(t *testing.T) {
	r := force(t)
	for days, want := range map[int]int{0: 0, 37: 0, 39: 2} {
		if ending := r.EndingExceptions(today(), time.Duration(days)*24*time.Hour); len(ending) != want || want > 0 && (ending[0].Ended || ending[0].Name == "") {
			t.Errorf("within %d days: %+v", days, ending)
		}
	}
	if ended := r.EndingExceptions(time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), 0); len(ended) != 2 || !ended[0].Ended {
		t.Errorf("ended: %+v", ended)
	}
	if of := r.ExceptionsOf("", "wide"); len(of) != 3 || len(r.ExceptionsOf("", "")) != 0 || len(r.ExceptionsOf("staff", "")) != 0 {
		t.Errorf("of the policy: %v", of)
	}
}

func TestReadClient(t *testing.T) {
	client, err := recipe.ReadClient("client.yaml", []byte("type: web\ndpop_bound_access_tokens: true\nredirect_uris: [a]\n"))
	if err != nil || client.Type != recipe.Web || !client.DPoP || len(client.RedirectURIs) != 1 {
		t.Errorf("%+v, %v", client, err)
	}
	for text, want := range map[string]string{
		"":                            "client.yaml:1: the file is empty",
		"- web":                       "client.yaml:1: the file does not hold keys and values",
		"typ: web":                    "client.yaml:1: typ: the key is unknown",
		"type: web\ntype: web":        "client.yaml:2: type: the key already stands in line 1",
		"auth: none":                  "client.yaml:1: type: is missing",
		"type: [web]":                 "client.yaml:1: type: expected a text, found a list",
		"type: &a web\nauth: *a":      "anchors are not allowed",
		"type: web\n---\ntype: web\n": "client.yaml",
	} {
		if _, err := recipe.ReadClient("client.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// FuzzRegistered: whatever a stranger says of its client, it is judged without a panic, in plain words, and what is
// admitted is admitted again.
func FuzzRegistered(f *testing.F) {
	keys, err := os.ReadFile("testdata/website.jwks.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add("web", "private_key_jwt", "https://app.example/cb", "openid", "ECDH-ES", "CN=a", keys)
	f.Add("native", "", "com.example.app:/cb", "openid", "", "", []byte(nil))
	f.Add("service", "tls_client_auth", "", "read", "RSA-OAEP-256", "CN=\x00", []byte(`{"keys":[{}]}`))
	bundle, err := recipe.Assemble("", []recipe.Source{{Name: "recipe.yaml", Text: []byte(open)}},
		map[string][]byte{"payment.json": []byte(`{"type":"object"}`)}, today())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, kind, auth, uri, scope, alg, subject string, jwks []byte) {
		client := recipe.Client{Type: recipe.ClientType(kind), Auth: auth, Scopes: []string{scope}, RedirectURIs: []string{uri}, Name: recipe.Text{scope: subject}}
		client.SectorURI, client.IDTokenEncryption, client.SubjectDN, client.FrontLogoutURI = uri, alg, subject, uri
		client.RequestURIs, client.SubjectType, client.Details = []string{uri + "#" + scope}, "pairwise", []string{scope}
		for _, policy := range []string{"open", "wide", "strict"} {
			found := bundle.Recipe.CheckRegistered(policy, client, jwks, today())
			for _, fault := range found {
				if strings.ContainsAny(fault.String(), "\x1b\r\x00") || fault.Text == "" {
					t.Fatalf("%q", fault.String())
				}
			}
			if again := bundle.Recipe.CheckRegistered(policy, client, jwks, today()); len(again) != len(found) {
				t.Fatalf("judged twice, found %v and %v", found, again)
			}
		}
	})
}

func TestSectors(t *testing.T) {
	for name, row := range map[string]struct {
		list      string
		redirects []string
		want      string
	}{
		"one host":               {"", []string{"https://a.example/cb", "https://a.example:8443/two"}, "a.example"},
		"several hosts":          {"", []string{"https://a.example/cb", "https://b.example/cb"}, ""},
		"a list":                 {"https://s.example/list.json", []string{"https://a.example/cb", "https://b.example/cb"}, "s.example"},
		"a scheme without hosts": {"", []string{"com.app:/cb"}, ""},
		"nothing":                {"", nil, ""},
		"no address":             {"//s.example", []string{"https://a.example/cb"}, ""},
	} {
		client := recipe.Client{RedirectURIs: row.redirects}
		client.SectorURI = row.list
		if got := client.Sector(); got != row.want {
			t.Errorf("%s: %q, want %q", name, got, row.want)
		}
	}
}

func TestBindings(t *testing.T) {
	for want, apis := range map[recipe.Bound][]recipe.API{
		recipe.BoundOffered:  {{}, {Bound: "offered"}, {Profile: recipe.OAuth21}},
		recipe.BoundRequired: {{Bound: "required"}, {Profile: recipe.FAPI2Security}, {Profile: recipe.FAPI2Messages, Bound: "off"}},
		recipe.BoundOff:      {{Bound: "off"}},
	} {
		for _, api := range apis {
			if got := api.Binding(); got != want {
				t.Errorf("%+v is %s, want %s", api, got, want)
			}
		}
	}
}

// TestWhoRegistersReachesOperations: an operation that only self-registered clients, devices or assertions reach is reached.
func TestWhoRegistersReachesOperations(t *testing.T) {
	const head = `
garde: 1
levels: [{name: basic, acr: "urn:example:basic", any: [password]}]
scopes: {read: {say: {en: Read}}}
apis: {api: {at: https://api.example, operations: {GET /x: {for: [WHO], scope: read}}}}
`
	for name, row := range map[string]struct {
		who, rest string
		ok        bool
	}{
		"a person through a registered client": {"user", "registration: {open: {scopes: [read]}}", true},
		"a registered client for itself":       {"client", "registration: {open: {scopes: [read]}}", false},
		"a registered service":                 {"client", "registration: {open: {types: [service], grants: [client_credentials], scopes: [read]}}", true},
		"a device":                             {"user", `clients: {tv: {type: native, grants: ["urn:ietf:params:oauth:grant-type:device_code"], scopes: [read]}}`, true},
		"a device for itself":                  {"client", `clients: {tv: {type: native, grants: ["urn:ietf:params:oauth:grant-type:device_code"], scopes: [read]}}`, false},
		"a person by an assertion": {"user", `clients: {job: {type: service, auth: client_secret_basic, grants: ["urn:ietf:params:oauth:grant-type:jwt-bearer"], scopes: [read]}}
issuers: {office: {at: "https://office.example", jwks_uri: "https://office.example/j", clients: [job], scopes: [read], subjects: username}}`, true},
		"a client by an assertion about people": {"client", `clients: {job: {type: service, auth: client_secret_basic, grants: ["urn:ietf:params:oauth:grant-type:jwt-bearer"], scopes: [read]}}
issuers: {office: {at: "https://office.example", jwks_uri: "https://office.example/j", clients: [job], scopes: [read], subjects: username}}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := recipe.Read("recipe.yaml", []byte(strings.Replace(head, "WHO", row.who, 1)+row.rest))
			if (err == nil) != row.ok || err != nil && !strings.Contains(err.Error(), "nobody can reach it") {
				t.Error(err)
			}
		})
	}
}

// TestDetailsAreFilesOfTheRecipe: a schema is one strict object of the one dialect that takes nothing from elsewhere.
func TestDetailsAreFilesOfTheRecipe(t *testing.T) {
	for name, row := range map[string]struct{ schema, want string }{
		"a schema":                  {`{"$schema":"https://json-schema.org/draft/2020-12/schema","$ref":"#/$defs/a","$defs":{"a":{}}}`, ""},
		"another dialect":           {`{"$schema":"http://json-schema.org/draft-07/schema#"}`, "another dialect"},
		"G03 an address of inside":  {`{"properties":{"a":{"items":[{"$ref":"http://169.254.169.254/"}]}}}`, "outside itself"},
		"G03 a file":                {`{"$dynamicRef":"other.json#a"}`, "outside itself"},
		"J18 duplicate members":     {`{"type":"object","type":"string"}`, "not strict JSON"},
		"anything goes":             {`{}`, "no JSON Schema"},
		"a list":                    {`[]`, "no JSON Schema"},
		"deeper than anybody reads": {strings.Repeat(`{"a":`, 200) + "1" + strings.Repeat("}", 200), "not strict JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := recipe.Assemble("", []recipe.Source{{Name: "recipe.yaml", Text: []byte(open)}}, map[string][]byte{"payment.json": []byte(row.schema)}, today())
			if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
				t.Error(err)
			}
		})
	}
}
