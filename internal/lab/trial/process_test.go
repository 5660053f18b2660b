package trial

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// folder is where the program is built and houses stand; TestMain removes it.
var folder string

// build makes the program once for all tests of this package.
var build = sync.OnceValues(func() (string, error) {
	path := filepath.Join(folder, "garde")
	out, err := exec.Command("go", "build", "-o", path, "github.com/gardeauth/garde/cmd/garde").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	var err error
	if folder, err = os.MkdirTemp("", "garde-trial"); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	status := m.Run()
	_ = os.RemoveAll(folder)
	os.Exit(status)
}

func program(t testing.TB) string {
	t.Helper()
	if testing.Short() {
		t.Skip("starts the real program")
	}
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// process is one run of the program.
type process struct {
	t       testing.TB
	command *exec.Cmd
	ended   chan struct{}
	code    int

	mu   sync.Mutex
	said bytes.Buffer
}

// launch starts a command and gathers what it says; where it goes on failing, the test shows it.
func launch(t testing.TB, command *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, command: command, ended: make(chan struct{})}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	command.Stderr = command.Stdout
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		lines := bufio.NewReader(out)
		for {
			line, err := lines.ReadBytes('\n')
			p.mu.Lock()
			p.said.Write(line)
			p.mu.Unlock()
			if err != nil {
				break
			}
		}
		var exit *exec.ExitError
		if err := command.Wait(); errors.As(err, &exit) {
			p.code = exit.ExitCode()
		}
		close(p.ended)
	}()
	t.Cleanup(func() {
		select {
		case <-p.ended:
		default:
			_ = command.Process.Kill()
			<-p.ended
		}
		if t.Failed() {
			text := p.text()
			t.Logf("%s said, at the end:\n%s", strings.Join(command.Args[1:], " "), text[max(0, len(text)-4000):])
		}
	})
	return p
}

func (p *process) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.String()
}

func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// says waits until the process has said words.
func (p *process) says(words string) {
	p.t.Helper()
	within(p.t, 20*time.Second, "it says "+words, func() bool {
		if !p.running() && !strings.Contains(p.text(), words) {
			p.t.Fatalf("it ended with %d before it said %q", p.code, words)
		}
		return strings.Contains(p.text(), words)
	})
}

// stop ends the process by a signal and gives how long that took.
func (p *process) stop(signal syscall.Signal) time.Duration {
	p.t.Helper()
	begun := time.Now()
	_ = p.command.Process.Signal(signal)
	select {
	case <-p.ended:
	case <-time.After(20 * time.Second):
		p.t.Fatal("it did not end within 20 s of its signal")
	}
	return time.Since(begun)
}

// resident is the memory of the process in MiB, and peak the most that it ever had.
func (p *process) resident() int { return p.status("VmRSS") }
func (p *process) peak() int     { return p.status("VmHWM") }

func (p *process) status(name string) int {
	p.t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.command.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^` + name + `:\s+(\d+)`).FindSubmatch(raw)
	if found == nil {
		p.t.Fatalf("no %s in the status of the process", name)
	}
	kib, _ := strconv.Atoi(string(found[1]))
	return kib / 1024
}

// files is the number of open file descriptors.
func (p *process) files() int {
	p.t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.command.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	return len(entries)
}

func linuxOnly(t testing.TB) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc, or sets limits of Linux")
	}
}

// freePort gives an address on loopback that nobody listens on.
func freePort(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// within waits until what is true, at most so long, and gives how long it took.
func within(t testing.TB, most time.Duration, what string, is func() bool) time.Duration {
	t.Helper()
	begun := time.Now()
	for !is() {
		if time.Since(begun) > most {
			t.Fatalf("not within %s: %s", most, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(begun)
}

// neverAStack holds that what a person is told is no stack trace.
func neverAStack(t testing.TB, text string) {
	t.Helper()
	for _, sign := range []string{"goroutine ", "panic:", ".go:", "runtime."} {
		if strings.Contains(text, sign) {
			t.Errorf("a stack trace for a person: %s", text)
		}
	}
}

// newClient follows no redirect and waits for nobody longer than ten seconds.
func newClient(t testing.TB, conns int) *http.Client {
	transport := &http.Transport{MaxIdleConnsPerHost: conns, MaxConnsPerHost: conns, DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport: transport, Timeout: 20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
