package verify

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gardeauth/garde/internal/jose"
)

// The figures of the revocation feed.
const (
	DefaultSilence = 10 * time.Second // after which an unheard Server makes the Gate answer 503
	MaxFeedLine    = 4 << 10          // bytes
	firstPause     = 100 * time.Millisecond
	longestPause   = 5 * time.Second
)

// Line is one line of the feed; exactly one member is set. The Server writes the Reset of its epoch first, then every
// revocation above the "after" that it was asked for, in the order of Seq, then heartbeats and new revocations as they
// come. A heartbeat promises that all revocations up to its Seq stand before it.
type Line struct {
	Revocation *Revocation `json:"revocation,omitempty"`
	Heartbeat  *Heartbeat  `json:"heartbeat,omitempty"`
	Reset      *Reset      `json:"reset,omitempty"`
}

// Heartbeat says that the Server lives, and how far the feed is complete.
type Heartbeat struct {
	Seq  int64            `json:"seq"`
	Time jose.NumericDate `json:"time"` // the Server's clock, Unix seconds
}

// Reset names the epoch of the Server's numbering. A Server that was restored from a backup begins a new one.
type Reset struct {
	Epoch string `json:"epoch"`
}

// Feed follows the Server's revocation feed, newline-delimited JSON over one long request, and puts what it hears into
// Revocations. Run does the work; Fresh may be asked from anywhere.
//
// It is made to fail closed: it is fresh only when a heartbeat said that everything up to now was heard, and a line that it
// does not understand ends the connection, because what it does not understand may be a revocation.
type Feed struct {
	URL         string
	Revocations *Revocations
	Authorize   func(context.Context) (string, error) // gives the value of the Authorization header; nil: none is sent
	Client      *http.Client                          // must have no overall timeout; nil: one without proxy and redirects
	Silence     time.Duration                         // 0: DefaultSilence
	Now         func() time.Time                      // nil: time.Now
	Log         *slog.Logger                          // nil: nothing is logged

	heard atomic.Int64 // when the feed was last known to be complete, Unix nanoseconds; 0: never
	once  sync.Once
	own   *http.Client

	// Only Run's goroutine uses these.
	after    int64  // all up to here was heard
	epoch    string // of which numbering
	named    bool   // this connection began with its epoch
	complete bool   // a heartbeat was heard on this connection
}

// Fresh tells whether what was revoked is known up to Silence ago.
func (f *Feed) Fresh() bool {
	heard := f.heard.Load()
	return heard != 0 && f.now().Sub(time.Unix(0, heard)) < orDefault(f.Silence, DefaultSilence)
}

// Run follows the feed until ctx ends, and returns nil then. Whatever breaks, it connects again: at once at first, then
// more and more slowly.
func (f *Feed) Run(ctx context.Context) error {
	pause := firstPause
	for {
		f.named, f.complete = false, false
		err := f.follow(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if f.complete {
			pause = firstPause
		}
		if f.Log != nil {
			f.Log.WarnContext(ctx, "the revocation feed broke off", "cause", err, "again_in", pause.String())
		}
		wait := time.NewTimer(spread(pause))
		select {
		case <-ctx.Done():
			wait.Stop()
			return nil
		case <-wait.C:
		}
		pause = min(2*pause, longestPause)
	}
}

// spread picks a time between half a pause and all of it: many Gates lose one Server at once, and must not all come back at
// once.
func spread(pause time.Duration) time.Duration {
	var luck [1]byte
	_, _ = rand.Read(luck[:]) // never fails
	return pause/2 + pause/2*time.Duration(luck[0])/256
}

// follow is one connection.
func (f *Feed) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := orDefault(f.Silence, DefaultSilence)
	quiet := time.AfterFunc(silence, func() { cancel(errors.New("nothing was heard for " + silence.String())) })
	defer quiet.Stop()

	body, err := f.connect(ctx)
	if err != nil {
		return explain(ctx, err)
	}
	defer body.Close()
	lines := bufio.NewScanner(body)
	lines.Buffer(make([]byte, 0, 512), MaxFeedLine)
	for lines.Scan() {
		quiet.Reset(silence)
		if err := f.hear(lines.Bytes()); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return explain(ctx, err)
	}
	return io.EOF
}

// explain prefers the reason for which we hung up ourselves.
func explain(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

func (f *Feed) connect(ctx context.Context) (io.ReadCloser, error) {
	target, err := url.Parse(f.URL)
	if err != nil {
		return nil, err
	}
	query := target.Query()
	query.Set("after", strconv.FormatInt(f.after, 10))
	target.RawQuery = query.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/x-ndjson")
	if f.Authorize != nil {
		credential, err := f.Authorize(ctx)
		if err != nil {
			return nil, fmt.Errorf("authorize: %w", err)
		}
		r.Header.Set("Authorization", credential)
	}
	answer, err := f.client().Do(r)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		answer.Body.Close()
		return nil, fmt.Errorf("the feed answered %d", answer.StatusCode)
	}
	return answer.Body, nil
}

// client gives a client of our own unless app gave one. It takes no proxy from the environment and follows no redirect:
// the credential is for this Server alone.
func (f *Feed) client() *http.Client {
	if f.Client != nil {
		return f.Client
	}
	f.once.Do(func() {
		f.own = &http.Client{
			Transport:     &http.Transport{ForceAttemptHTTP2: true, TLSHandshakeTimeout: 5 * time.Second},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	})
	return f.own
}

var errNewEpoch = errors.New("the Server began a new epoch: everything is read again")

// hear takes one line in.
func (f *Feed) hear(text []byte) error {
	var line Line
	if err := jose.DecodeJSON(text, &line); err != nil {
		return fmt.Errorf("a line of the feed: %w", err)
	}
	if !f.named && line.Reset == nil {
		return errors.New("the feed did not begin with its epoch")
	}
	switch {
	case line.Revocation != nil && line.Heartbeat == nil && line.Reset == nil:
		if err := f.Revocations.Add(*line.Revocation); err != nil {
			return err
		}
		f.after = max(f.after, line.Revocation.Seq)
		f.heardNow()
		return nil
	case line.Heartbeat != nil && line.Revocation == nil && line.Reset == nil:
		return f.beat(*line.Heartbeat)
	case line.Reset != nil && line.Revocation == nil && line.Heartbeat == nil:
		return f.reset(*line.Reset)
	}
	return errors.New("a line of the feed is of no known kind")
}

// beat believes that the feed is complete, if the Server said so just now: a line that something in between kept back for
// a minute tells of a minute ago.
func (f *Feed) beat(b Heartbeat) error {
	said, now := time.Unix(int64(b.Time), 0), f.now()
	if age := now.Sub(said); age > orDefault(f.Silence, DefaultSilence)+MaxLeeway {
		return fmt.Errorf("a heartbeat is %s old: the clocks differ or the feed is held back", age.Round(time.Second))
	}
	if b.Seq < f.after {
		return errors.New("the feed counts backwards without a new epoch")
	}
	f.after, f.complete = b.Seq, true
	f.heardNow()
	f.Revocations.Prune()
	return nil
}

// heardNow counts only when this connection has caught up: while an hour of revocations streams in, we know an hour less.
func (f *Feed) heardNow() {
	if f.complete {
		f.heard.Store(f.now().UnixNano())
	}
}

// reset forgets nothing that was revoked: what was dead before the restore stays dead. But the numbers begin again, so
// everything must be asked for again. What was issued before the restore ended with it, also what the restored storage
// knows nothing of and can't name (A12).
func (f *Feed) reset(r Reset) error {
	if r.Epoch == "" {
		return errors.New("the feed names no epoch")
	}
	f.named = true
	if r.Epoch == f.epoch {
		return nil
	}
	if f.epoch != "" {
		f.Revocations.EndAll(f.now())
	}
	asked := f.after
	f.epoch, f.after, f.complete = r.Epoch, 0, false
	if asked == 0 {
		return nil // everything was asked for anyway
	}
	f.heard.Store(0) // until then nothing is known of the new numbering
	return errNewEpoch
}

func (f *Feed) now() time.Time {
	if f.Now != nil {
		return f.Now()
	}
	return time.Now()
}
