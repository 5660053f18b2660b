package token

import (
	"context"
	"errors"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
)

// Signers gives the key that signs now by an algorithm.
type Signers interface {
	Signer(alg jose.Alg) (*jose.Signer, error)
}

// Locks gives the public key to which a client wants its answers encrypted. Its errors are *oauth.Error for what the
// client may know.
type Locks interface {
	EncryptionKey(ctx context.Context, client iam.Client, alg jose.KeyAlg) (jose.EncryptionKey, error)
}

// Form is how an answer is written: its typ, and what the client registered for it. An empty Alg is ES256, an empty Wrap
// means that it is not encrypted.
type Form struct {
	Typ     string
	Alg     string
	Wrap    string
	Content string // empty: A128CBC-HS256 (OpenID Connect Registration section 2)
}

// IDForm, UserInfoForm, IntrospectForm and ResponseForm are the forms that a client registered.
func IDForm(client iam.Client) Form {
	return Form{TypeID, client.IDTokenAlg, client.IDTokenEncryption, client.IDTokenContent}
}

// UserInfoForm: see IDForm.
func UserInfoForm(client iam.Client) Form {
	return Form{"JWT", client.UserInfoAlg, client.UserInfoEncryption, client.UserInfoContent}
}

// IntrospectForm: see IDForm.
func IntrospectForm(client iam.Client) Form {
	return Form{TypeIntrospection, client.IntrospectAlg, client.IntrospectWrap, client.IntrospectContent}
}

// ResponseForm: see IDForm.
func ResponseForm(client iam.Client) Form {
	return Form{"JWT", client.ResponseAlg, client.ResponseEncryption, client.ResponseContent}
}

// Signature is the algorithm that signs the form.
func (f Form) Signature() jose.Alg {
	if f.Alg == "" {
		return jose.ES256
	}
	return jose.Alg(f.Alg)
}

// Writer signs what the server says to a client, and encrypts it to the client where it registered so.
type Writer struct {
	Keys  Signers
	Locks Locks // nil: nobody's answers are encrypted
}

// Write signs claims, and nests what it signed in a JWE if the form wants that (RFC 7519 section 11.2): what is encrypted
// is always signed first.
func (w Writer) Write(ctx context.Context, client iam.Client, form Form, claims any) (string, error) {
	signer, err := w.Keys.Signer(form.Signature())
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(form.Typ, claims)
	if err != nil || form.Wrap == "" {
		return signed, err
	}
	return w.Lock(ctx, client, form, "JWT", []byte(signed))
}

// Lock encrypts what is ready, of the content type that is named (cty), to the client.
func (w Writer) Lock(ctx context.Context, client iam.Client, form Form, content string, plain []byte) (string, error) {
	if w.Locks == nil {
		return "", errors.New("encrypt an answer: there is nobody to ask for the client's key")
	}
	alg, enc := jose.KeyAlg(form.Wrap), jose.ContentAlg(form.Content)
	if enc == "" {
		enc = jose.A128CBCHS256
	}
	key, err := w.Locks.EncryptionKey(ctx, client, alg)
	var down interface{ Unavailable() bool }
	if err != nil && oauth.CodeOf(err) == "" && !(errors.As(err, &down) && down.Unavailable()) { // its keys are the client's to mend
		err = oauth.InvalidRequest("the client has no key that can be read to which the answer could be encrypted").Because(err)
	}
	if err != nil {
		return "", err
	}
	return key.Encrypt(alg, enc, form.Typ, content, plain)
}
