// Package web holds what every HTTP door of Garde shares: the shape of a handler, the strict reading of forms, the faces
// that answer errors, the trusted-proxy rule, the headers that browsers need, and a server with limits on everything.
// It knows no user, no client, no token and no store.
package web

import (
	"context"
	"net/http"
	"time"

	"github.com/gardeauth/garde/internal/journal"
)

// Handler answers one request, or returns the error that its Face will log once and answer once. A handler that returns
// an error must not have written anything.
type Handler func(w http.ResponseWriter, r *http.Request) error

// TraceHeader carries the trace id of each response.
const TraceHeader = "Garde-Trace"

type traceKey struct{}

// Trace gives the trace id of the request that ctx belongs to, or "" outside of one.
func Trace(ctx context.Context) string {
	id, _ := ctx.Value(traceKey{}).(string)
	return id
}

// Traced gives each request a fresh trace id (see journal.NewTrace), in its context and in the response header. What the caller
// sends under that name is never honoured: else it could make two requests look like one in the log.
func Traced(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, traced(w, r))
	})
}

// traced adds a trace id to r, unless an outer handler of ours has done so.
func traced(w http.ResponseWriter, r *http.Request) *http.Request {
	if Trace(r.Context()) != "" {
		return r
	}
	id := journal.NewTrace(time.Now())
	w.Header().Set(TraceHeader, id)
	return r.WithContext(context.WithValue(r.Context(), traceKey{}, id))
}
