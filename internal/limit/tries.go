package limit

import (
	"context"
	"errors"
	"time"

	"github.com/gardeauth/garde/internal/iam"
)

// Tries counts wrong proofs of an account, of all factors and at all doors together, on this node and on all of them. This node
// takes the price before it judges, so that a thousand at once cost nobody else; what was wrong is then counted where every
// node sees it, by the same budgets. What was right writes nothing, unless something was wrong before. All fields but Shared
// and Now are required.
//
// Of any number of tries, on any number of nodes at once, no more are told that they are wrong than a budget holds, and none is
// told that it is right once it is used up: the others learn nothing.
type Tries struct {
	Throttle *Throttle
	Further  *Limiter  // of who has proved something else: a stolen password must not open the way to guess the rest
	Shared   iam.Tries // nil: this node counts alone
	Now      func() time.Time
}

// Price is what one try costs.
type Price struct {
	Attempt
	Further bool // its person has proved something else

	debts []iam.Debt
	owed  bool
}

func (t *Tries) now() time.Time {
	if t.Now != nil {
		return t.Now()
	}
	return time.Now()
}

// further is under which key a second factor is counted: a known device has tries of its own, which nobody else can use up.
func (a Attempt) further() string {
	if a.Device == "" {
		return a.Account
	}
	return join(a.Account, a.Device)
}

// Pay takes the price of a try before it is judged, or tells how long to wait. An error is a fault of ours: nothing may be
// judged then.
func (t *Tries) Pay(ctx context.Context, price *Price) (ok bool, wait time.Duration, err error) {
	if price.Further {
		if ok, wait := t.Further.Allow(price.further(), 1); !ok {
			return false, wait, nil
		}
	}
	if ok, wait := t.Throttle.Allow(price.Attempt); !ok {
		return false, wait, nil
	}
	price.debts = t.debts(price)
	return t.Stands(ctx, price)
}

// Stands tells whether nobody has used the budgets up while a try was judged. Who proved it right is told so only then.
func (t *Tries) Stands(ctx context.Context, price *Price) (ok bool, wait time.Duration, err error) {
	if t.Shared == nil {
		return true, 0, nil
	}
	keys := make([]iam.Digest, len(price.debts))
	for at, debt := range price.debts {
		keys[at] = debt.Key
	}
	now := t.now()
	owed, err := t.Shared.Owed(ctx, keys, now)
	if err != nil {
		return false, 0, err
	}
	for at, debt := range price.debts {
		if owed[at].IsZero() {
			continue
		}
		price.owed = true
		wait = max(wait, owed[at].Add(debt.Every).Sub(now)-time.Duration(debt.Burst)*debt.Every)
	}
	return wait <= 0, wait, nil
}

// Wrong counts a try that was wrong. If the budgets were used up meanwhile, it tells how long to wait, and nobody may be told
// that it was wrong.
func (t *Tries) Wrong(ctx context.Context, price *Price) (ok bool, wait time.Duration, err error) {
	if t.Shared == nil || len(price.debts) == 0 {
		return true, 0, nil
	}
	err = t.Shared.Owe(ctx, price.debts, t.now())
	if !errors.Is(err, iam.ErrFull) {
		return err == nil, 0, err
	}
	if _, wait, err = t.Stands(ctx, price); err != nil {
		return false, 0, err
	}
	return false, max(wait, time.Second), nil
}

// Right gives back what a try cost that was right. forget tells that the failures before it may be forgotten, too: its person
// has shown what others could be guessing at. Those at second factors never are.
func (t *Tries) Right(ctx context.Context, price *Price, forget bool) error {
	if price.Further {
		t.Further.Return(price.further(), 1)
	}
	if !forget {
		t.Throttle.Return(price.Attempt)
		return nil
	}
	t.Throttle.Clear(price.Attempt)
	if t.Shared == nil || !price.owed {
		return nil
	}
	return t.Shared.Forgive(ctx, price.narrow())
}

// narrow is the key that a success forgets, as Throttle.Clear does: of the device, or of the pair of account and network.
func (p *Price) narrow() iam.Digest {
	if p.Device != "" {
		return named("device", join(p.Account, p.Device))
	}
	return named("pair", join(p.Account, p.Network))
}

// debts are what a try costs where every node sees it, by the budgets of this node.
func (t *Tries) debts(price *Price) []iam.Debt {
	owes := func(key iam.Digest, rate Rate) iam.Debt {
		return iam.Debt{Key: key, Every: rate.Every, Burst: rate.Burst}
	}
	var all []iam.Debt
	if price.Device != "" {
		all = append(all, owes(price.narrow(), t.Throttle.device.rate))
	} else {
		all = append(all, owes(price.narrow(), t.Throttle.pair.rate), owes(named("network", price.Network), t.Throttle.network.rate),
			owes(named("account", price.Account), t.Throttle.account.rate))
	}
	if price.Further {
		all = append(all, owes(named("further", price.further()), t.Further.rate))
	}
	return all
}

// named is a key as storage sees it: names and addresses of people do not stand there.
func named(kind, key string) iam.Digest { return iam.Hash("tries " + kind + " " + key) }
