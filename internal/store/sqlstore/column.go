package sqlstore

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/iam"
)

// Times are microseconds since 1970; zero is the zero time.
func micro(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func at(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}

func whole(t time.Time) time.Time { return at(micro(t)) }

// Names without spaces (scopes, methods) are kept space separated.
func join(names []string) string { return strings.Join(names, " ") }

func split(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, " ")
}

// asJSON encodes values of our own types, which always encode.
func asJSON(v any) (string, error) {
	raw, err := json.Marshal(v)
	return string(raw), err
}

func fromJSON(text string, v any) error {
	if text == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(text), v); err != nil {
		return fmt.Errorf("a row holds broken JSON: %w", err)
	}
	return nil
}

func encode(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

func decode(text string) ([]byte, error) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("a row holds broken base64: %w", err)
	}
	return raw, nil
}

func digest(text string) (iam.Digest, error) {
	raw, err := decode(text)
	if err != nil {
		return iam.Digest{}, err
	}
	if len(raw) != len(iam.Digest{}) {
		return iam.Digest{}, fmt.Errorf("a row holds a digest of %d bytes", len(raw))
	}
	return iam.Digest(raw), nil
}

// hash spells any kind of digest as storage does.
func hash[H ~[32]byte](h H) string { return iam.Digest(h).String() }

// limit is the size of a page: 100 unless told, at most 500.
func limit(asked, fallback, most int) int64 {
	switch {
	case asked <= 0:
		return int64(fallback)
	case asked > most:
		return int64(most)
	default:
		return int64(asked)
	}
}

func pageLimit(page iam.Page) int64 { return limit(page.Limit, 100, 500) }
