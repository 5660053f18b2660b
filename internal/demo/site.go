// Package demo is a small bank that Garde protects: an accounts API behind the Gate, a web client, a command-line
// client, an account aggregator of another company, and the recipe, people and guide that go with them. It is a customer of Garde like any other: it knows the
// protocol and its own data, speaks to Garde over HTTP alone, and knows nothing of how Garde works inside.
package demo

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

// Where the demonstration listens, and keeps its data, unless it is told otherwise.
const (
	DefaultListen = "localhost:7777"
	DefaultData   = "garde-demo"
)

// The clients of the bank, as its recipe names them.
const (
	WebClient     = "bank-web"
	CLIClient     = "bank-cli"
	ServiceClient = "bank-nightly"
	BudgetClient  = "budget" // another company's
)

// Site is where the parts of the demonstration are.
type Site struct {
	Issuer string // the Server's base URL, and the issuer
	Gate   string // the Gate's base URL, and the audience of the accounts API
	Bank   string // the web client's base URL; always on 127.0.0.1, so that Garde's cookies never travel to it

	Budget string // the base URL of another company's web site. A real one has a host of its own, and is sent no cookie of the bank

	IssuerListen, GateListen, BankListen, BudgetListen string // what each of them listens on
}

// At plans the site whose Server listens on host:port; the Gate, the bank and Budget take the next three ports.
// It refuses everything but loopback: the demonstration speaks plain http.
func At(listen string) (Site, error) {
	host, text, err := net.SplitHostPort(listen)
	if err != nil {
		return Site{}, fmt.Errorf("--listen wants host:port, such as %s: %w", DefaultListen, err)
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 || port > 65532 {
		return Site{}, fmt.Errorf("--listen %s: the port must be between 1 and 65532, since the next three are used as well", listen)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return Site{}, fmt.Errorf("--listen %s: the demonstration speaks plain http and so listens on localhost only", listen)
	}
	at := func(host string, port uint64) string { return net.JoinHostPort(host, strconv.FormatUint(port, 10)) }
	site := Site{IssuerListen: at(host, port), GateListen: at(host, port+1), BankListen: at("127.0.0.1", port+2), BudgetListen: at("127.0.0.1", port+3)}
	site.Issuer, site.Gate, site.Bank = "http://"+site.IssuerListen, "http://"+site.GateListen, "http://"+site.BankListen
	site.Budget = "http://" + site.BudgetListen
	return site, nil
}

// Listen opens a listener on a loopback address and refuses any other. Port 0 takes a free port; when file is not
// empty the port is remembered there and taken again the next time if it is still free.
func Listen(address, file string) (net.Listener, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
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

// serve answers on l until ctx ends, then lets what is under way finish. It refuses a listener off loopback.
func serve(ctx context.Context, l net.Listener, h http.Handler) error {
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
