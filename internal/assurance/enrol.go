package assurance

import (
	"slices"
	"time"

	"github.com/gardeauth/garde/internal/iam"
)

// Due is a duty to add factors.
type Due struct {
	Level string    // that the person must be able to reach, the recipe's word
	ACR   string    // of it
	Now   bool      // it can't be put off any more
	Until time.Time // from when on it can't; zero: at once
	Sets  []string  // each of which would do, the fewest to add first
}

// EnrolDue tells which duty to add factors a person has, by their groups and the factors that they could prove: the highest
// level first among those that can't be put off. None is due to whom nothing that the recipe offers would help.
func (p *Policy) EnrolDue(groups, factors []string, now time.Time) (Due, bool) {
	if p == nil || p.Recipe == nil {
		return Due{}, false
	}
	var due Due
	best, found := none, false
	for _, duty := range p.Recipe.SignIn.Enrol {
		meant := len(duty.Groups) == 0 || slices.ContainsFunc(duty.Groups, func(group string) bool { return slices.Contains(groups, group) })
		rung := p.rungNamed(duty.Level)
		if !meant || rung < 0 || rung >= len(p.Ladder) {
			continue
		}
		j := judging{Policy: p, question: &Question{User: User{Factors: factors}, Online: true, Now: now}}
		if able, _ := j.provable(rung, j.age(floor{})); len(able) > 0 {
			continue
		}
		sets, end := j.addable(rung), duty.End()
		must := !now.Before(end)
		if len(sets) > 0 && (!found || must && !due.Now || must == due.Now && rung > best) {
			due, best, found = Due{p.Ladder[rung].Name, p.Ladder[rung].ACR, must, end, sets}, rung, true
		}
	}
	return due, found
}

// WayIn tells whether somebody who has no more left than that could still sign in, by what the recipe offers today: it is the one
// rule about the last factor, for people and for administrators. A forgotten password comes back by mail, where it may.
func (p *Policy) WayIn(left iam.Left) bool {
	if p == nil || p.Recipe == nil {
		return false
	}
	said := p.Recipe.SignIn
	held := map[string]bool{"email": left.Mail, "password": left.Password || left.Mail && (said.Reset == nil || *said.Reset)}
	for _, kind := range left.Kinds {
		held[string(kind)] = true
	}
	for _, rung := range p.sets {
		for _, one := range rung {
			if !slices.ContainsFunc(one.factors, func(factor string) bool { return !held[factor] || !slices.Contains(p.offered, factor) }) {
				return true
			}
		}
	}
	return false
}
