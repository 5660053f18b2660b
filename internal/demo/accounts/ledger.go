package accounts

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// maxHolders bounds the people that the ledger remembers.
const maxHolders = 10_000

// Account is one account of a person. Amounts are integer cents.
type Account struct {
	ID      string  `json:"id"`
	Kind    string  `json:"kind"` // everyday, savings or holidays
	Number  string  `json:"number"`
	Cents   int64   `json:"cents"`
	Entries []Entry `json:"entries,omitempty"` // newest first
}

// Entry is one line of an account.
type Entry struct {
	Day   string `json:"day"`
	Text  string `json:"text"`
	Cents int64  `json:"cents"`
}

// Transfer is an order to move money between two accounts of the same person.
type Transfer struct {
	From  string `json:"from"`
	To    string `json:"to"`
	Cents int64  `json:"cents"`
	Note  string `json:"note,omitempty"`
}

// ledger keeps the accounts in memory. What a person has is drawn from the subject, so it is the same after a restart.
type ledger struct {
	now     func() time.Time
	mu      sync.Mutex
	holders map[string][]Account
	known   map[string][]Recipient
}

// accounts gives copies of what the subject has; false when the ledger is full.
func (l *ledger) accounts(subject string) ([]Account, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	held, ok := l.held(subject)
	copies := slices.Clone(held)
	for i := range copies {
		copies[i].Entries = slices.Clone(copies[i].Entries)
	}
	return copies, ok
}

// held is called with the lock.
func (l *ledger) held(subject string) ([]Account, bool) {
	if held, ok := l.holders[subject]; ok {
		return held, true
	}
	if len(l.holders) >= maxHolders {
		return nil, false
	}
	if l.holders == nil {
		l.holders = map[string][]Account{}
	}
	l.holders[subject] = draw(subject, l.now())
	return l.holders[subject], true
}

// move does a transfer that is well formed. The text that it gives back is empty when the money has moved.
func (l *ledger) move(subject string, order Transfer) (fault string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	held, ok := l.held(subject)
	if !ok {
		return "the demonstration has more people than it can remember"
	}
	// An account of somebody else reads like one that does not exist.
	from := slices.IndexFunc(held, func(a Account) bool { return a.ID == order.From })
	to := slices.IndexFunc(held, func(a Account) bool { return a.ID == order.To })
	switch {
	case from < 0 || to < 0:
		return "you have no such account"
	case from == to:
		return "the two accounts are the same"
	case held[from].Cents < order.Cents:
		return "there is not enough money on the account"
	}
	day, text := l.now().UTC().Format(time.DateOnly), order.Note
	if text == "" {
		text = "Transfer"
	}
	held[from].Cents -= order.Cents
	held[to].Cents += order.Cents
	held[from].Entries = record(held[from].Entries, Entry{day, text, -order.Cents})
	held[to].Entries = record(held[to].Entries, Entry{day, text, order.Cents})
	return ""
}

// recipients gives copies of whom the subject may pay.
func (l *ledger) recipients(subject string) []Recipient {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Recipient{}, l.known[subject]...)
}

// add adds somebody to pay. The text that it gives back is empty when they were added.
func (l *ledger) add(subject string, added Recipient) (fault string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.held(subject); !ok {
		return "the demonstration has more people than it can remember"
	}
	if slices.ContainsFunc(l.known[subject], func(r Recipient) bool { return r.Number == added.Number }) {
		return "you have this recipient already"
	}
	if len(l.known[subject]) >= maxRecipients {
		return "you have as many recipients as the bank remembers"
	}
	if l.known == nil {
		l.known = map[string][]Recipient{}
	}
	l.known[subject] = append(l.known[subject], added)
	return ""
}

// pay pays a recipient. The text that it gives back is empty when the money has left.
func (l *ledger) pay(subject string, order Payment) (fault string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	held, ok := l.held(subject)
	if !ok {
		return "the demonstration has more people than it can remember"
	}
	from := slices.IndexFunc(held, func(a Account) bool { return a.ID == order.From })
	to := slices.IndexFunc(l.known[subject], func(r Recipient) bool { return r.Number == order.To })
	switch {
	case from < 0:
		return "you have no such account"
	case to < 0:
		return "you have no such recipient"
	case held[from].Cents < order.Cents:
		return "there is not enough money on the account"
	}
	text := l.known[subject][to].Name
	if order.Note != "" {
		text += ", " + order.Note
	}
	held[from].Cents -= order.Cents
	held[from].Entries = record(held[from].Entries, Entry{l.now().UTC().Format(time.DateOnly), text, -order.Cents})
	return ""
}

func record(entries []Entry, e Entry) []Entry {
	entries = slices.Insert(entries, 0, e)
	return entries[:min(len(entries), 50)]
}

// dice draws the same numbers for the same seed. They are data for a show and protect nothing.
type dice struct {
	seed string
	n    uint64
}

func (d *dice) below(limit int64) int64 {
	d.n++
	sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte("garde demo "+d.seed+"\x00"), d.n))
	return int64(binary.BigEndian.Uint64(sum[:8]) >> 1 % uint64(limit)) //nolint:gosec // shifted, so it fits
}

func draw(subject string, now time.Time) []Account {
	d := &dice{seed: subject}
	kinds := []string{"everyday", "savings"}
	if d.below(2) == 0 {
		kinds = append(kinds, "holidays")
	}
	floor := map[string]int64{"everyday": 64_000, "savings": 540_000, "holidays": 31_000}
	var all []Account
	for _, kind := range kinds {
		a := Account{Kind: kind, Cents: floor[kind] + d.below(4*floor[kind])}
		a.ID = fmt.Sprintf("acc-%08x", d.below(1<<32))
		a.Number = number(d)
		switch kind {
		case "everyday":
			a.Entries = everyday(d, now)
		case "savings":
			a.Entries = []Entry{{back(now, 12), "Atelier Nord, épargne", 15_000}, {back(now, 43), "Atelier Nord, épargne", 15_000}}
		default:
			a.Entries = []Entry{{back(now, 20), "SNC Voyages Mistral", -18_900 - d.below(9000)}, {back(now, 31), "Rive", 8_000}}
		}
		all = append(all, a)
	}
	return all
}

func everyday(d *dice, now time.Time) []Entry {
	shops := []struct {
		text       string
		from, upTo int64
	}{
		{"Boulangerie Lune", 320, 1240}, {"Librairie Tournesol", 890, 4300}, {"Marché Saint-Louis", 1450, 6200},
		{"Cinéma Le Phare", 950, 2700}, {"Tram et bus", 190, 190}, {"Café des Quais", 280, 1890}, {"Pharmacie du Pont", 460, 3300},
	}
	var entries []Entry
	day := int(d.below(2))
	for i := range 6 {
		if i == 4 {
			entries = append(entries, Entry{back(now, day), "Atelier Nord, salaire", 231_000 + 100*d.below(900)})
		} else {
			shop := shops[d.below(int64(len(shops)))]
			entries = append(entries, Entry{back(now, day), shop.text, -(shop.from + d.below(shop.upTo-shop.from+1))})
		}
		day += 1 + int(d.below(4))
	}
	return entries
}

func back(now time.Time, days int) string {
	return now.UTC().AddDate(0, 0, -days).Format(time.DateOnly)
}

// number looks like an account number of a country that does not exist, with check digits that add up (ISO 7064).
func number(d *dice) string {
	body := fmt.Sprintf("%04d%04d%04d", d.below(10000), d.below(10000), d.below(10000))
	rest := 0
	for _, digit := range body + "333300" { // X counts as 33, and "00" stands where the check digits come
		rest = (rest*10 + int(digit-'0')) % 97
	}
	text := fmt.Sprintf("XX%02d%s", 98-rest, body)
	var groups []string
	for part := range slices.Chunk([]byte(text), 4) {
		groups = append(groups, string(part))
	}
	return strings.Join(groups, " ")
}
