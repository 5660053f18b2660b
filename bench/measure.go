package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// ratio measures one row: ours and a reference in turn, in rounds. The two stretches of a round stand next to each other in
// time, so what the machine does to one it does to the other: the figure is the median of the rounds' ratios.
func (b *bench) ratio(ctx context.Context, name string, limit float64, ours side, reference string, theirs side, args ...string) error {
	if !b.wants(name) {
		return nil
	}
	process, address, err := startReference(reference, args...)
	if err != nil {
		return err
	}
	defer process.stop() //nolint:errcheck // it tells nothing
	theirs.address, theirs.process = address, process
	return b.beside(ctx, name, limit, ours, theirs)
}

// beside measures one row of two sides that both run.
func (b *bench) beside(ctx context.Context, name string, limit float64, ours, theirs side) error {
	if !b.wants(name) {
		return nil
	}
	var own, bare []float64
	for round := -1; round < b.rounds; round++ { // the first warms up
		for _, each := range []struct {
			side  *side
			rates *[]float64
		}{{&theirs, &bare}, {&ours, &own}} {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if b.profiles != "" && each.side == &theirs { // a profile is of ours
				continue
			}
			got, err := b.measure(name, *each.side)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if round >= 0 {
				*each.rates = append(*each.rates, got.perSecond)
			}
		}
	}
	if b.profiles != "" {
		return nil
	}
	shares := make([]float64, len(own))
	for i := range own {
		shares[i] = own[i] / bare[i]
	}
	b.rows = append(b.rows, row{name: name, ours: median(own), reference: median(bare), ratio: median(shares), limit: limit})
	if b.verbose {
		fmt.Fprintf(os.Stderr, "%s: %.2f\n", name, b.rows[len(b.rows)-1].figure())
	}
	return nil
}

// measure loads one side for a stretch.
func (b *bench) measure(name string, s side) (rate, error) {
	if s.between != nil {
		if err := s.between(b.stretch); err != nil {
			return rate{}, err
		}
	}
	before := s.process.processor()
	bytes, calls := s.process.wrote()
	got, err := load(s, b.stretch)
	if err == nil && b.verbose {
		called := s.called
		if called == "" {
			called = s.process.name()
		}
		each := float64((s.process.processor() - before).Microseconds()) / float64(max(1, got.done))
		units := float64(max(1, got.done))
		allBytes, allCalls := s.process.wrote()
		fmt.Fprintf(os.Stderr, "  %-50s %-18s %8.0f/s  %6.1f µs of its processor, %5.1f KiB written in %4.1f calls each\n", name, called, got.perSecond, each,
			float64(allBytes-bytes)/1024/units, float64(allCalls-calls)/units)
	}
	return got, err
}

func median(of []float64) float64 {
	sorted := slices.Sorted(slices.Values(of))
	if len(sorted) == 0 {
		return 0
	}
	return sorted[len(sorted)/2]
}

// start measures how long a node takes from its process's start on an empty folder until it is ready, and what it holds
// when it has nothing to do.
func (b *bench) start(ctx context.Context) error {
	const started, idle = "start to ready, fresh data", "resident memory, idle"
	if !b.wants(started) && !b.wants(idle) {
		return nil
	}
	var took, held []float64
	for round := range b.rounds {
		house, err := newHouse(filepath.Join(b.dir, fmt.Sprintf("start-%d", round)), "sqlite:garde.db", b.upstream)
		if err != nil {
			return err
		}
		node, ready, err := startNode(ctx, b.program, "serve", "--config", house.config)
		if err != nil {
			return err
		}
		took = append(took, float64(ready.Microseconds())/1000)
		if round == 0 && b.wants(idle) {
			time.Sleep(5 * time.Second) // its keys are all made by then
			held = append(held, node.resident())
		}
		if err := node.stop(); err != nil {
			return err
		}
	}
	b.rows = append(b.rows, row{name: started, ours: median(took), limit: 300, unit: "ms"})
	if b.wants(idle) {
		b.rows = append(b.rows, row{name: idle, ours: median(held), limit: 40, unit: "MiB"})
	}
	return nil
}

// serve runs a node: garde itself, or under the profiler this program with the same parts.
func (b *bench) serve(ctx context.Context, verb string, h *house) (*process, error) {
	if b.profiles != "" {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		node, _, err := startNode(ctx, self, "-node", verb, h.config, filepath.Join(b.profiles, verb))
		return node, err
	}
	node, _, err := startNode(ctx, b.program, verb, "--config", h.config)
	return node, err
}

// onSQLite measures everything that runs on the node's own storage.
func (b *bench) onSQLite(ctx context.Context) error {
	house, err := newHouse(filepath.Join(b.dir, "on-sqlite"), "sqlite:garde.db", b.upstream)
	if err != nil {
		return err
	}
	if err := house.plant(ctx); err != nil {
		return err
	}
	server, err := b.serve(ctx, "serve", house)
	if err != nil {
		return err
	}
	defer server.stop() //nolint:errcheck // it tells nothing
	peak := watch(server)
	ours := func(do deed) side { return side{address: house.server, do: do, process: server} }
	signs := side{do: clientCredentials}
	for _, measure := range []func() error{
		func() error {
			return b.ratio(ctx, "client_credentials on SQLite", 0.55, ours(clientCredentials), "sign", signs)
		},
		func() error {
			return b.ratio(ctx, "introspection of an opaque token", 0.5, ours(introspection(house.opaque)), "lookup", side{do: introspection(plainTokens())})
		},
		func() error {
			return b.ratio(ctx, "introspection as a signed JWT", 0.5, ours(signedIntrospection(house.opaque)), "sign", signs)
		},
		func() error {
			ask, err := evaluating(house.people, "http://"+house.gate, false)
			if err != nil {
				return err
			}
			return b.ratio(ctx, "AuthZEN evaluation, with the risk of the moment", 0.5, ours(ask), "json", side{do: ask})
		},
		func() error {
			ask, err := evaluating(house.people, "http://"+house.gate, true)
			if err != nil {
				return err
			}
			return b.ratio(ctx, "AuthZEN evaluation, another value each time", 0, ours(ask), "json", side{do: ask})
		},
		func() error { return b.bound(ctx, house, server) },
		func() error {
			return b.ratio(ctx, "refresh with rotation", 0.25, ours(refreshing(house.refresh)), "sign", signs)
		},
		func() error {
			return b.ratio(ctx, "code flow, session to tokens", 0.15, ours(codeFlow(house.sessions)), "sign", signs)
		},
	} {
		if err := measure(); err != nil {
			return err
		}
	}
	if err := b.atTheGate(ctx, house); err != nil {
		return err
	}
	const loaded = "resident memory of the Server, under the load"
	if most := peak(); b.wants(loaded) && most > 0 {
		b.rows = append(b.rows, row{name: loaded, ours: most, limit: 120, unit: "MiB"})
	}
	return nil
}

// atTheGate measures the Gate beside a bare proxy.
func (b *bench) atTheGate(ctx context.Context, h *house) error {
	const seen, unseen, loaded = "Gate, token seen before", "Gate, new ES256 token each time", "resident memory of the Gate, under the load"
	if !b.wants(seen) && !b.wants(unseen) && !b.wants(loaded) {
		return nil
	}
	gate, err := b.serve(ctx, "gate", h)
	if err != nil {
		return err
	}
	defer gate.stop() //nolint:errcheck // it tells nothing
	peak := watch(gate)
	one, err := h.tokens(1)
	if err != nil {
		return err
	}
	same := account(func() string { return one[0] })
	if err := b.ratio(ctx, seen, 0.85, side{address: h.gate, do: same, process: gate}, "proxy", side{do: same}, "http://"+b.upstream); err != nil {
		return err
	}
	point, err := h.point()
	if err != nil {
		return err
	}
	drawn := &fresh{house: h}
	draw := account(drawn.draw)
	if err := b.ratio(ctx, unseen, 0.85, side{address: h.gate, do: draw, process: gate, between: drawn.refill},
		"verify", side{do: draw, between: drawn.refill}, "http://"+b.upstream, point); err != nil {
		return err
	}
	if most := peak(); b.wants(loaded) && most > 0 {
		b.rows = append(b.rows, row{name: loaded, ours: most, limit: 120, unit: "MiB"})
	}
	return nil
}

// watch looks at a process's memory until the most is asked for.
func watch(p *process) (peak func() float64) {
	var mu sync.Mutex
	most := 0.0
	done := make(chan struct{})
	go func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-p.exited:
				return
			case <-tick.C:
				mu.Lock()
				most = max(most, p.resident())
				mu.Unlock()
			}
		}
	}()
	return func() float64 {
		close(done)
		mu.Lock()
		defer mu.Unlock()
		return most
	}
}
