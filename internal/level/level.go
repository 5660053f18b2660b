// Package level is the ladder of assurance: how surely somebody is who they say, as the acr value that a token carries.
// It knows no factor, no user and no policy; assurance decides who stands on which rung.
package level

import (
	"errors"
	"fmt"
)

// Level is one rung.
type Level struct {
	Name string // the recipe's word, such as "strong"
	ACR  string // what tokens and requests carry (OpenID Connect Core section 2)
}

// Ladder lists the levels, weakest first. The zero value satisfies nothing.
type Ladder []Level

// Check tells what keeps l from being a ladder: an empty or doubled name or acr.
func (l Ladder) Check() error {
	if len(l) == 0 {
		return errors.New("there is no level")
	}
	names, acrs := map[string]bool{}, map[string]bool{}
	for _, each := range l {
		if each.Name == "" || each.ACR == "" {
			return errors.New("a level needs a name and an acr")
		}
		if names[each.Name] || acrs[each.ACR] {
			return fmt.Errorf("the level %q, or its acr, stands twice", each.Name)
		}
		names[each.Name], acrs[each.ACR] = true, true
	}
	return nil
}

// Satisfied tells whether the acr value have reaches at least need. A value that is not on the ladder reaches nothing and
// is reached by nothing, so an empty or unknown acr never counts as enough.
func (l Ladder) Satisfied(need, have string) bool {
	want, got := l.rung(need), l.rung(have)
	return want >= 0 && got >= want
}

// rung is the height of an acr value, -1 if it is not on the ladder.
func (l Ladder) rung(acr string) int {
	if acr == "" {
		return -1
	}
	for i, each := range l {
		if each.ACR == acr {
			return i
		}
	}
	return -1
}

// Named finds a level by the recipe's word.
func (l Ladder) Named(name string) (Level, bool) {
	for _, each := range l {
		if each.Name == name && name != "" {
			return each, true
		}
	}
	return Level{}, false
}

// WithACR finds a level by its acr value.
func (l Ladder) WithACR(acr string) (Level, bool) {
	if i := l.rung(acr); i >= 0 {
		return l[i], true
	}
	return Level{}, false
}

// Highest gives the stronger of two acr values of the ladder. A value off the ladder makes the result empty, which
// satisfies nothing.
func (l Ladder) Highest(a, b string) string {
	if l.rung(a) < 0 || l.rung(b) < 0 {
		return ""
	}
	if l.Satisfied(b, a) {
		return a
	}
	return b
}
