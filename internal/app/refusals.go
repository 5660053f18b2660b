package app

import (
	"context"
	"log/slog"
	"regexp"
	"sync"

	"github.com/gardeauth/garde/internal/admin"
)

// Refusals remembers the latest refusals of this node, without any secret, a bounded number of them.
type Refusals struct {
	mu    sync.Mutex
	ring  []admin.Refusal
	next  int
	index map[string]int
}

const remembered = 20_000

// NewRefusals remembers nothing yet.
func NewRefusals() *Refusals { return &Refusals{index: map[string]int{}} }

// Find gives the refusal of a trace.
func (f *Refusals) Find(trace string) (admin.Refusal, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at, ok := f.index[trace]
	if !ok {
		return admin.Refusal{}, false
	}
	return f.ring[at], true
}

func (f *Refusals) add(refusal admin.Refusal) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.ring) < remembered {
		f.ring = append(f.ring, refusal)
		f.index[refusal.Trace] = len(f.ring) - 1
		return
	}
	delete(f.index, f.ring[f.next].Trace)
	f.ring[f.next] = refusal
	f.index[refusal.Trace] = f.next
	f.next = (f.next + 1) % remembered
}

// Tee hands log records on and remembers those that tell of a refusal.
func (f *Refusals) Tee(next slog.Handler) slog.Handler { return tee{next, f} }

type tee struct {
	slog.Handler
	refusals *Refusals
}

func (t tee) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo || t.Handler.Enabled(ctx, level)
}

func (t tee) Handle(ctx context.Context, record slog.Record) error {
	if record.Message == "refused" {
		refusal := admin.Refusal{At: record.Time, Fields: map[string]string{}}
		record.Attrs(func(attr slog.Attr) bool {
			if attr.Key == "trace" {
				refusal.Trace = attr.Value.String()
			}
			refusal.Fields[attr.Key] = redact(attr.Value.String())
			return true
		})
		t.refusals.add(refusal)
	}
	if !t.Handler.Enabled(ctx, record.Level) {
		return nil
	}
	return t.Handler.Handle(ctx, record)
}

func (t tee) WithAttrs(attrs []slog.Attr) slog.Handler {
	return tee{t.Handler.WithAttrs(attrs), t.refusals}
}

func (t tee) WithGroup(name string) slog.Handler {
	return tee{t.Handler.WithGroup(name), t.refusals}
}

// secretShape is what a secret of ours, or a signed or encrypted token, looks like. The logger takes it out wherever it stands.
var secretShape = regexp.MustCompile(`\b(?:ac|rt|at|se|fl|ln|cs|pr|dc|ar|ra|ia)_[A-Za-z0-9_-]{20,}|\beyJ[A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]*){2,4}`)

func redact(text string) string { return secretShape.ReplaceAllString(text, "[secret]") }

// redacted is a handler that takes secrets out of every text, should one ever get there.
func redacted(next slog.Handler) slog.Handler { return redactor{next} }

type redactor struct{ slog.Handler }

func (h redactor) Handle(ctx context.Context, record slog.Record) error {
	clean := slog.NewRecord(record.Time, record.Level, redact(record.Message), record.PC)
	record.Attrs(func(attr slog.Attr) bool {
		clean.AddAttrs(cleanAttr(attr))
		return true
	})
	return h.Handler.Handle(ctx, clean)
}

func cleanAttr(attr slog.Attr) slog.Attr {
	switch value := attr.Value.Resolve(); value.Kind() {
	case slog.KindString, slog.KindAny:
		return slog.String(attr.Key, redact(value.String()))
	case slog.KindGroup:
		return slog.Attr{Key: attr.Key, Value: slog.GroupValue(cleanAttrs(value.Group())...)}
	default:
		return attr
	}
}

func cleanAttrs(attrs []slog.Attr) []slog.Attr {
	clean := make([]slog.Attr, len(attrs))
	for i, attr := range attrs {
		clean[i] = cleanAttr(attr)
	}
	return clean
}

func (h redactor) WithAttrs(attrs []slog.Attr) slog.Handler {
	return redactor{h.Handler.WithAttrs(cleanAttrs(attrs))}
}

func (h redactor) WithGroup(name string) slog.Handler { return redactor{h.Handler.WithGroup(name)} }
