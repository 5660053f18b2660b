package web

import (
	"crypto/tls"
	"testing"
)

func TestL04EveryListenerHasLimits(t *testing.T) {
	for name, server := range map[string]*Server{"plain": {}, "TLS": {TLS: &tls.Config{MinVersion: tls.VersionTLS12}}, "streaming": {Streaming: true}} {
		made := server.server()
		if made.ReadHeaderTimeout <= 0 || made.IdleTimeout <= 0 || made.MaxHeaderBytes <= 0 {
			t.Errorf("%s: headers and idle connections have no limit", name)
		}
		if whole := made.ReadTimeout > 0 && made.WriteTimeout > 0; whole == server.Streaming {
			t.Errorf("%s: limits of whole messages: %v", name, whole)
		}
		if made.Protocols.UnencryptedHTTP2() || made.Protocols.HTTP2() != (server.TLS != nil) {
			t.Errorf("W27 %s speaks %v", name, made.Protocols)
		}
		if made.HTTP2.MaxConcurrentStreams <= 0 {
			t.Errorf("%s: HTTP/2 has no limit of streams", name)
		}
	}
}
