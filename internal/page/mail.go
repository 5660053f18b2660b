package page

import (
	"bytes"
	"errors"
	"fmt"
	"html/template"
	"net/url"
	"slices"
	"strings"
	"time"
)

// MailKind names a mail.
type MailKind string

// The mails that Garde sends.
const (
	MailVerify  MailKind = "verify"  // confirm an address; needs Link and Expires
	MailReset   MailKind = "reset"   // set a new password; needs Link and Expires
	MailEnrol   MailKind = "enrol"   // open an account; needs Link and Expires
	MailChanged MailKind = "changed" // the password was changed; needs When

	MailFactorAdded   MailKind = "factor_added" // these need When as well
	MailFactorRemoved MailKind = "factor_removed"
	MailCodesMade     MailKind = "codes_made"
)

// MailData is what a mail tells. Link is ours, made from the configured public
// URL, never from a request's Host.
type MailData struct {
	Username      string
	Link          string
	Code          string // to be typed where it was asked for
	Expires, When time.Time
	Device, Place string
}

// mail is what its template sees.
type mail struct {
	MailData
	Kind, Lang, Title, Name string
	Colours                 map[string]template.CSS
}

// Mail writes a mail in the best language for locale: one line of subject, and
// the same content as text and as HTML without any picture or foreign address.
func (p *Pages) Mail(kind MailKind, locale string, data MailData) (subject, text, html string, err error) {
	lang := p.tongues.choose([]string{locale}, "")
	words := p.tongues.words[lang]
	key := "mail." + string(kind)
	if _, ok := words.entries[key+".subject"]; !ok {
		return "", "", "", fmt.Errorf("no such mail: %s", kind)
	}
	if (data.Code != "") != (kind == MailCode) {
		return "", "", "", fmt.Errorf("write the mail %s: a code stands in the mail of codes, and in no other", kind)
	}
	data.Username, data.Device, data.Place = clean(data.Username), clean(data.Device), clean(data.Place)
	if err := data.check(kind); err != nil {
		return "", "", "", fmt.Errorf("write the mail %s: %w", kind, err)
	}
	m := mail{
		MailData: data, Kind: string(kind), Lang: lang, Name: p.theme.Name,
		Title: words.text(key+".title", "name", p.theme.Name), Colours: p.palette.inline(),
	}
	var out bytes.Buffer
	if err := p.compiled[lang].ExecuteTemplate(&out, "mail", m); err != nil {
		return "", "", "", fmt.Errorf("write the mail %s: %w", kind, err)
	}
	return words.text(key+".subject", "name", p.theme.Name), words.plain(m), out.String(), nil
}

// told are the mails that only tell what was done.
var told = []MailKind{MailChanged, MailFactorAdded, MailFactorRemoved, MailCodesMade, MailNewDevice}

// check finds what a caller forgot before a person reads it.
func (d MailData) check(kind MailKind) error {
	if d.Username == "" {
		return errors.New("it greets nobody")
	}
	if slices.Contains(told, kind) {
		if d.Link != "" || d.When.IsZero() {
			return errors.New("it tells when, and has no link")
		}
		return nil
	}
	u, err := url.Parse(d.Link)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || d.Expires.IsZero() {
		return errors.New("it needs a web link and when it expires")
	}
	return nil
}

// plain is the mail as text.
func (w words) plain(m mail) string {
	key := "mail." + m.Kind
	lines := []string{w.text("mail.greeting", "username", m.Username), w.text(key+".text", "name", m.Name)}
	if m.Code != "" {
		lines = append(lines, m.Code)
	}
	if m.Link != "" {
		lines = append(lines, m.Link)
	}
	if !m.Expires.IsZero() {
		lines = append(lines, w.text("mail.expires", "when", w.moment(m.Expires)))
	}
	if !m.When.IsZero() {
		lines = append(lines, w.circumstances(m))
	}
	lines = append(lines, w.text(key+".ignore"), w.text("mail.signature", "name", m.Name))
	return strings.Join(lines, "\n\n") + "\n"
}

// circumstances tells when, and as far as known with what and where.
func (w words) circumstances(m mail) string {
	facts := []string{w.text("mail.when", "when", w.moment(m.When))}
	if m.Device != "" {
		facts = append(facts, w.text("mail.device", "device", m.Device))
	}
	if m.Place != "" {
		facts = append(facts, w.text("mail.place", "place", m.Place))
	}
	return strings.Join(facts, "\n")
}

// inline gives the light colours for style attributes: mail programs drop sheets.
func (p palette) inline() map[string]template.CSS {
	css := func(c rgb) template.CSS { return template.CSS(c.String()) } //nolint:gosec // a checked colour
	return map[string]template.CSS{
		"accent": css(p.accent), "onAccent": css(p.onAccent), "ground": css(p.ground), "surface": css(p.surface),
		"ink": css(p.ink), "muted": css(p.muted), "line": css(p.line),
	}
}
