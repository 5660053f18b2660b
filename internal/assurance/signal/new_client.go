package signal

import "strconv"

// fewClients is how many visits it takes until an application can be a new one.
const fewClients = 3

// newClient speaks when the person has never used this application.
type newClient struct{}

func (newClient) Name() string { return "new_client" }
func (newClient) Points() int  { return 10 }

func (newClient) Judge(f *Facts) string {
	switch {
	case f.Client == "" || f.History.Off:
		return ""
	case f.untold(UnknownHabits):
		return cantTell("the application is a usual one", "habits")
	case f.History.Visits < fewClients || f.History.Clients == 0 || f.History.Client > 0:
		return ""
	}
	return "the application " + f.Client + " is new after " + strconv.Itoa(f.History.Visits) + " visits with others"
}
