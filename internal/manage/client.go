package manage

import (
	"context"
	"errors"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

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

func hasSecret(auth oauth.AuthMethod) bool { return auth == oauth.AuthBasic || auth == oauth.AuthPost }

// client judges a declaration as if it stood in the recipe in force, so that there is one set of rules for both.
func (c *Clients) client(id string, said Declaration) (iam.Client, error) {
	bundle := c.InForce()
	if bundle == nil {
		return iam.Client{}, refuse(Conflict, "", "garde apply recipe.yaml", "no recipe is in force, so no client may ask for anything")
	}
	var found faults
	for place, there := range map[string]bool{"was": said.Was != "", "secrets": len(said.Secrets) > 0, "jwks": said.JWKS != ""} {
		if there {
			found.add(place, "", "only a recipe can say that")
		}
	}
	if err := found.orNil(); err != nil {
		return iam.Client{}, err
	}
	judged := said.Client
	files := map[string][]byte{}
	if said.Keys != "" {
		judged.JWKS = "keys.json"
		files[judged.JWKS] = []byte(said.Keys)
	}
	if err := judge(bundle.Recipe, id, judged, files); err != nil {
		return iam.Client{}, err
	}
	client := iam.Client{
		ID: id, Source: iam.FromAdmin, Kind: judged.Type, Name: judged.Name, Auth: oauth.AuthMethod(judged.AuthMethod()),
		JWKS: said.Keys, JWKSURI: judged.JWKSURI, Scope: judged.Scopes, RedirectURIs: judged.RedirectURIs, LogoutURIs: judged.LogoutURIs,
		Origins: judged.Origins, Consent: judged.Consent, Rotate: judged.Rotate, IDTokenAlg: judged.IDTokenAlg,
	}
	if client.Consent == "" {
		client.Consent = recipe.ConsentAsk
	}
	for _, grant := range judged.GrantTypes() {
		client.Grants = append(client.Grants, oauth.GrantType(grant))
	}
	return client, nil
}

// judge reads a recipe that holds nothing but this client and the scopes in force, and keeps the faults of the client.
func judge(force *recipe.Recipe, id string, client recipe.Client, files map[string][]byte) error {
	text, err := yaml.Marshal(recipe.Recipe{
		Garde: recipe.Format, Levels: force.Levels, Scopes: force.Scopes, Clients: map[string]recipe.Client{id: client},
	})
	if err != nil {
		return refuse(Invalid, "", "", "the client can't be written down: %v", err)
	}
	_, err = recipe.Assemble("", []recipe.Source{{Name: "client", Text: text}}, files, time.Time{})
	var all recipe.Faults
	if err == nil || !errors.As(err, &all) {
		return err
	}
	var found faults
	for _, fault := range all {
		if place, ours := strings.CutPrefix(fault.Path, "clients."+id); ours || fault.File != "client" {
			found.add(strings.TrimPrefix(place, "."), fault.Hint, "%s", fault.Text)
		}
	}
	return found.orNil()
}
