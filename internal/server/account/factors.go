package account

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/page"
	"github.com/gardeauth/garde/internal/session"
	"github.com/gardeauth/garde/internal/web"
)

// Factors is what the pages about factors need. All fields are required.
type Factors struct {
	Kept    iam.Authenticators
	Makes   Registrar
	Offered func() []string // by the recipe
	Notes   session.Notes   // hides what waits to be confirmed
	// Demand is what somebody must prove who adds, renames or removes a factor: the highest level that their present factors
	// reach, lately, and what the moment asks for. Nil: they did. So a weaker factor never adds to, or removes, a stronger one,
	// and nothing that is added in a moment like somebody else's answers what such a moment raises.
	Demand func(r *http.Request, user iam.User, here iam.Session) (*iam.Need, error)
	// Due gives the sets of factors of which the person must have one, and the last day on which that can wait; none: they
	// have what they need.
	Due  func(ctx context.Context, user iam.User) (sets []string, until time.Time, err error)
	Tell func(r *http.Request, user iam.User, kind page.MailKind) error // by mail: was this you?
	// WayIn tells whether somebody who has no more left could still sign in, by what the recipe offers today.
	WayIn func(left iam.Left) bool
}

// Registrar makes factors. A fault is the person's to mend; its error says why, for the log.
type Registrar interface {
	// BeginKey asks a browser for a passkey or a security key; state stays here until FinishKey.
	BeginKey(user iam.User, kind iam.FactorKind, have []iam.Authenticator) (options, state string, err error)
	FinishKey(state, answer, name string) (iam.Authenticator, page.Fault, error)
	// ShowTOTP shows the key of an application, a new one when secret is empty; FinishTOTP takes it if code is what the
	// application shows.
	ShowTOTP(user iam.User, secret string) (TOTP, error)
	FinishTOTP(user iam.User, secret, code, name string) (iam.Authenticator, page.Fault, error)
	// Codes makes recovery codes, as they are shown and as they are kept.
	Codes(user string) (shown []string, kept []iam.Digest)
}

// TOTP is the key of an application for one-time passwords, as text, as an address, and as path data of a QR code.
type TOTP struct {
	Secret, URI, Picture string
	Size                 int
}

// Kinds are the authenticators that can be added, each on a page of its own below /account/security.
func Kinds() []string { return slices.Clone(kinds) }

// kinds: in the order in which they are offered.
var kinds = []string{string(iam.FactorPasskey), string(iam.FactorSecurityKey), string(iam.FactorTOTP)}

// The recipe's names of the other factors that these pages know.
const (
	factorPassword = "password"
	factorRecovery = "recovery_code"
)

// Security is /account/security: all that the person signs in with.
func (e *Endpoint) Security(w http.ResponseWriter, r *http.Request) error {
	query, here, err := e.visit(w, r, "security")
	if err != nil || here.user.ID == "" {
		return err
	}
	return e.showSecurity(w, r, here, e.noticed(r, here, query))
}

func (e *Endpoint) showSecurity(w http.ResponseWriter, r *http.Request, here presence, notice page.Note, problems ...page.Problem) error {
	offered := e.Factors.Offered()
	view := page.Security{
		Common: e.common(w, r, here, problems...), Action: security, Bar: e.bar(security), Notice: notice,
		Codes: slices.Contains(offered, factorRecovery),
	}
	kept, err := e.Factors.Kept.Authenticators(r.Context(), here.user.ID)
	if err != nil {
		return err
	}
	for _, one := range kept {
		view.Factors = append(view.Factors, viewOf(one))
	}
	for _, kind := range kinds {
		if slices.Contains(offered, kind) && len(kept) < iam.MaxAuthenticators {
			view.Adds = append(view.Adds, kind)
		}
	}
	if slices.Contains(offered, factorPassword) {
		view.Home = home
	}
	if view.Password, err = e.hasPassword(r.Context(), here.user.ID); err != nil {
		return err
	}
	if view.Left, err = e.Factors.Kept.RecoveryLeft(r.Context(), here.user.ID); err != nil {
		return err
	}
	return e.Pages().Render(w, r, status(problems), view)
}

func viewOf(one iam.Authenticator) page.HeldFactor {
	return page.HeldFactor{
		ID: one.ID, Kind: string(one.Kind), Name: one.Name, Model: model(one.Model), Synced: one.Synced,
		Created: one.Created, Used: one.Used,
	}
}

// Factor is /account/security/factor: one of them, to be renamed or removed.
func (e *Endpoint) Factor(w http.ResponseWriter, r *http.Request) error {
	return either(w, r, func(w http.ResponseWriter, r *http.Request) error {
		query, here, err := e.visit(w, r, "security")
		if err != nil || here.user.ID == "" {
			return err
		}
		return e.showFactor(w, r, here, query.Value("id"))
	}, e.changeFactor)
}

// find gives an authenticator of this person: one of somebody else is as unknown as one that never was.
func (e *Endpoint) find(ctx context.Context, here presence, id string) (iam.Authenticator, error) {
	kept, err := e.Factors.Kept.Authenticators(ctx, here.user.ID)
	if err != nil {
		return iam.Authenticator{}, err
	}
	at := slices.IndexFunc(kept, func(one iam.Authenticator) bool { return one.ID == id })
	if at < 0 {
		return iam.Authenticator{}, iam.ErrNotFound
	}
	return kept[at], nil
}

func (e *Endpoint) showFactor(w http.ResponseWriter, r *http.Request, here presence, id string, problems ...page.Problem) error {
	one, err := e.find(r.Context(), here, id)
	if errors.Is(err, iam.ErrNotFound) {
		return web.NotFound()
	}
	if err != nil {
		return err
	}
	return e.Pages().Render(w, r, status(problems), page.OneFactor{
		Common: e.common(w, r, here, problems...), Action: security + "/factor", Factor: viewOf(one), Back: security,
	})
}

func (e *Endpoint) changeFactor(w http.ResponseWriter, r *http.Request) error {
	form, here, err := e.deed(r)
	if err != nil {
		return err
	}
	one, err := e.find(r.Context(), here, form.Value("id"))
	if errors.Is(err, iam.ErrNotFound) {
		return web.NotFound()
	}
	if err != nil {
		return err
	}
	switch form.Value("do") {
	case "rename":
		return e.renameFactor(w, r, here, one, form)
	case "remove":
		return e.removeFactor(w, r, here, one)
	}
	return oauth.InvalidRequest("do must be rename or remove")
}

// maxName is how long a name may be that a person gives a thing.
const maxName = 64

// named reads a name that the person gives; ok is false when it is none.
func named(form web.Form) (name string, ok bool) {
	name = strings.TrimSpace(form.Value("factor_name"))
	return name, name != "" && utf8.RuneCountInString(name) <= maxName
}

var unnamed = page.Problem{Field: page.FieldFactorName, Fault: page.FaultName}

func (e *Endpoint) renameFactor(w http.ResponseWriter, r *http.Request, here presence, one iam.Authenticator, form web.Form) error {
	name, ok := named(form)
	if !ok {
		return e.showFactor(w, r, here, one.ID, unnamed)
	}
	if need, err := e.Factors.Demand(r, here.user, here.session); err != nil || need != nil {
		return e.prove(w, r, need, "security", err)
	}
	event := e.event(r, here, journal.FactorChanged{What: "renamed", Factor: string(one.Kind), ID: one.ID})
	err := e.Factors.Kept.RenameAuthenticator(r.Context(), here.user.ID, one.ID, name, event)
	if err != nil && !errors.Is(err, iam.ErrNotFound) { // removed in another tab
		return err
	}
	return e.done(w, r, here, security, page.NoteFactorRenamed)
}

func (e *Endpoint) removeFactor(w http.ResponseWriter, r *http.Request, here presence, one iam.Authenticator) error {
	if need, err := e.Factors.Demand(r, here.user, here.session); err != nil || need != nil {
		return e.prove(w, r, need, "security", err)
	}
	left, err := e.remove(w, r, here, one)
	switch {
	case errors.Is(err, iam.ErrLast):
		return e.showFactor(w, r, left, one.ID, page.Problem{Fault: page.FaultLast})
	case errors.Is(err, iam.ErrRevoked): // disabled meanwhile
		return gone(err)
	case err != nil && !errors.Is(err, iam.ErrNotFound): // removed in another tab
		return err
	}
	e.tell(r, here, page.MailFactorRemoved)
	if left.session.ID == "" {
		return e.leave(w, r, here)
	}
	return e.done(w, r, left, security, page.NoteFactorRemoved)
}

// remove forgets an authenticator and gives who is there then. A session that rests on it goes on with the rest of what it
// knows, under another name, before it is removed: at no moment does a session prove something by what is gone. With
// nothing left it ends like any other.
func (e *Endpoint) remove(w http.ResponseWriter, r *http.Request, here presence, one iam.Authenticator) (presence, error) {
	event := e.event(r, here, journal.FactorChanged{What: "removed", Factor: string(one.Kind), ID: one.ID})
	rest := slices.DeleteFunc(slices.Clone(here.session.Proofs), func(proof iam.Proved) bool { return proof.Credential == one.ID })
	gone := func(keep string) error {
		return e.Factors.Kept.RemoveAuthenticator(r.Context(), here.user.ID, one.ID, keep, e.Factors.WayIn, event)
	}
	switch {
	case len(rest) == len(here.session.Proofs):
		return here, gone(here.session.ID)
	case !e.Sessions.Enough(rest):
		if err := gone(""); err != nil {
			return here, err
		}
		return presence{}, nil
	}
	left, err := e.Sessions.Restate(w, r, here.session, rest)
	if err != nil {
		return here, err
	}
	err = gone(left.ID)
	if errors.Is(err, iam.ErrLast) { // it is there, and proved
		var again error
		if left, again = e.Sessions.Restate(w, r, left, here.session.Proofs); again != nil {
			return here, again
		}
	}
	return presence{here.user, left}, err
}

// prove sends the person to prove what is needed, and back to that corner of the account.
func (e *Endpoint) prove(w http.ResponseWriter, r *http.Request, need *iam.Need, corner string, err error) error {
	if err != nil {
		return err
	}
	flow := session.ForAccount(corner)
	flow.Need = need
	return e.signIn(w, r, flow)
}

// tell writes to the person. What was done is done, whether a mail can tell it or not.
func (e *Endpoint) tell(r *http.Request, here presence, kind page.MailKind) {
	if err := e.Factors.Tell(r, here.user, kind); err != nil {
		e.Face.Note(r, err)
	}
}

// Codes is POST /account/security/codes: new recovery codes, in the place of those before. They stand in the answer to the
// form alone, and nowhere that could be opened again.
func (e *Endpoint) Codes(w http.ResponseWriter, r *http.Request) error {
	_, here, err := e.deed(r)
	if err != nil {
		return err
	}
	if !slices.Contains(e.Factors.Offered(), factorRecovery) {
		return web.NotFound()
	}
	if need, err := e.Factors.Demand(r, here.user, here.session); err != nil || need != nil {
		return e.prove(w, r, need, "security", err)
	}
	list, kept := e.Factors.Makes.Codes(here.user.ID)
	event := e.event(r, here, journal.FactorChanged{What: "codes made", Factor: factorRecovery})
	if err := e.Factors.Kept.SetRecovery(r.Context(), here.user.ID, kept, event); err != nil {
		return err
	}
	e.tell(r, here, page.MailCodesMade)
	return e.Pages().Render(w, r, http.StatusOK, page.Codes{
		Common: e.common(w, r, here), Codes: list, Username: here.user.Username, Back: security,
	})
}
