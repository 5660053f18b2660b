package web

import (
	"net/http"
	"time"

	"github.com/gardeauth/garde/internal/oauth"
)

// Overload bounds how many requests run at once and how many wait for their turn; whoever comes beyond, or waits longer
// than Patience, gets 503 with Retry-After at once. A server that refuses early stays quick for those it serves. A request
// takes its place when its body has come, and leaves it before its answer goes: a client that sends or reads slowly keeps
// nobody out. It is for doors that read forms and answer pages: of a body longer than MaxForm nothing can be relied on,
// and an answer is held in memory until it is whole.
type Overload struct {
	Running  int           // at once; 0 means 256
	Waiting  int           // in the queue; 0 means 1024
	Patience time.Duration // in the queue; 0 means 2 s
	Face     Face          // answers those refused
}

// Wrap bounds next.
func (o Overload) Wrap(next http.Handler) http.Handler {
	running := make(chan struct{}, orDefault(o.Running, 256))
	long := make(chan struct{}, longBodies)
	waiting := make(chan struct{}, orDefault(o.Waiting, 1024))
	patience := o.Patience
	if patience <= 0 {
		patience = 2 * time.Second
	}
	busy := func(w http.ResponseWriter, r *http.Request) {
		o.Face.Show(w, r, RetryAfter(oauth.Unavailable("the server is busy; try again"), time.Second))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !arrive(w, r, long, patience) {
			busy(w, r)
			return
		}
		select {
		case running <- struct{}{}:
		default:
			if !queue(r, running, waiting, patience) {
				busy(w, r)
				return
			}
		}
		answer := departing{ResponseWriter: w}
		func() {
			defer func() { <-running }()
			next.ServeHTTP(&answer, r)
		}()
		answer.leave()
	})
}

// queue waits for a turn and tells whether it came.
func queue(r *http.Request, running, waiting chan struct{}, patience time.Duration) bool {
	select {
	case waiting <- struct{}{}:
	default:
		return false
	}
	defer func() { <-waiting }()
	return within(r, running, patience)
}

// longBodies bounds how many bodies beyond smallBody are read at once, and so the memory that they can take.
const longBodies = 64

func orDefault(value, otherwise int) int {
	if value <= 0 {
		return otherwise
	}
	return value
}
