package fetch_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gardeauth/garde/internal/fetch"
)

func TestAMessageIsSentOnceAndNothingIsFollowed(t *testing.T) {
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, r.Method+" "+r.URL.Path+" "+r.Header.Get("Content-Type")+" "+r.Header.Get("Authorization")+" "+string(body))
		if r.URL.Path == "/moved" {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
			return
		}
		w.WriteHeader(http.StatusNoContent)
		_, _ = io.WriteString(w, strings.Repeat("x", 1<<20))
	}))
	defer server.Close()
	fetcher, err := fetch.New(fetch.Settings{AllowHosts: []string{strings.TrimPrefix(server.URL, "http://")}})
	if err != nil {
		t.Fatal(err)
	}
	message := fetch.Message{ContentType: "text/plain", Authorization: "Bearer secret", Body: []byte("hello")}
	for path, want := range map[string]int{"/here": http.StatusNoContent, "/moved": http.StatusTemporaryRedirect} {
		if status, err := fetcher.Send(context.Background(), server.URL+path, message); err != nil || status != want {
			t.Errorf("%s: status %d, %v", path, status, err)
		}
	}
	if len(got) != 2 || !strings.HasSuffix(got[0], "text/plain Bearer secret hello") {
		t.Errorf("G04 the server saw %q", got)
	}
}

func TestG03NothingIsSentToAnAddressThatIsNotPublic(t *testing.T) {
	reached := false
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer server.Close()
	fetcher, err := fetch.New(fetch.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{server.URL, strings.Replace(server.URL, "http:", "https:", 1), "https://169.254.169.254/", "file:///etc/passwd"} {
		_, err := fetcher.Send(context.Background(), target, fetch.Message{})
		var told *fetch.Error
		if !errors.As(err, &told) || err.Error() != "the document could not be fetched" {
			t.Errorf("%s: %v", target, err)
		}
	}
	if reached {
		t.Error("an internal server was reached")
	}
}
