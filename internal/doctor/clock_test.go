package doctor_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/doctor"
)

// nodes give a sign of life every so often, by clocks that are ahead by so much; one that has ended gives none.
type nodes struct {
	ahead map[string]time.Duration
	ended map[string]time.Duration
}

const rhythm = 60 * time.Millisecond

func (n nodes) list(context.Context) ([]doctor.Beat, error) {
	var beats []doctor.Beat
	for name, by := range n.ahead {
		beats = append(beats, doctor.Beat{Node: name, Seen: time.Now().Truncate(rhythm).Add(by)})
	}
	for name, by := range n.ended {
		beats = append(beats, doctor.Beat{Node: name, Seen: time.Unix(1_800_000_000, 0).Add(by)})
	}
	return beats, nil
}

func TestClocksOfNodes(t *testing.T) {
	type offsets = map[string]time.Duration
	for name, row := range map[string]struct {
		nodes nodes
		bad   []string // what each fault says; none: the clocks agree
		says  string   // besides
	}{
		"two that agree":                         {nodes{offsets{"a": 0, "b": 2 * time.Second}, nil}, nil, "2 nodes agree"},
		"one is alone":                           {nodes{offsets{"a": time.Hour}, nil}, nil, "no two nodes"},
		"one is alone, and another has ended":    {nodes{offsets{"a": time.Hour}, offsets{"b": 0}}, nil, "no two nodes"},
		"of two, this machine says which is off": {nodes{offsets{"a": 0, "b": 40 * time.Second}, nil}, []string{"b is 40s ahead"}, ""},
		"of three, one is behind":                {nodes{offsets{"a": 0, "b": -time.Minute, "c": time.Second}, nil}, []string{"b is 1m0s behind"}, ""},
		"of three, one is a day behind":          {nodes{offsets{"a": 0, "b": -24 * time.Hour, "c": 0}, nil}, []string{"b is 24h0m0s behind"}, ""},
		"two are off in two ways": {
			nodes{offsets{"a": 0, "b": -time.Minute, "c": 0, "d": 0, "e": time.Minute}, nil}, []string{"b is 1m0s behind", "e is 1m0s ahead"}, "",
		},
		"this machine is off, and no node": {
			nodes{offsets{"a": time.Minute, "b": time.Minute, "c": time.Minute}, nil}, nil, "this machine is 1m0s behind",
		},
		"one that has ended is not off": {nodes{offsets{"a": 0, "b": 0}, offsets{"c": 0}}, nil, "2 nodes agree"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			findings, healthy := look(t, doctor.Clocks{Every: rhythm, List: row.nodes.list, Now: time.Now}.Check("clocks"))
			var bad []string
			said := ""
			for _, finding := range findings {
				said += finding.Text + "\n"
				if finding.Verdict == doctor.Bad {
					bad = append(bad, finding.Text)
				}
			}
			if healthy != (len(row.bad) == 0) || len(bad) != len(row.bad) || !strings.Contains(said, row.says) {
				t.Fatalf("it says %s", said)
			}
			for i := range bad {
				if !strings.Contains(bad[i], row.bad[i]) {
					t.Errorf("it says %q, want %q", bad[i], row.bad[i])
				}
			}
		})
	}
	broken := doctor.Clocks{Every: rhythm, List: func(context.Context) ([]doctor.Beat, error) { return nil, errors.New("no answer") }, Now: time.Now}
	wants(t, broken.Check("clocks"), doctor.Skipped, "no answer")
}
