package seal

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
)

// hidden is what every printed form of a secret reads.
const hidden = "[secret]"

// Secret is a text that prints as "[secret]" in fmt, JSON, YAML and slog, whatever verb is used. Reveal is the only way
// to its content that a reviewer has to look for. Two places no method reaches, so keep it out of them: an unexported
// field of a struct that is printed whole, and the key of a map that becomes JSON.
type Secret string

// Reveal gives the content.
func (s Secret) Reveal() string { return string(s) }

// String hides the content.
func (s Secret) String() string { return hidden }

// GoString hides the content from %#v.
func (s Secret) GoString() string { return hidden }

// Format hides the content from every verb, those for numbers and hex included.
func (s Secret) Format(out fmt.State, _ rune) { _, _ = io.WriteString(out, hidden) }

// MarshalText hides the content from JSON, YAML and XML.
func (s Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// LogValue hides the content from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// maxSecret bounds a file that a reference points to.
const maxSecret = 64 << 10

// Resolve reads the secret that ref names: "env:NAME", or "file:PATH" where a relative path starts at baseDir. A file
// must be a regular one that nobody but its owner may read or write; one line end at its end is dropped. An empty
// secret is an error, and no error holds any of the content.
func Resolve(ref, baseDir string) (Secret, error) {
	kind, name, found := strings.Cut(ref, ":")
	if !found || name == "" {
		return "", errors.New("a secret is referred to as env:NAME or file:PATH") // ref may be the secret itself: not quoted
	}
	switch kind {
	case "env":
		value := os.Getenv(name)
		if value == "" {
			return "", fmt.Errorf("the environment variable %s is empty or not set", name)
		}
		return Secret(value), nil
	case "file":
		if !filepath.IsAbs(name) {
			name = filepath.Join(baseDir, name)
		}
		return readSecret(name)
	}
	return "", errors.New("a secret is referred to as env:NAME or file:PATH")
}

func readSecret(path string) (Secret, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read a secret: %w", err)
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat() // of the open file: a path could be another by now
	if err != nil {
		return "", fmt.Errorf("read a secret: %w", err)
	}
	switch {
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("%s is not a regular file", path)
	case info.Mode().Perm()&0o177 != 0:
		return "", fmt.Errorf("%s may be read by others (mode %04o); make it 0600", path, info.Mode().Perm())
	case info.Size() > maxSecret:
		return "", fmt.Errorf("%s is longer than %d bytes", path, maxSecret)
	}
	body, err := io.ReadAll(io.LimitReader(file, maxSecret))
	if err != nil {
		return "", fmt.Errorf("read a secret: %w", err)
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(body), "\n"), "\r")
	if text == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	return Secret(text), nil
}
