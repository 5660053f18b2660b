package web_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/web"
)

// forms reads the form of each POST, and answers the rest by a long page.
func forms(w http.ResponseWriter, r *http.Request) error {
	form, err := web.PostForm(r)
	if err != nil {
		_, _ = io.WriteString(w, strings.Repeat("no ", 4096))
		return nil //nolint:nilerr // the page is the answer
	}
	_, _ = io.WriteString(w, form.Value("name"))
	return nil
}

func TestL04SlowBodiesKeepNobodyOut(t *testing.T) {
	handler := web.Overload{Running: 2, Waiting: 1, Patience: 50 * time.Millisecond, Face: quiet}.Wrap(quiet.Handle(forms))
	server := httptest.NewServer(handler)
	defer server.Close()
	const form = "application/x-www-form-urlencoded"
	for name, slow := range map[string]string{
		"a form":                     "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: " + form + "\r\nContent-Length: 100\r\n\r\nname=",
		"a form in chunks":           "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: " + form + "\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nname=",
		"too long a form":            "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: " + form + "\r\nContent-Length: 100000\r\n\r\nname=",
		"something else":             "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\nname=",
		"a body that no method asks": "PATCH / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nname=",
	} {
		t.Run(name, func(t *testing.T) {
			for range 8 {
				var dialer net.Dialer
				conn, err := dialer.DialContext(context.Background(), "tcp", server.Listener.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = conn.Close() }()
				if _, err := io.WriteString(conn, slow); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(50 * time.Millisecond) // they are all in
			answer, err := http.Post(server.URL, form, strings.NewReader("name=alice"))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = answer.Body.Close() }()
			body, err := io.ReadAll(answer.Body)
			if err != nil || answer.StatusCode != http.StatusOK || string(body) != "alice" {
				t.Errorf("%d %q %v", answer.StatusCode, body, err)
			}
		})
	}
}

func TestBodiesArriveWhole(t *testing.T) {
	handler := web.Overload{Face: quiet}.Wrap(web.Overload{Face: quiet}.Wrap(quiet.Handle(
		func(w http.ResponseWriter, r *http.Request) error {
			form, err := web.PostForm(r)
			_, _ = fmt.Fprint(w, len(form.Value("name")))
			return err
		})))
	server := httptest.NewServer(handler)
	defer server.Close()
	for _, size := range []int{0, 1, 8<<10 - 6, 8<<10 - 5, 8<<10 - 4, 64<<10 - 5} {
		for _, chunked := range []bool{false, true} {
			var body io.Reader = strings.NewReader("name=" + strings.Repeat("a", size))
			if chunked {
				body = io.MultiReader(body)
			}
			answer, err := http.Post(server.URL, "application/x-www-form-urlencoded", body)
			if err != nil {
				t.Fatal(err)
			}
			line, _ := bufio.NewReader(answer.Body).ReadString('\n')
			_ = answer.Body.Close()
			if line != fmt.Sprint(size) {
				t.Errorf("of %d bytes (chunked %v) came %q", size, chunked, line)
			}
		}
	}
}

func TestBodiesThatBreakOffAreRefused(t *testing.T) {
	handler := web.Overload{Face: quiet}.Wrap(quiet.Handle(func(_ http.ResponseWriter, r *http.Request) error {
		_, err := web.PostForm(r)
		return err
	}))
	for name, want := range map[string]struct {
		body   io.Reader
		status int
	}{
		"broken":   {io.MultiReader(strings.NewReader("name=a"), cutOff{}), http.StatusBadRequest},
		"too long": {io.MultiReader(strings.NewReader(strings.Repeat("a", 64<<10+1))), http.StatusRequestEntityTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/", want.body)
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			if w.Code != want.status || w.Header().Get("Connection") != "close" {
				t.Errorf("%d, Connection %q", w.Code, w.Header().Get("Connection"))
			}
		})
	}
}

type cutOff struct{}

func (cutOff) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestL04SlowReadersKeepNobodyOut(t *testing.T) {
	const size = 8 << 20 // more than the buffers of a connection take
	handler := web.Overload{Running: 2, Waiting: 1, Patience: 50 * time.Millisecond, Face: quiet}.Wrap(quiet.Handle(
		func(w http.ResponseWriter, _ *http.Request) error {
			_, _ = io.WriteString(w, "begin")
			_, _ = w.Write(make([]byte, size))
			return nil
		}))
	server := httptest.NewServer(handler)
	defer server.Close()
	var dialer net.Dialer
	for range 4 {
		conn, err := dialer.DialContext(context.Background(), "tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		// Its answer has begun: it had its place.
		if _, err := bufio.NewReaderSize(conn, 16).ReadByte(); err != nil {
			t.Fatal(err)
		}
	}
	answer, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK || len(body) != size+len("begin") {
		t.Errorf("%d, %d bytes, %v", answer.StatusCode, len(body), err)
	}
}
