// Command bench measures Garde beside what the machine can do at best. Each figure is a share of a bare reference that
// runs in the same minutes, in turn with it: rounds alternate, and the medians are compared. Nodes, references and
// upstream are processes of their own; the load generator is this one, and both sides of a ratio pay for it alike.
//
// It prints a table. With -json it also writes rows: {"name", "ratio", "at_least"} for shares, and {"name", "value",
// "at_most", "unit"} for what is bounded from above. It exits with 1 when a figure misses its limit.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"text/tabwriter"
	"time"

	"github.com/gardeauth/garde/internal/store/storetest/pgtest"
)

func main() {
	b := bench{}
	only := flag.String("only", "", "measure only the rows whose names match")
	as := flag.String("reference", "", "serve a reference (for the bench itself)")
	node := flag.String("node", "", "serve a node under the profiler: serve or gate (for the bench itself)")
	flag.StringVar(&b.json, "json", "", "write the rows to this file")
	flag.BoolVar(&b.verbose, "v", false, "tell what each round gave, and the processor time of each side")
	flag.StringVar(&b.profiles, "profile", "", "write profiles of the nodes into this folder, and leave the references out")
	flag.StringVar(&b.temp, "temp", "", "folder for data; its disk is the one that is measured")
	short := flag.Bool("short", false, "a few seconds for each row: a first look, no measurement")
	flag.Parse()

	b.rounds, b.stretch, b.crowd = 7, 1500*time.Millisecond, 1_000_000
	if *short {
		b.rounds, b.stretch, b.crowd = 3, 500*time.Millisecond, 50_000
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	switch {
	case *as != "":
		err = reference(*as, flag.Args())
	case *node != "":
		err = profiled(*node, flag.Args())
	default:
		if b.only, err = regexp.Compile(*only); err == nil {
			err = b.run(ctx)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop has run
	}
}

// bench is one run.
type bench struct {
	json, profiles, temp string
	verbose              bool
	only                 *regexp.Regexp
	rounds               int
	stretch              time.Duration
	crowd                int // people of the large server; a tenth as many clients

	dir      string // of everything that this run keeps
	program  string // garde
	upstream string
	rows     []row
	apart    []string // what was measured without a limit
}

// row is one line of the table.
type row struct {
	name            string
	ours, reference float64 // medians of what was compared: per second, or the value itself
	ratio           float64 // median of the rounds' ratios
	limit           float64
	unit            string // empty: a ratio
}

func (r row) figure() float64 {
	if r.unit != "" {
		return r.ours
	}
	return r.ratio
}

func (r row) ok() bool {
	if r.unit != "" {
		return r.figure() < r.limit
	}
	return r.figure() >= r.limit
}

// MarshalJSON writes what the head of this file promises.
func (r row) MarshalJSON() ([]byte, error) {
	if r.unit != "" {
		return json.Marshal(struct {
			Name   string  `json:"name"`
			Value  float64 `json:"value"`
			AtMost float64 `json:"at_most"`
			Unit   string  `json:"unit"`
		}{r.name, r.figure(), r.limit, r.unit})
	}
	return json.Marshal(struct {
		Name    string  `json:"name"`
		Ratio   float64 `json:"ratio"`
		AtLeast float64 `json:"at_least"`
	}{r.name, r.figure(), r.limit})
}

func (b *bench) run(ctx context.Context) (err error) {
	if b.dir, err = os.MkdirTemp(b.temp, "garde-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	b.program = filepath.Join(b.dir, "garde")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", b.program, "github.com/gardeauth/garde/cmd/garde") //nolint:gosec // our own folder
	build.Env, build.Stderr = append(os.Environ(), "CGO_ENABLED=0"), os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build garde: %w", err)
	}
	up, address, err := startReference("upstream")
	if err != nil {
		return err
	}
	defer up.stop() //nolint:errcheck // it ends with this process in any case
	b.upstream = address
	for _, part := range []func(context.Context) error{b.start, b.judging, b.onSQLite, b.crowded, b.onPostgres} {
		if err := part(ctx); err != nil {
			return errors.Join(err, b.tell())
		}
	}
	if err := b.tell(); err != nil {
		return err
	}
	for _, row := range b.rows {
		if !row.ok() {
			return errors.New("a figure misses its limit")
		}
	}
	return nil
}

func (b *bench) wants(name string) bool { return b.only.MatchString(name) }

// tell prints the table and writes the rows.
func (b *bench) tell() error {
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "name\tours\treference\tratio\tlimit\tok")
	for _, row := range b.rows {
		ok := "yes"
		if !row.ok() {
			ok = "NO"
		}
		if row.unit != "" {
			digits := 0
			if row.limit < 10 {
				digits = 2
			}
			fmt.Fprintf(table, "%s\t%.*f %s\t\t\tunder %.*f %s\t%s\n", row.name, digits, row.ours, row.unit, digits, row.limit, row.unit, ok)
			continue
		}
		limit := fmt.Sprintf("at least %.2f", row.limit)
		if row.limit == 0 {
			limit = "none" // it is told so that nobody takes the row beside it for it
		}
		fmt.Fprintf(table, "%s\t%.0f/s\t%.0f/s\t%.2f\t%s\t%s\n", row.name, row.ours, row.reference, row.figure(), limit, ok)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, line := range b.apart {
		fmt.Println(line)
	}
	if b.json == "" {
		return nil
	}
	text, err := json.MarshalIndent(b.rows, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(b.json, append(text, '\n'), 0o600)
}

// onPostgres measures what PostgreSQL costs: a server of this run's own, with every write made durable.
func (b *bench) onPostgres(ctx context.Context) error {
	const name = "client_credentials on PostgreSQL"
	if !b.wants(name) {
		return nil
	}
	dir := filepath.Join(b.dir, "postgres")
	if err := os.Mkdir(dir, 0o755); err != nil { //nolint:gosec // the server runs as another user when this is root
		return err
	}
	if err := os.Chmod(b.dir, 0o755); err != nil { //nolint:gosec // the same; what is secret in it has a mode of its own
		return err
	}
	server, err := pgtest.Start(ctx, dir)
	if errors.Is(err, pgtest.ErrAbsent) {
		fmt.Fprintln(os.Stderr, "bench: no row for PostgreSQL:", err)
		return nil
	}
	if err != nil {
		return err
	}
	defer server.Stop() //nolint:errcheck // the folder goes with it
	dsn, err := server.Create(ctx, "bench")
	if err != nil {
		return err
	}
	house, err := newHouse(filepath.Join(b.dir, "on-postgres"), dsn, b.upstream)
	if err != nil {
		return err
	}
	if err := house.plant(ctx); err != nil {
		return err
	}
	node, err := b.serve(ctx, "serve", house)
	if err != nil {
		return err
	}
	defer node.stop() //nolint:errcheck // it tells nothing
	return b.ratio(ctx, name, 0.35, side{address: house.server, do: clientCredentials, process: node}, "sign", side{do: clientCredentials})
}
