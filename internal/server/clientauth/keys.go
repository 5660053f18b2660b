package clientauth

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
)

// Fetcher reads what stands at an address that a client names; *fetch.Fetcher is one.
type Fetcher interface {
	Fetch(ctx context.Context, url string) ([]byte, error)
}

// Keys finds the public keys of clients: in their registration, or behind their jwks_uri through the safe fetcher. What
// it remembers is bounded, and so is how many requests wait for hosts that do not answer.
type Keys struct {
	Fetcher Fetcher
	Now     func() time.Time // nil: time.Now

	mu      sync.Mutex
	parsed  map[string]*ring   // by document
	text    int                // bytes of those documents
	remote  map[string]*source // by client and address
	waiting map[string]int     // requests, by host
	places  int                // ... at all hosts
}

// The bounds of what is remembered: of each map, in entries, and in bytes of the documents that they were read from, which
// take a few times as much. What makes room for others costs parsing or fetching once more.
const (
	most     = 4096
	mostText = 8 << 20
)

// ring is the document of a client's keys, read: keys that sign, or keys to encrypt to, or both.
type ring struct {
	signs    jose.Set
	encrypts jose.EncryptionSet
	marks    map[string]bool // thumbprints of keys that sign
}

func readRing(text []byte) (*ring, error) {
	read := &ring{marks: map[string]bool{}}
	var none, err error
	read.encrypts, none = jose.ParseEncryptionSet(text)
	if read.signs, err = jose.ParseSet(text); err != nil {
		if none != nil {
			return nil, err
		}
		return read, nil
	}
	var wire struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := jose.DecodeJSON(text, &wire); err != nil {
		return nil, err
	}
	for _, raw := range wire.Keys {
		key, err := jose.ParseJWK(raw)
		if err != nil { // for another purpose; ParseSet has judged the whole
			continue
		}
		mark, err := jose.Thumbprint(key.Key)
		if err != nil {
			return nil, err
		}
		read.marks[mark] = true
	}
	return read, nil
}

// For gives the key of the client that a header means. A key of another client is never found.
func (k *Keys) For(ctx context.Context, client iam.Client, header jose.Header) (jose.PublicKey, error) {
	var key jose.PublicKey
	_, err := k.find(ctx, client, func(r *ring) (ok bool) {
		key, ok = r.signs.For(header)
		return ok
	})
	return key, err
}

// Holds tells whether a public key is one of the client's: nil if it is.
func (k *Keys) Holds(ctx context.Context, client iam.Client, key crypto.PublicKey) error {
	mark, err := jose.Thumbprint(key)
	if err != nil {
		return err
	}
	_, err = k.find(ctx, client, func(r *ring) bool { return r.marks[mark] })
	return err
}

// Encryption gives the keys to which one may encrypt what only the client shall read.
func (k *Keys) Encryption(ctx context.Context, client iam.Client) (jose.EncryptionSet, error) {
	found, err := k.find(ctx, client, func(*ring) bool { return true })
	if err != nil {
		return jose.EncryptionSet{}, err
	}
	return found.encrypts, nil
}

var errNoKey = errors.New("the client has no such key")

// find gives the client's keys, if has says that what is looked for is among them.
func (k *Keys) find(ctx context.Context, client iam.Client, has func(*ring) bool) (*ring, error) {
	switch {
	case client.JWKS != "":
		held, err := k.document(client.JWKS)
		if err != nil {
			return nil, err
		}
		if !has(held) {
			return nil, errNoKey
		}
		return held, nil
	case client.JWKSURI != "":
		return k.source(client).find(ctx, has, func() (func(), bool) { return k.enter(client.JWKSURI) })
	}
	return nil, errors.New("the client has no keys")
}

func (k *Keys) document(text string) (*ring, error) {
	k.mu.Lock()
	held, ok := k.parsed[text]
	k.mu.Unlock()
	if ok {
		return held, nil
	}
	held, err := readRing([]byte(text))
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.parsed[text]; ok { // another was as fast
		return held, nil
	}
	for other := range k.parsed { // whichever comes first: nobody can choose which
		if len(k.parsed) < most && k.text+len(text) <= mostText {
			break
		}
		delete(k.parsed, other)
		k.text -= len(other)
	}
	if k.parsed == nil {
		k.parsed = map[string]*ring{}
	}
	k.parsed[text] = held
	k.text += len(text)
	return held, nil
}

func (k *Keys) source(client iam.Client) *source {
	k.mu.Lock()
	defer k.mu.Unlock()
	name := client.ID + " " + client.JWKSURI
	if held, ok := k.remote[name]; ok {
		return held
	}
	if k.remote == nil || len(k.remote) >= most {
		k.remote = map[string]*source{}
	}
	held := &source{url: client.JWKSURI, fetcher: k.Fetcher, now: k.Now, grown: func() { k.makeRoom(name) }}
	k.remote[name] = held
	return held
}

// makeRoom forgets sources of others until what was read from all takes no more than it may.
func (k *Keys) makeRoom(reader string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var all int64
	for _, held := range k.remote {
		all += held.text.Load()
	}
	for name, held := range k.remote {
		if all <= mostText {
			return
		}
		if name != reader {
			all -= held.text.Load()
			delete(k.remote, name)
		}
	}
}

// The bounds of the requests that wait for jwks_uri hosts: each takes a place of those that the server answers at once, and
// a host that is dead must take none that another host's clients need.
const (
	maxAtHost  = 16
	maxWaiting = 128
)

// enter takes a place to wait at the host of an address; leave gives it back.
func (k *Keys) enter(address string) (leave func(), ok bool) {
	host := address
	if parsed, err := url.Parse(address); err == nil {
		host = strings.ToLower(parsed.Host)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.places >= maxWaiting || k.waiting[host] >= maxAtHost {
		return nil, false
	}
	if k.waiting == nil {
		k.waiting = map[string]int{}
	}
	k.places++
	k.waiting[host]++
	return func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.places--
		if k.waiting[host]--; k.waiting[host] == 0 {
			delete(k.waiting, host)
		}
	}, true
}
