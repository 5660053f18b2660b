package request

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/once"
	"github.com/gardeauth/garde/recipe"
)

// The limits of a request object (RFC 9101, FAPI 2.0 Message Signing section 5.3.1).
const (
	objectSkew  = 10 * time.Second // how far nbf and iat may be ahead
	objectFresh = time.Hour        // under a profile: how long it may live, and how old nbf may be
	objectMost  = 24 * time.Hour   // how far exp may be ahead where nobody says: it bounds what replay detection remembers
	maxJTI      = 256
)

// typObject is the type of request objects (RFC 9101 section 10.8). Older clients name none, or JWT.
const typObject = "oauth-authz-req+jwt"

// readObject opens the request object, if there is one. From then on it alone holds: what stands beside it may have been
// put there by anyone (RFC 9101 section 6.3).
func readObject(ctx context.Context, p *Parser, r *reading) error {
	if r.object == "" {
		r.object = r.form.Value("request")
	}
	if r.object == "" || r.door == again {
		return nil
	}
	if r.door == Device {
		return oauth.RequestNotSupported()
	}
	if err := p.open(ctx, r); err != nil {
		r.lean()
		return err
	}
	r.Signed = true
	return nil
}

// lean lets an error about a request object go back by what stands beside it: to an address that the client registered,
// as the error of any plain request would.
func (r *reading) lean() {
	if r.door != Authorize || !Registered(r.Client, r.form.Value("redirect_uri")) || len(r.form.Value("state")) > maxState {
		return
	}
	r.RedirectURI, r.State, r.returns = r.form.Value("redirect_uri"), r.form.Value("state"), true
	// A mode that can't be has left the usual one behind; the fault of the object is what is told.
	_ = knownMode(context.Background(), nil, r)
}

func (p *Parser) open(ctx context.Context, r *reading) error {
	if p.ClientKeys == nil {
		return oauth.RequestNotSupported()
	}
	payload, err := p.verified(ctx, r)
	if err != nil {
		return err
	}
	var said object
	if err := jose.DecodeJSON(payload, &said); err != nil {
		return oauth.InvalidRequestObject("the request object is not the JSON that a request is").Because(err)
	}
	if err := p.fits(said, r); err != nil {
		return oauth.InvalidRequestObject("the request object is refused: %s", err.Error())
	}
	values, err := parametersOf(payload)
	if err != nil {
		return oauth.InvalidRequestObject("the request object is refused: %s", err.Error())
	}
	values.Set("client_id", r.Client.ID)
	r.beside(values)
	form, err := formOf(values.Encode())
	if err != nil {
		return oauth.InvalidRequestObject("the request object holds what no request may").Because(err)
	}
	if err := p.first(ctx, said, r.Client); err != nil {
		return err
	}
	r.form = form
	return nil
}

// verified gives the payload of the object if the client signed it.
func (p *Parser) verified(ctx context.Context, r *reading) ([]byte, error) {
	text, err := p.opened(r)
	if err != nil {
		return nil, err
	}
	unverified, err := jose.Parse(text)
	if err != nil {
		return nil, oauth.InvalidRequestObject("the request object is not a signed JWT").Because(err)
	}
	header := unverified.Header
	if err := signable(header.Alg, r); err != nil {
		return nil, err
	}
	// Another kind of token that the client signed, a client assertion above all, is no request (P15).
	if header.Typ != "" && header.Typ != typObject && !strings.EqualFold(header.Typ, "JWT") {
		return nil, oauth.InvalidRequestObject("typ of the request object must be %s", typObject)
	}
	key, err := p.ClientKeys.For(ctx, r.Client, header)
	if err != nil {
		return nil, oauth.InvalidRequestObject("the request object is not signed by a key of the client").Because(err)
	}
	if header.Alg == jose.RS256 && r.Client.RequestAlg == "" && r.door != Backchannel && key.Alg != jose.RS256 {
		return nil, oauth.InvalidRequestObject("RS256 is for clients or keys that are registered with it")
	}
	payload, err := key.Verify(unverified)
	if err != nil {
		return nil, oauth.InvalidRequestObject("the request object is not signed by a key of the client").Because(err)
	}
	return payload, nil
}

// opened gives the signed object within what came: encryption alone proves nothing, and a signature must stand inside.
func (p *Parser) opened(r *reading) (string, error) {
	if strings.Count(r.object, ".") != 4 {
		if r.Client.RequestEncryption != "" {
			return "", oauth.InvalidRequestObject("the request object must be encrypted: the client registered that")
		}
		return r.object, nil
	}
	if p.Opener == nil {
		return "", oauth.InvalidRequestObject("encrypted request objects are not accepted")
	}
	sealed, err := jose.ParseEncrypted(r.object)
	if err != nil {
		return "", oauth.InvalidRequestObject("the request object is no JWE as this server reads it").Because(err)
	}
	for registered, used := range map[string]string{
		r.Client.RequestEncryption: string(sealed.Header.Alg), r.Client.RequestContent: string(sealed.Header.Enc),
	} {
		if registered != "" && registered != used {
			return "", oauth.InvalidRequestObject("the client registered to encrypt its requests otherwise")
		}
	}
	plain, err := p.Opener.Decrypt(r.object)
	switch {
	case errors.Is(err, iam.ErrUnavailable):
		return "", err
	case err != nil:
		return "", oauth.InvalidRequestObject("the request object can't be decrypted").Because(err)
	}
	return string(plain), nil
}

// signable tells whether the client may sign its requests so.
func signable(alg jose.Alg, r *reading) error {
	registered := r.Client.RequestAlg
	if r.door == Backchannel {
		registered = r.Client.CIBAAlg
	}
	algs := r.Client.Demands().Algs
	switch {
	case registered != "" && string(alg) != registered:
		return oauth.InvalidRequestObject("the client registered to sign its requests by %s", registered)
	case alg == jose.RS256 && registered != string(jose.RS256) && (r.Client.Policy == "" || r.door == Backchannel):
		// Who registered itself with a key that is marked for RS256 asks for it by that.
		return oauth.InvalidRequestObject("RS256 is for clients that registered it")
	case len(algs) > 0 && !slices.Contains(algs, string(alg)):
		return oauth.InvalidRequestObject("the client's profile does not allow this signature")
	}
	return nil
}

// object are the claims of a request object that are not parameters.
type object struct {
	Issuer    string           `json:"iss"`
	Subject   string           `json:"sub"`
	Audience  json.RawMessage  `json:"aud"`
	Client    string           `json:"client_id"`
	ID        string           `json:"jti"`
	Expires   jose.NumericDate `json:"exp"`
	NotBefore jose.NumericDate `json:"nbf"`
	IssuedAt  jose.NumericDate `json:"iat"`
}

// fits tells what is wrong with the object, in words for the client's developer that repeat nothing of it.
func (p *Parser) fits(said object, r *reading) error {
	now := p.now()
	switch {
	case said.Issuer != r.Client.ID:
		return errors.New("iss must be the client's id")
	case said.Client != "" && said.Client != r.Client.ID:
		return errors.New("client_id is another than beside it")
	case said.Subject == r.Client.ID: // the mark of a client assertion, RFC 9101 section 10.8
		return errors.New("sub is the client: this is no request")
	case !audience(said.Audience, p.Issuer):
		return errors.New("aud must be the issuer, or hold it")
	case len(said.ID) > maxJTI:
		return errors.New("jti is too long")
	case said.Expires != 0 && !now.Before(when(said.Expires)):
		return errors.New("it has expired")
	case said.Expires != 0 && when(said.Expires).Sub(now) > objectMost:
		return errors.New("exp is too far ahead")
	case said.NotBefore != 0 && when(said.NotBefore).Sub(now) > objectSkew:
		return errors.New("nbf is ahead")
	case said.IssuedAt != 0 && when(said.IssuedAt).Sub(now) > objectSkew:
		return errors.New("iat is ahead")
	}
	if !r.Client.Demands().FreshRequest && r.door != Backchannel {
		return nil
	}
	return p.fresh(said, r.door)
}

// fresh is what FAPI asks of the times of an object, and CIBA of a signed backchannel request (section 7.1.1).
func (p *Parser) fresh(said object, door Door) error {
	switch {
	case said.Expires == 0 || said.NotBefore == 0:
		return errors.New("exp and nbf are needed")
	case when(said.Expires).Sub(when(said.NotBefore)) > objectFresh:
		return errors.New("it lives for more than 60 minutes")
	case p.now().Sub(when(said.NotBefore)) > objectFresh:
		return errors.New("nbf is more than 60 minutes ago")
	case door == Backchannel && (said.IssuedAt == 0 || said.ID == ""):
		return errors.New("iat and jti are needed")
	}
	return nil
}

func audience(raw json.RawMessage, issuer string) bool {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return one == issuer
	}
	var several []string
	return json.Unmarshal(raw, &several) == nil && slices.Contains(several, issuer)
}

func when(date jose.NumericDate) time.Time { return time.Unix(int64(date), 0) }

// first refuses an object that came before, if it bears an id (P13).
func (p *Parser) first(ctx context.Context, said object, client iam.Client) error {
	if said.ID == "" {
		return nil
	}
	until := p.now().Add(objectMost)
	if said.Expires != 0 {
		until = when(said.Expires)
	}
	fresh, err := p.Once.Seen(ctx, once.RequestObject, client.ID, said.ID, until)
	if err != nil {
		return err
	}
	if !fresh {
		return oauth.InvalidRequestObject("the request object came before: make a new one")
	}
	return nil
}

// reserved are the members of a JWT that are no parameters (RFC 7519 section 4.1).
var reserved = []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti"}

// parametersOf gives the parameters in a request object. Texts stand for themselves, numbers and what is nested for their
// JSON, as claims and authorization_details travel outside of an object.
func parametersOf(payload []byte) (url.Values, error) {
	var members map[string]json.RawMessage
	if err := jose.DecodeJSON(payload, &members); err != nil {
		return nil, errors.New("it is no object of JSON")
	}
	values := url.Values{}
	for name, raw := range members {
		switch {
		case name == "request" || name == "request_uri": // RFC 9101 section 4
			return nil, errors.New("it holds request or request_uri")
		case slices.Contains(reserved, name), string(raw) == "null":
			continue
		}
		several, err := texts(name, raw)
		if err != nil {
			return nil, err
		}
		values[name] = several
	}
	return values, nil
}

func texts(name string, raw json.RawMessage) ([]string, error) {
	switch raw[0] {
	case '"':
		var text string
		err := jose.DecodeJSON(raw, &text)
		return []string{text}, err
	case '[':
		if name != "resource" {
			return []string{string(raw)}, nil
		}
		var several []string
		if err := jose.DecodeJSON(raw, &several); err != nil {
			return nil, errors.New("resource holds something else than texts")
		}
		return several, nil
	}
	return []string{string(raw)}, nil
}

// beside takes the two parameters that OpenID Connect Core section 6.1 lets stand beside the object instead of in it.
// Not for clients with a profile: theirs are RFC 9101's, and what is not signed does not count.
func (r *reading) beside(values url.Values) {
	if r.door != Authorize || r.Client.Profile != "" && r.Client.Profile != recipe.OAuth21 || r.Client.Demands().SignedRequest {
		return
	}
	scope, err := oauth.ParseScope(r.form.Value("scope"))
	if err != nil || !scope.Has(oauth.ScopeOpenID) {
		return
	}
	for _, name := range []string{"response_type", "scope"} {
		if !values.Has(name) && r.form.Has(name) {
			values.Set(name, r.form.Value(name))
		}
	}
}

// signedOnly refuses an unsigned request of a client that signs its requests.
func signedOnly(_ context.Context, _ *Parser, r *reading) error {
	if r.Client.Demands().SignedRequest && !r.Signed {
		return oauth.InvalidRequest("this client's requests must be signed, in a request object")
	}
	return nil
}
