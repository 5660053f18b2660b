package signal

// newPayee speaks when the person has never completed anything with this payee. The first one is new, too: that is a fact,
// not a guess from habits.
type newPayee struct{}

func (newPayee) Name() string { return "new_payee" }
func (newPayee) Points() int  { return 15 }

func (newPayee) Judge(f *Facts) string {
	switch {
	case f.Transaction.Payee == "" || f.History.Off:
		return ""
	case f.untold(UnknownHabits):
		return cantTell("the payee is known", "habits")
	case f.History.Payee > 0:
		return ""
	}
	return "the person has never paid or added this payee"
}
