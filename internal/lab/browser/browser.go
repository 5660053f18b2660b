// Package browser lets a test use Garde's pages as a person does: in a real Chromium, one for all tests of a process,
// with cookies and storage of its own for each. It knows nothing of Garde: it opens addresses, fills in, clicks and reads.
package browser

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"github.com/chromedp/chromedp"
)

// ErrAbsent says that this machine has no Chromium.
var ErrAbsent = errors.New("no Chromium found: install Debian's package chromium, or put chromium in PATH")

// shared is started by the first test that asks, and lives as long as the process: it ends when the pipe to it closes.
var shared = sync.OnceValues(func() (context.Context, error) {
	path, err := executable()
	if err != nil {
		return nil, err
	}
	data, err := freshData(filepath.Join(os.TempDir(), "garde-browser-"+strconv.Itoa(os.Getuid())))
	if err != nil {
		return nil, err
	}
	flags := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.UserDataDir(data),
		chromedp.NoSandbox, // CI runs as root, and the pages are our own
		chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		// Nothing but this machine is there for it, so nothing is looked up in vain either.
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND , EXCLUDE localhost , EXCLUDE *.localhost , EXCLUDE 127.0.0.1 , EXCLUDE [::1]"),
	)
	ctx, _ := chromedp.NewExecAllocator(context.Background(), flags...)
	ctx, cancel := chromedp.NewContext(ctx)
	if err := chromedp.Do(ctx); err != nil {
		cancel()
		return nil, err
	}
	return ctx, nil
})

// need ends a test that can't have its browser: by a skip where it is merely not installed, by a failure in CI and
// wherever GARDE_TEST_ALL=1 asks for every test.
func need(t testing.TB, err error) {
	t.Helper()
	switch {
	case err == nil:
	case errors.Is(err, ErrAbsent) && os.Getenv("CI") != "true" && os.Getenv("GARDE_TEST_ALL") != "1":
		t.Skip(err)
	default:
		t.Fatal(err)
	}
}

func executable() (string, error) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", ErrAbsent
}

// freshData makes a profile folder for this process, and removes those of processes that are gone: nobody is told when
// a test process ends.
func freshData(root string) (string, error) {
	if err := os.MkdirAll(root, 0o700); err != nil {
		return "", err
	}
	old, err := os.ReadDir(root)
	if err != nil {
		return "", err
	}
	for _, entry := range old {
		pid, err := strconv.Atoi(entry.Name())
		if err == nil && pid != os.Getpid() && !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(root, entry.Name())); err != nil {
			return "", err
		}
	}
	mine := filepath.Join(root, strconv.Itoa(os.Getpid()))
	return mine, os.Mkdir(mine, 0o700)
}
