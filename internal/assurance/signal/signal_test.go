package signal_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gardeauth/garde/internal/assurance/signal"
	"github.com/gardeauth/garde/recipe"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// usual is a moment of somebody with good habits, of which no signal has anything to say.
func usual() signal.Facts {
	paris := signal.Place{Country: "FR", AS: "AS64500", Near: "203.0.113.0/24", Lat: 48.9, Lon: 2.4, Located: true}
	return signal.Facts{
		Now: noon, Place: paris, Client: "bank",
		Device: signal.Device{Named: true, Known: true, Others: 1, Agent: "Firefox on Linux", Learned: "Firefox on Linux"},
		History: signal.History{
			Visits: 100, Country: 100, Countries: 1, Network: 90, Networks: 2, Client: 60, Clients: 2, Hour: 30, Hours: 100,
			Last: paris, LastAt: noon.Add(-time.Hour), Amounts: 20, Usual: 10_000, AllSpent: 20, Payee: 3, LastHour: 1, Busiest: 3,
		},
		Transaction: signal.Transaction{Amount: 5_000, Priced: true, Currency: "EUR", Payee: "FR76"},
		Account:     noon.AddDate(-1, 0, 0), Factor: noon.AddDate(0, -6, 0), Authentic: true,
	}
}

// first is the first sign-in of a new account.
func first() signal.Facts {
	return signal.Facts{
		Now: noon, Client: "bank", Place: usual().Place, Device: signal.Device{Named: true, Agent: "Firefox on Linux"}, Account: noon.AddDate(0, -1, 0),
	}
}

func TestEachSignalSaysWhatItSaw(t *testing.T) {
	change := func(do func(*signal.Facts)) signal.Facts {
		facts := usual()
		do(&facts)
		return facts
	}
	tokyo := signal.Place{Country: "JP", AS: "AS64501", Near: "198.51.100.0/24", Lat: 35.7, Lon: 139.7, Located: true}
	for name, row := range map[string]struct {
		facts signal.Facts
		says  string // signals that speak, in their order
		words string // in one of their sentences
	}{
		"a usual moment":                                {usual(), "", ""},
		"the first sign-in of an account":               {first(), "", ""},
		"nothing is known at all":                       {signal.Facts{Now: noon}, "", ""},
		"a device that was never used":                  {change(func(f *signal.Facts) { f.Device.Known = false }), "new_device", "1 others were"},
		"a browser without a name":                      {change(func(f *signal.Facts) { f.Device = signal.Device{Others: 2} }), "new_device", "2 others of the person"},
		"the only device of a person":                   {change(func(f *signal.Facts) { f.Device = signal.Device{Named: true} }), "", ""},
		"the cookie of a device in another browser":     {change(func(f *signal.Facts) { f.Device.Agent = "Chrome on Windows" }), "changed_device", "was Firefox on Linux and says now that it is Chrome on Windows"},
		"a browser that does not say what it is":        {change(func(f *signal.Facts) { f.Device.Agent = "" }), "", ""},
		"a new country, weeks later":                    {change(func(f *signal.Facts) { f.Place, f.History.Country, f.History.LastAt = tokyo, 0, noon.AddDate(0, 0, -9) }), "new_country", "JP, where the person was never seen"},
		"a new country after one visit":                 {change(func(f *signal.Facts) { f.Place.Country, f.History = "BE", signal.History{Visits: 1, Countries: 1} }), "new_country new_payee", "BE"},
		"a country, when none was known before":         {change(func(f *signal.Facts) { f.History.Country, f.History.Countries = 0, 0 }), "", ""},
		"a new network after many visits":               {change(func(f *signal.Facts) { f.History.Network = 0 }), "new_network", "AS64500 is new after 100 visits"},
		"a new network without a database":              {change(func(f *signal.Facts) { f.History.Network, f.Place = 0, signal.Place{Near: "203.0.113.0/24"} }), "new_network", "203.0.113.0/24"},
		"a new network after four visits":               {change(func(f *signal.Facts) { f.History.Network, f.History.Visits = 0, 4 }), "", ""},
		"Tokyo an hour after Paris":                     {change(func(f *signal.Facts) { f.Place = tokyo }), "impossible_travel", "km lie between"},
		"Tokyo a day after Paris":                       {change(func(f *signal.Facts) { f.Place, f.History.LastAt = tokyo, noon.Add(-24*time.Hour) }), "", ""},
		"Lille a minute after Paris":                    {change(func(f *signal.Facts) { f.Place.Lat, f.Place.Lon, f.History.LastAt = 50.6, 3.1, noon.Add(-time.Minute) }), "", ""},
		"Tokyo before Paris, by a clock that went back": {change(func(f *signal.Facts) { f.Place, f.History.LastAt = tokyo, noon.Add(24*time.Hour) }), "impossible_travel", "0s ago"},
		"another country within an hour, without coordinates": {change(func(f *signal.Facts) {
			f.Place.Country, f.Place.Located, f.History.LastAt = "JP", false, noon.Add(-59*time.Minute)
		}), "impossible_travel", "in FR only 59m0s ago, and is in JP now"},
		"another country after an hour, without coordinates": {change(func(f *signal.Facts) { f.Place.Country, f.Place.Located = "JP", false }), "", ""},
		"the middle of the night":                            {change(func(f *signal.Facts) { f.History.Hour = 1 }), "unusual_hour", "of 100 visits, 1 were about 12:00 UTC"},
		"an hour that comes now and then":                    {change(func(f *signal.Facts) { f.History.Hour = 2 }), "", ""},
		"the night, of somebody hardly known":                {change(func(f *signal.Facts) { f.History.Hour, f.History.Hours = 0, 19 }), "", ""},
		"an application never used":                          {change(func(f *signal.Facts) { f.History.Client = 0 }), "new_client", "bank is new after 100 visits"},
		"the second application of a new person":             {change(func(f *signal.Facts) { f.History.Client, f.History.Visits = 0, 2 }), "", ""},
		"an amount more than twice the usual":                {change(func(f *signal.Facts) { f.Transaction.Amount = 20_002 }), "unusual_amount", "20002 EUR is more than twice 10000"},
		"an amount twice the usual":                          {change(func(f *signal.Facts) { f.Transaction.Amount = 20_000 }), "", ""},
		"the highest amount that there is":                   {change(func(f *signal.Facts) { f.Transaction.Amount = math.MaxInt64 }), "unusual_amount", ""},
		"an amount below zero":                               {change(func(f *signal.Facts) { f.Transaction.Amount = -1 }), "unusual_amount", "below zero"},
		"a high amount of somebody with four payments":       {change(func(f *signal.Facts) { f.Transaction.Amount, f.History.Amounts, f.History.AllSpent = 1e9, 4, 4 }), "", ""},
		"a currency never used":                              {change(func(f *signal.Facts) { f.Transaction.Currency, f.History.Amounts = "USD", 0 }), "unusual_amount", `in the currency "USD"`},
		"a payee never paid":                                 {change(func(f *signal.Facts) { f.History.Payee = 0 }), "new_payee", "never paid"},
		"six transactions in an hour, at most three before":  {change(func(f *signal.Facts) { f.History.LastHour = 6 }), "frequent", "transaction 7 within an hour; the busiest hour before had 3"},
		"six transactions in an hour, as twice before":       {change(func(f *signal.Facts) { f.History.LastHour = 5 }), "", ""},
		"five transactions in the first hour":                {change(func(f *signal.Facts) { f.History.LastHour, f.History.Busiest = 4, 0 }), "", ""},
		"a look at the balance in a busy hour":               {change(func(f *signal.Facts) { f.History.LastHour, f.Transaction = 99, signal.Transaction{} }), "", ""},
		"three wrong passwords":                              {change(func(f *signal.Facts) { f.Failures.Account = 3 }), "", ""},
		"four wrong passwords":                               {change(func(f *signal.Facts) { f.Failures.Account = 4 }), "failures", "4 wrong proofs"},
		"a network that goes through a list":                 {change(func(f *signal.Facts) { f.Failures.Accounts = 8 }), "velocity", "8 accounts"},
		"an address with a bad name":                         {change(func(f *signal.Facts) { f.Listed = "192.0.2.0/24" }), "bad_address", "192.0.2.0/24"},
		"an account of yesterday":                            {change(func(f *signal.Facts) { f.Account = noon.AddDate(0, 0, -1) }), "young_account", "2026-11-22"},
		"a passkey of this morning":                          {change(func(f *signal.Facts) { f.Factor = noon.Add(-3 * time.Hour) }), "young_factor", "2026-11-23 09:00:00 UTC"},
		"a place that could not be found out": {change(func(f *signal.Facts) {
			f.Place, f.Unknown = signal.Place{Near: "203.0.113.0/24"}, []string{signal.UnknownPlace}
		}), "unknown", "place is missing"},
		"devices that could not be read": {change(func(f *signal.Facts) {
			f.Device, f.Unknown = signal.Device{Named: true}, []string{signal.UnknownDevices}
		}), "new_device unknown", "the devices could not be read"},
		"authenticators that could not be read": {change(func(f *signal.Facts) { f.Factor, f.Unknown = time.Time{}, []string{signal.UnknownFactors} }), "young_factor unknown", "the authenticators could not be read"},
		"habits that could not be read, of one who signs in": {change(func(f *signal.Facts) {
			f.History, f.Transaction, f.Unknown = signal.History{}, signal.Transaction{}, []string{signal.UnknownHabits}
		}), "new_country new_network impossible_travel unusual_hour new_client unknown", "the habits could not be read"},
		"habits that could not be read, of one who pays":         {change(func(f *signal.Facts) { f.History, f.Unknown = signal.History{}, []string{signal.UnknownHabits} }), "new_country new_network impossible_travel unusual_hour new_client unusual_amount new_payee frequent unknown", ""},
		"somebody who wants nothing learned, on a known device":  {change(func(f *signal.Facts) { f.History = signal.History{Off: true} }), "", ""},
		"somebody who wants nothing learned, on a device of now": {change(func(f *signal.Facts) { f.History, f.Device.Known = signal.History{Off: true}, false }), "new_device", ""},
	} {
		t.Run(name, func(t *testing.T) {
			result := signal.Judge(&row.facts, nil)
			var says, words []string
			for _, finding := range result.Findings {
				says, words = append(says, finding.Name), append(words, finding.Say)
			}
			if got := strings.Join(says, " "); got != row.says {
				t.Fatalf("%q spoke, not %q: %q", got, row.says, words)
			}
			if !strings.Contains(strings.Join(words, "\n"), row.words) {
				t.Errorf("nobody said %q: %q", row.words, words)
			}
		})
	}
}

func TestPointsAreThoseOfTheRecipe(t *testing.T) {
	facts := usual()
	facts.Device.Known, facts.History.Payee, facts.Listed = false, 0, "192.0.2.0/24"
	for name, row := range map[string]struct {
		points map[string]int
		score  int
		says   string
	}{
		"the defaults":                       {nil, 70, "new_device new_payee bad_address"},
		"one is off":                         {map[string]int{"new_device": 0}, 45, "new_payee bad_address"},
		"one is below zero, which is off":    {map[string]int{"new_device": -50}, 45, "new_payee bad_address"},
		"one counts more":                    {map[string]int{"new_payee": 30}, 85, "new_device new_payee bad_address"},
		"the sum is never above a hundred":   {map[string]int{"new_payee": 80, "bad_address": 90}, 100, "new_device new_payee bad_address"},
		"no single one is above a hundred":   {map[string]int{"new_payee": math.MaxInt, "bad_address": math.MaxInt}, 100, "new_device new_payee bad_address"},
		"a signal that nobody knows":         {map[string]int{"horoscope": 50}, 70, "new_device new_payee bad_address"},
		"points for one that does not speak": {map[string]int{"velocity": 100}, 70, "new_device new_payee bad_address"},
	} {
		result := signal.Judge(&facts, row.points)
		var says []string
		for _, finding := range result.Findings {
			says = append(says, finding.Name)
			if finding.Points < 1 || finding.Points > signal.MaxScore {
				t.Errorf("%s: %+v", name, finding)
			}
		}
		if result.Score != row.score || strings.Join(says, " ") != row.says {
			t.Errorf("%s: score %d of %q", name, result.Score, says)
		}
	}
}

func TestTheRecipeKnowsEverySignal(t *testing.T) {
	if got, want := signal.Names(), recipe.Signals(); !slices.Equal(got, want) {
		t.Errorf("signals %v, the recipe knows %v", got, want)
	}
	seen := map[string]bool{}
	for _, one := range signal.All() {
		if seen[one.Name()] || one.Points() < 1 || one.Points() > 50 {
			t.Errorf("%s: %d points", one.Name(), one.Points())
		}
		seen[one.Name()] = true
	}
}

// some draws the facts of any moment.
func some(t *rapid.T) signal.Facts {
	n := func(name string, most int) int { return rapid.IntRange(0, most).Draw(t, name) }
	yes := func(name string) bool { return rapid.Bool().Draw(t, name) }
	word := func(name string, from ...string) string { return rapid.SampledFrom(from).Draw(t, name) }
	place := func(name string) signal.Place {
		p := signal.Place{Country: word(name, "", "FR", "JP"), AS: word(name+" as", "", "AS64500"), Near: word(name+" near", "", "203.0.113.0/24"), Located: yes(name + " located")}
		if p.Located {
			p.Lat, p.Lon = rapid.Float64Range(-90, 90).Draw(t, "lat"), rapid.Float64Range(-180, 180).Draw(t, "lon")
		}
		return p
	}
	ago := func(name string) time.Time {
		if yes(name + " is unknown") {
			return time.Time{}
		}
		return noon.Add(-time.Duration(n(name, 30*24*3600)) * time.Second)
	}
	return signal.Facts{
		Now: noon, Place: place("here"), Client: word("client", "", "bank"),
		Device: signal.Device{Named: yes("named"), Known: yes("known"), Others: n("others", 3), Agent: word("agent", "", "A", "B"), Learned: word("learned", "", "A")},
		History: signal.History{
			Off: yes("off"), Visits: n("visits", 30), Country: n("country", 3), Countries: n("countries", 3), Network: n("network", 3), Networks: n("networks", 3),
			Client: n("client times", 3), Clients: n("clients", 3), Hour: n("hour", 30), Hours: n("hours", 60), Last: place("there"), LastAt: ago("last"),
			Amounts: n("amounts", 9), Usual: int64(n("usual", 1000)), AllSpent: n("all", 20), Payee: n("payee", 2), LastHour: n("last hour", 20), Busiest: n("busiest", 10),
		},
		Transaction: signal.Transaction{Priced: yes("priced"), Amount: int64(n("amount", 3000)), Currency: word("currency", "", "EUR"), Payee: word("to", "", "X")},
		Failures:    signal.Failures{Account: n("failures", 9), Accounts: n("tried", 8)}, Listed: word("listed", "", "192.0.2.0/24"),
		Account: ago("account"), Factor: ago("factor"), Authentic: yes("authentic"),
	}
}

// worse are the ways in which a moment can be worse than it was, all else alike.
var worse = map[string]func(*signal.Facts){
	"the device is unknown":           func(f *signal.Facts) { f.Device.Known = false },
	"more others are known":           func(f *signal.Facts) { f.Device.Others++ },
	"the device changed":              func(f *signal.Facts) { f.Device.Learned, f.Device.Agent = "A", "C" },
	"the country is new":              func(f *signal.Facts) { f.History.Country = 0 },
	"the network is new":              func(f *signal.Facts) { f.History.Network = 0 },
	"the application is new":          func(f *signal.Facts) { f.History.Client = 0 },
	"the hour is strange":             func(f *signal.Facts) { f.History.Hour = 0 },
	"the person was just elsewhere":   func(f *signal.Facts) { f.History.LastAt = f.Now },
	"the amount is higher":            func(f *signal.Facts) { f.Transaction.Amount = math.MaxInt64 },
	"less is usual":                   func(f *signal.Facts) { f.History.Usual = 0 },
	"the payee is new":                func(f *signal.Facts) { f.History.Payee = 0 },
	"more was done in the last hour":  func(f *signal.Facts) { f.History.LastHour += 50 },
	"no hour was busy":                func(f *signal.Facts) { f.History.Busiest = 0 },
	"more proofs were wrong":          func(f *signal.Facts) { f.Failures.Account += 5 },
	"more accounts were tried":        func(f *signal.Facts) { f.Failures.Accounts = 8 },
	"the address has a bad name":      func(f *signal.Facts) { f.Listed = "0.0.0.0/1" },
	"the account is young":            func(f *signal.Facts) { f.Account = f.Now },
	"the authenticator is young":      func(f *signal.Facts) { f.Factor, f.Authentic = f.Now, true },
	"the device can't be told":        func(f *signal.Facts) { f.Device.Known, f.Unknown = false, append(f.Unknown, signal.UnknownDevices) },
	"the authenticator can't be told": func(f *signal.Facts) { f.Factor, f.Unknown = time.Time{}, append(f.Unknown, signal.UnknownFactors) },
	"a fault of the place":            func(f *signal.Facts) { f.Unknown = append(f.Unknown, signal.UnknownPlace) },
	"the habits can't be told": func(f *signal.Facts) {
		f.History, f.Device.Known, f.Unknown = signal.History{}, false, append(f.Unknown, signal.UnknownHabits)
	},
}

// A fact that got worse, or that can't be found out any more, silences nobody and lowers nothing.
func TestABadFactNeverLowersTheScore(t *testing.T) {
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for name := range worse {
			if !yield(name) {
				return
			}
		}
	}) {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				facts := some(t)
				points := rapid.MapOf(rapid.SampledFrom(signal.Names()), rapid.IntRange(0, 100)).Draw(t, "points")
				before := signal.Judge(&facts, points)
				bad := facts
				bad.Unknown = slices.Clone(facts.Unknown)
				worse[name](&bad)
				after := signal.Judge(&bad, points)
				if after.Score < before.Score {
					t.Fatalf("from %+v to %+v", before, after)
				}
				for _, finding := range before.Findings {
					if !after.Has(finding.Name) {
						t.Fatalf("%s fell silent", finding.Name)
					}
				}
			})
		})
	}
}

// What stands in the journal is judged again as it was, and findings always stand in one order.
func TestJournaledFactsGiveTheSameResult(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		facts := some(t)
		if rapid.Bool().Draw(t, "a fault") {
			facts.Unknown = []string{rapid.SampledFrom([]string{signal.UnknownHabits, signal.UnknownDevices, signal.UnknownFactors, signal.UnknownPlace}).Draw(t, "what")}
		}
		text, err := json.Marshal(facts)
		if err != nil {
			t.Fatal(err)
		}
		var again signal.Facts
		if err := json.Unmarshal(text, &again); err != nil {
			t.Fatal(err)
		}
		before, after := signal.Judge(&facts, nil), signal.Judge(&again, nil)
		if !reflect.DeepEqual(before, after) {
			t.Fatalf("%+v became %+v", before, after)
		}
		names, place := signal.Names(), -1
		for _, finding := range after.Findings {
			at := slices.Index(names, finding.Name)
			if at <= place {
				t.Fatalf("%s stands out of order in %+v", finding.Name, after.Findings)
			}
			place = at
		}
	})
}

func TestJudgingIsCheap(t *testing.T) {
	good := usual()
	if allocations := testing.AllocsPerRun(100, func() { signal.Judge(&good, nil) }); allocations != 0 {
		t.Errorf("a usual moment costs %v allocations", allocations)
	}
	bad := usual()
	bad.Device.Known, bad.History.Country, bad.History.Payee, bad.Transaction.Amount = false, 0, 0, 1e9
	if allocations := testing.AllocsPerRun(100, func() { signal.Judge(&bad, nil) }); allocations > 12 {
		t.Errorf("a bad moment costs %v allocations", allocations)
	}
}

func BenchmarkJudge(b *testing.B) {
	points := map[string]int{"new_device": 30, "velocity": 50}
	for name, facts := range map[string]signal.Facts{"usual": usual(), "bad": {
		Now: noon, Place: usual().Place, Client: "bank", Transaction: usual().Transaction, Unknown: []string{signal.UnknownHabits},
	}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				signal.Judge(&facts, points)
			}
		})
	}
}

func TestTheDocumentTellsEverySignal(t *testing.T) {
	text, err := os.ReadFile("../../../docs/risk.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range signal.All() {
		if row := fmt.Sprintf("| `%s` | %d |", one.Name(), one.Points()); !strings.Contains(string(text), row) {
			t.Errorf("docs/risk.md has no row %s", row)
		}
	}
}
