package limit

import (
	"strconv"
	"time"
)

// Attempt is one try to prove who one is.
type Attempt struct {
	// Account is the canonical name that was typed, known or not: one form per account, else each spelling has a budget
	// of its own (CVE-2025-24806). All factors and doors of an account share it.
	Account string
	// Network is where the attempt comes from, as web.Network gives it.
	Network string
	// Device is the id in a signed device cookie that was issued to this account after a success, or "". The caller has
	// verified signature and account.
	Device string
}

// Budgets are what failures may cost before they must wait. A zero rate takes the default.
type Budgets struct {
	Device  Rate // a known device on its account: 10, then one a minute
	Pair    Rate // one account from one network: 10, then one a minute
	Network Rate // one network, all accounts: 100, then one every 5 s
	Account Rate // one account, from all unknown devices: 100, then one every 15 s
	MaxKeys int  // of each; 0 means 100,000
}

// Throttle slows down guessing without a lock that a stranger could close: an attempt from an unknown device pays from the
// budgets of its pair, its network and the account; an attempt from a known device pays only from that device's own, which
// nobody else can exhaust. Each unit comes back with time, so nobody is locked out for good.
type Throttle struct {
	device, pair, network, account *Limiter
}

// NewThrottle makes a throttle. A nil now means time.Now.
func NewThrottle(b Budgets, now func() time.Time) *Throttle {
	keys := b.MaxKeys
	if keys <= 0 {
		keys = 100_000
	}
	return &Throttle{
		device:  New(orRate(b.Device, Rate{10, time.Minute}), keys, now),
		pair:    New(orRate(b.Pair, Rate{10, time.Minute}), keys, now),
		network: New(orRate(b.Network, Rate{100, 5 * time.Second}), keys, now),
		account: New(orRate(b.Account, Rate{100, 15 * time.Second}), keys, now),
	}
}

// Allow takes the price of an attempt before it is judged, so that a thousand at once can't slip past together. The
// order matters: who is over the narrow budget must not use up the wide ones.
func (t *Throttle) Allow(a Attempt) (ok bool, retryAfter time.Duration) {
	if a.Device != "" {
		return t.device.Allow(join(a.Account, a.Device), 1)
	}
	if ok, wait := t.pair.Allow(join(a.Account, a.Network), 1); !ok {
		return false, wait
	}
	if ok, wait := t.network.Allow(a.Network, 1); !ok {
		return false, wait
	}
	return t.account.Allow(a.Account, 1)
}

// Clear is called after a success: it forgets the failures of this device, or of this pair, and returns the price of this
// attempt to the network and the account. Those two are not cleared: else a guesser would sign in to an account of their
// own between guesses.
func (t *Throttle) Clear(a Attempt) {
	if a.Device != "" {
		t.device.Clear(join(a.Account, a.Device))
		return
	}
	t.pair.Clear(join(a.Account, a.Network))
	t.network.Return(a.Network, 1)
	t.account.Return(a.Account, 1)
}

// Return gives back the price of an attempt that succeeded, and forgets no failure: what was shown then says nothing of what
// else was tried.
func (t *Throttle) Return(a Attempt) {
	if a.Device != "" {
		t.device.Return(join(a.Account, a.Device), 1)
		return
	}
	t.pair.Return(join(a.Account, a.Network), 1)
	t.network.Return(a.Network, 1)
	t.account.Return(a.Account, 1)
}

// join makes one key of two parts that no other two parts make.
func join(first, second string) string { return strconv.Itoa(len(first)) + ":" + first + second }

func orRate(rate, otherwise Rate) Rate {
	if rate == (Rate{}) {
		return otherwise
	}
	return rate
}
