package request_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/server/request"
	"github.com/gardeauth/garde/recipe"
)

func front(changes ...string) string {
	return asking("front", append([]string{"redirect_uri", "https://front.example/cb", "nonce", "n-1"}, changes...)...).Encode()
}

func TestC15C16ResponseTypes(t *testing.T) {
	h := open(t)
	for text, want := range map[string]oauth.ResponseType{
		"code": oauth.TypeCode, "id_token": oauth.TypeIDToken, "id_token token": oauth.TypeIDTokenToken, "token id_token": oauth.TypeIDTokenToken,
		"code id_token": oauth.TypeCodeIDToken, "id_token code": oauth.TypeCodeIDToken, "code token": oauth.TypeCodeToken,
		"token code": oauth.TypeCodeToken, "token id_token code": oauth.TypeCodeIDTokenToken,

		"token": "", "none": "", "code code": "", "code  code": "", "id_token id_token": "", "code none": "", "CODE": "", " code": "", "code\tid_token": "", "code,id_token": "",
	} {
		asked, err := h.parse(t, front("response_type", text))
		switch {
		case want != "" && (err != nil || asked.Type != want):
			t.Errorf("%q is read as %+v, %v", text, asked, err)
		case want == "" && oauth.CodeOf(err) != "unsupported_response_type":
			t.Errorf("%q: %v", text, err)
		}
		if err == nil {
			if again, err := h.parser.Again(t.Context(), asked.Query()); err != nil || again.Type != want {
				t.Errorf("%q is kept as %s: %v", text, asked.Query(), err)
			}
		}
	}
}

// Everything but a code is for clients with an exception that has not run out, of a kind that can have one.
func TestFrontChannelTypesAreExceptions(t *testing.T) {
	h := open(t)
	late := func() string {
		return asking("late", "redirect_uri", "https://front.example/cb", "nonce", "n-1", "response_type", "id_token").Encode()
	}
	if _, err := h.parse(t, late()); err != nil {
		t.Fatalf("within its time: %v", err)
	}
	for name, query := range map[string]string{
		"another client":     asking("web", "response_type", "code id_token", "nonce", "n-1").Encode(),
		"one for less":       asking("late", "redirect_uri", "https://front.example/cb", "nonce", "n-1", "response_type", "code id_token").Encode(),
		"a native one":       asking("cli", "redirect_uri", "com.bank.app:/cb", "response_type", "id_token", "nonce", "n-1").Encode(),
		"a client for codes": asking("jar", "redirect_uri", "https://jar.example/cb", "response_type", "id_token", "nonce", "n-1").Encode(),
	} {
		if _, err := h.parse(t, query); oauth.CodeOf(err) != "unsupported_response_type" {
			t.Errorf("%s: %v", name, err)
		}
	}
	h.now = h.now.AddDate(0, 0, 12)
	if _, err := h.parse(t, late()); oauth.CodeOf(err) != "unsupported_response_type" {
		t.Errorf("when it has run out: %v", err)
	}
}

func TestC25WhatTheFrontChannelNeeds(t *testing.T) {
	h := open(t)
	for _, text := range []string{"id_token", "id_token token", "code id_token", "code id_token token"} {
		if _, err := h.parse(t, front("response_type", text, "nonce", "-")); oauth.CodeOf(err) != "invalid_request" {
			t.Errorf("%s without a nonce: %v", text, err)
		}
		if _, err := h.parse(t, front("response_type", text, "scope", "email")); oauth.CodeOf(err) != "invalid_request" {
			t.Errorf("%s without openid: %v", text, err)
		}
	}
	if _, err := h.parse(t, front("response_type", "code token", "nonce", "-")); err != nil {
		t.Errorf("code token without a nonce: %v", err)
	}
	for text, need := range map[string]bool{"id_token": false, "id_token token": false, "code id_token": true, "code token": true} {
		_, err := h.parse(t, front("response_type", text, "code_challenge", "-", "code_challenge_method", "-"))
		if (oauth.CodeOf(err) == "invalid_request") != need || !need && err != nil {
			t.Errorf("C07 %s without PKCE: %v", text, err)
		}
	}
}

func TestR28Modes(t *testing.T) {
	h := open(t)
	for name, c := range map[string]struct {
		response, mode string
		want           oauth.ResponseMode
		refused        bool
	}{
		"a code":                  {"code", "", oauth.ModeQuery, false},
		"a token":                 {"id_token token", "", oauth.ModeFragment, false},
		"hybrid":                  {"code id_token", "", oauth.ModeFragment, false},
		"posted":                  {"code id_token", "form_post", oauth.ModeFormPost, false},
		"a code by fragment":      {"code", "fragment", oauth.ModeFragment, false},
		"jwt of a code":           {"code", "jwt", oauth.ModeQueryJWT, false},
		"jwt of hybrid":           {"code id_token", "jwt", oauth.ModeFragmentJWT, false},
		"query.jwt":               {"code", "query.jwt", oauth.ModeQueryJWT, false},
		"fragment.jwt":            {"code", "fragment.jwt", oauth.ModeFragmentJWT, false},
		"form_post.jwt":           {"code token", "form_post.jwt", oauth.ModeFormPostJWT, false},
		"a token by query":        {"id_token token", "query", oauth.ModeFragment, true},
		"hybrid by query":         {"code token", "query", oauth.ModeFragment, true},
		"a token by query.jwt":    {"code id_token", "query.jwt", oauth.ModeFragmentJWT, true},
		"web_message":             {"code", "web_message", oauth.ModeQuery, true},
		"a junk mode of hybrid":   {"code id_token", "junk", oauth.ModeFragment, true},
		"an unknown type's error": {"token", "", oauth.ModeFragment, true},
		"in upper case":           {"code", "FRAGMENT", oauth.ModeQuery, true},
		"two at once":             {"code", "query fragment", oauth.ModeQuery, true},
		"dot jwt alone":           {"code", ".jwt", oauth.ModeQuery, true},
	} {
		t.Run(name, func(t *testing.T) {
			asked, err := h.parse(t, front("response_type", c.response, "response_mode", c.mode))
			var refusal *request.Refusal
			if errors.As(err, &refusal) {
				asked = refusal.Request
			}
			if c.refused != (err != nil) || asked == nil || asked.Mode != c.want {
				t.Errorf("mode of %+v, error %v", asked, err)
			}
		})
	}
}

func TestC07NoPKCEByExceptionOnly(t *testing.T) {
	h := open(t)
	ask := func(client string, changes ...string) error {
		_, err := h.parse(t, asking(client, append([]string{
			"redirect_uri", "https://front.example/cb", "nonce", "n-1", "code_challenge", "-", "code_challenge_method", "-",
		}, changes...)...).Encode())
		return err
	}
	if err := ask("nonce"); err != nil {
		t.Errorf("by exception, with a nonce: %v", err)
	}
	if err := ask("bare", "nonce", "-"); err != nil {
		t.Errorf("by two exceptions, without a nonce: %v", err)
	}
	for name, err := range map[string]error{
		"without a nonce": ask("nonce", "nonce", "-"), "another client": ask("front"),
		"a nonce that no ID token will bear": ask("nonce", "scope", "accounts.read"),
		"a method without a challenge":       ask("nonce", "code_challenge_method", "S256"),
		"plain":                              ask("nonce", "code_challenge_method", "plain", "code_challenge", challenge),
	} {
		if oauth.CodeOf(err) != "invalid_request" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatDiscoveryMaySay(t *testing.T) {
	said := &recipe.Recipe{}
	if got := request.PromptsOf(said); slices.Contains(got, "create") {
		t.Errorf("prompts %v", got)
	}
	said.SignIn.SignUp = true
	if got := request.PromptsOf(said); !slices.Contains(got, "create") || slices.Contains(request.Prompts, "create") {
		t.Errorf("prompts %v", got)
	}
}

func TestGrantTypes(t *testing.T) {
	h := open(t)
	known, err := h.tenant.Client(t.Context(), "front")
	must(t, err)
	for name, c := range map[string]struct {
		grants         []oauth.GrantType
		response, code string
	}{
		"C18 a code without its grant":    {[]oauth.GrantType{oauth.Implicit}, "code", "unauthorized_client"},
		"C18 hybrid without it":           {[]oauth.GrantType{oauth.Implicit}, "code id_token", "unauthorized_client"},
		"C18 a token without implicit":    {[]oauth.GrantType{oauth.AuthorizationCode}, "id_token token", "unauthorized_client"},
		"a code with its grant":           {[]oauth.GrantType{oauth.AuthorizationCode}, "code", ""},
		"hybrid needs no more than codes": {[]oauth.GrantType{oauth.AuthorizationCode}, "code id_token", ""},
		"a token with implicit":           {[]oauth.GrantType{oauth.Implicit}, "id_token token", ""},
	} {
		client := known
		client.Grants = c.grants
		_, err := h.parser.ParseOf(t.Context(), request.Pushed, client, formOf(t, front("response_type", c.response)))
		if oauth.CodeOf(err) != c.code || c.code == "" && err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPromptCreateWhereOneMaySignUp(t *testing.T) {
	h := open(t)
	policy := *h.parser.Policy()
	policy.Recipe.SignIn.SignUp = true
	h.parser.Policy = func() *assurance.Policy { return &policy }
	asked, err := h.parse(t, asking("web", "prompt", "create").Encode())
	if err != nil || !asked.Prompted("create") {
		t.Fatalf("read as %+v, %v", asked, err)
	}
	if _, err := h.parse(t, asking("web", "prompt", "none create").Encode()); oauth.CodeOf(err) != "invalid_request" {
		t.Errorf("with none: %v", err)
	}
}
