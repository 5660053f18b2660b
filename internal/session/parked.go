package session

import (
	"context"
	"errors"
	"time"

	"github.com/gardeauth/garde/internal/iam"
)

// parkedLife is how long a request that came by POST waits for the GET that the browser is sent to.
const parkedLife = 2 * time.Minute

// Parked says what waits. What was parked as one kind is never taken as another: a sign-out holds what anybody sent, and a
// request that was accepted is believed (C20).
type Parked string

// The kinds of what is parked.
const (
	ParkedRequest Parked = "request"  // an authorization request that Parser accepted
	ParkedSignOut Parked = "sign-out" // the form of a sign-out, as it came
	ParkedTelling Parked = "telling"  // a session that ended, and where to go then
)

// Park keeps what came by POST, an authorization request above all, until Unpark. It is bound to no browser: the POST may come from
// a page of another site, and browsers then send none of our cookies (SameSite=Lax). To make one for it would end the
// transactions of the browser's other tabs, which any site could then do to anyone. What is parked is worth no more than
// the link that a GET would have been: nobody has proved anything in it.
func (k *Keeper) Park(ctx context.Context, flows iam.Flows, kind Parked, query, client string) (string, error) {
	key := iam.NewSecret(iam.PrefixFlow)
	return key, flows.AddFlow(ctx, iam.Flow{
		Hash: iam.HashFlow(key), Browser: parked(key, kind), Client: client, Query: query,
		Created: k.now(), Expires: k.now().Add(parkedLife),
	})
}

// Unpark gives what was parked under key as that kind, once.
func (k *Keeper) Unpark(ctx context.Context, flows iam.Flows, kind Parked, key string) (string, error) {
	flow, err := flows.Flow(ctx, iam.HashFlow(key), parked(key, kind), k.now())
	if errors.Is(err, iam.ErrNotFound) {
		return "", Expired(err)
	}
	if err != nil {
		return "", err
	}
	return flow.Query, flows.EndFlow(ctx, flow.Hash)
}

// parked stands where the digest of a browser would. No browser has it: iam.Hash of its cookie has no such suffix.
func parked(key string, kind Parked) iam.Digest { return iam.Hash(key + " parked " + string(kind)) }
