package recipe_test

import (
	"strings"
	"testing"
)

// doors is a recipe of the doors beside the code flow, that each row of TestVerdictsOfDoors changes by one replacement.
const doors = `garde: 1
levels: [{name: basic, acr: "urn:example:basic", any: [password]}]
scopes: {read: {say: {en: Read}}, pay: {say: {en: Pay}}}
apis:
  api:
    at: https://api.example
    profile: oauth21
    bound: offered
    authorization_details:
      payment: {schema: pay.json, say: {en: Pay}, scopes: [pay]}
    operations: {POST /pay: {for: [user], scope: pay}, GET /x: {for: [client], scope: read}}
clients:
  site:
    type: web
    auth: private_key_jwt
    jwks_uri: https://site.example/jwks
    redirect_uris: ["https://site.example/cb"]
    grants: [authorization_code, "urn:openid:params:grant-type:ciba"]
    scopes: [openid, pay]
    profile: oauth21
    default_max_age: 600
    userinfo_signed_response_alg: ES256
    request_object_signing_alg: ES256
    require_pushed_authorization_requests: true
    backchannel_logout_uri: https://site.example/out
    backchannel_token_delivery_mode: ping
    backchannel_client_notification_endpoint: https://site.example/answered
    dpop_bound_access_tokens: true
    subject_type: pairwise
  job:
    type: service
    auth: tls_client_auth
    tls_client_auth_san_dns: job.example
    grants: [client_credentials, "urn:ietf:params:oauth:grant-type:jwt-bearer"]
    scopes: [read]
issuers:
  office: {at: https://office.example, jwks: office.json, clients: [job], scopes: [read], subjects: client}
registration:
  partners:
    software_statements: ["https://a.example=vouch.json"]
    scopes: [openid]
    profile: fapi2-security
    types: [web]
proofs: {nonce: true}
exceptions:
  site: {client: site, allow: [no_pkce], why: old, until: 2027-01-01}
`

func doorFiles() map[string][]byte {
	return map[string][]byte{
		"pay.json": []byte(`{"type":"object"}`), "office.json": []byte(`{"keys":[{"kty":"EC"}]}`), "vouch.json": []byte(`{"keys":[{"kty":"EC"}]}`),
	}
}

func TestVerdictsOfDoors(t *testing.T) {
	const par, dpop = "    require_pushed_authorization_requests: true\n", "    dpop_bound_access_tokens: true\n"
	for name, c := range map[string]struct{ old, new, want string }{
		"defaults written out":               {"    subject_type: pairwise\n", "    subject_type: pairwise\n    response_types: [code]\n", ""},
		"the defaults of a policy":           {"    types: [web]\n", "    types: [web]\n    grants: [refresh_token, authorization_code]\n    most: 1000\n    unused: 90d\n", ""},
		"a binding that was the default":     {"    bound: offered\n", "", ""},
		"binding is required":                {"bound: offered", "bound: required", "stronger apis.api.bound"},
		"a stricter profile of a policy":     {"profile: fapi2-security", "profile: fapi2-message-signing", "stronger registration.partners.profile"},
		"a profile of another kind":          {"profile: fapi2-security", "profile: ipsie-sl1", "weaker registration.partners.profile"},
		"a policy without its profile":       {"    profile: fapi2-security\n", "", "weaker registration.partners.profile"},
		"an API without its profile":         {"    profile: oauth21\n    bound", "    bound", "weaker apis.api.profile"},
		"requests need not be pushed":        {par, "", "weaker clients.site.require_pushed_authorization_requests"},
		"requests must be signed":            {par, par + "    require_signed_request_object: true\n", "stronger clients.site.require_signed_request_object"},
		"tokens need not be bound":           {dpop, "", "weaker clients.site.dpop_bound_access_tokens"},
		"people sign in less often":          {"max_age: 600", "max_age: 6000", "weaker clients.site.default_max_age"},
		"people sign in more often":          {"max_age: 600", "max_age: 60", "stronger clients.site.default_max_age"},
		"userinfo is signed no more":         {"    userinfo_signed_response_alg: ES256\n", "", "weaker clients.site.userinfo_signed_response_alg"},
		"userinfo under an older signature":  {"userinfo_signed_response_alg: ES256", "userinfo_signed_response_alg: RS256", "weaker clients.site.userinfo_signed_response_alg"},
		"requests under any signature":       {"    request_object_signing_alg: ES256\n", "", "weaker clients.site.request_object_signing_alg"},
		"encrypted ID tokens":                {par, par + "    id_token_encrypted_response_alg: ECDH-ES\n    id_token_encrypted_response_enc: A128GCM\n", "stronger clients.site.id_token_encrypted_response_alg; neutral clients.site.id_token_encrypted_response_enc"},
		"another place hears of sign-outs":   {"site.example/out", "site.example/bye", "weaker clients.site.backchannel_logout_uri"},
		"tokens are pushed":                  {"mode: ping", "mode: push", "weaker clients.site.backchannel_token_delivery_mode"},
		"notices go elsewhere":               {"/answered", "/answers", "weaker clients.site.backchannel_client_notification_endpoint"},
		"people bear the same name anywhere": {"    subject_type: pairwise\n", "", "weaker clients.site.subject_type"},
		"another sector":                     {"pairwise\n", "pairwise\n    sector_identifier_uri: https://site.example/s\n", "weaker clients.site.sector_identifier_uri"},
		"a logo":                             {par, par + "    logo_uri: https://site.example/logo\n    contacts: [a@b.example]\n", "neutral clients.site.contacts[a@b.example]; neutral clients.site.logo_uri"},
		"another certificate":                {"dns: job.example", "dns: job2.example", "weaker clients.job.tls_client_auth_san_dns"},
		"a client asks for rich requests":    {par, par + "    authorization_details_types: [payment]\n", "weaker clients.site.authorization_details_types[payment]"},
		"a rich request takes a scope less":  {", scopes: [pay]}\n", "}\n", "weaker apis.api.authorization_details.payment.scopes[pay]"},
		"the words of a rich request":        {"{en: Pay}, scopes", "{en: Send}, scopes", "neutral apis.api.authorization_details.payment.say.en"},
		"another issuer is believed":         {"at: https://office", "at: https://other", "weaker issuers.office.at"},
		"assertions speak for others":        {"subjects: client", "subjects: username", "weaker issuers.office.subjects"},
		"keys from an address":               {"jwks: office.json", "jwks_uri: https://office.example/jwks", "stronger issuers.office.jwks; weaker issuers.office.jwks_uri"},
		"a new issuer":                       {"issuers:\n", "issuers:\n  two: {at: https://two.example, jwks_uri: https://two.example/j, clients: [job], scopes: [read], subjects: user}\n", "weaker issuers.two"},
		"a renamed client shows assertions":  {"  job:\n", "  task:\n    was: job\n", "neutral clients.task.was"},
		"anyone may register":                {"    types: [web]\n", "    types: [web]\n    open: true\n", "weaker registration.partners.open"},
		"more may be registered":             {"    types: [web]\n", "    types: [web]\n    most: 5000\n", "weaker registration.partners.most"},
		"fewer may be registered":            {"    types: [web]\n", "    types: [web]\n    most: 5\n", "stronger registration.partners.most"},
		"people are not told":                {"    types: [web]\n", "    types: [web]\n    trusted: true\n", "weaker registration.partners.trusted"},
		"documents of any host":              {"    types: [web]\n", "    types: [web]\n    client_id_hosts: ['*']\n", "weaker registration.partners.client_id_hosts[*]"},
		"another policy":                     {"registration:\n", "registration:\n  two: {scopes: [openid]}\n", "weaker registration.two"},
		"proofs are made beforehand":         {"proofs: {nonce: true}\n", "", "weaker proofs.nonce"},
		"a proof is good once":               {"{nonce: true}", "{nonce: true, shared_replay: true}", "stronger proofs.shared_replay"},
		"one more exception":                 {"exceptions:\n", "exceptions:\n  two: {registration: partners, allow: [error_redirect], why: tests, until: 2027-01-01}\n", "weaker exceptions.two"},
		"an exception lasts longer":          {"2027-01-01", "2027-01-02", "weaker exceptions.site.until"},
		"an exception is gone":               {"exceptions:\n  site: {client: site, allow: [no_pkce], why: old, until: 2027-01-01}\n", "", "stronger exceptions.site"},
		"an exception for a policy instead":  {"client: site, allow: [no_pkce]", "registration: partners, allow: [error_redirect]", "weaker exceptions.site.allow[error_redirect]; stronger exceptions.site.allow[no_pkce]; weaker exceptions.site.client; weaker exceptions.site.registration"},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(doors, c.old) {
				t.Fatal("the row replaces nothing")
			}
			text := strings.Replace(doors, c.old, c.new, 1)
			if strings.Contains(text, "was: job") {
				text = strings.Replace(text, "clients: [job]", "clients: [task]", 1)
			}
			files := doorFiles()
			if !strings.Contains(text, "jwks: office.json") {
				delete(files, "office.json")
			}
			verdicts(t, assemble(t, doors, doorFiles()), assemble(t, text, files), c.want)
		})
	}
}

// TestVerdictsOnFilesOfDoors: another content is a change where the file is named, also behind ISSUER=.
func TestVerdictsOnFilesOfDoors(t *testing.T) {
	for file, want := range map[string]string{
		"pay.json": "weaker apis.api.authorization_details.payment.schema", "office.json": "weaker issuers.office.jwks",
		"vouch.json": "weaker registration.partners.software_statements[https://a.example=vouch.json]",
	} {
		files := doorFiles()
		files[file] = append(files[file], ' ')
		verdicts(t, assemble(t, doors, doorFiles()), assemble(t, doors, files), want)
	}
}
