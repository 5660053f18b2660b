package jose_test

import (
	"crypto"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	gojose "github.com/go-jose/go-jose/v4"

	"github.com/gardeauth/garde/internal/jose"
)

func public(t testing.TB, kid string, alg jose.Alg) jose.PublicKey {
	return jose.PublicKey{KeyID: kid, Alg: alg, Key: key(t, alg).Public()}
}

// jwk is a public key as members, to be spoiled.
func jwk(t testing.TB, kid string, alg jose.Alg) map[string]any {
	t.Helper()
	text, err := jose.PublicJWK(public(t, kid, alg))
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(text, &members); err != nil {
		t.Fatal(err)
	}
	return members
}

func with(members map[string]any, name string, value any) map[string]any {
	members[name] = value
	return members
}

func set(t testing.TB, keys ...map[string]any) []byte {
	t.Helper()
	text, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestEveryKeySurvivesPublishing(t *testing.T) {
	var keys []jose.PublicKey
	for i, alg := range jose.Algs() {
		keys = append(keys, public(t, fmt.Sprint(i), alg))
	}
	ours, err := jose.NewSet(keys...)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(ours)
	if err != nil {
		t.Fatal(err)
	}
	back, err := jose.ParseSet(text)
	if err != nil || back.Len() != len(keys) {
		t.Fatal(back.Len(), err)
	}
	for i, alg := range jose.Algs() {
		found, ok := back.Key(fmt.Sprint(i))
		if !ok || found.Alg != alg {
			t.Errorf("%s: %v %v", alg, found.Alg, ok)
		}
		if _, err := found.Verify(parse(t, sign(t, signer(t, alg)))); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
	for _, secret := range []string{`"d"`, `"p"`, `"q"`, `"dp"`, `"dq"`, `"qi"`, `"k"`} {
		if strings.Contains(string(text), secret+":") {
			t.Errorf("J33 the set shows %s", secret)
		}
	}
}

func TestJ33PrivateKeysAreNotPublished(t *testing.T) {
	for _, alg := range jose.Algs() {
		if text, err := jose.PublicJWK(jose.PublicKey{KeyID: "k", Alg: alg, Key: key(t, alg)}); err == nil {
			t.Errorf("%s: published %d bytes", alg, len(text))
		}
	}
	if _, err := jose.PublicJWK(jose.PublicKey{KeyID: "k", Alg: "HS256", Key: []byte("secret")}); err == nil {
		t.Error("published a secret")
	}
}

func TestParseSetRefuses(t *testing.T) {
	many := make([]map[string]any, jose.MaxKeys+1)
	for i := range many {
		many[i] = jwk(t, fmt.Sprint(i), jose.ES256)
	}
	private, _ := gojose.JSONWebKey{Key: key(t, jose.ES256)}.MarshalJSON()
	for name, text := range map[string][]byte{
		"T22 P-192":                     set(t, jwk(t, "good", jose.ES256), with(jwk(t, "k", jose.ES256), "crv", "P-192")),
		"T22 RSA with 1024 bits":        set(t, jwk(t, "good", jose.ES256), with(jwk(t, "k", jose.RS256), "n", strings.Repeat("w", 170)+"w")),
		"T22 an even exponent":          set(t, with(jwk(t, "k", jose.RS256), "e", "AQAC")),
		"T22 exponent 3":                set(t, with(jwk(t, "k", jose.RS256), "e", "Aw")),
		"T23 a symmetric key":           set(t, jwk(t, "good", jose.ES256), map[string]any{"kty": "oct", "k": "c2VjcmV0"}),
		"T23 a symmetric member":        set(t, with(jwk(t, "k", jose.ES256), "k", "c2VjcmV0")),
		"T23 a private key":             []byte(`{"keys":[` + string(private) + `]}`),
		"T23 a private member, null":    set(t, with(jwk(t, "k", jose.ES256), "d", nil)),
		"T23 a private member, unknown": set(t, jwk(t, "good", jose.ES256), map[string]any{"kty": "AKP", "priv": "AA"}),
		"T23 private, for encryption":   set(t, jwk(t, "good", jose.ES256), with(with(jwk(t, "k", jose.RS256), "use", "enc"), "d", "AA")),
		"a point beside the curve":      set(t, with(jwk(t, "k", jose.ES256), "x", jwk(t, "k", jose.ES256)["y"])),
		"a low-order Ed25519 point":     set(t, with(jwk(t, "k", jose.EdDSA), "x", strings.Repeat("A", 43))),
		"J10 ES384 on P-256":            set(t, with(jwk(t, "k", jose.ES256), "alg", "ES384")),
		"J18 duplicate members":         []byte(`{"keys":[],"keys":[]}`),
		"the same kid twice":            set(t, jwk(t, "k", jose.ES256), jwk(t, "k", jose.EdDSA)),
		"a kid of ten kilobytes":        set(t, jwk(t, strings.Repeat("k", 10_000), jose.ES256)),
		"more than a hundred keys":      set(t, many...),
		"no key":                        []byte(`{"keys":[]}`),
		"no keys":                       []byte(`{}`),
		"only unknown keys":             set(t, map[string]any{"kty": "AKP", "pub": "AA"}),
		"a list":                        []byte(`[]`),
		"too long":                      []byte(`{"x":"` + strings.Repeat("x", jose.MaxKeySet) + `"}`),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := jose.ParseSet(text); err == nil {
				t.Error("accepted")
			}
		})
	}
}

func TestParseSetPassesOver(t *testing.T) {
	for name, other := range map[string]map[string]any{
		"an unknown kind":           {"kty": "AKP", "pub": "AA", "alg": "ML-DSA-44"},
		"an unknown curve":          {"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"},
		"X25519":                    {"kty": "OKP", "crv": "X25519", "x": "AA"},
		"a key for encryption":      with(jwk(t, "enc", jose.RS256), "use", "enc"),
		"an encrypting algorithm":   with(jwk(t, "enc", jose.RS256), "alg", "RSA-OAEP"),
		"a key for other deeds":     with(jwk(t, "enc", jose.ES256), "key_ops", []string{"deriveKey"}),
		"an algorithm of the weak":  with(jwk(t, "old", jose.RS256), "alg", "RS1"),
		"RS512, which we don't use": with(jwk(t, "old", jose.RS256), "alg", "RS512"),
	} {
		got, err := jose.ParseSet(set(t, other, jwk(t, "good", jose.ES256)))
		if err != nil || got.Len() != 1 {
			t.Errorf("%s: %d %v", name, got.Len(), err)
		}
	}
	// Certificates are not read, so a broken one spoils nothing and a good one adds nothing.
	got, err := jose.ParseSet(set(t, with(with(jwk(t, "k", jose.ES256), "x5c", []string{"!"}), "x5u", "http://evil.example")))
	if err != nil || got.Len() != 1 {
		t.Errorf("with certificates: %v", err)
	}
}

func TestSetFindsKeys(t *testing.T) {
	rsaKey := jwk(t, "rsa", jose.RS256)
	delete(rsaKey, "alg")
	nameless := jwk(t, "", jose.ES384)
	got, err := jose.ParseSet(set(t, rsaKey, jwk(t, "es", jose.ES256), nameless))
	if err != nil {
		t.Fatal(err)
	}
	for _, kid := range []string{"", "../../dev/null", "' or 1=1", "https://evil.example/k", strings.Repeat("k", 10_000), "ES", "es "} {
		if _, ok := got.Key(kid); ok {
			t.Errorf("J06 %.20q found a key", kid)
		}
	}
	if found, ok := got.For(jose.Header{Alg: jose.ES384}); !ok || found.KeyID != "" {
		t.Error("a token without kid: not the only key that fits")
	}
	if _, ok := got.For(jose.Header{Alg: jose.ES512}); ok {
		t.Error("a token without kid: a key that does not fit")
	}
	if _, ok := got.For(jose.Header{Alg: jose.ES256, KeyID: "other"}); ok {
		t.Error("an unknown kid was taken for any")
	}
	two, _ := jose.NewSet(public(t, "a", jose.PS256), jose.PublicKey{KeyID: "b", Key: key(t, jose.PS256).Public()})
	if _, ok := two.For(jose.Header{Alg: jose.PS256}); ok {
		t.Error("two keys fit, and one was tried")
	}
	open, _ := got.Key("rsa")
	for alg, want := range map[jose.Alg]bool{jose.RS256: true, jose.PS512: true, jose.ES256: false, "": false, "none": false} {
		if open.Allows(alg) != want {
			t.Errorf("an RSA key without algorithm, %q: %v", alg, !want)
		}
	}
	if (jose.PublicKey{}).Allows("") || (jose.PublicKey{}).Allows(jose.ES256) {
		t.Error("the zero key allows something")
	}
	if _, ok := (jose.Set{}).Key(""); ok {
		t.Error("the zero set has a key")
	}
}

func TestJ10OneNameOfEdwards(t *testing.T) {
	older, full := sign(t, signer(t, jose.EdDSA)), sign(t, &jose.Signer{KeyID: "k", Alg: jose.Ed25519, Key: key(t, jose.EdDSA)})
	for alg, want := range map[jose.Alg][2]bool{jose.EdDSA: {true, false}, jose.Ed25519: {false, true}, "": {true, true}} {
		named := jose.PublicKey{Alg: alg, Key: key(t, jose.EdDSA).Public()}
		_, first := named.Verify(parse(t, older))
		_, second := named.Verify(parse(t, full))
		if got := [2]bool{first == nil, second == nil}; got != want {
			t.Errorf("a key of %q: %v", alg, got)
		}
	}
}

// The example of RFC 7638 section 3.1.
func TestThumbprint(t *testing.T) {
	key, err := jose.ParseJWK([]byte(`{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}`))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := jose.Thumbprint(key.Key); err != nil || got != "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs" {
		t.Errorf("%s %v", got, err)
	}
	for _, bad := range []crypto.PublicKey{nil, []byte("secret"), "text"} {
		if _, err := jose.Thumbprint(bad); err == nil {
			t.Errorf("%T has a thumbprint", bad)
		}
	}
}

// FuzzParseSet asks that every key that is let in is public, strong, and verifies nothing by accident.
func FuzzParseSet(f *testing.F) {
	for _, alg := range []jose.Alg{jose.ES256, jose.EdDSA, jose.RS256} {
		f.Add(set(f, jwk(f, "k", alg)))
	}
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AA"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-192","d":null}]}`))
	token := parse(f, sign(f, signer(f, jose.ES512)))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := jose.ParseSet(data)
		if err != nil {
			return
		}
		if got.Len() == 0 || got.Len() > jose.MaxKeys {
			t.Fatal(got.Len())
		}
		if _, err := json.Marshal(got); err != nil {
			t.Fatal(err)
		}
		if key, ok := got.For(jose.Header{Alg: jose.ES512}); ok {
			if _, err := key.Verify(token); err == nil {
				t.Fatal("a strange key verified our token")
			}
		}
	})
}
