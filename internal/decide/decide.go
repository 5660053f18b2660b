// Package decide puts together what a decision rests on, for every door of the Server: who somebody is, what they proved,
// from where and on what they ask, and what they usually do. It asks the policy, which alone decides, journals the answer
// with everything it rested on, and lets the facts learn from what was rightly permitted. It knows no page and no request.
package decide

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/assurance/signal"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/recipe"
)

// The doors at which something is decided, as the journal and rules name them.
const (
	DoorAuthorize   = "authorize"
	DoorDevice      = "device"
	DoorBackchannel = "backchannel"
	DoorOperation   = "operation"
)

// Sessions finds sessions by the sid of tokens.
type Sessions interface {
	// LivingSession is ErrNotFound when it has ended, or its person does not stand.
	LivingSession(ctx context.Context, id string, now time.Time, idle time.Duration) (iam.Session, error)
}

// Scene is what the facts about a moment are asked with.
type Scene struct {
	User        iam.User
	Client      string
	Proofs      []iam.Proved // what the session rests on
	Address     netip.Addr   // that the request comes from; the zero address is unknown
	Agent       string       // label of the browser or program
	Device      string       // id of the known device; empty: an unknown one
	Transaction signal.Transaction
	Paid        bool // it teaches what was paid, and not where, when and on what: nobody authenticated here
	Now         time.Time
}

// Moment is what they answer.
type Moment struct {
	Risk  signal.Result
	Place assurance.Place
}

// Facts know what people usually do.
type Facts interface {
	// Moment judges a scene.
	Moment(ctx context.Context, scene Scene) (Moment, error)
	// Learn takes a scene for usual. It returns at once; what can't be kept is lost.
	Learn(ctx context.Context, scene Scene)
}

// Recorder keeps events durably.
type Recorder interface {
	Record(ctx context.Context, events ...journal.Event) error
}

// Desk decides. All fields but Facts, Factors, Log and Now are required.
type Desk struct {
	Policy   func() *assurance.Policy
	Users    iam.Users
	Clients  iam.Clients
	Sessions Sessions
	Journal  Recorder

	Factors func(ctx context.Context, user iam.User) ([]string, error) // that a person could prove; nil: nobody has any
	Facts   Facts                                                      // nil: nothing is known of any moment, which raises
	Log     *slog.Logger
	Now     func() time.Time // nil: time.Now

	queue *queue
	tally *tally
}

// New makes a desk of its fields, whose Run keeps what was permitted.
func New(desk Desk) *Desk {
	return &Desk{
		Policy: desk.Policy, Users: desk.Users, Clients: desk.Clients, Sessions: desk.Sessions, Journal: desk.Journal,
		Factors: desk.Factors, Facts: desk.Facts, Log: desk.Log, Now: desk.Now, queue: newQueue(), tally: &tally{},
	}
}

// now is no finer than the journal keeps it.
func (d *Desk) now() time.Time {
	if d.Now != nil {
		return d.Now().UTC().Truncate(time.Microsecond)
	}
	return time.Now().UTC().Truncate(time.Microsecond)
}

// revision is that of the recipe in force.
func (d *Desk) revision() int64 {
	if policy := d.Policy(); policy != nil {
		return policy.Revision
	}
	return 0
}

// Ask is an authorization that somebody asks for.
type Ask struct {
	Door    string
	Session iam.Session     // who; without Held its Proofs count
	Held    *assurance.Held // what a token says of them, where nobody is signed in; nil: the session counts
	Client  iam.Client
	Scope   oauth.Scope
	Details string // authorization_details, a JSON array; empty: none
	Bound   bool   // the client has proved, or named, a key
	Wish    assurance.Wish
	Since   time.Time  // when this very transaction was challenged; zero: it was not
	Told    iam.Digest // cause of a challenge that was journaled before; zero: none was
	Address netip.Addr
	Agent   string
}

// Authorization decides whether somebody is sure enough to be who they say for what a client asks for. What was decided is
// in the journal: a denial and a challenge before this returns, a permit soon after. An error is a fault of ours (or
// iam.ErrUnavailable: also when too many permits wait for the journal already), and nothing may be given then.
func (d *Desk) Authorization(ctx context.Context, ask Ask) (assurance.Decision, error) {
	question, err := d.question(ask)
	if err != nil {
		return assurance.Decision{}, err
	}
	user, err := d.standing(ctx, ask.Session.User)
	if err != nil {
		return assurance.Decision{}, err
	}
	scene := d.scene(ask, user, question.Now)
	d.inform(ctx, question, user, scene, transactions(d.Policy(), question.Details))
	decision, err := d.answer(ctx, question, user)
	if err != nil {
		return assurance.Decision{}, err
	}
	if decision.Verdict == assurance.StepUp && !ask.Told.Zero() && ask.Told == decision.Cause {
		return decision, nil // a page that is loaded again
	}
	return d.recorded(ctx, record{question: question, decision: decision, session: ask.Session.ID, address: ask.Address, reached: reached(ask), revision: d.revision()})
}

// Offline decides by what a caller holds in its hand, without a look at the facts and without a word in the journal. It is
// a guess unless it permits: then nothing that the facts could say would change it.
func (d *Desk) Offline(ask Ask) assurance.Decision {
	policy := d.Policy()
	if policy == nil || policy.Recipe == nil {
		return assurance.Decision{}
	}
	question, err := d.question(ask)
	if err != nil {
		return assurance.Decision{}
	}
	question.User.ID = ask.Session.User
	return policy.Decide(question)
}

// standing gives who is asked about. Whoever is gone or disabled is iam.ErrRevoked.
func (d *Desk) standing(ctx context.Context, id string) (iam.User, error) {
	user, err := d.Users.User(ctx, id)
	if errors.Is(err, iam.ErrNotFound) || err == nil && user.Disabled {
		err = iam.ErrRevoked
	}
	return user, err
}

// Learn takes for usual what was permitted. It is called when it was given, after the person authenticated for it at the
// level that it needed, so that nobody trains the facts who could not do it anyway. A moment in which a sign of risk speaks
// teaches only at the level to which rules over such signs lead: who has stolen a password would sign in where little is
// asked, make their own place usual, and be asked for no more where it matters.
func (d *Desk) Learn(ctx context.Context, ask Ask) {
	if d.Facts == nil || ask.Session.User == "" {
		return
	}
	details, err := readDetails(ask.Details)
	if err != nil {
		return
	}
	scene := d.scene(ask, iam.User{ID: ask.Session.User}, d.now())
	// What a call must match is learned when the call is made: it may never be, and counts once.
	paid := transactions(d.Policy(), slices.DeleteFunc(details, func(detail assurance.Detail) bool { return called(d.Policy(), detail.Type) }))
	if len(paid) == 0 {
		paid = append(paid, signal.Transaction{})
	}
	for _, scene.Transaction = range paid {
		if d.unlike(ctx, ask, scene) {
			return
		}
	}
	for _, scene.Transaction = range paid {
		d.Facts.Learn(ctx, scene)
	}
}

// unlike tells whether a moment is unlike the person, or nobody knows, and less was proved than rules ask for then.
func (d *Desk) unlike(ctx context.Context, ask Ask, scene Scene) bool {
	policy, have := d.Policy(), ask.Session.ACR
	if ask.Held != nil {
		have = ask.Held.ACR
	}
	wary := policy.Wary()
	if wary == "" || policy.Ladder.Satisfied(wary, have) {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	moment, err := d.moment(ctx, scene)
	return err != nil || len(moment.Risk.Findings) > 0
}

func (d *Desk) scene(ask Ask, user iam.User, now time.Time) Scene {
	return Scene{User: user, Client: ask.Client.ID, Proofs: ask.Session.Proofs, Address: ask.Address, Agent: ask.Agent, Device: ask.Session.Device, Now: now}
}

// question is what an ask says by itself.
func (d *Desk) question(ask Ask) (*assurance.Question, error) {
	details, err := readDetails(ask.Details)
	if err != nil {
		return nil, err
	}
	question := &assurance.Question{
		Door: ask.Door, Scope: ask.Scope, Details: details, Client: clientOf(ask.Client, ask.Bound), Held: ask.Held,
		Proofs: ask.Session.Proofs, Answered: ask.Session.Answered, Since: ask.Since, Wish: ask.Wish, Now: d.now(),
	}
	if ask.Held != nil {
		question.Proofs = nil
	}
	question.Transaction = together(transactions(d.Policy(), details))
	return question, nil
}

func reached(ask Ask) string {
	if ask.Held != nil {
		return ask.Held.ACR
	}
	return ask.Session.ACR
}

// clientOf is a client as policies see it. A client that never gets a token without a key is bound wherever it asks.
func clientOf(client iam.Client, bound bool) assurance.Client {
	kind := client.Kind
	if kind == "" {
		kind = recipe.Web
	}
	return assurance.Client{ID: client.ID, Kind: kind, Bound: bound || client.Demands().Bound}
}
