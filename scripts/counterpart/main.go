// Command counterpart plays, beside a Server under test, what the OpenID Foundation's suite needs and no authorization
// server is: the protected resource of the FAPI plans, which verifies tokens by the package gate, and the device on which
// a person decides what was asked over the backchannel. It uses Garde from outside, as anybody could: there is no door in
// the product for it.
//
//	go run ./scripts/counterpart -issuer https://localhost:9443 -resource https://localhost:9445 DIR/fapi-ciba
//
// DIR is what scripts/certification wrote. For CIBA, open RESOURCE/device once and sign in as the person who will be asked.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"github.com/gardeauth/garde/gate"
	"github.com/gardeauth/garde/internal/web"
)

// counterpart is one run.
type counterpart struct {
	Issuer, Resource string
	Dir              string // a folder of scripts/certification
	Log              *slog.Logger
}

func main() {
	c := counterpart{Log: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	listen := flag.String("listen", ":9445", "address to listen at")
	flag.StringVar(&c.Issuer, "issuer", "https://localhost:9443", "the Server under test")
	flag.StringVar(&c.Resource, "resource", "https://localhost:9445", "public URL of this program")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: counterpart [flags] DIR")
		os.Exit(2)
	}
	c.Dir = flag.Arg(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", *listen)
	if err == nil {
		err = c.serve(ctx, listener)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "counterpart:", err)
		os.Exit(1) //nolint:gocritic // the context ends with the process
	}
}

// serve answers until ctx ends.
func (c counterpart) serve(ctx context.Context, listener net.Listener) error {
	settings, err := (&web.Certificate{CertFile: filepath.Join(c.Dir, "../server.pem"), KeyFile: filepath.Join(c.Dir, "../server.key"), Log: c.Log}).Config()
	if err != nil {
		return err
	}
	settings.ClientAuth = tls.RequestClientCert // tokens may be bound to one: whoever signed it
	handler, err := c.handler(ctx)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, TLSConfig: settings, ReadHeaderTimeout: 10 * time.Second}
	ended := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer ended()
	if err := server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (c counterpart) handler(ctx context.Context) (http.Handler, error) {
	authorities, err := os.ReadFile(filepath.Join(c.Dir, "../ca.pem"))
	if err != nil {
		return nil, err
	}
	issuer, err := url.Parse(c.Issuer)
	if err != nil {
		return nil, err
	}
	secret, err := os.ReadFile(filepath.Join(c.Dir, "resource.secret"))
	if err != nil {
		return nil, err
	}
	g, err := gate.New(gate.Config{
		Client: "resource", Secret: string(secret), // a code that is used twice takes back the tokens that it gave
		Issuer: c.Issuer, Audience: c.Resource + "/accounts", Bound: true, Authorities: authorities, AllowHosts: []string{issuer.Host}, Log: c.Log,
	})
	if err != nil {
		return nil, err
	}
	go func() {
		if err := g.Run(ctx); err != nil && ctx.Err() == nil {
			c.Log.Error("revocations are not followed", "cause", err)
		}
	}()
	mux := http.NewServeMux()
	mux.Handle(g.Metadata())
	mux.HandleFunc("/ready", func(w http.ResponseWriter, _ *http.Request) {
		if !g.Ready() {
			http.Error(w, "what was revoked is not known yet", http.StatusServiceUnavailable)
		}
	})
	accounts := web.Interactive(named(g.Protect(http.HandlerFunc(list), gate.Scope("accounts"))))
	mux.Handle("/accounts", accounts)
	mux.Handle("/accounts/", accounts)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authorities)
	device, err := newDevice(c, &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
	}})
	if err == nil && device != nil {
		device.hang(mux)
	}
	return mux, err
}

// named gives an interaction a name where the client gave it none.
func named(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Fapi-Interaction-Id") == "" {
			w.Header().Set("X-Fapi-Interaction-Id", uuid.NewString())
		}
		next.ServeHTTP(w, r)
	})
}

// list is the resource.
func list(w http.ResponseWriter, r *http.Request) {
	who, known := gate.Token(r.Context())
	if !known {
		http.Error(w, "nobody", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(map[string]any{"subject": who.Subject, "client": who.Client, "accounts": []string{"savings"}})
}
