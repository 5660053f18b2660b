package lab_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/lab"
	"github.com/gardeauth/garde/recipe"
)

// TestDiscovery asks whether the metadata tells the truth: every endpoint answers, every method in the lists is believed.
func TestDiscovery(t *testing.T) {
	h := lab.New(t, lab.Options{})
	var about map[string]any
	for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"} {
		reply := h.Get(path)
		reply.Into(&about)
		if about["issuer"] != h.Issuer || reply.Header.Get("Access-Control-Allow-Origin") != "*" || reply.Header.Get("Cache-Control") != "public, max-age=300" {
			t.Errorf("%s: %s %v", path, about["issuer"], reply.Header)
		}
		for _, method := range []string{"POST", "PUT", "DELETE"} {
			refusedLoosely(t, h.Do(lab.Request(method, path, "")), 405)
		}
		if reply := h.Do(lab.Request("HEAD", path, "")); reply.Status != 200 || len(reply.Body) != 0 {
			t.Errorf("HEAD: %d %s", reply.Status, reply.Body)
		}
		if h.Get(path+"/").Status != 404 || h.Get("/x"+path).Status != 404 {
			t.Error("another path answers too")
		}
	}
	for name, value := range about {
		place, _ := value.(string)
		if !strings.HasSuffix(name, "_endpoint") && name != "jwks_uri" {
			continue
		}
		if path, ours := strings.CutPrefix(place, h.Issuer); !ours || name != "end_session_endpoint" && h.Get(path).Status == 404 {
			t.Errorf("%s leads nowhere: %s", name, place)
		}
	}
	for name, want := range map[string][]string{
		"response_types_supported": {"code"}, "code_challenge_methods_supported": {"S256"},
		"grant_types_supported":                            {"authorization_code", "refresh_token", "client_credentials", "urn:ietf:params:oauth:grant-type:device_code", "urn:openid:params:grant-type:ciba"},
		"token_endpoint_auth_methods_supported":            {"client_secret_basic", "client_secret_post", "private_key_jwt", "none"},
		"introspection_endpoint_auth_methods_supported":    {"client_secret_basic", "client_secret_post", "private_key_jwt"},
		"token_endpoint_auth_signing_alg_values_supported": {"ES256", "ES384", "ES512", "EdDSA", "Ed25519", "PS256", "PS384", "PS512", "RS256"},
		// A client may be registered with RS256, and then it is taken.
		"request_object_signing_alg_values_supported": {"ES256", "ES384", "ES512", "EdDSA", "Ed25519", "PS256", "PS384", "PS512", "RS256"},
	} {
		got, _ := json.Marshal(about[name])
		wanted, _ := json.Marshal(want)
		if string(got) != string(wanted) {
			t.Errorf("%s: %s", name, got)
		}
	}
	if about["authorization_response_iss_parameter_supported"] != true || about["request_uri_parameter_supported"] != false {
		t.Errorf("%v", about)
	}
}

// TestMetadataForgetsExceptionsThatHaveEnded: what nobody may do any more is offered to nobody.
func TestMetadataForgetsExceptionsThatHaveEnded(t *testing.T) {
	last := time.Now().UTC().Add(48 * time.Hour)
	h := lab.New(t, lab.Options{Recipe: func(r *recipe.Recipe) {
		r.Registration = map[string]recipe.Registration{"older": {Open: true, Scopes: []string{"openid"}, Grants: []string{"authorization_code", "implicit"}}}
		r.Exceptions["old"] = recipe.Exception{
			Policy: "older", Allow: []string{"request_uri", "response_type.code+id_token", "client_secret_jwt"}, Why: "a test", Until: last.Format(time.DateOnly),
		}
	}})
	offered := func() (weak []bool) {
		var about struct {
			Types   []string `json:"response_types_supported"`
			Grants  []string `json:"grant_types_supported"`
			Methods []string `json:"token_endpoint_auth_methods_supported"`
			Algs    []string `json:"token_endpoint_auth_signing_alg_values_supported"`
			Fetched bool     `json:"request_uri_parameter_supported"`
		}
		h.Get("/.well-known/openid-configuration").Into(&about)
		return []bool{
			about.Fetched, slices.Contains(about.Types, "code id_token"), slices.Contains(about.Grants, "implicit"),
			slices.Contains(about.Methods, "client_secret_jwt"), slices.Contains(about.Algs, "HS256"),
		}
	}
	if got := offered(); slices.Contains(got, false) {
		t.Fatalf("while the exception stands: %v", got)
	}
	h.Clock.Skip(96 * time.Hour)
	if got := offered(); slices.Contains(got, true) {
		t.Errorf("after its end: %v", got)
	}
}

func refusedLoosely(t *testing.T, reply lab.Reply, status int) {
	t.Helper()
	if reply.Status != status {
		t.Errorf("got %d %s, want %d", reply.Status, reply.Body, status)
	}
}

// TestKeys looks at the published keys (J32, J33) and at their rotation (J35, A13).
func TestKeys(t *testing.T) {
	h := lab.New(t, lab.Options{Gate: true})
	alice := h.NewPerson("alice")
	type set struct {
		Keys []map[string]any `json:"keys"`
	}
	var published set
	h.Within(5*time.Second, "the key for OpenID clients is made", func() bool {
		h.Get("/jwks").Into(&published)
		return len(published.Keys) >= 2
	})
	for _, key := range published.Keys {
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "k", "oth"} {
			if key[private] != nil {
				t.Errorf("J33 a private member %s", private)
			}
		}
		if key["kid"] == nil || key["alg"] == nil || key["use"] != "sig" && key["use"] != "enc" {
			t.Errorf("%v", key)
		}
		if n, ok := key["n"].(string); ok && len(n) < 342 {
			t.Errorf("J32 an RSA key of %d letters", len(n))
		}
	}
	refusedLoosely(t, h.Do(lab.Request("POST", "/jwks", "")), 405)
	t.Run("J35 a token outlives the rotation of its key, and the new key is published before it signs", func(t *testing.T) {
		old := h.Tokens(alice, lab.Plant{})
		key, err := h.Server.Keys.Rotate(t.Context(), "ES256", false, "test")
		if err != nil {
			t.Fatal(err)
		}
		h.Get("/jwks").Into(&published)
		if !slices.ContainsFunc(published.Keys, func(k map[string]any) bool { return k["kid"] == key.ID }) {
			t.Error("the new key is not published")
		}
		if header, _ := peek(t, h.Tokens(alice, lab.Plant{}).AccessToken); header.KeyID == key.ID {
			t.Error("the new key signs at once")
		}
		if h.Call("GET", "/accounts/balance", old.AccessToken).Status != 200 {
			t.Error("the old token is dead")
		}
	})
}

// TestSignals holds the doors of the Gates.
func TestSignals(t *testing.T) {
	h := lab.New(t, lab.Options{})
	alice := h.NewPerson("alice")
	gate := h.Credentials(lab.GateClient, "scope", "garde.gate").Text("access_token")
	person := h.Tokens(alice, lab.Plant{}).AccessToken
	for _, path := range []string{"/signals/revocations", "/signals/recipe?node=n1"} {
		separator := map[bool]string{true: "&", false: "?"}[strings.Contains(path, "?")]
		for name, row := range map[string]struct {
			request *http.Request
			status  int
			code    string
		}{
			"without a token":            {lab.Request("GET", path, ""), 401, ""},
			"with a person's token":      {lab.Request("GET", path, "", "Authorization", "Bearer "+person), 403, "insufficient_scope"},
			"with rubbish":               {lab.Request("GET", path, "", "Authorization", "Bearer x"), 401, "invalid_token"},
			"with Basic":                 {lab.Request("GET", path, "", "Authorization", lab.BasicAuth(lab.GateClient, h.Secret(lab.GateClient))), 400, "invalid_request"},
			"by POST":                    {lab.Request("POST", path, "", "Authorization", "Bearer "+gate), 405, "invalid_request"},
			"with a broken after":        {lab.Request("GET", path+separator+"after=x", "", "Authorization", "Bearer "+gate), 400, "invalid_request"},
			"with a negative after":      {lab.Request("GET", path+separator+"after=-1", "", "Authorization", "Bearer "+gate), 400, "invalid_request"},
			"with after twice":           {lab.Request("GET", path+separator+"after=1&after=2", "", "Authorization", "Bearer "+gate), 400, "invalid_request"},
			"X13 a second token there":   {lab.Request("GET", path+separator+"access_token=x", "", "Authorization", "Bearer "+gate), 400, "invalid_request"},
			"X13 the token in the query": {lab.Request("GET", path+separator+"access_token="+gate, ""), 401, ""},
		} {
			t.Run(path+" "+name, func(t *testing.T) {
				reply := h.Do(row.request)
				if reply.Status != row.status || reply.Text("error") != row.code {
					t.Errorf("got %d %s", reply.Status, reply.Body)
				}
				never(t, reply)
			})
		}
	}
	t.Run("a recipe names the Gate that asked", func(t *testing.T) {
		refusedLoosely(t, h.Get("/signals/recipe", "Authorization", "Bearer "+gate), 400)
		var said struct{ Statement string }
		h.Get("/signals/recipe?node=n1&after=0", "Authorization", "Bearer "+gate).Into(&said)
		header, claims := peek(t, said.Statement)
		if header.Typ != "garde-recipe+jwt" || claims["aud"] != lab.GateClient || claims["iss"] != h.Issuer || claims["digest"] == "" {
			t.Errorf("%v %v", header, claims)
		}
		if h.UserInfo(said.Statement).Status != 401 {
			t.Error("J17 the statement is taken for an access token")
		}
	})
}

// TestNothingElseIsPublic knocks where nothing may be: administration, metrics and profiles have listeners of their own (A06).
func TestNothingElseIsPublic(t *testing.T) {
	h := lab.New(t, lab.Options{})
	for _, path := range []string{
		"/metrics", "/healthz", "/readyz", "/debug/pprof/", "/debug/vars", "/admin", "/admin/users", "/api/users", "/users", "/register", "/scim/v2/Users",
		"/token/", "/token/../users", "/./token", "/TOKEN", "/token;x=1", "/jwks.json",
	} {
		reply := h.Get(path)
		if reply.Status != 404 && reply.Status != 301 && reply.Status != 307 {
			t.Errorf("%s answers %d", path, reply.Status)
		}
		if location := reply.Header.Get("Location"); strings.HasPrefix(location, "//") || strings.Contains(location, "://") {
			t.Errorf("%s leads to %s", path, location)
		}
	}
}
