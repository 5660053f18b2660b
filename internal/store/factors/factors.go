// Package factors keeps how people prove who they are and what is known of their ways: authenticators, recovery codes,
// known devices, approvals, habits, uses and device secrets. Sessions, flows and grants stand in sqlstore; how they end is
// told to this room, not known to it.
package factors

import (
	"context"

	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/store/deeds"
)

// Ends are what ends with a factor or a device. Both are required.
type Ends struct {
	// Session ends one session with all that ends with it.
	Session func(d *deeds.Deed, id string) error
	// Grant ends one grant.
	Grant func(d *deeds.Deed, id string) error
}

// Factors is a tenant's view.
type Factors struct {
	view deeds.View
	ends Ends
}

// New gives a tenant's view.
func New(view deeds.View, ends Ends) Factors { return Factors{view, ends} }

func (f *Factors) read(ctx context.Context, look func(deeds.Tx) error) error {
	return f.view.Read(ctx, look)
}

func (f *Factors) deed(ctx context.Context, events []journal.Event, do func(*deeds.Deed) error) error {
	return f.view.Deed(ctx, events, do)
}

const (
	// standing is what is asked of a person's row that a deed holds.
	standing = ` AND NOT disabled AND NOT removed`
	// userStands is what is asked of the person of a row called k.
	userStands = `EXISTS (SELECT 1 FROM users u WHERE u.tenant = k.tenant AND u.id = k.user_id AND NOT u.disabled AND NOT u.removed)`
)
