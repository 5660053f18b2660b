package app

import (
	"context"
	"net/http"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/limit"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/store/sqlstore"
	"github.com/gardeauth/garde/internal/web"
)

// What one network may begin, and how long each may be: both far above what the largest company does in a morning.
const (
	crowdBurst = 3000
	crowdEvery = 100 * time.Millisecond
	maxFlow    = 24 << 10
)

// crowd is the storage for the doors of people. A login transaction is kept for half an hour for somebody who has proved
// nothing, so each network may begin so many and no more: else a stranger could fill the disk (L05).
type crowd struct {
	*sqlstore.Tenant
	begun *limit.Limiter
}

func (s *Server) newCrowd() crowd {
	return crowd{s.House, limit.New(limit.Rate{Burst: crowdBurst, Every: crowdEvery}, 50_000, s.Lab.Now)}
}

type callerKey struct{}

// named notes where a request comes from, for what counts by that far from the door.
func (s *Server) named(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, s.network(r))))
	})
}

// callerOf gives what named noted, or "".
func callerOf(ctx context.Context) string {
	caller, _ := ctx.Value(callerKey{}).(string)
	return caller
}

// AddFlow keeps a login transaction, unless its network has begun too many. Whoever has no name shares one.
func (c crowd) AddFlow(ctx context.Context, flow iam.Flow) error {
	if len(flow.Query) > maxFlow {
		return oauth.InvalidRequest("the request is longer than %d bytes", maxFlow)
	}
	if ok, wait := c.begun.Allow(callerOf(ctx), 1); !ok {
		return web.RetryAfter(oauth.TooManyRequests("too many sign-ins were begun from this network"), wait)
	}
	return c.Tenant.AddFlow(ctx, flow)
}
