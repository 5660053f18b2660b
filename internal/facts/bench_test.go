package facts_test

import (
	"testing"

	"github.com/gardeauth/garde/internal/assurance/signal"
	"github.com/gardeauth/garde/internal/facts"
)

// BenchmarkMoment is what a decision pays for the facts about somebody who was asked about a moment ago.
func BenchmarkMoment(b *testing.B) {
	h := newHouse(b)
	h.Places = &facts.Places{City: cities(b), AS: networks(b), Now: h.now}
	h.live(b, 30)
	ask := at(home)
	ask.Transaction = signal.Transaction{Amount: 1000, Priced: true, Currency: "EUR", Payee: "landlord"}
	h.moment(b, ask)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.Moment(b.Context(), ask); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLearn is what an answer pays for learning.
func BenchmarkLearn(b *testing.B) {
	h := newHouse(b)
	ask := at(home)
	b.ReportAllocs()
	for b.Loop() {
		h.Learn(ask)
	}
}
