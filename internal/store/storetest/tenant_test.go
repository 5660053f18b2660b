package storetest_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/store"
	"github.com/gardeauth/garde/internal/store/deeds"
	"github.com/gardeauth/garde/internal/store/sqlstore"
	"github.com/gardeauth/garde/internal/store/storetest/pgtest"
)

// known is one of everything that is kept of how ada proves who she is.
type known struct {
	key      iam.Authenticator
	code     iam.Digest
	device   iam.Device
	session  iam.Session
	flow     iam.Flow
	approval iam.Approval
	use      iam.Use
	secret   iam.DeviceSecret
}

func newKnown() known {
	now := time.Now().UTC().Truncate(time.Microsecond)
	end := now.Add(time.Hour)
	k := known{
		key:     iam.Authenticator{ID: "key", User: "u-ada", Kind: iam.FactorPasskey, Handle: iam.Hash("key"), Synced: true, Sealed: "s", Mark: 3, Created: now},
		code:    iam.Hash("recovery"),
		device:  iam.Device{ID: "d", User: "u-ada", Created: now, Seen: now, Expires: end},
		session: iam.Session{ID: "s", Hash: iam.HashSession(iam.NewSecret(iam.PrefixSession)), User: "u-ada", Device: "d", AuthTime: now, Created: now, Seen: now, Expires: end},
		flow:    iam.Flow{Hash: iam.HashFlow(iam.NewSecret(iam.PrefixFlow)), Browser: iam.Hash("b"), State: "challenge", Created: now, Expires: end},
		use:     iam.Use{Key: iam.Hash("use"), Grant: "g", Expires: end},
	}
	proof := iam.Proved{Factor: "passkey", At: now, Begun: now, Credential: "key", Methods: []string{"swk", "user"}}
	k.session.Proofs, k.flow.Proofs = []iam.Proved{proof}, []iam.Proved{proof}
	k.session.Answered = []iam.Answer{{Cause: iam.Hash("why"), ACR: "urn:strong", At: now}}
	k.flow.Need = &iam.Need{ACR: "urn:strong", Sets: []string{"passkey"}, Since: now}
	k.approval = iam.Approval{ID: "a", User: "u-ada", Flow: k.flow.Hash, Number: "42", Created: now, Expires: end}
	k.secret = iam.DeviceSecret{Hash: iam.HashDeviceSecret(iam.NewSecret(iam.PrefixNative)), User: "u-ada", Session: "s", Family: "bank", Client: "c-app", Created: now, Expires: end}
	return k
}

// keep keeps all of it.
func (k known) keep(ctx context.Context, tenant *sqlstore.Tenant) error {
	_, used := tenant.ReserveUse(ctx, k.use)
	return errors.Join(used, tenant.AddAuthenticator(ctx, k.key), tenant.SetRecovery(ctx, "u-ada", []iam.Digest{k.code}), tenant.KeepDevice(ctx, k.device),
		tenant.StartSession(ctx, k.session, iam.SessionHash{}), tenant.AddFlow(ctx, k.flow), tenant.AskApproval(ctx, k.approval),
		tenant.LearnHabits(ctx, iam.Habits{User: "u-ada", Sealed: "ways"}, 0),
		tenant.Issue(ctx, iam.Issue{Now: k.session.Created, Client: "c-app", User: "u-ada", Session: "s", NewDevice: &k.secret}))
}

// there reads all of it; each answer has a name.
func (k known) there(ctx context.Context, tenant *sqlstore.Tenant) map[string]error {
	now := time.Now()
	key, keyErr := tenant.AuthenticatorOf(ctx, k.key.Handle)
	device, deviceErr := tenant.Device(ctx, "u-ada", "d", now)
	session, sessionErr := tenant.LivingSession(ctx, "s", now, time.Hour)
	flow, flowErr := tenant.Flow(ctx, k.flow.Hash, k.flow.Browser, now)
	secret, _, secretErr := tenant.DeviceSecret(ctx, k.secret.Hash, now)
	habits, habitsErr := tenant.Habits(ctx, "u-ada")
	_, approvalErr := tenant.TakeApproval(ctx, k.approval.Flow, now)
	if errors.Is(approvalErr, iam.ErrPending) {
		approvalErr = nil
	}
	left, leftErr := tenant.RecoveryLeft(ctx, "u-ada")
	if leftErr == nil && left == 0 {
		leftErr = iam.ErrNotFound
	}
	return map[string]error{"key": as(k.key, key, keyErr), "device": as(k.device, device, deviceErr), "session": as(k.session, session, sessionErr),
		"flow": as(k.flow, flow, flowErr), "secret": as(k.secret, secret, secretErr), "habits": as("ways", habits.Sealed, habitsErr),
		"approval": approvalErr, "recovery": leftErr}
}

func as[T any](want, got T, err error) error {
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b iam.Digest) bool { return a == b })); err == nil && diff != "" {
		return errors.New(diff)
	}
	return err
}

func TestTenantsShareNothingOfWhoPeopleAre(t *testing.T) {
	t.Parallel()
	for name, address := range map[string]string{"sqlite": "sqlite:" + filepath.Join(t.TempDir(), "garde.db"), "postgres": pgtest.New(t)} {
		t.Run(name, func(t *testing.T) {
			ctx, s, k := t.Context(), openAt(t, address, nil), newKnown()
			one, two := s.Tenant("one"), s.Tenant("two")
			if err := errors.Join(furnish(one), furnish(two), k.keep(ctx, one)); err != nil {
				t.Fatal(err)
			}
			for what, err := range k.there(ctx, two) {
				if !errors.Is(err, iam.ErrNotFound) {
					t.Errorf("the other tenant's %s: %v", what, err)
				}
			}
			for what, err := range map[string]error{
				"use": two.UseAuthenticator(ctx, "key", 3, 4, "", time.Now()), "rename": two.RenameAuthenticator(ctx, "u-ada", "key", "x"),
				"remove": two.RemoveAuthenticator(ctx, "u-ada", "key", "", func(iam.Left) bool { return true }), "recover": two.UseRecovery(ctx, "u-ada", k.code),
				"name": two.RenameDevice(ctx, "u-ada", "d", "x"), "forget": two.ForgetDevice(ctx, "u-ada", "d"),
				"swap": two.SwapState(ctx, k.flow.Hash, "challenge", ""),
			} {
				if !errors.Is(err, iam.ErrNotFound) {
					t.Errorf("the other tenant may %s: %v", what, err)
				}
			}
			if err := errors.Join(two.EraseHabits(ctx, "u-ada"), two.ReleaseUse(ctx, k.use.Key), two.EndSession(ctx, "s"), two.RemoveUser(ctx, "u-ada")); err != nil {
				t.Fatal(err)
			}
			for what, err := range k.there(ctx, one) {
				if err != nil {
					t.Errorf("%s: %v", what, err)
				}
			}
			if first, err := one.ReserveUse(ctx, k.use); first || err != nil {
				t.Errorf("the use was released: %v, %v", first, err)
			}
			if err := k.keep(ctx, s.Tenant("three")); err == nil {
				t.Error("there is nobody to keep it of")
			}
		})
	}
}

func TestARestartKeepsWhoPeopleAre(t *testing.T) {
	t.Parallel()
	ctx, k := t.Context(), newKnown()
	address := "sqlite:" + filepath.Join(t.TempDir(), "garde.db")
	before, err := store.Open(ctx, address, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(furnish(before.Tenant("t")), k.keep(ctx, before.Tenant("t")), before.Close()); err != nil {
		t.Fatal(err)
	}
	after := openAt(t, address, nil).Tenant("t")
	for what, err := range k.there(ctx, after) {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if first, err := after.ReserveUse(ctx, k.use); first || err != nil {
		t.Errorf("what was used is free: %v, %v", first, err)
	}
}

// TestARestoreRevivesNoProof: what serves once, or may have been lost since the backup, does not come back with it.
func TestARestoreRevivesNoProof(t *testing.T) {
	t.Parallel()
	for name, addresses := range map[string][2]string{
		"sqlite into postgres": {"sqlite:" + filepath.Join(t.TempDir(), "garde.db"), pgtest.New(t)},
		"postgres into sqlite": {pgtest.New(t), "sqlite:" + filepath.Join(t.TempDir(), "garde.db")},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, k, backup := t.Context(), newKnown(), filepath.Join(t.TempDir(), "backup")
			source, target := openAt(t, addresses[0], nil), openAt(t, addresses[1], nil)
			old := source.Tenant(iam.DefaultTenant)
			if err := errors.Join(furnish(old), k.keep(ctx, old), old.SwitchHabits(ctx, "u-ada", false), source.Backup(ctx, backup)); err != nil {
				t.Fatal(err)
			}
			if _, err := target.Restore(ctx, backup); err != nil {
				t.Fatal(err)
			}
			tenant := target.Tenant(iam.DefaultTenant)
			for what, err := range k.there(ctx, tenant) {
				if want := map[bool]error{false: iam.ErrNotFound}[what == "key" || what == "habits"]; what != "habits" && !errors.Is(err, want) {
					t.Errorf("%s: %v", what, err)
				}
			}
			if habits, err := tenant.Habits(ctx, "u-ada"); err != nil || !habits.Off {
				t.Errorf("whether to learn: %+v, %v", habits, err)
			}
		})
	}
}

// eavesdropper remembers every query that passes.
type eavesdropper struct {
	deeds.Engine
	mu      sync.Mutex
	queries map[string][]any
}

func (e *eavesdropper) heard(query string, args []any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.queries[query] = args
}

func (e *eavesdropper) Read(ctx context.Context, look func(deeds.Tx) error) error {
	return e.Engine.Read(ctx, func(tx deeds.Tx) error { return look(heardTx{tx, e}) })
}

func (e *eavesdropper) Deed(ctx context.Context, do func(deeds.Tx) error) error {
	return e.Engine.Deed(ctx, func(tx deeds.Tx) error { return do(heardTx{tx, e}) })
}

func (e *eavesdropper) Together(ctx context.Context, statements ...deeds.Statement) ([]int64, error) {
	for _, s := range statements {
		e.heard(s.Query, s.Args)
	}
	return e.Engine.Together(ctx, statements...)
}

type heardTx struct {
	deeds.Tx
	by *eavesdropper
}

func (tx heardTx) Exec(query string, args ...any) (int64, error) {
	tx.by.heard(query, args)
	return tx.Tx.Exec(query, args...)
}

func (tx heardTx) Later(query string, args ...any) error {
	tx.by.heard(query, args)
	return tx.Tx.Later(query, args...)
}

func (tx heardTx) Query(query string, args []any, each func(deeds.Row) error) error {
	tx.by.heard(query, args)
	return tx.Tx.Query(query, args, each)
}

// TestNothingOfAPersonIsFoundByReadingEverybodys: no statement walks a table, or all rows of a tenant.
func TestNothingOfAPersonIsFoundByReadingEverybodys(t *testing.T) {
	t.Parallel()
	ctx, k, now := t.Context(), newKnown(), time.Now()
	s := openSQLite(t, nil)
	ears := &eavesdropper{Engine: s.Engine, queries: map[string][]any{}}
	tenant := (&sqlstore.Store{Engine: ears}).Tenant("t")
	if err := furnish(tenant); err != nil {
		t.Fatal(err)
	}
	clear(ears.queries) // those who furnish are in no hurry
	if err := k.keep(ctx, tenant); err != nil {
		t.Fatal(err)
	}
	for what, err := range k.there(ctx, tenant) {
		if err != nil {
			t.Fatal(what, err)
		}
	}
	_, _ = tenant.UserDevices(ctx, "u-ada", now)
	_, _ = tenant.WaitingApprovals(ctx, "u-ada", now)
	_, _ = tenant.Authenticators(ctx, "u-ada")
	next := k.session
	next.ID, next.Hash = "next", iam.HashSession(iam.NewSecret(iam.PrefixSession))
	other := iam.Session{ID: "other", Hash: iam.HashSession(iam.NewSecret(iam.PrefixSession)), User: "u-ada", Expires: next.Expires}
	for i, err := range []error{
		tenant.StartSession(ctx, other, iam.SessionHash{}), tenant.DecideApproval(ctx, "a", "u-ada", "other", true, now), second(tenant.TakeApproval(ctx, k.approval.Flow, now)),
		tenant.SwapState(ctx, k.flow.Hash, "challenge", ""), tenant.SetFlow(ctx, k.flow), tenant.StartSession(ctx, next, k.session.Hash),
		tenant.UseAuthenticator(ctx, "key", 3, 4, "", now), tenant.RenameAuthenticator(ctx, "u-ada", "key", "x"), tenant.UseRecovery(ctx, "u-ada", k.code),
		tenant.ReleaseUse(ctx, k.use.Key), tenant.LearnHabits(ctx, iam.Habits{User: "u-ada"}, 1), tenant.EraseHabits(ctx, "u-ada"), tenant.SwitchHabits(ctx, "u-ada", false),
		tenant.RenameDevice(ctx, "u-ada", "d", "x"), tenant.ForgetDevice(ctx, "u-ada", "d"), tenant.SetPassword(ctx, iam.Password{User: "u-ada", PHC: "x"}, ""),
		tenant.RemoveAuthenticator(ctx, "u-ada", "key", "", func(iam.Left) bool { return true }), tenant.RevokeConsent(ctx, "u-ada", "c-app"), tenant.RemoveUser(ctx, "u-ada"),
	} {
		if err != nil && i != 17 { // there is no consent
			t.Fatal(i, err)
		}
	}
	if _, err := tenant.Sweep(ctx, now); err != nil {
		t.Fatal(err)
	}
	if len(ears.queries) < 60 {
		t.Fatalf("only %d statements were heard", len(ears.queries))
	}
	for query, args := range ears.queries {
		for _, step := range planOf(t, s.Engine, query, args) {
			if walks(step) && !atEase(query) {
				t.Errorf("%s\nin %s", step, query)
			}
		}
	}
}

// walks tells whether a step of a plan reads a whole table, or all that a tenant has in it.
func walks(step string) bool {
	if rest, scans := strings.CutPrefix(step, "SCAN "); scans {
		return !strings.HasPrefix(rest, "CONSTANT ROW") && !strings.HasPrefix(rest, "SUBQUERY") && !strings.HasPrefix(rest, "LIST SUBQUERY")
	}
	return strings.HasPrefix(step, "SEARCH ") && strings.HasSuffix(step, "(tenant=?)")
}

// atEase are those who may take their time: they come in the background, or read tables that stay small.
func atEase(query string) bool {
	for _, part := range []string{"FROM nodes", "FROM initials", "DELETE FROM sessions WHERE tenant = $1 AND id IN", "DELETE FROM past_sessions", "DELETE FROM links WHERE tenant = $1 AND hash IN",
		"DELETE FROM ended_tokens", "DELETE FROM refreshes", "DELETE FROM outbox", "DELETE FROM asked WHERE tenant = $1 AND hash IN"} {
		if strings.Contains(query, part) {
			return true
		}
	}
	return false
}

func planOf(t *testing.T, engine deeds.Engine, query string, args []any) []string {
	t.Helper()
	var steps []string
	err := engine.Read(t.Context(), func(tx deeds.Tx) error {
		return tx.Query("EXPLAIN QUERY PLAN "+query, args, func(row deeds.Row) error {
			values, err := row.Values()
			if err == nil {
				steps = append(steps, values[len(values)-1].(string))
			}
			return err
		})
	})
	if err != nil {
		t.Errorf("%v: %s", err, query)
	}
	return steps
}

func second[T any](_ T, err error) error { return err }
