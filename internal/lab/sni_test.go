package lab_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509/pkix"
	"encoding/binary"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/lab"
)

// splitting breaks what opens a connection into pieces: of the network, or records of TLS. Whoever reads only the first to
// learn the name would miss it.
type splitting struct {
	net.Conn
	records, begun bool
}

func (s *splitting) Write(sent []byte) (int, error) {
	if s.begun || len(sent) < 20 {
		return s.Conn.Write(sent)
	}
	s.begun = true
	if !s.records {
		for i := range sent {
			if _, err := s.Conn.Write(sent[i : i+1]); err != nil {
				return i, err
			}
		}
		return len(sent), nil
	}
	head, hello := sent[:5], sent[5:5+int(binary.BigEndian.Uint16(sent[3:]))]
	var out []byte
	for len(hello) > 0 {
		piece := hello[:min(16, len(hello))]
		hello = hello[len(piece):]
		out = append(append(out, head[0], head[1], head[2], 0, byte(len(piece))), piece...)
	}
	out = append(out, sent[5+int(binary.BigEndian.Uint16(sent[3:])):]...)
	_, err := s.Conn.Write(out)
	return len(sent), err
}

// TestD22AConnectionForOneNameServesNoOther: what a connection was opened for, and what a request inside of it names, must be
// the same, however either is written, at each listener that asks for certificates.
func TestD22AConnectionForOneNameServesNoOther(t *testing.T) {
	h := lab.New(t, lab.Options{TLS: true, MTLS: true, Gate: true})
	own := h.Callers.Client(pkix.Name{CommonName: "job"}, nil)
	alice := h.NewPerson("alice")
	code := h.Redeem(h.Code(alice, lab.Plant{}))
	granted(t, code)
	access := code.Text("access_token")
	hostOf := func(address string) string {
		at, err := url.Parse(address)
		must(t, err)
		return at.Host
	}
	type listener struct {
		host, path string
		good       int
		headers    []string
	}
	for where, at := range map[string]listener{
		"the Server":                     {hostOf(h.Issuer), "/jwks", 200, nil},
		"where certificates are asked":   {hostOf(h.MTLSURL), "/jwks", 200, nil},
		"the Gate":                       {hostOf(h.GateURL), "/accounts/balance", 200, []string{"Authorization: Bearer " + access}},
		"the Gate, for what anybody may": {hostOf(h.GateURL), "/accounts/rates", 200, nil},
	} {
		for name, row := range map[string]struct {
			sni, host, target string
			split             string // "", network or records
			more              string
			want              int
		}{
			"no name":                                {want: at.good},
			"no name, in pieces":                     {split: "network", want: at.good},
			"no name, in records":                    {split: "records", want: at.good},
			"another name of the certificate":        {sni: "localhost", want: 421},
			"... in another case":                    {sni: "LocalHost", want: 421},
			"... in pieces":                          {sni: "localhost", split: "network", want: 421},
			"... in records":                         {sni: "localhost", split: "records", want: 421},
			"the name of somebody else":              {sni: "evil.example", want: 421},
			"the host of somebody else":              {host: "evil.example", want: 421},
			"that name for both":                     {sni: "evil.example", host: "evil.example", want: 421},
			"the host without its port":              {host: "127.0.0.1", want: 421},
			"a dot behind the host":                  {host: strings.Replace(at.host, "127.0.0.1", "127.0.0.1.", 1), want: 421},
			"a host that reads the same":             {host: strings.Replace(at.host, "127.0.0.1", "127.1", 1), want: 421},
			"a target of somebody else":              {target: "https://evil.example" + at.path, want: 421},
			"two hosts":                              {more: "Host: evil.example\r\n", want: 400},
			"a forwarded host does not count":        {more: "X-Forwarded-Host: " + at.host + "\r\n", host: "evil.example", want: 421},
			"a name for one, forwarded as the other": {sni: "localhost", more: "X-Forwarded-Host: localhost\r\n", want: 421},
		} {
			t.Run("D22 "+where+": "+name, func(t *testing.T) {
				before := len(h.Upstream.Seen())
				settings := &tls.Config{ServerName: row.sni, InsecureSkipVerify: true, MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{own}}
				plain, err := net.DialTimeout("tcp", at.host, 5*time.Second)
				must(t, err)
				defer plain.Close()
				must(t, plain.SetDeadline(time.Now().Add(10*time.Second)))
				var raw net.Conn = plain
				if row.split != "" {
					raw = &splitting{Conn: plain, records: row.split == "records"}
				}
				conn := tls.Client(raw, settings)
				must(t, conn.HandshakeContext(t.Context()))
				host, target := row.host, row.target
				if host == "" {
					host = at.host
				}
				if target == "" {
					target = at.path
				}
				text := "GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\n" + row.more
				for _, header := range at.headers {
					text += header + "\r\n"
				}
				_, err = conn.Write([]byte(text + "Connection: close\r\n\r\n"))
				must(t, err)
				answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
				must(t, err)
				defer answer.Body.Close()
				if answer.StatusCode != row.want {
					t.Errorf("%d, want %d", answer.StatusCode, row.want)
				}
				if row.want != at.good && len(h.Upstream.Seen()) != before {
					t.Error("it reached the API")
				}
			})
		}
		t.Run("D22 "+where+": another name over HTTP/2", func(t *testing.T) {
			client := h.With(&own)
			transport, _ := client.Transport.(*http.Transport)
			transport.TLSClientConfig.ServerName = "localhost"
			r := lab.Request("GET", "https://"+at.host+at.path, "")
			for _, header := range at.headers {
				field, value, _ := strings.Cut(header, ": ")
				r.Header.Set(field, value)
			}
			answer, err := client.Do(r)
			must(t, err)
			defer answer.Body.Close()
			if answer.StatusCode != 421 || answer.ProtoMajor != 2 {
				t.Errorf("%s %d", answer.Proto, answer.StatusCode)
			}
		})
	}
}
