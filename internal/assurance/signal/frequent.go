package signal

import "fmt"

// fewTransactions in an hour are never too many.
const fewTransactions = 5

// frequent speaks when the last hour has seen more transactions than five, and than twice the busiest hour before.
type frequent struct{}

func (frequent) Name() string { return "frequent" }
func (frequent) Points() int  { return 15 }

func (frequent) Judge(f *Facts) string {
	switch {
	case f.Transaction == (Transaction{}) || f.History.Off:
		return ""
	case f.untold(UnknownHabits):
		return cantTell("there were many transactions of late", "habits")
	case f.History.LastHour+1 <= max(fewTransactions, 2*f.History.Busiest):
		return ""
	}
	return fmt.Sprintf("this is transaction %d within an hour; the busiest hour before had %d", f.History.LastHour+1, f.History.Busiest)
}
