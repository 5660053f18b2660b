package clientauth_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/server/clientauth"
)

// TestT28LongKeySetsTakeNoMoreMemoryThanShortOnes: a thousand clients with the longest documents that may be registered or
// served are looked for, and what is remembered of them stays small, while each goes on to find its key.
func TestT28LongKeySetsTakeNoMoreMemoryThanShortOnes(t *testing.T) {
	const clients, length, allowed = 1000, 64 << 10, 24 << 20
	_, document := signerOf(t, "one", jose.ES256)
	long := func(i int) string {
		head := fmt.Sprintf(`{"number":%d,"padding":"`, i)
		return head + strings.Repeat("x", length-len(head)-len(document)) + `",` + strings.TrimPrefix(document, "{")
	}
	for name, made := range map[string]func(keys *clientauth.Keys, i int) iam.Client{
		"registered": func(_ *clientauth.Keys, i int) iam.Client { return iam.Client{ID: "app", JWKS: long(i)} },
		"behind addresses": func(_ *clientauth.Keys, i int) iam.Client {
			return iam.Client{ID: "app", JWKSURI: fmt.Sprintf("https://app.example/%d", i)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			keys := &clientauth.Keys{Fetcher: fetched(func(context.Context, string) ([]byte, error) { return []byte(long(0)), nil })}
			before := inUse()
			for i := range clients {
				client := made(keys, i)
				for range 2 {
					if _, err := keys.For(t.Context(), client, jose.Header{Alg: jose.ES256, KeyID: "one"}); err != nil {
						t.Fatal(err)
					}
				}
			}
			if took := inUse() - before; took > allowed {
				t.Errorf("T28 %d KiB are remembered", took>>10)
			}
			runtime.KeepAlive(keys)
		})
	}
}

// inUse is what the heap holds once all that nobody needs is gone.
func inUse() int64 {
	runtime.GC()
	runtime.GC()
	var now runtime.MemStats
	runtime.ReadMemStats(&now)
	return int64(now.HeapAlloc)
}
