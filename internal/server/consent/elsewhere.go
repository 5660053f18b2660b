package consent

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/gardeauth/garde/internal/decide"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/page"
	"github.com/gardeauth/garde/internal/server/request"
	"github.com/gardeauth/garde/internal/session"
	"github.com/gardeauth/garde/internal/web"
)

// Elsewhere lets a person decide what a client waits for that asked on another device (RFC 8628, OpenID CIBA Core), for
// every door at which they can. All fields but Details, Help, Logos, Teller and Now are required.
type Elsewhere struct {
	Asking  iam.Asking
	Clients iam.Clients
	Parser  *request.Parser
	Life    func() time.Duration // of a grant
	Say     func(scope string) map[string]string
	Details func(details string) []page.Detail // nil: no recipe has any
	Desk    *decide.Desk                       // decides whether the person is sure enough to be who they say
	// Owes tells whether a person must add a factor now, or by a day; nil: nobody must.
	Owes   func(ctx context.Context, user string) (now, later bool, err error)
	Help   func() string // address of human help, for who is refused; nil: there is none
	Pages  func() *page.Pages
	Logos  *page.Logos      // of clients; nil: none are shown
	Teller Teller           // tells clients that do not poll; nil: all of them do
	Now    func() time.Time // nil: time.Now
}

// Teller tells clients of decisions that do not ask for them.
type Teller interface {
	// Tell says what is to be told, to be kept in the same deed as the decision: who was not told would wait for ever.
	Tell(asked iam.Asked, allowed bool) ([]iam.Delivery, error)
	// Kept hears that a decision is kept, and what is to be told of it.
	Kept(asked iam.Asked, allowed bool)
}

// Waiting is an authorization that waits for a person, read as it would be today.
type Waiting struct {
	Asked   iam.Asked
	Client  iam.Client
	Request *request.Request
}

func (e *Elsewhere) now() time.Time {
	if e.Now != nil {
		return e.Now().UTC()
	}
	return time.Now().UTC()
}

// Open reads an authorization again: client and recipe may have changed since it was asked for. ErrRevoked when it could
// no longer be.
func (e *Elsewhere) Open(ctx context.Context, asked iam.Asked) (Waiting, error) {
	door, grant := request.Device, oauth.DeviceCode
	if asked.Kind == iam.AskedCIBA {
		door, grant = request.Backchannel, oauth.CIBA
	}
	client, err := e.Clients.Client(ctx, asked.Client)
	if errors.Is(err, iam.ErrNotFound) || err == nil && (client.Disabled || !client.MayUse(grant)) {
		return Waiting{}, iam.ErrRevoked
	}
	if err != nil {
		return Waiting{}, err
	}
	form, err := web.Query(&http.Request{Method: http.MethodGet, URL: &url.URL{RawQuery: asked.Query}})
	if err != nil {
		return Waiting{}, err
	}
	again, err := e.Parser.ParseOf(ctx, door, client, form)
	if oauth.CodeOf(err) != "" {
		err = errors.Join(iam.ErrRevoked, err)
	}
	return Waiting{asked, client, again}, err
}

// ByCode finds what the device with that user code asks for: ErrNotFound, ErrExpired, ErrRevoked.
func (e *Elsewhere) ByCode(ctx context.Context, code iam.UserHash) (Waiting, error) {
	asked, err := e.Asking.AskedByCode(ctx, code, e.now())
	if err != nil {
		return Waiting{}, err
	}
	return e.Open(ctx, asked)
}

// Of lists what waits for a person, newest first, without what could no longer be asked for.
func (e *Elsewhere) Of(ctx context.Context, user string) ([]Waiting, error) {
	asked, err := e.Asking.AskedOf(ctx, user, e.now())
	var all []Waiting
	for _, one := range asked {
		waiting, err := e.Open(ctx, one)
		if errors.Is(err, iam.ErrRevoked) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, waiting)
	}
	return all, err
}

// Any tells whether something waits for a person.
func (e *Elsewhere) Any(ctx context.Context, user string) (bool, error) {
	all, err := e.Of(ctx, user)
	return len(all) > 0, err
}

// Find gives the one of that id that waits for a person: ErrNotFound also for another person's.
func (e *Elsewhere) Find(ctx context.Context, user, id string) (Waiting, error) {
	asked, err := e.Asking.AskedOf(ctx, user, e.now())
	if err != nil {
		return Waiting{}, err
	}
	for _, one := range asked {
		if one.ID == id {
			return e.Open(ctx, one)
		}
	}
	return Waiting{}, iam.ErrNotFound
}

// Presence is the person who decides, and what a door knows of them.
type Presence struct {
	Session iam.Session
	Said    bool     // nobody is signed in: Session is what a token says
	Flow    iam.Flow // transaction in this browser; zero: none yet
	Key     string   // of Flow
	Address netip.Addr
	Agent   string
}

// Sure asks whether the person is sure enough to be who they say to decide this, before they are shown what it is. Turn,
// or Demand, understands its errors.
func (e *Elsewhere) Sure(ctx context.Context, waiting Waiting, by Presence) error {
	_, err := e.Desk.Sure(ctx, about(waiting, by))
	if err == nil {
		err = e.owing(ctx, by)
	}
	return err
}

// Level is the level that deciding this needs and the person does not reach; empty: they do, or only the moment can tell.
func (e *Elsewhere) Level(waiting Waiting, by Presence) string {
	return e.Desk.Level(about(waiting, by))
}

// about puts it in the words of a decision. What the client wishes can only raise.
func about(waiting Waiting, by Presence) decide.Ask {
	ask := decide.Ask{
		Door: decide.DoorDevice, Session: by.Session, Client: waiting.Client, Scope: waiting.Request.Scope,
		Details: waiting.Request.Details, Bound: waiting.Asked.JKT != "", Address: by.Address, Agent: by.Agent,
		Since: decide.Since(by.Flow, session.Did(by.Flow, by.Session, session.StepSignIn)),
	}
	if waiting.Asked.Kind == iam.AskedCIBA {
		ask.Door = decide.DoorBackchannel
	}
	if by.Said {
		ask.Hold(by.Session.ACR, by.Session.AuthTime)
	}
	if need := by.Flow.Need; need != nil {
		ask.Told = need.Cause
	}
	ask.Wish.ACR, ask.Wish.MaxAge = waiting.Request.ACRValues, -1
	return ask
}

// Decide keeps what a person said. To allow is decided once more: what the grant says of them is what they have proved by
// then. ErrSpent when it was decided before, ErrExpired, ErrNotFound when it is not theirs, ErrRevoked when they, the
// session or the client no longer stand, *decide.Unsure.
func (e *Elsewhere) Decide(ctx context.Context, waiting Waiting, by Presence, allow bool) error {
	asked, now, in := waiting.Asked, e.now(), by.Session
	if in.User == "" || asked.User != "" && asked.User != in.User {
		return iam.ErrNotFound
	}
	verdict := iam.Verdict{}
	event := journal.New(now, journal.TokenRefused{Door: string(asked.Kind), Code: "access_denied", Cause: "the person said no"})
	if allow {
		claim, err := e.Desk.Sure(ctx, about(waiting, by))
		if err == nil {
			err = e.owing(ctx, by)
		}
		if err != nil {
			return err
		}
		scope := waiting.Request.Scope
		grant := session.GrantIn(in, waiting.Client.ID, scope, now, e.Life())
		grant.ACR, grant.AuthTime = claim.ACR, claim.AuthTime
		if !by.Said { // else what a token says of the methods goes with its level
			grant.AMR = claim.AMR
		}
		grant.Resource, grant.Details = waiting.Request.Resource, waiting.Request.Details
		verdict.Approved, verdict.Grant = true, grant
		event = journal.New(now, journal.Consented{Scope: scope.String()})
		if !session.Implied(waiting.Client) {
			verdict.Consent = &iam.Consent{User: in.User, Client: waiting.Client.ID, Scope: scope, Given: now}
		}
	}
	event.Actor, event.User, event.Client, event.Session = "user:"+in.User, in.User, waiting.Client.ID, in.ID
	event.Grant, event.Trace = verdict.Grant.ID, web.Trace(ctx)
	if e.Teller != nil {
		var err error
		if verdict.Told, err = e.Teller.Tell(asked, allow); err != nil {
			return err
		}
	}
	if err := e.Asking.Decide(ctx, asked.ID, verdict, now, event); err != nil {
		return err
	}
	if allow && session.Did(by.Flow, in, session.StepSignIn) { // they authenticated for this
		e.Desk.Learn(ctx, about(waiting, by))
	}
	if e.Teller != nil {
		e.Teller.Kept(asked, allow)
	}
	return nil
}

// Place is a door at which a person decides, as far as Turn needs to know it.
type Place struct {
	Sessions *session.Keeper
	Flows    iam.Flows
	By       Presence
	// Refused is the page of a refusal. Its form lets the person tell who waits, which they may whatever they have proved:
	// without it the device would ask until the time has run out.
	Refused page.Refused
}

// Turn sends a person who is not sure enough where they can prove more, in a transaction of this browser, which begins here
// if there is none yet, or tells them that it is refused. Other errors are as Over has them.
func (e *Elsewhere) Turn(w http.ResponseWriter, r *http.Request, at Place, err error) error {
	if errors.Is(err, errOwing) {
		return e.enrol(w, r, at)
	}
	var unsure *decide.Unsure
	if !errors.As(err, &unsure) {
		return Over(err)
	}
	if !unsure.Able() {
		view := at.Refused
		view.Trace, view.Why = web.Trace(r.Context()), unsure.Why()
		if e.Help != nil {
			view.Help = e.Help()
		}
		return e.Pages().Render(w, r, http.StatusForbidden, view)
	}
	flow, key := at.By.Flow, at.By.Key
	flow.Need = unsure.Need(flow.Need, e.now())
	if key == "" {
		key, err = at.Sessions.Begin(w, r, at.Flows, &flow)
	} else {
		err = at.Flows.SetFlow(r.Context(), flow)
	}
	if errors.Is(err, iam.ErrNotFound) {
		return session.Expired(err)
	}
	if err != nil {
		return err
	}
	step := "/signin"
	if flow.Need.Enrol {
		step = "/signin/enrol"
	}
	session.SeeOther(w, step+"?flow="+url.QueryEscape(key))
	return nil
}

// Demand tells an application of the person what they must prove first (RFC 9470 section 3), or that it is refused. Other
// errors are as Over has them.
func Demand(err error) error {
	var unsure *decide.Unsure
	if !errors.As(err, &unsure) {
		return Over(err)
	}
	if !unsure.Able() {
		denied := oauth.AccessDenied("the company's policy refuses this")
		denied.Status = http.StatusForbidden
		return denied.Because(err)
	}
	age := time.Duration(-1)
	if unsure.Decision.Fresh > 0 {
		age = unsure.Decision.Fresh
	}
	told := oauth.InsufficientAuthentication("the person must prove more, or again, to decide this").Because(err)
	return web.StepUp(told, []string{unsure.Decision.ACR}, age)
}

// View is what a person is told before they decide. Code, form and network are for the door to fill in.
func (e *Elsewhere) View(ctx context.Context, waiting Waiting, languages []string) (page.Asked, error) {
	view := page.Asked{
		Client: Who(ctx, waiting.Client, languages, e.Logos), ID: waiting.Asked.ID, Message: waiting.Asked.Message, Agent: waiting.Asked.Agent, When: waiting.Asked.Created,
	}
	for _, name := range waiting.Request.Scope {
		view.Scopes = append(view.Scopes, page.Scope{Name: name, Say: e.Say(name)})
	}
	var err error
	view.Details, err = inWords(e.Details, waiting.Request.Details)
	return view, err
}

// Over tells a person, in one sentence, that what they were about to decide is over, whatever the reason; other errors are
// as they were.
func Over(err error) error {
	for _, known := range []error{iam.ErrNotFound, iam.ErrExpired, iam.ErrSpent, iam.ErrRevoked} {
		if errors.Is(err, known) {
			refused := &oauth.Error{
				Code: "expired_request", Status: http.StatusBadRequest,
				Description: "this request has ended or was decided before: start again where it began",
			}
			return refused.Because(err)
		}
	}
	return err
}
