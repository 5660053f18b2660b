package page

import (
	"cmp"
	"html/template"
	"regexp"
	"strings"
)

// Detail is one rich authorization request (RFC 9396), as a person reads it
// before allowing it. Say is the recipe's sentence by language, where {name}
// and {name.part} stand for a value, and {name:EUR} for an amount in minor
// units of that currency; Values are all members by their path; Rest
// are those that the sentence does not show, so that nothing is hidden.
type Detail struct {
	Type   string
	Say    map[string]string
	Values map[string]string
	Rest   []Member
}

// Member is one member of a detail.
type Member struct{ Name, Value string }

// detailed is a Detail in the person's language.
type detailed struct {
	Say  template.HTML // empty: the recipe has no words for it
	Type string
	Rest []Member
}

var slot = regexp.MustCompile(`\{([A-Za-z0-9_.-]+)(?::([A-Z]{3}))?\}`)

// absent stands where a sentence names a member that is not there.
const absent = "—"

// maxValue bounds a value of a detail. It is no shortening: whoever reads
// requests refuses what is longer, for a person must see all of what they allow.
const maxValue = 16 << 10

// spoken is a text of the company in the language of the page, or in English.
func (w words) spoken(texts map[string]string) string {
	return cmp.Or(texts[w.lang], texts["en"])
}

// asks puts a detail into words. Values are escaped, cleaned, and isolated from
// the direction of the sentence, and none can name another.
func (w words) asks(d Detail) detailed {
	sentence := w.spoken(d.Say)
	x := detailed{Type: d.Type}
	for _, m := range d.Rest {
		x.Rest = append(x.Rest, Member{clean(m.Name), cleanTo(m.Value, maxValue)})
	}
	if sentence == "" {
		return x
	}
	var pairs []string
	for _, found := range slot.FindAllStringSubmatch(sentence, -1) {
		value, ok := d.Values[found[1]]
		switch {
		case !ok:
			value = absent
		case found[2] != "":
			value = w.money(value, found[2])
		}
		pairs = append(pairs, strings.Trim(found[0], "{}"), value)
	}
	wrap := func(s string) string {
		return "<strong><bdi>" + template.HTMLEscapeString(cleanTo(s, maxValue)) + "</bdi></strong>"
	}
	escaped := strings.ReplaceAll(template.HTMLEscapeString(sentence), "\n", " ")
	x.Say = template.HTML(fill(escaped, wrap, pairs)) //nolint:gosec // all parts are escaped here
	return x
}

// money writes an amount of minor units in whole ones, as 1,234.50 EUR. An amount that
// is no plain whole number is shown as it came, to be divided: never rounded, never ten times as much.
func (w words) money(minor, currency string) string {
	digits := decimals(currency)
	number := strings.TrimPrefix(minor, "-")
	if !plainNumber.MatchString(number) {
		return minor + " / 1" + strings.Repeat("0", digits) + " " + currency
	}
	group, point := ",", "."
	if w.lang == "fr" {
		group, point = " ", ","
	}
	if short := digits + 1 - len(number); short > 0 {
		number = strings.Repeat("0", short) + number
	}
	whole, part := number[:len(number)-digits], number[len(number)-digits:]
	for at := len(whole) - 3; at > 0; at -= 3 {
		whole = whole[:at] + group + whole[at:]
	}
	if digits > 0 {
		whole += point + part
	}
	return minor[:len(minor)-len(strings.TrimPrefix(minor, "-"))] + whole + " " + currency
}

var plainNumber = regexp.MustCompile(`^(0|[1-9][0-9]{0,17})$`)

// decimals is how many digits of an amount in minor units are behind the point (ISO 4217).
func decimals(currency string) int {
	switch currency {
	case "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF":
		return 0
	case "BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND":
		return 3
	case "CLF", "UYW":
		return 4
	}
	return 2
}
