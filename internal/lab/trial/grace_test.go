package trial

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/lab"
	"github.com/gardeauth/garde/recipe"
)

// slowAPI answers /slow late and /stream in pieces.
func slowAPI(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	switch {
	case strings.HasSuffix(r.URL.Path, "/slow"):
		time.Sleep(1500 * time.Millisecond)
	case strings.HasSuffix(r.URL.Path, "/stream"):
		for i := range 15 {
			_, _ = fmt.Fprintf(w, "piece %d\n", i)
			_ = http.NewResponseController(w).Flush()
			time.Sleep(100 * time.Millisecond)
		}
	}
	_, _ = io.WriteString(w, "whole\n")
}

func TestWhatIsUnderWayEndsWellWhenANodeIsToldToStop(t *testing.T) {
	t.Parallel()
	for name, signal := range map[string]syscall.Signal{"Ctrl-C": syscall.SIGINT, "SIGTERM": syscall.SIGTERM} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := setUp(t, http.HandlerFunc(slowAPI))
			h.serve()
			h.open()
			answers := make(chan reply, 3)
			for _, path := range []string{"/accounts/slow", "/accounts/stream"} {
				go func() { answers <- h.call("GET", path, "") }()
			}
			// A token request whose body is on its way.
			sent, body := io.Pipe()
			go func() {
				r := request("POST", h.issuer+"/token", "", "Content-Type", lab.FormType, "Authorization", lab.BasicAuth("job", h.secrets["job"]))
				r.Body, r.ContentLength = sent, int64(len("grant_type=client_credentials&scope=ledger.post"))
				answers <- do(newClient(t, 1), r)
			}()
			_, err := io.WriteString(body, "grant_type=client_credentials")
			mend(t, err)
			time.Sleep(300 * time.Millisecond)
			ended := make(chan time.Duration, 2)
			go func() { ended <- h.gate.stop(signal) }()
			go func() { ended <- h.server.stop(signal) }()
			time.Sleep(300 * time.Millisecond)
			for _, base := range []string{h.issuer, h.gateURL} {
				if conn, err := net.DialTimeout("tcp", address(base), time.Second); err == nil {
					_ = conn.Close()
					t.Errorf("%s takes new connections", base)
				}
			}
			_, err = io.WriteString(body, "&scope=ledger.post")
			mend(t, err)
			for range 3 {
				got := <-answers
				if got.status != 200 || !strings.Contains(got.body, "whole\n") && got.text("access_token") == "" {
					t.Errorf("cut off: %d %s", got.status, got.body)
				}
			}
			for range 2 {
				if took := <-ended; took > 5*time.Second {
					t.Errorf("it took %s to end", took)
				}
			}
			if h.server.code != 0 || h.gate.code != 0 {
				t.Errorf("exit codes %d, %d", h.server.code, h.gate.code)
			}
			neverAStack(t, h.server.text()+h.gate.text())
		})
	}
}

func TestAStreamPassesTheGatePieceByPiece(t *testing.T) {
	t.Parallel()
	h := setUp(t, http.HandlerFunc(slowAPI))
	h.serve()
	h.open()
	begun := time.Now()
	answer, err := h.client.Get(h.gateURL + "/accounts/stream")
	mend(t, err)
	defer answer.Body.Close()
	lines := bufio.NewReader(answer.Body)
	for i := range 3 {
		line, err := lines.ReadString('\n')
		if err != nil || line != fmt.Sprintf("piece %d\n", i) {
			t.Fatalf("%q %v", line, err)
		}
	}
	if took := time.Since(begun); took > 1200*time.Millisecond {
		t.Errorf("three pieces took %s: they were kept back", took)
	}
	rest, err := io.ReadAll(lines)
	if err != nil || !strings.HasSuffix(string(rest), "whole\n") {
		t.Errorf("%q %v", rest, err)
	}
}

// 32 callers, and a recipe that takes the scope of an operation away and gives it back: nobody is answered 5xx, and once
// the Gate has said no by a recipe, it says no until the next.
func TestARecipeChangesUnderLoad(t *testing.T) {
	t.Parallel()
	h := lab.New(t, lab.Options{Gate: true})
	p := h.NewPerson("hugo")
	token := h.Tokens(p, lab.Plant{Client: lab.WebA, Scope: "openid accounts.read"}).AccessToken
	client := newClient(t, 32)
	var strict atomic.Bool // whether the recipe that was followed last forbids
	var sure atomic.Int64  // counts changes: a call that saw none of them must be decided by the recipe in force
	load := storm(32, func(caller, _ int) reply {
		before, forbids := sure.Load(), strict.Load()
		path, allowed := "/accounts/balance", !forbids
		if caller%2 == 1 {
			path, allowed = "/accounts/statement", true
		}
		got := do(client, request("GET", h.GateURL+path, "", "Authorization", "Bearer "+token))
		if before%2 == 0 && sure.Load() == before && (got.status == 200) != allowed {
			got.status = 599
		}
		return got
	})
	for round := range 6 {
		sure.Add(1) // odd: a change is under way
		number := h.Change(func(r *recipe.Recipe) {
			operation := r.APIs["accounts"].Operations["GET /balance"]
			if round%2 == 0 {
				operation.Scope = "transfers.write"
			}
			r.APIs["accounts"].Operations["GET /balance"] = operation
		})
		h.Followed(number)
		within(t, 2*time.Second, "the Gate follows", func() bool {
			status := h.Call("GET", "/accounts/balance", token).Status
			return status == map[bool]int{true: 403, false: 200}[round%2 == 0]
		})
		strict.Store(round%2 == 0)
		sure.Add(1)
		time.Sleep(100 * time.Millisecond)
	}
	load.stop()
	t.Logf("%s", load)
	load.only(t, "a call while recipes change", 200, 403)
	if load.status[200] == 0 || load.status[403] == 0 {
		t.Errorf("the recipes did not matter: %s", load)
	}
}
