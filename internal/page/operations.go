package page

import (
	"strconv"
	"time"
)

// Operation is one line of what an API asks for. Without Open it asks for a token.
type Operation struct {
	Name            string // POST /transfers
	Open            string // why anybody may call it; empty: nobody may without a token
	People, Clients bool   // whom it is for
	Scope           string
	Level           string        // name of the level; empty: any
	Fresh           time.Duration // how long ago a person may have authenticated; 0: any time
	Detail          string        // type of what a person must have allowed for exactly one call
	Rules           bool          // rules may ask for more, or refuse
}

// Operations lists what an API asks for, for whoever writes a client of it.
type Operations struct {
	Common
	API, Place string // its name, and its address
	Bound      bool   // it takes only tokens that are bound to a key
	List       []Operation
}

func (Operations) name() string { return "operations" }
func (Operations) wide()        {}

// Within is how fresh a sign-in must be, in units that are the same in every language.
func (o Operation) Within() string {
	switch whole := o.Fresh.Round(time.Second); {
	case whole%time.Hour == 0:
		return strconv.Itoa(int(whole/time.Hour)) + " h"
	case whole%time.Minute == 0:
		return strconv.Itoa(int(whole/time.Minute)) + " min"
	default:
		return strconv.Itoa(int(whole/time.Second)) + " s"
	}
}
