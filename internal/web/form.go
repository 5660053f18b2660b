package web

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gardeauth/garde/internal/oauth"
)

// The limits of a form; both are far above any honest request.
const (
	MaxForm       = 64 << 10 // bytes of a body or a query
	MaxParameters = 200
)

// FormType is the only content type of OAuth's POST endpoints (RFC 6749 section 3.2).
const FormType = "application/x-www-form-urlencoded"

// Form holds the parameters of a request: each name once, but for those that may repeat; each value valid UTF-8
// without NUL. A parameter without a value counts as absent (OAuth 2.1 section 3.1).
type Form struct {
	fields []parameter
}

// Value gives the value of name, the first where it repeats, or "" when it is absent.
func (f Form) Value(name string) string {
	for _, field := range f.fields {
		if field.name == name {
			return field.value
		}
	}
	return ""
}

// Values gives all values of a name that may repeat, in their order.
func (f Form) Values(name string) []string {
	var all []string
	for _, field := range f.fields {
		if field.name == name {
			all = append(all, field.value)
		}
	}
	return all
}

// Has tells whether name was sent with a value.
func (f Form) Has(name string) bool { return f.Value(name) != "" }

// Names gives the names that have a value, each once, in the order sent.
func (f Form) Names() []string {
	var names []string
	for _, field := range f.fields {
		if !slices.Contains(names, field.name) {
			names = append(names, field.name)
		}
	}
	return names
}

// Map gives the form as url.Values, for code that must send it on.
func (f Form) Map() url.Values {
	values := make(url.Values, len(f.fields))
	for _, field := range f.fields {
		values[field.name] = append(values[field.name], field.value)
	}
	return values
}

// PostForm reads the form in the body of a POST, once. Anything but POST is 405, a body over MaxForm 413; a query on
// the URL, another content type, a doubled parameter, broken encoding or NUL are invalid_request. Only the names in
// repeat may stand twice; without any, only resource (RFC 8707 section 2).
func PostForm(r *http.Request, repeat ...string) (Form, error) {
	if r.Method != http.MethodPost {
		return Form{}, MethodNotAllowed(http.MethodPost)
	}
	// A parameter in the query may be logged on its way, and may say other than the body (RFC 6749 section 2.3.1).
	if r.URL.RawQuery != "" || r.URL.ForceQuery {
		return Form{}, oauth.InvalidRequest("parameters belong into the body; the query must be empty")
	}
	if err := checkFormType(r.Header); err != nil {
		return Form{}, err
	}
	if r.PostForm != nil || r.Form != nil {
		return Form{}, errors.New("the form of this request was read twice")
	}
	body, err := readForm(r)
	if err != nil {
		return Form{}, err
	}
	return parseForm(body, repeat)
}

// Query reads the parameters in the URL of a GET or HEAD, as strictly as PostForm does a body.
func Query(r *http.Request, repeat ...string) (Form, error) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return Form{}, MethodNotAllowed(http.MethodGet, http.MethodHead)
	}
	if len(r.URL.RawQuery) > MaxForm {
		return Form{}, &oauth.Error{Code: "invalid_request", Description: "the query is too long", Status: http.StatusRequestURITooLong}
	}
	return parseForm(r.URL.RawQuery, repeat)
}

func checkFormType(header http.Header) error {
	sent := header["Content-Type"]
	if len(sent) != 1 {
		return oauth.InvalidRequest("the content type must be %s", FormType)
	}
	kind, parameters, err := mime.ParseMediaType(sent[0])
	if err != nil || kind != FormType {
		return oauth.InvalidRequest("the content type must be %s", FormType)
	}
	for name, value := range parameters {
		if name != "charset" || !strings.EqualFold(value, "utf-8") {
			return oauth.InvalidRequest("the content type allows no parameter but charset=utf-8")
		}
	}
	if len(header["Content-Encoding"]) > 0 {
		// Nobody compresses a form honestly; a bomb is what it would be.
		return &oauth.Error{Code: "invalid_request", Description: "a content encoding is not accepted", Status: http.StatusUnsupportedMediaType}
	}
	return nil
}

func readForm(r *http.Request) (string, error) {
	tooLarge := &oauth.Error{Code: "invalid_request", Description: "the form is too large", Status: http.StatusRequestEntityTooLarge}
	if r.ContentLength > MaxForm {
		return "", tooLarge
	}
	r.PostForm = url.Values{} // marks the body as read, also for net/http
	if r.Body == nil {
		return "", nil
	}
	// What says its length is read into one piece of memory; MinRead is what the last, empty read asks for.
	body := bytes.NewBuffer(make([]byte, 0, max(r.ContentLength, 0)+bytes.MinRead))
	if _, err := body.ReadFrom(io.LimitReader(r.Body, MaxForm+1)); err != nil {
		return "", oauth.InvalidRequest("the body ended early").Because(err)
	}
	if body.Len() > MaxForm {
		return "", tooLarge
	}
	return body.String(), nil
}

// parseForm reads application/x-www-form-urlencoded with nothing left to choice.
func parseForm(text string, repeat []string) (Form, error) {
	if len(repeat) == 0 {
		repeat = []string{"resource"}
	}
	if strings.Count(text, "&") >= MaxParameters {
		return Form{}, oauth.InvalidRequest("there are more than %d parameters", MaxParameters)
	}
	var form Form
	var empty []string
	for field := range strings.SplitSeq(text, "&") {
		if field == "" {
			continue
		}
		name, value, err := parseField(field)
		if err != nil {
			return Form{}, err
		}
		if !slices.Contains(repeat, name) && (slices.Contains(empty, name) || form.Has(name)) {
			return Form{}, oauth.InvalidRequest("a parameter was sent twice")
		}
		if value == "" {
			empty = append(empty, name)
			continue
		}
		form.fields = append(form.fields, parameter{name, value})
	}
	return form, nil
}

func parseField(field string) (name, value string, err error) {
	for _, c := range []byte(field) {
		// A semicolon is a separator to some readers and a letter to others (CVE-2020-28473 and its kin).
		if c < 0x20 || c == 0x7f || c == ';' {
			return "", "", oauth.InvalidRequest("a parameter holds a character that must be percent-encoded")
		}
	}
	name, value, _ = strings.Cut(field, "=")
	if name, err = unescape(name); err != nil {
		return "", "", err
	}
	if name == "" {
		return "", "", oauth.InvalidRequest("a parameter has no name")
	}
	value, err = unescape(value)
	return name, value, err
}

func unescape(text string) (string, error) {
	plain, err := url.QueryUnescape(text)
	if err != nil {
		return "", oauth.InvalidRequest("a parameter is not percent-encoded as it should be")
	}
	if !utf8.ValidString(plain) || strings.IndexByte(plain, 0) >= 0 {
		return "", oauth.InvalidRequest("a parameter is not valid UTF-8 or holds a NUL")
	}
	return plain, nil
}
