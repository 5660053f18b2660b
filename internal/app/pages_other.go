//go:build !linux

package app

// shedPages does nothing where the system has no such call.
func shedPages() (covered uintptr) { return 0 }
