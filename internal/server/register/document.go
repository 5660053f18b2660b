package register

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"mime"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gardeauth/garde/internal/fetch"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/recipe"
)

// Documents is the iam.Clients of the Server's doors: it finds the clients of storage, gives those that came by themselves
// what their policy says today, and reads those whose id is the address of a metadata document (OAuth Client ID Metadata
// Document). What was read is kept in storage, because what clients are given refers to them there. Make it with
// NewDocuments.
type Documents struct {
	clients iam.Clients
	store   Keeping
	rules   *Rules
	hosts   Limiter

	// Asker names the network that a request comes from; nil, or "": it is not told apart from others.
	Asker func(context.Context) string

	mu     sync.Mutex
	known  map[string]reading
	places places
}

// Keeping is what documents need of storage.
type Keeping interface {
	PutDocument(ctx context.Context, client iam.Client, room iam.Room, events ...journal.Event) error
}

// reading says when an address was read and how that ended.
type reading struct {
	until  time.Time // as long as it counts
	failed error     // nil: what storage holds is what the document says
	good   time.Time // when it was last read well
	client iam.Client
}

// The bounds of reading documents.
const (
	maxDocument = 5 << 10 // bytes, as the draft recommends
	minAge      = 5 * time.Minute
	usualAge    = time.Hour // of a document that does not say
	maxAge      = 24 * time.Hour
	retryAfter  = 10 * time.Second // a failed reading is not tried again before: that bounds what strangers can cause
	graceAfter  = 24 * time.Hour   // a client that was read well goes on for so long when its host is silent
	maxKnown    = 4096
	settled     = 5 * time.Second // within which this node's storage cache has heard of what was kept
)

// NewDocuments stands on the clients of storage. hosts bounds the readings of addresses that nobody knew yet, by site and by
// the network of who asks: 20, then one each 3 s, is enough for any honest one.
func NewDocuments(clients iam.Clients, store Keeping, rules *Rules, hosts Limiter) *Documents {
	return &Documents{
		clients: clients, store: store, rules: rules, hosts: hosts, known: map[string]reading{}, places: newPlaces(),
	}
}

// Client finds a client like iam.Clients does. An address that no policy takes, or whose document can't be read or may not
// stand, is ErrNotFound.
func (d *Documents) Client(ctx context.Context, id string) (iam.Client, error) {
	if !strings.HasPrefix(id, "https://") {
		client, err := d.clients.Client(ctx, id)
		return d.today(client), err
	}
	policy, host, err := d.policy(id)
	if err != nil {
		return iam.Client{}, err
	}
	stored, err := d.clients.Client(ctx, id)
	if err != nil && !errors.Is(err, iam.ErrNotFound) || err == nil && (stored.Disabled || stored.Source != iam.FromDocument) {
		return d.today(stored), err
	}
	here := err == nil
	d.mu.Lock()
	seen, read := d.known[id]
	d.mu.Unlock()
	now := d.rules.now()
	switch {
	case !read || !now.Before(seen.until):
	case !here && seen.failed == nil && now.Sub(seen.good) < settled && seen.client.Policy == policy:
		return d.today(seen.client), nil
	case seen.failed != nil || here && stored.Policy == policy:
		return d.remembered(stored, here, seen, now)
	}
	client, err := d.read(ctx, id, policy, host, stored)
	if err != nil && here && now.Sub(lastGood(seen, stored)) < graceAfter && !errors.Is(err, errUnfit) {
		return d.today(stored), nil
	}
	return d.today(client), err
}

// remembered answers from the last reading.
func (d *Documents) remembered(stored iam.Client, here bool, seen reading, now time.Time) (iam.Client, error) {
	if seen.failed == nil || here && !errors.Is(seen.failed, errUnfit) && now.Sub(lastGood(seen, stored)) < graceAfter {
		return d.today(stored), nil
	}
	return iam.Client{}, seen.failed
}

func lastGood(seen reading, stored iam.Client) time.Time {
	if seen.good.After(stored.Changed) {
		return seen.good
	}
	return stored.Changed
}

func (d *Documents) today(client iam.Client) iam.Client {
	if client.Policy == "" {
		return client
	}
	return d.rules.under(client)
}

// policy finds the policy that takes the documents of a host. One that names the host goes before one that takes any.
func (d *Documents) policy(id string) (policy, host string, err error) {
	host, err = documentHost(id)
	if err != nil {
		return "", "", unknown(err)
	}
	bundle := d.rules.Bundle()
	if bundle == nil {
		return "", "", iam.ErrNotFound
	}
	policies := bundle.Recipe.Registration
	for _, wanted := range []string{host, "*"} {
		for _, name := range slices.Sorted(maps.Keys(policies)) {
			if slices.Contains(policies[name].Documents, wanted) {
				return name, host, nil
			}
		}
	}
	return "", "", iam.ErrNotFound
}

// documentHost gives the host of an address that can be a client's id: in the one spelling that it has, so that one
// document is one client.
func documentHost(id string) (host string, err error) {
	if err := recipe.CheckRedirect(id, recipe.Web); err != nil {
		return "", err
	}
	address, err := url.Parse(id)
	switch {
	case err != nil:
		return "", err
	case address.Scheme != "https" || address.Path == "" || address.Path == "/":
		return "", errors.New("a client's id is an https address with a path")
	case address.RawQuery != "" || address.ForceQuery:
		return "", errors.New("a client's id has no query")
	case len(id) > maxID:
		return "", errors.New("a client's id is shorter")
	}
	host = address.Hostname()
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host, nil
}

// maxID bounds an address that is a client's id; it is shown to people, and stands in tokens.
const maxID = 500

// unknown is how a client is refused whose document is no good: like one that nobody knows, with the cause for the log.
func unknown(cause error) error { return errors.Join(iam.ErrNotFound, cause) }

// read fetches, judges and keeps a document, once for all who ask at the time.
func (d *Documents) read(ctx context.Context, id, policy, host string, stored iam.Client) (iam.Client, error) {
	site, asker := siteOf(host), ""
	if d.Asker != nil {
		asker = d.Asker(ctx)
	}
	d.mu.Lock()
	flying, room := d.places.under(id, site, asker)
	if room && flying == nil && stored.ID == "" {
		room = d.mayBegin(site, asker)
	}
	if !room {
		d.mu.Unlock()
		return iam.Client{}, oauth.Unavailable("too many client documents are being read; try again")
	}
	if flying == nil {
		flying = d.places.begin(id, site, asker)
		go d.fly(context.WithoutCancel(ctx), flying, id, policy, stored)
	}
	d.places.wait(flying, asker)
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.places.leave(flying, asker)
	}()
	select {
	case <-flying.done:
		return flying.client, flying.err
	case <-ctx.Done():
		return iam.Client{}, ctx.Err()
	}
}

// mayBegin tells whether an address that nobody knew yet may be read.
func (d *Documents) mayBegin(site, asker string) bool {
	if asker != "" {
		if ok, _ := d.hosts.Allow("from "+asker, 1); !ok { // first, so that one network can't use up what a site has
			return false
		}
	}
	ok, _ := d.hosts.Allow(site, 1)
	return ok
}

// fly belongs to no caller: one who gives up must not take the answer from the others.
func (d *Documents) fly(ctx context.Context, own *flight, id, policy string, stored iam.Client) {
	ctx, cancel := context.WithTimeout(ctx, 2*fetch.MaxTime)
	defer cancel()
	var age time.Duration
	own.client, age, own.err = d.obtain(ctx, id, own.site, policy, stored)
	now := d.rules.now()
	d.mu.Lock()
	defer d.mu.Unlock()
	seen := reading{until: now.Add(age), good: now, client: own.client}
	if own.err != nil {
		seen = reading{until: now.Add(retryAfter), failed: own.err, good: d.known[id].good}
	}
	if len(d.known) >= maxKnown {
		d.known = map[string]reading{}
	}
	d.known[id] = seen
	d.places.land(id)
}

// errUnfit says that a document was read and may not stand. The client that stood by an older one does not go on.
var errUnfit = errors.New("the document was read, and can be no client here")

// obtain gives the client that a document describes, and how long that holds.
func (d *Documents) obtain(ctx context.Context, id, site, policy string, stored iam.Client) (iam.Client, time.Duration, error) {
	document, err := d.rules.Fetcher.Document(ctx, id)
	if err != nil {
		return iam.Client{}, 0, unknown(errors.Unwrap(err))
	}
	client, err := d.describe(ctx, id, policy, document)
	if err != nil {
		return iam.Client{}, 0, unknown(errors.Join(errUnfit, err))
	}
	client.Changed = d.rules.now()
	age := ageOf(document.CacheControl)
	if same(client, stored) {
		client.Changed = stored.Changed
		return client, age, nil
	}
	if stored.ID != "" {
		if err := keeps(stored, client); err != nil {
			return iam.Client{}, 0, unknown(errors.Join(errUnfit, err))
		}
	}
	_, rules, err := d.rules.policy(policy)
	if err != nil {
		return iam.Client{}, 0, iam.ErrNotFound
	}
	err = d.store.PutDocument(ctx, client, roomUnder(rules, site), changed(d.rules.now(), client, "read from its document under "+policy, ""))
	if errors.Is(err, iam.ErrExists) {
		err = unknown(errors.New("as many clients as may stand under the policy " + policy + " do, or as many of " + site))
	}
	return client, age, err
}

// same tells whether the document says what storage holds.
func same(client, stored iam.Client) bool {
	if stored.ID == "" {
		return false
	}
	client.Changed, stored.Changed = time.Time{}, time.Time{}
	a, errA := json.Marshal(client)
	b, errB := json.Marshal(stored)
	return errA == nil && errB == nil && string(a) == string(b)
}

// ageOf reads how long a document may be kept (RFC 9111 section 5.2), within our own bounds.
func ageOf(control string) time.Duration {
	age := usualAge
	for part := range strings.SplitSeq(strings.ToLower(control), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "no-store", "no-cache":
			return minAge
		case "max-age":
			seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 32)
			if err != nil {
				return minAge
			}
			age = time.Duration(seconds) * time.Second
		}
	}
	return min(max(age, minAge), maxAge)
}

// describe reads a document under the rules of the draft and of the policy.
func (d *Documents) describe(ctx context.Context, id, policy string, document fetch.Document) (iam.Client, error) {
	kind, _, err := mime.ParseMediaType(document.ContentType)
	if err != nil || kind != "application/json" && (!strings.HasPrefix(kind, "application/") || !strings.HasSuffix(kind, "+json")) {
		return iam.Client{}, errors.New("the content type is not JSON")
	}
	if len(document.Body) > maxDocument {
		return iam.Client{}, errors.New("the document is longer than 5 KiB")
	}
	sent, err := members(document.Body)
	if err != nil {
		return iam.Client{}, err
	}
	for _, name := range []string{"client_secret", "client_secret_expires_at", "software_statement"} {
		if _, there := sent[name]; there {
			return iam.Client{}, errors.New("a document holds no " + name)
		}
	}
	said, err := parse(sent)
	if err != nil {
		return iam.Client{}, err
	}
	if said.ClientID != id {
		return iam.Client{}, errors.New("client_id is not the address of the document")
	}
	if said.Auth == "" {
		said.Auth = string(oauth.AuthNone)
	}
	if secretive(oauth.AuthMethod(said.Auth)) {
		return iam.Client{}, errors.New("a document can't share a secret")
	}
	client, err := d.rules.judge(ctx, policy, said)
	if err != nil {
		return iam.Client{}, err
	}
	client.ID, client.Source = id, iam.FromDocument
	return client, sameOrigin(id, client)
}

// sameOrigin refuses redirect URIs at which somebody else than the document's host would get the codes. Addresses on the
// person's own device belong to no host: those of native applications.
func sameOrigin(id string, client iam.Client) error {
	own := originsOf([]string{id})[0]
	for _, uri := range client.RedirectURIs {
		if strings.HasPrefix(uri, "https://") && originsOf([]string{uri})[0] != own {
			return errors.New("redirect_uris: an address stands on another origin than the document")
		}
	}
	return nil
}
