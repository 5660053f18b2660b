// Package facts gathers what the risk signals read of a moment: where the request comes from, on which device, what the
// person's habits say, what failed of late. It learns habits from completed authentications, bounded and sealed, and writes
// them behind the answer. What can't be found out is said to be unknown, which raises the risk and never lowers it. It knows
// no policy, no request and no page.
package facts

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/assurance/signal"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/seal"
	"github.com/gardeauth/garde/recipe"
)

// Authenticators is what is asked about the things that a session rests on.
type Authenticators interface {
	Authenticators(ctx context.Context, user string) ([]iam.Authenticator, error)
}

// Desk gathers facts and learns. Habits, Devices, Sealer, Tenant and Risk are required.
type Desk struct {
	Habits         iam.HabitKeeping
	Devices        iam.Devices
	Authenticators Authenticators // nil: the age of factors is not asked
	Sealer         seal.Sealer
	Tenant         iam.Tenant
	Risk           func() recipe.Risk // of the recipe in force
	Bad            func() Networks    // the list of the recipe in force; nil: none
	Places         *Places            // nil: no database of places
	Failures       *Failures          // nil: none are counted
	Log            *slog.Logger       // nil: slog.Default
	Now            func() time.Time   // nil: time.Now

	memory memory
	flight singleflight.Group
	queue  queue
}

// Ask is what is known of a moment already.
type Ask struct {
	User        string       // for whom
	Created     time.Time    // when the account began
	Proofs      []iam.Proved // what the session rests on
	Device      string       // id of the known device, from its cookie or session; empty: none
	Agent       string       // label of the browser; empty: not told, and not compared
	Address     netip.Addr   // of the person, not of a proxy or a server between
	Client      string       // the application that asks
	Transaction signal.Transaction
	Paid        bool      // it teaches the transaction alone: see Learn
	At          time.Time // zero: now
}

// Moment is what was found.
type Moment struct {
	Facts signal.Facts // what the signals judged: plain data for the journal, see Judge
	Risk  signal.Result
	Place assurance.Place
}

// Moment gathers the facts and has them judged. Nothing is learned. It is an error only when ctx has ended: what can't be
// read is unknown, and raises the risk. Nobody's moment (Ask.User is empty) has a place and an address, and no habits.
func (d *Desk) Moment(ctx context.Context, ask Ask) (Moment, error) {
	found := signal.Facts{
		Now: ask.At, Client: ask.Client, Transaction: ask.Transaction, Account: ask.Created,
		Device: signal.Device{Named: ask.Device != "", Agent: label(ask.Agent)},
	}
	if found.Now.IsZero() {
		found.Now = d.now()
	}
	found.Now = found.Now.UTC()
	d.locate(&found, ask.Address)
	risk := d.Risk()
	if ask.User != "" {
		if err := d.remember(ctx, &found, ask, forget(risk)); err != nil {
			return Moment{}, err
		}
	}
	return Moment{
		Facts: found, Risk: signal.Judge(&found, risk.Points),
		Place: assurance.Place{Country: found.Place.Country, Network: found.Place.AS},
	}, nil
}

// forget is when habits are forgotten that were not seen again.
func forget(risk recipe.Risk) time.Duration {
	if risk.Forget > 0 {
		return risk.Forget.Std()
	}
	return recipe.DefaultForget
}

// locate says where the address is, and what is known of it.
func (d *Desk) locate(found *signal.Facts, address netip.Addr) {
	place, known := d.place(address)
	found.Place = place
	if !known {
		found.Unknown = append(found.Unknown, signal.UnknownPlace)
	}
	if d.Bad != nil {
		found.Listed = d.Bad().Find(address)
	}
	if d.Failures != nil {
		found.Failures.Accounts = d.Failures.Accounts(address, found.Now)
	}
}

func (d *Desk) place(address netip.Addr) (signal.Place, bool) {
	if !address.IsValid() {
		return signal.Place{}, false
	}
	var place signal.Place
	known := true
	if d.Places != nil {
		place, known = d.Places.Find(address)
	}
	place.Near = near(address)
	return place, known
}

// near is the network of an address as habits know it: a /24, or a /48 of IPv6.
func near(address netip.Addr) string {
	address = address.Unmap().WithZone("")
	if !address.IsValid() {
		return ""
	}
	bits := 24
	if address.Is6() {
		bits = 48
	}
	prefix, _ := address.Prefix(bits) // both fit
	return prefix.String()
}

// remember adds what is known of the person.
func (d *Desk) remember(ctx context.Context, found *signal.Facts, ask Ask, after time.Duration) error {
	known := d.known(ctx, ask.User, ask.Device, after)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	known = d.taught(known, ask.User, after)
	if known.profile == nil {
		found.Unknown = append(found.Unknown, signal.UnknownHabits)
	} else {
		found.History = known.profile.history(found)
		found.History.Off = known.off
	}
	if known.noDevices {
		found.Unknown = append(found.Unknown, signal.UnknownDevices)
	}
	known.device(&found.Device, ask.Device, found.Now)
	if d.Failures != nil {
		found.Failures.Account = d.Failures.Account(ask.User, found.Now)
	}
	if d.Authenticators == nil {
		return nil
	}
	for _, proof := range ask.Proofs {
		if proof.Credential == "" {
			continue
		}
		found.Authentic = true
		if added := known.factors[proof.Credential]; added.After(found.Factor) {
			found.Factor = added
		}
	}
	if found.Authentic && known.noFactors {
		found.Unknown = append(found.Unknown, signal.UnknownFactors)
	}
	return nil
}

func (d *Desk) now() time.Time {
	if d.Now != nil {
		return d.Now()
	}
	return time.Now()
}

func (d *Desk) log() *slog.Logger {
	if d.Log != nil {
		return d.Log
	}
	return slog.Default()
}
