package signal

import "time"

// youngAccountAge is how long an account counts as young.
const youngAccountAge = 7 * 24 * time.Hour

// youngAccount speaks in the first week of an account.
type youngAccount struct{}

func (youngAccount) Name() string { return "young_account" }
func (youngAccount) Points() int  { return 10 }

func (youngAccount) Judge(f *Facts) string {
	if f.Account.IsZero() || f.Now.Sub(f.Account) >= youngAccountAge {
		return ""
	}
	return "the account began only on " + f.Account.UTC().Format(time.DateOnly)
}
