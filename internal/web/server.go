package web

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// The limits of every listener. The defaults of net/http are none at all.
const (
	headerTime = 5 * time.Second
	readTime   = 15 * time.Second
	writeTime  = 30 * time.Second
	idleTime   = 2 * time.Minute
	graceTime  = 10 * time.Second

	maxHeader  = 32 << 10
	maxStreams = 250 // requests at once in one HTTP/2 connection
)

// Server serves one listener: HTTP/1.1, and HTTP/2 where it has TLS (never h2c), with a limit on every time and size.
type Server struct {
	Listener net.Listener
	Handler  http.Handler
	TLS      *tls.Config // nil for plain HTTP; see Certificate.Config
	Log      *slog.Logger
	// Streaming lifts the limits on reading and writing a whole message, for a proxy whose handler sets deadlines of its
	// own through http.ResponseController. Headers and idle connections stay limited.
	Streaming bool
	Grace     time.Duration // for requests under way at the end; 0 means 10 s
}

// Run serves until ctx ends, then takes no new connection and waits for the requests under way, at most Grace long. A
// graceful end gives nil.
func (s *Server) Run(ctx context.Context) error {
	server := s.server()
	// Requests outlive ctx by the grace they are given, so their context is not derived from it.
	ended := make(chan error, 1)
	go func() {
		if s.TLS != nil {
			ended <- server.ServeTLS(s.Listener, "", "")
			return
		}
		ended <- server.Serve(s.Listener)
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	grace := s.Grace
	if grace <= 0 {
		grace = graceTime
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	err := server.Shutdown(ending)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
		return served
	}
	return err
}

func (s *Server) server() *http.Server {
	log := s.Log
	if log == nil {
		log = slog.Default()
	}
	server := &http.Server{
		Handler:           noPreface(s.Handler),
		TLSConfig:         s.TLS,
		ReadHeaderTimeout: headerTime,
		ReadTimeout:       readTime,
		WriteTimeout:      writeTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		// A peer that breaks a handshake or sends rubbish is no event of ours.
		ErrorLog:  slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		Protocols: new(http.Protocols),
		HTTP2:     &http.HTTP2Config{MaxConcurrentStreams: maxStreams, MaxReadFrameSize: 64 << 10},
	}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetHTTP2(s.TLS != nil)
	if s.Streaming {
		server.ReadTimeout, server.WriteTimeout = 0, 0
	}
	return server
}

// noPreface refuses the preface of HTTP/2 on a plain connection: net/http hands it to the handler as a request, and what
// follows it could be read as another (h2c smuggling).
func noPreface(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "PRI" {
			w.Header().Set("Connection", "close")
			w.WriteHeader(http.StatusHTTPVersionNotSupported)
			return
		}
		next.ServeHTTP(w, r)
	})
}
