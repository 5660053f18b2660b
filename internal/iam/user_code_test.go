package iam_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/gardeauth/garde/internal/iam"
)

var codeKey = bytes.Repeat([]byte{7}, 32)

func TestV02UserCodes(t *testing.T) {
	for typed, want := range map[string]string{
		"WDJB-MJHT": "WDJB-MJHT", "wdjbmjht": "WDJB-MJHT", " wdjb mjht ": "WDJB-MJHT", "WDJB–MJHT": "WDJB-MJHT", "W-D-J-B-M-J-H-T": "WDJB-MJHT",
		"": "", "WDJB-MJH": "", "WDJB-MJHTT": "", "WDJB-MJHA": "", "WDJB-MJH1": "", "ＷDJB-MJHT": "", "WDJB-MJHT\x00": "", "WDJB_MJHT": "",
		"ſDJB-MJHT": "", strings.Repeat("-", 60) + "WDJBMJHT": "",
	} {
		if got := iam.UserCode(typed); got != want {
			t.Errorf("%q is read as %q", typed, got)
		}
		zero := iam.Digest(iam.HashUserCode(codeKey, typed)).Zero()
		if zero != (want == "") {
			t.Errorf("%q has the hash of nothing: %v", typed, zero)
		}
	}
	if !iam.Digest(iam.HashUserCode(nil, "WDJB-MJHT")).Zero() {
		t.Error("a hash without a key: everybody could try all codes")
	}
	if iam.HashUserCode(codeKey, "WDJB-MJHT") == iam.HashUserCode(bytes.Repeat([]byte{8}, 32), "WDJB-MJHT") {
		t.Error("the key is not asked")
	}
	if iam.HashUserCode(codeKey, "wdjb mjht") != iam.HashUserCode(codeKey, "WDJB-MJHT") {
		t.Error("another spelling is another code")
	}
}

func TestV02EveryLetterComesAsOften(t *testing.T) {
	seen, count := map[string]bool{}, map[rune]int{}
	for range 5000 {
		code := iam.NewUserCode()
		if iam.UserCode(code) != code || seen[code] {
			t.Fatalf("made %q", code)
		}
		seen[code] = true
		for _, c := range strings.ReplaceAll(code, "-", "") {
			count[c]++
		}
	}
	if len(count) != 20 {
		t.Errorf("%d letters", len(count))
	}
	for c, n := range count {
		if n < 1700 || n > 2300 { // 2000 expected, seven deviations away
			t.Errorf("%c comes %d times", c, n)
		}
	}
}

func FuzzUserCode(f *testing.F) {
	for _, seed := range []string{"WDJB-MJHT", "wdjb mjht", "", "ſ", "WDJB–MJHT", "\xff\xfe"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		code := iam.UserCode(typed)
		if code != "" && (len(code) != 9 || code[4] != '-' || iam.UserCode(code) != code || strings.Trim(code, "BCDFGHJKLMNPQRSTVWXZ-") != "") {
			t.Errorf("%q is read as %q", typed, code)
		}
		if iam.Digest(iam.HashUserCode(codeKey, typed)).Zero() != (code == "") {
			t.Errorf("%q", typed)
		}
	})
}
