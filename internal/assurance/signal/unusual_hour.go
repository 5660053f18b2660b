package signal

import "fmt"

// fewHours is how many visits it takes until an hour can be unusual.
const fewHours = 20

// unusualHour speaks when the person is hardly ever seen at this hour of the day: in less than one of fifty visits, the
// hours before and after included. Hours are those of UTC.
type unusualHour struct{}

func (unusualHour) Name() string { return "unusual_hour" }
func (unusualHour) Points() int  { return 10 }

func (unusualHour) Judge(f *Facts) string {
	switch {
	case f.History.Off:
		return ""
	case f.untold(UnknownHabits):
		return cantTell("the hour is a usual one", "habits")
	case f.History.Hours < fewHours || f.History.Hour*50 >= f.History.Hours:
		return ""
	}
	return fmt.Sprintf("of %d visits, %d were about %02d:00 UTC", f.History.Hours, f.History.Hour, f.Now.UTC().Hour())
}
