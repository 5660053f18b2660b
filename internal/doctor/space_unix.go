//go:build unix

package doctor

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"
)

// The free space below which it deserves a look, or is a fault.
const (
	littleSpace = 1 << 30
	noSpace     = 64 << 20
)

// Space looks how much room is left where a folder is.
func Space(name, dir string) Check {
	return Check{name, func(_ context.Context, found *Findings) {
		var about unix.Statfs_t
		if err := unix.Statfs(dir, &about); err != nil {
			found.Skip("%v", err)
			return
		}
		free := about.Bavail * uint64(about.Bsize) //nolint:gosec // a block size is positive
		text := fmt.Sprintf("%d MiB are free at %s", free>>20, dir)
		switch {
		case free < noSpace:
			found.Bad(text, "soon nothing can be kept, and nothing is answered that was not kept", "free space, or move the storage")
		case free < littleSpace:
			found.Look(text, "journal and storage grow", "plan for more")
		default:
			found.Good("%s", text)
		}
	}}
}
