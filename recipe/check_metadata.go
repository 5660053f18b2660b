package recipe

import (
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"
)

// Bounds of what a client says of itself.
const (
	maxListed   = 100 // members of one list
	maxWords    = 500 // bytes of a text that is not an address
	maxContacts = 10
)

// link is an address that a client names.
type link struct{ key, uri string }

// links are the addresses that have to be https, whoever looks at them: people, the server, or another site.
func (c Client) links() []link {
	return []link{
		{"client_uri", c.Home}, {"logo_uri", c.LogoURI}, {"policy_uri", c.PolicyURI}, {"tos_uri", c.TermsURI},
		{"initiate_login_uri", c.InitiateLogin}, {"sector_identifier_uri", c.SectorURI},
		{"backchannel_logout_uri", c.BackLogoutURI}, {"frontchannel_logout_uri", c.FrontLogoutURI},
		{"backchannel_client_notification_endpoint", c.CIBANotify},
	}
}

func checkMetadata(r *reading) {
	for name, client := range r.recipe.Clients {
		at := path("clients").key(name)
		for _, l := range client.links() {
			if l.uri != "" {
				r.refused(at.key(l.key), checkHTTPS(l.uri))
			}
		}
		r.contacts(at.key("contacts"), client.Contacts)
		r.signInWishes(at, client)
		r.pairwise(at, client)
		r.requestURIs(at.key("request_uris"), name, client.RequestURIs)
		r.logouts(at, client)
		r.bindings(at, client)
	}
}

func (r *reading) contacts(at path, contacts []string) {
	if len(contacts) > maxContacts {
		r.fault(at, "there are more than 10 contacts", "name those who answer")
	}
	for i, contact := range contacts {
		if contact == "" || len(contact) > 254 || !plainText(contact) || !utf8.ValidString(contact) || strings.TrimSpace(contact) != contact {
			r.fault(at.index(i), "can't be shown", "write a mail address")
		}
	}
}

// signInWishes checks what holds for requests that say nothing of it.
func (r *reading) signInWishes(at path, client Client) {
	if age := client.MaxAge; age != nil && (*age < 0 || *age > int64(maxDuration.Seconds())) {
		r.fault(at.key("default_max_age"), "is not a number of seconds since sign-in", "write 0 or more")
	}
	var acrs []string
	for _, level := range r.recipe.Levels {
		acrs = append(acrs, level.ACR)
	}
	for i, acr := range client.ACRs {
		if !slices.Contains(acrs, acr) {
			r.missing(at.key("default_acr_values").index(i), "level with the acr value", "levels", acr, acrs)
		}
	}
}

// pairwise: the sector is the one host of the redirect URIs, else the host of the list that all of them stand in (OpenID
// Connect Core section 8.1).
func (r *reading) pairwise(at path, client Client) {
	switch client.SubjectType {
	case "", "public":
		return
	case "pairwise":
	default:
		r.fault(at.key("subject_type"), show(client.SubjectType)+" is not a kind of subject", "write public or pairwise")
		return
	}
	if client.SectorURI == "" && client.Sector() == "" && !r.unread(at.key("redirect_uris")) && !r.unread(at.key("sector_identifier_uri")) {
		r.fault(at.key("subject_type"), "nothing says for which sector people get other names: the redirect URIs have no host, or several", "write sector_identifier_uri: https://...")
	}
}

// Sector gives the host that pairwise subjects are made for: that of sector_identifier_uri, else the only host of the
// redirect URIs, else "".
func (c Client) Sector() string {
	if c.SectorURI != "" {
		a, err := splitAddress(c.SectorURI)
		if err != nil {
			return ""
		}
		return a.host
	}
	host := ""
	for _, uri := range c.RedirectURIs {
		a, err := splitAddress(uri)
		if err != nil || host != "" && a.host != host {
			return ""
		}
		host = a.host
	}
	return host
}

// requestURIs: a request object is fetched from an address only if that very address was registered. Behind a # stands
// what it holds, so that another content is another address (OpenID Connect Registration section 2).
func (r *reading) requestURIs(at path, name string, uris []string) {
	twice := doubles(uris)
	for i, uri := range uris {
		base, mark, marked := strings.Cut(uri, "#")
		r.refused(at.index(i), checkHTTPS(base))
		if marked && (mark == "" || len(mark) > 128 || strings.Trim(mark, letters+digits+"-_") != "") {
			r.fault(at.index(i), "what stands behind the # is no hash", "write the base64url form of the SHA-256 of the request object, or leave the # out")
		}
		if twice[i] {
			r.fault(at.index(i), "stands twice", "name each address once")
		}
	}
	if len(uris) > 0 {
		r.needs(at, name, AllowRequestURI, "makes the server fetch requests")
	}
}

func (r *reading) logouts(at path, client Client) {
	if client.BackLogoutSession && client.BackLogoutURI == "" {
		r.fault(at.key("backchannel_logout_session_required"), "nothing is sent to the client", "write backchannel_logout_uri, or leave it out")
	}
	front := client.FrontLogoutURI
	if client.FrontLogoutSession && front == "" {
		r.fault(at.key("frontchannel_logout_session_required"), "nothing of the client is loaded", "write frontchannel_logout_uri, or leave it out")
	}
	a, err := splitAddress(front)
	if front == "" || err != nil {
		return
	}
	// Front-Channel Logout section 2: a page of the client itself, or a stranger's could be framed in its name.
	if !slices.ContainsFunc(client.RedirectURIs, func(uri string) bool {
		b, err := splitAddress(uri)
		return err == nil && a.origin() == b.origin()
	}) {
		r.fault(at.key("frontchannel_logout_uri"), "stands on another origin than the redirect URIs", "write an address on the origin of one of them")
	}
}

// bindings checks which key binds the tokens of a client, and which certificate is the client.
func (r *reading) bindings(at path, client Client) {
	if client.TLSBound && client.Type == Browser {
		r.fault(at.key("tls_client_certificate_bound_access_tokens"), "a page does not choose the certificate of its connections", "write dpop_bound_access_tokens: true")
	}
	if client.TLSBound && client.DPoP {
		r.fault(at.key("tls_client_certificate_bound_access_tokens"), "its tokens are bound to a DPoP key already", "keep one of the two")
	}
	names := client.certificateNames()
	wanted := client.Auth == "tls_client_auth"
	switch {
	case wanted && len(names) == 0 && !r.unread(at):
		r.fault(at.key("auth"), "nothing says which certificate is the client's", "write one of "+listed(certificateKeys))
	case wanted && len(names) > 1: // RFC 8705 section 2.1.2
		r.fault(at.key(names[1].key), "the certificate is named twice", "keep exactly one of "+listed(certificateKeys))
	case !wanted && len(names) > 0:
		r.fault(at.key(names[0].key), "names of certificates are for tls_client_auth", "leave it out, or write auth: tls_client_auth")
	}
	for _, name := range names {
		r.certificateName(at.key(name.key), name)
	}
}

var certificateKeys = []string{"tls_client_auth_subject_dn", "tls_client_auth_san_dns", "tls_client_auth_san_uri", "tls_client_auth_san_ip", "tls_client_auth_san_email"}

// certificateNames gives the names of a certificate that are there.
func (c Client) certificateNames() []link {
	var names []link
	for i, name := range [...]string{c.SubjectDN, c.SANDNS, c.SANURI, c.SANIP, c.SANEmail} {
		if name != "" {
			names = append(names, link{certificateKeys[i], name})
		}
	}
	return names
}

func (r *reading) certificateName(at path, name link) {
	if len(name.uri) > maxWords || !plainText(name.uri) || !utf8.ValidString(name.uri) || strings.TrimSpace(name.uri) != name.uri {
		r.fault(at, "is not a name in a certificate", "write it as the certificate shows it")
		return
	}
	switch name.key {
	case "tls_client_auth_subject_dn":
		if !strings.Contains(name.uri, "=") {
			r.fault(at, show(name.uri)+" is not a distinguished name", "write it as RFC 4514 says: CN=budget,O=Rive,C=FR")
		}
	case "tls_client_auth_san_dns":
		r.refused(at, checkHost(name.uri))
	case "tls_client_auth_san_uri":
		if scheme, rest, ok := strings.Cut(name.uri, ":"); !ok || rest == "" || !isScheme(strings.ToLower(scheme)) {
			r.fault(at, show(name.uri)+" is not a URI", "write it in full, as spiffe://bank.example/budget")
		}
	case "tls_client_auth_san_ip":
		if ip, err := netip.ParseAddr(name.uri); err != nil || ip.Zone() != "" {
			r.fault(at, show(name.uri)+" is not an IP address", "write it as 192.0.2.7 or 2001:db8::7")
		}
	default:
		if user, host, ok := strings.Cut(name.uri, "@"); !ok || user == "" || checkHost(strings.ToLower(host)) != nil {
			r.fault(at, show(name.uri)+" is not a mail address", "write it as name@host")
		}
	}
}
