package conform_test

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/lab"
)

// notified are the notifications of the ping mode, by the token that came with them, and what is answered to each.
type notified struct {
	mu      sync.Mutex
	heard   map[string][]string // auth_req_id, by token
	answers map[string]func(http.ResponseWriter)
}

// ServeHTTP plays the client's notification endpoint; a redirect leads to a door that nobody may knock at.
func (n *notified) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	said := members{}
	_ = json.NewDecoder(r.Body).Decode(&said)
	id, _ := said["auth_req_id"].(string)
	if len(said) != 1 || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" {
		id = "malformed"
	}
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	n.mu.Lock()
	defer n.mu.Unlock()
	n.heard[token] = append(n.heard[token], id)
	if answer := n.answers[token]; answer != nil {
		answer(w)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (n *notified) of(token string) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.heard[token])
}

// backchannel is a module of FAPI-CIBA, in one combination of the variants.
type backchannel struct {
	*bank
	ping  *notified
	token string // client_notification_token of the newest request; "" in poll mode
	later *[]afterwards
}

// afterwards is the end of a module that has to wait: all of them wait together, when every module has begun.
type afterwards struct {
	name string
	from time.Time
	do   func(t *testing.T)
}

// after goes on with the module once some time is over.
func (b *backchannel) after(wait time.Duration, do func()) {
	*b.later = append(*b.later, afterwards{b.Name(), time.Now().Add(wait), func(t *testing.T) { b.T = t; do() }})
}

// desire is what the suite's request object says; more changes it, nil takes away.
func (b *backchannel) desire(more members) members {
	now := time.Now().Unix()
	said := members{
		"iss": b.c.ID, "aud": b.issuer, "iat": now, "nbf": now, "exp": now + 300, "jti": rand.Text(), "scope": b.c.Scope,
		b.c.HintType: b.c.HintValue, "binding_message": "1234",
	}
	if b.ping != nil {
		b.token = rand.Text()
		said["client_notification_token"] = b.token
	}
	for name, value := range more {
		if said[name] = value; value == nil {
			delete(said, name)
		}
	}
	return said
}

// object signs what the request says.
func (b *backchannel) object(said members) string {
	b.Helper()
	text, err := b.c.signer.Sign("oauth-authz-req+jwt", said)
	must(b.T, err)
	return text
}

func (b *backchannel) begins(object string) heard {
	b.Helper()
	return b.posts("backchannel_authentication_endpoint", lab.Form("request", object))
}

// asked is a good request, and finds fault with its answer.
func (b *backchannel) asked(more members) string {
	b.Helper()
	got := b.begins(b.object(b.desire(more)))
	said := got.members()
	id, _ := said["auth_req_id"].(string)
	expires, _ := said["expires_in"].(float64)
	interval, told := said["interval"].(float64)
	if got.status != 200 || got.header.Get("Content-Type") != "application/json" || expires < 1 || told && interval < 1 {
		b.Fatalf("%d %v %s", got.status, got.header, got.body)
	}
	b.random("auth_req_id", id)
	return id
}

// decides has the device answer what was asked last.
func (b *backchannel) decides(id, action string) {
	b.Helper()
	address := strings.NewReplacer("{auth_req_id}", id, "{action}", action).Replace(b.Approval)
	if got := b.send("GET", address, ""); got.status != 200 {
		b.Fatalf("%s: %d %s", action, got.status, got.body)
	}
}

// fetches asks for the tokens.
func (b *backchannel) fetches(id string) heard {
	b.Helper()
	return b.posts("token_endpoint", lab.Form("grant_type", "urn:openid:params:grant-type:ciba", "auth_req_id", id))
}

// pending holds that nothing is given yet.
func (b *backchannel) pending(id string) {
	b.Helper()
	b.refuses(b.fetches(id), "authorization_pending")
}

// waits is over when the client was told, where it is.
func (b *backchannel) waits(id string) {
	b.Helper()
	if b.ping == nil {
		return
	}
	for until := time.Now().Add(10 * time.Second); len(b.ping.of(b.token)) == 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(until) {
			b.Fatal("nobody told the client")
		}
	}
	if got := b.ping.of(b.token); got[0] != id {
		b.Errorf("told of %v, and not of %s", got, id)
	}
}

// given finds fault with tokens.
func (b *backchannel) given(id string) members {
	b.Helper()
	said := b.tokens(b.fetches(id))
	text, _ := said["id_token"].(string)
	b.identity(text, url.Values{}, lab.Form("access_token", said["access_token"].(string)))
	b.resource(said["access_token"].(string))
	return said
}

// flow is a request from beginning to end, to which the person says yes.
func (b *backchannel) flow(more members) members {
	b.Helper()
	id := b.asked(more)
	b.decides(id, "allow")
	b.waits(id)
	return b.given(id)
}

// other is the same module as the other client.
func (b *backchannel) other() *backchannel {
	b.Helper()
	next := *b
	next.bank = b.second()
	return &next
}

// badObject is a request whose object is refused.
func badObject(more func(b *backchannel) members) func(*backchannel) {
	return func(b *backchannel) { b.refuses(b.begins(b.object(b.desire(more(b)))), "invalid_request") }
}

func fixed(more members) func(*backchannel) {
	return badObject(func(*backchannel) members { return more })
}

// moved sets a time of the object.
func moved(claim string, by time.Duration) func(*backchannel) {
	return badObject(func(*backchannel) members { return members{claim: time.Now().Add(by).Unix()} })
}

// signedOtherwise signs the object by another key or algorithm.
func signedOtherwise(sign func(b *backchannel, said members) string) func(*backchannel) {
	return func(b *backchannel) { b.refuses(b.begins(sign(b, b.desire(nil))), "invalid_request") }
}

// by signs with the client's key under another algorithm.
func (b *backchannel) by(alg jose.Alg, said members, typ string) string {
	b.Helper()
	text, err := (&jose.Signer{KeyID: b.c.signer.KeyID, Alg: alg, Key: b.c.signer.Key}).Sign(typ, said)
	must(b.T, err)
	return text
}

// unwanted answers a notification otherwise than the specification wants: the person's answer is fetched all the same, and
// nobody is told twice (CIBA Core section 10.2).
func unwanted(answer func(http.ResponseWriter)) func(*backchannel) {
	return func(b *backchannel) {
		said := b.desire(nil)
		b.ping.mu.Lock()
		b.ping.answers[b.token] = answer
		b.ping.mu.Unlock()
		got := b.begins(b.object(said))
		id := got.text("auth_req_id")
		b.decides(id, "allow")
		b.waits(id)
		b.given(id)
		b.after(12*time.Second, func() { // a second try would come after some seconds
			if all := b.ping.of(b.token); len(all) != 1 {
				b.Errorf("told %d times", len(all))
			}
			if b.outside.times("/moved") != 0 {
				b.Error("the redirect was followed")
			}
		})
	}
}

func status(code int, headers ...string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(code)
		if code == http.StatusOK {
			_, _ = w.Write([]byte(`{"a":"body"}`))
		}
	}
}

// proving is a module of private_key_jwt: a client assertion that is none, at one of the two endpoints.
func proving(endpoint string, twist func(b *backchannel, c members), sign func(b *backchannel, c members) string) func(*backchannel) {
	return func(b *backchannel) {
		form := lab.Form("grant_type", "urn:openid:params:grant-type:ciba", "auth_req_id", "x")
		if endpoint == "backchannel_authentication_endpoint" {
			form = lab.Form("request", b.object(b.desire(nil)))
		} else {
			form.Set("auth_req_id", b.asked(nil))
		}
		now := time.Now().Unix()
		claims := members{"iss": b.c.ID, "sub": b.c.ID, "aud": b.issuer, "jti": rand.Text(), "iat": now, "exp": now + 60}
		if twist != nil {
			twist(b, claims)
		}
		if sign == nil {
			sign = func(b *backchannel, c members) string { return b.by(b.c.signer.Alg, c, "JWT") }
		}
		form.Set("client_assertion", sign(b, claims))
		form.Set("client_assertion_type", lab.AssertionType)
		b.refuses(b.send("POST", b.end(endpoint), form.Encode()), "invalid_client", "invalid_request")
	}
}

// without is a request whose client proves nothing.
func without(endpoint string) func(*backchannel) {
	return func(b *backchannel) {
		form := lab.Form("client_id", b.c.ID, "request", b.object(b.desire(nil)))
		if endpoint == "token_endpoint" {
			form = lab.Form("client_id", b.c.ID, "grant_type", "urn:openid:params:grant-type:ciba", "auth_req_id", b.asked(nil))
		}
		b.refuses(b.send("POST", b.end(endpoint), form.Encode()), "invalid_client", "invalid_request")
	}
}

func rs256(b *backchannel, c members) string { return b.by(jose.RS256, c, "JWT") }

const ciba = "fapi-ciba-id1-"

// TestSuiteCIBA is the plan of FAPI-CIBA, in each combination that plans.yaml names, against the counterpart's device and
// resource. The device decides what was asked last, so modules run one after another, and wait together.
func TestSuiteCIBA(t *testing.T) {
	s := newSuite(t)
	ping := &notified{heard: map[string][]string{}, answers: map[string]func(http.ResponseWriter){}}
	s.outside.serves("/test/a/garde/ciba-notification-endpoint", ping)
	s.serve(t, "fapi-ciba")
	first, later := true, []afterwards{}
	for _, auth := range []string{"private_key_jwt", "mtls"} {
		for _, mode := range []string{"poll", "ping"} {
			name := "fapi-ciba-id1-test-plan." + mode + "." + auth
			r := s.paste(t, "fapi-ciba", name)
			if first {
				r.deviceOf(t)
				first = false
			}
			for _, each := range modulesOfBackchannel {
				if each.where != "" && each.where != auth && each.where != mode {
					continue
				}
				t.Run(name+"/"+ciba+each.name, func(t *testing.T) {
					own := *r
					b := &backchannel{bank: &bank{module: own.module(t, &own.Client, "code", "default"), openid: true}, later: &later}
					if b.c.auth = auth; mode == "ping" {
						b.ping = ping
					}
					each.do(b)
				})
			}
		}
	}
	for _, each := range later {
		time.Sleep(time.Until(each.from))
		_, name, _ := strings.Cut(each.name, "/")
		t.Run(name+"/afterwards", each.do)
	}
}

// deviceOf signs buffy in at the device, once.
func (r *run) deviceOf(t *testing.T) {
	t.Helper()
	m := r.module(t, &r.Client, "code", "default")
	answer, err := m.b.client.Get(r.suite.resource + "/device")
	must(t, err)
	must(t, answer.Body.Close())
	on := m.visit(answer.Header.Get("Location"))
	if on.left == "" {
		t.Fatalf("the device does not sign in: %d %s", on.status, on.body)
	}
	if answer, err = m.b.client.Get(on.left); err != nil || answer.StatusCode != 200 {
		t.Fatalf("%v %v", answer, err)
	}
	must(t, answer.Body.Close())
}
