// Package shield keeps HTTP itself from being the weapon: it refuses requests that two readers could understand in two
// ways, takes away every header by which a client could speak as the Gate, and cleans the answers of upstreams. It knows
// no API, no token and no recipe.
package shield

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/gardeauth/garde/internal/oauth"
)

// The bounds of a request's header.
const (
	MaxFields     = 100      // field lines
	MaxFieldBytes = 17 << 10 // of one value: a token of the largest kind and its scheme
	MaxBytes      = 48 << 10 // of all names and values
)

// Check refuses a request that is not plain HTTP: methods that are not for APIs, doubled headers that decide something,
// headers beyond the bounds, protocol upgrades, tokens in the query. It changes nothing.
func Check(r *http.Request) error {
	for _, check := range checks {
		if err := check(r); err != nil {
			return err
		}
	}
	return nil
}

// checks in the order of their cost. The bounds come first: they bound what the others read.
var checks = []func(*http.Request) error{bounds, method, singles, framing, upgrade, earlyData, queryToken}

func bounds(r *http.Request) error {
	fields, size := 0, 0
	for name, values := range r.Header {
		fields += len(values)
		for _, value := range values {
			if len(value) > MaxFieldBytes {
				return tooLarge()
			}
			size += len(name) + len(value)
		}
	}
	if fields > MaxFields || size > MaxBytes {
		return tooLarge()
	}
	return nil
}

func tooLarge() error {
	return &oauth.Error{Code: "invalid_request", Status: http.StatusRequestHeaderFieldsTooLarge,
		Description: "the headers are too many or too large"}
}

func method(r *http.Request) error {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return nil
	}
	return &oauth.Error{Code: "invalid_request", Status: http.StatusNotImplemented,
		Description: "this method is not for APIs: CONNECT, TRACE and unknown ones go no further"}
}

// singles refuses headers that may stand once and stand twice: one reader takes the first, the next takes the last.
func singles(r *http.Request) error {
	for _, name := range [...]string{"Authorization", "Content-Length", "Content-Type", "Host", "Origin", "Expect", "Upgrade"} {
		if len(r.Header[name]) > 1 {
			return oauth.InvalidRequest("the header %s was sent more than once", name)
		}
	}
	// HTTP/1 takes Host out of the header; over HTTP/2 it may stand beside :authority (RFC 9113 section 8.3.1).
	if host := r.Header["Host"]; len(host) == 1 && host[0] != r.Host {
		return oauth.InvalidRequest("Host and the authority of the request differ")
	}
	if r.Host == "" {
		return oauth.InvalidRequest("the request names no host")
	}
	return nil
}

// framing refuses what is left of ambiguous message lengths when net/http has done its part (RFC 9112 section 6.3).
func framing(r *http.Request) error {
	switch {
	case len(r.TransferEncoding) > 1, len(r.TransferEncoding) == 1 && r.TransferEncoding[0] != "chunked":
		return &oauth.Error{Code: "invalid_request", Status: http.StatusNotImplemented, Description: "no transfer coding but chunked is understood"}
	case len(r.Header["Transfer-Encoding"]) > 0, len(r.TransferEncoding) > 0 && len(r.Header["Content-Length"]) > 0:
		return oauth.InvalidRequest("the length of the body was given in two ways")
	case len(r.Header["Content-Length"]) == 1 && r.Header["Content-Length"][0] != strconv.FormatInt(r.ContentLength, 10):
		// Over HTTP/2 net/http believes the end of the stream and says nothing of a length that is not true, or is no
		// number (RFC 9113 section 8.1.1).
		return oauth.InvalidRequest("the length of the body is not the one that was announced")
	case len(r.TransferEncoding) > 0 && r.ProtoMajor == 1 && r.ProtoMinor == 0:
		return oauth.InvalidRequest("HTTP/1.0 has no transfer codings")
	}
	return nil
}

// Ambiguous tells whether the connection must end with this request. A request that says chunked may have said a
// Content-Length too, which net/http drops before we see it; whatever a front proxy then takes for the next request must
// never be read as one (RFC 9112 section 6.1).
func Ambiguous(r *http.Request) bool {
	return r.ProtoMajor == 1 && len(r.TransferEncoding) > 0
}

// upgrade refuses protocol switches: what is spoken after one passes no check. An offer of h2c is ignored, as RFC 9110
// section 7.8 allows, because common clients make it with each plain request.
func upgrade(r *http.Request) error {
	if offers := r.Header["Upgrade"]; len(offers) > 0 && !strings.EqualFold(offers[0], "h2c") {
		return &oauth.Error{Code: "invalid_request", Status: http.StatusNotImplemented, Description: "no protocol upgrade is forwarded"}
	}
	return nil
}

// earlyData refuses what may have been replayed by anybody and is not harmless when it comes twice (RFC 8470 section 5.2).
func earlyData(r *http.Request) error {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return nil
	}
	if len(r.Header["Early-Data"]) > 0 {
		return &oauth.Error{Code: "invalid_request", Status: http.StatusTooEarly, Description: "send this request when the TLS handshake is complete"}
	}
	return nil
}

// queryToken refuses tokens in the URL, whatever else comes along.
func queryToken(r *http.Request) error {
	if oauth.TokenInQuery(r.URL.RawQuery) {
		return oauth.InvalidRequest("a token in the URL is never accepted: send it as Authorization: Bearer")
	}
	return nil
}
