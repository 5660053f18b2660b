package doctor

import (
	"strings"
	"time"

	"github.com/gardeauth/garde/recipe"
)

// ExceptionsSoon is how long before its end an exception deserves a look.
const ExceptionsSoon = 30 * 24 * time.Hour

// Exceptions names the exceptions of a recipe that end soon, and those that have ended: what they allowed is refused from
// the moment after their last day, whether or not anybody has moved.
func (f *Findings) Exceptions(r *recipe.Recipe, now time.Time) {
	for _, ending := range r.EndingExceptions(now, ExceptionsSoon) {
		whose := "the client " + ending.Client
		if ending.Policy != "" {
			whose = "clients under the registration policy " + ending.Policy
		}
		what := "the exception " + ending.Name + " (" + strings.Join(ending.Allow, ", ") + ") of " + whose
		todo := "move it to what everyone does, or renew the exception with a new reason; why it is there: " + ending.Why
		if ending.Ended {
			f.Bad(what+" has ended with "+ending.Until, "what it allowed is refused", todo)
		} else {
			f.Look(what+" ends with "+ending.Until, "what it allows is refused from then on", todo)
		}
	}
}
