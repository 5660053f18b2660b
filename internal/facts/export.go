package facts

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
)

// exported is what a person reads of their habits. It holds no hashes: of what is kept as one, it tells how many.
type exported struct {
	Learning     bool        `json:"learning"`
	Since        string      `json:"since,omitempty"`
	LastVisit    string      `json:"last_visit,omitempty"`
	Visits       int         `json:"visits"`
	LastPlace    *lastPlace  `json:"last_place,omitempty"`
	Countries    []seenThing `json:"countries,omitempty"`
	Networks     []seenThing `json:"networks,omitempty"`
	Applications []seenThing `json:"applications,omitempty"`
	Devices      []seenThing `json:"devices,omitempty"`
	Hours        []seenThing `json:"hours_utc,omitempty"`
	Amounts      []spent     `json:"amounts,omitempty"`
	Payees       int         `json:"known_payees"`
	Busiest      int         `json:"busiest_hour_transactions"`
}

type lastPlace struct {
	Country string   `json:"country,omitempty"`
	Lat     *float64 `json:"latitude,omitempty"`
	Lon     *float64 `json:"longitude,omitempty"`
	At      string   `json:"at"`
}

type seenThing struct {
	Name  string `json:"name"`
	Times int    `json:"times"`
	Last  string `json:"last_day"`
}

type spent struct {
	Currency string `json:"currency,omitempty"`
	UpTo     int64  `json:"up_to"` // minor units
	Times    int    `json:"times"`
	Last     string `json:"last_day"`
}

// Export gives what is kept of a person's habits, as JSON for them to read. Of somebody of whom nothing is kept it says so.
func (d *Desk) Export(ctx context.Context, user string) ([]byte, error) {
	kept, off, _, err := d.readHabits(ctx, user, forget(d.Risk()))
	if err != nil {
		return nil, err
	}
	out := exported{
		Learning: !off, Visits: kept.Visits, Since: moment(kept.First), LastVisit: moment(kept.Last),
		Countries: things(kept.Countries), Networks: things(kept.Networks), Applications: things(kept.Clients),
		Devices: devices(kept.Devices), Hours: things(kept.Hours), Amounts: amounts(kept.Amounts), Payees: len(kept.Payees),
		Busiest: max(kept.Pace.Busiest, kept.Pace.Before, kept.Pace.Now),
	}
	if place := kept.Place; place.At > 0 {
		out.LastPlace = &lastPlace{Country: place.Country, At: moment(place.At)}
		if place.Located {
			out.LastPlace.Lat, out.LastPlace.Lon = &place.Lat, &place.Lon
		}
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err = encoder.Encode(out)
	return text.Bytes(), err
}

func moment(at int64) string {
	if at == 0 {
		return ""
	}
	return time.Unix(at, 0).UTC().Format(time.RFC3339)
}

func date(day int) string { return time.Unix(int64(day)*86_400, 0).UTC().Format(time.DateOnly) }

func things(kept list) []seenThing {
	var out []seenThing
	for _, seen := range kept {
		name := seen.key
		if strings.HasPrefix(name, "#") {
			name = "a name that is too long to keep"
		}
		out = append(out, seenThing{name, seen.times, date(seen.day)})
	}
	slices.SortStableFunc(out, func(a, b seenThing) int { return b.Times - a.Times })
	return out
}

// devices names them by what they said of themselves: their ids tell a person nothing.
func devices(kept list) []seenThing {
	named := slices.Clone(kept)
	for i := range named {
		named[i].key = named[i].note
		if named[i].key == "" {
			named[i].key = "unnamed"
		}
	}
	return things(named)
}

func amounts(kept list) []spent {
	var out []spent
	for _, seen := range kept {
		currency, number, _ := cutLast(seen.key)
		at, err := strconv.Atoi(number)
		if err != nil {
			continue
		}
		if strings.HasPrefix(currency, "#") {
			currency = "other"
		}
		out = append(out, spent{currency, top(at), seen.times, date(seen.day)})
	}
	slices.SortFunc(out, func(a, b spent) int {
		if by := strings.Compare(a.Currency, b.Currency); by != 0 {
			return by
		}
		return int(min(max(a.UpTo-b.UpTo, -1), 1))
	})
	return out
}
