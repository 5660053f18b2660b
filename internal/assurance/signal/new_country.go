package signal

// newCountry speaks when the person was never seen in this country. One visit from a known country is enough history:
// people change countries seldom.
type newCountry struct{}

func (newCountry) Name() string { return "new_country" }
func (newCountry) Points() int  { return 25 }

func (newCountry) Judge(f *Facts) string {
	switch {
	case f.Place.Country == "" || f.History.Off:
		return ""
	case f.untold(UnknownHabits):
		return cantTell("the country "+f.Place.Country+" is a usual one", "habits")
	case f.History.Countries == 0 || f.History.Country > 0:
		return ""
	}
	return "the request comes from " + f.Place.Country + ", where the person was never seen"
}
