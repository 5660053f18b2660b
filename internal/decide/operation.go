package decide

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/assurance/signal"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/recipe"
)

// Call is a request that somebody makes at an API with a token. The API, or its Gate, has verified the token: what stands
// here is what it says.
type Call struct {
	API       string // audience
	Operation string // as the recipe names it: POST /transfers

	User     string // empty: the client itself
	Session  string // sid; empty: none
	Grant    string
	Client   string
	Scope    oauth.Scope
	ACR      string
	AuthTime time.Time
	Bound    bool // the token is bound to a key, and its holder proved it

	Asker   string         // the client that asks: a Gate, or that of an API; empty: the application itself
	Values  map[string]any // what the recipe maps of the request, by the names that it sends them under
	Address netip.Addr     // of who calls the API; the zero address is unknown
}

// Answer is a decision about a call.
type Answer struct {
	assurance.Decision
	Trace string // under which the journal tells of it, alone or with those like it
}

// Operation decides whether a call may be made. Of a person it is what the token says that must be enough: what they prove
// elsewhere raises no token that somebody else may hold. Their session must live and they must stand. What was decided
// is in the journal, as for Authorization; an error is a fault of ours, and means no.
func (d *Desk) Operation(ctx context.Context, call Call) (Answer, error) {
	policy, now := d.Policy(), d.now()
	values := settled(call.Values)
	question := &assurance.Question{
		Door: DoorOperation, API: call.API, Operation: call.Operation, Scope: call.Scope, Values: values, Online: true,
		Transaction: operationTransaction(policy, call.API, call.Operation, values), Wish: assurance.Wish{MaxAge: -1}, Now: now,
	}
	facts := record{question: question, session: call.Session, grant: call.Grant, address: call.Address, reached: call.ACR, asker: call.Asker, revision: d.revision()}
	client, err := d.Clients.Client(ctx, call.Client)
	switch {
	case errors.Is(err, iam.ErrNotFound), err == nil && client.Disabled:
		return d.refuse(ctx, facts, ReasonEnded, "the application no longer stands")
	case err != nil:
		return Answer{}, err
	}
	question.Client = clientOf(client, call.Bound)
	question.Client.Bound = call.Bound // here it is the token that is, or is not
	scene := Scene{Client: call.Client, Address: call.Address, Transaction: question.Transaction, Now: now}
	if call.User != "" {
		if question.Client.Kind == recipe.Web {
			scene.Address = netip.Addr{} // of the client's server
		}
		why, err := d.person(ctx, call, question, &scene)
		if err != nil || why != "" {
			if err != nil {
				return Answer{}, err
			}
			return d.refuse(ctx, facts, ReasonEnded, why)
		}
	}
	if facts.decision, err = d.answer(ctx, question, scene.User); err != nil {
		return Answer{}, err
	}
	if facts.decision.Verdict == assurance.Permit {
		d.learnPaid(ctx, call, scene)
	}
	return d.told(ctx, facts)
}

// Settle journals what was decided about a call without the policy: that the recipe leaves the operation open, or that there
// is nothing to decide about.
func (d *Desk) Settle(ctx context.Context, call Call, verdict assurance.Verdict, reason assurance.Reason) (Answer, error) {
	question := &assurance.Question{
		Door: DoorOperation, API: call.API, Operation: call.Operation, Scope: call.Scope, Client: assurance.Client{ID: call.Client},
		User: assurance.User{ID: call.User}, Wish: assurance.Wish{MaxAge: -1}, Now: d.now(),
	}
	made := record{question: question, session: call.Session, grant: call.Grant, address: call.Address, asker: call.Asker, revision: d.revision()}
	made.decision = assurance.Decision{Verdict: verdict, Reasons: []assurance.Reason{reason}}
	return d.told(ctx, made)
}

// told is what was decided, once it is journaled or waits for it.
func (d *Desk) told(ctx context.Context, made record) (Answer, error) {
	trace, err := d.recordCall(ctx, made)
	if err != nil {
		return Answer{}, err
	}
	return Answer{made.decision, trace}, nil
}

// learnPaid takes for usual what a call of a person paid, if it paid anything and is of a sign-in or a grant. Where it came
// from, when and on what is never learned of a call: whoever holds a stolen token would make their own place usual.
func (d *Desk) learnPaid(ctx context.Context, call Call, scene Scene) {
	if d.Facts == nil || call.User == "" || call.Session == "" && call.Grant == "" || scene.Transaction == (signal.Transaction{}) {
		return
	}
	scene.Paid = true
	d.Facts.Learn(ctx, scene)
}

// person adds to a question what is known of the person behind a token. why says that they, or their session, are gone.
func (d *Desk) person(ctx context.Context, call Call, question *assurance.Question, scene *Scene) (why string, err error) {
	user, err := d.Users.User(ctx, call.User)
	switch {
	case errors.Is(err, iam.ErrNotFound), err == nil && user.Disabled:
		return "the account no longer stands", nil
	case err != nil:
		return "", err
	}
	question.User.ID, scene.User = user.ID, user
	question.Held = &assurance.Held{ACR: call.ACR, AuthTime: call.AuthTime}
	if call.Session != "" {
		session, err := d.Sessions.LivingSession(ctx, call.Session, question.Now, d.Policy().Lives.SessionIdle)
		switch {
		case errors.Is(err, iam.ErrNotFound), err == nil && session.User != user.ID:
			return "the session has ended", nil
		case err != nil:
			return "", err
		}
		question.Answered, scene.Device, scene.Proofs = session.Answered, session.Device, session.Proofs
		seenFrom(session, question.Client.Kind, scene)
	}
	d.inform(ctx, question, user, *scene, []signal.Transaction{question.Transaction})
	return "", nil
}

// seenFrom says where and with what the person of a session is. What calls an API for them is never the browser that they
// signed in with, and says nothing of it. A web client calls from its own server, so that the person is where they signed in;
// any other program runs where they are, so that who calls is where they are, or where a thief is.
func seenFrom(session iam.Session, kind recipe.ClientType, scene *Scene) {
	scene.Agent = session.Agent
	if kind != recipe.Web {
		return
	}
	if network, err := netip.ParsePrefix(session.Address); err == nil {
		scene.Address = network.Addr()
	} else if address, err := netip.ParseAddr(session.Address); err == nil {
		scene.Address = address
	}
}

// ReasonEnded is the code of a denial that no policy spoke.
const ReasonEnded = "ended"

func (d *Desk) refuse(ctx context.Context, facts record, code, why string) (Answer, error) {
	facts.decision = assurance.Decision{Verdict: assurance.Deny, Reasons: []assurance.Reason{{Code: code, Say: why}}}
	return d.told(ctx, facts)
}
