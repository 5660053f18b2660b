package once_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/once"
)

func seen(t *testing.T, node *once.Node, kind once.Kind, issuer, id string, until time.Time) bool {
	t.Helper()
	fresh, err := node.Seen(context.Background(), kind, issuer, id, until)
	if err != nil {
		t.Fatal(err)
	}
	return fresh
}

func TestAnIDIsFreshOnce(t *testing.T) {
	now := time.Now()
	node := once.NewNode(1000, func() time.Time { return now })
	until := now.Add(time.Minute)
	if !seen(t, node, once.Assertion, "app", "1", until) {
		t.Error("the first is not fresh")
	}
	if seen(t, node, once.Assertion, "app", "1", until) || seen(t, node, once.Assertion, "app", "1", until.Add(time.Hour)) {
		t.Error("the second is fresh")
	}
	for name, other := range map[string][3]string{
		"another kind":         {string(once.Proof), "app", "1"},
		"another issuer":       {string(once.Assertion), "other", "1"},
		"another id":           {string(once.Assertion), "app", "2"},
		"W40 the border moved": {string(once.Assertion), "ap", "p1"},
		"W40 the kind longer":  {string(once.Assertion) + "a", "pp", "1"},
	} {
		if !seen(t, node, once.Kind(other[0]), other[1], other[2], until) {
			t.Errorf("%s collides", name)
		}
	}
	now = until.Add(-time.Nanosecond)
	if seen(t, node, once.Assertion, "app", "1", now.Add(time.Minute)) {
		t.Error("forgotten before its moment")
	}
}

func TestWhatCannotBeRememberedIsRefused(t *testing.T) {
	now := time.Now()
	node := once.NewNode(64, func() time.Time { return now })
	if seen(t, node, once.Proof, "k", "old", now) || seen(t, node, once.Proof, "k", "older", now.Add(-time.Hour)) {
		t.Error("an expired id is fresh")
	}
	if _, err := node.Seen(context.Background(), once.Proof, "k", "", now.Add(time.Minute)); !errors.Is(err, once.ErrNoID) {
		t.Errorf("an empty id: %v", err)
	}
	if _, err := node.Seen(context.Background(), once.Proof, "k", "far", now.Add(25*time.Hour)); !errors.Is(err, once.ErrFar) {
		t.Errorf("for ever: %v", err)
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if fresh, err := node.Seen(ended, once.Proof, "k", "x", now.Add(time.Minute)); fresh || err == nil {
		t.Error("an ended context is answered")
	}
}

func TestL05AFullMemoryRefusesAndNeverForgets(t *testing.T) {
	now := time.Now()
	node := once.NewNode(640, func() time.Time { return now })
	until := now.Add(time.Minute)
	var kept []string
	full := 0
	for i := range 5000 {
		id := fmt.Sprint(i)
		fresh, err := node.Seen(context.Background(), once.Proof, "k", id, until)
		switch {
		case errors.Is(err, once.ErrFull):
			full++
		case fresh:
			kept = append(kept, id)
		}
	}
	if full == 0 || len(kept) > 640 {
		t.Fatalf("%d kept, %d refused", len(kept), full)
	}
	for _, id := range kept {
		if seen(t, node, once.Proof, "k", id, until) {
			t.Fatal("S19 a flood washed an id out")
		}
	}
	var temporary interface{ Unavailable() bool }
	if !errors.As(once.ErrFull, &temporary) || !temporary.Unavailable() {
		t.Error("a full memory is not told as 503")
	}
	now = until
	for i := range 300 {
		if fresh, err := node.Seen(context.Background(), once.Proof, "k", fmt.Sprint("new", i), now.Add(time.Minute)); err == nil && !fresh {
			t.Fatal("a new id is not fresh")
		}
	}
}

func TestOfManyAtOnceOneIsFirst(t *testing.T) {
	node := once.NewNode(100_000, nil)
	until := time.Now().Add(time.Minute)
	for round := range 50 {
		var first atomic.Int32
		var group sync.WaitGroup
		for range 16 {
			group.Go(func() {
				if fresh, err := node.Seen(context.Background(), once.Assertion, "app", fmt.Sprint(round), until); err == nil && fresh {
					first.Add(1)
				}
			})
		}
		group.Wait()
		if first.Load() != 1 {
			t.Fatalf("%d were first", first.Load())
		}
	}
}
