package signal

import (
	"fmt"
	"math"
	"time"
)

// What nobody travels: faster than a plane, over more than the error of the databases. Without coordinates, from country
// to country within an hour.
const (
	planeSpeed  = 900 // km/h
	nearBy      = 300 // km
	borderHours = time.Hour
	earthRadius = 6371 // km
)

// impossibleTravel speaks when the person could not have come here since they were last seen.
type impossibleTravel struct{}

func (impossibleTravel) Name() string { return "impossible_travel" }
func (impossibleTravel) Points() int  { return 40 }

func (impossibleTravel) Judge(f *Facts) string {
	from, to := &f.History.Last, &f.Place
	switch {
	case f.History.Off || to.Country == "" && !to.Located:
		return ""
	case f.untold(UnknownHabits):
		return cantTell("the person could have come here", "habits")
	case f.History.LastAt.IsZero():
		return ""
	}
	since := max(f.Now.Sub(f.History.LastAt), 0) // a clock that went back makes no time to travel
	if from.Located && to.Located {
		way := distance(from, to)
		if way <= nearBy || way <= planeSpeed*since.Hours() {
			return ""
		}
		return fmt.Sprintf("%.0f km lie between here and where the person was %s ago", way, since.Round(time.Second))
	}
	if from.Country == "" || to.Country == "" || from.Country == to.Country || since >= borderHours {
		return ""
	}
	return fmt.Sprintf("the person was in %s only %s ago, and is in %s now", from.Country, since.Round(time.Second), to.Country)
}

// distance is the way along a great circle, in kilometres.
func distance(a, b *Place) float64 {
	const degree = math.Pi / 180
	north := math.Sin((b.Lat - a.Lat) * degree / 2)
	east := math.Sin((b.Lon - a.Lon) * degree / 2)
	h := north*north + math.Cos(a.Lat*degree)*math.Cos(b.Lat*degree)*east*east
	return 2 * earthRadius * math.Asin(math.Sqrt(min(max(h, 0), 1)))
}
