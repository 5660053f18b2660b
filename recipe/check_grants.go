package recipe

import (
	"slices"
	"strings"
)

// The grants beside those of OAuth 2.1, by the names of their specifications.
const (
	grantDevice   = "urn:ietf:params:oauth:grant-type:device_code" // RFC 8628
	grantCIBA     = "urn:openid:params:grant-type:ciba"            // OpenID CIBA Core
	grantJWT      = "urn:ietf:params:oauth:grant-type:jwt-bearer"  // RFC 7523 section 2.1
	grantImplicit = "implicit"                                     // what the front channel gives, by exception
)

// grantsOf lists the grants that a client of each type may have.
//
// A device or a command line shows a code to somebody who stands before it, so device_code is for native clients and for web
// ones that have such devices; a browser has a browser. CIBA asks people on their own devices in the name of a client that
// proves who it is, and with the scope openid: web alone. An assertion needs a client that proves itself, too.
var grantsOf = map[ClientType][]string{
	Web:     {"authorization_code", "refresh_token", "client_credentials", grantDevice, grantCIBA, grantJWT, grantImplicit},
	Native:  {"authorization_code", "refresh_token", grantDevice},
	Browser: {"authorization_code", "refresh_token", grantImplicit},
	Service: {"client_credentials", grantJWT},
}

// defaultGrants are the grants of a client that names none.
var defaultGrants = map[ClientType][]string{
	Web:     {"authorization_code", "refresh_token"},
	Native:  {"authorization_code", "refresh_token"},
	Browser: {"authorization_code", "refresh_token"},
	Service: {"client_credentials"},
}

// GrantTypes gives the grants of c: those it names, else the default of its type. An unknown type has none.
func (c Client) GrantTypes() []string {
	if len(c.Grants) > 0 {
		return slices.Clone(c.Grants)
	}
	return slices.Clone(defaultGrants[c.Type])
}

// uses tells whether c has one of the grants.
func (c Client) uses(grants ...string) bool {
	return slices.ContainsFunc(c.GrantTypes(), func(grant string) bool { return slices.Contains(grants, grant) })
}

// Delivery gives how CIBA tokens reach the client: poll unless it says otherwise.
func (m Metadata) Delivery() string {
	if m.CIBADelivery == "" {
		return "poll"
	}
	return m.CIBADelivery
}

func (r *reading) rights(at path, client Client) {
	allowed, known := grantsOf[client.Type]
	if !known {
		return
	}
	twice := doubles(client.Grants)
	for i, grant := range client.Grants {
		switch {
		case twice[i]:
			r.fault(at.key("grants").index(i), "stands twice", "name each grant once")
		case !slices.Contains(allowed, grant):
			r.fault(at.key("grants").index(i), "a "+string(client.Type)+" client can't have the grant "+show(grant), "its grants are "+listed(allowed))
		}
	}
	code := client.uses("authorization_code", grantImplicit)
	if slices.Contains(client.Grants, "refresh_token") && !client.uses("authorization_code", grantDevice, grantCIBA) {
		r.fault(at.key("grants"), "refresh_token refreshes nothing here", "add authorization_code, or leave refresh_token out")
	}
	// An empty list never learns from the first request (R10): it would stay empty, so it is a fault now.
	if code && len(client.RedirectURIs) == 0 {
		hint := "list every address in full; none is learnt from a request"
		if client.Type == Web {
			hint += ". Without people: grants: [client_credentials]"
		}
		r.fault(at.key("redirect_uris"), "is missing: codes have nowhere to go", hint)
	}
	if !code && client.Type != Service && len(client.RedirectURIs) > 0 {
		r.fault(at.key("redirect_uris"), "no code goes anywhere without the grant authorization_code", "leave it out, or add the grant")
	}
}

func checkResponses(r *reading) {
	for name, client := range r.recipe.Clients {
		at := path("clients").key(name)
		r.responseTypes(at.key("response_types"), name, client)
		r.ciba(at, client)
		r.complete(at, client)
	}
}

// responseTypes: all but code hand tokens to the browser, where they leak (RFC 9700 section 2.1.2).
func (r *reading) responseTypes(at path, name string, client Client) {
	twice := doubles(client.ResponseTypes)
	front := false
	for i, wanted := range client.ResponseTypes {
		here := at.index(i)
		switch {
		case twice[i]:
			r.fault(here, "stands twice", "name each response type once")
		case wanted == "code":
			if client.Type != Service && !client.uses("authorization_code") {
				r.fault(here, "no code is worth anything without the grant authorization_code", "leave it out, or add the grant")
			}
		case !slices.Contains(frontTypes, wanted):
			r.fault(here, "there is no response type "+show(wanted), "the response types are code, "+listed(frontTypes))
		case client.Type == Native || client.Type == Service:
			r.fault(here, "nothing but a code ever comes back to a "+string(client.Type)+" client", "write code, or leave response_types out")
		default:
			front = true
			r.needs(here, name, AllowResponseType(wanted), "hands more than a code to the browser")
			if strings.HasPrefix(wanted, "code") && !client.uses("authorization_code") {
				r.fault(here, "no code is worth anything without the grant authorization_code", "add the grant")
			}
		}
	}
	if !front && slices.Contains(client.Grants, grantImplicit) && slices.Contains(grantsOf[client.Type], grantImplicit) && !r.unread(at) {
		r.fault(at, "the grant implicit is for response types with id_token or token", "leave the grant out")
	}
}

// complete: an address with the code in it belongs to the grant that has codes to type.
func (r *reading) complete(at path, client Client) {
	if client.Complete && !client.uses(grantDevice) && !r.unread(at.key("grants")) {
		r.fault(at.key("verification_uri_complete"), "is for the grant "+grantDevice, "add the grant, or leave it out")
	}
}

// ciba: OpenID CIBA Core section 4.
func (r *reading) ciba(at path, client Client) {
	if !client.uses(grantCIBA) {
		for key, there := range map[string]bool{
			"backchannel_token_delivery_mode": client.CIBADelivery != "", "backchannel_client_notification_endpoint": client.CIBANotify != "",
			"backchannel_authentication_request_signing_alg": client.CIBAAlg != "",
		} {
			if there {
				r.fault(at.key(key), "is for the grant "+grantCIBA, "add the grant, or leave it out")
			}
		}
		return
	}
	if !slices.Contains(client.Scopes, "openid") && !r.unread(at.key("scopes")) {
		r.fault(at.key("grants"), "a backchannel request asks for openid, and this client may not", "add openid to scopes")
	}
	mode, notify := at.key("backchannel_token_delivery_mode"), at.key("backchannel_client_notification_endpoint")
	switch client.Delivery() {
	case "poll":
		if client.CIBANotify != "" {
			r.fault(notify, "nobody notifies a client that polls", "leave it out, or write backchannel_token_delivery_mode: ping")
		}
		return
	case "ping":
	case "push":
		if r.unnamed {
			r.fault(mode, "tokens are pushed to clients that the recipe names, and to no others", "write ping or poll")
		}
	default:
		r.fault(mode, show(client.CIBADelivery)+" is not a way to deliver tokens", "write poll, ping or push")
		return
	}
	if client.CIBANotify == "" {
		r.fault(notify, "is missing: nobody knows where to send notices", "write the https address that hears of answers")
	}
}
