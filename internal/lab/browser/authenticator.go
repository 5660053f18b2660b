package browser

import (
	"context"
	"slices"

	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

// Authenticator is a virtual authenticator to put into a tab. The zero value is a security key on USB that can't tell who
// holds it.
type Authenticator struct {
	Inside bool // of the device: with passkeys that are found by the site, and a check of the person, who is the right one
	Synced bool // its passkeys are copied to other devices
}

// Hold puts an authenticator into the tab: from now on it answers whatever the page asks of one. What is returned takes it
// away again.
func (p *Page) Hold(a Authenticator) (remove func()) {
	p.t.Helper()
	options := webauthn.VirtualAuthenticatorOptions{
		Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportUsb, AutomaticPresenceSimulation: true,
		DefaultBackupEligibility: a.Synced, DefaultBackupState: a.Synced,
	}
	if a.Inside {
		options.Transport, options.HasResidentKey = webauthn.AuthenticatorTransportInternal, true
		options.HasUserVerification, options.IsUserVerified = true, true
	}
	var id webauthn.AuthenticatorID
	p.call("hold an authenticator", func(ctx context.Context) error {
		if _, err := chromedp.Call(ctx, webauthn.Enable, webauthn.EnableParams{}); err != nil {
			return err
		}
		made, err := chromedp.Call(ctx, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &options})
		if err == nil {
			id = made.AuthenticatorID
			p.held = append(p.held, id)
		}
		return err
	})
	return func() {
		p.t.Helper()
		p.call("take an authenticator away", func(ctx context.Context) error {
			_, err := chromedp.Call(ctx, webauthn.RemoveVirtualAuthenticator, webauthn.RemoveVirtualAuthenticatorParams{AuthenticatorID: id})
			return err
		})
		p.held = slices.DeleteFunc(p.held, func(other webauthn.AuthenticatorID) bool { return other == id })
	}
}

// Touch says whether the person touches the tab's authenticators when they are asked to, as they do at first.
func (p *Page) Touch(willing bool) {
	p.t.Helper()
	for _, id := range p.held {
		p.call("touch an authenticator, or not", func(ctx context.Context) error {
			_, err := chromedp.Call(ctx, webauthn.SetAutomaticPresenceSimulation, webauthn.SetAutomaticPresenceSimulationParams{AuthenticatorID: id, Enabled: willing})
			return err
		})
	}
}
