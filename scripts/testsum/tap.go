package main

import (
	"regexp"
	"strings"
)

var (
	tapLine    = regexp.MustCompile(`^(\s*)(not )?ok \d+ - (.*)$`)
	tapComment = regexp.MustCompile(`^\s*# Subtest: |^# (tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) |^TAP version |^\s*1\.\.\d+$`)
)

// tap takes a result of the Test Anything Protocol as node's runner writes it. Each line with ok or not ok is a test,
// nested ones too; what explains a failure follows it and is passed on as it is.
func (s *tally) tap(line string) bool {
	if s.quiet {
		s.quiet = strings.TrimSpace(line) != "..."
		return true
	}
	if s.calm && strings.TrimSpace(line) == "---" { // how long it took, of what kind it is
		s.quiet = true
		return true
	}
	s.calm = false
	found := tapLine.FindStringSubmatch(line)
	if found == nil {
		return tapComment.MatchString(line)
	}
	name, skip, skipped := strings.Cut(found[3], " # SKIP")
	switch {
	case found[2] != "":
		s.fail(name, "")
	case skipped:
		s.skipped++
		s.skips = append(s.skips, name+":"+skip)
	default:
		s.passed++
	}
	s.calm = found[2] == ""
	return true
}
