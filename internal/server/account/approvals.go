package account

import (
	"crypto/sha256"
	"errors"
	"net/http"
	"slices"
	"strconv"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/page"
)

// The journal's words for what a person decides about a sign-in on another device.
const (
	signInAllowed = "approved a sign-in"
	signInDenied  = "refused a sign-in"
)

// ApprovalsPage is /account/approvals: sign-ins on other devices that wait for the person's word. Only the number that the
// waiting device shows allows one, and there is one try: who does not see that device guesses wrong two times of three, and
// has then refused it. Nothing is ever allowed by itself.
func (e *Endpoint) ApprovalsPage(w http.ResponseWriter, r *http.Request) error {
	return either(w, r, e.showApprovals, e.decideApproval)
}

func (e *Endpoint) showApprovals(w http.ResponseWriter, r *http.Request) error {
	query, here, err := e.visit(w, r, "approvals")
	if err != nil || here.user.ID == "" {
		return err
	}
	waiting, err := e.Approvals.WaitingApprovals(r.Context(), here.user.ID, e.now())
	if err != nil {
		return err
	}
	view := page.Approvals{Common: e.common(w, r, here), Action: approvals, Bar: e.bar(approvals), Home: home, Notice: e.noticed(r, here, query)}
	for _, one := range waiting {
		view.Waiting = append(view.Waiting, page.WaitingSignIn{
			ID: one.ID, Agent: one.Agent, Place: place(one.Address), When: one.Created, Numbers: numbers(one),
		})
	}
	return e.Pages().Render(w, r, http.StatusOK, view)
}

// numbers are what to choose from. The wrong ones are made of the question itself: would they change with each look, the
// right one would be the one that stays.
func numbers(one iam.Approval) []string {
	list := []string{one.Number}
	for at, sum := 0, sha256.Sum256([]byte("numbers "+one.ID)); len(list) < 3; at++ {
		if at == len(sum) {
			at, sum = 0, sha256.Sum256(sum[:])
		}
		if next := strconv.Itoa(10 + int(sum[at])%90); !slices.Contains(list, next) {
			list = append(list, next)
		}
	}
	slices.Sort(list)
	return list
}

func (e *Endpoint) decideApproval(w http.ResponseWriter, r *http.Request) error {
	form, here, err := e.deed(r)
	if err != nil {
		return err
	}
	id, number, denied := form.Value("id"), form.Value("number"), form.Value("decision") == "deny"
	if !denied && number == "" {
		return oauth.InvalidRequest("neither a number nor a refusal")
	}
	waiting, err := e.Approvals.WaitingApprovals(r.Context(), here.user.ID, e.now())
	if err != nil {
		return err
	}
	at := slices.IndexFunc(waiting, func(one iam.Approval) bool { return one.ID == id })
	if at < 0 {
		return e.done(w, r, here, approvals, page.NoteSignInOver)
	}
	allowed := !denied && number == waiting[at].Number
	note, what := page.NoteSignInDenied, signInDenied
	if allowed {
		note, what = page.NoteSignInAllowed, signInAllowed
	}
	if allowed && e.Approves != nil {
		if need, err := e.Approves(r, here.user, here.session); err != nil || need != nil {
			return e.prove(w, r, need, "approvals", err)
		}
	}
	if allowed {
		if sent, err := e.wary(w, r, here, "approvals"); sent || err != nil {
			return err
		}
	}
	event := e.event(r, here, journal.UserChanged{What: what})
	err = e.Approvals.DecideApproval(r.Context(), id, here.user.ID, here.session.ID, allowed, e.now(), event)
	if errors.Is(err, iam.ErrNotFound) { // of two answers one counts
		return e.done(w, r, here, approvals, page.NoteSignInOver)
	}
	if err != nil {
		return err
	}
	return e.done(w, r, here, approvals, note)
}
