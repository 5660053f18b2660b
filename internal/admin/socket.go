package admin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"
)

// Socket serves the API on a unix socket that only this user may open.
type Socket struct {
	Path    string
	Handler http.Handler
	Log     *slog.Logger
}

// maxSocketPath is what the kernels take (108 on Linux, 104 elsewhere).
const maxSocketPath = 103

// Listen makes the socket, mode 0600. One that a dead process left is replaced; one that answers is not.
func (s Socket) Listen() (net.Listener, error) {
	if len(s.Path) > maxSocketPath {
		return nil, fmt.Errorf("the admin socket %s: its path is longer than %d bytes; name a shorter one under admin: in node.yaml", s.Path, maxSocketPath)
	}
	info, err := os.Lstat(s.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case info.Mode()&fs.ModeSocket == 0:
		return nil, fmt.Errorf("the admin socket %s: there is a file of that name that is no socket; name another one under admin: in node.yaml", s.Path)
	default:
		if conn, err := net.DialTimeout("unix", s.Path, time.Second); err == nil {
			return nil, errors.Join(fmt.Errorf("the admin socket %s: another garde serves it", s.Path), conn.Close())
		}
		if err := os.Remove(s.Path); err != nil {
			return nil, err
		}
	}
	return listenPrivate(s.Path)
}

// listenPrivate makes the socket. Between its making and its mode others might connect: sameUser turns them away.
func listenPrivate(path string) (net.Listener, error) {
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("the admin socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return &sameUser{listener}, nil
}

// Serve answers on a listener of Listen until ctx ends.
func (s Socket) Serve(ctx context.Context, listener net.Listener) error {
	log := s.Log
	if log == nil {
		log = slog.Default()
	}
	server := &http.Server{
		Handler: s.Handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: time.Minute, WriteTimeout: 10 * time.Minute,
		IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			name, err := peer(conn)
			if err != nil {
				log.Warn("the admin socket: who is there?", "error", err)
				return ctx // without an operator every request is refused
			}
			return As(ctx, name)
		},
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err := server.Shutdown(ending)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
		return errors.Join(err, served)
	}
	return err
}

// sameUser lets nobody in but this user and root, whatever has become of the socket's mode.
type sameUser struct{ *net.UnixListener }

// Accept gives the next connection of somebody who may come in.
func (l *sameUser) Accept() (net.Conn, error) {
	for {
		conn, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		if mayConnect(conn) {
			return conn, nil
		}
		_ = conn.Close() // it was never used
	}
}
