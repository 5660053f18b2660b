package login

import (
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/page"
	"github.com/gardeauth/garde/internal/server/login/factor"
	"github.com/gardeauth/garde/internal/session"
	"github.com/gardeauth/garde/internal/web"
)

const purposeNext = "next"

// Next is /signin/next: what is asked of who has proved something already, a factor a page. GET shows, POST begins what
// has to begin (deed=ask), or proves. Nothing is proved by a GET but what another device has decided.
func (e *Endpoint) Next(w http.ResponseWriter, r *http.Request) error {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		return e.askNext(w, r)
	case http.MethodPost:
		return e.proveNext(w, r)
	}
	return web.MethodNotAllowed(http.MethodGet, http.MethodHead, http.MethodPost)
}

// turn is one page of one factor.
type turn struct {
	step
	who    person
	factor factor.Factor
	others []string // that would do as well
	code   string   // that came with the link of a mail
}

func (e *Endpoint) askNext(w http.ResponseWriter, r *http.Request) error {
	query, err := web.Query(r)
	if err != nil {
		return err
	}
	at, err := e.stepOf(r, query.Value("flow"))
	if err != nil && query.Value("by") == "email" && query.Has("code") {
		return e.showElsewhere(w, r, query.Value("code"), err)
	}
	if err != nil {
		return err
	}
	t, gone, err := e.turnOf(w, r, at, query.Value("by"))
	if gone || err != nil {
		return err
	}
	t.code = query.Value("code")
	if t.factor.Is().Name == "approval" {
		return e.poll(w, r, t)
	}
	return e.showNext(w, r, t, "")
}

// turnOf finds whose turn it is and at what. Who is not known goes to the first page, but for a code that was mailed to
// whoever it may be; what is not asked of them leads to what is; true: they were sent away.
func (e *Endpoint) turnOf(w http.ResponseWriter, r *http.Request, at step, by string) (turn, bool, error) {
	who, err := e.personOf(r, at)
	if err != nil {
		return turn{}, false, err
	}
	t, key := turn{step: at, who: who}, url.QueryEscape(at.key)
	if !who.known() {
		one, ok := e.leads("email")
		if by == "email" && ok && factor.Waits(stateOf(at.flow, "email"), e.now()) {
			t.factor = one
			return t, false, nil
		}
		session.SeeOther(w, "/signin?flow="+key)
		return turn{}, true, nil
	}
	if complete(e.lacking(at, who)) {
		return turn{}, true, e.goOn(w, r, at, who)
	}
	if t.others, err = e.choices(r, at, who); err != nil {
		return turn{}, false, err
	}
	if len(t.others) == 0 {
		return turn{}, true, e.stuck(w, r, at, who)
	}
	if by == "" {
		by = t.others[0]
	}
	if !slices.Contains(t.others, by) {
		session.SeeOther(w, "/signin/next?flow="+key)
		return turn{}, true, nil
	}
	t.factor, _ = factor.Named(e.Factors, by)
	return t, false, nil
}

// goOn leaves for what waits: nothing is missing. What was proved within the transaction without a try here, by adding the
// factor, is taken into the session first: the dispatcher believes nothing else, and would send them back for ever.
func (e *Endpoint) goOn(w http.ResponseWriter, r *http.Request, at step, who person) error {
	if len(at.flow.Proofs) == 0 || r.Method == http.MethodHead {
		session.SeeOther(w, session.Return(at.flow, at.key))
		return nil
	}
	if err := e.admitted(who.user); err != nil {
		return err
	}
	return e.enter(w, r, at, who, try{step: at, again: func(page.Fault) error {
		session.SeeOther(w, "/signin?other=1&flow="+url.QueryEscape(at.key))
		return nil
	}})
}

// stuck tells who can go no further why, and how to reach a person.
func (e *Endpoint) stuck(w http.ResponseWriter, r *http.Request, at step, who person) error {
	view := page.Prove{
		Common: e.common(w, r, at, purposeNext+" "+at.key, nil), Kind: page.ProveNone, Client: at.client, Username: who.user.Username,
		Switch: "/signin?other=1&flow=" + url.QueryEscape(at.key),
	}
	if e.Help != nil {
		view.Help = e.Help()
	}
	return e.Pages().Render(w, r, http.StatusForbidden, view)
}

// showNext shows a factor's page. What it waits for is begun anew where that is free, and kept where somebody would be
// bothered again.
func (e *Endpoint) showNext(w http.ResponseWriter, r *http.Request, t turn, fault page.Fault) error {
	var problems []page.Problem
	if fault != "" {
		problems = []page.Problem{{Fault: fault}}
	}
	name, flow := t.factor.Is().Name, url.QueryEscape(t.key)
	view := page.Prove{
		Common: e.common(w, r, t.step, purposeNext+" "+t.key, problems), Kind: name, Action: "/signin/next", Flow: t.key,
		Client: t.client, Username: t.who.user.Username, Again: t.who.here.ID != "", Switch: "/signin?other=1&flow=" + flow,
	}
	for _, other := range t.others {
		if other != name {
			view.Others = append(view.Others, page.Way{Kind: other, At: "/signin/next?flow=" + flow + "&by=" + other})
		}
	}
	switch name {
	case "passkey", "security_key":
		asked, err := t.factor.Ask(r.Context(), e.asking(r, t))
		if err != nil {
			return err
		}
		if err := e.swap(r, &t.flow, name, asked.State); err != nil && !errors.Is(err, iam.ErrRaced) {
			return err
		}
		view.Options = asked.Options
	case "email":
		view.Waits = factor.Waits(stateOf(t.flow, name), e.now())
		if view.Code = t.code; view.Username == "" {
			view.Username = factor.MailedTo(stateOf(t.flow, name)).Name
		}
	case "approval":
		var err error
		if view.Number, err = e.Holds.Waiting(r.Context(), t.who.user.ID, t.flow.Hash, e.now()); err != nil {
			return err
		}
		view.Waits = view.Number != ""
	}
	return e.Pages().Render(w, r, status(problems), view)
}

func (e *Endpoint) asking(r *http.Request, t turn) factor.Asking {
	return factor.Asking{
		User: t.who.user, Known: t.who.known(), Name: t.who.user.Username, Count: countOf(t.who.user, ""), Flow: t.flow.Hash,
		Agent: session.Agent(r), Address: e.Network(r), Now: e.now(),
	}
}

func (e *Endpoint) proveNext(w http.ResponseWriter, r *http.Request) error {
	form, at, err := e.read(r, purposeNext)
	if err != nil {
		return err
	}
	by := form.Value("by")
	if by == "" { // what does not say what it proves proves nothing (S10)
		session.SeeOther(w, "/signin/next?flow="+url.QueryEscape(at.key))
		return nil
	}
	t, gone, err := e.turnOf(w, r, at, by)
	if gone || err != nil {
		return err
	}
	if form.Value("deed") == "ask" {
		return e.begins(w, r, t)
	}
	return e.judge(w, r, t, form)
}

// judge tries what a form, or another device, says.
func (e *Endpoint) judge(w http.ResponseWriter, r *http.Request, t turn, form web.Form) error {
	again := func(fault page.Fault) error {
		at, err := e.stepOf(r, t.key) // as it stands now
		if err != nil {
			return err
		}
		t.step = at
		return e.showNext(w, r, t, fault)
	}
	if len(t.factor.Missing(form)) > 0 {
		return again(page.FaultProof)
	}
	a := try{
		step: t.step, factor: t.factor, form: form, user: t.who.user, count: countOf(t.who.user, ""), known: t.who.known(), here: t.who.here.ID,
		again: again,
	}
	if !a.known { // a code that was mailed to whoever it may be
		to := factor.MailedTo(stateOf(t.flow, "email"))
		a.count = to.Count
		user, err := e.People.User(r.Context(), to.User)
		if notFoundIsFine(err) != nil {
			return err
		}
		if !user.Disabled {
			a.user = user
		}
	}
	return e.prove(w, r, a)
}

// begins asks for what has to be sent, or asked elsewhere.
func (e *Endpoint) begins(w http.ResponseWriter, r *http.Request, t turn) error {
	switch t.factor.Is().Name {
	case "email":
		to := asked{user: t.who.user, name: t.who.user.Username, count: countOf(t.who.user, ""), known: true}
		if !t.who.known() {
			before := factor.MailedTo(stateOf(t.flow, "email"))
			to = asked{name: before.Name, count: before.Count}
			var err error
			if to.user, err = e.People.User(r.Context(), before.User); notFoundIsFine(err) != nil {
				return err
			}
		}
		return e.send(w, r, t.step, to)
	case "approval":
		if ok, wait := e.Tries.Further.Allow(countOf(t.who.user, ""), 1); !ok {
			return e.Locked(w, r, t.wishes.Locales, wait, "")
		}
		_, err := t.factor.Ask(r.Context(), e.asking(r, t))
		if errors.Is(err, factor.ErrBusy) {
			return e.showNext(w, r, t, page.FaultBusy)
		}
		if err != nil {
			return err
		}
	}
	session.SeeOther(w, "/signin/next?flow="+url.QueryEscape(t.key)+"&by="+t.factor.Is().Name)
	return nil
}

// poll looks whether another device has decided.
func (e *Endpoint) poll(w http.ResponseWriter, r *http.Request, t turn) error {
	number, err := e.Holds.Waiting(r.Context(), t.who.user.ID, t.flow.Hash, e.now())
	if err != nil {
		return err
	}
	if number != "" || r.Method == http.MethodHead {
		return e.showNext(w, r, t, "")
	}
	a := try{step: t.step, factor: t.factor, user: t.who.user, count: countOf(t.who.user, ""), known: true, here: t.who.here.ID}
	a.again = func(fault page.Fault) error {
		if fault == page.FaultStale { // nothing was asked yet
			fault = ""
		}
		return e.showNext(w, r, t, fault)
	}
	return e.prove(w, r, a)
}
