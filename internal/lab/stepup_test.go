package lab_test

import (
	"crypto/rand"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/config"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/lab"
	"github.com/gardeauth/garde/internal/otp"
	"github.com/gardeauth/garde/internal/passkey"
	"github.com/gardeauth/garde/internal/passkey/authenticator"
	"github.com/gardeauth/garde/internal/token"
	"github.com/gardeauth/garde/recipe"
)

// climbing is a ladder of two rungs, and an operation on the upper one.
func climbing(r *recipe.Recipe) {
	r.Levels[0].Any = append(r.Levels[0].Any, "passkey")
	r.Levels = append(r.Levels, recipe.Level{Name: "strong", ACR: lab.Strong, Any: []string{"passkey", "password+totp", "password+recovery_code"}})
	accounts := r.APIs["accounts"]
	transfers := accounts.Operations["POST /transfers"]
	transfers.Level = "strong"
	accounts.Operations["POST /transfers"] = transfers
}

// onLocalhost is a house that browsers know by a name, as WebAuthn wants it: something stands before its first node.
func onLocalhost(t *testing.T, options lab.Options) *lab.House {
	t.Helper()
	var first atomic.Pointer[string]
	front := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: *first.Load()})
		r.Out.Host = r.In.Host
	}})
	t.Cleanup(front.Close)
	options.Front = strings.Replace(front.URL, "127.0.0.1", "localhost", 1)
	options.Settings = func(node *config.Node) { first.CompareAndSwap(nil, &node.Listen) }
	return lab.New(t, options)
}

// climber is somebody with a password, an app for codes and a passkey, and a browser.
type climber struct {
	*at
	h      *lab.House
	user   iam.User
	secret string
	app    string
	key    *authenticator.Authenticator
}

func newClimber(t *testing.T, h *lab.House, name string) *climber {
	t.Helper()
	c := &climber{at: &at{t, map[string]string{}}, h: h, user: resident(t, h, name, ""), secret: otp.NewSecret(), app: rand.Text()}
	for _, client := range []string{lab.WebA, lab.WebB} {
		must(t, h.Store().GiveConsent(t.Context(), iam.Consent{User: c.user.ID, Client: client, Scope: []string{"openid", "accounts.read", "transfers.write"}, Given: h.Clock.Now()}))
	}
	code := iam.Authenticator{ID: c.app, User: c.user.ID, Kind: iam.FactorTOTP, Name: "App", Created: h.Clock.Now()}
	var err error
	code.Sealed, err = otp.Seal(h.Server.Seal, iam.DefaultTenant, code.ID, c.secret)
	must(t, err)
	must(t, h.Server.House.AddAuthenticator(t.Context(), code))
	party := passkey.Party{ID: "localhost", Origin: h.Issuer, Name: "The house", Sealer: h.Server.Seal, Tenant: iam.DefaultTenant, Now: h.Clock.Now}
	c.key = authenticator.New(h.Issuer)
	asked, err := party.BeginRegistration(c.user, iam.FactorPasskey, nil)
	must(t, err)
	said, err := c.key.Create(asked.Options)
	must(t, err)
	added, err := party.FinishRegistration(asked.State, said, "Phone")
	must(t, err)
	must(t, h.Server.House.AddAuthenticator(t.Context(), added))
	return c
}

// code is what the app shows. Each call is a step of the clock further on: a code serves once.
func (c *climber) code() string {
	c.h.Pass(31 * time.Second)
	code, err := otp.Code(c.secret, c.h.Clock.Now())
	must(c.t, err)
	return code
}

// answer answers a page by a factor, as its form is sent.
func (c *climber) answer(node *lab.Node, page lab.Reply, by string) lab.Reply {
	c.t.Helper()
	body, path, fields := string(page.Body), "/signin", []string{"by", by}
	if strings.Contains(body, `action="/signin/next"`) {
		path = "/signin/next"
	}
	switch by {
	case "password":
		fields = append(fields, "username", c.user.Username, "password", lamp)
	case "totp":
		fields = append(fields, "code", c.code())
	case "passkey":
		fields = append(fields, "answer", c.signed(page))
	}
	return c.post(node, path, page, fields...)
}

// signed is what the person's authenticator says to a page.
func (c *climber) signed(page lab.Reply) string {
	c.t.Helper()
	found := regexp.MustCompile(`data-options="([^"]*)"`).FindSubmatch(page.Body)
	if found == nil {
		c.t.Fatalf("the page asks for no authenticator: %d\n%s", page.Status, page.Body)
	}
	said, err := c.key.Get(html.UnescapeString(string(found[1])))
	must(c.t, err)
	return said
}

// within follows redirects as long as they stay in the house.
func (c *climber) within(node *lab.Node, reply lab.Reply) lab.Reply {
	for range 6 {
		if to := reply.Header.Get("Location"); reply.Status == http.StatusSeeOther && strings.HasPrefix(to, "/") {
			reply = c.get(node, to)
		}
	}
	return reply
}

// asks begins an authorization, and gives where it led: a page, or the way back to the client.
func (c *climber) asks(node *lab.Node, client string, pairs ...string) lab.Reply {
	query := lab.Ask(client)
	query.Set("scope", "openid accounts.read transfers.write")
	for i := 0; i < len(pairs); i += 2 {
		query.Set(pairs[i], pairs[i+1])
	}
	return c.within(node, c.get(node, "/authorize?"+query.Encode()))
}

// proves answers the page by each factor in turn: the page offers the ways, and one chooses.
func (c *climber) proves(node *lab.Node, page lab.Reply, factors ...string) lab.Reply {
	c.t.Helper()
	for _, by := range factors {
		if flow := regexp.MustCompile(`name="flow" value="([^"]*)"`).FindSubmatch(page.Body); flow != nil && by != "password" && strings.Contains(string(page.Body), `action="/signin/next"`) {
			page = c.within(node, c.get(node, "/signin/next?flow="+string(flow[1])+"&by="+by))
		}
		page = c.within(node, c.answer(node, page, by))
	}
	return page
}

// tokens redeems what an authorization gave; ok tells whether it gave a code.
func (c *climber) tokens(node *lab.Node, client string, reply lab.Reply) (got token.Answer, ok bool) {
	back, ok := reply.Sent(lab.Redirect(client))
	if !ok || back.Get("code") == "" {
		return got, false
	}
	node.As(client, "/token", lab.Form("grant_type", "authorization_code", "code", back.Get("code"), "code_verifier", lab.Verifier, "redirect_uri", lab.Redirect(client))).Into(&got)
	return got, true
}

// challenge reads what a refusal of the Gate demands (RFC 9470 section 3), as parameters of an authorization request.
func challenge(t *testing.T, reply lab.Reply) []string {
	t.Helper()
	said := strings.Join(reply.Header.Values("WWW-Authenticate"), ", ")
	if reply.Status != http.StatusUnauthorized || !strings.Contains(said, `error="insufficient_user_authentication"`) {
		t.Fatalf("no challenge: %d %s\n%s", reply.Status, said, reply.Body)
	}
	var pairs []string
	for _, name := range []string{"acr_values", "max_age"} {
		if found := regexp.MustCompile(name + `="([^"]*)"`).FindStringSubmatch(said); found != nil {
			pairs = append(pairs, name, found[1])
		}
	}
	return pairs
}

// TestRFC9470FromTheGateToTheTokenAndBack: challenged, sent back with what the challenge says, proved with a real factor at
// the real pages, and let through; and again by another factor when that is too long ago.
func TestRFC9470FromTheGateToTheTokenAndBack(t *testing.T) {
	h := onLocalhost(t, lab.Options{Gate: true, Recipe: climbing})
	c := newClimber(t, h, "ada")
	got, ok := c.tokens(h.Node, lab.WebA, c.proves(h.Node, c.asks(h.Node, lab.WebA), "password"))
	if !ok {
		t.Fatal("no code by a password")
	}
	for _, row := range []struct {
		by   []string
		wait time.Duration
		amr  string
	}{{[]string{"totp"}, 0, "pwd otp mfa"}, {[]string{"passkey"}, 6 * time.Minute, "hwk user mfa"}, {[]string{"password", "totp"}, 6 * time.Minute, "pwd otp mfa"}} {
		h.Pass(row.wait)
		if row.wait > 0 { // the token has ended, and a new one says as much of the person as the old
			h.Refresh(lab.WebA, got.RefreshToken).Into(&got)
		}
		if reply := h.Call("GET", "/accounts/balance", got.AccessToken); reply.Status != 200 {
			t.Fatalf("the balance: %d %s", reply.Status, reply.Body)
		}
		wishes := challenge(t, h.Call("POST", "/accounts/transfers", got.AccessToken))
		if want := []string{"acr_values", lab.Strong, "max_age", "300"}; !slices.Equal(wishes, want) {
			t.Errorf("the challenge says %v", wishes)
		}
		before := h.Clock.Now().Unix()
		page := c.asks(h.Node, lab.WebA, wishes...)
		if page.Status != 200 {
			t.Fatalf("%d %s", page.Status, page.Header.Get("Location"))
		}
		if got, ok = c.tokens(h.Node, lab.WebA, c.proves(h.Node, page, row.by...)); !ok {
			t.Fatalf("no code by %v", row.by)
		}
		_, said := peek(t, got.AccessToken)
		if said["acr"] != lab.Strong || int64(said["auth_time"].(float64)) < before-300 {
			t.Errorf("by %v: acr %v, auth_time %v, challenged at %d", row.by, said["acr"], said["auth_time"], before)
		}
		if amr := fmt.Sprint(said["amr"]); !strings.Contains(amr, strings.Fields(row.amr)[0]) {
			t.Errorf("by %v: amr %s", row.by, amr)
		}
		if reply := h.Call("POST", "/accounts/transfers", got.AccessToken); reply.Status != 200 {
			t.Fatalf("by %v: %d %s", row.by, reply.Status, reply.Body)
		}
		if _, ok := c.tokens(h.Node, lab.WebA, c.asks(h.Node, lab.WebA, wishes...)); !ok {
			t.Errorf("by %v: who has answered is asked again", row.by)
		}
	}
}
