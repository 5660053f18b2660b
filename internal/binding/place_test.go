package binding_test

import (
	"strings"
	"testing"

	"github.com/gardeauth/garde/internal/binding"
)

func TestD05OnePlaceHasOneSpelling(t *testing.T) {
	for text, want := range map[string]string{
		"https://a.example":                 "https://a.example/",
		"https://a.example/?q=%zz#x":        "https://a.example/",
		"HTTPS://A.Example:443/B":           "https://a.example/B",
		"https://a.example:/b":              "https://a.example/b",
		"http://a.example:80/b":             "http://a.example/b",
		"http://a.example:443/b":            "http://a.example:443/b",
		"https://a.example/%7euser/%2f%c3a": "https://a.example/~user/%2F%C3a",
		"https://a.example/a/./b/../c":      "https://a.example/a/c",
		"https://a.example/a/%2e%2e/b/..":   "https://a.example/",
		"https://a.example/../../x":         "https://a.example/x",
		"https://a.example//b/":             "https://a.example//b/",
		"https://[2001:DB8::1]:8443/x":      "https://[2001:db8::1]:8443/x",
	} {
		if got, err := binding.PlaceOf(text); err != nil || string(got) != want {
			t.Errorf("%s is %s %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "/a", "a.example/b", "ftp://a.example/", "https:/a.example/", "https://", "https:///a", "https://a@b.example/", "https://a.example/%",
		"https://a.example/%4", "https://a.example/%zz", "https://a.example/ b", "https://a.example/\n", "https://ä.example/", "https://a.example/ä",
		"https://a.example:x/", "https://a.example:123456/", `https://a.example\b`, "https://%61.example/", "https://a.example,b.example/",
		"https://a.example/" + strings.Repeat("x", 5000), "https://[::1/", "javascript://a.example/",
	} {
		if got, err := binding.PlaceOf(text); err == nil {
			t.Errorf("%q is %s", text, got)
		}
	}
}

func FuzzPlace(f *testing.F) {
	for _, seed := range []string{here, "HTTPS://A:443/%7e/../b?c#d", "http://[::1]:80", "https://a/%2e%2e/%2E", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		place, err := binding.PlaceOf(text)
		if err != nil {
			return
		}
		if again, err := binding.PlaceOf(string(place)); err != nil || again != place {
			t.Errorf("%q is %q, and that %q %v", text, place, again, err)
		}
	})
}
