package conform_test

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/lab"
	"github.com/gardeauth/garde/recipe"
)

// TestFAPI2RequestObjects: which signed requests are taken (FAPI 2.0 Message Signing section 5.3.1, RFC 9101).
func TestFAPI2RequestObjects(t *testing.T) {
	h, p, other := fapi(t, recipe.FAPI2Messages)
	now := func() int64 { return h.Clock.Now().Unix() }
	push := func(form url.Values) lab.Reply {
		h.Pass(time.Second)
		return p.send(t, par, proven(t, p, form), p.key.Show("POST", p.at(par), ""))
	}
	query := func() url.Values { return p.ask("openid payments.write") }
	for name, row := range map[string]struct {
		twist func(members)
		code  string
	}{
		"honest":                             {nil, ""},
		"aud is a list with the issuer":      {func(c members) { c["aud"] = []string{h.Issuer, "https://other.example"} }, ""},
		"nbf is eight seconds ahead":         {func(c members) { c["nbf"] = now() + 8 }, ""},
		"it lives for 60 minutes":            {func(c members) { c["exp"] = now() + 3590; c["nbf"] = now() }, ""},
		"without jti":                        {func(c members) { delete(c, "jti") }, ""},
		"P13 without exp":                    {func(c members) { delete(c, "exp") }, "invalid_request_object"},
		"P13 without nbf":                    {func(c members) { delete(c, "nbf") }, "invalid_request_object"},
		"P13 it lives for 70 minutes":        {func(c members) { c["exp"] = now() + 4200 }, "invalid_request_object"},
		"P13 nbf was 70 minutes ago":         {func(c members) { c["nbf"] = now() - 4200; c["exp"] = now() + 60 }, "invalid_request_object"},
		"P13 nbf is a minute ahead":          {func(c members) { c["nbf"] = now() + 60 }, "invalid_request_object"},
		"P13 exp was five minutes ago":       {func(c members) { c["exp"] = now() - 300; c["nbf"] = now() - 400 }, "invalid_request_object"},
		"P13 aud is another server":          {func(c members) { c["aud"] = "https://as.example" }, "invalid_request_object"},
		"P13 without aud":                    {func(c members) { delete(c, "aud") }, "invalid_request_object"},
		"P13 iss is another client":          {func(c members) { c["iss"] = other.id }, "invalid_request_object"},
		"P13 without iss":                    {func(c members) { delete(c, "iss") }, "invalid_request_object"},
		"P11 client_id is another client":    {func(c members) { c["client_id"] = other.id }, "invalid_request_object"},
		"P15 sub is the client":              {func(c members) { c["sub"] = p.id }, "invalid_request_object"},
		"P08 it holds a request_uri":         {func(c members) { c["request_uri"] = "urn:x" }, "invalid_request_object"},
		"it holds a request":                 {func(c members) { c["request"] = "a.b.c" }, "invalid_request_object"},
		"no PKCE in it":                      {func(c members) { delete(c, "code_challenge"); delete(c, "code_challenge_method") }, "invalid_request"},
		"plain PKCE in it":                   {func(c members) { c["code_challenge_method"] = "plain" }, "invalid_request"},
		"an unregistered redirect URI":       {func(c members) { c["redirect_uri"] = "https://evil.example/cb" }, "invalid_request"},
		"no response_type in it":             {func(c members) { delete(c, "response_type") }, "invalid_request"},
		"a scope that the client can't have": {func(c members) { c["scope"] = "ledger.read" }, "invalid_scope"},
	} {
		t.Run(name, func(t *testing.T) {
			reply := push(lab.Form("request", p.object(t, query(), row.twist)))
			if row.code == "" {
				p.pushed(t, reply)
			} else {
				refused(t, reply, 400, row.code)
			}
		})
	}
	signedBy := func(alg jose.Alg) string {
		stolen := *p
		private, err := jose.GenerateKey(alg)
		must(t, err)
		stolen.signer = &jose.Signer{KeyID: p.signer.KeyID, Alg: alg, Key: private}
		return stolen.object(t, query(), nil)
	}
	honest := p.object(t, query(), nil)
	parts := strings.Split(honest, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"oauth-authz-req+jwt"}`))
	for name, object := range map[string]string{
		"P10 alg none": none + "." + parts[1] + ".", "P10 RS256": signedBy(jose.RS256), "P10 another key": signedBy(jose.ES256),
		"P10 a bad signature":      parts[0] + "." + parts[1] + "." + strings.Repeat("A", 86),
		"P10 another client's key": other.object(t, query(), func(c members) { c["iss"] = p.id }),
		"P15 a client assertion":   p.assertion(t, nil),
		"encrypted to nobody":      "eyJhbGciOiJFQ0RILUVTIiwiZW5jIjoiQTI1NkdDTSJ9.AA.AA.AA.AA",
		"a JSON object":            "{}",
	} {
		t.Run(name, func(t *testing.T) { refused(t, push(lab.Form("request", object)), 400, "invalid_request_object") })
	}
	t.Run("P10 an unsigned push", func(t *testing.T) {
		form := query()
		refused(t, push(form), 400, "invalid_request")
	})
	t.Run("P13 the same object twice", func(t *testing.T) {
		object := p.object(t, query(), nil)
		p.pushed(t, push(lab.Form("request", object)))
		refused(t, push(lab.Form("request", object)), 400, "invalid_request_object")
	})
	t.Run("P12 what stands beside the object is ignored", func(t *testing.T) {
		asked := query()
		form := lab.Form("request", p.object(t, asked, nil), "state", "evil", "nonce", "evil", "redirect_uri", "https://evil.example/cb", "scope", "accounts.read")
		b := newBrowser(t, h, h.NewPerson("alice"))
		address := p.pushed(t, push(form))
		sent := p.answered(t, p.pages(t, b, b.open(address)), asked)
		p.redeem(t, sent.Get("code"), asked)
	})
	t.Run("P12 what stands only beside the object is missing", func(t *testing.T) {
		asked := query()
		form := lab.Form("request", p.object(t, asked, func(c members) { delete(c, "redirect_uri") }), "redirect_uri", p.redirect())
		refused(t, push(form), 400, "invalid_request")
	})
	t.Run("P07 a signed request that was not pushed", func(t *testing.T) {
		end := p.at("authorization_endpoint") + "?" + lab.Form("client_id", p.id, "request", p.object(t, query(), nil)).Encode()
		if on := newBrowser(t, h, h.NewPerson("alice")).open(end); on.left != "" || on.status != 400 || on.code() != "invalid_request" {
			t.Errorf("%d %s %s", on.status, on.code(), on.left)
		}
	})
}

// TestSignedResponses (JARM): every way, errors too, and nothing beside the response.
func TestSignedResponses(t *testing.T) {
	h, p, other := fapi(t, recipe.FAPI2Messages)
	alice := h.NewPerson("alice")
	for mode, in := range map[string]string{"jwt": "query", "query.jwt": "query", "fragment.jwt": "fragment"} {
		t.Run("P16 "+mode, func(t *testing.T) {
			query := p.ask("openid payments.write", "response_mode", mode)
			b := newBrowser(t, h, alice)
			left := p.pages(t, b, b.open(p.push(t, query)))
			to, err := url.Parse(left)
			must(t, err)
			params := to.Query()
			if in == "fragment" {
				if to.RawQuery != "" {
					t.Errorf("%s", left)
				}
				params, err = url.ParseQuery(to.Fragment)
				must(t, err)
			}
			sent := p.judged(t, maps.Clone(params), query)
			p.redeem(t, sent.Get("code"), query)
			t.Run("it is of this client, and expires", func(t *testing.T) {
				claims := p.read(t, params.Get("response"), "")
				if claims["aud"] == other.id || claims["exp"] == nil || claims["code"] == "" {
					t.Errorf("%v", claims)
				}
			})
		})
	}
	t.Run("P16 form_post.jwt", func(t *testing.T) {
		query := p.ask("openid payments.write", "response_mode", "form_post.jwt")
		on := newBrowser(t, h, alice).open(p.push(t, query))
		posted, ok := formOf(t, on.body, "hand-over")
		if !ok || posted.action != p.redirect() {
			t.Fatalf("%d %s", on.status, on.body)
		}
		p.redeem(t, p.judged(t, posted.fields, query).Get("code"), query)
	})
	t.Run("P16 an error is signed too", func(t *testing.T) {
		query := p.ask("openid payments.write", "response_mode", "jwt", "prompt", "none")
		on := newBrowser(t, h, nil).open(p.push(t, query))
		if sent := p.answered(t, on.left, query); sent.Get("error") != "login_required" || sent.Has("code") {
			t.Errorf("%v", sent)
		}
	})
	t.Run("P16 a person who says no", func(t *testing.T) {
		query := p.ask("openid payments.write", "response_mode", "jwt", "prompt", "consent")
		b := newBrowser(t, h, alice)
		on := b.press(b.open(p.push(t, query)), "consent-deny")
		if sent := p.answered(t, on.left, query); sent.Get("error") != "access_denied" || sent.Has("code") {
			t.Errorf("%v", sent)
		}
	})
	t.Run("P16 what was changed under way is no answer", func(t *testing.T) {
		query := p.ask("openid payments.write", "response_mode", "jwt")
		b := newBrowser(t, h, alice)
		_, response, _ := strings.Cut(p.pages(t, b, b.open(p.push(t, query))), "response=")
		response, _, _ = strings.Cut(response, "#")
		parts := strings.Split(response, ".")
		raw, err := base64.RawURLEncoding.DecodeString(parts[1])
		must(t, err)
		claims := members{}
		must(t, json.Unmarshal(raw, &claims))
		claims["aud"] = other.id
		changed, err := json.Marshal(claims)
		must(t, err)
		if _, err := p.keys.VerifySignature(t.Context(), parts[0]+"."+base64.RawURLEncoding.EncodeToString(changed)+"."+parts[2]); err == nil {
			t.Error("it is believed")
		}
	})
}
