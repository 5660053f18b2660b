package seal_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gardeauth/garde/internal/seal"
)

func master(t *testing.T) seal.Master {
	t.Helper()
	key, err := seal.ParseMaster(seal.GenerateMaster())
	if err != nil {
		t.Fatal(err)
	}
	return key
}

var place = seal.AD{Tenant: "default", Table: "keys", Row: "k1"}

func TestWhatIsSealedOpensInItsPlaceOnly(t *testing.T) {
	sealer := seal.Sealer{Current: master(t)}
	sealed, err := sealer.Seal(place, []byte("private key"))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := sealer.Open(place, sealed); err != nil || string(plain) != "private key" {
		t.Fatalf("%q %v", plain, err)
	}
	for name, ad := range map[string]seal.AD{
		"other tenant":             {"other", "keys", "k1"},
		"other table":              {"default", "secrets", "k1"},
		"other row":                {"default", "keys", "k2"},
		"W40 the border moved":     {"default", "keysk", "1"},
		"W40 the other border too": {"defaultk", "eys", "k1"},
		"no place":                 {},
	} {
		if _, err := sealer.Open(ad, sealed); !errors.Is(err, seal.ErrSealed) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := sealer.Rewrap(ad, sealed); !errors.Is(err, seal.ErrSealed) {
			t.Errorf("rewrap, %s: %v", name, err)
		}
	}
	if again, _ := sealer.Seal(place, []byte("private key")); again == sealed {
		t.Error("the same value sealed twice looks the same")
	}
}

func TestFindsWhatIsSealedInAText(t *testing.T) {
	sealed, err := seal.Sealer{Current: master(t)}.Seal(place, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]int{
		sealed: 1, `{"signer":"` + sealed + `","note":"` + sealed + `"}`: 2, "": 0, "s1.": 0, "s1.a.b": 0, "see s1...": 0, "x" + sealed: 0, sealed + ".more": 0,
		sealed[:len(sealed)/4]: 0,
	} {
		found := seal.Find(text)
		for _, one := range found {
			if one != sealed {
				t.Errorf("in %q: %q", text, one)
			}
		}
		if len(found) != want {
			t.Errorf("%d in %q, want %d", len(found), text, want)
		}
	}
}

func TestEveryAlterationIsSeen(t *testing.T) {
	sealer := seal.Sealer{Current: master(t)}
	sealed, _ := sealer.Seal(place, []byte("x"))
	for i := range sealed {
		altered := []byte(sealed)
		altered[i] ^= 1
		if _, err := sealer.Open(place, string(altered)); err == nil {
			t.Fatalf("byte %d altered, and it opens", i)
		}
	}
	other, _ := sealer.Seal(place, []byte("y"))
	mine, theirs := strings.Split(sealed, "."), strings.Split(other, ".")
	for name, text := range map[string]string{
		"body of another value": strings.Join([]string{mine[0], mine[1], mine[2], theirs[3]}, "."),
		"a line end":            sealed + "\n",
		"a line end within":     sealed[:30] + "\n" + sealed[30:],
		"a fifth part":          sealed + ".",
		"nothing":               "",
		"dots":                  "...",
		"no key":                strings.Join([]string{mine[0], mine[1], "", mine[3]}, "."),
	} {
		if _, err := sealer.Open(place, text); !errors.Is(err, seal.ErrSealed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRewrapMovesToTheNewMasterKey(t *testing.T) {
	old, fresh := master(t), master(t)
	sealed, _ := seal.Sealer{Current: old}.Seal(place, []byte("value"))
	both := seal.Sealer{Current: fresh, Previous: []seal.Master{old}}
	if plain, err := both.Open(place, sealed); err != nil || string(plain) != "value" {
		t.Fatalf("during the change: %q %v", plain, err)
	}
	moved, err := both.Rewrap(place, sealed)
	if err != nil || seal.KeyID(moved) != fresh.ID() || seal.KeyID(sealed) != old.ID() {
		t.Fatalf("%v %s", err, moved)
	}
	if moved[strings.LastIndex(moved, "."):] != sealed[strings.LastIndex(sealed, "."):] {
		t.Error("the body was sealed anew")
	}
	if plain, err := (seal.Sealer{Current: fresh}).Open(place, moved); err != nil || string(plain) != "value" {
		t.Errorf("after it: %q %v", plain, err)
	}
	if _, err := (seal.Sealer{Current: fresh}).Open(place, sealed); !errors.Is(err, seal.ErrSealed) {
		t.Errorf("the old key is not needed: %v", err)
	}
	if same, err := both.Rewrap(place, moved); err != nil || same != moved {
		t.Errorf("rewrapped twice: %v", err)
	}
}

func TestTheZeroSealerDoesNothing(t *testing.T) {
	if _, err := (seal.Sealer{}).Seal(place, []byte("x")); err == nil {
		t.Error("sealed without a key")
	}
	if _, err := (seal.Sealer{}).Open(place, "s1..AA.AA"); err == nil {
		t.Error("opened without a key")
	}
	if _, err := (seal.Sealer{}).Rewrap(place, "s1..AA.AA"); err == nil {
		t.Error("rewrapped without a key")
	}
}

func TestA05WeakMasterKeysAreRefused(t *testing.T) {
	run := make([]byte, 32)
	for i := range run {
		run[i] = byte(i * 3)
	}
	for name, raw := range map[string][]byte{
		"zeros":      make([]byte, 32),
		"all alike":  bytes.Repeat([]byte{0xa5}, 32),
		"a run":      run,
		"a word":     bytes.Repeat([]byte("passwort"), 4),
		"16 bytes":   []byte("0123456789abcdef"),
		"33 bytes":   append(run, 1),
		"no bytes":   {},
		"few values": bytes.Repeat([]byte{1, 200, 3, 77, 9, 130, 55, 21}, 4),
	} {
		if _, err := seal.ParseMaster(seal.Secret(base64.RawURLEncoding.EncodeToString(raw))); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	good := seal.GenerateMaster()
	for _, text := range []seal.Secret{good + "\n", good + "=", " " + good, good[:42]} {
		if _, err := seal.ParseMaster(text); err == nil {
			t.Errorf("%d bytes of text are taken", len(text))
		}
	}
	for range 2000 {
		master(t)
	}
}

func TestA05TheFileOfAMasterKeyIsPrivate(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "master.key")
	if err := os.WriteFile(path, []byte(seal.GenerateMaster().Reveal()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := seal.LoadMaster("file:master.key", dir); err != nil {
		t.Error(err)
	}
	if _, err := seal.LoadMaster("file:"+path, "/elsewhere"); err != nil {
		t.Error(err)
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o644, 0o660, 0o700} {
		_ = os.Chmod(path, mode)
		if _, err := seal.LoadMaster("file:master.key", dir); err == nil {
			t.Errorf("mode %04o is taken", mode)
		}
	}
	_ = os.Chmod(path, 0o400)
	if _, err := seal.LoadMaster("file:master.key", dir); err != nil {
		t.Error(err)
	}
}

func TestReferences(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("plain", "s3cret\r\n")
	write("spaces", " s3cret \n\n")
	write("empty", "\n")
	write("long", strings.Repeat("x", 70_000))
	t.Setenv("GARDE_TEST_SECRET", "from the environment")
	t.Setenv("GARDE_TEST_EMPTY", "")
	for ref, want := range map[string]string{
		"file:plain":             "s3cret",
		"file:spaces":            " s3cret \n",
		"env:GARDE_TEST_SECRET":  "from the environment",
		"env:GARDE_TEST_EMPTY":   "",
		"env:GARDE_TEST_UNSET":   "",
		"file:empty":             "",
		"file:long":              "",
		"file:missing":           "",
		"file:.":                 "",
		"file:":                  "",
		"my-real-password":       "",
		"vault:my-real-password": "",
	} {
		got, err := seal.Resolve(ref, dir)
		if got.Reveal() != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q %v", ref, got.Reveal(), err)
		}
		if err != nil && strings.Contains(err.Error(), "my-real-password") {
			t.Errorf("%s: the error tells it: %v", ref, err)
		}
	}
}

func TestA08SecretsPrintAsSuch(t *testing.T) {
	type holder struct {
		Name   string
		Secret seal.Secret
	}
	value := holder{"x", "hunter2"}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%10s", "%T"} {
		fmt.Fprintf(&out, verb+"\n", value.Secret)
		fmt.Fprintf(&out, verb+"\n", value)
		fmt.Fprintf(&out, verb+"\n", &value)
		fmt.Fprintf(&out, verb+"\n", []seal.Secret{value.Secret})
	}
	encoded, err := json.Marshal([]any{value, &value, value.Secret, []seal.Secret{value.Secret}})
	if err != nil {
		t.Fatal(err)
	}
	out.Write(encoded)
	for _, handler := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
		slog.New(handler).Info("x", "secret", value.Secret, "holder", value, "all", []seal.Secret{value.Secret})
	}
	if got := out.String(); strings.Contains(got, "hunter2") || strings.Contains(got, "68756e74657232") || strings.Contains(got, "68756E74657232") {
		t.Error(got)
	}
	if !strings.Contains(out.String(), "[secret]") {
		t.Error("nothing was printed at all")
	}
}

func FuzzOpen(f *testing.F) {
	key, err := seal.ParseMaster(seal.GenerateMaster())
	if err != nil {
		f.Fatal(err)
	}
	sealer := seal.Sealer{Current: key}
	good, _ := sealer.Seal(place, []byte("x"))
	f.Add(good)
	f.Add("s1." + key.ID() + "..")
	f.Add("s1.x.AA.AA")
	f.Fuzz(func(t *testing.T, text string) {
		if plain, err := sealer.Open(place, text); err == nil && text != good {
			t.Fatalf("%q opens as %q", text, plain)
		}
	})
}
