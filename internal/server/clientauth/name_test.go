package clientauth

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"
)

// der writes a name as certificates do, with each value as a string of the given kind.
func der(t testing.TB, sets ...[]pkix.AttributeTypeAndValue) []byte {
	t.Helper()
	var sequence pkix.RDNSequence
	for _, set := range sets {
		sequence = append(sequence, set)
	}
	raw, err := asn1.Marshal(sequence)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func one(oid string, value any) []pkix.AttributeTypeAndValue {
	var kind asn1.ObjectIdentifier
	for _, part := range strings.Split(oid, ".") {
		number := 0
		for _, c := range part {
			number = number*10 + int(c-'0')
		}
		kind = append(kind, number)
	}
	return []pkix.AttributeTypeAndValue{{Type: kind, Value: value}}
}

const (
	oidC, oidO, oidOU, oidCN = "2.5.4.6", "2.5.4.10", "2.5.4.11", "2.5.4.3"
)

func TestNamesAreComparedByWhatTheyMean(t *testing.T) {
	rive := der(t, one(oidC, "FR"), one(oidO, "Rive, SA"), one(oidCN, "budget"))
	multi := der(t, one(oidO, "Rive"), append(one(oidCN, "budget"), one(oidOU, "apps")...))
	for name, try := range map[string]struct {
		text string
		der  []byte
		want bool
	}{
		"as RFC 4514 writes it":                   {`CN=budget,O=Rive\, SA,C=FR`, rive, true},
		"keywords in lower case":                  {`cn=budget,o=Rive\, SA,c=FR`, rive, true},
		"object identifiers":                      {`2.5.4.3=budget,2.5.4.10=Rive\, SA,2.5.4.6=FR`, rive, true},
		"an escape in hexadecimal":                {`CN=budget,O=Rive\2C SA,C=FR`, rive, true},
		"spaces around":                           {`CN = budget , O = Rive\,  SA , C = FR`, rive, true},
		"letters in another case":                 {`CN=Budget,O=RIVE\, sa,C=fr`, rive, true},
		"a value in its encoding":                 {`CN=#0C06627564676574,O=Rive\, SA,C=FR`, rive, true},
		"an encoding of another kind of string":   {`CN=#1306627564676574,O=Rive\, SA,C=FR`, rive, true},
		"attributes of one part in another order": {`OU=apps+CN=budget,O=Rive`, multi, true},
		"another order of parts":                  {`C=FR,O=Rive\, SA,CN=budget`, rive, false},
		"a prefix":                                {`CN=budget,O=Rive\, SA`, rive, false},
		"a suffix":                                {`O=Rive\, SA,C=FR`, rive, false},
		"more than the certificate has":           {`CN=budget,OU=apps,O=Rive\, SA,C=FR`, rive, false},
		"D20 the parts inside of one value":       {`CN=budget,O=Rive\, SA,C=FR`, der(t, one(oidCN, `budget,O=Rive\, SA,C=FR`)), false},
		"D20 a value that reads like two parts":   {`CN=budget,O=Rive`, der(t, one(oidCN, "budget,O=Rive")), false},
		"a part split into two":                   {`CN=budget,OU=apps,O=Rive`, multi, false},
		"D20 a look-alike letter":                 {`CN=budget,O=Rive\, SA,C=FR`, der(t, one(oidC, "FR"), one(oidO, "Rive, SA"), one(oidCN, "bud\u0261et")), false},
		"D20 a letter that folds into another":    {`CN=bank`, der(t, one(oidCN, "ban\u212a")), false},
		"another kind under the same value":       {`OU=budget`, der(t, one(oidCN, "budget")), false},
		"a number where text is expected":         {`CN=5`, der(t, one(oidCN, 5)), false},
		"a NUL in the certificate":                {`CN=budget`, der(t, one(oidCN, "budget\x00.evil")), false},
	} {
		t.Run(name, func(t *testing.T) {
			wanted, err := ParseName(try.text)
			if err != nil {
				t.Fatal(err)
			}
			bears, _ := readName(try.der)
			if wanted.Equal(bears) != try.want || bears.Equal(wanted) != try.want {
				t.Errorf("%q compared with %q", wanted, bears)
			}
		})
	}
}

func TestNamesThatAreNone(t *testing.T) {
	for name, text := range map[string]string{
		"nothing": "", "no equals sign": "budget", "an unknown keyword": "XX=budget", "a keyword left out": "=budget", "a comma at the end": "CN=budget,",
		"a plus at the end": "CN=budget+", "a quote": `CN="budget"`, "a semicolon between": "CN=budget;O=Rive", "a broken escape": `CN=bud\`,
		"an escape of a letter": `CN=\zz`, "broken hexadecimal": "CN=#0C0", "no BER": "CN=#0C09", "more behind the BER": "CN=#0C016100",
		"a NUL": "CN=a\x00", "an escaped NUL": `CN=a\00`, "no UTF-8": `CN=a\FF`, "an identifier with a leading zero": "2.05.4=a",
		"too long": "CN=" + strings.Repeat("a", maxName), "too many parts": strings.Repeat("CN=a,", maxParts) + "CN=a",
	} {
		if got, err := ParseName(text); err == nil {
			t.Errorf("%s: %q was read as %q", name, text, got)
		}
	}
	var empty Name
	if empty.Equal(Name{}) {
		t.Error("no name equals no name")
	}
}

// FuzzName: what is read means what it says, however it is written again, and nothing crashes.
func FuzzName(f *testing.F) {
	for _, text := range []string{`CN=budget,O=Rive\, SA,C=FR`, `2.5.4.3=a+OU=b,O=c`, `CN=#0C0161`, `CN=\20a\20`, "CN=,O=", `UID=x\+y`} {
		f.Add(text, []byte(text))
	}
	f.Fuzz(func(t *testing.T, text string, raw []byte) {
		_, _ = readName(raw)
		name, err := ParseName(text)
		if err != nil {
			return
		}
		var again []string
		for i := len(name.parts) - 1; i >= 0; i-- {
			var set []string
			for _, each := range name.parts[i] {
				if strings.HasPrefix(each.value, "\x00") {
					return
				}
				var escaped strings.Builder
				for _, c := range []byte(each.value) {
					escaped.WriteString(`\` + string("0123456789abcdef"[c>>4]) + string("0123456789abcdef"[c&15]))
				}
				set = append(set, each.kind+"="+escaped.String())
			}
			again = append(again, strings.Join(set, "+"))
		}
		second, err := ParseName(strings.Join(again, ","))
		if len(strings.Join(again, ",")) <= maxName && (err != nil || !name.Equal(second)) {
			t.Errorf("%q became %q: %v", text, again, err)
		}
	})
}
