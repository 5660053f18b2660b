package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// event is a line of go test -json, as `go doc test2json` tells it, and of go build -json.
type event struct {
	Action, Package, ImportPath, Test, Output, FailedBuild string
	Elapsed                                                float64
}

type key struct{ pkg, test string }

type output struct {
	text strings.Builder
	// child tells that a subtest failed, so that this one's failure is its child's.
	child bool
}

// goStream follows one stream of events.
type goStream struct {
	sum    *tally
	output map[key]*output
	tests  map[string]int
	broken map[string]bool
}

// take tells whether the line was an event.
func (g *goStream) take(line []byte) bool {
	var e event
	if len(line) == 0 || line[0] != '{' || json.Unmarshal(line, &e) != nil || e.Action == "" {
		return false
	}
	switch {
	case e.ImportPath != "": // the build, whose packages may look like "x [x.test]"
		g.build(e)
	case e.Test != "":
		g.test(e)
	case e.Package != "":
		g.pkg(e)
	}
	return true
}

func (g *goStream) build(e event) {
	switch at := (key{e.ImportPath, ""}); e.Action {
	case "build-output":
		g.at(at).text.WriteString(e.Output)
	case "build-fail":
		g.sum.fail("build "+e.ImportPath, g.at(at).text.String())
	}
}

func (g *goStream) test(e event) {
	at, name := key{e.Package, e.Test}, e.Package+"."+e.Test
	switch e.Action {
	case "output":
		g.at(at).text.WriteString(e.Output)
		return
	case "pass":
		g.sum.passed++
	case "skip":
		g.sum.skipped++
		g.sum.skips = append(g.sum.skips, name+": "+reason(g.at(at).text.String()))
	case "fail":
		g.failed(at, name)
	default:
		return
	}
	g.count(e.Package)
	if !strings.Contains(e.Test, "/") {
		g.sum.timed = append(g.sum.timed, timedTest{name, time.Duration(e.Elapsed * float64(time.Second))})
	}
	delete(g.output, at)
}

// failed shows a test that failed, and counts a parent that only failed because a child did as one more failure without
// a second report.
func (g *goStream) failed(at key, name string) {
	if g.broken == nil {
		g.broken = map[string]bool{}
	}
	g.broken[at.pkg] = true
	if i := strings.LastIndexByte(at.test, '/'); i > 0 {
		g.at(key{at.pkg, at.test[:i]}).child = true
	}
	text := g.at(at).text.String()
	if g.at(at).child && !strings.Contains(text, ".go:") {
		g.sum.failed++
		return
	}
	g.sum.fail(name, text)
}

func (g *goStream) pkg(e event) {
	at := key{e.Package, ""}
	switch e.Action {
	case "output":
		g.at(at).text.WriteString(e.Output)
	case "pass":
		fmt.Fprintf(g.sum.out, "ok   %7.2fs %5d  %s\n", e.Elapsed, g.tests[e.Package], e.Package)
	case "fail":
		fmt.Fprintf(g.sum.out, "FAIL %7.2fs %5d  %s\n", e.Elapsed, g.tests[e.Package], e.Package)
		// A panic, a time-out, an exit in the middle: no test was named, or one never ended.
		if !g.broken[e.Package] && e.FailedBuild == "" {
			g.sum.fail(e.Package, g.unfinished(e.Package))
		}
	case "skip":
		fmt.Fprintf(g.sum.out, "none                %s\n", e.Package)
	}
}

// unfinished is all that a package and its tests that never ended have said.
func (g *goStream) unfinished(pkg string) string {
	var text strings.Builder
	for at, out := range g.output {
		if at.pkg == pkg {
			text.WriteString(out.text.String())
		}
	}
	return text.String()
}

func (g *goStream) at(k key) *output {
	if g.output[k] == nil {
		g.output[k] = &output{}
	}
	return g.output[k]
}

func (g *goStream) count(pkg string) {
	if g.tests == nil {
		g.tests = map[string]int{}
	}
	g.tests[pkg]++
}

// reason is what t.Skip said.
func reason(text string) string {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "===") && !strings.HasPrefix(line, "---") {
			return line
		}
	}
	return "no reason given"
}
