package signal

import "time"

// Facts are what the signals judge: everything that is known of a moment, as plain data. They stand in the journal, so that
// the same moment can be judged again, and hold no more of a person's habits than the moment asks about.
type Facts struct {
	Now         time.Time   `json:"now"`
	Place       Place       `json:"place,omitzero"`
	Device      Device      `json:"device,omitzero"`
	Client      string      `json:"client,omitempty"` // the application that asks
	History     History     `json:"history,omitzero"`
	Transaction Transaction `json:"transaction,omitzero"`
	Failures    Failures    `json:"failures,omitzero"`
	Listed      string      `json:"listed,omitempty"`    // the entry of the recipe's list that holds the address; empty: none
	Account     time.Time   `json:"account,omitzero"`    // when the account began; zero: nobody's
	Factor      time.Time   `json:"factor,omitzero"`     // when the youngest authenticator was added that the session rests on; zero: none
	Authentic   bool        `json:"authentic,omitempty"` // the session rests on an authenticator
	Unknown     []string    `json:"unknown,omitempty"`   // what could not be found out, of the words below
}

// What may stand in Facts.Unknown. Signals that rest on one of them speak, but those of place: they have no say without a
// database either, and only the operator can break it.
const (
	UnknownHabits  = "habits"
	UnknownDevices = "devices"
	UnknownFactors = "factors"
	UnknownPlace   = "place"
)

// Place is where a request comes from.
type Place struct {
	Country string  `json:"country,omitempty"` // ISO 3166-1; empty: unknown
	AS      string  `json:"as,omitempty"`      // autonomous system, as AS64500; empty: unknown
	Near    string  `json:"near,omitempty"`    // network of the address: a /24, or a /48 of IPv6
	Lat     float64 `json:"lat,omitempty"`
	Lon     float64 `json:"lon,omitempty"`
	Located bool    `json:"located,omitempty"` // Lat and Lon are known
}

// Device is what is known of the browser or installation.
type Device struct {
	Named   bool   `json:"named,omitempty"`   // it has a name that could be known: its cookie came
	Known   bool   `json:"known,omitempty"`   // a completed authentication at the level that was needed has taught it
	Others  int    `json:"others,omitempty"`  // how many other devices of the person are known
	Agent   string `json:"agent,omitempty"`   // what it says of itself now
	Learned string `json:"learned,omitempty"` // what it said of itself when it was learned
}

// History is what the person's habits say of this moment.
type History struct {
	Off    bool `json:"off,omitempty"`    // the person wants nothing learned: what needs history is silent
	Visits int  `json:"visits,omitempty"` // completed authentications that were learned, at most one each ten minutes

	Country   int `json:"country,omitempty"`   // visits from this country
	Countries int `json:"countries,omitempty"` // known countries
	Network   int `json:"network,omitempty"`   // visits from this network
	Networks  int `json:"networks,omitempty"`  // known networks
	Client    int `json:"client,omitempty"`    // visits with this application
	Clients   int `json:"clients,omitempty"`   // known applications
	Hour      int `json:"hour,omitempty"`      // visits at this hour of the day or one beside it
	Hours     int `json:"hours,omitempty"`     // visits at any hour, as far as they are remembered

	Last   Place     `json:"last,omitzero"`    // of the newest visit with a known place
	LastAt time.Time `json:"last_at,omitzero"` // when that was; zero: never

	Amounts  int   `json:"amounts,omitempty"`   // known amounts in this currency
	Usual    int64 `json:"usual,omitempty"`     // 95 of 100 of them were at most so high
	AllSpent int   `json:"all_spent,omitempty"` // known amounts in any currency
	Payee    int   `json:"payee,omitempty"`     // known transactions with this payee
	LastHour int   `json:"last_hour,omitempty"` // transactions within the last hour
	Busiest  int   `json:"busiest,omitempty"`   // most transactions in any hour before
}

// Failures are wrong proofs of the last quarter of an hour, as this node saw them.
type Failures struct {
	Account  int `json:"account,omitempty"`  // against this account, from anywhere
	Accounts int `json:"accounts,omitempty"` // different accounts that were tried in vain from this network
}

// untold tells whether a fact could not be found out.
func (f *Facts) untold(what string) bool {
	for _, unknown := range f.Unknown {
		if unknown == what {
			return true
		}
	}
	return false
}
