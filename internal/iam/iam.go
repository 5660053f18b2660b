// Package iam holds the nouns of the house (client, user, session, code, grant, refresh token, key, revision) and, beside
// each noun, the contract of its keeping. It knows no SQL, no HTTP and no cryptography but hashing.
//
// Every contract is a view of one tenant: an engine hands out the view (store.Tenant), so no caller can forget the
// tenant, and every key in storage begins with it. Contracts speak in deeds: each method is atomic, and when it returns
// nil what it promises is durable. Times are UTC with microseconds.
package iam

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"strings"
)

// Tenant is the first part of every key in storage.
type Tenant string

// DefaultTenant is the only tenant for now.
const DefaultTenant Tenant = "default"

// The answers of an engine. Anything else that it returns is a fault of ours.
var (
	ErrNotFound = errors.New("not found")               // no such noun, or not yours
	ErrExists   = errors.New("exists already")          // the name or id is taken
	ErrSpent    = errors.New("spent already")           // a one-time value came again; what it gave has ended
	ErrMismatch = errors.New("does not match")          // a proof's binding differs; the proof stays, the try is counted
	ErrExpired  = errors.New("expired")                 // too late
	ErrRevoked  = errors.New("revoked")                 // the grant, session, user or client no longer stands
	ErrRaced    = errors.New("changed by someone else") // the expected revision is not the one in force
	ErrFull     = errors.New("no more of them")         // a bound is reached
	ErrLast     = errors.New("the last one")            // without it, a person could not sign in any more
	ErrPending  = errors.New("not decided yet")         // ask again later

	// ErrUnavailable: not done, or not known to be done. Faces answer 503, because it says Unavailable.
	ErrUnavailable error = unavailable{}
)

type unavailable struct{}

func (unavailable) Error() string     { return "storage unavailable" }
func (unavailable) Unavailable() bool { return true }

// Digest is the SHA-256 of a secret value, as storage keeps it.
type Digest [sha256.Size]byte

// String is the digest as storage spells it: base64url without padding.
func (d Digest) String() string { return base64.RawURLEncoding.EncodeToString(d[:]) }

// Zero tells whether d was never set.
func (d Digest) Zero() bool { return d == Digest{} }

// Equal compares in constant time. A zero digest equals nothing.
func (d Digest) Equal(other Digest) bool {
	return !d.Zero() && subtle.ConstantTimeCompare(d[:], other[:]) == 1
}

// The hashes of one-time and bearer values: a type each, so that one kind is never looked up as another.
type (
	CodeHash         Digest // authorization code
	RefreshHash      Digest // refresh token
	AccessHash       Digest // opaque access token
	SessionHash      Digest // session cookie
	FlowHash         Digest // login transaction
	LinkHash         Digest // one-time link in a mail
	PushedHash       Digest // pushed authorization request
	AskedHash        Digest // device code or auth_req_id
	UserHash         Digest // user code of a device, see HashUserCode
	KeeperHash       Digest // registration access token
	InitialHash      Digest // initial access token
	DeviceSecretHash Digest // device secret (OpenID Native SSO)
)

// The prefixes that tell the kinds of secret value apart, for people, secret scanners and the logger that redacts them.
const (
	PrefixCode    = "ac_"
	PrefixRefresh = "rt_"
	PrefixAccess  = "at_"
	PrefixSession = "se_"
	PrefixFlow    = "fl_"
	PrefixLink    = "ln_"
	PrefixClient  = "cs_" // generated client secret
	PrefixPushed  = "pr_" // of the request_uri of a pushed request, behind RequestURN
	PrefixDevice  = "dc_" // device code
	PrefixCIBA    = "ar_" // auth_req_id
	PrefixKeeper  = "ra_" // registration access token
	PrefixInitial = "ia_" // initial access token
	PrefixNative  = "ds_" // device secret (OpenID Native SSO)
)

// RequestURN begins the request_uri of a pushed request (RFC 9126 section 2.2).
const RequestURN = "urn:ietf:params:oauth:request_uri:"

const secretBytes = 32

// NewSecret makes a value of 256 random bits behind prefix, with a checksum at the end so that scanners and doors can
// tell a mistyped one without a look-up.
func NewSecret(prefix string) string {
	var raw [secretBytes]byte
	rand.Read(raw[:]) // never returns an error since Go 1.24
	body := prefix + base64.RawURLEncoding.EncodeToString(raw[:])
	return body + checksum(body)
}

// SecretLen is the length of what NewSecret gives, beyond its prefix.
const SecretLen = 43 + 6

func checksum(body string) string {
	return base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(body))))
}

// WellFormed tells whether value has the prefix, length and checksum of NewSecret: anything else needs no look-up.
func WellFormed(prefix, value string) bool {
	if len(value) != len(prefix)+SecretLen || !strings.HasPrefix(value, prefix) {
		return false
	}
	body := value[:len(value)-6]
	return checksum(body) == value[len(value)-6:]
}

// Hash is the digest of a secret value of full entropy.
func Hash(value string) Digest { return sha256.Sum256([]byte(value)) }

// HashCode, HashRefresh and their siblings are the only makers of their types. A value that is not well formed gives
// the zero hash, which is never in storage.
func HashCode(value string) CodeHash { return CodeHash(hashOf(PrefixCode, value)) }

// HashRefresh: see HashCode.
func HashRefresh(value string) RefreshHash { return RefreshHash(hashOf(PrefixRefresh, value)) }

// HashAccess: see HashCode.
func HashAccess(value string) AccessHash { return AccessHash(hashOf(PrefixAccess, value)) }

// HashSession: see HashCode.
func HashSession(value string) SessionHash { return SessionHash(hashOf(PrefixSession, value)) }

// HashFlow: see HashCode.
func HashFlow(value string) FlowHash { return FlowHash(hashOf(PrefixFlow, value)) }

// HashLink: see HashCode.
func HashLink(value string) LinkHash { return LinkHash(hashOf(PrefixLink, value)) }

// HashPushed takes the whole request_uri; see HashCode.
func HashPushed(uri string) PushedHash {
	value, ours := strings.CutPrefix(uri, RequestURN)
	if !ours {
		return PushedHash{}
	}
	return PushedHash(hashOf(PrefixPushed, value))
}

// HashDevice and HashCIBA: see HashCode. The two never give the same hash for one value.
func HashDevice(value string) AskedHash { return AskedHash(hashOf(PrefixDevice, value)) }

// HashCIBA: see HashDevice.
func HashCIBA(value string) AskedHash { return AskedHash(hashOf(PrefixCIBA, value)) }

// HashKeeper: see HashCode.
func HashKeeper(value string) KeeperHash { return KeeperHash(hashOf(PrefixKeeper, value)) }

// HashInitial: see HashCode.
func HashInitial(value string) InitialHash { return InitialHash(hashOf(PrefixInitial, value)) }

// HashDeviceSecret hashes a device secret.
func HashDeviceSecret(value string) DeviceSecretHash {
	return DeviceSecretHash(hashOf(PrefixNative, value))
}

func hashOf(prefix, value string) Digest {
	if !WellFormed(prefix, value) {
		return Digest{}
	}
	return Hash(value)
}

// Page asks for a part of a list: at most Limit rows (1..500, 0 means 100) after the row whose id is After.
type Page struct {
	After string
	Limit int
}
