// Package issue is the one place that makes tokens, for every door. It asks whether user, client, grant and session are
// still in good standing, signs, and does one deed that spends the proof, keeps what is new and journals it, in one
// commit. No answer leaves before that commit is durable.
package issue

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/token"
	"github.com/gardeauth/garde/internal/web"
	"github.com/gardeauth/garde/recipe"
)

// Desk issues. All fields but Recalled, Locks, Salt, Confined, Journal and Now are required.
type Desk struct {
	Issuer   string
	Deeds    iam.Issuing
	Users    iam.Users
	Consents iam.Consents
	Recalled iam.RecalledConsents // nil: nothing is remembered
	Keys     token.Signers
	Locks    token.Locks   // nil: nothing is encrypted to clients
	Salt     func() []byte // of pairwise subjects; nil: there are none
	Policy   func() *assurance.Policy
	Journal  Recorder         // of what was refused for want of assurance; nil: nobody keeps it
	Confined func() bool      // after a restore: only administrators, and the Gates; nil: never
	Steps    []Step           // Standard, but in a lab
	Now      func() time.Time // nil: time.Now
}

// deal is an order on its way through the steps.
type deal struct {
	token.Order
	policy *assurance.Policy
	rules  assurance.Rules   // of the audience
	asks   [2]recipe.Demands // of the profiles of client and API
	user   iam.User
	given  *iam.Consent  // what the person allowed, as it was read; nil: nobody is asked
	bound  iam.Binding   // what the access token is bound to
	detail token.Details // what the access token carries of authorization_details
	id     string        // jti of the access token
	now    time.Time     // read before the first step: whatever is revoked later has a later cut-off than this token's iat
}

// front tells whether the answer goes through the browser, where nobody can prove a key.
func (work *deal) front() bool {
	return work.Begins && (work.GrantType == oauth.Implicit || work.GrantType == oauth.AuthorizationCode)
}

func (d *Desk) now() time.Time {
	if d.Now != nil {
		return d.Now().UTC()
	}
	return time.Now().UTC()
}

// Issue fulfils an order. Its errors are *oauth.Error for what the client may know, iam.ErrRaced when what the order was
// read from has changed and is to be read again, iam.ErrUnavailable, or faults of ours.
func (d *Desk) Issue(ctx context.Context, order token.Order) (token.Answer, error) {
	work := &deal{Order: order, policy: d.Policy(), id: uuid.NewString(), now: d.now()}
	work.rules = work.policy.Rules(order.Audience)
	work.asks = [2]recipe.Demands{work.Client.Demands(), work.rules.Demands}
	for _, step := range d.Steps {
		if err := step.Check(ctx, d, work); err != nil {
			return token.Answer{}, err
		}
	}
	answer, deed, err := d.make(ctx, work)
	if err != nil {
		return token.Answer{}, err
	}
	deed.Events = []journal.Event{work.event(ctx, &answer)}
	if order.Spend != nil {
		if err := order.Spend(ctx); err != nil {
			return token.Answer{}, err
		}
	}
	if err := d.Deeds.Issue(ctx, deed); err != nil {
		return token.Answer{}, Spoken(err)
	}
	return answer, nil
}

func (work *deal) event(ctx context.Context, answer *token.Answer) journal.Event {
	var gave []string
	for _, each := range []struct{ name, value string }{
		{"access_token", answer.AccessToken}, {"id_token", answer.IDToken}, {"refresh_token", answer.RefreshToken}, {"code", answer.Code},
		{"device_secret", answer.DeviceSecret},
	} {
		if each.value != "" {
			gave = append(gave, each.name)
		}
	}
	event := journal.New(work.now, journal.TokenIssued{
		GrantType: string(work.GrantType), Scope: answer.Scope, Audience: work.Audience, TokenID: work.id, Gave: gave,
	})
	event.Actor, event.Client, event.User = "client:"+work.Client.ID, work.Client.ID, work.Subject
	event.Session, event.Grant, event.Trace = work.Grant.Session, work.Grant.ID, web.Trace(ctx)
	return event
}

// Spoken turns an engine's answer into the words of the protocol. What differs only for an attacker reads the same.
func Spoken(err error) error {
	for _, known := range []error{iam.ErrNotFound, iam.ErrMismatch, iam.ErrSpent, iam.ErrExpired, iam.ErrRevoked} {
		if errors.Is(err, known) {
			return Refused(err)
		}
	}
	return err
}

// Refused is the one text for a proof that can't be used, whatever the cause (T29).
func Refused(cause error) error {
	return oauth.InvalidGrant("the grant is unknown, expired, spent, revoked or not this client's").Because(cause)
}

// Step is one check that every order passes, whichever door it came through.
type Step struct {
	Name  string
	Check func(context.Context, *Desk, *deal) error
}

// Standard are the checks of issue, in their order.
var Standard = []Step{
	{"policy in force", policyInForce},
	{"client in good standing", clientStands},
	{"grant type allowed", grantAllowed},
	{"profile", profileMet},
	{"scope within client", scopeWithinClient},
	{"scope known", scopeKnown},
	{"audience", audienceNamed},
	{"details", detailsGranted},
	{"binding", bindingDecided},
	{"user in good standing", userStands},
	{"assurance", levelSuffices},
	{"restore confirmed", admitted},
	{"grant in good standing", grantStands},
	{"consent current", consentCurrent},
}

// Without gives the steps less one, for the lab and the mutation tests. It panics on a name that there is not.
func Without(name string) []Step {
	at := slices.IndexFunc(Standard, func(step Step) bool { return step.Name == name })
	if at < 0 {
		panic("issue: no step named " + name)
	}
	return slices.Delete(slices.Clone(Standard), at, at+1)
}
