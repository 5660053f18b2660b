package token_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/token"
	"github.com/gardeauth/garde/recipe"
)

func TestX14SubjectsOfSectors(t *testing.T) {
	salt, other := []byte("a salt of thirty-two bytes or so"), []byte("another salt, of another storage")
	client := func(id, sector string) iam.Client {
		return iam.Client{ID: id, Sector: sector, Metadata: recipe.Metadata{SubjectType: "pairwise"}}
	}
	base := token.Subject(salt, client("a", "app.example"), "u-1")
	if !strings.HasPrefix(base, token.PairwisePrefix) || len(base) != 45 || strings.Contains(base, "u-1") {
		t.Fatalf("%q", base)
	}
	if got := token.Subject(salt, client("b", "app.example"), "u-1"); got != base {
		t.Errorf("two clients of one sector know %q and %q", base, got)
	}
	for name, got := range map[string]string{
		"another sector":                  token.Subject(salt, client("a", "other.example"), "u-1"),
		"another person":                  token.Subject(salt, client("a", "app.example"), "u-2"),
		"another salt":                    token.Subject(other, client("a", "app.example"), "u-1"),
		"no sector":                       token.Subject(salt, client("app.example", ""), "u-1"),
		"a sector that spells the person": token.Subject(salt, client("a", "app.exampleu"), "-1"),
	} {
		if got == base || got == "" {
			t.Errorf("%s: %q", name, got)
		}
	}
	if token.Subject(salt, client("a", ""), "u-1") == token.Subject(salt, client("b", ""), "u-1") {
		t.Error("two clients without a sector share one")
	}
	if got := token.Subject(nil, client("a", "app.example"), "u-1"); got != "" {
		t.Errorf("without a salt: %q", got)
	}
	if token.Subject(nil, iam.Client{ID: "a"}, "u-1") != "u-1" || token.Subject(salt, client("a", "app.example"), "") != "" {
		t.Error("public subjects are ids, and nobody stays nobody")
	}
}

func TestDetailsAreComparedAsTheyRead(t *testing.T) {
	const granted = `[{"type":"pay","amount":9007199254740993,"to":{"b":1,"a":"x"}},{"type":"read"}]`
	for name, row := range map[string]struct {
		text           string
		within, broken bool
	}{
		"nothing":                          {"", true, false},
		"all":                              {granted, true, false},
		"one":                              {`[{"type":"read"}]`, true, false},
		"another spelling":                 {`[ {"to": {"a":"\u0078","b":1}, "amount": 9007199254740993, "type":"pay"} ]`, true, false},
		"an amount that a float can't see": {`[{"type":"pay","amount":9007199254740992,"to":{"b":1,"a":"x"}}]`, false, false},
		"a member more":                    {`[{"type":"read","x":1}]`, false, false},
		"a member less":                    {`[{"type":"pay"}]`, false, false},
		"another type":                     {`[{"type":"write"}]`, false, false},
		"J19 a folded member":              {`[{"Type":"read"}]`, false, true},
		"J18 a doubled member":             {`[{"type":"read","type":"read"}]`, false, true},
		"J20 something after it":           {`[{"type":"read"}] x`, false, true},
		"an object":                        {`{"type":"read"}`, false, true},
		"texts":                            {`["read"]`, false, true},
		"null":                             {`null`, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			all, err := token.ReadDetails(granted)
			if err != nil {
				t.Fatal(err)
			}
			details, err := token.ReadDetails(row.text)
			if (err != nil) != row.broken || err == nil && details.Within(all) != row.within {
				t.Errorf("within %v, error %v", details.Within(all), err)
			}
		})
	}
}

func FuzzReadDetails(f *testing.F) {
	f.Add(`[{"type":"pay","amount":1.0e2}]`)
	f.Add(`[{"type":"a"},{"type":"a"}]`)
	f.Add(`[]`)
	f.Fuzz(func(t *testing.T, text string) {
		details, err := token.ReadDetails(text)
		if err != nil {
			return
		}
		if !details.Within(details) {
			t.Errorf("%q is not within itself", text)
		}
		again, err := token.ReadDetails(details.String())
		if err != nil || len(again) != len(details) || !again.Within(details) || !details.Within(again) {
			t.Errorf("%q becomes %q: %v", text, details.String(), err)
		}
	})
}

// ring holds one key of each kind.
type ring struct {
	signer *jose.Signer
	opener *jose.Opener
	err    error
}

func (r ring) Signer(alg jose.Alg) (*jose.Signer, error) {
	if alg != r.signer.Alg {
		return nil, iam.ErrUnavailable
	}
	return r.signer, nil
}

func (r ring) EncryptionKey(context.Context, iam.Client, jose.KeyAlg) (jose.EncryptionKey, error) {
	return r.opener.Public(), r.err
}

func TestWhatIsSaidToAClientIsInItsForm(t *testing.T) {
	private, err := jose.GenerateKey(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	opener, err := jose.GenerateOpener("c", jose.ECDHES)
	if err != nil {
		t.Fatal(err)
	}
	keys := ring{signer: &jose.Signer{KeyID: "k", Alg: jose.ES256, Key: private}, opener: opener}
	writer := token.Writer{Keys: keys, Locks: keys}
	said := map[string]any{"a": 1}
	form := token.UserInfoForm(iam.Client{Metadata: recipe.Metadata{UserInfoEncryption: "ECDH-ES", UserInfoContent: "A256GCM"}})

	plain, err := writer.Write(t.Context(), iam.Client{}, token.Form{Typ: "JWT"}, said)
	if err != nil || strings.Count(plain, ".") != 2 {
		t.Errorf("%q, %v", plain, err)
	}
	nested, err := writer.Write(t.Context(), iam.Client{}, form, said)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := jose.ParseEncrypted(nested)
	if err != nil || sealed.Header.Content != "JWT" || sealed.Header.Enc != jose.A256GCM {
		t.Fatalf("%+v, %v", sealed.Header, err)
	}
	inside, err := opener.Open(sealed)
	if err != nil {
		t.Fatal(err)
	}
	if signed, err := jose.Parse(string(inside)); err != nil || signed.Header.Alg != jose.ES256 {
		t.Errorf("J24 what is encrypted is not signed: %v", err)
	}
	for name, row := range map[string]struct {
		writer token.Writer
		form   token.Form
		code   string
	}{
		"no key that signs so":           {writer, token.Form{Typ: "JWT", Alg: "PS512"}, ""},
		"J01 none":                       {writer, token.Form{Typ: "JWT", Alg: "none"}, ""},
		"nobody knows the client's key":  {token.Writer{Keys: keys}, form, ""},
		"the client's key is no good":    {token.Writer{Keys: keys, Locks: ring{keys.signer, opener, errors.New("no such key")}}, form, "invalid_request"},
		"it can't be read now":           {token.Writer{Keys: keys, Locks: ring{keys.signer, opener, iam.ErrUnavailable}}, form, ""},
		"an encryption that is not ours": {writer, token.Form{Typ: "JWT", Wrap: "RSA1_5"}, ""},
		"a content that is not ours":     {writer, token.Form{Typ: "JWT", Wrap: "ECDH-ES", Content: "A192GCM"}, ""},
	} {
		text, err := row.writer.Write(t.Context(), iam.Client{}, row.form, said)
		if err == nil || text != "" || oauth.CodeOf(err) != row.code {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
}
