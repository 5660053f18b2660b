package assurance

import "time"

// wish adds what the client asks for beyond the policy (OpenID Connect Core sections 3.1.2.1 and 5.5.1.1, RFC 9470 section
// 5). It only raises: a wish for less changes nothing.
func (j *judging) wish() {
	wish := &j.question.Wish
	if len(wish.Essential) > 0 {
		rung := j.lowest(wish.Essential, func(int) bool { return true })
		if rung == none { // nobody knows any of them: nothing would be enough
			rung = len(j.Ladder)
		}
		j.wished.rung = max(j.wished.rung, rung)
	}
	if rung := j.wanted(wish.ACR); rung != none {
		j.wished.rung = max(j.wished.rung, rung)
	}
	if wish.MaxAge >= 0 {
		// Now, and no earlier: the shortest time there is, because none means any.
		j.wished = j.wished.and(floor{none, max(wish.MaxAge, time.Nanosecond)})
	}
}

// wanted is the lowest of the wished levels that the person can reach, else that they could after adding a factor. A level
// that they can never reach is no more than a wish.
func (j *judging) wanted(acrs []string) int {
	if rung := j.lowest(acrs, func(rung int) bool { texts, _ := j.provable(rung, j.age(floor{})); return len(texts) > 0 }); rung != none {
		return rung
	}
	return j.lowest(acrs, func(rung int) bool { return len(j.addable(rung)) > 0 })
}

// lowest is the lowest of levels by acr that is fit, or none.
func (j *judging) lowest(acrs []string, fit func(rung int) bool) int {
	best := none
	for _, acr := range acrs {
		rung := j.rungOf(acr)
		if rung >= 0 && rung < len(j.Ladder) && (best == none || rung < best) && fit(rung) {
			best = rung
		}
	}
	return best
}
