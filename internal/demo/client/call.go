package client

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

// Reply is what a call of the Gate brought back, whole and ready to be shown.
type Reply struct {
	Method, Path string
	Status       int
	Challenge    string // WWW-Authenticate
	Kind         string // Content-Type
	Trace        string // what garde explain takes
	Answer       string // the body as text, indented when it is JSON
	Failed       error  // nothing came back
	Raw          []byte
	header       http.Header
}

// OK tells whether the Gate let it through and the API did it.
func (r Reply) OK() bool { return r.Failed == nil && r.Status >= 200 && r.Status < 300 }

// Reason is the status in words.
func (r Reply) Reason() string { return http.StatusText(r.Status) }

// Wants is the scope that an insufficient_scope challenge asks for (RFC 6750 section 3.1), else empty.
func (r Reply) Wants() string {
	if r.Status != http.StatusForbidden {
		return ""
	}
	for _, challenge := range challenges(r.Challenge) {
		if challenge["error"] == "insufficient_scope" {
			return challenge["scope"]
		}
	}
	return ""
}

// Step is what a challenge asks a person to prove (RFC 9470 section 3).
type Step struct {
	Wanted bool
	ACR    string // acr_values; empty: any
	MaxAge string // seconds; empty: however long ago
}

// StepUp reads an insufficient_user_authentication challenge.
func (r Reply) StepUp() Step {
	for _, challenge := range challenges(r.Challenge) {
		if challenge["error"] != "insufficient_user_authentication" {
			continue
		}
		age := challenge["max_age"]
		if strings.Trim(age, "0123456789") != "" {
			age = ""
		}
		return Step{true, challenge["acr_values"], age}
	}
	return Step{}
}

// Bearer is the header by which a token is shown to whoever believes that who bears it may use it.
func Bearer(token string) http.Header {
	return http.Header{"Authorization": {"Bearer " + token}}
}

// spoken is the key under which a context tells the language of the person for whom something is asked.
type spoken struct{}

// Speaking has what is asked with the context ask for words in that language (RFC 9110 section 12.5.4).
func Speaking(ctx context.Context, language string) context.Context {
	return context.WithValue(ctx, spoken{}, language)
}

// Call sends one request to the Gate. Whatever comes back is an answer, not an error.
func Call(ctx context.Context, client *http.Client, gate, method, path string, header http.Header, body []byte) Reply {
	back := Reply{Method: method, Path: path}
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
	if language, ok := ctx.Value(spoken{}).(string); ok {
		request.Header.Set("Accept-Language", language)
	}
	response, err := client.Do(request)
	if err != nil {
		back.Failed = err
		return back
	}
	defer response.Body.Close()
	if back.Raw, err = io.ReadAll(response.Body); err != nil {
		back.Failed = err
		return back
	}
	back.Status, back.Kind = response.StatusCode, response.Header.Get("Content-Type")
	back.Challenge = strings.Join(response.Header.Values("WWW-Authenticate"), "\n")
	back.header = response.Header
	back.Trace = response.Header.Get("Garde-Trace")
	back.Answer = Readable(back.Raw)
	return back
}

// Readable makes an answer fit to be read: indented when it is JSON, cut when it is long.
func Readable(raw []byte) string {
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

// Why is what the challenge says was wrong, in the words of its error and error_description.
func (r Reply) Why() string {
	for _, challenge := range challenges(r.Challenge) {
		if code := challenge["error"]; code != "" {
			return strings.TrimSuffix(code+": "+challenge["error_description"], ": ")
		}
	}
	return ""
}
