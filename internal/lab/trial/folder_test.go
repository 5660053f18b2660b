package trial

import (
	"net"
	"os"
	"path/filepath"
	"strings"
)

// occupy takes an address of the house away.
func occupy(base string) (net.Listener, error) {
	_, address, _ := strings.Cut(base, "://")
	return net.Listen("tcp", address)
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) remove(name string) {
	h.t.Helper()
	if err := os.Remove(filepath.Join(h.dir, name)); err != nil && !os.IsNotExist(err) {
		h.t.Fatal(err)
	}
}

func (h *house) mode(name string, mode os.FileMode) {
	h.t.Helper()
	h.must(os.Chmod(filepath.Join(h.dir, name), mode))
}

func (h *house) folder(name string) {
	h.t.Helper()
	h.must(os.Mkdir(filepath.Join(h.dir, name), 0o700))
}

// spoil writes rubbish over the middle of a file.
func (h *house) spoil(name string) {
	h.t.Helper()
	path := filepath.Join(h.dir, name)
	raw, err := os.ReadFile(path)
	h.must(err)
	for i := 4096; i < len(raw); i++ {
		raw[i] = byte(i * 7)
	}
	h.must(os.WriteFile(path, raw, 0o600))
}
