package session

import (
	"context"
	"errors"
	"time"

	"github.com/gardeauth/garde/internal/iam"
)

// parkedLife is how long a request that came by POST waits for the GET that the browser is sent to.
const parkedLife = 2 * time.Minute

// Park keeps an authorization request that came by POST, until Unpark. It is bound to no browser: the POST may come from
// a page of another site, and browsers then send none of our cookies (SameSite=Lax). To make one for it would end the
// transactions of the browser's other tabs, which any site could then do to anyone. What is parked is worth no more than
// the link that a GET would have been: nobody has proved anything in it.
func (k *Keeper) Park(ctx context.Context, flows iam.Flows, query, client string) (string, error) {
	key := iam.NewSecret(iam.PrefixFlow)
	return key, flows.AddFlow(ctx, iam.Flow{
		Hash: iam.HashFlow(key), Browser: parked(key), Client: client, Query: query,
		Created: k.now(), Expires: k.now().Add(parkedLife),
	})
}

// Unpark gives the request that was parked under key, once.
func (k *Keeper) Unpark(ctx context.Context, flows iam.Flows, key string) (string, error) {
	flow, err := flows.Flow(ctx, iam.HashFlow(key), parked(key), k.now())
	if errors.Is(err, iam.ErrNotFound) {
		return "", Expired(err)
	}
	if err != nil {
		return "", err
	}
	return flow.Query, flows.EndFlow(ctx, flow.Hash)
}

// parked stands where the digest of a browser would. No browser has it: iam.Hash of its cookie has no such suffix.
func parked(key string) iam.Digest { return iam.Hash(key + " parked") }
