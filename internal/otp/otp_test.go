package otp_test

import (
	"encoding/base32"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/otp"
	"github.com/gardeauth/garde/internal/seal"
)

func TestCodesAreThoseOfTheStandard(t *testing.T) { // RFC 6238 appendix B, last six digits
	secret := base32.StdEncoding.EncodeToString([]byte("12345678901234567890"))
	for at, want := range map[int64]string{
		59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130",
	} {
		if got, err := otp.Code(secret, time.Unix(at, 0)); err != nil || got != want {
			t.Errorf("at %d: %s, want %s (%v)", at, got, want, err)
		}
	}
}

func TestACodeServesOnceAndForAMoment(t *testing.T) {
	secret, now := otp.NewSecret(), time.Unix(1_800_000_010, 0)
	step := otp.Step(now)
	code := func(shift time.Duration) string {
		made, err := otp.Code(secret, now.Add(shift))
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	right := code(0)
	for name, test := range map[string]struct {
		code string
		mark int64
		want int64
	}{
		"now":                         {right, 0, step},
		"as people write it":          {" " + right[:3] + " " + right[3:] + " ", 0, step},
		"a clock behind":              {code(-otp.Period), 0, step - 1},
		"a clock ahead":               {code(otp.Period), 0, step + 1},
		"too old":                     {code(-2 * otp.Period), 0, 0},
		"too early":                   {code(2 * otp.Period), 0, 0},
		"S07 again":                   {right, step, 0},
		"S07 the one before, after":   {code(-otp.Period), step, 0},
		"S07 the next one, after":     {code(otp.Period), step, step + 1},
		"S10 nothing":                 {"", 0, 0},
		"S10 a digit less":            {right[1:], 0, 0},
		"S10 a digit more":            {right + "0", 0, 0},
		"S10 digits of another world": {strings.Repeat("١", 6), 0, 0},
		"S10 letters":                 {"abcdef", 0, 0},
		"S10 very long":               {strings.Repeat(" ", 1000) + right, 0, 0},
	} {
		next, ok := otp.Verify(secret, test.code, test.mark, now)
		if ok != (test.want != 0) || next != test.want {
			t.Errorf("%s: %d, %v", name, next, ok)
		}
	}
	if _, ok := otp.Verify("", right, 0, now); ok {
		t.Error("an empty secret proves")
	}
	if _, ok := otp.Verify("AAAA", "000000", 0, now); ok {
		t.Error("a short secret proves")
	}
}

func TestApplicationsReadTheAddress(t *testing.T) {
	secret := otp.NewSecret()
	at, err := url.Parse(otp.URI("Banque: d'Élan & Co", "alice:x@bank.example", secret))
	if err != nil {
		t.Fatal(err)
	}
	query := at.Query()
	if at.Scheme != "otpauth" || at.Host != "totp" || at.Path != "/Banque  d'Élan & Co:alice x@bank.example" || query.Get("secret") != secret ||
		query.Get("issuer") != "Banque  d'Élan & Co" || strings.Contains(at.RawQuery, "+") {
		t.Errorf("the address is %s", at)
	}
	path, size, err := otp.QR(at.String())
	if err != nil || size < 21 || !strings.HasPrefix(path, "M0 0h7v1h-7z") {
		t.Errorf("the picture is %d wide: %.40s (%v)", size, path, err)
	}
	if _, _, err := otp.QR(strings.Repeat("x", 5000)); err == nil {
		t.Error("what is too long is drawn")
	}
}

func TestRecoveryCodes(t *testing.T) {
	codes := otp.NewRecovery()
	if len(codes) != otp.Recoveries || len(slices.Compact(slices.Sorted(slices.Values(codes)))) != len(codes) {
		t.Fatalf("codes %v", codes)
	}
	for _, code := range codes {
		hash := otp.HashRecovery("u-alice", code)
		for _, typed := range []string{strings.ToUpper(code), strings.ReplaceAll(code, "-", " "), " " + strings.ReplaceAll(code, "-", "")} {
			if !otp.HashRecovery("u-alice", typed).Equal(hash) {
				t.Errorf("%q is not %q", typed, code)
			}
		}
		if len(code) != 19 || otp.HashRecovery("u-bob", code).Equal(hash) || !otp.HashRecovery("", code).Zero() {
			t.Errorf("code %q", code)
		}
	}
	for _, typed := range []string{"", "----", codes[0][1:], codes[0] + "b", strings.Repeat("a", 16), strings.Repeat("1", 16), strings.Repeat(" ", 99), "\u212a" + codes[0][1:]} {
		if hash := otp.HashRecovery("u-alice", typed); !hash.Zero() {
			t.Errorf("%q can be a code", typed)
		}
	}
}

func TestMailCodesAndNumbers(t *testing.T) {
	code := otp.NewMailCode()
	hash := otp.HashMailCode("salt", code)
	if hash.Zero() || !otp.HashMailCode("salt", strings.ReplaceAll(code, " ", "")).Equal(hash) || otp.HashMailCode("other", code).Equal(hash) {
		t.Errorf("code %q", code)
	}
	for _, typed := range []string{"", "1234 567", "1234 56789", "abcd efgh"} {
		if !otp.HashMailCode("salt", typed).Zero() {
			t.Errorf("%q can be a code", typed)
		}
	}
	for range 100 {
		if number := otp.NewNumber(); len(number) != 2 || number < "10" || number > "99" {
			t.Errorf("number %s", number)
		}
	}
}

func FuzzCodes(f *testing.F) {
	secret, now := otp.NewSecret(), time.Unix(1_800_000_010, 0)
	right, err := otp.Code(secret, now)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(right)
	f.Add("12 34-56")
	f.Add(otp.NewMailCode())
	f.Add(otp.NewRecovery()[0])
	f.Fuzz(func(t *testing.T, typed string) {
		if next, ok := otp.Verify(secret, typed, otp.Step(now), now); ok && next != otp.Step(now)+1 {
			t.Errorf("%q moves the mark to %d", typed, next)
		}
		if hash := otp.HashRecovery("u", typed); !hash.Zero() && len(typed) < 16 {
			t.Errorf("%q can be a recovery code", typed)
		}
		if hash := otp.HashMailCode("s", typed); !hash.Zero() && hash.Equal(iam.Digest{}) {
			t.Errorf("%q", typed)
		}
	})
}

func TestASealedSecretOpensInItsRowAlone(t *testing.T) {
	master, err := seal.ParseMaster(seal.GenerateMaster())
	if err != nil {
		t.Fatal(err)
	}
	sealer, secret := seal.Sealer{Current: master}, otp.NewSecret()
	kept := iam.Authenticator{ID: "a", Kind: iam.FactorTOTP}
	if kept.Sealed, err = otp.Seal(sealer, iam.DefaultTenant, "a", secret); err != nil {
		t.Fatal(err)
	}
	if got, err := otp.Open(sealer, iam.DefaultTenant, kept); err != nil || got != secret {
		t.Errorf("opened %q, %v", got, err)
	}
	for name, odd := range map[string]iam.Authenticator{
		"another row": {ID: "b", Kind: iam.FactorTOTP, Sealed: kept.Sealed}, "another kind": {ID: "a", Kind: iam.FactorPasskey, Sealed: kept.Sealed},
	} {
		if _, err := otp.Open(sealer, iam.DefaultTenant, odd); err == nil {
			t.Errorf("%s opens", name)
		}
	}
}
