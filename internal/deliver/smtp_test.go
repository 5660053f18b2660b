package deliver_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/deliver"
	"github.com/gardeauth/garde/internal/seal"
)

// server is a mail server that speaks just enough, and no TLS; answers override its own.
type server struct {
	mu      sync.Mutex
	lines   []string
	answers map[string]string
}

func (s *server) listen(t *testing.T) (port string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	_, port, err = net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func (s *server) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	say := func(text string) { _, _ = fmt.Fprint(conn, text+"\r\n") }
	say("220 test")
	data := false
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		line := lines.Text()
		s.mu.Lock()
		s.lines = append(s.lines, line)
		s.mu.Unlock()
		verb, _, _ := strings.Cut(strings.ToUpper(line), " ")
		switch {
		case data && line != ".":
		case data:
			data = false
			say("250 kept")
		case s.answers[verb] != "":
			say(s.answers[verb])
		case verb == "DATA":
			data = true
			say("354 go on")
		case verb == "QUIT":
			say("221 bye")
			return
		default:
			say("250 fine")
		}
	}
}

func (s *server) heard(part string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Contains(strings.Join(s.lines, "\n"), part)
}

func TestMailsLeaveBySMTP(t *testing.T) {
	letter := deliver.Mail{To: "alice@bank.example", Subject: "Hello", Text: "one two three", HTML: "<p>one</p>"}
	plain := &server{}
	port := plain.listen(t)
	local := deliver.SMTP{Server: "127.0.0.1:" + port, From: "no-reply@bank.example"}
	if err := local.Send(t.Context(), letter); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"MAIL FROM:<no-reply@bank.example>", "RCPT TO:<alice@bank.example>", "Subject: Hello", "one two three"} {
		if !plain.heard(line) {
			t.Errorf("the server never heard %s", line)
		}
	}
	// The same machine by a name that is not known to be loopback: without TLS nothing is said.
	silent := &server{}
	port = silent.listen(t)
	if err := (deliver.SMTP{Server: "localhost.:" + port, From: "no-reply@bank.example"}).Send(t.Context(), letter); err == nil || silent.heard("MAIL FROM") {
		t.Errorf("it was sent in plain text: %v", err)
	}
}

func TestRefusalsForGoodAreNotTriedAgain(t *testing.T) {
	for answer, tries := range map[string]int{"550 no such person": 1, "451 try later": 2} {
		refusing := &server{answers: map[string]string{"RCPT": answer}}
		sender := deliver.SMTP{Server: "127.0.0.1:" + refusing.listen(t), From: "no-reply@bank.example"}
		h := open(t)
		count := 0
		h.queue.Works["note"] = func(ctx context.Context, _ []byte) error {
			count++
			return sender.Send(ctx, deliver.Mail{To: "nobody@bank.example", Subject: "s", Text: "t"})
		}
		h.must(h.queue.Enqueue(t.Context(), "note", nil))
		h.turn(1)
		h.pass(11 * time.Second)
		if _, err := h.queue.Turn(t.Context()); err != nil {
			t.Fatal(err)
		}
		if count != tries {
			t.Errorf("%s: %d tries, want %d", answer, count, tries)
		}
	}
}

func TestSettingsAreChecked(t *testing.T) {
	for what, bad := range map[string]deliver.SMTP{
		"no server":   {From: "a@b.example"},
		"no port":     {Server: "mail.example", From: "a@b.example"},
		"a bad port":  {Server: "mail.example:smtp", From: "a@b.example"},
		"no sender":   {Server: "mail.example:587"},
		"no password": {Server: "mail.example:587", From: "a@b.example", User: "u"},
	} {
		if bad.Check() == nil {
			t.Errorf("%s passes", what)
		}
	}
	good := deliver.SMTP{
		Server: "mail.example:587", From: "Bank <a@b.example>", User: "u",
		Password: func() (seal.Secret, error) { return "", errors.New("not asked for") },
	}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
}
