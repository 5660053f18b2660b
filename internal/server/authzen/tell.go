package authzen

import (
	"io"
	"net/http"

	"github.com/gardeauth/garde/internal/web"
)

// Told answers errors as section 10.1.2 has them: the status says what is wrong, and the body is one sentence.
type Told struct{}

// Tell writes the sentence, and on 401 and 403 the challenges.
func (Told) Tell(w http.ResponseWriter, r *http.Request, answer web.Answer) {
	if answer.Status == http.StatusUnauthorized || answer.Status == http.StatusForbidden {
		web.Bearer{}.Tell(&mute{w}, r, answer)
		if answer.Status == http.StatusUnauthorized {
			w.Header().Add("WWW-Authenticate", `Basic realm="garde", charset="UTF-8"`)
		}
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(answer.Status)
	text := answer.Description
	if text == "" {
		text = http.StatusText(answer.Status)
	}
	_, _ = io.WriteString(w, text+" (trace "+answer.Trace+")\n")
}

// mute lets headers through and nothing else.
type mute struct{ to http.ResponseWriter }

func (m *mute) Header() http.Header               { return m.to.Header() }
func (m *mute) Write(content []byte) (int, error) { return len(content), nil }
func (m *mute) WriteHeader(int)                   {}
