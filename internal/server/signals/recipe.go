package signals

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/enact"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/web"
)

// TypeRecipe is the typ of the statement that stands beside a recipe.
const TypeRecipe = "garde-recipe+jwt"

// Statement is what the Server signs about the recipe in force: whoever holds it can tell that the bundle beside it is
// the Server's own and meant for this Gate now.
type Statement struct {
	Issuer   string `json:"iss"`
	Audience string `json:"aud"` // client id of the Gate
	IssuedAt int64  `json:"iat"`
	Expires  int64  `json:"exp"`
	Epoch    string `json:"epoch"` // of the storage: revisions count within one
	Revision int64  `json:"revision"`
	Digest   string `json:"digest"` // recipe.Bundle.Digest
}

// Document is the answer of /signals/recipe.
type Document struct {
	Statement string `json:"statement"` // compact JWS
	Bundle    []byte `json:"bundle"`    // recipe.Bundle, as Marshal wrote it
}

// Recipes is /signals/recipe: the recipe in force, for Gates that share no storage with the Server. All fields but Hold and
// Now are required.
type Recipes struct {
	Issuer string
	Tokens Bearer
	Force  func() *enact.Force
	Signer func(jose.Alg) (*jose.Signer, error)
	Nodes  iam.Nodes
	Epoch  func(context.Context) (string, error)
	Hold   time.Duration    // how long to wait for a newer one (default 8s: shorter than a silent node counts as alive)
	Now    func() time.Time // nil: time.Now
}

func (e *Recipes) now() time.Time {
	if e.Now != nil {
		return e.Now()
	}
	return time.Now()
}

const statementLife = 5 * time.Minute

// Recipe answers the recipe in force if it is newer than ?after=N, waiting a while for one; 304 when there is none. The
// Gate also tells how it is (node, adopted, ready, problem), so that garde apply can name who does not follow.
func (e *Recipes) Recipe(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet {
		return web.MethodNotAllowed(http.MethodGet)
	}
	claims, err := e.Tokens.Bearer(r)
	if err != nil {
		return err
	}
	if !claims.Scope.Has(oauth.ScopeGate) {
		return web.NeedScope(oauth.InsufficientScope("only a Gate may read the recipe"), oauth.Scope{oauth.ScopeGate})
	}
	query, err := web.Query(r)
	if err != nil {
		return err
	}
	after, err := strconv.ParseInt("0"+query.Value("after"), 10, 64)
	if err != nil {
		return oauth.InvalidRequest("after must be the number of a revision")
	}
	if err := e.hear(r.Context(), claims.ClientID, query, after); err != nil {
		return err
	}
	epoch, err := e.Epoch(r.Context())
	if err != nil {
		return err
	}
	if query.Value("epoch") != epoch { // the Gate knows another history, or none: its number says nothing here
		after = 0
	}
	newer := e.await(r.Context(), after)
	if _, err := e.Tokens.Bearer(r); err != nil { // it may have died during the wait
		return err
	}
	web.NoStore(w)
	if newer == nil {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	document, err := e.document(newer, claims.ClientID, epoch)
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, true, document)
}

// The most that a Gate may say of itself.
const (
	maxNode    = 64
	maxName    = 100
	maxProblem = 500
)

// hear keeps what the Gate says of itself, under its client: no Gate can speak for another's, nor for a node of the Server.
func (e *Recipes) hear(ctx context.Context, client string, query web.Form, adopted int64) error {
	id := query.Value("node")
	if id == "" || len(id) > maxNode {
		return oauth.InvalidRequest("node is missing or too long")
	}
	return e.Nodes.Beat(ctx, iam.Node{
		ID: client + "/" + id, Name: cut(query.Value("name"), maxName), Role: "gate", Revision: adopted,
		Ready: query.Value("ready") == "yes", Problem: cut(query.Value("problem"), maxProblem), Seen: e.now().UTC(),
	})
}

func cut(text string, most int) string {
	return strings.ToValidUTF8(text[:min(len(text), most)], "")
}

// await gives the revision in force once it is newer than after, or nil when the wait is over.
func (e *Recipes) await(ctx context.Context, after int64) *enact.Force {
	hold := e.Hold
	if hold <= 0 {
		hold = 8 * time.Second
	}
	over := time.NewTimer(hold)
	defer over.Stop()
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for {
		if force := e.Force(); force != nil && force.Number > after {
			return force
		}
		select {
		case <-ctx.Done():
			return nil
		case <-over.C:
			return nil
		case <-look.C:
		}
	}
}

func (e *Recipes) document(force *enact.Force, gate, epoch string) (Document, error) {
	signer, err := e.Signer(jose.ES256)
	if err != nil {
		return Document{}, err
	}
	now := e.now()
	statement, err := signer.Sign(TypeRecipe, Statement{
		Issuer: e.Issuer, Audience: gate, IssuedAt: now.Unix(), Expires: now.Add(statementLife).Unix(),
		Epoch: epoch, Revision: force.Number, Digest: force.Digest,
	})
	return Document{Statement: statement, Bundle: force.Bundle.Marshal()}, err
}
