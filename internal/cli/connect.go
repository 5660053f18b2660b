package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/user"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gardeauth/garde/internal/admin"
	"github.com/gardeauth/garde/internal/config"
	"github.com/gardeauth/garde/internal/store"
)

// remote is the administrator's API: that of the node that runs, by its socket, or in-process over the storage.
type remote struct {
	http    http.Client
	running bool // a node answers
	close   func() error
}

// with connects, does, and lets go.
func (p *program) with(do func(context.Context, *remote, []string) error) func(*cobra.Command, []string) error {
	return func(command *cobra.Command, args []string) error {
		r, err := p.connect(command.Context())
		if err != nil {
			return err
		}
		return errors.Join(do(command.Context(), r, args), r.close())
	}
}

// A node that starts has the storage a moment before it answers, and another command has it only for a moment.
const (
	patience  = 3 * time.Second
	lookAgain = 25 * time.Millisecond
)

func (p *program) connect(ctx context.Context) (*remote, error) {
	node, err := p.node()
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(patience); ; time.Sleep(lookAgain) {
		if r := running(ctx, node); r != nil {
			return r, nil
		}
		handler, closing, err := offline(ctx, node)
		switch {
		case err == nil:
			return &remote{http: http.Client{Transport: inProcess{handler}}, close: closing}, nil
		case !errors.Is(err, store.ErrLocked):
			return nil, err
		case ctx.Err() != nil || time.Now().After(end):
			return nil, fmt.Errorf("a node has the storage, and its admin socket %s does not answer: is it of another user, or still starting? (%w)", node.Admin, err)
		}
	}
}

// running gives the API of the node that runs; nil if none answers.
func running(ctx context.Context, node *config.Node) *remote {
	dialer := net.Dialer{Timeout: 2 * time.Second}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, "unix", node.Admin)
	}
	probe, err := dial(ctx, "", "")
	if err != nil || probe.Close() != nil {
		return nil
	}
	transport := &http.Transport{DialContext: dial}
	done := func() error { transport.CloseIdleConnections(); return nil }
	return &remote{http: http.Client{Transport: transport}, running: true, close: done}
}

// inProcess hands requests to a handler, so that there is one way through the API whether a node runs or not.
type inProcess struct{ handler http.Handler }

func (t inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	name := "unknown"
	if known, err := user.Current(); err == nil {
		name = known.Username
	}
	answer := &answered{header: http.Header{}, status: http.StatusOK}
	t.handler.ServeHTTP(answer, r.WithContext(admin.As(r.Context(), name)))
	return &http.Response{
		Status: http.StatusText(answer.status), StatusCode: answer.status, Header: answer.header, Request: r,
		Body: io.NopCloser(&answer.body), ContentLength: int64(answer.body.Len()),
	}, nil
}

// answered keeps what a handler answers.
type answered struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answered) Header() http.Header            { return a.header }
func (a *answered) WriteHeader(status int)         { a.status = status }
func (a *answered) Write(part []byte) (int, error) { return a.body.Write(part) }

// problem is what the API refuses with (RFC 9457).
type problem struct {
	Status   int    `json:"status"`
	Title    string `json:"title"`
	Detail   string `json:"detail"`
	Instance string `json:"instance"`
	Errors   []struct {
		Message  string `json:"message"`
		Location string `json:"location"`
	} `json:"errors"`
}

func (e *problem) Error() string {
	if len(e.Errors) == 0 {
		text := e.Detail
		if e.Instance != "" {
			text += " (" + strings.TrimPrefix(e.Instance, "urn:garde:trace:") + ")"
		}
		if text == "" {
			text = e.Title
		}
		return printable(text)
	}
	lines := make([]string, len(e.Errors))
	for i, fault := range e.Errors {
		lines[i] = fault.Message
		if fault.Location != "" {
			lines[i] = strings.TrimPrefix(fault.Location, "body.") + ": " + fault.Message
		}
		lines[i] = printable(lines[i])
	}
	return strings.Join(lines, "\n")
}

// call asks the API. out may be nil.
func (r *remote) call(ctx context.Context, method, path string, in, out any) error {
	response, err := r.send(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if out == nil || response.StatusCode == http.StatusNoContent {
		_, err := io.Copy(io.Discard, response.Body)
		return err
	}
	return json.NewDecoder(response.Body).Decode(out)
}

// send gives the answer, or the problem as an error.
func (r *remote) send(ctx context.Context, method, path string, in any) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	if body == nil {
		body = http.NoBody // a handler that is asked in-process reads it too
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://garde"+path, body)
	if err != nil {
		return nil, err
	}
	if in != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := r.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask the node: %w", errors.Unwrap(err))
	}
	if response.StatusCode < 300 {
		return response, nil
	}
	defer response.Body.Close()
	refused := problem{Status: response.StatusCode, Title: response.Status}
	if err := json.NewDecoder(response.Body).Decode(&refused); err != nil {
		return nil, fmt.Errorf("the node answered %s", response.Status)
	}
	return nil, &refused
}

// all reads every part of a list.
func all[T any](ctx context.Context, r *remote, path string, most int) ([]T, error) {
	items := []T{}
	after := ""
	for {
		var part struct {
			Items []T    `json:"items"`
			Next  string `json:"next"`
		}
		if err := r.call(ctx, http.MethodGet, path+after, nil, &part); err != nil {
			return nil, err
		}
		items = append(items, part.Items...)
		if part.Next == "" || (most > 0 && len(items) >= most) {
			return items, nil
		}
		mark := "?"
		if strings.Contains(path, "?") {
			mark = "&"
		}
		after = mark + "after=" + part.Next
	}
}
