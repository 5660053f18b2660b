package app

import (
	"context"
	"fmt"

	"github.com/gardeauth/garde/internal/decide"
	"github.com/gardeauth/garde/internal/enact"
	"github.com/gardeauth/garde/internal/facts"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/recipe"
)

// moments is what this node knows of the risk of a moment.
type moments struct {
	desk   *facts.Desk
	failed *facts.Failures
	listed swapped[facts.Networks] // networks with a bad name
}

// openMoments sets up the desk of facts. Databases of places are opened when they are first asked.
func (s *Server) openMoments() {
	s.moments.failed = facts.NewFailures(s.Lab.Now)
	s.moments.desk = &facts.Desk{
		Habits: s.House, Devices: s.House, Authenticators: s.House, Sealer: s.Seal, Tenant: iam.DefaultTenant,
		Risk: s.risk, Bad: s.moments.listed.value, Failures: s.moments.failed, Log: s.Log, Now: s.Lab.Now,
	}
	if at := s.Node.GeoIP; at.City != "" || at.ASN != "" {
		s.moments.desk.Places = &facts.Places{City: at.City, AS: at.ASN, Log: s.Log, Now: s.Lab.Now}
	}
}

// risk is how the recipe in force counts signals.
func (s *Server) risk() recipe.Risk {
	if said := s.Policy().Recipe; said != nil {
		return said.Risk
	}
	return recipe.Risk{}
}

// networksPart compiles the list of networks with a bad name.
func (s *Server) networksPart(next *enact.Force) (func(), error) {
	networks := facts.Networks{}
	if name := next.Bundle.Recipe.Risk.Addresses; name != "" {
		list, err := recipe.Networks(next.Bundle.Files[name])
		if err != nil {
			return nil, fmt.Errorf("risk.addresses: %w", err)
		}
		networks = facts.NewNetworks(list)
	}
	return func() { s.moments.listed.set(&networks) }, nil
}

// scenes lets decisions ask the desk of facts.
type scenes struct{ desk *facts.Desk }

func (f scenes) Moment(ctx context.Context, scene decide.Scene) (decide.Moment, error) {
	found, err := f.desk.Moment(ctx, askOf(scene))
	return decide.Moment{Risk: found.Risk, Place: found.Place}, err
}

func (f scenes) Learn(_ context.Context, scene decide.Scene) { f.desk.Learn(askOf(scene)) }

func askOf(scene decide.Scene) facts.Ask {
	return facts.Ask{
		User: scene.User.ID, Created: scene.User.Created, Proofs: scene.Proofs, Device: scene.Device, Agent: scene.Agent,
		Address: scene.Address, Client: scene.Client, Transaction: scene.Transaction, Paid: scene.Paid, At: scene.Now,
	}
}

// counting is the journal of failed sign-ins, which are counted for the risk of the next moments too.
type counting struct {
	iam.Journal
	failed *facts.Failures
}

func (c counting) Record(ctx context.Context, events ...journal.Event) error {
	for _, event := range events {
		if event.Kind == (journal.SignInFailed{}).Kind() {
			c.failed.Failed(event.User, event.Personal["address"])
		}
	}
	return c.Journal.Record(ctx, events...)
}
