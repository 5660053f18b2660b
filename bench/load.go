package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// The load generator speaks as little HTTP as it can: it shares the processor with what it measures, and both sides of a
// ratio pay for it alike.

// connections is how many callers there are at once, each on one connection that stays open.
const connections = 64

// caller is one connection.
type caller struct {
	address string
	tls     *tls.Config // nil: without TLS
	conn    net.Conn
	reader  *bufio.Reader
	out     []byte // reused for requests
	body    []byte // reused for answers
}

// answer is what came back. Its slices are good until the caller's next request.
type answer struct {
	status   int
	location []byte
	body     []byte
}

// deed is one unit of work of the caller with that number.
type deed func(c *caller, number int) error

var crlf = []byte("\r\n")

func (c *caller) dial() (err error) {
	if c.tls != nil {
		c.conn, err = tls.Dial("tcp", c.address, c.tls)
	} else {
		c.conn, err = net.Dial("tcp", c.address)
	}
	if err == nil {
		c.reader = bufio.NewReaderSize(c.conn, 8<<10)
	}
	return err
}

// get sends a GET with the headers given, each with its CRLF.
func (c *caller) get(target string, headers ...string) (answer, error) {
	c.begin("GET ", target, headers)
	c.out = append(c.out, crlf...)
	return c.exchange()
}

// post sends a form.
func (c *caller) post(target, form string, headers ...string) (answer, error) {
	c.begin("POST ", target, headers)
	c.out = append(c.out, "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: "...)
	c.out = strconv.AppendInt(c.out, int64(len(form)), 10)
	c.out = append(c.out, "\r\n\r\n"...)
	c.out = append(c.out, form...)
	return c.exchange()
}

func (c *caller) begin(method, target string, headers []string) {
	c.out = append(append(append(c.out[:0], method...), target...), " HTTP/1.1\r\nHost: "...)
	c.out = append(append(c.out, c.address...), crlf...)
	for _, header := range headers {
		c.out = append(c.out, header...)
	}
}

func (c *caller) exchange() (answer, error) {
	if err := c.conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return answer{}, err
	}
	if _, err := c.conn.Write(c.out); err != nil {
		return answer{}, err
	}
	return c.read()
}

func (c *caller) read() (answer, error) {
	var got answer
	line, err := c.line()
	if err != nil {
		return got, err
	}
	if len(line) < 12 {
		return got, fmt.Errorf("no status line: %q", line)
	}
	if got.status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return got, err
	}
	length, chunked := -1, false
	for {
		if line, err = c.line(); err != nil {
			return got, err
		}
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(": "))
		switch string(name) {
		case "Content-Length":
			if length, err = strconv.Atoi(string(value)); err != nil {
				return got, err
			}
		case "Transfer-Encoding":
			chunked = true
		case "Location":
			got.location = append([]byte(nil), value...)
		}
	}
	c.body = c.body[:0]
	switch {
	case chunked:
		err = c.chunks()
	case length < 0:
		err = errors.New("an answer without Content-Length")
	default:
		err = c.take(length)
	}
	got.body = c.body
	return got, err
}

// take adds bytes to the body.
func (c *caller) take(length int) error {
	at := len(c.body)
	c.body = slices.Grow(c.body, length)[:at+length]
	_, err := io.ReadFull(c.reader, c.body[at:])
	return err
}

func (c *caller) chunks() error {
	for {
		line, err := c.line()
		if err != nil {
			return err
		}
		size, err := strconv.ParseUint(string(line), 16, 24)
		if err != nil {
			return err
		}
		if err := c.take(int(size)); err != nil {
			return err
		}
		if line, err = c.line(); err != nil || len(line) > 0 {
			return errors.Join(err, errors.New("a chunk does not end where it says"))
		}
		if size == 0 {
			return nil
		}
	}
}

func (c *caller) line() ([]byte, error) {
	line, err := c.reader.ReadSlice('\n')
	return bytes.TrimSuffix(line, crlf), err
}

// rate is what a stretch of load gave.
type rate struct {
	perSecond float64
	done      int64
}

// load runs deeds of a side from all connections for a time. Connections open, and shake hands, before it begins.
func load(s side, lasting time.Duration) (rate, error) {
	var done atomic.Int64
	var group sync.WaitGroup
	callers := make([]*caller, connections)
	for number := range callers {
		callers[number] = &caller{address: s.address, tls: s.tls}
		if err := callers[number].dial(); err != nil {
			return rate{}, err
		}
		defer callers[number].conn.Close()
	}
	failed := make(chan error, connections)
	began := time.Now()
	until := began.Add(lasting)
	for number, c := range callers {
		group.Go(func() {
			for time.Now().Before(until) {
				if err := s.do(c, number); err != nil {
					failed <- err
					return
				}
				done.Add(1)
			}
		})
	}
	group.Wait()
	took := time.Since(began)
	select {
	case err := <-failed:
		return rate{}, err
	default:
	}
	return rate{float64(done.Load()) / took.Seconds(), done.Load()}, nil
}

// wanted turns an answer of another status into an error.
func wanted(got answer, err error, status int) error {
	if err == nil && got.status != status {
		err = fmt.Errorf("status %d instead of %d: %.300s %.300s", got.status, status, got.location, got.body)
	}
	return err
}

// member cuts the text of a member out of a JSON object that is known to hold no escapes there.
func member(body []byte, name string) (string, error) {
	_, rest, found := bytes.Cut(body, []byte(`"`+name+`":"`))
	value, _, closed := bytes.Cut(rest, []byte(`"`))
	if !found || !closed {
		return "", fmt.Errorf("no %s in %.200s", name, body)
	}
	return string(value), nil
}
