package manage

import (
	"context"
	"errors"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
)

// Factors are the deeds about what people sign in with, and on which devices. All fields but Now are required.
type Factors struct {
	Kept    iam.Authenticators
	Devices iam.Devices
	People  *Users
	WayIn   func(iam.Left) bool // whether somebody who has no more left could still sign in
	Now     func() time.Time    // nil: time.Now
}

// Held is what a person can prove, beside a password.
type Held struct {
	Authenticators []iam.Authenticator
	RecoveryCodes  int // that are left
}

// Of gives what a person can prove.
func (f *Factors) Of(ctx context.Context, ref string) (Held, error) {
	user, err := f.People.Find(ctx, ref)
	if err != nil {
		return Held{}, err
	}
	var held Held
	if held.Authenticators, err = f.Kept.Authenticators(ctx, user.ID); err != nil {
		return Held{}, err
	}
	held.RecoveryCodes, err = f.Kept.RecoveryLeft(ctx, user.ID)
	return held, err
}

// Remove takes an authenticator from a person, as when it was lost, and ends the sessions that rest on it.
func (f *Factors) Remove(ctx context.Context, by, ref, id string) error {
	user, err := f.People.Find(ctx, ref)
	if err != nil {
		return err
	}
	kept, err := f.Kept.Authenticators(ctx, user.ID)
	if err != nil {
		return err
	}
	removed := event(clock(f.Now), by, journal.FactorChanged{What: "removed", ID: id})
	for _, one := range kept {
		if one.ID == id {
			removed = event(clock(f.Now), by, journal.FactorChanged{What: "removed", Factor: string(one.Kind), ID: id})
		}
	}
	removed.User = user.ID
	switch err := f.Kept.RemoveAuthenticator(ctx, user.ID, id, "", f.WayIn, removed); {
	case errors.Is(err, iam.ErrNotFound):
		return refuse(Missing, "", "garde user factors USER shows those that exist", "the person has no factor %s", show(id))
	case errors.Is(err, iam.ErrLast):
		return refuse(Conflict, "", "let them add another first, with garde user invite, or disable the account", "without it the person could not sign in any more")
	default:
		return err
	}
}

// Known gives the devices that a person has signed in from.
func (f *Factors) Known(ctx context.Context, ref string) ([]iam.Device, error) {
	user, err := f.People.Find(ctx, ref)
	if err != nil {
		return nil, err
	}
	return f.Devices.UserDevices(ctx, user.ID, clock(f.Now))
}

// Forget cuts a device off, with all that began on it.
func (f *Factors) Forget(ctx context.Context, by, ref, id string) error {
	user, err := f.People.Find(ctx, ref)
	if err != nil {
		return err
	}
	forgotten := event(clock(f.Now), by, journal.DeviceForgotten{Device: id})
	forgotten.User = user.ID
	err = f.Devices.ForgetDevice(ctx, user.ID, id, forgotten)
	if errors.Is(err, iam.ErrNotFound) {
		return refuse(Missing, "", "garde user devices USER shows those that exist", "the person has no device %s", show(id))
	}
	return err
}
