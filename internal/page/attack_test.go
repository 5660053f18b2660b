package page_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/gardeauth/garde/internal/page"
)

const poison = `"><svg onload=alert(1)><img src=//evil.example/x>{{.}}`

func TestN01N13R29EveryPageCarriesItsHeaders(t *testing.T) {
	p := pages(t)
	for name, view := range samples() {
		res, _, _ := show(t, p, view, "en")
		for header, want := range map[string]string{
			"Content-Type": "text/html; charset=utf-8", "Content-Language": "en", "Cache-Control": "no-store",
			"Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin",
			"Cross-Origin-Resource-Policy": "same-origin", "X-Content-Type-Options": "nosniff",
			"X-Frame-Options": "DENY", "X-Robots-Tag": "noindex, nofollow",
		} {
			if got := res.Header.Get(header); got != want {
				t.Errorf("%s: %s is %q", name, header, got)
			}
		}
		policy := res.Header.Get("Content-Security-Policy")
		for _, want := range []string{
			"default-src 'none';", "style-src 'nonce-", "img-src 'self' data:;", "form-action 'self' https://budget.example;",
			"frame-ancestors 'none'", "base-uri 'none'",
		} {
			if !strings.Contains(policy, want) {
				t.Errorf("%s: the policy lacks %s: %s", name, want, policy)
			}
		}
		if strings.Contains(policy, "unsafe") || strings.Contains(policy, "script-src") != (name == "formpost" || scripted(view)) {
			t.Errorf("%s: %s", name, policy)
		}
	}
}

func TestNoncesAreFreshAndMatch(t *testing.T) {
	p, seen := pages(t), map[string]bool{}
	for range 3 {
		res, doc, _ := show(t, p, page.SignedOut{}, "en")
		every(doc, func(n *html.Node) {
			if n.Data == "style" {
				nonce := attr(n, "nonce")
				if seen[nonce] || !strings.Contains(res.Header.Get("Content-Security-Policy"), "'nonce-"+nonce+"'") {
					t.Errorf("nonce %q is old or not the policy's", nonce)
				}
				seen[nonce] = true
			}
		})
	}
}

func TestFormTargetBecomesASourceOrNothing(t *testing.T) {
	p := pages(t)
	for target, want := range map[string]string{
		"https://app.example/cb?x=1":      "'self' https://app.example",
		"https://app.example:8443/cb":     "'self' https://app.example:8443",
		"http://127.0.0.1:4711/cb":        "'self' http://127.0.0.1:4711",
		"http://[::1]:4711/cb":            "'self' http:",
		"http://[2001:db8::1]/cb":         "'self'",
		"com.bank.app:/callback":          "'self' com.bank.app:",
		"":                                "'self'",
		"data:text/html,x":                "'self'",
		"javascript:alert(1)":             "'self'",
		"https:":                          "'self'",
		"https://*":                       "'self'",
		"https://*.example":               "'self'",
		"https://a.example; script-src *": "'self'",
		"https://a.example,b":             "'self'",
		"https://user@a.example/":         "'self'",
		"https://a.example\r\nX: y":       "'self'",
		"'unsafe-inline'":                 "'self'",
	} {
		res, _, _ := show(t, p, page.SignedOut{Common: page.Common{FormTarget: target}}, "en")
		_, policy, _ := strings.Cut(res.Header.Get("Content-Security-Policy"), "form-action ")
		got, _, _ := strings.Cut(policy, ";")
		if got != want {
			t.Errorf("%q gives %q, want %q", target, got, want)
		}
	}
}

func TestR27FormPostEscapes(t *testing.T) {
	_, doc, text := show(t, pages(t), page.FormPost{
		Action: `https://c.example/cb?a='("><svg onload=alert(1)>&b=%41`,
		Values: url.Values{"state": {poison}, poison: {"v"}, "code": {"c"}},
	}, "en")
	if strings.Contains(text, "<svg onload") || strings.Contains(text, "<img src=//") {
		t.Error("a value got out of its attribute")
	}
	values := map[string]string{}
	every(doc, func(n *html.Node) {
		switch n.Data {
		case "input":
			values[attr(n, "name")] = attr(n, "value")
		case "form":
			if got := attr(n, "action"); got != `https://c.example/cb?a='("><svg onload=alert(1)>&b=%41` {
				t.Errorf("the action was changed to %s", got)
			}
		}
	})
	if values["state"] != poison || values[poison] != "v" || values["code"] != "c" {
		t.Errorf("values arrived as %q", values)
	}
}

func TestN07N08ForeignTextIsEscapedShortenedAndIsolated(t *testing.T) {
	p := pages(t)
	long := strings.Repeat("Ж", 10_000)
	for name, text := range map[string]string{
		"markup": poison, "right to left override": "Bank\u202egnp.exe\u2066\u200f", "zero width": "Ba\u200bnk\ufeff",
		"long": long, "lines": "Bank\n\n\nYou won", "controls": "Ba\x00\x1b[31mnk", "broken": "Ba\xffnk",
	} {
		t.Run(name, func(t *testing.T) {
			c := sampleCommon()
			c.Locales = []string{text}
			client := page.Client{Name: text, Logo: text, Host: text, Policy: text, Terms: text, Unverified: true}
			scopes := []page.Scope{{Name: text, Say: map[string]string{"en": text}, Means: map[string]string{"en": text}}, {Name: text}}
			account := page.Account{
				Common: c, Action: "/account", Username: text, Name: text, Email: text,
				Sessions: []page.Session{{ID: text, Device: text, Place: text}},
				Consents: []page.Permission{{ID: text, Client: client, Scopes: scopes[1:]}},
				Activity: []page.Activity{{Kind: text, Device: text, Place: text, Client: text}, {Kind: "consent_given", Client: text}},
				Notice:   page.NoteEnrolled,
			}
			for _, view := range []page.View{
				page.SignIn{Common: c, Password: true, Passkey: text, Flow: text, Client: client, Username: text, Known: text},
				page.Consent{Common: c, Flow: text, Client: client, Username: text, Scopes: scopes[1:]},
				page.CheckMail{Common: c, Email: text}, page.VerifyMail{Common: c, Token: text, Email: text},
				page.LogoutConfirm{Common: c, Username: text, Client: client},
				page.Error{Common: c, Code: text, Reason: text, Detail: text, Client: client},
				page.Enrol{Common: c, Token: text, Username: text}, account,
			} {
				_, doc, source := show(t, p, view, text)
				if strings.Contains(source, "<svg onload") || strings.Contains(source, "<img src=//evil") || strings.Contains(source, `href="//`) {
					t.Errorf("%T: markup got through", view)
				}
				shown := words(doc)
				if strings.ContainsAny(shown, "\u202e\u2066\u200f\u200b\ufeff\x00\x1b\ufffd") {
					t.Errorf("%T: shows a control character: %q", view, shown)
				}
				if strings.Contains(shown, strings.Repeat("Ж", 400)) {
					t.Errorf("%T: shows a text of any length", view)
				}
			}
		})
	}
	_, doc, _ := show(t, p, samples()["consent-new"], "en")
	if !strings.Contains(words(doc), "not verified") {
		t.Error("an unverified client has no banner")
	}
	bdi := 0
	every(doc, func(n *html.Node) {
		if n.Data == "bdi" && words(n) == "Budget" {
			bdi++
		}
	})
	if bdi == 0 {
		t.Error("the client's name is not isolated")
	}
}

func TestN08TheErrorCodeIsAWordOrNotShown(t *testing.T) {
	p := pages(t)
	for code, want := range map[string]string{
		"invalid_scope": "invalid_scope", "brand_new_code": "brand_new_code",
		"Your account is locked, call 555": "server_error", "": "server_error",
	} {
		_, doc, _ := show(t, p, page.Error{Code: code}, "en")
		if got := words(byID(doc, "error-code")); got != want {
			t.Errorf("%q shows %q", code, got)
		}
	}
}

func TestN09OnlyHarmlessPicturesAndLinksAreShown(t *testing.T) {
	p := pages(t)
	const png = "data:image/png;base64,iVBORw0KGgo="
	for address, shown := range map[string]bool{
		png: true, "/logos/c1": true, "/logos/c1?v=2": true,
		"https://evil.example/logo.png": false, "//evil.example/x": false, `/\evil.example`: false, "/%2fevil": false,
		"javascript:alert(1)": false, "data:text/html,x": false, "data:image/svg+xml;base64,PHN2Zz4=": false, "logo.png": false,
	} {
		_, doc, _ := show(t, p, page.Consent{Common: sampleCommon(), Client: page.Client{Name: "C", Logo: address}}, "en")
		found := false
		every(doc, func(n *html.Node) { found = found || n.Data == "img" && attr(n, "src") == address })
		if found != shown {
			t.Errorf("picture %s shown: %v", address, found)
		}
	}
	for address, shown := range map[string]bool{
		"https://c.example/privacy": true, "http://c.example/": false, "javascript:alert(1)": false, "JaVaScRiPt:alert(1)": false,
		"data:text/html,x": false, "//evil.example": false, "https://good.example@evil.example/": false, "https:": false,
	} {
		_, doc, _ := show(t, p, page.SignIn{Common: sampleCommon(), Client: page.Client{Name: "C", Policy: address}}, "en")
		found := false
		every(doc, func(n *html.Node) {
			if n.Data == "a" && attr(n, "href") == address {
				found = attr(n, "rel") == "noopener noreferrer"
			}
		})
		if found != shown {
			t.Errorf("link %s shown: %v", address, found)
		}
	}
}

func TestN16OddLocalesCostLittle(t *testing.T) {
	p := pages(t)
	many := make([]string, 100_000)
	for i := range many {
		many[i] = "x" + strings.Repeat("-a", i%40)
	}
	began := time.Now()
	for _, accept := range []string{strings.Repeat("en-", 100_000), strings.Repeat("fr;q=0.1,", 50_000), strings.Repeat("-", 1<<20), ""} {
		res, _, _ := show(t, p, page.SignedOut{Common: page.Common{Locales: many}}, accept)
		if got := res.Header.Get("Content-Language"); got != "en" {
			t.Errorf("language %s", got)
		}
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestP17DetailsShowValuesAsTheyAre(t *testing.T) {
	sample := page.Consent{Common: sampleCommon(), Flow: "f1", Client: sampleClient(), Username: "ada", Details: []page.Detail{
		{
			Type: "payment", Say: map[string]string{"en": `Pay {amount} to {creditor}, "<b>" {missing}`},
			Values: map[string]string{"amount": "1", "creditor": "{amount}<script>alert(1)</script>\u202eevil", "hidden": "x"},
			Rest:   []page.Member{{Name: "<i>", Value: strings.Repeat("9", 600)}},
		},
		{Type: "<odd>"},
	}}
	_, _, body := show(t, pages(t), sample, "en")
	for _, want := range []string{
		`Pay <strong><bdi>1</bdi></strong> to <strong><bdi>{amount}&lt;script&gt;alert(1)&lt;/script&gt;evil</bdi></strong>, &#34;&lt;b&gt;&#34; <strong><bdi>—</bdi></strong>`,
		`<bdi>&lt;i&gt;</bdi>`, strings.Repeat("9", 600), `<strong><bdi>&lt;odd&gt;</bdi></strong>`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not say %s", want)
		}
	}
}

func TestP17AnAmountInMinorUnitsIsReadAsPeopleWriteIt(t *testing.T) {
	for name, c := range map[string]struct{ lang, slot, value, want string }{
		"euros":                          {"en", "cents:EUR", "2500", "25.00 EUR"},
		"in French":                      {"fr", "cents:EUR", "123456789", "1 234 567,89 EUR"},
		"thousands":                      {"en", "cents:EUR", "100000", "1,000.00 EUR"},
		"less than one":                  {"en", "cents:EUR", "5", "0.05 EUR"},
		"nothing":                        {"en", "cents:EUR", "0", "0.00 EUR"},
		"below zero":                     {"en", "cents:EUR", "-12345", "-123.45 EUR"},
		"no minor unit":                  {"en", "sum:JPY", "1234", "1,234 JPY"},
		"thousandths":                    {"en", "sum:KWD", "1234", "1.234 KWD"},
		"a broken number is not rounded": {"en", "cents:EUR", "2500.5", "2500.5 / 100 EUR"},
		"an exponent hides no zeros":     {"en", "cents:EUR", "9e9", "9e9 / 100 EUR"},
		"no number":                      {"en", "cents:EUR", "<b>", "&lt;b&gt; / 100 EUR"},
		"missing":                        {"en", "other:EUR", "1", "—"},
		"no currency":                    {"en", "cents", "2500", "2500"},
	} {
		t.Run(name, func(t *testing.T) {
			member, _, _ := strings.Cut(strings.Replace(c.slot, "other", "cents", 1), ":")
			values := map[string]string{member: c.value}
			if strings.HasPrefix(c.slot, "other") {
				values = map[string]string{}
			}
			_, _, body := show(t, pages(t), page.Consent{Common: sampleCommon(), Flow: "f1", Client: sampleClient(), Username: "ada", Details: []page.Detail{
				{Type: "payment", Say: map[string]string{"en": "{" + c.slot + "}", "fr": "{" + c.slot + "}"}, Values: values},
			}}, c.lang)
			if want := "<strong><bdi>" + c.want + "</bdi></strong>"; !strings.Contains(body, want) {
				t.Errorf("the page does not say %s", want)
			}
		})
	}
}
