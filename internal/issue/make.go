package issue

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/token"
	"github.com/gardeauth/garde/recipe"
)

// make signs what the order asks for and writes down the deed that will make it true.
func (d *Desk) make(ctx context.Context, work *deal) (token.Answer, iam.Issue, error) {
	deed := iam.Issue{
		Now: work.now, Client: work.Client.ID, User: work.Subject, Session: work.Grant.Session, Allowed: work.given,
		Code: work.Code, Refresh: work.Refresh, Asked: work.Asked, Flow: work.Flow, Pushed: work.Pushed,
	}
	if work.Refresh == nil && work.Grant.ID != "" {
		deed.Binding = work.family()
	}
	answer := token.Answer{IssuedType: work.IssuedType}
	d.begin(work, &answer, &deed)
	d.refresh(work, &answer, &deed)
	d.device(work, &answer, &deed)
	stamp, err := d.stamp(work)
	if err != nil {
		return answer, deed, err
	}
	if !work.NoAccess {
		if err := d.access(work, stamp, &answer, &deed); err != nil {
			return answer, deed, err
		}
	}
	if work.GiveID {
		answer.IDToken, err = d.idToken(ctx, work, stamp, &answer)
	}
	return answer, deed, err
}

// stamp is what the tokens of this answer share.
func (d *Desk) stamp(work *deal) (token.Stamp, error) {
	stamp := token.Stamp{
		Issuer: d.Issuer, ID: work.id, Now: work.now, Life: work.policy.Lives.Access,
		Subject: token.Subject(d.salt(), work.Client, work.Subject), Binding: work.bound, Details: work.detail.String(),
	}
	if stamp.Subject == "" && work.Subject != "" {
		return stamp, errors.New("issue: a pairwise subject needs the salt, and there is none")
	}
	return stamp, nil
}

func (d *Desk) salt() []byte {
	if d.Salt == nil {
		return nil
	}
	return d.Salt()
}

// begin writes down the grant that begins without a proof in storage, and the code of the hybrid flow.
func (d *Desk) begin(work *deal, answer *token.Answer, deed *iam.Issue) {
	if !work.Begins {
		return
	}
	grant := work.Grant
	grant.Binding = deed.Binding
	deed.Begin = &grant
	deed.Session = cmp.Or(grant.Session, grant.Login) // in which it is given, also when it is to outlive it
	if work.GiveCode == nil {
		return
	}
	code := *work.GiveCode
	answer.Code = iam.NewSecret(iam.PrefixCode)
	code.Hash, code.Grant = iam.HashCode(answer.Code), grant
	if code.Created.IsZero() {
		code.Created, code.Expires = work.now, work.now.Add(work.policy.Lives.Code)
	}
	deed.NewCode = &code
}

// access makes the access token: signed, or a row; encrypted where the API has a key for it.
func (d *Desk) access(work *deal, stamp token.Stamp, answer *token.Answer, deed *iam.Issue) error {
	answer.TokenType, answer.ExpiresIn, answer.Scope = token.TypeOf(work.bound), int64(stamp.Life/time.Second), work.Scope.String()
	answer.Details = json.RawMessage(stamp.Details)
	if work.Kind == recipe.TokenOpaque {
		answer.AccessToken = iam.NewSecret(iam.PrefixAccess)
		row := token.OpaqueOf(work.Order, stamp, answer.AccessToken)
		deed.NewAccess = &row
		return nil
	}
	signer, err := d.Keys.Signer(jose.ES256)
	if err != nil {
		return err
	}
	answer.AccessToken, err = signer.Sign(token.TypeAccess, token.AccessOf(work.Order, stamp))
	if lock := work.rules.Encryption; err == nil && lock != nil {
		answer.AccessToken, err = lock.Key.Encrypt(lock.Alg, lock.Content, token.TypeAccess, "JWT", []byte(answer.AccessToken))
	}
	return err
}

// refresh gives the first refresh token, rotates the one that was shown, or lets it live on. What is bound to a key is
// no use to a thief: it does not rotate (RFC 9700 section 4.14.2).
func (d *Desk) refresh(work *deal, answer *token.Answer, deed *iam.Issue) {
	idle := work.now.Add(work.policy.Lives.RefreshIdle)
	fresh := func() *iam.Refresh {
		answer.RefreshToken = iam.NewSecret(iam.PrefixRefresh)
		return &iam.Refresh{Hash: iam.HashRefresh(answer.RefreshToken), Grant: work.Grant.ID, Created: work.now, Idle: idle}
	}
	switch {
	case work.GiveRefresh && (work.Code != nil || work.Asked != nil || work.Begins):
		deed.NewRefresh = fresh()
	case work.Refresh != nil && work.Client.Rotates() && !work.Grant.Binding.Bound():
		deed.Replace = fresh()
	case work.Refresh != nil:
		deed.Idle = idle
	}
}

func (d *Desk) idToken(ctx context.Context, work *deal, stamp token.Stamp, answer *token.Answer) (string, error) {
	wanted, err := iam.ReadWanted(work.Claims)
	if err != nil { // checked when the request was read: ours
		return "", err
	}
	wanted = wanted.Within(work.Client.Scope) // what the recipe took away since is not given again
	var opened oauth.Scope
	if work.NoAccess && work.GiveCode == nil { // there will be no userinfo
		opened = work.Scope.And(work.Client.Scope)
	}
	beside := token.Beside{Access: answer.AccessToken, Code: answer.Code, Device: answer.DeviceSecret}
	if work.front() {
		beside.State = work.State
	}
	form := token.IDForm(work.Client)
	stamp.Life = work.policy.Lives.ID
	claims := token.IDOf(work.Order, stamp, string(form.Signature()), beside, token.IDClaims(work.user, opened, wanted))
	return d.writer().Write(ctx, work.Client, form, claims)
}

func (d *Desk) writer() token.Writer { return token.Writer{Keys: d.Keys, Locks: d.Locks} }
