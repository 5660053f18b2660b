package account

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/limit"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/page"
	"github.com/gardeauth/garde/internal/session"
	"github.com/gardeauth/garde/internal/web"
)

// event is something that the person did to the account here.
func (e *Endpoint) event(r *http.Request, here presence, detail journal.Detail) journal.Event {
	event := journal.New(e.now(), detail)
	event.Actor, event.User, event.Session = "user:"+here.user.ID, here.user.ID, here.session.ID
	event.Trace = web.Trace(r.Context())
	event.Personal = map[string]string{"address": e.Network(r), "agent": session.Agent(r)}
	return event
}

// SignOut is POST /account/signout: it ends this session.
func (e *Endpoint) SignOut(w http.ResponseWriter, r *http.Request) error {
	_, here, err := e.deed(r)
	if err != nil {
		return err
	}
	return e.leave(w, r, here, e.event(r, here, journal.SignedOut{}))
}

// leave ends the session of this browser and goes on to the further accounts, if it has any.
func (e *Endpoint) leave(w http.ResponseWriter, r *http.Request, here presence, events ...journal.Event) error {
	if e.Accounts == nil {
		if err := e.Sessions.End(r.Context(), w, here.session.ID, events...); err != nil {
			return err
		}
		session.SeeOther(w, "/logout/done")
		return nil
	}
	others, err := e.Accounts.Out(w, r, here.session.ID, events...)
	if err != nil {
		return err
	}
	if others {
		session.SeeOther(w, choose)
		return nil
	}
	session.SeeOther(w, "/logout/done")
	return nil
}

// Everywhere is POST /account/everywhere: it ends every session, this one too, and the access of every application.
func (e *Endpoint) Everywhere(w http.ResponseWriter, r *http.Request) error {
	_, here, err := e.deed(r)
	if err != nil {
		return err
	}
	err = e.Access.EndUserSessions(r.Context(), here.user.ID, "", e.event(r, here, journal.SignedOut{Everywhere: true}))
	if err != nil {
		return err
	}
	return e.leave(w, r, here) // the cookies
}

// NotMe is POST /account/notme: the person sees something that they did not do. It ends every other session and the access
// of every application, and leads to what keeps whoever it was out.
func (e *Endpoint) NotMe(w http.ResponseWriter, r *http.Request) error {
	_, here, err := e.deed(r)
	if err != nil {
		return err
	}
	event := e.event(r, here, journal.SignedOut{Everywhere: true})
	if err := e.Access.EndUserSessions(r.Context(), here.user.ID, here.session.ID, event); err != nil {
		return err
	}
	set, err := e.hasPassword(r.Context(), here.user.ID)
	if err != nil {
		return err
	}
	if e.Factors != nil && (!set || !e.offersPassword()) {
		return e.done(w, r, here, security, page.NoteNotYou)
	}
	return e.done(w, r, here, home+"#password-title", page.NoteNotYou)
}

// EndSession is POST /account/sessions: it ends one session of this person.
func (e *Endpoint) EndSession(w http.ResponseWriter, r *http.Request) error {
	form, here, err := e.deed(r)
	if err != nil {
		return err
	}
	living, err := e.Access.UserSessions(r.Context(), here.user.ID)
	if err != nil {
		return err
	}
	id := form.Value("session")
	// Of this person's sessions only: an id that was seen elsewhere ends nothing. One that has ended already is no error.
	if slices.ContainsFunc(living, func(one iam.Session) bool { return one.ID == id }) {
		event := e.event(r, here, journal.Revoked{What: "session", ID: id, Reason: "ended by its person"})
		if err := e.Access.EndSession(r.Context(), id, event); err != nil {
			return err
		}
	}
	if id == here.session.ID {
		return e.leave(w, r, here) // the cookies
	}
	return e.done(w, r, here, home, page.NoteSessionEnded)
}

// Revoke is POST /account/consents: it takes an application's access back.
func (e *Endpoint) Revoke(w http.ResponseWriter, r *http.Request) error {
	form, here, err := e.deed(r)
	if err != nil {
		return err
	}
	client := form.Value("consent")
	if client == "" {
		return oauth.InvalidRequest("no application was named")
	}
	event := e.event(r, here, journal.Revoked{What: "consent", ID: client, Reason: "taken back by the person"})
	event.Client = client
	err = e.Access.RevokeConsent(r.Context(), here.user.ID, client, event)
	if err != nil && !errors.Is(err, iam.ErrNotFound) { // taken back in another tab
		return err
	}
	return e.done(w, r, here, home, page.NoteConsentRevoked)
}

// Password is POST /account/password: it needs the current password, and ends every other session.
func (e *Endpoint) Password(w http.ResponseWriter, r *http.Request) error {
	form, here, err := e.deed(r)
	if err != nil {
		return err
	}
	if !e.offersPassword() {
		return web.NotFound()
	}
	current, fresh := form.Value("current_password"), form.Value("new_password")
	problems, err := e.faults(form, here)
	if err != nil {
		return err
	}
	if len(problems) > 0 {
		return e.show(w, r, here, "", problems)
	}
	// Who has stolen it would else keep its owner out by another one.
	if sent, err := e.wary(w, r, here, ""); sent || err != nil {
		return err
	}
	price := &limit.Price{Attempt: limit.Attempt{
		Account: "user " + here.user.ID, Network: e.Network(r), Device: e.Devices.Known(r, here.user.ID),
	}}
	if ok, wait, err := e.Tries.Pay(r.Context(), price); err != nil || !ok {
		return e.waits(w, r, wait, err)
	}
	kept, err := e.Keeping.Password(r.Context(), here.user.ID)
	if err != nil && !errors.Is(err, iam.ErrNotFound) {
		return err
	}
	result, err := e.Hasher.Verify(r.Context(), kept.PHC, current)
	if err != nil {
		return err
	}
	counted := e.Tries.Stands
	if !result.OK {
		counted = e.Tries.Wrong
	}
	if ok, wait, err := counted(r.Context(), price); err != nil || !ok {
		return e.waits(w, r, wait, err)
	}
	if !result.OK {
		// Who sits at another person's browser may guess here too: the person must be able to see it.
		e.Failed(r, here.user, "", "password", "wrong")
		e.Face.Note(r, oauth.AccessDenied("the current password is not right"))
		return e.show(w, r, here, "", []page.Problem{{Field: page.FieldCurrentPassword, Fault: page.FaultCurrent}})
	}
	if err := e.Tries.Right(r.Context(), price, true); err != nil {
		return err
	}
	phc, err := e.Hasher.Hash(r.Context(), fresh)
	if err != nil {
		return err
	}
	event := e.event(r, here, journal.UserChanged{What: "password"})
	err = e.Keeping.SetPassword(r.Context(), iam.Password{User: here.user.ID, PHC: phc, Changed: e.now()}, here.session.ID, event)
	if err != nil {
		return err
	}
	if err := e.Changed(r, here.user); err != nil {
		e.Face.Note(r, err) // the password is changed, whether a mail can tell it or not
	}
	return e.done(w, r, here, home, page.NotePasswordChanged)
}

// waits tells who must wait how long, and nothing of what they tried.
func (e *Endpoint) waits(w http.ResponseWriter, r *http.Request, wait time.Duration, err error) error {
	if err != nil {
		return err
	}
	return e.Locked(w, r, nil, wait, "")
}

// faults are what is wrong with the form before the current password is tried.
func (e *Endpoint) faults(form web.Form, here presence) ([]page.Problem, error) {
	current, fresh, again := form.Value("current_password"), form.Value("new_password"), form.Value("new_password_again")
	var problems []page.Problem
	if current == "" {
		problems = append(problems, page.Problem{Field: page.FieldCurrentPassword, Fault: page.FaultMissing})
	}
	fault, err := e.Judge(fresh, here.user.Username, here.user.Email, here.user.Name)
	switch {
	case err != nil:
		return nil, err
	case fresh == "":
		problems = append(problems, page.Problem{Field: page.FieldNewPassword, Fault: page.FaultMissing})
	case fault != "":
		problems = append(problems, page.Problem{Field: page.FieldNewPassword, Fault: fault})
	case fresh == current:
		problems = append(problems, page.Problem{Field: page.FieldNewPassword, Fault: page.FaultSame})
	case fresh != again:
		problems = append(problems, page.Problem{Field: page.FieldNewPasswordAgain, Fault: page.FaultDiffer})
	}
	return problems, nil
}
