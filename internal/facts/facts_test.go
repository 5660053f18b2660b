package facts_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gardeauth/garde/internal/assurance/signal"
	"github.com/gardeauth/garde/internal/facts"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/seal"
	"github.com/gardeauth/garde/internal/store"
	"github.com/gardeauth/garde/internal/store/sqlstore"
	"github.com/gardeauth/garde/recipe"
)

const (
	ada = "11111111-2222-4333-8444-555555555555"
	bob = "11111111-2222-4333-8444-666666666666"
)

var (
	home   = netip.MustParseAddr("203.0.113.7")
	office = netip.MustParseAddr("198.51.100.9")
	abroad = netip.MustParseAddr("192.0.2.33")
)

// house is a desk on SQLite, with a clock that the test moves.
type house struct {
	*facts.Desk
	tenant *sqlstore.Tenant
	store  *store.Store
	at     atomic.Int64
	said   *journalOfLog
	risk   recipe.Risk
}

// journalOfLog keeps what was logged.
type journalOfLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *journalOfLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *journalOfLog) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

func (h *house) now() time.Time          { return time.Unix(0, h.at.Load()).UTC() }
func (h *house) pass(span time.Duration) { h.at.Add(int64(span)) }

func sealer(t testing.TB) seal.Sealer {
	t.Helper()
	key, err := seal.ParseMaster(seal.GenerateMaster())
	if err != nil {
		t.Fatal(err)
	}
	return seal.Sealer{Current: key}
}

func newHouse(t testing.TB) *house {
	t.Helper()
	h := &house{said: &journalOfLog{}}
	h.at.Store(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC).UnixNano())
	var err error
	h.store, err = store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "garde.db"), store.Options{Now: h.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.store.Close() })
	h.tenant = h.store.Tenant(iam.DefaultTenant)
	for id, name := range map[string]string{ada: "ada", bob: "bob"} {
		h.person(t, id, name)
	}
	h.Desk = h.desk(sealer(t))
	return h
}

func (h *house) person(t testing.TB, id, name string) {
	t.Helper()
	if err := h.tenant.AddUser(t.Context(), iam.User{ID: id, Username: name, Created: h.now().AddDate(-1, 0, 0)}, iam.Password{}); err != nil {
		t.Fatal(err)
	}
}

// desk is one node's.
func (h *house) desk(sealer seal.Sealer) *facts.Desk {
	return &facts.Desk{
		Habits: h.tenant, Devices: h.tenant, Authenticators: h.tenant, Sealer: sealer, Tenant: iam.DefaultTenant,
		Risk: func() recipe.Risk { return h.risk }, Failures: facts.NewFailures(h.now),
		Log: slog.New(slog.NewTextHandler(h.said, nil)), Now: h.now,
	}
}

// settle writes what waits to be learned.
func (h *house) settle(t testing.TB) { settle(t, h.Desk) }

func settle(t testing.TB, desk *facts.Desk) {
	t.Helper()
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if err := desk.Run(ended); err != nil {
		t.Fatal(err)
	}
}

// device lets a browser be known, as the login does after a sign-in.
func (h *house) device(t testing.TB, user, id, agent string) {
	t.Helper()
	device := iam.Device{ID: id, User: user, Agent: agent, Created: h.now(), Seen: h.now(), Expires: h.now().AddDate(1, 0, 0)}
	if err := h.tenant.KeepDevice(t.Context(), device); err != nil {
		t.Fatal(err)
	}
}

// at is ada's moment at home, on her usual device.
func at(address netip.Addr) facts.Ask {
	return facts.Ask{User: ada, Device: "phone", Agent: "Firefox on Android", Address: address, Client: "bank"}
}

func (h *house) moment(t testing.TB, ask facts.Ask) facts.Moment {
	t.Helper()
	moment, err := h.Moment(t.Context(), ask)
	if err != nil {
		t.Fatal(err)
	}
	return moment
}

// speaks gives the names of the signals that spoke.
func (h *house) speaks(t testing.TB, ask facts.Ask) string {
	t.Helper()
	var names []string
	for _, finding := range h.moment(t, ask).Risk.Findings {
		names = append(names, finding.Name)
	}
	return strings.Join(names, " ")
}

// live lets ada sign in each day from home, and sometimes from the office, and pay a little.
func (h *house) live(t testing.TB, days int) {
	t.Helper()
	h.device(t, ada, "phone", "Firefox on Android")
	for day := range days {
		ask := at(home)
		if day%3 == 0 {
			ask.Address = office
		}
		h.Learn(ask)
		ask.Transaction = signal.Transaction{Amount: int64(1000 + 100*(day%10)), Priced: true, Currency: "EUR", Payee: "landlord"}
		h.Learn(ask)
		h.settle(t)
		h.pass(24 * time.Hour)
	}
}

func TestWhatCompletedAuthenticationsTeach(t *testing.T) {
	h := newHouse(t)
	h.Places = &facts.Places{City: cities(t), AS: networks(t), Now: h.now}
	if spoke := h.speaks(t, at(home)); spoke != "" {
		t.Fatalf("at the first sign-in of an account, %q spoke", spoke)
	}
	h.live(t, 30)
	pay := func(amount int64, currency, payee string) facts.Ask {
		ask := at(home)
		ask.Transaction = signal.Transaction{Amount: amount, Priced: amount > 0, Currency: currency, Payee: payee}
		return ask
	}
	change := func(do func(*facts.Ask)) facts.Ask {
		ask := at(home)
		do(&ask)
		return ask
	}
	for name, row := range map[string]struct {
		ask  facts.Ask
		says string
	}{
		"at home as ever":                    {at(home), ""},
		"in the office":                      {at(office), ""},
		"abroad, a day later":                {at(abroad), "new_country new_network"},
		"a neighbour's address":              {at(netip.MustParseAddr("203.0.113.200")), ""},
		"IPv4 as IPv6":                       {at(netip.MustParseAddr("::ffff:203.0.113.7")), ""},
		"another network of the provider":    {at(netip.MustParseAddr("203.0.112.7")), ""},
		"a browser without a cookie":         {change(func(a *facts.Ask) { a.Device = "" }), "new_device"},
		"a device of nobody":                 {change(func(a *facts.Ask) { a.Device = "stolen" }), "new_device"},
		"the phone's cookie on Windows":      {change(func(a *facts.Ask) { a.Agent = "Chrome on Windows" }), "changed_device"},
		"another application":                {change(func(a *facts.Ask) { a.Client = "broker" }), "new_client"},
		"at midnight":                        {change(func(a *facts.Ask) { a.At = h.now().Add(12 * time.Hour) }), "unusual_hour"},
		"the rent":                           {pay(1500, "EUR", "landlord"), ""},
		"ten times the rent":                 {pay(15_000, "EUR", "landlord"), "unusual_amount"},
		"the rent in another currency":       {pay(1500, "XAU", "landlord"), "unusual_amount"},
		"the rent to a stranger":             {pay(1500, "EUR", "stranger"), "new_payee"},
		"a new recipient, without an amount": {pay(0, "", "stranger"), "new_payee"},
	} {
		t.Run(name, func(t *testing.T) {
			if spoke := h.speaks(t, row.ask); spoke != row.says {
				t.Errorf("%q spoke, not %q: %+v", spoke, row.says, h.moment(t, row.ask))
			}
		})
	}
	soon := at(home)
	h.Learn(soon)
	h.settle(t)
	if spoke := h.speaks(t, at(abroad)); spoke != "new_country new_network impossible_travel" {
		t.Errorf("abroad, a moment later: %q", spoke)
	}
	if place := h.moment(t, at(home)).Place; place.Country != "FR" || place.Network != "AS64500" {
		t.Errorf("home is in %+v", place)
	}
}

func TestNearIsTheSameHoweverAnAddressIsWritten(t *testing.T) {
	h := newHouse(t)
	for address, want := range map[string]string{
		"203.0.113.7": "203.0.113.0/24", "::ffff:203.0.113.7": "203.0.113.0/24", "2001:db8:7:8::9": "2001:db8:7::/48", "fe80::1%eth0": "fe80::/48",
	} {
		if got := h.moment(t, at(netip.MustParseAddr(address))).Facts.Place.Near; got != want {
			t.Errorf("%s is near %s, not %s", address, got, want)
		}
	}
}

func TestManyTransactionsInAnHour(t *testing.T) {
	h := newHouse(t)
	h.live(t, 10)
	ask := at(home)
	ask.Transaction = signal.Transaction{Amount: 1000, Priced: true, Currency: "EUR", Payee: "landlord"}
	for i := range 5 {
		if spoke := h.speaks(t, ask); spoke != "" {
			t.Fatalf("transaction %d: %q spoke", i+1, spoke)
		}
		h.Learn(ask)
		h.settle(t)
	}
	if spoke := h.speaks(t, ask); spoke != "frequent" {
		t.Errorf("the sixth: %q", spoke)
	}
	h.pass(2 * time.Hour)
	if spoke := h.speaks(t, ask); spoke != "" {
		t.Errorf("two hours later: %q", spoke)
	}
}

// A device that an attacker signed in on stays new until an authentication at the level that was needed taught it.
func TestADeviceIsKnownOnlyWhenItWasTaught(t *testing.T) {
	h := newHouse(t)
	h.live(t, 3)
	stolen := at(home)
	stolen.Device, stolen.Agent = "laptop", "Chrome on Windows"
	h.device(t, ada, "laptop", "Chrome on Windows")
	h.pass(48 * time.Hour)
	if spoke := h.speaks(t, stolen); spoke != "new_device" {
		t.Errorf("signed in on, never taught: %q", spoke)
	}
	h.Learn(stolen)
	h.settle(t)
	if spoke := h.speaks(t, stolen); spoke != "" {
		t.Errorf("taught: %q", spoke)
	}
	if err := h.tenant.ForgetDevice(t.Context(), ada, "laptop"); err != nil {
		t.Fatal(err)
	}
	h.pass(time.Second)
	if spoke := h.speaks(t, stolen); spoke != "new_device" {
		t.Errorf("forgotten: %q", spoke)
	}
}

// The first call after a sign-in comes long before anything is written, and may find what was read before the sign-in.
func TestWhatWasJustLearnedIsKnownBeforeItIsWritten(t *testing.T) {
	h := newHouse(t)
	h.live(t, 3)
	fresh := at(abroad)
	fresh.Device, fresh.Agent = "laptop", "Chrome on Windows"
	if spoke := h.speaks(t, fresh); spoke != "new_device" {
		t.Fatalf("a stranger: %q", spoke)
	}
	h.device(t, ada, "laptop", "Chrome on Windows")
	h.Learn(fresh)
	if spoke := h.speaks(t, fresh); spoke != "" {
		t.Errorf("learned, not written: %q", spoke)
	}
	h.settle(t)
	if spoke := h.speaks(t, fresh); spoke != "" {
		t.Errorf("written: %q", spoke)
	}
	if visits := h.moment(t, fresh).Facts.History.Network; visits != 1 {
		t.Errorf("it counts %d times", visits)
	}
	other := fresh
	other.User = bob
	if h.moment(t, other).Facts.History.Visits != 0 {
		t.Error("somebody else learned it")
	}
}

func TestAYoungAuthenticatorIsTold(t *testing.T) {
	h := newHouse(t)
	added := iam.Authenticator{ID: "key", User: ada, Kind: iam.FactorTOTP, Created: h.now()}
	if err := h.tenant.AddAuthenticator(t.Context(), added); err != nil {
		t.Fatal(err)
	}
	ask := at(home)
	ask.Proofs = []iam.Proved{{Factor: "password"}, {Factor: "totp", Credential: "key"}}
	if spoke := h.speaks(t, ask); spoke != "young_factor" {
		t.Errorf("at once: %q", spoke)
	}
	ask.Proofs = ask.Proofs[:1]
	if spoke := h.speaks(t, ask); spoke != "" {
		t.Errorf("by the password alone: %q", spoke)
	}
	ask.Proofs = append(ask.Proofs, iam.Proved{Factor: "totp", Credential: "key"})
	h.pass(25 * time.Hour)
	if spoke := h.speaks(t, ask); spoke != "" {
		t.Errorf("a day later: %q", spoke)
	}
}

func TestFailuresAreCountedAndFallOut(t *testing.T) {
	h := newHouse(t)
	for range 4 {
		h.Failures.Failed(ada, "203.0.113.99/32")
	}
	if spoke := h.speaks(t, at(home)); spoke != "failures" {
		t.Errorf("four failures: %q", spoke)
	}
	for _, user := range []string{"a", "b", "c"} {
		h.Failures.Failed(user, "203.0.113.7")
		h.Failures.Failed(user, "203.0.113.7/32")
	}
	if spoke := h.speaks(t, facts.Ask{User: bob, Address: home}); spoke != "" {
		t.Errorf("three accounts from one network: %q", spoke)
	}
	h.Failures.Failed("d", "203.0.113.7")
	if spoke := h.speaks(t, facts.Ask{User: bob, Address: home}); spoke != "velocity" {
		t.Errorf("four accounts from one network: %q", spoke)
	}
	h.pass(21 * time.Minute)
	if spoke := h.speaks(t, at(home)); spoke != "" {
		t.Errorf("later: %q", spoke)
	}
	h.Failures.Failed("", "nowhere") // neither counts
	for i := range 100_000 {
		h.Failures.Failed(fmt.Sprint("user", i), fmt.Sprintf("2001:db8:%x:%x::/64", i>>16, i&0xffff))
	}
	for range 4 {
		h.Failures.Failed(ada, "")
	}
	if spoke := h.speaks(t, at(home)); spoke != "failures" {
		t.Errorf("after a flood: %q", spoke)
	}
}

// Whoever is refused has taught nothing: asking and failing change no profile, whatever their order.
func TestRefusedAttemptsTeachNothing(t *testing.T) {
	h := newHouse(t)
	h.live(t, 5)
	before, err := h.tenant.Habits(t.Context(), ada)
	if err != nil {
		t.Fatal(err)
	}
	export, err := h.Export(t.Context(), ada)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(r *rapid.T) {
		for range rapid.IntRange(1, 10).Draw(r, "attempts") {
			ask := facts.Ask{
				User: ada, Device: rapid.SampledFrom([]string{"", "phone", "stolen"}).Draw(r, "device"), Agent: "curl",
				Address: rapid.SampledFrom([]netip.Addr{home, abroad, {}}).Draw(r, "address"), Client: "bank",
				Transaction: signal.Transaction{Amount: rapid.Int64().Draw(r, "amount"), Priced: true, Payee: rapid.String().Draw(r, "payee")},
			}
			if rapid.Bool().Draw(r, "fails") {
				h.Failures.Failed(ada, "192.0.2.33")
			}
			h.moment(t, ask)
		}
		h.settle(t)
		after, err := h.tenant.Habits(t.Context(), ada)
		if err != nil || after != before {
			r.Fatalf("the habits changed: version %d, error %v", after.Version, err)
		}
	})
	if again, err := h.Export(t.Context(), ada); err != nil || !bytes.Equal(again, export) {
		t.Errorf("another profile: %s", again)
	}
}

// What a call paid is learned without a word of where it came from, or a thief's calls would make the thief's place usual.
func TestWhatACallPaidTeachesNoPlace(t *testing.T) {
	h := newHouse(t)
	h.live(t, 6)
	thief := at(abroad)
	thief.Agent, thief.Client = "Chrome on Windows", "broker"
	for range 3 {
		paid := thief
		paid.Paid, paid.Transaction = true, signal.Transaction{Amount: 1000, Priced: true, Currency: "EUR", Payee: "ACME"}
		h.Learn(paid)
		h.settle(t)
		h.pass(time.Hour)
	}
	thief.Transaction = signal.Transaction{Amount: 1000, Priced: true, Currency: "EUR", Payee: "ACME"}
	if spoke := h.speaks(t, thief); spoke != "changed_device new_network new_client" {
		t.Errorf("the thief taught: %q", spoke)
	}
	if known := h.moment(t, thief).Facts.History.Payee; known != 3 {
		t.Errorf("of three payments %d were learned", known)
	}
}

func TestLearningThatIsOffKeepsNothing(t *testing.T) {
	h := newHouse(t)
	h.live(t, 10)
	h.Learn(at(office))
	if err := h.Switch(t.Context(), ada, false); err != nil {
		t.Fatal(err)
	}
	h.settle(t)
	h.Learn(at(abroad))
	h.settle(t)
	kept, err := h.tenant.Habits(t.Context(), ada)
	if err != nil || !kept.Off || kept.Sealed != "" {
		t.Fatalf("kept %+v, %v", kept, err)
	}
	strange := facts.Ask{User: ada, Device: "stolen", Address: abroad, Client: "broker", Transaction: signal.Transaction{Amount: 1e9, Priced: true, Payee: "x"}}
	if spoke := h.speaks(t, strange); spoke != "new_device" {
		t.Errorf("%q spoke: only what needs no history may", spoke)
	}
	if spoke := h.speaks(t, at(home)); spoke != "" {
		t.Errorf("on the device that is known for days: %q", spoke)
	}
	if h.said.count("level=WARN") > 0 {
		t.Error("a choice is no fault, and was logged as one")
	}
	if err := h.Switch(t.Context(), ada, true); err != nil {
		t.Fatal(err)
	}
	h.Learn(at(home))
	h.settle(t)
	if text, err := h.Export(t.Context(), ada); err != nil || !strings.Contains(string(text), `"visits": 1,`) {
		t.Errorf("on again: %s, %v", text, err)
	}
}

func TestErasedIsGone(t *testing.T) {
	h := newHouse(t)
	h.live(t, 10)
	h.Learn(at(abroad)) // it waits when the person erases
	if err := h.Erase(t.Context(), ada); err != nil {
		t.Fatal(err)
	}
	h.settle(t)
	kept, err := h.tenant.Habits(t.Context(), ada)
	if err != nil || kept.Sealed != "" {
		t.Fatalf("kept %d bytes, %v", len(kept.Sealed), err)
	}
	if text, err := h.Export(t.Context(), ada); err != nil || !strings.Contains(string(text), `"visits": 0,`) || strings.Contains(string(text), "203.0") {
		t.Errorf("%s, %v", text, err)
	}
	if found := h.moment(t, at(abroad)).Facts.History; found != (signal.History{}) {
		t.Errorf("remembered %+v", found)
	}
	if err := h.tenant.RemoveUser(t.Context(), ada); err != nil {
		t.Fatal(err)
	}
	h.Learn(at(home))
	h.settle(t)
	if _, err := h.tenant.Habits(t.Context(), ada); !errors.Is(err, iam.ErrNotFound) {
		t.Errorf("of somebody who was removed: %v", err)
	}
}

func TestWhatWasNotSeenForLongIsForgotten(t *testing.T) {
	h := newHouse(t)
	h.Places = &facts.Places{City: cities(t), Now: h.now}
	h.risk.Forget = recipe.Duration(30 * 24 * time.Hour)
	h.Learn(at(abroad))
	h.settle(t)
	h.pass(20 * 24 * time.Hour)
	h.Learn(at(home))
	h.settle(t)
	h.pass(9 * 24 * time.Hour)
	if found := h.moment(t, at(abroad)).Facts.History; found.Country != 1 || found.Countries != 2 {
		t.Errorf("after 29 days: %+v", found)
	}
	h.pass(3 * 24 * time.Hour)
	if found := h.moment(t, at(abroad)).Facts.History; found.Country != 0 || found.Countries != 1 || found.Visits != 2 {
		t.Errorf("after 32 days: %+v", found)
	}
	h.pass(30 * 24 * time.Hour)
	if found := h.moment(t, at(abroad)).Facts.History; found != (signal.History{}) {
		t.Errorf("after all: %+v", found)
	}
}

func TestAPersonReadsWhatIsKept(t *testing.T) {
	h := newHouse(t)
	h.Places = &facts.Places{City: cities(t), AS: networks(t), Now: h.now}
	h.live(t, 10)
	text, err := h.Export(t.Context(), ada)
	if err != nil {
		t.Fatal(err)
	}
	var read map[string]any
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"FR"`, `"AS64500"`, `"203.0.113.0/24"`, `"bank"`, `"Firefox on Android"`, `"EUR"`, `"known_payees": 1`, `"learning": true`, "2026-11-23"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s is missing in %s", want, text)
		}
	}
	for _, never := range []string{"landlord", "salt", "phone", "203.0.113.7"} {
		if strings.Contains(string(text), never) {
			t.Errorf("%s stands in %s", never, text)
		}
	}
}

func TestWhatIsJournaledIsJudgedAgainAsItWas(t *testing.T) {
	h := newHouse(t)
	h.Places = &facts.Places{City: cities(t), AS: networks(t), Now: h.now}
	h.live(t, 25)
	h.risk.Points = map[string]int{"new_country": 70, "new_payee": 0}
	ask := at(abroad)
	ask.Device, ask.Transaction = "", signal.Transaction{Amount: 1e7, Priced: true, Currency: "EUR", Payee: "x"}
	for name, do := range map[string]func(){"as it is": func() {}, "without the storage": func() { _ = h.store.Close(); h.pass(time.Minute) }} {
		do()
		moment := h.moment(t, ask)
		text, err := json.Marshal(moment.Facts)
		if err != nil {
			t.Fatal(err)
		}
		if len(text) > 2048 {
			t.Errorf("%s: %d bytes for the journal", name, len(text))
		}
		var again signal.Facts
		if err := json.Unmarshal(text, &again); err != nil {
			t.Fatal(err)
		}
		if judged := signal.Judge(&again, h.risk.Points); !reflect.DeepEqual(judged, moment.Risk) || judged.Score == 0 {
			t.Errorf("%s: %+v, not %+v", name, judged, moment.Risk)
		}
	}
}

// slow is a storage that does not answer in time.
type slow struct{ iam.HabitKeeping }

func (s slow) Habits(ctx context.Context, _ string) (iam.Habits, error) {
	<-ctx.Done()
	return iam.Habits{}, ctx.Err()
}

func TestWhatCantBeReadRaises(t *testing.T) {
	pay := at(home)
	pay.Transaction = signal.Transaction{Amount: 1000, Priced: true, Currency: "EUR", Payee: "landlord"}
	for name, row := range map[string]struct {
		spoil func(*testing.T, *house)
		says  string
	}{
		"the storage is gone": {func(_ *testing.T, h *house) { _ = h.store.Close() }, "new_device new_network unusual_hour new_client unusual_amount new_payee frequent unknown"},
		"the storage is slow": {func(_ *testing.T, h *house) { h.Habits = slow{h.tenant} }, "new_device new_network unusual_hour new_client unusual_amount new_payee frequent unknown"},
		"the master key is another": {func(t *testing.T, h *house) { h.Sealer = sealer(t) },
			"new_device new_network unusual_hour new_client unusual_amount new_payee frequent unknown"},
		"a newer program wrote it": {func(t *testing.T, h *house) { h.write(t, `{"v":2,"salt":"AAAAAAAAAAAAAAAA"}`) },
			"new_device new_network unusual_hour new_client unusual_amount new_payee frequent unknown"},
		"it is no profile": {func(t *testing.T, h *house) { h.write(t, `{"v":1`) },
			"new_device new_network unusual_hour new_client unusual_amount new_payee frequent unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.live(t, 10)
			if spoke := h.speaks(t, pay); spoke != "" {
				t.Fatalf("before: %q", spoke)
			}
			row.spoil(t, h)
			h.pass(2 * time.Second)
			began := time.Now()
			if spoke := h.speaks(t, pay); spoke != row.says {
				t.Errorf("%q spoke, not %q", spoke, row.says)
			}
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("it took %v", took)
			}
			before, missing := h.tenant.Habits(t.Context(), ada)
			h.Learn(at(abroad))
			h.settle(t)
			if after, err := h.tenant.Habits(t.Context(), ada); missing == nil && (err != nil || after != before) {
				t.Errorf("what can't be read was written over: %v", err)
			}
			if h.said.count("can't read habits") == 0 {
				t.Error("nothing was logged")
			}
		})
	}
}

// write keeps a text as ada's habits, sealed as they are.
func (h *house) write(t *testing.T, text string) {
	t.Helper()
	kept, err := h.tenant.Habits(t.Context(), ada)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := h.Sealer.Seal(seal.AD{Tenant: string(iam.DefaultTenant), Table: "habits", Row: ada}, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := h.tenant.LearnHabits(t.Context(), iam.Habits{User: ada, Sealed: sealed}, kept.Version); err != nil {
		t.Fatal(err)
	}
}

func TestWhoLeavesIsNotAnswered(t *testing.T) {
	h := newHouse(t)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Moment(gone, at(home)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// counted tells how often habits were read.
type counted struct {
	iam.HabitKeeping
	reads atomic.Int64
}

func (c *counted) Habits(ctx context.Context, user string) (iam.Habits, error) {
	c.reads.Add(1)
	return c.HabitKeeping.Habits(ctx, user)
}

func TestAMomentOfAHotPersonReadsNothing(t *testing.T) {
	h := newHouse(t)
	h.live(t, 3)
	reads := &counted{HabitKeeping: h.tenant}
	h.Habits = reads
	h.pass(time.Minute)
	for range 100 {
		h.moment(t, at(home))
	}
	if n := reads.reads.Load(); n != 1 {
		t.Errorf("%d readings for a hundred moments", n)
	}
	h.pass(time.Second)
	h.moment(t, at(home))
	if n := reads.reads.Load(); n != 2 {
		t.Errorf("%d readings a second later", n)
	}
	h.Hear(t.Context(), iam.Change{Kind: iam.ChangedUser, ID: ada})
	h.moment(t, at(home))
	if n := reads.reads.Load(); n != 3 {
		t.Errorf("%d readings after a change", n)
	}
	if allocations := testing.AllocsPerRun(100, func() { h.moment(t, at(home)) }); allocations > 12 {
		t.Errorf("a moment costs %v allocations", allocations)
	}
}

func TestLearningNeverWaits(t *testing.T) {
	h := newHouse(t)
	h.Habits = slow{h.tenant}
	began := time.Now()
	for i := range 20_000 {
		ask := at(home)
		ask.User, ask.Transaction.Payee = fmt.Sprint(i%500), fmt.Sprint(i)
		h.Learn(ask)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("20,000 lessons took %v", took)
	}
	if h.Dropped() < 15_000 {
		t.Errorf("only %d were dropped", h.Dropped())
	}
}

// Many callers and two nodes teach many people at once: nobody's ways end up with another, and what is kept can be read.
func TestManyLearnAtOnceAndNeverMix(t *testing.T) {
	h := newHouse(t)
	other := h.desk(h.Sealer)
	const people = 8
	ids := make([]string, people)
	for i := range ids {
		ids[i] = fmt.Sprintf("22222222-2222-4333-8444-%012d", i)
		h.person(t, ids[i], fmt.Sprint("person", i))
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running, callers sync.WaitGroup
	for _, desk := range []*facts.Desk{h.Desk, other} {
		running.Go(func() { _ = desk.Run(ctx) })
		for i, id := range ids {
			callers.Go(func() {
				for n := range 40 {
					ask := facts.Ask{
						User: id, Device: fmt.Sprint("device of ", i), Agent: fmt.Sprint("agent ", i), Client: fmt.Sprint("client ", i),
						Address:     netip.AddrFrom4([4]byte{198, 18, byte(i), byte(n)}),
						Transaction: signal.Transaction{Amount: 100, Priced: true, Currency: fmt.Sprint("C", i), Payee: fmt.Sprint(n)},
					}
					desk.Learn(ask)
					if _, err := desk.Moment(ctx, ask); err != nil {
						t.Error(err)
					}
					time.Sleep(time.Duration(n%3) * time.Millisecond)
				}
			})
		}
	}
	callers.Wait()
	cancel()
	running.Wait()
	for i, id := range ids {
		text, err := h.Export(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		for other := range people {
			own := strings.Contains(string(text), fmt.Sprintf(`"client %d"`, other)) || strings.Contains(string(text), fmt.Sprintf(`"198.18.%d.0/24"`, other)) ||
				strings.Contains(string(text), fmt.Sprintf(`"agent %d"`, other)) || strings.Contains(string(text), fmt.Sprintf(`"C%d"`, other))
			if own != (other == i) {
				t.Errorf("person %d has the ways of %d: %s", i, other, text)
			}
		}
	}
	if h.said.count("level=WARN") > h.said.count("changed by someone else") {
		t.Error(h.said.text.String())
	}
}
