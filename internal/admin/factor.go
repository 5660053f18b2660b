package admin

import (
	"context"
	"time"

	"github.com/gardeauth/garde/internal/iam"
)

// Factor is something that a person signs in with. What it proves by is no part of it.
type Factor struct {
	ID      string     `json:"id"`
	Kind    string     `json:"kind"`
	Name    string     `json:"name"`
	Model   string     `json:"model,omitempty" doc:"AAGUID of the authenticator"`
	Synced  bool       `json:"synced,omitempty" doc:"it is, or may be, on several devices"`
	Created time.Time  `json:"created"`
	Used    *time.Time `json:"used,omitempty"`
}

// HeldFactors is what a person signs in with, beside a password.
type HeldFactors struct {
	Factors       []Factor `json:"factors"`
	RecoveryCodes int      `json:"recovery_codes" doc:"that were not used"`
}

// Device is a browser or an installation that a person has signed in from.
type Device struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Agent   string    `json:"agent,omitempty"`
	Address string    `json:"address,omitempty"`
	Created time.Time `json:"created"`
	Seen    time.Time `json:"seen"`
	Expires time.Time `json:"expires"`
}

func factorView(kept iam.Authenticator) Factor {
	view := Factor{ID: kept.ID, Kind: string(kept.Kind), Name: kept.Name, Model: kept.Model, Synced: kept.Synced, Created: kept.Created}
	if !kept.Used.IsZero() {
		view.Used = &kept.Used
	}
	return view
}

func deviceView(kept iam.Device) Device {
	view := Device{
		ID: kept.ID, Name: kept.Name, Agent: kept.Agent, Address: kept.Address, Created: kept.Created, Seen: kept.Seen, Expires: kept.Expires,
	}
	if view.Name == "" {
		view.Name = kept.Agent
	}
	return view
}

func (a *api) factors() {
	type ref struct {
		UserRef
		ID string `path:"id" maxLength:"200"`
	}
	op(a, route("GET", "/users/{user}/factors", "list-user-factors", "List what a person signs in with"),
		func(ctx context.Context, in *UserRef) (*some[HeldFactors], error) {
			held, err := a.Desk.Factors.Of(ctx, in.User)
			view := HeldFactors{Factors: []Factor{}, RecoveryCodes: held.RecoveryCodes}
			for _, one := range held.Authenticators {
				view.Factors = append(view.Factors, factorView(one))
			}
			return answer(view, err)
		})
	op(a, route("DELETE", "/users/{user}/factors/{id}", "remove-user-factor", "Take from a person what they sign in with, and end the sessions that rest on it"),
		func(ctx context.Context, in *ref) (*none, error) {
			return nothing(a.Desk.Factors.Remove(ctx, Operator(ctx), in.User, in.ID))
		})
	op(a, route("GET", "/users/{user}/devices", "list-user-devices", "List the devices that a person has signed in from"),
		func(ctx context.Context, in *UserRef) (*some[paged[Device]], error) {
			rows, err := a.Desk.Factors.Known(ctx, in.User)
			return answer(part("devices", len(rows), rows, func(one iam.Device) string { return one.ID }, deviceView), err)
		})
	op(a, route("DELETE", "/users/{user}/devices/{id}", "forget-user-device", "Cut a person's device off, with all that began on it"),
		func(ctx context.Context, in *ref) (*none, error) {
			return nothing(a.Desk.Factors.Forget(ctx, Operator(ctx), in.User, in.ID))
		})
}
