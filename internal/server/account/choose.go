package account

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/page"
	"github.com/gardeauth/garde/internal/session"
	"github.com/gardeauth/garde/internal/web"
)

// Choose is /choose: as whom to go on, of the accounts that this browser is signed in to, or as somebody else. Within a
// transaction it goes back to the dispatcher, else to the account.
func (e *Endpoint) Choose(w http.ResponseWriter, r *http.Request) error {
	return either(w, r, e.showChoose, e.choose)
}

// choosing is one look at the accounts of a browser.
type choosing struct {
	key     string // of the transaction; empty: there is none
	flow    iam.Flow
	current iam.Session // empty: nobody is signed in
	others  []session.Account
}

func (c choosing) purpose() string { return "choose " + c.key + " " + c.current.ID }

func (e *Endpoint) choosing(r *http.Request, key string) (choosing, error) {
	at := choosing{key: key}
	var err error
	if key != "" {
		if at.flow, err = e.Sessions.Resume(r, e.Keeping, key); err != nil {
			return choosing{}, err
		}
	}
	if at.current, err = e.Sessions.Current(r); err != nil && !errors.Is(err, iam.ErrNotFound) {
		return choosing{}, err
	}
	at.others, err = e.Accounts.Others(r)
	return at, err
}

func (e *Endpoint) showChoose(w http.ResponseWriter, r *http.Request) error {
	query, err := web.Query(r)
	if err != nil {
		return err
	}
	at, err := e.choosing(r, query.Value("flow"))
	if err != nil {
		return err
	}
	if at.current.ID == "" && len(at.others) == 0 {
		return e.another(w, r, at)
	}
	return e.showAccounts(w, r, at)
}

func (e *Endpoint) showAccounts(w http.ResponseWriter, r *http.Request, at choosing, problems ...page.Problem) error {
	wishes := session.WishesOf(at.flow)
	view := page.Choose{
		Common: page.Common{
			CSRF: e.Sessions.Browser(w, r).FormToken(at.purpose()), Trace: web.Trace(r.Context()), Locales: wishes.Locales,
			FormTarget: wishes.RedirectURI, Problems: problems,
		},
		Action: choose, Flow: at.key,
	}
	if at.flow.Client != "" {
		view.Client.Name = e.nameOf(r.Context(), at.flow.Client, session.Languages(r, wishes.Locales))
	}
	add := func(one iam.Session, current bool) error {
		user, err := e.Keeping.User(r.Context(), one.User)
		if errors.Is(err, iam.ErrNotFound) {
			return nil
		}
		view.Accounts = append(view.Accounts, page.SignedIn{
			Session: one.ID, Username: user.Username, Name: user.Name, Email: user.Email, Current: current,
		})
		return err
	}
	if at.current.ID != "" {
		if err := add(at.current, true); err != nil {
			return err
		}
	}
	for _, one := range at.others {
		if err := add(one.Session, false); err != nil {
			return err
		}
	}
	view.More = len(view.Accounts) < session.MaxAccounts
	return e.Pages().Render(w, r, status(problems), view)
}

func (e *Endpoint) choose(w http.ResponseWriter, r *http.Request) error {
	form, err := web.PostForm(r)
	if err != nil {
		return err
	}
	at, err := e.choosing(r, form.Value("flow"))
	if err != nil {
		return err
	}
	if err := e.Sessions.Own(r, at.purpose(), form.Value("csrf")); err != nil {
		return err
	}
	switch {
	case form.Has("out"):
		return e.outAll(w, r)
	case form.Has("other"):
		return e.another(w, r, at)
	case form.Value("session") == "":
		return oauth.InvalidRequest("no account was chosen")
	}
	chosen := at.current
	if id := form.Value("session"); id != chosen.ID {
		chosen, err = e.Accounts.Choose(w, r, id)
		if errors.Is(err, iam.ErrNotFound) { // ended meanwhile, or no account of this browser
			return e.showAccounts(w, r, at, page.Problem{Fault: page.FaultStale})
		}
		if err != nil {
			return err
		}
	}
	if at.key == "" {
		session.SeeOther(w, home)
		return nil
	}
	// What another person proved, answered or was asked in this transaction is not this one's.
	at.flow.User, at.flow.Session, at.flow.Asked = chosen.User, chosen.ID, []string{session.StepChoose}
	at.flow.Proofs, at.flow.Need = nil, nil
	if err := e.setFlow(r, at.flow); err != nil {
		return err
	}
	session.SeeOther(w, session.Return(at.flow, at.key))
	return nil
}

// another sets the present account aside and leads to the sign-in page.
func (e *Endpoint) another(w http.ResponseWriter, r *http.Request, at choosing) error {
	if at.current.ID != "" {
		err := e.Accounts.SetAside(w, r)
		if errors.Is(err, iam.ErrFull) {
			return e.showAccounts(w, r, at, page.Problem{Fault: page.FaultAccounts})
		}
		if err != nil {
			return err
		}
	}
	if at.key == "" {
		return e.signIn(w, r, &iam.Flow{})
	}
	at.flow.User, at.flow.Session, at.flow.Asked = "", "", nil
	at.flow.Proofs, at.flow.Need = nil, nil
	if err := e.setFlow(r, at.flow); err != nil {
		return err
	}
	session.SeeOther(w, "/signin?other=1&flow="+url.QueryEscape(at.key))
	return nil
}

// outAll signs this browser out of every account.
func (e *Endpoint) outAll(w http.ResponseWriter, r *http.Request) error {
	err := e.Accounts.OutAll(w, r, func(one iam.Session) journal.Event {
		return e.event(r, presence{iam.User{ID: one.User}, one}, journal.SignedOut{})
	})
	if err != nil {
		return err
	}
	session.SeeOther(w, "/logout/done")
	return nil
}
