package register

import (
	"slices"

	"golang.org/x/net/publicsuffix"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/recipe"
)

// The bounds of readings under way. Whoever has a slow host, or asks from one network, takes a part of the places and never
// all: the rest is for those who are honest.
const (
	maxFlights = 32
	maxOfSite  = 4  // readings of documents of one site
	maxBegun   = 8  // readings that one network has begun, whether or not it still waits
	maxPatient = 8  // callers that wait for one reading
	maxWaiting = 64 // ... and for all: each takes a place of those that the server answers at once
	maxAsking  = 16 // ... from one network
)

// siteShare is the part of the clients under a policy for all hosts that may be of one site.
const (
	siteShare = 20 // one in so many
	siteLeast = 5
)

// siteOf names whose a host is: all hosts below one registered name are its owner's, who makes as many as they like. An
// address, and a name that nobody registered, stand for themselves.
func siteOf(host string) string {
	if site, err := publicsuffix.EffectiveTLDPlusOne(host); err == nil {
		return site
	}
	return host
}

// flight is a reading under way that many may wait for.
type flight struct {
	site, asker string // whose document it is, and the network that it was begun from
	done        chan struct{}
	callers     int
	client      iam.Client
	err         error
}

// places counts who reads and who waits.
type places struct {
	flights map[string]*flight // by address
	sites   map[string]int     // readings
	begun   map[string]int     // readings, by network
	asking  map[string]int     // callers, by network
	callers int
}

func newPlaces() places {
	return places{map[string]*flight{}, map[string]int{}, map[string]int{}, map[string]int{}, 0}
}

// under gives the reading of an address that is under way, and whether one more caller may wait for it, or begin one. An
// asker without a name is not counted.
func (p *places) under(id, site, asker string) (flying *flight, room bool) {
	room = p.callers < maxWaiting && (asker == "" || p.asking[asker] < maxAsking)
	if flying = p.flights[id]; flying != nil {
		return flying, room && flying.callers < maxPatient
	}
	return nil, room && len(p.flights) < maxFlights && p.sites[site] < maxOfSite && (asker == "" || p.begun[asker] < maxBegun)
}

func (p *places) begin(id, site, asker string) *flight {
	flying := &flight{site: site, asker: asker, done: make(chan struct{})}
	p.flights[id] = flying
	p.sites[site]++
	p.begun[asker]++
	return flying
}

func (p *places) land(id string) {
	flying := p.flights[id]
	less(p.sites, flying.site)
	less(p.begun, flying.asker)
	delete(p.flights, id)
	close(flying.done)
}

func (p *places) wait(flying *flight, asker string) {
	flying.callers++
	p.asking[asker]++
	p.callers++
}

func (p *places) leave(flying *flight, asker string) {
	flying.callers--
	less(p.asking, asker)
	p.callers--
}

func less(counts map[string]int, name string) {
	if counts[name]--; counts[name] <= 0 {
		delete(counts, name)
	}
}

// roomUnder tells how many clients may stand under a policy, and how many of one site if it takes those of all.
func roomUnder(rules recipe.Registration, site string) iam.Room {
	room := iam.Room{Most: rules.Limit(), Site: site, OfSite: rules.Limit()}
	if slices.Contains(rules.Documents, "*") {
		room.OfSite = max(siteLeast, rules.Limit()/siteShare)
	}
	return room
}
