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
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/token"
	"github.com/gardeauth/garde/internal/web"
	"github.com/gardeauth/garde/recipe"
)

// Signers gives the key that signs now by an algorithm.
type Signers interface {
	Signer(alg jose.Alg) (*jose.Signer, error)
}

// Desk issues. All fields but Recalled, Confined and Now are required.
type Desk struct {
	Issuer   string
	Deeds    iam.Issuing
	Users    iam.Users
	Consents iam.Consents
	Recalled iam.RecalledConsents // nil: nothing is remembered
	Keys     Signers
	Policy   func() *assurance.Policy
	Confined func() bool      // after a restore: only administrators, and the Gates; nil: never
	Steps    []Step           // Standard, but in a lab
	Now      func() time.Time // nil: time.Now
}

// deal is an order on its way through the steps.
type deal struct {
	token.Order
	policy *assurance.Policy
	user   iam.User
	given  *iam.Consent // what the person allowed, as it was read; nil: nobody is asked
	id     string       // jti of the access token
	now    time.Time    // read before the first step: whatever is revoked later has a later cut-off than this token's iat
}

// Issue fulfils an order. Its errors are *oauth.Error for what the client may know, iam.ErrRaced when what the order was
// read from has changed and is to be read again, iam.ErrUnavailable, or faults of ours.
func (d *Desk) Issue(ctx context.Context, order token.Order) (token.Answer, error) {
	now := time.Now
	if d.Now != nil {
		now = d.Now
	}
	work := &deal{Order: order, policy: d.Policy(), id: uuid.NewString(), now: now().UTC()}
	for _, step := range d.Steps {
		if err := step.Check(ctx, d, work); err != nil {
			return token.Answer{}, err
		}
	}
	answer, deed, err := d.make(work)
	if err != nil {
		return token.Answer{}, err
	}
	deed.Events = []journal.Event{work.event(ctx, &answer)}
	if err := d.Deeds.Issue(ctx, deed); err != nil {
		return token.Answer{}, Spoken(err)
	}
	return answer, nil
}

// make signs what the order asks for and writes down the deed that will make it true.
func (d *Desk) make(work *deal) (token.Answer, iam.Issue, error) {
	lives := work.policy.Lives
	stamp := token.Stamp{Issuer: d.Issuer, ID: work.id, Now: work.now, Life: lives.Access}
	deed := iam.Issue{
		Now: work.now, Client: work.Client.ID, User: work.Subject, Session: work.Grant.Session, Allowed: work.given,
		Code: work.Code, Refresh: work.Refresh,
	}
	answer := token.Answer{TokenType: "Bearer", ExpiresIn: int64(lives.Access / time.Second), Scope: work.Scope.String()}
	if work.Kind == recipe.TokenOpaque {
		answer.AccessToken = iam.NewSecret(iam.PrefixAccess)
		row := token.OpaqueOf(work.Order, stamp, answer.AccessToken)
		deed.NewAccess = &row
	} else {
		signer, err := d.Keys.Signer(jose.ES256)
		if err != nil {
			return answer, deed, err
		}
		if answer.AccessToken, err = signer.Sign(token.TypeAccess, token.AccessOf(work.Order, stamp)); err != nil {
			return answer, deed, err
		}
	}
	d.refresh(work, &answer, &deed)
	if !work.GiveID {
		return answer, deed, nil
	}
	var err error
	answer.IDToken, err = d.idToken(work, stamp, answer.AccessToken)
	return answer, deed, err
}

// refresh gives the first refresh token, rotates the one that was shown, or lets it live on.
func (d *Desk) refresh(work *deal, answer *token.Answer, deed *iam.Issue) {
	idle := work.now.Add(work.policy.Lives.RefreshIdle)
	fresh := func() *iam.Refresh {
		answer.RefreshToken = iam.NewSecret(iam.PrefixRefresh)
		return &iam.Refresh{Hash: iam.HashRefresh(answer.RefreshToken), Grant: work.Grant.ID, Created: work.now, Idle: idle}
	}
	switch {
	case work.Code != nil && work.GiveRefresh:
		deed.NewRefresh = fresh()
	case work.Refresh != nil && work.Client.Rotates():
		deed.Replace = fresh()
	case work.Refresh != nil:
		deed.Idle = idle
	}
}

func (d *Desk) idToken(work *deal, stamp token.Stamp, access string) (string, error) {
	alg := jose.Alg(work.Client.IDTokenAlg)
	if alg == "" {
		alg = jose.ES256
	}
	signer, err := d.Keys.Signer(alg)
	if err != nil {
		return "", err
	}
	wanted, err := iam.ReadWanted(work.Claims)
	if err != nil { // checked when the request was read: ours
		return "", err
	}
	wanted = wanted.Within(work.Client.Scope) // what the recipe took away since is not given again
	stamp.Life = work.policy.Lives.ID
	return signer.Sign(token.TypeID, token.IDOf(work.Order, stamp, string(alg), access, token.IDClaims(work.user, wanted)))
}

func (work *deal) event(ctx context.Context, answer *token.Answer) journal.Event {
	gave := []string{"access_token"}
	if answer.IDToken != "" {
		gave = append(gave, "id_token")
	}
	if answer.RefreshToken != "" {
		gave = append(gave, "refresh_token")
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
	{"scope within client", scopeWithinClient},
	{"scope known", scopeKnown},
	{"audience", audienceNamed},
	{"user in good standing", userStands},
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
