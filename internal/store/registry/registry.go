// Package registry keeps which clients there are and what speaks for them: those that a recipe declares, those that an
// administrator makes, those that came by themselves, and the recipes that were applied. What people give to clients
// stands in sqlstore.
package registry

import (
	"context"

	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/store/deeds"
)

// Registry is a tenant's view.
type Registry struct{ view deeds.View }

// New gives a tenant's view.
func New(view deeds.View) Registry { return Registry{view} }

// deed is a deed under way, with what is done to clients in more than one.
type deed struct{ *deeds.Deed }

func (r *Registry) read(ctx context.Context, look func(deeds.Tx) error) error {
	return r.view.Read(ctx, look)
}

func (r *Registry) deed(ctx context.Context, events []journal.Event, do func(*deed) error) error {
	return r.view.Deed(ctx, events, func(d *deeds.Deed) error { return do(&deed{d}) })
}
