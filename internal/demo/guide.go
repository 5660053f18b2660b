package demo

import (
	"cmp"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// Tour is what Guide tells of.
type Tour struct {
	Site   Site
	People []Person // with their passwords; without one, the password is said to be the one of the first start
	Dir    string   // where the data is

	Program string // how this program is called from the reader's folder; empty: garde
	Colour  bool   // whether the writer is a terminal
}

// Guide tells somebody who has just started the demonstration where to go, who can sign in and what to try.
func Guide(w io.Writer, t Tour) error {
	p := painter(t.Colour)
	var b strings.Builder
	fmt.Fprintf(&b, "\n  %s  a small bank, protected by Garde\n", p.bold("Rive"))
	section(&b, p, "Where to go", [][2]string{
		{"the bank", p.link(t.Site.Bank)},
		{"Budget", p.link(t.Site.Budget) + p.dim("  another company, which you may show your balances")},
		{"the Server", p.link(t.Site.Issuer)},
		{"the Gate", p.link(t.Site.Gate)},
		{"discovery", p.link(t.Site.Issuer + "/.well-known/openid-configuration")},
	})
	people := make([][2]string, 0, len(t.People))
	for _, person := range t.People {
		password := p.bold(person.Password)
		if person.Password == "" {
			password = p.dim("the password of the first start")
		}
		people = append(people, [2]string{person.Username, password})
	}
	if len(people) == 0 {
		people = [][2]string{{"see", filepath.Join(t.Dir, "people.yaml")}}
	}
	section(&b, p, "Who can sign in", people)
	section(&b, p, "What to try in the browser", [][2]string{
		{"1", "sign in, and see the balance that came through the Gate"},
		{"2", "move money: the Gate says what is missing, and you can allow it"},
		{"3", "pay somebody outside: adding them asks for a passkey, and you read what exactly you allow"},
		{"4", "move 25 five times, then 2000: unusual for you, so more is asked"},
		{"5", "open " + p.link(t.Site.Bank+"/decisions") + ": each decision and why; be in Tokyo with a new phone"},
		{"6", "open " + p.link(t.Site.Bank+"/try") + ": ten calls, most of them wrong"},
		{"7", "connect " + p.link(t.Site.Budget) + " to your accounts, then let somebody steal its token"},
	})
	command, steal, apps := command(t.Program, "cli", t.Site), command(t.Program, "steal", t.Site), command(t.Program, "apps", t.Site)
	if t.Dir != DefaultData {
		steal += " --data " + t.Dir
	}
	gate := t.Site.Gate
	section(&b, p, "What to try in a second terminal", [][2]string{
		{"sign in, see the same", p.code(command)},
		{"anyone may ask this", p.code("curl -i " + gate + "/rates")},
		{"no token", p.code("curl -i " + gate + "/balance")},
		{"a wrong token", p.code("curl -i -H 'Authorization: Bearer nonsense' " + gate + "/balance")},
		{"Budget's token, stolen", p.code(steal)},
		{"two apps, one sign-in", p.code(apps)},
		{"a missing scope", p.code(`curl -i -H "Authorization: Bearer $(` + command + ` token)" -d '{}' ` + gate + "/transfers")},
		{"an expired token", p.code("T=$("+command+" token); sleep 130") + p.dim("  # tokens live two minutes")},
		{"", p.code(`curl -i -H "Authorization: Bearer $T" ` + gate + "/balance")},
	})
	fmt.Fprintf(&b, "\n  The data is in %s. Ctrl-C stops everything; the next start finds it again.\n\n", t.Dir)
	_, err := io.WriteString(w, b.String())
	return err
}

// command is the line that starts a command of the demonstration for a site.
func command(program, verb string, site Site) string {
	line := cmp.Or(program, "garde") + " demo " + verb
	if site.IssuerListen != DefaultListen {
		line += " --at " + site.IssuerListen
	}
	return line
}

// section writes a title and its rows, the second column aligned.
func section(b *strings.Builder, p painter, title string, rows [][2]string) {
	width := 0
	for _, row := range rows {
		width = max(width, utf8.RuneCountInString(row[0]))
	}
	fmt.Fprintf(b, "\n  %s\n", p.dim(title))
	for _, row := range rows {
		fmt.Fprintf(b, "    %-*s  %s\n", width, row[0], row[1])
	}
}

// painter colours for a terminal, or leaves texts as they are.
type painter bool

func (p painter) bold(s string) string { return p.paint("1", s) }
func (p painter) dim(s string) string  { return p.paint("2", s) }
func (p painter) link(s string) string { return p.paint("4", s) }
func (p painter) good(s string) string { return p.paint("32", s) }
func (p painter) bad(s string) string  { return p.paint("31", s) }
func (p painter) code(s string) string { return p.paint("36", s) }

func (p painter) paint(code, s string) string {
	if !p {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}
