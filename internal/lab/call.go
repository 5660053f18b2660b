package lab

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/gardeauth/garde/internal/jose"
)

// Reply is an answer, read whole.
type Reply struct {
	Status int
	Header http.Header
	Body   []byte

	t testing.TB
}

// Into reads the JSON of a good answer, and fails the test when it is none.
func (r Reply) Into(value any) {
	r.t.Helper()
	if r.Status != http.StatusOK {
		r.t.Fatalf("status %d: %s", r.Status, r.Body)
	}
	if err := json.Unmarshal(r.Body, value); err != nil {
		r.t.Fatalf("%v: %s", err, r.Body)
	}
}

// Text gives a text member of a JSON answer, or "".
func (r Reply) Text(name string) string {
	text, _ := r.member(name).(string)
	return text
}

// True tells whether a member of a JSON answer is true.
func (r Reply) True(name string) bool { return r.member(name) == true }

func (r Reply) member(name string) any {
	var members map[string]any
	if json.Unmarshal(r.Body, &members) != nil {
		return nil
	}
	return members[name]
}

// Says tells in one word what the answer is: ok, or its error code.
func (r Reply) Says() string {
	if r.Status < 300 {
		return "ok"
	}
	return r.Code()
}

// Code is the error code of a refusal, whichever words the door speaks (RFC 6749, RFC 9457).
func (r Reply) Code() string { return cmp.Or(r.Text("error"), r.Text("code")) }

// Do sends a request to the node, under the name of the issuer unless the request names another host.
func (n *Node) Do(r *http.Request) Reply {
	h := n.House
	h.t.Helper()
	if r.URL.Host == "" {
		r.URL.Scheme, r.URL.Host = h.scheme(), n.address
		if r.Host == "" {
			r.Host = h.host()
		}
	}
	return h.send(r)
}

func (h *House) send(r *http.Request) Reply {
	h.t.Helper()
	return h.Through(h.client, r)
}

// Through sends a request by another client than the house's own, as one that shows a certificate.
func (h *House) Through(client *http.Client, r *http.Request) Reply {
	h.t.Helper()
	answer, err := client.Do(r) //nolint:gosec // a test wrote the address
	h.must(err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	h.must(err)
	return Reply{answer.StatusCode, answer.Header, body, h.t}
}

// Request makes a request for Do; headers are names and values in turn.
func Request(method, path, body string, headers ...string) *http.Request {
	r, err := http.NewRequest(method, path, strings.NewReader(body))
	if err != nil {
		panic("lab: " + err.Error()) // a test wrote it
	}
	r.Host = ""
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header[http.CanonicalHeaderKey(headers[i])] = append(r.Header[http.CanonicalHeaderKey(headers[i])], headers[i+1])
	}
	return r
}

// FormType is the content type of forms.
const FormType = "application/x-www-form-urlencoded"

// Post sends a form.
func (n *Node) Post(path string, form url.Values, headers ...string) Reply {
	n.House.t.Helper()
	return n.Do(Request(http.MethodPost, path, form.Encode(), append([]string{"Content-Type", FormType}, headers...)...))
}

// Get asks for a path.
func (n *Node) Get(path string, headers ...string) Reply {
	n.House.t.Helper()
	return n.Do(Request(http.MethodGet, path, "", headers...))
}

// As sends a form as a client that proves itself as it is registered.
func (n *Node) As(client, path string, form url.Values) Reply {
	n.House.t.Helper()
	form = maps.Clone(form)
	if form == nil {
		form = url.Values{}
	}
	return n.Post(path, form, n.House.Prove(client, form)...)
}

// Prove adds the proof of a client to form, or gives it as a header.
func (h *House) Prove(client string, form url.Values) (headers []string) {
	h.t.Helper()
	switch h.base.Clients[client].AuthMethod() {
	case "client_secret_basic":
		return []string{"Authorization", BasicAuth(client, h.Secret(client))}
	case "client_secret_post":
		form.Set("client_id", client)
		form.Set("client_secret", h.Secret(client))
	case "private_key_jwt":
		form.Set("client_assertion_type", AssertionType)
		form.Set("client_assertion", h.Assertion(client, nil))
	default:
		form.Set("client_id", client)
	}
	return nil
}

// Secret is the secret of a client.
func (h *House) Secret(client string) string { return h.secrets[client] }

// BasicAuth is the Authorization header of a client, each half form-encoded.
func BasicAuth(client, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(client)+":"+url.QueryEscape(secret)))
}

// AssertionType is what announces a client assertion (RFC 7523 section 2.2).
const AssertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// Assertion signs a client assertion; twist may change its claims.
func (h *House) Assertion(client string, twist func(map[string]any)) string {
	h.t.Helper()
	now := h.Clock.Now().Unix()
	claims := map[string]any{"iss": client, "sub": client, "aud": h.Issuer, "jti": uuid.NewString(), "iat": now, "exp": now + 60}
	if twist != nil {
		twist(claims)
	}
	signed, err := h.keys[client].signer.Sign("JWT", claims)
	h.must(err)
	return signed
}

// Told has the partner say who a person is, for a client to show; twist may change the claims. It is for a house with a
// Partner.
func (h *House) Told(person string, twist func(map[string]any)) string {
	h.t.Helper()
	now := h.Clock.Now().Unix()
	claims := map[string]any{"iss": "https://partner.example", "sub": person, "aud": h.Issuer, "jti": uuid.NewString(), "iat": now, "exp": now + 60}
	if twist != nil {
		twist(claims)
	}
	signed, err := h.keys[partner].signer.Sign("JWT", claims)
	h.must(err)
	return signed
}

// Signer is the key of a client, Signs the Server's own that signs now: a lab may forge anything.
func (h *House) Signer(client string) *jose.Signer { return h.keys[client].signer }

// Forge signs claims with the Server's own key.
func (h *House) Forge(typ string, claims map[string]any) string {
	h.t.Helper()
	signer, err := h.Server.Keys.Signer(jose.ES256)
	h.must(err)
	signed, err := signer.Sign(typ, claims)
	h.must(err)
	return signed
}

// Form makes a form of names and values in turn.
func Form(pairs ...string) url.Values {
	form := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	return form
}

// Redeem shows a code as its own client.
func (n *Node) Redeem(code Code) Reply {
	n.House.t.Helper()
	return n.As(code.Client, "/token", code.Form())
}

// Form is the token request for the code, without the client's proof.
func (c Code) Form() url.Values {
	return Form("grant_type", "authorization_code", "code", c.Value, "redirect_uri", c.Redirect, "code_verifier", c.Verifier)
}

// Refresh shows a refresh token.
func (n *Node) Refresh(client, value string, more ...string) Reply {
	n.House.t.Helper()
	return n.As(client, "/token", Form(append([]string{"grant_type", "refresh_token", "refresh_token", value}, more...)...))
}

// Credentials asks for a client's own token.
func (n *Node) Credentials(client string, more ...string) Reply {
	n.House.t.Helper()
	return n.As(client, "/token", Form(append([]string{"grant_type", "client_credentials"}, more...)...))
}

// Introspect asks, as a client, what a token means.
func (n *Node) Introspect(client, value string) Reply {
	n.House.t.Helper()
	return n.As(client, "/introspect", Form("token", value))
}

// UserInfo asks who a token speaks for.
func (n *Node) UserInfo(value string) Reply {
	n.House.t.Helper()
	return n.Get("/userinfo", "Authorization", "Bearer "+value)
}

// Call calls an API through the Gate. path begins with the API's own, such as /accounts/balance.
func (h *House) Call(method, path, value string, headers ...string) Reply {
	h.t.Helper()
	if value != "" {
		headers = append(headers, "Authorization", "Bearer "+value)
	}
	return h.send(Request(method, h.GateURL+path, "", headers...))
}

// Raw sends a request to the Gate as it is.
func (h *House) Raw(r *http.Request) Reply {
	h.t.Helper()
	gate, err := url.Parse(h.GateURL)
	h.must(err)
	if r.URL.Host == "" {
		r.URL.Scheme, r.URL.Host = gate.Scheme, gate.Host
	}
	return h.send(r)
}

// Authorize sends an authorization request from the browser of a person (nil: nobody's).
func (n *Node) Authorize(p *Person, query url.Values) Reply {
	n.House.t.Helper()
	var headers []string
	if p != nil {
		headers = []string{"Cookie", p.Cookie}
	}
	return n.Get("/authorize?"+query.Encode(), headers...)
}

// Ask is an honest authorization request of a client.
func Ask(client string) url.Values {
	return Form("client_id", client, "redirect_uri", redirects[client], "response_type", "code", "scope", "openid accounts.read",
		"state", "a-state", "code_challenge", Challenge(Verifier), "code_challenge_method", "S256", "nonce", "a-nonce")
}

// Redirect is the address that a client registered.
func Redirect(client string) string { return redirects[client] }

// Sent reads the parameters that a redirect carries back; ok tells whether there was one to uri.
func (r Reply) Sent(uri string) (params url.Values, ok bool) {
	to, query, found := strings.Cut(r.Header.Get("Location"), "?")
	if r.Status != http.StatusSeeOther || !found || to != uri {
		return nil, false
	}
	query, _, _ = strings.Cut(query, "#")
	params, err := url.ParseQuery(query)
	return params, err == nil
}

// Fragment reads the parameters that a redirect carries back in its fragment; ok tells whether there was one to uri.
func (r Reply) Fragment(uri string) (params url.Values, ok bool) {
	to, fragment, found := strings.Cut(r.Header.Get("Location"), "#")
	if r.Status != http.StatusSeeOther || !found || to != uri {
		return nil, false
	}
	params, err := url.ParseQuery(fragment)
	return params, err == nil
}

// Upstream is the API behind the Gate; it remembers what reached it.
type Upstream struct {
	server *httptest.Server

	mu   sync.Mutex
	seen []http.Header
}

func newUpstream(t testing.TB) *Upstream {
	u := &Upstream{}
	u.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.mu.Lock()
		u.seen = append(u.seen, r.Header.Clone())
		u.mu.Unlock()
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"reached":true}`))
	}))
	t.Cleanup(u.server.Close)
	return u
}

// URL is where it listens, to be named where the house must not go.
func (u *Upstream) URL() string { return u.server.URL }

// Seen gives the headers of all requests that reached the API, in their order.
func (u *Upstream) Seen() []http.Header {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.seen)
}

// Same tells whether two answers can't be told apart by who asked: status, body less the trace, and all headers less those
// that differ in every answer.
func Same(a, b Reply) bool {
	for _, r := range []*Reply{&a, &b} {
		var members map[string]any
		if json.Unmarshal(r.Body, &members) == nil {
			delete(members, "trace")
			r.Body, _ = json.Marshal(members)
		}
		r.Header = r.Header.Clone()
		for _, name := range []string{"Date", "Garde-Trace", "Content-Length"} {
			r.Header.Del(name)
		}
	}
	return a.Status == b.Status && bytes.Equal(a.Body, b.Body) && maps.EqualFunc(a.Header, b.Header, slices.Equal)
}

// Together runs do so many times at once, and gives what each said.
func Together(times int, do func(i int) string) map[string]int {
	said := make([]string, times)
	var group, ready sync.WaitGroup
	ready.Add(1)
	for i := range times {
		group.Go(func() {
			ready.Wait()
			said[i] = do(i)
		})
	}
	time.Sleep(5 * time.Millisecond) // so that all stand at the line
	ready.Done()
	group.Wait()
	counts := map[string]int{}
	for _, each := range said {
		counts[each]++
	}
	return counts
}
