package keys

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
)

// Keys to which others encrypt for this server stand beside those that sign, in rows of their own: no key ever does both.
// They are always sealed by Sealer, also beside a Vault, which only has to sign.

// datedOpener is a key that decrypts.
type datedOpener struct {
	iam.Key
	opener *jose.Opener
}

// EnsureOpeners makes the keys for encryption to this server that are missing and loads all, like Ensure.
func (r *Ring) EnsureOpeners(ctx context.Context, algs ...jose.KeyAlg) error {
	for _, alg := range algs {
		if !alg.Valid() {
			return fmt.Errorf("no such encryption: %q", alg)
		}
		if err := r.ensure(ctx, jose.Alg(alg)); err != nil {
			return err
		}
	}
	return r.Load(ctx)
}

// Decrypt gives what a stranger encrypted to a key of ours; every one that has not been removed still opens. All failures
// but a malformed token read the same: jose.ErrDecrypt.
func (r *Ring) Decrypt(token string) ([]byte, error) {
	sealed, err := jose.ParseEncrypted(token)
	if err != nil {
		return nil, err
	}
	holding := r.held.Load()
	if holding == nil {
		return nil, iam.ErrUnavailable
	}
	var fitting []*jose.Opener
	for _, key := range holding.openers {
		if key.opener.Alg == sealed.Header.Alg && (sealed.Header.KeyID == "" || sealed.Header.KeyID == key.ID) {
			fitting = append(fitting, key.opener)
		}
	}
	if len(fitting) != 1 { // without a kid there is no trying of several
		return nil, jose.ErrDecrypt
	}
	return fitting[0].Open(sealed)
}

// OpenerAlgs lists the ways to encrypt to this server, in the order of jose.KeyAlgs.
func (r *Ring) OpenerAlgs() []jose.KeyAlg {
	holding := r.held.Load()
	if holding == nil {
		return nil
	}
	return slices.DeleteFunc(jose.KeyAlgs(), func(alg jose.KeyAlg) bool {
		return !slices.ContainsFunc(holding.openers, func(key datedOpener) bool { return key.opener.Alg == alg })
	})
}

func (r *Ring) openOpener(row iam.Key) (datedOpener, error) {
	if known := r.held.Load(); known != nil {
		if at := slices.IndexFunc(known.openers, func(key datedOpener) bool { return key.ID == row.ID }); at >= 0 {
			return datedOpener{row, known.openers[at].opener}, nil
		}
	}
	private, err := rows{r.Sealer, r.Tenant}.Open(row.ID, jose.Alg(row.Alg), row.Sealed)
	return datedOpener{row, &jose.Opener{KeyID: row.ID, Alg: jose.KeyAlg(row.Alg), Key: private}}, err
}

// makeOpener makes and seals a key for encryption.
func (r *Ring) makeOpener(kid string, alg jose.KeyAlg) (sealed, public string, err error) {
	opener, err := jose.GenerateOpener(kid, alg)
	if err != nil {
		return "", "", err
	}
	der, err := jose.MarshalPrivate(opener.Key)
	if err != nil {
		return "", "", err
	}
	if sealed, err = r.Sealer.Seal(rows{r.Sealer, r.Tenant}.place(kid), der); err != nil {
		return "", "", err
	}
	jwk, err := jose.EncryptionJWK(opener.Public())
	return sealed, string(jwk), err
}

// publish writes the JWK Set: every key that verifies, and those to which one may still encrypt.
func (h *held) publish(before func(iam.Key) bool) ([]byte, error) {
	var list []json.RawMessage
	for _, key := range h.public {
		jwk, err := jose.PublicJWK(key)
		if err != nil {
			return nil, err
		}
		list = append(list, jwk)
	}
	for _, key := range h.openers {
		if !before(key.Key) {
			continue
		}
		jwk, err := jose.EncryptionJWK(key.opener.Public())
		if err != nil {
			return nil, err
		}
		list = append(list, jwk)
	}
	return json.Marshal(map[string]any{"keys": list})
}

// saltAlg stands in the row of the salt where others name their algorithm.
const saltAlg = "pairwise-salt"

const saltBytes = 32

// EnsureSalt makes the salt of pairwise subjects (OpenID Connect Core section 8.1) if there is none, and loads all. It
// stands among the keys: sealed like them, wrapped again with them when the master key changes, which leaves every
// subject as it is, and never removed, since that would rename everyone.
func (r *Ring) EnsureSalt(ctx context.Context) error {
	if err := r.ensure(ctx, saltAlg); err != nil {
		return err
	}
	return r.Load(ctx)
}

// Salt gives the salt of pairwise subjects; nil before EnsureSalt. Nobody may change it.
func (r *Ring) Salt() []byte {
	if holding := r.held.Load(); holding != nil {
		return holding.salt
	}
	return nil
}

func (r *Ring) makeSalt(kid string) (string, error) {
	var salt [saltBytes]byte
	rand.Read(salt[:]) // never returns an error since Go 1.24
	return r.Sealer.Seal(rows{r.Sealer, r.Tenant}.place(kid), salt[:])
}

// newRow makes what is kept of a new key, of whichever kind its algorithm is.
func (r *Ring) newRow(alg jose.Alg) (iam.Key, error) {
	var err error
	key := iam.Key{ID: uuid.NewString(), Alg: string(alg), Created: r.now()}
	switch {
	case alg == saltAlg:
		key.Sealed, err = r.makeSalt(key.ID)
	case jose.KeyAlg(alg).Valid():
		key.Sealed, key.Public, err = r.makeOpener(key.ID, jose.KeyAlg(alg))
	default:
		key.Sealed, key.Public, err = r.makeSigner(key.ID, alg)
	}
	return key, err
}
