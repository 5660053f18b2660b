package signal

import "fmt"

// fewAccounts is how many accounts a household mistypes in a quarter of an hour.
const fewAccounts = 4

// velocity speaks when many accounts were tried in vain from this network of late: somebody may be going through a list.
type velocity struct{}

func (velocity) Name() string { return "velocity" }
func (velocity) Points() int  { return 20 }

func (velocity) Judge(f *Facts) string {
	if f.Failures.Accounts < fewAccounts {
		return ""
	}
	return fmt.Sprintf("%d accounts or more were tried in vain from this network within 15 minutes", f.Failures.Accounts)
}
