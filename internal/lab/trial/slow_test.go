package trial

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/lab"
)

// dribble sends a beginning and then piece after piece, until the other side hangs up, and gives how long that took and
// what it had answered.
func dribble(t *testing.T, where, begin, piece string, most time.Duration) (time.Duration, string) {
	t.Helper()
	conn, err := net.Dial("tcp", where)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer conn.Close()
	begun := time.Now()
	_, _ = io.WriteString(conn, begin)
	done := make(chan string, 1)
	go func() {
		said, _ := io.ReadAll(conn)
		done <- string(said)
	}()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case said := <-done:
			return time.Since(begun), said
		case <-tick.C:
			_, _ = io.WriteString(conn, piece)
		}
		if time.Since(begun) > most {
			t.Errorf("after %s it still listens", most)
			return time.Since(begun), ""
		}
	}
}

func TestL04WhoIsSlowIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	h := setUp(t, nil)
	h.serve()
	h.open()
	token := h.mustToken("accounts.read")
	for name, base := range map[string]string{"the Server": h.issuer, "the Gate": h.gateURL} {
		where := address(base)
		t.Run("a head that never ends, at "+name, func(t *testing.T) {
			t.Parallel()
			var group sync.WaitGroup
			for range 50 {
				group.Go(func() {
					took, said := dribble(t, where, "GET /accounts/rates HTTP/1.1\r\nHost: "+where+"\r\n", "X-A: b\r\n", 8*time.Second)
					if took < time.Second || strings.Contains(said, " 200 ") {
						t.Errorf("after %s: %s", took, said)
					}
				})
			}
			time.Sleep(time.Second)
			if got := h.token("ledger.post"); got.status != 200 || got.took > 2*time.Second {
				t.Errorf("others wait: %d after %s", got.status, got.took)
			}
			if got := h.call("GET", "/accounts/balance", token); got.status != 200 || got.took > 2*time.Second {
				t.Errorf("others wait: %d after %s", got.status, got.took)
			}
			group.Wait()
		})
		t.Run("a huge head, at "+name, func(t *testing.T) {
			t.Parallel()
			for _, headers := range []string{"X-A: " + strings.Repeat("a", 64<<10) + "\r\n", strings.Repeat("X-A: b\r\n", 10_000), "Cookie: " + strings.Repeat("a=b; ", 20_000) + "\r\n"} {
				conn, err := net.Dial("tcp", where)
				mend(t, err)
				mend(t, conn.SetDeadline(time.Now().Add(5*time.Second)))
				go func() {
					_, _ = io.WriteString(conn, "GET /accounts/rates HTTP/1.1\r\nHost: "+where+"\r\n"+headers+"\r\n")
				}()
				answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err == nil && answer.StatusCode != http.StatusRequestHeaderFieldsTooLarge && answer.StatusCode != http.StatusBadRequest {
					t.Errorf("%.20s: %d", headers, answer.StatusCode)
				}
				_ = conn.Close()
			}
		})
	}
	t.Run("a body that never ends, at /token", func(t *testing.T) {
		t.Parallel()
		head := fmt.Sprintf("POST /token HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\nContent-Length: 1000\r\nAuthorization: %s\r\n\r\ngrant_type=", address(h.issuer), lab.FormType, lab.BasicAuth("job", h.secrets["job"]))
		took, said := dribble(t, address(h.issuer), head, "c", 18*time.Second)
		if strings.Contains(said, " 200 ") || strings.Contains(said, " 500 ") {
			t.Errorf("after %s: %s", took, said)
		}
	})
}

func TestL04AFloodOfConnectionsLeavesRoomForOthers(t *testing.T) {
	t.Parallel()
	linuxOnly(t)
	var files syscall.Rlimit
	mend(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files))
	flood := 1500
	if files.Cur < uint64(2*flood+500) {
		t.Skipf("this process may open %d files only", files.Cur)
	}
	h := setUp(t, nil)
	h.serve()
	h.open()
	token := h.mustToken("accounts.read")
	h.call("GET", "/accounts/balance", token)
	server, gate := h.server.files(), h.gate.files()
	memory, gateMemory := h.server.resident(), h.gate.resident()
	var conns []net.Conn
	defer func() {
		for _, conn := range conns {
			_ = conn.Close()
		}
	}()
	for range flood {
		for _, base := range []string{h.issuer, h.gateURL} {
			conn, err := net.Dial("tcp", address(base))
			mend(t, err)
			conns = append(conns, conn)
		}
	}
	for range 20 {
		if got := h.token("ledger.post"); got.status != 200 || got.took > 2*time.Second {
			t.Errorf("the Server: %d after %s", got.status, got.took)
		}
		if got := h.call("GET", "/accounts/balance", token); got.status != 200 || got.took > 2*time.Second {
			t.Errorf("the Gate: %d after %s", got.status, got.took)
		}
	}
	if grown, gateGrown := h.server.resident()-memory, h.gate.resident()-gateMemory; grown > 60 || gateGrown > 60 {
		t.Errorf("%d silent connections cost %d MiB at the Server and %d at the Gate", flood, grown, gateGrown)
	}
	// They never spoke: they are hung up like a head that never ends.
	within(t, 9*time.Second, "the silent ones are hung up", func() bool { return h.server.files() < server+50 && h.gate.files() < gate+50 })
}
