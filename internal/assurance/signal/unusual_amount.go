package signal

import "fmt"

// fewAmounts is how many amounts it takes until one can be unusual.
const fewAmounts = 5

// unusualAmount speaks when the amount is more than twice what 95 of 100 of the person's own amounts in that currency
// reached, or when the currency is new to them.
type unusualAmount struct{}

func (unusualAmount) Name() string { return "unusual_amount" }
func (unusualAmount) Points() int  { return 25 }

func (unusualAmount) Judge(f *Facts) string {
	switch {
	case !f.Transaction.Priced || f.History.Off:
		return ""
	case f.untold(UnknownHabits):
		return cantTell("the amount is a usual one", "habits")
	case f.Transaction.Amount < 0:
		return fmt.Sprintf("the amount %d %s is below zero", f.Transaction.Amount, f.Transaction.Currency)
	case f.History.Amounts >= fewAmounts && f.Transaction.Amount/2 > f.History.Usual:
		return fmt.Sprintf("the amount %d %s is more than twice %d, which 95 of 100 amounts did not pass",
			f.Transaction.Amount, f.Transaction.Currency, f.History.Usual)
	case f.History.Amounts == 0 && f.History.AllSpent >= fewAmounts:
		return fmt.Sprintf("none of %d known amounts was in the currency %q", f.History.AllSpent, f.Transaction.Currency)
	}
	return ""
}
