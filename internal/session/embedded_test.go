package session_test

import (
	"strings"
	"testing"

	"github.com/gardeauth/garde/internal/session"
)

const (
	android = "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) "
	iphone  = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
)

func TestViewsOfApplicationsAreToldFromBrowsers(t *testing.T) {
	for name, c := range map[string]struct {
		agent    string
		embedded bool
	}{
		"Chrome on Android, and a custom tab": {android + "Chrome/126.0.0.0 Mobile Safari/537.36", false},
		"Samsung's browser":                   {android + "SamsungBrowser/25.0 Chrome/121.0.0.0 Mobile Safari/537.36", false},
		"Firefox on Android":                  {"Mozilla/5.0 (Android 14; Mobile; rv:127.0) Gecko/127.0 Firefox/127.0", false},
		"Safari, and an authentication session": {
			iphone + "Version/17.5 Mobile/15E148 Safari/604.1", false},
		"Chrome on iOS":     {iphone + "CriOS/126.0.0.0 Mobile/15E148 Safari/604.1", false},
		"Firefox on iOS":    {iphone + "FxiOS/127.0 Mobile/15E148 Safari/605.1.15", false},
		"Firefox on Linux":  {"Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0", false},
		"Safari on a Mac":   {"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15", false},
		"curl":              {"curl/8.8.0", false},
		"nothing":           {"", false},
		"a WebView":         {"Mozilla/5.0 (Linux; Android 14; Pixel 8 Build/UD1A; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/126.0.0.0 Mobile Safari/537.36", true},
		"an old WebView":    {"Mozilla/5.0 (Linux; Android 5.0; Nexus 5) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/37.0.0.0 Mobile Safari/537.36", true},
		"a WKWebView":       {iphone + "Mobile/15E148", true},
		"a view on an iPad": {"Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148", true},
		"a social network":  {iphone + "Mobile/15E148 [FBAN/FBIOS;FBAV/470.0]", true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := session.Embedded(c.agent); got != c.embedded {
				t.Errorf("embedded: %v", got)
			}
		})
	}
}

func TestTheWayOutOfAView(t *testing.T) {
	const address = "https://id.example/authorize?client_id=a&state=b"
	for name, c := range map[string]struct{ agent, address, want string }{
		"Android":                       {android, address, "intent://id.example/authorize?client_id=a&state=b#Intent;scheme=https;"},
		"iOS":                           {iphone, address, "x-safari-https://id.example/authorize?client_id=a&state=b"},
		"elsewhere":                     {"curl/8", address, ""},
		"a fragment could name an app":  {android, address + "#Intent;package=evil;end", ""},
		"what is not https opens there": {android, "http://id.example/", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := session.Outside(c.agent, c.address); got != c.want && (c.want == "" || !strings.HasPrefix(got, c.want)) {
				t.Errorf("%q", got)
			}
		})
	}
}
