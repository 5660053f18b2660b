package signal

import "strconv"

// fewNetworks is how many visits it takes until a network can be a new one: homes, offices and telephones come first.
const fewNetworks = 5

// newNetwork speaks when the person was never seen in this network: neither in its autonomous system, where a database
// tells it, nor in its /24 or /48.
type newNetwork struct{}

func (newNetwork) Name() string { return "new_network" }
func (newNetwork) Points() int  { return 10 }

func (newNetwork) Judge(f *Facts) string {
	name := f.Place.AS
	if name == "" {
		name = f.Place.Near
	}
	switch {
	case name == "" || f.History.Off:
		return ""
	case f.untold(UnknownHabits):
		return cantTell("the network "+name+" is a usual one", "habits")
	case f.History.Visits < fewNetworks || f.History.Networks == 0 || f.History.Network > 0:
		return ""
	}
	return "the network " + name + " is new after " + strconv.Itoa(f.History.Visits) + " visits from others"
}
