package fetch

import (
	"context"
	"errors"
	"sync"
)

// turns bounds what runs and waits at each host, so that a dead host holds up nobody but those who want it.
type turns struct {
	mutex sync.Mutex
	hosts map[string]*host
	all   chan struct{}
}

type host struct {
	running chan struct{}
	present int // running or waiting; the entry goes with the last
}

func newTurns() turns {
	return turns{hosts: map[string]*host{}, all: make(chan struct{}, maxRunning)}
}

// enter waits for a turn at the host and gives what ends it.
func (t *turns) enter(ctx context.Context, name string) (leave func(), err error) {
	t.mutex.Lock()
	at := t.hosts[name]
	if at == nil {
		at = &host{running: make(chan struct{}, perHost)}
		t.hosts[name] = at
	}
	if at.present >= perHost+maxWaiting {
		t.mutex.Unlock()
		return nil, errors.New("too many wait for this host")
	}
	at.present++
	t.mutex.Unlock()
	select {
	case at.running <- struct{}{}:
	case <-ctx.Done():
		t.gone(name, at)
		return nil, ctx.Err()
	}
	select {
	case t.all <- struct{}{}:
	default:
		// Refused rather than queued: to wait here would let the slow hosts hold up the quick ones.
		<-at.running
		t.gone(name, at)
		return nil, errors.New("too many fetches are under way")
	}
	return func() {
		<-t.all
		<-at.running
		t.gone(name, at)
	}, nil
}

func (t *turns) gone(name string, at *host) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if at.present--; at.present == 0 {
		delete(t.hosts, name)
	}
}
