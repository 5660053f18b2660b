package register_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/fetch"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/server/register"
)

// wide is an Internet: each address has a document, and hosts with slow in their names keep it until the test ends.
type wide struct {
	slow    chan struct{}
	waiting atomic.Int32
}

func (w *wide) Document(ctx context.Context, address string) (fetch.Document, error) {
	if strings.Contains(address, "slow") {
		w.waiting.Add(1)
		select {
		case <-w.slow:
		case <-ctx.Done():
			return fetch.Document{}, fmt.Errorf("fetch: %w", ctx.Err())
		}
	}
	at, err := url.Parse(address)
	return fetch.Document{ContentType: "application/json", Body: []byte(`{"client_id":"` + at.String() + `",` + local + `}`)}, err
}

type askerKey struct{}

func from(t *testing.T, network string) context.Context {
	return context.WithValue(t.Context(), askerKey{}, network)
}

// anyHost is a house whose policy believes documents of all hosts.
func anyHost(t *testing.T) (*house, *wide) {
	h, web := newHouse(t), &wide{slow: make(chan struct{})}
	h.obey(strings.Replace(rules, "client_id_hosts: [127.0.0.1]", `client_id_hosts: ["*"]
    most: 100`, 1))
	h.rules.Fetcher = web
	h.known = register.NewDocuments(h.tenant, h.tenant, h.rules, h.hosts())
	h.known.Asker = func(ctx context.Context) string { network, _ := ctx.Value(askerKey{}).(string); return network }
	return h, web
}

// ask begins to read documents and gives how many were sent away at once.
func (h *house) crowd(web *wide, ids []string, from func(i int) context.Context) (sent int) {
	h.Helper()
	answers, before := make(chan error, len(ids)), web.waiting.Load()
	for i, id := range ids {
		go func() {
			_, err := h.known.Client(from(i), id)
			answers <- err
		}()
	}
	for begun := time.Now(); int(web.waiting.Load()-before)+sent < len(ids); {
		select {
		case err := <-answers:
			if !strings.Contains(fmt.Sprint(err), "try again") {
				h.Fatalf("a slow host answers %v", err)
			}
			sent++
		case <-time.After(5 * time.Millisecond):
			if time.Since(begun) > time.Second {
				return sent
			}
		}
	}
	return sent
}

func slowIDs(count int, host func(i int) string) (ids []string) {
	for i := range count {
		ids = append(ids, fmt.Sprintf("https://%s/app/%d", host(i), i))
	}
	return ids
}

func TestG16SlowDocumentsKeepNobodyElseOut(t *testing.T) {
	for name, row := range map[string]struct {
		host func(i int) string
		from func(i int) string
	}{
		"one host, from everywhere": {
			func(int) string { return "slow.example" }, func(i int) string { return fmt.Sprintf("203.0.113.%d/32", i) },
		},
		"all hosts of one owner, from everywhere": {
			func(i int) string { return fmt.Sprintf("a%d.slow.example", i) }, func(i int) string { return fmt.Sprintf("203.0.113.%d/32", i) },
		},
		"hosts of everybody, from one network": {
			func(i int) string { return fmt.Sprintf("slow%d.example", i) }, func(int) string { return "203.0.113.7/32" },
		},
	} {
		t.Run(name, func(t *testing.T) {
			h, web := anyHost(t)
			sent := h.crowd(web, slowIDs(40, row.host), func(i int) context.Context { return from(t, row.from(i)) })
			if sent < 28 {
				t.Errorf("%d of 40 were sent away", sent)
			}
			if client, err := h.known.Client(from(t, "198.51.100.1/32"), "https://honest.example/app"); err != nil || client.Policy != "pages" {
				t.Errorf("an honest one is kept out: %v", err)
			}
			close(web.slow)
		})
	}
}

func TestG16OneOwnerTakesNotAllRoomUnderAPolicy(t *testing.T) {
	h, _ := anyHost(t)
	stand := 0
	for i := range 40 {
		h.pass(time.Minute)
		_, err := h.known.Client(from(t, fmt.Sprintf("203.0.113.%d/32", i)), fmt.Sprintf("https://a%d.evil.example/app", i))
		if err == nil {
			stand++
		} else if !errors.Is(err, iam.ErrNotFound) {
			t.Fatal(err)
		}
	}
	if stand != 5 {
		t.Errorf("%d of one owner stand under a policy for 100", stand)
	}
	for i := range 3 {
		if _, err := h.known.Client(from(t, "198.51.100.1/32"), fmt.Sprintf("https://honest%d.example/app", i)); err != nil {
			t.Errorf("an honest one finds no room: %v", err)
		}
	}
	h.pass(2 * time.Hour)
	if _, err := h.known.Client(from(t, "198.51.100.1/32"), "https://a0.evil.example/app"); err != nil {
		t.Errorf("one that stands is read again: %v", err)
	}
}

func TestG16OneNetworkMakesUsAskNotEverybody(t *testing.T) {
	h, _ := anyHost(t)
	read := 0
	for i := range 60 {
		if _, err := h.known.Client(from(t, "203.0.113.7/32"), fmt.Sprintf("https://host%d.example/app", i)); err == nil {
			read++
		}
	}
	if read > 25 {
		t.Errorf("%d hosts were asked for one network", read)
	}
	if _, err := h.known.Client(from(t, "198.51.100.1/32"), "https://honest.example/app"); err != nil {
		t.Errorf("another network is kept out: %v", err)
	}
}
