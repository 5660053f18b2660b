package notary

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/gardeauth/garde/internal/iam"
)

// No row says of itself whether it is a leaf: to mark each would cost more than all the rest. Ids of events begin with the
// time, so what comes after the newest leaf is new. What commits late, behind the newest leaf, is found by counting: the
// notary knows how many leaves each slot of time has, and where the journal has more it looks which. A deed commits, and
// the clocks of nodes agree, within the window. Once it is over, a row that comes in behind is no late one: Verify tells it.
const (
	window    = 2 * time.Minute
	sweepPace = 30 * time.Second // the whole window is counted this often
	recent    = time.Second      // and this much of it at each turn
	slotBits  = 4                // a slot is 16 ms
)

// slotOf gives the slot of a time.
func slotOf(at time.Time) int64 { return max(at.UnixMilli(), 0) >> slotBits }

// slotOfEvent gives the slot of an event's id, UUIDv7.
func slotOfEvent(id string) (slot int64, ok bool) {
	if len(id) < 13 || id[8] != '-' {
		return 0, false
	}
	high, err := strconv.ParseUint(id[:8], 16, 32)
	if err != nil {
		return 0, false
	}
	low, err := strconv.ParseUint(id[9:13], 16, 16)
	return int64(high<<16|low) >> slotBits, err == nil //nolint:gosec // 48 bits
}

// begin is an id before all of a slot's, and after all of those before it: no event has it, for it has no version.
func begin(slot int64) string {
	at := slot << slotBits
	return fmt.Sprintf("%08x-%04x-0000-0000-000000000000", at>>16, at&0xffff)
}

// known is what the notary knows of the tree's last part.
type known struct {
	size   int64
	newest string
	whole  int64 // rows of slots before this one are leaves, all of them
	swept  time.Time
	slots  []slotCount // sorted
}

type slotCount struct{ slot, leaves int64 }

func (k *known) find(slot int64) (int, bool) {
	return slices.BinarySearchFunc(k.slots, slot, func(s slotCount, slot int64) int { return cmp.Compare(s.slot, slot) })
}

func (k *known) note(event string) {
	k.newest = max(k.newest, event)
	slot, ok := slotOfEvent(event)
	if !ok || slot < k.whole {
		return
	}
	i, there := k.find(slot)
	if !there {
		k.slots = slices.Insert(k.slots, i, slotCount{slot: slot})
	}
	k.slots[i].leaves++
}

// leaves counts those of slots in [from, to).
func (k *known) leaves(from, to int64) (count int64) {
	first, _ := k.find(from)
	for _, s := range k.slots[first:] {
		if s.slot >= to {
			break
		}
		count += s.leaves
	}
	return count
}

// listed takes note of rows that are leaves now.
func (k *known) listed(found found) {
	for _, row := range found.rows {
		k.note(row.Event)
	}
	k.size += int64(len(found.rows))
	k.advance(found)
}

// advance forgets the slots that are whole now.
func (k *known) advance(found found) {
	k.whole, k.swept = found.whole, found.swept
	first, _ := k.find(k.whole)
	k.slots = slices.Delete(k.slots, 0, first)
}

// recall reads from storage what is to be known.
func (n *Notary) recall(ctx context.Context) error {
	head, err := n.Tree.Head(ctx)
	if err != nil {
		return err
	}
	k := &known{size: head.Size, newest: head.Newest, whole: wholeOf(head.Checkpoint)}
	if err := n.Tree.Listed(ctx, begin(k.whole), head.Newest, k.note); err != nil {
		return err
	}
	n.known = k
	return nil
}

// wholeOf reads how far a checkpoint says that all rows are leaves.
func wholeOf(checkpoint string) int64 {
	var kept state
	if json.Unmarshal([]byte(checkpoint), &kept) != nil {
		return 0 // what can't be read is told when it is needed
	}
	return kept.Whole
}

// found is what a turn has to add.
type found struct {
	rows  []iam.Leaf
	more  bool
	whole int64 // with these, rows of slots before this one are leaves
	swept time.Time
}

// gather finds rows that are not yet leaves: the new ones that were made before then, and late ones.
func (n *Notary) gather(ctx context.Context, before time.Time) (found, error) {
	k, now := n.known, n.now()
	f := found{whole: k.whole, swept: k.swept}
	upto := ""
	if !before.IsZero() {
		upto = begin(slotOf(before) + 1)
	}
	var err error
	if f.rows, err = n.Tree.LeavesAfter(ctx, k.newest, upto, batch); err != nil {
		return f, err
	}
	if f.more = len(f.rows) == batch; f.more {
		return f, nil
	}
	sweep := before.IsZero() || now.Sub(k.swept) >= sweepPace
	from := k.whole
	if !sweep {
		from = max(from, slotOf(now.Add(-recent)))
	}
	last, _ := slotOfEvent(k.newest)
	late := &search{Notary: n, ctx: ctx, most: batch - len(f.rows)}
	if err := late.between(from, max(from, last, slotOf(now))+1); err != nil {
		return f, err
	}
	f.rows = append(f.rows, late.rows...)
	f.more = len(f.rows) == batch
	if sweep && !f.more {
		f.swept, f.whole = now, max(k.whole, slotOf(now.Add(-window)))
	}
	if len(f.rows) == 0 {
		k.advance(f)
	}
	return f, nil
}

// search looks for late rows behind the newest leaf.
type search struct {
	*Notary
	ctx  context.Context //nolint:containedctx // it lives as long as the search, whose context this is
	most int
	rows []iam.Leaf
}

// between halves the slots [from, to) until it has those that have more rows than leaves.
func (s *search) between(from, to int64) error {
	after, upto := begin(from), min(begin(to), s.known.newest)
	if len(s.rows) >= s.most || after >= upto {
		return nil
	}
	count, err := s.Tree.Count(s.ctx, after, upto)
	if err != nil || count == s.known.leaves(from, to) {
		return err
	}
	if to-from > 1 {
		middle := from + (to-from)/2
		if err := s.between(from, middle); err != nil {
			return err
		}
		return s.between(middle, to)
	}
	return strays(s.ctx, s.Tree, after, upto, func(row iam.Leaf) bool {
		s.rows = append(s.rows, row)
		return len(s.rows) < s.most
	})
}

// strays gives the rows after, up to and with upto, that are no leaves, until each says false.
func strays(ctx context.Context, tree iam.Tree, after, upto string, each func(iam.Leaf) bool) error {
	for {
		rows, err := tree.LeavesAfter(ctx, after, upto, strayStep)
		if err != nil || len(rows) == 0 {
			return err
		}
		end := rows[len(rows)-1].Event
		leaves := map[string]bool{}
		if err := tree.Listed(ctx, after, end, func(event string) { leaves[event] = true }); err != nil {
			return err
		}
		for _, row := range rows {
			if !leaves[row.Event] && !each(row) {
				return nil
			}
		}
		after = end
	}
}

const strayStep = 1000
