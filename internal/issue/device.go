package issue

import (
	"cmp"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/token"
)

// device gives the device secret that the apps of a family share (OpenID Native SSO section 3.4): the one that was shown,
// or a new one for the session in which the grant began, bound to the key that was proved. Without an ID token there is
// none, for each is worth nothing without the other.
func (d *Desk) device(work *deal, answer *token.Answer, deed *iam.Issue) {
	session := cmp.Or(work.Grant.Session, work.Grant.Login)
	if !work.GiveID || !work.Scope.Has(oauth.ScopeDevice) || work.Client.Apps == "" || session == "" {
		return
	}
	answer.DeviceSecret = work.Device
	if work.Device != "" || !work.GiveDevice {
		return
	}
	answer.DeviceSecret = iam.NewSecret(iam.PrefixNative)
	deed.NewDevice = &iam.DeviceSecret{
		Hash: iam.HashDeviceSecret(answer.DeviceSecret), User: work.Subject, Session: session, Family: work.Client.Apps,
		Client: work.Client.ID, JKT: work.Proven.JKT, Created: work.now, Expires: work.now.Add(work.policy.Lives.Session),
	}
}
