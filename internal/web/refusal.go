package web

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/oauth"
)

// ErrNoCredentials says that a protected resource was asked without any credentials. The Bearer face then challenges
// without an error code (RFC 6750 section 3.1).
var ErrNoCredentials = errors.New("no credentials were sent")

// refusal adds to an error what only HTTP can say.
type refusal struct {
	err       error
	header    http.Header
	challenge []parameter // further parameters of a Bearer challenge
}

type parameter struct{ name, value string }

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

// WithHeader returns err with a header that every face sends along.
func WithHeader(err error, name, value string) error {
	return &refusal{err: err, header: http.Header{http.CanonicalHeaderKey(name): {value}}}
}

// RetryAfter returns err with a Retry-After header of at least one second (RFC 9110 section 10.2.3).
func RetryAfter(err error, wait time.Duration) error {
	return WithHeader(err, "Retry-After", seconds(wait))
}

// SetRetryAfter is RetryAfter for a handler that answers by a page of its own.
func SetRetryAfter(w http.ResponseWriter, wait time.Duration) {
	w.Header().Set("Retry-After", seconds(wait))
}

func seconds(wait time.Duration) string {
	return strconv.FormatInt(max(1, int64((wait+time.Second-1)/time.Second)), 10)
}

// MethodNotAllowed answers 405 and names what is allowed (RFC 9110 section 15.5.6).
func MethodNotAllowed(allowed ...string) error {
	list := strings.Join(allowed, ", ")
	return WithHeader(&oauth.Error{
		Code:        "invalid_request",
		Description: "the method is not allowed here; use " + list,
		Status:      http.StatusMethodNotAllowed,
	}, "Allow", list)
}

// NotFound answers 404 in the words of the face.
func NotFound() error {
	return &oauth.Error{Code: "invalid_request", Description: "there is nothing here", Status: http.StatusNotFound, Reason: oauth.ReasonNotFound}
}

// NeedScope returns err with the scope that the request needs, for the challenge of the Bearer face (RFC 6750 section 3).
func NeedScope(err error, scope oauth.Scope) error {
	return &refusal{err: err, challenge: []parameter{{"scope", scope.String()}}}
}

// StepUp returns err with the level and the freshness that the request needs, for the challenge of the Bearer face
// (RFC 9470 section 3). No acr or a negative age leave the parameter out; an age of zero asks for a sign-in now.
func StepUp(err error, acr []string, maxAge time.Duration) error {
	var with []parameter
	if len(acr) > 0 {
		with = append(with, parameter{"acr_values", strings.Join(acr, " ")})
	}
	if maxAge >= 0 {
		with = append(with, parameter{"max_age", strconv.FormatInt(int64(maxAge/time.Second), 10)})
	}
	return &refusal{err: err, challenge: with}
}

// Answer is what a face may tell about an error. It never holds the cause.
type Answer struct {
	Status      int
	Code        string // "" only where no credentials were sent
	Description string
	Reason      oauth.Reason // for a person's page alone: no other face tells it
	Trace       string
	challenge   []parameter
}

// Judge gives the answer that belongs to err, and the headers that go with it: an *oauth.Error as it stands; an error
// that says `Unavailable() bool` (a store that can't promise, a full queue), or an ended context, as 503; anything else as
// server_error with 500 and not a word of itself.
func Judge(err error) (Answer, http.Header) {
	answer, header := Answer{}, http.Header{}
	for rest := err; ; {
		var with *refusal
		if !errors.As(rest, &with) {
			break
		}
		answer.challenge = append(answer.challenge, with.challenge...)
		for name, values := range with.header {
			if header[name] == nil { // the outermost was said last, by who knew most
				header[name] = values
			}
		}
		rest = with.err
	}
	told := told(err)
	answer.Status, answer.Code, answer.Description, answer.Reason = told.Status, told.Code, told.Description, told.Reason
	if told.Status == http.StatusServiceUnavailable && header.Get("Retry-After") == "" {
		header.Set("Retry-After", "1")
	}
	if told.Status == http.StatusTooManyRequests && header.Get("Retry-After") == "" {
		header.Set("Retry-After", "1")
	}
	return answer, header
}

// told gives the error that may be told in place of err.
func told(err error) *oauth.Error {
	var known *oauth.Error
	var unavailable interface{ Unavailable() bool }
	switch {
	case errors.As(err, &known):
		with := *known
		if with.Status < 400 || with.Status > 599 {
			with.Status = http.StatusBadRequest
		}
		return &with
	case errors.Is(err, ErrNoCredentials):
		return &oauth.Error{Status: http.StatusUnauthorized, Description: "credentials are needed"}
	case errors.As(err, &unavailable) && unavailable.Unavailable(),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return oauth.Unavailable("the server can't answer now; try again")
	}
	return oauth.ServerError(nil)
}

// misdirected answers 421 (RFC 9110 section 15.5.20).
func misdirected(why string) error {
	return &oauth.Error{Code: "invalid_request", Description: why, Status: http.StatusMisdirectedRequest}
}

// foreignOrigin says that a browser sent the request from another site's page.
func foreignOrigin(cause error) error {
	refused := &oauth.Error{
		Code: "invalid_request", Description: "the request came from another site", Status: http.StatusForbidden,
		Reason: oauth.ReasonForeignForm,
	}
	return refused.Because(cause)
}

// SameOrigin refuses requests that change something and that a browser sent from another site's page, by what the
// browser itself says in Sec-Fetch-Site and Origin. It is the second lock beside the token in the form.
func SameOrigin(face Face, next http.Handler) http.Handler {
	guard := http.NewCrossOriginProtection()
	return face.Handle(func(w http.ResponseWriter, r *http.Request) error {
		if err := guard.Check(r); err != nil {
			return foreignOrigin(err)
		}
		next.ServeHTTP(w, r)
		return nil
	})
}
