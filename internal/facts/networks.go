package facts

import (
	"net/netip"
	"slices"
)

// Networks is a set of networks that is asked by address. The zero value is empty.
type Networks struct {
	sorted []netip.Prefix // by address; none lies within another
}

// NewNetworks compiles a list, such as recipe.Networks reads. What is no valid prefix is left out.
func NewNetworks(list []netip.Prefix) Networks {
	listed := make([]netip.Prefix, 0, len(list))
	for _, prefix := range list {
		// IPv4 in the clothes of IPv6 is IPv4: addresses are asked for so.
		if prefix.Addr().Is4In6() && prefix.Bits() >= 96 {
			prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
		}
		if prefix.IsValid() {
			listed = append(listed, prefix.Masked())
		}
	}
	slices.SortFunc(listed, func(a, b netip.Prefix) int {
		if by := a.Addr().Compare(b.Addr()); by != 0 {
			return by
		}
		return a.Bits() - b.Bits()
	})
	// Of two prefixes, one holds the other or they share nothing: so once those within others are gone, the last one that
	// does not begin after an address is the only one that can hold it.
	widest := listed[:0]
	for _, prefix := range listed {
		if n := len(widest); n == 0 || !widest[n-1].Contains(prefix.Addr()) {
			widest = append(widest, prefix)
		}
	}
	return Networks{slices.Clip(widest)}
}

// Find gives the entry that holds the address, or nothing. An IPv4 address that is written as IPv6 is that IPv4 address.
func (n Networks) Find(address netip.Addr) string {
	address = address.Unmap().WithZone("")
	if !address.IsValid() || len(n.sorted) == 0 {
		return ""
	}
	after, _ := slices.BinarySearchFunc(n.sorted, address, func(prefix netip.Prefix, address netip.Addr) int {
		if prefix.Addr().Compare(address) <= 0 {
			return -1
		}
		return 1
	})
	if after == 0 || !n.sorted[after-1].Contains(address) {
		return ""
	}
	return n.sorted[after-1].String()
}

// Len counts the networks that don't lie in others.
func (n Networks) Len() int { return len(n.sorted) }
