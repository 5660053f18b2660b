package shield

import (
	"errors"
	"net"
)

// Strict wraps a listener of plain HTTP/1: what arrives is held against RFC 9112 byte by byte, before net/http reads it.
// net/http is generous where the RFC lets it be (it joins folded lines, ends a line at a bare LF, and drops a
// Content-Length beside chunked), and where two readers on one connection are generous in different ways, a request can
// be smuggled past one of them (W26). A request that is not plain is answered with 400, and its connection ends.
//
// It is for listeners without TLS, where front proxies share connections among clients. Under TLS it would see nothing but
// ciphertext.
func Strict(inner net.Listener) net.Listener { return &strict{inner} }

type strict struct{ net.Listener }

// Accept gives the next connection, watched.
func (s *strict) Accept() (net.Conn, error) {
	conn, err := s.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &watched{Conn: conn}, nil
}

// watched is a connection of which nothing is passed on that the framing refuses.
type watched struct {
	net.Conn
	framing framer
	fault   error
}

// errNotPlain ends a connection. It is no net.Error: net/http answers it with 400.
var errNotPlain = errors.New("the request is not plain HTTP/1.1")

// Read passes on what has been looked at.
func (w *watched) Read(into []byte) (int, error) {
	if w.fault != nil {
		return 0, w.fault
	}
	n, err := w.Conn.Read(into)
	if !w.framing.feed(into[:n]) {
		w.fault = errNotPlain
		return 0, w.fault
	}
	return n, err
}

// CloseWrite lets net/http end a connection so that its last answer arrives.
func (w *watched) CloseWrite() error {
	if half, ok := w.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
