package app

import (
	"os"
	"strings"
	"testing"
)

// resident tells how much of the files behind this process is in its memory, in bytes.
func resident(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if kib, found := strings.CutPrefix(line, "RssFile:"); found {
			n := 0
			for _, digit := range strings.TrimSuffix(strings.TrimSpace(kib), " kB") {
				n = n*10 + int(digit-'0')
			}
			return n << 10
		}
	}
	t.Fatal("no RssFile in /proc/self/status")
	return 0
}

// What the start read of the program goes, and what is needed afterwards comes back by itself.
func TestShedPages(t *testing.T) {
	before := resident(t)
	covered := shedPages()
	after := resident(t)
	if covered == 0 {
		t.Fatal("no page of the program was let go of")
	}
	if after >= before {
		t.Errorf("%d bytes of files were resident before, %d after", before, after)
	}
}
