package client

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"
)

// liar is a server that says what a row wants it to, over real HTTP.
type liar struct {
	*testing.T
	*httptest.Server
	key, other *Key

	mu     sync.Mutex
	meta   map[string]any // what discovery says; nil takes a member away
	token  func(w http.ResponseWriter, r *http.Request)
	asked  int // requests at /token
	forms  []url.Values
	proofs []map[string]any // what each request was proved by
}

func open(t *testing.T) *liar {
	t.Helper()
	l := &liar{T: t, meta: map[string]any{}}
	var err error
	if l.key, err = NewKey(); err != nil {
		t.Fatal(err)
	}
	if l.other, err = NewKey(); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	l.Server = httptest.NewServer(mux)
	t.Cleanup(l.Close)
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		said := map[string]any{
			"issuer": l.URL, "authorization_endpoint": l.URL + "/authorize", "token_endpoint": l.URL + "/token", "jwks_uri": l.URL + "/jwks",
			"userinfo_endpoint": l.URL + "/userinfo", "end_session_endpoint": l.URL + "/logout", "revocation_endpoint": l.URL + "/revoke",
			"pushed_authorization_request_endpoint": l.URL + "/par", "code_challenge_methods_supported": []string{"S256"},
			"authorization_response_iss_parameter_supported": true, "dpop_signing_alg_values_supported": []string{"ES256"},
			"id_token_signing_alg_values_supported": []string{"ES256"},
		}
		for name, value := range l.meta {
			if said[name] = value; value == nil {
				delete(said, name)
			}
		}
		answer(w, 200, said)
	})
	mux.HandleFunc("/jwks", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(l.key.JWKS())
	})
	mux.HandleFunc("/userinfo", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 200, map[string]any{"sub": "u-mallory", "name": "Mallory"})
	})
	told := func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		l.mu.Lock()
		l.asked++
		l.forms = append(l.forms, r.PostForm)
		l.proofs = append(l.proofs, claimsOf(r.Header.Get("DPoP")))
		l.mu.Unlock()
		l.token(w, r)
	}
	mux.HandleFunc("/token", told)
	mux.HandleFunc("/par", told)
	mux.HandleFunc("/calls/", told)
	return l
}

func (l *liar) client() *Client {
	return &Client{ID: "app", Issuer: l.URL, Resource: l.URL + "/calls", HTTP: NewHTTP(), Now: time.Now}
}

// says signs an ID token as an honest server would, less what a row changes.
func (l *liar) says(by *Key, nonce string, change map[string]any) string {
	l.Helper()
	now := time.Now()
	claims := map[string]any{"iss": l.URL, "aud": "app", "sub": "u-alice", "nonce": nonce, "iat": now.Unix(), "exp": now.Add(time.Minute).Unix()}
	for name, value := range change {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
	text, err := by.sign(map[string]any{"alg": "ES256", "kid": l.key.ID}, claims)
	if err != nil {
		l.Fatal(err)
	}
	return text
}

func answer(w http.ResponseWriter, status int, said map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(said)
}
