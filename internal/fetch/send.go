package fetch

import (
	"bytes"
	"context"
	"io"
	"net/http"
)

// Message is what is sent to an address that somebody else named.
type Message struct {
	ContentType   string
	Authorization string // of the header; empty: none
	Body          []byte
}

// maxAnswer bounds what of an answer is read before the connection is let go: nobody looks at it.
const maxAnswer = 4 << 10

// Send posts a message under the rules of Document, and gives the status of the answer: whatever it says, nothing is
// followed. An error is an *Error and means that nobody answered.
func (f *Fetcher) Send(ctx context.Context, target string, message Message) (status int, err error) {
	if status, err = f.send(ctx, target, message); err != nil {
		return 0, &Error{cause: err}
	}
	return status, nil
}

func (f *Fetcher) send(ctx context.Context, target string, message Message) (int, error) {
	address, err := f.check(target)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, MaxTime)
	defer cancel()
	leave, err := f.turns.enter(ctx, hostPort(address))
	if err != nil {
		return 0, err
	}
	defer leave()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(message.Body))
	if err != nil {
		return 0, err
	}
	request.Header.Set("User-Agent", "garde")
	request.Header.Set("Accept-Encoding", "identity")
	request.Header.Set("Content-Type", message.ContentType)
	if message.Authorization != "" {
		request.Header.Set("Authorization", message.Authorization)
	}
	request.GetBody = nil // a message is sent once: whoever wants more tries again knowingly
	response, err := f.client.Do(request)
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	_, err = io.Copy(io.Discard, io.LimitReader(response.Body, maxAnswer))
	return response.StatusCode, err
}
