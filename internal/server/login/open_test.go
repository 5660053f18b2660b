package login_test

import (
	"strings"
	"testing"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/passkey/authenticator"
	"github.com/gardeauth/garde/internal/server/login"
)

// invited adds somebody who can't sign in yet, and gives the path of an administrator's link for them.
func (h *house) invited(id, name string, admin bool) string {
	h.t.Helper()
	h.must(h.tenant.AddUser(h.t.Context(), iam.User{ID: id, Username: name, Admin: admin, Locale: "fr"}, iam.Password{}))
	return h.inviteTo(id)
}

func (h *house) inviteTo(id string) string {
	h.t.Helper()
	secret := iam.NewSecret(iam.PrefixLink)
	h.must(h.tenant.AddLink(h.t.Context(), iam.Link{
		Hash: iam.HashLink(secret), Kind: iam.LinkEnrol, User: id, Created: h.clock.now(), Expires: h.clock.now().Add(login.EnrolLife),
	}))
	return strings.TrimPrefix(h.login.LinkURL(iam.LinkEnrol, secret), h.server.URL)
}

// adds answers the page of a link by an authenticator.
func (b *browser) adds(at seen, with *authenticator.Authenticator, name string) seen {
	b.t.Helper()
	said, err := with.Create(at.options())
	b.must(err)
	return b.post("/link/enrol", "token", at.hidden("token"), "csrf", at.hidden("csrf"), "state", at.hidden("state"), "answer", said, "factor_name", name)
}

func TestWithoutPasswordsALinkAddsAPasskey(t *testing.T) {
	h := openWith(t, "passkey totp", "passkey", "passkey+totp")
	link := h.invited("u-root", "root", true)
	b, device := h.browser(), authenticator.New(h.party().Origin)
	at := b.get(link).is(200, `lang="fr"`, "administre", `id="key-submit"`).lacks("new_password", "/account/security")
	b.get(link).is(200) // a scanner of mail spends nothing
	b.choose(link, chosen).is(422).lacks("ouvert")
	b.adds(at, device, " ").is(422)
	liar := authenticator.New("https://evil.example")
	b.adds(at, liar, "Mine").is(422)
	if held, err := h.tenant.Authenticators(t.Context(), "u-root"); err != nil || len(held) != 0 {
		t.Fatalf("%d authenticators, %v", len(held), err)
	}
	b.adds(at, device, "My phone").is(200, "ouvert")
	b.get(link).is(410)
	b.adds(at, authenticator.New(h.party().Origin), "Again").is(410)
	b.get("/account").to("/signin") // nobody is signed in by a link
	b.key(b.follow(b.get("/account")), device, "passkey").to("/account")
	if current := h.only("u-root"); len(current.Proofs) != 1 || current.Proofs[0].Factor != "passkey" {
		t.Errorf("the session is %+v", current)
	}
	if _, err := h.tenant.Password(t.Context(), "u-root"); err == nil {
		t.Error("a password was set")
	}
	if got := h.kinds("u-root"); got["user.changed enrolled"] != 1 {
		t.Errorf("the journal knows %v", got)
	}
}

// TestS26WhatALinkAskedServesThatLink: the challenge of one link is worth nothing with another, in time only, and of many
// who answer one wins; what was given before ends.
func TestS26WhatALinkAskedServesThatLink(t *testing.T) {
	h := openWith(t, "passkey", "passkey")
	alice := h.person("u-alice", "alice", "alice@bank.example", "")
	old := h.device(alice, iam.FactorPasskey)
	thief := h.browser()
	thief.key(thief.follow(thief.get("/account")), old, "passkey").to("/account")
	mine, other := h.inviteTo("u-alice"), h.invited("u-bob", "bob", false)
	b := h.browser()
	at, strange := b.get(mine).is(200), b.get(other).is(200)
	if !strings.Contains(at.options(), `"excludeCredentials":[{`) {
		t.Errorf("a passkey that is there is asked for again: %s", at.options())
	}
	device := authenticator.New(h.party().Origin)
	said, err := device.Create(strange.options())
	h.must(err)
	b.post("/link/enrol", "token", at.hidden("token"), "csrf", at.hidden("csrf"), "state", strange.hidden("state"), "answer", said, "factor_name", "x").is(422)
	h.browser().post("/link/enrol", "token", strange.hidden("token"), "csrf", strange.hidden("csrf"), "state", strange.hidden("state"), "answer", said, "factor_name", "x").is(403)
	b.adds(at, authenticator.New(h.party().Origin), "New phone").is(200)
	thief.get("/account").to("/signin")
	h.clock.pass(6 * 60 * 1e9)
	b.post("/link/enrol", "token", strange.hidden("token"), "csrf", strange.hidden("csrf"), "state", strange.hidden("state"), "answer", said, "factor_name", "x").is(422)
	b.adds(b.get(other), authenticator.New(h.party().Origin), "Bob's").is(200)
	if held, err := h.tenant.Authenticators(t.Context(), "u-alice"); err != nil || len(held) != 2 {
		t.Errorf("%d authenticators, %v", len(held), err)
	}
}

func TestWithoutPasswordsNothingLeadsToOne(t *testing.T) {
	h := openWith(t, "passkey email", "passkey", "email")
	h.offers.SignUp, h.offers.Reset = false, false
	b := h.browser()
	for _, path := range []string{"/signup", "/forgot", "/link/reset?token=" + iam.NewSecret(iam.PrefixLink)} {
		b.get(path).is(404)
	}
	b.follow(b.get("/account")).is(200).lacks("/forgot", "/signup", `type="password"`)
}

func TestALinkAddsWhatTheRecipeOffers(t *testing.T) {
	h := openWith(t, "email", "email")
	h.person("u-ada", "ada", "ada@bank.example", "")
	b := h.browser()
	link := h.inviteTo("u-ada")
	b.get(link).to("/account") // a code by mail is enough, and nothing is spent
	b.get(h.invited("u-nobody", "nobody", false)).is(400, "help")
	h.offers.Factors = []string{"password"}
	h.sets = []string{"password"}
	b.get(link).is(200, `type="password"`)
}
