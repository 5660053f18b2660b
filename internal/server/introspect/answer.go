package introspect

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/token"
	"github.com/gardeauth/garde/internal/verify"
	"github.com/gardeauth/garde/internal/web"
)

// answer is the response of RFC 7662 section 2.2; the zero value is that of a token that is not active.
type answer struct {
	Active    bool     `json:"active"`
	Scope     string   `json:"scope,omitempty"`
	ClientID  string   `json:"client_id,omitempty"`
	TokenType string   `json:"token_type,omitempty"`
	Expires   int64    `json:"exp,omitempty"`
	IssuedAt  int64    `json:"iat,omitempty"`
	Subject   string   `json:"sub,omitempty"`
	Audience  string   `json:"aud,omitempty"`
	Issuer    string   `json:"iss,omitempty"`
	ID        string   `json:"jti,omitempty"`
	AuthTime  int64    `json:"auth_time,omitempty"`
	ACR       string   `json:"acr,omitempty"`
	AMR       []string `json:"amr,omitempty"`
	SessionID string   `json:"sid,omitempty"`
	GrantID   string   `json:"grant_id,omitempty"`

	Confirmation *iam.Binding    `json:"cnf,omitempty"`                   // RFC 9449 section 6.2, RFC 8705 section 3.2
	Details      json.RawMessage `json:"authorization_details,omitempty"` // RFC 9396 section 9.2
}

// tell says what a token means to somebody who knows the person as subject.
func tell(claims verify.Claims, subject string) answer {
	binding := iam.Binding{JKT: claims.Confirmation.JKT, X5T: claims.Confirmation.X5T}
	said := answer{
		Active: true, Scope: claims.Scope.String(), ClientID: claims.ClientID, TokenType: token.TypeOf(binding),
		Expires: int64(claims.Expires), IssuedAt: int64(claims.IssuedAt), Subject: subject,
		Audience: claims.Audience[0], Issuer: claims.Issuer, ID: claims.ID, AuthTime: int64(claims.AuthTime),
		ACR: claims.ACR, AMR: claims.AMR, SessionID: claims.SessionID, GrantID: claims.Grant, Details: claims.Details,
	}
	if binding.Bound() {
		said.Confirmation = &binding
	}
	return said
}

// signed is the response as a JWT (RFC 9701 section 5). It has no exp and no sub of its own, so that nothing takes it for
// an access token.
type signed struct {
	Issuer   string `json:"iss"`
	Audience string `json:"aud"`
	IssuedAt int64  `json:"iat"`
	Said     answer `json:"token_introspection"`
}

// mediaType is that of a response as a JWT.
const mediaType = "application/" + token.TypeIntrospection

// answer gives plain JSON, or a JWT for this one client where it asks for one, or is registered for them (RFC 9701 sections
// 4 and 6). A token that is not active reads the same in both.
func (e *Endpoint) answer(w http.ResponseWriter, r *http.Request, client iam.Client, said answer) error {
	if client.IntrospectAlg == "" && client.IntrospectWrap == "" && !accepts(r) {
		return web.JSON(w, http.StatusOK, true, said)
	}
	text, err := e.Writer.Write(r.Context(), client, token.IntrospectForm(client), signed{
		Issuer: e.Issuer, Audience: client.ID, IssuedAt: e.now().Unix(), Said: said,
	})
	if err != nil {
		return err
	}
	web.NoStore(w)
	w.Header().Set("Content-Type", mediaType)
	_, err = io.WriteString(w, text) //nolint:gosec // a JWT, under a media type that no browser shows
	return err
}

// accepts tells whether the caller names the media type of RFC 9701; one that takes anything gets what it always got.
func accepts(r *http.Request) bool {
	for _, header := range r.Header.Values("Accept") {
		for each := range strings.SplitSeq(header, ",") {
			if kind, _, err := mime.ParseMediaType(each); err == nil && kind == mediaType {
				return true
			}
		}
	}
	return false
}
