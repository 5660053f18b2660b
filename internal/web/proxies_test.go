package web_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/gardeauth/garde/internal/web"
)

func TestW16TheClientBehindProxies(t *testing.T) {
	proxies, err := web.ParseProxies([]string{"10.0.0.0/8", "2001:db8:1::1"})
	if err != nil {
		t.Fatal(err)
	}
	type headers = http.Header
	for name, row := range map[string]struct {
		peer    string
		headers headers
		client  string // "" means refused
	}{
		"a stranger is what it is":            {"203.0.113.9:1", headers{"X-Forwarded-For": {"1.2.3.4"}}, "203.0.113.9"},
		"S19 a stranger's Forwarded":          {"203.0.113.9:1", headers{"Forwarded": {"for=1.2.3.4"}}, "203.0.113.9"},
		"a stranger may send rubbish":         {"203.0.113.9:1", headers{"X-Forwarded-For": {"x", "y"}}, "203.0.113.9"},
		"no header":                           {"10.1.1.1:1", nil, "10.1.1.1"},
		"one proxy":                           {"10.1.1.1:1", headers{"X-Forwarded-For": {"198.51.100.1"}}, "198.51.100.1"},
		"what the client wrote is left of it": {"10.1.1.1:1", headers{"X-Forwarded-For": {"127.0.0.1, 198.51.100.1"}}, "198.51.100.1"},
		"two proxies":                         {"10.1.1.1:1", headers{"X-Forwarded-For": {"6.6.6.6, 198.51.100.1, 10.2.2.2"}}, "198.51.100.1"},
		"with a port":                         {"10.1.1.1:1", headers{"X-Forwarded-For": {"198.51.100.1:99"}}, "198.51.100.1"},
		"Forwarded":                           {"10.1.1.1:1", headers{"Forwarded": {`for=6.6.6.6, for="[2001:db8::7]:4711";proto=https;by=10.1.1.1`}}, "2001:db8::7"},
		"IPv6 proxy":                          {"[2001:db8:1::1]:1", headers{"X-Forwarded-For": {"2001:db8::7"}}, "2001:db8::7"},
		"mapped proxy":                        {"[::ffff:10.1.1.1]:1", headers{"X-Forwarded-For": {"::ffff:198.51.100.1"}}, "198.51.100.1"},
		"S11 rubbish":                         {"10.1.1.1:1", headers{"X-Forwarded-For": {"unknown"}}, ""},
		"S11 empty element":                   {"10.1.1.1:1", headers{"X-Forwarded-For": {"198.51.100.1,"}}, ""},
		"doubled header":                      {"10.1.1.1:1", headers{"X-Forwarded-For": {"198.51.100.1", "198.51.100.2"}}, ""},
		"both kinds":                          {"10.1.1.1:1", headers{"X-Forwarded-For": {"198.51.100.1"}, "Forwarded": {"for=6.6.6.6"}}, ""},
		"hidden name":                         {"10.1.1.1:1", headers{"Forwarded": {"for=_hidden"}}, ""},
		"Forwarded names it twice":            {"10.1.1.1:1", headers{"Forwarded": {"for=198.51.100.1;for=6.6.6.6"}}, ""},
		"Forwarded, open quote":               {"10.1.1.1:1", headers{"Forwarded": {`for="198.51.100.1`}}, ""},
		"Forwarded, trailing comma":           {"10.1.1.1:1", headers{"Forwarded": {"for=198.51.100.1,"}}, ""},
		"a zone":                              {"10.1.1.1:1", headers{"X-Forwarded-For": {"fe80::1%eth0"}}, ""},
		"a unix socket":                       {"@", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.RemoteAddr, r.Header = row.peer, row.headers
			client, err := proxies.ClientIP(r)
			if got := client.String(); err == nil && got != row.client || err != nil && row.client != "" {
				t.Errorf("%s, %v; want %q", got, err, row.client)
			}
		})
	}
}

func TestNobodyIsTrustedByDefault(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.RemoteAddr = "127.0.0.1:1"
	r.Header.Set("X-Forwarded-For", "1.2.3.4")
	r.Header.Set("X-Forwarded-Proto", "https")
	client, err := web.Proxies{}.ClientIP(r)
	if err != nil || client.String() != "127.0.0.1" {
		t.Errorf("%s %v", client, err)
	}
	if scheme, err := (web.Proxies{}).Scheme(r); err != nil || scheme != "http" {
		t.Errorf("%s %v", scheme, err)
	}
	for _, bad := range []string{"0.0.0.0/0", "::/0", "proxy.example", "10.0.0.0/33", "", "fe80::1%eth0"} {
		if _, err := web.ParseProxies([]string{bad}); err == nil {
			t.Errorf("%q is taken for a proxy", bad)
		}
	}
}

func TestS25TheSchemeBehindProxies(t *testing.T) {
	proxies, _ := web.ParseProxies([]string{"10.0.0.0/8"})
	for name, row := range map[string]struct {
		peer   string
		tls    bool
		header http.Header
		want   string
	}{
		"plain":               {"10.1.1.1:1", false, nil, "http"},
		"TLS here":            {"203.0.113.9:1", true, nil, "https"},
		"stranger's word":     {"203.0.113.9:1", false, http.Header{"X-Forwarded-Proto": {"https"}}, "http"},
		"the proxy's word":    {"10.1.1.1:1", false, http.Header{"X-Forwarded-Proto": {"https"}}, "https"},
		"the proxy says http": {"10.1.1.1:1", true, http.Header{"X-Forwarded-Proto": {"http"}}, "http"},
		"Forwarded":           {"10.1.1.1:1", false, http.Header{"Forwarded": {"proto=http, for=1.1.1.1;Proto=https"}}, "https"},
		"a list":              {"10.1.1.1:1", false, http.Header{"X-Forwarded-Proto": {"https,http"}}, ""},
		"doubled":             {"10.1.1.1:1", false, http.Header{"X-Forwarded-Proto": {"https", "http"}}, ""},
		"both kinds":          {"10.1.1.1:1", false, http.Header{"X-Forwarded-Proto": {"https"}, "Forwarded": {"proto=https"}}, ""},
		"another scheme":      {"10.1.1.1:1", false, http.Header{"X-Forwarded-Proto": {"javascript"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.RemoteAddr, r.Header = row.peer, row.header
			if row.tls {
				r.TLS = &tls.ConnectionState{}
			}
			if got, err := proxies.Scheme(r); got != row.want || (err == nil) != (row.want != "") {
				t.Errorf("%q %v, want %q", got, err, row.want)
			}
		})
	}
}

func TestS19NetworksOfIPv6Are64BitsWide(t *testing.T) {
	for address, want := range map[string]string{
		"198.51.100.7":         "198.51.100.7/32",
		"::ffff:198.51.100.7":  "198.51.100.7/32",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64",
		"2001:db8:1:2:ffff::":  "2001:db8:1:2::/64",
		"fe80::1:2:3:4%eth0":   "fe80::/64",
	} {
		if got := web.Network(netip.MustParseAddr(address)).String(); got != want {
			t.Errorf("%s is in %s, want %s", address, got, want)
		}
	}
	if web.Network(netip.Addr{}).IsValid() {
		t.Error("no address has a network")
	}
}

func FuzzForwarded(f *testing.F) {
	proxies, _ := web.ParseProxies([]string{"10.0.0.0/8"})
	for _, seed := range []string{`for=1.2.3.4`, `for="[2001:db8::7]:1";proto=https, for=10.0.0.1`, `for="`, `;,=`, `for=1.1.1.1;;`} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, element, list string) {
		for _, header := range []http.Header{{"Forwarded": {element}}, {"X-Forwarded-For": {list}}} {
			r := &http.Request{RemoteAddr: "10.0.0.1:1", Header: header}
			if client, err := proxies.ClientIP(r); err == nil && (!client.IsValid() || client.Zone() != "" || client.Is4In6()) {
				t.Fatalf("%v gave %v", header, client)
			}
			if scheme, err := proxies.Scheme(r); err == nil && scheme != "http" && scheme != "https" {
				t.Fatalf("%v gave %q", header, scheme)
			}
		}
	})
}
