package signals

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/web"
)

// The bounds of one question about a use.
const (
	maxUse   = 4 << 10
	longUse  = 24 * time.Hour // a token that lives longer is none of ours
	maxGrant = 128
)

// UsedGrants finds the grant that a detail belongs to.
type UsedGrants interface {
	Grant(ctx context.Context, id string) (iam.Grant, error)
}

// Uses is /signals/uses: the memory that all Gates share of the details of tokens that were used (RFC 9396), each of which
// serves once. All fields but Now are required.
type Uses struct {
	Tokens Bearer
	Kept   iam.Uses
	Grants UsedGrants
	Now    func() time.Time // nil: time.Now
}

type askedUse struct {
	Key   string           `json:"key"` // base64url of a SHA-256 that names grant and detail
	Grant string           `json:"grant"`
	Until jose.NumericDate `json:"until"` // end of the token that was shown
}

// Uses reserves a use, and tells whether it is the first, or releases one with which nothing was done. Only who reserved
// it as the first may release it: the Gates are trusted with that, and nobody else gets here.
func (e *Uses) Uses(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodPost {
		return web.MethodNotAllowed(http.MethodPost)
	}
	claims, err := e.Tokens.Bearer(r)
	if err != nil {
		return err
	}
	if !claims.Scope.Has(oauth.ScopeGate) {
		return web.NeedScope(oauth.InsufficientScope("only a Gate may ask about uses"), oauth.Scope{oauth.ScopeGate})
	}
	use, release, err := readUse(r)
	if err != nil {
		return err
	}
	if release {
		if err := e.Kept.ReleaseUse(r.Context(), use.Key); err != nil {
			return err
		}
		return web.JSON(w, http.StatusOK, true, struct{}{})
	}
	first, err := e.reserve(r.Context(), use)
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, true, map[string]bool{"first": first})
}

func readUse(r *http.Request) (use iam.Use, release bool, err error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return iam.Use{}, false, oauth.InvalidRequest("the body must be application/json")
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxUse+1))
	if err != nil || len(body) > maxUse {
		return iam.Use{}, false, oauth.InvalidRequest("the body is longer than %d bytes", maxUse).Because(err)
	}
	var said struct {
		Reserve *askedUse `json:"reserve"`
		Release *askedUse `json:"release"`
	}
	if err := jose.DecodeJSON(body, &said); err != nil || (said.Reserve == nil) == (said.Release == nil) {
		return iam.Use{}, false, oauth.InvalidRequest(`the body must be {"reserve": {...}} or {"release": {...}}`).Because(err)
	}
	asked := said.Reserve
	if release = asked == nil; release {
		asked = said.Release
	}
	key, err := base64.RawURLEncoding.Strict().DecodeString(asked.Key)
	if err != nil || len(key) != digestSize || len(asked.Key) != 43 || len(asked.Grant) > maxGrant {
		return iam.Use{}, false, oauth.InvalidRequest("key is no base64url of a SHA-256, or grant is too long")
	}
	return iam.Use{Key: iam.Digest(key), Grant: asked.Grant, Expires: time.Unix(int64(asked.Until), 0).UTC()}, release, nil
}

// reserve remembers the use for as long as any token of its grant may carry the detail, not only the one that was shown.
func (e *Uses) reserve(ctx context.Context, use iam.Use) (bool, error) {
	now := time.Now()
	if e.Now != nil {
		now = e.Now()
	}
	if !use.Expires.After(now) || use.Expires.Sub(now) > longUse {
		return false, nil // a token that is dead already, or a clock that is wrong: not the first
	}
	if use.Grant != "" {
		grant, err := e.Grants.Grant(ctx, use.Grant)
		switch {
		case errors.Is(err, iam.ErrNotFound): // it has ended: no new token comes of it
		case err != nil:
			return false, err
		case grant.Expires.After(use.Expires):
			use.Expires = grant.Expires
		}
	}
	return e.Kept.ReserveUse(ctx, use)
}
