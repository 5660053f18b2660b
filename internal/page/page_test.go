package page_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/gardeauth/garde/internal/page"
)

func pages(t testing.TB) *page.Pages {
	t.Helper()
	p, err := page.New(page.Theme{Name: "Northbank"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// show renders a view for a browser with that Accept-Language.
func show(t testing.TB, p *page.Pages, view page.View, accept string) (*http.Response, *html.Node, string) {
	t.Helper()
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Accept-Language", accept)
	if err := p.Render(w, r, http.StatusOK, view); err != nil {
		t.Fatal(err)
	}
	text := w.Body.String()
	doc, err := html.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return w.Result(), doc, text
}

// every calls f for each element below n.
func every(n *html.Node, f func(*html.Node)) {
	for d := range n.Descendants() {
		if d.Type == html.ElementNode {
			f(d)
		}
	}
}

func attr(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

func has(n *html.Node, key string) bool {
	for _, a := range n.Attr {
		if a.Key == key {
			return true
		}
	}
	return false
}

func words(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode && d.Parent.Data != "style" && d.Parent.Data != "script" {
			b.WriteString(d.Data)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

func byID(doc *html.Node, id string) *html.Node {
	var found *html.Node
	every(doc, func(n *html.Node) {
		if attr(n, "id") == id {
			found = n
		}
	})
	return found
}

func TestEveryPageIsSoundInBothLanguages(t *testing.T) {
	p := pages(t)
	for _, lang := range []string{"en", "fr"} {
		for name, view := range samples() {
			t.Run(lang+" "+name, func(t *testing.T) {
				_, doc, text := show(t, p, view, lang)
				if !strings.HasPrefix(text, "<!doctype html>") || !strings.HasSuffix(text, "</html>\n") {
					t.Error("the page is not whole")
				}
				ids := map[string]int{}
				seen := map[string]int{}
				every(doc, func(n *html.Node) {
					seen[n.Data]++
					if id := attr(n, "id"); id != "" {
						ids[id]++
					}
					checkElement(t, doc, n, view)
				})
				for id, times := range ids {
					if times > 1 {
						t.Errorf("id %s stands %d times", id, times)
					}
				}
				if seen["h1"] != 1 || seen["main"] != 1 || seen["title"] != 1 {
					t.Errorf("one h1, main and title are wanted: %d %d %d", seen["h1"], seen["main"], seen["title"])
				}
				if strings.Contains(text, "ZgotmplZ") || strings.Contains(words(doc), "{") {
					t.Error("a value was refused by the template or not filled in")
				}
			})
		}
	}
}

func checkElement(t *testing.T, doc, n *html.Node, view page.View) {
	t.Helper()
	for _, a := range n.Attr {
		if strings.HasPrefix(a.Key, "on") || a.Key == "style" {
			t.Errorf("inline %s on <%s>", a.Key, n.Data)
		}
		if a.Key == "aria-describedby" || a.Key == "aria-labelledby" {
			for id := range strings.FieldsSeq(a.Val) {
				if byID(doc, id) == nil {
					t.Errorf("%s names %s, which is not there", a.Key, id)
				}
			}
		}
	}
	_, hands := view.(page.FormPost)
	speaks := scripted(view)
	switch n.Data {
	case "html":
		if l := attr(n, "lang"); l != "en" && l != "fr" {
			t.Errorf("lang is %q", l)
		}
	case "script":
		if !hands && !speaks || attr(n, "nonce") == "" || has(n, "src") {
			t.Error("a script where there must be none")
		}
	case "style":
		if attr(n, "nonce") == "" {
			t.Error("a style without nonce")
		}
	case "link", "img", "iframe", "object", "embed":
		if address := attr(n, "href") + attr(n, "src"); !strings.HasPrefix(address, "data:") && !strings.HasPrefix(address, "/") {
			t.Errorf("foreign asset %s", address)
		}
	case "button":
		if attr(n, "type") != "submit" || words(n) == "" {
			t.Error("a button without type or words")
		}
	case "form":
		checkForm(t, n, hands)
	case "input":
		checkInput(t, doc, n)
	case "a":
		if address := attr(n, "href"); strings.HasPrefix(address, "#") && byID(doc, address[1:]) == nil {
			t.Errorf("link to %s, which is not there", address)
		}
	}
}

// scripted pages speak to an authenticator or a printer.
func scripted(view page.View) bool {
	switch v := view.(type) {
	case page.NewKey, page.Codes:
		return true
	case page.SignIn:
		return v.Passkey != ""
	case page.Prove:
		return v.Options != ""
	}
	return false
}

func checkForm(t *testing.T, form *html.Node, hands bool) {
	t.Helper()
	if attr(form, "method") != "post" {
		t.Error("a form that is not POST")
	}
	tokens := 0
	every(form, func(n *html.Node) {
		if n.Data == "input" && attr(n, "type") == "hidden" && attr(n, "name") == "csrf" && attr(n, "value") == "csrf-of-this-browser" {
			tokens++
		}
	})
	if hands != (tokens == 0) || tokens > 1 {
		t.Errorf("%d csrf fields in a form, hand-over %v", tokens, hands)
	}
}

func checkInput(t *testing.T, doc, input *html.Node) {
	t.Helper()
	kind := attr(input, "type")
	if kind == "hidden" {
		return
	}
	labelled := attr(input, "aria-label") != ""
	every(doc, func(n *html.Node) {
		labelled = labelled || n.Data == "label" && attr(n, "for") == attr(input, "id") && words(n) != ""
	})
	if !labelled {
		t.Errorf("no label for %s", attr(input, "id"))
	}
	want := map[string]string{
		"username": "username", "email": "email", "password": "current-password", "current_password": "current-password",
		"new_password": "new-password", "new_password_again": "new-password", "user_code": "off", "factor_name": "off", "new_code": "one-time-code",
		"code": "one-time-code", "recovery_code": "off",
	}[attr(input, "name")]
	if got := strings.TrimSuffix(attr(input, "autocomplete"), " webauthn"); got != want || want == "" {
		t.Errorf("autocomplete of %s is %q", attr(input, "name"), attr(input, "autocomplete"))
	}
	if kind == "password" && attr(input, "value") != "" {
		t.Error("a password came back")
	}
	if has(input, "aria-invalid") && !strings.Contains(attr(input, "aria-describedby"), "-error") {
		t.Error("a faulty field does not say what is wrong")
	}
}

func TestPagesCarryTheIDsThatSuitesFillIn(t *testing.T) {
	p, views := pages(t), samples()
	for name, ids := range map[string][]string{
		"signin":  {"username", "password", "login-submit"},
		"consent": {"consent-allow", "consent-deny"},
		"logout":  {"logout-yes", "logout-no"},
		"error":   {"error-page", "error-code", "error-trace"},
	} {
		_, doc, _ := show(t, p, views[name], "en")
		for _, id := range ids {
			if byID(doc, id) == nil {
				t.Errorf("%s lacks #%s", name, id)
			}
		}
	}
	_, doc, _ := show(t, p, views["error"], "en")
	if !strings.Contains(words(byID(doc, "error-page")), "invalid_request") {
		t.Error("the error page does not show the code")
	}
}

func TestFocusGoesWhereTheHandsAreNeeded(t *testing.T) {
	p, views := pages(t), samples()
	for name, id := range map[string]string{
		"signin": "username", "signin-hint": "password", "signin-wrong": "password", "signin-again": "password",
		"signup": "username", "signup-weak": "new-password", "reset": "new-password", "forgot": "email",
		"account": "", "account-wrong": "current-password", "consent": "", "verifymail": "verify-submit",
	} {
		_, doc, _ := show(t, p, views[name], "en")
		var focus []string
		every(doc, func(n *html.Node) {
			if has(n, "autofocus") {
				focus = append(focus, attr(n, "id"))
			}
		})
		if strings.Join(focus, " ") != id {
			t.Errorf("%s: focus on %q, want %q", name, focus, id)
		}
	}
}

func TestAFormWithoutCSRFTokenIsNotRendered(t *testing.T) {
	p := pages(t)
	w := httptest.NewRecorder()
	err := p.Render(w, httptest.NewRequest(http.MethodGet, "/", nil), http.StatusOK, page.SignIn{Password: true})
	if err == nil || w.Body.Len() > 0 || len(w.Header()) > 0 {
		t.Errorf("err %v, %d bytes, headers %v: a fault must write nothing", err, w.Body.Len(), w.Header())
	}
	for _, target := range []string{"javascript:alert(1)", "com.bank.app:/cb", "", "//evil.example"} {
		if p.Render(w, httptest.NewRequest(http.MethodGet, "/", nil), http.StatusOK, page.FormPost{Action: target}) == nil {
			t.Errorf("form_post to %q was rendered", target)
		}
	}
}

func TestOnlyWhatWentWellHasATick(t *testing.T) {
	for note, tick := range map[page.Note]bool{page.NoteMailVerified: true, page.NoteLinkSpent: false, page.NoteDenied: false} {
		_, doc, _ := show(t, pages(t), page.Message{Note: note}, "en")
		found := false
		every(doc, func(n *html.Node) { found = found || attr(n, "class") == "seal" })
		if found != tick {
			t.Errorf("%s: tick %v", note, found)
		}
	}
}

func TestViewsMayBePointers(t *testing.T) {
	view := samples()["formpost"].(page.FormPost)
	res, _, _ := show(t, pages(t), &view, "en")
	if !strings.Contains(res.Header.Get("Content-Security-Policy"), "form-action 'self' https://budget.example;") {
		t.Error(res.Header.Get("Content-Security-Policy"))
	}
	_, doc, _ := show(t, pages(t), &page.Error{Code: "access_denied"}, "en")
	if !strings.Contains(words(doc), "Access was not given") {
		t.Error(words(doc))
	}
}

func FuzzR27FormPostValuesArriveAsTheyWere(f *testing.F) {
	for _, seed := range []string{`"><svg onload=alert(1)>`, `'"&<>`, "</form><script>", "a+b%20c", "\u202e\u0000", "ſtate", "`${x}`", "&quot;&#34;"} {
		f.Add("state", seed)
	}
	f.Add("submit", "x")
	p := pages(f)
	f.Fuzz(func(t *testing.T, name, value string) {
		_, doc, _ := show(t, p, page.FormPost{Action: "https://c.example/cb", Values: url.Values{name: {value}}}, "en")
		found := 0
		every(doc, func(n *html.Node) {
			if n.Data == "input" {
				found++
				if attr(n, "type") != "hidden" || attr(n, "name") != survivor(name) || attr(n, "value") != survivor(value) {
					t.Errorf("%q=%q arrived as %q=%q", name, value, attr(n, "name"), attr(n, "value"))
				}
			}
			if n.Data == "svg" && has(n, "onload") || n.Data == "script" && n.FirstChild.Data != `HTMLFormElement.prototype.submit.call(document.getElementById("hand-over"))` {
				t.Error("something runs that is not ours")
			}
		})
		if found != 1 {
			t.Errorf("%d inputs", found)
		}
	})
}

// survivor is what HTML can carry of a text: it has one kind of line break and no NUL.
func survivor(text string) string {
	text = strings.ReplaceAll(text, "\x00", "\ufffd")
	return strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
}

// TestTheCompanysWordsStandInTheLanguageOfThePage: where they have none for it, in English.
func TestTheCompanysWordsStandInTheLanguageOfThePage(t *testing.T) {
	both, english := map[string]string{"en": "Call us.", "fr": "Appelez-nous."}, map[string]string{"en": "Not today."}
	for accept, want := range map[string]string{
		"":             "Call us. Not today.",
		"fr-CA, en":    "Appelez-nous. Not today.",
		"de, pt;q=0.5": "Call us. Not today.",
	} {
		_, doc, _ := show(t, pages(t), page.Refused{Why: []map[string]string{both, english}}, accept)
		every(doc, func(n *html.Node) {
			if attr(n, "id") == "refused-why" {
				if got := strings.Join(strings.Fields(inside(n)), " "); got != want {
					t.Errorf("%q reads %q, want %q", accept, got, want)
				}
			}
		})
	}
}

// inside is all text below n.
func inside(n *html.Node) string {
	var text strings.Builder
	for below := range n.Descendants() {
		if below.Type == html.TextNode {
			text.WriteString(below.Data)
		}
	}
	return text.String()
}
