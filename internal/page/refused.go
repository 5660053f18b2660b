package page

import "strings"

// Refused tells a person that the company's policy says no to what an application asks for, why, and how to go on: back to
// the application, which then hears of it, or to a human. Where the application waits on another device, a form tells it:
// it posts flow or request, decision=deny.
type Refused struct {
	Common
	Client Client
	Why    []map[string]string // the company's own words, by language; none: ours
	Help   string              // https address or mailto: of human help; empty: there is none
	Back   string              // address that leads back to the application, or away from the form; empty: nothing waits behind this page

	Action, Flow string
	ID           string // of the request, where no flow leads to it
}

func (Refused) name() string { return "refused" }

// Mail is the address to write to, if that is what Help is.
func (r Refused) Mail() string {
	address, mail := strings.CutPrefix(r.Help, "mailto:")
	if !mail {
		return ""
	}
	address, _, _ = strings.Cut(address, "?")
	return address
}
