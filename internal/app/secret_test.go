package app

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
)

// Should a secret of ours ever get to the logger, it does not get further: neither to the log nor to what is remembered of
// refusals, in whatever place of a record it stands.
func TestJ37TheLoggerTakesSecretsOut(t *testing.T) {
	private, err := jose.GenerateKey(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	signer := jose.Signer{KeyID: "k", Alg: jose.ES256, Key: private}
	signed, err := signer.Sign("at+jwt", map[string]string{"sub": "u"})
	if err != nil {
		t.Fatal(err)
	}
	opener, err := jose.GenerateOpener("k", jose.ECDHES)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := opener.Public().Encrypt(jose.ECDHES, jose.A256GCM, "JWT", "JWT", []byte(signed))
	if err != nil {
		t.Fatal(err)
	}
	secrets := map[string]string{"a signed token": signed, "an encrypted token": sealed}
	for _, prefix := range []string{
		iam.PrefixCode, iam.PrefixRefresh, iam.PrefixAccess, iam.PrefixSession, iam.PrefixFlow, iam.PrefixLink, iam.PrefixClient,
		iam.PrefixPushed, iam.PrefixDevice, iam.PrefixCIBA, iam.PrefixKeeper, iam.PrefixInitial,
	} {
		secrets[prefix] = iam.NewSecret(prefix)
	}
	for kind, secret := range secrets {
		t.Run(kind, func(t *testing.T) {
			var out bytes.Buffer
			refusals := NewRefusals()
			log := slog.New(refusals.Tee(redacted(slog.NewJSONHandler(&out, nil))))
			log.Info("it was " + secret + ".")
			log.With("kept", secret).WithGroup("inner").Info("refused", "trace", "t-1", "why", errors.New("no "+secret), "url", "/cb?code="+secret+"&x")
			log.Info("a group", slog.Group("deep", "value", secret, slog.Group("deeper", "value", []string{secret})))
			found, known := refusals.Find("t-1")
			if !known {
				t.Fatal("the refusal is not remembered")
			}
			for name, text := range found.Fields {
				if strings.Contains(text, secret) {
					t.Errorf("%s is remembered with it: %s", name, text)
				}
			}
			if strings.Contains(out.String(), secret) || strings.Count(out.String(), "[secret]") != 6 {
				t.Errorf("the log says %s", out.String())
			}
		})
	}
}

// A secret that a person chose is long, or it opens nothing.
func TestA05AShortSecretOfAClientIsNone(t *testing.T) {
	dir := t.TempDir()
	for name, row := range map[string]struct {
		text string
		good bool
	}{
		"32 characters": {strings.Repeat("s", 32), true}, "31": {strings.Repeat("s", 31), false}, "T10 none": {"", false}, "T10 a line end": {"\n", false},
		"31 and a line end": {strings.Repeat("s", 31) + "\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			file := strings.ReplaceAll(name, " ", "-")
			if err := os.WriteFile(filepath.Join(dir, file), []byte(row.text), 0o600); err != nil {
				t.Fatal(err)
			}
			hash, err := (&secrets{dir: dir}).digest("file:" + file)
			if (err == nil) != row.good || row.good == hash.Zero() {
				t.Errorf("%v %v", hash, err)
			}
			if err != nil && row.text != "" && strings.Contains(err.Error(), "sss") {
				t.Errorf("A08 the error tells it: %v", err)
			}
		})
	}
}
