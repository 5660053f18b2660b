package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/web"
)

type storeDown struct{}

func (storeDown) Error() string     { return "dial db.internal:5432" }
func (storeDown) Unavailable() bool { return true }

// ask runs one request through a face and gives the answer and the log.
func ask(t *testing.T, as web.Teller, h web.Handler, headers ...string) (*http.Response, string, string) {
	t.Helper()
	var log bytes.Buffer
	face := web.Face{As: as, Log: slog.New(slog.NewJSONHandler(&log, nil))}
	r := httptest.NewRequest(http.MethodPost, "/token?secret=in-query", nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	face.Handle(h).ServeHTTP(w, r)
	body, _ := io.ReadAll(w.Result().Body)
	return w.Result(), string(body), log.String()
}

func refusing(err error) web.Handler {
	return func(http.ResponseWriter, *http.Request) error { return err }
}

func TestOAuthFace(t *testing.T) {
	basic := []string{"Authorization", "Basic eDp5"}
	for name, row := range map[string]struct {
		err     error
		headers []string
		status  int
		code    string
		header  string // "Name: value" that must be there, or "!Name" that must not
	}{
		"grant":                       {oauth.InvalidGrant("spent"), nil, 400, "invalid_grant", "Pragma: no-cache"},
		"client, Basic tried":         {oauth.InvalidClient(), basic, 401, "invalid_client", `Www-Authenticate: Basic realm="garde", charset="UTF-8"`},
		"client, Basic not tried":     {oauth.InvalidClient(), nil, 401, "invalid_client", "!Www-Authenticate"},
		"busy":                        {web.RetryAfter(oauth.Unavailable("busy"), 2500*time.Millisecond), nil, 503, "temporarily_unavailable", "Retry-After: 3"},
		"too many":                    {oauth.TooManyRequests("slow down"), nil, 429, "temporarily_unavailable", "Retry-After: 1"},
		"store away":                  {fmt.Errorf("spend: %w", storeDown{}), nil, 503, "temporarily_unavailable", "Retry-After: 1"},
		"caller gone":                 {fmt.Errorf("spend: %w", context.Canceled), nil, 503, "temporarily_unavailable", "Retry-After: 1"},
		"A09 fault of ours":           {errors.New("pq: relation secret_table does not exist"), nil, 500, "server_error", "!Retry-After"},
		"T01 method":                  {web.MethodNotAllowed("GET", "POST"), nil, 405, "invalid_request", "Allow: GET, POST"},
		"status that makes no sense":  {&oauth.Error{Code: "invalid_request", Status: 200}, nil, 400, "invalid_request", "!Allow"},
		"wrapped with what we did":    {fmt.Errorf("redeem: %w", oauth.InvalidGrant("spent")), nil, 400, "invalid_grant", "!Allow"},
		"its cause wants 503, it not": {oauth.InvalidGrant("spent").Because(storeDown{}), nil, 400, "invalid_grant", "!Retry-After"},
	} {
		t.Run(name, func(t *testing.T) {
			answer, body, log := ask(t, web.OAuth{}, refusing(row.err), row.headers...)
			var told struct {
				Error, Trace string
			}
			if err := json.Unmarshal([]byte(body), &told); err != nil {
				t.Fatal(err)
			}
			if answer.StatusCode != row.status || told.Error != row.code {
				t.Errorf("%d %s, want %d %s", answer.StatusCode, told.Error, row.status, row.code)
			}
			if answer.Header.Get("Cache-Control") != "no-store" || answer.Header.Get("Content-Type") != "application/json" {
				t.Errorf("T24 headers %v", answer.Header)
			}
			checkHeader(t, answer.Header, row.header)
			if told.Trace == "" || told.Trace != answer.Header.Get(web.TraceHeader) || !strings.Contains(log, told.Trace) {
				t.Errorf("trace %q does not join answer, header and log", told.Trace)
			}
			if strings.Count(log, "\n") != 1 {
				t.Errorf("logged %d times", strings.Count(log, "\n"))
			}
			if strings.Contains(body, "secret_table") || strings.Contains(body, "db.internal") || strings.Contains(log, "in-query") {
				t.Errorf("something leaked: %s %s", body, log)
			}
		})
	}
}

func checkHeader(t *testing.T, header http.Header, want string) {
	t.Helper()
	if name, absent := strings.CutPrefix(want, "!"); absent {
		if header.Get(name) != "" {
			t.Errorf("%s: %s", name, header.Get(name))
		}
		return
	}
	name, value, _ := strings.Cut(want, ": ")
	if header.Get(name) != value {
		t.Errorf("%s: %q, want %q", name, header.Get(name), value)
	}
}

func TestW09BearerChallenges(t *testing.T) {
	face := web.Bearer{Metadata: func(*http.Request) string { return "https://api.example/.well-known/oauth-protected-resource" }}
	const metadata = `, resource_metadata="https://api.example/.well-known/oauth-protected-resource"`
	for name, row := range map[string]struct {
		err       error
		status    int
		challenge string
	}{
		"no credentials": {web.ErrNoCredentials, 401, `Bearer realm="garde"` + metadata},
		"bad token":      {oauth.InvalidToken("expired"), 401, `Bearer realm="garde", error="invalid_token", error_description="expired"` + metadata},
		"scope": {web.NeedScope(oauth.InsufficientScope("more"), oauth.Scope{"a", "b"}), 403,
			`Bearer realm="garde", error="insufficient_scope", error_description="more", scope="a b"` + metadata},
		"W42 step up": {web.StepUp(oauth.InsufficientAuthentication("stronger"), []string{"urn:a", "urn:b"}, 0), 401,
			`Bearer realm="garde", error="insufficient_user_authentication", error_description="stronger", acr_values="urn:a urn:b", max_age="0"` + metadata},
		"R34 what could break out of the quotes": {web.StepUp(oauth.InsufficientAuthentication("x"), []string{"a\"\r\nSet-Cookie: x"}, -1), 401,
			`Bearer realm="garde", error="insufficient_user_authentication", error_description="x", acr_values="a???Set-Cookie: x"` + metadata},
		"upstream away is no question of tokens": {oauth.Unavailable("later"), 503, ""},
	} {
		t.Run(name, func(t *testing.T) {
			answer, _, _ := ask(t, face, refusing(row.err))
			if got := answer.Header.Get("WWW-Authenticate"); answer.StatusCode != row.status || got != row.challenge {
				t.Errorf("%d %s\nwant %d %s", answer.StatusCode, got, row.status, row.challenge)
			}
		})
	}
}

func TestProblemAndPageFaces(t *testing.T) {
	answer, body, _ := ask(t, nil, refusing(oauth.AccessDenied("no")))
	if answer.Header.Get("Content-Type") != "application/problem+json" || !strings.Contains(body, `"status":400`) ||
		!strings.Contains(body, `"code":"access_denied"`) {
		t.Errorf("problem: %v %s", answer.Header, body)
	}
	page := web.Page{Render: func(w http.ResponseWriter, _ *http.Request, answer web.Answer) {
		w.WriteHeader(answer.Status)
		fmt.Fprintf(w, "%s|%s|%s|%t", answer.Code, answer.Description, answer.Reason, answer.Trace != "")
	}}
	if _, body, _ = ask(t, page, refusing(oauth.InvalidRequest("bad").For(oauth.ReasonRedirectURI))); body != "invalid_request|bad|redirect_uri|true" {
		t.Errorf("page: %s", body)
	}
	for name, face := range map[string]web.Teller{"problem": nil, "oauth": web.OAuth{}, "bearer": web.Bearer{}} {
		if _, body, _ = ask(t, face, refusing(oauth.InvalidRequest("bad").For(oauth.ReasonClientDisabled))); strings.Contains(body, "disabled") {
			t.Errorf("%s tells a reason, which is for a person: %s", name, body)
		}
	}
}

func TestA20PanicIsDeniedAndLogged(t *testing.T) {
	answer, body, log := ask(t, web.OAuth{}, func(http.ResponseWriter, *http.Request) error { panic("boom") })
	if answer.StatusCode != 500 || strings.Contains(body, "boom") || !strings.Contains(log, "boom") || !strings.Contains(log, "face_test.go") {
		t.Errorf("%d %s %s", answer.StatusCode, body, log)
	}
}

func TestA10NothingFromOutsideBreaksTheLog(t *testing.T) {
	_, _, log := ask(t, web.OAuth{}, refusing(oauth.InvalidGrant("x").Because(errors.New("user \x1b[31m\n{\"level\":\"fake\"}"))))
	if strings.Count(log, "\n") != 1 || strings.Contains(log, "\x1b") {
		t.Errorf("log %q", log)
	}
}

func TestTheTraceOfACallerIsNotHonoured(t *testing.T) {
	answer, _, _ := ask(t, web.OAuth{}, func(w http.ResponseWriter, r *http.Request) error {
		if web.Trace(r.Context()) == "" {
			t.Error("no trace in the context")
		}
		return nil
	}, web.TraceHeader, "chosen", "X-Request-Id", "chosen", "Traceparent", "00-chosen")
	if got := answer.Header.Get(web.TraceHeader); got == "" || got == "chosen" {
		t.Errorf("trace %q", got)
	}
	if web.Trace(context.Background()) != "" {
		t.Error("a trace outside of a request")
	}
}

func TestAnErrorAfterTheAnswerBeganEndsTheConnection(t *testing.T) {
	server := httptest.NewServer(web.Face{Log: slog.New(slog.DiscardHandler)}.Handle(func(w http.ResponseWriter, _ *http.Request) error {
		_, _ = io.WriteString(w, strings.Repeat("half of it", 10_000))
		return errors.New("the rest is lost")
	}))
	defer server.Close()
	answer, err := http.Get(server.URL)
	if err == nil {
		defer func() { _ = answer.Body.Close() }()
		_, err = io.ReadAll(answer.Body)
	}
	if err == nil {
		t.Error("the client believes that it has the whole answer")
	}
}

func TestAPreparedAnswerDoesNotTaintTheError(t *testing.T) {
	answer, _, _ := ask(t, web.OAuth{}, func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Cache-Control", "public, max-age=3600")
		w.Header().Set("ETag", `"1"`)
		return oauth.InvalidRequest("no")
	})
	if answer.Header.Get("Cache-Control") != "no-store" || answer.Header.Get("ETag") != "" {
		t.Errorf("T24 headers %v", answer.Header)
	}
}

func TestAnAbortIsPassedOn(t *testing.T) {
	defer func() {
		value := recover()
		if err, ok := value.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
			t.Errorf("recovered %v", value)
		}
	}()
	ask(t, web.OAuth{}, func(http.ResponseWriter, *http.Request) error { panic(http.ErrAbortHandler) })
	t.Error("the abort was swallowed")
}

func TestTheOutermostHeaderWins(t *testing.T) {
	err := web.RetryAfter(fmt.Errorf("x: %w", web.RetryAfter(oauth.Unavailable("busy"), time.Minute)), 5*time.Second)
	answer, _, _ := ask(t, web.OAuth{}, refusing(web.NeedScope(err, oauth.Scope{"a"})))
	if got := answer.Header.Get("Retry-After"); got != "5" {
		t.Errorf("Retry-After %q", got)
	}
}

func BenchmarkFormBehindFace(b *testing.B) {
	handler := quiet.Handle(func(_ http.ResponseWriter, r *http.Request) error {
		_, err := web.PostForm(r)
		return err
	})
	b.ReportAllocs()
	for b.Loop() {
		r := &http.Request{Method: "POST", URL: &url.URL{Path: "/token"}, Header: http.Header{"Content-Type": {formType}},
			Body: io.NopCloser(strings.NewReader("grant_type=client_credentials&client_id=app&client_secret=s3cret&scope=a+b"))}
		handler.ServeHTTP(httptest.NewRecorder(), r)
	}
}
