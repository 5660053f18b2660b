// Package storetest is the proof of every contract of keeping: Run runs it on one engine. What passes here may be put
// behind the house; there are no mocks of a store anywhere.
package storetest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/recipe"
)

// Clock is a clock that tests set.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock gives a clock that stands at a fixed time.
func NewClock() *Clock { return &Clock{now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)} }

// Now is the time that the clock shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Pass lets time pass.
func (c *Clock) Pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Opener opens a fresh, empty store under the clock, and gives a tenant's view of it. It is closed when the test ends.
type Opener func(t testing.TB, clock *Clock) Keeper

// Keeper is a view that keeps every contract of iam.
type Keeper interface {
	iam.ClientKeeping
	peopleKeeping
	browserKeeping
	factorKeeping
	tokenKeeping
	comersKeeping
	houseKeeping
	memory
}

type peopleKeeping interface {
	iam.UserKeeping
	iam.Passwords
	iam.Links
	iam.Groups
}

type browserKeeping interface {
	iam.Sessions
	iam.SessionListing
	iam.Flows
	iam.Consents
}

type factorKeeping interface {
	iam.Authenticators
	iam.Devices
	iam.Approvals
	iam.HabitKeeping
	iam.Uses
	iam.Tries
	iam.DeviceSecrets
}

type tokenKeeping interface {
	iam.Codes
	iam.Refreshes
	iam.Accesses
	iam.Issuing
	iam.Grants
	iam.PushedRequests
	iam.Asking
	iam.LogoutReads
}

type comersKeeping interface {
	iam.Registrations
	iam.SelfMade
	iam.Initials
	iam.Cursors
}

type houseKeeping interface {
	iam.Keys
	iam.Sealing
	iam.Revisions
	iam.Nodes
	iam.Changes
	iam.Once
	iam.Deliveries
}

type memory interface {
	iam.Journal
	iam.Tree
	Sweep(ctx context.Context, now time.Time) (int64, error)
}

// house is a fresh store with a client and a person in it.
type house struct {
	Keeper
	t     testing.TB
	ctx   context.Context
	clock *Clock
}

func newHouse(t testing.TB, open Opener) *house {
	t.Helper()
	clock := NewClock()
	h := &house{Keeper: open(t, clock), t: t, ctx: context.Background(), clock: clock}
	h.client("c-app")
	h.user("ada")
	return h
}

// must fails the test unless err is nil.
func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// want fails the test unless err is what was wanted (nil: none).
func (h *house) want(err, wanted error) {
	h.t.Helper()
	if wanted == errAny && err != nil { //nolint:errorlint // a mark of this package
		return
	}
	if !errors.Is(err, wanted) {
		h.t.Fatalf("got %v, want %v", err, wanted)
	}
}

func (h *house) client(id string) iam.Client {
	h.t.Helper()
	client := iam.Client{ID: id, Source: iam.FromAdmin, Kind: recipe.Web, Auth: oauth.AuthBasic, Scope: oauth.Scope{"openid", "a.read"},
		Grants: []oauth.GrantType{oauth.AuthorizationCode, oauth.RefreshToken}, RedirectURIs: []string{"https://app.example/cb"}}
	h.must(h.PutClient(h.ctx, client))
	return client
}

func (h *house) user(name string) iam.User {
	h.t.Helper()
	user := iam.User{ID: "u-" + name, Username: name, Email: name + "@example.com", EmailKey: name + "@example.com", Created: h.clock.Now()}
	h.must(h.AddUser(h.ctx, user, iam.Password{}))
	return user
}

// session starts a session of ada.
func (h *house) session() iam.Session {
	h.t.Helper()
	session := iam.Session{ID: uuid.NewString(), Hash: iam.HashSession(iam.NewSecret(iam.PrefixSession)), User: "u-ada", AuthTime: h.clock.Now(),
		AMR: []string{"pwd"}, ACR: "urn:basic", Created: h.clock.Now(), Seen: h.clock.Now(), Expires: h.clock.Now().Add(8 * time.Hour)}
	h.must(h.StartSession(h.ctx, session, iam.SessionHash{}))
	return session
}

func newCode(now time.Time, session string) iam.Code {
	return iam.Code{Hash: iam.HashCode(iam.NewSecret(iam.PrefixCode)), RedirectURI: "https://app.example/cb", Challenge: "challenge",
		Grant: iam.Grant{ID: uuid.NewString(), Client: "c-app", User: "u-ada", Session: session, Scope: oauth.Scope{"openid", "a.read"},
			Resource: []string{"https://api.example"}, Nonce: "n", AuthTime: now, AMR: []string{"pwd"}, ACR: "urn:basic",
			Created: now, Expires: now.Add(30 * 24 * time.Hour)},
		Created: now, Expires: now.Add(time.Minute)}
}

// newAsked is an authorization that c-app is about to ask for; by CIBA it asks ada.
func (h *house) newAsked(kind iam.AskedKind) iam.Asked {
	asked := iam.Asked{Kind: kind, ID: uuid.NewString(), Client: "c-app", Query: "scope=openid+a.read", Message: "1234", Address: "192.0.2.7", Agent: "TV\x00",
		State: iam.AskedWaiting, Interval: 5 * time.Second, Created: h.clock.Now(), Expires: h.clock.Now().Add(10 * time.Minute)}
	if kind == iam.AskedCIBA {
		asked.Hash, asked.User, asked.Delivery = iam.HashCIBA(iam.NewSecret(iam.PrefixCIBA)), "u-ada", "poll"
		return asked
	}
	asked.Hash, asked.UserCode = iam.HashDevice(iam.NewSecret(iam.PrefixDevice)), iam.UserHash(iam.Hash(asked.ID))
	return asked
}

// code adds a code of ada for c-app.
func (h *house) code(session string) iam.Code {
	h.t.Helper()
	code := newCode(h.clock.Now(), session)
	h.must(h.AddCode(h.ctx, code, iam.FlowHash{}, nil))
	return code
}

func proofOf(code iam.Code) *iam.CodeProof {
	return &iam.CodeProof{Hash: code.Hash, Client: code.Grant.Client, RedirectURI: code.RedirectURI, Challenge: code.Challenge}
}

func (h *house) newRefresh(grant string) *iam.Refresh {
	return &iam.Refresh{Hash: iam.HashRefresh(iam.NewSecret(iam.PrefixRefresh)), Grant: grant, Created: h.clock.Now(), Idle: h.clock.Now().Add(7 * 24 * time.Hour)}
}

func (h *house) newAccess(grant iam.Grant) *iam.Access {
	return &iam.Access{Hash: iam.HashAccess(iam.NewSecret(iam.PrefixAccess)), ID: uuid.NewString(), Grant: grant.ID, Client: grant.Client, User: grant.User,
		Session: grant.Session, Audience: "https://api.example", Scope: grant.Scope, Issued: h.clock.Now(), Expires: h.clock.Now().Add(10 * time.Minute)}
}

// issued is what redeeming a code gave.
type issued struct {
	code    iam.Code
	refresh *iam.Refresh
	access  *iam.Access
}

// redeem adds a code and redeems it for a refresh token and an opaque access token.
func (h *house) redeem(session string) issued {
	h.t.Helper()
	code := h.code(session)
	got := issued{code, h.newRefresh(code.Grant.ID), h.newAccess(code.Grant)}
	h.must(h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: "c-app", User: "u-ada", Session: session, Code: proofOf(code),
		NewRefresh: got.refresh, NewAccess: got.access, Events: []journal.Event{h.event()}}))
	return got
}

func (h *house) event() journal.Event {
	event := journal.New(h.clock.Now(), journal.TokenIssued{GrantType: "authorization_code"})
	event.Client, event.User, event.Actor, event.Trace = "c-app", "u-ada", "client:c-app", "trace-1"
	event.Personal = map[string]string{"address": "192.0.2.1"}
	return event
}

// rotate shows a refresh token and asks for a successor.
func (h *house) rotate(token *iam.Refresh) (*iam.Refresh, error) {
	next := h.newRefresh(token.Grant)
	return next, h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: "c-app", User: "u-ada",
		Refresh: &iam.RefreshProof{Hash: token.Hash, Client: "c-app"}, Replace: next, Events: []journal.Event{h.event()}})
}

// proofs are named parts of what Run proves.
type proofs map[string]func(*testing.T, Opener)

func (p proofs) run(t *testing.T, open Opener) {
	for name, prove := range p {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			prove(t, open)
		})
	}
}

// Run proves every contract on the engine that open opens, but for those of the further doors (RunDoors).
func Run(t *testing.T, open Opener) {
	proofs{
		"codes": codes, "codes of sessions": codesOfSessions, "tries": tries, "guesses": guesses, "refresh": refreshes, "refresh bounds": refreshBounds, "survivals": survivals,
		"clients": clients, "ends of clients": clientEnds, "people": people, "ends of people": peopleEnd, "more races": racesOfMany, "messages": messages,
		"sessions": sessions, "links": links, "links of factors": linksOfFactors,
		"flows": flows, "consents": consents, "keys": keys, "sealed": sealed, "revisions": revisions, "renamings": renamings, "bounds of renamings": renamingBounds, "house": nodes, "journal": journals,
		"tree": trees, "sweep": sweeps, "races": races, "models": models, "text": texts,
	}.run(t, open)
}
