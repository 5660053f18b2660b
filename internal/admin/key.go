package admin

import (
	"context"
	"encoding/json"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/manage"
)

// Key is a signing key; its private part is told to nobody.
type Key struct {
	ID        string          `json:"id"`
	Alg       string          `json:"alg"`
	State     string          `json:"state" enum:"waits,signs,verifies,removed"`
	Created   time.Time       `json:"created"`
	Activates time.Time       `json:"activates"`
	Retires   time.Time       `json:"retires,omitzero"`
	Removed   time.Time       `json:"removed,omitzero"`
	Public    json.RawMessage `json:"public,omitempty"`
}

func (a *api) keyView(key iam.Key) Key {
	return Key{
		ID: key.ID, Alg: key.Alg, State: manage.State(key, a.Now()), Created: key.Created, Activates: key.Activates,
		Retires: key.Retires, Removed: key.Removed, Public: json.RawMessage(key.Public),
	}
}

func (a *api) keys() {
	op(a, route("GET", "/keys", "list-keys", "List signing keys"), func(ctx context.Context, _ *none) (*some[paged[Key]], error) {
		rows, err := a.Desk.House.ListKeys(ctx)
		return answer(part("keys", len(rows), rows, func(key iam.Key) string { return key.ID }, a.keyView), err)
	})
	type ref struct {
		Key string `path:"key" maxLength:"200"`
	}
	op(a, route("GET", "/keys/{key}", "show-key", "Show a signing key"), func(ctx context.Context, in *ref) (*some[Key], error) {
		key, err := a.Desk.Keys.Find(ctx, in.Key)
		return answer(a.keyView(key), err)
	})
	type rotation struct {
		Body struct {
			Alg string `json:"alg" maxLength:"20"`
			Now bool   `json:"now,omitempty" doc:"signs at once, for a key that must be feared"`
		}
	}
	op(a, made(route("POST", "/keys", "rotate-key", "Make a new signing key; the old one retires")), func(ctx context.Context, in *rotation) (*some[Key], error) {
		key, err := a.Desk.Keys.Rotate(ctx, Operator(ctx), in.Body.Alg, in.Body.Now)
		return answer(a.keyView(key), err)
	})
	op(a, route("DELETE", "/keys/{key}", "remove-key", "Withdraw a signing key: what it signed is dead"), func(ctx context.Context, in *ref) (*none, error) {
		return nothing(a.Desk.Keys.Remove(ctx, Operator(ctx), in.Key))
	})
	op(a, route("POST", "/keys/rewrap", "rewrap-keys", "Put every sealed value under the current master key"), func(ctx context.Context, _ *none) (*some[Rewrapped], error) {
		count, err := a.Desk.Keys.Rewrap(ctx, Operator(ctx))
		return answer(Rewrapped{count}, err)
	})
}

// Rewrapped tells how many values were not under the current master key.
type Rewrapped struct {
	Count int `json:"rewrapped"`
}
