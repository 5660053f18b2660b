package storetest_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/gardeauth/garde/internal/store"
)

// BenchmarkStart opens a fresh SQLite store, and one that is there already.
func BenchmarkStart(b *testing.B) {
	b.Run("fresh", func(b *testing.B) {
		for b.Loop() {
			openAndClose(b, "sqlite:"+filepath.Join(b.TempDir(), "garde.db"))
		}
	})
	b.Run("existing", func(b *testing.B) {
		address := "sqlite:" + filepath.Join(b.TempDir(), "garde.db")
		openAndClose(b, address)
		for b.Loop() {
			openAndClose(b, address)
		}
	})
}

func openAndClose(b *testing.B, address string) {
	b.Helper()
	s, err := store.Open(context.Background(), address, store.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	b.StartTimer()
}
