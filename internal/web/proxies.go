package web

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// maxHops bounds the list of forwarding proxies that is believed in one request.
const maxHops = 32

// Proxies is the trusted-proxy rule: what X-Forwarded-For, X-Forwarded-Proto and Forwarded say is believed only when the
// peer of the connection is listed. The zero value trusts nobody.
type Proxies struct {
	listed []netip.Prefix
}

// ParseProxies reads addresses and CIDR prefixes. A prefix that covers all addresses is refused: it is the mistake of
// trusting everybody.
func ParseProxies(list []string) (Proxies, error) {
	var proxies Proxies
	for _, text := range list {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			address, single := netip.ParseAddr(text)
			if single != nil || address.Zone() != "" {
				return Proxies{}, fmt.Errorf("trusted proxy %q is neither an address nor a CIDR prefix", text)
			}
			address = address.Unmap()
			prefix = netip.PrefixFrom(address, address.BitLen())
		}
		if prefix.Bits() == 0 {
			return Proxies{}, fmt.Errorf("trusted proxy %q would trust everybody", text)
		}
		proxies.listed = append(proxies.listed, prefix.Masked())
	}
	return proxies, nil
}

// Trusts tells whether address is a listed proxy.
func (p Proxies) Trusts(address netip.Addr) bool {
	address = address.Unmap()
	return slices.ContainsFunc(p.listed, func(prefix netip.Prefix) bool { return prefix.Contains(address) })
}

// ClientIP gives the address of the client: the peer, or, behind listed proxies, the last address in their header that
// is not itself a listed proxy. A malformed or doubled header from a listed peer is an error, never a fallback: to count
// such a request for the proxy's address, or for the client's word, would both be a way round a limit.
func (p Proxies) ClientIP(r *http.Request) (netip.Addr, error) {
	peer, err := peerOf(r)
	if err != nil || !p.Trusts(peer) {
		return peer, err
	}
	hops, err := hopsOf(r)
	if err != nil {
		return netip.Addr{}, err
	}
	client := peer
	for _, hop := range slices.Backward(hops) {
		if client, err = parseHop(hop); err != nil {
			return netip.Addr{}, err
		}
		if !p.Trusts(client) {
			break
		}
	}
	return client, nil
}

// Scheme gives "https" or "http": what the connection is, or what a listed proxy says that the client's was.
func (p Proxies) Scheme(r *http.Request) (string, error) {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	if peer, err := peerOf(r); err != nil || !p.Trusts(peer) {
		return scheme, err
	}
	said, err := single(r.Header, "X-Forwarded-Proto")
	if err != nil {
		return "", err
	}
	elements, err := forwarded(r.Header)
	if err != nil {
		return "", err
	}
	if len(elements) > 0 {
		if said != "" {
			return "", fmt.Errorf("both Forwarded and X-Forwarded-Proto were sent")
		}
		said = elements[len(elements)-1]["proto"]
	}
	switch said {
	case "":
		return scheme, nil
	case "http", "https":
		return said, nil
	}
	return "", fmt.Errorf("the forwarded scheme is neither http nor https")
}

// Network gives the network that limits count for one source: a /64 of IPv6, since one household owns as much, and the
// single address of IPv4, mapped forms included. An invalid address gives an invalid prefix.
func Network(address netip.Addr) netip.Prefix {
	address = address.Unmap().WithZone("")
	bits := address.BitLen()
	if address.Is6() {
		bits = 64
	}
	prefix, _ := address.Prefix(bits)
	return prefix
}

func peerOf(r *http.Request) (netip.Addr, error) {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("the peer has no IP address")
	}
	return peer.Addr().Unmap().WithZone(""), nil
}

// hopsOf gives what the proxies noted, client first. Forwarded and X-Forwarded-For together are refused: a proxy sets one
// and passes the other as the client wrote it.
func hopsOf(r *http.Request) ([]string, error) {
	list, err := single(r.Header, "X-Forwarded-For")
	if err != nil {
		return nil, err
	}
	elements, err := forwarded(r.Header)
	if err != nil {
		return nil, err
	}
	if list != "" && len(elements) > 0 {
		return nil, fmt.Errorf("both Forwarded and X-Forwarded-For were sent")
	}
	var hops []string
	if list != "" {
		hops = strings.Split(list, ",")
	}
	for _, element := range elements {
		hops = append(hops, element["for"])
	}
	if len(hops) > maxHops {
		return nil, fmt.Errorf("more than %d proxies are noted", maxHops)
	}
	return hops, nil
}

// single gives the value of a header that may be sent once.
func single(header http.Header, name string) (string, error) {
	values := header[http.CanonicalHeaderKey(name)]
	switch len(values) {
	case 0:
		return "", nil
	case 1:
		return values[0], nil
	}
	return "", fmt.Errorf("the header %s was sent %d times", name, len(values))
}

// parseHop reads an address with or without a port.
func parseHop(text string) (netip.Addr, error) {
	text = strings.Trim(text, " \t")
	address, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"))
	if err != nil {
		var with netip.AddrPort
		if with, err = netip.ParseAddrPort(text); err != nil {
			return netip.Addr{}, fmt.Errorf("a forwarded address is malformed")
		}
		address = with.Addr()
	}
	if address.Zone() != "" {
		return netip.Addr{}, fmt.Errorf("a forwarded address has a zone")
	}
	return address.Unmap(), nil
}

// forwarded reads the elements of Forwarded (RFC 7239 section 4).
func forwarded(header http.Header) ([]map[string]string, error) {
	text, err := single(header, "Forwarded")
	if err != nil || text == "" {
		return nil, err
	}
	var elements []map[string]string
	element := map[string]string{}
	for rest := text; ; {
		var name, value string
		var separator byte
		if name, value, separator, rest, err = forwardedPair(rest); err != nil {
			return nil, err
		}
		if _, twice := element[name]; twice {
			return nil, fmt.Errorf("the header Forwarded names a parameter twice")
		}
		element[name] = value
		if separator != ';' {
			elements, element = append(elements, element), map[string]string{}
		}
		if separator == 0 {
			return elements, nil
		}
		if len(elements) >= maxHops {
			return nil, fmt.Errorf("more than %d proxies are noted", maxHops)
		}
	}
}

// forwardedPair reads name=value and the separator behind it, which is 0 at the end.
func forwardedPair(text string) (name, value string, separator byte, rest string, err error) {
	malformed := fmt.Errorf("the header Forwarded is malformed")
	name, rest, found := strings.Cut(strings.TrimLeft(text, " \t"), "=")
	if !found || name == "" || strings.ContainsAny(name, " \t,;\"") {
		return "", "", 0, "", malformed
	}
	if quoted, ok := strings.CutPrefix(rest, `"`); ok {
		// No value of ours needs an escape, so a backslash is refused instead of read in two ways.
		if value, rest, found = strings.Cut(quoted, `"`); !found || strings.Contains(value, `\`) {
			return "", "", 0, "", malformed
		}
	} else {
		end := strings.IndexAny(rest, ",; \t")
		if end < 0 {
			end = len(rest)
		}
		value, rest = rest[:end], rest[end:]
	}
	rest = strings.TrimLeft(rest, " \t")
	if rest == "" {
		return strings.ToLower(name), value, 0, "", nil
	}
	if separator = rest[0]; separator != ',' && separator != ';' {
		return "", "", 0, "", malformed
	}
	return strings.ToLower(name), value, separator, rest[1:], nil
}
