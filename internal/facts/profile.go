package facts

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/assurance/signal"
)

// How much is kept of each kind, so that a whole profile fits into maxProfile.
const (
	roomCountries = 24
	roomNetworks  = 40
	roomClients   = 20
	roomDevices   = 16
	roomAmounts   = 90
	roomPayees    = 150
	roomVisits    = 6
	maxProfile    = 11_800 // bytes before sealing, which makes four of three
	saltBytes     = 12
)

// profile is what is kept of a person's ways. It is sealed as JSON.
type profile struct {
	Version int    `json:"v"`
	Salt    []byte `json:"salt"` // of the payees, so that equal ones don't look equal across people
	First   int64  `json:"first"`
	Last    int64  `json:"last"` // newest visit, in Unix seconds
	Visits  int    `json:"visits"`

	Countries list `json:"countries,omitempty"`
	Networks  list `json:"networks,omitempty"` // autonomous systems and nets beside each other
	Clients   list `json:"clients,omitempty"`
	Devices   list `json:"devices,omitempty"` // the note is the label of the browser
	Hours     list `json:"hours,omitempty"`   // of UTC
	Amounts   list `json:"amounts,omitempty"` // CURRENCY BUCKET
	Payees    list `json:"payees,omitempty"`  // hashes

	Place  spot     `json:"place,omitzero"`
	Recent []recent `json:"recent,omitempty"`
	Pace   pace     `json:"pace,omitzero"`
}

// spot is where the person was at the newest visit from a known place.
type spot struct {
	At      int64   `json:"at"`
	Country string  `json:"country,omitempty"`
	Lat     float64 `json:"lat,omitempty"`
	Lon     float64 `json:"lon,omitempty"`
	Located bool    `json:"located,omitempty"`
}

// recent is a kind of visit that was counted lately, so that a busy application counts as one visit and not as thousands.
type recent struct {
	Key string `json:"key"`
	At  int64  `json:"at"`
}

// pace counts transactions by the hour.
type pace struct {
	Hour    int64 `json:"hour"` // since 1970
	Now     int   `json:"now"`
	Before  int   `json:"before,omitempty"`  // of the hour before
	Busiest int   `json:"busiest,omitempty"` // of any hour before those
	Day     int   `json:"day,omitempty"`     // of the busiest
}

// profileVersion is the form that this program writes. One it does not know is left alone.
const profileVersion = 1

var errProfile = errors.New("the habits are in a form that this program does not know")

func newProfile() *profile {
	salt := make([]byte, saltBytes)
	_, _ = rand.Read(salt) // never fails since Go 1.24
	return &profile{Version: profileVersion, Salt: salt}
}

// decode reads a profile, and forgets what was not seen for so long.
func decode(raw []byte, now time.Time, forget time.Duration) (*profile, error) {
	var p profile
	decoder := json.NewDecoder(bytes.NewReader(raw))
	if err := decoder.Decode(&p); err != nil {
		return nil, fmt.Errorf("%w: %w", errProfile, err)
	}
	if p.Version != profileVersion || len(p.Salt) != saltBytes || decoder.More() || !p.bounded() {
		return nil, errProfile
	}
	p.forget(now, forget)
	return &p, nil
}

// bounded tells whether nothing is longer than what this program writes.
func (p *profile) bounded() bool {
	return len(p.Countries) <= roomCountries && len(p.Networks) <= roomNetworks && len(p.Clients) <= roomClients &&
		len(p.Devices) <= roomDevices && len(p.Hours) <= 24 && len(p.Amounts) <= roomAmounts && len(p.Payees) <= roomPayees &&
		len(p.Recent) <= roomVisits && len(p.Place.Country) <= maxKey &&
		!slices.ContainsFunc(p.Recent, func(seen recent) bool { return len(seen.Key) > maxKey }) && p.Visits >= 0 && p.Visits <= maxVisits && p.Pace.Now >= 0 && p.Pace.Before >= 0 && p.Pace.Busiest >= 0
}

const maxVisits = 1_000_000

func (p *profile) lists() []*list {
	return []*list{&p.Payees, &p.Amounts, &p.Networks, &p.Devices, &p.Clients, &p.Countries, &p.Hours}
}

func (p *profile) forget(now time.Time, after time.Duration) {
	since := dayOf(now.Add(-after))
	for _, kept := range p.lists() {
		kept.forget(since)
	}
	if p.Place.At < now.Add(-after).Unix() {
		p.Place = spot{}
	}
	if p.Pace.Day < since {
		p.Pace.Busiest, p.Pace.Day = 0, 0
	}
	if p.Last < now.Add(-after).Unix() {
		p.Visits, p.First, p.Recent = 0, 0, nil
	}
}

// encode writes the profile. If it is too long, which only the longest names can bring about, the oldest entries go.
func (p *profile) encode() ([]byte, error) {
	for {
		raw, err := json.Marshal(p)
		if err != nil || len(raw) <= maxProfile {
			return raw, err
		}
		longest := p.lists()[0]
		for _, other := range p.lists() {
			if other.bytes() > longest.bytes() {
				longest = other
			}
		}
		if len(*longest) == 0 {
			return nil, errProfile
		}
		for range max(len(*longest)/8, 1) {
			longest.drop()
		}
	}
}

func (l *list) bytes() int {
	sum := 0
	for i := range *l {
		sum += 14 + len((*l)[i].key) + len((*l)[i].note)
	}
	return sum
}

// visitEvery is how often the same device, network and application count as a visit.
const visitEvery = 10 * time.Minute

// learn counts a completed authentication, or what an operation paid, and tells whether there was anything to learn.
func (p *profile) learn(ask Ask, place signal.Place) bool {
	learned := !ask.Paid && p.visit(ask, place)
	if ask.Transaction == (signal.Transaction{}) {
		return learned
	}
	day := dayOf(ask.At)
	if ask.Transaction.Priced {
		p.Amounts.add(amountKey(ask.Transaction), "", day, roomAmounts)
	}
	if ask.Transaction.Payee != "" {
		p.Payees.add(p.payee(ask.Transaction.Payee), "", day, roomPayees)
	}
	p.Pace.add(ask.At)
	return true
}

// visit counts where, when, on what and with what the person was, at most once each ten minutes for the same.
func (p *profile) visit(ask Ask, place signal.Place) bool {
	now, day := ask.At.Unix(), dayOf(ask.At)
	if !p.due(visitKey(ask, place), now) {
		return false
	}
	if p.First == 0 {
		p.First = now
	}
	p.Last, p.Visits = max(p.Last, now), min(p.Visits+1, maxVisits)
	p.Hours.add(strconv.Itoa(ask.At.UTC().Hour()), "", day, 24)
	for _, seen := range []struct {
		list      *list
		key, note string
		room      int
	}{
		{&p.Countries, place.Country, "", roomCountries},
		{&p.Networks, place.AS, "", roomNetworks},
		{&p.Networks, place.Near, "", roomNetworks},
		{&p.Clients, ask.Client, "", roomClients},
		{&p.Devices, ask.Device, ask.Agent, roomDevices},
	} {
		if seen.key != "" {
			seen.list.add(seen.key, seen.note, day, seen.room)
		}
	}
	if place.Country != "" || place.Located {
		p.Place = spot{At: now, Country: place.Country, Lat: rough(place.Lat), Lon: rough(place.Lon), Located: place.Located}
	}
	return true
}

// due tells whether a kind of visit counts again, and notes it.
func (p *profile) due(key string, now int64) bool {
	oldest := -1
	for i, seen := range p.Recent {
		if seen.Key == key {
			if now-seen.At < int64(visitEvery/time.Second) {
				return false
			}
			p.Recent[i].At = now
			return true
		}
		if oldest < 0 || seen.At < p.Recent[oldest].At {
			oldest = i
		}
	}
	if len(p.Recent) < roomVisits {
		p.Recent = append(p.Recent, recent{key, now})
	} else {
		p.Recent[oldest] = recent{key, now}
	}
	return true
}

func visitKey(ask Ask, place signal.Place) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{ask.Device, label(ask.Agent), ask.Client, place.Country, place.AS, place.Near}, "\x00")))
	return base64.RawURLEncoding.EncodeToString(sum[:6])
}

func (p *profile) payee(name string) string {
	sum := sha256.Sum256(append(p.Salt[:len(p.Salt):len(p.Salt)], name...))
	return base64.RawURLEncoding.EncodeToString(sum[:8])
}

// rough keeps about ten kilometres of a coordinate: enough to tell impossible travel, and no more.
func rough(degrees float64) float64 { return math.Round(degrees*10) / 10 }

func dayOf(at time.Time) int { return int(max(at.Unix(), 0) / 86_400) }

func (p *pace) add(at time.Time) {
	hour := at.Unix() / 3600
	switch {
	case hour == p.Hour:
	case hour > p.Hour:
		if p.Before > p.Busiest {
			p.Busiest, p.Day = p.Before, dayOf(at)
		}
		before := p.Now
		if hour > p.Hour+1 {
			if p.Now > p.Busiest {
				p.Busiest, p.Day = p.Now, dayOf(at)
			}
			before = 0
		}
		p.Hour, p.Before, p.Now = hour, before, 0
	default: // late: it counts for the hour that runs
	}
	p.Now = min(p.Now+1, maxVisits)
}

// lastHour estimates the transactions of the last sixty minutes: those of this hour, and of the hour before as many as
// still fall into them.
func (p *pace) lastHour(at time.Time) (last, busiest int) {
	hour := at.Unix() / 3600
	share := 3600 - int(at.Unix()%3600)
	switch hour - p.Hour {
	case 0:
		return p.Now + (p.Before*share+3599)/3600, p.Busiest
	case 1:
		return (p.Now*share + 3599) / 3600, max(p.Busiest, p.Before)
	}
	return 0, max(p.Busiest, p.Before, p.Now)
}

// history answers what the signals ask of the habits.
func (p *profile) history(found *signal.Facts) signal.History {
	place, money := &found.Place, &found.Transaction
	known := signal.History{
		Visits: p.Visits, Countries: len(p.Countries), Networks: len(p.Networks), Clients: len(p.Clients),
		Last:   signal.Place{Country: p.Place.Country, Lat: p.Place.Lat, Lon: p.Place.Lon, Located: p.Place.Located},
		LastAt: unix(p.Place.At),
	}
	if place.Country != "" {
		known.Country = p.Countries.times(place.Country)
	}
	if place.AS != "" {
		known.Network = p.Networks.times(place.AS)
	}
	if place.Near != "" {
		known.Network = max(known.Network, p.Networks.times(place.Near))
	}
	if found.Client != "" {
		known.Client = p.Clients.times(found.Client)
	}
	hour := found.Now.Hour()
	for _, seen := range p.Hours {
		known.Hours += seen.times
		at, _ := strconv.Atoi(seen.key) // of another form: hour 0 counts, which alarms nobody
		if away := (at - hour + 24) % 24; away <= 1 || away == 23 {
			known.Hour += seen.times
		}
	}
	if money.Priced {
		known.Amounts, known.Usual, known.AllSpent = p.Amounts.usual(money.Currency)
	}
	if money.Payee != "" {
		known.Payee = p.Payees.times(p.payee(money.Payee))
	}
	if *money != (signal.Transaction{}) {
		known.LastHour, known.Busiest = p.Pace.lastHour(found.Now)
	}
	return known
}

func unix(at int64) time.Time {
	if at == 0 {
		return time.Time{}
	}
	return time.Unix(at, 0).UTC()
}
