package jose_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	gojose "github.com/go-jose/go-jose/v4"

	"github.com/gardeauth/garde/internal/jose"
)

func opener(t testing.TB, kid string, alg jose.KeyAlg) *jose.Opener {
	t.Helper()
	made, err := jose.GenerateOpener(kid, alg)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// foreign encrypts by any algorithm of go-jose, as a stranger would.
func foreign(t testing.TB, alg gojose.KeyAlgorithm, enc gojose.ContentEncryption, key any, options *gojose.EncrypterOptions) string {
	t.Helper()
	encrypter, err := gojose.NewEncrypter(enc, gojose.Recipient{Algorithm: alg, Key: key, KeyID: "k", PBES2Count: 1000}, options)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := encrypter.Encrypt([]byte(strings.Repeat("a secret ", 30)))
	if err != nil {
		t.Fatal(err)
	}
	text, err := sealed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestEncryptionGoesRound(t *testing.T) {
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		for _, alg := range []jose.KeyAlg{jose.ECDHES, jose.ECDHESA128, jose.ECDHESA256} {
			goesRound(t, &jose.Opener{KeyID: "k", Alg: alg, Key: key}, curve.Params().Name)
		}
	}
	goesRound(t, opener(t, "k", jose.RSAOAEP256), "RSA")
}

func goesRound(t *testing.T, key *jose.Opener, name string) {
	for _, enc := range jose.ContentAlgs() {
		t.Run(fmt.Sprint(key.Alg, " ", enc, " ", name), func(t *testing.T) {
			text, err := key.Public().Encrypt(key.Alg, enc, "JWT", "JWT", []byte("inside"))
			if err != nil {
				t.Fatal(err)
			}
			sealed, err := jose.ParseEncrypted(text)
			if err != nil {
				t.Fatal(err)
			}
			if want := (jose.EncryptedHeader{Alg: key.Alg, Enc: enc, KeyID: "k", Typ: "JWT", Content: "JWT"}); sealed.Header != want {
				t.Errorf("%+v", sealed.Header)
			}
			if plain, err := key.Open(sealed); err != nil || string(plain) != "inside" {
				t.Errorf("%q, %v", plain, err)
			}
			// J27: a changed byte anywhere, and another key, give one and the same answer.
			for i, part := range strings.Split(text, ".") {
				if i == 0 || part == "" {
					continue
				}
				changed := flip(text, i)
				sealed, err := jose.ParseEncrypted(changed)
				if err == nil {
					_, err = key.Open(sealed)
				}
				if !errors.Is(err, jose.ErrDecrypt) || err.Error() != jose.ErrDecrypt.Error() {
					t.Errorf("J27 part %d changed: %v", i, err)
				}
			}
			if _, err := (&jose.Opener{}).Open(sealed); !errors.Is(err, jose.ErrDecrypt) {
				t.Errorf("no key opens it: %v", err)
			}
		})
	}
}

// flip changes the first byte of a part.
func flip(token string, at int) string {
	parts := strings.Split(token, ".")
	raw, _ := base64.RawURLEncoding.DecodeString(parts[at])
	raw[0] ^= 1
	parts[at] = base64.RawURLEncoding.EncodeToString(raw)
	return strings.Join(parts, ".")
}

// TestNoOtherEncryptionIsRead: what strangers send is of our algorithms, plain and small, or it is refused before a key is
// touched.
func TestNoOtherEncryptionIsRead(t *testing.T) {
	rsaKey, ecKey := opener(t, "k", jose.RSAOAEP256), opener(t, "k", jose.ECDHES)
	good := foreign(t, gojose.ECDH_ES, gojose.A256GCM, ecKey.Key.Public(), nil)
	if _, err := jose.ParseEncrypted(good); err != nil {
		t.Fatal(err)
	}
	with := func(member string) string {
		parts := strings.Split(good, ".")
		raw, _ := base64.RawURLEncoding.DecodeString(parts[0])
		parts[0] = base64.RawURLEncoding.EncodeToString([]byte(strings.TrimSuffix(string(raw), "}") + "," + member + "}"))
		return strings.Join(parts, ".")
	}
	for name, text := range map[string]string{
		"RSA1_5":                        foreign(t, gojose.RSA1_5, gojose.A256GCM, rsaKey.Key.Public(), nil),
		"RSA-OAEP by SHA-1":             foreign(t, gojose.RSA_OAEP, gojose.A256GCM, rsaKey.Key.Public(), nil),
		"dir":                           foreign(t, gojose.DIRECT, gojose.A256GCM, bytes.Repeat([]byte{1}, 32), nil),
		"A256KW":                        foreign(t, gojose.A256KW, gojose.A256GCM, bytes.Repeat([]byte{1}, 32), nil),
		"J25 PBES2":                     foreign(t, gojose.PBES2_HS256_A128KW, gojose.A256GCM, "password", nil),
		"J25 a PBES2 count":             with(`"p2c":2147483647`),
		"J26 zip":                       foreign(t, gojose.ECDH_ES, gojose.A256GCM, ecKey.Key.Public(), &gojose.EncrypterOptions{Compression: gojose.DEFLATE}),
		"A192GCM":                       foreign(t, gojose.ECDH_ES, gojose.A192GCM, ecKey.Key.Public(), nil),
		"J08 crit":                      with(`"crit":["x"]`),
		"J03 a key of its own":          with(`"jwk":{}`),
		"J04 jku":                       with(`"jku":"https://evil.example"`),
		"J05 x5c":                       with(`"x5c":[]`),
		"J18 a doubled member":          with(`"enc":"A256GCM"`),
		"J06 a kid of 10 KB":            with(`"kid2":"` + strings.Repeat("k", 10000) + `"`),
		"J28 too long":                  good + strings.Repeat("A", jose.MaxEncrypted),
		"J28 many dots":                 strings.Repeat(".", 10000),
		"J24 a signed token":            "eyJhbGciOiJFUzI1NiJ9.e30.AAAA",
		"J21 a newline":                 good[:len(good)-1] + "\n" + good[len(good)-1:],
		"J21 padding":                   good + "=",
		"J27 a short tag":               good[:len(good)-4],
		"J27 no tag":                    good[:strings.LastIndex(good, ".")+1],
		"J27 no ciphertext":             without(good, 3),
		"J27 a short iv":                replaced(good, 2, "AAAA"),
		"a key where there is none":     replaced(good, 1, "AAAA"),
		"a key that is missing":         without(foreign(t, gojose.ECDH_ES_A256KW, gojose.A256GCM, ecKey.Key.Public(), nil), 1),
		"J10 epk on a weak curve":       header(good, `{"alg":"ECDH-ES","enc":"A256GCM","epk":{"kty":"EC","crv":"P-224","x":"AA","y":"AA"}}`),
		"J33 epk with a private member": header(good, `{"alg":"ECDH-ES","enc":"A256GCM","epk":{"kty":"EC","crv":"P-256","x":"AA","y":"AA","d":"AA"}}`),
		"no epk":                        header(good, `{"alg":"ECDH-ES","enc":"A256GCM"}`),
		"J01 none":                      header(good, `{"alg":"none","enc":"A256GCM"}`),
		"J38 a deep header":             header(good, strings.Repeat("[", 2000)),
	} {
		t.Run(name, func(t *testing.T) {
			begun := time.Now()
			if sealed, err := jose.ParseEncrypted(text); !errors.Is(err, jose.ErrMalformed) {
				t.Errorf("%+v, %v", sealed.Header, err)
			}
			if spent := time.Since(begun); spent > 50*time.Millisecond {
				t.Errorf("it took %s", spent)
			}
		})
	}
	t.Run("J10 a point off the curve", func(t *testing.T) {
		sealed, err := jose.ParseEncrypted(header(good, `{"alg":"ECDH-ES","enc":"A256GCM","epk":{"kty":"EC","crv":"P-256","x":"`+
			strings.Repeat("A", 43)+`","y":"`+strings.Repeat("A", 43)+`"}}`))
		if err == nil {
			_, err = ecKey.Open(sealed)
		}
		if err == nil {
			t.Error("opened")
		}
	})
	t.Run("J02 a token for another algorithm of the same key", func(t *testing.T) {
		sealed, err := jose.ParseEncrypted(foreign(t, gojose.ECDH_ES_A256KW, gojose.A256GCM, ecKey.Key.Public(), nil))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ecKey.Open(sealed); !errors.Is(err, jose.ErrDecrypt) {
			t.Errorf("%v", err)
		}
	})
}

func header(token, text string) string {
	return replaced(token, 0, base64.RawURLEncoding.EncodeToString([]byte(text)))
}

func without(token string, at int) string { return replaced(token, at, "") }

func replaced(token string, at int, with string) string {
	parts := strings.Split(token, ".")
	parts[at] = with
	return strings.Join(parts, ".")
}

// jwkWith is a public key with other members.
func jwkWith(t testing.TB, key crypto.PublicKey, members map[string]any) string {
	t.Helper()
	raw, err := (&gojose.JSONWebKey{Key: key}).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]any{}
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	for name, value := range members {
		all[name] = value
	}
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestSetsOfStrangersForEncryption(t *testing.T) {
	ec, rsaKey := opener(t, "", jose.ECDHES).Key.Public(), opener(t, "", jose.RSAOAEP256).Key.Public()
	type m = map[string]any
	set := func(keys ...string) string { return `{"keys":[` + strings.Join(keys, ",") + `]}` }
	enc, sig := jwkWith(t, ec, m{"kid": "e", "use": "enc"}), jwkWith(t, ec, m{"kid": "s", "use": "sig"})
	for name, row := range map[string]struct {
		text string
		alg  jose.KeyAlg
		want string // kid; "" for none
	}{
		"one for encryption":                  {set(sig, enc), jose.ECDHES, "e"},
		"none but for signatures":             {set(sig), jose.ECDHES, ""},
		"one for anything":                    {set(sig, jwkWith(t, ec, m{"kid": "a"})), jose.ECDHESA256, "a"},
		"meant goes before loose":             {set(jwkWith(t, ec, m{"kid": "a"}), enc), jose.ECDHES, "e"},
		"named goes before unnamed":           {set(enc, jwkWith(t, ec, m{"kid": "n", "use": "enc", "alg": "ECDH-ES+A128KW"})), jose.ECDHESA128, "n"},
		"a key that names another way":        {set(jwkWith(t, ec, m{"kid": "n", "use": "enc", "alg": "ECDH-ES+A128KW"})), jose.ECDHES, ""},
		"a signing algorithm":                 {set(jwkWith(t, ec, m{"kid": "n", "alg": "ES256"})), jose.ECDHES, ""},
		"an encryption that is not ours":      {set(enc, jwkWith(t, rsaKey, m{"kid": "o", "use": "enc", "alg": "RSA1_5"})), jose.RSAOAEP256, ""},
		"J10 a key of another kind":           {set(enc), jose.RSAOAEP256, ""},
		"RSA":                                 {set(enc, jwkWith(t, rsaKey, m{"kid": "r", "use": "enc"})), jose.RSAOAEP256, "r"},
		"operations that verify":              {set(jwkWith(t, ec, m{"kid": "v", "key_ops": []string{"verify"}})), jose.ECDHES, ""},
		"operations that derive":              {set(jwkWith(t, ec, m{"kid": "d", "key_ops": []string{"deriveBits"}})), jose.ECDHES, "d"},
		"J33 a private member":                {set(enc, jwkWith(t, ec, m{"kid": "p", "d": "AA"})), jose.ECDHES, ""},
		"J02 a symmetric key":                 {set(enc, `{"kty":"oct","k":"AAAA"}`), jose.ECDHES, ""},
		"J18 the same kid twice":              {set(enc, enc), jose.ECDHES, ""},
		"J32 a weak RSA key":                  {set(jwkWith(t, weak(t), m{"kid": "w", "use": "enc"})), jose.RSAOAEP256, ""},
		"T22 a weak curve":                    {set(enc, `{"kty":"EC","crv":"P-224","x":"AA","y":"AA"}`), jose.ECDHES, ""},
		"not JSON":                            {`{`, jose.ECDHES, ""},
		"J28 a set of a megabyte":             {set(enc, `{"kty":"x","pad":"`+strings.Repeat("x", jose.MaxKeySet)+`"}`), jose.ECDHES, ""},
		"J01 an encryption that is nobody's":  {set(enc), "none", ""},
		"J01 an encryption without any name":  {set(enc), "", ""},
		"keys of kinds that we have not seen": {set(`{"kty":"AKP","kid":"q"}`, enc), jose.ECDHES, "e"},
	} {
		t.Run(name, func(t *testing.T) {
			parsed, err := jose.ParseEncryptionSet([]byte(row.text))
			key, ok := parsed.For(row.alg)
			if ok != (row.want != "") || key.KeyID != row.want {
				t.Errorf("%q, %v, error %v", key.KeyID, ok, err)
			}
		})
	}
}

func weak(t testing.TB) crypto.PublicKey {
	t.Helper()
	t.Setenv("GODEBUG", "rsa1024min=0")
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	return &key.PublicKey
}

func TestJ33OnlyPublicKeysForEncryptionArePublished(t *testing.T) {
	key := opener(t, "e", jose.ECDHES)
	text, err := jose.EncryptionJWK(key.Public())
	if err != nil || strings.Contains(string(text), `"d"`) || !strings.Contains(string(text), `"use":"enc"`) {
		t.Errorf("%s, %v", text, err)
	}
	for name, bad := range map[string]jose.EncryptionKey{
		"a private key":     {KeyID: "e", Alg: jose.ECDHES, Key: key.Key},
		"without a purpose": {KeyID: "e", Key: key.Key.Public()},
		"nothing":           {},
	} {
		if text, err := jose.EncryptionJWK(bad); err == nil {
			t.Errorf("%s: %s", name, text)
		}
	}
}

// TestJ02SharedSecrets: what is signed by a shared secret verifies by that secret alone, and no text of a key is one.
func TestJ02SharedSecrets(t *testing.T) {
	const text = "cs_a-generated-secret-of-more-than-64-bytes-so-that-HS512-may-use-it-too"
	secret, err := jose.NewSecret(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, alg := range jose.SharedAlgs() {
		signed := mac(t, gojose.SignatureAlgorithm(alg), []byte(text))
		parsed, err := jose.ParseShared(signed)
		if err != nil || parsed.Alg != alg {
			t.Fatal(alg, err)
		}
		if payload, err := parsed.Verify(secret, alg); err != nil || string(payload) != `{"iss":"c"}` {
			t.Errorf("%s: %s, %v", alg, payload, err)
		}
		if _, err := jose.Parse(signed); !errors.Is(err, jose.ErrMalformed) {
			t.Errorf("J02 %s is read as signed by a key: %v", alg, err)
		}
		other, err := jose.NewSecret(strings.Repeat("x", 64))
		if err != nil {
			t.Fatal(err)
		}
		for what, try := range map[string]func() ([]byte, error){
			"another secret":     func() ([]byte, error) { return parsed.Verify(other, alg) },
			"no secret":          func() ([]byte, error) { return parsed.Verify(jose.Secret{}, alg) },
			"another algorithm":  func() ([]byte, error) { return parsed.Verify(secret, "HS1") },
			"nobody's algorithm": func() ([]byte, error) { return parsed.Verify(secret, "") },
			"nothing":            func() ([]byte, error) { return jose.Shared{}.Verify(secret, alg) },
		} {
			if _, err := try(); !errors.Is(err, jose.ErrSignature) {
				t.Errorf("%s %s: %v", alg, what, err)
			}
		}
	}
	short, err := jose.NewSecret(strings.Repeat("s", 32))
	if err != nil {
		t.Fatal(err)
	}
	signed := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS512"}`)) + ".e30"
	made := hmac.New(sha512.New, []byte(strings.Repeat("s", 32)))
	made.Write([]byte(signed))
	parsed, err := jose.ParseShared(signed + "." + base64.RawURLEncoding.EncodeToString(made.Sum(nil)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parsed.Verify(short, jose.HS512); !errors.Is(err, jose.ErrSignature) {
		t.Error("J11 HS512 by 32 bytes")
	}
	if strings.Contains(fmt.Sprintf("%v %+v %#v %s", secret, secret, secret, secret), "generated") {
		t.Error("J37 the secret prints")
	}
	key := opener(t, "k", jose.ECDHES).Key.Public()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	block := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	for name, bad := range map[string]string{
		"J02 a PEM": block, "J02 a PEM and a line": "\n" + block + "\n", "J02 a JWK": jwkWith(t, key, nil), "J11 8 bytes": "12345678", "J11 nothing": "",
	} {
		if secret, err := jose.NewSecret(bad); err == nil {
			t.Errorf("%s: %v", name, secret)
		}
	}
	for _, alg := range []string{"ES256", "none", "hs256", "HS1"} {
		if _, err := jose.ParseShared(header(mac(t, gojose.HS256, []byte(text)), `{"alg":"`+alg+`"}`)); !errors.Is(err, jose.ErrMalformed) {
			t.Errorf("J01 %s: %v", alg, err)
		}
	}
}

func mac(t testing.TB, alg gojose.SignatureAlgorithm, secret []byte) string {
	t.Helper()
	signer, err := gojose.NewSigner(gojose.SigningKey{Algorithm: alg, Key: secret}, nil)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign([]byte(`{"iss":"c"}`))
	if err != nil {
		t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func FuzzParseEncrypted(f *testing.F) {
	key := opener(f, "k", jose.ECDHES)
	f.Add(foreign(f, gojose.ECDH_ES, gojose.A256GCM, key.Key.Public(), nil))
	f.Add(foreign(f, gojose.ECDH_ES, gojose.A128CBC_HS256, key.Key.Public(), nil))
	f.Add("....")
	f.Add("eyJhbGciOiJFQ0RILUVTIn0..AAAA.AAAA.AAAA")
	f.Fuzz(func(t *testing.T, text string) {
		sealed, err := jose.ParseEncrypted(text)
		if err != nil {
			if !errors.Is(err, jose.ErrMalformed) {
				t.Error(err)
			}
			return
		}
		if !sealed.Header.Alg.Valid() || !sealed.Header.Enc.Valid() {
			t.Errorf("%+v", sealed.Header)
		}
		if _, err := key.Open(sealed); err != nil && !errors.Is(err, jose.ErrDecrypt) {
			t.Error(err)
		}
	})
}

func FuzzParseEncryptionSet(f *testing.F) {
	f.Add([]byte(`{"keys":[` + jwkWith(f, opener(f, "k", jose.ECDHES).Key.Public(), map[string]any{"use": "enc"}) + `]}`))
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","x":"","y":""}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		set, err := jose.ParseEncryptionSet(data)
		if (err == nil) != (set.Len() > 0) {
			t.Errorf("%d keys, %v", set.Len(), err)
		}
		for _, alg := range jose.KeyAlgs() {
			if key, ok := set.For(alg); ok {
				if _, err := key.Encrypt(alg, jose.A128GCM, "JWT", "", []byte("x")); err != nil {
					t.Errorf("%s: %v", alg, err)
				}
			}
		}
	})
}

func FuzzParseShared(f *testing.F) {
	f.Add(mac(f, gojose.HS256, bytes.Repeat([]byte{'s'}, 64)))
	f.Add("eyJhbGciOiJIUzI1NiJ9.e30.AAAA")
	secret, err := jose.NewSecret(strings.Repeat("x", 64))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := jose.ParseShared(text)
		if err != nil {
			return
		}
		if _, err := jose.Parse(text); err == nil {
			t.Error("J02 one token is of both kinds")
		}
		if _, err := parsed.Verify(secret, parsed.Alg); !errors.Is(err, jose.ErrSignature) {
			t.Errorf("J02 verified by a secret that did not sign it: %v", err)
		}
	})
}
