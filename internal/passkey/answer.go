package passkey

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-webauthn/webauthn/protocol"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
)

// MaxAnswer is how long an authenticator's answer may be, in bytes: with the certificates of an attestation.
const MaxAnswer = 32 << 10

// answer is what the page sends: the browser's RegistrationResponseJSON or AuthenticationResponseJSON. No extension was
// asked for, so that none is looked at.
type answer struct {
	ID       string `json:"id"`
	RawID    string `json:"rawId"`
	Type     string `json:"type"`
	Response struct {
		Client      string   `json:"clientDataJSON"`
		Attestation string   `json:"attestationObject"`
		Data        string   `json:"authenticatorData"`
		Signature   string   `json:"signature"`
		User        string   `json:"userHandle"`
		Transports  []string `json:"transports"`
	} `json:"response"`
}

// client is what the browser signed along (WebAuthn section 5.8.1).
type client struct {
	Type        string `json:"type"`
	Challenge   string `json:"challenge"`
	Origin      string `json:"origin"`
	CrossOrigin bool   `json:"crossOrigin"`
	TopOrigin   string `json:"topOrigin"`
}

func refused(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrRefused, fmt.Sprintf(format, args...))
}

// read parses an answer: strictly, since the module's own reader folds names and lets the last of two members win.
func read(text string) (answer, []byte, error) {
	var said answer
	if len(text) > MaxAnswer {
		return answer{}, nil, refused("it is too long")
	}
	if err := jose.DecodeJSON([]byte(text), &said); err != nil {
		return answer{}, nil, refused("%v", err)
	}
	id, err := decode(said.RawID)
	switch {
	case err != nil || len(id) == 0 || len(id) > 1023 || said.ID != said.RawID:
		return answer{}, nil, refused("its credential id can't be read")
	case said.Type != string(protocol.PublicKeyCredentialType):
		return answer{}, nil, refused("it is of another type")
	}
	return said, id, nil
}

// decode reads base64url in its one spelling.
func decode(text string) ([]byte, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || base64.RawURLEncoding.EncodeToString(raw) != text {
		return nil, errors.New("not base64url")
	}
	return raw, nil
}

// clientData checks what the browser says it was asked for, by whom, and where.
func (p Party) clientData(encoded, kind, challenge string) ([]byte, error) {
	raw, err := decode(encoded)
	if err != nil {
		return nil, refused("the client data can't be read")
	}
	var said client
	if err := jose.DecodeJSON(raw, &said); err != nil {
		return nil, refused("the client data: %v", err)
	}
	switch {
	case said.Type != kind:
		return nil, refused("it is of another ceremony")
	case said.Challenge != challenge:
		return nil, fmt.Errorf("%w: it answers another challenge", ErrStale)
	case said.Origin != p.Origin: // as bytes: the module compares hosts alone, without case
		return nil, refused("it was made at another origin")
	case said.CrossOrigin || said.TopOrigin != "":
		return nil, refused("it was made in a frame of another site")
	}
	return raw, nil
}

// Assertion is an answer to BeginLogin, not yet verified.
type Assertion struct {
	said answer
	id   []byte
}

// ReadAssertion parses what a page sent.
func ReadAssertion(text string) (Assertion, error) {
	said, id, err := read(text)
	if err != nil {
		return Assertion{}, err
	}
	return Assertion{said, id}, nil
}

// Handle is how storage finds the authenticator that claims to have answered.
func (a Assertion) Handle() iam.Digest { return sha256.Sum256(a.id) }

// parse gives the assertion to the module, with nothing in it but what was read here.
func (a Assertion) parse(clientData []byte) (*protocol.ParsedCredentialAssertionData, error) {
	whole := protocol.CredentialAssertionResponse{PublicKeyCredential: protocol.PublicKeyCredential{
		Credential: protocol.Credential{ID: a.said.ID, Type: a.said.Type}, RawID: a.id,
	}}
	var faults [3]error
	response := &whole.AssertionResponse
	response.ClientDataJSON = clientData
	response.AuthenticatorData, faults[0] = decode(a.said.Response.Data)
	response.Signature, faults[1] = decode(a.said.Response.Signature)
	response.UserHandle, faults[2] = decode(a.said.Response.User)
	if err := errors.Join(faults[:]...); err != nil {
		return nil, refused("a part of it can't be read")
	}
	parsed, err := whole.Parse()
	if err != nil {
		return nil, refused("%s", reason(err))
	}
	return parsed, nil
}

// reason is what the module says, for operators.
func reason(err error) string {
	if told, ok := errors.AsType[*protocol.Error](err); ok && told.DevInfo != "" {
		return told.Details + " (" + told.DevInfo + ")"
	}
	return err.Error()
}

// marshal writes JSON that may stand in a script element: encoding/json escapes <, > and &.
func marshal(value any) (string, error) {
	var out bytes.Buffer
	if err := json.NewEncoder(&out).Encode(value); err != nil {
		return "", err
	}
	return string(bytes.TrimSpace(out.Bytes())), nil
}
