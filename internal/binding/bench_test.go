package binding_test

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"testing"

	"github.com/gardeauth/garde/internal/binding"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/once"
)

// A check of a proof, replay included, is to cost no more than 1.5 bare verifications of ES256. Each proof is another one
// of the same client, as in life.
func BenchmarkCheck(b *testing.B) {
	key := newKey(b, jose.ES256)

	judge := &binding.Judge{Once: once.NewNode(b.N+1<<16, nil)}
	shown := make([]binding.Shown, b.N)
	for i := range shown {
		shown[i] = request("GET", token, proofOf(b, key, "GET", here, token, nil))
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if _, err := judge.Check(b.Context(), shown[i]); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBare is what a check is held against.
func BenchmarkBare(b *testing.B) {
	key, err := jose.GenerateKey(jose.ES256)
	if err != nil {
		b.Fatal(err)
	}
	private := key.(*ecdsa.PrivateKey) //nolint:forcetypeassert // GenerateKey makes nothing else for ES256
	sum := sha256.Sum256([]byte("what is signed"))
	signature, err := ecdsa.SignASN1(nil, private, sum[:])
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for range b.N {
		if !ecdsa.VerifyASN1(&private.PublicKey, sum[:], signature) {
			b.Fatal("refused")
		}
	}
}
