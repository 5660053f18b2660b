package consent_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/gardeauth/garde/internal/jose"
)

// certified is a client program with a certificate of its own, and that certificate's thumbprint.
func (h *house) certified() (*http.Client, string) {
	h.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	h.must(err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	h.must(err)
	plain, ok := h.server.Client().Transport.(*http.Transport)
	if !ok {
		h.t.Fatal("the test server's client has another transport")
	}
	transport := plain.Clone()
	transport.TLSClientConfig.Certificates = []tls.Certificate{{Certificate: [][]byte{raw}, PrivateKey: key}}
	h.t.Cleanup(transport.CloseIdleConnections)
	sum := sha256.Sum256(raw)
	return &http.Client{Transport: transport}, base64.RawURLEncoding.EncodeToString(sum[:])
}

func (h *house) callsOver(by *http.Client, client, path string, fields ...string) seen {
	h.t.Helper()
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	r, err := http.NewRequestWithContext(h.t.Context(), http.MethodPost, h.server.URL+path, strings.NewReader(form.Encode()))
	h.must(err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(client, h.secret)
	return h.send(by, r)
}

// TestPushToAClientWhoseTokensAreBoundToItsCertificate: what is pushed is bound to the certificate that was shown when it was
// asked for (RFC 8705 section 3), and without one nobody is asked.
func TestPushToAClientWhoseTokensAreBoundToItsCertificate(t *testing.T) {
	h := open(t)
	fields := []string{"scope", "openid accounts.read", "login_hint", "alice", "client_notification_token", "t"}
	h.calls("pushtls", "/bc-authorize", fields...).told(400, "invalid_request", "the client's tokens are bound to its certificate: show it")
	b := h.person("alice")
	b.get("/account/requests").lacks("id=\"asked-allow\"", "/account/requests?id=")
	client, thumbprint := h.certified()
	h.callsOver(client, "pushtls", "/bc-authorize", fields...).json(200)
	b.answers(b.first(), "allow").to("/account/requests")
	h.deliveries()
	got := h.callback.take()
	if len(got) != 1 || got[0].body["token_type"] != "Bearer" {
		t.Fatalf("%v", got)
	}
	access, _ := got[0].body["access_token"].(string)
	token, err := jose.Parse(access)
	h.must(err)
	var said struct {
		Confirmation map[string]string `json:"cnf"`
	}
	h.must(token.Peek(&said))
	if said.Confirmation["x5t#S256"] != thumbprint || len(said.Confirmation) != 1 {
		t.Errorf("V13 bound to %v, and shown was %s", said.Confirmation, thumbprint)
	}
}

// rsaKeys makes the client "rsa" its key, and gives the public half.
func (h *house) rsaKeys() string {
	h.t.Helper()
	key, err := jose.GenerateKey(jose.RS256)
	h.must(err)
	h.rsa = &jose.Signer{Key: key, Alg: jose.RS256, KeyID: "r"}
	set, err := jose.NewSet(jose.PublicKey{KeyID: "r", Key: key.Public()}) // it names no algorithm: the registration does
	h.must(err)
	text, err := json.Marshal(set)
	h.must(err)
	return string(text)
}

// TestSignedRequestsAreByTheRegisteredAlgorithmAlone (CIBA section 4, backchannel_authentication_request_signing_alg).
func TestSignedRequestsAreByTheRegisteredAlgorithmAlone(t *testing.T) {
	h := open(t)
	object := func(client string, signer *jose.Signer) string {
		now := h.clock.now()
		text, err := signer.Sign("oauth-authz-req+jwt", map[string]any{
			"iss": client, "aud": h.server.URL, "jti": uuid.NewString(), "iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Minute).Unix(),
			"scope": "openid", "login_hint": "alice",
		})
		h.must(err)
		return text
	}
	as := func(alg jose.Alg) *jose.Signer { return &jose.Signer{Key: h.rsa.Key, Alg: alg, KeyID: "r"} }
	h.calls("rsa", "/bc-authorize", "request", object("rsa", as(jose.RS256))).json(200)
	for name, signer := range map[string]*jose.Signer{"PS256": as(jose.PS256), "PS512": as(jose.PS512), "the key of another": h.signer} {
		t.Run("J01 "+name, func(*testing.T) {
			if got := h.calls("rsa", "/bc-authorize", "request", object("rsa", signer)).json(400)["error"]; got != "invalid_request" {
				h.t.Errorf("%v", got)
			}
		})
	}
	h.calls("rsa", "/bc-authorize", "scope", "openid", "login_hint", "alice").told(400, "invalid_request", "this client's requests must be signed, in a request object")
}
