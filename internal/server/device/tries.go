package device

import (
	"time"

	"github.com/gardeauth/garde/internal/limit"
)

// Budgets are what wrong codes may cost before the next try must wait. A zero rate takes the default.
type Budgets struct {
	Browser limit.Rate // one browser: 5, then one every 2 minutes
	Network limit.Rate // one network: 20, then one every 30 s
	All     limit.Rate // all there are: 500, then one a second
}

// Tries counts wrong user codes (RFC 8628 section 5.1). A code has 34 bits: of a thousand that wait, all guessers together
// find one in a year at the rate that All allows. What a right code costs is given back, so that only guessers pay.
type Tries struct{ browser, network, all *limit.Limiter }

// NewTries makes the counters. A nil now means time.Now.
func NewTries(b Budgets, now func() time.Time) *Tries {
	or := func(rate limit.Rate, burst int, every time.Duration) *limit.Limiter {
		if rate == (limit.Rate{}) {
			rate = limit.Rate{Burst: burst, Every: every}
		}
		return limit.New(rate, 100_000, now)
	}
	return &Tries{or(b.Browser, 5, 2*time.Minute), or(b.Network, 20, 30*time.Second), or(b.All, 500, time.Second)}
}

// allow takes the price of a try before it is judged. Who is over the narrow budget must not use up the wide ones.
func (t *Tries) allow(browser, network string) (ok bool, wait time.Duration) {
	if ok, wait = t.browser.Allow(browser, 1); !ok {
		return false, wait
	}
	if ok, wait = t.network.Allow(network, 1); !ok {
		return false, wait
	}
	return t.all.Allow("", 1)
}

// right gives the price of a try back.
func (t *Tries) right(browser, network string) {
	t.browser.Return(browser, 1)
	t.network.Return(network, 1)
	t.all.Return("", 1)
}
