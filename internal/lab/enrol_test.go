package lab_test

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/lab"
	"github.com/gardeauth/garde/internal/otp"
	"github.com/gardeauth/garde/recipe"
)

// enters signs in by the password, from wherever an answer leads.
func (b *at) enters(node *lab.Node, reply lab.Reply, name string) lab.Reply {
	b.t.Helper()
	page := b.follow(node, reply)
	got := b.post(node, "/signin", page, "username", name, "password", lamp)
	if got.Status != http.StatusSeeOther {
		b.t.Fatalf("%d: %s", got.Status, got.Body)
	}
	return got
}

// adds adds an application for one-time passwords within the transaction of a page that asks for one more factor.
func (b *at) adds(h *lab.House, node *lab.Node, page lab.Reply) lab.Reply {
	b.t.Helper()
	link := regexp.MustCompile(`/account/security/totp\?flow=[\w-]+`).FindString(string(page.Body))
	if page.Status != http.StatusOK || link == "" {
		b.t.Fatalf("no factor is asked for: %d %s\n%s", page.Status, page.Header.Get("Location"), page.Body)
	}
	form := b.get(node, link)
	secret := regexp.MustCompile(`id="totp-secret">([^<]*)<`).FindStringSubmatch(string(form.Body))
	if secret == nil {
		b.t.Fatalf("no key is shown: %d\n%s", form.Status, form.Body)
	}
	code, err := otp.Code(strings.ReplaceAll(secret[1], " ", ""), h.Clock.Now())
	if err != nil {
		b.t.Fatal(err)
	}
	return b.post(node, "/account/security/totp", form, "new_code", code, "factor_name", "App")
}

func TestS06WhoMustAddAFactorIsAskedAtTheDoorAndGoesOn(t *testing.T) {
	for what, change := range map[string]func(*recipe.Recipe){
		"because everybody must": func(house *recipe.Recipe) { house.SignIn.Enrol = []recipe.Enrol{{Level: "strong"}} },
		"because what is asked for takes it": func(house *recipe.Recipe) {
			for name, api := range house.APIs {
				for path, operation := range api.Operations {
					if operation.Scope == "accounts.read" && slices.Contains(operation.For, "user") {
						operation.Level = "strong"
						house.APIs[name].Operations[path] = operation
					}
				}
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			h := lab.New(t, lab.Options{Recipe: func(house *recipe.Recipe) {
				house.Levels = append(house.Levels, recipe.Level{Name: "strong", ACR: lab.Strong, Any: []string{"password+totp"}})
				change(house)
			}})
			node := h.Nodes[0]
			ada := resident(t, h, "ada", "")
			ask := lab.Ask(lab.WebA)
			ask.Set("scope", "openid accounts.read")
			b := &at{t, map[string]string{}}
			page := b.follow(node, b.enters(node, b.get(node, "/authorize?"+ask.Encode()), "ada"))
			if got, err := node.Server.House.Authenticators(t.Context(), ada.ID); err != nil || len(got) != 0 {
				t.Fatalf("%v, %v", got, err)
			}
			again := b.follow(node, b.get(node, "/authorize?"+ask.Encode())) // another request does not lead around it
			if !strings.Contains(string(again.Body), "/account/security/totp") {
				t.Fatalf("%d to %s", again.Status, again.Header.Get("Location"))
			}
			reply := b.adds(h, node, page)
			for range 10 {
				if reply.Status != http.StatusSeeOther || !strings.HasPrefix(reply.Header.Get("Location"), "/") {
					break
				}
				reply = b.get(node, reply.Header.Get("Location"))
			}
			if sent := reply.Header.Get("Location"); reply.Status == http.StatusOK && strings.Contains(string(reply.Body), `id="consent-allow"`) {
				return
			} else if !strings.Contains(sent, "code=") {
				t.Errorf("%d to %s\n%s", reply.Status, sent, reply.Body)
			}
		})
	}
}

// Who knows a password signs in by it twice: neither browser approves the other.
func TestS05APasswordApprovesNoPassword(t *testing.T) {
	h := lab.New(t, lab.Options{Recipe: func(house *recipe.Recipe) {
		house.Levels = append(house.Levels, recipe.Level{Name: "strong", ACR: lab.Strong, Any: []string{"password+totp", "password+approval"}})
		house.SignIn.Factors = []string{"password", "totp", "approval"}
	}})
	node := h.Nodes[0]
	ada := resident(t, h, "ada", "")
	one, two := &at{t, map[string]string{}}, &at{t, map[string]string{}}
	one.enters(node, one.get(node, "/account"), "ada")
	two.enters(node, two.get(node, "/account"), "ada")
	ask := lab.Ask(lab.WebA)
	ask.Set("claims", `{"id_token":{"acr":{"essential":true,"value":"`+lab.Strong+`"}}}`)
	page := two.follow(node, two.get(node, "/authorize?"+ask.Encode()))
	if strings.Contains(string(page.Body), "approval") {
		t.Errorf("an approval is offered:\n%s", page.Body)
	}
	// One waits all the same, as if it had been asked when another device could answer.
	asked := iam.Approval{ID: "x", User: ada.ID, Number: "42", Created: h.Clock.Now(), Expires: h.Clock.Now().Add(3e9)}
	key := iam.NewSecret(iam.PrefixFlow)
	asked.Flow = iam.HashFlow(key)
	flow := iam.Flow{Hash: asked.Flow, Browser: iam.Hash(key), User: ada.ID, Created: h.Clock.Now(), Expires: h.Clock.Now().Add(3e11)}
	if err := h.Store().AddFlow(t.Context(), flow); err != nil {
		t.Fatal(err)
	}
	if err := node.Server.House.AskApproval(t.Context(), asked); err != nil {
		t.Fatal(err)
	}
	form := one.get(node, "/account/approvals")
	got := one.post(node, "/account/approvals", form, "id", "x", "number", "42")
	if _, err := node.Server.House.TakeApproval(t.Context(), asked.Flow, h.Clock.Now()); err == nil {
		t.Errorf("it was decided: %d to %s", got.Status, got.Header.Get("Location"))
	}
}
