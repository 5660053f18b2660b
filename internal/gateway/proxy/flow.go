package proxy

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gardeauth/garde/internal/web"
)

// pace gives each piece of a message a time of its own, instead of one for the whole: a stream may last for hours, a peer
// that neither sends nor takes anything may not (L04).
type pace struct {
	control deadlines
	stream  context.Context // of the client's HTTP/2 stream: it ends with the stream; nil for HTTP/1.1
	idle    time.Duration
	written atomic.Int64 // until when we may write, Unix nanoseconds
	read    atomic.Int64
}

// deadlines is what http.ResponseController looks for, once for each request instead of at each use.
type deadlines interface {
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// over tells that the stream was reset or answered. A deadline that is set then keeps all of it in memory until it passes.
func (p *pace) over() bool { return p.stream != nil && p.stream.Err() != nil }

// begin finds the deadlines of w.
func (p *pace) begin(w http.ResponseWriter, r *http.Request, idle time.Duration) {
	p.control, p.idle = endless{}, idle
	if r.ProtoMajor == 2 {
		p.stream = r.Context()
	}
	for w != nil {
		if own, ok := w.(deadlines); ok {
			p.control = own
			break
		}
		beneath, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			break
		}
		w = beneath.Unwrap()
	}
}

// endless is a writer without deadlines: it has none to miss.
type endless struct{}

func (endless) SetReadDeadline(time.Time) error  { return nil }
func (endless) SetWriteDeadline(time.Time) error { return nil }

// write extends the deadline when less than half of it is left: moving it costs more than looking.
func (p *pace) write() {
	if until, due := p.extend(&p.written); due {
		_ = p.control.SetWriteDeadline(until)
	}
}

// awaitRead does the same before a read.
func (p *pace) awaitRead() {
	if until, due := p.extend(&p.read); due {
		_ = p.control.SetReadDeadline(until)
	}
}

// doneReading lifts the deadline: net/http goes on reading to see whether the client is still there.
func (p *pace) doneReading() {
	if !p.over() {
		_ = p.control.SetReadDeadline(time.Time{})
	}
}

func (p *pace) extend(deadline *atomic.Int64) (time.Time, bool) {
	now := time.Now()
	until := now.Add(p.idle)
	if time.Duration(deadline.Load()-now.UnixNano()) > p.idle/2 {
		return until, false
	}
	deadline.Store(until.UnixNano())
	return until, !p.over()
}

// answer is the way back to the client.
type answer struct {
	http.ResponseWriter
	pace *pace
}

// Unwrap lets http.ResponseController reach what lies beneath.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) Write(piece []byte) (int, error) {
	a.pace.write()
	return a.ResponseWriter.Write(piece)
}

var errTooLarge = errors.New("the body is larger than the API takes")

// body is the request's body on its way upstream: bounded, paced, and able to say afterwards whose fault it was.
type body struct {
	from io.ReadCloser
	left int64
	pace *pace
	err  atomic.Pointer[error] // what ended it, other than its end
}

func (b *body) Read(into []byte) (int, error) {
	b.pace.awaitRead()
	// One byte more than is allowed is asked for: it tells a body of exactly the limit from a longer one.
	if int64(len(into)) > b.left+1 {
		into = into[:b.left+1]
	}
	n, err := b.from.Read(into)
	if int64(n) > b.left {
		n, err = int(b.left), errTooLarge
	}
	b.left -= int64(n)
	if err != nil {
		b.pace.doneReading()
		if err != io.EOF { // io.Reader's contract: the bare value
			b.err.CompareAndSwap(nil, &err)
		}
	}
	return n, err
}

func (b *body) Close() error { return b.from.Close() }

func (b *body) broken() error {
	if err := b.err.Load(); err != nil {
		return *err
	}
	return nil
}

func (b *body) exceeded() bool { return errors.Is(b.broken(), errTooLarge) }

// buffers lends the buffers that answers are copied through.
type buffers struct{ pool sync.Pool }

const bufferSize = 32 << 10

// Get lends one.
func (b *buffers) Get() []byte {
	if known, ok := b.pool.Get().(*[bufferSize]byte); ok {
		return known[:]
	}
	return make([]byte, bufferSize)
}

// Put takes it back.
func (b *buffers) Put(buffer []byte) {
	if cap(buffer) >= bufferSize {
		b.pool.Put((*[bufferSize]byte)(buffer[:bufferSize]))
	}
}

// quiet drops what ReverseProxy would log by itself: answers that broke off in the middle, which the connection shows.
var quiet = log.New(io.Discard, "", 0)

// refusals answers with a problem (RFC 9457), and where a token is at stake with the challenges of RFC 6750 and RFC 9449 too.
type refusals struct {
	metadata func(*http.Request) string // nil: no API is known
	dpop     string                     // the algorithms of proofs; "": its tokens are never bound
	bound    bool                       // no token of the scheme Bearer is taken
}

// Tell writes both.
func (t refusals) Tell(w http.ResponseWriter, r *http.Request, told web.Answer) {
	if t.metadata != nil && (told.Status == http.StatusUnauthorized || told.Status == http.StatusForbidden || told.Status == http.StatusBadRequest) {
		web.Bearer{Metadata: t.metadata, DPoP: t.dpop, Bound: t.bound}.Tell(&mute{w}, r, told)
	}
	web.Problem{}.Tell(w, r, told)
}

// mute lets headers through and nothing else.
type mute struct{ to http.ResponseWriter }

func (m *mute) Header() http.Header               { return m.to.Header() }
func (m *mute) Write(content []byte) (int, error) { return len(content), nil }
func (m *mute) WriteHeader(int)                   {}
