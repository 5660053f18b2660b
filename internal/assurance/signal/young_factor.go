package signal

import "time"

// youngFactorAge is how long an authenticator counts as young.
const youngFactorAge = 24 * time.Hour

// youngFactor speaks when the session rests on an authenticator of less than a day: whoever takes an account over adds one
// of their own first.
type youngFactor struct{}

func (youngFactor) Name() string { return "young_factor" }
func (youngFactor) Points() int  { return 15 }

func (youngFactor) Judge(f *Facts) string {
	switch {
	case !f.Authentic:
		return ""
	case f.untold(UnknownFactors):
		return cantTell("the authenticator is a young one", "authenticators")
	case f.Factor.IsZero() || f.Now.Sub(f.Factor) >= youngFactorAge:
		return ""
	}
	return "the authenticator was added only at " + f.Factor.UTC().Format(time.DateTime) + " UTC"
}
