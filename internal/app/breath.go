package app

import (
	"context"
	"os"
	"runtime/debug"
	runtimemetrics "runtime/metrics"
	"time"
)

// A node keeps little alive, so at Go's usual pace of collection (when the heap has doubled) a busy one would collect a
// hundred times a second and spend a fifth of its processor on it. While it is busy it may hold breath bytes of garbage
// instead; when it has been quiet for a while the usual pace returns, and memory with it.
const (
	breath     = 24 << 20
	ceiling    = 64 << 20 // of all that Go holds, as long as what lives leaves that much room
	busyCycles = 5        // collections in a second
	settledFor = 2        // seconds without any, after which what the start left behind goes back to the system (decision 0023)
	quietFor   = 30       // seconds without any, after which the usual pace returns
	usualPace  = 100
	slowest    = 400
)

// pace watches how often the collector runs and gives it room. It leaves everything to an operator who has set GOGC or
// GOMEMLIMIT.
func pace(ctx context.Context) error {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return nil
	}
	samples := []runtimemetrics.Sample{{Name: "/gc/cycles/automatic:gc-cycles"}, {Name: "/gc/heap/live:bytes"}}
	runtimemetrics.Read(samples)
	before, quiet := samples[0].Value.Uint64(), 0
	settled := false
	return every(time.Second, func(context.Context) {
		runtimemetrics.Read(samples)
		cycles, live := samples[0].Value.Uint64(), samples[1].Value.Uint64()
		// What lives may grow many times over before this looks again: the limit holds it meanwhile.
		debug.SetMemoryLimit(int64(max(ceiling, 2*live+breath))) //nolint:gosec // far below the largest
		switch ran := cycles - before; {
		case ran > busyCycles:
			debug.SetGCPercent(roomFor(live))
			quiet = 0
		case ran > 0:
			quiet = 0
		default:
			quiet++
			if quiet == settledFor && !settled {
				settled = true
				debug.FreeOSMemory()
				shedPages()
			}
			if quiet == quietFor {
				debug.SetGCPercent(usualPace)
			}
		}
		before = cycles
	})(ctx)
}

// roomFor gives the percentage by which a heap of which so much lives may grow before it is collected: by breath, but
// never less than usual.
func roomFor(live uint64) int {
	if live == 0 {
		return usualPace
	}
	return int(min(max(uint64(breath)*usualPace/live, usualPace), slowest)) // between the two
}
