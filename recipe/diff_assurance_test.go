package recipe_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/recipe"
)

// guarded is a recipe whose rules each row of TestVerdictsOnRules changes by one replacement.
const guarded = `garde: 1
levels:
  - {name: basic, acr: "urn:example:basic", any: [password, passkey]}
  - {name: strong, acr: "urn:example:strong", any: [passkey]}
scopes:
  pay: {say: {en: Pay}}
raise:
  - {when: risk.score >= 80, deny: too risky}
apis:
  bank:
    at: https://api.bank.example
    authorization_details:
      payment: {schema: payment.json, say: {en: "Pay {amount}"}, amount: amount, payee: to}
    operations:
      POST /payments:
        for: [user]
        scope: pay
        level: basic
        raise:
          - {when: "amount > 1000 || values.memo == 'x'", level: basic, fresh: 5m}
        details: payment
        match: {amount: body.amount, to: body.to}
        send: {country: body.country}
risk: {points: {new_device: 40}, addresses: bad.txt}
clients:
  app: {type: native, redirect_uris: ["com.bank.app:/callback"], scopes: [pay], authorization_details_types: [payment], apps: bank}
signin:
  factors: [password, passkey]
  enrol: [{level: strong, groups: [staff], until: 2030-01-01}]
  passkeys: {models: [fbfc3007-154e-4ecc-8c0b-6e020557d7bd]}
`

func TestVerdictsOnRules(t *testing.T) {
	const operation, rule = "apis.bank.operations[POST /payments].", "raise[amount > 1000 || values.memo == 'x']"
	for name, c := range map[string]struct{ old, new, want string }{
		"a rule goes":                  {"raise:\n  - {when: risk.score >= 80, deny: too risky}\n", "", "weaker raise[risk.score >= 80]"},
		"a rule for something else":    {">= 80", ">= 90", "weaker raise[risk.score >= 80]; stronger raise[risk.score >= 90]"},
		"other words":                  {"too risky", "not today", "neutral raise[risk.score >= 80].deny.en"},
		"words in one more language":   {"deny: too risky", "deny: {en: too risky, fr: trop risqué}", "neutral raise[risk.score >= 80].deny.fr"},
		"the same words, written long": {"deny: too risky", "deny: {en: too risky}", ""},
		"no refusal any more":          {"deny: too risky", "level: strong", "weaker raise[risk.score >= 80].deny.en; stronger raise[risk.score >= 80].level"},
		"a rule raises higher":         {"level: basic, fresh: 5m", "level: strong, fresh: 5m", "stronger " + operation + rule + ".level"},
		"a rule is content with older": {"fresh: 5m", "fresh: 10m", "weaker " + operation + rule + ".fresh"},
		"an operation opens":           {"        for: [user]\n        scope: pay\n        level: basic\n        raise:\n          - {when: \"amount > 1000 || values.memo == 'x'\", level: basic, fresh: 5m}\n        details: payment\n        match: {amount: body.amount, to: body.to}\n        send: {country: body.country}\n", "        open: why not\n", "weaker apis.bank.operations[POST /payments].open"},
		"no details any more":          {"        details: payment\n        match: {amount: body.amount, to: body.to}\n", "", "weaker " + operation + "details; weaker " + operation + "match.amount; weaker " + operation + "match.to"},
		"one value is not compared":    {", to: body.to", "", "weaker " + operation + "match.to"},
		"one more value is compared":   {", to: body.to", ", to: body.to, memo: body.memo", "stronger " + operation + "match.memo"},
		"another value is compared":    {"to: body.to", "to: body.who", "weaker " + operation + "match.to"},
		"a value that a rule reads":    {"send: {country", "send: {memo: body.memo, country", "weaker " + operation + "send.memo"},
		"a value that no rule reads":   {"send: {country", "send: {town: body.town, country", "neutral " + operation + "send.town"},
		"less is known of a request":   {"        send: {country: body.country}\n", "", "weaker " + operation + "send.country"},
		"the amount stands elsewhere":  {"amount: amount", "amount: value", "weaker apis.bank.authorization_details.payment.amount"},
		"points by default":            {"points: {new_device: 40}, ", "", "weaker risk.points.new_device"},
		"more points":                  {"new_device: 40", "new_device: 41", "stronger risk.points.new_device"},
		"no points":                    {"new_device: 40", "new_device: 0", "weaker risk.points.new_device"},
		"nothing has a bad name":       {", addresses: bad.txt", "", "weaker risk.addresses"},
		"the family ends":              {", apps: bank", "", "stronger clients.app.apps"},
		"for other people":             {"[staff]", "[board]", "stronger signin.enrol[strong board]; weaker signin.enrol[strong staff]"},
		"later":                        {"2030", "2031", "weaker signin.enrol[strong staff].until"},
		"earlier":                      {"2030", "2029", "stronger signin.enrol[strong staff].until"},
		"at once":                      {", until: 2030-01-01", "", "stronger signin.enrol[strong staff].until"},
		"any model":                    {"{models: [fbfc3007-154e-4ecc-8c0b-6e020557d7bd]}", "{synced: allowed}", "weaker signin.passkeys.models[fbfc3007-154e-4ecc-8c0b-6e020557d7bd]"},
		"one more model":               {"0557d7bd]", "0557d7bd, 00000000-154e-4ecc-8c0b-6e020557d7bd]", "weaker signin.passkeys.models[00000000-154e-4ecc-8c0b-6e020557d7bd]"},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(guarded, c.old) {
				t.Fatal("the row replaces nothing")
			}
			files := func(text string) map[string][]byte {
				all := map[string][]byte{"payment.json": []byte(`{"type":"object"}`)}
				if strings.Contains(text, "bad.txt") {
					all["bad.txt"] = []byte("192.0.2.0/24\n2001:db8::1 # one\n")
				}
				return all
			}
			text := strings.Replace(guarded, c.old, c.new, 1)
			verdicts(t, assemble(t, guarded, files(guarded)), assemble(t, text, files(text)), c.want)
		})
	}
}

// TestVerdictsOnMakers: whoever is believed about models may say that anything is one.
func TestVerdictsOnMakers(t *testing.T) {
	const proved = "passkeys: {attestation: required, roots: [makers.pem]"
	with := func(now string, second ...string) *recipe.Bundle {
		files := map[string][]byte{"payment.json": []byte(`{"type":"object"}`), "bad.txt": nil, "makers.pem": certificate(t)}
		for _, name := range second {
			files[name] = certificate(t)
		}
		return assemble(t, strings.Replace(guarded, "passkeys: {models: [fbfc3007-154e-4ecc-8c0b-6e020557d7bd]", now, 1), files)
	}
	verdicts(t, with(proved), with(proved[:len(proved)-1]+", more.pem]", "more.pem"), "weaker signin.passkeys.roots[makers.pem]; weaker signin.passkeys.roots[more.pem]")
	same := with(proved)
	fewer, more := same, assemble(t, strings.Replace(string(same.Sources[0].Text), "makers.pem]", "makers.pem, more.pem]", 1), map[string][]byte{
		"payment.json": same.Files["payment.json"], "bad.txt": same.Files["bad.txt"], "makers.pem": same.Files["makers.pem"], "more.pem": certificate(t),
	})
	verdicts(t, fewer, more, "weaker signin.passkeys.roots[more.pem]")
	verdicts(t, more, fewer, "stronger signin.passkeys.roots[more.pem]")
}

func TestCertificatesAreReadStrictly(t *testing.T) {
	good := certificate(t)
	block, _ := pem.Decode(good)
	for name, c := range map[string]struct {
		content []byte
		count   int
	}{
		"one":                   {good, 1},
		"two, and words around": {slices.Concat([]byte("Maker A\n"), good, []byte("Maker B\n"), certificate(t)), 2},
		"none":                  {[]byte("nothing\n"), -1},
		"DER":                   {block.Bytes, -1},
		"a key among them":      {slices.Concat(good, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte{1}})), -1},
		"broken":                {pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: block.Bytes[:40]}), -1},
	} {
		roots, err := recipe.Roots(c.content)
		if c.count < 0 != (err != nil) || err == nil && len(roots) != c.count {
			t.Errorf("%s: %d certificates, %v", name, len(roots), err)
		}
	}
}

// certificate is one that vouches for itself, as a file holds it.
func certificate(t testing.TB) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "A maker"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func TestNetworksAreReadStrictly(t *testing.T) {
	for text, count := range map[string]int{"": 0, "# none\n\n": 0, "192.0.2.1\n10.0.0.1/8 # ours\n2001:db8::/32": 3, "192.0.2.0/33": -1, "bank.example": -1, "fe80::1%eth0": -1} {
		networks, err := recipe.Networks([]byte(text))
		if count < 0 != (err != nil) || err == nil && len(networks) != count {
			t.Errorf("%q: %v, %v", text, networks, err)
		}
	}
}
