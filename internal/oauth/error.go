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
	Reason      Reason // a finer word than Code, for the page that a person reads; no client is told
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

// Reason says what went wrong in a word of ours, so that a page can explain it to a person: what happened, why, what to do.
// It never says what is registered, or whether something of another client exists.
type Reason string

// The reasons of an authorization request that can't go on.
const (
	ReasonClientMissing      Reason = "client_missing"       // no client_id
	ReasonUnknownClient      Reason = "unknown_client"       // no such client
	ReasonClientDisabled     Reason = "client_disabled"      // an administrator has switched it off
	ReasonRedirectMissing    Reason = "redirect_missing"     // no redirect_uri
	ReasonRedirectURI        Reason = "redirect_uri"         // not one of the client's, byte for byte
	ReasonPushedExpired      Reason = "pushed_expired"       // the client's own pushed request, too late
	ReasonPushedSpent        Reason = "pushed_spent"         // the client's own pushed request, a second time
	ReasonPushedUnknown      Reason = "pushed_unknown"       // no pushed request of this client: never pushed, or another's
	ReasonPushNeeded         Reason = "push_needed"          // the client must push its requests
	ReasonRequestURI         Reason = "request_uri"          // an address that the client has not registered
	ReasonResponseType       Reason = "response_type"        // one that the client may not use
	ReasonResponseTypeAbsent Reason = "response_type_absent" // no response_type
)

// The reasons of a page that can't be shown.
const (
	ReasonNotFound        Reason = "not_found"
	ReasonForeignForm     Reason = "csrf" // another site's page sent the form
	ReasonTooManyRequests Reason = "too_many_requests"
)

// For returns a copy of e with a reason.
func (e *Error) For(reason Reason) *Error {
	with := *e
	with.Reason = reason
	return &with
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

// LoginRequired, AccountSelectionRequired, ConsentRequired and InteractionRequired answer prompt=none
// (OpenID Connect Core section 3.1.2.6).
func LoginRequired(format string, args ...any) *Error {
	return refuse("login_required", http.StatusBadRequest, format, args)
}

// AccountSelectionRequired: see LoginRequired.
func AccountSelectionRequired(format string, args ...any) *Error {
	return refuse("account_selection_required", http.StatusBadRequest, format, args)
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
	return refuse("temporarily_unavailable", http.StatusTooManyRequests, format, args).For(ReasonTooManyRequests)
}

// ServerError hides a fault of ours behind the code that RFC 6749 section 4.1.2.1 gives it.
func ServerError(cause error) *Error {
	return refuse("server_error", http.StatusInternalServerError, "the server met a fault; the trace id finds it in the log", nil).Because(cause)
}

// InvalidProof says that the DPoP proof is missing or no good (RFC 9449 section 5).
func InvalidProof(format string, args ...any) *Error {
	return refuse("invalid_dpop_proof", http.StatusBadRequest, format, args)
}

// UseNonce asks for the same request with the nonce that the answer brings (RFC 9449 section 8).
func UseNonce() *Error {
	return refuse("use_dpop_nonce", http.StatusBadRequest, "send the proof again with the nonce of the header DPoP-Nonce", nil)
}

// InvalidRequestObject says that the request object is malformed, not signed as registered, or not for this server
// (RFC 9101 section 7).
func InvalidRequestObject(format string, args ...any) *Error {
	return refuse("invalid_request_object", http.StatusBadRequest, format, args)
}

// InvalidRequestURI says that the request_uri is unknown, expired, spent or another client's (RFC 9101 section 7).
func InvalidRequestURI(format string, args ...any) *Error {
	return refuse("invalid_request_uri", http.StatusBadRequest, format, args)
}

// InvalidDetails says that the authorization_details are malformed, unknown or not allowed (RFC 9396 section 5).
func InvalidDetails(format string, args ...any) *Error {
	return refuse("invalid_authorization_details", http.StatusBadRequest, format, args)
}

// AuthorizationPending and SlowDown answer a poll while the person has not decided (RFC 8628 section 3.5, CIBA section 11).
func AuthorizationPending() *Error {
	return refuse("authorization_pending", http.StatusBadRequest, "the person has not decided yet: ask again after the interval", nil)
}

// SlowDown: see AuthorizationPending.
func SlowDown() *Error {
	return refuse("slow_down", http.StatusBadRequest, "asked too soon: the interval is five seconds longer from now on", nil)
}

// ExpiredToken says that the device code or auth_req_id has expired (RFC 8628 section 3.5, CIBA section 11).
func ExpiredToken() *Error {
	return refuse("expired_token", http.StatusBadRequest, "the time to decide has run out: begin again", nil)
}

// The errors of the backchannel authentication endpoint (CIBA section 13).

// UnknownUser says that the hint names nobody who can be asked.
func UnknownUser() *Error {
	return refuse("unknown_user_id", http.StatusBadRequest, "the hint names nobody who can be asked", nil)
}

// ExpiredHint says that the login_hint_token has expired.
func ExpiredHint() *Error {
	return refuse("expired_login_hint_token", http.StatusBadRequest, "the login_hint_token has expired", nil)
}

// MissingUserCode and InvalidUserCode are about the secret by which a person keeps strangers from asking them.
func MissingUserCode() *Error {
	return refuse("missing_user_code", http.StatusBadRequest, "this person asks for a user_code", nil)
}

// InvalidUserCode: see MissingUserCode.
func InvalidUserCode() *Error {
	return refuse("invalid_user_code", http.StatusBadRequest, "the user_code is wrong", nil)
}

// InvalidBindingMessage says that the binding_message can't be shown.
func InvalidBindingMessage(format string, args ...any) *Error {
	return refuse("invalid_binding_message", http.StatusBadRequest, format, args)
}

// InvalidClientMetadata refuses a registration (RFC 7591 section 3.2.2).
func InvalidClientMetadata(format string, args ...any) *Error {
	return refuse("invalid_client_metadata", http.StatusBadRequest, format, args)
}

// InvalidRedirectURI refuses a registration for its redirect URIs (RFC 7591 section 3.2.2).
func InvalidRedirectURI(format string, args ...any) *Error {
	return refuse("invalid_redirect_uri", http.StatusBadRequest, format, args)
}

// InvalidSoftwareStatement and UnapprovedSoftwareStatement refuse a software statement (RFC 7591 section 3.2.2).
func InvalidSoftwareStatement(format string, args ...any) *Error {
	return refuse("invalid_software_statement", http.StatusBadRequest, format, args)
}

// UnapprovedSoftwareStatement: see InvalidSoftwareStatement.
func UnapprovedSoftwareStatement(format string, args ...any) *Error {
	return refuse("unapproved_software_statement", http.StatusBadRequest, format, args)
}

// CodeOf gives the code that err tells, or "" when it is nil or not of the protocol.
func CodeOf(err error) string {
	var told *Error
	if errors.As(err, &told) {
		return told.Code
	}
	return ""
}
