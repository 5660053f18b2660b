package lab_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"html"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

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
	also := options.Settings
	options.Settings = func(node *config.Node) {
		first.CompareAndSwap(nil, &node.Listen)
		if also != nil {
			also(node)
		}
	}
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

// said tells in a word where an answer to a page leads.
func said(reply lab.Reply) string {
	to := reply.Header.Get("Location")
	switch {
	case strings.HasPrefix(to, "/authorize"), strings.HasPrefix(to, "https://"):
		return "in"
	case reply.Status >= 500:
		return fmt.Sprint(reply.Status)
	}
	return "refused"
}

// TestOfTwentyCallersWithOneProofOneWins: the same answer of an authenticator, the same code and the same recovery code,
// sent from one page at once to two nodes, and the same step-up from two tabs.
func TestOfTwentyCallersWithOneProofOneWins(t *testing.T) {
	folder := t.TempDir()
	h := onLocalhost(t, lab.Options{Engine: lab.Postgres, Nodes: 2, Settings: func(node *config.Node) { node.Mail.Folder = folder }, Recipe: func(r *recipe.Recipe) {
		climbing(r)
		r.SignIn.Factors = []string{"password", "passkey", "totp", "recovery_code", "email"}
		r.Levels[1].Any = append(r.Levels[1].Any, "password+email")
		r.SignIn.Reset = new(bool) // else the mailbox alone would reach it
	}})
	recovery := otp.NewRecovery()[0]
	for by, field := range map[string]string{"passkey": "answer", "totp": "code", "recovery_code": "recovery_code", "email": "code"} {
		t.Run(by, func(t *testing.T) {
			c := newClimber(t, h, "ada-"+strings.ReplaceAll(by, "_", "-"))
			must(t, h.Server.House.SetRecovery(t.Context(), c.user.ID, []iam.Digest{otp.HashRecovery(c.user.ID, recovery)}))
			first := c.proves(h.Node, c.asks(h.Node, lab.WebA), "password")
			if _, ok := first.Sent(lab.Redirect(lab.WebA)); !ok {
				t.Fatalf("%d %s", first.Status, first.Body)
			}
			page := c.asks(h.Node, lab.WebA, "acr_values", lab.Strong)
			flow := regexp.MustCompile(`name="flow" value="([^"]*)"`).FindSubmatch(page.Body)
			page = c.within(h.Node, c.get(h.Node, "/signin/next?flow="+string(flow[1])+"&by="+by))
			if by == "email" {
				page = c.within(h.Node, c.post(h.Node, "/signin/next", page, "by", by, "deed", "ask"))
			}
			proof := map[string]func() string{
				"passkey": func() string { return c.signed(page) }, "totp": c.code, "recovery_code": func() string { return recovery },
				"email": func() string { return mailed(h, folder) },
			}[by]()
			form := lab.Form("by", by, field, proof)
			for _, hidden := range regexp.MustCompile(`type="hidden" name="(\w+)" value="([^"]*)"`).FindAllSubmatch(page.Body, -1) {
				if !form.Has(string(hidden[1])) {
					form.Set(string(hidden[1]), string(hidden[2]))
				}
			}
			cookie := c.cookie()
			counts := lab.Together(20, func(i int) string { return said(h.Nodes[i%2].Post("/signin/next", form, cookie...)) })
			if counts["in"] != 1 || counts["refused"] != 19 {
				t.Errorf("%v", counts)
			}
			living, err := h.Store().UserSessions(t.Context(), c.user.ID)
			must(t, err)
			if len(living) != 1 || living[0].ACR != lab.Strong {
				t.Errorf("%d sessions: %+v", len(living), living)
			}
		})
	}
}

// mailed waits for the one mail in a folder, and gives the code in it.
func mailed(h *lab.House, folder string) (code string) {
	h.Within(5*time.Second, "the mail is on its way", func() bool {
		files, _ := filepath.Glob(filepath.Join(folder, "*"))
		for _, file := range files {
			text, _ := os.ReadFile(file)
			if found := regexp.MustCompile(`(?m)^(\d{4}) (\d{4})\r?$`).FindSubmatch(text); found != nil {
				code = string(found[1]) + string(found[2])
			}
		}
		return code != ""
	})
	return code
}

// TestOneStepUpFromTwoTabs: each tab has a transaction of its own. Both end well, one after the other's session or not, and
// one session is left that holds all that was proved.
func TestOneStepUpFromTwoTabs(t *testing.T) {
	h := onLocalhost(t, lab.Options{Engine: lab.Postgres, Nodes: 2, Recipe: climbing})
	c := newClimber(t, h, "ada")
	c.proves(h.Node, c.asks(h.Node, lab.WebA), "password")
	wishes := []string{"acr_values", lab.Strong}
	tabs := []lab.Reply{c.asks(h.Node, lab.WebA, wishes...), c.asks(h.Node, lab.WebB, wishes...)}
	pages := []lab.Reply{}
	for _, tab := range tabs {
		flow := regexp.MustCompile(`name="flow" value="([^"]*)"`).FindSubmatch(tab.Body)
		pages = append(pages, c.within(h.Node, c.get(h.Node, "/signin/next?flow="+string(flow[1])+"&by=passkey")))
	}
	answers := []string{c.signed(pages[0]), c.signed(pages[1])}
	replies := make([]lab.Reply, 2)
	lab.Together(2, func(i int) string {
		browser := &at{t, maps.Clone(c.cookies)}
		replies[i] = browser.post(h.Nodes[i], "/signin/next", pages[i], "by", "passkey", "answer", answers[i])
		return ""
	})
	won := 0
	for i, reply := range replies {
		if said(reply) != "in" {
			t.Logf("tab %d is shown its page again: %d", i, reply.Status)
			continue
		}
		won++
		c.keep(reply)
	}
	if won == 0 {
		t.Error("neither tab came in")
	}
	for i, client := range []string{lab.WebA, lab.WebB} {
		if _, ok := c.tokens(h.Nodes[i], client, c.asks(h.Nodes[i], client, wishes...)); !ok {
			t.Errorf("what was proved in one tab is lost for %s", client)
		}
	}
	living, err := h.Store().UserSessions(t.Context(), c.user.ID)
	must(t, err)
	if strong := slices.IndexFunc(living, func(s iam.Session) bool { return s.ACR == lab.Strong && len(s.Proofs) == 2 }); strong < 0 {
		t.Errorf("%+v", living)
	}
}

// TestTheLastTwoFactorsAreNotBothRemoved: on two nodes at once, of somebody without a password.
func TestTheLastTwoFactorsAreNotBothRemoved(t *testing.T) {
	h := lab.New(t, lab.Options{Engine: lab.Postgres, Nodes: 2})
	for round := range 5 {
		user := iam.User{ID: uuid.NewString(), Username: fmt.Sprint("keys-", round), Created: h.Clock.Now(), Changed: h.Clock.Now()}
		must(t, h.Store().AddUser(t.Context(), user, iam.Password{}))
		var ids []string
		for range 2 {
			key := iam.Authenticator{ID: rand.Text(), User: user.ID, Kind: iam.FactorPasskey, Name: "Key", Handle: iam.Hash(rand.Text()), Sealed: "s", Created: h.Clock.Now()}
			must(t, h.Server.House.AddAuthenticator(t.Context(), key))
			ids = append(ids, key.ID)
		}
		counts := lab.Together(2, func(i int) string {
			err := h.Nodes[i].Server.House.RemoveAuthenticator(t.Context(), user.ID, ids[i], "", func(left iam.Left) bool { return len(left.Kinds) > 0 })
			if errors.Is(err, iam.ErrLast) {
				return "the last"
			}
			return fmt.Sprint(err)
		})
		if counts["<nil>"] != 1 || counts["the last"] != 1 {
			t.Errorf("%v", counts)
		}
	}
}
