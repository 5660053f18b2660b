package lab_test

import (
	"bytes"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"strings"
	"testing"

	"github.com/gardeauth/garde/internal/jose"
)

// forger signs whatever it is told to, by ES256 with one key.
type forger struct {
	t      testing.TB
	signer *jose.Signer
	header map[string]any
	claims map[string]any
}

func b64(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

func (f forger) json(value any) []byte {
	f.t.Helper()
	raw, err := json.Marshal(value)
	if err != nil {
		f.t.Fatal(err)
	}
	return raw
}

// raw signs bytes as they are.
func (f forger) raw(header, payload []byte) string {
	f.t.Helper()
	input := b64(header) + "." + b64(payload)
	return input + "." + b64(f.signature(input))
}

func (f forger) signature(input string) []byte {
	f.t.Helper()
	var pair struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(f.der(input), &pair); err != nil {
		f.t.Fatal(err)
	}
	fixed := make([]byte, 64)
	pair.R.FillBytes(fixed[:32])
	pair.S.FillBytes(fixed[32:])
	return fixed
}

func (f forger) der(input string) []byte {
	f.t.Helper()
	digest := sha256.Sum256([]byte(input))
	der, err := f.signer.Key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		f.t.Fatal(err)
	}
	return der
}

// with signs the honest token with some members of header and claims changed; nil takes one away.
func (f forger) with(header, claims map[string]any) string {
	f.t.Helper()
	return f.raw(f.json(changed(f.header, header)), f.json(changed(f.claims, claims)))
}

func changed(base, by map[string]any) map[string]any {
	next := maps.Clone(base)
	maps.Copy(next, by)
	maps.DeleteFunc(next, func(_ string, value any) bool { return value == nil })
	return next
}

type members = map[string]any

// broken gives the ways to break a token that every verifier must refuse, whatever kind of token it is.
func (f forger) broken() map[string]string {
	honest := f.with(nil, nil)
	parts := strings.Split(honest, ".")
	header, payload := f.json(f.header), f.json(f.claims)
	public := f.json(f.signer.Public())
	jwk, err := jose.PublicJWK(f.signer.Public())
	if err != nil {
		f.t.Fatal(err)
	}
	mac := func(secret []byte) string {
		input := b64(f.json(changed(f.header, members{"alg": "HS256"}))) + "." + parts[1]
		sum := hmac.New(sha256.New, secret)
		sum.Write([]byte(input))
		return input + "." + b64(sum.Sum(nil))
	}
	all := map[string]string{
		"J01 alg none with an empty signature":          b64(f.json(changed(f.header, members{"alg": "none"}))) + "." + parts[1] + ".",
		"J01 alg nOnE with the honest signature":        f.with(members{"alg": "nOnE"}, nil),
		"J01 two parts":                                 parts[0] + "." + parts[1],
		"J01 an empty third part":                       parts[0] + "." + parts[1] + ".",
		"J02 HS256 keyed with the JWK":                  mac(jwk),
		"J02 HS256 keyed with the key as JSON":          mac(public),
		"J03 an embedded jwk":                           f.with(members{"jwk": json.RawMessage(jwk), "kid": nil}, nil),
		"J04 jku":                                       f.with(members{"jku": "https://evil.example/jwks", "kid": "evil"}, nil),
		"J05 x5c":                                       f.with(members{"x5c": []string{"MIIB"}, "kid": "evil"}, nil),
		"J06 kid is a path":                             f.with(members{"kid": "../../dev/null"}, nil),
		"J06 kid is SQL":                                f.with(members{"kid": "' or 1=1 --"}, nil),
		"J06 kid of 10 KB":                              f.with(members{"kid": strings.Repeat("k", 10<<10)}, nil),
		"J08 crit":                                      f.with(members{"crit": []string{"x"}, "x": true}, nil),
		"J08 b64 false":                                 f.with(members{"crit": []string{"b64"}, "b64": false}, nil),
		"J08 an empty crit":                             f.with(members{"crit": []string{}}, nil),
		"J09 r and s are zero":                          parts[0] + "." + parts[1] + "." + b64(make([]byte, 64)),
		"J09 a DER signature":                           parts[0] + "." + parts[1] + "." + b64(f.der(parts[0]+"."+parts[1])),
		"J09 a signature one byte short":                parts[0] + "." + parts[1] + "." + parts[2][:80],
		"J10 another algorithm than the key's":          f.with(members{"alg": "ES384"}, nil),
		"J13 exp is a text":                             f.with(nil, members{"exp": "9999999999"}),
		"J13 exp is 1e300":                              f.raw(header, bytes.Replace(f.json(changed(f.claims, members{"exp": 77777})), []byte("77777"), []byte("1e300"), 1)),
		"J13 exp is negative":                           f.with(nil, members{"exp": -1}),
		"J13 exp is 2^63":                               f.raw(header, bytes.Replace(f.json(changed(f.claims, members{"exp": 77777})), []byte("77777"), []byte("9223372036854775808"), 1)),
		"J12 exp is missing":                            f.with(nil, members{"exp": nil}),
		"J12 exp is past":                               f.with(nil, members{"exp": 1000000000, "iat": 999999000}),
		"J14 iat two minutes ahead":                     f.with(nil, members{"iat": f.claims["iat"].(int64) + 120}),
		"J14 nbf two minutes ahead":                     f.with(nil, members{"nbf": f.claims["iat"].(int64) + 120}),
		"J15 aud is absent":                             f.with(nil, members{"aud": nil}),
		"J15 aud is empty":                              f.with(nil, members{"aud": ""}),
		"J15 aud is an empty list":                      f.with(nil, members{"aud": []string{}}),
		"J15 aud has a stranger beside us":              f.with(nil, members{"aud": []any{f.claims["aud"], "https://evil.example"}}),
		"J15 aud ends in a space":                       f.with(nil, members{"aud": f.claims["aud"].(string) + " "}),
		"J15 aud is a prefix of ours":                   f.with(nil, members{"aud": f.claims["aud"].(string)[:12]}),
		"J16 iss ends in a slash":                       f.with(nil, members{"iss": f.claims["iss"].(string) + "/"}),
		"J16 iss is missing":                            f.with(nil, members{"iss": nil}),
		"J17 a logout token":                            f.with(members{"typ": "logout+jwt"}, nil),
		"J17 the recipe's statement":                    f.with(members{"typ": "garde-recipe+jwt"}, nil),
		"J18 a doubled member in the payload":           f.raw(header, append(payload[:len(payload)-1:len(payload)-1], []byte(`,"sub":"admin"}`)...)),
		"J18 a doubled member in the header":            f.raw(append(header[:len(header)-1:len(header)-1], []byte(`,"alg":"ES256"}`)...), payload),
		"J20 trailing JSON":                             f.raw(header, append(bytes.Clone(payload), []byte("{}")...)),
		"J20 a byte order mark":                         f.raw(header, append([]byte("\xef\xbb\xbf"), payload...)),
		"J20 invalid UTF-8":                             f.raw(header, bytes.Replace(payload, []byte(`"sub":"`), []byte("\"sub\":\"\xff"), 1)),
		"J21 the last letter spelled otherwise":         respelled(honest),
		"J21 a line break in the signature":             parts[0] + "." + parts[1] + "." + parts[2][:10] + "\n" + parts[2][10:],
		"J21 padding":                                   honest + "==",
		"J23 JSON serialization":                        `{"payload":"` + parts[1] + `","signatures":[{"protected":"` + parts[0] + `","signature":"` + parts[2] + `"}]}`,
		"J24 five parts":                                honest + ".AA.AA",
		"J25 PBES2":                                     b64([]byte(`{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":2147483648,"p2s":"AA"}`)) + ".AA.AA.AA.AA",
		"J26 zip":                                       f.with(members{"zip": "DEF"}, nil),
		"J28 many dots":                                 strings.Repeat(".", 20_000),
		"J38 a deeply nested payload":                   f.raw(header, []byte(strings.Repeat("[", 6000)+strings.Repeat("]", 6000))),
		"J38 a deeply nested claim":                     f.raw(header, append(payload[:len(payload)-1:len(payload)-1], []byte(`,"x":`+strings.Repeat("[", 5000)+strings.Repeat("]", 5000)+`}`)...)),
		"the payload of one with the signature of else": parts[0] + "." + b64(f.json(changed(f.claims, members{"sub": "admin"}))) + "." + parts[2],
		"a payload that is no object":                   f.raw(header, []byte(`"text"`)),
		"a payload that is no JSON":                     f.raw(header, []byte(`hello`)),
		"not a token":                                   "hello",
	}
	return all
}

// respelled gives another text that decodes to the same signature where decoders are lax.
func respelled(token string) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	at := strings.IndexByte(letters, token[len(token)-1])
	return token[:len(token)-1] + string(letters[at^1])
}
