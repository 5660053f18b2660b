package ask

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gardeauth/garde/internal/authzen"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
)

// The bounds of the questions that a call waits for.
const (
	decisionTime = 2 * time.Second
	maxDeciding  = 256 // at once
)

// Decisions asks the Server what the token of a call can't tell: whether the policy permits it (AuthZEN), and whether a
// detail serves for the first time. Whatever goes wrong is an error, by which the caller refuses. It is safe for concurrent
// use. All fields but Transport and Trace are required.
type Decisions struct {
	Evaluation string                                // URL of the Access Evaluation API
	Uses       string                                // URL of /signals/uses
	Authorize  func(context.Context) (string, error) // as Server.Authorize
	Transport  http.RoundTripper                     // nil: http.DefaultTransport
	Trace      func(context.Context) string          // id of a call, by which the Server's journal knows it too

	voice    voice
	deciding atomic.Int64
}

// Evaluate asks whether a call is permitted.
func (d *Decisions) Evaluate(ctx context.Context, question authzen.Evaluation) (authzen.Decision, error) {
	raw, err := d.ask(ctx, d.Evaluation, question, question.Languages...)
	if err != nil {
		return authzen.Decision{}, fmt.Errorf("ask for a decision: %w", err)
	}
	decision, err := authzen.ReadDecision(raw)
	if err != nil {
		return authzen.Decision{}, fmt.Errorf("ask for a decision: %w", err)
	}
	if decision.Context != nil && decision.Context.Error != nil {
		return authzen.Decision{}, errors.New("ask for a decision: the Server could not decide")
	}
	return decision, nil
}

// reservation is what /signals/uses takes: one of the two.
type reservation struct {
	Reserve *reserved `json:"reserve,omitempty"`
	Release *reserved `json:"release,omitempty"`
}

type reserved struct {
	Key   string `json:"key"`
	Grant string `json:"grant,omitempty"`
	Until int64  `json:"until,omitempty"`
}

// ReserveUse implements weigh.Uses. After an error nobody knows whether it is reserved, and it is not released either: it
// may be somebody else's.
func (d *Decisions) ReserveUse(ctx context.Context, use iam.Use) (bool, error) {
	raw, err := d.ask(ctx, d.Uses, reservation{Reserve: &reserved{use.Key.String(), use.Grant, use.Expires.Unix()}})
	if err != nil {
		return false, fmt.Errorf("reserve a use: %w", err)
	}
	var said struct {
		First *bool `json:"first"`
	}
	if err := jose.DecodeJSON(raw, &said); err != nil || said.First == nil {
		return false, errors.Join(errors.New("reserve a use: the Server does not say whether it is the first"), err)
	}
	return *said.First, nil
}

// ReleaseUse implements weigh.Uses.
func (d *Decisions) ReleaseUse(ctx context.Context, key iam.Digest) error {
	if _, err := d.ask(ctx, d.Uses, reservation{Release: &reserved{Key: key.String()}}); err != nil {
		return fmt.Errorf("release a use: %w", err)
	}
	return nil
}

func (d *Decisions) ask(ctx context.Context, url string, question any, languages ...string) ([]byte, error) {
	if d.deciding.Add(1) > maxDeciding {
		d.deciding.Add(-1)
		return nil, ErrCrowded
	}
	defer d.deciding.Add(-1)
	body, err := json.Marshal(question)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, decisionTime)
	defer cancel()
	trace := ""
	if d.Trace != nil {
		trace = d.Trace(ctx)
	}
	return d.voice.post(ctx, voiced{d.Authorize, d.Transport, url, trace, strings.Join(languages, ", ")}, body)
}
