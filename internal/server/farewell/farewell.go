// Package farewell tells applications, server to server, that a session has ended (OpenID Connect Back-Channel Logout 1.0).
// It runs in the background and reads the outbox, so that no door that ends sessions can forget it.
package farewell

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/gardeauth/garde/internal/deliver"
	"github.com/gardeauth/garde/internal/fetch"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
)

// KindLogout is the kind of the deliveries that this room works on.
const KindLogout = "logout"

// Queue keeps what must be told until it is told.
type Queue interface {
	Prepare(kind string, body []byte, at time.Time) (iam.Delivery, error)
	Wake()
}

// Tokens signs logout tokens.
type Tokens interface {
	LogoutToken(ctx context.Context, client iam.Client, user, session string) (string, error)
}

// Sender posts to an address that a client registered.
type Sender interface {
	Send(ctx context.Context, target string, message fetch.Message) (status int, err error)
}

// Notifier tells clients of every session that ends, whoever ended it and wherever: it reads the outbox, not the doors
// (OpenID Connect Back-Channel Logout 1.0). Of many nodes one does it. All fields but Log and Now are required.
type Notifier struct {
	Changes iam.Changes
	Cursors iam.Cursors
	Reads   iam.LogoutReads
	Clients iam.Clients
	Queue   Queue
	Tokens  Tokens
	Sender  Sender
	Journal iam.Journal
	Lease   func(context.Context) (bool, error)
	Log     *slog.Logger     // nil: slog.Default
	Now     func() time.Time // nil: time.Now

	wake chan struct{}
}

// New gives a notifier that Hear wakes.
func New(n Notifier) *Notifier {
	n.wake = make(chan struct{}, 1)
	return &n
}

func (n *Notifier) now() time.Time {
	if n.Now != nil {
		return n.Now().UTC()
	}
	return time.Now().UTC()
}

func (n *Notifier) log() *slog.Logger {
	if n.Log != nil {
		return n.Log
	}
	return slog.Default()
}

// Hear is a listener of the outbox: it looks at once when a session has ended.
func (n *Notifier) Hear(_ context.Context, change iam.Change) {
	if change.Kind != iam.ChangeSession {
		return
	}
	select {
	case n.wake <- struct{}{}:
	default: // it is awake
	}
}

// What one turn takes, and how often it looks without being told: a node that held the lease may have gone.
const (
	cursor = "logout"
	batch  = 200
	look   = 10 * time.Second
)

// Run tells of what has ended until ctx ends.
func (n *Notifier) Run(ctx context.Context) error {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		if err := n.turns(ctx); err != nil && ctx.Err() == nil {
			n.log().WarnContext(ctx, "can't read which sessions ended", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-n.wake:
		}
	}
}

func (n *Notifier) turns(ctx context.Context) error {
	mine, err := n.Lease(ctx)
	for more := mine; more && err == nil; {
		more, err = n.turn(ctx)
	}
	return err
}

// turn reads a batch of changes, and keeps in one deed how far it came and what must be told of them: no node tells twice,
// and none forgets.
func (n *Notifier) turn(ctx context.Context) (more bool, err error) {
	from, err := n.Cursors.Cursor(ctx, cursor)
	if err != nil {
		return false, err
	}
	changes, err := n.Changes.ChangesAfter(ctx, from, batch)
	if err != nil || len(changes) == 0 {
		return false, err
	}
	var told []iam.Delivery
	for _, change := range changes {
		if change.Kind != iam.ChangeSession {
			continue
		}
		deliveries, err := n.about(ctx, change.ID)
		if err != nil {
			return false, err
		}
		told = append(told, deliveries...)
	}
	if err := n.Cursors.SetCursor(ctx, cursor, changes[len(changes)-1].Seq, told...); err != nil {
		return false, err
	}
	if len(told) > 0 {
		n.Queue.Wake()
	}
	return len(changes) == batch, nil
}

// notice is what a delivery says. The token is signed when it is sent, so that it is fresh at every try.
type notice struct {
	Client  string `json:"client"`
	User    string `json:"user"`
	SID     string `json:"sid"`
	Session string `json:"session"`
}

func (n *Notifier) about(ctx context.Context, session string) ([]iam.Delivery, error) {
	user, hearers, err := n.Reads.Hearers(ctx, session)
	if err != nil {
		return nil, err
	}
	var told []iam.Delivery
	for _, hearer := range hearers {
		client, err := n.Clients.Client(ctx, hearer.Client)
		if errors.Is(err, iam.ErrNotFound) || err == nil && client.BackLogoutURI == "" {
			continue
		}
		if err != nil {
			return nil, err
		}
		body, err := json.Marshal(notice{client.ID, user, hearer.SID, session})
		if err != nil {
			return nil, err
		}
		delivery, err := n.Queue.Prepare(KindLogout, body, n.now())
		if err != nil {
			return nil, err
		}
		told = append(told, delivery)
	}
	return told, nil
}

// Work tells one client (section 2.5). An answer of 200 or 204 is an end, and so is 400, by which the client says that it
// understood and will not; anything else is tried again.
func (n *Notifier) Work(ctx context.Context, body []byte) error {
	var about notice
	if err := json.Unmarshal(body, &about); err != nil {
		return deliver.Never(err)
	}
	client, err := n.Clients.Client(ctx, about.Client)
	if errors.Is(err, iam.ErrNotFound) || err == nil && client.BackLogoutURI == "" {
		return nil // it left meanwhile: there is nobody to tell
	}
	if err != nil {
		return err
	}
	signed, err := n.Tokens.LogoutToken(ctx, client, about.User, about.SID)
	if err != nil {
		return err
	}
	status, err := n.Sender.Send(ctx, client.BackLogoutURI, fetch.Message{
		ContentType: "application/x-www-form-urlencoded", Body: []byte(url.Values{"logout_token": {signed}}.Encode()),
	})
	switch {
	case err != nil:
		return fmt.Errorf("the client %s was not reached: %w", client.ID, fetch.Why(err))
	case status == http.StatusBadRequest:
		return deliver.Never(fmt.Errorf("the client %s refused the logout token", client.ID))
	case status != http.StatusOK && status != http.StatusNoContent:
		return fmt.Errorf("the client %s answered with status %d", client.ID, status)
	}
	event := journal.New(n.now(), journal.LogoutTold{Status: int64(status)})
	event.Actor, event.Client, event.User, event.Session = "system", client.ID, about.User, about.Session
	return n.Journal.Record(ctx, event)
}
