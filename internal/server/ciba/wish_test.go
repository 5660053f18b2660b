package ciba

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
)

// oneKey is the key of the only client there is.
type oneKey struct{ key jose.PublicKey }

func (k oneKey) For(context.Context, iam.Client, jose.Header) (jose.PublicKey, error) {
	return k.key, nil
}

func FuzzLoginHintToken(f *testing.F) {
	private, err := jose.GenerateKey(jose.ES256)
	if err != nil {
		f.Fatal(err)
	}
	signer := &jose.Signer{Key: private, Alg: jose.ES256, KeyID: "k"}
	now := time.Unix(1_800_000_000, 0)
	endpoint := &Endpoint{
		Issuer: "https://id.example", Now: func() time.Time { return now },
		Keys: oneKey{jose.PublicKey{KeyID: "k", Alg: jose.ES256, Key: private.Public()}},
	}
	good := `{"iss":"shop","aud":"https://id.example","iat":1799999990,"exp":1800000060,"sub_id":{"format":"email","email":"a@b.example"}}`
	for _, seed := range []string{
		good, `{}`, `{"iss":"shop","iss":"shop"}`, `[]`, `null`, strings.Replace(good, "1800000060", "1e300", 1), strings.Replace(good, `"https://id.example"`, `["https://id.example"]`, 1),
		strings.Replace(good, "sub_id", "Sub_id", 1), strings.Repeat("[", 2000), strings.Replace(good, "1800000060", "-1", 1),
	} {
		f.Add(seed, true)
	}
	f.Add("e30.e30.e30", false)
	f.Fuzz(func(t *testing.T, text string, sign bool) {
		token := text
		if sign {
			signed, err := signer.SignBytes("JWT", []byte(text))
			if err != nil {
				return
			}
			token = signed
		}
		said, err := endpoint.readHintToken(t.Context(), iam.Client{ID: "shop"}, token)
		if err != nil {
			if code := oauth.CodeOf(err); code != "invalid_request" && code != "expired_login_hint_token" {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		var audience string
		if !sign || said.Issuer != "shop" || json.Unmarshal(said.Audience, &audience) != nil || audience != endpoint.Issuer ||
			!now.Before(time.Unix(int64(said.Expires), 0)) || time.Unix(int64(said.Expires), 0).Sub(now) > time.Hour {
			t.Fatalf("believed: %q", token)
		}
	})
}

func FuzzWishes(f *testing.F) {
	for _, seed := range []string{"", "Till 7: 12.50 €", "\u202e", "a\nb", "   ", "300", "0", "-1", "99999999999", "a.b~c+d/e==", "=", "a=b", "a b", strings.Repeat("x", 2000)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if bounded(text) == nil && (utf8.RuneCountInString(text) > maxMessage || strings.ContainsAny(text, "\r\n\t\x00\u202e\u200b")) {
			t.Errorf("the message %q would be shown", text)
		}
		if life, err := expiry(text); err == nil && (life <= 0 || life > MaxLife) {
			t.Errorf("%q is a life of %v", text, life)
		}
		token, err := notification("ping", text)
		if err == nil && (token == "" || len(token) > maxToken || strings.ContainsAny(token, " \r\n\"\x00")) {
			t.Errorf("%q would stand in a header", token)
		}
		if kept, err := notification("poll", text); err != nil || kept != "" {
			t.Errorf("of a client that polls %q is kept", kept)
		}
	})
}

func TestV11WhatIsNotThereOpensNothing(t *testing.T) {
	endpoint := &Endpoint{Issuer: "https://id.example"}
	if _, err := endpoint.byHintToken(t.Context(), iam.Client{}, "x"); oauth.CodeOf(err) != "invalid_request" {
		t.Errorf("a hint token without keys: %v", err)
	}
	now := time.Now()
	if err := NewLimits(Budgets{Waiting: 1}, nil).ask("c", "u", []iam.Asked{{Expires: now.Add(time.Minute)}}, now); oauth.CodeOf(err) != "temporarily_unavailable" {
		t.Errorf("V11 one waits already: %v", err)
	}
	var told *oauth.Error
	if err := bounded(strings.Repeat("x", maxMessage+1)); !errors.As(err, &told) || told.Code != "invalid_binding_message" {
		t.Errorf("%v", err)
	}
}
