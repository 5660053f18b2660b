package iam

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"strings"
)

// A user code is eight of twenty letters: no vowels, so that it spells no word, and none that looks like another (RFC 8628
// section 6.1).
const (
	userLetters = "BCDFGHJKLMNPQRSTVWXZ"
	userLength  = 8
	userTyped   = 64 // bytes of what a person may type, dashes and spaces included
)

// NewUserCode makes a user code as people are shown it, such as WDJB-MJHT: 34 random bits, which only the counting of wrong
// tries makes enough.
func NewUserCode() string {
	var code strings.Builder
	for code.Len() < userLength {
		var raw [1]byte
		rand.Read(raw[:])                                        // never returns an error since Go 1.24
		if int(raw[0]) < 256/len(userLetters)*len(userLetters) { // else some letters would come more often
			code.WriteByte(userLetters[int(raw[0])%len(userLetters)])
		}
	}
	return grouped(code.String())
}

func grouped(code string) string { return code[:userLength/2] + "-" + code[userLength/2:] }

// UserCode gives what a person typed as it is shown, or "" when it is no user code. Case, spaces and dashes of any kind
// mean nothing.
func UserCode(typed string) string {
	if len(typed) > userTyped {
		return ""
	}
	var code strings.Builder
	for _, c := range typed {
		switch {
		case c == ' ' || c == '\u00a0' || c == '-' || c >= '\u2010' && c <= '\u2015' || c == '\u2212':
			continue
		case c >= 'a' && c <= 'z': // not by Unicode's rules: what is no letter here becomes none
			c -= 'a' - 'A'
		}
		if !strings.ContainsRune(userLetters, c) || code.Len() == userLength {
			return ""
		}
		code.WriteRune(c)
	}
	if code.Len() != userLength {
		return ""
	}
	return grouped(code.String())
}

// HashUserCode is the only maker of its type. It is keyed: a code is short enough to be found from a plain hash by trying
// them all. Without a key, and for what is no user code, it gives the zero hash, which is never in storage.
func HashUserCode(key []byte, typed string) UserHash {
	code := UserCode(typed)
	if code == "" || len(key) < sha256.Size {
		return UserHash{}
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(code))
	return UserHash(mac.Sum(nil))
}
