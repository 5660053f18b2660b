// Command testsum runs test commands one after the other, tells their progress, shows every failure in full, and closes
// with one line that counts them all. It knows `go test -json` and the TAP of node's test runner.
//
//	testsum NAME go test -json ./... -- NAME sh interop/run.sh
//
// It exits with 1 when something failed or when nothing was tested.
package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"time"
)

const slowest = 10 // tests named at the end

// maxLine bounds one line of a test's output.
const maxLine = 16 << 20

func main() {
	sum := &tally{out: os.Stdout}
	for _, phase := range phases(os.Args[1:]) {
		sum.run(phase)
	}
	os.Exit(sum.close())
}

// phases cuts the arguments at each "--".
func phases(args []string) (all [][]string) {
	for len(args) > 0 {
		end := slices.Index(args, "--")
		if end < 0 {
			end = len(args)
		}
		all = append(all, args[:end])
		args = args[min(end+1, len(args)):]
	}
	return all
}

// tally is what has been seen so far.
type tally struct {
	out                     io.Writer
	passed, failed, skipped int
	timed                   []timedTest
	skips                   []string
	failures                []string
	// calm tells that the last line of TAP was no failure, quiet that the block after it is being passed over.
	calm, quiet bool
}

type timedTest struct {
	name string
	took time.Duration
}

// run runs one phase: a name and a command.
func (s *tally) run(phase []string) {
	if len(phase) < 2 {
		s.fail(fmt.Sprintf("testsum: want NAME COMMAND..., got %q", phase), "")
		return
	}
	name, start, before := phase[0], time.Now(), s.passed+s.failed
	fmt.Fprintf(s.out, "== %s\n", name)
	cmd := exec.Command(phase[1], phase[2:]...) //nolint:gosec // G204: running what it is given is what it is for
	read, write, err := os.Pipe()
	if err != nil {
		s.fail(name, err.Error())
		return
	}
	cmd.Stdout, cmd.Stderr = write, write
	if err := cmd.Start(); err != nil {
		s.fail(name, err.Error())
		return
	}
	write.Close()      //nolint:errcheck // the command has its own copy
	defer read.Close() //nolint:errcheck // read to its end
	failed := s.failed
	s.read(read)
	err = cmd.Wait()
	if err != nil && s.failed == failed {
		s.fail(name, "the command ended with "+err.Error())
	}
	if err == nil && s.passed+s.failed == before {
		s.fail(name, "nothing was tested")
	}
	fmt.Fprintf(s.out, "== %s: %d tests in %s\n", name, s.passed+s.failed-before, time.Since(start).Round(time.Second))
}

// read takes the lines of one command. Lines of neither form are passed on.
func (s *tally) read(r io.Reader) {
	s.calm, s.quiet = false, false
	stream := &goStream{sum: s, output: map[key]*output{}}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		switch line := lines.Bytes(); {
		case stream.take(line):
		case s.tap(lines.Text()):
		default:
			fmt.Fprintf(s.out, "%s\n", line)
		}
	}
	if err := lines.Err(); err != nil {
		s.fail("testsum: read the output", err.Error())
		_, _ = io.Copy(io.Discard, r) // let the command end
	}
}

func (s *tally) fail(name, text string) {
	s.failed++
	s.failures = append(s.failures, name)
	fmt.Fprintf(s.out, "--- FAIL: %s\n%s\n", name, text)
}

// close tells what a person wants to know last, and gives the exit code.
func (s *tally) close() int {
	slices.SortFunc(s.timed, func(a, b timedTest) int { return cmp.Compare(b.took, a.took) })
	fmt.Fprintln(s.out, "\nSlowest:")
	for _, t := range s.timed[:min(slowest, len(s.timed))] {
		fmt.Fprintf(s.out, "  %6.2fs %s\n", t.took.Seconds(), t.name)
	}
	list(s.out, "Skipped", s.skips)
	list(s.out, "Failed", s.failures)
	fmt.Fprintf(s.out, "\n%d passed, %d failed, %d skipped\n", s.passed, s.failed, s.skipped)
	if s.failed > 0 || s.passed == 0 {
		return 1
	}
	return 0
}

func list(out io.Writer, title string, all []string) {
	if len(all) == 0 {
		return
	}
	fmt.Fprintf(out, "\n%s:\n", title)
	for _, one := range all {
		fmt.Fprintf(out, "  %s\n", one)
	}
}
