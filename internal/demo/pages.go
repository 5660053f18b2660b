package demo

import (
	"bytes"
	"crypto/rand"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

//go:embed pages words files/style.css files/*.svg
var assets embed.FS

// pages are the bank's templates and its words in each language. They never change once read.
type pages struct {
	words     map[string]map[string]string
	templates map[string]*template.Template // by language
	style     []byte
}

// readPages reads what is embedded; a fault in it is one of this program.
func readPages() (*pages, error) {
	p := &pages{words: map[string]map[string]string{}, templates: map[string]*template.Template{}}
	for _, lang := range []string{"en", "fr"} {
		text, err := assets.ReadFile("words/" + lang + ".json")
		if err != nil {
			return nil, fmt.Errorf("read the words of the bank: %w", err)
		}
		var words map[string]string
		if err := json.Unmarshal(text, &words); err != nil {
			return nil, fmt.Errorf("read the words of the bank in %s: %w", lang, err)
		}
		p.words[lang] = words
		parsed, err := template.New("").Funcs(p.functions(lang)).ParseFS(assets, "pages/*.html")
		if err != nil {
			return nil, fmt.Errorf("read the pages of the bank: %w", err)
		}
		p.templates[lang] = parsed
	}
	var err error
	p.style, err = fs.ReadFile(assets, "files/style.css")
	return p, err
}

func (p *pages) functions(lang string) template.FuncMap {
	return template.FuncMap{
		"t":     func(key string, pairs ...string) string { return p.text(lang, key, pairs...) },
		"money": func(cents int64) string { return money(lang, cents) },
		"day":   func(day string) string { return p.day(lang, day) },
		"level": func(acr string) string { return p.level(lang, acr) },
		"span":  func(seconds int64) string { return p.span(lang, time.Duration(seconds)*time.Second) },
		"after": func(i int) int { return i + 1 },
		"host":  func(address string) string { return strings.TrimPrefix(address, "http://") },
	}
}

// text is the sentence of a key, with {name} filled in from pairs. A key without words shows as itself.
func (p *pages) text(lang, key string, pairs ...string) string {
	text, ok := p.words[lang][key]
	if !ok {
		return key
	}
	swaps := make([]string, len(pairs))
	for i := range pairs {
		swaps[i] = pairs[i]
		if i%2 == 0 {
			swaps[i] = "{" + pairs[i] + "}"
		}
	}
	return strings.NewReplacer(swaps...).Replace(text)
}

// frame is what every page has.
type frame struct {
	House         string // whose page it is
	Enter, Inside string // where a visit begins, and where a visitor is at home
	Lang, Other   string // the page's language, and the one that it offers
	Path          string // this page, for the language switch
	Title         string
	Person        string // who is signed in, if anybody
	SignedIn      bool
	CSRF          string
	Command       string
	Site
	Page any
}

// show writes a page with the headers that every page of the bank carries.
func (p *pages) show(w http.ResponseWriter, status int, name string, f frame) {
	var body bytes.Buffer
	if err := p.templates[f.Lang].ExecuteTemplate(&body, name, f); err != nil {
		w.Header().Del("Content-Type")
		http.Error(w, "this page can't be shown", http.StatusInternalServerError)
		return
	}
	headers(w.Header(), f.Issuer)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Language", f.Lang)
	w.WriteHeader(status)
	w.Write(body.Bytes())
}

// small shows a page of one sentence, complete in itself: whoever serves it may be gone a moment later.
func (p *pages) small(w http.ResponseWriter, status int, lang, key string) {
	var body bytes.Buffer
	nonce := rand.Text()
	err := p.templates[lang].ExecuteTemplate(&body, "small.html", map[string]any{
		"Nonce": nonce,
		"Lang":  lang, "Title": p.text(lang, key+".title"), "Text": p.text(lang, key+".text"), "Good": status == http.StatusOK,
		"Style": template.CSS(p.style), //nolint:gosec // our own file
	})
	if err != nil {
		http.Error(w, "this page can't be shown", http.StatusInternalServerError)
		return
	}
	headers(w.Header(), "")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'nonce-"+nonce+"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Connection", "close")
	w.WriteHeader(status)
	w.Write(body.Bytes())
}

// headers forbid script, frames and foreign assets. Forms go home, and on to the Server, since browsers hold the
// redirect that follows a form to form-action as well.
func headers(h http.Header, issuer string) {
	h.Set("Content-Security-Policy", strings.TrimSpace("default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; "+
		"frame-ancestors 'none'; form-action 'self' "+issuer))
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=()")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cache-Control", "no-store")
}

// language is the person's choice, else what the browser prefers of the two, else English.
func language(r *http.Request) string {
	if cookie, err := r.Cookie(languageCookie); err == nil && (cookie.Value == "en" || cookie.Value == "fr") {
		return cookie.Value
	}
	accept := r.Header.Get("Accept-Language")
	for wish := range strings.SplitSeq(accept[:min(len(accept), 256)], ",") {
		switch tag, _, _ := strings.Cut(strings.TrimSpace(wish), ";"); strings.ToLower(tag[:min(len(tag), 2)]) {
		case "fr":
			return "fr"
		case "en":
			return "en"
		}
	}
	return "en"
}

// money writes cents as a language does: €1,234.50 or 1 234,50 € with spaces that do not break.
func money(lang string, cents int64) string {
	group, point, before, after := ",", ".", "€", ""
	if lang == "fr" {
		group, point, before, after = "\u202f", ",", "", "\u00a0€"
	}
	sign, size := "", uint64(cents) //nolint:gosec // turned round below
	if cents < 0 {
		sign, size = "\u2212", -size
	}
	whole := strconv.FormatUint(size/100, 10)
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + group + whole[i:]
	}
	return fmt.Sprintf("%s%s%s%s%02d%s", sign, before, whole, point, size%100, after)
}

// day writes a date without its year.
func (p *pages) day(lang, day string) string {
	at, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return day
	}
	month := p.text(lang, "month."+strconv.Itoa(int(at.Month())))
	return p.text(lang, "day", "day", strconv.Itoa(at.Day()), "month", month)
}

// level is the name of a level of the bank's recipe by its acr; another acr shows as itself.
func (p *pages) level(lang, acr string) string {
	name := "level." + strings.TrimPrefix(acr, "urn:garde:loa:")
	if words := p.text(lang, name); words != name {
		return words
	}
	return acr
}

// span writes how long something still lasts, or has lasted.
func (p *pages) span(lang string, d time.Duration) string {
	d = d.Abs().Round(time.Second)
	switch {
	case d < 2*time.Minute:
		return p.text(lang, "span.seconds", "n", strconv.Itoa(int(d/time.Second)))
	case d < 2*time.Hour:
		return p.text(lang, "span.minutes", "n", strconv.Itoa(int(d/time.Minute)))
	}
	return p.text(lang, "span.hours", "n", strconv.Itoa(int(d/time.Hour)))
}

// shelf reads the pages once for the life of its owner.
type shelf struct {
	once  sync.Once
	pages *pages
	err   error
}

func (s *shelf) read() (*pages, error) {
	s.once.Do(func() { s.pages, s.err = readPages() })
	return s.pages, s.err
}
