package session

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/recipe"
)

// What a person did within a login transaction: the words that stand in Flow.Asked.
const (
	StepSignIn  = "login"
	StepConsent = "consent"
	StepDenied  = "denied" // the person said no: the dispatcher answers access_denied
)

// FlowLife is how long a person may take to sign in and consent.
const FlowLife = 30 * time.Minute

// Begin keeps a login transaction, bound to this browser, and gives the key that stands in URLs.
func (k *Keeper) Begin(w http.ResponseWriter, r *http.Request, flows iam.Flows, flow *iam.Flow) (string, error) {
	key := iam.NewSecret(iam.PrefixFlow)
	flow.Hash, flow.Browser = iam.HashFlow(key), k.Browser(w, r).Digest()
	flow.Created, flow.Expires = k.now(), k.now().Add(FlowLife)
	return key, flows.AddFlow(r.Context(), *flow)
}

// Resume finds the living login transaction of that key and this browser. One that has ended, never was, or belongs to
// another browser is refused in the same words.
func (k *Keeper) Resume(r *http.Request, flows iam.Flows, key string) (iam.Flow, error) {
	flow, err := flows.Flow(r.Context(), iam.HashFlow(key), k.Known(r).Digest(), k.now())
	if errors.Is(err, iam.ErrNotFound) {
		return iam.Flow{}, Expired(err)
	}
	return flow, err
}

// Expired refuses a login transaction that has ended or is another browser's.
func Expired(cause error) error {
	refused := &oauth.Error{
		Code: "expired_flow", Status: http.StatusBadRequest,
		Description: "this sign-in has ended, or began in another browser: go back to the application and start again",
	}
	return refused.Because(cause)
}

// Return is where a step sends the person when it has proved or refused: to the dispatcher, to the page of the device that
// waits, or, when no application waits, to the person's own page. No part of it comes from a request.
func Return(flow iam.Flow, key string) string {
	switch {
	case flow.Client != "" && !iam.Digest(DeviceOf(flow)).Zero():
		return "/device/confirm?flow=" + url.QueryEscape(key)
	case flow.Client != "":
		return "/authorize?flow=" + url.QueryEscape(key)
	case flow.Query == markRequests:
		return "/account/requests"
	case flow.Query == markTyping:
		return "/device"
	}
	return "/account" + cornerOf(flow)
}

// Marks of transactions that wait for something else than an authorization request. No parser keeps a parameter of these
// names, so that nobody brings them in from outside.
const (
	markDevice   = "garde.device"
	markRequests = "garde.requests"
	markAccount  = "garde.account"
	markTyping   = "garde.typing"
)

// ForRequests begins a transaction that leads to the requests that wait for the person.
func ForRequests() *iam.Flow { return &iam.Flow{Query: markRequests} }

// ForTyping begins a transaction that leads to where people type the code of a device.
func ForTyping() *iam.Flow { return &iam.Flow{Query: markTyping} }

// corners are the pages below /account that a transaction may lead to.
var corners = []string{"security", "devices", "habits", "approvals"}

// ForAccount begins a transaction that leads to a page of the person's account: security, devices, habits or approvals; any
// other word leads to the account itself.
func ForAccount(corner string) *iam.Flow { return &iam.Flow{Query: markAccount + "=" + corner} }

func cornerOf(flow iam.Flow) string {
	corner, ours := strings.CutPrefix(flow.Query, markAccount+"=")
	if ours && slices.Contains(corners, corner) {
		return "/" + corner
	}
	return ""
}

// ForDevice begins a transaction about what the device with that user code asks for.
func ForDevice(asked iam.Asked) *iam.Flow {
	return &iam.Flow{Client: asked.Client, Query: markDevice + "=" + iam.Digest(asked.UserCode).String()}
}

// DeviceOf gives the user code that a transaction is about; zero: it is about something else.
func DeviceOf(flow iam.Flow) iam.UserHash {
	var hash iam.UserHash
	text, ours := strings.CutPrefix(flow.Query, markDevice+"=")
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if ours && err == nil && len(raw) == len(hash) {
		copy(hash[:], raw)
	}
	return hash
}

// GrantIn is what a person gives a client in a session: it ends with the session, unless its scope says that it outlives it.
func GrantIn(in iam.Session, client string, scope oauth.Scope, now time.Time, life time.Duration) iam.Grant {
	grant := iam.Grant{
		ID: uuid.Must(uuid.NewV7()).String(), Client: client, User: in.User, Session: in.ID, Login: in.ID, Scope: scope,
		AuthTime: in.AuthTime, AMR: in.AMR, ACR: in.ACR, Created: now, Expires: now.Add(life),
	}
	if scope.Has(oauth.ScopeOffline) {
		grant.Session = "" // that is what the scope means (OpenID Connect Core section 11)
	}
	return grant
}

// Wishes are what a step may know of the request that waits. The request was parsed when the flow began, and the
// dispatcher parses it again before it answers: nothing here decides.
type Wishes struct {
	LoginHint   string
	RedirectURI string
	Scope       oauth.Scope // with the scopes that open the claims asked by name
	Details     string      // authorization_details, a JSON array; empty: none
	Locales     []string
}

// WishesOf reads the request that a flow keeps.
func WishesOf(flow iam.Flow) Wishes {
	query, err := url.ParseQuery(flow.Query)
	if err != nil {
		return Wishes{}
	}
	scope, err := oauth.ParseScope(query.Get("scope"))
	if err != nil {
		scope = nil
	}
	wanted, err := iam.ReadWanted(query.Get("claims"))
	if err != nil {
		wanted = iam.Wanted{}
	}
	wishes := Wishes{
		LoginHint: query.Get("login_hint"), RedirectURI: query.Get("redirect_uri"), Scope: scope.Or(wanted.Opened()),
		Details: query.Get("authorization_details"), Locales: strings.Fields(query.Get("ui_locales")),
	}
	if len(wishes.LoginHint) > iam.MaxName {
		wishes.LoginHint = ""
	}
	wishes.Locales = wishes.Locales[:min(len(wishes.Locales), maxLocales)]
	return wishes
}

const maxLocales = 10

// Did tells whether the person did step in this flow, within that session.
func Did(flow iam.Flow, session iam.Session, step string) bool {
	return session.ID != "" && flow.Session == session.ID && slices.Contains(flow.Asked, step)
}

// GaveCode is the journal's row of a code that was given in a session.
func GaveCode(now time.Time, grant iam.Grant, in iam.Session, trace string) journal.Event {
	event := journal.New(now, journal.TokenIssued{
		GrantType: string(oauth.AuthorizationCode), Scope: grant.Scope.String(), Gave: []string{"code"},
	})
	event.Actor, event.Client, event.User = "user:"+grant.User, grant.Client, grant.User
	event.Session, event.Grant, event.Trace = in.ID, grant.ID, trace
	return event
}

// Implied tells whether the client is the company's own, so that nobody is asked.
func Implied(client iam.Client) bool { return client.Consent == recipe.ConsentImplied }

// Remembers tells whether a consent that was given once holds for later requests. Not for a native application whose
// redirect URI any other could claim: it can't prove that it is itself (RFC 8252 section 8.6).
func Remembers(client iam.Client, redirectURI string) bool {
	return client.Kind != recipe.Native || strings.HasPrefix(redirectURI, "https://")
}
