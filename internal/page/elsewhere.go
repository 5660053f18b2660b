package page

import "time"

// EnterCode asks for the code that another device shows (RFC 8628 section 3.3). Posts user_code.
type EnterCode struct {
	Common
	Action string
	Code   string // the last try, or what came with the address; it must be sent by the person all the same
}

// Asked asks for permission for an application that waits on another device. Posts flow or request, decision=allow|deny.
type Asked struct {
	Common
	Action, Flow string
	ID           string // of the request, where no flow leads to it
	Client       Client
	Username     string
	Scopes       []Scope
	Details      []Detail
	Code         string // that the device must show as well; empty: it was asked for without one
	Message      string // binding_message: the client's own word, which must stand where the person began as well
	Place, Agent string // where the device asked from
	Far          bool   // not the network of this browser
	When         time.Time
	Switch       string // address for "not you?"
	Back         string // address of what comes before, to decide nothing now; empty: there is none
}

// Requests lists what waits for the person. Its rows lead to Action?id=.
type Requests struct {
	Common
	Action   string
	Requests []Asked
	Notice   Note   // what was just decided, if anything
	Account  string // address of the account page
}

func (EnterCode) name() string { return "entercode" }
func (Asked) name() string     { return "asked" }
func (Requests) name() string  { return "requests" }
