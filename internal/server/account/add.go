package account

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/page"
	"github.com/gardeauth/garde/internal/session"
	"github.com/gardeauth/garde/internal/web"
)

// pending is a factor that waits to be confirmed. It stands in the transaction, sealed, and never in the browser: what is
// confirmed is what was shown, to the same person in the same session.
type pending struct {
	Kind    string    `json:"kind"`
	User    string    `json:"user"`
	Session string    `json:"session"`
	State   string    `json:"state,omitempty"` // of the ceremony
	Key     string    `json:"key,omitempty"`   // of the application
	Begun   time.Time `json:"begun"`
	Tries   int       `json:"tries,omitempty"`
}

// maxTries is how many wrong codes one key of an application survives.
const maxTries = 10

// adding is a step of a transaction that adds a factor.
type adding struct {
	presence
	flow iam.Flow
	key  string
	kind string
	name string // that the person gave it on the last try
}

func (a adding) purpose() string { return "add " + a.kind + " " + a.key + " " + a.session.ID }

// Add is /account/security/KIND: GET begins and shows, POST confirms. It also serves transactions of applications whose
// person must have one more factor before they go on.
func (e *Endpoint) Add(kind string) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if !slices.Contains(e.Factors.Offered(), kind) {
			return web.NotFound()
		}
		return either(w, r, func(w http.ResponseWriter, r *http.Request) error { return e.beginAdding(w, r, kind) },
			func(w http.ResponseWriter, r *http.Request) error { return e.confirmAdding(w, r, kind) })
	}
}

func (e *Endpoint) beginAdding(w http.ResponseWriter, r *http.Request, kind string) error {
	if r.URL.Query().Has("flow") {
		return e.goOnAdding(w, r, kind)
	}
	_, here, err := e.visit(w, r, "security")
	if err != nil || here.user.ID == "" {
		return err
	}
	if need, err := e.Factors.Demand(r, here.user, here.session); err != nil || need != nil {
		return e.prove(w, r, need, "security", err)
	}
	key, err := e.Sessions.Begin(w, r, e.Keeping, session.ForAccount("security"))
	if err != nil {
		return err
	}
	session.SeeOther(w, security+"/"+kind+"?flow="+url.QueryEscape(key))
	return nil
}

// goOnAdding shows the page within a transaction. Who is not signed in any more begins anew.
func (e *Endpoint) goOnAdding(w http.ResponseWriter, r *http.Request, kind string) error {
	query, err := web.Query(r)
	if err != nil {
		return err
	}
	here, err := e.who(r)
	if errors.Is(err, iam.ErrNotFound) {
		return e.signIn(w, r, session.ForAccount("security"))
	}
	if err != nil {
		return err
	}
	at, err := e.resume(r, here, query.Value("flow"), kind)
	if err != nil {
		return err
	}
	if answered, err := e.unproved(w, r, at); answered || err != nil {
		return err
	}
	return e.ask(w, r, at)
}

// resume finds the transaction, which must be this person's, if anybody's.
func (e *Endpoint) resume(r *http.Request, here presence, key, kind string) (adding, error) {
	flow, err := e.Sessions.Resume(r, e.Keeping, key)
	if err != nil {
		return adding{}, err
	}
	if flow.User != "" && flow.User != here.user.ID || flow.Session != "" && flow.Session != here.session.ID {
		return adding{}, session.Expired(errors.New("the transaction is another session's"))
	}
	return adding{presence: here, flow: flow, key: key, kind: kind}, nil
}

// unproved sends the person to prove what adding a factor needs, within the transaction; it tells whether it did. One of an
// application goes on to the dispatcher from there, which sends them back here.
func (e *Endpoint) unproved(w http.ResponseWriter, r *http.Request, at adding) (bool, error) {
	need, err := e.Factors.Demand(r, at.user, at.session)
	if err != nil || need == nil {
		return false, err
	}
	at.flow.Need = need
	if err := e.setFlow(r, at.flow); err != nil {
		return false, err
	}
	session.SeeOther(w, "/signin?flow="+url.QueryEscape(at.key))
	return true, nil
}

func (e *Endpoint) setFlow(r *http.Request, flow iam.Flow) error {
	err := e.Keeping.SetFlow(r.Context(), flow)
	if errors.Is(err, iam.ErrNotFound) {
		return session.Expired(err)
	}
	return err
}

// swap replaces what waits to be confirmed; the zero value: nothing does. Of many at once one goes on.
func (e *Endpoint) swap(r *http.Request, at *adding, next pending) error {
	state := ""
	if next != (pending{}) {
		body, err := json.Marshal(next)
		if err != nil {
			return err
		}
		if state, err = e.Factors.Notes.SealState(at.flow.Hash, body); err != nil {
			return err
		}
	}
	err := e.Keeping.SwapState(r.Context(), at.flow.Hash, at.flow.State, state)
	if errors.Is(err, iam.ErrRaced) || errors.Is(err, iam.ErrNotFound) {
		return session.Expired(err)
	}
	at.flow.State = state
	return err
}

// waiting gives what waits to be confirmed there; ok is false when that is nothing of this person and kind.
func (e *Endpoint) waiting(at adding) (held pending, ok bool) {
	body, err := e.Factors.Notes.OpenState(at.flow.Hash, at.flow.State)
	if err != nil || json.Unmarshal(body, &held) != nil { // of another page
		return pending{}, false
	}
	return held, held.Kind == at.kind && held.User == at.user.ID && held.Session == at.session.ID
}

// ask shows the page that adds a factor.
func (e *Endpoint) ask(w http.ResponseWriter, r *http.Request, at adding, problems ...page.Problem) error {
	common := e.common(w, r, at.presence, problems...)
	common.CSRF = e.Sessions.Browser(w, r).FormToken(at.purpose())
	wishes := session.WishesOf(at.flow)
	common.FormTarget = wishes.RedirectURI // where the answer may lead, over the dispatcher
	common.Locales = append(common.Locales, wishes.Locales...)
	action, back := security+"/"+at.kind, security
	if at.flow.Client != "" {
		back = session.Return(at.flow, at.key)
	}
	next := pending{Kind: at.kind, User: at.user.ID, Session: at.session.ID, Begun: e.now().Truncate(time.Second)}
	if at.kind != string(iam.FactorTOTP) {
		have, err := e.Factors.Kept.Authenticators(r.Context(), at.user.ID)
		if err != nil {
			return err
		}
		options, state, err := e.Factors.Makes.BeginKey(at.user, iam.FactorKind(at.kind), have)
		if err != nil {
			return err
		}
		next.State = state
		if err := e.swap(r, &at, next); err != nil {
			return err
		}
		return e.Pages().Render(w, r, status(problems), page.NewKey{
			Common: common, Action: action, Flow: at.key, Kind: at.kind, Name: cmp.Or(at.name, session.Agent(r)), Options: options, Back: back,
		})
	}
	made, err := e.application(r, &at, next)
	if err != nil {
		return err
	}
	return e.Pages().Render(w, r, status(problems), page.NewTOTP{
		Common: common, Action: action, Flow: at.key, Name: at.name, Secret: grouped(made.Secret), URI: made.URI, Picture: made.Picture,
		Size: made.Size, Back: back,
	})
}

// application gives the key that is shown: the one that waits already, so that a page that is loaded again shows what the
// person may have scanned, else a new one.
func (e *Endpoint) application(r *http.Request, at *adding, next pending) (TOTP, error) {
	if held, ok := e.waiting(*at); ok && held.Tries < maxTries {
		return e.Factors.Makes.ShowTOTP(at.user, held.Key)
	}
	made, err := e.Factors.Makes.ShowTOTP(at.user, "")
	if err != nil {
		return TOTP{}, err
	}
	next.Key = made.Secret
	return made, e.swap(r, at, next)
}

// grouped parts a key into groups of four, as people type.
func grouped(secret string) []string {
	var parts []string
	for chunk := range slices.Chunk([]byte(secret), 4) {
		parts = append(parts, string(chunk))
	}
	return parts
}

func (e *Endpoint) confirmAdding(w http.ResponseWriter, r *http.Request, kind string) error {
	form, err := web.PostForm(r)
	if err != nil {
		return err
	}
	here, err := e.who(r)
	if errors.Is(err, iam.ErrNotFound) {
		return gone(err)
	}
	if err != nil {
		return err
	}
	at, err := e.resume(r, here, form.Value("flow"), kind)
	if err != nil {
		return err
	}
	if err := e.Sessions.Own(r, at.purpose(), form.Value("csrf")); err != nil {
		return err
	}
	if answered, err := e.unproved(w, r, at); answered || err != nil {
		return err
	}
	name, ok := named(form)
	if !ok {
		return e.ask(w, r, at, unnamed)
	}
	at.name = name
	held, ok := e.waiting(at)
	if !ok {
		return e.ask(w, r, at, page.Problem{Fault: page.FaultStale})
	}
	added, problem, err := e.check(r, &at, held, form, name)
	if err != nil {
		return err
	}
	if problem != (page.Problem{}) {
		return e.ask(w, r, at, problem)
	}
	return e.added(w, r, at, held, added)
}

// check confirms the factor, and spends what waited for it.
func (e *Endpoint) check(r *http.Request, at *adding, held pending, form web.Form, name string) (iam.Authenticator, page.Problem, error) {
	var added iam.Authenticator
	var fault page.Fault
	var cause error
	if at.kind == string(iam.FactorTOTP) {
		added, fault, cause = e.Factors.Makes.FinishTOTP(at.user, held.Key, form.Value("new_code"), name)
		if fault == "" && cause != nil {
			return added, page.Problem{}, cause
		}
		next := pending{}
		if fault != "" {
			next = held
			next.Tries++
		}
		if err := e.swap(r, at, next); err != nil {
			return added, page.Problem{}, err
		}
	} else {
		// Spent before it is looked at: an answer is judged once.
		if err := e.swap(r, at, pending{}); err != nil {
			return added, page.Problem{}, err
		}
		added, fault, cause = e.Factors.Makes.FinishKey(held.State, form.Value("answer"), name)
		if fault == "" && cause != nil {
			return added, page.Problem{}, cause
		}
	}
	if fault == "" {
		return added, page.Problem{}, nil
	}
	if cause != nil {
		e.Face.Note(r, cause)
	}
	problem := page.Problem{Fault: fault}
	if fault == page.FaultNewCode {
		problem.Field = page.FieldNewCode
	}
	return added, problem, nil
}

// added keeps the new factor, tells of it, and goes on.
func (e *Endpoint) added(w http.ResponseWriter, r *http.Request, at adding, held pending, added iam.Authenticator) error {
	added.User = at.user.ID
	event := e.event(r, at.presence, journal.FactorChanged{What: "added", Factor: at.kind, ID: added.ID})
	err := e.Factors.Kept.AddAuthenticator(r.Context(), added, event)
	switch {
	case errors.Is(err, iam.ErrExists):
		return e.ask(w, r, at, page.Problem{Fault: page.FaultKeyTaken})
	case errors.Is(err, iam.ErrFull):
		return e.ask(w, r, at, page.Problem{Fault: page.FaultFull})
	case errors.Is(err, iam.ErrRevoked): // disabled meanwhile
		return gone(err)
	case err != nil:
		return err
	}
	e.tell(r, at.presence, page.MailFactorAdded)
	if at.flow.Client == "" {
		if err := e.Keeping.EndFlow(r.Context(), at.flow.Hash); err != nil {
			return err
		}
		if back := session.Return(at.flow, at.key); back != security {
			session.SeeOther(w, back)
			return nil
		}
		return e.done(w, r, at.presence, security, page.NoteFactorAdded)
	}
	// Confirming it proved it: the application's transaction needs not ask for it again.
	at.flow.User = at.user.ID
	at.flow.Proofs = append(slices.Clone(at.flow.Proofs), iam.Proved{
		Factor: at.kind, At: e.now().Truncate(time.Second), Begun: held.Begun, Credential: added.ID, Methods: methods(added),
	})
	if err := e.setFlow(r, at.flow); err != nil {
		return err
	}
	session.SeeOther(w, session.Return(at.flow, at.key))
	return nil
}

// methods are what a confirmed factor has proved, by RFC 8176.
func methods(added iam.Authenticator) []string {
	held := "hwk"
	if added.Synced {
		held = "swk"
	}
	switch added.Kind {
	case iam.FactorPasskey: // it has verified its user
		return []string{held, "user", "mfa"}
	case iam.FactorSecurityKey:
		return []string{held, "user"}
	case iam.FactorTOTP:
	}
	return []string{"otp"}
}
