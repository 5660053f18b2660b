package lab_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/lab"
	"github.com/gardeauth/garde/internal/token"
)

// TestS36ACopiedDeviceCookieEndsAllAtEveryNode: who comes to one node with the cookie of a device from before it was changed
// at the other ends what began on that device: its session, and what applications hold from it, at both.
func TestS36ACopiedDeviceCookieEndsAllAtEveryNode(t *testing.T) {
	h := onLocalhost(t, lab.Options{Engine: lab.Postgres, Nodes: 2, Recipe: climbing})
	one, two := h.Nodes[0], h.Nodes[1]
	signsIn := func(c *climber, node *lab.Node) token.Answer {
		t.Helper()
		h.Pass(time.Minute)
		got, ok := c.tokens(node, lab.WebA, c.proves(node, c.asks(node, lab.WebA, "prompt", "login"), "password"))
		if !ok {
			t.Fatal("no code")
		}
		return got
	}
	owner := newClimber(t, h, "ada")
	signsIn(owner, one)
	thief := *owner
	thief.at = &at{t, map[string]string{}}
	maps.Copy(thief.cookies, owner.cookies)
	maps.DeleteFunc(thief.cookies, func(name, _ string) bool { return !strings.Contains(name, "garde-device") })
	if len(thief.cookies) != 1 {
		t.Fatalf("the thief holds %v", thief.cookies)
	}
	held := signsIn(owner, two)
	if back, ok := owner.asks(two, lab.WebA, "prompt", "none").Sent(lab.Redirect(lab.WebA)); !ok || back.Get("code") == "" {
		t.Fatal("the owner is not signed in")
	}
	for _, node := range h.Nodes {
		if reply := node.UserInfo(held.AccessToken); reply.Status != 200 || held.RefreshToken == "" {
			t.Fatalf("the application holds nothing: %d %s", reply.Status, reply.Body)
		}
	}
	signsIn(&thief, one)
	for i, node := range h.Nodes {
		h.Within(time.Second, "the owner's session has ended", func() bool {
			back, ok := owner.asks(node, lab.WebA, "prompt", "none").Sent(lab.Redirect(lab.WebA))
			return ok && back.Get("error") == "login_required"
		})
		h.Within(time.Second, "what the application holds has ended", func() bool { return node.UserInfo(held.AccessToken).Status == 401 })
		if again := node.As(lab.WebA, "/token", lab.Form("grant_type", "refresh_token", "refresh_token", held.RefreshToken)); again.Status != 400 {
			t.Errorf("node %d refreshes: %d %s", i, again.Status, again.Body)
		}
	}
}
