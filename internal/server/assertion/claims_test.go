package assertion_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/once"
	"github.com/gardeauth/garde/internal/server/clientauth"
	"github.com/gardeauth/garde/recipe"
)

// TestBothReadersObeyTheSameRules: what keeps an assertion about a person out keeps a client's own out, at the same second.
func TestBothReadersObeyTheSameRules(t *testing.T) {
	h := open(t)
	at := func(d time.Duration) int64 { return h.now.Add(d).Unix() }
	set, err := jose.NewSet(h.signers["partner"].Public())
	if err != nil {
		t.Fatal(err)
	}
	keys, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	own := iam.Client{ID: "app", Auth: "private_key_jwt", JWKS: string(keys)}
	trusted := &recipe.Recipe{Issuers: map[string]recipe.Issuer{"partner": {At: "app", Clients: []string{"app"}, Subjects: "client"}}}
	h.Recipe = func() *recipe.Recipe { return trusted }
	now := func() time.Time { return h.now }
	for name, row := range map[string]struct {
		change map[string]any // nil takes a claim away
		stands bool
	}{
		"as it should be":          {nil, true},
		"no jti":                   {map[string]any{"jti": nil}, false},
		"a jti of 256":             {map[string]any{"jti": strings.Repeat("x", 256)}, true},
		"a jti of 257":             {map[string]any{"jti": strings.Repeat("x", 257)}, false},
		"no exp":                   {map[string]any{"exp": nil}, false},
		"exp now":                  {map[string]any{"exp": at(0)}, false},
		"exp in a second":          {map[string]any{"exp": at(time.Second)}, true},
		"exp in an hour":           {map[string]any{"exp": at(time.Hour)}, true},
		"exp beyond":               {map[string]any{"exp": at(time.Hour + time.Second)}, false},
		"nbf within the skew":      {map[string]any{"nbf": at(10 * time.Second)}, true},
		"nbf beyond":               {map[string]any{"nbf": at(11 * time.Second)}, false},
		"iat within the skew":      {map[string]any{"iat": at(10 * time.Second)}, true},
		"iat beyond":               {map[string]any{"iat": at(11 * time.Second)}, false},
		"auth_time within":         {map[string]any{"auth_time": at(10 * time.Second)}, true},
		"auth_time beyond":         {map[string]any{"auth_time": at(11 * time.Second)}, false},
		"T18 aud as a list":        {map[string]any{"aud": []string{here}}, false},
		"T18 aud of somebody else": {map[string]any{"aud": there}, false},
		"no aud":                   {map[string]any{"aud": nil}, false},
		"no sub":                   {map[string]any{"sub": nil}, false},
	} {
		claims := h.claims()
		claims["iss"], claims["sub"] = "app", "app"
		for claim, value := range row.change {
			if claims[claim] = value; value == nil {
				delete(claims, claim)
			}
		}
		text := h.sign(t, "partner", "JWT", claims)
		h.Once = once.NewNode(100, now)
		said, err := h.Read(t.Context(), app, text)
		if (err == nil) != row.stands {
			t.Errorf("%s: about others: %v", name, err)
		}
		var method clientauth.Method
		for _, each := range clientauth.All(clientauth.Needs{Issuer: here, Keys: &clientauth.Keys{Now: now}, Once: once.NewNode(100, now), Now: now}) {
			if each.Name() == "private_key_jwt" {
				method = each
			}
		}
		shown := clientauth.Shown{Client: "app", Proof: text}
		if err := method.Verify(t.Context(), own, shown); (err == nil) != row.stands {
			t.Errorf("%s: of itself: %v", name, err)
		}
		if !row.stands {
			continue
		}
		again := []error{h.Spend(t.Context(), said), h.Spend(t.Context(), said), method.Verify(t.Context(), own, shown)}
		if again[0] != nil || again[1] == nil || again[2] == nil {
			t.Errorf("%s: T18 used again: %v", name, again)
		}
	}
}
