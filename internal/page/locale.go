package page

import (
	"encoding/json"
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/language"
)

// What a caller may send us of languages; more is cut, not parsed.
const (
	maxLocales      = 8
	maxLocale       = 35 // RFC 5646 section 4.4.1
	maxAcceptHeader = 256
)

// tongues are the languages we speak. The first of tags is the fallback.
type tongues struct {
	tags    []language.Tag
	matcher language.Matcher
	words   map[string]words // by language, never changed
}

// words is one catalogue: key to text, with {name} where a value goes.
type words struct {
	lang    string
	entries map[string]string
}

// spoken are the languages with a catalogue; the first is the fallback.
var spoken = []language.Tag{language.English, language.French}

// Locales lists the languages that pages and mails speak, for discovery (ui_locales_supported).
func Locales() []string {
	var names []string
	for _, tag := range spoken {
		names = append(names, tag.String())
	}
	return names
}

func readTongues() (*tongues, error) {
	t := &tongues{tags: spoken, words: map[string]words{}}
	t.matcher = language.NewMatcher(t.tags)
	for _, tag := range t.tags {
		name := "catalogue/" + tag.String() + ".json"
		data, err := files.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read the catalogue: %w", err)
		}
		w := words{lang: tag.String()}
		if err := json.Unmarshal(data, &w.entries); err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		t.words[w.lang] = w
	}
	return t, nil
}

// choose picks a language that we speak: the wishes first, then the browser's
// header, then English. Its work is bounded whatever is sent.
func (t *tongues) choose(wishes []string, accept string) string {
	var tags []language.Tag
	for _, wish := range wishes[:min(len(wishes), maxLocales)] {
		if len(wish) > maxLocale {
			continue
		}
		if tag, err := language.Parse(wish); err == nil {
			tags = append(tags, tag)
		}
	}
	if lang, ok := t.match(tags); ok {
		return lang
	}
	if len(accept) <= maxAcceptHeader {
		// A malformed header gives no tags, and so the fallback.
		tags, _, _ = language.ParseAcceptLanguage(accept)
	} else {
		tags = nil
	}
	lang, _ := t.match(tags)
	return lang
}

func (t *tongues) match(tags []language.Tag) (string, bool) {
	_, i, confidence := t.matcher.Match(tags[:min(len(tags), maxLocales)]...)
	return t.tags[i].String(), confidence > language.No
}

// text gives the sentence under key, with pairs of name and value put in. A key
// that is missing shows as itself; a test proves that none is.
func (w words) text(key string, pairs ...string) string {
	return w.oneOf([]string{key}, pairs...)
}

// oneOf gives the first of the keys that the catalogue has.
func (w words) oneOf(keys []string, pairs ...string) string {
	for _, key := range keys {
		if text, ok := w.entries[key]; ok {
			return fill(text, func(s string) string { return s }, pairs)
		}
	}
	return keys[0]
}

// say is text as HTML, where each value is escaped, cleaned, isolated from the
// direction of the sentence, and strong: the person sees where foreign words
// begin and end.
func (w words) say(key string, pairs ...string) template.HTML {
	wrap := func(s string) string {
		return "<strong><bdi>" + template.HTMLEscapeString(clean(s)) + "</bdi></strong>"
	}
	text, ok := w.entries[key]
	if !ok {
		text = key
	}
	return template.HTML(fill(template.HTMLEscapeString(text), wrap, pairs)) //nolint:gosec // all parts are escaped here
}

// fill replaces in one pass, so that a value cannot name another value.
func fill(text string, wrap func(string) string, pairs []string) string {
	swaps := make([]string, 0, len(pairs))
	for i := 0; i+1 < len(pairs); i += 2 {
		swaps = append(swaps, "{"+pairs[i]+"}", wrap(pairs[i+1]))
	}
	return strings.NewReplacer(swaps...).Replace(text)
}

// when tells day and time in UTC: without script a server does not know the
// person's zone, and a time without a zone is a lie.
func (w words) when(at time.Time) template.HTML {
	return w.stamp(at.UTC(), w.moment(at))
}

func (w words) moment(at time.Time) string {
	at = at.UTC()
	return w.text("time.when", "date", w.day(at), "time", at.Format("15:04"))
}

// date tells the day only.
func (w words) date(at time.Time) template.HTML {
	return w.stamp(at.UTC(), w.day(at.UTC()))
}

// wait tells how long, in minutes and rounded up: a person who comes back then is not sent away again.
func (w words) wait(d time.Duration) string {
	switch minutes := int(math.Ceil(d.Minutes())); {
	case minutes <= 0:
		return w.text("locked.later")
	case minutes == 1:
		return w.text("locked.wait.one")
	default:
		return w.text("locked.wait.many", "minutes", strconv.Itoa(minutes))
	}
}

func (w words) day(at time.Time) string {
	day := strconv.Itoa(at.Day())
	if at.Day() == 1 {
		day = w.text("time.first")
	}
	return w.text("time.date", "day", day,
		"month", w.text("time.month."+strconv.Itoa(int(at.Month()))), "year", strconv.Itoa(at.Year()))
}

func (w words) stamp(at time.Time, shown string) template.HTML {
	return template.HTML(`<time datetime="` + at.Format(time.RFC3339) + `">` + //nolint:gosec // a time and an escaped text
		template.HTMLEscapeString(shown) + `</time>`)
}
