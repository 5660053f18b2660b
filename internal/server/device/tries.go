package device

import (
	"context"
	"errors"
	"time"

	"github.com/gardeauth/garde/internal/iam"
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
// device would wait for the guesser's own yes, and the page says which. For one code in mind, once in 800 years.
//
// Each node takes the price from its own memory first; what was wrong is counted in storage, too, by the same budgets: many nodes
// are no more tries (decision 0020).
type Tries struct {
	browser, network, person, strangers, people budget

	shared iam.Tries
	now    func() time.Time
}

type budget struct {
	name  string
	rate  limit.Rate
	limit *limit.Limiter
}

// NewTries makes the counters. A nil shared means that this node counts alone, a nil now time.Now.
func NewTries(b Budgets, shared iam.Tries, now func() time.Time) *Tries {
	if now == nil {
		now = time.Now
	}
	or := func(name string, rate limit.Rate, burst int, every time.Duration) budget {
		if rate == (limit.Rate{}) {
			rate = limit.Rate{Burst: burst, Every: every}
		}
		return budget{name, rate, limit.New(rate, 100_000, now)}
	}
	return &Tries{
		or("browser", b.Browser, 5, 2*time.Minute), or("network", b.Network, 100, 5*time.Second), or("person", b.Person, 5, 2*time.Minute),
		or("strangers", b.All, 250, 2*time.Second), or("people", b.All, 250, 2*time.Second), shared, now,
	}
}

// typist is who types a code; person is empty while nobody is signed in.
type typist struct{ browser, network, person string }

// purse is one budget, and whose part of it is charged.
type purse struct {
	budget
	key string
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

// stands tells whether guessers at other nodes have left anything of the budgets. Whoever typed right is told so only then.
func (t *Tries) stands(ctx context.Context, by typist) (ok, shared bool, wait time.Duration, err error) {
	if t.shared == nil {
		return true, false, 0, nil
	}
	var keys []iam.Digest
	debts, now := t.debts(by), t.now()
	for _, debt := range debts {
		keys = append(keys, debt.Key)
	}
	owed, err := t.shared.Owed(ctx, keys, now)
	if err != nil {
		return false, false, 0, err
	}
	for i, debt := range debts {
		if wait := owed[i].Add(debt.Every).Sub(now) - time.Duration(debt.Burst)*debt.Every; !owed[i].IsZero() && wait > 0 {
			return false, i > 0 && by.person == "", wait, nil
		}
	}
	return true, false, 0, nil
}

// wrong counts a wrong code where every node sees it. When the budgets were used up meanwhile, nobody may be told that it was
// wrong.
func (t *Tries) wrong(ctx context.Context, by typist) (ok, shared bool, wait time.Duration, err error) {
	if t.shared == nil {
		return true, false, 0, nil
	}
	err = t.shared.Owe(ctx, t.debts(by), t.now())
	if !errors.Is(err, iam.ErrFull) {
		return err == nil, false, 0, err
	}
	_, shared, wait, err = t.stands(ctx, by)
	return false, shared, max(wait, time.Second), err
}

// debts are the price of a try in storage, where neither people nor networks stand by name.
func (t *Tries) debts(by typist) (all []iam.Debt) {
	for _, each := range t.purses(by) {
		all = append(all, iam.Debt{Key: iam.Hash("user codes " + each.name + " " + each.key), Every: each.rate.Every, Burst: each.rate.Burst})
	}
	return all
}

// right gives the price of a try back.
func (t *Tries) right(by typist) { give(t.purses(by)) }

func give(purses []purse) {
	for _, each := range purses {
		each.limit.Return(each.key, 1)
	}
}
