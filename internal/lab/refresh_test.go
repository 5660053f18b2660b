package lab_test

import (
	"sync"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/lab"
	"github.com/gardeauth/garde/internal/oauth"
)

// TestRefreshTokens is the life of refresh families through the door.
func TestRefreshTokens(t *testing.T) {
	h := lab.New(t, lab.Options{})
	alice := h.NewPerson("alice")
	rotate := func(t *testing.T, client, value string) string {
		t.Helper()
		reply := h.Refresh(client, value)
		granted(t, reply)
		return reply.Text("refresh_token")
	}
	gone := func(t *testing.T, client string, values ...string) {
		t.Helper()
		for _, value := range values {
			refused(t, h.Refresh(client, value), 400, "invalid_grant")
		}
	}
	for _, client := range []string{lab.Native, lab.Browser, lab.WebKey} {
		t.Run(client, func(t *testing.T) {
			t.Run("F01 F02 each use gives a new one and the old one is dead after its successor was used", func(t *testing.T) {
				first := h.Tokens(alice, lab.Plant{Client: client})
				second := rotate(t, client, first.RefreshToken)
				if second == "" || second == first.RefreshToken {
					t.Fatalf("it did not rotate: %q", second)
				}
				third := rotate(t, client, second)
				gone(t, client, first.RefreshToken)
				gone(t, client, third)
				h.Within(time.Second, "F03 the access token is dead too", func() bool { return h.UserInfo(first.AccessToken).Status == 401 })
			})
			t.Run("F20 a lost answer may be asked for again, until the successor was used", func(t *testing.T) {
				first := h.Tokens(alice, lab.Plant{Client: client})
				lost := rotate(t, client, first.RefreshToken)
				again := rotate(t, client, first.RefreshToken)
				next := rotate(t, client, again)
				gone(t, client, lost)
				gone(t, client, next)
			})
			t.Run("F20 eleven seconds later it is a theft", func(t *testing.T) {
				first := h.Tokens(alice, lab.Plant{Client: client})
				second := rotate(t, client, first.RefreshToken)
				h.Pass(11 * time.Second)
				gone(t, client, first.RefreshToken, second)
			})
			t.Run("F04 of fifty at once at most one chain goes on", func(t *testing.T) {
				first := h.Tokens(alice, lab.Plant{Client: client})
				var mu sync.Mutex
				var given []string
				lab.Together(50, func(int) string {
					reply := h.Refresh(client, first.RefreshToken)
					if value := reply.Text("refresh_token"); value != "" {
						mu.Lock()
						given = append(given, value)
						mu.Unlock()
					}
					return reply.Says()
				})
				living := 0
				for _, value := range given {
					if h.Refresh(client, value).Status == 200 {
						living++
					}
				}
				if living > 1 {
					t.Errorf("%d of %d chains go on", living, len(given))
				}
			})
		})
	}
	t.Run("a confidential client's does not rotate unless asked", func(t *testing.T) {
		first := h.Tokens(alice, lab.Plant{})
		for range 3 {
			if next := rotate(t, lab.WebA, first.RefreshToken); next != "" {
				t.Errorf("it rotated to %q", next)
			}
		}
	})
	t.Run("F07 as another client it is refused and not consumed", func(t *testing.T) {
		for owner, thief := range map[string]string{lab.WebA: lab.WebB, lab.Native: lab.Browser, lab.WebKey: lab.Native} {
			first := h.Tokens(alice, lab.Plant{Client: owner})
			gone(t, thief, first.RefreshToken)
			rotate(t, owner, first.RefreshToken)
		}
	})
	t.Run("F09 a narrower request does not shrink the grant", func(t *testing.T) {
		first := h.Tokens(alice, lab.Plant{Scope: "openid profile accounts.read"})
		narrow := h.Refresh(lab.WebA, first.RefreshToken, "scope", "openid")
		if granted(t, narrow); narrow.Text("scope") != "openid" {
			t.Errorf("%s", narrow.Body)
		}
		refused(t, h.Refresh(lab.WebA, first.RefreshToken, "scope", "openid transfers.write"), 400, "invalid_scope")
		if whole := h.Refresh(lab.WebA, first.RefreshToken); whole.Text("scope") != "openid profile accounts.read" {
			t.Errorf("%s", whole.Body)
		}
	})
	t.Run("F16 no other spelling is the token", func(t *testing.T) {
		first := h.Tokens(alice, lab.Plant{Client: lab.Native})
		value := first.RefreshToken
		for i := range value {
			flipped := []byte(value)
			flipped[i] ^= 1
			gone(t, lab.Native, string(flipped))
		}
		gone(t, lab.Native, value[:len(value)-1], value+"A", value[1:], " "+value, value+" ", value+"=")
		rotate(t, lab.Native, value)
	})
	t.Run("F17 tokens of a race die with their client", func(t *testing.T) {
		a, b := h.Tokens(alice, lab.Plant{Client: lab.WebSpare}), h.Tokens(alice, lab.Plant{Client: lab.WebSpare})
		if err := h.Store().SetClientDisabled(t.Context(), lab.WebSpare, true); err != nil {
			t.Fatal(err)
		}
		h.Within(time.Second, "both are dead", func() bool {
			return h.UserInfo(a.AccessToken).Status == 401 && h.UserInfo(b.AccessToken).Status == 401
		})
		if err := h.Store().SetClientDisabled(t.Context(), lab.WebSpare, false); err != nil {
			t.Fatal(err)
		}
		h.Within(time.Second, "the client is back", func() bool { return h.Refresh(lab.WebSpare, a.RefreshToken).Status == 400 })
		gone(t, lab.WebSpare, a.RefreshToken, b.RefreshToken)
	})
	t.Run("F18 offline_access is not given without the person's word", func(t *testing.T) {
		bruno := h.NewPerson("bruno")
		if err := h.Store().RevokeConsent(t.Context(), bruno.ID, lab.WebA); err != nil {
			t.Fatal(err)
		}
		h.Allow(bruno, lab.WebA, "openid", "accounts.read")
		ask := lab.Ask(lab.WebA)
		ask.Set("scope", "openid accounts.read offline_access")
		if _, sent := h.Authorize(bruno, ask).Sent(lab.Redirect(lab.WebA)); sent {
			t.Error("nobody was asked")
		}
		code := h.Code(bruno, lab.Plant{Scope: "openid accounts.read offline_access"})
		refused(t, h.Redeem(code), 400, "invalid_grant")
	})
	t.Run("F05 a restart forgets nothing", func(t *testing.T) {
		first := h.Tokens(alice, lab.Plant{Client: lab.Native})
		second := rotate(t, lab.Native, first.RefreshToken)
		third := rotate(t, lab.Native, second)
		h.Node.Restart(nil)
		gone(t, lab.Native, first.RefreshToken, third)
	})
	t.Run("F10 neither idleness nor use makes it immortal", func(t *testing.T) {
		idle := h.Tokens(alice, lab.Plant{Client: lab.Native, Twist: offline})
		used := h.Tokens(alice, lab.Plant{Client: lab.Native, Twist: offline})
		value := used.RefreshToken
		for range 5 {
			h.Pass(6 * 24 * time.Hour)
			h.SignIn(alice)
			if reply := h.Refresh(lab.Native, value); reply.Status == 200 {
				value = reply.Text("refresh_token")
			}
		}
		gone(t, lab.Native, idle.RefreshToken)
		h.Pass(24 * time.Hour)
		gone(t, lab.Native, value)
	})
}

// offline lets a grant outlive its session.
func offline(c *iam.Code) {
	c.Grant.Session = ""
	c.Grant.Scope = oauth.Scope{"openid", "accounts.read", "offline_access"}
}

// TestF06AfterRevocationNothingWorks races two hundred times between giving a refresh token back and using it.
func TestF06AfterRevocationNothingWorks(t *testing.T) {
	h := lab.New(t, lab.Options{})
	alice := h.NewPerson("alice")
	for range 200 {
		first := h.Tokens(alice, lab.Plant{Client: lab.Native})
		var given, access string
		lab.Together(2, func(i int) string {
			if i == 0 {
				return h.As(lab.Native, "/revoke", lab.Form("token", first.RefreshToken)).Says()
			}
			reply := h.Refresh(lab.Native, first.RefreshToken)
			given, access = reply.Text("refresh_token"), reply.Text("access_token")
			return reply.Says()
		})
		for _, value := range []string{first.RefreshToken, given} {
			if value != "" && h.Refresh(lab.Native, value).Status == 200 {
				t.Fatal("a refresh token works after its family was revoked")
			}
		}
		if access != "" {
			h.Within(time.Second, "the access token is dead", func() bool { return h.UserInfo(access).Status == 401 })
		}
	}
}
