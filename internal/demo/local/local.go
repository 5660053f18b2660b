// Package local keeps the demonstration on this machine: what speaks plain http listens on loopback and nowhere else.
package local

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/demo/client"
)

// Listen opens a listener on a loopback address and refuses any other. Port 0 takes a free port; when file is not
// empty the port is remembered there and taken again the next time if it is still free.
func Listen(address, file string) (net.Listener, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	if host != "localhost" && !IsLoopback(host) { // what localhost means is looked at again by Serve
		return nil, fmt.Errorf("listen on %s: only a loopback address will do", address)
	}
	if port == "0" && file != "" {
		if kept, err := os.ReadFile(file); err == nil {
			number, err := strconv.ParseUint(strings.TrimSpace(string(kept)), 10, 16)
			if err == nil && number > 1023 {
				if l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.FormatUint(number, 10))); err == nil {
					return l, nil
				}
			}
		}
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	if file != "" {
		_, port, _ := net.SplitHostPort(l.Addr().String())
		if err := client.WritePrivate(file, []byte(port+"\n")); err != nil {
			return nil, errors.Join(err, l.Close())
		}
	}
	return l, nil
}

// Serve answers on l until ctx ends, then lets what is under way finish. It refuses a listener off loopback.
func Serve(ctx context.Context, l net.Listener, h http.Handler) error {
	if tcp, ok := l.Addr().(*net.TCPAddr); !ok || !tcp.IP.IsLoopback() {
		return errors.Join(fmt.Errorf("listen on %s: only a loopback address will do", l.Addr()), l.Close())
	}
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 45 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 32 << 10,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	grace, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer stop()
	// Whoever keeps the rest waiting longer than that is cut off.
	if err := server.Shutdown(grace); err != nil {
		if err := server.Close(); err != nil {
			return err
		}
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Host is the host of a Host header, without port and brackets.
func Host(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.Trim(hostport, "[]")
}

// IsLoopback tells whether host is an address of loopback.
func IsLoopback(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
