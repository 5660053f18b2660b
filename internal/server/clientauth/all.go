package clientauth

import (
	"crypto/x509"
	"net/http"
	"time"

	"github.com/gardeauth/garde/internal/once"
)

// Needs is what the methods read.
type Needs struct {
	Issuer  string // the only audience of an assertion
	Secrets Secrets
	Keys    *Keys
	Once    once.Checker
	Now     func() time.Time // nil: time.Now

	// Endpoints are the addresses that an assertion may name by the exception assertion_audience: of token, pushed requests
	// and backchannel authentication, on every listener.
	Endpoints []string
	// Values is for client_secret_jwt; without it that is no member of the family.
	Values *Values
	// Certificates gives the chain of the connection, the sender's own first, or nothing; an error is a proxy that can't be
	// understood. Without it the methods of mutual TLS are no members of the family.
	Certificates func(r *http.Request) ([]*x509.Certificate, error)
	// Authorities are believed about the names of clients; there are none of the system (D20). Without any, tls_client_auth
	// is no member of the family.
	Authorities []*x509.Certificate
}

// All is the family.
func All(needs Needs) []Method {
	if needs.Now == nil {
		needs.Now = time.Now
	}
	asserted := assertions{needs.Issuer, needs.Endpoints, needs.Once, needs.Now}
	family := []Method{
		secretBasic{needs.Secrets, needs.Now},
		secretPost{needs.Secrets, needs.Now},
		privateKeyJWT{asserted, needs.Keys},
		none{},
	}
	if needs.Values != nil {
		family = append(family, secretJWT{asserted, *needs.Values})
	}
	if needs.Certificates != nil {
		shown := certificates{needs.Certificates}
		family = append(family, selfSigned{shown, needs.Keys, needs.Now})
		if len(needs.Authorities) > 0 {
			family = append(family, tlsClient{shown, newAuthorities(needs.Authorities), needs.Now})
		}
	}
	return family
}
