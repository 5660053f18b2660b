package lab_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/lab"
)

// arrival is the link that a browser opens for a pushed request.
func arrival(client, uri string) url.Values { return lab.Form("client_id", client, "request_uri", uri) }

// TestPushedRequestsThroughTheDoors: from /par over the browser to the token, with the key of the proof that came along.
func TestPushedRequestsThroughTheDoors(t *testing.T) {
	h := lab.New(t, lab.Options{})
	alice := h.NewPerson("alice")
	own, thief := newHolder(t, h), newHolder(t, h)
	for _, client := range []string{lab.WebA, lab.WebKey, lab.Native, lab.Browser} {
		t.Run("D15 "+client, func(t *testing.T) {
			ask := lab.Ask(client)
			pushed := own.post(client, "/par", ask)
			if pushed.Status != 201 || pushed.True("error") || pushed.Text("request_uri") == "" {
				t.Fatalf("%d %s", pushed.Status, pushed.Body)
			}
			back, ok := h.Authorize(alice, arrival(client, pushed.Text("request_uri"))).Sent(lab.Redirect(client))
			if client == lab.Native { // which can't prove to be itself, so that the person is asked each time
				if ok {
					t.Error("nobody was asked")
				}
				return
			}
			if !ok || back.Get("code") == "" || back.Get("state") != "a-state" || back.Get("iss") != h.Issuer {
				t.Fatalf("%v", back)
			}
			form := lab.Form("grant_type", "authorization_code", "code", back.Get("code"), "code_verifier", lab.Verifier, "redirect_uri", lab.Redirect(client))
			refused(t, thief.post(client, "/token", form), 400, "invalid_grant")
			refused(t, h.As(client, "/token", form), 400, "invalid_grant")
			granted(t, own.post(client, "/token", form))
			if again := h.Authorize(alice, arrival(client, pushed.Text("request_uri"))); again.Status != 400 || again.Header.Get("Location") != "" {
				t.Errorf("P03 the link once more: %d %s", again.Status, again.Header.Get("Location"))
			}
		})
	}
	t.Run("D15 another key than dpop_jkt", func(t *testing.T) {
		ask := lab.Ask(lab.WebKey)
		ask.Set("dpop_jkt", thief.JKT)
		refused(t, own.post(lab.WebKey, "/par", ask), 400, "invalid_dpop_proof")
	})
	t.Run("P02 another client's link", func(t *testing.T) {
		uri := h.As(lab.WebA, "/par", lab.Ask(lab.WebA)).Text("request_uri")
		if reply := h.Authorize(alice, arrival(lab.WebB, uri)); reply.Status != 400 || reply.Header.Get("Location") != "" {
			t.Errorf("%d %s", reply.Status, reply.Header.Get("Location"))
		}
	})
	t.Run("C20 a request_uri as a code", func(t *testing.T) {
		uri := h.As(lab.WebA, "/par", lab.Ask(lab.WebA)).Text("request_uri")
		refused(t, h.As(lab.WebA, "/token", lab.Form("grant_type", "authorization_code", "code", uri, "code_verifier", lab.Verifier)), 400, "invalid_grant")
	})
	t.Run("P01 the client is disabled meanwhile", func(t *testing.T) {
		uri := h.As(lab.WebSpare, "/par", lab.Ask(lab.WebSpare)).Text("request_uri")
		must(t, h.Store().SetClientDisabled(t.Context(), lab.WebSpare, true))
		h.Within(time.Second, "a disabled client's request ends", func() bool {
			return h.Authorize(alice, arrival(lab.WebSpare, uri)).Status == 400
		})
	})
}

// TestP03OneOfManyTabsGetsTheCode: the link may be opened everywhere at once, on every node.
func TestP03OneOfManyTabsGetsTheCode(t *testing.T) {
	for engine, nodes := range map[string]int{lab.SQLite: 1, lab.Postgres: 2} {
		t.Run(engine, func(t *testing.T) {
			h := lab.New(t, lab.Options{Engine: engine, Nodes: nodes})
			alice := h.NewPerson("alice")
			for range 5 {
				uri := h.As(lab.WebA, "/par", lab.Ask(lab.WebA)).Text("request_uri")
				said := lab.Together(20, func(i int) string {
					reply := h.Nodes[i%nodes].Authorize(alice, arrival(lab.WebA, uri))
					if strings.Contains(reply.Header.Get("Location"), "code=ac_") {
						return "code"
					}
					return "page"
				})
				if said["code"] != 1 || said["page"] != 19 {
					t.Errorf("%v", said)
				}
			}
		})
	}
}
