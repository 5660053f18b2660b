package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"unicode/utf8"
)

// maxShown bounds the part of an answer that a page shows.
const maxShown = 2 << 10

// reply is what a call of the Gate brought back, whole and ready to be shown.
type reply struct {
	Method, Path string
	Status       int
	Challenge    string // WWW-Authenticate
	Kind         string // Content-Type
	Trace        string // what garde explain takes
	Answer       string // the body as text, indented when it is JSON
	Failed       error  // nothing came back
	raw          []byte
	header       http.Header
}

// OK tells whether the Gate let it through and the API did it.
func (r reply) OK() bool { return r.Failed == nil && r.Status >= 200 && r.Status < 300 }

// Reason is the status in words.
func (r reply) Reason() string { return http.StatusText(r.Status) }

// Wants is the scope that an insufficient_scope challenge asks for (RFC 6750 section 3.1), else empty.
func (r reply) Wants() string {
	if r.Status != http.StatusForbidden || !strings.Contains(r.Challenge, `error="insufficient_scope"`) {
		return ""
	}
	return quoted(r.Challenge, "scope")
}

func bearer(token string) http.Header {
	return http.Header{"Authorization": {"Bearer " + token}}
}

// call sends one request to the Gate. Whatever comes back is an answer, not an error.
func call(ctx context.Context, client *http.Client, gate, method, path string, header http.Header, body []byte) reply {
	back := reply{Method: method, Path: path}
	request, err := http.NewRequestWithContext(ctx, method, gate+path, bytes.NewReader(body))
	if err != nil {
		back.Failed = err
		return back
	}
	for name, values := range header {
		request.Header[name] = values
	}
	if len(body) > 0 {
		request.Header.Set("Content-Type", "application/json")
	}
	request.Header.Set("Accept", "application/json, application/problem+json")
	response, err := client.Do(request)
	if err != nil {
		back.Failed = err
		return back
	}
	defer response.Body.Close()
	if back.raw, err = io.ReadAll(response.Body); err != nil {
		back.Failed = err
		return back
	}
	back.Status, back.Kind = response.StatusCode, response.Header.Get("Content-Type")
	back.Challenge = strings.Join(response.Header.Values("WWW-Authenticate"), "\n")
	back.header = response.Header
	back.Trace = response.Header.Get("Garde-Trace")
	back.Answer = shown(back.raw)
	return back
}

func shown(raw []byte) string {
	var pretty bytes.Buffer
	if strings.Contains(string(raw), "{") && json.Indent(&pretty, bytes.TrimSpace(raw), "", "  ") == nil {
		raw = pretty.Bytes()
	}
	if len(raw) > maxShown {
		raw = append(bytes.Clone(raw[:maxShown]), " ..."...)
	}
	if !utf8.Valid(raw) {
		raw = bytes.ToValidUTF8(raw, []byte("?"))
	}
	return string(raw)
}
