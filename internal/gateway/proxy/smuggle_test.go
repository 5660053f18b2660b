package proxy_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// speak sends bytes as they are and gives the status of each answer until the connection ends or nothing more comes.
func speak(t testing.TB, address, text string) (statuses []int, closed bool) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	reader := bufio.NewReader(conn)
	for {
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			var timeout net.Error
			return statuses, !errors.As(err, &timeout) || !timeout.Timeout()
		}
		_, _ = io.Copy(io.Discard, response.Body)
		response.Body.Close()
		statuses = append(statuses, response.StatusCode)
	}
}

// What a front proxy could read as one request and we as two, or the other way round, gets one answer at most, and the
// connection ends with it: no second request is ever read out of the first one's body.
func TestW26NoRequestIsSmuggled(t *testing.T) {
	s := build(t)
	address := strings.TrimPrefix(s.server.URL, "http://")
	const head = "Host: api.bank.example\r\n"
	const inner = "GET /accounts/rates HTTP/1.1\r\nHost: api.bank.example\r\n\r\n"
	for name, c := range map[string]struct {
		text    string
		refused bool // else the one request may be answered
	}{
		"CL.TE":                    {"POST /accounts/rates HTTP/1.1\r\n" + head + "Content-Length: 63\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner, false},
		"TE.CL":                    {"POST /accounts/rates HTTP/1.1\r\n" + head + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\n" + inner + "\r\n0\r\n\r\n" + inner, false},
		"TE.TE":                    {"POST /accounts/rates HTTP/1.1\r\n" + head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + inner, true},
		"TE in other words":        {"POST /accounts/rates HTTP/1.1\r\n" + head + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + inner, true},
		"TE list":                  {"POST /accounts/rates HTTP/1.1\r\n" + head + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + inner, true},
		"TE over HTTP/1.0":         {"POST /accounts/rates HTTP/1.0\r\n" + head + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner, false},
		"two lengths":              {"POST /accounts/rates HTTP/1.1\r\n" + head + "Content-Length: 0\r\nContent-Length: 50\r\n\r\n" + inner, true},
		"length list":              {"POST /accounts/rates HTTP/1.1\r\n" + head + "Content-Length: 0, 0\r\n\r\n" + inner, true},
		"length with a sign":       {"POST /accounts/rates HTTP/1.1\r\n" + head + "Content-Length: +0\r\n\r\n" + inner, true},
		"space before the colon":   {"POST /accounts/rates HTTP/1.1\r\n" + head + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + inner, true},
		"duplicate Host":           {"GET /accounts/rates HTTP/1.1\r\n" + head + "Host: evil.example\r\n\r\n", true},
		"the same Host twice":      {"GET /accounts/rates HTTP/1.1\r\n" + head + head + "\r\n", true},
		"no Host":                  {"GET /accounts/rates HTTP/1.1\r\n\r\n", true},
		"absolute form":            {"GET http://api.bank.example/accounts/rates HTTP/1.1\r\nHost: evil.example\r\n\r\n", true},
		"bare CR in a value":       {"GET /accounts/rates HTTP/1.1\r\n" + head + "X: a\rGarde-Subject: evil\r\n\r\n", true},
		"NUL in a value":           {"GET /accounts/rates HTTP/1.1\r\n" + head + "X: a\x00b\r\n\r\n", true},
		"line before the headers":  {"GET /accounts/rates HTTP/1.1\r\n X: y\r\n" + head + "\r\n", true},
		"fragment in the target":   {"GET /accounts/rates#x HTTP/1.1\r\n" + head + "\r\n", true},
		"two spaces in the line":   {"GET  /accounts/rates HTTP/1.1\r\n" + head + "\r\n", true},
		"HTTP/0.9":                 {"GET /accounts/rates\r\n\r\n", true},
		"HTTP/2 without TLS":       {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", true},
		"a body of broken chunks":  {"POST /accounts/rates HTTP/1.1\r\n" + head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n" + inner, true},
		"a chunk longer than said": {"POST /accounts/rates HTTP/1.1\r\n" + head + "Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n" + inner, true},
	} {
		t.Run(name, func(t *testing.T) {
			statuses, closed := speak(t, address, c.text)
			if len(statuses) > 1 {
				t.Errorf("it was answered %d times: %v", len(statuses), statuses)
			}
			for _, status := range statuses {
				if c.refused && status < 400 {
					t.Errorf("it was answered with %d", status)
				}
			}
			if strings.Contains(c.text, "Length") || strings.Contains(c.text, "Transfer") {
				if !closed {
					t.Error("the connection lives on")
				}
			}
		})
	}
}

// A folded line is joined by net/http, as RFC 9112 section 5.2 allows; what matters is that it is one value, never a
// header of its own.
func TestW26AFoldedLineIsNoHeader(t *testing.T) {
	s := build(t)
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.server.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = fmt.Fprintf(conn, "GET /accounts/rates HTTP/1.1\r\nHost: api.bank.example\r\nX-Note: a\r\n Garde-Subject: evil\r\nConnection: close\r\n\r\n")
	content, _ := io.ReadAll(conn)
	if strings.Contains(string(content), `"Garde-Subject"`) || strings.Contains(string(content), `\nGarde-Subject`) {
		t.Errorf("the upstream sees a header: %s", content)
	}
}
