package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/oauth2"
)

// device is an application by which a person decides: it holds tokens of theirs with the scope garde.approve, which they
// gave it by signing in.
type device struct {
	issuer string
	client *http.Client
	oauth  oauth2.Config

	mutex   sync.Mutex
	pending map[string]string // state to verifier
	tokens  oauth2.TokenSource
}

// newDevice is nil where the recipe knows no client of that name.
func newDevice(c counterpart, client *http.Client) (*device, error) {
	secret, err := os.ReadFile(filepath.Join(c.Dir, "device.secret"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &device{issuer: c.Issuer, client: client, pending: map[string]string{}, oauth: oauth2.Config{
		ClientID: "device", ClientSecret: string(secret), RedirectURL: c.Resource + "/device/callback", Scopes: []string{"garde.approve", "offline_access"},
		Endpoint: oauth2.Endpoint{AuthURL: c.Issuer + "/authorize", TokenURL: c.Issuer + "/token", AuthStyle: oauth2.AuthStyleInHeader},
	}}, nil
}

func (d *device) hang(mux *http.ServeMux) {
	mux.HandleFunc("GET /device", d.begin)
	mux.HandleFunc("GET /device/callback", d.back)
	mux.HandleFunc("/device/decide", d.decide)
}

// begin sends the person to sign in.
func (d *device) begin(w http.ResponseWriter, r *http.Request) {
	state, verifier := rand.Text(), oauth2.GenerateVerifier()
	d.mutex.Lock()
	d.pending[state] = verifier
	d.mutex.Unlock()
	http.Redirect(w, r, d.oauth.AuthCodeURL(state, oauth2.S256ChallengeOption(verifier)), http.StatusSeeOther)
}

// back takes the code. What it gives lives as long as this process.
func (d *device) back(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	d.mutex.Lock()
	verifier, known := d.pending[query.Get("state")]
	delete(d.pending, query.Get("state"))
	d.mutex.Unlock()
	if !known || query.Get("iss") != d.issuer || query.Get("code") == "" {
		http.Error(w, "this is no answer to a question of ours: "+query.Get("error"), http.StatusBadRequest)
		return
	}
	ctx := context.WithValue(context.WithoutCancel(r.Context()), oauth2.HTTPClient, d.client)
	token, err := d.oauth.Exchange(ctx, query.Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	d.mutex.Lock()
	d.tokens = d.oauth.TokenSource(ctx, token)
	d.mutex.Unlock()
	_, _ = io.WriteString(w, "Signed in. What is asked over the backchannel can be decided now.\n")
}

// decide is what the suite calls: the newest of what waits is allowed or denied. A device is not told auth_req_id, which
// belongs to the client alone, so the suite runs one module at a time.
func (d *device) decide(w http.ResponseWriter, r *http.Request) {
	decision := map[string]string{"allow": "allow", "approve": "allow", "deny": "deny", "reject": "deny"}[r.FormValue("action")]
	if decision == "" {
		http.Error(w, "action is allow or deny", http.StatusBadRequest)
		return
	}
	d.mutex.Lock()
	tokens := d.tokens
	d.mutex.Unlock()
	if tokens == nil {
		http.Error(w, "nobody signed in at /device", http.StatusConflict)
		return
	}
	token, err := tokens.Token()
	if err == nil {
		err = d.answer(r.Context(), token, decision)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	_, _ = io.WriteString(w, decision+"\n")
}

var errNothing = errors.New("nothing waits for the person")

func (d *device) answer(ctx context.Context, token *oauth2.Token, decision string) error {
	var waiting struct {
		Requests []struct {
			ID string `json:"id"`
		} `json:"requests"`
	}
	if err := d.call(ctx, token, http.MethodGet, "/requests", nil, &waiting); err != nil {
		return err
	}
	if len(waiting.Requests) == 0 {
		return errNothing
	}
	return d.call(ctx, token, http.MethodPost, "/requests/"+waiting.Requests[0].ID, map[string]string{"decision": decision}, nil)
}

func (d *device) call(ctx context.Context, token *oauth2.Token, method, path string, body, into any) error {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, d.issuer+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	token.SetAuthHeader(request)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	answer, err := d.client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return err
	}
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %d %s", method, path, answer.StatusCode, said)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(said, into)
}
