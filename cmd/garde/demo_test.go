package main_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/lab/browser"
)

// house is the program as a person starts it, with what it printed.
type house struct {
	t       *testing.T
	program string
	data    string
	port    int
	stop    func() error

	mu   sync.Mutex
	said strings.Builder
}

// build makes the program once for all tests of this package.
var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "garde-demo")
	if err != nil {
		return "", err
	}
	program := filepath.Join(dir, "garde")
	out, err := exec.Command("go", "build", "-o", program, "github.com/gardeauth/garde/cmd/garde").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return program, nil
})

// freePorts finds a port with three free neighbours.
func freePorts(t *testing.T) int {
	t.Helper()
	for port := 20000 + os.Getpid()%9000; port < 60000; port += 4 {
		free := true
		for next := port; next < port+4 && free; next++ {
			listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(next)))
			if free = err == nil; free {
				_ = listener.Close()
			}
		}
		if free {
			return port
		}
	}
	t.Fatal("no four free ports")
	return 0
}

func demo(t *testing.T, data string, port int) *house {
	t.Helper()
	if testing.Short() {
		t.Skip("starts the whole demonstration")
	}
	program, err := build()
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, program: program, data: data, port: port}
	command := exec.Command(program, "demo", "--listen", "localhost:"+strconv.Itoa(port), "--data", data)
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	command.Stderr = command.Stdout
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			h.mu.Lock()
			h.said.WriteString(lines.Text() + "\n")
			h.mu.Unlock()
		}
		ended <- command.Wait()
	}()
	var once sync.Once
	var result error
	h.stop = func() error {
		once.Do(func() {
			_ = command.Process.Signal(syscall.SIGINT)
			select {
			case result = <-ended:
			case <-time.After(15 * time.Second):
				_ = command.Process.Kill()
				result = fmt.Errorf("it did not end within 15 s of Ctrl-C")
			}
		})
		return result
	}
	t.Cleanup(func() {
		if err := h.stop(); err != nil {
			t.Errorf("Ctrl-C: %v", err)
		}
		if t.Failed() {
			t.Logf("the program said:\n%s", h.text())
		}
	})
	h.await("Ctrl-C stops everything")
	return h
}

func (h *house) text() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.said.String()
}

func (h *house) await(words string) {
	h.t.Helper()
	for over := time.Now().Add(20 * time.Second); time.Now().Before(over); time.Sleep(20 * time.Millisecond) {
		if strings.Contains(h.text(), words) {
			return
		}
	}
	h.t.Fatalf("it never said %q", words)
}

func (h *house) password(user string) string {
	h.t.Helper()
	found := regexp.MustCompile(`(?m)^\s+` + user + `\s+(\S+)`).FindStringSubmatch(h.text())
	if found == nil {
		h.t.Fatalf("the guide does not say how %s signs in", user)
	}
	return found[1]
}

func (h *house) at(offset int) string {
	host := "localhost"
	if offset >= 2 {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, strconv.Itoa(h.port+offset))
}

// shot is where a picture goes, if anybody asked for pictures.
func shot(name string) string {
	if dir := os.Getenv("GARDE_SHOTS"); dir != "" {
		return filepath.Join(dir, name+".png")
	}
	return ""
}

// look finds fault with a page as it is now, and takes its picture, if anybody asked for pictures.
func look(t *testing.T, page *browser.Page, name string) {
	t.Helper()
	for _, fault := range page.Faults() {
		t.Errorf("%s: %s", name, fault)
	}
	page.Screenshot(shot(name))
}

func signIn(page *browser.Page, user, password string) {
	page.Fill("username", user)
	page.Fill("password", password)
	page.Click("login-submit")
}

func TestAPersonSignsInAndSeesTheBalanceThatCameThroughTheGate(t *testing.T) {
	data := t.TempDir()
	h := demo(t, data, freePorts(t))
	secret := h.password("alice")
	for name, settings := range map[string]browser.Settings{
		"desk": {}, "phone-dark": {Phone: true, Dark: true}, "french-without-script": {NoScript: true, Locale: "fr"},
	} {
		t.Run(name, func(t *testing.T) {
			page := browser.New(t, settings)
			page.Open(h.at(2))
			look(t, page, name+"-1-bank")
			page.Click("sign-in")
			look(t, page, name+"-2-signin")
			signIn(page, "alice", "wrong "+secret)
			look(t, page, name+"-3-wrong")
			if !strings.HasPrefix(page.Location(), h.at(0)+"/signin") {
				t.Fatalf("a wrong password led to %s", page.Location())
			}
			signIn(page, "alice", secret)
			if page.Has("#consent-allow") {
				look(t, page, name+"-4-consent")
				page.Click("consent-allow")
			}
			if balance := page.Text("#balance"); !strings.ContainsAny(balance, "0123456789") {
				t.Errorf("the balance reads %q", balance)
			}
			look(t, page, name+"-5-accounts")
			page.Open(h.at(0) + "/account")
			look(t, page, name+"-6-account")
			for _, complaint := range page.Complaints() {
				if !strings.Contains(complaint, "422") { // the wrong password, as the console tells it
					t.Errorf("the browser complains: %s", complaint)
				}
			}
		})
	}
}

func TestASecondRunFindsItsDataAgain(t *testing.T) {
	data, port := t.TempDir(), freePorts(t)
	first := demo(t, data, port)
	secret := first.password("bruno")
	page := browser.New(t, browser.Settings{})
	page.Open(first.at(2) + "/sign-in")
	signIn(page, "bruno", secret)
	page.Click("consent-allow")
	page.Text("#balance")
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	second := demo(t, data, port)
	page.Open(second.at(2) + "/sign-in") // the session and the consent are still there
	page.Text("#balance")
}

func TestTheGateSaysWhatIsWrong(t *testing.T) {
	h := demo(t, t.TempDir(), freePorts(t))
	for name, row := range map[string]struct {
		path, authorization, challenge string
		status                         int
	}{
		"anyone may read the rates":        {"/rates", "", "", 200},
		"no token":                         {"/balance", "", `Bearer realm="garde", resource_metadata=`, 401},
		"a wrong token":                    {"/balance", "Bearer nonsense", `error="invalid_token"`, 401},
		"an operation nobody has declared": {"/admin", "", "", 404},
	} {
		t.Run(name, func(t *testing.T) {
			request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, h.at(1)+row.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if row.authorization != "" {
				request.Header.Set("Authorization", row.authorization)
			}
			answer, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			body, _ := io.ReadAll(answer.Body)
			if answer.StatusCode != row.status || !strings.Contains(answer.Header.Get("WWW-Authenticate"), row.challenge) {
				t.Errorf("%d %q %s", answer.StatusCode, answer.Header.Get("WWW-Authenticate"), body)
			}
		})
	}
}

func TestWhatAThiefHasOfATokenThatIsBound(t *testing.T) {
	data, port := t.TempDir(), freePorts(t)
	h := demo(t, data, port)
	secret := h.password("alice")
	for name, settings := range map[string]browser.Settings{
		"budget": {}, "budget-dark": {Dark: true}, "budget-phone": {Phone: true}, "budget-french-without-script": {NoScript: true, Locale: "fr"},
	} {
		t.Run(name, func(t *testing.T) {
			page := browser.New(t, settings)
			page.Open(h.at(2))
			page.Follow("#budget")
			look(t, page, name+"-1-home")
			page.Click("connect")
			if at := page.Location(); strings.Contains(at, "scope") || strings.Contains(at, "authorization_details") {
				t.Errorf("P01 the browser was told what was asked for: %s", at)
			}
			signIn(page, "alice", secret)
			if page.Has("#consent-allow") {
				look(t, page, name+"-2-consent")
				if words := page.Text("main"); !strings.Contains(words, time.Now().AddDate(0, 0, 90).UTC().Format(time.DateOnly)) {
					t.Errorf("the person does not read until when: %s", words)
				}
				page.Click("consent-allow")
			}
			if balance := page.Text("#balance"); !strings.ContainsAny(balance, "0123456789") {
				t.Errorf("the balance reads %q", balance)
			}
			if page.Text("#thumbprint") != page.Text("#key") {
				t.Error("D17 the token is not for Budget's key")
			}
			look(t, page, name+"-3-overview")
			page.Click("theft")
			look(t, page, name+"-4-theft")
			for key, status := range map[string]string{"owner": "200", "bearer": "401", "naked": "401", "key": "401", "replay": "401", "again": "200"} {
				if got := page.Text("#trial-" + key + " .status"); !strings.HasPrefix(got, status) {
					t.Errorf("%s: %q, want %s", key, got, status)
				}
			}
			for _, complaint := range page.Complaints() {
				t.Errorf("the browser complains: %s", complaint)
			}
		})
	}
	steal := func(more ...string) (string, error) {
		out, err := exec.Command(h.program, append([]string{"demo", "steal", "--at", "localhost:" + strconv.Itoa(port), "--data", data}, more...)...).CombinedOutput()
		return string(out), err
	}
	page := browser.New(t, browser.Settings{})
	page.Open(h.at(3) + "/connect")
	signIn(page, "alice", secret)
	page.Click("consent-allow") // what is allowed in detail is asked for each time
	page.Text("#balance")
	t.Run("D12 D10 D08 the command says the same", func(t *testing.T) {
		out, err := steal()
		if err != nil || strings.Count(out, "401 Unauthorized") != 4 || strings.Count(out, "200 OK") != 2 || strings.Contains(out, "\x1b") {
			t.Errorf("%v\n%s", err, out)
		}
		t.Logf("\n%s", out)
		var calls []struct {
			Call   string
			Status int
			Right  bool
		}
		out, err = steal("--json")
		if err != nil || json.Unmarshal([]byte(out), &calls) != nil || len(calls) != 6 || calls[4].Call != "replay" || calls[4].Status != 401 || !calls[4].Right {
			t.Errorf("%v\n%s", err, out)
		}
	})
	t.Run("a visit that is disconnected leaves nothing to steal", func(t *testing.T) {
		page.Click("disconnect")
		page.Text("#disconnected")
		if out, err := steal(); err == nil || !strings.Contains(out, "no token to steal") {
			t.Errorf("%v\n%s", err, out)
		}
	})
}
