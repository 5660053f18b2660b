// Package accounts is the API of the demonstration's bank, behind the Gate: it believes who the Gate says is calling, and
// checks what only it can know, whose account it is.
package accounts

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gardeauth/garde/internal/demo/local"
)

// Bounds of a transfer.
const (
	maxTransferBody = 4 << 10
	maxTransfer     = 1_000_000 // cents
	maxNote         = 60        // characters
)

// API is the bank's accounts API. It verifies no token: it stands behind the Gate, believes the identity headers
// that the Gate sets and nobody else can, and therefore is to be reached on loopback alone. What it does check is what
// only it can know: whose account it is. The zero value is ready.
type API struct {
	Now func() time.Time // nil: time.Now

	once   sync.Once
	ledger *ledger
	mux    *http.ServeMux
}

// Run serves on a loopback listener until ctx ends; it refuses any other.
func (a *API) Run(ctx context.Context, l net.Listener) error { return local.Serve(ctx, l, a) }

// Caller is whom the Gate says it has let in.
type Caller struct {
	Subject string `json:"subject,omitempty"`
	Client  string `json:"client"`
	Scope   string `json:"scope"`

	Details []Information `json:"authorization_details,omitempty"` // none: all that the scope says
}

// Information is what a person allowed an aggregator: to see balances, until a day.
type Information struct {
	Type  string `json:"type"`
	Until string `json:"until"`
}

// may tells whether the caller may do a part of what its scope says on a day. A detail that this API does not know allows
// nothing; of those that add a recipient or pay, the Gate has compared every word with the request.
func (c Caller) may(part, day string) bool {
	return len(c.Details) == 0 || slices.ContainsFunc(c.Details, func(d Information) bool {
		switch d.Type {
		case "account_information":
			return part == "balances" && day <= d.Until
		case "recipient":
			return part == "recipients"
		case "payment":
			return part == "payments"
		}
		return false
	})
}

// ServeHTTP answers the operations of the recipe.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.once.Do(a.prepare)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	// A page in a browser that points its own name at 127.0.0.1 sends that name as Host.
	if host := local.Host(r.Host); host != "localhost" && !local.IsLoopback(host) {
		problem(w, http.StatusMisdirectedRequest, "this API answers on loopback only")
		return
	}
	a.mux.ServeHTTP(w, r)
}

func (a *API) prepare() {
	if a.Now == nil {
		a.Now = time.Now
	}
	a.ledger = &ledger{now: a.Now}
	a.mux = http.NewServeMux()
	a.mux.HandleFunc("GET /rates", a.rates)
	a.mux.HandleFunc("GET /balance", a.person("balances", a.balance))
	a.mux.HandleFunc("GET /accounts/{id}", a.person("entries", a.account))
	a.mux.HandleFunc("POST /transfers", a.person("transfers", a.transfer))
	a.mux.HandleFunc("GET /recipients", a.person("entries", a.recipients))
	a.mux.HandleFunc("POST /recipients", a.person("recipients", a.addRecipient))
	a.mux.HandleFunc("POST /payments", a.person("payments", a.pay))
	a.mux.HandleFunc("GET /statement", a.statement)
	a.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		problem(w, http.StatusNotFound, "the bank has no such operation")
	})
}

// person admits callers for whom the Gate names a person that is not the client itself, and who allowed this part.
func (a *API) person(part string, next func(http.ResponseWriter, *http.Request, Caller)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		who, err := identify(r.Header)
		if err == nil && (who.Subject == "" || who.Subject == who.Client) {
			err = errors.New("the Gate named no person")
		}
		if err != nil {
			problem(w, http.StatusUnauthorized, err.Error())
			return
		}
		if !who.may(part, a.Now().UTC().Format(time.DateOnly)) {
			problem(w, http.StatusForbidden, "the person did not allow this, or no longer")
			return
		}
		next(w, r, who)
	}
}

// detailsHeader is where the Gate says what the person allowed in detail (RFC 9396).
const detailsHeader = "Garde-Authorization-Details"

// identify reads the Gate's headers. One that stands there twice did not come from the Gate alone.
func identify(h http.Header) (Caller, error) {
	for _, name := range []string{"Garde-Subject", "Garde-Client", "Garde-Scope", detailsHeader} {
		if len(h.Values(name)) > 1 {
			return Caller{}, fmt.Errorf("the header %s stands there twice", name)
		}
	}
	who := Caller{Subject: h.Get("Garde-Subject"), Client: h.Get("Garde-Client"), Scope: h.Get("Garde-Scope")}
	if who.Client == "" {
		return Caller{}, errors.New("the Gate named no client: is the request past it?")
	}
	if text := h.Get(detailsHeader); text != "" {
		if err := json.Unmarshal([]byte(text), &who.Details); err != nil || len(who.Details) == 0 {
			return Caller{}, errors.New("what the person allowed can't be read")
		}
	}
	return who, nil
}

func (a *API) rates(w http.ResponseWriter, _ *http.Request) {
	type rate struct {
		Kind        string `json:"kind"`
		BasisPoints int    `json:"basis_points"`
	}
	answer(w, http.StatusOK, map[string]any{
		"day":   a.Now().UTC().Format(time.DateOnly),
		"rates": []rate{{"everyday", 0}, {"savings", 215}, {"holidays", 140}},
	})
}

// Balances is the answer to GET /balance.
type Balances struct {
	Seen     Caller    `json:"seen"` // whom the API was told about, to show what the Gate passes on
	Currency string    `json:"currency"`
	Cents    int64     `json:"cents"`
	Accounts []Account `json:"accounts"`
}

func (a *API) balance(w http.ResponseWriter, _ *http.Request, who Caller) {
	held, ok := a.held(w, who)
	if !ok {
		return
	}
	total := Balances{Currency: "EUR", Accounts: held, Seen: who}
	for i := range held {
		held[i].Entries = nil
		total.Cents += held[i].Cents
	}
	answer(w, http.StatusOK, total)
}

func (a *API) account(w http.ResponseWriter, r *http.Request, who Caller) {
	held, ok := a.held(w, who)
	if !ok {
		return
	}
	i := slices.IndexFunc(held, func(one Account) bool { return one.ID == r.PathValue("id") })
	if i < 0 {
		problem(w, http.StatusNotFound, "you have no such account")
		return
	}
	answer(w, http.StatusOK, held[i])
}

func (a *API) transfer(w http.ResponseWriter, r *http.Request, who Caller) {
	body, ok := order(w, r)
	if !ok {
		return
	}
	wanted, err := readTransfer(body)
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	if fault := a.ledger.move(who.Subject, wanted); fault != "" {
		problem(w, http.StatusUnprocessableEntity, fault)
		return
	}
	answer(w, http.StatusCreated, wanted)
}

// order reads the body of an order, or has answered why not.
func order(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	if kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); strings.TrimSpace(kind) != "application/json" {
		problem(w, http.StatusUnsupportedMediaType, "send application/json")
		return nil, false
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxTransferBody))
	if err != nil {
		problem(w, http.StatusRequestEntityTooLarge, "an order fits into 4096 bytes")
		return nil, false
	}
	return body, true
}

// statement is for the bank's own programs: what all postings of a day add up to.
func (a *API) statement(w http.ResponseWriter, r *http.Request) {
	who, err := identify(r.Header)
	if err == nil && who.Subject != "" && who.Subject != who.Client {
		err = errors.New("statements are for the bank's own programs")
	}
	if err != nil {
		problem(w, http.StatusForbidden, err.Error())
		return
	}
	query := r.URL.Query()
	day := a.Now().UTC().Format(time.DateOnly)
	if query.Has("day") {
		day = query.Get("day")
	}
	if _, err := time.Parse(time.DateOnly, day); err != nil || len(query["day"]) > 1 {
		problem(w, http.StatusBadRequest, "day is one date, such as 2026-11-23")
		return
	}
	d := &dice{seed: "statement " + day}
	in, out := 1_400_000+d.below(900_000), 1_200_000+d.below(900_000)
	answer(w, http.StatusOK, map[string]any{
		"day": day, "currency": "EUR", "postings": 180 + d.below(140), "in_cents": in, "out_cents": out, "seen": who,
	})
}

func (a *API) held(w http.ResponseWriter, who Caller) ([]Account, bool) {
	held, ok := a.ledger.accounts(who.Subject)
	if !ok {
		w.Header().Set("Retry-After", "60")
		problem(w, http.StatusServiceUnavailable, "the demonstration has more people than it can remember")
	}
	return held, ok
}

// flatObject reads one JSON object of texts and numbers, whose names are all different.
func flatObject(body []byte) (map[string]any, error) {
	wrong := errors.New("the body is not one JSON object of plain texts and numbers")
	if !utf8.Valid(body) || !json.Valid(body) {
		return nil, wrong
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if first, err := d.Token(); err != nil || first != json.Delim('{') {
		return nil, wrong
	}
	members := map[string]any{}
	for d.More() {
		token, err := d.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return nil, wrong
		}
		if _, twice := members[name]; twice {
			return nil, errors.New("a name stands there twice")
		}
		value, err := d.Token()
		switch value.(type) {
		case string, json.Number:
			members[name] = value
		default:
			return nil, wrong
		}
		if err != nil {
			return nil, wrong
		}
	}
	return members, nil
}

func answer(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		problem(w, http.StatusInternalServerError, "the answer can't be written")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(append(text, '\n'))
}

// problem answers as RFC 9457 says.
func problem(w http.ResponseWriter, status int, detail string) {
	text, err := json.Marshal(map[string]any{"title": http.StatusText(status), "status": status, "detail": detail})
	if err != nil {
		text = []byte(`{}`)
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	w.Write(append(text, '\n'))
}
