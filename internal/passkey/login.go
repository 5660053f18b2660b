package passkey

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-webauthn/webauthn/protocol"

	"github.com/gardeauth/garde/internal/iam"
)

// BeginLogin asks for a signature. Of an unknown user (empty) only a passkey can be asked, and nothing is listed: the
// authenticator says whose it is. With user, list is what that person has, who must have proved something before: a list
// tells who has which (WebAuthn section 14.6.2).
func (p Party) BeginLogin(kind iam.FactorKind, user string, list []iam.Authenticator) (Asked, error) {
	begun := p.begin(deedGet, kind, user)
	options := requestOptions{
		Challenge: begun.Challenge, RPID: p.ID, Timeout: Life.Milliseconds(),
		Verification: string(protocol.VerificationRequired), Allow: []descriptor{},
	}
	if kind == iam.FactorSecurityKey {
		options.Verification = string(protocol.VerificationDiscouraged)
	}
	if user != "" {
		list = slices.DeleteFunc(slices.Clone(list), func(one iam.Authenticator) bool { return one.Kind != kind || one.User != user })
		for _, one := range p.descriptors(list) {
			options.Allow = append(options.Allow, describe(one))
		}
	}
	if len(options.Allow) == 0 && (user != "" || kind != iam.FactorPasskey) {
		return Asked{}, errors.New("it is asked of a person who has one")
	}
	return asked(options, begun)
}

// requestOptions are PublicKeyCredentialRequestOptionsJSON.
type requestOptions struct {
	Challenge    string       `json:"challenge"`
	RPID         string       `json:"rpId"`
	Timeout      int64        `json:"timeout"`
	Verification string       `json:"userVerification"`
	Allow        []descriptor `json:"allowCredentials"`
}

type descriptor struct {
	Type       string   `json:"type"`
	ID         string   `json:"id"`
	Transports []string `json:"transports,omitempty"`
}

func describe(one protocol.CredentialDescriptor) descriptor {
	described := descriptor{Type: string(one.Type), ID: base64.RawURLEncoding.EncodeToString(one.CredentialID)}
	for _, transport := range one.Transport {
		described.Transports = append(described.Transports, string(transport))
	}
	return described
}

func asked(options any, begun ceremony) (Asked, error) {
	text, err := marshal(options)
	if err != nil {
		return Asked{}, err
	}
	state, err := marshal(begun)
	return Asked{text, state}, err
}

// Used is an authenticator that has answered: what UseAuthenticator moves, and what was proved.
type Used struct {
	From, To int64  // signature counter
	Sealed   string // new state; empty: nothing changed
	Begun    time.Time
	Methods  []string // RFC 8176 names
}

// FinishLogin verifies an answer of kept, which storage found by its Handle. The state must have been spent before: of many
// answers to one challenge one may come here. Nothing counts before UseAuthenticator has moved the counter.
func (p Party) FinishLogin(state string, said Assertion, kept iam.Authenticator) (Used, error) {
	begun, err := p.resume(state, deedGet)
	if err != nil {
		return Used{}, err
	}
	if kept.Kind != begun.Kind || begun.User != "" && kept.User != begun.User {
		return Used{}, refused("it is not an authenticator that was asked for")
	}
	opened, err := p.open(kept)
	if err != nil {
		return Used{}, err
	}
	clientData, err := p.clientData(said.said.Response.Client, string(protocol.AssertCeremony), begun.Challenge)
	if err != nil {
		return Used{}, err
	}
	parsed, err := said.parse(clientData)
	if err != nil {
		return Used{}, err
	}
	if err := p.judge(parsed, begun, kept, opened); err != nil {
		return Used{}, err
	}
	used := Used{From: kept.Mark, To: int64(parsed.Response.AuthenticatorData.Counter), Begun: begun.Begun}
	if used.To <= used.From && (used.To != 0 || used.From != 0) {
		return Used{}, ErrCloned
	}
	flags := parsed.Response.AuthenticatorData.Flags
	used.Methods = methods(kept.Kind, opened.Eligible)
	if flags.HasBackupState() != opened.BackedUp {
		opened.BackedUp = flags.HasBackupState()
		if used.Sealed, err = p.seal(kept.ID, opened); err != nil {
			return Used{}, err
		}
	}
	return used, nil
}

// judge does steps 5 to 21 of WebAuthn section 7.2, but for the counter.
func (p Party) judge(parsed *protocol.ParsedCredentialAssertionData, begun ceremony, kept iam.Authenticator, opened record) error {
	user := parsed.Response.UserHandle
	if begun.User == "" && len(user) == 0 || len(user) > 0 && !bytes.Equal(user, handle(kept.User)) {
		return refused("it is somebody else's")
	}
	if !bytes.Equal(parsed.RawID, opened.ID) {
		return refused("it is another credential")
	}
	// The order of the module: type, challenge, origin, then the authenticator's data, last the signature.
	err := parsed.Verify(begun.Challenge, p.ID, "", []string{p.Origin}, nil, nil, protocol.TopOriginExplicitVerificationMode,
		false, kept.Kind == iam.FactorPasskey, true, opened.Key, protocol.SignaturePolicy{})
	if err != nil {
		return refused("%s", reason(err))
	}
	flags := parsed.Response.AuthenticatorData.Flags
	if flags.HasBackupEligible() != opened.Eligible || flags.HasBackupState() && !flags.HasBackupEligible() {
		return refused("its backup flags can't be true")
	}
	if opened.Eligible && p.Rules.Synced == "refused" {
		return fmt.Errorf("%w: it leaves its device", ErrModel)
	}
	return nil
}

// methods are what such an authenticator proves, by RFC 8176. A passkey has verified its user, by a PIN or by what they are.
func methods(kind iam.FactorKind, eligible bool) []string {
	held := "hwk"
	if eligible {
		held = "swk"
	}
	if kind == iam.FactorPasskey {
		return []string{held, "user", "mfa"}
	}
	return []string{held, "user"}
}
