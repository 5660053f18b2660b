package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/recipe"
)

// folders are those of a tester, made once, with the program that they start.
func folders(t *testing.T) (dir, program string, at place) {
	t.Helper()
	dir, program = filepath.Join(t.TempDir(), "all"), filepath.Join(t.TempDir(), "garde")
	addresses := free(t, 3)
	at = place{
		Issuer: "https://" + addresses[0], Listen: addresses[0], MTLS: "https://" + addresses[1], MTLSListen: addresses[1],
		Resource: "https://" + addresses[2], Suite: "https://suite.example", Alias: "garde", Password: "quite a long password 31",
	}
	if err := write(os.DirFS("../../"+source), dir, at); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../../cmd/garde").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir, program, at
}

func free(t *testing.T, count int) (addresses []string) {
	t.Helper()
	for range count {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		addresses = append(addresses, listener.Addr().String())
	}
	return addresses
}

// TestEveryPlanCanBeStarted starts the house of each plan by the one command that its tester uses, and looks at it as the
// suite does.
func TestEveryPlanCanBeStarted(t *testing.T) {
	if testing.Short() {
		t.Skip("starts eight servers")
	}
	dir, program, at := folders(t)
	text, err := os.ReadFile(filepath.Join(dir, "plans.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	plans, err := readPlans(text)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, plan := range plans {
		if !slices.Contains(names, plan.Folder) {
			names = append(names, plan.Folder)
		}
	}
	if len(names) != 8 {
		t.Fatalf("the folders are %v", names)
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			bundle, err := recipe.Load(filepath.Join(dir, name, "recipe.yaml"), "", time.Now())
			if err != nil {
				t.Fatal(err)
			}
			s := start(t, program, filepath.Join(dir, name), at)
			s.metadata(t, name, len(bundle.Recipe.Registration) > 0)
			s.keys(t)
			switch name {
			case "basic":
				s.everyClaim(t, filepath.Join(dir, name))
			case "dynamic":
				s.manyRegister(t)
			}
		})
	}
}

// server is a Server under test, and somebody with a browser without script.
type server struct {
	at     place
	client *http.Client
}

func start(t *testing.T, program, dir string, at place) *server {
	t.Helper()
	command := exec.CommandContext(t.Context(), program, "serve", "--config", filepath.Join(dir, "node.yaml"))
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	command.Stdout, command.Stderr = log, log
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Signal(os.Interrupt)
		_ = command.Wait()
		_ = log.Close()
	})
	authority, err := os.ReadFile(filepath.Join(dir, "../ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{at, &http.Client{Jar: jar, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}}
	t.Cleanup(s.client.CloseIdleConnections)
	s.client.CheckRedirect = func(next *http.Request, _ []*http.Request) error {
		if "https://"+next.URL.Host != at.Issuer {
			return http.ErrUseLastResponse
		}
		return nil
	}
	// RSA keys take a while, and the suite finds fault with a set that has none (Discovery asks for RS256).
	for until := time.Now().Add(20 * time.Second); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		answer, err := s.client.Get(at.Issuer + "/jwks")
		if err != nil {
			continue
		}
		text := bodyOf(t, answer)
		if strings.Contains(text, `"RS256"`) {
			return s
		}
	}
	said, _ := os.ReadFile(filepath.Join(dir, "log"))
	t.Fatalf("not ready within 20 s:\n%s", said)
	return nil
}

func bodyOf(t *testing.T, answer *http.Response) string {
	t.Helper()
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (s *server) json(t *testing.T, path string, into any) {
	t.Helper()
	answer, err := s.client.Get(s.at.Issuer + path)
	if err != nil {
		t.Fatal(err)
	}
	text := bodyOf(t, answer)
	if kind := answer.Header.Get("Content-Type"); answer.StatusCode != http.StatusOK || !strings.HasPrefix(kind, "application/json") {
		t.Fatalf("%s: %d %s", path, answer.StatusCode, kind)
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatal(err)
	}
}

// metadata looks at what the suite's discovery modules look at.
func (s *server) metadata(t *testing.T, folder string, registers bool) {
	t.Helper()
	var said map[string]any
	s.json(t, "/.well-known/openid-configuration", &said)
	if said["issuer"] != s.at.Issuer {
		t.Errorf("issuer %v", said["issuer"])
	}
	for name, value := range said {
		text, isText := value.(string)
		if (strings.HasSuffix(name, "_endpoint") || strings.HasSuffix(name, "_uri")) && (!isText || !strings.HasPrefix(text, "https://")) {
			t.Errorf("%s is %v", name, value)
		}
		if list, isList := value.([]any); strings.HasSuffix(name, "_supported") && value != true && value != false && (!isList || len(list) == 0) {
			t.Errorf("%s is %v", name, value)
		}
	}
	for name, want := range members(folder) {
		if held, isFlag := want.(bool); isFlag {
			if said[name] != held {
				t.Errorf("%s is %v", name, said[name])
			}
			continue
		}
		list, _ := said[name].([]any)
		for _, value := range want.([]string) {
			if !slices.Contains(list, any(value)) {
				t.Errorf("%s has no %s: %v", name, value, list)
			}
		}
	}
	for _, name := range []string{"request_object_signing_alg_values_supported", "id_token_signing_alg_values_supported", "dpop_signing_alg_values_supported"} {
		if list, _ := said[name].([]any); slices.Contains(list, any("none")) || len(list) == 0 {
			t.Errorf("%s is %v", name, list)
		}
	}
	if _, there := said["registration_endpoint"]; there != registers {
		t.Errorf("registration_endpoint is there: %v", there)
	}
	if aliases, _ := said["mtls_endpoint_aliases"].(map[string]any); strings.HasPrefix(folder, "fapi") {
		if aliases["token_endpoint"] != s.at.MTLS+"/token" || aliases["pushed_authorization_request_endpoint"] != s.at.MTLS+"/par" {
			t.Errorf("mtls_endpoint_aliases %v", aliases)
		}
	}
}

// members are those that a plan needs, with what they hold at the least.
func members(folder string) map[string]any {
	all := map[string]any{
		"scopes_supported":                               []string{"openid", "profile", "email", "address", "phone", "offline_access"},
		"response_types_supported":                       []string{"code"},
		"grant_types_supported":                          []string{"authorization_code", "refresh_token"},
		"code_challenge_methods_supported":               []string{"S256"},
		"subject_types_supported":                        []string{"public", "pairwise"},
		"id_token_signing_alg_values_supported":          []string{"RS256", "ES256", "PS256"},
		"token_endpoint_auth_methods_supported":          []string{"client_secret_basic", "private_key_jwt"},
		"claims_supported":                               []string{"sub", "name", "address", "phone_number_verified", "updated_at", "acr", "auth_time"},
		"response_modes_supported":                       []string{"query", "fragment", "form_post"},
		"authorization_response_iss_parameter_supported": true, "claims_parameter_supported": true, "request_parameter_supported": true,
		"request_uri_parameter_supported": folder == "dynamic", "backchannel_logout_supported": true, "backchannel_logout_session_supported": true,
		"frontchannel_logout_supported": true, "frontchannel_logout_session_supported": true,
	}
	every := []string{"code", "id_token", "id_token token", "code id_token", "code token", "code id_token token"}
	switch folder {
	case "implicit":
		all["response_types_supported"], all["grant_types_supported"] = every[1:3], []string{"implicit"}
	case "hybrid":
		all["response_types_supported"] = every[3:]
	case "dynamic":
		all["response_types_supported"], all["grant_types_supported"] = every, []string{"authorization_code", "implicit"}
		all["token_endpoint_auth_methods_supported"] = []string{"client_secret_post", "client_secret_jwt"}
	case "fapi2-security", "fapi2-message-signing", "fapi-ciba":
		all["token_endpoint_auth_methods_supported"] = []string{"private_key_jwt", "tls_client_auth"}
		all["tls_client_certificate_bound_access_tokens"] = true
		all["dpop_signing_alg_values_supported"] = []string{"ES256", "PS256"}
		all["response_modes_supported"] = []string{"jwt"}
		all["request_object_signing_alg_values_supported"] = []string{"PS256", "ES256"}
		all["authorization_signing_alg_values_supported"] = []string{"PS256", "ES256"}
	}
	if folder == "fapi-ciba" {
		all["grant_types_supported"] = []string{"urn:openid:params:grant-type:ciba"}
		all["backchannel_token_delivery_modes_supported"] = []string{"poll", "ping"}
		all["backchannel_authentication_request_signing_alg_values_supported"] = []string{"PS256"}
	}
	if strings.HasPrefix(folder, "fapi2") {
		all["authorization_details_types_supported"] = []string{"account_information"}
	}
	return all
}

func (s *server) keys(t *testing.T) {
	t.Helper()
	var set struct {
		Keys []map[string]any `json:"keys"`
	}
	s.json(t, "/jwks", &set)
	seen := map[any]bool{}
	for _, key := range set.Keys {
		if kid, isText := key["kid"].(string); !isText || kid == "" || seen[kid] {
			t.Errorf("kid %v", key["kid"])
		}
		seen[key["kid"]] = true
		for _, member := range []string{"d", "p", "q", "dp", "dq", "qi", "k"} {
			if _, told := key[member]; told {
				t.Errorf("%v tells %s", key["kid"], member)
			}
		}
	}
}

var hidden = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`)

// press sends the form of a page, which must have an element of this id.
func (s *server) press(t *testing.T, at *http.Response, id string, filled url.Values) *http.Response {
	t.Helper()
	page := bodyOf(t, at)
	if !strings.Contains(page, `id="`+id+`"`) {
		t.Fatalf("no %s at %s: %d\n%s", id, at.Request.URL, at.StatusCode, page)
	}
	for _, field := range hidden.FindAllStringSubmatch(page, -1) {
		filled.Set(field[1], strings.NewReplacer("&amp;", "&", "&#43;", "+").Replace(field[2]))
	}
	action := regexp.MustCompile(`<form[^>]* action="([^"]*)"`).FindStringSubmatch(page)
	if action == nil {
		t.Fatalf("no form at %s", at.Request.URL)
	}
	to, err := at.Request.URL.Parse(strings.ReplaceAll(action[1], "&amp;", "&"))
	if err != nil {
		t.Fatal(err)
	}
	next, err := s.client.PostForm(to.String(), filled)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

// everyClaim signs buffy in as the basic plan does, with neither PKCE nor a nonce, and asks for all that is known of her.
func (s *server) everyClaim(t *testing.T, dir string) {
	t.Helper()
	back := s.at.Suite + "/test/a/garde/callback"
	page, err := s.client.Get(s.at.Issuer + "/authorize?" + url.Values{
		"client_id": {"first"}, "redirect_uri": {back}, "response_type": {"code"}, "scope": {"openid profile email address phone"}, "state": {"s"},
	}.Encode())
	if err != nil {
		t.Fatal(err)
	}
	page = s.press(t, page, "login-submit", url.Values{"username": {"buffy"}, "password": {s.at.Password}})
	page = s.press(t, page, "consent-allow", url.Values{"decision": {"allow"}})
	location, err := page.Location()
	if err != nil {
		t.Fatalf("%d: %v", page.StatusCode, err)
	}
	_ = page.Body.Close()
	secret, err := os.ReadFile(filepath.Join(dir, "first.secret"))
	if err != nil {
		t.Fatal(err)
	}
	form := url.Values{"grant_type": {"authorization_code"}, "code": {location.Query().Get("code")}, "redirect_uri": {back}}
	request, err := http.NewRequest(http.MethodPost, s.at.Issuer+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth("first", string(secret))
	var tokens struct {
		Access string `json:"access_token"`
	}
	s.do(t, request, http.StatusOK, &tokens)
	request, err = http.NewRequest(http.MethodGet, s.at.Issuer+"/userinfo", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+tokens.Access)
	var claims map[string]any
	s.do(t, request, http.StatusOK, &claims)
	for _, name := range []string{
		"name", "family_name", "given_name", "middle_name", "nickname", "preferred_username", "profile", "picture", "website", "gender", "birthdate",
		"zoneinfo", "locale", "updated_at", "email", "email_verified", "address", "phone_number", "phone_number_verified",
	} {
		if claims[name] == nil {
			t.Errorf("userinfo has no %s", name)
		}
	}
}

func (s *server) do(t *testing.T, request *http.Request, status int, into any) {
	t.Helper()
	answer, err := s.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	text := bodyOf(t, answer)
	if answer.StatusCode != status {
		t.Fatalf("%s: %d %s", request.URL.Path, answer.StatusCode, text)
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatal(err)
	}
}

// manyRegister registers as often as the dynamic plan does: the same client again and again, and is never slowed down.
func (s *server) manyRegister(t *testing.T) {
	t.Helper()
	for range 40 {
		body := `{"client_name":"suite","redirect_uris":["` + s.at.Suite + `/test/a/garde/callback"],"grant_types":["authorization_code","implicit"],
			"response_types":["code id_token token"],"token_endpoint_auth_method":"client_secret_post","contacts":["a@suite.example"]}`
		request, err := http.NewRequest(http.MethodPost, s.at.Issuer+"/register", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		var told map[string]any
		s.do(t, request, http.StatusCreated, &told)
		for _, name := range []string{"client_id", "client_secret", "registration_client_uri", "registration_access_token"} {
			if text, _ := told[name].(string); text == "" {
				t.Fatalf("no %s: %v", name, told)
			}
		}
		if expires, told := told["client_secret_expires_at"]; !told || expires != 0.0 {
			t.Fatalf("client_secret_expires_at %v", expires)
		}
	}
}

// TestTheSuiteIsTold looks at the configurations that a tester pastes.
func TestTheSuiteIsTold(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "all")
	at := place{
		Issuer: "https://garde.example", MTLS: "https://mtls.garde.example", Resource: "https://api.garde.example", Listen: ":9443", MTLSListen: ":9444",
		Suite: "https://suite.example:8443", Alias: "garde", Password: "quite a long password 31",
	}
	if err := write(os.DirFS("../../"+source), dir, at); err != nil {
		t.Fatal(err)
	}
	if err := write(os.DirFS("../../"+source), dir, at); err == nil {
		t.Error("a second run overwrote the first")
	}
	for pattern, count := range map[string]int{
		"basic/suite/*.json": 2, "implicit/suite/*.json": 2, "hybrid/suite/*.json": 2, "dynamic/suite/*.json": 13, "logout/suite/*.json": 4,
		"fapi2-security/suite/*.json": 16, "fapi2-message-signing/suite/*.json": 32, "fapi-ciba/suite/*.json": 4,
	} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(files) != count {
			t.Errorf("%s: %d, %v", pattern, len(files), err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, left := range []string{"{{", "null", "{client_auth"} {
				if strings.Contains(string(text), left) {
					t.Errorf("%s: there is a %s", file, left)
				}
			}
		}
	}
	var one struct {
		Client, Client2 struct {
			ID    string `json:"client_id"`
			Scope string
			JWKS  struct{ Keys []map[string]string }
		}
		MTLS struct{ Cert, Key string }
	}
	text, err := os.ReadFile(filepath.Join(dir, "fapi2-security/suite/fapi2-security-profile-final-test-plan.simple.mtls.plain_oauth.dpop.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &one); err != nil {
		t.Fatal(err)
	}
	if one.Client.ID != "mtls-dpop-1" || one.Client2.ID != "mtls-dpop-2" || one.Client.Scope != "accounts" || one.Client.JWKS.Keys[0]["d"] == "" {
		t.Errorf("told %v", one)
	}
	if _, err := tls.X509KeyPair([]byte(one.MTLS.Cert), []byte(one.MTLS.Key)); err != nil {
		t.Error(err)
	}
	public, err := os.ReadFile(filepath.Join(dir, "fapi2-security/mtls-dpop-1.jwks.json"))
	if err != nil || strings.Contains(string(public), `"d"`) {
		t.Errorf("the server is told %s, %v", public, err)
	}
}
