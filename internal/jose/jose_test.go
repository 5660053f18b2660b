package jose_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"io"
	"math/big"
	"sync"
	"testing"

	gojose "github.com/go-jose/go-jose/v4"

	"github.com/gardeauth/garde/internal/jose"
)

// keyring makes each key once: RSA keys are slow to come by.
var keyring sync.Map

func key(t testing.TB, alg jose.Alg) crypto.Signer {
	t.Helper()
	if known, ok := keyring.Load(alg); ok {
		return known.(crypto.Signer)
	}
	made, err := jose.GenerateKey(alg)
	if err != nil {
		t.Fatal(err)
	}
	known, _ := keyring.LoadOrStore(alg, made)
	return known.(crypto.Signer)
}

func signer(t testing.TB, alg jose.Alg) *jose.Signer {
	return &jose.Signer{KeyID: "k-" + string(alg), Alg: alg, Key: key(t, alg)}
}

func sign(t testing.TB, s *jose.Signer) string {
	t.Helper()
	token, err := s.Sign("at+jwt", map[string]any{"sub": "alice", "exp": 1_900_000_000})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func parse(t testing.TB, token string) jose.Unverified {
	t.Helper()
	parsed, err := jose.Parse(token)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func TestEveryAlgorithmSignsWhatOthersVerify(t *testing.T) {
	for _, alg := range jose.Algs() {
		t.Run(string(alg), func(t *testing.T) {
			s := signer(t, alg)
			token := sign(t, s)
			payload, err := parse(t, token).Verify(s.Key.Public(), alg)
			if err != nil || string(payload) != `{"exp":1900000000,"sub":"alice"}` {
				t.Fatalf("ours: %s %v", payload, err)
			}
			if alg == jose.Ed25519 {
				return // go-jose knows the algorithm by its older name only
			}
			other, err := gojose.ParseSignedCompact(token, []gojose.SignatureAlgorithm{gojose.SignatureAlgorithm(alg)})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := other.Verify(s.Key.Public()); err != nil {
				t.Errorf("go-jose refuses our signature: %v", err)
			}
			theirs, err := gojose.NewSigner(gojose.SigningKey{Algorithm: gojose.SignatureAlgorithm(alg), Key: s.Key}, nil)
			if err != nil {
				t.Fatal(err)
			}
			signed, err := theirs.Sign([]byte(`{"a":1}`))
			if err != nil {
				t.Fatal(err)
			}
			compact, _ := signed.CompactSerialize()
			if _, err := parse(t, compact).Verify(s.Key.Public(), alg); err != nil {
				t.Errorf("we refuse the signature of go-jose: %v", err)
			}
		})
	}
}

func TestHeaderOfWhatWeSign(t *testing.T) {
	header := parse(t, sign(t, signer(t, jose.ES256))).Header
	if header.Alg != jose.ES256 || header.Typ != "at+jwt" || header.KeyID != "k-ES256" {
		t.Errorf("%+v", header)
	}
	for name, bad := range map[string]*jose.Signer{
		"no key":                {KeyID: "k", Alg: jose.ES256},
		"no algorithm":          {KeyID: "k", Key: key(t, jose.ES256)},
		"another curve":         {KeyID: "k", Alg: jose.ES384, Key: key(t, jose.ES256)},
		"no kid":                {Alg: jose.ES256, Key: key(t, jose.ES256)},
		"a kid that breaks out": {KeyID: `k","alg":"none`, Alg: jose.ES256, Key: key(t, jose.ES256)},
		"none":                  {KeyID: "k", Alg: "none", Key: key(t, jose.ES256)},
	} {
		if _, err := bad.Sign("JWT", 1); err == nil {
			t.Errorf("%s: signed", name)
		}
	}
	if _, err := signer(t, jose.ES256).Sign(`"`, 1); err == nil {
		t.Error("a typ that breaks out: signed")
	}
}

// derSigner stands for a KMS: it is only a crypto.Signer, and gives what it is told to give.
type derSigner struct {
	crypto.Signer
	gives []byte
}

func (d derSigner) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if d.gives != nil {
		return d.gives, nil
	}
	return d.Signer.Sign(random, digest, opts)
}

func TestKeyElsewhere(t *testing.T) {
	remote := &jose.Signer{KeyID: "kms", Alg: jose.ES256, Key: derSigner{Signer: key(t, jose.ES256)}}
	if _, err := parse(t, sign(t, remote)).Verify(remote.Key.Public(), jose.ES256); err != nil {
		t.Error(err)
	}
	for name, der := range map[string][]byte{
		"nothing":        {},
		"not a sequence": {2, 1, 1},
		"rest":           {0x30, 6, 2, 1, 1, 2, 1, 1, 0},
		"negative":       {0x30, 6, 2, 1, 0x81, 2, 1, 1},
	} {
		broken := &jose.Signer{KeyID: "kms", Alg: jose.ES256, Key: derSigner{key(t, jose.ES256), der}}
		if _, err := broken.Sign("JWT", 1); err == nil {
			t.Errorf("%s: became a token", name)
		}
	}
}

func TestT22J32WeakKeys(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	good := key(t, jose.RS256).Public().(*rsa.PublicKey)
	huge := new(big.Int).Lsh(big.NewInt(1), 9000)
	for name, row := range map[string]struct {
		alg jose.Alg
		key crypto.PublicKey
	}{
		"RSA with 1024 bits":     {jose.RS256, &small.PublicKey},
		"RSA with 9000 bits":     {jose.PS256, &rsa.PublicKey{N: huge.Add(huge, big.NewInt(1)), E: 65537}},
		"exponent 3":             {jose.RS256, &rsa.PublicKey{N: good.N, E: 3}},
		"even exponent":          {jose.RS256, &rsa.PublicKey{N: good.N, E: 65538}},
		"even modulus":           {jose.PS256, &rsa.PublicKey{N: new(big.Int).Sub(good.N, big.NewInt(1)), E: 65537}},
		"no modulus":             {jose.PS256, &rsa.PublicKey{E: 65537}},
		"short Ed25519":          {jose.EdDSA, ed25519.PublicKey{1, 2, 3}},
		"nil EC key":             {jose.ES256, (*ecdsa.PublicKey)(nil)},
		"no key":                 {jose.ES256, nil},
		"a secret":               {jose.ES256, []byte("secret")},
		"HS256":                  {"HS256", []byte("0123456789012345678901234567890123456789")},
		"J10 ES256 with P-384":   {jose.ES256, key(t, jose.ES384).Public()},
		"J10 EdDSA with EC":      {jose.EdDSA, key(t, jose.ES256).Public()},
		"RSA key for ES256":      {jose.ES256, good},
		"private instead":        {jose.ES256, key(t, jose.ES256)},
		"the algorithm is empty": {"", key(t, jose.ES256).Public()},
	} {
		if row.alg.Fits(row.key) == nil {
			t.Errorf("%s: fits", name)
		}
	}
}

func TestPrivateKeysSurviveKeeping(t *testing.T) {
	for _, alg := range jose.Algs() {
		der, err := jose.MarshalPrivate(key(t, alg))
		if err != nil {
			t.Fatal(err)
		}
		back, err := jose.ParsePrivate(der)
		if err != nil {
			t.Fatal(err)
		}
		s := &jose.Signer{KeyID: "k", Alg: alg, Key: back}
		if _, err := parse(t, sign(t, s)).Verify(key(t, alg).Public(), alg); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
	if _, err := jose.ParsePrivate([]byte("nothing")); err == nil {
		t.Error("nonsense was a key")
	}
	if _, err := jose.GenerateKey("HS256"); err == nil {
		t.Error("made a key for HS256")
	}
}

func BenchmarkBareES256(b *testing.B) {
	private := key(b, jose.ES256).(*ecdsa.PrivateKey)
	sum := sha256.Sum256(make([]byte, 600))
	for b.Loop() {
		if _, err := ecdsa.SignASN1(rand.Reader, private, sum[:]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	for _, alg := range []jose.Alg{jose.ES256, jose.EdDSA, jose.RS256} {
		b.Run(string(alg), func(b *testing.B) {
			s := signer(b, alg)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.SignBytes("at+jwt", benchClaims); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSignGoJose(b *testing.B) {
	opts := (&gojose.SignerOptions{}).WithType("at+jwt").WithHeader("kid", "k")
	s, err := gojose.NewSigner(gojose.SigningKey{Algorithm: gojose.ES256, Key: key(b, jose.ES256)}, opts)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		signed, err := s.Sign(benchClaims)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := signed.CompactSerialize(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	s := signer(b, jose.ES256)
	token, _ := s.SignBytes("at+jwt", benchClaims)
	public := s.Key.Public()
	b.ReportAllocs()
	for b.Loop() {
		parsed, err := jose.Parse(token)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := parsed.Verify(public, jose.ES256); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBareVerifyES256(b *testing.B) {
	private := key(b, jose.ES256).(*ecdsa.PrivateKey)
	message := make([]byte, 600)
	sum := sha256.Sum256(message)
	signature, _ := ecdsa.SignASN1(rand.Reader, private, sum[:])
	for b.Loop() {
		sum := sha256.Sum256(message)
		if !ecdsa.VerifyASN1(&private.PublicKey, sum[:], signature) {
			b.Fatal("no")
		}
	}
}

func BenchmarkParse(b *testing.B) {
	token, _ := signer(b, jose.ES256).SignBytes("at+jwt", benchClaims)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := jose.Parse(token); err != nil {
			b.Fatal(err)
		}
	}
}
