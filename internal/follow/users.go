package follow

import (
	"context"

	"github.com/gardeauth/garde/internal/iam"
)

// Users remembers hot people by id until the outbox says that they changed. It is bounded. What it gives may be a moment
// old: a deed that depends on a person's standing asks the storage again.
type Users struct {
	store  iam.Users
	memory *memory[iam.User]
}

// NewUsers remembers at most size people of store.
func NewUsers(store iam.Users, size int) (*Users, error) {
	memory, err := newMemory(size, store.User)
	return &Users{store, memory}, err
}

// User finds a person like iam.Users does. Callers must not change what it holds.
func (u *Users) User(ctx context.Context, id string) (iam.User, error) { return u.memory.find(ctx, id) }

// UserByName is not remembered: who signs in must be found as they are.
func (u *Users) UserByName(ctx context.Context, canonical string) (iam.User, error) {
	return u.store.UserByName(ctx, canonical)
}

// Hear forgets who changed. It is a listener of Follower.
func (u *Users) Hear(_ context.Context, change iam.Change) {
	switch change.Kind {
	case iam.ChangeUser, iam.ChangedUser:
		u.memory.forget(change.ID)
	case iam.ChangeToken, iam.ChangeGrant, iam.ChangeSession, iam.ChangeClient, iam.ChangeKey, iam.ChangedClient, iam.ChangedRecipe, iam.ChangedKeys:
	}
}
