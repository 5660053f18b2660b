package otp

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/gardeauth/garde/internal/iam"
)

// Recoveries is how many recovery codes a person has.
const Recoveries = 10

// letters of recovery codes: none that reads like a digit or another, and no vowel, so that they make no words.
const letters = "23456789bcdfghjkmnpqrstvwxyz"

// recoveryLetters of 28: 76 bits, too many to try even for who has read the storage.
const recoveryLetters = 16

// NewRecovery makes recovery codes, as people keep them: four groups of four.
func NewRecovery() []string {
	codes := make([]string, Recoveries)
	for i := range codes {
		codes[i] = newRecovery()
	}
	return codes
}

func newRecovery() string {
	var out strings.Builder
	for out.Len() < recoveryLetters+3 {
		if out.Len()%5 == 4 {
			out.WriteByte('-')
			continue
		}
		var raw [1]byte
		_, _ = rand.Read(raw[:])                         // never fails since Go 1.24
		if int(raw[0]) < 256/len(letters)*len(letters) { // else some letters would come more often
			out.WriteByte(letters[int(raw[0])%len(letters)])
		}
	}
	return out.String()
}

// HashRecovery is what storage keeps of a recovery code: of that person's alone. Capitals, spaces and hyphens do not
// matter. What can't be a code gives the zero digest, which is never in storage.
func HashRecovery(user, typed string) iam.Digest {
	if len(typed) > 4*recoveryLetters {
		return iam.Digest{}
	}
	var plain strings.Builder
	for _, r := range typed {
		if 'A' <= r && r <= 'Z' { // these alone: other capitals fold to letters too
			r += 'a' - 'A'
		}
		switch {
		case r == ' ' || r == '-' || r == '\u00a0':
		case strings.ContainsRune(letters, r):
			plain.WriteRune(r)
		default:
			return iam.Digest{}
		}
	}
	if plain.Len() != recoveryLetters || user == "" {
		return iam.Digest{}
	}
	return iam.Hash("recovery " + user + " " + plain.String())
}

// MailDigits is how long a code is that a mail carries.
const MailDigits = 8

// NewMailCode makes a code to type from a mail: two groups of four digits.
func NewMailCode() string {
	for {
		var raw [4]byte
		_, _ = rand.Read(raw[:])                                      // never fails since Go 1.24
		if n := binary.BigEndian.Uint32(raw[:]); n < 42*100_000_000 { // else small codes would come more often
			n %= 100_000_000
			return fmt.Sprintf("%04d %04d", n/10_000, n%10_000)
		}
	}
}

// HashMailCode is what is kept of such a code beside the sign-in that it is for, with that sign-in's salt.
func HashMailCode(salt, typed string) iam.Digest {
	plain, ok := digits(typed, MailDigits)
	if !ok {
		return iam.Digest{}
	}
	return iam.Hash("mail " + salt + " " + plain)
}

// NewNumber makes the two digits that tell one sign-in from another: never below 10, so that all look alike.
func NewNumber() string {
	for {
		var raw [1]byte
		_, _ = rand.Read(raw[:]) // never fails since Go 1.24
		if raw[0] < 180 {
			return fmt.Sprint(10 + int(raw[0])%90)
		}
	}
}
