package signals

import (
	"context"
	"encoding/base64"
	"io"
	"mime"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/once"
	"github.com/gardeauth/garde/internal/web"
)

// The bounds of one question about proofs.
const (
	MaxProofs  = 256
	maxTold    = 64 << 10
	longest    = 15 * time.Minute // a proof that must be remembered for longer is none that a Gate accepts
	digestSize = 32
)

// Told is what a Gate says of one proof: what tells it from all others, as the base64url of a SHA-256, and the moment from
// which it is refused by its own age.
type Told struct {
	ID    string           `json:"id"`
	Until jose.NumericDate `json:"until"`
}

// Proofs is /signals/proofs: the memory that all Gates share of the DPoP proofs that were shown to them (RFC 9449 section
// 11.1), where the recipe asks for one. All fields but Now are required.
type Proofs struct {
	Tokens Bearer
	Once   iam.Once
	Now    func() time.Time // nil: time.Now
}

// Proofs answers, for each proof of a list, whether no Gate has shown it before, and remembers it. When one can't be known
// the whole list is refused: the Gate must not take silence for an answer.
func (e *Proofs) Proofs(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodPost {
		return web.MethodNotAllowed(http.MethodPost)
	}
	claims, err := e.Tokens.Bearer(r)
	if err != nil {
		return err
	}
	if !claims.Scope.Has(oauth.ScopeGate) {
		return web.NeedScope(oauth.InsufficientScope("only a Gate may ask about proofs"), oauth.Scope{oauth.ScopeGate})
	}
	told, err := readTold(r)
	if err != nil {
		return err
	}
	fresh, err := e.spend(r.Context(), told)
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, true, map[string][]bool{"fresh": fresh})
}

func readTold(r *http.Request) ([]Told, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return nil, oauth.InvalidRequest("the body must be application/json")
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxTold+1))
	if err != nil || len(body) > maxTold {
		return nil, oauth.InvalidRequest("the body is longer than %d bytes", maxTold).Because(err)
	}
	var said struct {
		Proofs []Told `json:"proofs"`
	}
	if err := jose.DecodeJSON(body, &said); err != nil || len(said.Proofs) == 0 || len(said.Proofs) > MaxProofs {
		return nil, oauth.InvalidRequest(`the body must be {"proofs": [...]} with 1 to %d of them`, MaxProofs).Because(err)
	}
	for _, each := range said.Proofs {
		if id, err := base64.RawURLEncoding.Strict().DecodeString(each.ID); err != nil || len(id) != digestSize || len(each.ID) != 43 {
			return nil, oauth.InvalidRequest("an id is no base64url of a SHA-256")
		}
	}
	return said.Proofs, nil
}

// spend notes all at once, so that they travel in one commit.
func (e *Proofs) spend(ctx context.Context, told []Told) ([]bool, error) {
	now := time.Now()
	if e.Now != nil {
		now = e.Now()
	}
	fresh := make([]bool, len(told))
	var all errgroup.Group
	for i, each := range told {
		until := time.Unix(int64(each.Until), 0)
		if !until.After(now) || until.Sub(now) > longest { // whose clock is wrong can't be told here: it is not fresh
			continue
		}
		all.Go(func() (err error) {
			fresh[i], err = e.Once.Fresh(ctx, string(once.GateProof), "gates", each.ID, now, until)
			return err
		})
	}
	if err := all.Wait(); err != nil {
		return nil, oauth.Unavailable("it can't be known now whether the proofs were shown before").Because(err)
	}
	return fresh, nil
}
