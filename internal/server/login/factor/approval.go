package factor

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/otp"
	"github.com/gardeauth/garde/internal/web"
)

// ApprovalLife is how long the other device may take.
const ApprovalLife = 3 * time.Minute

// approval proves by another browser in which the person is signed in. It is asked only of who has proved something, so
// that nobody can make a stranger's devices ring.
type approval struct{ Needs }

func (approval) Is() Traits                { return Traits{Name: "approval"} }
func (approval) Able(held Held) bool       { return held.Elsewhere > 0 }
func (approval) Missing(web.Form) []string { return nil }

func (approval) Spend(state string, now time.Time) (string, error) { return plain{}.Spend(state, now) }

func (a approval) Ask(ctx context.Context, asking Asking) (Asked, error) {
	if !asking.Known {
		return Asked{}, ErrNotHere
	}
	asked := iam.Approval{
		ID: rand.Text(), User: asking.User.ID, Flow: asking.Flow, Number: otp.NewNumber(), Agent: asking.Agent,
		Address: asking.Address, Created: asking.Now.UTC(), Expires: asking.Now.UTC().Add(ApprovalLife),
	}
	err := a.Approvals.AskApproval(ctx, asked)
	if errors.Is(err, iam.ErrFull) {
		return Asked{}, ErrBusy
	}
	return Asked{Number: asked.Number}, err
}

// Waiting finds the number of what was asked in a flow, or "".
func (n Needs) Waiting(ctx context.Context, user string, flow iam.FlowHash, now time.Time) (string, error) {
	list, err := n.Approvals.WaitingApprovals(ctx, user, now)
	if err != nil {
		return "", err
	}
	for _, one := range list {
		if one.Flow == flow {
			return one.Number, nil
		}
	}
	return "", nil
}

// mayApprove looks at the session that approved as it is now.
func (a approval) mayApprove(ctx context.Context, taken iam.Approval) (bool, error) {
	living, err := a.Sessions.UserSessions(ctx, taken.User)
	return slices.ContainsFunc(living, func(one iam.Session) bool { return one.ID == taken.By && a.vouches(one) }), err
}

func (a approval) Prove(ctx context.Context, try Try) (Proof, error) {
	taken, err := a.Approvals.TakeApproval(ctx, try.Flow, try.Now)
	switch {
	case errors.Is(err, iam.ErrPending):
		return Proof{}, ErrPending
	case errors.Is(err, iam.ErrNotFound):
		return Proof{}, ErrStale
	case err != nil:
		return Proof{}, err
	case taken.User != try.User.ID || try.User.ID == "":
		return Proof{User: try.User.ID}, ErrWrong
	case !taken.Allowed:
		return Proof{User: try.User.ID, Why: "denied elsewhere"}, ErrDenied
	case taken.By == try.Here: // what asks does not answer (S12)
		return Proof{User: try.User.ID, Why: "approved by the session that asked"}, ErrWrong
	}
	switch able, err := a.mayApprove(ctx, taken); {
	case err != nil:
		return Proof{}, err
	case !able:
		return Proof{User: try.User.ID, Why: "approved by a session that reaches too little"}, ErrWrong
	}
	return Proof{User: taken.User, Proved: iam.Proved{
		Factor: "approval", At: whole(try.Now), Begun: taken.Created, Methods: []string{"mca"},
	}}, nil
}
