package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/seal"
)

// sealed proves that a new master key reaches whatever is sealed, and nothing else.
func sealed(t *testing.T, open Opener) {
	old, fresh := masterKey(t), masterKey(t)
	t.Run("one of everything that is sealed is reached", func(t *testing.T) {
		h := newHouse(t, open)
		kept := h.sealOneOfEach(seal.Sealer{Current: old})
		h.same(h.rewrap(seal.Sealer{Current: fresh, Previous: []seal.Master{old}}, nil), len(kept))
		for _, value := range h.sealedValues() {
			h.same(seal.KeyID(value.Value), fresh.ID())
			plain, err := seal.Sealer{Current: fresh}.Open(seal.AD{Tenant: "t", Table: value.Table, Row: value.Row}, value.Value)
			h.must(err)
			h.same(string(plain), "secret of "+value.Row)
			kept = slices.DeleteFunc(kept, func(row string) bool { return row == value.Row })
		}
		h.same(len(kept), 0)
		head, err := h.Head(h.ctx)
		h.must(err)
		h.same(head.Checkpoint[:len(`{"note":"s1 is no value","signer":"s1.`)], `{"note":"s1 is no value","signer":"s1.`)
		h.same(h.rewrap(seal.Sealer{Current: fresh}, nil), 0)
	})
	t.Run("what has changed meanwhile keeps its new value, what is gone stays so", func(t *testing.T) {
		h := newHouse(t, open)
		h.sealOneOfEach(seal.Sealer{Current: old})
		both := seal.Sealer{Current: fresh, Previous: []seal.Master{old}}
		count := h.rewrap(both, func(value iam.Sealed) {
			switch value.Table {
			case "deliveries mail":
				h.must(h.Delivered(h.ctx, value.Row))
			case "notary":
				h.must(h.Append(h.ctx, 0, 0, nil, "another"))
			}
		})
		h.same(count, 6)
		head, err := h.Head(h.ctx)
		h.must(err)
		h.same(head.Checkpoint, "another")
		h.same(len(h.sealedValues()), 6)
	})
	t.Run("what can't be opened is named and keeps nobody else", func(t *testing.T) {
		h := newHouse(t, open)
		sealer := seal.Sealer{Current: old}
		for i := range 450 { // more than are read at once
			h.enqueueSealed(sealer, fmt.Sprintf("d-%03d", i))
		}
		h.enqueueSealed(seal.Sealer{Current: masterKey(t)}, "d-007 of a lost key")
		count, err := h.Reseal(h.ctx, again(seal.Sealer{Current: fresh, Previous: []seal.Master{old}}))
		h.want(err, seal.ErrSealed)
		h.same(count, 450)
	})
}

// masterKey makes a master key.
func masterKey(t *testing.T) seal.Master {
	t.Helper()
	key, err := seal.ParseMaster(seal.GenerateMaster())
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func again(sealer seal.Sealer) func(iam.Sealed) (string, error) {
	return func(kept iam.Sealed) (string, error) {
		return sealer.Rewrap(seal.AD{Tenant: "t", Table: kept.Table, Row: kept.Row}, kept.Value)
	}
}

// rewrap puts everything under a new master key; before is called ahead of each value.
func (h *house) rewrap(sealer seal.Sealer, before func(iam.Sealed)) int {
	h.t.Helper()
	count, err := h.Reseal(h.ctx, func(kept iam.Sealed) (string, error) {
		if before != nil {
			before(kept)
		}
		return again(sealer)(kept)
	})
	h.must(err)
	return count
}

var errLook = errors.New("only looked")

// sealedValues gives all that Reseal reaches.
func (h *house) sealedValues() []iam.Sealed {
	h.t.Helper()
	var all []iam.Sealed
	_, err := h.Reseal(h.ctx, func(kept iam.Sealed) (string, error) {
		all = append(all, kept)
		return "", errLook
	})
	if len(all) > 0 {
		h.want(err, errLook)
	}
	return all
}

func (h *house) sealed(sealer seal.Sealer, table, row string) string {
	h.t.Helper()
	value, err := sealer.Seal(seal.AD{Tenant: "t", Table: table, Row: row}, []byte("secret of "+row))
	h.must(err)
	return value
}

func (h *house) enqueueSealed(sealer seal.Sealer, id string) {
	h.t.Helper()
	h.must(h.Enqueue(h.ctx, iam.Delivery{ID: id, Kind: "mail", Sealed: h.sealed(sealer, "deliveries mail", id), Next: h.clock.Now(), Made: h.clock.Now()}))
}

// sealOneOfEach keeps a value in every column that holds sealed ones, and gives their rows.
func (h *house) sealOneOfEach(sealer seal.Sealer) []string {
	h.t.Helper()
	h.must(h.AddKey(h.ctx, iam.Key{ID: "k", Alg: "ES256", Sealed: h.sealed(sealer, "keys", "k"), Created: h.clock.Now(), Activates: h.clock.Now()}))
	h.enqueueSealed(sealer, "d")
	link := iam.Link{Hash: iam.HashLink(iam.NewSecret(iam.PrefixLink)), Kind: iam.LinkVerify, User: "u-ada", Email: "ada@example.com",
		Created: h.clock.Now(), Expires: h.clock.Now().Add(time.Hour)}
	row := iam.Digest(link.Hash).String()
	link.Flow = h.sealed(sealer, "links", row)
	h.must(h.AddLink(h.ctx, link))
	h.must(h.AddClientSecret(h.ctx, "c-app", iam.ClientSecret{ID: "cs", Hash: iam.Hash("cs"), Sealed: h.sealed(sealer, "client_secrets", "cs"), Created: h.clock.Now()}))
	asked := h.newAsked(iam.AskedCIBA)
	asked.Notify = h.sealed(sealer, "asked", asked.ID)
	h.must(h.Ask(h.ctx, asked))
	h.must(h.Append(h.ctx, 0, 0, nil, `{"note":"s1 is no value","signer":"`+h.sealed(sealer, "notary", "signer")+`"}`))
	h.must(h.AddAuthenticator(h.ctx, iam.Authenticator{ID: "au", User: "u-ada", Kind: iam.FactorTOTP, Sealed: h.sealed(sealer, "authenticators", "au")}))
	h.must(h.LearnHabits(h.ctx, iam.Habits{User: "u-ada", Sealed: h.sealed(sealer, "habits", "u-ada")}, 0))
	return []string{"k", "d", row, "cs", asked.ID, "au", "u-ada", "signer"}
}
