package enact

import (
	"cmp"
	"maps"
	"slices"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/recipe"
)

// Declared gives the clients that a bundle declares, as storage keeps them, in the order of their ids.
func Declared(bundle *recipe.Bundle) []iam.Client {
	var clients []iam.Client
	for _, id := range slices.Sorted(maps.Keys(bundle.Recipe.Clients)) {
		clients = append(clients, Client(id, bundle.Recipe.Clients[id], bundle.Files, bundle.Recipe))
	}
	return clients
}

// Client gives a client that a recipe declares, as storage keeps it: with its keys from the files beside the recipe, and
// with the exceptions that name it. It has been judged by the reader of the recipe.
func Client(id string, said recipe.Client, files map[string][]byte, r *recipe.Recipe) iam.Client {
	client := kept(id, said)
	client.Source, client.Was, client.SecretRefs, client.Apps = iam.FromRecipe, said.Was, said.Secrets, said.Apps
	if said.JWKS != "" {
		client.JWKS = string(files[said.JWKS])
	}
	if client.Apps != "" { // its apps exchange what one of them was given; there is no other exchange yet
		client.Grants = append(client.Grants, oauth.TokenExchange)
	}
	client.Allowed = allowed(r, id, "")
	return client
}

// Registered gives a client that registered itself under a policy, as storage keeps it: with the keys that it sent along,
// the profile and the exceptions of the policy, unverified unless the policy trusts its clients. Recipe.CheckRegistered
// has judged it. A caller that updates a client keeps the sector it had (OpenID Connect Core section 8.1).
func Registered(id, policy string, said recipe.Client, jwks string, r *recipe.Recipe) iam.Client {
	rules := r.Registration[policy]
	client := kept(id, rules.Complete(said))
	client.Source, client.JWKS, client.Policy, client.Unverified = iam.FromRegistration, jwks, policy, !rules.Trusted
	client.Consent = recipe.ConsentAsk
	client.Allowed = allowed(r, "", policy)
	return client
}

// kept is what all clients have, whoever made them.
func kept(id string, said recipe.Client) iam.Client {
	client := iam.Client{
		ID: id, Kind: said.Type, Name: said.Name, Auth: oauth.AuthMethod(said.AuthMethod()), JWKSURI: said.JWKSURI,
		Scope: said.Scopes, RedirectURIs: said.RedirectURIs, LogoutURIs: said.LogoutURIs, Origins: said.Origins,
		Consent: cmp.Or(said.Consent, recipe.ConsentAsk), Rotate: said.Rotate, IDTokenAlg: said.IDTokenAlg,
		Profile: said.Profile, Sector: said.Sector(), Metadata: said.Metadata,
	}
	for _, grant := range said.GrantTypes() {
		client.Grants = append(client.Grants, oauth.GrantType(grant))
	}
	return client
}

// allowed gives the exceptions of a declared client or of a policy, by name.
func allowed(r *recipe.Recipe, client, policy string) []iam.Allowed {
	ends := r.ExceptionsOf(client, policy)
	var all []iam.Allowed
	for _, name := range slices.Sorted(maps.Keys(ends)) {
		all = append(all, iam.Allowed{Name: name, Until: ends[name]})
	}
	return all
}

// Under gives a registered client as its policy stands now: what the recipe took from the policy, it took from all its
// clients. A client whose policy is gone is disabled. Clients that stand under no policy come back as they are.
func Under(client iam.Client, r *recipe.Recipe) iam.Client {
	if client.Policy == "" {
		return client
	}
	rules, there := r.Registration[client.Policy]
	client.Allowed, client.Unverified = allowed(r, "", client.Policy), !rules.Trusted
	client.Disabled = client.Disabled || !there
	client.Scope = slices.DeleteFunc(slices.Clone(client.Scope), func(scope string) bool { return !slices.Contains(rules.Scopes, scope) })
	client.Grants = slices.DeleteFunc(slices.Clone(client.Grants), func(grant oauth.GrantType) bool {
		return !slices.Contains(rules.GrantTypes(), string(grant))
	})
	client.Details = slices.DeleteFunc(slices.Clone(client.Details), func(kind string) bool { return !slices.Contains(rules.Details, kind) })
	if !client.Profile.Meets(rules.Profile) {
		client.Profile = rules.Profile
	}
	return client
}
