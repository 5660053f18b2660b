package signal

import "strings"

// unknown speaks when something could not be found out.
type unknown struct{}

func (unknown) Name() string { return "unknown" }
func (unknown) Points() int  { return 20 }

func (unknown) Judge(f *Facts) string {
	if len(f.Unknown) == 0 {
		return ""
	}
	return "not everything could be found out: " + strings.Join(f.Unknown, ", ") + " is missing"
}
