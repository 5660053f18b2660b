package assurance

import (
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/recipe"
)

// MustBind tells whether tokens of the client for an API with these rules are bound to a key, and to none if none is proved.
func (r Rules) MustBind(client iam.Client) bool {
	its := client.Demands()
	return r.Bound == recipe.BoundRequired || its.Bound || its.DPoPOnly || r.Demands.Bound || r.Demands.DPoPOnly
}
