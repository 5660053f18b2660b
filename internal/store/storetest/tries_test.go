package storetest

import (
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
)

func owed(t *testing.T, open Opener) {
	narrow, wide := iam.Hash("narrow"), iam.Hash("wide")
	price := func(burst int) []iam.Debt {
		return []iam.Debt{{Key: narrow, Every: time.Minute, Burst: burst}, {Key: wide, Every: time.Second, Burst: 100}}
	}
	t.Run("S08 of many at once as many are counted as the budget holds", func(t *testing.T) {
		h := newHouse(t, open)
		h.same(h.race(40, func() error { return h.Owe(h.ctx, price(10), h.clock.Now()) }, iam.ErrFull), 10)
		owed, err := h.Owed(h.ctx, []iam.Digest{wide, narrow, iam.Hash("other")}, h.clock.Now())
		h.must(err)
		// What was refused costs nothing under any key.
		h.same(owed, []time.Time{h.clock.Now().Add(10 * time.Second), h.clock.Now().Add(10 * time.Minute), {}})
	})
	t.Run("S18 time pays, and nobody is kept out for good", func(t *testing.T) {
		h := newHouse(t, open)
		for range 3 {
			h.must(h.Owe(h.ctx, price(3), h.clock.Now()))
		}
		h.want(h.Owe(h.ctx, price(3), h.clock.Now()), iam.ErrFull)
		h.clock.Pass(time.Minute)
		h.must(h.Owe(h.ctx, price(3), h.clock.Now()))
		h.want(h.Owe(h.ctx, price(3), h.clock.Now()), iam.ErrFull)
		h.clock.Pass(time.Hour)
		for range 3 { // what was paid long ago is no credit
			h.must(h.Owe(h.ctx, price(3), h.clock.Now()))
		}
		h.want(h.Owe(h.ctx, price(3), h.clock.Now()), iam.ErrFull)
	})
	t.Run("what is paid is swept, and what is forgiven is gone", func(t *testing.T) {
		h := newHouse(t, open)
		h.must(h.Owe(h.ctx, price(3), h.clock.Now()))
		h.must(h.Forgive(h.ctx, narrow))
		owed, err := h.Owed(h.ctx, []iam.Digest{narrow, wide}, h.clock.Now())
		h.must(err)
		h.same(owed, []time.Time{{}, h.clock.Now().Add(time.Second)})
		h.clock.Pass(time.Minute)
		swept, err := h.Sweep(h.ctx, h.clock.Now())
		h.must(err)
		h.same(swept, int64(1))
	})
	t.Run("S36 a device goes on by the newest cookie alone", func(t *testing.T) {
		h := newHouse(t, open)
		d := h.device("d")
		turned := d
		turned.Turn = 1
		h.same(h.race(8, func() error { return h.KeepDevice(h.ctx, turned) }, iam.ErrSpent), 8) // tabs of one browser
		h.want(h.KeepDevice(h.ctx, d), iam.ErrSpent)
		got, err := h.Device(h.ctx, "u-ada", "d", h.clock.Now())
		h.must(err)
		h.same(got.Turn, int64(1))
	})
}
