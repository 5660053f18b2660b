package recipe

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// overlayMay lists what recipe.ENV.yaml may say: addresses, keys, branding and retention. Rules stand in the recipe
// alone, so that what was tested in one environment holds in the next. A star stands for one name.
var overlayMay = []string{
	"garde",
	"company.name", "company.logo", "company.accent", "company.help",
	"apis.*.at", "apis.*.upstream",
	"clients.*.redirect_uris", "clients.*.post_logout_redirect_uris", "clients.*.origins",
	"clients.*.client_uri", "clients.*.logo_uri", "clients.*.policy_uri", "clients.*.tos_uri", "clients.*.initiate_login_uri",
	"clients.*.sector_identifier_uri", "clients.*.request_uris", "clients.*.backchannel_logout_uri", "clients.*.frontchannel_logout_uri",
	"clients.*.backchannel_client_notification_endpoint",
	"clients.*.jwks", "clients.*.jwks_uri", "clients.*.secrets", "apis.*.jwks", "issuers.*.jwks", "issuers.*.jwks_uri",
	"lifetimes.journal",
}

const overlayHint = "an overlay holds URLs (at, upstream, redirect_uris and the other addresses of clients), " +
	"keys (jwks, jwks_uri, secrets), company and lifetimes.journal; write the rest in the recipe"

// lay puts the overlay's values into the tree of the recipe. A list replaces the list.
func (r *reading) lay(file string, root, over *yaml.Node) {
	r.claim(file, over)
	r.layInto(root, over, nil, "")
}

// claim notes that n and all under it stand in file.
func (r *reading) claim(file string, n *yaml.Node) {
	r.overlay[n] = file
	for _, inner := range n.Content {
		r.claim(file, inner)
	}
}

func (r *reading) layInto(onto, over *yaml.Node, names []string, at path) {
	for _, entry := range r.pairs(over, at) {
		here := append(slices.Clone(names), entry.name)
		where := at.key(entry.name)
		below := entry.value.Kind == yaml.MappingNode
		switch allowed, leaf := overlayAllows(here); {
		case !allowed:
			r.at(entry.key, where, "an overlay may not say this", overlayHint)
		case leaf:
			setEntry(onto, entry)
		case !below:
			r.wrong(entry.value, where, "keys with values", "write key: value, one a line")
		default:
			r.layBelow(onto, entry, here, where)
		}
	}
}

func (r *reading) layBelow(onto *yaml.Node, entry pair, here []string, where path) {
	held := entryOf(onto, entry.name)
	if held == nil && len(here) == 1 && !overlayNames(here[0]) {
		held = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: entry.value.Line, Column: entry.value.Column}
		setEntry(onto, pair{entry.name, entry.key, held})
	}
	if held == nil {
		r.at(entry.key, where, "the recipe has nothing of this name", "an overlay changes what the recipe has; declare it there")
		return
	}
	if held.Kind == yaml.MappingNode { // else the recipe's own fault says so
		r.layInto(held, entry.value, here, where)
	}
}

// overlayNames tells whether the keys below name are names of the company's own choice.
func overlayNames(name string) bool {
	return slices.ContainsFunc(overlayMay, func(p string) bool { return strings.HasPrefix(p, name+".*") })
}

// overlayAllows tells whether a path may stand in an overlay, and whether it is a value there.
func overlayAllows(names []string) (allowed, leaf bool) {
	for _, pattern := range overlayMay {
		parts := strings.Split(pattern, ".")
		if len(names) > len(parts) {
			continue
		}
		fits := true
		for i, name := range names {
			fits = fits && (parts[i] == name || parts[i] == "*")
		}
		if fits {
			return true, len(names) == len(parts)
		}
	}
	return false, false
}

func entryOf(n *yaml.Node, name string) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i+1]
		}
	}
	return nil
}

func setEntry(n *yaml.Node, entry pair) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == entry.name {
			n.Content[i], n.Content[i+1] = entry.key, entry.value
			return
		}
	}
	n.Content = append(n.Content, entry.key, entry.value)
}
