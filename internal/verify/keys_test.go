package verify_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/verify"
)

// network stands for the issuer's jwks_uri.
type network struct {
	mu      sync.Mutex
	body    []byte
	err     error
	slow    time.Duration
	fetches atomic.Int64
}

func (n *network) Fetch(ctx context.Context, _ string) ([]byte, error) {
	n.fetches.Add(1)
	n.mu.Lock()
	body, err, slow := n.body, n.err, n.slow
	n.mu.Unlock()
	select {
	case <-time.After(slow):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return body, err
}

func (n *network) publish(t testing.TB, realms ...realm) {
	t.Helper()
	var keys []jose.PublicKey
	for _, each := range realms {
		keys = append(keys, each.signer.Public())
	}
	set, err := jose.NewSet(keys...)
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.body, n.err = body, nil
}

func (n *network) breakDown(err error, body string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.body, n.err = []byte(body), err
}

func TestJ07UnknownKidsCauseNoStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := &network{slow: time.Second}
		bank := newRealm(t, issuer, "k1")
		site.publish(t, bank)
		keys := &verify.RemoteKeys{URL: "https://id.bank.example/jwks", Fetcher: site}
		var wait sync.WaitGroup
		for range 100 {
			wait.Go(func() {
				if _, err := keys.Key(t.Context(), "k1"); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		if got := site.fetches.Load(); got != 1 {
			t.Errorf("a hundred callers at the start: %d fetches", got)
		}
		storm := func() {
			for i := range 1000 {
				wait.Go(func() {
					if _, err := keys.Key(t.Context(), fmt.Sprint("../", i)); !errors.Is(err, verify.ErrUnknownKey) {
						t.Errorf("a random kid: %v", err)
					}
				})
			}
			wait.Wait()
		}
		storm()
		if got := site.fetches.Load(); got != 1 {
			t.Errorf("a thousand kids within the cool-down: %d fetches", got)
		}
		time.Sleep(verify.DefaultCoolDown)
		storm()
		storm()
		if got := site.fetches.Load(); got != 2 {
			t.Errorf("a thousand kids after the cool-down: %d fetches", got)
		}
	})
}

func TestJ35Rotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := &network{}
		old, next := newRealm(t, issuer, "k1"), newRealm(t, issuer, "k2")
		site.publish(t, old)
		keys := &verify.RemoteKeys{URL: "https://id.bank.example/jwks", Fetcher: site}
		v := verifier(t, verify.Config{Issuer: issuer, Keys: keys, Audiences: []string{accounts}, Now: func() time.Time { return noon }})
		try := func(when string, r realm, want int) {
			t.Helper()
			got := 0
			if _, err := v.Verify(t.Context(), r.token(t, nil)); err != nil {
				got = status(err)
			}
			if got != want {
				t.Errorf("%s: %d", when, got)
			}
		}
		try("the first key", old, 0)
		try("the next key before it is published", next, http.StatusUnauthorized)
		site.publish(t, old, next)
		time.Sleep(verify.DefaultCoolDown)
		try("the next key, found because it was missed", next, 0)
		try("the old key in the overlap", old, 0)
		site.publish(t, next)
		time.Sleep(verify.DefaultRefresh + time.Second)
		try("the old key, at the moment of the refresh", old, 0)
		synctest.Wait()
		try("the old key after the refresh", old, http.StatusUnauthorized)

		site.breakDown(errors.New("connection refused"), "")
		time.Sleep(24 * time.Hour)
		try("the issuer is down for a day", next, 0)
		synctest.Wait()
		time.Sleep(verify.DefaultCoolDown)
		try("an unknown kid while it is down: it may be a new key", old, http.StatusServiceUnavailable)
		for _, nonsense := range []string{"", "null", `{"keys":[]}`, `{"keys":[{"kty":"oct","k":"AA","kid":"k1"}]}`} {
			site.breakDown(nil, nonsense)
			time.Sleep(verify.DefaultCoolDown)
			try("the issuer answers nonsense", old, http.StatusServiceUnavailable)
			try("the issuer answers nonsense", next, 0)
		}
	})
}

func TestKeysThatWereNeverRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := &network{err: errors.New("connection refused")}
		bank := newRealm(t, issuer, "k1")
		keys := &verify.RemoteKeys{URL: "https://id.bank.example/jwks", Fetcher: site}
		c := bank.config(t)
		c.Keys = keys
		v := verifier(t, c)
		token := bank.token(t, nil)
		for range 2 {
			if _, err := v.Verify(t.Context(), token); status(err) != http.StatusServiceUnavailable {
				t.Errorf("not 503: %v", err)
			}
		}
		site.publish(t, bank)
		time.Sleep(verify.DefaultCoolDown)
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Errorf("after the issuer came up: %v", err)
		}
	})
}

func TestWhoGivesUpTakesNothingFromOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := &network{slow: time.Second}
		site.publish(t, newRealm(t, issuer, "k1"))
		keys := &verify.RemoteKeys{URL: "https://id.bank.example/jwks", Fetcher: site}
		hasty, cancel := context.WithCancel(t.Context())
		var wait sync.WaitGroup
		wait.Go(func() {
			if _, err := keys.Key(hasty, "k1"); !errors.Is(err, context.Canceled) {
				t.Errorf("who gave up: %v", err)
			}
		})
		wait.Go(func() {
			if _, err := keys.Key(t.Context(), "k1"); err != nil {
				t.Errorf("who waited: %v", err)
			}
		})
		synctest.Wait()
		cancel()
		wait.Wait()
	})
}
