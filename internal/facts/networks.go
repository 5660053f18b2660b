package facts

import (
	"bufio"
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// maxListed bounds a list of networks.
const maxListed = 500_000

// Networks is a set of networks. The zero value is empty.
type Networks struct {
	sorted []netip.Prefix // by address; none lies within another
}

// ParseNetworks reads a list of networks, one address or CIDR prefix a line. Behind a # stands a comment. A prefix that
// covers everybody, or has bits behind its length, is refused, with its line.
func ParseNetworks(text []byte) (Networks, error) {
	var listed []netip.Prefix
	lines := bufio.NewScanner(bytes.NewReader(text))
	for line := 1; lines.Scan(); line++ {
		word, _, _ := strings.Cut(lines.Text(), "#")
		if word = strings.TrimSpace(word); word == "" {
			continue
		}
		prefix, err := parseNetwork(word)
		if err != nil {
			return Networks{}, fmt.Errorf("line %d: %w", line, err)
		}
		if listed = append(listed, prefix); len(listed) > maxListed {
			return Networks{}, fmt.Errorf("line %d: more than %d networks", line, maxListed)
		}
	}
	if err := lines.Err(); err != nil {
		return Networks{}, fmt.Errorf("read the list of networks: %w", err)
	}
	slices.SortFunc(listed, func(a, b netip.Prefix) int {
		if by := a.Addr().Compare(b.Addr()); by != 0 {
			return by
		}
		return a.Bits() - b.Bits()
	})
	widest := listed[:0]
	for _, prefix := range listed {
		if n := len(widest); n == 0 || !widest[n-1].Contains(prefix.Addr()) {
			widest = append(widest, prefix)
		}
	}
	return Networks{slices.Clip(widest)}, nil
}

func parseNetwork(word string) (netip.Prefix, error) {
	if address, err := netip.ParseAddr(word); err == nil && address.Zone() == "" {
		address = address.Unmap()
		return netip.PrefixFrom(address, address.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(word)
	switch {
	case err != nil:
		return netip.Prefix{}, fmt.Errorf("%q is neither an address nor a CIDR prefix", word)
	case prefix.Bits() == 0:
		return netip.Prefix{}, fmt.Errorf("%q covers everybody", word)
	case prefix.Addr().Is4In6():
		return netip.Prefix{}, fmt.Errorf("%q is IPv4 in disguise; write it as IPv4", word)
	case prefix.Masked() != prefix:
		return netip.Prefix{}, fmt.Errorf("%q has bits behind its length; write %s", word, prefix.Masked())
	}
	return prefix, nil
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
