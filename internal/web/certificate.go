package web

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificateAge is how long a certificate is used before its files are looked at again.
const certificateAge = 2 * time.Second

// Certificate is a key pair in two PEM files, read anew when they change. When the new pair is broken, the old one stays
// in use and the fault is logged once.
type Certificate struct {
	CertFile, KeyFile string
	Log               *slog.Logger
	Now               func() time.Time // nil means time.Now

	mutex  sync.Mutex
	pair   *tls.Certificate
	stamp  [2]fileStamp
	looked time.Time
}

type fileStamp struct {
	changed time.Time
	size    int64
}

// Config loads the pair, or says why it can't, and gives the TLS settings of a listener: TLS 1.2 and 1.3, and in 1.2
// only the suites that FAPI 2.0 section 5.2.2 permits (the defaults of Go hold CBC suites).
func (c *Certificate) Config() (*tls.Config, error) {
	if _, err := c.current(nil); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
		GetCertificate: c.current,
	}, nil
}

func (c *Certificate) current(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	now := time.Now()
	if c.Now != nil {
		now = c.Now()
	}
	if c.pair != nil && now.Sub(c.looked) < certificateAge {
		return c.pair, nil
	}
	c.looked = now
	stamp, err := stampOf(c.CertFile, c.KeyFile)
	if err == nil && c.pair != nil && stamp == c.stamp {
		return c.pair, nil
	}
	var pair tls.Certificate
	if err == nil {
		pair, err = tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
	}
	if err != nil {
		err = fmt.Errorf("load the certificate: %w", err)
		if c.pair == nil {
			return nil, err
		}
		if stamp != c.stamp { // the same fault is said once
			c.stamp = stamp
			c.log().Error("the old certificate stays in use", slog.String("cause", err.Error()))
		}
		return c.pair, nil
	}
	c.pair, c.stamp = &pair, stamp
	return c.pair, nil
}

func (c *Certificate) log() *slog.Logger {
	if c.Log == nil {
		return slog.Default()
	}
	return c.Log
}

func stampOf(files ...string) (stamps [2]fileStamp, err error) {
	for i, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			return [2]fileStamp{}, err
		}
		stamps[i] = fileStamp{info.ModTime(), info.Size()}
	}
	return stamps, nil
}
