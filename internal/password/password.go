// Package password hashes and verifies passwords, and judges new ones. It knows no user, no store and no page.
//
// A password is prepared by the OpaqueString profile of PRECIS (RFC 8265 section 4.2): spaces become U+0020, the rest is
// NFC, control characters and unassigned code points are refused. So the same password typed on another keyboard system
// is the same password; case, spaces and symbols stay as they were typed. Nothing is ever cut off.
package password

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/secure/precis"
)

// The length of a password: at least MinCharacters code points, at most MaxBytes bytes once prepared.
const (
	MinCharacters = 8
	MaxBytes      = 1024
)

// What a new hash costs (OWASP's second choice for argon2id): 19 MiB, two passes, one lane, about 20 ms.
const (
	memory    = 19 * 1024
	passes    = 2
	lanes     = 1
	saltBytes = 16
	sumBytes  = 32
)

// What a stored hash may cost at most: an import must not be able to stop the server.
const (
	mostMemory = 64 * 1024
	mostPasses = 10
	mostLanes  = 4
)

// ErrHash says that a stored hash is of no format that Garde verifies, or costs more than it may.
var ErrHash = errors.New("the password hash has no known format or an unreasonable cost")

// busy says that too many hashes are under way.
type busy struct{}

func (busy) Error() string     { return "too many passwords are being verified" }
func (busy) Unavailable() bool { return true }

// ErrBusy answers a hash that found no place in the queue; a face makes 503 of it.
var ErrBusy error = busy{}

// Hasher makes and verifies hashes, a few at a time: each takes 19 MiB, so memory is what an attacker would aim at. Make
// it with NewHasher.
type Hasher struct {
	running  chan struct{}
	waiting  chan struct{}
	patience time.Duration
}

// NewHasher allows running hashes at once and waiting ones in the queue, which wait 3 s at most; zero means one per
// processor (four at most) and 64.
func NewHasher(running, waiting int) *Hasher {
	if running <= 0 {
		running = min(4, runtime.GOMAXPROCS(0))
	}
	if waiting <= 0 {
		waiting = 64
	}
	return &Hasher{make(chan struct{}, running), make(chan struct{}, waiting), 3 * time.Second}
}

// Hash gives the hash of a password in PHC format. The password must pass Prepare.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	plain, err := Prepare(password)
	if err != nil {
		return "", err
	}
	leave, err := h.enter(ctx)
	if err != nil {
		return "", err
	}
	defer leave()
	hash := argon{memory: memory, passes: passes, lanes: lanes, salt: make([]byte, saltBytes)}
	_, _ = rand.Read(hash.salt) // never fails since Go 1.24
	hash.sum = hash.of(plain, sumBytes)
	return hash.String(), nil
}

// Result is what a verification says. The zero value is a refusal.
type Result struct {
	OK    bool
	Stale bool // right, but hashed by an older recipe: hash it anew while it is known
}

// Verify tells whether password is the one that encoded was made from. An empty encoded stands for a user who does not
// exist or has no password: it costs the same as a real one, and is never right. The error is ErrBusy, ErrHash or that of
// ctx.
func (h *Hasher) Verify(ctx context.Context, encoded, password string) (Result, error) {
	known, err := parse(encoded)
	if encoded == "" {
		known, err = dummy(), nil
	}
	if err != nil {
		return Result{}, err
	}
	plain, bad := Prepare(password)
	leave, err := h.enter(ctx)
	if err != nil {
		return Result{}, err
	}
	defer leave()
	if bad != nil {
		// It can't be right, but must not answer sooner than one that could.
		_ = dummy().matches(".")
		return h.foreign(known, password), nil
	}
	if known.matches(plain) {
		return Result{OK: encoded != "", Stale: known.stale()}, nil
	}
	return h.foreign(known, password), nil
}

// foreign tries an imported hash on the bytes as typed: the house that made it may have prepared nothing, or allowed
// passwords that are too short for ours.
func (h *Hasher) foreign(known stored, password string) Result {
	if _, ours := known.(argon); ours || len(password) > MaxBytes || !utf8.ValidString(password) || strings.IndexByte(password, 0) >= 0 {
		return Result{}
	}
	if plain, err := Prepare(password); err == nil && plain == password {
		return Result{} // tried already
	}
	return Result{OK: known.matches(password), Stale: true}
}

func (h *Hasher) enter(ctx context.Context) (leave func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	leave = func() { <-h.running }
	select {
	case h.running <- struct{}{}:
		return leave, nil
	default:
	}
	select {
	case h.waiting <- struct{}{}:
	default:
		return nil, ErrBusy
	}
	defer func() { <-h.waiting }()
	timer := time.NewTimer(h.patience)
	defer timer.Stop()
	select {
	case h.running <- struct{}{}:
		return leave, nil
	case <-timer.C:
		return nil, ErrBusy
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Known tells whether encoded is a hash that Verify can judge, for imports.
func Known(encoded string) error {
	_, err := parse(encoded)
	return err
}

// The faults of a password, in the order in which they are found.
var (
	ErrLong       = fmt.Errorf("the password is longer than %d bytes", MaxBytes)
	ErrCharacters = errors.New("the password holds a character that can't be typed reliably")
	ErrShort      = fmt.Errorf("the password is shorter than %d characters", MinCharacters)
)

// Prepare gives the form of a password that is hashed: OpaqueString, within the limits of length.
func Prepare(password string) (string, error) {
	if len(password) > 2*MaxBytes { // before any work is done on it; NFC shortens
		return "", ErrLong
	}
	plain, err := precis.OpaqueString.String(password)
	switch {
	case password == "":
		return "", ErrShort
	case err != nil || !utf8.ValidString(password):
		return "", ErrCharacters
	case len(plain) > MaxBytes:
		return "", ErrLong
	case utf8.RuneCountInString(plain) < MinCharacters:
		return "", ErrShort
	}
	return plain, nil
}

// stored is a hash that can be compared with a password.
type stored interface {
	matches(password string) bool
	stale() bool
}

// argon is an argon2id hash (RFC 9106).
type argon struct {
	memory, passes uint32
	lanes          uint8
	salt, sum      []byte
}

func (a argon) of(password string, size int) []byte {
	return argon2.IDKey([]byte(password), a.salt, a.passes, a.memory, a.lanes, uint32(size)) //nolint:gosec // bounded by parse
}

func (a argon) matches(password string) bool {
	return len(a.sum) > 0 && subtle.ConstantTimeCompare(a.of(password, len(a.sum)), a.sum) == 1
}

func (a argon) stale() bool {
	return a.memory < memory || a.passes < passes || a.lanes != lanes || len(a.salt) < saltBytes || len(a.sum) < sumBytes
}

// String gives the PHC string: $argon2id$v=19$m=..,t=..,p=..$salt$sum.
func (a argon) String() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, a.memory, a.passes, a.lanes,
		base64.RawStdEncoding.EncodeToString(a.salt), base64.RawStdEncoding.EncodeToString(a.sum))
}

// dummy costs what a real hash costs.
func dummy() argon {
	return argon{memory: memory, passes: passes, lanes: lanes, salt: make([]byte, saltBytes), sum: make([]byte, sumBytes)}
}

func parse(encoded string) (stored, error) {
	switch {
	case strings.HasPrefix(encoded, "$argon2id$"):
		return parseArgon(encoded)
	case strings.HasPrefix(encoded, "$2"):
		return parseBcrypt(encoded)
	case strings.HasPrefix(encoded, "$pbkdf2"), strings.HasPrefix(encoded, "pbkdf2_"):
		return parsePBKDF2(encoded)
	}
	return nil, ErrHash
}

func parseArgon(encoded string) (stored, error) {
	parts := strings.Split(encoded, "$")
	if len(parts) != 6 || parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return nil, ErrHash
	}
	costs := strings.Split(parts[3], ",")
	if len(costs) != 3 {
		return nil, ErrHash
	}
	m, badM := cost(costs[0], "m=", 8, mostMemory)
	t, badT := cost(costs[1], "t=", 1, mostPasses)
	p, badP := cost(costs[2], "p=", 1, mostLanes)
	salt, badSalt := decode(parts[4], 8, 64)
	sum, badSum := decode(parts[5], 16, 64)
	if err := errors.Join(badM, badT, badP, badSalt, badSum); err != nil || m < 8*p {
		return nil, ErrHash
	}
	return argon{memory: uint32(m), passes: uint32(t), lanes: uint8(p), salt: salt, sum: sum}, nil //nolint:gosec // bounded above
}

// cost reads a number in its shortest decimal form, within bounds.
func cost(text, name string, least, most int) (int, error) {
	digits, found := strings.CutPrefix(text, name)
	value, err := strconv.Atoi(digits)
	if !found || err != nil || strconv.Itoa(value) != digits || value < least || value > most {
		return 0, ErrHash
	}
	return value, nil
}

// decode reads base64 without padding in its only spelling, within bounds.
func decode(text string, least, most int) ([]byte, error) {
	raw, err := base64.RawStdEncoding.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") || len(raw) < least || len(raw) > most {
		return nil, ErrHash
	}
	return raw, nil
}
