package login

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/server/login/factor"
	"github.com/gardeauth/garde/internal/session"
)

// person is who a step is about, as far as anybody is known: who has proved something within this transaction, or who is
// signed in and was sent to prove more.
type person struct {
	user   iam.User     // zero: nobody is known yet
	here   iam.Session  // of this browser, if it is the same person's
	proofs []iam.Proved // of the session and of the transaction
}

func (p person) known() bool { return p.user.ID != "" }

// personOf finds who a step is about. What was proved within the transaction is of its user alone.
func (e *Endpoint) personOf(r *http.Request, at step) (person, error) {
	current, err := e.Sessions.Current(r)
	if err := notFoundIsFine(err); err != nil {
		return person{}, err
	}
	id := ""
	switch {
	case len(at.flow.Proofs) > 0:
		id = at.flow.User
	case at.flow.Need != nil:
		id = current.User
	}
	if id == "" {
		return person{}, nil
	}
	user, err := e.People.User(r.Context(), id)
	if errors.Is(err, iam.ErrNotFound) || err == nil && user.Disabled {
		return person{}, nil
	}
	if err != nil {
		return person{}, err
	}
	return joined(at, user, current), nil
}

// joined puts together what counts for a person: what was proved here, and what their session knows, if it is theirs.
func joined(at step, user iam.User, current iam.Session) person {
	who := person{user: user}
	if at.flow.User == user.ID {
		who.proofs = at.flow.Proofs
	}
	if current.User == user.ID {
		who.here, who.proofs = current, session.Merge(current.Proofs, who.proofs...)
	}
	return who
}

// lacking gives, of each set of factors that would be enough, what is still to be proved. Without a need it is about a new
// sign-in: what was proved within the transaction counts, and nothing from before.
func (e *Endpoint) lacking(at step, who person) [][]string {
	need, proofs, sets := at.flow.Need, who.proofs, []string(nil)
	if need == nil || len(need.Sets) == 0 {
		need, proofs, sets = &iam.Need{}, at.flow.Proofs, e.Sets()
		if at.flow.User != who.user.ID {
			proofs = nil
		}
	} else {
		sets = need.Sets
	}
	asked := *need
	asked.Sets = sets
	return e.Missing(asked, proofs, e.now())
}

// complete tells whether nothing is missing of one of the sets.
func complete(lacking [][]string) bool {
	return slices.ContainsFunc(lacking, func(set []string) bool { return len(set) == 0 })
}

// choices are the factors that lead on, the shortest way first: those of a set of which the person could prove all that is
// missing.
func (e *Endpoint) choices(r *http.Request, at step, who person) ([]string, error) {
	held, err := e.Holds.HeldBy(r.Context(), who.user, true, who.here.ID)
	if err != nil {
		return nil, err
	}
	able := e.offered(factor.Able(e.Factors, held))
	if need := at.flow.Need; need != nil && need.Vouch && held.Mailed() {
		able = append(able, "email")
	}
	ways := slices.DeleteFunc(e.lacking(at, who), func(set []string) bool {
		return len(set) == 0 || slices.ContainsFunc(set, func(name string) bool { return !slices.Contains(able, name) })
	})
	slices.SortStableFunc(ways, func(one, other []string) int { return len(one) - len(other) })
	var names []string
	for _, way := range ways {
		for _, name := range way {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names, nil
}

// offered keeps of some factors those that the recipe lets people use.
func (e *Endpoint) offered(names []string) []string {
	allowed := e.Offers().Factors
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !slices.Contains(allowed, name) })
}

// leads tells whether a sign-in may begin with a factor: it is offered, may be the first, and is part of some set.
func (e *Endpoint) leads(name string) (factor.Factor, bool) {
	one, ok := factor.Named(e.Factors, name)
	if !ok || !one.Is().First || !slices.Contains(e.Offers().Factors, name) {
		return nil, false
	}
	for _, set := range e.Sets() {
		if slices.Contains(strings.Split(set, "+"), name) {
			return one, true
		}
	}
	return nil, false
}
