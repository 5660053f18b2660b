package lab_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/gardeauth/garde/internal/lab"
)

// Two people are signed in in one browser. A request that names one of them is answered for them, also while the other is at
// the front, and never for the other.
func TestS14AHintFindsTheAccountThatIsSetAside(t *testing.T) {
	h := onLocalhost(t, lab.Options{Recipe: climbing})
	ada, bob := newClimber(t, h, "ada"), newClimber(t, h, "bob")
	bob.at = ada.at // one browser
	first, ok := ada.tokens(h.Node, lab.WebA, ada.proves(h.Node, ada.asks(h.Node, lab.WebA), "password"))
	if !ok {
		t.Fatal("ada has no tokens")
	}
	aside := func(page lab.Reply) lab.Reply {
		t.Helper()
		return ada.follow(h.Node, ada.post(h.Node, "/choose", page, "other", "yes"))
	}
	bob.proves(h.Node, aside(ada.get(h.Node, "/choose")), "password")
	silent := func(t *testing.T, code string, more ...string) {
		t.Helper()
		reply := ada.asks(h.Node, lab.WebA, append(more, "prompt", "none")...)
		if sent, ok := reply.Sent(lab.Redirect(lab.WebA)); !ok || sent.Get("error") != code {
			t.Errorf("%d %s, want %s", reply.Status, reply.Header.Get("Location"), code)
		}
	}
	t.Run("without a word", func(t *testing.T) {
		silent(t, "login_required", "id_token_hint", first.IDToken) // not that they are there, too: that is nobody's to learn in silence
		before := ada.cookies["garde-session"]
		if _, ok := ada.tokens(h.Node, lab.WebA, ada.asks(h.Node, lab.WebA, "id_token_hint", first.IDToken, "prompt", "none")); ok {
			t.Error("a client chose for the person")
		}
		if ada.cookies["garde-session"] != before {
			t.Error("who was at the front is not any more")
		}
	})
	t.Run("and goes on as them", func(t *testing.T) {
		got, ok := ada.tokens(h.Node, lab.WebA, ada.asks(h.Node, lab.WebA, "id_token_hint", first.IDToken))
		if !ok || subject(t, got.IDToken) != ada.user.ID {
			t.Errorf("answered %v", ok)
		}
		if page := ada.get(h.Node, "/account"); !strings.Contains(string(page.Body), "ada") {
			t.Errorf("%d\n%s", page.Status, page.Body)
		}
	})
	t.Run("S13 the chooser asks whom, and for no password", func(t *testing.T) {
		aside(ada.get(h.Node, "/choose"))       // nobody is at the front
		silent(t, "account_selection_required") // OpenID Connect Core section 3.1.2.6
		silent(t, "account_selection_required", "id_token_hint", first.IDToken)
		page := ada.asks(h.Node, lab.WebA, "prompt", "select_account")
		if page.Status != http.StatusOK || !strings.Contains(string(page.Body), `action="/choose"`) {
			t.Fatalf("%d\n%s", page.Status, page.Body)
		}
		living, err := h.Store().UserSessions(t.Context(), ada.user.ID)
		must(t, err)
		if got, ok := ada.tokens(h.Node, lab.WebA, ada.within(h.Node, ada.post(h.Node, "/choose", page, "session", living[0].ID))); !ok ||
			subject(t, got.IDToken) != ada.user.ID {
			t.Errorf("answered %v", ok)
		}
	})
}

// subject is whom an ID token names.
func subject(t *testing.T, text string) string {
	t.Helper()
	var claims struct {
		Subject string `json:"sub"`
	}
	body, err := base64.RawURLEncoding.DecodeString(strings.Split(text, ".")[1])
	must(t, err)
	must(t, json.Unmarshal(body, &claims))
	return claims.Subject
}
