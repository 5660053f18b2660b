package register

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gardeauth/garde/internal/enact"
	"github.com/gardeauth/garde/internal/fetch"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/web"
	"github.com/gardeauth/garde/recipe"
)

// Fetcher reads what clients name; *fetch.Fetcher is one.
type Fetcher interface {
	Document(ctx context.Context, url string) (fetch.Document, error)
}

// Rules judge clients that come by themselves, by the policies of the recipe in force. Now may be nil.
type Rules struct {
	Issuer  string
	Bundle  func() *recipe.Bundle // in force; nil before the first
	Fetcher Fetcher
	Now     func() time.Time // nil: time.Now

	fetching atomic.Int32
}

// maxFetching bounds the registrations that wait for lists of sectors: each takes a place of those that the server answers at
// once.
const maxFetching = 32

// policy finds a policy by its name; an empty name means the only one.
func (u *Rules) policy(name string) (string, recipe.Registration, error) {
	bundle := u.Bundle()
	if bundle == nil {
		return "", recipe.Registration{}, web.NotFound()
	}
	policies := bundle.Recipe.Registration
	if name == "" && len(policies) == 1 {
		for only := range policies {
			name = only
		}
	}
	policy, known := policies[name]
	if !known {
		return "", recipe.Registration{}, web.NotFound()
	}
	return name, policy, nil
}

// read gives what a request says, with the words of a software statement before its own.
func (u *Rules) read(r *http.Request, policy recipe.Registration) (Metadata, error) {
	sent, err := readBody(r)
	if err != nil {
		return Metadata{}, err
	}
	if err := u.vouched(sent, policy); err != nil {
		return Metadata{}, err
	}
	return parse(sent)
}

// judge makes the client that the metadata describes, if the policy lets it stand: on each create, update and reading.
func (u *Rules) judge(ctx context.Context, name string, said Metadata) (iam.Client, error) {
	_, policy, err := u.policy(name)
	if err != nil {
		return iam.Client{}, err
	}
	wanted, err := said.client(policy)
	if err != nil {
		return iam.Client{}, err
	}
	var keys []byte
	if said.JWKS != nil {
		keys = said.JWKS
	}
	if faults := u.Bundle().Recipe.CheckRegistered(name, wanted, keys, u.now()); len(faults) > 0 {
		return iam.Client{}, refused(faults)
	}
	if err := strong(keys, wanted); err != nil {
		return iam.Client{}, err
	}
	client := enact.Registered("", name, wanted, string(keys), u.Bundle().Recipe)
	return client, u.sector(ctx, client)
}

// strong refuses keys that could not be used later: weak and broken ones (T22), and a set in which nothing signs, of a client
// that is to prove itself by a signature or a certificate.
func strong(keys []byte, c recipe.Client) error {
	if keys == nil {
		return nil
	}
	_, err := jose.ParseSet(keys)
	if err == nil {
		return nil
	}
	proves := c.Auth == string(oauth.AuthPrivateKey) || c.Auth == string(oauth.AuthSelfSigned)
	if _, other := jose.ParseEncryptionSet(keys); other == nil && !proves {
		return nil
	}
	return oauth.InvalidClientMetadata("jwks: %s", err)
}

// refused tells the first faults, each with the member that it is about.
func refused(faults recipe.Faults) error {
	const told = 3
	var texts []string
	redirect := !slices.ContainsFunc(faults, func(fault recipe.Fault) bool { return fault.Path != "redirect_uris" })
	for i, fault := range faults {
		redirect = redirect || strings.HasPrefix(fault.Path, "redirect_uris[")
		if i >= told {
			continue
		}
		text := fault.Text
		if fault.Path != "" {
			text = fault.Path + ": " + text
		}
		if fault.Hint != "" {
			text += " (" + fault.Hint + ")"
		}
		texts = append(texts, text)
	}
	if redirect {
		return oauth.InvalidRedirectURI("%s", strings.Join(texts, "; "))
	}
	return oauth.InvalidClientMetadata("%s", strings.Join(texts, "; "))
}

// sector looks whether the list behind sector_identifier_uri names every redirect URI (OpenID Connect Core section 8.1): a
// client must not take the people's names of a sector that never heard of it (X14).
func (u *Rules) sector(ctx context.Context, client iam.Client) error {
	if client.SectorURI == "" {
		return nil
	}
	defer u.fetching.Add(-1)
	if u.fetching.Add(1) > maxFetching {
		return oauth.Unavailable("too many lists of sectors are being read; try again")
	}
	document, err := u.Fetcher.Document(ctx, client.SectorURI)
	if err != nil {
		return oauth.InvalidClientMetadata("sector_identifier_uri: the list could not be read").Because(err)
	}
	var listed []string
	if err := jose.DecodeJSON(document.Body, &listed); err != nil {
		return oauth.InvalidClientMetadata("sector_identifier_uri: the document is no list of addresses").Because(err)
	}
	for _, uri := range client.RedirectURIs {
		if !slices.Contains(listed, uri) {
			return oauth.InvalidClientMetadata("sector_identifier_uri: the list does not name every redirect URI")
		}
	}
	return nil
}

// under gives a client what its policy says today, and takes what the policy no longer gives: a recipe that is applied
// changes all clients at once, also those that registered under an older one. A client whose policy is gone is disabled.
func (u *Rules) under(client iam.Client) iam.Client {
	bundle := u.Bundle()
	if bundle == nil {
		client.Disabled = true
		return client
	}
	client = enact.Under(client, bundle.Recipe)
	given := bundle.Recipe.Registration[client.Policy].Details
	client.Details = slices.DeleteFunc(slices.Clone(client.Details), func(kind string) bool { return !slices.Contains(given, kind) })
	return client
}

func (u *Rules) now() time.Time {
	if u.Now != nil {
		return u.Now()
	}
	return time.Now()
}
