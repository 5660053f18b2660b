// Package authenticator is an authenticator and its browser in software (WebAuthn section 6): it makes real credentials and
// real signatures, good ones and, on demand, bad ones, for the tests of whoever verifies them. It is not part of the product.
package authenticator

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"

	"github.com/fxamacker/cbor/v2"
)

// Authenticator holds the credentials of one device. Its fields may be changed between ceremonies, to tell lies.
type Authenticator struct {
	Origin      string   // of the page that the browser says to be on
	RPID        string   // empty: what the options say
	Model       [16]byte // AAGUID
	NoPresence  bool     // the user present flag is missing
	NoVerify    bool     // the user verified flag is missing
	Synced      bool     // backup eligible, and backed up
	Still       bool     // the counter does not move
	CrossOrigin bool     // the page says to be in a frame of another site
	Challenge   string   // empty: what the options say
	User        []byte   // user handle to claim; nil: the true one
	Vouch       *Maker   // signs the attestation; nil: none
	RSA         []byte   // modulus of an RSA key that new credentials claim to have; nil: their own key

	credentials []*credential
}

type credential struct {
	id      []byte
	rpID    string
	user    []byte
	key     *ecdsa.PrivateKey
	counter uint32
}

// New is an authenticator in a browser that is on a page of origin.
func New(origin string) *Authenticator { return &Authenticator{Origin: origin} }

// Credentials counts what it holds.
func (a *Authenticator) Credentials() int { return len(a.credentials) }

// SetCounter sets the counter of every credential: a clone knows an old one.
func (a *Authenticator) SetCounter(to uint32) {
	for _, one := range a.credentials {
		one.counter = to
	}
}

// Clone gives another authenticator with the same keys.
func (a *Authenticator) Clone() *Authenticator {
	twin := *a
	twin.credentials = nil
	for _, one := range a.credentials {
		copied := *one
		twin.credentials = append(twin.credentials, &copied)
	}
	return &twin
}

// options are the members of both kinds of options that matter here.
type options struct {
	Challenge string `json:"challenge"`
	RPID      string `json:"rpId"`
	Party     struct {
		ID string `json:"id"`
	} `json:"rp"`
	User struct {
		ID string `json:"id"`
	} `json:"user"`
	Allow   []listed `json:"allowCredentials"`
	Exclude []listed `json:"excludeCredentials"`
}

type listed struct {
	ID string `json:"id"`
}

func b64(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

// Create answers options of navigator.credentials.create with the JSON that a page would send.
func (a *Authenticator) Create(asked string) (string, error) {
	var said options
	if err := json.Unmarshal([]byte(asked), &said); err != nil {
		return "", err
	}
	for _, one := range said.Exclude {
		if a.find(one.ID) != nil {
			return "", errors.New("this authenticator is registered already")
		}
	}
	user, err := base64.RawURLEncoding.DecodeString(said.User.ID)
	if err != nil {
		return "", err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	made := &credential{id: make([]byte, 32), rpID: said.Party.ID, user: user, key: key}
	_, _ = rand.Read(made.id)
	client, err := a.client("webauthn.create", said.Challenge)
	if err != nil {
		return "", err
	}
	object, err := a.attest(made, client)
	if err != nil {
		return "", err
	}
	a.credentials = append(a.credentials, made)
	return answer(made.id, map[string]any{
		"clientDataJSON": b64(client), "attestationObject": b64(object), "transports": []string{"internal"},
	})
}

// Get answers options of navigator.credentials.get: with the newest credential that is allowed.
func (a *Authenticator) Get(asked string) (string, error) {
	var said options
	if err := json.Unmarshal([]byte(asked), &said); err != nil {
		return "", err
	}
	used := a.choose(said)
	if used == nil {
		return "", errors.New("no credential is allowed")
	}
	client, err := a.client("webauthn.get", said.Challenge)
	if err != nil {
		return "", err
	}
	if !a.Still {
		used.counter++
	}
	data := a.data(used, false)
	hash := sha256.Sum256(client)
	sum := sha256.Sum256(append(append([]byte{}, data...), hash[:]...))
	signature, err := used.key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		return "", err
	}
	user := used.user
	if a.User != nil {
		user = a.User
	}
	return answer(used.id, map[string]any{
		"clientDataJSON": b64(client), "authenticatorData": b64(data), "signature": b64(signature), "userHandle": b64(user),
	})
}

func answer(id []byte, response map[string]any) (string, error) {
	text, err := json.Marshal(map[string]any{
		"id": b64(id), "rawId": b64(id), "type": "public-key", "response": response,
		"authenticatorAttachment": "platform", "clientExtensionResults": map[string]any{},
	})
	return string(text), err
}

func (a *Authenticator) find(id string) *credential {
	for _, one := range a.credentials {
		if b64(one.id) == id {
			return one
		}
	}
	return nil
}

func (a *Authenticator) choose(said options) *credential {
	for _, one := range said.Allow {
		if found := a.find(one.ID); found != nil {
			return found
		}
	}
	if len(said.Allow) > 0 || len(a.credentials) == 0 {
		return nil
	}
	return a.credentials[len(a.credentials)-1]
}

func (a *Authenticator) client(kind, challenge string) ([]byte, error) {
	if a.Challenge != "" {
		challenge = a.Challenge
	}
	return json.Marshal(map[string]any{"type": kind, "challenge": challenge, "origin": a.Origin, "crossOrigin": a.CrossOrigin})
}

// The flags of authenticator data (WebAuthn section 6.1).
const (
	flagPresent  = 1 << 0
	flagVerified = 1 << 2
	flagEligible = 1 << 3
	flagBackedUp = 1 << 4
	flagAttested = 1 << 6
)

// data is authenticator data, with the credential in it when it is new.
func (a *Authenticator) data(of *credential, created bool) []byte {
	rpID := of.rpID
	if a.RPID != "" {
		rpID = a.RPID
	}
	hash := sha256.Sum256([]byte(rpID))
	flags := byte(flagPresent | flagVerified)
	if a.NoPresence {
		flags &^= flagPresent
	}
	if a.NoVerify {
		flags &^= flagVerified
	}
	if a.Synced {
		flags |= flagEligible | flagBackedUp
	}
	if created {
		flags |= flagAttested
	}
	data := append(hash[:], flags)
	return binary.BigEndian.AppendUint32(data, of.counter)
}

// attest makes the attestation object of a new credential (WebAuthn sections 6.5.4, 8.2 and 8.7).
func (a *Authenticator) attest(made *credential, client []byte) ([]byte, error) {
	point, err := made.key.PublicKey.Bytes()
	if err != nil {
		return nil, err
	}
	key, err := cbor.Marshal(map[int]any{1: 2, 3: -7, -1: 1, -2: point[1:33], -3: point[33:]})
	if err != nil {
		return nil, err
	}
	if a.RSA != nil {
		if key, err = cbor.Marshal(map[int]any{1: 3, 3: -257, -1: a.RSA, -2: []byte{1, 0, 1}}); err != nil {
			return nil, err
		}
	}
	data := append(a.data(made, true), a.Model[:]...)
	data = binary.BigEndian.AppendUint16(data, uint16(len(made.id))) //nolint:gosec // always 32
	data = append(append(data, made.id...), key...)
	format, statement := "none", map[string]any{}
	if a.Vouch != nil {
		hash := sha256.Sum256(client)
		if statement, err = a.Vouch.statement(append(append([]byte{}, data...), hash[:]...), a.Model); err != nil {
			return nil, err
		}
		format = "packed"
	}
	return cbor.Marshal(map[string]any{"fmt": format, "authData": data, "attStmt": statement})
}
