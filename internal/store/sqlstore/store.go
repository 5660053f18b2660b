// Package sqlstore keeps the nouns of iam in SQL, but for the clients, which stand in registry. Every query is written once,
// in the part of SQL that SQLite and PostgreSQL share. It knows no driver, no HTTP and no protocol.
package sqlstore

import (
	"context"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/store/deeds"
	"github.com/gardeauth/garde/internal/store/factors"
	"github.com/gardeauth/garde/internal/store/registry"
)

// Store keeps everything on one engine.
type Store struct {
	Engine deeds.Engine
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// TokenLife is the longest that any token may live: revocations stay in the feed for so long. Zero is an hour.
	TokenLife time.Duration
}

// Tenant is a tenant's view of the store. It keeps every contract of iam.
type Tenant struct {
	registry.Registry
	factors.Factors
	view deeds.View
}

// The contracts.
var (
	_ iam.ClientKeeping  = (*Tenant)(nil)
	_ iam.Registrations  = (*Tenant)(nil)
	_ iam.SelfMade       = (*Tenant)(nil)
	_ iam.Initials       = (*Tenant)(nil)
	_ iam.PushedRequests = (*Tenant)(nil)
	_ iam.Asking         = (*Tenant)(nil)
	_ iam.LogoutReads    = (*Tenant)(nil)
	_ iam.Cursors        = (*Tenant)(nil)
	_ iam.UserKeeping    = (*Tenant)(nil)
	_ iam.Passwords      = (*Tenant)(nil)
	_ iam.Links          = (*Tenant)(nil)
	_ iam.Groups         = (*Tenant)(nil)
	_ iam.Sessions       = (*Tenant)(nil)
	_ iam.SessionListing = (*Tenant)(nil)
	_ iam.Flows          = (*Tenant)(nil)
	_ iam.Consents       = (*Tenant)(nil)
	_ iam.Codes          = (*Tenant)(nil)
	_ iam.Refreshes      = (*Tenant)(nil)
	_ iam.Accesses       = (*Tenant)(nil)
	_ iam.Issuing        = (*Tenant)(nil)
	_ iam.Grants         = (*Tenant)(nil)
	_ iam.Keys           = (*Tenant)(nil)
	_ iam.Revisions      = (*Tenant)(nil)
	_ iam.Nodes          = (*Tenant)(nil)
	_ iam.Changes        = (*Tenant)(nil)
	_ iam.Journal        = (*Tenant)(nil)
	_ iam.Tree           = (*Tenant)(nil)
	_ iam.Once           = (*Tenant)(nil)
	_ iam.Deliveries     = (*Tenant)(nil)
	_ iam.Authenticators = (*Tenant)(nil)
	_ iam.Devices        = (*Tenant)(nil)
	_ iam.Approvals      = (*Tenant)(nil)
	_ iam.HabitKeeping   = (*Tenant)(nil)
	_ iam.Uses           = (*Tenant)(nil)
	_ iam.DeviceSecrets  = (*Tenant)(nil)
)

// Tenant gives the view of one tenant.
func (s *Store) Tenant(id iam.Tenant) *Tenant {
	view := s.view(id)
	return &Tenant{Registry: registry.New(view), Factors: factors.New(view, factors.Ends{
		Session: func(d *deeds.Deed, id string) error { return (&deed{d}).endSession(id) },
		Grant: func(d *deeds.Deed, id string) error {
			_, err := (&deed{d}).endGrant(id)
			return err
		},
	}), view: view}
}

func (s *Store) view(id iam.Tenant) deeds.View {
	return deeds.View{Engine: s.Engine, Tenant: string(id), Now: s.now, TokenLife: s.tokenLife()}
}

// Ready is nil while deeds can be done; else it says why not, in words for the operator.
func (s *Store) Ready(ctx context.Context) error { return s.Engine.Ready(ctx) }

// Close ends the engine once the deeds that have begun are answered.
func (s *Store) Close() error { return s.Engine.Close() }

func (s *Store) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

func (s *Store) tokenLife() time.Duration {
	if s.TokenLife > 0 {
		return s.TokenLife
	}
	return time.Hour
}

// deed is a deed under way, with what is done in more than one.
type deed struct{ *deeds.Deed }

func (t *Tenant) read(ctx context.Context, look func(deeds.Tx) error) error {
	return t.view.Read(ctx, look)
}

func (t *Tenant) deed(ctx context.Context, events []journal.Event, do func(*deed) error) error {
	return t.view.Deed(ctx, events, func(d *deeds.Deed) error { return do(&deed{d}) })
}
