package account

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/page"
	"github.com/gardeauth/garde/internal/session"
	"github.com/gardeauth/garde/internal/web"
)

// Enrol is /signin/enrol: an application's transaction waits for the person to have one more factor, because what it asks
// for needs one (Flow.Need), or because the recipe wants everybody like them to have one. The latter may be put off until
// its day.
func (e *Endpoint) Enrol(w http.ResponseWriter, r *http.Request) error {
	return either(w, r, e.showEnrol, e.laterEnrol)
}

// due is what must be added within a transaction.
type due struct {
	adding
	sets  []string
	until time.Time // zero: now
}

func (e *Endpoint) due(r *http.Request, key string) (due, error) {
	here, err := e.who(r)
	if err != nil {
		return due{}, err
	}
	at, err := e.resume(r, here, key, "")
	if err != nil {
		return due{}, err
	}
	if need := at.flow.Need; need != nil && need.Enrol {
		return due{adding: at, sets: need.Sets}, nil
	}
	sets, until, err := e.Factors.Due(r.Context(), here.user)
	return due{at, sets, until}, err
}

func (e *Endpoint) showEnrol(w http.ResponseWriter, r *http.Request) error {
	query, err := web.Query(r)
	if err != nil {
		return err
	}
	key := query.Value("flow")
	wanted, err := e.due(r, key)
	if errors.Is(err, iam.ErrNotFound) && wanted.user.ID == "" {
		if _, lives := e.Sessions.Resume(r, e.Keeping, key); lives != nil {
			return lives
		}
		session.SeeOther(w, "/signin?flow="+url.QueryEscape(key))
		return nil
	}
	if err != nil {
		return err
	}
	if len(wanted.sets) == 0 { // added meanwhile
		session.SeeOther(w, session.Return(wanted.flow, key))
		return nil
	}
	view := page.AddFactor{
		Common: e.common(w, r, wanted.presence), Action: "/signin/enrol", Flow: key, Username: wanted.user.Username, Until: wanted.until,
	}
	if view.Ways, err = e.ways(r, wanted); err != nil {
		return err
	}
	if len(view.Ways) == 0 {
		return oauth.UnmetAuthentication("nothing that you could add here would be enough: ask the company for help")
	}
	wishes := session.WishesOf(wanted.flow)
	view.FormTarget = wishes.RedirectURI
	view.Locales = append(view.Locales, wishes.Locales...)
	view.CSRF = e.Sessions.Browser(w, r).FormToken(wanted.purpose())
	if wanted.flow.Client != "" {
		view.Client.Name = e.nameOf(r.Context(), wanted.flow.Client, session.Languages(r, view.Locales))
	}
	return e.Pages().Render(w, r, http.StatusOK, view)
}

// ways are the factors of the wanted sets that can be added, and that the person does not have.
func (e *Endpoint) ways(r *http.Request, wanted due) ([]page.Way, error) {
	kept, err := e.Factors.Kept.Authenticators(r.Context(), wanted.user.ID)
	if err != nil {
		return nil, err
	}
	offered := e.Factors.Offered()
	var list []page.Way
	for _, kind := range kinds {
		asked := slices.ContainsFunc(wanted.sets, func(set string) bool { return slices.Contains(strings.Split(set, "+"), kind) })
		has := slices.ContainsFunc(kept, func(one iam.Authenticator) bool { return string(one.Kind) == kind })
		if asked && !has && slices.Contains(offered, kind) {
			list = append(list, page.Way{Kind: kind, At: security + "/" + kind + "?flow=" + url.QueryEscape(wanted.key)})
		}
	}
	return list, nil
}

// laterEnrol takes a no for today, where that is allowed.
func (e *Endpoint) laterEnrol(w http.ResponseWriter, r *http.Request) error {
	form, err := web.PostForm(r)
	if err != nil {
		return err
	}
	wanted, err := e.due(r, form.Value("flow"))
	if errors.Is(err, iam.ErrNotFound) && wanted.user.ID == "" {
		return gone(err)
	}
	if err != nil {
		return err
	}
	if err := e.Sessions.Own(r, wanted.purpose(), form.Value("csrf")); err != nil {
		return err
	}
	if len(wanted.sets) > 0 && wanted.until.IsZero() {
		return oauth.AccessDenied("this can't be put off any more")
	}
	wanted.flow.User, wanted.flow.Session = wanted.user.ID, wanted.session.ID
	if !slices.Contains(wanted.flow.Asked, session.StepLater) {
		wanted.flow.Asked = append(slices.Clone(wanted.flow.Asked), session.StepLater)
	}
	if err := e.setFlow(r, wanted.flow); err != nil {
		return err
	}
	session.SeeOther(w, session.Return(wanted.flow, wanted.key))
	return nil
}
