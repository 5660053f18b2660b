package enact_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/enact"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/store"
	"github.com/gardeauth/garde/internal/store/sqlstore"
	"github.com/gardeauth/garde/recipe"
)

const rules = `
garde: 1
levels:
  - {name: basic, acr: "urn:basic", any: [password]}
scopes:
  accounts.read: {say: {en: See your balances}}
apis:
  accounts:
    at: https://api.bank.example/accounts
    upstream: http://127.0.0.1:7101
    operations:
      GET /balance: {for: [user], scope: accounts.read}
clients:
  web:
    type: browser
    redirect_uris: ["https://app.example/cb"]
    scopes: [openid, accounts.read]
`

var (
	now    = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	weaker = strings.Replace(rules, "GET /balance: {for: [user], scope: accounts.read}",
		"GET /balance: {for: [user], scope: accounts.read}\n      GET /rates: {open: public prices}", 1)
	other = strings.Replace(rules, "web:\n    type", "web:\n    name: {en: The bank}\n    type", 1)
)

func bundle(t *testing.T, text string) *recipe.Bundle {
	t.Helper()
	b, err := recipe.Assemble("", []recipe.Source{{Name: "recipe.yaml", Text: []byte(text)}}, nil, now)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func open(t *testing.T) *sqlstore.Tenant {
	t.Helper()
	kept, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "garde.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kept.Close() })
	return kept.Tenant(iam.DefaultTenant)
}

func apply(t *testing.T, e *enact.Enactor, text string, expect int64, accept ...string) (iam.Revision, error) {
	t.Helper()
	revision, _, err := e.Apply(t.Context(), enact.Proposal{Bundle: bundle(t, text), Expect: expect, Accept: accept, By: "operator:ada"}, now)
	return revision, err
}

func TestBeforeTheFirstRecipeNothingIsAllowed(t *testing.T) {
	e := &enact.Enactor{Revisions: open(t)}
	if err := e.Adopt(t.Context()); err != nil || e.InForce() != nil || e.Problem() != "" {
		t.Errorf("error %v, problem %q", err, e.Problem())
	}
	if e.Policy() == nil || e.Policy().Knows("openid") {
		t.Error("without a recipe something is allowed")
	}
}

func TestApply(t *testing.T) {
	e := &enact.Enactor{Revisions: open(t), Issuer: "https://login.bank.example"}
	if revision, err := apply(t, e, rules, 0); err != nil || revision.Number != 1 {
		t.Fatal(revision.Number, err)
	}
	if revision, err := apply(t, e, rules, -1); err != nil || revision.Number != 1 {
		t.Errorf("the same recipe makes revision %d: %v", revision.Number, err)
	}
	if _, err := apply(t, e, other, 7); !errors.Is(err, iam.ErrRaced) {
		t.Errorf("another revision was expected: %v", err)
	}
	if _, err := apply(t, e, other, 0); !errors.Is(err, iam.ErrRaced) {
		t.Errorf("none was expected: %v", err)
	}
	if revision, err := apply(t, e, other, 1); err != nil || revision.Number != 2 {
		t.Errorf("revision %d: %v", revision.Number, err)
	}
}

func TestAWeakeningIsAcceptedByNameOrNotAtAll(t *testing.T) {
	e := &enact.Enactor{Revisions: open(t)}
	if _, err := apply(t, e, rules, 0); err != nil {
		t.Fatal(err)
	}
	var refused *enact.Weakened
	for _, accept := range [][]string{nil, {"everything"}, {""}} {
		if _, err := apply(t, e, weaker, -1, accept...); !errors.As(err, &refused) || len(refused.Names) == 0 {
			t.Fatalf("accepting %q: %v", accept, err)
		}
	}
	if !strings.Contains(refused.Error(), "--accept-weaker") || !strings.Contains(refused.Error(), refused.Names[0]) {
		t.Errorf("the refusal says %q", refused)
	}
	if revision, err := apply(t, e, weaker, -1, refused.Names...); err != nil || revision.Number != 2 {
		t.Errorf("accepted by name: revision %d, %v", revision.Number, err)
	}
}

func TestOfManyWhoApplyOneWins(t *testing.T) {
	tenant := open(t)
	first := &enact.Enactor{Revisions: tenant}
	if _, err := apply(t, first, rules, 0); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	won := 0
	for i := range 8 {
		text := strings.Replace(other, "The bank", "The bank "+string(rune('A'+i)), 1)
		all.Go(func() {
			_, err := apply(t, &enact.Enactor{Revisions: tenant}, text, 1)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			} else if !errors.Is(err, iam.ErrRaced) {
				t.Error(err)
			}
		})
	}
	if all.Wait(); won != 1 {
		t.Errorf("%d won", won)
	}
}

func TestARevisionIsAdoptedWholeOrNotAtAll(t *testing.T) {
	var steps []string
	var broken error
	part := func(name string) enact.Part {
		return func(next *enact.Force) (func(), error) {
			steps = append(steps, "prepare "+name)
			if name == "b" && broken != nil {
				return nil, broken
			}
			return func() { steps = append(steps, "swap "+name) }, nil
		}
	}
	nothing := func(*enact.Force) (func(), error) { return nil, nil }
	e := &enact.Enactor{Revisions: open(t), Parts: []enact.Part{part("a"), nothing, part("b")}}
	if _, err := apply(t, e, rules, 0); err != nil {
		t.Fatal(err)
	}
	if e.InForce() != nil {
		t.Error("to apply is not yet to adopt")
	}
	adopt := func(wantErr bool, number int64, want ...string) {
		t.Helper()
		steps = nil
		if err := e.Adopt(t.Context()); (err != nil) != wantErr || (e.Problem() != "") != wantErr {
			t.Errorf("error %v, problem %q", err, e.Problem())
		}
		if !slices.Equal(steps, want) || e.InForce() == nil || e.InForce().Number != number || e.Policy().Revision != number {
			t.Errorf("steps %q, in force %+v", steps, e.InForce())
		}
	}
	adopt(false, 1, "prepare a", "prepare b", "swap a", "swap b")
	adopt(false, 1)
	if _, err := apply(t, e, other, 1); err != nil {
		t.Fatal(err)
	}
	broken = errors.New("no such file")
	adopt(true, 1, "prepare a", "prepare b")
	adopt(true, 1, "prepare a", "prepare b")
	broken = nil
	adopt(false, 2, "prepare a", "prepare b", "swap a", "swap b")
}

// altered gives back another bundle than the one whose digest it names.
type altered struct {
	iam.Revisions
	with []byte
}

func (a altered) InForce(ctx context.Context) (iam.Revision, error) {
	revision, err := a.Revisions.InForce(ctx)
	revision.Bundle = a.with
	return revision, err
}

func TestWhatWasAlteredInStorageIsNotAdopted(t *testing.T) {
	tenant := open(t)
	if _, err := apply(t, &enact.Enactor{Revisions: tenant}, rules, 0); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"another recipe": bundle(t, weaker).Marshal(), "garbage": []byte("{"), "nothing": nil} {
		e := &enact.Enactor{Revisions: altered{tenant, text}}
		if err := e.Adopt(t.Context()); err == nil || e.InForce() != nil || !strings.Contains(e.Problem(), "revision 1") {
			t.Errorf("%s: error %v, in force %v", name, err, e.InForce())
		}
	}
}

func TestARevisionThatCanNotBeReadDoesNotKeepTheCureOut(t *testing.T) {
	tenant := open(t)
	if _, err := apply(t, &enact.Enactor{Revisions: tenant}, rules, 0); err != nil {
		t.Fatal(err)
	}
	e := &enact.Enactor{Revisions: altered{tenant, []byte("{")}}
	cure := enact.Proposal{Bundle: bundle(t, weaker), Expect: 1, By: "test"}
	var refused *enact.Weakened
	if _, _, err := e.Apply(t.Context(), cure, time.Now()); !errors.As(err, &refused) {
		t.Fatalf("nobody was asked: %v", err)
	}
	cure.Accept = refused.Names
	if revision, _, err := e.Apply(t.Context(), cure, time.Now()); err != nil || revision.Number != 2 {
		t.Errorf("revision %d, %v", revision.Number, err)
	}
}

func TestDeclaredClients(t *testing.T) {
	declared := enact.Declared(bundle(t, rules))
	if len(declared) != 1 || declared[0].ID != "web" || declared[0].Source != iam.FromRecipe || declared[0].Auth != "none" ||
		declared[0].Consent != recipe.ConsentAsk || !declared[0].MayUse("authorization_code") || declared[0].MayUse("client_credentials") {
		t.Errorf("declared %+v", declared)
	}
}
