package clientauth_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/once"
	"github.com/gardeauth/garde/internal/server/clientauth"
	"github.com/gardeauth/garde/internal/web"
	"github.com/gardeauth/garde/recipe"
)

const (
	issuer  = "https://login.bank.example"
	tokenAt = issuer + "/token"
	parAt   = issuer + "/par"
	jwtType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// clients are what storage would hold.
type clients map[string]iam.Client

func (c clients) Client(_ context.Context, id string) (iam.Client, error) {
	client, known := c[id]
	if !known {
		return iam.Client{}, iam.ErrNotFound
	}
	return client, nil
}

// desk is a prover over a set of clients, with what it told.
type desk struct {
	*clientauth.Prover
	clients  clients
	reported []string
	used     []string
	shown    []*x509.Certificate
	broken   error // of the proxy
}

// fetched answers for a host.
type fetched func(ctx context.Context, url string) ([]byte, error)

func (f fetched) Fetch(ctx context.Context, url string) ([]byte, error) { return f(ctx, url) }

func newDesk(t testing.TB, fetcher fetched, authorities ...*x509.Certificate) *desk {
	t.Helper()
	d := &desk{clients: clients{}}
	clock := func() time.Time { return now }
	d.Prover = &clientauth.Prover{
		Clients: d.clients, Now: clock,
		Methods: clientauth.All(clientauth.Needs{
			Issuer: issuer, Keys: &clientauth.Keys{Fetcher: fetcher, Now: clock}, Once: once.NewNode(1000, clock), Now: clock,
			Secrets:   func(string) (iam.Digest, error) { return iam.Hash(secret), nil },
			Endpoints: []string{tokenAt, parAt},
			Values: &clientauth.Values{
				Referred: func(string) (string, error) { return secret, nil },
				Unseal: func(sealed iam.ClientSecret) (string, error) {
					if value, ours := strings.CutPrefix(sealed.Sealed, "sealed:"); ours {
						return value, nil
					}
					return "", errors.New("can't be opened")
				},
			},
			Certificates: func(*http.Request) ([]*x509.Certificate, error) { return d.shown, d.broken },
			Authorities:  authorities,
		}),
		Report: func(_ context.Context, client, what string) { d.reported = append(d.reported, client+": "+what) },
		Used:   func(_ context.Context, client iam.Client) { d.used = append(d.used, client.ID) },
	}
	return d
}

// ask sends a form, and Basic where user is named.
func (d *desk) ask(t testing.TB, form url.Values, basic ...string) (iam.Client, error) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if len(basic) == 2 {
		r.SetBasicAuth(basic[0], basic[1])
	}
	read, err := web.PostForm(r)
	if err != nil {
		t.Fatal(err)
	}
	return d.Authenticate(r, read)
}

func form(pairs ...string) url.Values {
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		values.Set(pairs[i], pairs[i+1])
	}
	return values
}

// refusedAs tells how an answer is to be refused: "" if it is not.
func (d *desk) wants(t *testing.T, err error, code, why string) {
	t.Helper()
	if oauth.CodeOf(err) != code || (err == nil) != (code == "") {
		t.Errorf("the answer is %v, wanted %q", err, code)
	}
	if why != "" && !strings.Contains(fmt.Sprint(d.reported), why) {
		t.Errorf("reported %q, wanted %q", d.reported, why)
	}
}

const secret = "cs_a-secret-of-at-least-thirty-two-bytes-0123456789"

func allow(names ...string) []iam.Allowed {
	var all []iam.Allowed
	for _, name := range names {
		all = append(all, iam.Allowed{Name: name, Until: now.Add(time.Hour)})
	}
	return all
}

func b64(v any) string {
	raw, ok := v.([]byte)
	if !ok {
		raw, _ = json.Marshal(v)
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// maced makes an assertion by a shared secret.
func maced(alg string, make func() hash.Hash, key string, claims map[string]any) string {
	signed := b64(map[string]any{"alg": alg, "typ": "JWT"}) + "." + b64(claims)
	mac := hmac.New(make, []byte(key))
	mac.Write([]byte(signed))
	return signed + "." + b64(mac.Sum(nil))
}

func claims(client string, more map[string]any) map[string]any {
	all := map[string]any{
		"iss": client, "sub": client, "aud": issuer, "jti": iam.NewSecret("j"), "exp": now.Add(time.Minute).Unix(), "iat": now.Unix(),
	}
	for name, value := range more {
		if value == nil {
			delete(all, name)
			continue
		}
		all[name] = value
	}
	return all
}

func asserted(token string, more ...string) url.Values {
	return form(append([]string{"client_assertion_type", jwtType, "client_assertion", token}, more...)...)
}

func TestClientSecretJWT(t *testing.T) {
	base := iam.Client{
		ID: "app", Kind: recipe.Web, Auth: oauth.AuthSecretJWT, Allowed: allow("client_secret_jwt"),
		Secrets: []iam.ClientSecret{{ID: "s1", Hash: iam.Hash(secret), Sealed: "sealed:" + secret}},
	}
	good := func() string { return maced("HS256", sha256.New, secret, claims("app", nil)) }
	for name, try := range map[string]struct {
		change func(*iam.Client)
		form   url.Values
		code   string
		why    string
	}{
		"as registered":                      {nil, asserted(good()), "", ""},
		"with client_id":                     {nil, asserted(good(), "client_id", "app"), "", ""},
		"by a secret of the recipe":          {func(c *iam.Client) { c.Secrets, c.SecretRefs = nil, []string{"env:X"} }, asserted(good()), "", ""},
		"without the exception":              {func(c *iam.Client) { c.Allowed = nil }, asserted(good()), "invalid_client", "needs the exception client_secret_jwt"},
		"the exception has ended":            {func(c *iam.Client) { c.Allowed[0].Until = now }, asserted(good()), "invalid_client", "needs the exception"},
		"another secret":                     {nil, asserted(maced("HS256", sha256.New, secret+"x", claims("app", nil))), "invalid_client", "no secret of the client"},
		"the secret was kept as a hash only": {func(c *iam.Client) { c.Secrets[0].Sealed = "" }, asserted(good()), "invalid_client", "no secret"},
		"the secret can't be opened":         {func(c *iam.Client) { c.Secrets[0].Sealed = "?" }, asserted(good()), "invalid_client", "open the client's secret"},
		"the secret has expired":             {func(c *iam.Client) { c.Secrets[0].Expires = now }, asserted(good()), "invalid_client", "no secret"},
		"registered for another algorithm":   {func(c *iam.Client) { c.AuthAlg = "HS384" }, asserted(good()), "invalid_client", "no secret"},
		"a profile that forbids it":          {func(c *iam.Client) { c.Profile = recipe.FAPI2Security }, asserted(good()), "invalid_client", "forbids client_secret_jwt"},
		"T08 the secret itself":              {nil, form("client_id", "app", "client_secret", secret), "invalid_client", "but showed client_secret_post"},
		"T08 a client of private_key_jwt":    {func(c *iam.Client) { c.Auth = oauth.AuthPrivateKey }, asserted(good()), "invalid_client", ""},
		"T15 no algorithm":                   {nil, asserted(b64(map[string]any{"alg": "none"})+"."+b64(claims("app", nil))+".", "client_id", "app"), "invalid_client", ""},
		"T15 a broken signature":             {nil, asserted(good()[:len(good())-4] + "AAAA"), "invalid_client", ""},
		"T19 another client's name":          {nil, asserted(maced("HS256", sha256.New, secret, claims("other", nil)), "client_id", "app"), "invalid_client", "iss and sub"},
		"T20 the type of an access token":    {nil, asserted(typed("at+jwt")), "invalid_client", "no client assertion"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, nil)
			client := base
			client.Secrets = append([]iam.ClientSecret(nil), base.Secrets...)
			client.Allowed = append([]iam.Allowed(nil), base.Allowed...)
			if try.change != nil {
				try.change(&client)
			}
			d.clients["app"] = client
			_, err := d.ask(t, try.form)
			d.wants(t, err, try.code, try.why)
			if (len(d.used) == 1) != (try.code == "") {
				t.Errorf("used: %q", d.used)
			}
		})
	}
	t.Run("T17 it counts once", func(t *testing.T) {
		d := newDesk(t, nil)
		d.clients["app"] = base
		same := asserted(good())
		if _, err := d.ask(t, same); err != nil {
			t.Fatal(err)
		}
		_, err := d.ask(t, same)
		d.wants(t, err, "invalid_client", "came before")
	})
}

func typed(typ string) string {
	signed := b64(map[string]any{"alg": "HS256", "typ": typ}) + "." + b64(claims("app", nil))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(signed))
	return signed + "." + b64(mac.Sum(nil))
}

// signerOf makes a key and the set that publishes it.
func signerOf(t testing.TB, kid string, alg jose.Alg) (*jose.Signer, string) {
	t.Helper()
	key, err := jose.GenerateKey(alg)
	if err != nil {
		t.Fatal(err)
	}
	return &jose.Signer{Key: key, Alg: alg, KeyID: kid}, setOf(t, jose.PublicKey{KeyID: kid, Alg: alg, Key: key.Public()})
}

func setOf(t testing.TB, keys ...jose.PublicKey) string {
	t.Helper()
	set, err := jose.NewSet(keys...)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func signed(t testing.TB, signer *jose.Signer, claims map[string]any) string {
	t.Helper()
	token, err := signer.Sign("JWT", claims)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestAudiencesAndAlgorithmsOfAssertions(t *testing.T) {
	es, esSet := signerOf(t, "k", jose.ES256)
	rs, rsSet := signerOf(t, "k", jose.RS256)
	unmarked := setOf(t, jose.PublicKey{KeyID: "k", Key: rs.Key.Public()})
	exception := allow("assertion_audience")
	for name, try := range map[string]struct {
		client iam.Client
		signer *jose.Signer
		aud    any
		code   string
	}{
		"the issuer":                                            {iam.Client{JWKS: esSet}, es, issuer, ""},
		"T18 the token endpoint":                                {iam.Client{JWKS: esSet}, es, tokenAt, "invalid_client"},
		"T18 a list with the issuer alone":                      {iam.Client{JWKS: esSet}, es, []string{issuer}, "invalid_client"},
		"T18 the issuer with a slash":                           {iam.Client{JWKS: esSet}, es, issuer + "/", "invalid_client"},
		"no audience":                                           {iam.Client{JWKS: esSet}, es, nil, "invalid_client"},
		"by exception the token endpoint":                       {iam.Client{JWKS: esSet, Allowed: exception}, es, tokenAt, ""},
		"by exception the endpoint of pushed requests":          {iam.Client{JWKS: esSet, Allowed: exception}, es, parAt, ""},
		"by exception a list":                                   {iam.Client{JWKS: esSet, Allowed: exception}, es, []string{"https://other.example", tokenAt}, ""},
		"by exception still not another server":                 {iam.Client{JWKS: esSet, Allowed: exception}, es, "https://other.example/token", "invalid_client"},
		"by exception still not another endpoint":               {iam.Client{JWKS: esSet, Allowed: exception}, es, issuer + "/userinfo", "invalid_client"},
		"by exception still not nothing":                        {iam.Client{JWKS: esSet, Allowed: exception}, es, []string{""}, "invalid_client"},
		"by exception still not a number":                       {iam.Client{JWKS: esSet, Allowed: exception}, es, 5, "invalid_client"},
		"by an exception that has ended":                        {iam.Client{JWKS: esSet, Allowed: []iam.Allowed{{Name: "assertion_audience", Until: now}}}, es, tokenAt, "invalid_client"},
		"by an exception that the profile does not know":        {iam.Client{JWKS: esSet, Allowed: exception, Profile: recipe.FAPI2Security}, es, tokenAt, "invalid_client"},
		"the issuer, under a profile":                           {iam.Client{JWKS: esSet, Profile: recipe.FAPI2Security}, es, issuer, ""},
		"RS256 that nobody registered":                          {iam.Client{JWKS: rsSet}, rs, issuer, "invalid_client"},
		"RS256 as registered":                                   {iam.Client{JWKS: rsSet, Metadata: recipe.Metadata{AuthAlg: "RS256"}}, rs, issuer, ""},
		"RS256 by a key that a self-registered client marked":   {iam.Client{Policy: "open", JWKS: rsSet}, rs, issuer, ""},
		"J01 RS256 by a key that names no algorithm":            {iam.Client{Policy: "open", JWKS: unmarked}, rs, issuer, "invalid_client"},
		"RS256 by such a key, as registered":                    {iam.Client{Policy: "open", JWKS: unmarked, Metadata: recipe.Metadata{AuthAlg: "RS256"}}, rs, issuer, ""},
		"RS256 of a self-registered client that registered PSS": {iam.Client{Policy: "open", JWKS: rsSet, Metadata: recipe.Metadata{AuthAlg: "PS256"}}, rs, issuer, "invalid_client"},
		"RS256 of a self-registered client under a profile":     {iam.Client{Policy: "open", JWKS: rsSet, Profile: recipe.FAPI2Security}, rs, issuer, "invalid_client"},
		"RS256 that a profile forbids":                          {iam.Client{JWKS: rsSet, Profile: recipe.FAPI2Security, Metadata: recipe.Metadata{AuthAlg: "RS256"}}, rs, issuer, "invalid_client"},
		"another algorithm than the registered one":             {iam.Client{JWKS: esSet, Metadata: recipe.Metadata{AuthAlg: "PS256"}}, es, issuer, "invalid_client"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, nil)
			client := try.client
			client.ID, client.Kind, client.Auth = "app", recipe.Web, oauth.AuthPrivateKey
			d.clients["app"] = client
			_, err := d.ask(t, asserted(signed(t, try.signer, claims("app", map[string]any{"aud": try.aud}))))
			d.wants(t, err, try.code, "")
		})
	}
}

func TestTheSecretInTheBodyNeedsItsExceptionEachTime(t *testing.T) {
	d := newDesk(t, nil)
	client := iam.Client{ID: "app", Kind: recipe.Web, Auth: oauth.AuthPost, Secrets: []iam.ClientSecret{{Hash: iam.Hash(secret)}}}
	d.clients["app"] = client
	_, err := d.ask(t, form("client_id", "app", "client_secret", secret))
	d.wants(t, err, "invalid_client", "needs the exception client_secret_post")
	client.Allowed = allow("client_secret_post")
	d.clients["app"] = client
	_, err = d.ask(t, form("client_id", "app", "client_secret", secret))
	d.wants(t, err, "", "")
}

// authority signs certificates.
type authority struct {
	*x509.Certificate
	key *ecdsa.PrivateKey
}

func certify(t testing.TB, parent *authority, template x509.Certificate) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return certifyKey(t, parent, template, key)
}

func certifyKey(t testing.TB, parent *authority, template x509.Certificate, key *ecdsa.PrivateKey) *authority {
	t.Helper()
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = now.Add(-time.Hour), now.Add(time.Hour)
	}
	if parent == nil {
		parent = &authority{&template, key}
	}
	raw, err := x509.CreateCertificate(rand.Reader, &template, parent.Certificate, key.Public(), parent.key)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{made, key}
}

func newAuthority(t testing.TB, parent *authority, name string) *authority {
	t.Helper()
	return certify(t, parent, x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
}

func leafOf(t testing.TB, parent *authority, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	uri, _ := url.Parse("spiffe://rive.example/budget")
	template := x509.Certificate{
		Subject:     pkix.Name{Organization: []string{"Rive, SA"}, CommonName: "budget"},
		DNSNames:    []string{"budget.rive.example", "*.wild.example"},
		URIs:        []*url.URL{uri},
		IPAddresses: []net.IP{net.ParseIP("192.0.2.7"), net.ParseIP("2001:db8::7")}, EmailAddresses: []string{"Ops@rive.example"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if change != nil {
		change(&template)
	}
	return certify(t, parent, template).Certificate
}

func TestTLSClientAuth(t *testing.T) {
	ours, theirs := newAuthority(t, nil, "ours"), newAuthority(t, nil, "ours")
	between := newAuthority(t, ours, "between")
	leaf := leafOf(t, ours, nil)
	usurper := certify(t, ours, x509.Certificate{Subject: pkix.Name{CommonName: "a client"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	dn := recipe.Metadata{SubjectDN: `CN=budget,O=Rive\, SA`}
	chain := func(all ...*x509.Certificate) []*x509.Certificate { return all }
	for name, try := range map[string]struct {
		says  recipe.Metadata
		chain []*x509.Certificate
		code  string
		why   string
	}{
		"its subject":                            {dn, chain(leaf), "", ""},
		"a host":                                 {recipe.Metadata{SANDNS: "Budget.rive.example"}, chain(leaf), "", ""},
		"a URI":                                  {recipe.Metadata{SANURI: "spiffe://rive.example/budget"}, chain(leaf), "", ""},
		"an IPv4 address":                        {recipe.Metadata{SANIP: "192.0.2.7"}, chain(leaf), "", ""},
		"an IPv6 address in another form":        {recipe.Metadata{SANIP: "2001:0db8:0::0007"}, chain(leaf), "", ""},
		"a mail address":                         {recipe.Metadata{SANEmail: "Ops@RIVE.example"}, chain(leaf), "", ""},
		"an authority between":                   {dn, chain(leafOf(t, between, nil), between.Certificate), "", ""},
		"the authority between left out":         {dn, chain(leafOf(t, between, nil)), "invalid_client", "no authority"},
		"no certificate":                         {dn, nil, "invalid_client", "but showed none"},
		"another subject":                        {recipe.Metadata{SubjectDN: "CN=budget"}, chain(leaf), "invalid_client", "does not bear"},
		"a host that only a wildcard covers":     {recipe.Metadata{SANDNS: "a.wild.example"}, chain(leaf), "invalid_client", "does not bear"},
		"another URI":                            {recipe.Metadata{SANURI: "spiffe://rive.example/budget/"}, chain(leaf), "invalid_client", "does not bear"},
		"the mail name in another case":          {recipe.Metadata{SANEmail: "ops@rive.example"}, chain(leaf), "invalid_client", "does not bear"},
		"a host in place of a mail address":      {recipe.Metadata{SANEmail: "budget.rive.example"}, chain(leaf), "invalid_client", "does not bear"},
		"no name registered":                     {recipe.Metadata{}, chain(leaf), "invalid_client", "no name"},
		"two names registered":                   {recipe.Metadata{SubjectDN: dn.SubjectDN, SANIP: "192.0.2.7"}, chain(leaf), "invalid_client", "more than one"},
		"a subject that can't be read":           {recipe.Metadata{SubjectDN: "budget"}, chain(leaf), "invalid_client", "RFC 4514"},
		"D20 the same name of another authority": {dn, chain(leafOf(t, theirs, nil)), "invalid_client", "no authority"},
		"D20 that authority sent along":          {dn, chain(leafOf(t, theirs, nil), theirs.Certificate), "invalid_client", "no authority"},
		"D20 signed by itself":                   {dn, chain(leafOf(t, nil, nil)), "invalid_client", "no authority"},
		"D20 signed by a leaf of ours":           {dn, chain(leafOf(t, usurper, nil), usurper.Certificate), "invalid_client", "no authority"},
		"expired":                                {dn, chain(leafOf(t, ours, func(c *x509.Certificate) { c.NotBefore, c.NotAfter = now.Add(-2*time.Hour), now.Add(-time.Hour) })), "invalid_client", "no authority"},
		"a certificate for servers":              {dn, chain(leafOf(t, ours, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })), "invalid_client", "no authority"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, nil, ours.Certificate)
			d.clients["app"] = iam.Client{ID: "app", Kind: recipe.Web, Auth: oauth.AuthTLS, Metadata: try.says}
			d.shown = try.chain
			for range 2 { // the second time from memory
				_, err := d.ask(t, form("client_id", "app"))
				d.wants(t, err, try.code, try.why)
			}
		})
	}
}

func TestCertificatesBesideOtherProofs(t *testing.T) {
	ours := newAuthority(t, nil, "ours")
	leaf := leafOf(t, ours, nil)
	says := recipe.Metadata{SubjectDN: `CN=budget,O=Rive\, SA`}
	d := newDesk(t, nil, ours.Certificate)
	d.clients["tls"] = iam.Client{ID: "tls", Kind: recipe.Web, Auth: oauth.AuthTLS, Metadata: says}
	d.clients["basic"] = iam.Client{ID: "basic", Kind: recipe.Web, Auth: oauth.AuthBasic, Secrets: []iam.ClientSecret{{Hash: iam.Hash(secret)}}}
	d.clients["app"] = iam.Client{ID: "app", Kind: recipe.Native, Auth: oauth.AuthNone}
	d.clients["off"] = iam.Client{ID: "off", Kind: recipe.Web, Auth: oauth.AuthTLS, Metadata: says, Disabled: true}
	d.shown = []*x509.Certificate{leaf}
	for name, try := range map[string]struct {
		form  url.Values
		basic []string
		code  string
	}{
		"the client of the certificate":               {form("client_id", "tls"), nil, ""},
		"a secret over a connection with certificate": {form(), []string{"basic", secret}, ""},
		"a public client over such a connection":      {form("client_id", "app"), nil, ""},
		"T07 the certificate's client with a secret":  {form("client_id", "tls"), []string{"tls", secret}, "invalid_client"},
		"T08 the secret's client by the certificate":  {form("client_id", "basic"), nil, "invalid_client"},
		"D20 another's certificate":                   {form("client_id", "off"), nil, "invalid_client"},
		"nobody's name":                               {form("client_id", "nobody"), nil, "invalid_client"},
		"T06 no client_id":                            {form("scope", "x"), nil, "invalid_request"},
		"T07 a secret in two places":                  {form("client_secret", secret, "client_id", "basic"), []string{"basic", secret}, "invalid_request"},
		"T07 a secret beside an assertion":            {asserted(maced("HS256", sha256.New, secret, claims("basic", nil))), []string{"basic", secret}, "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := d.ask(t, try.form, try.basic...)
			d.wants(t, err, try.code, "")
		})
	}
	t.Run("a proxy that can't be understood", func(t *testing.T) {
		d.broken = oauth.InvalidRequest("the certificate of the proxy can't be read")
		_, err := d.ask(t, form("client_id", "tls"))
		d.wants(t, err, "invalid_request", "")
	})
	t.Run("no authorities, no method", func(t *testing.T) {
		for _, name := range clientauth.Names(newDesk(t, nil).Methods) {
			if name == oauth.AuthTLS {
				t.Error("tls_client_auth without anyone to vouch")
			}
		}
		if names := clientauth.Names(clientauth.All(clientauth.Needs{})); len(names) != 4 {
			t.Errorf("without certificates and values there are %q", names)
		}
	})
}

func TestSelfSignedTLSClientAuth(t *testing.T) {
	own, other := certify(t, nil, x509.Certificate{Subject: pkix.Name{CommonName: "a"}}), certify(t, nil, x509.Certificate{Subject: pkix.Name{CommonName: "a"}})
	keys := func(a *authority) string { return setOf(t, jose.PublicKey{KeyID: "c", Key: a.key.Public()}) }
	renewed := certifyKey(t, nil, x509.Certificate{Subject: pkix.Name{CommonName: "b"}}, own.key)
	expired := certifyKey(t, nil, x509.Certificate{NotBefore: now.Add(-2 * time.Hour), NotAfter: now.Add(-time.Hour)}, own.key)
	for name, try := range map[string]struct {
		jwks  string
		shown *x509.Certificate
		code  string
	}{
		"its own":                        {keys(own), own.Certificate, ""},
		"renewed with the same key":      {keys(own), renewed.Certificate, ""},
		"D20 another key, the same name": {keys(own), other.Certificate, "invalid_client"},
		"D20 nobody's":                   {"", own.Certificate, "invalid_client"},
		"expired":                        {keys(own), expired.Certificate, "invalid_client"},
		"a set that can't be read":       {`{"keys":[{"kty":"oct","k":"AAAA"}]}`, own.Certificate, "invalid_client"},
		"no certificate":                 {keys(own), nil, "invalid_client"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, nil)
			d.clients["app"] = iam.Client{ID: "app", Kind: recipe.Web, Auth: oauth.AuthSelfSigned, JWKS: try.jwks}
			if try.shown != nil {
				d.shown = []*x509.Certificate{try.shown}
			}
			_, err := d.ask(t, form("client_id", "app"))
			d.wants(t, err, try.code, "")
		})
	}
	t.Run("its key behind jwks_uri", func(t *testing.T) {
		d := newDesk(t, func(context.Context, string) ([]byte, error) { return []byte(keys(own)), nil })
		d.clients["app"] = iam.Client{ID: "app", Kind: recipe.Web, Auth: oauth.AuthSelfSigned, JWKSURI: "https://app.example/jwks"}
		d.shown = []*x509.Certificate{own.Certificate}
		_, err := d.ask(t, form("client_id", "app"))
		d.wants(t, err, "", "")
		d.shown = []*x509.Certificate{other.Certificate}
		_, err = d.ask(t, form("client_id", "app"))
		d.wants(t, err, "invalid_client", "no such key")
	})
}

func TestT22WeakKeysAreNobodys(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Skip("this build makes no weak key:", err)
	}
	public := weak.Public()
	keys := &clientauth.Keys{}
	set := fmt.Sprintf(`{"keys":[{"kty":"RSA","kid":"k","n":%q,"e":"AQAB"}]}`, base64.RawURLEncoding.EncodeToString(weak.N.Bytes()))
	if err := keys.Holds(t.Context(), iam.Client{ID: "app", JWKS: set}, public); err == nil {
		t.Error("a key of 1024 bits was taken")
	}
}
