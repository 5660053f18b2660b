package page

import (
	"html/template"
	"regexp"
	"strings"
)

// Detail is one rich authorization request (RFC 9396), as a person reads it
// before allowing it. Say is the recipe's sentence by language, where {name}
// and {name.part} stand for a value; Values are all members by their path; Rest
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

var slot = regexp.MustCompile(`\{([A-Za-z0-9_.-]+)\}`)

// absent stands where a sentence names a member that is not there.
const absent = "—"

// maxValue bounds a value of a detail. It is no shortening: whoever reads
// requests refuses what is longer, for a person must see all of what they allow.
const maxValue = 16 << 10

// asks puts a detail into words. Values are escaped, cleaned, and isolated from
// the direction of the sentence, and none can name another.
func (w words) asks(d Detail) detailed {
	sentence := d.Say[w.lang]
	if sentence == "" {
		sentence = d.Say["en"]
	}
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
		if !ok {
			value = absent
		}
		pairs = append(pairs, found[1], value)
	}
	wrap := func(s string) string {
		return "<strong><bdi>" + template.HTMLEscapeString(cleanTo(s, maxValue)) + "</bdi></strong>"
	}
	escaped := strings.ReplaceAll(template.HTMLEscapeString(sentence), "\n", " ")
	x.Say = template.HTML(fill(escaped, wrap, pairs)) //nolint:gosec // all parts are escaped here
	return x
}
