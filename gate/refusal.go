package gate

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/gardeauth/garde/internal/binding"
	"github.com/gardeauth/garde/internal/oauth"
)

// refusal is an answer that lets nobody through, with the parameters of its challenge.
type refusal struct {
	told  oauth.Error
	cause error
	extra []string // name="value"
}

// refuse makes one of an error of verification. What is not meant to be told becomes a fault of ours.
func refuse(err error) *refusal {
	var told *oauth.Error
	if !errors.As(err, &told) {
		told = oauth.Unavailable("the token can't be verified at the moment")
	}
	return &refusal{told: *told, cause: err}
}

// noCredentials has no error code (RFC 6750 section 3.1).
func noCredentials() *refusal {
	return &refusal{
		told:  oauth.Error{Status: http.StatusUnauthorized, Description: "a token is needed: send it as Authorization: Bearer, or DPoP with a proof"},
		cause: errors.New("no credentials were sent"),
	}
}

func (r *refusal) with(name, value string) *refusal {
	r.extra = append(r.extra, name+`="`+quotable(value)+`"`)
	return r
}

// answer logs a refusal once and answers it once: a challenge, and a problem that repeats it for people.
func (g *Gate) answer(w http.ResponseWriter, r *http.Request, refused *refusal) {
	trace := rand.Text()
	if g.config.Log != nil {
		g.config.Log.LogAttrs(r.Context(), slog.LevelInfo, "refused", slog.String("trace", trace), slog.String("method", r.Method),
			slog.String("path", r.URL.Path), slog.Int("status", refused.told.Status), slog.Any("cause", refused.cause))
	}
	header := w.Header()
	header.Set("Garde-Trace", trace)
	header.Set("Cache-Control", "no-store")
	switch refused.told.Status {
	case http.StatusServiceUnavailable:
		header.Set("Retry-After", "1")
	default:
		header["Www-Authenticate"] = refused.challenges(r, g.metadata, g.config.Bound && g.config.Certificate == nil)
	}
	writeJSON(w, "application/problem+json", refused.told.Status, struct {
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail,omitempty"`
		Code   string `json:"code,omitempty"`
		Trace  string `json:"trace"`
	}{http.StatusText(refused.told.Status), refused.told.Status, refused.told.Description, refused.told.Code, trace})
}

// challenges are one for each scheme that is taken. The error goes into that of the scheme which the request has used, and
// this one stands first (RFC 9449 section 7.2).
func (r *refusal) challenges(request *http.Request, metadata string, onlyDPoP bool) []string {
	scheme, _, _ := strings.Cut(request.Header.Get("Authorization"), " ")
	untold := &refusal{}
	switch {
	case onlyDPoP:
		return []string{r.challenge("DPoP", metadata)}
	case strings.EqualFold(scheme, "DPoP"):
		return []string{r.challenge("DPoP", metadata), untold.challenge("Bearer", metadata)}
	}
	return []string{r.challenge("Bearer", metadata), untold.challenge("DPoP", metadata)}
}

// challenge is that of RFC 6750 section 3 or RFC 9449 section 7.1, with the place of the metadata (RFC 9728 section 5.1).
func (r *refusal) challenge(scheme, metadata string) string {
	parts := []string{`realm="garde"`}
	if r.told.Code != "" {
		parts = append(parts, `error="`+quotable(r.told.Code)+`"`, `error_description="`+quotable(r.told.Description)+`"`)
	}
	parts = append(parts, r.extra...)
	if scheme == "DPoP" {
		parts = append(parts, `algs="`+binding.Challenge()+`"`)
	}
	parts = append(parts, `resource_metadata="`+quotable(metadata)+`"`)
	return scheme + " " + strings.Join(parts, ", ")
}

// quotable keeps what may stand in a quoted-string without escapes.
func quotable(text string) string {
	return strings.Map(func(c rune) rune {
		if c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			return '?'
		}
		return c
	}, text)
}

func writeJSON(w http.ResponseWriter, kind string, status int, value any) {
	body, err := json.Marshal(value)
	if err != nil { // structs of texts always marshal
		body = []byte("{}")
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
