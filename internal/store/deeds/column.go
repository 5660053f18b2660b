package deeds

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/iam"
)

// Micro spells a time: microseconds since 1970; zero is the zero time.
func Micro(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// At reads what Micro spelt.
func At(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}

// Whole is a time as it comes back from storage.
func Whole(t time.Time) time.Time { return At(Micro(t)) }

// Join spells names. Names without spaces (scopes, methods) are kept space separated.
func Join(names []string) string { return strings.Join(names, " ") }

// Split reads what Join spelt.
func Split(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, " ")
}

// AsJSON encodes values of our own types, which always encode.
func AsJSON(v any) (string, error) {
	raw, err := json.Marshal(v)
	return string(raw), err
}

// FromJSON reads what AsJSON wrote; an empty text leaves v as it is.
func FromJSON(text string, v any) error {
	if text == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(text), v); err != nil {
		return fmt.Errorf("a row holds broken JSON: %w", err)
	}
	return nil
}

// Encode spells bytes: base64url without padding.
func Encode(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

// Decode reads what Encode spelt.
func Decode(text string) ([]byte, error) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("a row holds broken base64: %w", err)
	}
	return raw, nil
}

// Digest reads what Hash spelt.
func Digest(text string) (iam.Digest, error) {
	raw, err := Decode(text)
	if err != nil {
		return iam.Digest{}, err
	}
	if len(raw) != len(iam.Digest{}) {
		return iam.Digest{}, fmt.Errorf("a row holds a digest of %d bytes", len(raw))
	}
	return iam.Digest(raw), nil
}

// Hash spells any kind of digest as storage does.
func Hash[H ~[32]byte](h H) string { return iam.Digest(h).String() }

// Limit is the size of a page: 100 unless told, at most 500.
func Limit(asked, fallback, most int) int64 {
	switch {
	case asked <= 0:
		return int64(fallback)
	case asked > most:
		return int64(most)
	default:
		return int64(asked)
	}
}

// PageLimit is the size of the page that is asked for.
func PageLimit(page iam.Page) int64 { return Limit(page.Limit, 100, 500) }
