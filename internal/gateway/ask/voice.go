package ask

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"sync"
)

// voice posts JSON to the Server with the Gate's own token, which it keeps until it is no longer taken. Its zero value has
// none yet.
type voice struct {
	mu            sync.Mutex
	authorization string
}

// voiced says what is asked where.
type voiced struct {
	authorize func(context.Context) (string, error)
	transport http.RoundTripper
	url       string
	trace     string // id of the call that asks; empty: none
	languages string // Accept-Language; empty: none
}

// post gives the body of the answer 200; anything else is an error. A token that is no longer taken is replaced once.
func (v *voice) post(ctx context.Context, to voiced, body []byte) ([]byte, error) {
	token, held, err := v.token(ctx, to)
	if err != nil {
		return nil, err
	}
	raw, status, err := send(ctx, to, token, body)
	if status != http.StatusUnauthorized && status != http.StatusForbidden {
		return raw, err
	}
	v.drop(token)
	if !held || status == http.StatusForbidden { // a new one would fare no better
		return nil, err
	}
	if token, _, err = v.token(ctx, to); err != nil {
		return nil, err
	}
	raw, _, err = send(ctx, to, token, body)
	return raw, err
}

// token gives the one that is held, or a new one. One caller at a time asks for it, and the others wait.
func (v *voice) token(ctx context.Context, to voiced) (token string, held bool, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.authorization != "" {
		return v.authorization, true, nil
	}
	v.authorization, err = to.authorize(ctx)
	return v.authorization, false, err
}

func (v *voice) drop(token string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.authorization == token {
		v.authorization = ""
	}
}

func send(ctx context.Context, to voiced, token string, body []byte) (raw []byte, status int, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to.url, bytes.NewReader(body))
	if err != nil {
		return nil, 0, err
	}
	r.Header.Set("Authorization", token)
	r.Header.Set("Content-Type", "application/json")
	if to.languages != "" {
		r.Header.Set("Accept-Language", to.languages)
	}
	if to.trace != "" {
		r.Header.Set("X-Request-ID", to.trace)
	}
	// The token is for this address alone.
	client := http.Client{Transport: to.transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(r)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = response.Body.Close() }()
	if raw, err = io.ReadAll(io.LimitReader(response.Body, maxAnswer+1)); err != nil {
		return nil, 0, err
	}
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	switch {
	case response.StatusCode != http.StatusOK:
		// Not one word of the body: it may repeat what was sent.
		return nil, response.StatusCode, fmt.Errorf("the Server answered %d", response.StatusCode)
	case kind != "application/json" || len(raw) > maxAnswer:
		return nil, response.StatusCode, fmt.Errorf("the answer is not JSON, or longer than %d bytes", maxAnswer)
	}
	return raw, response.StatusCode, nil
}
