package ask

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/once"
)

// The bounds of the questions about proofs. Calls wait for the answer, so it must come soon or not at all.
const (
	maxBatch   = 256 // proofs in one question, as the Server takes them
	maxWaiting = 4096
	proofTime  = time.Second
)

// Proofs asks the Server whether any Gate was shown a proof before: the once.Checker of all Gates together. One question
// is under way at a time and carries all that came meanwhile. Whatever goes wrong is an error, by which the caller refuses.
// It is safe for concurrent use.
type Proofs struct {
	URL       string                                // of /signals/proofs
	Authorize func(context.Context) (string, error) // as Server.Authorize
	Transport http.RoundTripper                     // nil: http.DefaultTransport

	mu      sync.Mutex
	waiting []question
	asking  bool
	voice   voice
}

// question is one proof whose caller waits.
type question struct {
	told   told
	answer chan<- verdict // never blocks
}

type told struct {
	ID    string           `json:"id"`
	Until jose.NumericDate `json:"until"`
}

type verdict struct {
	fresh bool
	err   error
}

// ErrCrowded says that too many calls wait for an answer.
var ErrCrowded = errors.New("too many calls wait for the Server's answer")

// Seen implements once.Checker.
func (p *Proofs) Seen(ctx context.Context, kind once.Kind, issuer, id string, until time.Time) (bool, error) {
	answer := make(chan verdict, 1)
	ask := question{told{digest(string(kind), issuer, id), jose.NumericDate(until.Unix())}, answer}
	p.mu.Lock()
	if len(p.waiting) >= maxWaiting {
		p.mu.Unlock()
		return false, ErrCrowded
	}
	p.waiting = append(p.waiting, ask)
	begin := !p.asking
	p.asking = true
	p.mu.Unlock()
	if begin {
		go p.askAll()
	}
	over := time.NewTimer(2 * proofTime) // one question before ours, and ours
	defer over.Stop()
	select {
	case said := <-answer:
		return said.fresh, said.err
	case <-over.C:
		return false, errors.New("the Server did not answer in time")
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// digest names a proof; each part bears its length, so that no two read alike.
func digest(parts ...string) string {
	var text []byte
	for _, part := range parts {
		text = append(binary.BigEndian.AppendUint64(text, uint64(len(part))), part...)
	}
	sum := sha256.Sum256(text)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// askAll asks until nobody waits.
func (p *Proofs) askAll() {
	for {
		p.mu.Lock()
		batch := p.waiting[:min(len(p.waiting), maxBatch)]
		p.waiting = p.waiting[len(batch):]
		if len(batch) == 0 {
			p.waiting, p.asking = nil, false
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
		fresh, err := p.ask(batch)
		for i, each := range batch {
			said := verdict{err: err}
			if err == nil {
				said.fresh = fresh[i]
			}
			each.answer <- said
		}
	}
}

// ask asks about a batch, with a new token where the former is no longer taken.
func (p *Proofs) ask(batch []question) ([]bool, error) {
	ctx, cancel := context.WithTimeout(context.Background(), proofTime)
	defer cancel()
	list := make([]told, len(batch))
	for i, each := range batch {
		list[i] = each.told
	}
	body, err := json.Marshal(map[string][]told{"proofs": list})
	if err != nil {
		return nil, err
	}
	var said struct {
		Fresh []bool `json:"fresh"`
	}
	raw, err := p.voice.post(ctx, voiced{authorize: p.Authorize, transport: p.Transport, url: p.URL}, body)
	if err == nil {
		err = jose.DecodeJSON(raw, &said)
	}
	fresh := said.Fresh
	if err == nil && len(fresh) != len(batch) {
		err = fmt.Errorf("the Server answered about %d proofs of %d", len(fresh), len(batch))
	}
	if err != nil {
		return nil, fmt.Errorf("ask whether proofs were shown before: %w", err)
	}
	return fresh, nil
}
