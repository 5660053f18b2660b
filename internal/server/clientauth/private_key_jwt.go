package clientauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/web"
)

// privateKeyJWT shows an assertion that is signed with the client's own key.
type privateKeyJWT struct {
	assertions
	keys *Keys
}

// The algorithms that a client may sign with. RS256 is not among them (FAPI 2.0 section 5.4), unless the client is
// registered with it as its only one, or registered itself with a key that is marked for it: such a client asks for it,
// since the key verifies nothing else, and OpenID Connect Dynamic Client Registration section 2 asks for no other word.
var assertionAlgs = map[jose.Alg]bool{
	jose.ES256: true, jose.ES384: true, jose.ES512: true, jose.EdDSA: true, jose.Ed25519: true,
	jose.PS256: true, jose.PS384: true, jose.PS512: true,
}

func (privateKeyJWT) Name() oauth.AuthMethod { return oauth.AuthPrivateKey }

func (privateKeyJWT) Read(_ *http.Request, form web.Form) (Shown, bool, error) {
	return readAssertion(form)
}

func (m privateKeyJWT) Verify(ctx context.Context, client iam.Client, shown Shown) error {
	unverified, err := jose.Parse(shown.Proof)
	if err != nil {
		return err
	}
	header := unverified.Header
	if !maySign(client, header.Alg) {
		return fmt.Errorf("this client's assertion may not be signed with %q", header.Alg)
	}
	key, err := m.keys.For(ctx, client, header)
	if err != nil {
		return err
	}
	if header.Alg == jose.RS256 && client.AuthAlg == "" && key.Alg != jose.RS256 {
		return errors.New("neither the client nor its key is registered with RS256")
	}
	payload, err := key.Verify(unverified)
	if err != nil {
		return err
	}
	return m.believe(ctx, client, header.Typ, payload)
}

// maySign tells whether the client's assertions may have the algorithm: the one that it is registered with, or any good
// one; and in either case none that its profile forbids. By RS256 unasked, the key has to be marked for it as well.
func maySign(client iam.Client, alg jose.Alg) bool {
	if algs := client.Demands().Algs; len(algs) > 0 && !slices.Contains(algs, string(alg)) {
		return false
	}
	if client.AuthAlg != "" {
		return client.AuthAlg == string(alg) && alg.Valid()
	}
	return assertionAlgs[alg] || alg == jose.RS256 && client.Policy != ""
}

// Algs lists the algorithms that a client's assertion may be signed by, for discovery: RS256 too, since a client may be
// registered with it.
func Algs() []jose.Alg { return jose.Algs() }
