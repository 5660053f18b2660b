package follow

import (
	"context"
	"sync/atomic"

	"github.com/maypok86/otter/v2"
)

// memory remembers hot nouns until the outbox says that they changed. It is bounded.
type memory[T any] struct {
	look   func(ctx context.Context, id string) (T, error)
	cache  *otter.Cache[string, T]
	change atomic.Int64 // counts what was forgotten: a reading that began before is not remembered
}

func newMemory[T any](size int, look func(ctx context.Context, id string) (T, error)) (*memory[T], error) {
	cache, err := otter.New(&otter.Options[string, T]{MaximumSize: size})
	if err != nil {
		return nil, err
	}
	return &memory[T]{look: look, cache: cache}, nil
}

func (m *memory[T]) find(ctx context.Context, id string) (T, error) {
	if noun, ok := m.cache.GetIfPresent(id); ok {
		return noun, nil
	}
	return m.ask(id, func() (T, error) { return m.look(ctx, id) })
}

// ask looks, and remembers what was found.
func (m *memory[T]) ask(id string, look func() (T, error)) (T, error) {
	before := m.change.Load()
	noun, err := look()
	if err != nil {
		return noun, err
	}
	m.cache.Set(id, noun)
	if m.change.Load() != before {
		m.cache.Invalidate(id)
	}
	return noun, nil
}

func (m *memory[T]) forget(id string) {
	m.change.Add(1)
	m.cache.Invalidate(id)
}

func (m *memory[T]) forgetAll() {
	m.change.Add(1)
	m.cache.InvalidateAll()
}
