package session

import (
	"slices"
	"time"

	"github.com/gardeauth/garde/internal/iam"
)

// Methods are the RFC 8176 names of everything that was proved, and mfa when it was of two kinds: what a person knows, and
// what they have. Two of what they have are not.
func Methods(proofs []iam.Proved) []string {
	var all []string
	add := func(name string) {
		if !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	knows, has := false, false
	for _, one := range proofs {
		for _, name := range one.Methods {
			add(name)
		}
		knows, has = knows || one.Factor == "password", has || one.Factor != "password"
	}
	if knows && has {
		add("mfa")
	}
	return all
}

// Merge adds what was proved to what was known before: each factor once, the newest of it, oldest first.
func Merge(before []iam.Proved, proved ...iam.Proved) []iam.Proved {
	var all []iam.Proved
	for _, one := range append(slices.Clone(before), proved...) {
		at := slices.IndexFunc(all, func(other iam.Proved) bool { return other.Factor == one.Factor })
		switch {
		case at < 0:
			all = append(all, one)
		case !one.At.Before(all[at].At):
			all[at] = one
		}
	}
	slices.SortStableFunc(all, func(one, other iam.Proved) int { return one.At.Compare(other.At) })
	return all
}

// maxAnswers is how many challenges a session remembers to have answered.
const maxAnswers = 16

// Answer adds an answer to those before: each cause once, the newest of it.
func Answer(before []iam.Answer, answer iam.Answer) []iam.Answer {
	all := slices.DeleteFunc(slices.Clone(before), func(other iam.Answer) bool { return other.Cause == answer.Cause })
	all = append(all, answer)
	return all[max(0, len(all)-maxAnswers):]
}

// newest is when the last proof was given, in whole seconds, as auth_time is.
func newest(proofs []iam.Proved, now time.Time) time.Time {
	at := time.Time{}
	for _, one := range proofs {
		if one.At.After(at) {
			at = one.At
		}
	}
	if at.IsZero() {
		at = now
	}
	return at.UTC().Truncate(time.Second)
}
