package page

import (
	"errors"
	"html/template"
	"net/url"
	"regexp"
	"strings"
	"unicode"
)

// What of a foreign text is shown, in characters: a name, and a sentence of ours
// that may quote one.
const (
	maxForeign = 80
	maxDetail  = 300
)

// clean makes a foreign text fit to stand in a sentence of ours: no control,
// format or direction characters (which could reorder or hide our words), no
// line breaks, at most maxForeign characters.
func clean(text string) string { return cleanTo(text, maxForeign) }

func cleanDetail(text string) string { return cleanTo(text, maxDetail) }

func cleanTo(text string, most int) string {
	var b strings.Builder
	space, n := false, 0
	for _, r := range text {
		switch {
		case unicode.IsSpace(r):
			space = n > 0
			continue
		case r == unicode.ReplacementChar, !unicode.IsGraphic(r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Co, r):
			continue
		}
		if n >= most {
			return b.String() + "…"
		}
		if space {
			b.WriteByte(' ')
			n++
		}
		b.WriteRune(r)
		space, n = false, n+1
	}
	return b.String()
}

// initial is the letter that stands for a client without a logo.
func initial(name string) string {
	for _, r := range clean(name) {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return string(unicode.ToUpper(r))
		}
	}
	return "?"
}

var (
	ownPath   = regexp.MustCompile(`^/[A-Za-z0-9._~-][A-Za-z0-9._~/-]*(\?[A-Za-z0-9._~&=-]*)?$`)
	rasterURL = regexp.MustCompile(`^data:image/(png|jpeg|webp|gif);base64,[A-Za-z0-9+/]+={0,2}$`)
	vectorURL = regexp.MustCompile(`^data:image/svg\+xml;base64,[A-Za-z0-9+/]+={0,2}$`)
)

// picture lets only pictures through that need no foreign host: a plain path of
// ours or inline bytes. An SVG is taken from the company alone.
func picture(address string, vector bool) template.URL {
	if ownPath.MatchString(address) || rasterURL.MatchString(address) || vector && vectorURL.MatchString(address) {
		return template.URL(address) //nolint:gosec // one of three closed shapes
	}
	return ""
}

func clientImage(address string) template.URL { return picture(address, false) }

// link lets only https links of clients through, without credentials in them.
func link(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || len(address) > 2048 {
		return ""
	}
	return u.String()
}

// formAction gives the action attribute of a form_post, byte for byte the
// registered redirect URI, which html/template would re-encode.
func formAction(address string) (template.HTMLAttr, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return "", errors.New("form_post needs an http or https address")
	}
	return template.HTMLAttr(`action="` + template.HTMLEscapeString(address) + `"`), nil //nolint:gosec // escaped here
}
