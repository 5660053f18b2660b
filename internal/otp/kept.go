package otp

import (
	"fmt"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/seal"
)

func place(tenant iam.Tenant, id string) seal.AD {
	return seal.AD{Tenant: string(tenant), Table: "authenticators", Row: id}
}

// Seal hides the secret of an application in the row of its authenticator: it opens nowhere else.
func Seal(sealer seal.Sealer, tenant iam.Tenant, id, secret string) (string, error) {
	return sealer.Seal(place(tenant, id), []byte(secret))
}

// Open gives the secret of an application as storage keeps it.
func Open(sealer seal.Sealer, tenant iam.Tenant, kept iam.Authenticator) (string, error) {
	if kept.Kind != iam.FactorTOTP {
		return "", fmt.Errorf("the authenticator %s is no application for one-time passwords", kept.ID)
	}
	secret, err := sealer.Open(place(tenant, kept.ID), kept.Sealed)
	if err != nil {
		return "", fmt.Errorf("open the secret of an application: %w", err)
	}
	return string(secret), nil
}
