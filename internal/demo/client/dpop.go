package client

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// proof shows that whoever sends a request has the key (RFC 9449 section 4.2). It speaks of one method at one address,
// and of one token where one goes with it.
func (k *Key) proof(method, address, token, nonce string, now time.Time) (string, error) {
	claims := map[string]any{"jti": rand.Text(), "htm": method, "htu": address, "iat": now.Unix()}
	if token != "" {
		sum := sha256.Sum256([]byte(token))
		claims["ath"] = b64(sum[:])
	}
	if nonce != "" {
		claims["nonce"] = nonce
	}
	text, err := k.sign(map[string]any{
		"typ": "dpop+jwt", "alg": "ES256", "jwk": map[string]string{"kty": "EC", "crv": "P-256", "x": k.x, "y": k.y},
	}, claims)
	if err != nil {
		return "", fmt.Errorf("make a proof: %w", err)
	}
	return text, nil
}

// nonces are the newest that each host gave (RFC 9449 section 8.2). The zero value is ready.
type nonces struct {
	mu     sync.Mutex
	newest map[string]string // by origin
}

func (n *nonces) learn(address string, answer http.Header) {
	nonce := answer.Get("DPoP-Nonce")
	if nonce == "" {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.newest == nil {
		n.newest = map[string]string{}
	}
	n.newest[origin(address)] = nonce
}

func (n *nonces) of(address string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.newest[origin(address)]
}

// prove makes a proof for one request of the party.
func (c *Client) prove(method, address, token string) (string, error) {
	return c.Proof.proof(method, address, token, c.nonces.of(address), c.Now())
}

// Call sends one request to the Gate with the token, as the kind of token wants it.
func (c *Client) Call(ctx context.Context, method, path, token string, body []byte) Reply {
	if c.Proof == nil {
		return Call(ctx, c.HTTP, c.Resource, method, path, Bearer(token), body)
	}
	back, _ := c.Show(ctx, method, path, token, body)
	return back
}

// Show is Call with a proof, which it gives back too. Who is asked for a nonce asks again with it, once.
func (c *Client) Show(ctx context.Context, method, path, token string, body []byte) (back Reply, proof string) {
	for range 2 {
		var err error
		if proof, err = c.prove(method, c.Resource+path, token); err != nil {
			return Reply{Method: method, Path: path, Failed: err}, ""
		}
		back = Call(ctx, c.HTTP, c.Resource, method, path, Proved(token, proof), body)
		c.nonces.learn(c.Resource, back.header)
		if back.Status != http.StatusUnauthorized || !slices.ContainsFunc(challenges(back.Challenge), func(challenge map[string]string) bool {
			return challenge["error"] == "use_dpop_nonce"
		}) {
			break
		}
	}
	return back, proof
}

// Proved is the headers by which a token is shown together with a proof.
func Proved(token, proof string) http.Header {
	// The spelling of net/http: what else stands in a map of headers would be sent as it is.
	return http.Header{"Authorization": {"DPoP " + token}, "Dpop": {proof}}
}
