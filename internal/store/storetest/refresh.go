package storetest

import (
	"testing"

	"github.com/gardeauth/garde/internal/iam"
)

func refreshes(t *testing.T, open Opener) {
	t.Run("F02 F03 a rotated token that comes again ends its family", func(t *testing.T) {
		h := newHouse(t, open)
		got := h.redeem(h.session().ID)
		second, err := h.rotate(got.refresh)
		h.must(err)
		third, err := h.rotate(second)
		h.must(err)
		_, err = h.rotate(got.refresh)
		h.want(err, iam.ErrSpent)
		_, err = h.rotate(third)
		h.want(err, iam.ErrRevoked)
		_, err = h.Access(h.ctx, got.access.Hash, h.clock.Now())
		h.want(err, iam.ErrNotFound)
	})
}
