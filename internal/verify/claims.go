package verify

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
)

// Claims is what an access token says (RFC 9068 section 2.2). Whoever holds one from Verify may believe it; its zero value
// says nothing and names nobody.
type Claims struct {
	Issuer    string
	Subject   string
	Audience  []string // exactly one in our own tokens
	ClientID  string
	Scope     oauth.Scope
	ID        string // jti
	IssuedAt  jose.NumericDate
	NotBefore jose.NumericDate // 0: not said
	Expires   jose.NumericDate
	AuthTime  jose.NumericDate // when the person proved who they are; 0: nobody did
	ACR       string
	AMR       []string
	SessionID string // sid; "": no session stands behind it
	Grant     string // grant_id
	// Details is authorization_details, a JSON array of objects on one line (RFC 9396 section 9); nil: none.
	Details json.RawMessage

	Confirmation Confirmation
	KeyID        string // of the key that signed the token

	sealed bool // it came encrypted
}

// Confirmation is the cnf claim: which key the presenter must prove (RFC 7800, RFC 9449 section 6, RFC 8705 section 3.1).
type Confirmation struct {
	JKT string          // thumbprint of the DPoP key
	X5T string          // x5t#S256: thumbprint of the TLS certificate
	Raw json.RawMessage // the claim as it stood, nil if there was none
}

// Confirmed is the claim that names these thumbprints; without any it is that of an unbound token.
func Confirmed(jkt, x5t string) Confirmation {
	named := map[string]string{}
	if jkt != "" {
		named["jkt"] = jkt
	}
	if x5t != "" {
		named["x5t#S256"] = x5t
	}
	if len(named) == 0 {
		return Confirmation{}
	}
	raw, err := json.Marshal(named)
	if err != nil { // texts always marshal
		raw = json.RawMessage("{}")
	}
	return Confirmation{JKT: jkt, X5T: x5t, Raw: raw}
}

// Bound tells whether the token says anything about a key, even what we don't understand.
func (c Confirmation) Bound() bool { return c.Raw != nil }

// UnmarshalJSON keeps the claim whole. Members that we can't prove are kept too, so that provenBy can refuse them.
func (c *Confirmation) UnmarshalJSON(data []byte) error {
	*c = Confirmation{Raw: bytes.Clone(data)}
	var members map[string]json.RawMessage
	if err := jose.DecodeJSON(data, &members); err != nil || len(members) == 0 {
		return errors.New("cnf is not an object with members")
	}
	for name, into := range map[string]*string{"jkt": &c.JKT, "x5t#S256": &c.X5T} {
		value, ok := members[name]
		if !ok {
			continue
		}
		if err := jose.DecodeJSON(value, into); err != nil || *into == "" {
			return errors.New("a thumbprint in cnf is not a text")
		}
		delete(members, name)
	}
	if len(members) > 0 {
		// A way of proof that we don't know is one that nobody proved to us.
		c.JKT, c.X5T = "", ""
	}
	return nil
}

// Proof says which keys the presenter of a token has proved, as binding found out. The zero value is a plain Bearer token:
// nothing was proved.
type Proof struct {
	JKT string // thumbprint of the key of a good DPoP proof
	X5T string // thumbprint of the certificate of the TLS connection

	reading bool // nobody presents the token: see Verifier.Read
}

// ProvenBy tells whether proof covers all that c demands. An unbound token shown with a DPoP proof is refused too: its
// sender believes it to be bound (RFC 9449 section 7.1).
func (c Confirmation) ProvenBy(proof Proof) bool {
	if c.Bound() && c.JKT == "" && c.X5T == "" {
		return false // whoever is told of it could not ask for the proof either
	}
	if proof.reading {
		return true
	}
	if !c.Bound() {
		return proof.JKT == ""
	}
	if c.JKT != proof.JKT {
		return false
	}
	return c.X5T == "" || c.X5T == proof.X5T
}

// wireClaims is the payload as it is written.
type wireClaims struct {
	Issuer    string           `json:"iss"`
	Subject   string           `json:"sub"`
	Audience  audience         `json:"aud"`
	ClientID  string           `json:"client_id"`
	Scope     string           `json:"scope"`
	ID        string           `json:"jti"`
	IssuedAt  jose.NumericDate `json:"iat"`
	NotBefore jose.NumericDate `json:"nbf"`
	Expires   jose.NumericDate `json:"exp"`
	AuthTime  jose.NumericDate `json:"auth_time"`
	ACR       string           `json:"acr"`
	AMR       []string         `json:"amr"`
	SessionID string           `json:"sid"`
	Grant     string           `json:"grant_id"`
	Cnf       Confirmation     `json:"cnf"`
	Details   Details          `json:"authorization_details"`
}

// Details is authorization_details as it is read from a token or an answer about one.
type Details json.RawMessage

// MaxDetails bounds authorization_details, which goes into a header of the request to the API.
const MaxDetails = 6 << 10

// UnmarshalJSON keeps a list of objects that each name their type (RFC 9396 section 2), written without spaces.
func (d *Details) UnmarshalJSON(data []byte) error {
	var list []struct {
		Type string `json:"type"`
	}
	if err := jose.DecodeJSON(data, &list); err != nil {
		return errors.New("authorization_details is no list of objects")
	}
	for _, each := range list {
		if each.Type == "" {
			return errors.New("an authorization detail has no type")
		}
	}
	var short bytes.Buffer
	if err := json.Compact(&short, data); err != nil || short.Len() > MaxDetails {
		return errors.New("authorization_details is too long")
	}
	*d = nil
	if len(list) > 0 {
		*d = ascii(short.Bytes())
	}
	if len(*d) > MaxDetails {
		return errors.New("authorization_details is too long")
	}
	return nil
}

// ascii writes what is not ASCII by escapes, so that the text can stand in a header. Outside of strings JSON has nothing
// else.
func ascii(text []byte) []byte {
	plain := make([]byte, 0, len(text))
	for len(text) > 0 {
		letter, size := utf8.DecodeRune(text)
		text = text[size:]
		switch {
		case letter < 0x7f:
			plain = append(plain, byte(letter)) //nolint:gosec // below 0x7f
		case letter > 0xffff:
			high, low := utf16.EncodeRune(letter)
			plain = fmt.Appendf(plain, `\u%04x\u%04x`, high, low)
		default:
			plain = fmt.Appendf(plain, `\u%04x`, letter)
		}
	}
	return plain
}

// audience reads aud as a text or a list of texts (RFC 7519 section 4.1.3). Empty names and empty lists are refused: they
// would compare equal to a forgotten setting.
type audience []string

func (a *audience) UnmarshalJSON(data []byte) error {
	var list []string
	if len(data) > 0 && data[0] == '[' {
		if err := jose.DecodeJSON(data, &list); err != nil {
			return err
		}
	} else {
		var one string
		if err := jose.DecodeJSON(data, &one); err != nil {
			return err
		}
		list = []string{one}
	}
	if len(list) == 0 || slices.Contains(list, "") {
		return errors.New("aud is empty")
	}
	*a = list
	return nil
}

// readClaims decodes a payload that nobody vouches for yet.
func readClaims(token jose.Unverified) (Claims, error) {
	var wire wireClaims
	if err := token.Peek(&wire); err != nil {
		return Claims{}, err
	}
	scope, err := oauth.ParseScope(wire.Scope)
	if err != nil {
		return Claims{}, err
	}
	return Claims{
		Issuer: wire.Issuer, Subject: wire.Subject, Audience: wire.Audience, ClientID: wire.ClientID, Scope: scope,
		ID: wire.ID, IssuedAt: wire.IssuedAt, NotBefore: wire.NotBefore, Expires: wire.Expires, AuthTime: wire.AuthTime,
		ACR: wire.ACR, AMR: wire.AMR, SessionID: wire.SessionID, Grant: wire.Grant,
		Details: json.RawMessage(wire.Details), Confirmation: wire.Cnf, KeyID: token.Header.KeyID,
	}, nil
}
