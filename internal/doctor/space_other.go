//go:build !unix

package doctor

import "context"

// Space can't be asked here.
func Space(name, _ string) Check {
	return Check{name, func(_ context.Context, found *Findings) {
		found.Skip("this system does not say how much space is left")
	}}
}
