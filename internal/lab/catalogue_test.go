package lab_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/lab"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/recipe"
)

// catalogue names what each door for programs can answer, by door and occasion, in the exact status and words.
//
// Not reached here, and why: server_error (500) needs a fault of ours, and is proved at the face (internal/web). 503 of a crowd
// needs a thousand connections (internal/web); that of every door without storage is F13 in outage_test.go. interaction_required
// of an exchange needs a person in a browser (native_test.go). expired_login_hint_token needs a hint that the lab does not make
// (internal/server/ciba), and nobody says missing_user_code and invalid_user_code: no person has a user_code. unapproved_software_statement needs a policy that
// trusts issuers (internal/server/register). What answers prompt=none or a person's no goes through a browser to a redirect URI
// and has no status of its own (internal/server/authorize).
var catalogue = map[string]string{
	"ciba: GET":                              "405 invalid_request: the method is not allowed here; use POST",
	"ciba: a client of other grants":         "400 unauthorized_client: the client is not registered for this grant",
	"ciba: a crowd of hints":                 "429 temporarily_unavailable: too many people were named whom nobody knows",
	"ciba: a message that can't be shown":    "400 invalid_binding_message: binding_message holds characters that can't be seen",
	"ciba: a person who is asked and asked":  "429 temporarily_unavailable: this person has been asked too often",
	"ciba: a profile that demands a message": "400 invalid_binding_message: the client's profile demands a binding_message where nothing else tells requests apart",
	"ciba: a user code that nobody has":      "400 invalid_request: the parameter user_code is not supported",
	"ciba: a wrong secret":                   "401 invalid_client: the client is unknown or did not prove itself as registered",
	"ciba: an expiry of no time":             "400 invalid_request: requested_expiry must be a positive number of seconds",
	"ciba: an unknown person":                "400 unknown_user_id: the hint names nobody who can be asked",
	"ciba: an unknown resource":              "400 invalid_target: no API has this address",
	"ciba: an unknown scope":                 "400 invalid_scope: no such scope: x",
	"ciba: no client":                        "400 invalid_request: client_id or another client authentication is missing",
	"ciba: no hint":                          "400 invalid_request: exactly one of login_hint, id_token_hint and login_hint_token is needed",
	"ciba: no nonce":                         "400 use_dpop_nonce: send the proof again with the nonce of the header DPoP-Nonce",
	"ciba: no request object":                "400 invalid_request: the request object is not a signed JWT",
	"ciba: no storage":                       "503 temporarily_unavailable: the server can't answer now; try again",
	"ciba: other details":                    "400 invalid_authorization_details: authorization_details, object 1: the type is unknown, or not for this client",
	"ciba: ping with a header for a token":   "400 invalid_request: client_notification_token is no Bearer credential of at most 1024 characters",
	"ciba: ping without a token":             "400 invalid_request: client_notification_token is missing: the client is told by ping",
	"ciba: push without the key":             "400 invalid_dpop_proof: the token must be bound to a DPoP key: show a proof of it",
	"ciba: two hints":                        "400 invalid_request: exactly one of login_hint, id_token_hint and login_hint_token is needed",
	"ciba: without openid":                   "400 invalid_scope: scope must hold openid",
	"device: GET":                            "405 invalid_request: the method is not allowed here; use POST",
	"device: a client of other grants":       "400 unauthorized_client: the client is not registered for this grant",
	"device: a crowd":                        "429 temporarily_unavailable: too many codes were asked for",
	"device: a prompt":                       "400 invalid_request: the parameter prompt has no meaning here",
	"device: a request object":               "400 request_not_supported: request objects are not accepted",
	"device: a wrong secret":                 "401 invalid_client: the client is unknown or did not prove itself as registered",
	"device: an unknown resource":            "400 invalid_target: no API has this address",
	"device: an unknown scope":               "400 invalid_scope: no such scope: x",
	"device: no client":                      "400 invalid_request: client_id or another client authentication is missing",
	"device: no nonce":                       "400 use_dpop_nonce: send the proof again with the nonce of the header DPoP-Nonce",
	"device: no proof":                       "400 invalid_dpop_proof: the proof is malformed",
	"device: no storage":                     "503 temporarily_unavailable: the server can't answer now; try again",
	"device: other details":                  "400 invalid_authorization_details: authorization_details, object 1: the type is unknown, or not for this client",
	"gate: an old sign-in":                   "401 insufficient_user_authentication: this operation needs a recent sign-in: ask for a token with the max_age of this answer",
	"gate: an unknown token":                 "401 invalid_token: the token is malformed",
	"gate: another scope":                    "403 insufficient_scope: this operation needs the scope transfers.write: ask for a token that has it",
	"gate: no nonce":                         "401 use_dpop_nonce: send the proof again with the nonce of the header DPoP-Nonce",
	"gate: no proof":                         "401 invalid_dpop_proof: the scheme DPoP needs a proof in the header DPoP",
	"gate: no token":                         "401 <nil>: credentials are needed",
	"gate: two tokens":                       "400 invalid_request: a token in the URL is never accepted: send it as Authorization: Bearer",
	"introspect: GET":                        "405 invalid_request: the method is not allowed here; use POST",
	"introspect: a wrong secret":             "401 invalid_client: the client is unknown or did not prove itself as registered",
	"introspect: no client":                  "400 invalid_request: client_id or another client authentication is missing",
	"introspect: no token":                   "400 invalid_request: token is missing",
	"manage: a redirect URI in clear":        "400 invalid_redirect_uri: redirect_uris[0]: 'http://app.example/cb' is not https (write https://; http is for 127.0.0.1 and [::1] only)",
	"manage: a secret of one's own":          "400 invalid_client_metadata: client_secret: a client does not choose its secret",
	"manage: a wrong token":                  "401 invalid_token: the registration access token does not open this client",
	"manage: another client":                 "400 invalid_client_metadata: client_id: an update names its client (RFC 7592 section 2.2)",
	"manage: another type":                   "400 invalid_client_metadata: application_type: a client keeps its type, which was web; register another",
	"manage: no token":                       "401 <nil>: credentials are needed",
	"manage: two tokens":                     "400 invalid_request: the token is sent in two ways: it belongs into the Authorization header alone",
	"manage: what is ours sent back":         "400 invalid_client_metadata: registration_access_token: is not sent back (RFC 7592 section 2.2)",
	"par: GET":                               "405 invalid_request: the method is not allowed here; use POST",
	"par: a crowd of strangers":              "429 temporarily_unavailable: too many requests were pushed from this network",
	"par: a megabyte":                        "413 invalid_request: the form is too large",
	"par: a request_uri":                     "400 invalid_request: request_uri has no meaning here",
	"par: a response type of others":         "400 unsupported_response_type: this client may not use this response_type",
	"par: a wrong secret":                    "401 invalid_client: the client is unknown or did not prove itself as registered",
	"par: an unknown resource":               "400 invalid_target: no API has this address",
	"par: an unknown response type":          "400 unsupported_response_type: this server has no such response_type",
	"par: an unknown scope":                  "400 invalid_scope: no such scope: x",
	"par: another redirect URI":              "400 invalid_request: redirect_uri is not registered for this client, byte for byte",
	"par: no client":                         "400 invalid_request: client_id or another client authentication is missing",
	"par: no nonce":                          "400 use_dpop_nonce: send the proof again with the nonce of the header DPoP-Nonce",
	"par: no proof":                          "400 invalid_dpop_proof: the proof is malformed",
	"par: no request object":                 "400 invalid_request_object: the request object is not a signed JWT",
	"par: no storage":                        "503 temporarily_unavailable: the server can't answer now; try again",
	"par: nothing":                           "400 invalid_request: redirect_uri is missing",
	"par: other details":                     "400 invalid_authorization_details: authorization_details, object 1: the type is unknown, or not for this client",
	"par: registration":                      "400 registration_not_supported: the parameter registration is not accepted",
	"register: GET":                          "404 invalid_request: there is nothing here",
	"register: a crowd":                      "429 temporarily_unavailable: too many registrations from here",
	"register: a redirect URI in clear":      "400 invalid_redirect_uri: redirect_uris[0]: 'http://app.example/cb' is not https (write https://; http is for 127.0.0.1 and [::1] only)",
	"register: a statement of nobody":        "400 invalid_software_statement: the software statement is no signed JWT",
	"register: a wrong token":                "401 invalid_token: the initial access token is unknown, spent, expired or for another policy",
	"register: an unknown grant":             "400 invalid_client_metadata: grant_types[0]: a web client can't have the grant 'x' (its grants are authorization_code, refresh_token, client_credentials, urn:ietf:params:oauth:grant-type:device_code, urn:openid:params:grant-type:ciba, urn:ietf:params:oauth:grant-type:jwt-bearer, implicit); redirect_uris: no code goes anywhere without the grant authorization_code (leave it out, or add the grant)",
	"register: keys that are none":           "400 invalid_client_metadata: jwks: the file is not a key set (write {'keys': [...]} with 1 to 32 keys (RFC 7517 section 5))",
	"register: no JSON":                      "400 invalid_client_metadata: the JSON is malformed at byte 0",
	"register: no policy":                    "404 invalid_request: there is nothing here",
	"register: no redirect URI":              "400 invalid_redirect_uri: redirect_uris: is missing: codes have nowhere to go (list every address in full; none is learnt from a request. Without people: grants: [client_credentials])",
	"register: no storage":                   "503 temporarily_unavailable: the server can't answer now; try again",
	"register: no token":                     "401 <nil>: credentials are needed",
	"revoke: GET":                            "405 invalid_request: the method is not allowed here; use POST",
	"revoke: a wrong secret":                 "401 invalid_client: the client is unknown or did not prove itself as registered",
	"revoke: no client":                      "400 invalid_request: client_id or another client authentication is missing",
	"revoke: no token":                       "400 invalid_request: token is missing",
	"token: GET":                             "405 invalid_request: the method is not allowed here; use POST",
	"token: JSON":                            "400 invalid_request: the content type must be application/x-www-form-urlencoded",
	"token: a crowd of wrong secrets":        "429 temporarily_unavailable: too many failed proofs of this client",
	"token: a grant of others":               "400 unauthorized_client: the client is not registered for this grant",
	"token: a megabyte":                      "413 invalid_request: the form is too large",
	"token: a no from a device":              "400 access_denied: the person said no",
	"token: a no over the backchannel":       "400 access_denied: the person said no",
	"token: a person who waits":              "400 authorization_pending: the person has not decided yet: ask again after the interval",
	"token: a poll too soon":                 "400 slow_down: asked too soon: the interval is five seconds longer from now on",
	"token: a wrong secret":                  "401 invalid_client: the client is unknown or did not prove itself as registered",
	"token: an assertion of nobody":          "400 invalid_grant: the grant is unknown, expired, spent, revoked or not this client's",
	"token: an unknown code":                 "400 invalid_grant: the grant is unknown, expired, spent, revoked or not this client's",
	"token: an unknown device code":          "400 invalid_grant: the grant is unknown, expired, spent, revoked or not this client's",
	"token: an unknown grant":                "400 unsupported_grant_type: this server has no such grant",
	"token: an unknown refresh token":        "400 invalid_grant: the grant is unknown, expired, spent, revoked or not this client's",
	"token: an unknown resource":             "400 invalid_target: no API has this address",
	"token: an unknown scope":                "400 invalid_scope: more than the client may have",
	"token: compressed":                      "415 invalid_request: a content encoding is not accepted",
	"token: no client":                       "400 invalid_request: client_id or another client authentication is missing",
	"token: no grant":                        "400 invalid_request: grant_type is missing",
	"token: no nonce":                        "400 use_dpop_nonce: send the proof again with the nonce of the header DPoP-Nonce",
	"token: no proof":                        "400 invalid_dpop_proof: the proof is malformed",
	"token: no storage":                      "503 temporarily_unavailable: the server can't answer now; try again",
	"token: nobody":                          "401 invalid_client: the client is unknown or did not prove itself as registered",
	"token: other details":                   "400 invalid_authorization_details: more than was granted",
	"token: the time has run out":            "400 expired_token: the time to decide has run out: begin again",
	"userinfo: PUT":                          "405 invalid_request: the method is not allowed here; use GET, POST",
	"userinfo: a client's own token":         "403 insufficient_scope: the token does not hold the scope openid",
	"userinfo: an unknown token":             "401 invalid_token: the token is malformed",
	"userinfo: no nonce":                     "401 use_dpop_nonce: send the proof again with the nonce of the header DPoP-Nonce",
	"userinfo: no proof":                     "401 invalid_dpop_proof: the scheme DPoP needs a proof in the header DPoP",
	"userinfo: no token":                     "401 <nil>: credentials are needed",
	"userinfo: two tokens":                   "400 invalid_request: the token is sent in two ways: it belongs into the Authorization header alone",
}

// TestEachErrorOfEachDoorReadsAsItIsWritten is the catalogue of what doors refuse with.
func TestEachErrorOfEachDoorReadsAsItIsWritten(t *testing.T) {
	h := lab.New(t, lab.Options{Partner: true, Gate: true})
	h.Followed(h.Change(func(r *recipe.Recipe) {
		r.Registration = map[string]recipe.Registration{
			"open": {Open: true, Scopes: []string{"openid"}}, "invited": {Scopes: []string{"openid"}},
		}
		r.Proofs.Nonce = true
	}))
	alice, bob := h.NewPerson("alice"), h.NewPerson("bob")
	with := func(path string, headers ...string) func(pairs ...string) lab.Reply {
		return func(pairs ...string) lab.Reply {
			form := lab.Form(pairs...)
			return h.Post(path, form, append(headers, h.Prove(lab.WebA, form)...)...)
		}
	}
	as := func(client, path string, pairs ...string) lab.Reply { return h.As(client, path, lab.Form(pairs...)) }
	pushed := func(change ...string) lab.Reply {
		form := lab.Ask(lab.WebA)
		for i := 0; i+1 < len(change); i += 2 {
			form.Set(change[i], change[i+1])
		}
		return h.As(lab.WebA, "/par", form)
	}
	register := func(path, body string, headers ...string) lab.Reply {
		return h.Do(lab.Request("POST", path, body, append(headers, "Content-Type", "application/json")...))
	}
	shown := func(token string) lab.Reply { return h.UserInfo(token) }
	ciba := func(pairs ...string) lab.Reply {
		return as(lab.WebA, "/bc-authorize", append([]string{"scope", "openid"}, pairs...)...)
	}
	device := as(lab.WebA, "/device_authorization", "scope", "openid").Text("device_code")
	poll := func() lab.Reply {
		return as(lab.WebA, "/token", "grant_type", string(oauth.DeviceCode), "device_code", device)
	}
	own := h.Credentials(lab.Job, "scope", "accounts.read").Text("access_token")
	told, key := toldClients(t, h), h.NewKey()
	stale := func(path string, pairs ...string) lab.Reply { // a good proof without a nonce (RFC 9449 section 8)
		return with(path, "DPoP", key.Show("POST", h.Issuer+path, ""))(pairs...)
	}
	var registered lab.Reply
	update := func(change string) lab.Reply { // RFC 7592 section 2.2
		if registered.Status == 0 {
			registered = register("/register/open", `{"redirect_uris":["https://kept.example/cb"]}`)
		}
		if !strings.Contains(change, `"client_id"`) {
			change += `,"client_id":"` + registered.Text("client_id") + `"`
		}
		return h.Do(lab.Request("PUT", "/register/open/"+registered.Text("client_id"), "{"+change+"}",
			"Content-Type", "application/json", "Authorization", "Bearer "+registered.Text("registration_access_token")))
	}
	read := h.Tokens(alice, lab.Plant{Scope: "openid accounts.read", Resource: h.AccountsAPI()}).AccessToken
	write := h.Tokens(alice, lab.Plant{Scope: "openid transfers.write", Resource: h.AccountsAPI(), Twist: func(c *iam.Code) {
		c.Grant.AuthTime = c.Grant.AuthTime.Add(-time.Hour)
	}}).AccessToken
	rows := []struct {
		name string
		ask  func() lab.Reply
	}{
		{"token: no grant", func() lab.Reply { return as(lab.WebA, "/token") }},
		{"token: an unknown grant", func() lab.Reply { return as(lab.WebA, "/token", "grant_type", "x") }},
		{"token: a grant of others", func() lab.Reply { return as(lab.Native, "/token", "grant_type", "client_credentials") }},
		{"token: a wrong secret", func() lab.Reply {
			return h.Post("/token", lab.Form("grant_type", "client_credentials"), "Authorization", lab.BasicAuth(lab.Job, "x"))
		}},
		{"token: nobody", func() lab.Reply {
			return h.Post("/token", lab.Form("grant_type", "authorization_code", "code", "x", "client_id", "x"))
		}},
		{"token: no client", func() lab.Reply { return h.Post("/token", lab.Form("grant_type", "authorization_code", "code", "x")) }},
		{"token: an unknown code", func() lab.Reply {
			return as(lab.WebA, "/token", "grant_type", "authorization_code", "code", "x", "redirect_uri", lab.Redirect(lab.WebA), "code_verifier", lab.Verifier)
		}},
		{"token: an unknown refresh token", func() lab.Reply { return h.Refresh(lab.WebA, "x") }},
		{"token: an unknown scope", func() lab.Reply { return h.Credentials(lab.Job, "scope", "x") }},
		{"token: an unknown resource", func() lab.Reply { return h.Credentials(lab.Job, "resource", "https://x.example") }},
		{"token: no proof", func() lab.Reply {
			return with("/token", "DPoP", "x")("grant_type", "refresh_token", "refresh_token", "x")
		}},
		{"token: other details", func() lab.Reply {
			form := h.Code(alice, lab.Plant{}).Form()
			form.Set("authorization_details", `[{"type":"pay"}]`)
			return h.As(lab.WebA, "/token", form)
		}},
		{"token: an assertion of nobody", func() lab.Reply {
			return as(lab.WebA, "/token", "grant_type", string(oauth.JWTBearer), "assertion", "x")
		}},
		{"token: a person who waits", poll},
		{"token: a poll too soon", poll},
		{"token: a no from a device", func() lab.Reply {
			return as(lab.WebA, "/token", "grant_type", string(oauth.DeviceCode), "device_code", h.Refused(alice, lab.WebA, iam.AskedDevice))
		}},
		{"token: a no over the backchannel", func() lab.Reply {
			return as(lab.WebA, "/token", "grant_type", string(oauth.CIBA), "auth_req_id", h.Refused(alice, lab.WebA, iam.AskedCIBA))
		}},
		{"token: no nonce", func() lab.Reply { return stale("/token", "grant_type", "refresh_token", "refresh_token", "x") }},
		{"par: no nonce", func() lab.Reply { return stale("/par", "response_type", "code") }},
		{"device: no nonce", func() lab.Reply { return stale("/device_authorization", "scope", "openid") }},
		{"ciba: no nonce", func() lab.Reply { return stale("/bc-authorize", "scope", "openid", "login_hint", alice.Username) }},
		{"userinfo: no nonce", func() lab.Reply {
			return h.Get("/userinfo", "Authorization", "DPoP "+read, "DPoP", key.Show("GET", h.Issuer+"/userinfo", read))
		}},
		{"gate: no nonce", func() lab.Reply {
			return h.Call("GET", "/accounts/balance", "", "Authorization", "DPoP "+read, "DPoP", key.Show("GET", h.GateURL+"/accounts/balance", read))
		}},
		{"userinfo: two tokens", func() lab.Reply { return h.Get("/userinfo?access_token=x", "Authorization", "Bearer "+read) }},
		{"manage: two tokens", func() lab.Reply { return h.Get("/register/open/x?access_token=x", "Authorization", "Bearer x") }},
		{"token: an unknown device code", func() lab.Reply {
			return as(lab.WebA, "/token", "grant_type", string(oauth.DeviceCode), "device_code", "x")
		}},
		{"token: GET", func() lab.Reply { return h.Get("/token") }},
		{"token: JSON", func() lab.Reply { return h.Do(lab.Request("POST", "/token", "{}", "Content-Type", "application/json")) }},
		{"token: compressed", func() lab.Reply {
			return h.Do(lab.Request("POST", "/token", "x", "Content-Type", lab.FormType, "Content-Encoding", "gzip"))
		}},
		{"token: a megabyte", func() lab.Reply {
			return h.Do(lab.Request("POST", "/token", "a="+strings.Repeat("x", 1<<20), "Content-Type", lab.FormType))
		}},
		{"par: no client", func() lab.Reply { return h.Post("/par", url.Values{}) }},
		{"par: a wrong secret", func() lab.Reply { return h.Post("/par", url.Values{}, "Authorization", lab.BasicAuth(lab.WebA, "x")) }},
		{"par: nothing", func() lab.Reply { return as(lab.WebA, "/par") }},
		{"par: another redirect URI", func() lab.Reply { return pushed("redirect_uri", "https://evil.example/cb") }},
		{"par: a request_uri", func() lab.Reply { return pushed("request_uri", "urn:x") }},
		{"par: an unknown response type", func() lab.Reply { return pushed("response_type", "x") }},
		{"par: an unknown scope", func() lab.Reply { return pushed("scope", "openid x") }},
		{"par: an unknown resource", func() lab.Reply { return pushed("resource", "https://x.example") }},
		{"par: other details", func() lab.Reply { return pushed("authorization_details", `[{"type":"x"}]`) }},
		{"par: no request object", func() lab.Reply { return pushed("request", "x") }},
		{"par: registration", func() lab.Reply { return pushed("registration", "{}") }},
		{"par: no proof", func() lab.Reply {
			form := lab.Ask(lab.WebA)
			return h.Post("/par", form, append(h.Prove(lab.WebA, form), "DPoP", "x")...)
		}},
		{"par: a response type of others", func() lab.Reply { return pushed("response_type", "id_token") }},
		{"par: a megabyte", func() lab.Reply {
			return h.Do(lab.Request("POST", "/par", "a="+strings.Repeat("x", 1<<20), "Content-Type", lab.FormType))
		}},
		{"par: GET", func() lab.Reply { return h.Get("/par") }},
		{"device: no client", func() lab.Reply { return h.Post("/device_authorization", url.Values{}) }},
		{"device: a client of other grants", func() lab.Reply { return as(lab.WebB, "/device_authorization", "scope", "openid") }},
		{"device: an unknown scope", func() lab.Reply { return as(lab.WebA, "/device_authorization", "scope", "x") }},
		{"device: a prompt", func() lab.Reply { return as(lab.WebA, "/device_authorization", "scope", "openid", "prompt", "none") }},
		{"device: no proof", func() lab.Reply { return with("/device_authorization", "DPoP", "x")("scope", "openid") }},
		{"device: a wrong secret", func() lab.Reply {
			return h.Post("/device_authorization", lab.Form("scope", "openid"), "Authorization", lab.BasicAuth(lab.WebA, "x"))
		}},
		{"device: a request object", func() lab.Reply { return as(lab.WebA, "/device_authorization", "scope", "openid", "request", "x") }},
		{"device: an unknown resource", func() lab.Reply {
			return as(lab.WebA, "/device_authorization", "scope", "openid", "resource", "https://x.example")
		}},
		{"device: other details", func() lab.Reply {
			return as(lab.WebA, "/device_authorization", "scope", "openid", "authorization_details", `[{"type":"x"}]`)
		}},
		{"device: GET", func() lab.Reply { return h.Get("/device_authorization") }},
		{"ciba: no client", func() lab.Reply { return h.Post("/bc-authorize", url.Values{}) }},
		{"ciba: a client of other grants", func() lab.Reply { return as(lab.WebB, "/bc-authorize", "scope", "openid", "login_hint", "alice") }},
		{"ciba: no hint", func() lab.Reply { return ciba() }},
		{"ciba: two hints", func() lab.Reply { return ciba("login_hint", "alice", "id_token_hint", "x") }},
		{"ciba: an unknown person", func() lab.Reply { return ciba("login_hint", "nobody-at-all") }},
		{"ciba: an unknown scope", func() lab.Reply { return as(lab.WebA, "/bc-authorize", "scope", "x", "login_hint", alice.Username) }},
		{"ciba: a message that can't be shown", func() lab.Reply { return ciba("login_hint", alice.Username, "binding_message", "a\u202eb") }},
		{"ciba: a user code that nobody has", func() lab.Reply { return ciba("login_hint", alice.Username, "user_code", "1234") }},
		{"ciba: a wrong secret", func() lab.Reply {
			return h.Post("/bc-authorize", lab.Form("scope", "openid", "login_hint", alice.Username), "Authorization", lab.BasicAuth(lab.WebA, "x"))
		}},
		{"ciba: without openid", func() lab.Reply {
			return as(lab.WebA, "/bc-authorize", "scope", "accounts.read", "login_hint", alice.Username)
		}},
		{"ciba: an expiry of no time", func() lab.Reply { return ciba("login_hint", alice.Username, "requested_expiry", "0") }},
		{"ciba: an unknown resource", func() lab.Reply { return ciba("login_hint", alice.Username, "resource", "https://x.example") }},
		{"ciba: other details", func() lab.Reply { return ciba("login_hint", alice.Username, "authorization_details", `[{"type":"x"}]`) }},
		{"ciba: no request object", func() lab.Reply { return ciba("request", "x") }},
		{"ciba: ping without a token", func() lab.Reply { return told("ping") }},
		{"ciba: ping with a header for a token", func() lab.Reply { return told("ping", "client_notification_token", "a\r\nX: y") }},
		{"ciba: push without the key", func() lab.Reply { return told("push", "client_notification_token", "t") }},
		{"ciba: a profile that demands a message", func() lab.Reply { return told("profiled") }},
		{"ciba: GET", func() lab.Reply { return h.Get("/bc-authorize") }},
		{"register: no token", func() lab.Reply { return register("/register/invited", `{}`) }},
		{"register: a wrong token", func() lab.Reply { return register("/register/invited", `{}`, "Authorization", "Bearer x") }},
		{"register: no policy", func() lab.Reply { return register("/register/none", `{}`) }},
		{"register: no JSON", func() lab.Reply { return register("/register/open", `x`) }},
		{"register: no redirect URI", func() lab.Reply { return register("/register/open", `{}`) }},
		{"register: a redirect URI in clear", func() lab.Reply { return register("/register/open", `{"redirect_uris":["http://app.example/cb"]}`) }},
		{"register: an unknown grant", func() lab.Reply {
			return register("/register/open", `{"redirect_uris":["https://app.example/cb"],"grant_types":["x"]}`)
		}},
		{"register: a statement of nobody", func() lab.Reply {
			return register("/register/open", `{"redirect_uris":["https://app.example/cb"],"software_statement":"a.b.c"}`)
		}},
		{"register: GET", func() lab.Reply { return h.Get("/register") }},
		{"manage: a wrong token", func() lab.Reply { return h.Get("/register/open/x", "Authorization", "Bearer x") }},
		{"register: keys that are none", func() lab.Reply {
			return register("/register/open", `{"redirect_uris":["https://app.example/cb"],"token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[]}}`)
		}},
		{"manage: another client", func() lab.Reply { return update(`"client_id":"x"`) }},
		{"manage: a secret of one's own", func() lab.Reply { return update(`"redirect_uris":["https://kept.example/cb"],"client_secret":"x"`) }},
		{"manage: what is ours sent back", func() lab.Reply { return update(`"registration_access_token":"x"`) }},
		{"manage: another type", func() lab.Reply {
			return update(`"redirect_uris":["https://kept.example/cb"],"application_type":"native"`)
		}},
		{"manage: a redirect URI in clear", func() lab.Reply { return update(`"redirect_uris":["http://app.example/cb"]`) }},
		{"manage: no token", func() lab.Reply { return h.Get("/register/open/x") }},
		{"introspect: GET", func() lab.Reply { return h.Get("/introspect") }},
		{"introspect: a wrong secret", func() lab.Reply {
			return h.Post("/introspect", lab.Form("token", "x"), "Authorization", lab.BasicAuth(lab.Accounts, "x"))
		}},
		{"revoke: GET", func() lab.Reply { return h.Get("/revoke") }},
		{"revoke: a wrong secret", func() lab.Reply {
			return h.Post("/revoke", lab.Form("token", "x"), "Authorization", lab.BasicAuth(lab.WebA, "x"))
		}},
		{"introspect: no client", func() lab.Reply { return h.Post("/introspect", lab.Form("token", "x")) }},
		{"introspect: no token", func() lab.Reply { return as(lab.Accounts, "/introspect") }},
		{"revoke: no client", func() lab.Reply { return h.Post("/revoke", lab.Form("token", "x")) }},
		{"revoke: no token", func() lab.Reply { return as(lab.WebA, "/revoke") }},
		{"userinfo: an unknown token", func() lab.Reply { return shown("x") }},
		{"userinfo: a client's own token", func() lab.Reply { return shown(own) }},
		{"userinfo: no token", func() lab.Reply { return h.Get("/userinfo") }},
		{"userinfo: PUT", func() lab.Reply { return h.Do(lab.Request("PUT", "/userinfo", "", "Authorization", "Bearer x")) }},
		{"gate: no token", func() lab.Reply { return h.Call("GET", "/accounts/balance", "") }},
		{"gate: an unknown token", func() lab.Reply { return h.Call("GET", "/accounts/balance", "x") }},
		{"gate: another scope", func() lab.Reply { return h.Call("POST", "/accounts/transfers", read) }},
		{"gate: an old sign-in", func() lab.Reply { return h.Call("POST", "/accounts/transfers", write) }},
		{"gate: two tokens", func() lab.Reply { return h.Call("GET", "/accounts/balance?access_token=x", read) }},
		{"gate: no proof", func() lab.Reply {
			return h.Call("GET", "/accounts/balance", "", "Authorization", "DPoP "+read)
		}},
		{"userinfo: no proof", func() lab.Reply { return h.Get("/userinfo", "Authorization", "DPoP x") }},
		{"token: the time has run out", func() lab.Reply { h.Pass(time.Hour); return poll() }},
		{"token: a crowd of wrong secrets", func() lab.Reply {
			return until429(func() lab.Reply {
				return h.Post("/token", lab.Form("grant_type", "client_credentials"), "Authorization", lab.BasicAuth(lab.Job, "x"))
			})
		}},
		{"par: a crowd of strangers", func() lab.Reply {
			return until429(func() lab.Reply { return h.As(lab.Native, "/par", lab.Ask(lab.Native)) })
		}},
		{"device: a crowd", func() lab.Reply {
			return until429(func() lab.Reply { return as(lab.WebA, "/device_authorization", "scope", "openid") })
		}},
		{"ciba: a crowd of hints", func() lab.Reply { return until429(func() lab.Reply { return ciba("login_hint", "nobody-at-all") }) }},
		{"ciba: a person who is asked and asked", func() lab.Reply {
			return until429(func() lab.Reply { return ciba("login_hint", alice.Username) })
		}},
		{"register: a crowd", func() lab.Reply { return until429(func() lab.Reply { return register("/register/open", `{}`) }) }},
		{"token: no storage", func() lab.Reply {
			h.Pass(2 * time.Hour) // what the crowds used up is there again
			code := h.Code(alice, lab.Plant{})
			h.Break()
			return h.Redeem(code)
		}},
		{"par: no storage", func() lab.Reply { return pushed() }},
		{"device: no storage", func() lab.Reply { return as(lab.WebA, "/device_authorization", "scope", "openid") }},
		{"ciba: no storage", func() lab.Reply { return ciba("login_hint", bob.Username) }},
		{"register: no storage", func() lab.Reply {
			return register("/register/open", `{"redirect_uris":["https://late.example/cb"]}`, "X-Forwarded-For", "203.0.113.9")
		}},
	}
	tried := map[string]bool{}
	for _, row := range rows {
		tried[row.name] = true
		reply := row.ask()
		var body map[string]any
		if err := json.Unmarshal(reply.Body, &body); err != nil {
			t.Errorf("%s: %d %q is no JSON", row.name, reply.Status, reply.Body)
			continue
		}
		gate := strings.HasPrefix(row.name, "gate: ")
		code, words, wanted := "error", "error_description", []string{"error", "error_description", "trace"}
		if gate { // problem details (RFC 9457)
			code, words, wanted = "code", "detail", []string{"code", "detail", "status", "title", "trace"}
		}
		if got := fmt.Sprintf("%d %v: %v", reply.Status, body[code], body[words]); got != catalogue[row.name] {
			t.Errorf("\t%q: %q,", row.name, got)
		}
		if strings.HasSuffix(row.name, ": no token") && reply.Status == 401 { // who shows nothing is told no error (RFC 6750 section 3.1)
			wanted = wanted[1:]
		}
		if members := slices.Sorted(maps.Keys(body)); !slices.Equal(members, wanted) {
			t.Errorf("%s: the body has %v", row.name, members)
		}
		if reply.Status == 401 && row.name != "token: nobody" && reply.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: 401 without a challenge", row.name)
		}
		if strings.HasSuffix(row.name, ": no nonce") && reply.Nonce() == "" {
			t.Errorf("%s: %d without DPoP-Nonce", row.name, reply.Status)
		}
		if (reply.Status == 429 || reply.Status == 503) && reply.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %d without Retry-After", row.name, reply.Status)
		}
		if !gate {
			never(t, reply)
		}
	}
	for name := range catalogue {
		if !tried[name] {
			t.Errorf("%s stands in the catalogue and was not tried", name)
		}
	}
}

// toldClients makes clients that are told by ping and by push, the latter with a key, and one whose profile demands a message;
// what it gives asks alice as one of them.
func toldClients(t *testing.T, h *lab.House) func(client string, pairs ...string) lab.Reply {
	secret := iam.NewSecret(iam.PrefixClient)
	for id, about := range map[string]iam.Client{
		"ping":     {Metadata: recipe.Metadata{CIBADelivery: "ping", CIBANotify: "https://rp.example/ping"}},
		"push":     {Metadata: recipe.Metadata{CIBADelivery: "push", CIBANotify: "https://rp.example/push", DPoP: true}},
		"profiled": {Metadata: recipe.Metadata{CIBADelivery: "poll"}, Profile: recipe.IPSIEOpenIDSL1},
	} {
		about.ID, about.Kind, about.Auth, about.Scope = id, recipe.Web, oauth.AuthBasic, oauth.Scope{"openid"}
		about.Grants = []oauth.GrantType{oauth.CIBA}
		must(t, h.Store().PutClient(t.Context(), about))
		must(t, h.Store().AddClientSecret(t.Context(), id, iam.ClientSecret{ID: "s", Hash: iam.Hash(secret), Created: h.Clock.Now()}))
	}
	return func(client string, pairs ...string) lab.Reply {
		form := lab.Form(append([]string{"scope", "openid", "login_hint", "alice"}, pairs...)...)
		return h.Post("/bc-authorize", form, "Authorization", lab.BasicAuth(client, secret))
	}
}

// until429 asks until it is asked to slow down, and gives the last answer.
func until429(ask func() lab.Reply) (reply lab.Reply) {
	for range 500 {
		if reply = ask(); reply.Status == 429 {
			break
		}
	}
	return reply
}
