package lab_test

import (
	"crypto/rand"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/lab"
	"github.com/gardeauth/garde/internal/otp"
	"github.com/gardeauth/garde/recipe"
)

// at is a browser that may be led to any node: cookies, and the last page it saw.
type at struct {
	t       *testing.T
	cookies map[string]string
}

func (b *at) cookie() []string {
	var all []string
	for name, value := range b.cookies {
		all = append(all, name+"="+value)
	}
	return []string{"Cookie", strings.Join(all, "; ")}
}

func (b *at) keep(reply lab.Reply) lab.Reply {
	for _, cookie := range (&http.Response{Header: reply.Header}).Cookies() {
		b.cookies[cookie.Name] = cookie.Value
	}
	return reply
}

func (b *at) get(node *lab.Node, path string) lab.Reply {
	return b.keep(node.Get(path, b.cookie()...))
}

// follow goes where redirects lead.
func (b *at) follow(node *lab.Node, reply lab.Reply) lab.Reply {
	for range 5 {
		if reply.Status != http.StatusSeeOther {
			break
		}
		reply = b.get(node, reply.Header.Get("Location"))
	}
	return reply
}

// post sends a form of the page, filled in further.
func (b *at) post(node *lab.Node, path string, page lab.Reply, fields ...string) lab.Reply {
	form := lab.Form(fields...)
	for _, hidden := range regexp.MustCompile(`type="hidden" name="(\w+)" value="([^"]*)"`).FindAllStringSubmatch(string(page.Body), -1) {
		if !form.Has(hidden[1]) {
			form.Set(hidden[1], hidden[2])
		}
	}
	return b.keep(node.Post(path, form, b.cookie()...))
}

func TestTwoNodesRefuseARemovedFactor(t *testing.T) {
	h := lab.New(t, lab.Options{Engine: lab.Postgres, Nodes: 2, Recipe: func(house *recipe.Recipe) {
		house.Levels = append(house.Levels, recipe.Level{Name: "strong", ACR: lab.Strong, Any: []string{"password+totp"}})
	}})
	one, two := h.Nodes[0], h.Nodes[1]
	ada := resident(t, h, "ada", "")
	secret, now := otp.NewSecret(), h.Clock.Now()
	app := iam.Authenticator{ID: rand.Text(), User: ada.ID, Kind: iam.FactorTOTP, Name: "App", Created: now}
	var err error
	if app.Sealed, err = otp.Seal(one.Server.Seal, iam.DefaultTenant, app.ID, secret); err != nil {
		t.Fatal(err)
	}
	if err := one.Server.House.AddAuthenticator(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	// A session that rests on it, and grants born of it.
	value := iam.NewSecret(iam.PrefixSession)
	rests := iam.Session{
		ID: uuid.NewString(), Hash: iam.HashSession(value), User: ada.ID, AuthTime: now.Truncate(time.Second), AMR: []string{"pwd", "otp"}, ACR: lab.Strong,
		Proofs:  []iam.Proved{{Factor: "password", At: now, Begun: now, Methods: []string{"pwd"}}, {Factor: "totp", At: now, Begun: now, Credential: app.ID, Methods: []string{"otp"}}},
		Created: now, Seen: now, Expires: now.Add(time.Hour),
	}
	if err := h.Store().StartSession(t.Context(), rests, iam.SessionHash{}); err != nil {
		t.Fatal(err)
	}
	signedIn := &at{t, map[string]string{"garde-session": value}}
	if got := signedIn.get(two, "/account"); got.Status != http.StatusOK {
		t.Fatalf("%d: %s", got.Status, got.Body)
	}
	// At the second node, somebody is asked for a code of it already.
	b := &at{t, map[string]string{}}
	page := b.follow(two, b.get(two, "/account"))
	if got := b.post(two, "/signin", page, "username", "ada", "password", lamp); got.Status != http.StatusSeeOther {
		t.Fatalf("%d: %s", got.Status, got.Body)
	}
	asked := b.follow(two, b.get(two, "/account/security/totp"))
	if !strings.Contains(string(asked.Body), `name="code"`) {
		t.Fatalf("no code is asked for:\n%s", asked.Body)
	}
	if err := one.Server.House.RemoveAuthenticator(t.Context(), ada.ID, app.ID, "", anyWayIn); err != nil {
		t.Fatal(err)
	}
	code, err := otp.Code(secret, h.Clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	if got := b.post(two, "/signin", asked, "code", code); got.Status == http.StatusSeeOther && strings.HasPrefix(got.Header.Get("Location"), "/account") {
		t.Errorf("the code is taken: %d to %s", got.Status, got.Header.Get("Location"))
	}
	h.Within(time.Second, "the session that rests on it is over at the other node", func() bool {
		return signedIn.get(two, "/account").Status == http.StatusSeeOther
	})
	// What she can reach is less now, and the password does.
	if got := b.get(two, "/account/security/totp"); !strings.HasPrefix(got.Header.Get("Location"), "/account/security/totp?flow=") {
		t.Errorf("led to %s", got.Header.Get("Location"))
	}
}

// anyWayIn lets whoever removes a factor remove it.
func anyWayIn(iam.Left) bool { return true }
