package trial

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/lab"
)

// endings are the deeds that end a token, each with how it is done.
var endings = map[string]func(t *testing.T, h *lab.House, p *lab.Person, got lab.Tokens){
	"the user is disabled": func(t *testing.T, h *lab.House, p *lab.Person, _ lab.Tokens) {
		user := p.User
		user.Disabled, user.Changed = true, h.Clock.Now().UTC()
		mend(t, h.Store().SetUser(context.Background(), user))
	},
	"the password is changed": func(t *testing.T, h *lab.House, p *lab.Person, _ lab.Tokens) {
		mend(t, h.Store().SetPassword(context.Background(), iam.Password{User: p.ID, PHC: "$argon2id$v=19$m=19456,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$MDEyMzQ1Njc4OWFiY2RlZg", Changed: h.Clock.Now().UTC()}, ""))
	},
	"the client is disabled": func(t *testing.T, h *lab.House, _ *lab.Person, got lab.Tokens) {
		mend(t, h.Store().SetClientDisabled(context.Background(), got.Client, true))
	},
	"the grant is revoked": func(t *testing.T, h *lab.House, _ *lab.Person, got lab.Tokens) {
		mend(t, h.Store().RevokeGrant(context.Background(), got.Grant))
	},
	"the consent is revoked": func(t *testing.T, h *lab.House, p *lab.Person, got lab.Tokens) {
		mend(t, h.Store().RevokeConsent(context.Background(), p.ID, got.Client))
	},
	"the session is ended": func(t *testing.T, h *lab.House, p *lab.Person, _ lab.Tokens) {
		mend(t, h.Store().EndSession(context.Background(), p.Session))
	},
	"the person signs out everywhere": func(t *testing.T, h *lab.House, p *lab.Person, _ lab.Tokens) {
		mend(t, h.Store().EndUserSessions(context.Background(), p.ID, ""))
	},
	"the client revokes it": func(t *testing.T, h *lab.House, _ *lab.Person, got lab.Tokens) {
		if reply := h.As(got.Client, "/revoke", lab.Form("token", got.AccessToken)); reply.Status != 200 {
			t.Fatalf("/revoke says %d", reply.Status)
		}
	},
	"the client revokes its refresh token": func(t *testing.T, h *lab.House, _ *lab.Person, got lab.Tokens) {
		if reply := h.As(got.Client, "/revoke", lab.Form("token", got.RefreshToken)); reply.Status != 200 {
			t.Fatalf("/revoke says %d", reply.Status)
		}
	},
}

func mend(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// places are a token that the Gate verifies by itself and one that it asks the Server about.
var places = map[string]lab.Plant{
	"/accounts/balance": {Scope: "openid offline_access accounts.read"},
	"/vault/secrets":    {Scope: "openid offline_access vault.read"},
}

// A second, and nothing for the time of the call itself: the clock starts when the deed was answered.
func TestATokenSeenBeforeIsDeadWithinASecondOfItsEnd(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{lab.SQLite, lab.Postgres} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			h := lab.New(t, lab.Options{Engine: engine, Gate: true})
			for name, end := range endings {
				for path, plant := range places {
					t.Run(name+" "+path, func(t *testing.T) {
						p := h.NewPerson("carla")
						plant.Client = lab.WebSpare
						if name == "the client is disabled" { // what it gets soon after it was enabled again is dead too
							plant.Client = map[string]string{"/accounts/balance": lab.WebA, "/vault/secrets": lab.WebB}[path]
						}
						got := h.Tokens(p, plant)
						for range 2 {
							if reply := h.Call("GET", path, got.AccessToken); reply.Status != 200 {
								t.Fatalf("before: %d %s", reply.Status, reply.Body)
							}
						}
						end(t, h, p, got)
						took := within(t, time.Second, "the Gate refuses the token", func() bool {
							return h.Call("GET", path, got.AccessToken).Status == http.StatusUnauthorized
						})
						t.Logf("%s", took.Round(time.Millisecond))
						for range 3 {
							if reply := h.Call("GET", path, got.AccessToken); reply.Status != http.StatusUnauthorized {
								t.Errorf("it lives again: %d", reply.Status)
							}
						}
						if name == "the client is disabled" {
							mend(t, h.Store().SetClientDisabled(context.Background(), got.Client, false))
							within(t, 2*time.Second, "the client may work again", func() bool {
								return h.As(got.Client, "/introspect", lab.Form("token", "x")).Status == 200
							})
							if reply := h.Call("GET", path, got.AccessToken); reply.Status != http.StatusUnauthorized {
								t.Errorf("it rose with its client: %d", reply.Status)
							}
						}
					})
				}
			}
		})
	}
}

func TestARestartOfTheServerForgetsNoRevocation(t *testing.T) {
	t.Parallel()
	h := lab.New(t, lab.Options{Gate: true, Silence: 3 * time.Second})
	p, q := h.NewPerson("dora"), h.NewPerson("emil")
	dead, alive := h.Tokens(p, places["/accounts/balance"]), h.Tokens(q, places["/accounts/balance"])
	blind := h.Tokens(q, places["/vault/secrets"])
	call := func(path, token string) int { return h.Call("GET", path, token).Status }
	for _, token := range []string{dead.AccessToken, alive.AccessToken} {
		if status := call("/accounts/balance", token); status != 200 {
			t.Fatalf("before: %d", status)
		}
	}
	if status := call("/vault/secrets", blind.AccessToken); status != 200 {
		t.Fatalf("before: %d", status)
	}
	before := epoch(t, h)
	mend(t, h.Store().RevokeGrant(context.Background(), dead.Grant))
	h.Restart(nil)
	if after := epoch(t, h); after != before {
		t.Errorf("a restart began a new epoch: %s, %s", before, after)
	}
	within(t, time.Second, "the Gate refuses what was revoked before the restart", func() bool { return call("/accounts/balance", dead.AccessToken) == 401 })
	within(t, 5*time.Second, "the Gate hears the Server again", h.Gateway.Gate.Ready)
	if status := call("/accounts/balance", alive.AccessToken); status != 200 {
		t.Errorf("the other token: %d", status)
	}
	// And the feed goes on where it was.
	mend(t, h.Store().RevokeGrant(context.Background(), alive.Grant))
	took := within(t, 6*time.Second, "the Gate refuses what was revoked after the restart", func() bool { return call("/accounts/balance", alive.AccessToken) == 401 })
	t.Logf("heard %s after a restart", took)
	mend(t, h.Store().RevokeGrant(context.Background(), blind.Grant))
	within(t, time.Second, "the Gate refuses within a second again", func() bool { return call("/vault/secrets", blind.AccessToken) == 401 })
}

func epoch(t *testing.T, h *lab.House) string {
	t.Helper()
	name, err := h.Store().Epoch(context.Background())
	mend(t, err)
	return name
}

func TestAGateThatHearsNothingAnswers503UntilItHears(t *testing.T) {
	t.Parallel()
	const silence = 3 * time.Second
	h := lab.New(t, lab.Options{Gate: true, Silence: silence})
	p := h.NewPerson("fred")
	got := h.Tokens(p, places["/accounts/balance"])
	opaque := h.Tokens(p, places["/vault/secrets"])
	call := func(path, token string) lab.Reply { return h.Call("GET", path, token) }
	for path, token := range map[string]string{"/accounts/balance": got.AccessToken, "/vault/secrets": opaque.AccessToken} {
		if reply := call(path, token); reply.Status != 200 {
			t.Fatalf("before: %d", reply.Status)
		}
	}
	h.Restart(func() {
		down := time.Now()
		for path, token := range map[string]string{"/accounts/balance": got.AccessToken, "/vault/secrets": opaque.AccessToken} {
			within(t, silence+time.Second, "the Gate answers 503 for "+path, func() bool {
				reply := call(path, token)
				if reply.Status != 200 && reply.Status != 503 {
					t.Fatalf("%d %s", reply.Status, reply.Body)
				}
				return reply.Status == 503
			})
		}
		if lasted := time.Since(down); lasted > silence+time.Second {
			t.Errorf("the Gate believed for %s that it knows what was revoked", lasted)
		}
		reply := call("/accounts/balance", got.AccessToken)
		if reply.Status != 503 || reply.Header.Get("Retry-After") == "" || reply.Header.Get("WWW-Authenticate") != "" {
			t.Errorf("%d, Retry-After %q, challenge %q", reply.Status, reply.Header.Get("Retry-After"), reply.Header.Get("WWW-Authenticate"))
		}
		if reply := call("/accounts/rates", ""); reply.Status != 200 {
			t.Errorf("an open operation needs nobody: %d", reply.Status)
		}
		if reply := call("/accounts/balance", "at_"+uuid.NewString()); reply.Status != 503 && reply.Status != 401 {
			t.Errorf("a wrong token: %d", reply.Status)
		}
	})
	took := within(t, 7*time.Second, "the Gate serves again", func() bool { return call("/accounts/balance", got.AccessToken).Status == 200 })
	t.Logf("served again %s after the Server", took)
	within(t, 7*time.Second, "opaque tokens too", func() bool { return call("/vault/secrets", opaque.AccessToken).Status == 200 })
}
