package signal

// badAddress speaks when the address stands on the recipe's list of networks with a bad name.
type badAddress struct{}

func (badAddress) Name() string { return "bad_address" }
func (badAddress) Points() int  { return 30 }

func (badAddress) Judge(f *Facts) string {
	if f.Listed == "" {
		return ""
	}
	return "the address is in " + f.Listed + ", which stands on the list of networks with a bad name"
}
