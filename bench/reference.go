package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/gardeauth/garde/internal/jose"
)

// The references are what the machine can do at best: each a bare net/http server in a process of its own that does the
// one thing no product could leave out.

// reference serves the handler of that name until its standard input ends. It prints its address.
func reference(name string, args []string) error {
	handler, err := bare(name, args)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	if name == "sign" && len(args) == 2 {
		if listener, err = mutualListener(listener, args[0], args[1]); err != nil {
			return err
		}
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // it ends with its parent, however that ends
		_ = server.Shutdown(context.Background())
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func bare(name string, args []string) (http.Handler, error) {
	switch {
	case name == "sign":
		return bareSigner()
	case name == "pushed" && len(args) == 1:
		return barePushed(args[0])
	case name == "lookup":
		return bareLookup()
	case name == "json":
		return bareJSON(), nil
	case name == "upstream":
		return http.HandlerFunc(upstream), nil
	case name == "proxy" && len(args) == 1:
		return bareProxy(args[0])
	case name == "verify" && len(args) == 2:
		return bareVerifier(args[0], args[1])
	}
	return nil, fmt.Errorf("no reference is called %s %q", name, args)
}

// claims are those of a client's own access token.
type claims struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	Audience string `json:"aud"`
	ClientID string `json:"client_id"`
	Scope    string `json:"scope,omitempty"`
	ID       string `json:"jti"`
	IssuedAt int64  `json:"iat"`
	Expires  int64  `json:"exp"`
}

// bareSigner parses the form and signs one ES256 token; it asks nobody and keeps nothing.
func bareSigner() (http.Handler, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	signer := &jose.Signer{KeyID: rand.Text(), Alg: jose.ES256, Key: key}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil { // bare: it has no limits
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		now := time.Now().Unix()
		token, err := signer.Sign("at+jwt", claims{
			Issuer: "http://127.0.0.1:8080", Subject: "nightly", Audience: "http://127.0.0.1:8081", ClientID: "nightly",
			Scope: r.PostForm.Get("scope"), ID: rand.Text(), IssuedAt: now, Expires: now + 300,
		})
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		write(w, map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": 300})
	}), nil
}

// bareLookup parses the form and finds the token in one map.
func bareLookup() (http.Handler, error) {
	known := map[string]claims{}
	for number := range tokensKnown {
		known[fmt.Sprintf("token-%d", number)] = claims{
			Issuer: "http://127.0.0.1:8080", Subject: "nightly", Audience: "http://127.0.0.1:8081", ClientID: "nightly",
			Scope: "notes.read", ID: rand.Text(), IssuedAt: time.Now().Unix(), Expires: time.Now().Unix() + 300,
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil { // bare: it has no limits
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		found, active := known[r.PostForm.Get("token")]
		write(w, struct {
			Active bool `json:"active"`
			claims
		}{active, found})
	}), nil
}

func write(w http.ResponseWriter, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body)
}

// upstream is the API that all proxies stand before.
func upstream(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"id":"42","balance":123456,"currency":"EUR"}`)
}

type lender struct{ pool sync.Pool }

func (l *lender) Get() []byte {
	if known, ok := l.pool.Get().(*[32 << 10]byte); ok {
		return known[:]
	}
	return make([]byte, 32<<10)
}

func (l *lender) Put(buffer []byte) { l.pool.Put((*[32 << 10]byte)(buffer)) }

// bareProxy is a ReverseProxy with a tuned transport: enough idle connections, larger buffers, lent memory.
func bareProxy(to string) (*httputil.ReverseProxy, error) {
	target, err := url.Parse(to)
	if err != nil {
		return nil, err
	}
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: &http.Transport{
			DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext, MaxIdleConnsPerHost: 512,
			IdleConnTimeout: 90 * time.Second, DisableCompression: true, WriteBufferSize: 8 << 10, ReadBufferSize: 8 << 10,
		},
		BufferPool: &lender{},
	}, nil
}

// bareVerifier is bareProxy after one ES256 verification of the token's signature, and of nothing else.
func bareVerifier(to, point string) (http.Handler, error) {
	next, err := bareProxy(to)
	if err != nil {
		return nil, err
	}
	key, err := readPoint(point)
	if err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !signedBy(key, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	}), nil
}

func readPoint(point string) (*ecdsa.PublicKey, error) {
	raw, err := base64.RawURLEncoding.DecodeString(point)
	if err != nil {
		return nil, err
	}
	return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), raw)
}

// signedBy is one ES256 verification of a token, and reads nothing of it.
func signedBy(key *ecdsa.PublicKey, token string) bool {
	end := max(strings.LastIndexByte(token, '.'), 0)
	signature, err := base64.RawURLEncoding.DecodeString(token[min(end+1, len(token)):])
	if err != nil || len(signature) != 64 {
		return false
	}
	digest := sha256.Sum256([]byte(token[:end]))
	return ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
}

// firstLine reads the address that a reference prints.
func firstLine(from io.Reader) (string, error) {
	line, err := bufio.NewReader(from).ReadString('\n')
	return strings.TrimSpace(line), err
}
