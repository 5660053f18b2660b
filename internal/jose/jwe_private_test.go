package jose_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	gojose "github.com/go-jose/go-jose/v4"

	"github.com/gardeauth/garde/internal/jose"
)

// private writes a private key as its owner keeps it; change replaces members, nil removes.
func private(t testing.TB, key *jose.Opener, change map[string]any) string {
	t.Helper()
	raw, err := (&gojose.JSONWebKey{Key: key.Key, KeyID: key.KeyID, Algorithm: string(key.Alg), Use: "enc"}).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	members := map[string]any{}
	if err := json.Unmarshal(raw, &members); err != nil {
		t.Fatal(err)
	}
	for name, value := range change {
		if members[name] = value; value == nil {
			delete(members, name)
		}
	}
	if raw, err = json.Marshal(members); err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func keySet(keys ...string) string { return `{"keys":[` + strings.Join(keys, ",") + `]}` }

func TestPrivateKeysAreReadStrictly(t *testing.T) {
	ec, other, wrap := opener(t, "ec", jose.ECDHES), opener(t, "other", jose.ECDHESA256), opener(t, "rsa", jose.RSAOAEP256)
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	foreign := private(t, opener(t, "ec", jose.ECDHES), nil)
	var stranger map[string]any
	if err := json.Unmarshal([]byte(foreign), &stranger); err != nil {
		t.Fatal(err)
	}
	signing, err := jose.GenerateKey(jose.Ed25519)
	if err != nil {
		t.Fatal(err)
	}
	public, err := jose.EncryptionJWK(ec.Public())
	if err != nil {
		t.Fatal(err)
	}
	many := make([]string, jose.MaxOpeners+1)
	for i := range many {
		many[i] = private(t, ec, map[string]any{"kid": fmt.Sprint(i)})
	}
	for name, row := range map[string]struct {
		text string
		keys int // 0: refused
	}{
		"a key alone":                  {private(t, ec, nil), 1},
		"without a kid":                {private(t, ec, map[string]any{"kid": nil}), 1},
		"a set":                        {keySet(private(t, ec, nil), private(t, other, nil), private(t, wrap, nil)), 3},
		"the same kid twice":           {keySet(private(t, ec, nil), private(t, other, map[string]any{"kid": "ec"})), 0},
		"several and one has no kid":   {keySet(private(t, ec, nil), private(t, other, map[string]any{"kid": nil})), 0},
		"none":                         {keySet(), 0},
		"too many":                     {keySet(many...), 0},
		"J01 no algorithm":             {private(t, ec, map[string]any{"alg": nil}), 0},
		"J01 an algorithm of others":   {private(t, wrap, map[string]any{"alg": "RSA1_5"}), 0},
		"J01 RSA-OAEP with SHA-1":      {private(t, wrap, map[string]any{"alg": "RSA-OAEP"}), 0},
		"one of another kind":          {private(t, ec, map[string]any{"alg": "RSA-OAEP-256"}), 0},
		"for signatures":               {private(t, ec, map[string]any{"use": "sig"}), 0},
		"its operations are others":    {private(t, ec, map[string]any{"key_ops": []string{"sign"}}), 0},
		"public":                       {string(public), 0},
		"symmetric":                    {`{"kty":"oct","k":"AAAA","alg":"ECDH-ES"}`, 0},
		"Ed25519":                      {private(t, &jose.Opener{KeyID: "k", Alg: jose.ECDHES, Key: signing}, nil), 0},
		"weak":                         {private(t, &jose.Opener{KeyID: "k", Alg: jose.RSAOAEP256, Key: small}, nil), 0},
		"halves of two keys":           {private(t, ec, map[string]any{"d": stranger["d"]}), 0},
		"J18 a member twice":           {strings.Replace(private(t, ec, nil), "{", `{"kty":"EC",`, 1), 0},
		"more than two primes":         {private(t, wrap, map[string]any{"oth": []any{}}), 0},
		"no JSON":                      {"-----BEGIN PRIVATE KEY-----", 0},
		"something behind":             {private(t, ec, nil) + "x", 0},
		"longer than anybody's":        {strings.Repeat(" ", jose.MaxKeySet) + private(t, ec, nil), 0},
		"a set in a set":               {keySet(keySet(private(t, ec, nil))), 0},
		"a null among the keys":        {`{"keys":[null]}`, 0},
		"kid of more than it may have": {private(t, ec, map[string]any{"kid": strings.Repeat("k", jose.MaxKeyID+1)}), 0},
	} {
		t.Run(name, func(t *testing.T) {
			keys, err := jose.ParseOpeners([]byte(row.text))
			if (err == nil) != (row.keys > 0) || err == nil && keys.Len() != row.keys {
				t.Fatalf("%d keys, %v", keys.Len(), err)
			}
			if err != nil {
				for _, secret := range []string{fmt.Sprint(stranger["d"]), "BEGIN"} {
					if strings.Contains(err.Error(), secret) {
						t.Errorf("the error shows the key: %v", err)
					}
				}
			}
		})
	}
}

func TestANestedTokenIsOpenedByTheKeyThatItNames(t *testing.T) {
	old, now, wrap := opener(t, "old", jose.ECDHES), opener(t, "now", jose.ECDHES), opener(t, "rsa", jose.RSAOAEP256)
	keys, err := jose.NewOpeners(old, now, wrap)
	if err != nil {
		t.Fatal(err)
	}
	alone, err := jose.NewOpeners(&jose.Opener{Alg: jose.ECDHES, Key: now.Key})
	if err != nil {
		t.Fatal(err)
	}
	seal := func(to jose.EncryptionKey, content string) string {
		text, err := to.Encrypt(to.Alg, jose.A256GCM, "at+jwt", content, []byte("a.b.c"))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	named := func(key *jose.Opener, kid string) jose.EncryptionKey {
		public := key.Public()
		public.KeyID = kid
		return public
	}
	if !keys.Holds(old.Key.Public()) || keys.Holds(opener(t, "old", jose.ECDHES).Key.Public()) || !alone.Holds(now.Key.Public()) || alone.Holds(nil) {
		t.Error("what keys there are is told wrongly")
	}
	for name, row := range map[string]struct {
		keys jose.Openers
		text string
		want error
	}{
		"the key on its way out":          {keys, seal(old.Public(), "JWT"), nil},
		"the key in use":                  {keys, seal(now.Public(), "JWT"), nil},
		"a key of another kind":           {keys, seal(wrap.Public(), "JWT"), nil},
		"several keys, no kid":            {keys, seal(named(now, ""), "JWT"), jose.ErrDecrypt},
		"the kid of another key":          {keys, seal(named(now, "old"), "JWT"), jose.ErrDecrypt},
		"the kid of a key by another alg": {keys, seal(named(now, "rsa"), "JWT"), jose.ErrDecrypt},
		"a kid that nobody has":           {keys, seal(named(now, "../now"), "JWT"), jose.ErrDecrypt},
		"the only key, which has no kid":  {alone, seal(now.Public(), "JWT"), nil},
		"the only key, but not it":        {alone, seal(old.Public(), "JWT"), jose.ErrDecrypt},
		"no keys":                         {jose.Openers{}, seal(now.Public(), "JWT"), jose.ErrDecrypt},
		"not said to hold a token":        {keys, seal(now.Public(), ""), jose.ErrMalformed},
		"said to hold something else":     {keys, seal(now.Public(), "jwt"), jose.ErrMalformed},
		"a signed token":                  {keys, "a.b.c", jose.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			plain, err := row.keys.Nested(row.text)
			if !errors.Is(err, row.want) || (err == nil) != (plain == "a.b.c") {
				t.Errorf("%q, %v", plain, err)
			}
		})
	}
	if _, err := jose.NewOpeners(); err == nil {
		t.Error("no keys are keys")
	}
	if _, err := jose.NewOpeners(&jose.Opener{Alg: jose.ECDHES}); err == nil {
		t.Error("a key without numbers is one")
	}
	if _, err := jose.NewOpeners(now, &jose.Opener{KeyID: "now", Alg: jose.ECDHES, Key: old.Key}); err == nil {
		t.Error("two keys have one kid")
	}
}

func FuzzParseOpeners(f *testing.F) {
	ec := opener(f, "k", jose.ECDHES)
	f.Add([]byte(private(f, ec, nil)))
	f.Add([]byte(keySet(private(f, ec, nil), private(f, opener(f, "l", jose.ECDHES), nil))))
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","alg":"ECDH-ES","x":"","y":"","d":""}]}`))
	f.Add([]byte(`{"kty":"RSA","alg":"RSA-OAEP-256","n":"AQ","e":"AQAB","d":"AQ","p":"AQ","q":"AQ"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := jose.ParseOpeners(data)
		if (err == nil) != (keys.Len() > 0) || keys.Len() > jose.MaxOpeners {
			t.Errorf("%d keys", keys.Len())
		}
	})
}
