package cli_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/gardeauth/garde/internal/cli"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"garde": func() { os.Exit(cli.Main(os.Args[1:])) }})
}

// TestScript runs each verb as a person or a script would: the real program, a real folder, and where it matters a real
// node. No script has a terminal, so none is ever asked a question.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			port, err := freePorts()
			env.Setenv("PORT", strconv.Itoa(port))
			env.Setenv("GATE_PORT", strconv.Itoa(port+1))
			env.Setenv("METRICS_PORT", strconv.Itoa(port+2))
			env.Setenv("HOME", env.WorkDir)
			return err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code": code, "ready": ready, "answers": answers, "mode": mode, "keep": keep, "alter": alter,
			"settles": settles, "person": person, "readme": readme,
		},
	})
}

// freePorts finds four neighbours.
func freePorts() (int, error) {
	for range 50 {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, err
		}
		port := listener.Addr().(*net.TCPAddr).Port
		listener.Close()
		free := port < 65000
		for next := port + 1; next <= port+3 && free; next++ {
			neighbour, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(next))
			if err != nil {
				free = false
				continue
			}
			neighbour.Close()
		}
		if free {
			return port, nil
		}
	}
	return 0, errors.New("no four free ports")
}

// code CODE PROGRAM ARGS... runs a program and wants exactly that exit code.
func code(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code CODE PROGRAM ARGS...")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}

// ready URL waits until a node answers 200.
func ready(ts *testscript.TestScript, _ bool, args []string) {
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		response, err := http.Get(args[0])
		if err != nil {
			continue
		}
		response.Body.Close()
		if response.StatusCode == http.StatusOK {
			return
		}
	}
	ts.Fatalf("%s is not ready", args[0])
}

// answers STATUS URL VARIABLE asks and keeps the answer's trace id.
func answers(ts *testscript.TestScript, _ bool, args []string) {
	request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, args[1], strings.NewReader("grant_type=client_credentials"))
	ts.Check(err)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := http.DefaultClient.Do(request)
	ts.Check(err)
	defer response.Body.Close()
	if strconv.Itoa(response.StatusCode) != args[0] {
		ts.Fatalf("%s answers %s, want %s", args[1], response.Status, args[0])
	}
	ts.Setenv(args[2], response.Header.Get("Garde-Trace"))
}

// mode MODE FILE
func mode(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Lstat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[0] {
		ts.Fatalf("%s has mode %s, want %s", args[1], got, args[0])
	}
}

// keep VARIABLE PATTERN takes the first group of a pattern from the last stdout.
func keep(ts *testscript.TestScript, _ bool, args []string) {
	found := regexp.MustCompile(args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if len(found) < 2 {
		ts.Fatalf("stdout does not match %s", args[1])
	}
	ts.Setenv(args[0], found[1])
}

// alter FILE OLD NEW changes bytes of a file in place, as a forger would. Both are of the same length.
func alter(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[0])
	raw, err := os.ReadFile(path)
	ts.Check(err)
	if len(args[1]) != len(args[2]) || !strings.Contains(string(raw), args[1]) {
		ts.Fatalf("%s does not hold %q", filepath.Base(path), args[1])
	}
	ts.Check(os.WriteFile(path, []byte(strings.ReplaceAll(string(raw), args[1], args[2])), 0o600))
}
