package conform_test

import (
	"encoding/json"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/lab"
	"github.com/gardeauth/garde/internal/password"
	"github.com/gardeauth/garde/recipe"
)

// provider is a house as the plans of OpenID Connect want it: with a policy under which anybody registers, and the
// exceptions that those plans need.
type provider struct {
	*lab.House
	alice   *lab.Person
	outside *outside
}

const secretWord = "a long pass phrase of the tests"

// newProvider builds one, with alice, of whom everything is known.
func newProvider(t testing.TB, options lab.Options) *provider {
	t.Helper()
	away := newOutside(t)
	change := options.Recipe
	options.TLS, options.Reach = true, []string{away.listener.Addr().String()}
	options.Recipe = func(r *recipe.Recipe) {
		r.Registration = map[string]recipe.Registration{"certification": {
			Open: true, Trusted: true, Scopes: everything[:len(everything)-1], Grants: []string{"authorization_code", "refresh_token", "client_credentials", "implicit"},
			Types: []recipe.ClientType{recipe.Web, recipe.Native, recipe.Browser},
		}}
		r.Exceptions["certification"] = recipe.Exception{
			Policy: "certification", Allow: recipe.Exceptions(), Why: "the plans of the OpenID Foundation ask for it", Until: "2199-12-31",
		}
		if change != nil {
			change(r)
		}
	}
	h := lab.New(t, options)
	away.serve(h)
	p := &provider{h, h.NewPerson("alice"), away}
	p.complete(t)
	return p
}

// complete gives alice a password and every claim there is.
func (p *provider) complete(t testing.TB) {
	t.Helper()
	phc, err := password.NewHasher(1, 4).Hash(t.Context(), secretWord)
	must(t, err)
	user := p.alice.User
	user.Claims = map[string]any{
		"given_name": "Alice", "family_name": "Doe", "middle_name": "B", "nickname": "Al", "profile": "https://people.example/alice",
		"picture": "https://people.example/alice.png", "website": "https://alice.example", "gender": "female", "birthdate": "2000-01-31",
		"zoneinfo": "Europe/Paris", "locale": "fr-FR", "phone_number": "+33123456789", "phone_number_verified": true,
		"address": map[string]any{"street_address": "1 rue X", "locality": "Paris", "country": "France", "postal_code": "75001"},
	}
	must(t, p.Store().SetUser(t.Context(), user))
	must(t, p.Store().SetPassword(t.Context(), iam.Password{User: user.ID, PHC: phc}, ""))
	p.SignIn(p.alice)
	p.alice.User = user
}

// browser opens one in which alice has just signed in.
func (p *provider) browser(t testing.TB) *browser {
	t.Helper()
	alice := *p.alice
	p.SignIn(&alice)
	return newBrowser(t, p.House, &alice)
}

// register registers a party, and checks what comes back (RFC 7591 section 3.2.1).
func (p *provider) register(t testing.TB, metadata members) *party {
	t.Helper()
	said := members{"redirect_uris": []string{"https://rp.example/cb"}, "grant_types": []string{"authorization_code", "refresh_token"}, "client_name": "A party"}
	maps.Copy(said, metadata)
	maps.DeleteFunc(said, func(_ string, value any) bool { return value == nil })
	private, err := jose.GenerateKey(jose.ES256)
	must(t, err)
	rp := &party{h: p.House, signer: &jose.Signer{KeyID: "rp-1", Alg: jose.ES256, Key: private}}
	if said["jwks"] == "own" {
		set, err := jose.NewSet(rp.signer.Public())
		must(t, err)
		said["jwks"] = set
	}
	reply := p.registers(t, said)
	got := bodyOf(reply)
	if reply.Status != http.StatusCreated || got["client_id"] == "" || got["error"] != nil || reply.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %s", reply.Status, reply.Body)
	}
	text := func(name string) string { value, _ := got[name].(string); return value }
	rp.id, rp.secret, rp.auth = text("client_id"), text("client_secret"), text("token_endpoint_auth_method")
	rp.keeper, rp.manage = text("registration_access_token"), text("registration_client_uri")
	rp.uri = said["redirect_uris"].([]string)[0]
	if _, there := got["client_secret_expires_at"]; there != (rp.secret != "") || rp.keeper == "" || rp.manage == "" {
		t.Errorf("%s", reply.Body)
	}
	rp.web, rp.key, rp.about = p.With(nil), p.NewKey(), members{}
	p.Get("/.well-known/openid-configuration").Into(&rp.about)
	rp.keys = oidc.NewRemoteKeySet(oidc.ClientContext(t.Context(), rp.web), p.Issuer+"/jwks")
	return rp
}

func (p *provider) registers(t testing.TB, metadata members) lab.Reply {
	t.Helper()
	body, err := json.Marshal(metadata)
	must(t, err)
	p.Pass(31 * time.Second) // strangers may register every so often only
	return p.Do(lab.Request("POST", "/register", string(body), "Content-Type", "application/json"))
}

// outside is a server of parties: it publishes what they name, and hears what they are told.
type outside struct {
	listener net.Listener

	mu        sync.Mutex
	documents map[string]document
	handlers  map[string]http.Handler
	asked     []string
	heard     []url.Values
	types     []string
}

type document struct{ kind, text string }

func newOutside(t testing.TB) *outside {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	return &outside{listener: listener, documents: map[string]document{}, handlers: map[string]http.Handler{}}
}

func (o *outside) serve(h *lab.House) {
	server := &http.Server{Handler: o, ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: time.Minute}
	listener := h.Listening(o.listener)
	go func() { _ = server.Serve(listener) }()
	h.Cleanup(func() { _ = server.Close() })
}

// at is the address of a document.
func (o *outside) at(path string) string { return "https://" + o.listener.Addr().String() + path }

func (o *outside) publish(path, kind, text string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.documents[path] = document{kind, text}
	return o.at(path)
}

// serves has somebody else answer a path.
func (o *outside) serves(path string, handler http.Handler) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.handlers[path] = handler
}

func (o *outside) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	handler := o.handlers[r.URL.Path]
	o.mu.Unlock()
	if handler != nil {
		handler.ServeHTTP(w, r)
		return
	}
	_ = r.ParseForm()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked = append(o.asked, r.URL.Path)
	if r.Method == http.MethodPost {
		o.heard, o.types = append(o.heard, r.PostForm), append(o.types, r.Header.Get("Content-Type"))
		return
	}
	found, ok := o.documents[r.URL.Path]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", found.kind)
	_, _ = io.WriteString(w, found.text)
}

// told gives what was posted there, and the content types.
func (o *outside) told() ([]url.Values, []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.heard), slices.Clone(o.types)
}

// times says how often a path was asked for.
func (o *outside) times(path string) (count int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, each := range o.asked {
		if each == path {
			count++
		}
	}
	return count
}
