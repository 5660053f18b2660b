package app

import (
	"slices"
	"strings"

	"github.com/gardeauth/garde/internal/iam"
)

// reached is the highest level that proofs reach, however old they are.
func (s *Server) reached(proofs []iam.Proved) string {
	policy := s.Policy()
	if policy == nil || policy.Recipe == nil {
		return ""
	}
	for _, rung := range slices.Backward(policy.Recipe.Levels) {
		for _, set := range rung.Any {
			if covers(proofs, set) {
				return rung.ACR
			}
		}
	}
	return ""
}

// covers tells whether every factor of a set, such as password+totp, was proved.
func covers(proofs []iam.Proved, set string) bool {
	for factor := range strings.SplitSeq(set, "+") {
		if !slices.ContainsFunc(proofs, func(one iam.Proved) bool { return one.Factor == factor }) {
			return false
		}
	}
	return set != ""
}
