package iam

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/norm"
)

// ErrName says that a text can be no username and no e-mail address.
var ErrName = errors.New("this can be no name here")

// MaxName is the most bytes that a username or an e-mail address may have (RFC 5321 section 4.5.3.1.3).
const MaxName = 254

// Canonical gives the one form under which a username or an e-mail address is kept and looked up: NFKC, then the
// UsernameCaseMapped profile of PRECIS (RFC 8265 section 3.3), so that width, case and composition make no second name.
// What holds spaces, controls, two scripts that imitate each other, or more than one @ is ErrName. The canonical form of
// a canonical form is itself.
func Canonical(name string) (string, error) {
	if len(name) > 4*MaxName || !utf8.ValidString(name) {
		return "", ErrName
	}
	plain, err := folded(strings.Trim(name, " \t\r\n"))
	if err != nil {
		return "", err
	}
	// Folding may compose what folds anew; a name that does not come to rest could be kept under two forms.
	if again, err := folded(plain); err != nil || again != plain {
		return "", ErrName
	}
	if plain == "" || len(plain) > MaxName || strings.Count(plain, "@") > 1 || disguised(plain) {
		return "", ErrName
	}
	return plain, nil
}

// CanonicalEmail is Canonical for what must be an e-mail address: one @ with something before it and a dotted host
// after it, and nothing that would end an address in a mail's header.
func CanonicalEmail(address string) (string, error) {
	plain, err := Canonical(address)
	if err != nil {
		return "", err
	}
	local, host, found := strings.Cut(plain, "@")
	if !found || local == "" || len(local) > 64 || strings.ContainsAny(plain, `<>()[],;:\"`) ||
		strings.HasPrefix(local, ".") || strings.HasSuffix(local, ".") || strings.Contains(local, "..") {
		return "", ErrName
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") || !hostLabel(label) {
			return "", ErrName
		}
	}
	if !strings.Contains(host, ".") {
		return "", ErrName
	}
	return plain, nil
}

func hostLabel(label string) bool {
	for _, c := range label {
		if c < utf8.RuneSelf && (c < '0' || c > '9') && (c < 'a' || c > 'z') && c != '-' {
			return false
		}
	}
	return true
}

func folded(name string) (string, error) {
	plain, err := precis.UsernameCaseMapped.String(norm.NFKC.String(name))
	if err != nil {
		return "", ErrName
	}
	// A dot over a letter that has one already can't be seen: the Turkish capital of "admin" would be a second admin.
	if strings.Contains(plain, "i\u0307") || strings.Contains(plain, "j\u0307") {
		return "", ErrName
	}
	return plain, nil
}

// disguised tells whether a part of the name mixes scripts that imitate one another. The part before the @ and each label
// of a host are judged alone: a Cyrillic name at a Latin host is honest.
func disguised(name string) bool {
	local, host, _ := strings.Cut(name, "@")
	if mixed(local) {
		return true
	}
	for label := range strings.SplitSeq(host, ".") {
		if mixed(label) {
			return true
		}
	}
	return false
}

// together are the scripts that people do write side by side (UTS 39 section 5.2, highly restrictive).
func together() [][]string {
	return [][]string{
		{"Latin", "Han", "Hiragana", "Katakana"},
		{"Latin", "Han", "Bopomofo"},
		{"Latin", "Han", "Hangul"},
	}
}

func mixed(text string) bool {
	seen := map[string]bool{}
	for _, c := range text {
		if script := scriptOf(c); script != "" {
			seen[script] = true
		}
	}
	if len(seen) <= 1 {
		return false
	}
	for _, allowed := range together() {
		if within(seen, allowed) {
			return false
		}
	}
	return true
}

func within(seen map[string]bool, allowed []string) bool {
	found := 0
	for _, script := range allowed {
		if seen[script] {
			found++
		}
	}
	return found == len(seen)
}

// scriptOf names the script of a character, or "" for those that go with any.
func scriptOf(c rune) string {
	switch {
	case 'a' <= c && c <= 'z':
		return "Latin"
	case c < utf8.RuneSelf, unicode.Is(unicode.Common, c), unicode.Is(unicode.Inherited, c):
		return ""
	}
	for name, table := range unicode.Scripts {
		if unicode.Is(table, c) {
			return name
		}
	}
	return "unknown"
}
