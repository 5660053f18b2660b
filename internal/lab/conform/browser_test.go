package conform_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/gardeauth/garde/internal/lab"
)

// browser is one without script, with cookies of its own. It goes nowhere but to the server.
type browser struct {
	t      testing.TB
	issuer *url.URL
	client *http.Client
}

// newBrowser opens one in which somebody is signed in, or nobody.
func newBrowser(t testing.TB, h *lab.House, person *lab.Person) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	must(t, err)
	issuer, err := url.Parse(h.Issuer)
	must(t, err)
	client := h.With(nil)
	client.Jar = jar
	if person != nil {
		name, value, _ := strings.Cut(person.Cookie, "=")
		jar.SetCookies(issuer, []*http.Cookie{{Name: name, Value: value, Path: "/", Secure: true}})
	}
	return &browser{t, issuer, client}
}

// page is where a browser stands.
type page struct {
	status int
	header http.Header
	at     *url.URL
	left   string // where the server sent it on to, outside
	body   string
}

// open goes to an address and follows the server around.
func (b *browser) open(address string) page {
	b.t.Helper()
	r, err := http.NewRequest(http.MethodGet, address, nil)
	must(b.t, err)
	return b.do(r)
}

func (b *browser) post(address string, form url.Values) page {
	b.t.Helper()
	r, err := http.NewRequest(http.MethodPost, address, strings.NewReader(form.Encode()))
	must(b.t, err)
	r.Header.Set("Content-Type", lab.FormType)
	return b.do(r)
}

func (b *browser) do(r *http.Request) page {
	b.t.Helper()
	for range 10 {
		answer, err := b.client.Do(r)
		must(b.t, err)
		body, err := io.ReadAll(answer.Body)
		must(b.t, err)
		must(b.t, answer.Body.Close())
		at := page{answer.StatusCode, answer.Header, r.URL, "", string(body)}
		location := answer.Header.Get("Location")
		if location == "" {
			return at
		}
		next, err := r.URL.Parse(location)
		must(b.t, err)
		if next.Host != b.issuer.Host {
			at.left = location
			return at
		}
		if r, err = http.NewRequest(http.MethodGet, next.String(), nil); err != nil {
			b.t.Fatal(err)
		}
	}
	b.t.Fatal("the server leads in a circle")
	return page{}
}

// form is a form of a page.
type form struct {
	action string
	fields url.Values
}

// press sends the form in which an element stands, with fields filled in.
func (b *browser) press(on page, id string, fields ...string) page {
	b.t.Helper()
	found, ok := formOf(b.t, on.body, id)
	if !ok {
		b.t.Fatalf("no %s on the page at %s: %d\n%s", id, on.at, on.status, on.body)
	}
	for i := 0; i+1 < len(fields); i += 2 {
		found.fields.Set(fields[i], fields[i+1])
	}
	to, err := on.at.Parse(found.action)
	must(b.t, err)
	return b.post(to.String(), found.fields)
}

// has tells whether an element with this id stands on the page.
func (p page) has(id string) bool { return strings.Contains(p.body, `id="`+id+`"`) }

// code is the error code that an error page shows as text.
func (p page) code() string {
	_, rest, _ := strings.Cut(p.body, `id="error-code">`)
	code, _, _ := strings.Cut(rest, "<")
	return code
}

// formOf finds the form that holds the element with an id, or is it, with what it sends when that element is pressed.
func formOf(t testing.TB, body, id string) (form, bool) {
	t.Helper()
	root, err := html.Parse(strings.NewReader(body))
	must(t, err)
	var found form
	var ok bool
	for node := range root.Descendants() {
		if node.Data != "form" {
			continue
		}
		here := form{attribute(node, "action"), url.Values{}}
		holds := attribute(node, "id") == id
		for each := range node.Descendants() {
			pressed := attribute(each, "id") == id
			holds = holds || pressed
			name := attribute(each, "name")
			if each.Data == "input" && name != "" || pressed && name != "" {
				here.fields.Add(name, attribute(each, "value"))
			}
		}
		if holds {
			found, ok = here, true
		}
	}
	return found, ok
}

func attribute(node *html.Node, name string) string {
	for _, each := range node.Attr {
		if each.Key == name {
			return each.Val
		}
	}
	return ""
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
