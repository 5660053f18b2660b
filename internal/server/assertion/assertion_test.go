package assertion_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/once"
	"github.com/gardeauth/garde/internal/server/assertion"
	"github.com/gardeauth/garde/internal/store"
	"github.com/gardeauth/garde/recipe"
)

const (
	here  = "https://login.bank.example"
	there = "https://idp.partner.example"
)

// keys are those of the issuers by their names in the recipe.
type keys map[string]jose.PublicKey

func (k keys) Issuer(_ context.Context, name string, header jose.Header) (jose.PublicKey, error) {
	key, ok := k[name]
	if !ok || header.KeyID != key.KeyID {
		return jose.PublicKey{}, errors.New("no such key")
	}
	return key, nil
}

type house struct {
	*assertion.Reader
	signers map[string]*jose.Signer
	now     time.Time
}

func open(t *testing.T) *house {
	t.Helper()
	kept, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "garde.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kept.Close() })
	tenant := kept.Tenant(iam.DefaultTenant)
	for _, user := range []iam.User{{ID: "u-alice", Username: "alice"}, {ID: "u-gone", Username: "gone", Disabled: true}} {
		if err := tenant.AddUser(t.Context(), user, iam.Password{}); err != nil {
			t.Fatal(err)
		}
	}
	h := &house{signers: map[string]*jose.Signer{}, now: time.Now().Truncate(time.Second)}
	public := keys{}
	for _, name := range []string{"partner", "other", "machine"} {
		key, err := jose.GenerateKey(jose.ES256)
		if err != nil {
			t.Fatal(err)
		}
		h.signers[name] = &jose.Signer{KeyID: "k", Alg: jose.ES256, Key: key} // the same kid everywhere: it must not matter
		public[name] = h.signers[name].Public()
	}
	trusted := &recipe.Recipe{Issuers: map[string]recipe.Issuer{
		"partner": {At: there, Clients: []string{"app"}, Scopes: []string{"accounts.read", "ledger.read"}, Subjects: "username"},
		"other":   {At: "https://other.example", Clients: []string{"elsewhere"}, Scopes: []string{"accounts.read"}, Subjects: "user"},
		"machine": {At: "https://machines.example", Clients: []string{"app"}, Scopes: []string{"ledger.read"}, Subjects: "client"},
	}}
	now := func() time.Time { return h.now }
	h.Reader = &assertion.Reader{
		Issuer: here, Keys: public, Users: tenant, Once: once.NewNode(100, now), Recipe: func() *recipe.Recipe { return trusted }, Now: now,
	}
	return h
}

func (h *house) claims() map[string]any {
	return map[string]any{
		"iss": there, "sub": "Alice", "aud": here, "jti": "one", "iat": h.now.Unix(), "exp": h.now.Add(time.Minute).Unix(),
	}
}

func (h *house) sign(t *testing.T, by, typ string, claims map[string]any) string {
	t.Helper()
	signed, err := h.signers[by].Sign(typ, claims)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

var app = iam.Client{ID: "app", Scope: oauth.Scope{"accounts.read", "vault.read"}}

func TestAnAssertionIsBelievedOnceAndNoFurtherThanTheRecipeSays(t *testing.T) {
	h := open(t)
	claims := h.claims()
	claims["auth_time"] = h.now.Add(-time.Hour).Unix()
	text := h.sign(t, "partner", "JWT", claims)
	said, err := h.Read(t.Context(), app, text)
	if err != nil || said.User != "u-alice" || said.Scope.String() != "accounts.read" || !said.AuthTime.Equal(h.now.Add(-time.Hour)) {
		t.Fatalf("%+v, %v", said, err)
	}
	if err := h.Spend(t.Context(), said); err != nil {
		t.Fatal(err)
	}
	again, err := h.Read(t.Context(), app, text)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Spend(t.Context(), again); !errors.Is(err, assertion.ErrRefused) {
		t.Errorf("T18 it came twice: %v", err)
	}
	claims = h.claims()
	claims["iss"], claims["sub"], claims["jti"] = "https://machines.example", "app", "two"
	if said, err := h.Read(t.Context(), app, h.sign(t, "machine", "JWT", claims)); err != nil || said.User != "" {
		t.Errorf("the client itself: %+v, %v", said, err)
	}
}

func TestT21AssertionsThatAreNotBelieved(t *testing.T) {
	h := open(t)
	at := func(d time.Duration) int64 { return h.now.Add(d).Unix() }
	for name, row := range map[string]struct {
		by, typ string
		client  string
		change  map[string]any // nil takes a claim away
	}{
		"another issuer's key":           {by: "machine"},
		"an issuer nobody named":         {change: map[string]any{"iss": "https://evil.example"}},
		"the issuer with a slash":        {change: map[string]any{"iss": there + "/"}},
		"a client that may not":          {client: "elsewhere"},
		"J17 an access token":            {typ: "at+jwt"},
		"J17 a logout token":             {typ: "logout+jwt"},
		"no aud":                         {change: map[string]any{"aud": nil}},
		"another aud":                    {change: map[string]any{"aud": "https://else.example"}},
		"the token endpoint as aud":      {change: map[string]any{"aud": here + "/token"}},
		"aud as a list":                  {change: map[string]any{"aud": []string{here}}},
		"no exp":                         {change: map[string]any{"exp": nil}},
		"exp past":                       {change: map[string]any{"exp": at(-time.Second)}},
		"exp far":                        {change: map[string]any{"exp": at(2 * time.Hour)}},
		"nbf ahead":                      {change: map[string]any{"nbf": at(time.Minute)}},
		"iat ahead":                      {change: map[string]any{"iat": at(time.Minute)}},
		"auth_time ahead":                {change: map[string]any{"auth_time": at(time.Minute)}},
		"auth_time before all time":      {change: map[string]any{"auth_time": -1}},
		"no jti":                         {change: map[string]any{"jti": nil}},
		"no sub":                         {change: map[string]any{"sub": nil}},
		"somebody unknown":               {change: map[string]any{"sub": "bob"}},
		"X16 somebody who is disabled":   {change: map[string]any{"sub": "gone"}},
		"an id where a name is expected": {change: map[string]any{"sub": "u-alice"}},
		"another client itself":          {by: "machine", change: map[string]any{"iss": "https://machines.example", "sub": "elsewhere"}},
	} {
		claims := h.claims()
		for claim, value := range row.change {
			if claims[claim] = value; value == nil {
				delete(claims, claim)
			}
		}
		by, typ, client := "partner", "JWT", app
		if row.by != "" {
			by = row.by
		}
		if row.typ != "" {
			typ = row.typ
		}
		if row.client != "" {
			client.ID = row.client
		}
		if said, err := h.Read(t.Context(), client, h.sign(t, by, typ, claims)); !errors.Is(err, assertion.ErrRefused) {
			t.Errorf("%s: %+v, %v", name, said, err)
		}
	}
	h.Recipe = func() *recipe.Recipe { return nil }
	if _, err := h.Read(t.Context(), app, h.sign(t, "partner", "JWT", h.claims())); !errors.Is(err, assertion.ErrRefused) {
		t.Errorf("nothing is in force, and it is believed: %v", err)
	}
}

func FuzzRead(f *testing.F) {
	for _, seed := range []string{"", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "eyJhbGciOiJFUzI1NiIsImtpZCI6ImsifQ.eyJpc3MiOiJ4In0.AA"} {
		f.Add(seed)
	}
	reader := &assertion.Reader{Issuer: here, Keys: keys{}, Recipe: func() *recipe.Recipe {
		return &recipe.Recipe{Issuers: map[string]recipe.Issuer{"x": {At: "x", Clients: []string{"app"}, Subjects: "client"}}}
	}}
	f.Fuzz(func(t *testing.T, text string) {
		if said, err := reader.Read(context.Background(), app, text); !errors.Is(err, assertion.ErrRefused) {
			t.Errorf("%q gives %+v, %v", text, said, err)
		}
	})
}
