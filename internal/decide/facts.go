package decide

import (
	"context"
	"slices"
	"time"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/assurance/signal"
	"github.com/gardeauth/garde/internal/iam"
)

// patience is how long the facts may take. Whoever slows them down is taken for a stranger, not waited for.
const patience = 300 * time.Millisecond

// inform adds to a question what is known of a person and of the moment. What can't be found out raises.
func (d *Desk) inform(ctx context.Context, question *assurance.Question, user iam.User, scene Scene, paid []signal.Transaction) {
	question.User = assurance.User{ID: user.ID, Groups: user.Groups, Created: user.Created}
	if len(paid) == 0 {
		paid = append(paid, signal.Transaction{})
	}
	question.Online = true
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, scene.Transaction = range paid {
		moment, err := d.moment(ctx, scene)
		if err != nil {
			if d.Log != nil {
				d.Log.WarnContext(ctx, "the facts about a moment can't be found out: it is taken for the worst", "error", err)
			}
			moment = worst()
		}
		question.Risk, question.Place = worse(question.Risk, moment.Risk), moment.Place
	}
}

// answer asks the policy. What a person could prove is looked up only where it can make a difference: when they are to
// prove something, or a wish is granted to those who can fulfil it.
func (d *Desk) answer(ctx context.Context, question *assurance.Question, user iam.User) (assurance.Decision, error) {
	decision := d.Policy().Decide(question)
	if d.Factors == nil || user.ID == "" || decision.Verdict == assurance.Permit && len(question.Wish.ACR) == 0 {
		return decision, nil
	}
	var err error
	if question.User.Factors, err = d.Factors(ctx, user); err != nil {
		return assurance.Decision{}, err
	}
	return d.Policy().Decide(question), nil
}

func (d *Desk) moment(ctx context.Context, scene Scene) (Moment, error) {
	if d.Facts == nil {
		return worst(), nil
	}
	type answer struct {
		moment Moment
		err    error
	}
	answered := make(chan answer, 1)
	go func() {
		moment, err := d.Facts.Moment(ctx, scene)
		answered <- answer{moment, err}
	}()
	select {
	case got := <-answered:
		return got.moment, got.err
	case <-ctx.Done():
		return Moment{}, ctx.Err()
	}
}

// unreachable is the finding of a moment of which nothing could be found out.
const unreachable = "unreachable"

// worst is a moment of which nothing is known: every signal speaks.
func worst() Moment {
	const say = "what is known of the person could not be read"
	result := signal.Result{Score: signal.MaxScore, Findings: []signal.Finding{{Name: unreachable, Points: signal.MaxScore, Say: say}}}
	return Moment{Risk: result}
}

// worse joins what was found about several transactions of one request: each finding once, with the most points.
func worse(one, other signal.Result) signal.Result {
	silent := slices.Concat(one.Silent, other.Silent)
	slices.Sort(silent)
	silent = slices.Compact(silent)
	if len(one.Findings) == 0 {
		return signal.Result{Score: max(one.Score, other.Score), Findings: other.Findings, Silent: silent}
	}
	joined := append([]signal.Finding(nil), one.Findings...)
	for _, finding := range other.Findings {
		known := false
		for i := range joined {
			if joined[i].Name == finding.Name {
				known = true
				if finding.Points > joined[i].Points {
					joined[i] = finding
				}
			}
		}
		if !known {
			joined = append(joined, finding)
		}
	}
	score := 0
	for _, finding := range joined {
		score += finding.Points
	}
	return signal.Result{Score: min(max(score, one.Score, other.Score), signal.MaxScore), Findings: joined, Silent: silent}
}
