package page_test

import (
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/page"
)

func TestContrastIsThatOfWCAG(t *testing.T) {
	for _, row := range []struct {
		a, b string
		want float64
	}{
		{"#000000", "#ffffff", 21}, {"#ffffff", "#000000", 21}, {"#123456", "#123456", 1},
		{"#767676", "#ffffff", 4.54}, {"#ff0000", "#ffffff", 4.00}, {"#0000ff", "#ffffff", 8.59},
	} {
		got, err := page.Contrast(row.a, row.b)
		if err != nil || math.Abs(got-row.want) > 0.005 {
			t.Errorf("%s on %s: %.3f, %v; want %.2f", row.a, row.b, got, err, row.want)
		}
	}
	for _, bad := range []string{"", "#fff", "red", "#12345g", "#1234567", "#123456;}", "123456#"} {
		if _, err := page.Contrast(bad, "#ffffff"); err == nil {
			t.Errorf("%q passes for a colour", bad)
		}
	}
}

func TestAThemeThatCannotBeReadIsRefused(t *testing.T) {
	for name, row := range map[string]struct {
		theme page.Theme
		want  []string // in the error; none: it is fine
	}{
		"Garde's own":        {page.Theme{}, nil},
		"a violet bank":      {page.Theme{Name: "V", Light: page.Palette{Accent: "#5b2bd9"}, Dark: page.Palette{Accent: "#b9a1ff"}}, nil},
		"the text is chosen": {page.Theme{Light: page.Palette{Accent: "#8a4b00"}}, nil},
		"yellow on white":    {page.Theme{Light: page.Palette{Accent: "#ffd400"}}, []string{"light", "accent #ffd400 on surface #ffffff", "4.5:1"}},
		"grey ink":           {page.Theme{Light: page.Palette{Ink: "#999999"}}, []string{"ink #999999 on surface"}},
		"button text":        {page.Theme{Light: page.Palette{Accent: "#0e5c4c", OnAccent: "#335533"}}, []string{"on_accent #335533 on accent"}},
		"all at once": {
			page.Theme{Logo: "https://cdn.example/l.png", Light: page.Palette{Accent: "blue"}, Dark: page.Palette{Ink: "#222222"}},
			[]string{"logo", "light: accent: \"blue\"", "dark: ink #222222"},
		},
		"css in a colour": {page.Theme{Dark: page.Palette{Ground: "#00;}}*{"}}, []string{"dark: ground"}},
		"logo by data":    {page.Theme{Logo: "data:image/svg+xml;base64,PHN2Zy8+"}, nil},
		"logo by path":    {page.Theme{Logo: "/brand/logo.svg"}, nil},
		"logo elsewhere":  {page.Theme{Logo: "//cdn.example/logo.svg"}, []string{"logo"}},
	} {
		_, err := page.New(row.theme)
		if (err == nil) != (row.want == nil) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, want := range row.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v does not say %q", name, err, want)
			}
		}
	}
}

func TestTheThemeIsOnThePage(t *testing.T) {
	p, err := page.New(page.Theme{Name: "Violet & Sons", Logo: "/brand/logo.svg", Light: page.Palette{Accent: "#5b2bd9"}})
	if err != nil {
		t.Fatal(err)
	}
	_, doc, text := show(t, p, page.SignedOut{}, "en")
	if !strings.Contains(text, "--accent:#5b2bd9;") || !strings.Contains(text, `src="/brand/logo.svg"`) || !strings.Contains(words(doc), "Violet & Sons") {
		t.Error(text)
	}
}

func TestMailsSayTheSameAsTextAndAsHTML(t *testing.T) {
	p := pages(t)
	const link = "https://id.example/verify/v_0123456789?x=1&y=2"
	for kind, data := range map[page.MailKind]page.MailData{
		page.MailVerify:  {Username: "ada", Link: link, Expires: noon},
		page.MailReset:   {Username: "ada", Link: link, Expires: noon},
		page.MailEnrol:   {Username: "ada", Link: link, Expires: noon},
		page.MailChanged: {Username: "ada", When: noon, Device: "Firefox", Place: "Lyon"},
	} {
		for locale, date := range map[string]string{"en-GB": "1 February 2026", "fr-CA": "1er février 2026", "de": "1 February 2026"} {
			subject, text, source, err := p.Mail(kind, locale, data)
			if err != nil {
				t.Fatal(err)
			}
			if subject == "" || strings.ContainsAny(subject, "\r\n{<") {
				t.Errorf("%s %s: subject %q", kind, locale, subject)
			}
			for _, want := range []string{"ada", date, "12:04 UTC", "Northbank", data.Device, data.Place} {
				if !strings.Contains(text, want) || !strings.Contains(source, want) {
					t.Errorf("%s %s lacks %q", kind, locale, want)
				}
			}
			if !strings.Contains(text, data.Link) || strings.Count(source, `href="https://id.example/verify/v_0123456789?x=1&amp;y=2"`) != 2*strings.Count(text, "id.example") {
				t.Errorf("%s %s: the link is not whole", kind, locale)
			}
			if regexp.MustCompile(`mail\.[a-z]`).MatchString(text+source) || strings.Contains(source, "ZgotmplZ") || strings.Contains(source, "<img") || strings.Contains(text, "{") {
				t.Errorf("%s %s: %s\n%s", kind, locale, text, source)
			}
		}
	}
}

func TestMailsEscapeAndRefuse(t *testing.T) {
	p := pages(t)
	_, text, source, err := p.Mail(page.MailChanged, "en", page.MailData{Username: "<b>\r\nBcc: x", When: time.Now(), Device: poison})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(source, "<b>") || strings.Contains(source, "<svg") || strings.Contains(text, "\nBcc") {
		t.Error("a value became markup or a line of its own")
	}
	for name, err := range map[string]error{
		"unknown kind":     mailError(p, "nonsense", page.MailData{Username: "ada", When: noon}),
		"nobody":           mailError(p, page.MailChanged, page.MailData{When: noon}),
		"no link":          mailError(p, page.MailReset, page.MailData{Username: "ada", Expires: noon}),
		"no end":           mailError(p, page.MailReset, page.MailData{Username: "ada", Link: "https://id.example/"}),
		"a link too many":  mailError(p, page.MailChanged, page.MailData{Username: "ada", When: noon, Link: "https://id.example/"}),
		"a link by script": mailError(p, page.MailReset, page.MailData{Username: "ada", Expires: noon, Link: "javascript:alert(1)"}),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func mailError(p *page.Pages, kind page.MailKind, data page.MailData) error {
	_, _, _, err := p.Mail(kind, "en", data)
	return err
}
