package manage

import (
	"context"
	"errors"
	"time"

	"github.com/gardeauth/garde/internal/enact"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/recipe"
)

// Clients are the deeds about clients that are made at run time, and about the state of all. Clients and InForce are
// required.
type Clients struct {
	Clients iam.ClientKeeping
	InForce func() *recipe.Bundle // nil before the first recipe
	Now     func() time.Time      // nil: time.Now

	// Seal keeps the secret of that id itself, beside its hash, for client_secret_jwt. Nil: no such secret is made.
	Seal func(id, secret string) (string, error)
}

// NewSecret is a generated secret: Value is told this once.
type NewSecret struct {
	ID      string    `json:"id"`
	Value   string    `json:"secret"`
	Expires time.Time `json:"expires,omitzero"`
}

// Declaration is what an administrator says of a client, in the words of the recipe. Keys is a JWK Set, for private_key_jwt.
type Declaration struct {
	recipe.Client
	Keys string
}

// Find finds a client.
func (c *Clients) Find(ctx context.Context, id string) (iam.Client, error) {
	client, err := c.Clients.Client(ctx, id)
	return client, missing(err, "client", id)
}

// Add makes a client, and its first secret where it proves itself by one. The rules are those of the recipe.
func (c *Clients) Add(ctx context.Context, by string, said Declaration) (iam.Client, *NewSecret, error) {
	id := iam.RuntimePrefix + shortID()
	client, err := c.client(id, said)
	if err != nil {
		return iam.Client{}, nil, err
	}
	now := clock(c.Now)
	if err := c.Clients.PutClient(ctx, client, c.event(now, by, id, "added")); err != nil {
		return iam.Client{}, nil, err
	}
	if !hasSecret(client.Auth) {
		return client, nil, nil
	}
	secret, err := c.AddSecret(ctx, by, id, 0)
	return client, secret, err
}

// Set replaces what was said of a client of the administrator's. Its keys stay, unless others are named.
func (c *Clients) Set(ctx context.Context, by, id string, said Declaration) (iam.Client, error) {
	old, err := c.mine(ctx, id, "set")
	if err != nil {
		return iam.Client{}, err
	}
	if said.Keys == "" && said.JWKSURI == "" {
		said.Keys = old.JWKS
	}
	client, err := c.client(id, said)
	if err != nil {
		return iam.Client{}, err
	}
	client.Disabled, client.Secrets = old.Disabled, old.Secrets
	if old.Pairwise() { // the names that people bear at it are made for the sector (OpenID Connect Core section 8.1)
		client.Sector = old.Sector
	}
	if client.Kind != old.Kind || client.Auth != old.Auth {
		return iam.Client{}, refuse(Conflict, "type", "add another client and remove this one",
			"a client keeps its type and its way to prove itself: what it was given before was judged by them")
	}
	return client, c.Clients.PutClient(ctx, client, c.event(clock(c.Now), by, id, "set"))
}

// Remove ends a client of the administrator's with all it was given.
func (c *Clients) Remove(ctx context.Context, by, id string) error {
	if _, err := c.mine(ctx, id, "remove"); err != nil {
		return err
	}
	return missing(c.Clients.RemoveClient(ctx, id, c.event(clock(c.Now), by, id, "removed")), "client", id)
}

// SetDisabled switches a client of any source. Disabling ends its tokens within a second.
func (c *Clients) SetDisabled(ctx context.Context, by, id string, disabled bool) error {
	what := "enabled"
	if disabled {
		what = "disabled"
	}
	return missing(c.Clients.SetClientDisabled(ctx, id, disabled, c.event(clock(c.Now), by, id, what)), "client", id)
}

// AddSecret generates a secret for a client of any source that proves itself by one. Two may live, for rotation; a life of
// zero lasts until it is removed.
func (c *Clients) AddSecret(ctx context.Context, by, id string, life time.Duration) (*NewSecret, error) {
	client, err := c.Find(ctx, id)
	if err != nil {
		return nil, err
	}
	if !hasSecret(client.Auth) {
		return nil, refuse(Conflict, "auth", "", "the client %s proves itself by %s and has no secret", id, client.Auth)
	}
	if life < 0 {
		return nil, refuse(Invalid, "life", "write 90d, or leave it out", "a secret can't end before it begins")
	}
	two := refuse(Conflict, "", "garde client secret remove ends one", "two secrets live already")
	if len(client.SecretRefs)+len(client.Secrets) >= 2 {
		return nil, two
	}
	now := clock(c.Now)
	secret := &NewSecret{ID: shortID(), Value: iam.NewSecret(iam.PrefixClient)}
	if life > 0 {
		secret.Expires = now.Add(life)
	}
	kept := iam.ClientSecret{ID: secret.ID, Hash: iam.Hash(secret.Value), Created: now, Expires: secret.Expires}
	if client.Auth == oauth.AuthSecretJWT {
		if c.Seal == nil {
			return nil, refuse(Conflict, "auth", "write a reference under secrets in the recipe", "this node keeps no secret that signs")
		}
		if kept.Sealed, err = c.Seal(secret.ID, secret.Value); err != nil {
			return nil, err
		}
	}
	err = c.Clients.AddClientSecret(ctx, id, kept, c.event(now, by, id, "secret "+secret.ID+" added"))
	if errors.Is(err, iam.ErrExists) {
		return nil, two
	}
	if err != nil {
		return nil, missing(err, "client", id)
	}
	return secret, nil
}

// RemoveSecret ends a generated secret.
func (c *Clients) RemoveSecret(ctx context.Context, by, id, secret string) error {
	err := c.Clients.RemoveClientSecret(ctx, id, secret, c.event(clock(c.Now), by, id, "secret "+secret+" removed"))
	if errors.Is(err, iam.ErrNotFound) {
		return refuse(Missing, "", "garde client show "+id+" lists those that live", "the client %s has no secret %s", show(id), show(secret))
	}
	return err
}

// mine finds a client that no recipe declares.
func (c *Clients) mine(ctx context.Context, id, verb string) (iam.Client, error) {
	client, err := c.Find(ctx, id)
	if err == nil && client.Source != iam.FromAdmin {
		return client, refuse(Conflict, "", "change the recipe and apply it; here it can be disabled, and given secrets",
			"can't %s %s: the recipe declares it", verb, id)
	}
	return client, err
}

func (c *Clients) event(now time.Time, by, id, what string) journal.Event {
	changed := event(now, by, journal.ClientChanged{What: what})
	changed.Client = id
	return changed
}

func hasSecret(auth oauth.AuthMethod) bool {
	return auth == oauth.AuthBasic || auth == oauth.AuthPost || auth == oauth.AuthSecretJWT
}

// client judges a declaration as if it stood in the recipe in force, so that there is one set of rules for both.
func (c *Clients) client(id string, said Declaration) (iam.Client, error) {
	bundle := c.InForce()
	if bundle == nil {
		return iam.Client{}, refuse(Conflict, "", "garde apply recipe.yaml", "no recipe is in force, so no client may ask for anything")
	}
	judged := said.Client
	if judged.JWKS != "" { // the file of a recipe is no file of ours
		return iam.Client{}, refuse(Invalid, "jwks", "send the key set itself", "only a recipe can name a file")
	}
	var keys []byte
	if said.Keys != "" {
		keys = []byte(said.Keys)
	}
	var found faults
	for _, fault := range bundle.Recipe.CheckClient(judged, keys, clock(c.Now)) {
		found.add(fault.Path, fault.Hint, "%s", fault.Text)
	}
	if err := found.orNil(); err != nil {
		return iam.Client{}, err
	}
	client := enact.Client(id, judged, nil, &recipe.Recipe{}) // no exception of the recipe is for it
	client.Source, client.JWKS = iam.FromAdmin, said.Keys
	return client, nil
}
