package iam_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/oauth"
)

var prefixes = []string{
	iam.PrefixCode, iam.PrefixRefresh, iam.PrefixAccess, iam.PrefixSession, iam.PrefixFlow, iam.PrefixLink, iam.PrefixClient,
	iam.PrefixPushed, iam.PrefixDevice, iam.PrefixCIBA, iam.PrefixKeeper, iam.PrefixInitial,
}

// hashers are the only makers of the hash types, by the prefix of what they hash.
var hashers = map[string]func(string) iam.Digest{
	iam.PrefixCode:    func(v string) iam.Digest { return iam.Digest(iam.HashCode(v)) },
	iam.PrefixRefresh: func(v string) iam.Digest { return iam.Digest(iam.HashRefresh(v)) },
	iam.PrefixAccess:  func(v string) iam.Digest { return iam.Digest(iam.HashAccess(v)) },
	iam.PrefixSession: func(v string) iam.Digest { return iam.Digest(iam.HashSession(v)) },
	iam.PrefixFlow:    func(v string) iam.Digest { return iam.Digest(iam.HashFlow(v)) },
	iam.PrefixLink:    func(v string) iam.Digest { return iam.Digest(iam.HashLink(v)) },
	iam.PrefixPushed:  func(v string) iam.Digest { return iam.Digest(iam.HashPushed(iam.RequestURN + v)) },
	iam.PrefixDevice:  func(v string) iam.Digest { return iam.Digest(iam.HashDevice(v)) },
	iam.PrefixCIBA:    func(v string) iam.Digest { return iam.Digest(iam.HashCIBA(v)) },
	iam.PrefixKeeper:  func(v string) iam.Digest { return iam.Digest(iam.HashKeeper(v)) },
	iam.PrefixInitial: func(v string) iam.Digest { return iam.Digest(iam.HashInitial(v)) },
}

func TestC20OneKindOfValueIsNeverAnother(t *testing.T) {
	for _, made := range prefixes {
		value := iam.NewSecret(made)
		for kind, hash := range hashers {
			if zero := hash(value).Zero(); zero != (kind != made) {
				t.Errorf("a %s value as %s: zero %v", made, kind, zero)
			}
			renamed := kind + strings.TrimPrefix(value, made)
			if kind != made && !hash(renamed).Zero() {
				t.Errorf("a %s value passes as %s under another prefix", made, kind)
			}
		}
	}
}

func TestWhatIsWellFormed(t *testing.T) {
	value := iam.NewSecret(iam.PrefixCode)
	if !iam.WellFormed(iam.PrefixCode, value) || len(value) != len(iam.PrefixCode)+iam.SecretLen {
		t.Fatal(value)
	}
	for name, wrong := range map[string]string{
		"empty": "", "only the prefix": iam.PrefixCode, "cut": value[:len(value)-1], "longer": value + "A", "upper case": strings.ToUpper(value),
		"space before": " " + value, "line break": value + "\n", "one character changed": strings.Replace(value, value[10:11], "!", 1),
		"checksum gone": value[:len(value)-6] + "AAAAAA", "zeros": iam.PrefixCode + strings.Repeat("A", iam.SecretLen),
	} {
		if iam.WellFormed(iam.PrefixCode, wrong) || !iam.Digest(iam.HashCode(wrong)).Zero() {
			t.Errorf("%s: %q is well formed", name, wrong)
		}
	}
	if (iam.Digest{}).Equal(iam.Digest{}) {
		t.Error("two digests that were never set are equal")
	}
	if !iam.Hash("x").Equal(iam.Hash("x")) || iam.Hash("x").Equal(iam.Hash("y")) || iam.Hash("x").Equal(iam.Digest{}) {
		t.Error("digests compare wrongly")
	}
}

func TestC19SecretsAreRandom(t *testing.T) {
	seen, counts, total := map[string]bool{}, map[rune]int{}, 0
	for range 200 {
		value := iam.NewSecret(iam.PrefixCode)
		if seen[value] {
			t.Fatal("twice the same")
		}
		seen[value] = true
		for _, c := range value[len(iam.PrefixCode) : len(iam.PrefixCode)+42] { // the last character holds two bits less
			counts[c]++
			total++
		}
	}
	entropy := 0.0
	for _, n := range counts {
		p := float64(n) / float64(total)
		entropy -= p * math.Log2(p)
	}
	if entropy < 5.9 || len(counts) != 64 {
		t.Errorf("%.2f bits a character, %d characters", entropy, len(counts))
	}
}

func TestWanted(t *testing.T) {
	for _, text := range []string{"x", "[]", "null", `{"userinfo":[]}`, `{"userinfo":{},"userinfo":{}}`, `{"userinfo":{"a":null,"a":null}}`, `{} {}`} {
		if _, err := iam.ReadWanted(text); err == nil {
			t.Errorf("%s was read", text)
		}
	}
	wanted, err := iam.ReadWanted(`{"USERINFO":{"email":null},"id_token":{"address":null,"acr":null,"name":null},"userinfo":{"phone_number":null}}`)
	if err != nil || wanted.Opened().String() != "profile address phone" {
		t.Errorf("opened %q, error %v", wanted.Opened(), err)
	}
	if got := wanted.Within(oauth.Scope{"address"}).String(); got != `{"id_token":{"acr":null,"address":null}}` {
		t.Errorf("within address: %s", got)
	}
	if got := (iam.Wanted{IDToken: map[string]json.RawMessage{"name": nil}}).Within(nil); got.String() != "" || got.Opened() != nil {
		t.Errorf("within nothing: %s", got)
	}
}

// FuzzWanted: what is read, is written so that it reads the same, also by readers that know no better.
func FuzzWanted(f *testing.F) {
	for _, text := range []string{`{"userinfo":{"email":null}}`, `{"id_token":{"acr":{"values":["a"]}}}`, `{"userinfo":null}`, `{"ID_TOKEN":{}}`, `{"x":"\ud83d\ude00"}`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		wanted, err := iam.ReadWanted(text)
		if err != nil {
			return
		}
		kept := wanted.Within(oauth.Scope{"email"})
		again, err := iam.ReadWanted(kept.String())
		if err != nil || again.String() != kept.String() || !again.Opened().Within(oauth.Scope{"email"}) {
			t.Fatalf("%s becomes %s: %v", text, kept, err)
		}
		if kept.String() == "" {
			return
		}
		var loose iam.Wanted
		if err := json.Unmarshal([]byte(kept.String()), &loose); err != nil || loose.String() != kept.String() {
			t.Fatalf("%s is read as %s: %v", kept, loose, err)
		}
	})
}
