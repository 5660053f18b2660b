package doctor

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Beat is a sign of life of a node, with the moment that its own clock gave it.
type Beat struct {
	Node string
	Seen time.Time
}

// Clocks compares the clocks of nodes by their signs of life.
type Clocks struct {
	Every time.Duration // how often each node gives one
	List  func(context.Context) ([]Beat, error)
	Now   func() time.Time
}

// nodesApart is how far the clocks of nodes may be apart: beyond it, what a client has signed a moment ago is good at one
// node and from the future at another.
const nodesApart = 10 * time.Second

// Check looks at which nodes live, and which of them has another time than the others. It waits for one sign of life of each:
// only whoever sees it come can tell a clock that is behind from a node that has ended.
func (c Clocks) Check(name string) Check {
	return Check{name, func(ctx context.Context, found *Findings) {
		ahead, err := c.listen(ctx)
		switch {
		case err != nil:
			found.Skip("the nodes can't be listed: %v", err)
		case len(ahead) < 2:
			found.Skip("there are no two nodes to compare")
		default:
			compare(ahead, found)
		}
	}}
}

// listen tells how far the clock of each living node is ahead of this machine's.
func (c Clocks) listen(ctx context.Context) (map[string]time.Duration, error) {
	before, err := c.List(ctx)
	if err != nil || len(before) < 2 {
		return nil, err
	}
	first := map[string]time.Time{}
	for _, beat := range before {
		first[beat.Node] = beat.Seen
	}
	ahead := map[string]time.Duration{}
	look := time.NewTicker(max(c.Every/20, time.Millisecond))
	defer look.Stop()
	for over := time.After(c.Every + c.Every/5); len(ahead) < len(first); {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-over:
			return ahead, nil
		case <-look.C:
		}
		beats, err := c.List(ctx)
		if err != nil {
			return nil, err
		}
		now := c.Now()
		for _, beat := range beats {
			was, known := first[beat.Node]
			if _, heard := ahead[beat.Node]; known && !heard && !beat.Seen.Equal(was) {
				ahead[beat.Node] = beat.Seen.Sub(now)
			}
		}
	}
	return ahead, nil
}

// compare names the nodes that are off from most. Where two stand against each other, this machine's clock decides.
func compare(ahead map[string]time.Duration, found *Findings) {
	var names []string
	all := make([]time.Duration, 0, len(ahead)+1)
	for name, by := range ahead {
		names, all = append(names, name), append(all, by)
	}
	if len(all)%2 == 0 {
		all = append(all, 0)
	}
	slices.Sort(names)
	slices.Sort(all)
	right, off := all[len(all)/2], false
	for _, name := range names {
		by := ahead[name] - right
		if by.Abs() <= nodesApart {
			continue
		}
		off = true
		found.Bad(fmt.Sprintf("the clock of %s is %s", name, told(by)),
			"it refuses what others have just signed, or accepts what has ended for them", "let it follow a time server, as the others do")
	}
	if !off {
		found.Good("the clocks of %d nodes agree", len(names))
	}
	if right.Abs() > nodesApart {
		found.Look("the clock of this machine is "+told(-right)+", if the nodes are right", "what the doctor says of times is as wrong", "let it follow a time server")
	}
}

func told(by time.Duration) string {
	if by < 0 {
		return (-by).Round(time.Second).String() + " behind"
	}
	return by.Round(time.Second).String() + " ahead"
}
