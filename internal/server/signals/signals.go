// Package signals streams to every Gate what no longer holds: the revocation feed. It reads the outbox from memory's
// edge onwards and decides nothing; the Gate fails closed when it hears nothing.
package signals

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/verify"
	"github.com/gardeauth/garde/internal/web"
)

// Bearer reads the token of a request.
type Bearer interface {
	Bearer(r *http.Request) (verify.Claims, error)
}

// Endpoint is /signals/revocations. All fields but Beat and Now are required.
type Endpoint struct {
	Tokens  Bearer
	Changes iam.Changes
	Dead    func(verify.Claims) error // whether the Gate's own token was revoked
	Beat    time.Duration             // between heartbeats (default 1s)
	Now     func() time.Time          // nil: time.Now
}

const (
	batch = 500
	most  = 15 * time.Minute // one stream's life: then the Gate must prove itself again
	await = 250 * time.Millisecond
)

// Revocations streams newline-delimited JSON from ?after=SEQ on: the epoch, then every revocation, then heartbeats.
func (e *Endpoint) Revocations(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet {
		return web.MethodNotAllowed(http.MethodGet)
	}
	claims, err := e.Tokens.Bearer(r)
	if err != nil {
		return err
	}
	if !claims.Scope.Has(oauth.ScopeGate) {
		return web.NeedScope(oauth.InsufficientScope("only a Gate may follow"), oauth.Scope{oauth.ScopeGate})
	}
	after, err := seqOf(r)
	if err != nil {
		return err
	}
	epoch, err := e.Changes.Epoch(r.Context())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), most)
	defer cancel()
	out := e.open(w)
	if err := out.line(verify.Line{Reset: &verify.Reset{Epoch: epoch}}); err != nil {
		return nil //nolint:nilerr // the Gate has gone: nobody is left to tell
	}
	e.stream(ctx, out, claims, after)
	return nil
}

func seqOf(r *http.Request) (int64, error) {
	query, err := web.Query(r)
	if err != nil || !query.Has("after") {
		return 0, err
	}
	after, err := strconv.ParseInt(query.Value("after"), 10, 64)
	if err != nil || after < 0 {
		return 0, oauth.InvalidRequest("after must be the number of the last revocation that was heard")
	}
	return after, nil
}

// stream writes until the Gate goes, its own token's subject is revoked, or this node can't read any more. Ending the
// stream is always safe: a Gate that hears nothing refuses.
func (e *Endpoint) stream(ctx context.Context, out *stream, claims verify.Claims, after int64) {
	beat := e.Beat
	if beat <= 0 {
		beat = time.Second
	}
	var last time.Time
	for ctx.Err() == nil && e.Dead(claims) == nil {
		changes, err := e.Changes.ChangesAfter(ctx, after, batch)
		if err != nil {
			return
		}
		for _, change := range changes {
			after = change.Seq
			fact, ends := Fact(change)
			if !ends {
				continue
			}
			if out.line(verify.Line{Revocation: &fact}) != nil {
				return
			}
			last = time.Time{} // a beat behind it promises that it was whole
		}
		if len(changes) == batch {
			continue
		}
		if now := e.now(); now.Sub(last) >= beat {
			last = now
			if out.line(verify.Line{Heartbeat: &verify.Heartbeat{Seq: after, Time: jose.NumericDate(now.Unix())}}) != nil {
				return
			}
		}
		e.wait(ctx)
	}
}

func (e *Endpoint) wait(ctx context.Context) {
	hint, cancel := context.WithTimeout(ctx, await)
	defer cancel()
	if err := e.Changes.Wait(hint); err != nil {
		<-hint.Done()
	}
}

func (e *Endpoint) now() time.Time {
	if e.Now != nil {
		return e.Now()
	}
	return time.Now()
}

// Fact turns a row of the outbox into a fact of the feed; false for those that only concern caches.
func Fact(change iam.Change) (verify.Revocation, bool) {
	fact := verify.Revocation{Seq: change.Seq, Kind: verify.Kind(change.Kind), ID: change.ID, Until: change.Until.Unix() + 1}
	switch change.Kind {
	case iam.ChangeToken, iam.ChangeGrant, iam.ChangeSession, iam.ChangeKey:
		return fact, true
	case iam.ChangeUser, iam.ChangeClient:
		fact.Before = change.Before.Unix()
		return fact, true
	case iam.ChangedRecipe, iam.ChangedClient, iam.ChangedUser, iam.ChangedKeys:
	}
	return verify.Revocation{}, false
}

type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

const patience = 5 * time.Second

func (e *Endpoint) open(w http.ResponseWriter) *stream {
	web.NoStore(w)
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("X-Accel-Buffering", "no")
	return &stream{w, http.NewResponseController(w)}
}

// line writes and flushes one line, within a time of its own: the server's limit for whole answers does not fit a stream.
func (s *stream) line(line verify.Line) error {
	raw, err := json.Marshal(line)
	if err != nil {
		return err
	}
	if err := s.control.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := s.w.Write(append(raw, '\n')); err != nil {
		return err
	}
	return s.control.Flush()
}
