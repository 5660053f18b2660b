package password

import (
	"bufio"
	"bytes"
	"compress/gzip"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// common is a sorted list of passwords that people choose, made by the rules in the listing folder beside this file.
//
//go:generate go run ./listing
//go:embed common.txt.gz
var common []byte

// What Policy says of a password that must not be taken.
var (
	ErrCommon   = errors.New("the password is one of those that are tried first")
	ErrBreached = errors.New("the password is on the recipe's own list of those that are refused (signin.password_list)")
	ErrPersonal = errors.New("the password is made of a name that others know")
)

// Policy judges new passwords. The zero value knows the list that is built in.
type Policy struct {
	Breached *List  // the operator's own list; nil for none
	Company  string // its name may not be the heart of a password
}

// Check says what is wrong with a new password: what Prepare finds; that it is common, breached, or built around one of
// the names that others know of this user: login name, e-mail address, given name, company. It asks nobody outside.
func (p Policy) Check(password string, names ...string) error {
	plain, err := Prepare(password)
	if err != nil {
		return err
	}
	if personal(plain, append(slices.Clone(names), p.Company)) {
		return ErrPersonal
	}
	if uniform(plain) || dated(plain) {
		return ErrCommon
	}
	found, err := listed(guesses(plain))
	if err != nil {
		return fmt.Errorf("read the list of common passwords: %w", err)
	}
	if found {
		return ErrCommon
	}
	if p.Breached == nil {
		return nil
	}
	if found, err = p.Breached.Has(plain); err != nil {
		return fmt.Errorf("read the list of breached passwords: %w", err)
	}
	if found {
		return ErrBreached
	}
	return nil
}

// listed tells whether one of the words is in the built-in list. The list is unpacked as it is read: it is needed when
// somebody sets a password, and need not stay in memory for that.
func listed(words map[string]bool) (bool, error) {
	reader, err := gzip.NewReader(bytes.NewReader(common))
	if err != nil {
		return false, err
	}
	lines := bufio.NewScanner(reader)
	for lines.Scan() {
		if words[string(lines.Bytes())] {
			return true, nil
		}
	}
	return false, lines.Err()
}

// guesses gives the plain forms that a guesser tries before password: lower case, digits and signs read as the letters
// that they stand for, and without a short tail or head of digits and signs.
func guesses(password string) map[string]bool {
	lower := strings.ToLower(password)
	forms := map[string]bool{}
	for _, word := range []string{lower, trim(lower)} {
		forms[word] = true
		forms[trim(unleet(word))] = true
	}
	return forms
}

// maxTail is how many digits and signs around a common word do not make it a new one.
const maxTail = 6

// trim drops at most maxTail characters that are not letters from each end.
func trim(word string) string {
	for range maxTail {
		last, size := utf8.DecodeLastRuneInString(word)
		if size == 0 || unicode.IsLetter(last) {
			break
		}
		word = word[:len(word)-size]
	}
	for range maxTail {
		first, size := utf8.DecodeRuneInString(word)
		if size == 0 || unicode.IsLetter(first) {
			break
		}
		word = word[size:]
	}
	return word
}

func unleet(word string) string {
	return strings.NewReplacer("0", "o", "1", "i", "3", "e", "4", "a", "5", "s", "7", "t", "8", "b",
		"@", "a", "$", "s", "!", "i", "|", "l", "+", "t", "€", "e").Replace(word)
}

// uniform tells a password of one or two characters repeated, or one that is a shorter piece again and again, or a run
// such as abcdefgh or 87654321.
func uniform(password string) bool {
	runes := []rune(strings.ToLower(password))
	different := map[rune]bool{}
	step, run := runes[1]-runes[0], true
	for i, c := range runes {
		different[c] = true
		run = run && (i == 0 || c-runes[i-1] == step)
	}
	if run || len(different) <= 2 {
		return true
	}
	for size := 1; size <= min(4, len(runes)/2); size++ {
		repeats := true
		for i := size; i < len(runes) && repeats; i++ {
			repeats = runes[i] == runes[i-size]
		}
		if repeats {
			return true
		}
	}
	return false
}

// dated tells a day of living memory written in eight digits.
func dated(password string) bool {
	for _, order := range []string{"02012006", "01022006", "20060102"} {
		if day, err := time.Parse(order, password); err == nil && day.Year() >= 1900 && day.Year() < 2100 {
			return true
		}
	}
	return false
}

const (
	minName  = 3 // letters that a whole name must have to count
	minWord  = 4 // letters that a word of a name must have: "com" is nobody's
	maxExtra = 4 // letters around a name that do not make it a password
)

// personal tells whether nothing but digits, signs and a few letters stand around one of the names.
func personal(password string, names []string) bool {
	lower := letters(strings.ToLower(password))
	plain := letters(unleet(strings.ToLower(password)))
	for _, name := range names {
		for _, part := range parts(name) {
			for _, form := range []string{lower, plain} {
				if rest := strings.ReplaceAll(form, part, ""); rest != form && utf8.RuneCountInString(rest) <= maxExtra {
					return true
				}
			}
		}
	}
	return false
}

// parts gives a name and each of its words, and for an address what stands before and after the @, in letters only.
func parts(name string) []string {
	name = strings.ToLower(name)
	local, domain, _ := strings.Cut(name, "@")
	var all []string
	for _, whole := range []string{letters(name), letters(local), letters(domain)} {
		if utf8.RuneCountInString(whole) >= minName {
			all = append(all, whole)
		}
	}
	for word := range strings.FieldsFuncSeq(name, func(c rune) bool { return !unicode.IsLetter(c) }) {
		if utf8.RuneCountInString(word) >= minWord {
			all = append(all, word)
		}
	}
	return all
}

func letters(text string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsLetter(c) {
			return c
		}
		return -1
	}, text)
}
