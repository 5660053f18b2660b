package authorize

import (
	"errors"
	"net/http"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/session"
)

// guess answers with a code when what this node remembers of session and consent lets it. Nothing else is answered so: the
// deed that keeps the code asks the storage for both again, and whatever it, or the memory, refuses is left to dispatch.
func (e *Endpoint) guess(w http.ResponseWriter, r *http.Request, at position) (done bool, err error) {
	// Tokens are made of what the storage says, and it alone knows who must add a factor.
	if e.Recalled == nil || at.request.Type.Front() || e.mayOwe() {
		return false, nil
	}
	if at.session, at.signed = e.Sessions.Guess(r); !at.signed {
		return false, nil
	}
	if e.needsSignIn(at) || needsChoice(at) || session.Did(at.flow, at.session, session.StepDenied) {
		return false, nil
	}
	claim, sure := e.Assurance.Guess(r.Context(), e.asks(r, at))
	if !sure {
		return false, nil
	}
	at.acr, at.amr, at.authTime = claim.ACR, claim.AMR, claim.AuthTime
	switch consentDue(at) {
	case asRecorded:
		given, ok := e.Recalled.Allowed(at.session.User, at.request.Client.ID, at.request.Allowance())
		if !ok {
			return false, nil
		}
		at.given = &given
	case always:
		return false, nil
	case never:
	}
	err = e.give(w, r, at)
	if errors.Is(err, iam.ErrRevoked) {
		e.Sessions.Forget(at.session)
		return false, nil
	}
	return true, err
}
