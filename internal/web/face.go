package web

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
)

// Teller writes an answer in the format of one kind of client. Headers that came with the error, and the trace id, are
// already set; Tell adds its own, the status and the body.
type Teller interface {
	Tell(w http.ResponseWriter, r *http.Request, answer Answer)
}

// Face answers the errors of handlers for one kind of client: it logs each once, with its cause, and answers it once,
// without. The zero value answers as Problem and logs to slog.Default.
type Face struct {
	As  Teller
	Log *slog.Logger
}

// Handle makes an http.Handler of h. A panic is denied with 500, logged with its stack, and ends nothing but its request.
func (f Face) Handle(h Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = traced(w, r)
		out := &watched{ResponseWriter: w}
		if err := guarded(h, out, r); err != nil {
			f.show(out, r, err)
		}
	})
}

// Show logs err once and answers it once. It is for code that has no Handler to return from, such as the error hook of
// a reverse proxy.
func (f Face) Show(w http.ResponseWriter, r *http.Request, err error) {
	r = traced(w, r)
	out, ok := w.(*watched)
	if !ok {
		out = &watched{ResponseWriter: w}
	}
	f.show(out, r, err)
}

// Note logs err once for a handler that answers it by itself, such as by a redirect to the client.
func (f Face) Note(r *http.Request, err error) {
	answer, _ := Judge(err)
	answer.Trace = Trace(r.Context())
	f.log(r, answer, err)
}

func (f Face) show(w *watched, r *http.Request, err error) {
	answer, header := Judge(err)
	answer.Trace = Trace(r.Context())
	f.log(r, answer, err)
	if w.begun {
		// The status line is gone: to end the connection is the only way left to say that this answer is not whole.
		panic(http.ErrAbortHandler)
	}
	for name, values := range header {
		w.Header()[name] = values
	}
	// An error answers this request only, and may have been prepared by a handler that meant to answer something else.
	w.Header().Del("Content-Length")
	w.Header().Del("Content-Encoding")
	w.Header().Del("ETag")
	w.Header().Del("Last-Modified")
	w.Header().Set("Cache-Control", "no-store")
	if f.As == nil {
		Problem{}.Tell(w, r, answer)
		return
	}
	f.As.Tell(w, r, answer)
}

func (f Face) log(r *http.Request, answer Answer, err error) {
	log, level := f.Log, slog.LevelInfo
	if log == nil {
		log = slog.Default()
	}
	if answer.Status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	with := []slog.Attr{
		slog.String("trace", answer.Trace), slog.String("method", r.Method), slog.String("path", r.URL.Path),
		slog.Int("status", answer.Status), slog.String("code", answer.Code), slog.String("cause", causes(err)),
	}
	var broken *panicked
	if errors.As(err, &broken) {
		with = append(with, slog.String("stack", broken.stack))
	}
	log.LogAttrs(r.Context(), level, "refused", with...)
}

// maxCause bounds what one refusal may add to the log.
const maxCause = 2048

// causes gives the text of err and of those causes beneath that keep themselves out of it.
func causes(err error) string {
	text := err.Error()
	for rest := errors.Unwrap(err); rest != nil; rest = errors.Unwrap(rest) {
		if more := rest.Error(); !strings.Contains(text, more) {
			text += ": " + more
		}
	}
	if len(text) > maxCause {
		text = text[:maxCause] + "..."
	}
	return strings.ToValidUTF8(text, "?")
}

// panicked is the error of a handler that panicked.
type panicked struct {
	value any
	stack string
}

func (p *panicked) Error() string { return fmt.Sprintf("panic: %v", p.value) }

// guarded runs h and turns its panic into an error.
func guarded(h Handler, w http.ResponseWriter, r *http.Request) (err error) {
	defer func() {
		value := recover()
		if value == nil {
			return
		}
		if wanted, ok := value.(error); ok && errors.Is(wanted, http.ErrAbortHandler) {
			panic(value)
		}
		err = &panicked{value: value, stack: string(debug.Stack())}
	}()
	return h(w, r)
}

// watched knows whether the answer has begun.
type watched struct {
	http.ResponseWriter
	begun bool
}

// Unwrap lets http.ResponseController reach what lies beneath.
func (w *watched) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *watched) WriteHeader(status int) {
	// Informational answers may precede the real one.
	w.begun = w.begun || status >= 200 || status == http.StatusSwitchingProtocols
	w.ResponseWriter.WriteHeader(status)
}

func (w *watched) Write(body []byte) (int, error) {
	w.begun = true
	return w.ResponseWriter.Write(body)
}

// ReadFrom keeps the fast copy of the connection beneath.
func (w *watched) ReadFrom(from io.Reader) (int64, error) {
	w.begun = true
	return io.Copy(w.ResponseWriter, from)
}

// Flush sends what is there, as http.Flusher.
func (w *watched) Flush() {
	w.begun = true
	_ = http.NewResponseController(w.ResponseWriter).Flush()
}
