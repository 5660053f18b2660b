package proxy

import (
	"github.com/gardeauth/garde/internal/binding"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/verify"
	"github.com/gardeauth/garde/recipe"
)

// RememberedProofs is how many proofs a Gate holds against replay: some 15,000 a second, in a hundred megabytes at worst.
const RememberedProofs = 1 << 20

func (g *Gate) demandsNonces() bool {
	house := g.now.Load()
	return house != nil && house.nonces
}

func (g *Gate) sharesProofs() bool {
	house := g.now.Load()
	return house != nil && house.shared
}

// provenKeys finds out which keys the sender has proved: that of the certificate of the connection, and in the scheme DPoP
// that of a proof for this request and this token (RFC 9449 section 7.1). In the scheme Bearer a proof says nothing, because
// a token that needs one may not be sent so (D12).
func provenKeys(c *Call) error {
	chain, err := c.gate.config.Certificates.Of(c.In)
	if err != nil {
		return err
	}
	c.Proven = verify.Proof{}
	if len(chain) > 0 {
		c.Proven.X5T = binding.Thumbprint(chain[0])
	}
	if !c.DPoP {
		return nil
	}
	if !binding.Shows(c.In.Header) {
		return oauth.InvalidProof("the scheme DPoP needs a proof in the header DPoP")
	}
	// The address as the recipe names it, with the path of the request line: no header has a say in it (D06, W43).
	place, err := binding.PlaceOf(c.door.place + c.Path)
	if err != nil {
		return oauth.InvalidRequest("the address can't be compared with that of a proof").Because(err)
	}
	c.proof, err = c.gate.judge.Read(binding.Shown{
		Header: c.In.Header, Method: c.In.Method, Places: []binding.Place{place}, Token: c.Token,
	})
	c.Proven.JKT = c.proof.JKT
	return err
}

// boundWhereDemanded refuses a token that whoever stole it could use, at an API that takes none such.
func boundWhereDemanded(c *Call) error {
	if c.API.Bound == recipe.BoundRequired && !c.Claims.Confirmation.Bound() {
		return oauth.InvalidToken("this API takes only tokens that are bound to a key: ask for one with a DPoP proof or a certificate")
	}
	return nil
}

// neverBefore spends the proof (RFC 9449 section 11.1).
func neverBefore(c *Call) error {
	if c.proof == (binding.Proof{}) {
		return nil
	}
	return c.gate.judge.Spend(c.In.Context(), c.proof)
}
