package iam

import (
	"context"
	"slices"
	"time"

	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/recipe"
)

// Source says who made a client.
type Source string

// The sources of clients.
const (
	FromRecipe Source = "recipe" // read-only at run time, but for disabling and generated secrets
	FromAdmin  Source = "admin"  // made at run time; its id begins with RuntimePrefix

	FromRegistration Source = "registration" // registered itself; its id begins with RegisteredPrefix
	FromDocument     Source = "document"     // its id is the https address of its metadata; storage keeps what was read
)

// RuntimePrefix begins the id of every client that no recipe declares, so that the two can never collide.
const RuntimePrefix = "c-"

// RegisteredPrefix begins the id of every client that registered itself.
const RegisteredPrefix = "r-"

// Client is an application that may ask for tokens.
type Client struct {
	ID           string            `json:"id"`
	Source       Source            `json:"source"`
	Kind         recipe.ClientType `json:"type"`
	Name         recipe.Text       `json:"name,omitempty"`
	Auth         oauth.AuthMethod  `json:"auth"`
	SecretRefs   []string          `json:"secret_refs,omitempty"` // env: or file: references that nodes resolve
	JWKS         string            `json:"jwks,omitempty"`        // the document itself
	JWKSURI      string            `json:"jwks_uri,omitempty"`
	Scope        oauth.Scope       `json:"scope,omitempty"`
	Grants       []oauth.GrantType `json:"grants"`
	RedirectURIs []string          `json:"redirect_uris,omitempty"`
	LogoutURIs   []string          `json:"post_logout_redirect_uris,omitempty"`
	Origins      []string          `json:"origins,omitempty"`
	Consent      recipe.Consent    `json:"consent,omitempty"`
	Rotate       bool              `json:"rotate,omitempty"`
	IDTokenAlg   string            `json:"id_token_alg,omitempty"`
	Profile      recipe.Profile    `json:"profile,omitempty"`
	Policy       string            `json:"policy,omitempty"`     // registration policy that it lives under
	Unverified   bool              `json:"unverified,omitempty"` // nobody vouches for what it says of itself: people are told
	Sector       string            `json:"sector,omitempty"`     // host that pairwise subjects are made for, fixed at registration
	Allowed      []Allowed         `json:"allowed,omitempty"`    // exceptions
	Apps         string            `json:"apps,omitempty"`       // family of native apps that share a sign-in; only a recipe says so
	recipe.Metadata

	// Was is the id that a declared client had until now. Only Revisions.Apply asks for it, and nobody keeps it.
	Was string `json:"-"`

	// State that storage keeps beside the declaration.
	Secrets  []ClientSecret `json:"-"` // generated secrets that live, at most two
	Disabled bool           `json:"-"`
	Changed  time.Time      `json:"-"`
}

// Allowed is an exception of the recipe that is for a client, until the end of its last day (UTC).
type Allowed struct {
	Name  string    `json:"name"`
	Until time.Time `json:"until"`
}

// Allows tells whether the exception stands for the client at the moment.
func (c Client) Allows(exception string, now time.Time) bool {
	return slices.ContainsFunc(c.Allowed, func(a Allowed) bool { return a.Name == exception && now.Before(a.Until) })
}

// MayAskOften tells whether the client may ask a person over the backchannel without end, by exception.
func (c Client) MayAskOften(now time.Time) bool { return c.Allows(recipe.AllowAskOften, now) }

// Demands are what the client's profile asks of its requests, and what it asks of itself.
func (c Client) Demands() recipe.Demands {
	demands := c.Profile.Demands()
	demands.PAR = demands.PAR || c.PAR
	demands.SignedRequest = demands.SignedRequest || c.SignedRequest
	demands.Bound = demands.Bound || c.DPoP || c.TLSBound
	return demands
}

// ClientSecret is one generated secret of a client; only its hash is kept, but for client_secret_jwt, which needs the
// secret itself: then it is sealed as well.
type ClientSecret struct {
	ID      string
	Hash    Digest
	Sealed  string // under (tenant, client_secrets, id); empty: only the hash is kept
	Created time.Time
	Expires time.Time // zero: until removed
}

// Public tells whether the client can keep no secret (OAuth 2.1 section 2.1).
func (c Client) Public() bool { return c.Kind == recipe.Native || c.Kind == recipe.Browser }

// Trusted tells whether the company vouches for the client: nobody is asked whether it may have what it asks for.
func (c Client) Trusted() bool { return c.Consent == recipe.ConsentImplied }

// MayUse tells whether the client may use the grant.
func (c Client) MayUse(grant oauth.GrantType) bool { return slices.Contains(c.Grants, grant) }

// Rotates tells whether its refresh tokens rotate: those of public clients do, others when asked, and never under a
// profile that forbids it (FAPI 2.0 section 5.3.2.1). A grant that is bound to a key does not rotate either.
func (c Client) Rotates() bool {
	return (c.Public() || c.Rotate) && !c.Demands().NoRotation
}

// Clients finds clients. ErrNotFound also for removed ones. Disabled ones are found: callers ask Disabled.
type Clients interface {
	Client(ctx context.Context, id string) (Client, error)
}

// ClientKeeping is what administration needs. Every change also tells the other nodes.
type ClientKeeping interface {
	Clients
	ListClients(ctx context.Context, page Page) ([]Client, error)
	// PutClient adds or replaces a client of source admin. ErrExists if a recipe declares the id.
	PutClient(ctx context.Context, client Client, events ...journal.Event) error
	// SetClientDisabled switches a client of any source. Disabling ends its grants and tokens.
	SetClientDisabled(ctx context.Context, id string, disabled bool, events ...journal.Event) error
	// RemoveClient ends everything of a client of source admin; its id is never used again.
	RemoveClient(ctx context.Context, id string, events ...journal.Event) error
	ClientSecrets
}

// ClientSecrets keeps the generated secrets of clients of any source.
type ClientSecrets interface {
	// AddClientSecret keeps one more; ErrExists when two live already.
	AddClientSecret(ctx context.Context, client string, secret ClientSecret, events ...journal.Event) error
	// RemoveClientSecret ends one; ErrNotFound if there is none of that id.
	RemoveClientSecret(ctx context.Context, client, id string, events ...journal.Event) error
}
