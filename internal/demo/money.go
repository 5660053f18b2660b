package demo

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/demo/accounts"
	"github.com/gardeauth/garde/internal/demo/client"
)

// accounts shows what the person has, as it came through the Gate, and what the bank's token says.
func (b *Bank) accounts(w http.ResponseWriter, r *http.Request) error {
	v := b.desk.visit(r)
	if v == nil {
		return errEnded
	}
	back, err := b.ask(r.Context(), v, http.MethodGet, "/balance", nil)
	if err != nil {
		return err
	}
	v.mu.Lock()
	last, order := v.last, v.order
	v.last = nil
	if last != nil && last.OK() {
		v.order = accounts.Transfer{}
		order = accounts.Transfer{}
	}
	v.mu.Unlock()
	if !back.OK() {
		b.show(w, r, http.StatusOK, "refused.html", "refused.title", map[string]any{"Reply": back})
		return nil
	}
	var total accounts.Balances
	if err := json.Unmarshal(back.Raw, &total); err != nil || len(total.Accounts) == 0 {
		return errors.Join(errors.New("the accounts API's answer can't be read"), err)
	}
	i := max(0, slices.IndexFunc(total.Accounts, func(a accounts.Account) bool { return a.ID == r.URL.Query().Get("account") }))
	shown := total.Accounts[i]
	detail, err := b.ask(r.Context(), v, http.MethodGet, "/accounts/"+url.PathEscape(shown.ID), nil)
	if err != nil {
		return err
	}
	if detail.OK() {
		if err := json.Unmarshal(detail.Raw, &shown); err != nil {
			return errors.Join(errors.New("the accounts API's answer can't be read"), err)
		}
	}
	shelf, err := b.shelf.read()
	if err != nil {
		return err
	}
	g := v.held()
	amount := ""
	if order.Cents > 0 {
		amount = strconv.FormatInt(order.Cents/100, 10) + "." + strconv.FormatInt(order.Cents%100+100, 10)[1:]
	}
	b.show(w, r, http.StatusOK, "accounts.html", "accounts.title", map[string]any{
		"Total": total, "Shown": shown, "Facts": b.facts(shelf, language(r), g), "Last": last, "Order": order, "Amount": amount,
		"MayMove": slices.Contains(strings.Fields(g.Scope), "transfers.write"),
	})
	return nil
}

// transfer sends the person's order through the Gate and shows on the next page what it said.
func (b *Bank) transfer(w http.ResponseWriter, r *http.Request) error {
	v, err := b.form(r)
	if err != nil {
		return err
	}
	order := accounts.Transfer{From: r.PostForm.Get("from"), To: r.PostForm.Get("to"), Note: strings.TrimSpace(r.PostForm.Get("note"))}
	cents, ok := readAmount(r.PostForm.Get("amount"))
	order.Cents = cents
	if !ok {
		v.remember(&client.Reply{Method: http.MethodPost, Path: "/transfers", Status: 0}, order)
		redirect(w, "/accounts#move")
		return nil
	}
	body, err := json.Marshal(order)
	if err != nil {
		return err
	}
	back, err := b.ask(r.Context(), v, http.MethodPost, "/transfers", body)
	if err != nil {
		return err
	}
	v.remember(&back, order)
	redirect(w, "/accounts#move")
	return nil
}

func (v *visit) remember(last *client.Reply, order accounts.Transfer) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.last, v.order, v.step = last, order, last.StepUp()
}

// readAmount reads 12, 12.5, 12,50 as cents.
func readAmount(text string) (int64, bool) {
	whole, part, point := strings.Cut(strings.Replace(strings.TrimSpace(text), ",", ".", 1), ".")
	digits := func(s string) bool { return strings.Trim(s, "0123456789") == "" }
	if whole == "" || len(whole) > 7 || len(part) > 2 || point && part == "" || !digits(whole) || !digits(part) {
		return 0, false
	}
	cents, err := strconv.ParseInt(whole+(part + "00")[:2], 10, 64)
	return cents, err == nil && cents > 0
}

// fact is one thing that a token says, in plain words.
type fact struct{ Name, Value, Why string }

// facts opens the access token to teach. A client normally has no business in there: the token is for the API.
func (b *Bank) facts(p *pages, lang string, g client.Grant) []fact {
	claims := peek(g.Access)
	text := func(name string) string { value, _ := claims[name].(string); return value }
	var all []fact
	add := func(key, value string) {
		if value != "" {
			all = append(all, fact{p.text(lang, "fact."+key), value, p.text(lang, "fact."+key+".why")})
		}
	}
	if claims == nil {
		add("opaque", p.text(lang, "fact.opaque.value"))
	}
	add("iss", text("iss"))
	add("aud", text("aud"))
	add("client", text("client_id"))
	add("sub", text("sub"))
	var can []string
	for name := range strings.FieldsSeq(g.Scope) {
		if words := p.text(lang, "scope."+name); words != "scope."+name {
			can = append(can, words)
		}
	}
	add("scope", strings.Join(can, " · "))
	add("acr", text("acr"))
	if at, ok := claims["auth_time"].(float64); ok {
		add("auth", p.text(lang, "ago", "span", p.span(lang, b.Now().Sub(time.Unix(int64(at), 0)))))
	}
	add("exp", p.text(lang, "in", "span", p.span(lang, g.Expires.Sub(b.Now()))))
	return all
}

// peek reads the claims of a JWT without believing them.
func peek(token string) map[string]any {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil
	}
	var claims map[string]any
	if json.Unmarshal(raw, &claims) != nil {
		return nil
	}
	return claims
}
