package decide

import (
	"context"

	"github.com/gardeauth/garde/internal/assurance"
)

// DoorAccount is where people change what guards their account.
const DoorAccount = assurance.DoorAccount

// Account decides whether somebody may change what guards their account. Of the ask it reads who, and from where; nothing is
// learned from what it permits. What a rule had a part in is in the journal, as Authorization has it. An error is a fault of
// ours, or iam.ErrRevoked, and nothing may be changed then.
func (d *Desk) Account(ctx context.Context, ask Ask) (assurance.Decision, error) {
	ask = Ask{Door: DoorAccount, Session: ask.Session, Address: ask.Address, Agent: ask.Agent, Wish: assurance.Wish{MaxAge: -1}}
	question, err := d.question(ask)
	if err != nil {
		return assurance.Decision{}, err
	}
	user, err := d.standing(ctx, ask.Session.User)
	if err != nil {
		return assurance.Decision{}, err
	}
	d.inform(ctx, question, user, d.scene(ask, user, question.Now), nil)
	if d.Factors != nil {
		if question.User.Factors, err = d.Factors(ctx, user); err != nil {
			return assurance.Decision{}, err
		}
	}
	decision := d.Policy().Decide(question)
	if len(decision.Rules) == 0 {
		return decision, nil
	}
	return d.recorded(ctx, record{question: question, decision: decision, session: ask.Session.ID, address: ask.Address, reached: reached(ask), revision: d.revision()})
}
