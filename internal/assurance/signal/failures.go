package signal

import "fmt"

// fewFailures is how often people mistype.
const fewFailures = 4

// failures speaks when somebody has tried wrong proofs against the account of late. Anybody can make it speak: a rule that
// rests on it should ask for more, not refuse.
type failures struct{}

func (failures) Name() string { return "failures" }
func (failures) Points() int  { return 20 }

func (failures) Judge(f *Facts) string {
	if f.Failures.Account < fewFailures {
		return ""
	}
	return fmt.Sprintf("%d wrong proofs were tried against the account within 15 minutes", f.Failures.Account)
}
