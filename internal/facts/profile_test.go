package facts

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gardeauth/garde/internal/assurance/signal"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/seal"
	"github.com/gardeauth/garde/recipe"
)

const halfYear = recipe.DefaultForget

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// wild is a lesson with names as long and strange as anybody can make them.
func wild(i int) (Ask, signal.Place) {
	long := func(what string) string { return fmt.Sprint(i, what, strings.Repeat("é\t\"<", 40)) }
	ask := Ask{
		Device: long("device")[:60], Agent: long("agent"), Client: long("client")[:64], At: start.Add(time.Duration(i) * time.Minute),
		Transaction: signal.Transaction{Amount: int64(i) * int64(i) * 977, Priced: true, Currency: long("currency"), Payee: long("payee")},
	}
	if i%2 == 0 {
		ask.Transaction.Currency = fmt.Sprintf("C%d", i%20)
	}
	place := signal.Place{Country: fmt.Sprintf("%c%c", 'A'+i%26, 'A'+i/26%26), AS: fmt.Sprint("AS", i), Lat: 12.345678, Lon: float64(i % 180), Located: true}
	place.Near = near(netip.AddrFrom16([16]byte{0x20, 0x01, 0xd, 0xb8, byte(i >> 16), byte(i >> 8), byte(i)}))
	return ask, place
}

func TestAProfileStaysSmallWhateverItLearns(t *testing.T) {
	key, err := seal.ParseMaster(seal.GenerateMaster())
	if err != nil {
		t.Fatal(err)
	}
	p := newProfile()
	for i := range 100_000 {
		p.learn(wild(i))
		if i%9973 != 0 && i != 99_999 {
			continue
		}
		raw, err := p.encode()
		if err != nil || len(raw) > maxProfile {
			t.Fatalf("after %d lessons: %d bytes, %v", i, len(raw), err)
		}
		sealed, err := (seal.Sealer{Current: key}).Seal(seal.AD{Tenant: "default", Table: "habits", Row: "x"}, raw)
		if err != nil || len(sealed) > iam.MaxHabits {
			t.Fatalf("after %d lessons: %d bytes sealed, %v", i, len(sealed), err)
		}
		if p, err = decode(raw, start.Add(time.Duration(i)*time.Minute), halfYear); err != nil {
			t.Fatalf("after %d lessons: %v", i, err)
		}
	}
	if p.Visits < 90_000 || len(p.Payees) == 0 || len(p.Networks) == 0 || len(p.Amounts) == 0 {
		t.Errorf("%d visits, %d payees, %d networks, %d amounts", p.Visits, len(p.Payees), len(p.Networks), len(p.Amounts))
	}
}

// What was learned last, and what is seen often, stays when there is no room.
func TestWhatIsOldAndRareMakesRoom(t *testing.T) {
	var kept list
	for day := range 50 {
		kept.add(fmt.Sprint("day ", day), "", day, 10)
		kept.add("always", "", day, 10)
	}
	if len(kept) != 10 || kept.times("always") != 50 || kept.times("day 49") != 1 || kept.times("day 41") != 1 || kept.times("day 40") != 0 {
		t.Errorf("%+v", kept)
	}
	for range 5000 {
		kept.add("always", "", 50, 10)
	}
	if n := kept.times("always"); n < maxTimes/2 || n > maxTimes || kept.times("day 49") != 1 {
		t.Errorf("%d times, %+v", n, kept)
	}
}

func TestBusyApplicationsCountAsOneVisit(t *testing.T) {
	p := newProfile()
	place := signal.Place{Country: "FR", Near: "203.0.113.0/24"}
	changed := 0
	for i := range 3600 {
		if p.learn(Ask{Device: fmt.Sprint(i % 2), Client: "bank", At: start.Add(time.Duration(i) * time.Second)}, place) {
			changed++
		}
	}
	if p.Visits != 12 || changed != 12 || p.Hours.times("0") != 12 {
		t.Errorf("%d visits, %d writes, hours %v", p.Visits, changed, p.Hours)
	}
}

func TestPaceByTheHour(t *testing.T) {
	var p pace
	at := func(minute int) time.Time { return start.Add(time.Duration(minute) * time.Minute) }
	is := func(minute, last, busiest int) {
		t.Helper()
		if a, b := p.lastHour(at(minute)); a != last || b != busiest {
			t.Errorf("minute %d: %d in the last hour, %d in the busiest; want %d and %d", minute, a, b, last, busiest)
		}
	}
	is(0, 0, 0)
	for range 4 {
		p.add(at(10))
	}
	is(50, 4, 0)
	is(61, 4, 0) // 59 minutes of the hour before still count, rounded up, and so it is not yet one before
	is(90, 2, 0)
	is(120, 0, 4)
	p.add(at(65))
	is(90, 3, 0)
	p.add(at(130))
	is(150, 2, 4)
	p.add(at(61)) // late: it counts now
	is(150, 3, 4)
	p.add(at(600))
	is(600, 1, 4)
}

// No amount lies above its bucket, none is told more than a fifth too high, and buckets are in order.
func TestAmountsFallIntoTheirBucket(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		amount := rapid.Int64().Draw(t, "amount")
		at := bucket(amount)
		if at < 0 || at >= buckets {
			t.Fatalf("bucket %d", at)
		}
		if amount <= 0 {
			if at != 0 {
				t.Fatalf("bucket %d", at)
			}
			return
		}
		if high := top(at); float64(high) < float64(amount)*0.999999 || float64(high) > float64(amount)*1.2 {
			t.Fatalf("%d is in the bucket up to %d", amount, high)
		}
		if amount < math.MaxInt64 && bucket(amount+1) < at {
			t.Fatalf("%d falls below %d", amount+1, amount)
		}
	})
	var kept list
	for _, amount := range []int64{100, 200, 300, 400, 500} {
		kept.add(amountKey(signal.Transaction{Amount: amount, Currency: "EUR"}), "", 1, roomAmounts)
		kept.add(amountKey(signal.Transaction{Amount: amount * 100, Currency: strings.Repeat("long", 50)}), "", 1, roomAmounts)
		kept.add(amountKey(signal.Transaction{Amount: 1}), "", 1, roomAmounts)
	}
	for currency, want := range map[string]int64{"EUR": top(bucket(500)), strings.Repeat("long", 50): top(bucket(50_000)), "": 1} {
		if count, usual, all := kept.usual(currency); count != 5 || usual != want || all != 15 {
			t.Errorf("%q: %d amounts up to %d, %d in all", currency, count, usual, all)
		}
	}
	if count, _, all := kept.usual("USD"); count != 0 || all != 15 {
		t.Errorf("%d amounts, %d in all", count, all)
	}
}

// Equal payees don't look equal across people.
func TestPayeesAreSalted(t *testing.T) {
	one, other := newProfile(), newProfile()
	if one.payee("FR76") == other.payee("FR76") || one.payee("FR76") == one.payee("FR77") {
		t.Error("the salt does nothing")
	}
}

func TestMemoryIsBoundedAndShort(t *testing.T) {
	var m memory
	for i := range 10 * crowd {
		m.keep(fmt.Sprint(i), &known{read: start}, m.mark())
	}
	if n := len(m.newer) + len(m.older); n > 2*crowd {
		t.Errorf("%d people are remembered", n)
	}
	last := fmt.Sprint(10*crowd - 1)
	if m.find(last, start) == nil || m.find(last, start.Add(lasts)) != nil || m.find(last, start.Add(-time.Second)) != nil {
		t.Error("it lasts too long, or not at all")
	}
	mark := m.mark()
	m.forget("x")
	m.keep("x", &known{read: start}, mark)
	if m.find("x", start) != nil {
		t.Error("what was read before a change is remembered after it")
	}
}

func FuzzDecodeProfile(f *testing.F) {
	p := newProfile()
	for i := range 40 {
		p.learn(wild(i))
	}
	raw, err := p.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	for _, text := range []string{
		"", "{}", "null", `{"v":1}`, `{"v":2,"salt":"AAAAAAAAAAAAAAAA"}`, `{"v":1,"salt":"AAAAAAAAAAAAAAAA"}{}`,
		`{"v":1,"salt":"AAAAAAAAAAAAAAAA","visits":-1}`, `{"v":1,"salt":"AAAAAAAAAAAAAAAA","countries":["1 20000 FR"],"hours":["5 20000 x","1 20000 99"]}`,
		`{"v":1,"salt":"AAAAAAAAAAAAAAAA","amounts":["1 20000 EUR 9999","1 20000 EUR","3 20000 EUR -1"],"pace":{"hour":-9223372036854775808,"now":3}}`,
	} {
		f.Add([]byte(text))
	}
	now := start.AddDate(0, 1, 0)
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := decode(raw, now, halfYear)
		if err != nil {
			if p != nil || !errors.Is(err, errProfile) {
				t.Fatalf("%v with %+v", err, p)
			}
			return
		}
		ask, place := wild(7)
		found := signal.Facts{Now: now, Place: place, Client: ask.Client, Transaction: ask.Transaction}
		known := p.history(&found)
		signal.Judge(&signal.Facts{Now: now, Place: place, Client: ask.Client, Transaction: ask.Transaction, History: known}, nil)
		ask.At = now
		p.learn(ask, place)
		again, err := p.encode()
		if err != nil || len(again) > maxProfile {
			t.Fatalf("%d bytes, %v", len(again), err)
		}
		read, err := decode(again, now, halfYear)
		if err != nil {
			t.Fatalf("what was written can't be read: %v", err)
		}
		if once, _ := json.Marshal(p); !json.Valid(once) || read.Visits != p.Visits {
			t.Fatal("another profile came back")
		}
	})
}

func TestOnlyWhatThisProgramWritesIsAProfile(t *testing.T) {
	entries := func(n int) string {
		var text bytes.Buffer
		for i := range n {
			fmt.Fprintf(&text, `,"1 20000 %d"`, i)
		}
		return "[" + strings.TrimPrefix(text.String(), ",") + "]"
	}
	good := `{"v":1,"salt":"AAAAAAAAAAAAAAAA","countries":["1 20600 FR"],"devices":["2 20600 x\tFirefox"]`
	for name, row := range map[string]struct {
		text string
		good bool
	}{
		"as written":            {good + "}", true},
		"a newer form":          {strings.Replace(good, `"v":1`, `"v":2`, 1) + "}", false},
		"without salt":          {`{"v":1}`, false},
		"something behind it":   {good + "} {}", false},
		"an entry without days": {good + `,"hours":["1 x"]}`, false},
		"never seen":            {good + `,"hours":["0 20600 1"]}`, false},
		"too often":             {good + `,"hours":["1000 20600 1"]}`, false},
		"no day":                {good + `,"hours":["1 -5 1"]}`, false},
		"no name":               {good + `,"hours":["1 20600 "]}`, false},
		"a name too long":       {good + `,"networks":["1 20600 ` + strings.Repeat("x", maxKey+1) + `"]}`, false},
		"a note too long":       {good + `,"networks":["1 20600 x\t` + strings.Repeat("x", maxNote+1) + `"]}`, false},
		"a place too long":      {good + `,"place":{"at":1,"country":"` + strings.Repeat("x", 12_000) + `"}}`, false},
		"a visit too long":      {good + `,"recent":[{"key":"` + strings.Repeat("x", 12_000) + `"}]}`, false},
		"as many as fit":        {good + `,"payees":` + entries(roomPayees) + "}", true},
		"one more":              {good + `,"payees":` + entries(roomPayees+1) + "}", false},
	} {
		if _, err := decode([]byte(row.text), start, halfYear); (err == nil) != row.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}
