package clientauth

import (
	"context"
	"errors"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/oauth"
)

// selfSigned shows a certificate whose key is one of the client's own keys (RFC 8705 section 2.2). Nobody vouches for it:
// what counts is the key, which the handshake has proved, so that a renewed certificate of the same key is as good.
type selfSigned struct {
	certificates
	keys *Keys
	now  func() time.Time
}

func (selfSigned) Name() oauth.AuthMethod { return oauth.AuthSelfSigned }

func (m selfSigned) Verify(ctx context.Context, client iam.Client, shown Shown) error {
	if len(shown.Chain) == 0 {
		return errors.New("the connection shows no certificate")
	}
	leaf, now := shown.Chain[0], m.now()
	if now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
		return errors.New("the certificate is not valid now")
	}
	return m.keys.Holds(ctx, client, leaf.PublicKey)
}
