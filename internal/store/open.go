// Package store opens the engine that an address names. It is the only place that knows which engines there are; what a
// store keeps, and how, stands in sqlstore.
package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/store/deeds"
	"github.com/gardeauth/garde/internal/store/migrate"
	"github.com/gardeauth/garde/internal/store/postgres"
	"github.com/gardeauth/garde/internal/store/sealed"
	"github.com/gardeauth/garde/internal/store/sqlite"
	"github.com/gardeauth/garde/internal/store/sqlstore"
)

// Errors of Open.
var (
	// ErrLocked: another process has the SQLite file.
	ErrLocked = deeds.ErrLocked
	// ErrNewer: a newer garde has written it.
	ErrNewer = migrate.ErrNewer
)

// Options are the choices of whoever opens a store.
type Options struct {
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// TokenLife is the longest that any token may live; revocations stay in the feed for so long. Zero is an hour.
	TokenLife time.Duration
	// Patience is how long to wait for a SQLite file that another process has. Zero is not at all.
	Patience time.Duration
}

// Store keeps everything on one engine. Its Tenant gives the view that keeps the contracts of iam.
type Store struct {
	*sqlstore.Store
}

const lookAgain = 25 * time.Millisecond

// Open opens sqlite:PATH or postgres://USER@HOST/NAME, and brings its schema up to date. The address may hold a password:
// no error repeats it.
func Open(ctx context.Context, address string, options Options) (*Store, error) {
	engine, err := open(ctx, address)
	for end := time.Now().Add(options.Patience); errors.Is(err, ErrLocked) && time.Now().Before(end) && ctx.Err() == nil; {
		time.Sleep(lookAgain)
		engine, err = open(ctx, address)
	}
	if err != nil {
		return nil, err
	}
	return &Store{&sqlstore.Store{Engine: engine, Now: options.Now, TokenLife: options.TokenLife}}, nil
}

// Sealing reaches all that a tenant keeps sealed.
func (s *Store) Sealing(id iam.Tenant) iam.Sealing {
	return sealed.Values{Engine: s.Engine, Tenant: id}
}

func open(ctx context.Context, address string) (deeds.Engine, error) {
	scheme, rest, _ := strings.Cut(address, ":")
	switch scheme {
	case "sqlite":
		if rest == "" {
			return nil, errors.New("the storage address sqlite: lacks the path of a file")
		}
		return sqlite.Open(ctx, rest)
	case "postgres", "postgresql":
		return postgres.Open(ctx, address)
	default:
		return nil, fmt.Errorf("no storage engine is called %q: use sqlite:PATH or postgres://USER@HOST/NAME", scheme)
	}
}
