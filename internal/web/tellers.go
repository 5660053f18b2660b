package web

import (
	"encoding/json"
	"net/http"
	"strings"
)

// realm names the protection space in challenges (RFC 9110 section 11.5).
const realm = "garde"

// OAuth answers in the JSON of RFC 6749 section 5.2, never cached. A client that tried the Authorization header and was
// not believed gets the Basic challenge that the section demands.
type OAuth struct{}

// Tell writes the error object.
func (OAuth) Tell(w http.ResponseWriter, r *http.Request, answer Answer) {
	if answer.Code == "invalid_client" && r.Header.Get("Authorization") != "" {
		w.Header().Set("WWW-Authenticate", `Basic realm="`+realm+`", charset="UTF-8"`)
	}
	w.Header().Set("Pragma", "no-cache")
	writeJSON(w, "application/json", answer.Status, struct {
		Error       string `json:"error"`
		Description string `json:"error_description,omitempty"`
		Trace       string `json:"trace"`
	}{orInvalidRequest(answer.Code), answer.Description, answer.Trace})
}

// Bearer answers in the challenges of RFC 6750 section 3 and RFC 9449 section 7.1, with the parameters of RFC 9470 and,
// where Metadata is set, resource_metadata (RFC 9728 section 5.1). The body repeats the error as JSON.
type Bearer struct {
	// Metadata gives the URL of the resource's metadata for a request, or "".
	Metadata func(*http.Request) string
	// DPoP names the algorithms of proofs, where tokens that are bound to a key are accepted; "": they are not.
	DPoP string
	// Bound says that no other tokens are accepted, so that nobody is told to send one as Bearer.
	Bound bool
}

// Tell writes the challenges where they belong: on 401, on insufficient_scope, and on a malformed Authorization.
func (b Bearer) Tell(w http.ResponseWriter, r *http.Request, answer Answer) {
	if answer.Status == http.StatusUnauthorized || answer.Status == http.StatusForbidden || answer.Code == "invalid_request" {
		w.Header()["Www-Authenticate"] = b.challenges(r, answer)
	}
	writeJSON(w, "application/json", answer.Status, struct {
		Error       string `json:"error,omitempty"`
		Description string `json:"error_description,omitempty"`
		Trace       string `json:"trace"`
	}{answer.Code, answer.Description, answer.Trace})
}

// challenges are one for each scheme. The error goes into that of the scheme which the request has used, and this one
// stands first (RFC 9449 section 7.2).
func (b Bearer) challenges(r *http.Request, answer Answer) []string {
	if b.DPoP == "" {
		return []string{b.challenge("Bearer", r, answer)}
	}
	untold := Answer{}
	switch {
	case b.Bound:
		return []string{b.challenge("DPoP", r, answer)}
	case dpopMeant(r, answer):
		return []string{b.challenge("DPoP", r, answer), b.challenge("Bearer", r, untold)}
	}
	return []string{b.challenge("Bearer", r, answer), b.challenge("DPoP", r, untold)}
}

func dpopMeant(r *http.Request, answer Answer) bool {
	if answer.Code == "invalid_dpop_proof" || answer.Code == "use_dpop_nonce" {
		return true
	}
	scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.EqualFold(scheme, "DPoP")
}

func (b Bearer) challenge(scheme string, r *http.Request, answer Answer) string {
	with := []parameter{{"realm", realm}}
	if answer.Code != "" {
		with = append(with, parameter{"error", answer.Code})
		// A company's words may be in any script, and a header holds ASCII: with holes they would say nothing. The body has them.
		if !strings.ContainsFunc(answer.Description, func(c rune) bool { return c > 0x7e }) {
			with = append(with, parameter{"error_description", answer.Description})
		}
	}
	with = append(with, answer.challenge...)
	if scheme == "DPoP" {
		with = append(with, parameter{"algs", b.DPoP})
	}
	if b.Metadata != nil {
		with = append(with, parameter{"resource_metadata", b.Metadata(r)})
	}
	var text strings.Builder
	for _, p := range with {
		if p.value == "" {
			continue
		}
		if text.Len() > 0 {
			text.WriteString(", ")
		}
		text.WriteString(p.name + `="` + quotable(p.value) + `"`)
	}
	return scheme + " " + text.String()
}

// quotable keeps what may stand in a quoted-string without escapes (RFC 6750 section 3); a CR or LF never passes.
func quotable(text string) string {
	return strings.Map(func(c rune) rune {
		if c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			return '?'
		}
		return c
	}, text)
}

// Problem answers in application/problem+json (RFC 9457), with the members code and trace of our own.
type Problem struct{}

// Tell writes the problem object.
func (Problem) Tell(w http.ResponseWriter, _ *http.Request, answer Answer) {
	writeJSON(w, "application/problem+json", answer.Status, struct {
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail,omitempty"`
		Code   string `json:"code,omitempty"`
		Trace  string `json:"trace"`
	}{http.StatusText(answer.Status), answer.Status, answer.Description, answer.Code, answer.Trace})
}

// Renderer writes the HTML page of an error, its status and content type included. The answer has a code.
type Renderer func(w http.ResponseWriter, r *http.Request, answer Answer)

// Page answers a person in a browser. It never redirects.
type Page struct {
	Render Renderer
}

// Tell renders the page.
func (p Page) Tell(w http.ResponseWriter, r *http.Request, answer Answer) {
	answer.Code = orInvalidRequest(answer.Code)
	p.Render(w, r, answer)
}

func orInvalidRequest(code string) string {
	if code == "" {
		return "invalid_request"
	}
	return code
}

// JSON writes value as application/json. With secret set, as every answer that carries a token or a code must have it,
// no cache may keep it (RFC 6749 section 5.1).
func JSON(w http.ResponseWriter, status int, secret bool, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return err
	}
	if secret {
		NoStore(w)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client is gone; there is nobody to tell
	return nil
}

func writeJSON(w http.ResponseWriter, kind string, status int, value any) {
	body, err := json.Marshal(value)
	if err != nil { // structs of strings always marshal
		body = []byte("{}")
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
