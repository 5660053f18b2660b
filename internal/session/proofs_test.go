package session_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/session"
)

func proved(factor string, at int64, methods ...string) iam.Proved {
	return iam.Proved{Factor: factor, At: time.Unix(at, 0), Methods: methods}
}

func TestS12MethodsSayWhatWasProved(t *testing.T) {
	password, totp, key := proved("password", 1, "pwd"), proved("totp", 2, "otp"), proved("security_key", 3, "hwk", "user")
	for want, proofs := range map[string][]iam.Proved{
		"":                 nil,
		"pwd":              {password},
		"pwd otp mfa":      {password, totp},
		"otp hwk user":     {totp, key}, // two things that a person has
		"swk user mfa":     {proved("passkey", 1, "swk", "user", "mfa")},
		"pwd hwk user mfa": {password, key},
	} {
		if got := strings.Join(session.Methods(proofs), " "); got != want {
			t.Errorf("%v say %q, want %q", proofs, got, want)
		}
	}
}

func TestProofsAreMergedEachFactorOnce(t *testing.T) {
	old := []iam.Proved{proved("password", 10, "pwd"), proved("passkey", 20, "hwk")}
	all := session.Merge(old, proved("password", 30, "pwd"), proved("totp", 25, "otp"))
	var names []string
	for _, one := range all {
		names = append(names, one.Factor)
	}
	if !slices.Equal(names, []string{"passkey", "totp", "password"}) || all[2].At.Unix() != 30 {
		t.Errorf("merged %+v", all)
	}
	if all = session.Merge(old, proved("passkey", 5, "swk")); all[1].At.Unix() != 20 {
		t.Errorf("an older proof replaces a newer one: %+v", all)
	}
	if old[0].At.Unix() != 10 {
		t.Error("what was known before was changed")
	}
}

func TestASessionRemembersSomeAnswers(t *testing.T) {
	var all []iam.Answer
	for i := range 40 {
		all = session.Answer(all, iam.Answer{Cause: iam.Hash(string(rune('a' + i%20))), At: time.Unix(int64(i), 0)})
	}
	if len(all) != 16 || all[15].At.Unix() != 39 || all[0].At.Unix() != 24 {
		t.Errorf("%d answers: %+v", len(all), all)
	}
}
