package login

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/limit"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/page"
	"github.com/gardeauth/garde/internal/server/login/factor"
	"github.com/gardeauth/garde/internal/session"
	"github.com/gardeauth/garde/internal/web"
)

// try is one try at a factor, and how its page is shown again.
type try struct {
	step
	factor factor.Factor
	form   web.Form
	user   iam.User // who is to be proved; zero: nobody, or whoever the form names
	count  string   // under which name tries are counted
	here   string   // session of this browser, if it is theirs
	known  bool     // the person has proved something before: the tries that a guesser has are fewer
	again  func(fault page.Fault) error
}

// stateOf gives what the flow keeps for that factor, and nothing of what it keeps for another.
func stateOf(flow iam.Flow, name string) string {
	owner, state, _ := strings.Cut(flow.State, " ")
	if owner != name {
		return ""
	}
	return state
}

// swap replaces the state of a factor, if it is still what was read.
func (e *Endpoint) swap(r *http.Request, flow *iam.Flow, name, state string) error {
	next := ""
	if state != "" {
		next = name + " " + state
	}
	if next == flow.State {
		return nil
	}
	err := e.People.SwapState(r.Context(), flow.Hash, flow.State, next)
	if errors.Is(err, iam.ErrNotFound) {
		return session.Expired(err)
	}
	if err == nil {
		flow.State = next
	}
	return err
}

// prove judges a try: paid for, spent, proved, in this order. Whoever fails reads one sentence, whatever was wrong.
func (e *Endpoint) prove(w http.ResponseWriter, r *http.Request, t try) error {
	price := &limit.Price{
		Attempt: limit.Attempt{Account: t.count, Network: e.Network(r), Device: e.Devices.Known(r, t.user.ID)}, Further: t.known,
	}
	if t.known {
		price.Account = countOf(t.user, t.count)
	}
	if t.factor.Is().Guessable {
		if ok, wait, err := e.Tries.Pay(r.Context(), price); err != nil || !ok {
			return e.waits(w, r, t, wait, err)
		}
	}
	before := stateOf(t.flow, t.factor.Is().Name)
	spent, err := t.factor.Spend(before, e.now())
	if err == nil {
		err = e.swap(r, &t.flow, t.factor.Is().Name, spent)
	}
	if errors.Is(err, factor.ErrStale) || errors.Is(err, iam.ErrRaced) {
		return t.again(page.FaultStale)
	}
	if err != nil {
		return err
	}
	proof, err := t.factor.Prove(r.Context(), factor.Try{User: t.user, Form: t.form, State: before, Flow: t.flow.Hash, Here: t.here, Now: e.now()})
	if err == nil && spent != "" { // a code that was right is not right again
		err = e.swap(r, &t.flow, "", "")
	}
	switch {
	case errors.Is(err, factor.ErrStale), errors.Is(err, iam.ErrRaced):
		return t.again(page.FaultStale)
	case errors.Is(err, factor.ErrPending):
		return t.again("")
	case errors.Is(err, factor.ErrWrong), errors.Is(err, factor.ErrDenied):
		return e.refuse(w, r, t, price, proof, err)
	case err != nil:
		return err
	}
	if t.factor.Is().Guessable {
		if ok, wait, err := e.Tries.Stands(r.Context(), price); err != nil || !ok {
			return e.waits(w, r, t, wait, err)
		}
	}
	return e.advance(w, r, t, price, proof)
}

// waits tells who must wait how long, and nothing of what they tried.
func (e *Endpoint) waits(w http.ResponseWriter, r *http.Request, t try, wait time.Duration, err error) error {
	if err != nil {
		return err
	}
	return e.Locked(w, r, t.wishes.Locales, wait, e.forgot(t.step))
}

// forgot is the way to a new password, where there is one.
func (e *Endpoint) forgot(at step) string {
	if offers := e.Offers(); !offers.Reset || !slices.Contains(offers.Factors, "password") {
		return ""
	}
	return "/forgot?flow=" + url.QueryEscape(at.key)
}

// refuse says the one sentence that every wrong proof gets.
func (e *Endpoint) refuse(w http.ResponseWriter, r *http.Request, t try, price *limit.Price, proof factor.Proof, cause error) error {
	user, reason := t.user, "wrong"
	if proof.User != "" && user.ID == "" {
		var err error
		if user, err = e.People.User(r.Context(), proof.User); notFoundIsFine(err) != nil {
			return err
		}
	}
	switch {
	case user.ID == "":
		reason = "unknown"
	case user.Disabled:
		reason = "disabled"
	case proof.Why != "":
		reason = proof.Why
	}
	if user.ID != "" {
		e.Fail(r, user, t.flow.Client, t.factor.Is().Name, reason)
	}
	ok, wait, err := true, time.Duration(0), error(nil)
	if t.factor.Is().Guessable {
		ok, wait, err = e.Tries.Wrong(r.Context(), price)
	} else { // what can't be guessed is paid for afterwards, so that nobody is kept out by others' tries
		price.Account = countOf(user, price.Account)
		ok, wait = e.Tries.Throttle.Allow(price.Attempt)
	}
	if err != nil || !ok {
		return e.waits(w, r, t, wait, err)
	}
	e.Face.Note(r, oauth.AccessDenied("the sign-in was refused").Because(errors.New(t.factor.Is().Name+" "+reason)))
	if errors.Is(cause, factor.ErrDenied) {
		return t.again(page.FaultDenied)
	}
	if t.factor.Is().Name == "password" {
		return t.again(page.FaultCredentials)
	}
	return t.again(page.FaultProof)
}

// advance takes what was proved into the transaction. A session begins when it is enough; until then the transaction alone
// knows of it, which nothing but these pages and the dispatcher accepts.
func (e *Endpoint) advance(w http.ResponseWriter, r *http.Request, t try, price *limit.Price, proof factor.Proof) error {
	user, err := e.People.User(r.Context(), proof.User)
	if errors.Is(err, iam.ErrNotFound) || err == nil && user.Disabled { // removed since it was looked up
		return e.refuse(w, r, t, price, proof, factor.ErrWrong)
	}
	if err != nil {
		return err
	}
	if err := e.admitted(user); err != nil {
		return err
	}
	at := t.step
	if at.flow.User != user.ID {
		// What somebody else proved or answered here is not this person's.
		at.flow.User, at.flow.Session, at.flow.Asked, at.flow.Proofs = user.ID, "", nil, nil
	}
	at.flow.Proofs = session.Merge(at.flow.Proofs, proof.Proved)
	current, err := e.Sessions.Current(r)
	if err := notFoundIsFine(err); err != nil {
		return err
	}
	who := joined(at, user, current)
	if !complete(e.lacking(at, who)) && !e.suffices(at, who) {
		if err := e.setFlow(r, at.flow); err != nil {
			return err
		}
		session.SeeOther(w, "/signin/next?flow="+url.QueryEscape(at.key))
		return nil
	}
	if err := e.forgive(r, t, price, at.flow.Proofs); err != nil {
		return err
	}
	return e.enter(w, r, at, who, t)
}

// suffices tells whether somebody who was sent to prove more, but is signed in no longer or is another person, has signed
// in: what more is needed of them is decided anew.
func (e *Endpoint) suffices(at step, who person) bool {
	if at.flow.Need == nil || who.here.ID != "" {
		return false
	}
	at.flow.Need = nil
	return complete(e.lacking(at, who))
}

// countOf is the name under which tries at an account are counted: one for all factors and all spellings (S08).
func countOf(user iam.User, otherwise string) string {
	if user.ID == "" {
		return otherwise
	}
	return "user " + user.ID
}

// enter begins the session of who has proved enough, and goes back to the dispatcher.
func (e *Endpoint) enter(w http.ResponseWriter, r *http.Request, at step, who person, t try) error {
	answered := who.here.Answered
	if need := at.flow.Need; need != nil && !need.Cause.Zero() && complete(e.lacking(at, who)) {
		answered = session.Answer(answered, iam.Answer{Cause: need.Cause, ACR: need.ACR, At: e.now()})
	}
	// The flow leaves the session that it knew, so that it does not end with it.
	at.flow.Session, at.flow.Proofs = "", nil
	if err := e.setFlow(r, at.flow); err != nil {
		return err
	}
	seen, err := e.Devices.Remember(w, r, who.user.ID, e.Network(r))
	if errors.Is(err, iam.ErrRevoked) {
		return t.again(page.FaultProof)
	}
	if err != nil {
		return err
	}
	current, err := e.Sessions.Start(w, r, session.Proof{
		User: who.user.ID, Proofs: who.proofs, From: who.here.ID, Answered: answered, Device: seen.ID, Agent: session.Agent(r), Address: e.Network(r),
	}, web.Trace(r.Context()))
	if errors.Is(err, iam.ErrRevoked) { // disabled, removed, or a factor or the device taken away since it was looked up
		return t.again(page.FaultProof)
	}
	if err != nil {
		return err
	}
	if seen.New && !seen.First {
		if err := e.tellNew(r, who.user); err != nil {
			e.Face.Note(r, err) // they are signed in, whether a mail can tell it or not
		}
	}
	if at.flow.Client == "" {
		err = e.People.EndFlow(r.Context(), at.flow.Hash)
	} else {
		at.flow.User, at.flow.Session = who.user.ID, current.ID
		if !slices.Contains(at.flow.Asked, session.StepSignIn) {
			at.flow.Asked = append(at.flow.Asked, session.StepSignIn)
		}
		err = e.setFlow(r, at.flow)
	}
	if err != nil {
		return err
	}
	session.SeeOther(w, session.Return(at.flow, at.key))
	return nil
}

func (e *Endpoint) setFlow(r *http.Request, flow iam.Flow) error {
	err := e.People.SetFlow(r.Context(), flow)
	if errors.Is(err, iam.ErrNotFound) {
		return session.Expired(err)
	}
	return err
}

// forgive gives back what a try cost that was right. What was paid for wrong tries before is forgotten only for who has shown
// the password: they could be guessing at nothing else that Further does not count, and that is never forgotten. Else who
// can prove one factor would do so between guesses at another (S08).
func (e *Endpoint) forgive(r *http.Request, t try, price *limit.Price, proofs []iam.Proved) error {
	if !t.factor.Is().Guessable {
		return nil
	}
	shown := slices.ContainsFunc(proofs, func(one iam.Proved) bool { return one.Factor == "password" })
	return e.Tries.Right(r.Context(), price, shown)
}
