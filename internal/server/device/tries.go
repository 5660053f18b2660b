package device

import (
	"time"

	"github.com/gardeauth/garde/internal/limit"
)

// Budgets are what wrong codes may cost before the next try must wait. A zero rate takes the default.
type Budgets struct {
	Browser limit.Rate // one browser that nobody is signed in to: 5, then one every 2 minutes
	Network limit.Rate // all such browsers of one network: 100, then one every 5 s
	Person  limit.Rate // one person who is signed in: 5, then one every 2 minutes
	All     limit.Rate // all strangers, and again all people: 250, then one every 2 s
}

// Tries counts wrong user codes (RFC 8628 section 5.1). What a right code costs is given back, so that only guessers pay, and
// guessers must not lock out who shares their network: a network that has used up its tries is asked to sign in first, and
// whoever is signed in has tries of their own, which no neighbour can spend.
//
// A code is one of 20^8, 34 bits. What a guesser finds, of a thousand codes that wait: in one network and in the ten minutes of a
// code's life 100 + 120 tries, a chance of one in 100,000; with one code in mind, one in 10^8. With networks or accounts without
// number, the budgets of all let through one guess a second, strangers and people together: once in ten months somebody's
// device would wait for the guesser's own yes, and the page says which. For one code in mind, once in 800 years. Each node
// counts for itself: three nodes let through three guesses a second.
type Tries struct{ browser, network, person, strangers, people *limit.Limiter }

// NewTries makes the counters. A nil now means time.Now.
func NewTries(b Budgets, now func() time.Time) *Tries {
	or := func(rate limit.Rate, burst int, every time.Duration) *limit.Limiter {
		if rate == (limit.Rate{}) {
			rate = limit.Rate{Burst: burst, Every: every}
		}
		return limit.New(rate, 100_000, now)
	}
	return &Tries{
		or(b.Browser, 5, 2*time.Minute), or(b.Network, 100, 5*time.Second), or(b.Person, 5, 2*time.Minute),
		or(b.All, 250, 2*time.Second), or(b.All, 250, 2*time.Second),
	}
}

// typist is who types a code; person is empty while nobody is signed in.
type typist struct{ browser, network, person string }

// purse is one budget, and whose part of it is charged.
type purse struct {
	limit *limit.Limiter
	key   string
}

// purses are the budgets that a try is charged to, the narrowest first.
func (t *Tries) purses(by typist) []purse {
	if by.person != "" {
		return []purse{{t.person, by.person}, {t.people, ""}}
	}
	return []purse{{t.browser, by.browser}, {t.network, by.network}, {t.strangers, ""}}
}

// allow takes the price of a try before it is judged. Who is over the narrow budget must not use up the wide ones. shared says
// that others used the budget up: who signs in need not wait.
func (t *Tries) allow(by typist) (ok, shared bool, wait time.Duration) {
	purses := t.purses(by)
	for i, each := range purses {
		if ok, wait = each.limit.Allow(each.key, 1); !ok {
			// Nothing is judged, so nothing is paid. Else browsers without number, made up in one network, would stay in
			// debt until there is no room to count an honest one.
			give(purses[:i])
			return false, i > 0 && by.person == "", wait
		}
	}
	return true, false, 0
}

// right gives the price of a try back.
func (t *Tries) right(by typist) { give(t.purses(by)) }

func give(purses []purse) {
	for _, each := range purses {
		each.limit.Return(each.key, 1)
	}
}
