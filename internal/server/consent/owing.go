package consent

import (
	"context"
	"errors"
	"net/http"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/session"
)

// errOwing: the person must add a factor first, because the recipe wants everybody like them to have one.
var errOwing = errors.New("the person must add a way to sign in first")

// owing is errOwing for who must add a factor before they decide anything here. What may wait is asked of who has signed in
// within this very transaction and has not put it off there, as at /authorize. An application that decides in their name can't
// lead them anywhere: it was asked when its token was given.
func (e *Elsewhere) owing(ctx context.Context, by Presence) error {
	if e.Owes == nil || by.Said {
		return nil
	}
	now, later, err := e.Owes(ctx, by.Session.User)
	asked := session.Did(by.Flow, by.Session, session.StepSignIn) && !session.Did(by.Flow, by.Session, session.StepLater)
	if err == nil && (now || later && asked) {
		err = errOwing
	}
	return err
}

// enrol sends who must add a factor to do so, in the transaction of this browser, and back to what waits.
func (e *Elsewhere) enrol(w http.ResponseWriter, r *http.Request, at Place) error {
	flow, key := at.By.Flow, at.By.Key
	if flow.Need != nil && flow.Need.Enrol { // it was met: the page is not to ask for it again
		flow.Need = nil
	}
	var err error
	if key == "" {
		key, err = at.Sessions.Begin(w, r, at.Flows, &flow)
	} else {
		err = at.Flows.SetFlow(r.Context(), flow)
	}
	if errors.Is(err, iam.ErrNotFound) {
		return session.Expired(err)
	}
	if err == nil {
		session.SeeOther(w, session.EnrolAt(key))
	}
	return err
}
