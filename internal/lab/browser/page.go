package browser

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/security"
	"github.com/chromedp/cdproto/storage"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

// patience bounds each act: a page of ours that takes longer is broken.
const patience = 20 * time.Second

// Settings are how the person sees the page. The zero value is a desk, in the light, with scripts, in English.
type Settings struct {
	Dark     bool   // prefers-color-scheme: dark
	Phone    bool   // a narrow screen with touch
	Narrow   bool   // a Phone of the smallest width that people still have
	NoScript bool   // the page's scripts don't run
	Locale   string // BCP 47, sent as Accept-Language; empty is en
	// AnyCertificate accepts the self-signed certificates of test servers.
	AnyCertificate bool
}

// Page is a tab with cookies of its own. What it can't do fails the test, with a word about what was on the page. Not
// for concurrent use.
type Page struct {
	t        testing.TB
	ctx      context.Context
	held     []webauthn.AuthenticatorID
	mu       sync.Mutex
	messages []string
}

// New opens an empty tab for a test, closed at its end.
func New(t testing.TB, s Settings) *Page {
	t.Helper()
	if testing.Short() {
		t.Skip("a browser is not for the short run")
	}
	parent, err := shared()
	need(t, err)
	ctx, cancel := chromedp.NewContext(parent, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	p := &Page{t: t, ctx: ctx}
	// The first run binds the tab to its context, which therefore has no deadline.
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("open a tab: %v", err)
	}
	messages := chromedp.Console(ctx)
	go func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			p.mu.Lock()
			p.messages = append(p.messages, m.String())
			p.mu.Unlock()
		}
	}()
	p.set(s)
	return p
}

func (p *Page) set(s Settings) {
	p.t.Helper()
	switch {
	case s.Phone && s.Narrow:
		p.do("emulate a small phone", chromedp.EmulateViewport(320, 640, chromedp.EmulateScale(2), chromedp.EmulateMobile, chromedp.EmulateTouch))
	case s.Phone:
		p.do("emulate a phone", chromedp.EmulateViewport(390, 844, chromedp.EmulateScale(2), chromedp.EmulateMobile, chromedp.EmulateTouch))
	default:
		p.do("emulate a desk", chromedp.EmulateViewport(1280, 900))
	}
	scheme := "light"
	if s.Dark {
		scheme = "dark"
	}
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
	p.call("emulate the light", func(ctx context.Context) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, media)
		return err
	})
	p.call("emulate the language", func(ctx context.Context) error {
		headers := network.Headers{"Accept-Language": "en"}
		if s.Locale != "" {
			headers["Accept-Language"] = s.Locale
		}
		_, err := chromedp.Call(ctx, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: headers})
		return err
	})
	p.call("turn scripts off", func(ctx context.Context) error {
		_, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: s.NoScript})
		return err
	})
	p.call("accept certificates", func(ctx context.Context) error {
		_, err := chromedp.Call(ctx, security.SetIgnoreCertificateErrors, security.SetIgnoreCertificateErrorsParams{Ignore: s.AnyCertificate})
		return err
	})
}

// Open goes to an address and gives the status of the page where all redirects ended.
func (p *Page) Open(url string) int {
	p.t.Helper()
	return p.navigate("open "+url, chromedp.Navigate(url))
}

// Fill replaces the text of the field with this id by typing.
func (p *Page) Fill(id, text string) {
	p.t.Helper()
	p.do("fill in "+id, chromedp.Clear(chromedp.ID(id)), chromedp.SendKeys(chromedp.ID(id), text))
}

// Click clicks the element with this id, waits for the page it leads to and gives its status.
func (p *Page) Click(id string) int {
	p.t.Helper()
	return p.navigate("click "+id, chromedp.Click(chromedp.ID(id)))
}

// Tick clicks an element that leads nowhere, as a box does.
func (p *Page) Tick(id string) {
	p.t.Helper()
	p.do("tick "+id, chromedp.Click(chromedp.ID(id)))
}

// Follow clicks the first element that a CSS selector finds, and is like Click in all else.
func (p *Page) Follow(css string) int {
	p.t.Helper()
	return p.navigate("follow "+css, chromedp.Click(chromedp.CSS(css)))
}

// Text waits for the first element that a CSS selector finds to be visible, and gives the text that a person sees there.
func (p *Page) Text(css string) string {
	p.t.Helper()
	return ask(p, "read "+css, chromedp.Text(chromedp.CSS(css)))
}

// Has tells whether the page has, now, an element that a CSS selector finds.
func (p *Page) Has(css string) bool {
	p.t.Helper()
	return len(ask(p, "look for "+css, chromedp.Nodes(chromedp.CSSAll(css), chromedp.AtLeast(0)))) > 0
}

// Attribute gives an attribute of the first element that a CSS selector finds, empty if it has none.
func (p *Page) Attribute(css, name string) string {
	p.t.Helper()
	return ask(p, "read "+name+" of "+css, chromedp.AttributeValue(chromedp.CSS(css), name)).Value
}

// Location is the address of the page, with its query and fragment.
func (p *Page) Location() string {
	p.t.Helper()
	return ask(p, "read the location", chromedp.Location())
}

// Title is the title of the page.
func (p *Page) Title() string {
	p.t.Helper()
	return ask(p, "read the title", chromedp.Title())
}

// HTML is the page as the browser has it now.
func (p *Page) HTML() string {
	p.t.Helper()
	return ask(p, "read the page", chromedp.OuterHTML(chromedp.CSS("html")))
}

// Evaluate runs an expression in the page and gives its value as JSON, whatever the page's policy for scripts says.
func (p *Page) Evaluate(expression string) string {
	p.t.Helper()
	return string(ask(p, "evaluate", chromedp.Evaluate[[]byte](expression)))
}

// Cookies gives all cookies of this tab, of every host and path, those that scripts can't see too.
func (p *Page) Cookies() []*network.Cookie {
	p.t.Helper()
	var all []*network.Cookie
	p.call("read the cookies", func(ctx context.Context) error {
		got, err := chromedp.CallBrowser(ctx, storage.GetCookies, storage.GetCookiesParams{BrowserContextID: chromedp.FromContext(ctx).BrowserContextID})
		if err == nil {
			all = got.Cookies
		}
		return err
	})
	return all
}

// Complaints are what the browser's console has said so far: refused by the content security policy, not found, thrown.
func (p *Page) Complaints() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.messages...)
}

// Screenshot writes the whole page as a PNG. An empty path does nothing, so that a test may take its pictures only
// where somebody asks for them.
func (p *Page) Screenshot(path string) {
	p.t.Helper()
	if path == "" {
		return
	}
	picture := ask(p, "take a picture", chromedp.FullScreenshot(100))
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, picture, 0o600); err != nil {
		p.t.Fatal(err)
	}
}

func (p *Page) navigate(what string, step chromedp.Action[chromedp.Void]) (status int) {
	p.t.Helper()
	p.call(what, func(ctx context.Context) error {
		got, err := chromedp.RunResponse(ctx, step)
		if err == nil && got != nil {
			status = int(got.Status)
		}
		return err
	})
	return status
}

func (p *Page) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	p.call(what, func(ctx context.Context) error { return chromedp.Do(ctx, steps...) })
}

func ask[T any](p *Page, what string, action chromedp.Action[T]) (got T) {
	p.t.Helper()
	p.call(what, func(ctx context.Context) (err error) {
		got, err = chromedp.Run(ctx, action)
		return err
	})
	return got
}

func (p *Page) call(what string, act func(context.Context) error) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := act(ctx); err != nil {
		p.t.Fatalf("%s: %v\n%s", what, err, p.scene())
	}
}

// scene says where the browser stands, for whoever reads a failure.
func (p *Page) scene() string {
	ctx, cancel := context.WithTimeout(p.ctx, 2*time.Second)
	defer cancel()
	where, err := chromedp.Run(ctx, chromedp.Location())
	if err != nil {
		return "the page can't be read: " + err.Error()
	}
	text, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS("body")))
	if err != nil {
		text = err.Error()
	}
	return fmt.Sprintf("at %s\n%s\n%s", where, text, strings.Join(p.Complaints(), "\n"))
}
