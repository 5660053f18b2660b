package gate_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gardeauth/garde/gate"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/verify"
)

const audience = "https://api.bank.example/accounts"

// issuer is an issuer on loopback: metadata, keys, a token endpoint and a revocation feed.
type issuer struct {
	*httptest.Server
	signer *jose.Signer
	names  string      // what its metadata says that it is; "": itself
	down   atomic.Bool // answers nothing
	lines  chan verify.Line
	asked  atomic.Int64
	list   atomic.Pointer[string] // what it says of the operations of the API accounts
}

func newIssuer(t testing.TB) *issuer {
	t.Helper()
	key, err := jose.GenerateKey(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{signer: &jose.Signer{KeyID: "k1", Alg: jose.ES256, Key: key}, lines: make(chan verify.Line)}
	keys, err := jose.NewSet(i.signer.Public())
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/oauth-authorization-server", func(w http.ResponseWriter, _ *http.Request) {
		name := i.URL
		if i.names != "" {
			name = i.names
		}
		say(w, map[string]string{"issuer": name, "jwks_uri": i.URL + "/jwks", "token_endpoint": i.URL + "/token"})
	})
	mux.HandleFunc("/jwks", func(w http.ResponseWriter, _ *http.Request) { say(w, keys) })
	mux.HandleFunc("GET /apis/accounts", func(w http.ResponseWriter, _ *http.Request) {
		if list := i.list.Load(); list != nil {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(*list))
			return
		}
		w.WriteHeader(http.StatusNotFound)
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		id, secret, _ := r.BasicAuth()
		if id != "accounts" || secret != "s%2Bcret" || r.PostFormValue("scope") != "garde.gate" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		say(w, map[string]string{"access_token": "gate-token", "token_type": "Bearer"})
	})
	mux.HandleFunc("GET /signals/revocations", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer gate-token" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		for {
			select {
			case line := <-i.lines:
				say(w, line)
				_ = http.NewResponseController(w).Flush()
			case <-r.Context().Done():
				return
			}
		}
	})
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.asked.Add(1)
		if i.down.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		i.CloseClientConnections()
		i.Close()
	})
	return i
}

func say(w http.ResponseWriter, value any) {
	body, _ := json.Marshal(value)
	_, _ = w.Write(append(body, '\n'))
}

func (i *issuer) token(t testing.TB, typ string, change map[string]any) string {
	t.Helper()
	now := time.Now().Unix()
	claims := map[string]any{
		"iss": i.URL, "sub": "user-1", "aud": audience, "client_id": "mobile", "scope": "accounts.read", "jti": "j1", "iat": now,
		"exp": now + 3600, "auth_time": now - 10, "acr": "urn:basic", "sid": "s1", "amr": []string{"pwd"},
	}
	maps.Copy(claims, change)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	token, err := i.signer.Sign(typ, claims)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func open(t testing.TB, c gate.Config) *gate.Gate {
	t.Helper()
	c.Audience, c.Levels = audience, []string{"urn:basic", "urn:strong"}
	g, err := gate.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// ask sends one request through h.
func ask(h http.Handler, target string, credentials ...string) *httptest.ResponseRecorder {
	r, w := httptest.NewRequest("GET", target, nil), httptest.NewRecorder()
	if credentials != nil {
		r.Header["Authorization"] = credentials
	}
	h.ServeHTTP(w, r)
	return w
}

func TestAHandlerLearnsWhoCalls(t *testing.T) {
	i := newIssuer(t)
	var facts gate.Facts
	h := open(t, gate.Config{Issuer: i.URL}).Protect(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		facts, _ = gate.Token(r.Context())
	}), gate.Scope("accounts.read"))
	if w := ask(h, "/", "Bearer "+i.token(t, "at+jwt", nil)); w.Code != 200 {
		t.Fatal(w.Code, w.Body)
	}
	if facts.Subject != "user-1" || facts.Client != "mobile" || !facts.Person() || !facts.HasScope("accounts.read") || facts.ACR != "urn:basic" ||
		facts.Session != "s1" || facts.ID != "j1" || facts.Expires.IsZero() || time.Since(facts.AuthTime) > time.Minute {
		t.Errorf("%+v", facts)
	}
	if _, ok := gate.Token(context.Background()); ok {
		t.Error("facts without a request")
	}
}

func TestNothingButAGoodTokenReachesTheHandler(t *testing.T) {
	i := newIssuer(t)
	g := open(t, gate.Config{Issuer: i.URL})
	now := time.Now().Unix()
	own := map[string]any{"sub": "batch", "client_id": "batch", "auth_time": nil, "acr": nil}
	good := i.token(t, "at+jwt", nil)
	for name, c := range map[string]struct {
		options     []gate.Option
		target      string
		credentials []string
		status      int
		challenge   string
	}{
		"W09 nothing":                 {nil, "/", nil, 401, `Bearer realm="garde", resource_metadata=`},
		"W05 Basic":                   {nil, "/", []string{"Basic " + good}, 401, `realm="garde", resource_metadata`},
		"W10 query":                   {nil, "/?access_token=" + good, nil, 400, "invalid_request"},
		"W10 query, encoded":          {nil, "/?a&acces%73_token=x", []string{"Bearer " + good}, 400, "invalid_request"},
		"W11 two headers":             {nil, "/", []string{"Bearer " + good, "Bearer x"}, 400, "invalid_request"},
		"W11 comma":                   {nil, "/", []string{"Bearer " + good + ", Bearer x"}, 400, "invalid_request"},
		"W12 no token":                {nil, "/", []string{"Bearer "}, 400, "invalid_request"},
		"W06 other audience":          {nil, "/", []string{"Bearer " + i.token(t, "at+jwt", map[string]any{"aud": "x"})}, 401, "invalid_token"},
		"W07 ID token":                {nil, "/", []string{"Bearer " + i.token(t, "JWT", nil)}, 401, "invalid_token"},
		"W08 expired":                 {nil, "/", []string{"Bearer " + i.token(t, "at+jwt", map[string]any{"iat": now - 9, "exp": now - 1})}, 401, "invalid_token"},
		"W08 other issuer":            {nil, "/", []string{"Bearer " + i.token(t, "at+jwt", map[string]any{"iss": "https://evil.example"})}, 401, "invalid_token"},
		"W08 old, without revocation": {nil, "/", []string{"Bearer " + i.token(t, "at+jwt", map[string]any{"iat": now - 700})}, 401, "older than"},
		"bound to a key":              {nil, "/", []string{"Bearer " + i.token(t, "at+jwt", map[string]any{"cnf": map[string]any{"jkt": "x"}})}, 401, "invalid_token"},
		"W04 scope":                   {[]gate.Option{gate.Scope("other")}, "/", []string{"Bearer " + good}, 403, `insufficient_scope`},
		"client, people only":         {nil, "/", []string{"Bearer " + i.token(t, "at+jwt", own)}, 403, "for people"},
		"person, clients only":        {[]gate.Option{gate.Clients()}, "/", []string{"Bearer " + good}, 403, "for clients"},
		"W42 level":                   {[]gate.Option{gate.Level("urn:strong"), gate.Fresh(time.Minute)}, "/", []string{"Bearer " + good}, 401, `acr_values="urn:strong", max_age="60"`},
		"W42 freshness":               {[]gate.Option{gate.Fresh(5 * time.Second)}, "/", []string{"Bearer " + good}, 401, `max_age="5"`},
		"W42 sign-in of tomorrow":     {[]gate.Option{gate.Fresh(time.Hour)}, "/", []string{"Bearer " + i.token(t, "at+jwt", map[string]any{"auth_time": now + 9999})}, 401, `max_age`},
		"good":                        {nil, "/?a=b", []string{"bearer " + good}, 200, ""},
		"X06 a person of no sign-in":  {[]gate.Option{gate.Clients()}, "/", []string{"Bearer " + i.token(t, "at+jwt", map[string]any{"auth_time": nil, "acr": nil})}, 403, "does not say when"},
		"client where admitted":       {[]gate.Option{gate.Clients()}, "/", []string{"Bearer " + i.token(t, "at+jwt", own)}, 200, ""},
		"both admitted, a person":     {[]gate.Option{gate.Clients(), gate.People()}, "/", []string{"Bearer " + good}, 200, ""},
		"level and freshness":         {[]gate.Option{gate.Level("urn:basic"), gate.Fresh(time.Minute)}, "/", []string{"Bearer " + good}, 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			reached := false
			h := g.Protect(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }),
				append([]gate.Option{gate.Scope("accounts.read")}, c.options...)...)
			w := ask(h, c.target, c.credentials...)
			if w.Code != c.status || reached != (c.status == 200) {
				t.Fatalf("status %d, reached %v: %s", w.Code, reached, w.Body)
			}
			if !strings.Contains(w.Header().Get("WWW-Authenticate"), c.challenge) {
				t.Errorf("the challenge is %q", w.Header().Get("WWW-Authenticate"))
			}
			if strings.Contains(w.Body.String()+fmt.Sprint(w.Header()), good[len(good)-20:]) {
				t.Error("the answer repeats the token")
			}
		})
	}
}

func TestAnIssuerThatIsNotKnownAtTheMomentIsNo401(t *testing.T) {
	for name, break_ := range map[string]func(*issuer){
		"down":                         func(i *issuer) { i.down.Store(true) },
		"metadata name another issuer": func(i *issuer) { i.names = "https://evil.example" },
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t)
			break_(i)
			h := open(t, gate.Config{Issuer: i.URL}).Protect(http.NotFoundHandler(), gate.Scope("accounts.read"))
			if w := ask(h, "/", "Bearer "+i.token(t, "at+jwt", nil)); w.Code != 503 || w.Header().Get("Retry-After") == "" {
				t.Error(w.Code, w.Body)
			}
		})
	}
}

func TestW24WithCredentialsARevokedTokenIsDeadAtOnce(t *testing.T) {
	i := newIssuer(t)
	g := open(t, gate.Config{Issuer: i.URL, Client: "accounts", Secret: "s+cret"})
	h := g.Protect(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), gate.Scope("accounts.read"))
	// An old token: without revocations it would be refused for its age.
	token := "Bearer " + i.token(t, "at+jwt", map[string]any{"iat": time.Now().Unix() - 1200})
	if w := ask(h, "/", token); w.Code != 503 {
		t.Fatalf("before anything was heard: %d", w.Code)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	ended.Go(func() {
		if err := g.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	defer ended.Wait()
	defer cancel()
	beat := verify.Line{Heartbeat: &verify.Heartbeat{Time: jose.NumericDate(time.Now().Unix())}}
	i.lines <- verify.Line{Reset: &verify.Reset{Epoch: "e1"}}
	i.lines <- beat
	until := func(status int) {
		t.Helper()
		for range 100 {
			if ask(h, "/", token).Code == status {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Fatalf("it never answered %d", status)
	}
	until(200)
	i.lines <- verify.Line{Revocation: &verify.Revocation{Seq: 1, Kind: verify.SessionRevoked, ID: "s1", Until: time.Now().Unix() + 3600}}
	until(401)
}

func TestAMistakeOfTheProgramIsSeenAtItsStart(t *testing.T) {
	g := open(t, gate.Config{Issuer: "https://id.bank.example"})
	for name, options := range map[string][]gate.Option{
		"no scope":           nil,
		"scope with a space": {gate.Scope("a b")},
		"unknown level":      {gate.Scope("a"), gate.Level("urn:other")},
		"level of a client":  {gate.Scope("a"), gate.Clients(), gate.Level("urn:basic")},
		"negative freshness": {gate.Scope("a"), gate.Fresh(-1)},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("it protects nothing, and nobody is told")
				}
			}()
			g.Protect(http.NotFoundHandler(), options...)
		})
	}
	for name, c := range map[string]gate.Config{
		"no issuer":             {Audience: audience},
		"no audience":           {Issuer: "https://id.bank.example"},
		"http issuer":           {Issuer: "http://id.bank.example", Audience: audience},
		"user in the issuer":    {Issuer: "https://a@id.bank.example", Audience: audience},
		"client without secret": {Issuer: "https://id.bank.example", Audience: audience, Client: "c"},
		"levels doubled":        {Issuer: "https://id.bank.example", Audience: audience, Levels: []string{"a", "a"}},
		"authorities not PEM":   {Issuer: "https://id.bank.example", Audience: audience, Authorities: []byte("x")},
	} {
		if _, err := gate.New(c); err == nil {
			t.Errorf("%s: it is made", name)
		}
	}
}

// Whoever uses this package must be able to name all that it gives.
func TestNoInternalTypeIsExported(t *testing.T) {
	for _, each := range []reflect.Type{reflect.TypeFor[gate.Config](), reflect.TypeFor[gate.Facts]()} {
		for i := range each.NumField() {
			if kind := each.Field(i).Type; strings.Contains(kind.PkgPath(), "internal") || kind.Kind() == reflect.Slice && strings.Contains(kind.Elem().PkgPath(), "internal") {
				t.Errorf("%s.%s is a %s", each.Name(), each.Field(i).Name, kind)
			}
		}
	}
}
