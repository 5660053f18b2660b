package lab

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/token"
)

// Person is somebody who is signed in in one browser and has allowed the clients everything.
type Person struct {
	iam.User
	Session string // id
	Cookie  string // of the session, name and value
}

// Verifier is the PKCE verifier of every planted code, Challenge its S256.
const Verifier = "an-honest-verifier-of-forty-three-letters-or-more"

// Challenge gives the S256 of a verifier.
func Challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// NewPerson plants a person with a session at the level Basic and a consent for each client that asks.
func (h *House) NewPerson(name string) *Person {
	h.t.Helper()
	now, ctx := h.Clock.Now().UTC().Truncate(time.Microsecond), context.Background()
	name += "-" + strings.ToLower(uuid.NewString()[:8])
	p := &Person{User: iam.User{
		ID: uuid.NewString(), Username: name, Email: name + "@people.example", EmailKey: name + "@people.example", EmailVerified: true,
		Name: "Test " + name, Created: now, Changed: now,
	}}
	h.must(h.Store().AddUser(ctx, p.User, iam.Password{}))
	for _, client := range h.Clients() {
		if redirects[client] != "" {
			h.Allow(p, client, everything...)
		}
	}
	h.SignIn(p)
	return p
}

var everything = oauth.Scope{"openid", "profile", "email", "offline_access", "accounts.read", "transfers.write", "vault.read", "ledger.read", "secure.read"}

// Allow plants a consent.
func (h *House) Allow(p *Person, client string, scope ...string) {
	h.t.Helper()
	h.must(h.Store().GiveConsent(context.Background(), iam.Consent{User: p.ID, Client: client, Scope: scope, Given: h.Clock.Now().UTC()}))
}

// SignIn plants a new session.
func (h *House) SignIn(p *Person) {
	h.t.Helper()
	now := h.Clock.Now().UTC().Truncate(time.Second)
	value := iam.NewSecret(iam.PrefixSession)
	session := iam.Session{
		ID: uuid.NewString(), Hash: iam.HashSession(value), User: p.ID, AuthTime: now, AMR: []string{"pwd"}, ACR: Basic,
		Proofs: []iam.Proved{{Factor: "password", At: now, Begun: now, Methods: []string{"pwd"}}},
		Agent:  "a test", Address: "127.0.0.1", Created: now, Seen: now, Expires: now.Add(7 * 24 * time.Hour),
	}
	h.must(h.Store().StartSession(context.Background(), session, iam.SessionHash{}))
	p.Session, p.Cookie = session.ID, "garde-session="+value
	if h.options.TLS {
		p.Cookie = "__Host-" + p.Cookie
	}
}

// Code is a planted authorization code with what its client knows.
type Code struct {
	Value, Client, Redirect, Verifier string
	Grant                             iam.Grant
}

// Plant says what a planted code is for; zero fields take what fits.
type Plant struct {
	Client   string // WebA
	Scope    string // openid accounts.read
	Resource string // named when the code is redeemed; "": none
	Twist    func(*iam.Code)
}

// Code plants a code that the person p gave a client a moment ago.
func (h *House) Code(p *Person, plant Plant) Code {
	h.t.Helper()
	if plant.Client == "" {
		plant.Client = WebA
	}
	if plant.Scope == "" {
		plant.Scope = "openid accounts.read"
	}
	now := h.Clock.Now().UTC().Truncate(time.Microsecond)
	value := iam.NewSecret(iam.PrefixCode)
	scope := oauth.Scope(strings.Fields(plant.Scope))
	code := iam.Code{
		Hash: iam.HashCode(value), RedirectURI: redirects[plant.Client], Challenge: Challenge(Verifier),
		Created: now, Expires: now.Add(time.Minute),
		Grant: iam.Grant{
			ID: uuid.NewString(), Client: plant.Client, User: p.ID, Session: p.Session, Scope: scope,
			AuthTime: now.Truncate(time.Second), AMR: []string{"pwd"}, ACR: Basic, Created: now, Expires: now.Add(30 * 24 * time.Hour),
		},
	}
	if plant.Twist != nil {
		plant.Twist(&code)
	}
	h.must(h.Store().AddCode(context.Background(), code, iam.FlowHash{}, nil))
	return Code{value, plant.Client, code.RedirectURI, Verifier, code.Grant}
}

// Asked plants what the person p was asked elsewhere, and allowed a moment ago: a device code, or an auth_req_id.
func (h *House) Asked(p *Person, client string, kind iam.AskedKind) string {
	h.t.Helper()
	now := h.Clock.Now().UTC().Truncate(time.Microsecond)
	return h.decided(p, client, kind, now, iam.Verdict{Approved: true, Grant: iam.Grant{
		ID: uuid.NewString(), Client: client, User: p.ID, Session: p.Session, Scope: oauth.Scope{"openid", "accounts.read"},
		AuthTime: now.Truncate(time.Second), AMR: []string{"pwd"}, ACR: Basic, Created: now, Expires: now.Add(30 * 24 * time.Hour),
	}})
}

// Refused is Asked, and p said no.
func (h *House) Refused(p *Person, client string, kind iam.AskedKind) string {
	h.t.Helper()
	return h.decided(p, client, kind, h.Clock.Now().UTC().Truncate(time.Microsecond), iam.Verdict{})
}

func (h *House) decided(p *Person, client string, kind iam.AskedKind, now time.Time, verdict iam.Verdict) string {
	h.t.Helper()
	asked := iam.Asked{
		Kind: kind, ID: uuid.NewString(), Client: client, Query: "client_id=" + client + "&scope=openid+accounts.read",
		State: iam.AskedWaiting, Created: now, Expires: now.Add(5 * time.Minute),
	}
	value := iam.NewSecret(iam.PrefixDevice)
	asked.Hash, asked.UserCode = iam.HashDevice(value), iam.UserHash(iam.Hash(asked.ID))
	if kind == iam.AskedCIBA {
		value = iam.NewSecret(iam.PrefixCIBA)
		asked.Hash, asked.UserCode, asked.User, asked.Delivery = iam.HashCIBA(value), iam.UserHash{}, p.ID, "poll"
	}
	h.must(h.Store().Ask(context.Background(), asked))
	h.must(h.Store().Decide(context.Background(), asked.ID, verdict, now))
	return value
}

// Tokens is a token answer.
type Tokens struct {
	token.Answer
	Client string
	Grant  string
}

// Tokens plants a code and redeems it through the door.
func (h *House) Tokens(p *Person, plant Plant) Tokens {
	h.t.Helper()
	code := h.Code(p, plant)
	form := code.Form()
	if plant.Resource != "" {
		form.Set("resource", plant.Resource)
	}
	reply := h.As(code.Client, "/token", form)
	var got Tokens
	got.Client, got.Grant = code.Client, code.Grant.ID
	reply.Into(&got.Answer)
	return got
}
