package assurance

import (
	"slices"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/iam"
)

// set is one way to reach a level: factors that must all be proved.
type set struct {
	text    string // as the recipe writes it: password+totp
	factors []string
}

func setOf(text string) set { return set{text, strings.Split(text, "+")} }

// skew is how far ahead of our clock a proof may lie: it was made by another node's.
const skew = time.Minute

// age is how old something may be to count: zero fresh is any age. What was begun after a challenge of this very flow counts
// for as long as people need to finish it.
type age struct {
	fresh time.Duration
	since time.Time
	now   time.Time
}

func (a age) counts(proof *iam.Proved) bool {
	switch old := a.now.Sub(proof.At); {
	case old < -skew:
		return false
	case a.fresh <= 0 || old <= a.fresh:
		return true
	default:
		return !a.since.IsZero() && !proof.Begun.IsZero() && !proof.Begun.Before(a.since) && old <= Patience
	}
}

// newest gives the place of the newest proof of a factor that counts, or -1.
func (a age) newest(factor string, proofs []iam.Proved) int {
	best := -1
	for i := range proofs {
		if proofs[i].Factor == factor && a.counts(&proofs[i]) && (best < 0 || proofs[i].At.After(proofs[best].At)) {
			best = i
		}
	}
	return best
}

// oldest tells when the oldest factor of a set was proved, of the newest proofs of each; false: one does not count.
func (a age) oldest(s *set, proofs []iam.Proved) (time.Time, bool) {
	var at time.Time
	for i, factor := range s.factors {
		proof := a.newest(factor, proofs)
		if proof < 0 {
			return time.Time{}, false
		}
		if i == 0 || proofs[proof].At.Before(at) {
			at = proofs[proof].At
		}
	}
	return at, len(s.factors) > 0
}

func (a age) missing(s *set, proofs []iam.Proved) []string {
	var missing []string
	for _, factor := range s.factors {
		if a.newest(factor, proofs) < 0 {
			missing = append(missing, factor)
		}
	}
	return missing
}

func ageOf(need iam.Need, now time.Time) age { return age{need.Fresh, need.Since, now} }

// Missing tells for each set of a need, in its order, which factors are still to be proved: none of them when the set is
// complete. A proof counts if it is as fresh as is needed, or was begun after the challenge and is not older than Patience.
func Missing(need iam.Need, proofs []iam.Proved, now time.Time) [][]string {
	all := make([][]string, len(need.Sets))
	for i, text := range need.Sets {
		one := setOf(text)
		all[i] = ageOf(need, now).missing(&one, proofs)
	}
	return all
}

// Satisfied tells whether proofs complete a set, as password+totp, by the rules of Missing. An empty set never is.
func Satisfied(text string, need iam.Need, proofs []iam.Proved, now time.Time) bool {
	one := setOf(text)
	return text != "" && len(ageOf(need, now).missing(&one, proofs)) == 0
}

// reach finds the highest level from rung upwards that proofs of that age reach, and of the ways to reach it the one whose
// oldest factor is the newest, and when that was proved. Without one the set is nil.
func (p *Policy) reach(rung int, proofs []iam.Proved, a age) (height int, by *set, at time.Time) {
	for height := len(p.sets) - 1; height >= max(rung, 0); height-- {
		for i := range p.sets[height] {
			one := &p.sets[height][i]
			if oldest, whole := a.oldest(one, proofs); whole && (by == nil || oldest.After(at)) {
				by, at = one, oldest
			}
		}
		if by != nil {
			return height, by, at
		}
	}
	return none, nil, time.Time{}
}

// claim is what may truthfully be said of what reach finds.
func (p *Policy) claim(rung int, proofs []iam.Proved, a age) Claim {
	height, by, at := p.reach(rung, proofs, a)
	if by == nil {
		return Claim{}
	}
	return Claim{ACR: p.Ladder[height].ACR, AMR: a.methods(by, proofs), AuthTime: at}
}

// methods are the RFC 8176 names of a set's proofs, and mfa if one is known and another is had.
func (a age) methods(s *set, proofs []iam.Proved) []string {
	var names []string
	knows, has := false, false
	for _, factor := range s.factors {
		for _, method := range proofs[a.newest(factor, proofs)].Methods {
			if !slices.Contains(names, method) {
				names = append(names, method)
			}
		}
		knows = knows || factor == "password"
		has = has || factor != "password"
	}
	if knows && has && !slices.Contains(names, "mfa") {
		names = append(names, "mfa")
	}
	return names
}

// ClaimOf gives what a token may truthfully say of proofs that are to serve a need: its level and freshness count, its sets
// do not. acr, methods and time belong together and are never mixed. Without a level that serves, the claim is empty; for a
// need of nothing it is the highest level.
func (p *Policy) ClaimOf(proofs []iam.Proved, need iam.Need, now time.Time) Claim {
	if p == nil || p.Recipe == nil {
		return Claim{}
	}
	return p.claim(p.rungOf(need.ACR), proofs, ageOf(need, now))
}

// ReachedBy gives the acr of the highest level that all proofs together reach, however old they are, or "" for none.
func (p *Policy) ReachedBy(proofs []iam.Proved) string {
	if p == nil || p.Recipe == nil {
		return ""
	}
	now := time.Time{}
	for i := range proofs {
		if proofs[i].At.After(now) {
			now = proofs[i].At
		}
	}
	if height, by, _ := p.reach(0, proofs, age{now: now}); by != nil {
		return p.Ladder[height].ACR
	}
	return ""
}

// rungOf is the height of an acr value; none asks for nothing, and one that is not on the ladder is above it.
func (p *Policy) rungOf(acr string) int {
	if acr == "" {
		return none
	}
	for i := range p.Ladder {
		if p.Ladder[i].ACR == acr {
			return i
		}
	}
	return len(p.Ladder)
}

// rungNamed is the height of a level by the recipe's word, as rungOf.
func (p *Policy) rungNamed(name string) int {
	if name == "" {
		return none
	}
	for i := range p.Ladder {
		if p.Ladder[i].Name == name {
			return i
		}
	}
	return len(p.Ladder)
}

// none is the height of no level.
const none = -1
