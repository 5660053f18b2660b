// Package passkey registers passkeys and security keys and verifies what they sign (WebAuthn Level 3, sections 7.1 and
// 7.2). It is the one door to the WebAuthn module. It keeps nothing and knows no request: what an authenticator is comes
// and goes as an iam.Authenticator, and what a ceremony must see again as a text that its caller keeps, and spends before
// it asks here.
package passkey

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"time"

	"github.com/go-webauthn/webauthn/protocol"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/seal"
	"github.com/gardeauth/garde/recipe"
)

// What a ceremony ends with when it does not succeed. Each is wrapped with the reason, which is for operators.
var (
	ErrRefused = errors.New("the authenticator's answer is refused")
	// ErrStale: the ceremony is over, or was another one. To ask anew helps.
	ErrStale = errors.New("the ceremony has ended")
	// ErrModel: an honest authenticator of a kind that the recipe does not admit.
	ErrModel = errors.New("this kind of authenticator is not admitted")
	// ErrCloned: the signature counter went back or stood still: there may be a second copy of the key.
	ErrCloned = errors.New("the authenticator's counter went back")
)

// Life is how long a person may take to answer.
const Life = 5 * time.Minute

// Party is this server as authenticators know it. All fields but Roots and Now are required; it is a value, made anew when
// the recipe changes.
type Party struct {
	ID     string // the domain that credentials are scoped to
	Origin string // of the pages that ask, as browsers spell it
	Name   string // of the company, for the browser's dialogue
	Rules  recipe.Passkeys
	Roots  *x509.CertPool // who vouches for models of authenticators; nil: nobody does
	Sealer seal.Sealer
	Tenant iam.Tenant
	Now    func() time.Time // nil: time.Now
}

// Home gives the domain and the origin of a server whose pages stand below issuer. It is false where no browser would
// take part: at an IP address, or without https anywhere but on localhost.
func Home(issuer string) (id, origin string, ok bool) {
	at, err := url.Parse(issuer)
	if err != nil || at.Host == "" {
		return "", "", false
	}
	id, origin = at.Hostname(), at.Scheme+"://"+at.Host
	if _, err := netip.ParseAddr(id); err == nil {
		return id, origin, false
	}
	return id, origin, at.Scheme == "https" || id == "localhost"
}

// Asked is a ceremony that has begun.
type Asked struct {
	Options string // JSON for navigator.credentials: PublicKeyCredentialCreationOptionsJSON or …RequestOptionsJSON
	State   string // to be kept where the browser can't write, spent once, and given back to Finish
}

const challengeBytes = 32

// ceremony is what State says.
type ceremony struct {
	Deed      string         `json:"deed"` // create, get
	Kind      iam.FactorKind `json:"kind"`
	Challenge string         `json:"challenge"`
	User      string         `json:"user,omitempty"` // whose authenticators may answer; empty: anybody's
	Begun     time.Time      `json:"begun"`
}

const (
	deedCreate = "create"
	deedGet    = "get"
)

func (p Party) now() time.Time {
	if p.Now != nil {
		return p.Now().UTC()
	}
	return time.Now().UTC()
}

func (p Party) begin(deed string, kind iam.FactorKind, user string) ceremony {
	challenge := make([]byte, challengeBytes)
	_, _ = rand.Read(challenge) // never fails since Go 1.24
	return ceremony{deed, kind, base64.RawURLEncoding.EncodeToString(challenge), user, p.now()}
}

// resume reads the state of a ceremony of that deed that is not over.
func (p Party) resume(state, deed string) (ceremony, error) {
	var begun ceremony
	if err := jose.DecodeJSON([]byte(state), &begun); err != nil || begun.Challenge == "" || begun.Deed != deed {
		return ceremony{}, fmt.Errorf("%w: no such ceremony is under way", ErrStale)
	}
	if age := p.now().Sub(begun.Begun); age > Life || age < -time.Minute {
		return ceremony{}, fmt.Errorf("%w: it is too old", ErrStale)
	}
	return begun, nil
}

// Begun tells when the ceremony of that state began; the zero time if it is none.
func Begun(state string) time.Time {
	var begun ceremony
	if jose.DecodeJSON([]byte(state), &begun) != nil {
		return time.Time{}
	}
	return begun.Begun
}

// handle is the user handle of a person: their id, which is random, or its hash where it would not fit (section 4).
func handle(user string) []byte {
	if len(user) <= 64 {
		return []byte(user)
	}
	sum := sha256.Sum256([]byte(user))
	return sum[:]
}

// record is what is sealed of an authenticator.
type record struct {
	ID         []byte   `json:"id"`
	Key        []byte   `json:"key"` // COSE
	Eligible   bool     `json:"be"`
	BackedUp   bool     `json:"bs"`
	Verified   bool     `json:"uv"` // it verified its user when it was registered
	Transports []string `json:"transports,omitempty"`
	Format     string   `json:"format,omitempty"` // of its attestation
	Proved     bool     `json:"proved,omitempty"` // a root vouched for its model
}

func (p Party) place(id string) seal.AD {
	return seal.AD{Tenant: string(p.Tenant), Table: "authenticators", Row: id}
}

func (p Party) seal(id string, kept record) (string, error) {
	text, err := marshal(kept)
	if err != nil {
		return "", err
	}
	return p.Sealer.Seal(p.place(id), []byte(text))
}

func (p Party) open(kept iam.Authenticator) (record, error) {
	plain, err := p.Sealer.Open(p.place(kept.ID), kept.Sealed)
	if err != nil {
		return record{}, fmt.Errorf("open an authenticator: %w", err)
	}
	var opened record
	if err := jose.DecodeJSON(plain, &opened); err != nil {
		return record{}, fmt.Errorf("read an authenticator: %w", err)
	}
	return opened, nil
}

// descriptors tells a browser which authenticators are meant. What can't be opened is left out: it could not answer.
func (p Party) descriptors(list []iam.Authenticator) []protocol.CredentialDescriptor {
	var all []protocol.CredentialDescriptor
	for _, one := range list {
		if one.Kind != iam.FactorPasskey && one.Kind != iam.FactorSecurityKey {
			continue
		}
		opened, err := p.open(one)
		if err != nil {
			continue
		}
		described := protocol.CredentialDescriptor{Type: protocol.PublicKeyCredentialType, CredentialID: opened.ID}
		for _, transport := range opened.Transports {
			described.Transport = append(described.Transport, protocol.AuthenticatorTransport(transport))
		}
		all = append(all, described)
	}
	return all
}
