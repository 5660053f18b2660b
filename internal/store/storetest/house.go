package storetest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/recipe"
)

type event = journal.Event

func keys(t *testing.T, open Opener) {
	key := func(h *house, id string) iam.Key {
		return iam.Key{ID: id, Alg: "ES256", Public: "{}", Sealed: "sealed", Created: h.clock.Now(), Activates: h.clock.Now()}
	}
	t.Run("of many nodes that start at once one makes the key", func(t *testing.T) {
		h := newHouse(t, open)
		ids := make(chan string, 10)
		for i := range 10 {
			ids <- fmt.Sprint("k", i)
		}
		made := make(chan bool, 10)
		h.race(10, func() error {
			added, err := h.AddKeyOnce(h.ctx, key(h, <-ids))
			made <- added
			return err
		}, nil)
		count := 0
		for range 10 {
			if <-made {
				count++
			}
		}
		h.same(count, 1)
		all, err := h.ListKeys(h.ctx)
		h.must(err)
		h.same(len(all), 1)
		retired := all[0]
		retired.Retires = h.clock.Now()
		h.must(h.SetKey(h.ctx, retired))
		added, err := h.AddKeyOnce(h.ctx, key(h, "next"))
		h.must(err)
		h.same(added, true)
	})
	t.Run("a key that is withdrawn ends its tokens", func(t *testing.T) {
		h := newHouse(t, open)
		k := key(h, "k")
		h.must(h.AddKey(h.ctx, k))
		h.want(h.AddKey(h.ctx, k), iam.ErrExists)
		k.Retires, k.Removed = h.clock.Now(), h.clock.Now()
		stale := k
		stale.Sealed = "read before a rewrap"
		h.must(h.SetKey(h.ctx, stale))
		h.wantChanges(iam.ChangeKey, "k")
		all, err := h.ListKeys(h.ctx)
		h.must(err)
		h.same(all, []iam.Key{k})
		h.want(h.SetKey(h.ctx, key(h, "none")), iam.ErrNotFound)
	})
}

func revisions(t *testing.T, open Opener) {
	declare := func(ids ...string) []iam.Client {
		var clients []iam.Client
		for _, id := range ids {
			clients = append(clients, iam.Client{ID: id, Kind: recipe.Service})
		}
		return clients
	}
	t.Run("of many that apply at once one wins", func(t *testing.T) {
		h := newHouse(t, open)
		_, err := h.InForce(h.ctx)
		h.want(err, iam.ErrNotFound)
		wins := h.race(10, func() error {
			_, err := h.Apply(h.ctx, 0, iam.Revision{Digest: "d", Bundle: []byte("b"), By: "me"}, declare("one", "two"))
			return err
		}, iam.ErrRaced)
		h.same(wins, 1)
		got, err := h.InForce(h.ctx)
		h.must(err)
		h.same(got, iam.Revision{Number: 1, Digest: "d", Bundle: []byte("b"), By: "me", Applied: h.clock.Now()})
	})
	t.Run("declared clients take the place of those before, keeping state and secrets", func(t *testing.T) {
		h := newHouse(t, open)
		number, err := h.Apply(h.ctx, 0, iam.Revision{}, declare("one", "two"))
		h.must(err)
		h.must(h.AddClientSecret(h.ctx, "one", iam.ClientSecret{ID: "s", Hash: iam.Hash("s"), Created: h.clock.Now()}))
		h.must(h.SetClientDisabled(h.ctx, "one", true))
		next := declare("one")
		next[0].Name = recipe.Text{"en": "One"}
		number, err = h.Apply(h.ctx, number, iam.Revision{}, next)
		h.must(err)
		one, err := h.Client(h.ctx, "one")
		h.must(err)
		if !one.Disabled || len(one.Secrets) != 1 || one.Name["en"] != "One" || one.Source != iam.FromRecipe {
			t.Fatalf("%+v", one)
		}
		_, err = h.Client(h.ctx, "two")
		h.want(err, iam.ErrNotFound)
		h.wantChanges(iam.ChangeClient, "two")
		_, err = h.Client(h.ctx, "c-app")
		h.must(err)
		_, err = h.Apply(h.ctx, number, iam.Revision{}, declare("one", "two")) // a rollback
		h.must(err)
		_, err = h.Client(h.ctx, "two")
		h.must(err)
		list, err := h.ListRevisions(h.ctx)
		h.must(err)
		h.same([]int64{list[0].Number, int64(len(list))}, []int64{3, 3})
	})
	t.Run("run-time and declared clients never take one another's id", func(t *testing.T) {
		h := newHouse(t, open)
		_, err := h.Apply(h.ctx, 0, iam.Revision{}, declare("c-app"))
		h.want(err, iam.ErrExists)
		_, err = h.InForce(h.ctx)
		h.want(err, iam.ErrNotFound)
		_, err = h.Apply(h.ctx, 0, iam.Revision{}, declare("one"))
		h.must(err)
		h.want(h.PutClient(h.ctx, iam.Client{ID: "one"}), iam.ErrExists)
		h.want(h.RemoveClient(h.ctx, "one"), iam.ErrNotFound)
	})
}

func nodes(t *testing.T, open Opener) {
	t.Run("nodes and leases", func(t *testing.T) {
		h := newHouse(t, open)
		node := iam.Node{ID: "n1", Name: "one", Role: "server", Revision: 3, Ready: true, Seen: h.clock.Now()}
		h.must(h.Beat(h.ctx, node))
		node.Ready, node.Problem = false, "why"
		h.must(h.Beat(h.ctx, node))
		nodes, err := h.ListNodes(h.ctx, h.clock.Now())
		h.must(err)
		h.same(nodes, []iam.Node{node})
		h.must(h.LeaveNode(h.ctx, "n1"))
		now := h.clock.Now()
		for _, step := range []struct {
			holder string
			at     time.Duration
			want   bool
		}{{"a", 0, true}, {"b", 0, false}, {"a", time.Second, true}, {"b", 5 * time.Second, false}, {"b", 11 * time.Second, true}, {"a", 11 * time.Second, false}} {
			has, err := h.Lease(h.ctx, "notary", step.holder, now.Add(step.at), now.Add(step.at+10*time.Second))
			h.must(err)
			if has != step.want {
				t.Fatalf("%s at %v: %v", step.holder, step.at, has)
			}
		}
	})
	t.Run("a one-time identifier is fresh once", func(t *testing.T) {
		h := newHouse(t, open)
		fresh := make(chan bool, 20)
		h.race(20, func() error {
			is, err := h.Fresh(h.ctx, "jti", "c-app", "1", h.clock.Now(), h.clock.Now().Add(time.Minute))
			fresh <- is
			return err
		}, nil)
		count := 0
		for range 20 {
			if <-fresh {
				count++
			}
		}
		h.same(count, 1)
		other, err := h.Fresh(h.ctx, "jti", "c-other", "1", h.clock.Now(), h.clock.Now().Add(time.Minute))
		h.must(err)
		h.same(other, true)
	})
}

func messages(t *testing.T, open Opener) {
	t.Run("of two that look for messages each gets others", func(t *testing.T) {
		h := newHouse(t, open)
		for i := range 20 {
			h.must(h.Enqueue(h.ctx, iam.Delivery{ID: fmt.Sprint(i), Kind: "mail", Sealed: "s", Next: h.clock.Now(), Made: h.clock.Now()}))
		}
		got := make(chan string, 100)
		h.race(8, func() error {
			due, err := h.Due(h.ctx, h.clock.Now(), h.clock.Now().Add(time.Minute), 10)
			for _, delivery := range due {
				got <- delivery.ID
			}
			return err
		}, nil)
		close(got)
		seen := map[string]bool{}
		for id := range got {
			if seen[id] {
				t.Fatalf("%s was given twice", id)
			}
			seen[id] = true
		}
		if len(seen) == 0 {
			t.Fatal("nobody got any")
		}
		h.must(h.Delivered(h.ctx, "0"))
		h.must(h.Postpone(h.ctx, "1", h.clock.Now().Add(time.Hour), "no route"))
		h.want(h.Postpone(h.ctx, "0", h.clock.Now(), ""), iam.ErrNotFound)
	})
	t.Run("who waits hears of a change", func(t *testing.T) {
		h := newHouse(t, open)
		epoch, err := h.Epoch(h.ctx)
		h.must(err)
		again, err := h.Epoch(h.ctx)
		h.must(err)
		if epoch == "" || epoch != again {
			t.Fatalf("epochs %q and %q", epoch, again)
		}
		h.must(h.Wait(h.ctx))
		ended, cancel := context.WithCancel(h.ctx)
		cancel()
		h.want(h.Wait(ended), context.Canceled)
	})
}

func journals(t *testing.T, open Opener) {
	t.Run("what is recorded is found, and personal fields can be forgotten", func(t *testing.T) {
		h := newHouse(t, open)
		first, second := h.event(), h.event()
		second.User, second.Trace, second.Kind = "u-bob", "trace-2", "token.refused"
		h.must(h.Record(h.ctx, first, second))
		for name, row := range map[string]struct {
			query iam.JournalQuery
			want  []event
		}{
			"newest first": {iam.JournalQuery{}, []event{second, first}},
			"oldest first": {iam.JournalQuery{Oldest: true}, []event{first, second}},
			"of a person":  {iam.JournalQuery{User: "u-bob"}, []event{second}},
			"of a trace":   {iam.JournalQuery{Trace: "trace-1"}, []event{first}},
			"of a kind":    {iam.JournalQuery{Kind: "token.refused"}, []event{second}},
			"after one":    {iam.JournalQuery{Oldest: true, AfterID: first.ID}, []event{second}},
			"older":        {iam.JournalQuery{AfterID: second.ID}, []event{first}},
			"in time":      {iam.JournalQuery{Before: h.clock.Now()}, nil},
			"one of two":   {iam.JournalQuery{Limit: 1}, []event{second}},
			"two columns":  {iam.JournalQuery{User: "u-bob", Trace: "trace-1"}, nil},
		} {
			got, err := h.Events(h.ctx, row.query)
			h.must(err)
			t.Log(name)
			h.same(got, row.want)
		}
		before := h.leaves()
		n, err := h.ErasePersonal(h.ctx, "u-bob", h.clock.Now().Add(time.Second))
		h.must(err)
		h.same(n, int64(1))
		got, err := h.Events(h.ctx, iam.JournalQuery{User: "u-bob"})
		h.must(err)
		h.same(len(got[0].Personal), 0)
		h.same(h.leaves(), before)
	})
	t.Run("an event of a deed that failed is not there", func(t *testing.T) {
		h := newHouse(t, open)
		h.want(h.RevokeGrant(h.ctx, "none", h.event()), iam.ErrNotFound)
		h.want(h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: "c-app", Code: &iam.CodeProof{}, Events: []event{h.event()}}), iam.ErrNotFound)
		got, err := h.Events(h.ctx, iam.JournalQuery{})
		h.must(err)
		h.same(len(got), 0)
	})
	t.Run("of many events each is kept as it is, with what is personal in it", func(t *testing.T) {
		h := newHouse(t, open)
		many := make([]event, 75)
		for i := range many {
			many[i] = h.event()
			many[i].User, many[i].Personal = fmt.Sprintf("u-%d", i%3), map[string]string{"place": strconv.Itoa(i)}
		}
		many[20].Personal = nil
		h.must(h.Record(h.ctx, many...))
		got, err := h.Events(h.ctx, iam.JournalQuery{Oldest: true, Limit: 100})
		h.must(err)
		h.same(got, many)
		n, err := h.ErasePersonal(h.ctx, "u-1", h.clock.Now().Add(time.Second))
		h.must(err)
		h.same(n, int64(25))
	})
	t.Run("two personal parts of one text have different commitments", func(t *testing.T) {
		h := newHouse(t, open)
		h.must(h.Record(h.ctx, h.event(), h.event()))
		leaves := h.leaves()
		if suffix := leaves[0][len(leaves[0])-44:]; strings.HasSuffix(leaves[1], suffix) {
			t.Fatal("the commitment is not salted")
		}
	})
}

func (h *house) leaves() []string {
	h.t.Helper()
	all, err := h.LeavesAfter(h.ctx, "", "", 100)
	h.must(err)
	var leaves []string
	for _, leaf := range all {
		leaves = append(leaves, leaf.Data)
	}
	return leaves
}

func trees(t *testing.T, open Opener) {
	h := newHouse(t, open)
	odd := h.event()
	odd.Actor, odd.Trace, odd.Detail = "user:Zoë, 5:x,", "\x00\xff", nil // lengths are bytes, and what is no text is not kept
	h.must(h.Record(h.ctx, h.event(), odd, h.event()))
	all, err := h.LeavesAfter(h.ctx, "", "", 10)
	h.must(err)
	h.same(len(all), 3)
	want := fmt.Sprintf("15:garde-journal-1,36:%s,16:%d,12:token.issued,15:user:Zoë, 5:x,,5:c-app,5:u-ada,0:,0:,6:\uFFFD\uFFFD,2:{},43:", odd.ID, odd.At.UnixMicro())
	for _, leaf := range all {
		if leaf.Event == odd.ID && !strings.HasPrefix(leaf.Data, want) {
			t.Errorf("a leaf is\n%s, want\n%s…", leaf.Data, want)
		}
	}
	middle := all[1].Event
	for name, row := range map[string]struct {
		after, upto string
		want        []iam.Leaf
	}{
		"all":        {"", "", all},
		"from one":   {middle, "", all[2:]},
		"up to one":  {"", middle, all[:2]},
		"only one":   {all[0].Event, middle, all[1:2]},
		"none there": {all[2].Event, "", nil},
	} {
		t.Log(name)
		got, err := h.LeavesAfter(h.ctx, row.after, row.upto, 10)
		h.must(err)
		h.same(got, row.want)
		count, err := h.Count(h.ctx, row.after, row.upto)
		h.must(err)
		h.same(count, int64(len(row.want)))
	}
	few, err := h.LeavesAfter(h.ctx, "", "", 2)
	h.must(err)
	h.same(few, all[:2])
	of, err := h.LeavesOf(h.ctx, []string{middle, "none"})
	h.must(err)
	h.same(of, all[1:2])

	hashes := [][32]byte{sha256.Sum256([]byte(all[0].Data)), sha256.Sum256([]byte(all[1].Data))}
	tiles := []iam.Tile{{Hashes: hashes, Events: []string{middle, all[0].Event}}, {Level: 1, Number: 3, Hashes: hashes[:1]}}
	wins := h.race(5, func() error { return h.Append(h.ctx, 0, 2, tiles, "checkpoint") }, iam.ErrRaced)
	h.same(wins, 1)
	h.treeIs(iam.TreeHead{Size: 2, Checkpoint: "checkpoint", Newest: middle}, tiles)
	tiles[0].Hashes, tiles[0].Events = append(hashes, hashes[0]), append(tiles[0].Events, all[2].Event)
	h.must(h.Append(h.ctx, 2, 1, tiles[:1], "next"))
	h.want(h.Append(h.ctx, 2, 1, tiles[:1], "late"), iam.ErrRaced)
	h.treeIs(iam.TreeHead{Size: 3, Checkpoint: "next", Newest: all[2].Event}, tiles)
	var listed []string
	h.must(h.Listed(h.ctx, all[0].Event, middle, func(event string) { listed = append(listed, event) }))
	h.same(listed, []string{middle})
}

func (h *house) treeIs(head iam.TreeHead, tiles []iam.Tile) {
	h.t.Helper()
	got, err := h.Head(h.ctx)
	h.must(err)
	h.same(got, head)
	for _, tile := range tiles {
		got, err := h.Tiles(h.ctx, tile.Level, 0, 10)
		h.must(err)
		h.same(got, []iam.Tile{tile})
	}
}

func sweeps(t *testing.T, open Opener) {
	h := newHouse(t, open)
	session := h.session()
	got := h.redeem(session.ID)
	h.code("")
	h.must(h.RevokeToken(h.ctx, "t", h.clock.Now().Add(time.Minute)))
	n, err := h.Sweep(h.ctx, h.clock.Now())
	h.must(err)
	h.same(n, int64(0))
	h.clock.Pass(time.Hour)
	n, err = h.Sweep(h.ctx, h.clock.Now())
	h.must(err)
	if n < 3 { // the code, the access token, the ended token
		t.Fatalf("swept %d", n)
	}
	h.clock.Pass(8 * time.Hour) // the session is over, but what was born of it can still be ended with it
	_, err = h.Sweep(h.ctx, h.clock.Now())
	h.must(err)
	h.must(h.EndSession(h.ctx, session.ID))
	h.wantChanges(iam.ChangeGrant, got.code.Grant.ID)
	h.want(h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: "c-app", Code: proofOf(got.code)}), iam.ErrSpent) // still remembered
	h.clock.Pass(60 * 24 * time.Hour)
	for n = 1; n > 0; {
		n, err = h.Sweep(h.ctx, h.clock.Now())
		h.must(err)
	}
	_, err = h.Grant(h.ctx, got.code.Grant.ID)
	h.want(err, iam.ErrNotFound)
	_, _, err = h.Refresh(h.ctx, got.refresh.Hash)
	h.want(err, iam.ErrNotFound)
}

// texts: what comes from foreign hands is stored as one and the same text on every engine, and never an error.
func texts(t *testing.T, open Opener) {
	h := newHouse(t, open)
	for _, foreign := range []string{"a\x00b", "\xff\xfe", "'; DROP TABLE users; --", strings.Repeat("x", 10000), "é\u202e"} {
		_, err := h.Client(h.ctx, foreign)
		h.want(err, iam.ErrNotFound)
		_, err = h.UserByName(h.ctx, foreign)
		h.want(err, iam.ErrNotFound)
		_, err = h.ListUsers(h.ctx, iam.Page{After: foreign}) // A04, A16: a cursor is a value, never SQL
		h.must(err)
		_, err = h.Events(h.ctx, iam.JournalQuery{User: foreign, Client: foreign, Kind: foreign, AfterID: foreign})
		h.must(err)
		e := h.event()
		e.Personal, e.Trace = map[string]string{"device": foreign}, foreign
		h.must(h.Record(h.ctx, e))
		_, err = h.Fresh(h.ctx, "jti", foreign, foreign, h.clock.Now(), h.clock.Now().Add(time.Minute))
		h.must(err)
		_, err = h.Consent(h.ctx, foreign, foreign)
		h.want(err, iam.ErrNotFound)
	}
	_, err := h.User(h.ctx, "u-ada")
	h.must(err)
}
