package verify_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/verify"
)

// lock makes the keys of an API that reads encrypted tokens.
func lock(t testing.TB, alg jose.KeyAlg, kids ...string) (jose.Openers, []*jose.Opener) {
	t.Helper()
	var all []*jose.Opener
	for _, kid := range kids {
		key, err := jose.GenerateOpener(kid, alg)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, key)
	}
	keys, err := jose.NewOpeners(all...)
	if err != nil {
		t.Fatal(err)
	}
	return keys, all
}

func sealTo(t testing.TB, key *jose.Opener, signed string) string {
	t.Helper()
	text, err := key.Public().Encrypt(key.Alg, jose.A256GCM, "at+jwt", "JWT", []byte(signed))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestEncryptedTokens (RFC 9068 section 4): an API that asks for encryption takes nothing else, and what is inside is judged as
// if it had come without.
func TestEncryptedTokens(t *testing.T) {
	bank := newRealm(t, issuer, "k1")
	keys, own := lock(t, jose.ECDHES, "old", "new")
	_, others := lock(t, jose.ECDHES, "old")
	locked, plain := bank.config(t), bank.config(t)
	locked.Openers = keys
	good := bank.token(t, nil)
	inside := sealTo(t, own[0], sealTo(t, own[0], good))
	for name, row := range map[string]struct {
		config verify.Config
		token  string
		good   bool
	}{
		"by the old key":                            {locked, sealTo(t, own[0], good), true},
		"by the new key":                            {locked, sealTo(t, own[1], good), true},
		"J27 by the key of another API":             {locked, sealTo(t, others[0], good), false},
		"J27 changed on its way":                    {locked, sealTo(t, own[0], good) + "AAAA", false},
		"not encrypted, and this API asks for it":   {locked, good, false},
		"encrypted, and this API does not ask":      {plain, sealTo(t, own[0], good), false},
		"J16 signed by somebody else":               {locked, sealTo(t, own[0], newRealm(t, issuer, "k1").token(t, nil)), false},
		"J16 encrypted, and not signed":             {locked, sealTo(t, own[0], string(bank.payload(t, nil))), false},
		"J17 an ID token inside":                    {locked, sealTo(t, own[0], bank.typed(t, "JWT", nil)), false},
		"J15 for another audience":                  {locked, sealTo(t, own[0], bank.token(t, claims{"aud": accounts + "/x"})), false},
		"J13 expired":                               {locked, sealTo(t, own[0], bank.token(t, claims{"exp": noon.Unix()})), false},
		"bound, and no key proved":                  {locked, sealTo(t, own[0], bank.token(t, claims{"cnf": map[string]string{"jkt": "x"}})), false},
		"twice encrypted":                           {locked, inside, false},
		"J28 longer inside than a token may be":     {locked, sealTo(t, own[0], bank.token(t, claims{"x": strings.Repeat("x", jose.MaxToken)})), false},
		"J28 longer than an encrypted token may be": {locked, sealTo(t, own[0], strings.Repeat("x", jose.MaxEncrypted)), false},
		"five parts of nothing":                     {locked, "....", false},
	} {
		t.Run(name, func(t *testing.T) {
			cache, err := verify.NewCache(0)
			if err != nil {
				t.Fatal(err)
			}
			row.config.Cache = cache
			v := verifier(t, row.config)
			for range 2 { // the second time from memory, if it was admitted
				got, err := v.Verify(t.Context(), row.token)
				if row.good && (err != nil || got.Subject != "u_1" || got.KeyID != "k1") || !row.good && status(err) != http.StatusUnauthorized {
					t.Errorf("%+v, %v", got, err)
				}
			}
			if (cache.Len() > 0) != row.good {
				t.Errorf("%d verdicts are remembered", cache.Len())
			}
		})
	}
	t.Run("a remembered verdict of before encryption was asked for", func(t *testing.T) {
		cache, err := verify.NewCache(0)
		if err != nil {
			t.Fatal(err)
		}
		plain.Cache, locked.Cache = cache, cache
		if _, err := verifier(t, plain).Verify(t.Context(), good); err != nil {
			t.Fatal(err)
		}
		if _, err := verifier(t, locked).Verify(t.Context(), good); status(err) != http.StatusUnauthorized {
			t.Errorf("%v", err)
		}
		locked.Steps = verify.Standard.Without("encryption")
		if _, err := verifier(t, locked).Verify(t.Context(), good); err != nil {
			t.Errorf("another step refuses it too, so the test tells nothing: %v", err)
		}
	})
}

func FuzzVerifyEncrypted(f *testing.F) {
	bank := newRealm(f, issuer, "k1")
	keys, own := lock(f, jose.ECDHES, "k")
	config := bank.config(f)
	config.Openers = keys
	v := verifier(f, config)
	f.Add(bank.token(f, nil), true)
	f.Add("a.b.c", true)
	f.Add(sealTo(f, own[0], bank.token(f, nil)), false)
	f.Add(sealTo(f, own[0], "a.b.c"), false)
	f.Add("eyJhbGciOiJFQ0RILUVTIiwiZW5jIjoiQTI1NkdDTSJ9..AAAA.AAAA.AAAA", false)
	f.Fuzz(func(t *testing.T, text string, wrap bool) {
		token := text
		if wrap {
			token = sealTo(t, own[0], text)
		}
		got, err := v.Verify(t.Context(), token)
		if err == nil && (got.Subject != "u_1" || got.Issuer != issuer) {
			t.Errorf("%q: %+v", text, got)
		}
		if err != nil && status(err) != http.StatusUnauthorized {
			t.Errorf("%q: %v", text, err)
		}
		if err == nil && !wrap && strings.Count(text, ".") != 4 {
			t.Errorf("not encrypted, and accepted: %q", text)
		}
	})
}
