package admin_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// What a client becomes is judged, not what it was: no way leads from a client that was judged to one that would not be.
func TestT09AClientIsJudgedAsItBecomes(t *testing.T) {
	h := newHouse(t)
	made := h.must("POST", "/clients", `{"type":"native","redirect_uris":["com.bank.new:/cb"],"scopes":["openid"]}`, 201)
	var added struct{ Client struct{ ID string } }
	if err := json.Unmarshal([]byte(made), &added); err != nil || added.Client.ID == "" {
		t.Fatal(made, err)
	}
	at := "/clients/" + added.Client.ID
	h.must("PUT", at, `{"type":"native","redirect_uris":["com.bank.new:/cb"],"scopes":["openid"]}`, 200) // each row is one change away from this
	before := h.must("GET", at, "", 200)
	for name, row := range map[string]struct {
		said   string
		status int
	}{
		"another type":                           {`{"type":"web","auth":"client_secret_basic","redirect_uris":["https://a.example/cb"],"scopes":["openid"]}`, 409},
		"another proof":                          {`{"type":"native","auth":"client_secret_post","redirect_uris":["com.bank.new:/cb"],"scopes":["openid"]}`, 422},
		"a wildcard":                             {`{"type":"native","redirect_uris":["https://*.example/cb"],"scopes":["openid"]}`, 422},
		"R11 a script as redirect URI":           {`{"type":"native","redirect_uris":["javascript:alert(1)"],"scopes":["openid"]}`, 422},
		"R31 a script to go to after logout":     {`{"type":"native","redirect_uris":["com.bank.new:/cb"],"post_logout_redirect_uris":["JaVaScRiPt:alert(1)"],"scopes":["openid"]}`, 422},
		"R31 data to go to after logout":         {`{"type":"native","redirect_uris":["com.bank.new:/cb"],"post_logout_redirect_uris":["data:text/html,x"],"scopes":["openid"]}`, 422},
		"a scope of nowhere":                     {`{"type":"native","redirect_uris":["com.bank.new:/cb"],"scopes":["openid","root"]}`, 422},
		"J11 ID tokens under a shared secret":    {`{"type":"native","redirect_uris":["com.bank.new:/cb"],"scopes":["openid"],"id_token_signed_response_alg":"HS256"}`, 422},
		"J01 ID tokens that nobody signs":        {`{"type":"native","redirect_uris":["com.bank.new:/cb"],"scopes":["openid"],"id_token_signed_response_alg":"none"}`, 422},
		"the password grant":                     {`{"type":"native","redirect_uris":["com.bank.new:/cb"],"scopes":["openid"],"grants":["password"]}`, 422},
		"S28 a client that is not to be set":     {`{"type":"native","redirect_uris":["com.bank.new:/cb"],"scopes":["openid"],"source":"recipe"}`, 422},
		"J11 assertions under a shared secret":   {`{"type":"native","auth":"client_secret_jwt","redirect_uris":["com.bank.new:/cb"],"scopes":["openid"]}`, 422},
		"keys at an address that is not https":   {`{"type":"native","jwks_uri":"http://10.0.0.1/jwks","redirect_uris":["com.bank.new:/cb"],"scopes":["openid"]}`, 422},
		"G03 addresses that somebody might read": {`{"type":"native","logo_uri":"http://10.0.0.1/","redirect_uris":["com.bank.new:/cb"],"scopes":["openid"]}`, 422},
	} {
		t.Run(name, func(t *testing.T) {
			if status, answer := h.ask("PUT", at, row.said); status != row.status {
				t.Errorf("%d %s", status, answer)
			}
			if after := h.must("GET", at, "", 200); after != before {
				t.Errorf("it became %s", after)
			}
		})
	}
}

// A client's secret is not to be had by asking: neither whole nor hashed, and not at all without being the operator.
func TestT14NoListTellsASecret(t *testing.T) {
	h := newHouse(t)
	made := h.must("POST", "/clients", `{"type":"service","auth":"client_secret_basic","scopes":[]}`, 201)
	var added struct {
		Client struct{ ID string }
		Secret struct{ Secret string }
	}
	if err := json.Unmarshal([]byte(made), &added); err != nil || added.Secret.Secret == "" {
		t.Fatal(made, err)
	}
	for _, path := range []string{"/clients", "/clients/" + added.Client.ID, "/clients?limit=500", "/journal", "/recipe/revisions/0"} {
		if answer := h.must("GET", path, "", 200); strings.Contains(answer, added.Secret.Secret) || strings.Contains(answer, added.Secret.Secret[3:20]) {
			t.Errorf("%s tells it: %s", path, answer)
		}
		recorder := httptest.NewRecorder()
		request := httptest.NewRequest(http.MethodGet, path, nil)
		request.SetBasicAuth(added.Client.ID, added.Secret.Secret)
		if h.handler.ServeHTTP(recorder, request); recorder.Code != http.StatusForbidden {
			t.Errorf("%s for a client: %d", path, recorder.Code)
		}
	}
}

// Whoever was the first administrator, the first set-up stays closed when they go.
func TestS39TheFirstSetUpStaysClosedWhenTheFirstOneGoes(t *testing.T) {
	h := newHouse(t)
	h.must("POST", "/users", `{"username":"ada","admin":true}`, 201)
	h.must("PUT", "/users/ada/password", `{"password":"Xk29-plum-Tango77"}`, 204)
	h.must("POST", "/users", `{"username":"eve"}`, 201)
	h.must("DELETE", "/users/ada", "", 409) // the last one stays
	h.must("PATCH", "/users/ada", `{"disabled":true}`, 409)
	h.must("PATCH", "/users/ada", `{"admin":false}`, 409)
	h.must("POST", "/users", `{"username":"mallory","admin":true}`, 409)
	h.must("PATCH", "/users/eve", `{"admin":true}`, 409)
}
