package fetch

import (
	"net/netip"
	"slices"
)

// special4 is the IANA IPv4 special-purpose address registry, with multicast (RFC 5771), reserved space, and the relays
// of 6to4 and AMT: an address of a special purpose is nobody's web server.
func special4() []string {
	return []string{
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
		"192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24",
		"198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	}
}

// special6 lists what is special inside 2000::/3; everything outside of it (loopback, mapped and compatible forms,
// 64:ff9b::/96 and 64:ff9b:1::/48 of NAT64, discard-only, unique local, link and site local, multicast) is no global
// unicast at all. 2001::/23 holds Teredo, benchmarking, ORCHID and AMT; 2002::/16 is 6to4.
func special6() []string {
	return []string{"2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20"}
}

// addressRule holds the parsed registry.
type addressRule struct {
	special []netip.Prefix
	global6 netip.Prefix
}

func newAddressRule() addressRule {
	rule := addressRule{global6: netip.MustParsePrefix("2000::/3")}
	for _, text := range slices.Concat(special4(), special6()) {
		rule.special = append(rule.special, netip.MustParsePrefix(text))
	}
	return rule
}

// public tells whether address is an ordinary public one. Mapped IPv4 is judged as the IPv4 that it reaches.
func (a addressRule) public(address netip.Addr) bool {
	address = address.Unmap()
	if !address.IsValid() || address.Zone() != "" {
		return false
	}
	if address.Is6() && !a.global6.Contains(address) {
		return false
	}
	return !slices.ContainsFunc(a.special, func(p netip.Prefix) bool { return p.Contains(address) })
}
