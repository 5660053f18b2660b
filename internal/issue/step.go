package issue

import (
	"context"
	"errors"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/recipe"
)

func policyInForce(_ context.Context, _ *Desk, work *deal) error {
	if work.policy == nil || work.policy.Recipe == nil {
		return oauth.Unavailable("no recipe is in force yet")
	}
	return nil
}

func clientStands(_ context.Context, _ *Desk, work *deal) error {
	if work.Client.ID == "" || work.Client.Disabled {
		return oauth.InvalidClient().Because(iam.ErrRevoked)
	}
	return nil
}

func grantAllowed(_ context.Context, _ *Desk, work *deal) error {
	if !work.Client.MayUse(work.GrantType) {
		return oauth.UnauthorizedClient("the client is not registered for this grant")
	}
	return nil
}

// scopeWithinClient looks at what the client may have now: a scope that the recipe took away is not given again by an
// old grant.
func scopeWithinClient(_ context.Context, _ *Desk, work *deal) error {
	if !work.Scope.Within(work.Client.Scope) {
		return oauth.InvalidScope("more than the client may have")
	}
	return nil
}

func scopeKnown(_ context.Context, _ *Desk, work *deal) error {
	for _, name := range work.Scope {
		if !work.policy.Knows(name) {
			return oauth.InvalidScope("an unknown scope")
		}
	}
	return nil
}

// audienceNamed refuses to issue without an audience: absent must never read as any.
func audienceNamed(_ context.Context, _ *Desk, work *deal) error {
	if work.Audience == "" && !work.NoAccess {
		return oauth.InvalidTarget("the token would be for nobody")
	}
	return nil
}

func userStands(ctx context.Context, desk *Desk, work *deal) error {
	if work.Subject == "" {
		return nil
	}
	user, err := desk.Users.User(ctx, work.Subject)
	switch {
	case errors.Is(err, iam.ErrNotFound), err == nil && user.Disabled:
		return Refused(iam.ErrRevoked)
	case err != nil:
		return err
	}
	work.user = user
	return nil
}

// admitted lets only administrators, and the Gates that follow revocations, have tokens after a restore: what was revoked
// since the backup is not known until one of them confirms.
func admitted(_ context.Context, desk *Desk, work *deal) error {
	if desk.Confined == nil || !desk.Confined() || work.user.Admin {
		return nil
	}
	if work.Subject == "" && len(work.Scope) == 1 && work.Scope.Has(oauth.ScopeGate) {
		return nil
	}
	return oauth.Unavailable("the storage was restored, and an administrator has not confirmed it yet")
}

// grantStands is told again by the deed itself, which sees what was revoked a moment ago; here it spares the signature.
func grantStands(_ context.Context, _ *Desk, work *deal) error {
	if !work.Grant.Revoked.IsZero() || work.Grant.ID != "" && !work.Grant.Expires.After(work.now) {
		return Refused(iam.ErrRevoked)
	}
	if work.Grant.ID != "" && (work.Grant.Client != work.Client.ID || work.Grant.User != work.Subject) {
		return Refused(iam.ErrMismatch)
	}
	return nil
}

// consentCurrent leaves it to the deed to see that what was read, or is remembered, still stands.
func consentCurrent(ctx context.Context, desk *Desk, work *deal) error {
	if work.Subject == "" || work.Client.Consent == recipe.ConsentImplied {
		return nil
	}
	if work.GrantType == oauth.JWTBearer { // nobody is there to be asked: the recipe allowed it when it named the issuer
		return nil
	}
	if desk.Recalled != nil {
		if consent, ok := desk.Recalled.Allowed(work.Subject, work.Client.ID, work.Scope); ok {
			work.given = &consent
			return nil
		}
	}
	consent, err := desk.Consents.Consent(ctx, work.Subject, work.Client.ID)
	switch {
	case errors.Is(err, iam.ErrNotFound), err == nil && !work.Scope.Within(consent.Scope):
		return Refused(iam.ErrRevoked)
	case err != nil:
		return err
	}
	work.given = &consent
	return nil
}
