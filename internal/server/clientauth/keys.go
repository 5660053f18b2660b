package clientauth

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/verify"
)

// Keys finds the public keys of clients: in their registration, or behind their jwks_uri through the safe fetcher. What
// it remembers is bounded.
type Keys struct {
	Fetcher verify.Fetcher
	Now     func() time.Time // nil: time.Now

	mu     sync.Mutex
	parsed map[string]jose.Set           // by document
	remote map[string]*verify.RemoteKeys // by client and address
}

// most bounds each map; when one is full it starts again, which costs parsing or fetching once more.
const most = 4096

// For gives the key of the client that a header means. A key of another client is never found.
func (k *Keys) For(ctx context.Context, client iam.Client, header jose.Header) (jose.PublicKey, error) {
	if client.JWKS != "" {
		set, err := k.document(client.JWKS)
		if err != nil {
			return jose.PublicKey{}, err
		}
		if key, ok := set.For(header); ok {
			return key, nil
		}
		return jose.PublicKey{}, errors.New("the client has no such key")
	}
	if client.JWKSURI == "" {
		return jose.PublicKey{}, errors.New("the client has no keys")
	}
	if header.KeyID == "" {
		return jose.PublicKey{}, errors.New("kid is missing, and the client's keys are behind jwks_uri")
	}
	return k.source(client).Key(ctx, header.KeyID)
}

func (k *Keys) document(text string) (jose.Set, error) {
	k.mu.Lock()
	set, ok := k.parsed[text]
	k.mu.Unlock()
	if ok {
		return set, nil
	}
	set, err := jose.ParseSet([]byte(text))
	if err != nil {
		return jose.Set{}, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.parsed == nil || len(k.parsed) >= most {
		k.parsed = map[string]jose.Set{}
	}
	k.parsed[text] = set
	return set, nil
}

func (k *Keys) source(client iam.Client) *verify.RemoteKeys {
	k.mu.Lock()
	defer k.mu.Unlock()
	name := client.ID + " " + client.JWKSURI
	if source, ok := k.remote[name]; ok {
		return source
	}
	if k.remote == nil || len(k.remote) >= most {
		k.remote = map[string]*verify.RemoteKeys{}
	}
	source := &verify.RemoteKeys{URL: client.JWKSURI, Fetcher: k.Fetcher, Now: k.Now}
	k.remote[name] = source
	return source
}
