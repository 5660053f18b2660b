package demo

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/oauth2"

	"github.com/gardeauth/garde/internal/demo/accounts"
	"github.com/gardeauth/garde/internal/demo/client"
)

// errand is one thing that a person wants done, and allows at the Server word by word (RFC 9396): the token that comes of it
// is good for exactly this, once.
type errand struct {
	Path string
	Body []byte
}

// begin sends the person to the Server, to read and allow what the errand is.
func (b *Bank) begin(w http.ResponseWriter, r *http.Request, scope, kind, path string, order any) error {
	body, err := json.Marshal(order)
	if err != nil {
		return err
	}
	detail := map[string]any{}
	if err := json.Unmarshal(body, &detail); err != nil {
		return err
	}
	detail["type"] = kind
	details, err := json.Marshal([]any{detail})
	if err != nil {
		return err
	}
	a, address, err := b.web.Begin(r.Context(), b.Site.Bank+"/callback", scope,
		oauth2.SetAuthURLParam("authorization_details", string(details)), oauth2.SetAuthURLParam("ui_locales", language(r)))
	if err != nil {
		return err
	}
	b.send(w, r, a, address, &errand{path, body})
	return nil
}

// do does the errand with the token that was given for it, and forgets the token.
func (b *Bank) do(w http.ResponseWriter, r *http.Request, g client.Grant, errand *errand) error {
	v := b.desk.visit(r)
	if v == nil || v.subject() != g.Subject {
		return errEnded
	}
	back := b.web.Call(r.Context(), http.MethodPost, errand.Path, g.Access, errand.Body)
	v.mu.Lock()
	v.told = &back
	v.mu.Unlock()
	redirect(w, "/recipients#done")
	return nil
}

// recipients shows whom the person may pay, and what came of the last errand.
func (b *Bank) recipients(w http.ResponseWriter, r *http.Request) error {
	v := b.desk.visit(r)
	if v == nil {
		return errEnded
	}
	list, err := b.ask(r.Context(), v, http.MethodGet, "/recipients", nil)
	if err != nil {
		return err
	}
	total, err := b.ask(r.Context(), v, http.MethodGet, "/balance", nil)
	if err != nil {
		return err
	}
	v.mu.Lock()
	told := v.told
	v.told = nil
	v.mu.Unlock()
	for _, back := range []client.Reply{list, total} {
		if !back.OK() {
			b.show(w, r, http.StatusOK, "refused.html", "refused.title", map[string]any{"Reply": back})
			return nil
		}
	}
	var held accounts.Balances
	var known struct{ Recipients []accounts.Recipient }
	if err := errors.Join(json.Unmarshal(list.Raw, &known), json.Unmarshal(total.Raw, &held)); err != nil {
		return errors.Join(errors.New("the accounts API's answer can't be read"), err)
	}
	b.show(w, r, http.StatusOK, "recipients.html", "recipients.title", map[string]any{
		"Known": known.Recipients, "Accounts": held.Accounts, "Told": told, "Wrong": r.URL.Query().Get("wrong"),
	})
	return nil
}

// addRecipient begins to add somebody outside whom the person wants to pay.
func (b *Bank) addRecipient(w http.ResponseWriter, r *http.Request) error {
	if _, err := b.form(r); err != nil {
		return err
	}
	added := accounts.Recipient{Name: strings.TrimSpace(r.PostForm.Get("name")), Number: spaced(r.PostForm.Get("number"))}
	if added.Name == "" || added.Number == "" {
		redirect(w, "/recipients?wrong=number#add")
		return nil
	}
	return b.begin(w, r, addScope, "recipient", "/recipients", added)
}

// pay begins to pay a recipient.
func (b *Bank) pay(w http.ResponseWriter, r *http.Request) error {
	if _, err := b.form(r); err != nil {
		return err
	}
	cents, ok := readAmount(r.PostForm.Get("amount"))
	if !ok {
		redirect(w, "/recipients?"+url.Values{"wrong": {"amount"}}.Encode()+"#pay")
		return nil
	}
	return b.begin(w, r, payScope, "payment", "/payments", accounts.Payment{
		From: r.PostForm.Get("from"), To: r.PostForm.Get("to"), Cents: cents, Note: strings.TrimSpace(r.PostForm.Get("note")),
	})
}

// spaced writes a number in groups of four, however it was typed.
func spaced(typed string) string {
	plain := strings.ToUpper(strings.Join(strings.Fields(typed), ""))
	var groups []string
	for len(plain) > 4 {
		groups, plain = append(groups, plain[:4]), plain[4:]
	}
	return strings.TrimSpace(strings.Join(append(groups, plain), " "))
}
