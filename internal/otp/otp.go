// Package otp makes and verifies what people type: time-based one-time passwords (RFC 6238), recovery codes, and codes that
// a mail carries. It keeps nothing: a caller stores the step that was used, so that no code serves twice.
package otp

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // RFC 6238 with anything else is what half of the applications can't do; HMAC-SHA-1 is unbroken
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"rsc.io/qr"
)

// What every application for one-time passwords takes.
const (
	Digits = 6
	Period = 30 * time.Second
)

// skew is how many steps a person's clock, and their typing, may be off (RFC 6238 section 5.2).
const skew = 1

const secretBytes = 20

var encoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// NewSecret makes the key of one application, as people type it: 160 bits in base32.
func NewSecret() string {
	var raw [secretBytes]byte
	_, _ = rand.Read(raw[:]) // never fails since Go 1.24
	return encoding.EncodeToString(raw[:])
}

// URI is what an application reads to set itself up.
func URI(issuer, account, secret string) string {
	issuer, account = strings.ReplaceAll(issuer, ":", " "), strings.ReplaceAll(account, ":", " ") // the colon parts them
	query := url.Values{
		"secret": {secret}, "issuer": {issuer}, "algorithm": {"SHA1"}, "digits": {fmt.Sprint(Digits)}, "period": {"30"},
	}
	label := url.PathEscape(issuer + ":" + account)
	return "otpauth://totp/" + label + "?" + strings.ReplaceAll(query.Encode(), "+", "%20")
}

// QR is text as the path data of an SVG, one unit a module, and how many units it is wide without the quiet zone of four
// that a page must leave around it.
func QR(text string) (path string, size int, err error) {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return "", 0, fmt.Errorf("draw a QR code: %w", err)
	}
	var out strings.Builder
	for y := range code.Size {
		for x := 0; x < code.Size; x++ {
			if !code.Black(x, y) {
				continue
			}
			run := 1
			for x+run < code.Size && code.Black(x+run, y) {
				run++
			}
			fmt.Fprintf(&out, "M%d %dh%dv1h-%dz", x, y, run, run)
			x += run
		}
	}
	return out.String(), code.Size, nil
}

// Verify tells whether code is the one of now, or of the step before or after, and of a step later than mark. Then next is
// the new mark: the code counts only for who moves the mark from the one to the other.
func Verify(secret, code string, mark int64, now time.Time) (next int64, ok bool) {
	typed, fits := digits(code, Digits)
	key, err := encoding.DecodeString(secret)
	if !fits || err != nil || len(key) < secretBytes {
		return 0, false
	}
	step := Step(now)
	for at := step - skew; at <= step+skew; at++ { // all of them: the time tells nothing of which it was
		if subtle.ConstantTimeCompare([]byte(hotp(key, at)), []byte(typed)) == 1 && at > mark {
			next, ok = at, true
		}
	}
	return next, ok
}

// Step is the time step of a moment.
func Step(now time.Time) int64 { return now.Unix() / int64(Period/time.Second) }

// Code gives what an application shows at a moment, for tests and examples. It is an error if secret is none.
func Code(secret string, now time.Time) (string, error) {
	key, err := encoding.DecodeString(secret)
	if err != nil || len(key) < secretBytes {
		return "", errors.New("not a secret of ours")
	}
	return hotp(key, Step(now)), nil
}

// hotp is RFC 4226 section 5.3.
func hotp(key []byte, step int64) string {
	mac := hmac.New(sha1.New, key)
	_ = binary.Write(mac, binary.BigEndian, step) // a hash never fails
	sum := mac.Sum(nil)
	cut := binary.BigEndian.Uint32(sum[sum[len(sum)-1]&0xf:]) & 0x7fffffff
	return fmt.Sprintf("%0*d", Digits, cut%1_000_000)
}

// digits takes the spaces and hyphens that people put between digits away, and tells whether most digits are left.
func digits(typed string, length int) (string, bool) {
	if len(typed) > 4*length {
		return "", false
	}
	plain := strings.Map(func(r rune) rune {
		switch r {
		case ' ', '-', '\u00a0', '\u202f':
			return -1
		}
		return r
	}, typed)
	if len(plain) != length {
		return "", false
	}
	for _, r := range plain {
		if r < '0' || r > '9' {
			return "", false
		}
	}
	return plain, true
}
