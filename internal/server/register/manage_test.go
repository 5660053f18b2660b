package register_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
)

// update writes metadata for a PUT.
func update(id, more string) string { return `{"client_id":"` + id + `",` + more + `}` }

const redirects = `"redirect_uris":["https://app.example/cb"]`

func TestG10OneTokenOpensOneClient(t *testing.T) {
	h := newHouse(t)
	a, b := h.register("open", webApp), h.register("open", webApp)
	at, token := a.text("registration_client_uri"), a.text("registration_access_token")
	for name, try := range map[string]struct{ at, token string }{
		"another client's":        {at, b.text("registration_access_token")},
		"nobody's":                {at, iam.NewSecret(iam.PrefixKeeper)},
		"a secret of the client":  {at, a.text("client_secret")},
		"under another policy":    {strings.Replace(at, "/open/", "/invited/", 1), token},
		"a client that is none":   {strings.Replace(at, a.text("client_id"), "r-none", 1), token},
		"a client of the recipe":  {strings.Replace(at, a.text("client_id"), "own", 1), token},
		"another client's client": {b.text("registration_client_uri"), token},
	} {
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
			t.Run(name+" "+method, func(t *testing.T) {
				h := &house{T: t, server: h.server}
				got := h.call(method, try.at, try.token, update(a.text("client_id"), redirects))
				h.refused(got, 401, "invalid_token")
				if !strings.Contains(got.header.Get("WWW-Authenticate"), "Bearer") {
					t.Error("no challenge")
				}
			})
		}
	}
	if got := h.call(http.MethodGet, at, "", ""); got.status != 401 {
		t.Errorf("no token: %d", got.status)
	}
	if got := h.call(http.MethodPost, at, token, "{}"); got.status != 405 || got.header.Get("Allow") != "GET, PUT, DELETE" {
		t.Errorf("another method: %d %v", got.status, got.header)
	}
	if got := h.call(http.MethodDelete, at, token, ""); got.status != 204 || got.body != nil {
		t.Errorf("DELETE answered %d %v", got.status, got.body)
	}
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
		h.refused(h.call(method, at, token, update(a.text("client_id"), redirects)), 401, "invalid_token")
	}
	if _, err := h.authenticate(a.text("client_id"), a.text("client_secret")); err == nil {
		t.Error("the client lives on")
	}
	if got := h.call(http.MethodGet, b.text("registration_client_uri"), b.text("registration_access_token"), ""); got.status != 200 {
		t.Errorf("the other client: %d", got.status)
	}
}

func TestG11AnUpdateObeysTheSamePolicy(t *testing.T) {
	h := newHouse(t)
	made := h.register("open", `{"redirect_uris":["https://app.example/cb"],"client_name":"Budget","scope":"openid"}`)
	at, token, id := made.text("registration_client_uri"), made.text("registration_access_token"), made.text("client_id")
	for name, try := range map[string]struct{ body, code string }{
		"a wider scope than the policy's":    {update(id, redirects+`,"scope":"openid accounts.write"`), "invalid_client_metadata"},
		"a redirect URI that nobody may":     {update(id, `"redirect_uris":["http://evil.example/cb"]`), "invalid_redirect_uri"},
		"T09 no proof any more":              {update(id, redirects+`,"token_endpoint_auth_method":"none"`), "invalid_client_metadata"},
		"T09 another kind of application":    {update(id, `"redirect_uris":["com.example.app:/cb"],"application_type":"native"`), "invalid_client_metadata"},
		"a grant that the policy withholds":  {update(id, redirects+`,"grant_types":["authorization_code","implicit"]`), "invalid_client_metadata"},
		"another client's id":                {update("r-other", redirects), "invalid_client_metadata"},
		"no client_id":                       {`{` + redirects + `}`, "invalid_client_metadata"},
		"a secret of its own choice":         {update(id, redirects+`,"client_secret":"hunter2"`), "invalid_client_metadata"},
		"a secret that is a number":          {update(id, redirects+`,"client_secret":5`), "invalid_client_metadata"},
		"the token sent back":                {update(id, redirects+`,"registration_access_token":"`+token+`"`), "invalid_client_metadata"},
		"the end of the secret sent back":    {update(id, redirects+`,"client_secret_expires_at":0`), "invalid_client_metadata"},
		"the time of registration sent back": {update(id, redirects+`,"client_id_issued_at":1`), "invalid_client_metadata"},
		"no JSON":                            {"x", "invalid_client_metadata"},
	} {
		t.Run(name, func(t *testing.T) {
			h := &house{T: t, server: h.server}
			h.refused(h.call(http.MethodPut, at, token, try.body), 400, try.code)
		})
	}
	got := h.call(http.MethodPut, at, token, update(id, redirects+`,"scope":"openid profile","client_secret":"`+made.text("client_secret")+`"`))
	if got.status != 200 || got.text("scope") != "openid profile" || got.body["client_name"] != nil || got.body["client_secret"] != nil {
		t.Errorf("the update: %d %v", got.status, got.body)
	}
	if _, err := h.authenticate(id, made.text("client_secret")); err != nil {
		t.Error("the secret is gone:", err)
	}
	h.refused(h.call(http.MethodGet, at, token, ""), 401, "invalid_token")
	token = got.text("registration_access_token")
	if again := h.call(http.MethodGet, at, token, ""); again.status != 200 || again.text("scope") != "openid profile" {
		t.Errorf("the new token: %d %v", again.status, again.body)
	}
	got = h.call(http.MethodPut, at, token, update(id, redirects+`,"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"https://app.example/jwks"`))
	if got.status != 200 || got.body["client_secret"] != nil {
		t.Errorf("to a key: %d %v", got.status, got.body)
	}
	if _, err := h.authenticate(id, made.text("client_secret")); err == nil {
		t.Error("T08 the old secret still opens")
	}
	got = h.call(http.MethodPut, at, got.text("registration_access_token"), update(id, redirects+`,"token_endpoint_auth_method":"client_secret_jwt"`))
	if got.status != 200 || got.text("client_secret") == "" || got.text("client_secret") == made.text("client_secret") {
		t.Errorf("back to a secret: %d %v", got.status, got.body)
	}
	t.Run("a client that an administrator disabled", func(t *testing.T) {
		h.must(h.tenant.SetClientDisabled(t.Context(), id, true))
		h.refused(h.call(http.MethodPut, at, got.text("registration_access_token"), update(id, redirects)), 403, "access_denied")
		if client, err := h.tenant.Client(t.Context(), id); err != nil || !client.Disabled {
			t.Errorf("it enabled itself: %v", err)
		}
	})
}

// statement signs claims as the issuer whom the policy believes.
func (h *house) statement(change map[string]any) string {
	h.Helper()
	return h.statementBy(h.vouch, "JWT", change)
}

func (h *house) statementBy(signer *jose.Signer, typ string, change map[string]any) string {
	h.Helper()
	claims := map[string]any{
		"iss": "https://vouch.example", "iat": h.now().Unix(), "exp": h.now().Add(time.Hour).Unix(), "software_id": "budget",
		"redirect_uris": []string{"https://vouched.example/cb"}, "client_name": "Budget", "scope": "openid",
	}
	for name, value := range change {
		if value == nil {
			delete(claims, name)
			continue
		}
		claims[name] = value
	}
	token, err := signer.Sign(typ, claims)
	h.must(err)
	return token
}

func stated(statement, more string) string {
	raw, _ := json.Marshal(statement)
	return `{"software_statement":` + string(raw) + more + `}`
}

func TestG12SoftwareStatements(t *testing.T) {
	h := newHouse(t)
	key, err := jose.GenerateKey(jose.ES256)
	h.must(err)
	forger := &jose.Signer{Key: key, Alg: jose.ES256, KeyID: "v1"}
	good := h.statement(nil)
	parts := strings.Split(good, ".")
	for name, try := range map[string]struct{ text, code string }{
		"no algorithm":             {"eyJhbGciOiJub25lIn0." + parts[1] + ".", "invalid_software_statement"},
		"no signature":             {parts[0] + "." + parts[1] + ".", "invalid_software_statement"},
		"another signature":        {h.statementBy(forger, "JWT", nil), "invalid_software_statement"},
		"altered claims":           {parts[0] + "." + strings.Split(h.statement(map[string]any{"scope": "openid accounts.read"}), ".")[1] + "." + parts[2], "invalid_software_statement"},
		"an unknown issuer":        {h.statement(map[string]any{"iss": "https://evil.example"}), "unapproved_software_statement"},
		"no issuer":                {h.statement(map[string]any{"iss": nil}), "unapproved_software_statement"},
		"expired":                  {h.statement(map[string]any{"exp": h.now().Unix()}), "invalid_software_statement"},
		"of the future":            {h.statement(map[string]any{"nbf": h.now().Add(time.Hour).Unix()}), "invalid_software_statement"},
		"for another server":       {h.statement(map[string]any{"aud": "https://other.example"}), "invalid_software_statement"},
		"for nobody":               {h.statement(map[string]any{"aud": []string{}}), "invalid_software_statement"},
		"T20 another kind of JWT":  {h.statementBy(h.vouch, "at+jwt", nil), "invalid_software_statement"},
		"metadata that may not be": {h.statement(map[string]any{"scope": "accounts.write"}), "invalid_client_metadata"},
		"an empty one":             {"", "invalid_software_statement"},
	} {
		t.Run(name, func(t *testing.T) {
			h := &house{T: t, server: h.server}
			h.refused(h.call(http.MethodPost, "/register/vouched", "", stated(try.text, "")), 400, try.code)
		})
	}
	if got := h.call(http.MethodPost, "/register/vouched", "", webApp); got.status != 401 {
		t.Errorf("without a statement: %d", got.status)
	}
	h.refused(h.call(http.MethodPost, "/register/invited", "", stated(good, "")), 400, "unapproved_software_statement")

	made := h.register("vouched", stated(good, `,"redirect_uris":["https://evil.example/cb"],"scope":"openid accounts.read","contacts":["me@evil.example"]`))
	if made.json("redirect_uris") != `["https://vouched.example/cb"]` || made.text("scope") != "openid" || made.text("software_statement") != good ||
		made.json("contacts") != `["me@evil.example"]` {
		t.Errorf("the statement does not go before the request: %v", made.body)
	}
	at, token, id := made.text("registration_client_uri"), made.text("registration_access_token"), made.text("client_id")
	for name, try := range map[string]struct{ body, code string }{
		"G11 an update without one":           {update(id, redirects), "invalid_software_statement"},
		"G11 an update with another software": {stated(h.statement(map[string]any{"software_id": "other"}), `,"client_id":"`+id+`"`), "invalid_software_statement"},
		"G11 an update with a forged one":     {stated(h.statementBy(forger, "JWT", nil), `,"client_id":"`+id+`"`), "invalid_software_statement"},
	} {
		t.Run(name, func(t *testing.T) {
			h := &house{T: t, server: h.server}
			h.refused(h.call(http.MethodPut, at, token, try.body), 400, try.code)
		})
	}
	if got := h.call(http.MethodPut, at, token, stated(h.statement(map[string]any{"client_name": "Budget 2"}), `,"client_id":"`+id+`"`)); got.status != 200 || got.text("client_name") != "Budget 2" {
		t.Errorf("an update with a newer one: %d %v", got.status, got.body)
	}
}
