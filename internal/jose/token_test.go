package jose_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/jose"
)

func b64(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// forge is a token with this header that the ES256 key really signed.
func forge(t testing.TB, header, payload string) string {
	t.Helper()
	signed := b64(header) + "." + b64(payload)
	private := key(t, jose.ES256).(*ecdsa.PrivateKey)
	sum := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, private, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

const goodHeader = `{"alg":"ES256","typ":"at+jwt","kid":"k"}`

func TestForgedLikeOurs(t *testing.T) {
	// Otherwise the refusals below would prove nothing.
	if _, err := parse(t, forge(t, goodHeader, `{}`)).Verify(key(t, jose.ES256).Public(), jose.ES256); err != nil {
		t.Fatal(err)
	}
	unknown := parse(t, forge(t, `{"alg":"ES256","x5t":"abc","cty":"x","foo":[1]}`, `{}`))
	if unknown.Header.Alg != jose.ES256 || unknown.Header.Typ+unknown.Header.KeyID != "" || unknown.Header.JWK != nil {
		t.Errorf("%+v", unknown.Header)
	}
}

func TestParseRefuses(t *testing.T) {
	good := forge(t, goodHeader, `{"sub":"alice"}`)
	parts := strings.Split(good, ".")
	with := func(member string) string {
		return forge(t, `{"alg":"ES256","kid":"k",`+member+`}`, `{}`)
	}
	alg := func(name string) string { return forge(t, `{"alg":"`+name+`"}`, `{}`) }
	last := parts[2][len(parts[2])-1]
	alphabet := "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	sibling := alphabet[strings.IndexByte(alphabet, last)|1]
	rows := map[string]string{
		"J01 none":                            alg("none"),
		"J01 None":                            alg("None"),
		"J01 nOnE":                            alg("nOnE"),
		"J01 no algorithm":                    forge(t, `{"typ":"at+jwt"}`, `{}`),
		"J01 an empty third part":             parts[0] + "." + parts[1] + ".",
		"J01 two parts":                       parts[0] + "." + parts[1],
		"J01 one part":                        parts[0],
		"J01 nothing":                         "",
		"J01 lower case":                      alg("es256"),
		"J02 HS256":                           alg("HS256"),
		"J03 a key of its own":                with(`"jwk":{"kty":"EC"}`),
		"J03 a key of its own, null":          with(`"jwk":null`),
		"J04 jku":                             with(`"jku":"https://evil.example/jwks"`),
		"J04 x5u":                             with(`"x5u":"https://evil.example/cert"`),
		"J05 x5c":                             with(`"x5c":["MII"]`),
		"J06 a kid of ten kilobytes":          forge(t, `{"alg":"ES256","kid":"`+strings.Repeat("k", 10_000)+`"}`, `{}`),
		"J06 a kid of one kilobyte":           forge(t, `{"alg":"ES256","kid":"`+strings.Repeat("k", 1000)+`"}`, `{}`),
		"J06 a kid that is a list":            forge(t, `{"alg":"ES256","kid":["k"]}`, `{}`),
		"J08 an unknown crit":                 with(`"crit":["x"],"x":1`),
		"J08 an empty crit":                   with(`"crit":[]`),
		"J08 a null crit":                     with(`"crit":null`),
		"J08 b64 false":                       with(`"b64":false,"crit":["b64"]`),
		"J08 b64 without crit":                with(`"b64":true`),
		"J18 duplicate members in the header": forge(t, `{"alg":"ES256","alg":"none"}`, `{}`),
		"J19 only a folded member":            forge(t, `{"ALG":"ES256"}`, `{}`),
		"J20 a trailing header":               forge(t, goodHeader+`{}`, `{}`),
		"J20 a byte order mark":               forge(t, "\ufeff"+goodHeader, `{}`),
		"J21 unused bits":                     parts[0] + "." + parts[1] + "." + parts[2][:len(parts[2])-1] + string(sibling),
		"J21 a line break in the signature":   good[:len(good)-4] + "\n" + good[len(good)-4:],
		"J21 a line break at the end":         good + "\n",
		"J21 a carriage return in the header": "\r" + good,
		"J21 a line break in the payload":     parts[0] + ".\n" + parts[1] + "." + parts[2],
		"J21 padding":                         good + "==",
		"J21 a space":                         " " + good,
		"J21 the other alphabet":              parts[0] + "." + parts[1] + "." + "+/" + parts[2][2:],
		"J23 JSON serialization":              `{"payload":"` + parts[1] + `","signatures":[{"protected":"` + parts[0] + `","signature":"` + parts[2] + `"}]}`,
		"J24 five parts":                      good + ".AA.AA",
		"J24 four parts":                      good + ".AA",
		"J24 a header that encrypts":          with(`"enc":"A256GCM"`),
		"J25 PBES2":                           forge(t, `{"alg":"PBES2-HS256+A128KW","p2c":2147483647}`, `{}`),
		"J26 zip":                             with(`"zip":"DEF"`),
		"J28 ten megabytes of dots":           strings.Repeat(".", 10<<20),
		"J28 a header above four kilobytes":   forge(t, `{"alg":"ES256","x":"`+strings.Repeat("x", jose.MaxHeader)+`"}`, `{}`),
		"J28 a token above sixteen kilobytes": forge(t, goodHeader, `"`+strings.Repeat("x", jose.MaxToken)+`"`),
		"J38 deep nesting in the header":      forge(t, `{"alg":"ES256","x":`+strings.Repeat("[", 1500)+strings.Repeat("]", 1500)+`}`, `{}`),
		"an empty payload":                    parts[0] + ".." + parts[2],
		"a header that is a list":             forge(t, `["ES256"]`, `{}`),
		"a header that is null":               forge(t, `null`, `{}`),
	}
	for name, token := range rows {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			if _, err := jose.Parse(token); !errors.Is(err, jose.ErrMalformed) {
				t.Errorf("parsed: %v", err)
			}
			if spent := time.Since(start); spent > 100*time.Millisecond {
				t.Errorf("took %s", spent)
			}
		})
	}
	if sibling == last {
		t.Fatal("J21 tried nothing")
	}
}

func TestJ03AllowedKeyOfAProof(t *testing.T) {
	token := forge(t, `{"alg":"ES256","typ":"dpop+jwt","jwk":{"kty":"EC"}}`, `{}`)
	parsed, err := jose.Parse(token, "jwk")
	if err != nil || string(parsed.Header.JWK) != `{"kty":"EC"}` {
		t.Errorf("%s %v", parsed.Header.JWK, err)
	}
	if _, err := jose.Parse(forge(t, `{"alg":"ES256","jku":"https://evil.example"}`, `{}`), "jwk"); err == nil {
		t.Error("allowing one member allowed another")
	}
}

func TestJ02HMACWithAPublicKey(t *testing.T) {
	private := key(t, jose.RS256)
	der, _ := x509.MarshalPKIXPublicKey(private.Public())
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	for name, secret := range map[string][]byte{
		"PEM": text, "PEM without a line break": text[:len(text)-1], "DER": der,
	} {
		for _, alg := range []string{"HS256", "RS256"} {
			signed := b64(`{"alg":"`+alg+`"}`) + "." + b64(`{}`)
			mac := hmac.New(sha256.New, secret)
			mac.Write([]byte(signed))
			token := signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
			parsed, err := jose.Parse(token)
			if err == nil {
				_, err = parsed.Verify(private.Public(), jose.RS256)
			}
			if err == nil {
				t.Errorf("%s as %s: accepted", name, alg)
			}
		}
	}
}

func TestVerifyRefuses(t *testing.T) {
	es, es384, ed, full, ps, rs := signer(t, jose.ES256), signer(t, jose.ES384), signer(t, jose.EdDSA), signer(t, jose.Ed25519), signer(t, jose.PS256), signer(t, jose.RS256)
	raw := func(signature []byte) string {
		token := sign(t, es)
		return token[:strings.LastIndexByte(token, '.')+1] + base64.RawURLEncoding.EncodeToString(signature)
	}
	order := key(t, jose.ES256).(*ecdsa.PrivateKey).Params().N.Bytes()
	token := sign(t, es)
	signedDER := func() []byte {
		sum := sha256.Sum256([]byte(token[:strings.LastIndexByte(token, '.')]))
		der, err := ecdsa.SignASN1(rand.Reader, key(t, jose.ES256).(*ecdsa.PrivateKey), sum[:])
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	zeroInside := func() []byte {
		good, err := base64.RawURLEncoding.DecodeString(token[strings.LastIndexByte(token, '.')+1:])
		if err != nil {
			t.Fatal(err)
		}
		return append(append(append([]byte(nil), good[:32]...), 0), good[32:]...)
	}
	for name, row := range map[string]struct {
		token string
		key   crypto.PublicKey
		alg   jose.Alg
	}{
		"another key of the same kind":         {forge(t, goodHeader, `{}`), mustKey(t, jose.ES256).Public(), jose.ES256},
		"J09 r and s are zero":                 {raw(make([]byte, 64)), es.Key.Public(), jose.ES256},
		"J09 r and s are the order":            {raw(append(order, order...)), es.Key.Public(), jose.ES256},
		"J09 DER":                              {raw(signedDER()), es.Key.Public(), jose.ES256},
		"J09 another spelling of s":            {token[:strings.LastIndexByte(token, '.')+1] + base64.RawURLEncoding.EncodeToString(zeroInside()), es.Key.Public(), jose.ES256},
		"J09 a byte short":                     {raw(make([]byte, 63)), es.Key.Public(), jose.ES256},
		"J09 a byte long":                      {raw(make([]byte, 65)), es.Key.Public(), jose.ES256},
		"J10 ES256 with a P-384 key":           {sign(t, es), es384.Key.Public(), jose.ES256},
		"J10 ES256 with a P-384 key and alg":   {sign(t, es), es384.Key.Public(), jose.ES384},
		"J10 EdDSA for a key of Ed25519":       {sign(t, ed), ed.Key.Public(), jose.Ed25519},
		"J10 Ed25519 for a key of EdDSA":       {sign(t, full), full.Key.Public(), jose.EdDSA},
		"PS256 for a key of RS256":             {sign(t, ps), ps.Key.Public(), jose.RS256},
		"RS256 for a key of PS256":             {sign(t, rs), rs.Key.Public(), jose.PS256},
		"an algorithm that is not one of ours": {sign(t, es), es.Key.Public(), "none"},
		"no algorithm":                         {sign(t, es), es.Key.Public(), ""},
		"no key":                               {sign(t, es), nil, jose.ES256},
	} {
		t.Run(name, func(t *testing.T) {
			if payload, err := parse(t, row.token).Verify(row.key, row.alg); err == nil || payload != nil {
				t.Errorf("verified: %s", payload)
			}
		})
	}
	for i := range token {
		changed := []byte(token)
		changed[i] ^= 1
		if parsed, err := jose.Parse(string(changed)); err == nil {
			if _, err := parsed.Verify(es.Key.Public(), jose.ES256); err == nil {
				t.Fatalf("byte %d changed, and still good", i)
			}
		}
	}
	if _, err := (jose.Unverified{}).Verify(es.Key.Public(), ""); err == nil {
		t.Error("the zero value verified")
	}
}

func mustKey(t testing.TB, alg jose.Alg) crypto.Signer {
	t.Helper()
	made, err := jose.GenerateKey(alg)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// FuzzParse asks that whatever is parsed has one spelling: its parts, encoded again, are the token.
func FuzzParse(f *testing.F) {
	f.Add(forge(f, goodHeader, `{"sub":"alice"}`))
	f.Add(forge(f, `{"alg":"ES256","crit":["x"]}`, `{}`))
	f.Add(forge(f, `{"alg":"none"}`, `{}`))
	f.Add("..")
	f.Add("eyJhbGciOiJFUzI1NiJ9.e30.AB")
	f.Add("eyJhbGciOiJFUzI1NiJ9.e30\n.AA")
	public := key(f, jose.ES256).Public()
	f.Fuzz(func(t *testing.T, token string) {
		parsed, err := jose.Parse(token)
		if err != nil {
			if !errors.Is(err, jose.ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		if !parsed.Header.Alg.Valid() || len(token) > jose.MaxToken {
			t.Fatal("parsed what it should not")
		}
		for part := range strings.SplitSeq(token, ".") {
			decoded, err := base64.RawURLEncoding.DecodeString(part)
			if err != nil || base64.RawURLEncoding.EncodeToString(decoded) != part {
				t.Fatalf("%q has another spelling", part)
			}
		}
		_, _ = parsed.Verify(public, parsed.Header.Alg)
	})
}
