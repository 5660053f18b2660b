package iam

import (
	"context"
	"time"

	"github.com/gardeauth/garde/internal/journal"
)

// User is a person. Its id is random and never reused; it is the sub of tokens.
type User struct {
	ID            string         `json:"id"`
	Username      string         `json:"username"` // canonical form (see Canonical), unique
	Email         string         `json:"email,omitempty"`
	EmailKey      string         `json:"-"` // canonical form of Email, unique among verified addresses
	EmailVerified bool           `json:"email_verified"`
	Name          string         `json:"name,omitempty"`
	Claims        map[string]any `json:"claims,omitempty"` // other OpenID claims: given_name, birthdate, address, phone_number …
	Groups        []string       `json:"groups,omitempty"`
	Admin         bool           `json:"admin,omitempty"`
	Disabled      bool           `json:"disabled,omitempty"`
	Locale        string         `json:"locale,omitempty"`
	Created       time.Time      `json:"created"`
	Changed       time.Time      `json:"changed"`
}

// Password is a person's password as a PHC string.
type Password struct {
	User    string
	PHC     string
	Changed time.Time
}

// Users finds people.
type Users interface {
	// User finds by id; a disabled one is found, a removed one is ErrNotFound.
	User(ctx context.Context, id string) (User, error)
	// UserByName finds by canonical username, or by the canonical form of a verified e-mail address.
	UserByName(ctx context.Context, canonical string) (User, error)
}

// UserKeeping is what administration and sign-up need.
type UserKeeping interface {
	Users
	ListUsers(ctx context.Context, page Page) ([]User, error)
	// AddUser adds a person, with a password unless its PHC is empty. ErrExists if the name or verified address is taken.
	AddUser(ctx context.Context, user User, password Password, events ...journal.Event) error
	// SetUser replaces what is known of a person. Disabling ends sessions, flows, grants and tokens.
	SetUser(ctx context.Context, user User, events ...journal.Event) error
	// RemoveUser ends everything of a person and leaves a tombstone, so that the id can't come back.
	RemoveUser(ctx context.Context, id string, events ...journal.Event) error
}

// Passwords keeps passwords.
type Passwords interface {
	// Password is ErrNotFound for a person without one.
	Password(ctx context.Context, user string) (Password, error)
	// SetPassword replaces it and ends every session, flow, link and grant of the person, except the session named
	// keep (empty: none) and the grants born of it.
	SetPassword(ctx context.Context, password Password, keep string, events ...journal.Event) error
	// Rehash replaces the PHC string of an unchanged password; it ends nothing. ErrRaced if old is no longer kept.
	Rehash(ctx context.Context, user, old, replacement string) error
}

// LinkKind is what a one-time link does. A link of one kind is never found as another.
type LinkKind string

// The kinds of link.
const (
	LinkVerify LinkKind = "verify" // proves an e-mail address
	LinkReset  LinkKind = "reset"  // sets a new password
	LinkEnrol  LinkKind = "enrol"  // sets the first password of an account that an administrator made, or adds a passkey to it
)

// Link is a one-time link that a mail or an administrator carries.
type Link struct {
	Hash    LinkHash
	Kind    LinkKind
	User    string
	Email   string // what LinkVerify proves
	Flow    string // login transaction to go on with, sealed in the link's row; may be empty
	Created time.Time
	Expires time.Time
}

// Links keeps one-time links.
type Links interface {
	// AddLink keeps a link and ends earlier ones of the same kind and person.
	AddLink(ctx context.Context, link Link, events ...journal.Event) error
	// Link finds without spending. ErrNotFound also when expired or spent.
	Link(ctx context.Context, kind LinkKind, hash LinkHash) (Link, error)
	// VerifyEmail spends a LinkVerify and marks the address; ErrExists if another account verified it first.
	VerifyEmail(ctx context.Context, hash LinkHash, events ...journal.Event) (User, error)
	// UsePasswordLink spends a LinkReset or LinkEnrol and sets the password like Passwords.SetPassword.
	UsePasswordLink(ctx context.Context, kind LinkKind, hash LinkHash, phc string, events ...journal.Event) (User, error)
	// UseFactorLink spends a LinkEnrol and adds the authenticator to its person, whose sessions, grants and other links end
	// like by SetPassword. ErrExists and ErrFull like AddAuthenticator; the link is not spent then.
	UseFactorLink(ctx context.Context, hash LinkHash, added Authenticator, events ...journal.Event) (User, error)
}

// Group is a flat group of people.
type Group struct {
	Name    string    `json:"name"`
	Say     string    `json:"say,omitempty"`
	Members int       `json:"members"`
	Created time.Time `json:"created"`
}

// Groups keeps flat groups. A user's Groups are the names.
type Groups interface {
	ListGroups(ctx context.Context, page Page) ([]Group, error)
	PutGroup(ctx context.Context, group Group, events ...journal.Event) error
	RemoveGroup(ctx context.Context, name string, events ...journal.Event) error
	GroupMembers(ctx context.Context, name string, page Page) ([]User, error)
	SetMember(ctx context.Context, name, user string, member bool, events ...journal.Event) error
}
