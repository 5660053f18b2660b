package binding_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/binding"
	"github.com/gardeauth/garde/internal/binding/prover"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/once"
)

// here is the address of the requests of these tests.
const here = "https://api.bank.example/accounts/7/payments"

const token = "eyJhbGciOiJFUzI1NiJ9.eyJhIjoiYiJ9.c2ln"

func newKey(t testing.TB, alg jose.Alg) *prover.Key {
	t.Helper()
	key, err := prover.New(alg)
	must(t, err)
	return key
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func proofOf(t testing.TB, key *prover.Key, method, url, token string, with prover.Members) string {
	t.Helper()
	proof, err := key.Proof(method, url, token, with)
	must(t, err)
	return proof
}

// request is one to here that shows the proofs.
func request(method, token string, proofs ...string) binding.Shown {
	place, err := binding.PlaceOf(here)
	if err != nil {
		panic(err)
	}
	return binding.Shown{Header: http.Header{"Dpop": proofs}, Method: method, Token: token, Places: []binding.Place{place}}
}

// clock is a time that a test sets.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

// judgeAt makes a judge with a memory of its own.
func judgeAt(now func() time.Time) *binding.Judge {
	return &binding.Judge{Once: once.NewNode(10_000, now), Now: now}
}

// refused tells the code of a refusal; "" when there is none.
func refused(err error) string { return oauth.CodeOf(err) }
