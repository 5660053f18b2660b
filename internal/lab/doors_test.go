package lab_test

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/lab"
)

// refused holds an answer of a door for programs against what every refusal there must be.
func refused(t *testing.T, reply lab.Reply, status int, code string) {
	t.Helper()
	if reply.Status != status || reply.Text("error") != code {
		t.Errorf("got %d %s, want %d %s", reply.Status, reply.Body, status, code)
	}
	never(t, reply)
	if kind := reply.Header.Get("Content-Type"); kind != "application/json" {
		t.Errorf("T24 Content-Type is %q", kind)
	}
	if reply.Text("trace") == "" || reply.Text("trace") != reply.Header.Get("Garde-Trace") {
		t.Errorf("no trace id: %s", reply.Body)
	}
	if status == http.StatusMethodNotAllowed && reply.Header.Get("Allow") == "" {
		t.Error("405 without Allow")
	}
}

// never holds what no answer with a secret or a refusal may lack (T24).
func never(t *testing.T, reply lab.Reply) {
	t.Helper()
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
		"Set-Cookie": "", "Location": "", "Access-Control-Allow-Credentials": "",
	} {
		if got := reply.Header.Get(name); got != want {
			t.Errorf("T24 %s is %q, want %q", name, got, want)
		}
	}
}

func granted(t *testing.T, reply lab.Reply) {
	t.Helper()
	if reply.Status != http.StatusOK {
		t.Errorf("got %d %s, want 200", reply.Status, reply.Body)
	}
	never(t, reply)
}

// TestFormDoors holds the doors that take forms of clients against everything that is no form.
func TestFormDoors(t *testing.T) {
	h := lab.New(t, lab.Options{})
	basic := []string{"Authorization", lab.BasicAuth(lab.Job, h.Secret(lab.Job))}
	honest := map[string]url.Values{
		"/token": lab.Form("grant_type", "client_credentials", "scope", "ledger.post"), "/introspect": lab.Form("token", "x"), "/revoke": lab.Form("token", "x"),
	}
	for path, form := range honest {
		t.Run(path[1:], func(t *testing.T) {
			send := func(method, where, body string, headers ...string) lab.Reply {
				return h.Do(lab.Request(method, where, body, append(headers, basic...)...))
			}
			body := form.Encode()
			t.Run("the honest request is answered", func(t *testing.T) {
				granted(t, h.Post(path, form, basic...))
				granted(t, send("POST", path, body, "Content-Type", "application/x-www-form-urlencoded; charset=UTF-8"))
			})
			for _, method := range []string{"GET", "PUT", "PATCH", "DELETE", "OPTIONS", "FOO"} {
				t.Run("T01 "+method+" is not allowed", func(t *testing.T) {
					refused(t, send(method, path, ""), 405, "invalid_request")
					refused(t, send(method, path+"?"+body, ""), 405, "invalid_request")
				})
			}
			for name, query := range map[string]string{
				"T02 credentials in the query": "?client_id=x&client_secret=y", "T03 one parameter in the query": "?foo=bar", "T03 a bare question mark": "?",
			} {
				t.Run(name, func(t *testing.T) {
					refused(t, send("POST", path+query, body, "Content-Type", lab.FormType), 400, "invalid_request")
				})
			}
			for name, kind := range map[string][]string{
				"none": {}, "JSON": {"application/json"}, "multipart": {"multipart/form-data; boundary=x"}, "UTF-16": {lab.FormType + "; charset=utf-16"},
				"text": {"text/plain"}, "another parameter": {lab.FormType + "; x=y"}, "two": {lab.FormType, lab.FormType}, "broken": {"application/"},
			} {
				t.Run("T04 the content type is "+name, func(t *testing.T) {
					var headers []string
					for _, each := range kind {
						headers = append(headers, "Content-Type", each)
					}
					refused(t, send("POST", path, body, headers...), 400, "invalid_request")
				})
			}
			t.Run("a compressed body", func(t *testing.T) {
				refused(t, send("POST", path, body, "Content-Type", lab.FormType, "Content-Encoding", "gzip"), 415, "invalid_request")
			})
			for name := range form {
				t.Run("C26 doubled "+name, func(t *testing.T) {
					refused(t, send("POST", path, body+"&"+url.Values{name: form[name]}.Encode(), "Content-Type", lab.FormType), 400, "invalid_request")
					refused(t, send("POST", path, body+"&"+name+"=", "Content-Type", lab.FormType), 400, "invalid_request")
				})
			}
			for name, bad := range map[string]string{
				"a broken escape": "&a=%zz", "a half escape": "&a=%4", "bytes that are no UTF-8": "&a=%ff", "NUL": "&a=%00", "a raw control character": "&a=\x01",
				"a semicolon": ";a=b", "a parameter without a name": "&=x",
			} {
				t.Run("the form holds "+name, func(t *testing.T) {
					refused(t, send("POST", path, body+bad, "Content-Type", lab.FormType), 400, "invalid_request")
				})
			}
			t.Run("C27 unknown parameters are ignored and not echoed", func(t *testing.T) {
				more := maps.Clone(form)
				more.Set("foo", "an-odd-value")
				reply := h.Post(path, more, basic...)
				granted(t, reply)
				if strings.Contains(string(reply.Body), "an-odd-value") {
					t.Errorf("echoed: %s", reply.Body)
				}
			})
			t.Run("T28 a megabyte and ten thousand parameters are refused at once", func(t *testing.T) {
				begun := time.Now()
				refused(t, send("POST", path, body+"&a="+strings.Repeat("x", 1<<20), "Content-Type", lab.FormType), 413, "invalid_request")
				refused(t, send("POST", path, body+strings.Repeat("&a=", 10_000), "Content-Type", lab.FormType), 400, "invalid_request")
				if took := time.Since(begun); took > time.Second {
					t.Errorf("it took %s", took)
				}
			})
			t.Run("421 for another host", func(t *testing.T) {
				r := lab.Request("POST", path, body, append(basic, "Content-Type", lab.FormType)...)
				r.Host = "evil.example"
				if reply := h.Do(r); reply.Status != http.StatusMisdirectedRequest {
					t.Errorf("got %d", reply.Status)
				}
			})
		})
	}
}
