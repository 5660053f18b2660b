package password

import (
	"crypto/pbkdf2"
	"crypto/sha1" //nolint:gosec // only to verify what other systems have hashed
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"hash"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// The costs at which an imported hash is refused.
const (
	mostRounds     = 2_000_000 // PBKDF2: about a second
	mostBcryptCost = 14        // about a second
	// bcryptBytes is where bcrypt stops reading.
	bcryptBytes = 72
)

// bcrypted is an imported bcrypt hash.
type bcrypted string

func parseBcrypt(encoded string) (stored, error) {
	prefix, _, _ := strings.Cut(encoded[1:], "$")
	spent, err := bcrypt.Cost([]byte(encoded))
	if err != nil || len(encoded) != 60 || spent > mostBcryptCost || prefix != "2a" && prefix != "2b" && prefix != "2y" {
		return nil, ErrHash
	}
	return bcrypted(encoded), nil
}

// matches refuses what bcrypt would cut off: of two passwords that differ behind the 72nd byte only one is the user's.
func (b bcrypted) matches(password string) bool {
	fits := len(password) <= bcryptBytes && strings.IndexByte(password, 0) < 0
	tried := password[:min(len(password), bcryptBytes)]
	return bcrypt.CompareHashAndPassword([]byte(b), []byte(tried)) == nil && fits
}

func (bcrypted) stale() bool { return true }

// derived is an imported PBKDF2 hash.
type derived struct {
	digest    func() hash.Hash
	rounds    int
	salt, sum []byte
}

func (d derived) matches(password string) bool {
	sum, err := pbkdf2.Key(d.digest, password, d.salt, d.rounds, len(d.sum))
	return err == nil && len(d.sum) > 0 && subtle.ConstantTimeCompare(sum, d.sum) == 1
}

func (derived) stale() bool { return true }

// parsePBKDF2 reads three spellings: that of Django (pbkdf2_sha256$rounds$salt$sum, with the salt as text), that of
// passlib ($pbkdf2-sha256$rounds$salt$sum in base64 with a full stop for plus) and PHC's ($pbkdf2-sha256$i=rounds$...).
func parsePBKDF2(encoded string) (stored, error) {
	name, rest, _ := strings.Cut(strings.TrimPrefix(encoded, "$"), "$")
	parts := strings.Split(rest, "$")
	if len(parts) != 3 {
		return nil, ErrHash
	}
	var d derived
	var err error
	django := strings.HasPrefix(encoded, "pbkdf2_")
	if d.digest = digest(strings.TrimLeft(strings.TrimPrefix(name, "pbkdf2"), "_-")); d.digest == nil {
		return nil, ErrHash
	}
	rounds := parts[0]
	if !django {
		rounds, _, _ = strings.Cut(strings.TrimPrefix(rounds, "i="), ",l=")
	}
	if d.rounds, err = cost(rounds, "", 1, mostRounds); err != nil {
		return nil, err
	}
	if django {
		d.salt = []byte(parts[1])
		d.sum, err = base64.StdEncoding.Strict().DecodeString(parts[2])
		if err != nil || len(d.salt) == 0 || len(d.salt) > 64 || len(d.sum) < 16 || len(d.sum) > 64 {
			return nil, ErrHash
		}
		return d, nil
	}
	if d.salt, err = decode(strings.ReplaceAll(parts[1], ".", "+"), 1, 64); err != nil {
		return nil, err
	}
	if d.sum, err = decode(strings.ReplaceAll(parts[2], ".", "+"), 16, 64); err != nil {
		return nil, err
	}
	return d, nil
}

func digest(name string) func() hash.Hash {
	switch name {
	case "sha1", "": // passlib calls PBKDF2 with SHA-1 just pbkdf2
		return sha1.New
	case "sha256":
		return sha256.New
	case "sha512":
		return sha512.New
	}
	return nil
}
