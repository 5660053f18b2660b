package revoke

import (
	"context"
	"errors"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/web"
)

// Sessions ends sessions.
type Sessions interface {
	EndSession(ctx context.Context, id string, events ...journal.Event) error
}

// device signs the person out of every app of the family: the session that the device secret stands for ends, with all that
// was given in it (OpenID Native SSO section 4.3). Any app of the family may: they share the secret for that, too. No key
// has to be proved, since nothing is given.
func (e *Endpoint) device(ctx context.Context, client iam.Client, value string) error {
	if e.Secrets == nil || e.Sessions == nil || client.Apps == "" {
		return nil
	}
	secret, _, err := e.Secrets.DeviceSecret(ctx, iam.HashDeviceSecret(value), e.Now().UTC())
	switch {
	case errors.Is(err, iam.ErrNotFound), err == nil && secret.Family != client.Apps:
		return nil
	case err != nil:
		return err
	}
	event := journal.New(e.Now().UTC(), journal.SignedOut{})
	event.Actor, event.Client, event.User, event.Session = "client:"+client.ID, client.ID, secret.User, secret.Session
	event.Trace = web.Trace(ctx)
	return e.Sessions.EndSession(ctx, secret.Session, event)
}
