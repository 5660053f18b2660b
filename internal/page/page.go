// Package page makes everything a person sees of Garde: the sign-in, consent,
// account, logout and error pages, the form_post hand-over, and the mails. It
// holds templates, the catalogues of each language, the theme, and the security
// headers that a page carries. It knows no store, no session and no route: a
// handler fills a view and calls Render.
//
// Every page works without script, carries no foreign asset, and has the HTML
// ids that conformance suites fill in.
package page

import (
	"bytes"
	"crypto/rand"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
)

//go:embed templates/*.html catalogue/*.json style.css
var files embed.FS

// Pages renders views and mails in the theme of one company. It is safe for use
// by many goroutines.
type Pages struct {
	theme    Theme
	css      template.CSS
	logo     template.URL
	palette  palette
	tongues  *tongues
	compiled map[string]*template.Template // by language
}

// New checks the theme (all faults at once), reads the catalogues and compiles
// every template, so that nothing can fail later for want of a file or a key.
func New(theme Theme) (*Pages, error) {
	light, dark, err := theme.palettes()
	if err != nil {
		return nil, fmt.Errorf("theme: %w", err)
	}
	sheet, err := files.ReadFile("style.css")
	if err != nil {
		return nil, fmt.Errorf("read the stylesheet: %w", err)
	}
	tongues, err := readTongues()
	if err != nil {
		return nil, err
	}
	p := &Pages{
		theme:    theme,
		css:      template.CSS(stylesheet(light, dark, string(sheet))), //nolint:gosec // our own file and checked colours
		logo:     picture(theme.Logo, true),
		palette:  light,
		tongues:  tongues,
		compiled: map[string]*template.Template{},
	}
	for lang, words := range tongues.words {
		set, err := template.New(lang).Funcs(words.funcs()).ParseFS(files, "templates/*.html")
		if err != nil {
			return nil, fmt.Errorf("compile the pages in %s: %w", lang, err)
		}
		p.compiled[lang] = set
	}
	return p, nil
}

// View is one page filled with values. Only the structs of this package are
// views; each documents its fields and what its forms post.
type View interface {
	name() string
	shared() Common
}

// Common is part of every view.
type Common struct {
	// Locales are the languages wished for, best first: the ui_locales parameter
	// (OpenID Connect Core section 3.1.2.1) or the person's own choice. Without
	// one that we speak, Accept-Language decides, then English.
	Locales []string
	// CSRF is posted back as "csrf" by every form. A page with a form that posts
	// to us is not rendered without it.
	CSRF string
	// Trace is the id under which `garde explain` tells more.
	Trace string
	// Nonce is the CSP nonce; one is made when it is empty.
	Nonce string
	// FormTarget is the validated redirect URI (or its origin) that the answer to
	// this page's form may lead to, over however many redirects: browsers apply
	// form-action to each of them. So the sign-in page needs it like consent does.
	FormTarget string
	// Problems are what was wrong with the last try, in the order of the fields.
	Problems []Problem
	// MinPassword is the least length that new passwords must have; 0 means 8.
	MinPassword int
}

func (c Common) shared() Common { return c }

// frame is what a template sees.
type frame struct {
	Common
	V       View
	Page    string
	Wide    bool // the pages of an account, of lists
	Lang    string
	Refresh int // seconds after which the browser asks again; 0: never
	Title   string
	Name    string
	Logo    template.URL
	CSS     template.CSS
}

// Render answers with the page in the person's language and with its headers.
// It renders to memory first: when it returns an error nothing was written, and
// the caller still owes the answer.
func (p *Pages) Render(w http.ResponseWriter, r *http.Request, status int, view View) error {
	common := view.shared()
	if common.Nonce == "" {
		common.Nonce = rand.Text()
	}
	lang := p.tongues.choose(common.Locales, r.Header.Get("Accept-Language"))
	f := frame{
		Common: common, V: view, Page: view.name(), Lang: lang,
		Name: p.theme.Name, Logo: p.logo, CSS: p.css,
	}
	_, f.Wide = view.(interface{ wide() })
	if again, ok := view.(interface{ refresh() int }); ok {
		f.Refresh = again.refresh()
	}
	f.Title = p.tongues.words[lang].title(view)
	var body bytes.Buffer
	if err := p.compiled[lang].ExecuteTemplate(&body, f.Page, f); err != nil {
		return fmt.Errorf("render the page %s: %w", f.Page, err)
	}
	headers(w.Header(), lang, policy(view, common))
	if _, ok := view.(interface{ frameable() }); ok { // the policy says who may frame it, and it is meant for other sites
		w.Header().Del("X-Frame-Options")
		w.Header().Set("Cross-Origin-Resource-Policy", "cross-origin")
		w.Header().Del("Cross-Origin-Opener-Policy")
	}
	w.Header().Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(status)
	// A write that fails means that the browser has gone: there is nobody to tell.
	_, _ = w.Write(body.Bytes())
	return nil
}
