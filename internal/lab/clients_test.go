package lab_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/gardeauth/garde/gate"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/lab"
	"github.com/gardeauth/garde/recipe"
)

// party is a relying party built with golang.org/x/oauth2 and coreos/go-oidc alone.
type party struct {
	t        *testing.T
	house    *lab.House
	ctx      context.Context
	provider *oidc.Provider
	config   oauth2.Config
}

func newParty(t *testing.T, h *lab.House, client string, style oauth2.AuthStyle, scope ...string) *party {
	t.Helper()
	ctx := oidc.ClientContext(t.Context(), &http.Client{Timeout: 10 * time.Second})
	provider, err := oidc.NewProvider(ctx, h.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	endpoint := provider.Endpoint()
	endpoint.AuthStyle = style
	return &party{t, h, ctx, provider, oauth2.Config{
		ClientID: client, ClientSecret: h.Secret(client), Endpoint: endpoint, RedirectURL: lab.Redirect(client),
		Scopes: append([]string{oidc.ScopeOpenID}, scope...),
	}}
}

// attempt is one authorization request with what its client remembers.
type attempt struct{ state, nonce, verifier string }

// ask sends a person who is signed in to the Server, and gives the parameters of the answer.
func (p *party) ask(who *lab.Person, options ...oauth2.AuthCodeOption) (attempt, url.Values) {
	p.t.Helper()
	a := attempt{rawState(), rawState(), oauth2.GenerateVerifier()}
	options = append(options, oauth2.S256ChallengeOption(a.verifier), oidc.Nonce(a.nonce))
	request, err := http.NewRequestWithContext(p.ctx, http.MethodGet, p.config.AuthCodeURL(a.state, options...), nil)
	if err != nil {
		p.t.Fatal(err)
	}
	request.Header.Set("Cookie", who.Cookie)
	answer, err := stay().Do(request)
	if err != nil {
		p.t.Fatal(err)
	}
	defer answer.Body.Close()
	back := answer.Header.Get("Location")
	if answer.StatusCode != http.StatusSeeOther || !strings.HasPrefix(back, p.config.RedirectURL) {
		body, _ := io.ReadAll(answer.Body)
		p.t.Fatalf("the person was answered %d, %q\n%s", answer.StatusCode, back, body)
	}
	u, err := url.Parse(back)
	if err != nil {
		p.t.Fatal(err)
	}
	params := u.Query()
	if params.Get("state") != a.state || params.Get("iss") != p.house.Issuer {
		p.t.Errorf("state %q, iss %q", params.Get("state"), params.Get("iss"))
	}
	return a, params
}

// signIn goes all the way to tokens, and verifies the ID token as go-oidc does.
func (p *party) signIn(who *lab.Person) (*oauth2.Token, *oidc.IDToken) {
	p.t.Helper()
	a, params := p.ask(who)
	token, err := p.config.Exchange(p.ctx, params.Get("code"), oauth2.VerifierOption(a.verifier))
	if err != nil {
		p.t.Fatal(err)
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := p.provider.VerifierContext(p.ctx, &oidc.Config{ClientID: p.config.ClientID}).Verify(p.ctx, raw)
	if err != nil {
		p.t.Fatal(err)
	}
	if id.Nonce != a.nonce || id.Subject != who.ID {
		p.t.Errorf("the ID token has nonce %q for %q, subject %q for %q", id.Nonce, a.nonce, id.Subject, who.ID)
	}
	if err := id.VerifyAccessToken(token.AccessToken); err != nil {
		p.t.Errorf("at_hash: %v", err)
	}
	return token, id
}

// algOf reads the algorithm that a token names, without believing it.
func algOf(t *testing.T, token string) string {
	t.Helper()
	first, _, _ := strings.Cut(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(first)
	var header struct{ Alg string }
	if err != nil || json.Unmarshal(raw, &header) != nil {
		t.Fatalf("no JWT: %q", first)
	}
	return header.Alg
}

func rawState() string { return oauth2.GenerateVerifier()[:22] }

// stay is a browser that shows where it was sent instead of going there.
func stay() *http.Client {
	return &http.Client{Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func status(t *testing.T, client *http.Client, address string) int {
	t.Helper()
	answer, err := client.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode
}

func TestClientsInGoSignPeopleInRefreshAndCallTheGate(t *testing.T) {
	t.Parallel()
	h := lab.New(t, lab.Options{Gate: true})
	h.Followed(h.Change(func(r *recipe.Recipe) {
		client := r.Clients[lab.WebSpare]
		client.IDTokenAlg = "RS256"
		r.Clients[lab.WebSpare] = client
	}))
	h.Within(20*time.Second, "there is a key for RS256", func() bool {
		_, err := h.Server.Keys.Signer(jose.RS256)
		return err == nil
	})
	who := h.NewPerson("ada")
	for name, row := range map[string]struct {
		client  string
		style   oauth2.AuthStyle
		alg     string
		rotates bool
	}{
		"client_secret_basic":                               {lab.WebA, oauth2.AuthStyleInHeader, "ES256", false},
		"client_secret_basic, found out by x/oauth2":        {lab.WebA, oauth2.AuthStyleAutoDetect, "ES256", false},
		"client_secret_post":                                {lab.WebB, oauth2.AuthStyleInParams, "ES256", false},
		"client_secret_post, found out by x/oauth2":         {lab.WebB, oauth2.AuthStyleAutoDetect, "ES256", false},
		"a public client, whose refresh tokens rotate":      {lab.Browser, oauth2.AuthStyleInParams, "ES256", true},
		"a client with the RS256 that Discovery asks for":   {lab.WebSpare, oauth2.AuthStyleInHeader, "RS256", false},
		"a public client that x/oauth2 knows nothing about": {lab.Browser, oauth2.AuthStyleAutoDetect, "ES256", true},
	} {
		t.Run(name, func(t *testing.T) {
			p := newParty(t, h, row.client, row.style, "profile", oidc.ScopeOfflineAccess, "accounts.read")
			token, id := p.signIn(who)
			raw, _ := token.Extra("id_token").(string)
			if got := algOf(t, raw); got != row.alg {
				t.Errorf("the ID token is signed by %s", got)
			}
			info, err := p.provider.UserInfo(p.ctx, oauth2.StaticTokenSource(token))
			if err != nil || info.Subject != id.Subject {
				t.Fatalf("userinfo: %+v, %v", info, err)
			}
			if got := status(t, p.config.Client(p.ctx, token), h.AccountsAPI()+"/balance"); got != http.StatusOK {
				t.Errorf("the Gate answers %d", got)
			}
			old := *token
			old.Expiry = time.Now().Add(-time.Minute) // the library renews it by itself
			fresh, err := p.config.TokenSource(p.ctx, &old).Token()
			if err != nil {
				t.Fatal(err)
			}
			if fresh.AccessToken == token.AccessToken || (fresh.RefreshToken != token.RefreshToken) != row.rotates {
				t.Errorf("renewed: access token %v, refresh token %v", fresh.AccessToken != token.AccessToken, fresh.RefreshToken != token.RefreshToken)
			}
			if got := status(t, p.config.Client(p.ctx, fresh), h.AccountsAPI()+"/balance"); got != http.StatusOK {
				t.Errorf("the Gate answers %d to the renewed token", got)
			}
		})
	}
}

func TestClientsInGoAreToldWhatIsWrong(t *testing.T) {
	t.Parallel()
	h := lab.New(t, lab.Options{})
	who := h.NewPerson("bob")
	p := newParty(t, h, lab.WebA, oauth2.AuthStyleInHeader, "accounts.read")
	a, params := p.ask(who)
	other := newParty(t, h, lab.WebB, oauth2.AuthStyleInParams)
	other.config.RedirectURL = p.config.RedirectURL
	for name, exchange := range map[string]func() (*oauth2.Token, error){
		"a wrong verifier": func() (*oauth2.Token, error) {
			return p.config.Exchange(p.ctx, params.Get("code"), oauth2.VerifierOption(oauth2.GenerateVerifier()))
		},
		"no verifier": func() (*oauth2.Token, error) { return p.config.Exchange(p.ctx, params.Get("code")) },
		"another client": func() (*oauth2.Token, error) {
			return other.config.Exchange(p.ctx, params.Get("code"), oauth2.VerifierOption(a.verifier))
		},
	} {
		_, err := exchange()
		var told *oauth2.RetrieveError
		if !errors.As(err, &told) || told.ErrorCode != "invalid_grant" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := p.config.Exchange(p.ctx, params.Get("code"), oauth2.VerifierOption(a.verifier)); err != nil {
		t.Errorf("the code was spent by somebody else's try: %v", err)
	}
	t.Run("go-oidc takes no token of another client, and no access token", func(t *testing.T) {
		token, _ := p.signIn(who)
		raw, _ := token.Extra("id_token").(string)
		if _, err := p.provider.Verifier(&oidc.Config{ClientID: lab.WebB}).Verify(p.ctx, raw); err == nil {
			t.Error("the ID token of another client was taken")
		}
		if _, err := p.provider.Verifier(&oidc.Config{ClientID: lab.WebA}).Verify(p.ctx, token.AccessToken); err == nil {
			t.Error("the access token was taken for an ID token")
		}
	})
	t.Run("go-oidc refuses a server that names another issuer", func(t *testing.T) {
		if _, err := oidc.NewProvider(p.ctx, h.Issuer+"/"); err == nil {
			t.Error("it was taken")
		}
	})
}

func TestServicesInGoActForThemselves(t *testing.T) {
	t.Parallel()
	h := lab.New(t, lab.Options{Gate: true})
	config := clientcredentials.Config{
		ClientID: lab.Job, ClientSecret: h.Secret(lab.Job), TokenURL: h.Issuer + "/token", Scopes: []string{"accounts.read"},
		EndpointParams: url.Values{"resource": {h.AccountsAPI()}},
	}
	if got := status(t, config.Client(t.Context()), h.AccountsAPI()+"/report"); got != http.StatusOK {
		t.Errorf("the Gate answers %d", got)
	}
	if got := status(t, config.Client(t.Context()), h.AccountsAPI()+"/balance"); got != http.StatusForbidden {
		t.Errorf("the Gate answers %d where only people may go", got)
	}
	config.EndpointParams, config.Scopes = url.Values{"resource": {h.VaultAPI()}}, nil
	token, err := config.Token(t.Context())
	if err != nil || strings.Contains(token.AccessToken, ".") {
		t.Fatalf("an opaque token: %v", err)
	}
	if got := status(t, config.Client(t.Context()), h.VaultAPI()+"/secrets"); got != http.StatusOK {
		t.Errorf("the Gate answers %d to an opaque token", got)
	}
}

// api is somebody's own API in Go, behind no Gate, protected by the middleware.
func api(t *testing.T, h *lab.House, config gate.Config) *httptest.Server {
	t.Helper()
	config.Issuer, config.Audience, config.Levels = h.Issuer, h.AccountsAPI(), []string{lab.Basic, lab.Strong}
	g, err := gate.New(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := g.Run(ctx); err != nil {
			t.Errorf("follow revocations: %v", err)
		}
	})
	whoami := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, _ := gate.Token(r.Context())
		_, _ = io.WriteString(w, who.Subject)
	})
	mux := http.NewServeMux()
	mux.Handle(g.Metadata())
	mux.Handle("GET /balance", g.Protect(whoami, gate.Scope("accounts.read"), gate.Level(lab.Basic)))
	mux.Handle("GET /vault", g.Protect(whoami, gate.Scope("accounts.read"), gate.Level(lab.Strong)))
	mux.Handle("GET /transfers", g.Protect(whoami, gate.Scope("transfers.write")))
	server := httptest.NewServer(mux)
	t.Cleanup(func() { server.Close(); stop(); running.Wait() })
	return server
}

func TestTheMiddlewareTakesTokensOfTheRunningHouse(t *testing.T) {
	t.Parallel()
	h := lab.New(t, lab.Options{})
	who := h.NewPerson("eve")
	p := newParty(t, h, lab.WebA, oauth2.AuthStyleInHeader, "accounts.read")
	token, _ := p.signIn(who)
	raw, _ := token.Extra("id_token").(string)
	client := p.config.Client(p.ctx, token)
	for name, config := range map[string]gate.Config{
		"by itself": {}, "following revocations": {Client: lab.GateClient, Secret: h.Secret(lab.GateClient)},
	} {
		t.Run(name, func(t *testing.T) {
			server := api(t, h, config)
			h.Within(5*time.Second, "it takes the token", func() bool { return status(t, client, server.URL+"/balance") == http.StatusOK })
			for path, want := range map[string]int{"/vault": http.StatusUnauthorized, "/transfers": http.StatusForbidden} {
				if got := status(t, client, server.URL+path); got != want {
					t.Errorf("%s: %d, want %d", path, got, want)
				}
			}
			for name, wrong := range map[string]string{"no token": "", "an ID token": raw, "a token of another API": foreignToken(p, who)} {
				request, err := http.NewRequestWithContext(p.ctx, http.MethodGet, server.URL+"/balance", nil)
				if err != nil {
					t.Fatal(err)
				}
				if wrong != "" {
					request.Header.Set("Authorization", "Bearer "+wrong)
				}
				answer, err := stay().Do(request)
				if err != nil {
					t.Fatal(err)
				}
				answer.Body.Close()
				if answer.StatusCode != http.StatusUnauthorized || !strings.Contains(answer.Header.Get("WWW-Authenticate"), "resource_metadata=") {
					t.Errorf("%s: %d %q", name, answer.StatusCode, answer.Header.Get("WWW-Authenticate"))
				}
			}
			if config.Client == "" {
				return
			}
			mine, _ := p.signIn(who)
			again := p.config.Client(p.ctx, mine)
			if got := status(t, again, server.URL+"/balance"); got != http.StatusOK {
				t.Fatalf("before: %d", got)
			}
			if reply := h.As(lab.WebA, "/revoke", lab.Form("token", mine.AccessToken)); reply.Status != http.StatusOK {
				t.Fatalf("revoke: %d %s", reply.Status, reply.Body)
			}
			h.Within(time.Second, "the revoked token is dead", func() bool { return status(t, again, server.URL+"/balance") == http.StatusUnauthorized })
		})
	}
}

// foreignToken is a good token of the same person and client for another API.
func foreignToken(p *party, who *lab.Person) string {
	p.t.Helper()
	elsewhere := newParty(p.t, p.house, p.config.ClientID, p.config.Endpoint.AuthStyle, "ledger.read")
	token, _ := elsewhere.signIn(who)
	return token.AccessToken
}
