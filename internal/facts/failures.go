package facts

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"github.com/gardeauth/garde/internal/web"
)

// Failures counts wrong proofs of the last quarter of an hour, as this node sees them: against each account, and how many
// accounts were tried from each network. Its memory is bounded: when a flood fills it, what was quiet for longest goes.
// Make it with NewFailures.
type Failures struct {
	mu       sync.Mutex
	now      func() time.Time
	seed     maphash.Seed
	accounts halves[tally]
	networks halves[tried]
}

const (
	failureSpan = 15 * time.Minute
	failureRoom = 20_000 // accounts, and as many networks, in each of two halves
	triedRoom   = 8      // accounts that are told apart for one network
)

// tally counts in steps of a third of the span, so that old ones fall out.
type tally struct {
	step   int64 // that counts[0] belongs to
	counts [4]uint16
}

// tried is which accounts failed from a network, by hash.
type tried struct {
	accounts [triedRoom]uint64
	at       [triedRoom]int64 // Unix seconds
}

// NewFailures makes an empty count. A nil now means time.Now.
func NewFailures(now func() time.Time) *Failures {
	if now == nil {
		now = time.Now
	}
	return &Failures{now: now, seed: maphash.MakeSeed()}
}

// Failed notes that somebody could not prove to be user. network is an address or a prefix, in text; what is neither is
// not counted. It changes no habits.
func (f *Failures) Failed(user, network string) {
	now, network := f.now(), source(network)
	f.mu.Lock()
	defer f.mu.Unlock()
	if user != "" {
		f.accounts.of(user).add(now)
	}
	if network != "" {
		f.networks.of(network).add(maphash.String(f.seed, user), now)
	}
}

// Account counts the failures against an account.
func (f *Failures) Account(user string, now time.Time) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if counted := f.accounts.look(user); counted != nil {
		return counted.sum(now)
	}
	return 0
}

// source is the network that one household owns, as limits count it.
func source(network string) string {
	address, err := netip.ParseAddr(network)
	if err != nil {
		prefix, err := netip.ParsePrefix(network)
		if err != nil {
			return ""
		}
		address = prefix.Addr()
	}
	return web.Network(address).String()
}

// Accounts counts the accounts that were tried in vain from the network of an address, up to eight.
func (f *Failures) Accounts(address netip.Addr, now time.Time) int {
	if !address.IsValid() {
		return 0
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	counted := f.networks.look(web.Network(address).String())
	if counted == nil {
		return 0
	}
	count := 0
	for _, at := range counted.at {
		if at > 0 && now.Unix()-at < int64(failureSpan/time.Second) {
			count++
		}
	}
	return count
}

func stepOf(now time.Time) int64 { return now.Unix() / int64(failureSpan/time.Second/3) }

func (t *tally) turn(now time.Time) {
	for step := stepOf(now); t.step < step; {
		if step-t.step >= int64(len(t.counts)) {
			t.counts, t.step = [4]uint16{}, step
			return
		}
		copy(t.counts[1:], t.counts[:len(t.counts)-1])
		t.counts[0], t.step = 0, t.step+1
	}
}

func (t *tally) add(now time.Time) {
	t.turn(now)
	if t.counts[0] < 1<<16-1 {
		t.counts[0]++
	}
}

func (t *tally) sum(now time.Time) int {
	t.turn(now)
	sum := 0
	for _, count := range t.counts {
		sum += int(count)
	}
	return sum
}

func (t *tried) add(account uint64, now time.Time) {
	place := 0
	for i := range t.accounts {
		if t.at[i] > 0 && t.accounts[i] == account {
			place = i
			break
		}
		if t.at[i] < t.at[place] {
			place = i
		}
	}
	t.accounts[place], t.at[place] = account, now.Unix()
}

// halves is a bounded map: when the newer half is full, the older goes. Whatever is touched is newer.
type halves[T any] struct{ newer, older map[string]*T }

func (h *halves[T]) look(key string) *T {
	if found := h.newer[key]; found != nil {
		return found
	}
	return h.older[key]
}

func (h *halves[T]) of(key string) *T {
	if found := h.newer[key]; found != nil {
		return found
	}
	if h.newer == nil || len(h.newer) >= failureRoom {
		h.newer, h.older = map[string]*T{}, h.newer
	}
	found := h.older[key]
	if found == nil {
		found = new(T)
	}
	h.newer[key] = found
	return found
}
