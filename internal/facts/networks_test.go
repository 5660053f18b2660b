package facts_test

import (
	"net/netip"
	"testing"

	"github.com/gardeauth/garde/internal/facts"
	"github.com/gardeauth/garde/recipe"
)

func compiled(t testing.TB, text string) facts.Networks {
	t.Helper()
	list, err := recipe.Networks([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return facts.NewNetworks(list)
}

func TestNetworksWithABadName(t *testing.T) {
	networks := compiled(t, "# seen last week\n192.0.2.0/24\n192.0.2.128/25 # within\n198.51.100.7\n203.0.113.64/26\n2001:db8::/32\n2001:db8:1::/48\n::ffff:10.1.0.0/112\n\n")
	if networks.Len() != 5 {
		t.Errorf("%d networks", networks.Len())
	}
	for address, want := range map[string]string{
		"192.0.2.0": "192.0.2.0/24", "192.0.2.200": "192.0.2.0/24", "192.0.2.255": "192.0.2.0/24", "192.0.3.0": "", "192.0.1.255": "",
		"198.51.100.7": "198.51.100.7/32", "198.51.100.8": "", "203.0.113.63": "", "203.0.113.64": "203.0.113.64/26", "203.0.113.128": "",
		"::ffff:192.0.2.1": "192.0.2.0/24", "2001:db8:1::5": "2001:db8::/32", "2001:db9::": "", "2001:db8::1%eth0": "2001:db8::/32",
		"10.1.2.3": "10.1.0.0/16", "10.2.0.0": "", "0.0.0.0": "", "ffff::": "",
	} {
		if got := networks.Find(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s is in %q, not %q", address, got, want)
		}
	}
	if got := networks.Find(netip.Addr{}); got != "" {
		t.Errorf("no address is in %q", got)
	}
	if got := (facts.Networks{}).Find(netip.MustParseAddr("192.0.2.1")); got != "" {
		t.Errorf("an empty list holds it in %q", got)
	}
}

// FuzzNetworks: the compiled list says the same as one that is walked from end to end.
func FuzzNetworks(f *testing.F) {
	for _, text := range []string{"", "192.0.2.0/24\n192.0.2.0/25", "0.0.0.0/0", "::/0\n10.0.0.0/8", "::ffff:0:0/96", "2001:db8::1\n2001:db8::/31", "x", "10.0.0.1/8 # masked"} {
		f.Add([]byte(text), []byte{192, 0, 2, 1})
	}
	f.Add([]byte("2001:db8::/32"), netip.MustParseAddr("2001:db8::5").AsSlice())
	f.Fuzz(func(t *testing.T, text, raw []byte) {
		list, err := recipe.Networks(text)
		if err != nil {
			return
		}
		networks := facts.NewNetworks(list)
		addresses := make([]netip.Addr, 0, 2*len(list)+1)
		if address, ok := netip.AddrFromSlice(raw); ok {
			addresses = append(addresses, address)
		}
		for _, prefix := range list {
			addresses = append(addresses, prefix.Addr(), prefix.Addr().Prev())
		}
		for _, address := range addresses {
			address = address.Unmap()
			if !address.IsValid() {
				continue
			}
			within := false
			for _, prefix := range list {
				if prefix.Addr().Is4In6() && prefix.Bits() >= 96 {
					prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
				}
				within = within || prefix.Contains(address)
			}
			if found := networks.Find(address); (found != "") != within {
				t.Fatalf("%s is in %q", address, found)
			} else if within && !netip.MustParsePrefix(found).Contains(address) {
				t.Fatalf("%s is not in %s", address, found)
			}
		}
	})
}
