package verify

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gardeauth/garde/internal/jose"
)

// How often RemoteKeys asks its issuer.
const (
	DefaultCoolDown = 10 * time.Second // between two fetches, whatever the reason
	DefaultRefresh  = 5 * time.Minute  // after which keys are looked at again though nobody missed one
	fetchTimeout    = 5 * time.Second
)

// Fetcher gets the body behind a URL. It bounds size and time and refuses addresses of our own network.
type Fetcher interface {
	Fetch(ctx context.Context, url string) ([]byte, error)
}

// RemoteKeys reads the keys of an issuer from its jwks_uri and remembers them. Whatever strangers send, the issuer is
// asked at most once per CoolDown, and by one caller for all (J07): an unknown kid during that time is refused from
// memory, without being remembered itself. When the issuer does not answer, the keys of the last good answer stay.
type RemoteKeys struct {
	URL      string
	Fetcher  Fetcher
	CoolDown time.Duration    // 0: DefaultCoolDown
	Refresh  time.Duration    // 0: DefaultRefresh
	Now      func() time.Time // nil: time.Now

	known  atomic.Pointer[keySet]
	mu     sync.Mutex
	flight *flight
	tried  time.Time // when the last fetch began
	failed error     // how it ended
}

// keySet is one good answer of the issuer.
type keySet struct {
	jose.Set
	read time.Time
}

// flight is a fetch under way that many may wait for.
type flight struct {
	done chan struct{}
}

// Key finds a key, and asks the issuer if it is not known and the last question is long enough ago.
func (r *RemoteKeys) Key(ctx context.Context, kid string) (jose.PublicKey, error) {
	if known := r.known.Load(); known != nil {
		if key, ok := known.Key(kid); ok {
			if r.now().Sub(known.read) > orDefault(r.Refresh, DefaultRefresh) {
				r.ask() // nobody waits for it: the known keys are good until a new answer is there
			}
			return key, nil
		}
	}
	if waiting := r.ask(); waiting != nil {
		select {
		case <-waiting.done:
		case <-ctx.Done():
			return jose.PublicKey{}, ctx.Err()
		}
	}
	known := r.known.Load()
	if known == nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		return jose.PublicKey{}, fmt.Errorf("the keys of the issuer were never read: %w", r.failed)
	}
	if key, ok := known.Key(kid); ok {
		return key, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed != nil { // it may be a new key that we could not learn of: that is no fault of the token
		return jose.PublicKey{}, fmt.Errorf("the newest keys of the issuer can't be read: %w", r.failed)
	}
	return jose.PublicKey{}, ErrUnknownKey
}

// ask joins the fetch under way, or begins one; nil during the cool-down. The fetch belongs to no caller: one who gives up
// must not take the answer from the others.
func (r *RemoteKeys) ask() *flight {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.flight != nil {
		return r.flight
	}
	now := r.now()
	if !r.tried.IsZero() && now.Sub(r.tried) < orDefault(r.CoolDown, DefaultCoolDown) {
		return nil
	}
	r.tried = now
	r.failed = errors.New("the answer is not there yet")
	r.flight = &flight{done: make(chan struct{})}
	go r.fetch(r.flight)
	return r.flight
}

func (r *RemoteKeys) fetch(own *flight) {
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	set, err := r.read(ctx)
	if err == nil {
		r.known.Store(&keySet{Set: set, read: r.now()})
	}
	r.mu.Lock()
	r.failed, r.flight = err, nil
	r.mu.Unlock()
	close(own.done)
}

func (r *RemoteKeys) read(ctx context.Context) (jose.Set, error) {
	body, err := r.Fetcher.Fetch(ctx, r.URL)
	if err != nil {
		return jose.Set{}, err
	}
	return jose.ParseSet(body)
}

func (r *RemoteKeys) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}

func orDefault(value, otherwise time.Duration) time.Duration {
	if value == 0 {
		return otherwise
	}
	return value
}
