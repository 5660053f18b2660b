// Package callback tells clients of what a person decided that do not ask for it themselves (OpenID CIBA Core sections 10.2,
// 10.3 and 12): it pings them, or pushes the tokens. It decides nothing, and nothing that a client answers undoes a decision.
package callback

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gardeauth/garde/internal/deliver"
	"github.com/gardeauth/garde/internal/fetch"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/seal"
	"github.com/gardeauth/garde/internal/token"
)

// The kinds of the deliveries that this room works on.
const (
	KindDecided = "ciba decided" // Teller.Work: a ping, or the making of what is pushed
	KindPush    = "ciba push"    // Teller.Push: what was made, on its way
	KindLapsed  = "ciba lapsed"  // Teller.Lapse: nobody decided
)

// Queue keeps what must be told until it is told. What it keeps is sealed.
type Queue interface {
	Later
	Enqueue(ctx context.Context, kind string, body []byte) error
	Prepare(kind string, body []byte, at time.Time) (iam.Delivery, error)
	Wake()
}

// Later keeps what must be told at a certain time.
type Later interface {
	Later(ctx context.Context, kind string, body []byte, at time.Time) error
}

// Sender posts to an address that a client registered.
type Sender interface {
	Send(ctx context.Context, target string, message fetch.Message) (status int, err error)
}

// Redeemer decides what an approved request gives: the grant of the token endpoint, so that what is pushed obeys the same.
type Redeemer interface {
	Redeem(ctx context.Context, client iam.Client, id string, proven iam.Binding) (token.Order, error)
}

// Issuer makes tokens.
type Issuer interface {
	Issue(ctx context.Context, order token.Order) (token.Answer, error)
}

// Ending ends a grant.
type Ending interface {
	RevokeGrant(ctx context.Context, id string, events ...journal.Event) error
}

// Teller tells clients that do not poll. All fields but Denied and Now are required.
type Teller struct {
	Queue   Queue
	Notices Notices
	Clients iam.Clients
	Sender  Sender
	Orders  Redeemer
	Issuer  Issuer
	Grants  Ending
	Denied  func(client, user string) // hears of each no; nil: nobody does
	Now     func() time.Time          // nil: time.Now
}

// The ways in which tokens reach a client (section 5).
const (
	Poll = "poll"
	Ping = "ping"
	Push = "push"
)

// Notice is what telling a client needs. It is never kept but sealed: id and token are secrets.
type Notice struct {
	Client string `json:"client"`
	ID     string `json:"auth_req_id"`
	Token  string `json:"token"`
	Mode   string `json:"mode"`
	Denied bool   `json:"denied,omitempty"`

	iam.Binding // the keys that the client showed when it asked: what is pushed is bound to them
}

// Notices keeps what is needed to tell a client, from the moment when it asks. Both fields are required.
type Notices struct {
	Sealer seal.Sealer
	Tenant iam.Tenant
}

func (n Notices) place(id string) seal.AD {
	return seal.AD{Tenant: string(n.Tenant), Table: "asked", Row: id}
}

// Seal hides a notice in the row of the authorization with that id.
func (n Notices) Seal(id string, about Notice) (string, error) {
	body, err := json.Marshal(about)
	if err != nil {
		return "", err
	}
	return n.Sealer.Seal(n.place(id), body)
}

func (n Notices) open(asked iam.Asked) (Notice, error) {
	var about Notice
	plain, err := n.Sealer.Open(n.place(asked.ID), asked.Notify)
	if err != nil {
		return about, fmt.Errorf("open the notification token: %w", err)
	}
	return about, json.Unmarshal(plain, &about)
}

// Expect has a client to which tokens are pushed told when nobody has decided by then.
func Expect(ctx context.Context, queue Later, about Notice, end time.Time) error {
	body, err := json.Marshal(about)
	if err != nil {
		return err
	}
	return queue.Later(ctx, KindLapsed, body, end.Add(time.Second))
}

// Tell is for consent.Elsewhere: what is to be kept with a decision, so that the client is told in its own time. Whatever
// the client answers, the decision stands.
func (t *Teller) Tell(asked iam.Asked, allowed bool) ([]iam.Delivery, error) {
	if asked.Kind != iam.AskedCIBA || asked.Notify == "" {
		return nil, nil
	}
	about, err := t.Notices.open(asked)
	if err != nil {
		return nil, err
	}
	about.Denied = !allowed
	body, err := json.Marshal(about)
	if err != nil {
		return nil, err
	}
	told, err := t.Queue.Prepare(KindDecided, body, moment(t.Now))
	return []iam.Delivery{told}, err
}

// Kept is for consent.Elsewhere: it hears that a decision is kept.
func (t *Teller) Kept(asked iam.Asked, allowed bool) {
	if asked.Kind != iam.AskedCIBA {
		return
	}
	if !allowed && t.Denied != nil {
		t.Denied(asked.Client, asked.User)
	}
	t.Queue.Wake()
}

// Work pings a client (section 10.2), or makes what is pushed to it.
func (t *Teller) Work(ctx context.Context, body []byte) error {
	about, client, err := t.open(ctx, body)
	if err != nil || client.ID == "" {
		return err
	}
	switch {
	case about.Mode == Ping:
		return t.post(ctx, client, about.Token, map[string]string{"auth_req_id": about.ID})
	case about.Denied:
		return t.refuse(ctx, client, about, oauth.AccessDenied("the person said no"))
	}
	order, err := t.Orders.Redeem(ctx, client, about.ID, about.Binding)
	var answer token.Answer
	if err == nil {
		order.Proven = about.Binding
		answer, err = t.Issuer.Issue(ctx, order)
	}
	if oauth.CodeOf(err) != "" {
		if untold := t.refuse(ctx, client, about, err); untold != nil {
			return untold
		}
		return deliver.Never(err)
	}
	if err != nil {
		return err
	}
	if err := t.carry(ctx, about, answer, order.Grant.ID); err != nil {
		return errors.Join(err, t.end(ctx, client, order.Grant, "the tokens could not be kept for the way"))
	}
	return nil
}

// pushed is what is on its way to a client.
type pushed struct {
	Notice
	Grant string          `json:"grant"`
	User  string          `json:"user"`
	Until time.Time       `json:"until"`
	Body  json.RawMessage `json:"body"`
}

// patience is how long an undeliverable push is tried: longer, and the tokens in it were worth nothing.
const patience = 3 * time.Minute

// carry keeps what is pushed until it is delivered: the tokens with the id of the request (section 10.3.1).
func (t *Teller) carry(ctx context.Context, about Notice, answer token.Answer, grant string) error {
	body, err := json.Marshal(struct {
		ID string `json:"auth_req_id"`
		token.Answer
	}{about.ID, answer})
	if err != nil {
		return err
	}
	sealed, err := json.Marshal(pushed{Notice: about, Grant: grant, Until: moment(t.Now).Add(patience), Body: body})
	if err != nil {
		return err
	}
	return t.Queue.Enqueue(ctx, KindPush, sealed)
}

// Push delivers tokens. What the client does not take ends: nobody shall hold tokens of which nobody knows where they are.
func (t *Teller) Push(ctx context.Context, body []byte) error {
	var about pushed
	if err := json.Unmarshal(body, &about); err != nil {
		return deliver.Never(err)
	}
	grant := iam.Grant{ID: about.Grant, User: about.User}
	client, err := t.client(ctx, about.Notice)
	if err != nil {
		return err
	}
	if client.ID == "" {
		return t.end(ctx, iam.Client{ID: about.Client}, grant, "the client left")
	}
	if moment(t.Now).After(about.Until) {
		return t.undelivered(ctx, client, grant, errors.New("nobody took the tokens in time"))
	}
	status, err := t.send(ctx, client, about.Token, about.Body)
	switch {
	case err != nil:
		return fmt.Errorf("the client %s was not reached: %w", client.ID, fetch.Why(err))
	case status == http.StatusOK || status == http.StatusNoContent:
		return nil
	case status >= http.StatusInternalServerError || status == http.StatusTooManyRequests:
		return fmt.Errorf("the client %s answered with status %d", client.ID, status)
	}
	return t.undelivered(ctx, client, grant, fmt.Errorf("the client %s answered with status %d", client.ID, status))
}

func (t *Teller) undelivered(ctx context.Context, client iam.Client, grant iam.Grant, why error) error {
	if err := t.end(ctx, client, grant, "pushed tokens could not be delivered"); err != nil {
		return err
	}
	return deliver.Never(why)
}

func (t *Teller) end(ctx context.Context, client iam.Client, grant iam.Grant, why string) error {
	event := journal.New(moment(t.Now), journal.Revoked{What: "grant", ID: grant.ID, Reason: why})
	event.Actor, event.Client, event.User, event.Grant = "system", client.ID, grant.User, grant.ID
	err := t.Grants.RevokeGrant(ctx, grant.ID, event)
	if errors.Is(err, iam.ErrNotFound) {
		return nil
	}
	return err
}

// Lapse tells a client to which tokens are pushed that nobody decided in time (section 12).
func (t *Teller) Lapse(ctx context.Context, body []byte) error {
	about, client, err := t.open(ctx, body)
	if err != nil || client.ID == "" {
		return err
	}
	_, err = t.Orders.Redeem(ctx, client, about.ID, about.Binding)
	if oauth.CodeOf(err) == "expired_token" {
		return t.refuse(ctx, client, about, err)
	}
	return nil // decided, and told by another delivery
}

func (t *Teller) open(ctx context.Context, body []byte) (Notice, iam.Client, error) {
	var about Notice
	if err := json.Unmarshal(body, &about); err != nil {
		return about, iam.Client{}, deliver.Never(err)
	}
	client, err := t.client(ctx, about)
	return about, client, err
}

// client gives the client of a Notice, or the zero Client when there is nobody to tell any more.
func (t *Teller) client(ctx context.Context, about Notice) (iam.Client, error) {
	client, err := t.Clients.Client(ctx, about.Client)
	if errors.Is(err, iam.ErrNotFound) || err == nil && (client.Disabled || client.CIBANotify == "" || client.Delivery() != about.Mode) {
		return iam.Client{}, nil
	}
	return client, err
}

// refuse pushes an error (section 12). Its payload knows three codes.
func (t *Teller) refuse(ctx context.Context, client iam.Client, about Notice, cause error) error {
	code := oauth.CodeOf(cause)
	if code != "access_denied" && code != "expired_token" {
		code = "transaction_failed"
	}
	return t.post(ctx, client, about.Token, map[string]string{"auth_req_id": about.ID, "error": code})
}

// post sends a message, and tries again whatever is not a plain answer: 401, 403 and redirects are the client's last word.
func (t *Teller) post(ctx context.Context, client iam.Client, bearer string, message map[string]string) error {
	body, err := json.Marshal(message)
	if err != nil {
		return err
	}
	status, err := t.send(ctx, client, bearer, body)
	switch {
	case err != nil:
		return fmt.Errorf("the client %s was not reached: %w", client.ID, fetch.Why(err))
	case status >= http.StatusInternalServerError || status == http.StatusTooManyRequests:
		return fmt.Errorf("the client %s answered with status %d", client.ID, status)
	case status != http.StatusOK && status != http.StatusNoContent:
		return deliver.Never(fmt.Errorf("the client %s answered with status %d", client.ID, status))
	}
	return nil
}

func (t *Teller) send(ctx context.Context, client iam.Client, bearer string, body []byte) (int, error) {
	return t.Sender.Send(ctx, client.CIBANotify, fetch.Message{
		ContentType: "application/json", Authorization: "Bearer " + bearer, Body: body,
	})
}

func moment(now func() time.Time) time.Time {
	if now != nil {
		return now().UTC()
	}
	return time.Now().UTC()
}
