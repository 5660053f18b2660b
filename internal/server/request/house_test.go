package request_test

import (
	"context"
	"net/http"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/enact"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/keys"
	"github.com/gardeauth/garde/internal/seal"
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
apis:
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
`

// house is a parser on SQLite in a temporary folder.
type house struct {
	tenant *sqlstore.Tenant
	keys   *keys.Ring
	parser *request.Parser
	now    time.Time
}

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
	bundle, err := recipe.Assemble("", []recipe.Source{{Name: "recipe.yaml", Text: []byte(rules)}}, nil, now)
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
	h.parser = &request.Parser{
		Issuer: issuer, Clients: h.tenant, Policy: force.Policy, Keys: ownKeys{h.keys}, Steps: request.Standard,
	}
	return h
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

// parse reads a raw query as /authorize does.
func (h *house) parse(t testing.TB, query string) (*request.Request, error) {
	t.Helper()
	form, err := web.Query(&http.Request{Method: http.MethodGet, URL: &url.URL{RawQuery: query}})
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
