package login_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/gardeauth/garde/internal/deliver"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/server/account"
	"github.com/gardeauth/garde/internal/server/login"
	"github.com/gardeauth/garde/internal/server/logout"
	"github.com/gardeauth/garde/internal/session"
	"github.com/gardeauth/garde/internal/token"
	"github.com/gardeauth/garde/internal/web"
)

// postbox is where the mails of a house arrive.
type postbox struct {
	mu    sync.Mutex
	mails []deliver.Mail
}

func (p *postbox) Send(_ context.Context, message deliver.Mail) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mails = append(p.mails, message)
	return nil
}

func (p *postbox) take() []deliver.Mail {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.mails
	p.mails = nil
	return all
}

// more hangs the doors beside sign-in and consent.
func (h *house) more() {
	h.box = &postbox{}
	h.queue = deliver.New(deliver.Queue{
		Deliveries: h.tenant, Journal: h.tenant, Sealer: h.sealer, Tenant: iam.DefaultTenant, Now: h.clock.now,
		Works: map[string]deliver.Work{
			login.KindMail: deliver.MailWork(h.box), login.KindForgot: h.login.WorkForgot,
			login.KindSignUp: h.login.WorkSignUp, login.KindLapse: h.login.WorkLapse, login.KindCode: h.login.WorkCode,
		},
	})
	h.login.Post = h.queue
	mine := &account.Endpoint{
		Keeping: h.tenant, Access: h.tenant, Clients: h.tenant, Sessions: h.sessions, Devices: h.login.Devices, Hasher: h.hasher,
		Tries: h.login.Tries, Network: network, Judge: h.login.Judge, Changed: h.login.TellChanged, Say: say,
		Failed: h.login.Fail, Locked: h.login.Locked, Known: h.tenant, Approvals: h.tenant,
		Accounts: &session.Accounts{Keeper: h.sessions, Sealer: h.sealer, Tenant: iam.DefaultTenant},
		Pages:    h.pages, Face: h.face, Now: h.clock.now,
	}
	out := &logout.Endpoint{
		Flows: h.tenant, Hints: h.parser, Sessions: h.sessions, Living: h.tenant, Users: h.tenant, Clients: h.tenant, Pages: h.pages, Face: h.face, Now: h.clock.now, Accounts: mine.Accounts,
	}
	for path, handler := range map[string]web.Handler{
		"/signup": h.login.SignUp, "/forgot": h.login.Forgot,
		"/link/verify": h.login.Verify, "/link/reset": h.login.Reset, "/link/enrol": h.login.Enrol,
		"/account": mine.Account, "/account/password": mine.Password, "/account/sessions": mine.EndSession,
		"/account/consents": mine.Revoke, "/account/everywhere": mine.Everywhere, "/account/signout": mine.SignOut,
		"/choose": mine.Choose, "/account/approvals": mine.ApprovalsPage,
		"/logout": out.Logout, "/logout/confirm": out.Confirm, "/logout/done": out.Done,
	} {
		h.mux.Handle(path, h.face.Handle(handler))
	}
}

// deliver works on the queue until nothing is due, and gives the mails that came of it.
func (h *house) deliver() []deliver.Mail {
	h.t.Helper()
	for {
		done, err := h.queue.Turn(h.t.Context())
		h.must(err)
		if done == 0 {
			return h.box.take()
		}
	}
}

// about keeps the mails whose subject holds word.
func about(mails []deliver.Mail, word string) []deliver.Mail {
	return slices.DeleteFunc(slices.Clone(mails), func(mail deliver.Mail) bool { return !strings.Contains(mail.Subject, word) })
}

var anyLink = regexp.MustCompile(`https?://\S+/link/\S+`)

// link gives the path of the link in the only mail.
func (h *house) link(mails []deliver.Mail) string {
	h.t.Helper()
	if len(mails) != 1 {
		h.t.Fatalf("%d mails, want one: %v", len(mails), mails)
	}
	found := anyLink.FindString(mails[0].Text)
	if !strings.HasPrefix(found, h.server.URL+"/link/") {
		h.t.Fatalf("the mail leads to %q:\n%s", found, mails[0].Text)
	}
	return strings.TrimPrefix(found, h.server.URL)
}

// enter signs a person in at the account page.
func (b *browser) enter(name string) {
	b.t.Helper()
	b.signIn(b.get("/account"), name, right).to("/account")
}

// hint signs an ID token of this house.
func (h *house) hint(client, user, sid string, change map[string]any) string {
	h.t.Helper()
	signer, err := h.keys.Signer(h.keys.Algs()[0])
	h.must(err)
	now := h.clock.now()
	claims := map[string]any{
		"iss": h.server.URL, "aud": client, "sub": user, "iat": now.Add(-2 * time.Hour).Unix(), "exp": now.Add(-time.Hour).Unix(),
	}
	if sid != "" {
		claims["sid"] = sid
	}
	for name, value := range change {
		claims[name] = value
	}
	signed, err := signer.Sign(token.TypeID, claims)
	h.must(err)
	return signed
}

// living gives the only session of a person.
func (h *house) living(user string) []iam.Session {
	h.t.Helper()
	sessions, err := h.tenant.UserSessions(h.t.Context(), user)
	h.must(err)
	return sessions
}

// kinds counts the journal's events of a person by kind and what.
func (h *house) kinds(user string) map[string]int {
	h.t.Helper()
	events, err := h.tenant.Events(h.t.Context(), iam.JournalQuery{User: user, Limit: 500})
	h.must(err)
	count := map[string]int{}
	for _, event := range events {
		var detail struct {
			What string `json:"what"`
		}
		h.must(json.Unmarshal(event.Detail, &detail))
		count[strings.TrimSpace(string(event.Kind)+" "+detail.What)]++
	}
	return count
}

// soon waits for what happens in the background.
func soon(t testing.TB, what string, done func() bool) {
	t.Helper()
	for range 200 {
		if done() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("it never happened: " + what)
}

func query(pairs ...string) string {
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		values.Set(pairs[i], pairs[i+1])
	}
	return "?" + values.Encode()
}

// argonOf gives the sum of a hash that costs next to nothing, as an old house may have made it.
func argonOf(secret string) string {
	return base64.RawStdEncoding.EncodeToString(argon2.IDKey([]byte(secret), []byte("saltsaltsalt"), 1, 8, 1, 32))
}

func TestG13SignInTellsWhomNobodyVouchesFor(t *testing.T) {
	h := open(t)
	known, err := h.tenant.Client(t.Context(), "budget")
	if err != nil {
		t.Fatal(err)
	}
	known.ID, known.Unverified = "c-stranger", true
	known.PolicyURI = "https://stranger.example/privacy"
	if err := h.tenant.PutClient(t.Context(), known); err != nil {
		t.Fatal(err)
	}
	for client, warned := range map[string]bool{"budget": false, "c-stranger": true} {
		b := h.browser()
		page := b.follow(b.get(ask("budget", "client_id", client)))
		if strings.Contains(page.body, "note warn") != warned || strings.Contains(page.body, known.PolicyURI) != warned {
			t.Errorf("%s: warned %v\n%s", client, !warned, page.body)
		}
	}
}
