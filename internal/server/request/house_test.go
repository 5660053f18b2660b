package request_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/enact"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/keys"
	"github.com/gardeauth/garde/internal/once"
	"github.com/gardeauth/garde/internal/seal"
	"github.com/gardeauth/garde/internal/server/clientauth"
	"github.com/gardeauth/garde/internal/server/request"
	"github.com/gardeauth/garde/internal/store"
	"github.com/gardeauth/garde/internal/store/sqlstore"
	"github.com/gardeauth/garde/internal/verify"
	"github.com/gardeauth/garde/internal/web"
	"github.com/gardeauth/garde/recipe"
)

const issuer = "https://login.bank.example"

const rules = `
garde: 1
levels:
  - {name: basic, acr: "urn:garde:loa:basic", any: [password]}
scopes:
  accounts.read: {say: {en: See your balances}}
  payments.write: {say: {en: Pay}}
apis:
  payments:
    at: https://api.bank.example/payments
    upstream: http://127.0.0.1:7101
    operations:
      POST /payments: {for: [user], scope: payments.write}
    authorization_details:
      payment:
        schema: payment.json
        say: {en: "Pay {amount.value} {amount.currency} to {creditor}", fr: "Payer {amount.value} {amount.currency} à {creditor}"}
        scopes: [payments.write]
  accounts:
    at: https://api.bank.example/accounts
    upstream: http://127.0.0.1:7101
    operations:
      GET /balance: {for: [user], scope: accounts.read}
clients:
  web:
    type: browser
    redirect_uris: ["https://app.example/cb", "https://app.example/cb?tenant=1"]
    scopes: [openid, email, accounts.read]
  other:
    type: browser
    redirect_uris: ["https://other.example/cb"]
    scopes: [openid]
  cli:
    type: native
    redirect_uris: ["http://127.0.0.1/cb", "http://[::1]/cb", "com.bank.app:/cb"]
    scopes: [openid]
  off:
    type: browser
    redirect_uris: ["https://off.example/cb"]
    scopes: [openid]
  robot: {type: service, auth: client_secret_basic, scopes: [garde.gate]}
  jar:
    type: web
    auth: private_key_jwt
    jwks: keys.json
    redirect_uris: ["https://jar.example/cb", "https://jar.example/other"]
    scopes: [openid, accounts.read, payments.write]
    authorization_details_types: [payment]
    default_max_age: 600
    default_acr_values: ["urn:garde:loa:basic"]
  rs:
    type: web
    auth: private_key_jwt
    jwks: keys.json
    redirect_uris: ["https://jar.example/cb"]
    scopes: [openid]
    request_object_signing_alg: RS256
  sealed:
    type: web
    auth: private_key_jwt
    jwks: keys.json
    redirect_uris: ["https://jar.example/cb"]
    scopes: [openid]
    request_object_encryption_alg: ECDH-ES
    request_object_encryption_enc: A256GCM
  signing:
    type: web
    auth: private_key_jwt
    profile: fapi2-message-signing
    jwks: keys.json
    redirect_uris: ["https://jar.example/cb"]
    scopes: [openid, accounts.read]
  signs:
    type: web
    auth: private_key_jwt
    jwks: keys.json
    redirect_uris: ["https://jar.example/cb"]
    scopes: [openid]
    require_signed_request_object: true
  pushing:
    type: web
    auth: client_secret_basic
    redirect_uris: ["https://jar.example/cb"]
    scopes: [openid, accounts.read]
    require_pushed_authorization_requests: true
  front:
    type: web
    auth: client_secret_basic
    redirect_uris: ["https://front.example/cb"]
    scopes: [openid, email]
    grants: [authorization_code, implicit]
    response_types: [code, id_token, id_token token, code id_token, code token, code id_token token]
  late:
    type: web
    auth: client_secret_basic
    redirect_uris: ["https://front.example/cb"]
    scopes: [openid]
    grants: [authorization_code, implicit]
    response_types: [code, id_token]
  bare:
    type: web
    auth: client_secret_basic
    redirect_uris: ["https://front.example/cb"]
    scopes: [openid]
  nonce:
    type: web
    auth: client_secret_basic
    redirect_uris: ["https://front.example/cb"]
    scopes: [openid, accounts.read]
  byref:
    type: web
    auth: private_key_jwt
    jwks: keys.json
    redirect_uris: ["https://jar.example/cb"]
    scopes: [openid]
    request_uris: ["https://jar.example/r", "https://jar.example/r#v1", "https://jar.example/dead", "https://jar.example/text"]
exceptions:
  front:
    client: front
    allow: [response_type.id_token, response_type.id_token+token, response_type.code+id_token, response_type.code+token, response_type.code+id_token+token]
    why: a test of each
    until: 2199-12-31
  late: {client: late, allow: [response_type.id_token], why: it runs out, until: SOON}
  nonce: {client: nonce, allow: [no_pkce], why: a test, until: 2199-12-31}
  bare: {client: bare, allow: [no_pkce, no_nonce], why: a test, until: 2199-12-31}
  byref: {client: byref, allow: [request_uri], why: a test, until: 2199-12-31}
`

const paymentSchema = `{
  "type": "object", "required": ["type", "amount", "creditor"], "additionalProperties": false,
  "properties": {
    "type": {"const": "payment"},
    "locations": {"type": "array"},
    "amount": {
      "type": "object", "required": ["value", "currency"], "additionalProperties": false,
      "properties": {"value": {"type": "string", "pattern": "^[0-9]{1,9}[.][0-9]{2}$"}, "currency": {"enum": ["EUR", "USD"]}}
    },
    "creditor": {"type": "string", "minLength": 1},
    "times": {"type": "integer", "maximum": 12},
    "notes": {"type": "array", "items": {"type": "string"}}
  }
}`

// house is a parser on SQLite in a temporary folder.
type house struct {
	tenant *sqlstore.Tenant
	keys   *keys.Ring
	parser *request.Parser
	now    time.Time
	signer map[jose.Alg]*jose.Signer // of the clients
	shelf  map[string]document       // what is behind an address
	asked  int                       // fetches
}

// document is what a host answers.
type document struct{ body, contentType string }

type ownKeys struct{ ring *keys.Ring }

func (k ownKeys) Key(_ context.Context, kid string) (jose.PublicKey, error) {
	if key, ok := k.ring.Find(kid); ok {
		return key, nil
	}
	return jose.PublicKey{}, verify.ErrUnknownKey
}

func open(t testing.TB) *house {
	t.Helper()
	ctx, now := t.Context(), time.Now().UTC()
	kept, err := store.Open(ctx, "sqlite:"+filepath.Join(t.TempDir(), "garde.db"), store.Options{})
	must(t, err)
	t.Cleanup(func() { _ = kept.Close() })
	h := &house{tenant: kept.Tenant(iam.DefaultTenant), now: now}
	h.makeKeys(t)
	text := strings.ReplaceAll(rules, "SOON", now.AddDate(0, 0, 10).Format(time.DateOnly))
	bundle, err := recipe.Assemble("", []recipe.Source{{Name: "recipe.yaml", Text: []byte(text)}}, map[string][]byte{
		"keys.json": h.keySet(t), "payment.json": []byte(paymentSchema),
	}, now)
	must(t, err)
	force := &enact.Enactor{Revisions: h.tenant, Issuer: issuer}
	_, _, err = force.Apply(ctx, enact.Proposal{Bundle: bundle, By: "test"}, now)
	must(t, err)
	must(t, force.Adopt(ctx))
	must(t, h.tenant.SetClientDisabled(ctx, "off", true))
	master, err := seal.ParseMaster(seal.GenerateMaster())
	must(t, err)
	h.keys = &keys.Ring{Store: h.tenant, Sealer: seal.Sealer{Current: master}, Tenant: iam.DefaultTenant}
	must(t, h.keys.Ensure(ctx, jose.ES256))
	must(t, h.keys.EnsureOpeners(ctx, jose.ECDHES))
	details, err := request.NewDetails(bundle)
	must(t, err)
	h.parser = &request.Parser{
		Issuer: issuer, Clients: h.tenant, Policy: force.Policy, Keys: ownKeys{h.keys}, Steps: request.Standard,
		Opener: h.keys, Once: once.NewNode(1000, h.clock), Details: func() *request.Details { return details },
		ClientKeys: &clientauth.Keys{Now: h.clock}, Shelf: &request.Shelf{Fetch: h.fetch}, Now: h.clock,
	}
	h.parser.Waiting, _ = any(h.tenant).(iam.PushedRequests)
	return h
}

func (h *house) clock() time.Time { return h.now }

func (h *house) fetch(_ context.Context, target string) ([]byte, string, error) {
	h.asked++
	found, ok := h.shelf[target]
	if !ok {
		return nil, "", errors.New("nobody answers")
	}
	return []byte(found.body), found.contentType, nil
}

// makeKeys makes the keys that all clients with keys.json share, one for each algorithm, and one that is nobody's.
func (h *house) makeKeys(t testing.TB) {
	t.Helper()
	h.signer, h.shelf = clientKeys(), map[string]document{}
}

// clientKeys are made once: RSA keys take their time.
var clientKeys = sync.OnceValue(func() map[jose.Alg]*jose.Signer {
	signers := map[jose.Alg]*jose.Signer{}
	for kid, alg := range map[jose.Alg]jose.Alg{
		jose.ES256: jose.ES256, jose.RS256: jose.RS256, jose.PS256: jose.PS256, jose.EdDSA: jose.EdDSA, "nobody": jose.ES256,
	} {
		key, err := jose.GenerateKey(alg)
		if err != nil {
			panic(err)
		}
		signers[kid] = &jose.Signer{KeyID: "of-" + string(alg), Alg: alg, Key: key}
	}
	return signers
})

func (h *house) keySet(t testing.TB) []byte {
	t.Helper()
	var list []jose.PublicKey
	for _, alg := range []jose.Alg{jose.ES256, jose.RS256, jose.PS256, jose.EdDSA} {
		list = append(list, h.signer[alg].Public())
	}
	set, err := jose.NewSet(list...)
	must(t, err)
	raw, err := set.MarshalJSON()
	must(t, err)
	return raw
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"

// asking is a good request of client, with changes: pairs of name and value; a value of "-" leaves the name out.
func asking(client string, changes ...string) url.Values {
	values := url.Values{
		"client_id": {client}, "redirect_uri": {"https://app.example/cb"}, "response_type": {"code"}, "scope": {"openid"},
		"state": {"st"}, "code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}
	for i := 0; i < len(changes); i += 2 {
		if values.Set(changes[i], changes[i+1]); changes[i+1] == "-" {
			values.Del(changes[i])
		}
	}
	return values
}

func get(query string) *http.Request {
	return &http.Request{Method: http.MethodGet, URL: &url.URL{RawQuery: query}}
}

// parse reads a raw query as /authorize does.
func (h *house) parse(t testing.TB, query string) (*request.Request, error) {
	t.Helper()
	form, err := web.Query(get(query))
	if err != nil {
		return nil, err
	}
	return h.parser.Parse(t.Context(), request.Authorize, form)
}

// token signs claims as this server would.
func (h *house) token(t testing.TB, typ string, claims map[string]any) string {
	t.Helper()
	signer, err := h.keys.Signer(jose.ES256)
	must(t, err)
	text, err := signer.Sign(typ, claims)
	must(t, err)
	return text
}
