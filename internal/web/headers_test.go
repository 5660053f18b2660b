package web_test

import (
	"crypto/tls"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gardeauth/garde/internal/web"
)

func answering(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("here")) }

var quiet = web.Face{Log: slog.New(slog.DiscardHandler)}

func TestN01N13SecurityHeaders(t *testing.T) {
	w := httptest.NewRecorder()
	web.Secured(true, http.HandlerFunc(answering)).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	for name, want := range map[string]string{
		"X-Content-Type-Options":       "nosniff",
		"X-Frame-Options":              "DENY",
		"Referrer-Policy":              "no-referrer",
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Strict-Transport-Security":    "max-age=63072000", // L03
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if !strings.Contains(w.Header().Get("Content-Security-Policy"), "frame-ancestors 'none'") {
		t.Error("N01 the answer may be framed")
	}
	w = httptest.NewRecorder()
	web.Secured(false, http.HandlerFunc(answering)).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Header().Get("Strict-Transport-Security") != "" {
		t.Error("HSTS on a server without https")
	}
	web.NoStore(w)
	if w.Header().Get("Cache-Control") != "no-store" {
		t.Error("T24 it may be stored")
	}
}

func TestContentSecurityPolicy(t *testing.T) {
	plain := web.CSP{}.String()
	for _, want := range []string{"script-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'", "default-src 'none'"} {
		if !strings.Contains(plain, want) {
			t.Errorf("%s lacks %s", plain, want)
		}
	}
	one, other := web.Nonce(), web.Nonce()
	if one == other || len(one) < 22 {
		t.Errorf("nonces %s %s", one, other)
	}
	w := httptest.NewRecorder()
	web.CSP{Nonce: one, FormAction: []string{"https://app.example"}}.Set(w)
	got := w.Header().Get("Content-Security-Policy")
	if !strings.Contains(got, "script-src 'nonce-"+one+"'") || !strings.HasSuffix(got, "form-action 'self' https://app.example") {
		t.Error(got)
	}
}

func TestR34AFormTargetCannotBreakOutOfThePolicy(t *testing.T) {
	for uri, want := range map[string]string{
		"https://app.example/cb?x=1":       "https://app.example",
		"https://app.example:8443/cb":      "https://app.example:8443",
		"http://127.0.0.1:5000/cb":         "http://127.0.0.1:5000",
		"http://[::1]:5000/cb":             "http://[::1]:5000",
		"com.bank.app:/callback":           "com.bank.app:",
		"https://a.example; script-src *":  "",
		"https://a.example, default-src *": "",
		"https://a;b.example/cb":           "",
		"https://a,b.example/cb":           "",
		"https://a'b.example/cb":           "",
		"https://*.example/cb":             "",
		"https://user@a.example/cb":        "",
		"https:///cb":                      "",
		"/cb":                              "",
	} {
		if got, err := web.FormTarget(uri); got != want || (err == nil) != (want != "") {
			t.Errorf("%q gives %q, %v; want %q", uri, got, err, want)
		}
	}
}

func TestW21UnknownHosts(t *testing.T) {
	hosts, err := web.NewHosts(quiet, "id.example.com", "localhost:9000", "[::1]:9000")
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		host, sni string
		status    int
	}{
		"ours":                     {"id.example.com", "", 200},
		"default port":             {"id.example.com:443", "id.example.com", 200},
		"upper case":               {"ID.Example.com", "id.example.COM", 200},
		"with port":                {"localhost:9000", "localhost", 200},
		"IPv6":                     {"[::1]:9000", "", 200},
		"G15 S25 another":          {"evil.example", "", 421},
		"another port":             {"id.example.com:8443", "", 421},
		"port missing":             {"localhost", "", 421},
		"trailing dot":             {"id.example.com.", "", 421},
		"none":                     {"", "", 421},
		"userinfo":                 {"id.example.com@evil.example", "", 421},
		"a look-alike":             {"ıd.example.com", "", 421},
		"a list":                   {"id.example.com, evil.example", "", 421},
		"connection for other SNI": {"id.example.com", "localhost", 421},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Host = row.host
			if row.sni != "" {
				r.TLS = &tls.ConnectionState{ServerName: row.sni}
			}
			r.Header.Set("X-Forwarded-Host", "id.example.com")
			w := httptest.NewRecorder()
			hosts.Guard(http.HandlerFunc(answering)).ServeHTTP(w, r)
			if w.Code != row.status {
				t.Errorf("%d, want %d", w.Code, row.status)
			}
		})
	}
	if _, err := web.NewHosts(quiet, "https://id.example.com"); err == nil {
		t.Error("a URL is taken for a host")
	}
}

func TestW28CORS(t *testing.T) {
	cors := web.CORS{Allowed: func(_ *http.Request, origin string) bool {
		return origin == "https://spa.example" || origin == "null" || origin == ""
	}}
	public := web.CORS{Public: true}
	for name, row := range map[string]struct {
		cors    web.CORS
		method  string
		origins []string
		status  int
		allow   string
	}{
		"listed":                 {cors, "POST", []string{"https://spa.example"}, 200, "https://spa.example"},
		"preflight":              {cors, "OPTIONS", []string{"https://spa.example"}, 204, "https://spa.example"},
		"not listed":             {cors, "POST", []string{"https://evil.example"}, 200, ""},
		"preflight, not listed":  {cors, "OPTIONS", []string{"https://evil.example"}, 403, ""},
		"null":                   {cors, "POST", []string{"null"}, 200, ""},
		"prefix":                 {cors, "POST", []string{"https://spa.example.evil.example"}, 200, ""},
		"other scheme":           {cors, "POST", []string{"http://spa.example"}, 200, ""},
		"two origins":            {cors, "POST", []string{"https://spa.example", "https://evil.example"}, 200, ""},
		"no origin":              {cors, "POST", nil, 200, ""},
		"zero value":             {web.CORS{}, "POST", []string{"https://spa.example"}, 200, ""},
		"public":                 {public, "GET", []string{"https://any.example"}, 200, "*"},
		"OPTIONS, not preflight": {cors, "OPTIONS", nil, 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(row.method, "/token", nil)
			for _, origin := range row.origins {
				r.Header.Add("Origin", origin)
			}
			r.Header.Set("Access-Control-Request-Method", "POST")
			w := httptest.NewRecorder()
			row.cors.Wrap(http.HandlerFunc(answering)).ServeHTTP(w, r)
			if w.Code != row.status || w.Header().Get("Access-Control-Allow-Origin") != row.allow {
				t.Errorf("%d %q", w.Code, w.Header().Get("Access-Control-Allow-Origin"))
			}
			if w.Header().Get("Access-Control-Allow-Credentials") != "" {
				t.Error("credentials are allowed")
			}
			if !row.cors.Public && w.Header().Get("Vary") != "Origin" {
				t.Error("the answer does not vary by origin")
			}
			if row.allow != "" && !strings.Contains(w.Header().Get("Access-Control-Expose-Headers"), "DPoP-Nonce, WWW-Authenticate") {
				t.Error("a script can't read the challenge")
			}
		})
	}
}

func TestN12CrossSitePosts(t *testing.T) {
	handler := web.SameOrigin(quiet, http.HandlerFunc(answering))
	for name, row := range map[string]struct {
		method, header, value string
		status                int
	}{
		"same site form":    {"POST", "Sec-Fetch-Site", "same-origin", 200},
		"cross site form":   {"POST", "Sec-Fetch-Site", "cross-site", 403},
		"sibling's form":    {"POST", "Sec-Fetch-Site", "same-site", 403},
		"http origin":       {"POST", "Origin", "http://evil.example", 403},
		"link":              {"GET", "Sec-Fetch-Site", "cross-site", 200},
		"no browser at all": {"POST", "X-None", "1", 200},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(row.method, "https://id.example/consent", nil)
			r.Header.Set(row.header, row.value)
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			if w.Code != row.status {
				t.Errorf("%d, want %d", w.Code, row.status)
			}
		})
	}
}
