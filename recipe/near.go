package recipe

// maxNear bounds the names that a suggestion is looked for in: suggestions are a courtesy, not worth quadratic work.
const maxNear = 500

// nearest gives the known name that a typing error away from name, or "".
func nearest(name string, known []string) string {
	if len(name) > 64 || len(known) > maxNear {
		return ""
	}
	best, bestDistance := "", 1+min(len(name), 9)/3
	for _, candidate := range known {
		if len(candidate) > 64 {
			continue
		}
		if d := distance(name, candidate); d < bestDistance || d == bestDistance && best == "" {
			best, bestDistance = candidate, d
		}
	}
	return best
}

// distance counts the insertions, deletions, replacements and swaps of neighbours between two short texts.
func distance(a, b string) int {
	var before []int
	above := make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			replace := above[j]
			if a[i] != b[j] {
				replace++
			}
			row[j+1] = min(replace, above[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, above = above, row
	}
	return above[len(b)]
}
