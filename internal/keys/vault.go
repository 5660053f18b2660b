package keys

import (
	"crypto"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/seal"
)

// Vault is where private keys live. Without one, the ring seals them into their rows. One that stands for a KMS or an HSM
// keeps the key itself and gives a reference; all that ever leaves it is a crypto.Signer.
type Vault interface {
	// Make makes the private key of kid. kept is what Open needs to find it again; it is stored in clear, so it must not be
	// secret unless it is sealed.
	Make(kid string, alg jose.Alg) (key crypto.Signer, kept string, err error)
	// Open finds the private key again.
	Open(kid string, alg jose.Alg, kept string) (crypto.Signer, error)
}

// vault is where this ring's keys live.
func (r *Ring) vault() Vault {
	if r.Vault != nil {
		return r.Vault
	}
	return rows{r.Sealer, r.Tenant}
}

// rows seals private keys into their own rows: bound to tenant, table and kid, so that none opens in another's place.
type rows struct {
	sealer seal.Sealer
	tenant iam.Tenant
}

func (v rows) place(kid string) seal.AD {
	return seal.AD{Tenant: string(v.tenant), Table: "keys", Row: kid}
}

func (v rows) Make(kid string, alg jose.Alg) (crypto.Signer, string, error) {
	private, err := jose.GenerateKey(alg)
	if err != nil {
		return nil, "", err
	}
	der, err := jose.MarshalPrivate(private)
	if err != nil {
		return nil, "", err
	}
	kept, err := v.sealer.Seal(v.place(kid), der)
	return private, kept, err
}

func (v rows) Open(kid string, _ jose.Alg, kept string) (crypto.Signer, error) {
	der, err := v.sealer.Open(v.place(kid), kept)
	if err != nil {
		return nil, err
	}
	return jose.ParsePrivate(der)
}
