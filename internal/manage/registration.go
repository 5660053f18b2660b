package manage

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/recipe"
)

// Registrations are the deeds about clients that come by themselves, and about who may register. Made, Initials and InForce
// are required.
type Registrations struct {
	Made     iam.SelfMade
	Initials iam.Initials
	InForce  func() *recipe.Bundle // nil before the first recipe
	Now      func() time.Time      // nil: time.Now
}

// InitialOrder is what an initial access token is to allow. Zero values mean one client within a day.
type InitialOrder struct {
	Policy string
	Uses   int
	Life   time.Duration
	Note   string
}

// MadeInitial is an initial access token: Value is told this once.
type MadeInitial struct {
	ID      string    `json:"id"`
	Value   string    `json:"token"`
	Policy  string    `json:"policy"`
	Uses    int       `json:"uses"`
	Expires time.Time `json:"expires"`
}

const (
	usualLife = 24 * time.Hour
	mostLife  = 366 * 24 * time.Hour
	mostUses  = 10_000
)

// AddToken makes an initial access token (RFC 7591 section 3) under a policy of the recipe in force.
func (g *Registrations) AddToken(ctx context.Context, by string, order InitialOrder) (*MadeInitial, error) {
	if order.Uses == 0 {
		order.Uses = 1
	}
	if order.Life == 0 {
		order.Life = usualLife
	}
	if err := g.check(order); err != nil {
		return nil, err
	}
	now := clock(g.Now)
	made := &MadeInitial{
		ID: shortID(), Value: iam.NewSecret(iam.PrefixInitial), Policy: order.Policy, Uses: order.Uses, Expires: now.Add(order.Life),
	}
	return made, g.Initials.AddInitial(ctx, iam.Initial{
		ID: made.ID, Hash: iam.HashInitial(made.Value), Policy: made.Policy, Left: made.Uses, Note: order.Note, Created: now, Expires: made.Expires,
	}, event(now, by, journal.ClientChanged{What: "initial access token " + made.ID + " for " + made.Policy + " added"}))
}

func (g *Registrations) check(order InitialOrder) error {
	var found faults
	var policies []string
	if bundle := g.InForce(); bundle != nil {
		policies = slices.Sorted(maps.Keys(bundle.Recipe.Registration))
	}
	switch {
	case len(policies) == 0:
		found.add("policy", "write registration: NAME: {scopes: [...]} into the recipe and apply it", "the recipe in force lets nobody register")
	case !slices.Contains(policies, order.Policy):
		found.add("policy", "the policies are "+strings.Join(policies, ", "), "there is no registration policy %s", show(order.Policy))
	}
	if order.Uses < 0 || order.Uses > mostUses {
		found.add("uses", "1 to 10000; without it, one", "can't register %d clients", order.Uses)
	}
	if order.Life < time.Minute || order.Life > mostLife {
		found.add("life", "1m to 366d; without it, 1d", "a token can't live for %s", order.Life)
	}
	if !plain(order.Note) {
		found.add("note", "at most 200 characters, without control characters", "the text can't be kept")
	}
	return found.orNil()
}

// RemoveToken ends an initial access token. What was registered by it stays.
func (g *Registrations) RemoveToken(ctx context.Context, by, id string) error {
	err := g.Initials.RemoveInitial(ctx, id, event(clock(g.Now), by, journal.ClientChanged{What: "initial access token " + id + " removed"}))
	if errors.Is(err, iam.ErrNotFound) {
		return refuse(Missing, "", "garde registration token list shows those that live", "there is no initial access token %s", show(id))
	}
	return err
}

// Remove ends a client that came by itself, with all it was given. One that a document describes comes back when it is next
// used: such a client is disabled rather than removed.
func (g *Registrations) Remove(ctx context.Context, by, id string) error {
	now := clock(g.Now)
	removed := event(now, by, journal.ClientChanged{What: "removed"})
	removed.Client = id
	err := g.Made.RemoveUnused(ctx, id, now.Add(time.Hour), removed) // whenever it was used, that was before
	if errors.Is(err, iam.ErrNotFound) {
		return refuse(Missing, "", "garde registration list shows those that did", "no client %s came by itself", show(id))
	}
	return err
}
