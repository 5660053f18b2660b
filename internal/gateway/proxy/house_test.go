package proxy_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/gateway/proxy"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/verify"
	"github.com/gardeauth/garde/recipe"
)

const (
	issuer = "https://id.bank.example"
	host   = "api.bank.example"
	at     = "http://api.bank.example/accounts"
)

// seen is what an upstream says that it received.
type seen struct {
	Method, Target, Host string
	Header               http.Header
	Body                 string
}

// set is one Gate before one upstream, with a key of the issuer.
type set struct {
	gate        *proxy.Gate
	config      proxy.Config
	server      *httptest.Server
	upstream    *httptest.Server
	answer      atomic.Pointer[http.HandlerFunc] // what the upstream does instead of telling what it saw
	reached     atomic.Int64
	signer      *jose.Signer
	revocations *verify.Revocations
	fresh       atomic.Bool
	issuer      *introspector
	log         *strings.Builder
}

// introspector is an issuer that knows some opaque tokens.
type introspector struct {
	known atomic.Pointer[map[string]verify.Claims]
	fault atomic.Pointer[error]
	asked atomic.Int64
}

func (i *introspector) Introspect(_ context.Context, token string) (verify.Claims, error) {
	i.asked.Add(1)
	if fault := i.fault.Load(); fault != nil {
		return verify.Claims{}, *fault
	}
	if known := i.known.Load(); known != nil {
		if claims, ok := (*known)[token]; ok {
			return claims, nil
		}
	}
	return verify.Claims{}, oauth.InvalidToken("the token is not active")
}

func bank(upstream string) *recipe.Recipe {
	forUser, forClient := []recipe.Caller{recipe.ForUser}, []recipe.Caller{recipe.ForClient}
	operations := map[string]recipe.Operation{
		"GET /rates":          {Open: "public prices"},
		"POST /rates":         {Open: "to try bodies"},
		"GET /accounts/{id}":  {For: forUser, Scope: "accounts.read", Level: "basic"},
		"PUT /accounts/{id}":  {For: forUser, Scope: "accounts.read"},
		"POST /transfers":     {For: forUser, Scope: "transfers.write", Level: "strong", Fresh: recipe.Duration(5 * time.Minute)},
		"POST /beneficiaries": {For: forUser, Scope: "beneficiaries.write", Fresh: recipe.Duration(time.Minute)},
		"GET /reports":        {For: forClient, Scope: "reports.read"},
		"GET /both":           {For: []recipe.Caller{recipe.ForUser, recipe.ForClient}, Scope: "accounts.read"},
	}
	return &recipe.Recipe{
		Levels: []recipe.Level{{Name: "basic", ACR: "urn:basic"}, {Name: "strong", ACR: "urn:strong"}},
		APIs: map[string]recipe.API{
			"accounts": {At: at, Upstream: upstream, Body: 1000, Timeout: recipe.Duration(time.Second), Operations: operations},
			"large":    {At: "http://api.bank.example/large", Upstream: upstream + "/base", Body: 64 << 20, Operations: operations},
			"secure":   {At: "https://secure.bank.example", Upstream: upstream, Operations: operations},
			"opaque":   {At: "http://api.bank.example/opaque", Upstream: upstream, Token: recipe.TokenOpaque, Operations: operations},
		},
	}
}

func build(t testing.TB, change ...func(*proxy.Config)) *set {
	t.Helper()
	s := &set{revocations: &verify.Revocations{}, issuer: &introspector{}, log: &strings.Builder{}}
	s.fresh.Store(true)
	key, err := jose.GenerateKey(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	s.signer = &jose.Signer{KeyID: "k1", Alg: jose.ES256, Key: key}
	keys, err := jose.NewSet(s.signer.Public())
	if err != nil {
		t.Fatal(err)
	}
	s.upstream = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.reached.Add(1)
		if own := s.answer.Load(); own != nil {
			(*own)(w, r)
			return
		}
		body, _ := io.ReadAll(r.Body)
		header := r.Header.Clone()
		for name, values := range r.Trailer {
			header["Trailer:"+name] = values
		}
		_ = json.NewEncoder(w).Encode(seen{r.Method, r.RequestURI, r.Host, header, string(body)})
	}))
	t.Cleanup(s.upstream.Close)
	s.config = proxy.Config{
		Issuer: issuer, Keys: verify.StaticKeys{Set: keys}, Revocations: s.revocations, Fresh: s.fresh.Load, Introspect: s.issuer,
		Log: slog.New(slog.DiscardHandler),
	}
	for _, each := range change {
		each(&s.config)
	}
	if s.gate, err = proxy.New(s.config); err != nil {
		t.Fatal(err)
	}
	if err := s.gate.Adopt(bank(s.upstream.URL)); err != nil {
		t.Fatal(err)
	}
	s.server = httptest.NewServer(s.gate)
	t.Cleanup(s.server.Close)
	return s
}

// does makes the upstream answer otherwise.
func (s *set) does(handler http.HandlerFunc) { s.answer.Store(&handler) }

var serial atomic.Int64

// claims of a good token of a person; change replaces some, nil removes.
func claims(change map[string]any) map[string]any {
	now := time.Now().Unix()
	all := map[string]any{
		"iss": issuer, "sub": "user-1", "aud": at, "client_id": "mobile", "scope": "accounts.read transfers.write",
		"jti": fmt.Sprint("t", serial.Add(1)), "iat": now, "exp": now + 300, "auth_time": now - 10, "acr": "urn:basic",
		"sid": "session-1", "grant_id": "grant-1",
	}
	maps.Copy(all, change)
	maps.DeleteFunc(all, func(_ string, value any) bool { return value == nil })
	return all
}

func (s *set) token(t testing.TB, change map[string]any) string {
	t.Helper()
	token, err := s.signer.Sign("at+jwt", claims(change))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// client's own token.
var ownToken = map[string]any{"sub": "batch", "client_id": "batch", "auth_time": nil, "acr": nil, "sid": nil, "scope": "accounts.read reports.read"}

// answered is what the Gate answered.
type answered struct {
	status int
	header http.Header
	body   string
	seen   seen // what the upstream saw, if it was reached
}

func (s *set) do(t testing.TB, method, target string, header http.Header, body io.Reader) answered {
	t.Helper()
	r, err := http.NewRequest(method, s.server.URL+target, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	for name, values := range header {
		if name == "Host" {
			r.Host = values[0]
			continue
		}
		r.Header[name] = values
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answered{status: response.StatusCode, header: response.Header, body: string(content)}
	_ = json.Unmarshal(content, &a.seen)
	return a
}

func (s *set) get(t testing.TB, target, token string) answered {
	t.Helper()
	header := http.Header{}
	if token != "" {
		header.Set("Authorization", "Bearer "+token)
	}
	return s.do(t, "GET", target, header, nil)
}

func bearer(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

func opaqueToken() string { return iam.NewSecret(iam.PrefixAccess) }

// selfSigned is a certificate that only its own key vouches for.
func selfSigned(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(7), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}
}
