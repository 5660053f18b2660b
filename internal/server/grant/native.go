package grant

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/issue"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/server/request"
	"github.com/gardeauth/garde/internal/token"
)

// Native is what the apps of a family need to share a sign-in (OpenID Native SSO). All fields are required.
type Native struct {
	Issuer   string
	Secrets  iam.DeviceSecrets
	Sessions iam.LivingSessions
	Hints    Hints
	Clients  iam.Clients
	Consents iam.Consents
	Subject  func(client iam.Client, user string) string // what a client calls a person
	// Decide says whether a session is sure enough for what an app asks for, and what its tokens may truthfully say of it.
	Decide func(ctx context.Context, moment Moment) (assurance.Decision, error)
}

// Moment is a sign-in that is to serve one more app.
type Moment struct {
	Session iam.Session
	Client  iam.Client
	Scope   oauth.Scope
	Bound   bool // a key was proved
	Address netip.Addr
	Agent   string
}

// Hints verifies ID tokens of this server, expired ones too. Its errors are *oauth.Error.
type Hints interface {
	ReadHint(ctx context.Context, text string) (request.Hint, error)
}

// offer says which device secret a code or a refresh token brings along: the one that was shown, if it is good, else a new
// one if fresh. What was shown and is not good counts as not shown (section 3.4).
func (n *Native) offer(ctx context.Context, r Request, order token.Order, fresh bool, now time.Time) (token.Order, error) {
	if n == nil || r.Client.Apps == "" || !order.Scope.Has(oauth.ScopeDevice) || !order.GiveID {
		return order, nil
	}
	order.GiveDevice = fresh
	shown := r.Form.Value("device_secret")
	if shown == "" {
		return order, nil
	}
	found, session, err := n.Secrets.DeviceSecret(ctx, iam.HashDeviceSecret(shown), now.UTC())
	switch {
	case errors.Is(err, iam.ErrNotFound):
		return order, nil
	case err != nil:
		return order, err
	}
	began := cmp.Or(order.Grant.Session, order.Grant.Login)
	if found.User == order.Grant.User && session.ID == began && found.Family == r.Client.Apps && proves(r.Proven, found) {
		order.Device = shown
	}
	return order, nil
}

// proves tells whether the caller proved the key that a device secret is bound to, if it is bound to one.
func proves(proven iam.Binding, found iam.DeviceSecret) bool {
	return iam.Binding{JKT: found.JKT}.ProvenBy(proven)
}

// shared is a sign-in in one app that serves another.
type shared struct {
	secret  iam.DeviceSecret
	session iam.Session
}

// pair checks that ID token and device secret are of one sign-in, that it lives, that the app which asks and those which
// got them are of one family, and that the key was proved. Why not is told to nobody.
func (n *Native) pair(ctx context.Context, r Request, hint request.Hint, now time.Time, idle time.Duration) (shared, error) {
	value := r.Form.Value("actor_token")
	secret, session, err := n.Secrets.DeviceSecret(ctx, iam.HashDeviceSecret(value), now)
	if err != nil {
		return shared{}, issue.Spoken(err)
	}
	// The session of the ID token, by whichever of its names: a step-up renames it. Where the browser would ask again, for it
	// was not seen for too long, an app is not signed in either.
	living, err := n.Sessions.LivingSession(ctx, hint.Session, now, idle)
	if err != nil {
		return shared{}, issue.Spoken(err)
	}
	if !iam.Hash(token.DeviceHash(value)).Equal(iam.Hash(hint.Device)) || living.ID != session.ID ||
		r.Client.Apps == "" || r.Client.Apps != secret.Family || !proves(r.Proven, secret) {
		return shared{}, issue.Refused(iam.ErrMismatch)
	}
	for _, id := range []string{hint.Client, secret.Client} {
		relative, err := n.Clients.Client(ctx, id)
		switch {
		case errors.Is(err, iam.ErrNotFound):
			return shared{}, issue.Refused(iam.ErrRevoked)
		case err != nil:
			return shared{}, err
		case relative.Disabled || relative.Apps != secret.Family:
			return shared{}, issue.Refused(iam.ErrRevoked)
		case id == hint.Client && n.Subject(relative, secret.User) != hint.Subject:
			return shared{}, issue.Refused(iam.ErrMismatch)
		}
	}
	return shared{secret, session}, nil
}

// scope says what the app gets: what it asks for, else all that it may have. Nobody is there to be asked, so that it is
// never more than was allowed before, and nothing that outlives the session.
func (n *Native) scope(ctx context.Context, r Request, user string) (oauth.Scope, error) {
	asked, err := oauth.ParseScope(r.Form.Value("scope"))
	switch {
	case err != nil:
		return nil, err
	case len(asked) == 0:
		return n.allowed(ctx, r.Client, user)
	case !asked.Has(oauth.ScopeOpenID):
		return nil, oauth.InvalidScope("the scope has no openid")
	case asked.Has(oauth.ScopeOffline):
		return nil, oauth.InvalidScope("what begins here ends with the session: ask for offline_access in the browser")
	case !asked.Within(r.Client.Scope):
		return nil, oauth.InvalidScope("more than the client may have")
	}
	if allowed, err := n.allowed(ctx, r.Client, user); err != nil || asked.Within(allowed) {
		return asked, err
	}
	return nil, unasked()
}

// allowed is what the app may have without asking the person.
func (n *Native) allowed(ctx context.Context, client iam.Client, user string) (oauth.Scope, error) {
	allowed := client.Scope
	if !client.Trusted() {
		consent, err := n.Consents.Consent(ctx, user, client.ID)
		if errors.Is(err, iam.ErrNotFound) {
			return nil, unasked()
		}
		if err != nil {
			return nil, err
		}
		allowed = allowed.And(consent.Scope)
	}
	var kept oauth.Scope
	for _, name := range allowed {
		if name != oauth.ScopeOffline {
			kept = append(kept, name)
		}
	}
	if !kept.Has(oauth.ScopeOpenID) {
		return nil, unasked()
	}
	return kept, nil
}

// unasked sends the app to the browser (section 4.3, step 6).
func unasked() error {
	return oauth.InteractionRequired("the person has not allowed this yet: ask for it in the browser")
}
