package session

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/seal"
)

// StepChoose stands in Flow.Asked when the person chose, within the flow, as whom to go on (prompt=select_account).
const StepChoose = "select_account"

// ChooseAt is where the dispatcher sends a person to choose an account. It comes back with StepChoose among Flow.Asked, in
// the chosen session.
func ChooseAt(key string) string { return "/choose?flow=" + url.QueryEscape(key) }

// StepLater stands in Flow.Asked when the person, within the flow, put off adding a factor that they must have by a day.
const StepLater = "enrol_later"

// EnrolAt is where the dispatcher sends a person to add a factor: by Flow.Need, or because everybody like them must have
// one. It comes back when there is one more, or with StepLater among Flow.Asked.
func EnrolAt(key string) string { return "/signin/enrol?flow=" + url.QueryEscape(key) }

// MaxAccounts is how many accounts one browser can be signed in to.
const MaxAccounts = 4

const cookieAccounts = "garde-accounts"

// Accounts keeps the further sessions of a browser whose person has several accounts: their cookies' values, sealed under
// the cookie that binds transactions to the browser. Neither half is worth anything without the other and the master key,
// and both go at a sign-out and with the browser. All fields are required.
//
// A session that is chosen moves as it is. A copy under a new value could outlive "sign out everywhere", which may end the
// original between the look and the copy; and its ID is what applications know it by.
type Accounts struct {
	Keeper *Keeper
	Sealer seal.Sealer
	Tenant iam.Tenant
}

// Account is a further session of this browser.
type Account struct {
	iam.Session
	value string
}

func (a *Accounts) place(browser Browser) seal.AD {
	return seal.AD{Tenant: string(a.Tenant), Table: "cookie", Row: "accounts " + browser.Digest().String()}
}

// Others gives the living sessions of this browser's further accounts, each of another person, the last used first.
func (a *Accounts) Others(r *http.Request) ([]Account, error) {
	browser, sealed := a.Keeper.Known(r), a.Keeper.read(r, cookieAccounts)
	if browser.value == "" || sealed == "" || len(sealed) > 4096 {
		return nil, nil
	}
	plain, err := a.Sealer.Open(a.place(browser), sealed)
	if err != nil {
		return nil, nil //nolint:nilerr // of another browser, or nobody's: as if it were not there
	}
	var values []string
	if err := json.Unmarshal(plain, &values); err != nil {
		return nil, err
	}
	current, err := a.Keeper.Current(r)
	if err != nil && !errors.Is(err, iam.ErrNotFound) {
		return nil, err
	}
	people, list := []string{current.User}, []Account(nil)
	for _, value := range values[:min(len(values), MaxAccounts)] {
		hash := iam.HashSession(value)
		if iam.Digest(hash).Zero() {
			continue
		}
		one, err := a.Keeper.Sessions.Session(r.Context(), hash, a.Keeper.now(), a.Keeper.Lives().SessionIdle)
		if errors.Is(err, iam.ErrNotFound) || err == nil && slices.Contains(people, one.User) {
			continue
		}
		if err != nil {
			return nil, err
		}
		people, list = append(people, one.User), append(list, Account{one, value})
	}
	return list, nil
}

// SetAside makes room for another account: the present session, if any, becomes a further one, and nobody is signed in.
// iam.ErrFull when the browser has MaxAccounts already.
func (a *Accounts) SetAside(w http.ResponseWriter, r *http.Request) error {
	current, err := a.Keeper.Current(r)
	if errors.Is(err, iam.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	others, err := a.Others(r)
	if err != nil {
		return err
	}
	list := append([]Account{{current, a.Keeper.read(r, cookieSession)}}, others...)
	if len(list) >= MaxAccounts {
		return iam.ErrFull
	}
	if err := a.keep(w, a.Keeper.Browser(w, r), list); err != nil {
		return err
	}
	a.Keeper.Set(w, cookieSession, "", -time.Second)
	return nil
}

// Choose makes a further session, named by its ID, the one of this browser; the present one becomes a further one.
// iam.ErrNotFound when it is none of this browser, or has ended.
func (a *Accounts) Choose(w http.ResponseWriter, r *http.Request, id string) (iam.Session, error) {
	others, err := a.Others(r)
	if err != nil {
		return iam.Session{}, err
	}
	at := slices.IndexFunc(others, func(one Account) bool { return one.ID == id })
	if at < 0 {
		return iam.Session{}, iam.ErrNotFound
	}
	chosen := others[at]
	others = slices.Delete(others, at, at+1)
	current, err := a.Keeper.Current(r)
	switch {
	case err == nil:
		others = append([]Account{{current, a.Keeper.read(r, cookieSession)}}, others...)
	case !errors.Is(err, iam.ErrNotFound):
		return iam.Session{}, err
	}
	if err := a.keep(w, a.Keeper.Known(r), others); err != nil {
		return iam.Session{}, err
	}
	a.Keeper.Set(w, cookieSession, chosen.value, max(chosen.Expires.Sub(a.Keeper.now()), time.Second))
	if a.Keeper.read(r, cookieState) != "" {
		a.Keeper.changeState(w)
	}
	return chosen.Session, nil
}

// keep writes the list of further accounts.
func (a *Accounts) keep(w http.ResponseWriter, browser Browser, list []Account) error {
	if len(list) == 0 {
		a.Keeper.Set(w, cookieAccounts, "", -time.Second)
		return nil
	}
	values := make([]string, len(list))
	for i, one := range list {
		values[i] = one.value
	}
	body, err := json.Marshal(values)
	if err != nil {
		return err
	}
	sealed, err := a.Sealer.Seal(a.place(browser), body)
	if err != nil {
		return err
	}
	a.Keeper.Set(w, cookieAccounts, sealed, 0)
	return nil
}

// Out ends the present session of this browser and leaves it to nobody: the further accounts stay, to be chosen from. The
// browser is another one from here on, so that no form and no transaction of before serves whoever comes next. It tells
// whether further accounts are left.
func (a *Accounts) Out(w http.ResponseWriter, r *http.Request, id string, events ...journal.Event) (bool, error) {
	others, err := a.Others(r)
	if err != nil {
		return false, err
	}
	if err := a.Keeper.End(r.Context(), w, id, events...); err != nil {
		return false, err
	}
	if len(others) == 0 {
		a.Keeper.Set(w, cookieAccounts, "", -time.Second)
		return false, nil
	}
	next := Browser{iam.NewSecret(iam.PrefixFlow)}
	a.Keeper.Set(w, cookieBrowser, next.value, 0) // after End took the old one away
	return true, a.keep(w, next, others)
}

// OutAll ends every session of this browser: the present one and those of the further accounts. ended tells what the
// journal says of each.
func (a *Accounts) OutAll(w http.ResponseWriter, r *http.Request, ended func(iam.Session) journal.Event) error {
	others, err := a.Others(r)
	if err != nil {
		return err
	}
	for _, one := range others {
		if err := a.end(r.Context(), one.Session, ended); err != nil {
			return err
		}
	}
	a.Keeper.Set(w, cookieAccounts, "", -time.Second)
	current, err := a.Keeper.Current(r)
	if errors.Is(err, iam.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return a.Keeper.End(r.Context(), w, current.ID, ended(current))
}

func (a *Accounts) end(ctx context.Context, one iam.Session, ended func(iam.Session) journal.Event) error {
	return a.Keeper.Sessions.EndSession(ctx, one.ID, ended(one))
}
