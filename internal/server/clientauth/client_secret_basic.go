package clientauth

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/web"
)

// secretBasic shows the secret in the Authorization header, each half form-encoded (RFC 6749 section 2.3.1).
type secretBasic struct {
	secrets Secrets
	now     func() time.Time
}

func (secretBasic) Name() oauth.AuthMethod { return oauth.AuthBasic }

func (secretBasic) Read(r *http.Request, _ web.Form) (Shown, bool, error) {
	headers := r.Header.Values("Authorization")
	if len(headers) == 0 {
		return Shown{}, false, nil
	}
	scheme, value, _ := strings.Cut(headers[0], " ")
	if len(headers) > 1 || !strings.EqualFold(scheme, "Basic") {
		return Shown{}, false, oauth.InvalidRequest("one Authorization header of the scheme Basic, or none")
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(strings.TrimLeft(value, " "))
	if err != nil {
		return Shown{}, false, oauth.InvalidRequest("the Basic credentials are not base64")
	}
	id, secret, found := strings.Cut(string(raw), ":")
	if !found {
		return Shown{}, false, oauth.InvalidRequest("the Basic credentials hold no colon")
	}
	client, errID := url.QueryUnescape(id)
	proof, errSecret := url.QueryUnescape(secret)
	if errID != nil || errSecret != nil {
		return Shown{}, false, oauth.InvalidRequest("the Basic credentials are not form-encoded (RFC 6749 section 2.3.1)")
	}
	return Shown{Client: client, By: inHeader, Proof: proof}, true, nil
}

func (m secretBasic) Verify(_ context.Context, client iam.Client, shown Shown) error {
	return secretFits(client, shown.Proof, m.secrets, m.now())
}
