package issue

import (
	"context"
	"slices"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/token"
	"github.com/gardeauth/garde/recipe"
)

// profileMet looks at what the profiles of client and API ask of who gets tokens, whatever the door saw: a client that was
// registered before its profile, or an API that took one on, is no way around it.
func profileMet(_ context.Context, _ *Desk, work *deal) error {
	for _, demands := range work.asks {
		switch {
		case demands.Confidential && work.Client.Public():
			return oauth.UnauthorizedClient("the profile admits only clients that prove themselves")
		case len(demands.Auth) > 0 && !slices.Contains(demands.Auth, string(work.Client.Auth)):
			return oauth.UnauthorizedClient("the profile does not admit the client's way to prove itself")
		case demands.CodeOnly && work.front():
			return oauth.UnauthorizedClient("the profile lets nothing but a code through the browser")
		case len(demands.Algs) > 0 && work.GiveID && !slices.Contains(demands.Algs, string(token.IDForm(work.Client).Signature())):
			return oauth.UnauthorizedClient("the profile does not admit the signature that the client asks for")
		}
	}
	return nil
}

// detailsGranted gives no more authorization_details than the person allowed the client, and to an API only those of its
// own types (RFC 9396 sections 6 and 9).
func detailsGranted(_ context.Context, _ *Desk, work *deal) error {
	if work.Details == "" {
		return nil
	}
	details, err := token.ReadDetails(work.Details)
	if err != nil {
		return oauth.InvalidDetails("they are no list of objects with a type").Because(err)
	}
	granted, err := token.ReadDetails(work.Grant.Details)
	if err != nil {
		return err
	}
	if !details.Within(granted) {
		return oauth.InvalidDetails("more than was granted")
	}
	for _, kind := range details.Types() {
		if _, known := work.policy.Detail(kind); !known || !slices.Contains(work.Client.Metadata.Details, kind) {
			return oauth.InvalidDetails("a type that is unknown, or not the client's to ask for")
		}
	}
	work.detail = details.Of(func(kind string) bool { _, its := work.rules.Details[kind]; return its })
	return nil
}

// bindingDecided decides which of the keys that the caller proved the access token is bound to, and refuses where it must
// be bound and nothing fit was proved. A door that takes no proof, such as the front channel, proves nothing: it is no way
// around (D16). A grant that is bound to a key is for whoever proves that key.
func bindingDecided(_ context.Context, _ *Desk, work *deal) error {
	if work.Refresh != nil && !work.Grant.Binding.ProvenBy(work.Proven) {
		return Refused(iam.ErrMismatch)
	}
	if work.NoAccess {
		return nil
	}
	client, proven := &work.Client, work.Proven
	needed, dpop := work.rules.Bound == recipe.BoundRequired, client.DPoP
	for _, demands := range work.asks {
		needed, dpop = needed || demands.Bound, dpop || demands.DPoPOnly
	}
	switch {
	case dpop && proven.JKT == "":
		return oauth.InvalidProof("the token must be bound to a DPoP key: show a proof of it")
	case client.TLSBound && proven.X5T == "":
		return oauth.InvalidRequest("the client's tokens are bound to its certificate: show it")
	case needed && work.rules.Bound == recipe.BoundOff:
		return oauth.InvalidTarget("the resource takes no bound tokens, and others may not be given")
	case work.rules.Bound == recipe.BoundOff:
		return nil
	case needed && !proven.Bound():
		return oauth.InvalidProof("the token must be bound to a key: show a DPoP proof, or a certificate")
	}
	work.bound.JKT = proven.JKT
	// A certificate may be there only because the client proved itself by it: it binds what asks to be bound.
	if client.TLSBound || needed && proven.JKT == "" {
		work.bound.X5T = proven.X5T
	}
	return nil
}

// family is what the refresh tokens of the grant are bound to: those of public clients, to the keys that they showed (RFC
// 9449 section 5, RFC 8705 section 4). Others prove themselves each time, and may change their keys.
func (work *deal) family() iam.Binding {
	if !work.Client.Public() {
		return iam.Binding{}
	}
	binding := iam.Binding{JKT: work.Proven.JKT}
	if work.Client.TLSBound {
		binding.X5T = work.Proven.X5T
	}
	return binding
}
