package issue_test

import (
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/token"
)

// TestDeviceSecretsAreOfASessionAndAFamily: what apps share is for a family, in a session that lives, with an ID token.
func TestDeviceSecretsAreOfASessionAndAFamily(t *testing.T) {
	h := open(t)
	session := iam.Session{ID: "s-1", Hash: iam.HashSession(iam.NewSecret(iam.PrefixSession)), User: "u-alice", AuthTime: h.now, Created: h.now, Seen: h.now, Expires: h.now.Add(time.Hour)}
	h.must(h.tenant.StartSession(t.Context(), session, iam.SessionHash{}))
	app := h.client("c-native")
	app.Scope, app.Apps = append(everything, oauth.ScopeDevice), "bank"
	h.must(h.tenant.PutClient(t.Context(), app))
	scope := oauth.Scope{"openid", "read", oauth.ScopeDevice}
	h.must(h.tenant.GiveConsent(t.Context(), iam.Consent{User: "u-alice", Client: "c-native", Scope: scope, Given: h.now}))
	order := func(change func(*token.Order)) token.Order {
		made := h.codeWith("c-native", func(c *iam.Code) { c.Grant.Session, c.Grant.Login, c.Grant.Scope = "s-1", "s-1", scope })
		made.Grant.Session, made.Grant.Login, made.Grant.Scope, made.Scope, made.GiveDevice = "s-1", "s-1", scope, scope, true
		change(&made)
		return made
	}
	answer := h.issued(order(func(o *token.Order) { o.Proven.JKT = "a-key" }))
	kept, in, err := h.tenant.DeviceSecret(t.Context(), iam.HashDeviceSecret(answer.DeviceSecret), h.now)
	h.must(err)
	if kept.User != "u-alice" || kept.Session != "s-1" || in.ID != "s-1" || kept.Family != "bank" || kept.Client != "c-native" || kept.JKT != "a-key" {
		t.Errorf("kept %+v", kept)
	}
	claims := h.verified(answer.IDToken, jose.ES256, token.TypeID)
	if claims["ds_hash"] != token.DeviceHash(answer.DeviceSecret) || claims["sid"] != "s-1" {
		t.Errorf("%v", claims)
	}
	if shown := h.issued(order(func(o *token.Order) { o.Device = answer.DeviceSecret })); shown.DeviceSecret != answer.DeviceSecret {
		t.Errorf("the one that was shown lives on, and not %q", shown.DeviceSecret)
	}
	for name, change := range map[string]func(*token.Order){
		"not asked for": func(o *token.Order) { o.GiveDevice = false },
		"no scope":      func(o *token.Order) { o.Scope = oauth.Scope{"openid", "read"} },
		"no ID token":   func(o *token.Order) { o.GiveID = false },
		"no family":     func(o *token.Order) { o.Client.Apps = "" },
		"no session": func(o *token.Order) {
			*o = h.codeWith("c-native", func(c *iam.Code) { c.Grant.Scope = scope })
			o.Grant.Scope, o.Scope, o.GiveDevice, o.Client.Apps = scope, scope, true, "bank"
		},
	} {
		t.Run(name, func(t *testing.T) {
			if answer := h.issued(order(change)); answer.DeviceSecret != "" {
				t.Errorf("%+v", answer)
			}
		})
	}
	t.Run("the session has ended", func(t *testing.T) {
		late := order(func(*token.Order) {})
		h.must(h.tenant.EndSession(t.Context(), "s-1"))
		h.refused(late, "invalid_grant")
	})
}
