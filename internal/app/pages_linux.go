package app

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"syscall"
)

// shedPages lets go of the pages of the program that the start has read: parts that are linked in and serve nobody here,
// tables that were looked through once. They are clean pages of a file, so whatever is needed again is mapped again from
// the cache of the system. It reports how many bytes it covered; what can't be let go of stays.
func shedPages() (covered uintptr) {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return 0
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return 0
	}
	for lines := bufio.NewScanner(bytes.NewReader(maps)); lines.Scan(); {
		var from, to, offset, inode uintptr
		var may, device, path string
		if n, _ := fmt.Sscanf(lines.Text(), "%x-%x %s %x %s %d %s", &from, &to, &may, &offset, &device, &inode, &path); n < 7 {
			continue
		}
		// Never what may be written: there the page is ours alone, and would come back as it was at the start.
		if path != program || may != "r-xp" && may != "r--p" {
			continue
		}
		if _, _, errno := syscall.Syscall(syscall.SYS_MADVISE, from, to-from, syscall.MADV_DONTNEED); errno == 0 {
			covered += to - from
		}
	}
	return covered
}
