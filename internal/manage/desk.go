package manage

import (
	"time"

	"github.com/gardeauth/garde/internal/enact"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/keys"
	"github.com/gardeauth/garde/internal/password"
	"github.com/gardeauth/garde/recipe"
)

// House is one tenant's view of everything that administrators deal with; store.Tenant keeps it.
type House interface {
	iam.UserKeeping
	iam.Passwords
	iam.Links
	iam.Groups
	iam.ClientKeeping
	iam.SelfMade
	iam.Initials
	iam.Sessions
	iam.SessionListing
	iam.Authenticators
	iam.Devices
	iam.Keys
	iam.Revisions
	iam.Nodes
	iam.Journal
}

// Needs are what the deeds stand on. All but Now are required.
type Needs struct {
	House   House
	Enactor *enact.Enactor
	Sealed  iam.Sealing
	Seal    func(id, secret string) (string, error) // of client secrets that must be kept themselves; nil: none is made
	Ring    *keys.Ring
	Hasher  *password.Hasher
	Issuer  string
	Now     func() time.Time // nil: time.Now
}

// Desk holds the deeds of all nouns.
type Desk struct {
	House    House
	Users    *Users
	Groups   *Groups
	Sessions *Sessions
	Factors  *Factors
	Clients  *Clients
	Keys     *Keys
	Recipes  *Recipes

	Registrations *Registrations
}

// New sets the desk up.
func New(needs Needs) *Desk {
	house, now := needs.House, needs.Now
	users := &Users{
		Users: house, Passwords: house, Links: house, Groups: house, Hasher: needs.Hasher, Policy: needs.Enactor.Passwords,
		Offered: offered(needs.Enactor), Factors: house, Issuer: needs.Issuer, Now: now,
	}
	return &Desk{
		House:    house,
		Users:    users,
		Groups:   &Groups{Groups: house, People: users, Now: now},
		Sessions: &Sessions{Sessions: house, People: users, Now: now},
		Factors:  &Factors{Kept: house, Devices: house, People: users, WayIn: wayIn(needs.Enactor), Now: now},
		Clients:  &Clients{Clients: house, InForce: inForce(needs.Enactor), Now: now, Seal: needs.Seal},
		Keys:     &Keys{Store: house, Sealed: needs.Sealed, Journal: house, Ring: needs.Ring, Now: now},
		Recipes:  &Recipes{Revisions: house, Enactor: needs.Enactor, Now: now},

		Registrations: &Registrations{Made: house, Initials: house, InForce: inForce(needs.Enactor), Now: now},
	}
}

// wayIn is the recipe's rule about the last factor; before the first recipe, nobody can be let in.
func wayIn(enactor *enact.Enactor) func(iam.Left) bool {
	return func(left iam.Left) bool {
		force := enactor.InForce()
		return force != nil && force.Policy.WayIn(left)
	}
}

// offered are the factors of the recipe in force, or by default while there is none.
func offered(enactor *enact.Enactor) func() []string {
	return func() []string {
		var said recipe.SignIn
		if bundle := inForce(enactor)(); bundle != nil {
			said = bundle.Recipe.SignIn
		}
		return said.Offered()
	}
}

func inForce(enactor *enact.Enactor) func() *recipe.Bundle {
	return func() *recipe.Bundle {
		if force := enactor.InForce(); force != nil {
			return force.Bundle
		}
		return nil
	}
}
