package iam_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/gardeauth/garde/internal/iam"
)

func TestS15NamesHaveOneForm(t *testing.T) {
	for _, same := range [][]string{
		{"alice", "Alice", "ALICE", " alice ", "ａｌｉｃｅ", "ＡＬＩＣＥ", "alice\r\n"},
		{"kelvin", "\u212Aelvin"},                  // the Kelvin sign
		{"élodie", "e\u0301lodie", "ÉLODIE"},       // composed or not
		{"straße", "STRAßE"},                       // not "strasse": two people
		{"fin", "ﬁn"},                              // a ligature
		{"алиса@example.com", "АЛИСА@EXAMPLE.COM"}, // a Cyrillic name at a Latin host
		{"山田taro", "山田ＴＡＲＯ"},                       // scripts that are written side by side
		{"alice+bank@bank.example", "Alice+Bank@BANK.example"},
	} {
		for _, spelling := range same {
			got, err := iam.Canonical(spelling)
			if err != nil || got != same[0] {
				t.Errorf("%q gives %q, %v; want %q", spelling, got, err, same[0])
			}
		}
	}
}

func TestS15NamesThatNobodyHas(t *testing.T) {
	for what, name := range map[string]string{
		"nothing": "", "spaces": "  ", "a space within": "al ice", "a control": "al\x07ice", "NUL": "al\x00ice",
		"zero width": "al\u200bice", "right to left": "al\u202eice", "a soft hyphen": "al\u00adice",
		"Cyrillic а in Latin": "аlice", "Greek ο in Latin": "bοb", "Cyrillic host": "bob@exаmple.com",
		"the Turkish capital": "ADM\u0130N", "a dot above": "adm\u0069\u0307n",
		"two @": "a@b@c.example", "not UTF-8": "al\xffice", "long": strings.Repeat("a", 255), "very long": strings.Repeat("a", 1<<20),
	} {
		if got, err := iam.Canonical(name); !errors.Is(err, iam.ErrName) || got != "" {
			t.Errorf("%s: %q, %v", what, got, err)
		}
	}
}

func TestCanonicalEmail(t *testing.T) {
	for _, good := range []string{"a@b.example", "First.Last+tag@Sub.Example.com", "алиса@пример.рф", "o'neil@x-y.example"} {
		if _, err := iam.CanonicalEmail(good); err != nil {
			t.Errorf("%q is refused", good)
		}
	}
	for _, bad := range []string{
		"", "alice", "@b.example", "a@", "a@b", "a@b..example", "a@.example", "a@b.example.", "a@-b.example", "a@b_c.example",
		"a b@c.example", "a@b@c.example", "<a@b.example>", `"a"@b.example`, "a,b@c.example", "a@[127.0.0.1]", "a@b.example\nBcc: c@d.example",
		".a@b.example", "a.@b.example", "a..b@c.example", strings.Repeat("a", 65) + "@b.example", "a@b/c.example", "a;b@c.example",
	} {
		if got, err := iam.CanonicalEmail(bad); err == nil {
			t.Errorf("%q gives %q", bad, got)
		}
	}
}

func FuzzCanonical(f *testing.F) {
	for _, seed := range []string{"alice", "ＡLICE", "e\u0301", "ADM\u0130N", "a@b@c", "山田taro", "\u03d3", "\u1e9e", "ǆ@x.y", "\u0345a", "ſ", "İ"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		plain, err := iam.Canonical(name)
		if err != nil {
			if plain != "" {
				t.Fatalf("%q: refused and %q", name, plain)
			}
			return
		}
		if plain == "" || len(plain) > iam.MaxName || strings.Count(plain, "@") > 1 || strings.ContainsAny(plain, " \t\r\n\x00") {
			t.Fatalf("%q gives %q", name, plain)
		}
		for _, spelling := range []string{plain, " " + plain, strings.ToUpper(plain)} {
			again, err := iam.Canonical(spelling)
			if spelling == plain && (err != nil || again != plain) {
				t.Fatalf("%q gives %q, which gives %q, %v", name, plain, again, err)
			}
		}
		if email, err := iam.CanonicalEmail(name); err == nil && email != plain {
			t.Fatalf("%q is %q and %q", name, plain, email)
		}
	})
}
