package conform_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/lab"
)

// methods are all the ways in which a client can be registered to prove itself.
var methods = []string{
	"client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth", "none",
}

// shown is one way to try.
type shown struct {
	headers []string
	form    url.Values
	cert    *tls.Certificate
}

func assertionForm(text string) url.Values {
	return lab.Form("client_assertion_type", lab.AssertionType, "client_assertion", text)
}

// shared signs an assertion with a secret (client_secret_jwt).
func (p *party) shared(t testing.TB, alg, secret string) string {
	t.Helper()
	now := p.h.Clock.Now().Unix()
	claims, err := json.Marshal(members{"iss": p.id, "sub": p.id, "aud": p.h.Issuer, "jti": uuid.NewString(), "iat": now, "exp": now + 60})
	must(t, err)
	input := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"`+alg+`"}`)) + "." + base64.RawURLEncoding.EncodeToString(claims)
	sum := hmac.New(sha256.New, []byte(secret))
	sum.Write([]byte(input))
	return input + "." + base64.RawURLEncoding.EncodeToString(sum.Sum(nil))
}

// shows is how a client that has everything would prove itself by a method; it has the secret of another where it has none.
func (p *party) shows(t testing.TB, method, secret string) shown {
	t.Helper()
	if p.secret != "" {
		secret = p.secret
	}
	switch method {
	case "client_secret_basic":
		return shown{headers: []string{"Authorization", lab.BasicAuth(p.id, secret)}}
	case "client_secret_post":
		return shown{form: lab.Form("client_id", p.id, "client_secret", secret)}
	case "client_secret_jwt":
		return shown{form: assertionForm(p.shared(t, "HS256", secret))}
	case "private_key_jwt":
		return shown{form: assertionForm(p.assertion(t, nil))}
	case "tls_client_auth", "self_signed_tls_client_auth":
		cert := p.spare
		if method == p.auth {
			cert = p.cert
		}
		return shown{form: lab.Form("client_id", p.id), cert: cert}
	}
	return shown{form: lab.Form("client_id", p.id)}
}

// everyMethod registers a client for each method, all with keys and certificates.
func everyMethod(t *testing.T, h *provider) map[string]*party {
	t.Helper()
	all := map[string]*party{}
	for _, method := range methods {
		metadata, subject := members{"token_endpoint_auth_method": method, "jwks": "own"}, pkix.Name{CommonName: "the party of " + method}
		cert, other := h.Callers.Client(subject, nil), lab.SelfSigned(t, subject)
		switch method {
		case "tls_client_auth":
			metadata["tls_client_auth_subject_dn"] = "CN=" + subject.CommonName
		case "self_signed_tls_client_auth":
			cert, other = other, cert
			set, err := jose.NewSet(jose.PublicKey{KeyID: "tls", Alg: jose.ES256, Key: cert.Leaf.PublicKey})
			must(t, err)
			metadata["jwks"] = set
		case "client_secret_basic", "client_secret_post", "client_secret_jwt", "none":
			delete(metadata, "jwks")
		}
		all[method] = h.register(t, metadata)
		all[method].cert, all[method].spare = &cert, &other
	}
	return all
}

// TestClientAuthenticationMatrix crosses every method that a client is registered for with every method that somebody tries,
// at every door where clients prove themselves (T08): the one that is registered, and no other.
func TestClientAuthenticationMatrix(t *testing.T) {
	h := newProvider(t, lab.Options{MTLS: true})
	parties := everyMethod(t, h)
	lent := parties["client_secret_basic"].secret
	doors := map[string]func(*party) url.Values{
		"/token":      func(*party) url.Values { return lab.Form("grant_type", "refresh_token", "refresh_token", "x") },
		"/par":        func(p *party) url.Values { return p.ask("openid") },
		"/introspect": func(*party) url.Values { return lab.Form("token", "x") },
		"/revoke":     func(*party) url.Values { return lab.Form("token", "x") },
	}
	at := func(door string, s shown, form url.Values) lab.Reply {
		h.Pass(2 * time.Second)
		form = maps.Clone(form)
		maps.Copy(form, s.form)
		return h.Through(h.With(s.cert), lab.Request("POST", h.MTLSURL+door, form.Encode(), append(s.headers, "Content-Type", lab.FormType)...))
	}
	for door, form := range doors {
		for registered, p := range parties {
			for _, tried := range methods {
				t.Run(door+": "+registered+" tries "+tried, func(t *testing.T) {
					reply := at(door, p.shows(t, tried, lent), form(p))
					believed := reply.Status < 400 || reply.Code() == "invalid_grant"
					good := tried == registered
					if registered == "none" { // its name is all it has; a certificate beside it may bind what it gets
						good = door != "/introspect" && (tried == "none" || strings.Contains(tried, "tls"))
					}
					if good != believed || !good && (reply.Status != 401 || reply.Code() != "invalid_client") {
						t.Errorf("%d %s", reply.Status, reply.Body)
					}
				})
			}
			t.Run(door+": T07 "+registered+" and a second proof", func(t *testing.T) {
				if registered == "none" || registered == "tls_client_auth" || registered == "self_signed_tls_client_auth" {
					t.Skip("a name alone is no proof, and a certificate may bind what another proof gives")
				}
				second := map[bool]string{true: "client_secret_post", false: "private_key_jwt"}[registered != "client_secret_post"]
				both := p.shows(t, registered, lent)
				other := p.shows(t, second, lent)
				form := maps.Clone(form(p))
				maps.Copy(form, other.form)
				if reply := at(door, both, form); reply.Status != 400 || reply.Code() != "invalid_request" {
					t.Errorf("%d %s", reply.Status, reply.Body)
				}
			})
		}
	}
	t.Run("T15 client_secret_jwt: the public key is no secret, nor another's secret, nor another algorithm", func(t *testing.T) {
		p := parties["client_secret_jwt"]
		jwk, err := jose.PublicJWK(p.signer.Public())
		must(t, err)
		for name, text := range map[string]string{
			"J02 HS256 keyed with the public key": p.shared(t, "HS256", string(jwk)), "another client's secret": p.shared(t, "HS256", lent),
			"an empty secret": p.shared(t, "HS256", ""), "HS512 in name": p.shared(t, "HS512", p.secret), "J01 none": p.shared(t, "none", p.secret),
		} {
			if reply := at("/token", shown{form: assertionForm(text)}, doors["/token"](p)); reply.Status != 401 || reply.Code() != "invalid_client" {
				t.Errorf("%s: %d %s", name, reply.Status, reply.Body)
			}
		}
		once := assertionForm(p.shared(t, "HS256", p.secret))
		for i, code := range []string{"invalid_grant", "invalid_client"} {
			if reply := at("/token", shown{form: once}, doors["/token"](p)); reply.Code() != code {
				t.Errorf("T17 time %d: %d %s", i+1, reply.Status, reply.Body)
			}
		}
	})
	t.Run("J02 private_key_jwt: HS256 keyed with the public key", func(t *testing.T) {
		p := parties["private_key_jwt"]
		jwk, err := jose.PublicJWK(p.signer.Public())
		must(t, err)
		if reply := at("/token", shown{form: assertionForm(p.shared(t, "HS256", string(jwk)))}, doors["/token"](p)); reply.Code() != "invalid_client" {
			t.Errorf("%d %s", reply.Status, reply.Body)
		}
	})
}
