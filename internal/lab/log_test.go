package lab_test

import (
	"strings"
	"testing"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/lab"
)

// TestJ37NoSecretIsLogged uses every kind of secret, rightly and wrongly, and then looks for it in the log and in the
// journal (J37, A08). The log is at its most talkative.
func TestJ37NoSecretIsLogged(t *testing.T) {
	h := lab.New(t, lab.Options{Gate: true})
	alice := h.NewPerson("alice")
	code := h.Code(alice, lab.Plant{})
	tokens, opaque := h.Tokens(alice, lab.Plant{}), h.Tokens(alice, lab.Plant{Scope: "openid vault.read"})
	assertion := h.Assertion(lab.JobKey, nil)
	cookie := strings.TrimPrefix(alice.Cookie, "garde-session=")
	secrets := []string{
		code.Value, tokens.AccessToken, tokens.RefreshToken, tokens.IDToken, opaque.AccessToken, opaque.RefreshToken, assertion, cookie,
		h.Secret(lab.WebA), h.Secret(lab.WebB), lab.Verifier,
	}
	for _, secret := range secrets {
		for _, path := range []string{"/token", "/introspect", "/revoke"} {
			h.As(lab.WebA, path, lab.Form("token", secret, "grant_type", "refresh_token", "refresh_token", secret))
			h.Post(path, lab.Form("client_id", lab.WebB, "client_secret", secret))
			h.Post(path, lab.Form("client_id", secret, "client_assertion", secret, "client_assertion_type", lab.AssertionType))
			h.Post(path, nil, "Authorization", "Basic "+secret)
			h.Post(path+"?token="+secret, nil)
		}
		h.As(lab.WebA, "/token", lab.Form("grant_type", "authorization_code", "code", secret, "code_verifier", lab.Verifier))
		h.UserInfo(secret)
		h.Get("/userinfo?access_token="+secret, "Cookie", "garde-session="+secret)
		h.Call("GET", "/accounts/balance", secret)
		h.Call("GET", "/vault/secrets?access_token="+secret, secret)
		ask := lab.Ask(lab.WebA)
		ask.Set("id_token_hint", secret)
		h.Authorize(alice, ask)
	}
	events, err := h.Store().Events(t.Context(), iam.JournalQuery{Limit: 500})
	must(t, err)
	kept := &strings.Builder{}
	for _, event := range events {
		kept.WriteString(strings.Join([]string{event.Actor, event.Client, event.User, event.Session, event.Grant}, " "))
		kept.Write(forger{t: t}.json(event))
	}
	if !strings.Contains(h.Log.String(), "refused") || kept.Len() == 0 {
		t.Fatal("nothing was logged, so that this proves nothing")
	}
	for _, secret := range secrets {
		for where, text := range map[string]string{"the log": h.Log.String(), "the journal": kept.String()} {
			if at := strings.Index(text, secret); at >= 0 {
				t.Errorf("%s holds a secret: %.40s...", where, text[max(0, at-80):at+20])
			}
		}
	}
}
