package password_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/gardeauth/garde/internal/password"
)

func verify(t *testing.T, hasher *password.Hasher, encoded, plain string) password.Result {
	t.Helper()
	result, err := hasher.Verify(context.Background(), encoded, plain)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func TestAPasswordVerifiesAndNothingElseDoes(t *testing.T) {
	hasher := password.NewHasher(0, 0)
	encoded, err := hasher.Hash(context.Background(), "Grüße aus Nîmes")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(encoded, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("cost: %s", encoded)
	}
	if got := verify(t, hasher, encoded, "Grüße aus Nîmes"); !got.OK || got.Stale {
		t.Errorf("the password: %+v", got)
	}
	if got := verify(t, hasher, encoded, "Gru\u0308ße aus\u00a0Ni\u0302mes"); !got.OK {
		t.Error("S15 the same password, typed on another system, is another")
	}
	for name, wrong := range map[string]string{
		"case": "grüße aus Nîmes", "shorter": "Grüße aus Nîme", "longer": "Grüße aus Nîmes ", "empty": "", "S24 NUL": "Grüße aus Nîmes\x00",
		"not UTF-8": "Gr\xffe aus Nîmes", "S24 a megabyte": strings.Repeat("x", 1<<20),
	} {
		if verify(t, hasher, encoded, wrong).OK {
			t.Errorf("%s passes", name)
		}
	}
	other, _ := hasher.Hash(context.Background(), "Grüße aus Nîmes")
	if other == encoded {
		t.Error("two hashes share a salt")
	}
}

func TestPrepare(t *testing.T) {
	for name, row := range map[string]struct {
		plain string
		want  error
	}{
		"8 bytes":                   {"12345678", nil},
		"spaces within":             {"correct horse battery", nil},
		"emoji":                     {"🦊🐻🐼🐨🐯🦁🐮🐷", nil},
		"1024 bytes":                {strings.Repeat("x", 1024), nil},
		"7 characters":              {"1234567", password.ErrShort},
		"two characters of 8 bytes": {"🦊🐻", password.ErrShort},
		"empty":                     {"", password.ErrShort},
		"S24 1025 bytes":            {strings.Repeat("x", 1025), password.ErrLong},
		"S24 a megabyte":            {strings.Repeat("x", 1<<20), password.ErrLong},
		"S24 NUL":                   {"1234567\x008", password.ErrCharacters},
		"line end":                  {"12345678\n", password.ErrCharacters},
		"not UTF-8":                 {"1234567\xff8", password.ErrCharacters},
		"invisible":                 {"1234\u200b5678", password.ErrCharacters},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := password.Prepare(row.plain); !errors.Is(err, row.want) {
				t.Errorf("%v, want %v", err, row.want)
			}
		})
	}
}

func TestS24NothingIsCutOff(t *testing.T) {
	hasher := password.NewHasher(0, 0)
	long := strings.Repeat("x", 1023)
	encoded, err := hasher.Hash(context.Background(), long+"a")
	if err != nil {
		t.Fatal(err)
	}
	if verify(t, hasher, encoded, long+"b").OK || !verify(t, hasher, encoded, long+"a").OK {
		t.Error("the last byte does not count")
	}
	raw, err := bcrypt.GenerateFromPassword([]byte(strings.Repeat("y", 72)), 4)
	if err != nil {
		t.Fatal(err)
	}
	if verify(t, hasher, string(raw), strings.Repeat("y", 73)).OK || !verify(t, hasher, string(raw), strings.Repeat("y", 72)).OK {
		t.Error("bcrypt cuts at 72 bytes")
	}
}

// The imported hashes below were made by other systems: Django's and passlib's PBKDF2, and bcrypt.
func TestImportedHashes(t *testing.T) {
	hasher := password.NewHasher(0, 0)
	short, err := bcrypt.GenerateFromPassword([]byte("pw"), 4)
	if err != nil {
		t.Fatal(err)
	}
	for name, encoded := range imported(t) {
		if err := password.Known(encoded); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := verify(t, hasher, encoded, "correct horse"); !got.OK || !got.Stale {
			t.Errorf("%s: %+v, want right and stale", name, got)
		}
		if verify(t, hasher, encoded, "correct horsf").OK {
			t.Errorf("%s: a wrong password passes", name)
		}
	}
	if !verify(t, hasher, string(short), "pw").OK {
		t.Error("an old password that is too short for ours locks its user out")
	}
	if verify(t, hasher, string(short), "pw\x00").OK {
		t.Error("S24 a NUL ends the password")
	}
}

func TestOlderCostsAreStale(t *testing.T) {
	hasher := password.NewHasher(0, 0)
	// argon2id of "correct horse" with m=8, t=1, made by this package's own codec at another cost.
	weak := weakArgon("correct horse")
	if got := verify(t, hasher, weak, "correct horse"); !got.OK || !got.Stale {
		t.Errorf("%+v", got)
	}
}

func TestHashesThatAreRefused(t *testing.T) {
	const salt, sum = "AAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	for name, encoded := range map[string]string{
		"plain":                  "hunter2hunter2",
		"md5":                    "$1$abc$def",
		"argon2i":                "$argon2i$v=19$m=19456,t=2,p=1$" + salt + "$" + sum,
		"other version":          "$argon2id$v=16$m=19456,t=2,p=1$" + salt + "$" + sum,
		"L06 gigabytes":          "$argon2id$v=19$m=4194304,t=2,p=1$" + salt + "$" + sum,
		"L06 a million passes":   "$argon2id$v=19$m=19456,t=1000000,p=1$" + salt + "$" + sum,
		"no lanes":               "$argon2id$v=19$m=19456,t=2,p=0$" + salt + "$" + sum,
		"plus sign":              "$argon2id$v=19$m=+19456,t=2,p=1$" + salt + "$" + sum,
		"no sum":                 "$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$",
		"no salt":                "$argon2id$v=19$m=19456,t=2,p=1$$" + sum,
		"two spellings":          "$argon2id$v=19$m=19456,t=2,p=1$" + salt[:21] + "B$" + sum,
		"line end":               "$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$" + sum + "\n",
		"bcrypt cut":             "$2b$10$abc",
		"L06 bcrypt of cost 31":  "$2b$31$" + strings.Repeat("a", 53),
		"bcrypt 2x":              "$2x$10$" + strings.Repeat("a", 53),
		"L06 PBKDF2 for an hour": "pbkdf2_sha256$2000000000$salt$" + sum + "=",
		"PBKDF2 of md5":          "pbkdf2_md5$1000$salt$" + sum + "=",
		"PBKDF2 without sum":     "pbkdf2_sha256$1000$salt$",
	} {
		t.Run(name, func(t *testing.T) {
			if password.Known(encoded) == nil {
				t.Error("it is taken")
			}
			if got, err := password.NewHasher(1, 1).Verify(context.Background(), encoded, "hunter2hunter2"); got.OK || !errors.Is(err, password.ErrHash) {
				t.Errorf("%+v %v", got, err)
			}
		})
	}
}

// worked is the processor time of this process: what a clock shows depends on what else the machine does.
func worked(t *testing.T) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func TestS21UnknownUsersCostTheSame(t *testing.T) {
	hasher := password.NewHasher(1, 1)
	encoded, _ := hasher.Hash(context.Background(), "correct horse")
	middle := func(encoded, plain string) time.Duration {
		var all []time.Duration
		for range 9 {
			began := worked(t)
			if verify(t, hasher, encoded, plain).OK {
				t.Fatal("it passes")
			}
			all = append(all, worked(t)-began)
		}
		sort.Slice(all, func(a, b int) bool { return all[a] < all[b] })
		return all[len(all)/2]
	}
	known := middle(encoded, "wrong password")
	for name, row := range map[string][2]string{
		"unknown user":                {"", "wrong password"},
		"unknown user, bad password":  {"", "x"},
		"known user, bad password":    {encoded, "x"},
		"unknown user, dummy's zeros": {"", strings.Repeat("\x00", 32)},
	} {
		if got := middle(row[0], row[1]); got < known/2 || got > known*2 {
			t.Errorf("%s takes %v, a known one %v", name, got, known)
		}
	}
}

func TestL06HashesAreBounded(t *testing.T) {
	hasher := password.NewHasher(1, 2)
	encoded, _ := hasher.Hash(context.Background(), "correct horse")
	var group sync.WaitGroup
	var mutex sync.Mutex
	right, busy := 0, 0
	gate := make(chan struct{})
	for range 30 {
		group.Go(func() {
			<-gate
			got, err := hasher.Verify(context.Background(), encoded, "correct horse")
			mutex.Lock()
			defer mutex.Unlock()
			if errors.Is(err, password.ErrBusy) {
				busy++
			} else if err == nil && got.OK {
				right++
			}
		})
	}
	close(gate)
	group.Wait()
	if right < 3 || busy == 0 || right+busy != 30 {
		t.Errorf("%d right, %d busy", right, busy)
	}
	var temporary interface{ Unavailable() bool }
	if !errors.As(password.ErrBusy, &temporary) || !temporary.Unavailable() {
		t.Error("a full queue is not told as 503")
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := hasher.Verify(ended, encoded, "correct horse"); !errors.Is(err, context.Canceled) {
		t.Errorf("who is gone is still served: %v", err)
	}
}

func TestPolicy(t *testing.T) {
	names := []string{"alice", "alice.martin@northbank.com", "Alice Martin", "North Bank"}
	for plain, want := range map[string]error{
		"correct horse battery":  nil,
		"vX9-mobile-kettle":      nil,
		"sieben blaue Elefanten": nil,
		"83920174651":            nil,
		"password":               password.ErrCommon,
		"P@ssw0rd!":              password.ErrCommon,
		"Passw0rd2026!":          password.ErrCommon,
		"Summer2026!":            password.ErrCommon,
		"motdepasse1":            password.ErrCommon,
		"azertyuiop":             password.ErrCommon,
		"1qaz2wsx3edc":           password.ErrCommon,
		"qwerty123456":           password.ErrCommon,
		"iloveyou2":              password.ErrCommon,
		"ilovejessica":           password.ErrCommon,
		"blackcat99":             password.ErrCommon,
		"14071989":               password.ErrCommon,
		"07141989":               password.ErrCommon,
		"19890714":               password.ErrCommon,
		"aaaaaaaa":               password.ErrCommon,
		"abababab":               password.ErrCommon,
		"abcdefgh":               password.ErrCommon,
		"87654321":               password.ErrCommon,
		"xyzwxyzwxyzw":           password.ErrCommon,
		"12345678":               password.ErrCommon,
		"alice2026!":             password.ErrPersonal,
		"4l1c3-4l1c3":            password.ErrPersonal,
		"Martin2026!":            password.ErrPersonal,
		"martinets-and-swallows": nil,
		"zcompanyz":              nil, // "com" ends an address, and is nobody's name
		"NorthBank1":             password.ErrPersonal,
		"alicemartin!!":          password.ErrPersonal,
		"xx-Martin-99":           password.ErrPersonal,
		"short":                  password.ErrShort,
	} {
		if err := (password.Policy{}).Check(plain, names...); !errors.Is(err, want) || (want == nil) != (err == nil) {
			t.Errorf("%q: %v, want %v", plain, err, want)
		}
	}
}

func TestS23BreachedLists(t *testing.T) {
	const hashed = "0D2E5C9AC4B6F28EBF1F1E3E7C6F0D7F6AB1B0A0:3\n" + // of nothing here
		"7C4A8D09CA3762AF61E59520943DC26494F8941B:24\n" + // of 123456
		"ABF7AAD6438836DBE526AA231ABDE2D0EEF74D42:1\n" // of "correct horse battery staple"
	lines := "aardvark crossing\r\ncorrect horse battery staple\nrubber duck debugging\nzebra without stripes"
	for name, text := range map[string]string{"hashed": hashed, "plain": lines} {
		list := openList(t, text)
		policy := password.Policy{Breached: list}
		if err := policy.Check("correct horse battery staple"); !errors.Is(err, password.ErrBreached) {
			t.Errorf("%s: %v", name, err)
		}
		if err := policy.Check("correct horse battery stapler"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	list := openList(t, lines)
	for _, first := range []string{"aardvark crossing", "rubber duck debugging", "zebra without stripes"} {
		if found, err := list.Has(first); err != nil || !found {
			t.Errorf("%q is not found: %v", first, err)
		}
	}
	for _, absent := range []string{"a", "", "aardvark", "m", "zz", "rubber duck debugging2"} {
		if found, err := list.Has(absent); err != nil || found {
			t.Errorf("%q is found: %v", absent, err)
		}
	}
}

func TestEveryLineOfALongListIsFound(t *testing.T) {
	var all []string
	for i := range 3000 {
		all = append(all, strings.Repeat("x", i%50)+strings.Repeat("y", i%7)+time.Duration(i).String())
	}
	sort.Strings(all)
	list := openList(t, strings.Join(all, "\n")+"\n")
	for _, line := range all {
		if found, err := list.Has(line); err != nil || !found {
			t.Fatalf("%q is not found: %v", line, err)
		}
		if found, _ := list.Has(line + "!"); found {
			t.Fatalf("%q! is found", line)
		}
	}
}

func TestListsThatAreRefused(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "unsorted": "b\na\n", "a hash that is none": "7C4A8D09CA3762AF61E59520943DC26494F8941B\nrubbish\n",
		"endless line": strings.Repeat("x", 1<<20),
	} {
		path := filepath.Join(t.TempDir(), "list")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if list, err := password.OpenList(path); err == nil {
			_ = list.Close()
			t.Errorf("%s is taken", name)
		}
	}
	if _, err := password.OpenList("missing"); err == nil {
		t.Error("a missing list is taken")
	}
}

func openList(t *testing.T, text string) *password.List {
	t.Helper()
	path := filepath.Join(t.TempDir(), "list")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	list, err := password.OpenList(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = list.Close() })
	return list
}

func FuzzVerifyParses(f *testing.F) {
	for _, seed := range []string{"$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA", "$2b$04$", "pbkdf2_sha256$1$s$AA==", "$pbkdf2-sha512$1$AA$AA", "$$$$$"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, encoded string) {
		if password.Known(encoded) == nil && len(encoded) > 400 {
			t.Fatalf("%q is taken", encoded)
		}
	})
}

func FuzzPolicy(f *testing.F) {
	for _, seed := range []string{"password", "P@ssw0rd!", "🦊🐻🐼🐨🐯🦁🐮🐷", "\u0130stanbul", "12345678", strings.Repeat("ǅ", 20)} {
		f.Add(seed, "alice")
	}
	f.Fuzz(func(t *testing.T, plain, name string) {
		_ = password.Policy{}.Check(plain, name)
		if once, err := password.Prepare(plain); err == nil {
			if twice, err := password.Prepare(once); err != nil || twice != once {
				t.Fatalf("%q is prepared to %q, and that to %q (%v)", plain, once, twice, err)
			}
		}
	})
}

func BenchmarkPolicy(b *testing.B) {
	for b.Loop() {
		_ = password.Policy{}.Check("correct horse battery", "alice")
	}
}

func BenchmarkVerify(b *testing.B) {
	hasher := password.NewHasher(1, 1)
	encoded, _ := hasher.Hash(context.Background(), "correct horse")
	for b.Loop() {
		_, _ = hasher.Verify(context.Background(), encoded, "correct horse")
	}
}
