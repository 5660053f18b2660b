package oauth

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Error is an answer that may be told to a client (RFC 6749 sections 4.1.2.1 and 5.2, RFC 6750 section 3.1). Its cause
// may not: it goes to the log and to `garde explain`.
type Error struct {
	Code        string // the registered error code
	Description string // ASCII without quote and backslash, for the client's developer
	Status      int    // the HTTP status where the error is answered directly
	cause       error
}

// Error gives code, description and cause, for logs only.
func (e *Error) Error() string {
	text := e.Code + ": " + e.Description
	if e.cause != nil {
		text += ": " + e.cause.Error()
	}
	return text
}

// Unwrap gives the cause, which must never reach a client.
func (e *Error) Unwrap() error { return e.cause }

// Because returns a copy of e with a cause.
func (e *Error) Because(cause error) *Error {
	with := *e
	with.cause = cause
	return &with
}

func refuse(code string, status int, format string, args []any) *Error {
	return &Error{Code: code, Description: printable(fmt.Sprintf(format, args...)), Status: status}
}

// printable keeps what RFC 6749 appendix A.8 allows in error_description; anything else becomes a question mark.
func printable(text string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c < 0x20 || c > 0x7e:
			return '?'
		case c == '"' || c == '\\':
			return '\''
		}
		return c
	}, text)
}

// InvalidRequest says that a parameter is missing, doubled, malformed or not allowed here.
func InvalidRequest(format string, args ...any) *Error {
	return refuse("invalid_request", http.StatusBadRequest, format, args)
}

// InvalidClient says that the client did not prove who it is. Its text never tells why.
func InvalidClient() *Error {
	return refuse("invalid_client", http.StatusUnauthorized, "the client is unknown or did not prove itself as registered", nil)
}

// InvalidGrant says that the code or refresh token can't be used: unknown, spent, expired, revoked or not this client's,
// all in the same words.
func InvalidGrant(format string, args ...any) *Error {
	return refuse("invalid_grant", http.StatusBadRequest, format, args)
}

// InvalidScope says that the scope is malformed, unknown or more than the client may have.
func InvalidScope(format string, args ...any) *Error {
	return refuse("invalid_scope", http.StatusBadRequest, format, args)
}

// InvalidTarget says that the resource is unknown or may not be asked for (RFC 8707 section 2).
func InvalidTarget(format string, args ...any) *Error {
	return refuse("invalid_target", http.StatusBadRequest, format, args)
}

// UnauthorizedClient says that this client may not use this grant or response type.
func UnauthorizedClient(format string, args ...any) *Error {
	return refuse("unauthorized_client", http.StatusBadRequest, format, args)
}

// UnsupportedGrantType says that no such grant exists here.
func UnsupportedGrantType(format string, args ...any) *Error {
	return refuse("unsupported_grant_type", http.StatusBadRequest, format, args)
}

// UnsupportedResponseType says that no such response type exists here.
func UnsupportedResponseType(format string, args ...any) *Error {
	return refuse("unsupported_response_type", http.StatusBadRequest, format, args)
}

// AccessDenied says that the person or the policy said no.
func AccessDenied(format string, args ...any) *Error {
	return refuse("access_denied", http.StatusBadRequest, format, args)
}

// LoginRequired, ConsentRequired, InteractionRequired and AccountSelectionRequired answer prompt=none
// (OpenID Connect Core section 3.1.2.6).
func LoginRequired(format string, args ...any) *Error {
	return refuse("login_required", http.StatusBadRequest, format, args)
}

// ConsentRequired: see LoginRequired.
func ConsentRequired(format string, args ...any) *Error {
	return refuse("consent_required", http.StatusBadRequest, format, args)
}

// InteractionRequired: see LoginRequired.
func InteractionRequired(format string, args ...any) *Error {
	return refuse("interaction_required", http.StatusBadRequest, format, args)
}

// UnmetAuthentication says that no factor can reach what was asked (OpenID Connect Unmet Authentication Requirements).
func UnmetAuthentication(format string, args ...any) *Error {
	return refuse("unmet_authentication_requirements", http.StatusBadRequest, format, args)
}

// RequestNotSupported refuses the request parameter (OpenID Connect Core section 3.1.2.6).
func RequestNotSupported() *Error {
	return refuse("request_not_supported", http.StatusBadRequest, "request objects are not accepted", nil)
}

// RequestURINotSupported refuses the request_uri parameter (OpenID Connect Core section 3.1.2.6).
func RequestURINotSupported() *Error {
	return refuse("request_uri_not_supported", http.StatusBadRequest, "request_uri is not accepted", nil)
}

// RegistrationNotSupported refuses the registration parameter (OpenID Connect Core section 3.1.2.6).
func RegistrationNotSupported() *Error {
	return refuse("registration_not_supported", http.StatusBadRequest, "the parameter registration is not accepted", nil)
}

// InvalidToken says that the access token is no good (RFC 6750 section 3.1).
func InvalidToken(format string, args ...any) *Error {
	return refuse("invalid_token", http.StatusUnauthorized, format, args)
}

// InsufficientScope says that the token is good and not enough (RFC 6750 section 3.1).
func InsufficientScope(format string, args ...any) *Error {
	return refuse("insufficient_scope", http.StatusForbidden, format, args)
}

// InsufficientAuthentication asks for a better or fresher authentication (RFC 9470 section 3).
func InsufficientAuthentication(format string, args ...any) *Error {
	return refuse("insufficient_user_authentication", http.StatusUnauthorized, format, args)
}

// Unavailable says that the server can't promise an answer now; the same request may be sent again.
func Unavailable(format string, args ...any) *Error {
	return refuse("temporarily_unavailable", http.StatusServiceUnavailable, format, args)
}

// TooManyRequests says that the caller must slow down.
func TooManyRequests(format string, args ...any) *Error {
	return refuse("temporarily_unavailable", http.StatusTooManyRequests, format, args)
}

// ServerError hides a fault of ours behind the code that RFC 6749 section 4.1.2.1 gives it.
func ServerError(cause error) *Error {
	return refuse("server_error", http.StatusInternalServerError, "the server met a fault; the trace id finds it in the log", nil).Because(cause)
}

// CodeOf gives the code that err tells, or "" when it is nil or not of the protocol.
func CodeOf(err error) string {
	var told *Error
	if errors.As(err, &told) {
		return told.Code
	}
	return ""
}
