// Package fetch is the only way in which Garde reads a document that somebody else named: a client's keys, its request
// object, an upstream's metadata. It speaks https to public addresses, follows nothing, and gives up early. It knows
// nothing of what it fetches.
package fetch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The limits of one fetch.
const (
	MaxTime  = 3 * time.Second
	MaxBytes = 256 << 10

	maxURL     = 2048
	maxHeader  = 16 << 10
	perHost    = 4   // fetches at once from one host
	maxWaiting = 32  // fetches that wait for their turn at one host
	maxRunning = 256 // fetches at once from all hosts
)

// Error is what every failed fetch gives. Its text is the same whatever went wrong, so that nobody can look into a network
// through us; the cause, for the log, is what it wraps.
type Error struct{ cause error }

func (e *Error) Error() string { return "the document could not be fetched" }

// Unwrap gives the cause, which must never reach a client.
func (e *Error) Unwrap() error { return e.cause }

// Why gives the cause of a failed fetch without the URL, which may be long and tell more than is wanted. It is for what only
// operators read.
func Why(err error) error {
	if kept := new(Error); errors.As(err, &kept) {
		err = kept.cause
	}
	if asked := new(url.Error); errors.As(err, &asked) {
		err = asked.Err
	}
	return err
}

// Document is what a fetch gives.
type Document struct {
	Body         []byte
	ContentType  string // as sent; "" when absent
	CacheControl string // as sent, several joined by commas
}

// Settings widen what may be fetched. The zero value is the safe one.
type Settings struct {
	// AllowHosts are "host:port" that may have any address and may be plain http. They are for test set-ups and for
	// services of the company's own network.
	AllowHosts []string
	// Authorities are certificates in PEM that are trusted besides those of the system.
	Authorities []byte
}

// Fetcher fetches documents. Make it with New; it is safe for many callers.
type Fetcher struct {
	allowed []string
	client  *http.Client
	turns   turns
}

// New checks the settings.
func New(settings Settings) (*Fetcher, error) {
	fetcher := &Fetcher{turns: newTurns()}
	for _, host := range settings.AllowHosts {
		name, port, err := net.SplitHostPort(host)
		if _, bad := strconv.ParseUint(port, 10, 16); err != nil || name == "" || bad != nil {
			return nil, fmt.Errorf("allowed host %q must read host:port", host)
		}
		fetcher.allowed = append(fetcher.allowed, strings.ToLower(host))
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if len(settings.Authorities) > 0 && !roots.AppendCertsFromPEM(settings.Authorities) {
		return nil, errors.New("the extra authorities hold no certificate in PEM")
	}
	fetcher.client = &http.Client{
		Timeout:       MaxTime,
		Transport:     fetcher.transport(roots),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return fetcher, nil
}

// transport is not the default one: no proxy of the environment, no decompression, no cookie, a short life.
func (f *Fetcher) transport(roots *x509.CertPool) *http.Transport {
	rule := newAddressRule()
	guarded := &net.Dialer{Timeout: MaxTime, Control: func(_, address string, _ syscall.RawConn) error {
		// Here, on the address that is being connected to: what a name resolved to a moment ago says nothing.
		target, err := netip.ParseAddrPort(address)
		if err != nil || !rule.public(target.Addr()) {
			return fmt.Errorf("the address %s is not a public one", address)
		}
		return nil
	}}
	open := &net.Dialer{Timeout: MaxTime}
	return &http.Transport{
		Proxy: nil,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if f.allows(address) {
				return open.DialContext(ctx, network, address)
			}
			return guarded.DialContext(ctx, network, address)
		},
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		TLSHandshakeTimeout:    MaxTime,
		ResponseHeaderTimeout:  MaxTime,
		IdleConnTimeout:        30 * time.Second,
		MaxIdleConns:           64,
		MaxIdleConnsPerHost:    1,
		MaxResponseHeaderBytes: maxHeader,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
	}
}

func (f *Fetcher) allows(hostPort string) bool {
	return slices.Contains(f.allowed, strings.ToLower(hostPort))
}

// Fetch gives the body that a GET of the URL answers with status 200.
func (f *Fetcher) Fetch(ctx context.Context, target string) ([]byte, error) {
	document, err := f.Document(ctx, target)
	return document.Body, err
}

// Document is Fetch with the content type. Any error is an *Error; the whole takes MaxTime at most.
func (f *Fetcher) Document(ctx context.Context, target string) (Document, error) {
	document, err := f.document(ctx, target)
	if err != nil {
		return Document{}, &Error{cause: err}
	}
	return document, nil
}

func (f *Fetcher) document(ctx context.Context, target string) (Document, error) {
	address, err := f.check(target)
	if err != nil {
		return Document{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, MaxTime)
	defer cancel()
	leave, err := f.turns.enter(ctx, hostPort(address))
	if err != nil {
		return Document{}, err
	}
	defer leave()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return Document{}, err
	}
	request.Header.Set("User-Agent", "garde")
	request.Header.Set("Accept-Encoding", "identity")
	response, err := f.client.Do(request)
	if err != nil {
		return Document{}, err
	}
	defer func() { _ = response.Body.Close() }()
	document, err := read(response)
	if err == nil {
		// A server that sees us leave may end a body in good form before the connection is gone: what was read is then
		// a part that looks whole.
		err = ctx.Err()
	}
	return document, err
}

// check parses the URL and tells what is wrong with it.
func (f *Fetcher) check(target string) (*url.URL, error) {
	if len(target) > maxURL {
		return nil, fmt.Errorf("the URL is longer than %d bytes", maxURL)
	}
	address, err := url.Parse(target)
	switch {
	case err != nil:
		return nil, errors.New("the URL is malformed")
	case address.Hostname() == "" || address.Opaque != "" || address.User != nil:
		return nil, errors.New("the URL has no plain host")
	case strings.Contains(target, "#"):
		return nil, errors.New("the URL has a fragment")
	case address.Scheme == "https", address.Scheme == "http" && f.allows(hostPort(address)):
		return address, nil
	}
	return nil, errors.New("the URL is not https")
}

// hostPort gives host and port as the transport dials them.
func hostPort(address *url.URL) string {
	port := address.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[address.Scheme]
	}
	return net.JoinHostPort(strings.ToLower(address.Hostname()), port)
}

func read(response *http.Response) (Document, error) {
	if response.StatusCode != http.StatusOK {
		return Document{}, fmt.Errorf("the answer has status %d", response.StatusCode)
	}
	if encoding := response.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return Document{}, errors.New("the answer is compressed, which was not asked for")
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, MaxBytes+1))
	if err != nil {
		return Document{}, fmt.Errorf("read the answer: %w", err)
	}
	if len(body) > MaxBytes {
		return Document{}, fmt.Errorf("the answer is longer than %d bytes", MaxBytes)
	}
	return Document{
		Body: body, ContentType: response.Header.Get("Content-Type"), CacheControl: strings.Join(response.Header.Values("Cache-Control"), ","),
	}, nil
}
