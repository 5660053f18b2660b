package clientauth

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gardeauth/garde/internal/fetch"
)

// How often a jwks_uri is asked, whatever strangers send.
const (
	coolDown   = 10 * time.Second // between two fetches for one client, also for a kid that is not known
	staleAfter = 5 * time.Minute  // then the keys are looked at again though nobody missed one
	maxCallers = 8                // of one client that wait for one fetch; others are told to come again
)

// source reads the keys of one client from its jwks_uri, by one fetch at a time. When the host does not answer, the keys of
// the last good answer stay.
type source struct {
	url     string
	fetcher Fetcher
	now     func() time.Time
	grown   func()       // called when more was read than before
	text    atomic.Int64 // bytes of the document that known was read from

	mu      sync.Mutex
	known   *ring
	read    time.Time     // when known was read
	tried   time.Time     // when the last fetch began
	failed  error         // how it ended
	flight  chan struct{} // closed when the fetch under way ends
	callers int           // who wait for it
}

// find gives the keys if has says so, and asks the host if it does not and the last question is long enough ago.
func (s *source) find(ctx context.Context, has func(*ring) bool, enter func() (func(), bool)) (*ring, error) {
	s.mu.Lock()
	known, old := s.known, s.time().Sub(s.read) > staleAfter
	if known != nil && has(known) {
		if old {
			s.ask() // nobody waits for it: the known keys are good until a new answer is there
		}
		s.mu.Unlock()
		return known, nil
	}
	flight := s.ask()
	if flight != nil {
		s.callers++
	}
	crowded := s.callers > maxCallers
	s.mu.Unlock()
	if flight != nil {
		err := s.wait(ctx, flight, crowded, enter)
		if err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.known != nil && has(s.known):
		return s.known, nil
	case s.failed != nil: // the cause is for the log: it is whatever the host did
		return nil, fmt.Errorf("the client's jwks_uri can't be read: %w", s.failed)
	}
	return nil, errNoKey
}

func (s *source) wait(ctx context.Context, flight chan struct{}, crowded bool, enter func() (func(), bool)) error {
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.callers--
	}()
	if crowded {
		return errCrowded
	}
	leave, ok := enter()
	if !ok {
		return errCrowded
	}
	defer leave()
	select {
	case <-flight:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// crowded says that too many wait for a host already. Whoever is answered so may be right: it is no failed proof.
type crowded struct{}

var errCrowded error = crowded{}

func (crowded) Error() string     { return "too many requests wait for the jwks_uri of clients" }
func (crowded) Unavailable() bool { return true }

// ask joins the fetch under way or begins one; nil during the cool-down. The caller holds the lock. The fetch belongs to no
// request: one that gives up must not take the answer from the others.
func (s *source) ask() chan struct{} {
	if s.flight != nil {
		return s.flight
	}
	now := s.time()
	if !s.tried.IsZero() && now.Sub(s.tried) < coolDown {
		return nil
	}
	s.tried, s.failed = now, errors.New("the answer is not there yet")
	flight := make(chan struct{})
	s.flight = flight
	go s.fetch(flight)
	return flight
}

func (s *source) fetch(flight chan struct{}) {
	ctx, cancel := context.WithTimeout(context.Background(), fetch.MaxTime)
	defer cancel()
	var held *ring
	body, err := s.fetcher.Fetch(ctx, s.url)
	if err == nil {
		held, err = readRing(body)
	}
	if err == nil && s.text.Swap(int64(len(body))) < int64(len(body)) {
		s.grown()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.known, s.read = held, s.time()
	}
	s.failed, s.flight = err, nil
	close(flight)
}

func (s *source) time() time.Time {
	if s.now != nil {
		return s.now()
	}
	return time.Now()
}
