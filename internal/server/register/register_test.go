package register_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/server/register"
	"github.com/gardeauth/garde/recipe"
)

const webApp = `{"redirect_uris":["https://app.example/cb"]}`

func TestWhatIsAnsweredIsWhatIsKept(t *testing.T) {
	h := newHouse(t)
	for name, try := range map[string]struct {
		body string
		want map[string]string // member to its JSON; "null": absent
	}{
		"the defaults of the specifications": {webApp, map[string]string{
			"token_endpoint_auth_method": `"client_secret_basic"`, "grant_types": `["authorization_code"]`, "response_types": `["code"]`,
			"application_type": `"web"`, "id_token_signed_response_alg": `"RS256"`, "scope": `"openid profile accounts.read"`, "client_secret_expires_at": `0`,
		}},
		"what was asked for": {`{"redirect_uris":["https://app.example/cb"],"grant_types":["authorization_code","refresh_token"],"scope":"openid","id_token_signed_response_alg":"PS256",
			"client_uri":"https://app.example/","contacts":["ops@app.example"],"software_id":"app","software_version":"2","subject_type":"pairwise",
			"post_logout_redirect_uris":["https://app.example/out"],"initiate_login_uri":"https://app.example/start","default_max_age":60}`, map[string]string{
			"grant_types": `["authorization_code","refresh_token"]`, "scope": `"openid"`, "id_token_signed_response_alg": `"PS256"`, "contacts": `["ops@app.example"]`,
			"software_id": `"app"`, "software_version": `"2"`, "subject_type": `"pairwise"`, "initiate_login_uri": `"https://app.example/start"`, "default_max_age": `60`,
			"post_logout_redirect_uris": `["https://app.example/out"]`,
		}},
		"names in languages": {`{"redirect_uris":["https://app.example/cb"],"client_name":"Budget","client_name#fr":"Le budget","client_name#de-at":"Börsl"}`, map[string]string{
			"client_name": `"Budget"`, "client_name#fr": `"Le budget"`, "client_name#de-AT": `"Börsl"`,
		}},
		"a name in one language only": {`{"redirect_uris":["https://app.example/cb"],"client_name#fr":"Le budget"}`, map[string]string{
			"client_name": `"Le budget"`, "client_name#fr": `"Le budget"`,
		}},
		"unknown members are not kept": {`{"redirect_uris":["https://app.example/cb"],"favourite":"blue","client_id":"admin","trusted":true,"consent":"implied","profile":"none","unverified":false}`, map[string]string{
			"favourite": "null", "trusted": "null", "consent": "null", "profile": "null", "unverified": "null",
		}},
		"a page in a browser": {`{"redirect_uris":["https://app.example/cb"],"token_endpoint_auth_method":"none"}`, map[string]string{
			"application_type": `"web"`, "token_endpoint_auth_method": `"none"`, "client_secret": "null", "client_secret_expires_at": "null",
		}},
		"a native application that says nothing": {`{"redirect_uris":["http://127.0.0.1/cb"],"token_endpoint_auth_method":"none"}`, map[string]string{"application_type": `"native"`}},
		"a native application that says so":      {`{"redirect_uris":["com.example.app:/cb"],"application_type":"native"}`, map[string]string{"application_type": `"native"`, "token_endpoint_auth_method": `"none"`}},
		"a service": {`{"grant_types":["client_credentials"]}`, map[string]string{
			"grant_types": `["client_credentials"]`, "scope": `"accounts.read"`, "response_types": "null", "id_token_signed_response_alg": "null", "redirect_uris": "null",
		}},
		"members without a value": {`{"redirect_uris":["https://app.example/cb"],"jwks":null,"client_name":null,"scope":null,"contacts":null}`, map[string]string{"jwks": "null", "client_name": "null"}},
		"keys": {`{"redirect_uris":["https://app.example/cb"],"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"https://app.example/jwks"}`, map[string]string{
			"jwks_uri": `"https://app.example/jwks"`, "client_secret": "null",
		}},
		"a certificate": {`{"redirect_uris":["https://app.example/cb"],"token_endpoint_auth_method":"tls_client_auth","tls_client_auth_san_dns":"app.example"}`, map[string]string{
			"tls_client_auth_san_dns": `"app.example"`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			made := h.register("open", try.body)
			managed := h.call(http.MethodGet, made.text("registration_client_uri"), made.text("registration_access_token"), "")
			for member, want := range try.want {
				if got := made.json(member); got != want {
					t.Errorf("%s is %s, wanted %s", member, got, want)
				}
				if got := managed.json(member); got != want && !strings.HasPrefix(member, "client_secret") {
					t.Errorf("%s is %s afterwards, wanted %s", member, got, want)
				}
			}
			for member := range made.body {
				if made.json(member) != managed.json(member) && !strings.HasPrefix(member, "client_secret") {
					t.Errorf("%s was %s and is %s", member, made.json(member), managed.json(member))
				}
			}
			if managed.body["client_secret"] != nil {
				t.Error("T14 the secret can be read afterwards")
			}
			if id := made.text("client_id"); !strings.HasPrefix(id, iam.RegisteredPrefix) || made.header.Get("Cache-Control") != "no-store" {
				t.Errorf("T27 the client's id is %q, Cache-Control %q", id, made.header.Get("Cache-Control"))
			}
			client, err := h.known.Client(t.Context(), made.text("client_id"))
			if err != nil || client.Consent != recipe.ConsentAsk || !client.Unverified || client.Policy != "open" || client.Source != iam.FromRegistration {
				t.Errorf("G13 kept %+v, %v", client, err)
			}
		})
	}
}

func key64(size int) string {
	return base64.RawURLEncoding.EncodeToString(append([]byte{0x80}, make([]byte, size-1)...))
}

func TestRegistrationsThatAreRefused(t *testing.T) {
	h := newHouse(t)
	with := func(more string) string { return `{"redirect_uris":["https://app.example/cb"],` + more + `}` }
	redirect := func(uri string) string { return `{"redirect_uris":["` + uri + `"]}` }
	for name, try := range map[string]struct {
		body string
		code string
	}{
		"a fragment":                               {redirect("https://app.example/cb#a"), "invalid_redirect_uri"},
		"an empty fragment":                        {redirect("https://app.example/cb#"), "invalid_redirect_uri"},
		"plain http":                               {redirect("http://app.example/cb"), "invalid_redirect_uri"},
		"a script":                                 {redirect("javascript:alert(1)"), "invalid_redirect_uri"},
		"a wildcard":                               {redirect("https://*.example/cb"), "invalid_redirect_uri"},
		"a user name":                              {redirect("https://app.example@evil.example/cb"), "invalid_redirect_uri"},
		"no redirect URI":                          {`{}`, "invalid_redirect_uri"},
		"a private scheme of a web client":         {redirect("com.example.app:/cb"), "invalid_redirect_uri"},
		"initiate_login_uri over http":             {with(`"initiate_login_uri":"http://app.example/start"`), "invalid_client_metadata"},
		"keys in two places":                       {with(`"jwks":{"keys":[]},"jwks_uri":"https://app.example/jwks"`), "invalid_client_metadata"},
		"private_key_jwt without keys":             {with(`"token_endpoint_auth_method":"private_key_jwt"`), "invalid_client_metadata"},
		"T23 a private key":                        {with(`"token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"AAAA"}]}`), "invalid_client_metadata"},
		"T23 a shared key":                         {with(`"token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[{"kty":"oct","k":"AAAA"}]}`), "invalid_client_metadata"},
		"T22 a short RSA key":                      {with(`"token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[{"kty":"RSA","e":"AQAB","n":"` + key64(128) + `"}]}`), "invalid_client_metadata"},
		"T22 P-192":                                {with(`"token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[{"kty":"EC","crv":"P-192","x":"AAAA","y":"AAAA"}]}`), "invalid_client_metadata"},
		"an unknown way to prove itself":           {with(`"token_endpoint_auth_method":"magic"`), "invalid_client_metadata"},
		"a native application with a secret":       {`{"redirect_uris":["com.example.app:/cb"],"application_type":"native","token_endpoint_auth_method":"client_secret_basic"}`, "invalid_client_metadata"},
		"an unknown application type":              {with(`"application_type":"toaster"`), "invalid_client_metadata"},
		"a scope of the company":                   {with(`"scope":"openid accounts.write"`), "invalid_client_metadata"},
		"a scope that nobody knows":                {with(`"scope":"openid everything"`), "invalid_client_metadata"},
		"a grant that the policy does not give":    {with(`"grant_types":["authorization_code","urn:ietf:params:oauth:grant-type:jwt-bearer"]`), "invalid_client_metadata"},
		"a password grant":                         {with(`"grant_types":["password"]`), "invalid_client_metadata"},
		"a token through the browser":              {with(`"response_types":["token"],"grant_types":["implicit"]`), "invalid_client_metadata"},
		"a response type without its grant":        {with(`"response_types":["id_token"],"grant_types":["authorization_code"]`), "invalid_client_metadata"},
		"a code without its grant":                 {with(`"response_types":["code"],"grant_types":["client_credentials"]`), "invalid_client_metadata"},
		"none as a signature":                      {with(`"id_token_signed_response_alg":"none"`), "invalid_client_metadata"},
		"a secret as a signature":                  {with(`"id_token_signed_response_alg":"HS256"`), "invalid_client_metadata"},
		"a broken encryption":                      {with(`"id_token_encrypted_response_alg":"RSA1_5","jwks_uri":"https://app.example/jwks"`), "invalid_client_metadata"},
		"request_uris without the exception":       {with(`"request_uris":["https://app.example/request.jwt"]`), "invalid_client_metadata"},
		"a certificate without a name":             {with(`"token_endpoint_auth_method":"tls_client_auth"`), "invalid_client_metadata"},
		"a certificate with two names":             {with(`"token_endpoint_auth_method":"tls_client_auth","tls_client_auth_san_dns":"app.example","tls_client_auth_subject_dn":"CN=app"`), "invalid_client_metadata"},
		"a MAC that our secrets are too short for": {with(`"token_endpoint_auth_method":"client_secret_jwt","token_endpoint_auth_signing_alg":"HS512"`), "invalid_client_metadata"},
		"pairwise with two hosts":                  {`{"redirect_uris":["https://a.example/cb","https://b.example/cb"],"subject_type":"pairwise"}`, "invalid_client_metadata"},
		"a name behind no language":                {with(`"client_name#":"x"`), "invalid_client_metadata"},
		"a name behind a broken language":          {with(`"client_name#no!":"x"`), "invalid_client_metadata"},
		"a name that is a number":                  {with(`"client_name#fr":5`), "invalid_client_metadata"},
		"a number in quotes":                       {with(`"default_max_age":"60"`), "invalid_client_metadata"},
		"a text for a list":                        {`{"redirect_uris":"https://app.example/cb"}`, "invalid_client_metadata"},
		"a doubled member":                         {with(`"scope":"openid","scope":"accounts.write"`), "invalid_client_metadata"},
		"a doubled member deep inside":             {with(`"favourite":{"a":1,"a":2}`), "invalid_client_metadata"},
		"no JSON":                                  {`redirect_uris=x`, "invalid_client_metadata"},
		"a list":                                   {`[]`, "invalid_client_metadata"},
		"null":                                     {`null`, "invalid_client_metadata"},
		"more behind it":                           {webApp + webApp, "invalid_client_metadata"},
		"an unapproved statement":                  {with(`"software_statement":"a.b.c"`), "invalid_software_statement"},
	} {
		t.Run(name, func(t *testing.T) {
			h := &house{T: t, server: h.server}
			h.refused(h.call(http.MethodPost, "/register/open", "", try.body), http.StatusBadRequest, try.code)
		})
	}
	t.Run("T04 another content type", func(t *testing.T) {
		h.refused(h.call(http.MethodPost, "/register/open", "", webApp, "Content-Type", "text/plain"), 400, "invalid_client_metadata")
	})
	t.Run("T28 a body without end", func(t *testing.T) {
		h.refused(h.call(http.MethodPost, "/register/open", "", with(`"favourite":"`+strings.Repeat("a", 70_000)+`"`)), 413, "invalid_client_metadata")
	})
	t.Run("another method", func(t *testing.T) {
		if got := h.call(http.MethodGet, "/register/open", "", ""); got.status != 405 || got.header.Get("Allow") != "POST" {
			t.Errorf("answered %d %v", got.status, got.body)
		}
	})
	t.Run("an unknown policy, and none where there are several", func(t *testing.T) {
		h.refused(h.call(http.MethodPost, "/register/nowhere", "", webApp), 404, "invalid_request")
		h.refused(h.call(http.MethodPost, "/register", "", webApp), 404, "invalid_request")
	})
	t.Run("a profile that the metadata can't meet, by section", func(t *testing.T) {
		got := h.call(http.MethodPost, "/register/strict", "", webApp)
		h.refused(got, 400, "invalid_client_metadata")
		if !strings.Contains(got.text("error_description"), "5.3.2.1") {
			t.Errorf("the refusal says %q", got.text("error_description"))
		}
	})
}

func TestG01WhoeverMayRegister(t *testing.T) {
	h := newHouse(t)
	add := func(policy string, left int, life time.Duration) string {
		value := iam.NewSecret(iam.PrefixInitial)
		h.must(h.tenant.AddInitial(t.Context(), iam.Initial{
			ID: value[:12], Hash: iam.HashInitial(value), Policy: policy, Left: left, Created: h.now(), Expires: h.now().Add(life),
		}))
		return value
	}
	once, other, short := add("invited", 1, time.Hour), add("vouched", 5, time.Hour), add("invited", 5, time.Minute)
	nothing := h.call(http.MethodPost, "/register/invited", "", webApp)
	if nothing.status != 401 || !strings.HasPrefix(nothing.header.Get("WWW-Authenticate"), "Bearer") {
		t.Errorf("nobody's registration: %d %v", nothing.status, nothing.header)
	}
	h.refused(h.call(http.MethodPost, "/register/invited", iam.NewSecret(iam.PrefixInitial), webApp), 401, "invalid_token")
	h.refused(h.call(http.MethodPost, "/register/open", "anything", webApp), 401, "invalid_token")
	h.refused(h.call(http.MethodPost, "/register/invited", other, webApp), 401, "invalid_token")
	h.refused(h.call(http.MethodPost, "/register/invited", once, `{}`), 400, "invalid_redirect_uri") // and costs nothing
	h.refused(h.call(http.MethodPost, "/register/invited", "", webApp, "Authorization", "Basic eDp5"), 400, "invalid_request")
	var all sync.WaitGroup
	var made, refused atomic.Int32
	for range 8 {
		all.Go(func() {
			switch h.call(http.MethodPost, "/register/invited", once, webApp).status {
			case 201:
				made.Add(1)
			case 401:
				refused.Add(1)
			}
		})
	}
	if all.Wait(); made.Load() != 1 || refused.Load() != 7 {
		t.Errorf("a token for one client made %d, and was refused %d times", made.Load(), refused.Load())
	}
	made1 := h.call(http.MethodPost, "/register/invited", short, webApp)
	client, err := h.known.Client(t.Context(), made1.text("client_id"))
	if err != nil || client.Unverified {
		t.Errorf("a client of a trusted policy: %+v, %v", client, err)
	}
	h.pass(2 * time.Minute)
	h.refused(h.call(http.MethodPost, "/register/invited", short, webApp), 401, "invalid_token")

	t.Run("a quota", func(t *testing.T) {
		h.register("few", webApp)
		second := h.register("few", webApp) // duplicates are never refused
		h.refused(h.call(http.MethodPost, "/register/few", "", webApp), 403, "access_denied")
		h.call(http.MethodDelete, second.text("registration_client_uri"), second.text("registration_access_token"), "")
		h.register("few", webApp)
	})
	t.Run("without a recipe, off", func(t *testing.T) {
		h.bundle.Store(nil)
		h.refused(h.call(http.MethodPost, "/register/open", "", webApp), 404, "invalid_request")
		if register.Address("https://x", nil) != "" {
			t.Error("metadata would name registration")
		}
	})
}

func TestOneOfTheSecretsIsKeptSealed(t *testing.T) {
	h := newHouse(t)
	plain := h.register("open", webApp)
	made := h.register("open", `{"redirect_uris":["https://app.example/cb"],"token_endpoint_auth_method":"client_secret_jwt","token_endpoint_auth_signing_alg":"HS256"}`)
	for id, sealed := range map[string]bool{plain.text("client_id"): false, made.text("client_id"): true} {
		client, err := h.tenant.Client(t.Context(), id)
		h.must(err)
		if len(client.Secrets) != 1 || (client.Secrets[0].Sealed != "") != sealed {
			t.Errorf("kept %+v", client.Secrets)
		}
	}
	if client, err := h.authenticate(plain.text("client_id"), plain.text("client_secret")); err != nil || client.Policy != "open" {
		t.Errorf("the secret does not open: %v", err)
	}
	if _, err := h.authenticate(plain.text("client_id"), made.text("client_secret")); err == nil {
		t.Error("the secret of one client opens another")
	}
	if _, err := h.authenticate(made.text("client_id"), made.text("client_secret")); err == nil {
		t.Error("T08 a client of client_secret_jwt shows its secret")
	}
}

func TestARecipeChangesClientsThatRegisteredBefore(t *testing.T) {
	h := newHouse(t)
	made := h.register("open", `{"redirect_uris":["https://app.example/cb"],"grant_types":["authorization_code","refresh_token"],"scope":"openid accounts.read"}`)
	id := made.text("client_id")
	narrower := strings.Replace(rules, "[openid, profile, offline_access, accounts.read]", "[openid]", 1)
	narrower = strings.Replace(narrower, "[authorization_code, refresh_token, client_credentials]", "[authorization_code]", 1)
	h.obey(narrower)
	client, err := h.known.Client(t.Context(), id)
	if err != nil || client.Scope.Has("accounts.read") || client.MayUse("refresh_token") {
		t.Errorf("the policy gives less, the client has %v and %v: %v", client.Scope, client.Grants, err)
	}
	h.obey(strings.Replace(rules, "  open:\n", "  closed:\n", 1)[:strings.Index(rules, "exceptions:")+2])
	client, err = h.known.Client(t.Context(), id)
	if err != nil || !client.Disabled {
		t.Errorf("the policy is gone, and its client stands: %v", err)
	}
	if _, err := h.authenticate(id, made.text("client_secret")); err == nil {
		t.Error("the client of no policy proves itself")
	}
}

func TestX14SectorsAreProved(t *testing.T) {
	h := newHouse(t)
	body := func(uris, sector string) string {
		return `{"redirect_uris":[` + uris + `],"subject_type":"pairwise","sector_identifier_uri":"` + sector + `"}`
	}
	two := `"https://a.example/cb","https://b.example/cb"`
	list := h.page("/sector", "application/json", "["+two+`,"https://c.example/cb"]`)
	made := h.register("open", body(two, list))
	client, err := h.tenant.Client(t.Context(), made.text("client_id"))
	if err != nil || client.Sector != "127.0.0.1" {
		t.Errorf("the sector is %q: %v", client.Sector, err)
	}
	for name, sector := range map[string]string{
		"a list without one of them":    h.page("/less", "application/json", `["https://a.example/cb"]`),
		"no list":                       h.page("/object", "application/json", `{"redirect_uris":[`+two+`]}`),
		"nothing there":                 h.outside.URL + "/nothing",
		"a redirect":                    h.outside.URL + "/moved",
		"G03 an address of the inside":  "https://localhost:1/sector",
		"G03 the metadata of the cloud": "https://169.254.169.254/latest",
	} {
		t.Run(name, func(t *testing.T) {
			h.mu.Lock()
			h.pages["/moved"] = func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/sector", http.StatusFound) }
			h.mu.Unlock()
			got := h.call(http.MethodPost, "/register/open", "", body(two, sector))
			h.refused(got, 400, "invalid_client_metadata")
			if text := got.text("error_description"); strings.Contains(text, "refused") || strings.Contains(text, "status") || strings.Contains(text, "public") {
				t.Errorf("G09 the answer tells of the network: %s", text)
			}
		})
	}
	t.Run("the sector stays", func(t *testing.T) {
		one := h.register("open", `{"redirect_uris":["https://a.example/cb"],"subject_type":"pairwise"}`)
		got := h.call(http.MethodPut, one.text("registration_client_uri"), one.text("registration_access_token"),
			`{"client_id":"`+one.text("client_id")+`","redirect_uris":["https://b.example/cb"],"subject_type":"pairwise"}`)
		h.refused(got, 400, "invalid_client_metadata")
	})
	t.Run("X14 the sector stays, by whatever detour", func(t *testing.T) {
		one := h.register("open", `{"redirect_uris":["https://a.example/cb"],"subject_type":"pairwise"}`)
		token := one.text("registration_access_token")
		for _, body := range []string{`"redirect_uris":["https://b.example/cb"]`, `"redirect_uris":["https://b.example/cb"],"subject_type":"pairwise"`} {
			got := h.call(http.MethodPut, one.text("registration_client_uri"), token, update(one.text("client_id"), body))
			h.refused(got, 400, "invalid_client_metadata")
			if got.status == 200 {
				token = got.text("registration_access_token")
			}
		}
	})
	t.Run("G03 no other address is ever fetched", func(t *testing.T) {
		h.register("open", `{"redirect_uris":["https://app.example/cb"],"logo_uri":"`+h.outside.URL+`/logo","policy_uri":"`+h.outside.URL+`/policy","tos_uri":"`+h.outside.URL+
			`/tos","client_uri":"`+h.outside.URL+`/home","initiate_login_uri":"`+h.outside.URL+`/login","backchannel_logout_uri":"`+h.outside.URL+`/out"}`)
		for _, path := range []string{"/logo", "/policy", "/tos", "/home", "/login", "/out"} {
			if h.asked(path) != 0 {
				t.Errorf("%s was fetched", path)
			}
		}
	})
}

func TestUnusedClientsEnd(t *testing.T) {
	h := newHouse(t)
	used, idle := h.register("few", webApp), h.register("few", webApp)
	h.pass(20 * 24 * time.Hour)
	if _, err := h.authenticate(used.text("client_id"), used.text("client_secret")); err != nil {
		t.Fatal(err)
	}
	h.must(h.usage.Write(t.Context()))
	if ended, err := h.usage.Sweep(t.Context()); ended != 0 || err != nil {
		t.Errorf("after 20 days %d ended: %v", ended, err)
	}
	h.pass(20 * 24 * time.Hour)
	if ended, err := h.usage.Sweep(t.Context()); ended != 1 || err != nil {
		t.Errorf("after 40 days %d ended: %v", ended, err)
	}
	if _, err := h.known.Client(t.Context(), idle.text("client_id")); !errors.Is(err, iam.ErrNotFound) {
		t.Errorf("the unused one stands: %v", err)
	}
	if _, err := h.known.Client(t.Context(), used.text("client_id")); err != nil {
		t.Error("the used one is gone:", err)
	}
	h.register("few", webApp) // there is room again
}
