package authorize

import (
	"errors"
	"net/http"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/session"
)

// Duty is whether a person must add a factor, because the recipe wants everybody like them to have one.
type Duty uint8

// The duties.
const (
	OwedNothing Duty = iota
	OwedLater        // it may be put off, today
	OwedNow
)

// mayOwe tells whether the recipe in force makes anybody add factors.
func (e *Endpoint) mayOwe() bool {
	if e.Due == nil {
		return false
	}
	policy := e.Assurance.Policy()
	return policy != nil && policy.Recipe != nil && len(policy.Recipe.SignIn.Enrol) > 0
}

// enrol sends who must add a factor to do so, before anything is given, and tells whether it did. What may wait is asked of
// who has signed in within this transaction and has not put it off there: nobody else is bothered.
func (e *Endpoint) enrol(w http.ResponseWriter, r *http.Request, at position) (bool, error) {
	if !e.mayOwe() {
		return false, nil
	}
	duty, err := e.Due(r.Context(), at.session.User)
	switch {
	case errors.Is(err, iam.ErrRevoked):
		return true, e.answerError(w, r, at, gone(err))
	case err != nil:
		return true, err
	case duty == OwedNothing:
		return false, nil
	case duty == OwedLater && (session.Did(at.flow, at.session, session.StepLater) || !session.Did(at.flow, at.session, session.StepSignIn)):
		return false, nil
	case at.request.Prompted("none"):
		return true, e.answerError(w, r, at, oauth.InteractionRequired("the person must add a way to sign in first"))
	}
	if at.key != "" && at.flow.Need != nil && at.flow.Need.Enrol { // it was met: the page is not to ask for it again
		at.flow.Need = nil
		switch err := e.Flows.SetFlow(r.Context(), at.flow); {
		case errors.Is(err, iam.ErrNotFound):
			return true, session.Expired(err)
		case err != nil:
			return true, err
		}
	}
	return true, e.leave(w, r, at, "/signin/enrol")
}
