package follow

import (
	"context"

	"github.com/gardeauth/garde/internal/iam"
)

// Clients remembers hot clients until the outbox says that they changed. It is bounded.
type Clients struct{ memory *memory[iam.Client] }

// NewClients remembers at most size clients of store.
func NewClients(store iam.Clients, size int) (*Clients, error) {
	memory, err := newMemory(size, store.Client)
	return &Clients{memory}, err
}

// Client finds a client like iam.Clients does. Callers must not change what it holds.
func (c *Clients) Client(ctx context.Context, id string) (iam.Client, error) {
	return c.memory.find(ctx, id)
}

// Hear forgets what changed. It is a listener of Follower.
func (c *Clients) Hear(_ context.Context, change iam.Change) {
	switch change.Kind {
	case iam.ChangeClient, iam.ChangedClient:
		c.memory.forget(change.ID)
	case iam.ChangedRecipe:
		c.memory.forgetAll()
	case iam.ChangeToken, iam.ChangeGrant, iam.ChangeSession, iam.ChangeUser, iam.ChangeKey, iam.ChangedUser, iam.ChangedKeys:
	}
}
