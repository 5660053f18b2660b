package passkey

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/google/uuid"

	"github.com/gardeauth/garde/internal/iam"
)

// algorithms that authenticators may sign with, best first; RS256 is what the TPM of many computers can do.
var algorithms = []webauthncose.COSEAlgorithmIdentifier{webauthncose.AlgEdDSA, webauthncose.AlgES256, webauthncose.AlgRS256}

// creationOptions are PublicKeyCredentialCreationOptionsJSON.
type creationOptions struct {
	Party struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	} `json:"rp"`
	User struct {
		ID      string `json:"id"`
		Name    string `json:"name"`
		Display string `json:"displayName"`
	} `json:"user"`
	Challenge string       `json:"challenge"`
	Keys      []parameter  `json:"pubKeyCredParams"`
	Timeout   int64        `json:"timeout"`
	Exclude   []descriptor `json:"excludeCredentials"`
	Selection struct {
		Resident     string `json:"residentKey"`
		Required     bool   `json:"requireResidentKey"`
		Verification string `json:"userVerification"`
		Attachment   string `json:"authenticatorAttachment,omitempty"`
	} `json:"authenticatorSelection"`
	Attestation string `json:"attestation"`
}

type parameter struct {
	Type string `json:"type"`
	Alg  int64  `json:"alg"`
}

// BeginRegistration asks a browser for a new authenticator of a person; have are theirs already, which are not asked again.
// A passkey is discoverable and verifies its user; a security key does neither, and comes from outside the device.
func (p Party) BeginRegistration(user iam.User, kind iam.FactorKind, have []iam.Authenticator) (Asked, error) {
	if kind != iam.FactorPasskey && kind != iam.FactorSecurityKey {
		return Asked{}, errors.New("only passkeys and security keys are registered here")
	}
	begun := p.begin(deedCreate, kind, user.ID)
	options := creationOptions{Challenge: begun.Challenge, Timeout: Life.Milliseconds(), Attestation: "none", Exclude: []descriptor{}}
	options.Party.ID, options.Party.Name = p.ID, p.Name
	options.User.ID = base64.RawURLEncoding.EncodeToString(handle(user.ID))
	options.User.Name, options.User.Display = user.Username, user.Username
	if user.Name != "" {
		options.User.Display = user.Name
	}
	for _, alg := range algorithms {
		options.Keys = append(options.Keys, parameter{string(protocol.PublicKeyCredentialType), int64(alg)})
	}
	for _, one := range p.descriptors(have) {
		options.Exclude = append(options.Exclude, describe(one))
	}
	options.Selection.Resident, options.Selection.Required, options.Selection.Verification = "required", true, "required"
	if kind == iam.FactorSecurityKey {
		options.Selection.Resident, options.Selection.Required, options.Selection.Verification = "discouraged", false, "discouraged"
		options.Selection.Attachment = string(protocol.CrossPlatform)
	}
	if p.attested() {
		options.Attestation = "direct"
	}
	return asked(options, begun)
}

// attested tells whether the model of an authenticator matters.
func (p Party) attested() bool { return p.Rules.Attestation == "required" || len(p.Rules.Models) > 0 }

// FinishRegistration verifies a new authenticator and gives it as storage keeps it, under the name that the person chose.
// The state must have been spent before. AddAuthenticator refuses a credential id that is somebody's already.
func (p Party) FinishRegistration(state, text, name string) (iam.Authenticator, error) {
	begun, err := p.resume(state, deedCreate)
	if err != nil {
		return iam.Authenticator{}, err
	}
	said, id, err := read(text)
	if err != nil {
		return iam.Authenticator{}, err
	}
	clientData, err := p.clientData(said.Response.Client, string(protocol.CreateCeremony), begun.Challenge)
	if err != nil {
		return iam.Authenticator{}, err
	}
	parsed, err := parseCreation(said, id, clientData)
	if err != nil {
		return iam.Authenticator{}, err
	}
	_, err = parsed.Verify(begun.Challenge, p.ID, []string{p.Origin}, nil, nil, protocol.TopOriginExplicitVerificationMode,
		false, begun.Kind == iam.FactorPasskey, true, nil, parameters(), protocol.AttestationPolicy{}, protocol.SignaturePolicy{})
	if err != nil {
		return iam.Authenticator{}, refused("%s", reason(err))
	}
	kept, err := p.admit(parsed, id)
	if err != nil {
		return iam.Authenticator{}, err
	}
	kept.Transports = transports(said.Response.Transports)
	data := parsed.Response.AttestationObject.AuthData
	added := iam.Authenticator{
		ID: rand.Text(), User: begun.User, Kind: begun.Kind, Name: name, Handle: sha256.Sum256(id), Model: model(data.AttData.AAGUID),
		Synced: kept.Eligible, Mark: int64(data.Counter), Created: p.now(),
	}
	added.Sealed, err = p.seal(added.ID, kept)
	return added, err
}

func parseCreation(said answer, id, clientData []byte) (*protocol.ParsedCredentialCreationData, error) {
	whole := protocol.CredentialCreationResponse{PublicKeyCredential: protocol.PublicKeyCredential{
		Credential: protocol.Credential{ID: said.ID, Type: said.Type}, RawID: id,
	}}
	object, err := decode(said.Response.Attestation)
	if err != nil || len(object) == 0 {
		return nil, refused("the attestation can't be read")
	}
	whole.AttestationResponse.ClientDataJSON, whole.AttestationResponse.AttestationObject = clientData, object
	parsed, err := whole.Parse()
	if err != nil {
		return nil, refused("%s", reason(err))
	}
	return parsed, nil
}

func parameters() []protocol.CredentialParameter {
	var list []protocol.CredentialParameter
	for _, alg := range algorithms {
		list = append(list, protocol.CredentialParameter{Type: protocol.PublicKeyCredentialType, Algorithm: alg})
	}
	return list
}

// An RSA key is neither too short to be safe, nor so long that to verify with it is work that anybody could order.
const (
	minRSA = 2048 / 8
	maxRSA = 4096 / 8
)

// admit applies the recipe's rules to what was verified.
func (p Party) admit(parsed *protocol.ParsedCredentialCreationData, id []byte) (record, error) {
	object := parsed.Response.AttestationObject
	data := object.AuthData
	kept := record{
		ID: id, Key: bytes.Clone(data.AttData.CredentialPublicKey), Format: object.Format,
		Eligible: data.Flags.HasBackupEligible(), BackedUp: data.Flags.HasBackupState(), Verified: data.Flags.HasUserVerified(),
	}
	key, err := webauthncose.ParsePublicKey(kept.Key)
	if err != nil {
		return record{}, refused("its key can't be read")
	}
	if rsa, ok := key.(webauthncose.RSAPublicKeyData); ok {
		switch long := len(bytes.TrimLeft(rsa.Modulus, "\x00")); {
		case long < minRSA:
			return record{}, refused("its key is too short")
		case long > maxRSA:
			return record{}, refused("its key is too long")
		}
	}
	switch {
	case kept.BackedUp && !kept.Eligible:
		return record{}, refused("its backup flags can't be true")
	case kept.Eligible && p.Rules.Synced == "refused":
		return record{}, fmt.Errorf("%w: it leaves its device", ErrModel)
	case len(p.Rules.Models) > 0 && !slices.Contains(p.Rules.Models, model(data.AttData.AAGUID)):
		return record{}, fmt.Errorf("%w: its model is not on the list", ErrModel)
	}
	if p.Rules.Attestation == "required" {
		if err := p.vouched(object); err != nil {
			return record{}, fmt.Errorf("%w: %w", ErrModel, err)
		}
		kept.Proved = true
	}
	return kept, nil
}

// vouched asks whether a root stands behind the certificate that signed the attestation. The module has verified the
// signature, and that the certificate names the same model; whom to believe is ours to say.
func (p Party) vouched(object protocol.AttestationObject) error {
	chain, ok := object.AttStatement["x5c"].([]any)
	if !ok || len(chain) == 0 {
		return errors.New("nobody vouches for its model")
	}
	if p.Roots == nil {
		return errors.New("no roots are known")
	}
	var leaf *x509.Certificate
	between := x509.NewCertPool()
	for i, one := range chain {
		der, ok := one.([]byte)
		if !ok {
			return errors.New("a certificate can't be read")
		}
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			return errors.New("a certificate can't be read")
		}
		if i == 0 {
			leaf = certificate
			continue
		}
		between.AddCert(certificate)
	}
	leaf.UnhandledCriticalExtensions = nil // such as the subject alternative name of a TPM, which the module has read
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: p.Roots, Intermediates: between, CurrentTime: p.now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	return err
}

// model is the AAGUID as it is written; one of zeros says nothing.
func model(raw []byte) string {
	id, err := uuid.FromBytes(raw)
	if err != nil || id == uuid.Nil {
		return ""
	}
	return id.String()
}

// transports keeps of a browser's hints those that are one; they come back to it with the next request.
func transports(said []string) []string {
	var kept []string
	for _, one := range said {
		if slices.Contains([]string{"usb", "nfc", "ble", "smart-card", "hybrid", "internal"}, one) && !slices.Contains(kept, one) {
			kept = append(kept, one)
		}
	}
	return kept
}
