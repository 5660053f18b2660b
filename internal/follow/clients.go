package follow

import (
	"context"
	"sync/atomic"

	"github.com/maypok86/otter/v2"

	"github.com/gardeauth/garde/internal/iam"
)

// Clients remembers hot clients until the outbox says that they changed. It is bounded.
type Clients struct {
	store  iam.Clients
	cache  *otter.Cache[string, iam.Client]
	change atomic.Int64 // counts what was forgotten: a reading that began before is not remembered
}

// NewClients remembers at most size clients of store.
func NewClients(store iam.Clients, size int) (*Clients, error) {
	cache, err := otter.New(&otter.Options[string, iam.Client]{MaximumSize: size})
	if err != nil {
		return nil, err
	}
	return &Clients{store: store, cache: cache}, nil
}

// Client finds a client like iam.Clients does. Callers must not change what it holds.
func (c *Clients) Client(ctx context.Context, id string) (iam.Client, error) {
	if client, ok := c.cache.GetIfPresent(id); ok {
		return client, nil
	}
	before := c.change.Load()
	client, err := c.store.Client(ctx, id)
	if err != nil {
		return iam.Client{}, err
	}
	c.cache.Set(id, client)
	if c.change.Load() != before {
		c.cache.Invalidate(id)
	}
	return client, nil
}

// Hear forgets what changed. It is a listener of Follower.
func (c *Clients) Hear(_ context.Context, change iam.Change) {
	switch change.Kind {
	case iam.ChangeClient, iam.ChangedClient:
		c.change.Add(1)
		c.cache.Invalidate(change.ID)
	case iam.ChangedRecipe:
		c.change.Add(1)
		c.cache.InvalidateAll()
	case iam.ChangeToken, iam.ChangeGrant, iam.ChangeSession, iam.ChangeUser, iam.ChangeKey, iam.ChangedUser, iam.ChangedKeys:
	}
}
