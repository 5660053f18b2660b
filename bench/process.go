package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is a child of the bench: a node of Garde, or a reference.
type process struct {
	command *exec.Cmd
	exited  chan struct{}
	end     func() // asks it to end
	log     *tail
	once    sync.Once
}

// startReference runs this program as a reference and gives its address.
func startReference(name string, args ...string) (*process, string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	command := exec.Command(self, append([]string{"-reference", name}, args...)...) //nolint:gosec // this program itself
	stdin, err := command.StdinPipe()
	if err != nil {
		return nil, "", err
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		return nil, "", err
	}
	p := &process{command: command, exited: make(chan struct{}), end: func() { stdin.Close() }, log: &tail{}}
	command.Stderr = p.log
	if err := command.Start(); err != nil {
		return nil, "", err
	}
	address, err := firstLine(stdout)
	go p.wait()
	if err != nil {
		return nil, "", errors.Join(fmt.Errorf("the reference %s: %w: %s", name, err, p.log), p.stop())
	}
	return p, address, nil
}

// startNode runs a node and waits for its line "ready"; it tells how long that took from the start of the process.
func startNode(ctx context.Context, program string, args ...string) (*process, time.Duration, error) {
	command := exec.Command(program, args...) //nolint:gosec // built from this checkout
	p := &process{command: command, exited: make(chan struct{}), log: &tail{}, end: func() {
		_ = command.Process.Signal(syscall.SIGTERM) // it may have ended already
	}}
	stderr, err := command.StderrPipe()
	if err != nil {
		return nil, 0, err
	}
	began := time.Now()
	if err := command.Start(); err != nil {
		return nil, 0, err
	}
	ready := make(chan time.Duration, 1)
	go func() {
		lines := bufio.NewScanner(io.TeeReader(stderr, p.log))
		for lines.Scan() {
			if bytes.Contains(lines.Bytes(), []byte("msg=ready")) || bytes.Contains(lines.Bytes(), []byte(`"msg":"ready"`)) {
				ready <- time.Since(began)
				break
			}
		}
		_, _ = io.Copy(p.log, stderr) // until it ends
		p.wait()
	}()
	select {
	case took := <-ready:
		return p, took, nil
	case <-p.exited:
		return nil, 0, fmt.Errorf("%s %s ended: %s", filepath.Base(program), strings.Join(args, " "), p.log)
	case <-time.After(20 * time.Second):
		err = fmt.Errorf("%s %s is not ready: %s", filepath.Base(program), strings.Join(args, " "), p.log)
	case <-ctx.Done():
		err = ctx.Err()
	}
	return nil, 0, errors.Join(err, p.stop())
}

func (p *process) wait() {
	_ = p.command.Wait() // how it ended does not matter: it was asked to
	close(p.exited)
}

// stop asks the process to end, and kills it when it does not.
func (p *process) stop() error {
	p.once.Do(func() {
		p.end()
		select {
		case <-p.exited:
		case <-time.After(15 * time.Second):
			_ = p.command.Process.Kill() // it may have ended just now
			<-p.exited
		}
	})
	return nil
}

// name is what the process is, for people.
func (p *process) name() string {
	return strings.Join(p.command.Args[1:min(3, len(p.command.Args))], " ")
}

// resident is the memory that the process holds, in MiB.
func (p *process) resident() float64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.command.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	value, _, _ := strings.Cut(rest, "kB")
	kib, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	if err != nil {
		return 0
	}
	return kib / 1024
}

// processor is the time that the process has had on the processor.
func (p *process) processor() time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.command.Process.Pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	var ticks int64
	for _, field := range fields[11:13] { // utime and stime
		if n, err := strconv.ParseInt(field, 10, 64); err == nil {
			ticks += n
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// wrote is how many bytes the process has handed to the system, files and connections alike, and in how many calls.
func (p *process) wrote() (bytes, calls int64) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", p.command.Process.Pid))
	if err != nil {
		return 0, 0
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		n, err := strconv.ParseInt(value, 10, 64)
		switch {
		case err != nil:
		case name == "wchar":
			bytes = n
		case name == "syscw":
			calls = n
		}
	}
	return bytes, calls
}

// tail keeps the end of what a process says.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailSize = 4096

func (t *tail) Write(more []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, more...)
	if over := len(t.text) - tailSize; over > 0 {
		t.text = append(t.text[:0], t.text[over:]...)
	}
	return len(more), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}
