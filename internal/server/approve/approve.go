// Package approve is where people decide what clients asked for over the backchannel (OpenID CIBA Core): on a page of their
// account, or in an application of theirs that may decide in their name. What a decision is stands in consent.
package approve

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/server/consent"
	"github.com/gardeauth/garde/internal/session"
	"github.com/gardeauth/garde/internal/verify"
	"github.com/gardeauth/garde/internal/web"
)

// Bearer reads the token of a request.
type Bearer interface {
	Bearer(r *http.Request) (verify.Claims, error)
}

// Approvals is the authentication-device API: an application of a person, which holds an access token of theirs with the
// scope garde.approve, lists what waits for them and decides it in their name. All fields are required.
type Approvals struct {
	Tokens    Bearer
	Grants    iam.Grants
	Users     iam.Users
	Elsewhere *consent.Elsewhere
	Address   func(*http.Request) netip.Addr // the zero address is unknown
}

// asking is what waits, as an application is told. The name and the message are the client's own words: they are to be
// shown as text.
type asking struct {
	ID      string          `json:"id"`
	Client  askingClient    `json:"client"`
	Message string          `json:"binding_message,omitempty"`
	Scope   []askingScope   `json:"scope,omitempty"`
	Details json.RawMessage `json:"authorization_details,omitempty"`
	Level   string          `json:"acr_values,omitempty"` // that the person must reach first: until then nothing more is told
	Created time.Time       `json:"created"`
	Expires time.Time       `json:"expires"`
}

type askingClient struct {
	ID         string            `json:"id"`
	Name       map[string]string `json:"name,omitempty"`
	Unverified bool              `json:"unverified,omitempty"`
}

type askingScope struct {
	Name string            `json:"name"`
	Say  map[string]string `json:"say,omitempty"`
}

// List is GET /requests: what waits for the person, newest first.
func (a *Approvals) List(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return web.MethodNotAllowed(http.MethodGet, http.MethodHead)
	}
	by, _, err := a.who(r)
	if err != nil {
		return err
	}
	waiting, err := a.Elsewhere.Of(r.Context(), by.User)
	if err != nil {
		return err
	}
	list := make([]asking, 0, len(waiting))
	for _, one := range waiting {
		told := asking{
			ID: one.Asked.ID, Client: askingClient{one.Client.ID, one.Client.Name, one.Client.Unverified},
			Created: one.Asked.Created, Expires: one.Asked.Expires,
		}
		if told.Level = a.Elsewhere.Level(one, a.presence(r, by)); told.Level != "" {
			list = append(list, told)
			continue
		}
		told.Message, told.Details = one.Asked.Message, json.RawMessage(one.Request.Details)
		for _, name := range one.Request.Scope {
			told.Scope = append(told.Scope, askingScope{name, a.Elsewhere.Say(name)})
		}
		list = append(list, told)
	}
	return web.JSON(w, http.StatusOK, true, map[string]any{"requests": list})
}

// Decide is POST /requests/{id} with {"decision": "allow"} or {"decision": "deny"}: 204 when it is kept.
func (a *Approvals) Decide(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodPost {
		return web.MethodNotAllowed(http.MethodPost)
	}
	by, client, err := a.who(r)
	if err != nil {
		return err
	}
	allow, err := decision(r)
	if err != nil {
		return err
	}
	waiting, err := a.Elsewhere.Find(r.Context(), by.User, r.PathValue("id"))
	if err == nil && allow && waiting.Client.ID == client {
		denied := oauth.AccessDenied("an application can't allow what it asks for itself")
		denied.Status = http.StatusForbidden
		return denied
	}
	if err == nil {
		err = a.Elsewhere.Decide(r.Context(), waiting, a.presence(r, by), allow)
	}
	if err != nil {
		return consent.Demand(err)
	}
	web.NoStore(w)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// presence is who decides, as far as this door knows: what their token says.
func (a *Approvals) presence(r *http.Request, by iam.Session) consent.Presence {
	return consent.Presence{Session: by, Said: true, Address: a.Address(r), Agent: session.Agent(r)}
}

const maxDecision = 1 << 10

// decision reads the body. It must be JSON by its type: a form could be sent by any page.
func decision(r *http.Request) (allow bool, err error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return false, oauth.InvalidRequest("the body must be application/json")
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxDecision+1))
	if err != nil || len(body) > maxDecision {
		return false, oauth.InvalidRequest("the body is longer than %d bytes", maxDecision).Because(err)
	}
	var said struct {
		Decision string `json:"decision"`
	}
	if err := jose.DecodeJSON(body, &said); err != nil || said.Decision != "allow" && said.Decision != "deny" {
		return false, oauth.InvalidRequest(`the body must be {"decision": "allow"} or {"decision": "deny"}`).Because(err)
	}
	return said.Decision == "allow", nil
}

// who finds the person behind a token, and what they proved when it began: no session of a browser is here, and what the
// token says of the person may be a name that leads back to nobody. It also gives the application that shows it.
func (a *Approvals) who(r *http.Request) (iam.Session, string, error) {
	claims, err := a.Tokens.Bearer(r)
	if err != nil {
		return iam.Session{}, "", err
	}
	if !claims.Scope.Has(oauth.ScopeApprove) {
		return iam.Session{}, "", web.NeedScope(oauth.InsufficientScope("the token does not hold the scope %s", oauth.ScopeApprove), oauth.Scope{oauth.ScopeApprove})
	}
	ended := func(cause error) error {
		return oauth.InvalidToken("the authorization behind the token has ended").Because(cause)
	}
	if claims.Grant == "" { // of a client itself
		return iam.Session{}, "", ended(iam.ErrNotFound)
	}
	grant, err := a.Grants.Grant(r.Context(), claims.Grant)
	if errors.Is(err, iam.ErrNotFound) || err == nil && (!grant.Revoked.IsZero() || grant.User == "") {
		return iam.Session{}, "", ended(iam.ErrRevoked)
	}
	if err != nil {
		return iam.Session{}, "", err
	}
	user, err := a.Users.User(r.Context(), grant.User)
	if errors.Is(err, iam.ErrNotFound) || err == nil && user.Disabled {
		return iam.Session{}, "", ended(iam.ErrRevoked)
	}
	return iam.Session{ID: grant.Session, User: grant.User, AuthTime: grant.AuthTime, AMR: grant.AMR, ACR: grant.ACR}, claims.ClientID, err
}
