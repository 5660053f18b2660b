package request_test

import (
	"errors"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/server/request"
)

func byReference(uri string, beside ...string) string {
	return jar("byref", "", append([]string{"request_uri", uri}, beside...)...)
}

func TestP14AnExternalRequestURI(t *testing.T) {
	h := open(t)
	const kind = "application/oauth-authz-req+jwt"
	h.shelf["https://jar.example/r"] = document{h.sign(t, jose.ES256, typObject, h.object("byref", nil)) + "\n", kind}
	h.shelf["https://jar.example/text"] = document{h.shelf["https://jar.example/r"].body, "text/html"}
	h.shelf["https://evil.example/r"] = h.shelf["https://jar.example/r"]
	asked, err := h.parse(t, byReference("https://jar.example/r", "state", "outer"))
	if err != nil || !asked.Signed || asked.State != "inner" {
		t.Fatalf("read as %+v, %v", asked, err)
	}
	back := []string{"redirect_uri", "https://jar.example/cb"}
	before := h.asked
	for name, c := range map[string]struct{ query, code string }{
		"not registered":               {byReference("https://evil.example/r"), "invalid_request_uri"},
		"registered, and more":         {byReference("https://jar.example/r?x=1"), "invalid_request_uri"},
		"registered, other fragment":   {byReference("https://jar.example/r#v2"), "invalid_request_uri"},
		"plain http":                   {byReference("http://canary.example/"), "invalid_request_uri"},
		"a file":                       {byReference("file:///etc/passwd"), "invalid_request_uri"},
		"of the cloud":                 {byReference("http://169.254.169.254/latest"), "invalid_request_uri"},
		"a client without exception":   {jar("jar", "", "request_uri", "https://jar.example/r"), "request_uri_not_supported"},
		"both a value and a reference": {jar("byref", h.shelf["https://jar.example/r"].body, "request_uri", "https://jar.example/r"), "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := h.parse(t, c.query); oauth.CodeOf(err) != c.code {
				t.Errorf("error %v", err)
			}
		})
	}
	if h.asked != before {
		t.Errorf("%d addresses were fetched that nobody registered", h.asked-before)
	}
	for name, uri := range map[string]string{"of another type": "https://jar.example/text", "dead": "https://jar.example/dead"} {
		_, err := h.parse(t, byReference(uri, back...))
		var refusal *request.Refusal
		if oauth.CodeOf(err) != "invalid_request_uri" || !errors.As(err, &refusal) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheShelfAsksSeldom(t *testing.T) {
	h := open(t)
	h.shelf["https://jar.example/r"] = document{h.sign(t, jose.ES256, typObject, h.object("byref", nil)), "application/jwt; charset=utf-8"}
	fetches := func(uri string, want int) {
		t.Helper()
		before := h.asked
		for range 3 {
			_, _ = h.parse(t, byReference(uri))
		}
		if h.asked-before != want {
			t.Errorf("%s was fetched %d times, want %d", uri, h.asked-before, want)
		}
	}
	fetches("https://jar.example/r", 3)
	fetches("https://jar.example/r#v1", 1)
	fetches("https://jar.example/dead", 1)
	h.now = h.now.Add(11 * time.Second)
	fetches("https://jar.example/dead", 1)
	fetches("https://jar.example/r#v1", 0)
	h.now = h.now.Add(time.Minute)
	fetches("https://jar.example/r#v1", 1)
}

// pushed keeps a request as /par does and gives its request_uri.
func (h *house) pushed(t testing.TB, client string, query string) string {
	t.Helper()
	asked, err := h.push(client)(t, query)
	must(t, err)
	uri := iam.RequestURN + iam.NewSecret(iam.PrefixPushed)
	must(t, h.parser.Waiting.Push(t.Context(), iam.Pushed{
		Hash: iam.HashPushed(uri), Client: client, Query: asked.Query(), Created: h.now, Expires: h.now.Add(90 * time.Second),
	}, 10))
	return uri
}

func TestP02P04P06WhatWasPushedWins(t *testing.T) {
	h := open(t)
	query := asking("pushing", "redirect_uri", "https://jar.example/cb", "nonce", "n-1").Encode()
	uri := h.pushed(t, "pushing", query)
	front := []string{
		"request_uri", uri, "redirect_uri", "https://evil.example/cb", "scope", "openid accounts.read", "state", "outer", "nonce", "outer",
		"response_type", "token", "code_challenge", "x", "response_mode", "fragment", "request", "x", "prompt", "none",
	}
	for range 2 { // a reload is no second use
		asked, err := h.parse(t, jar("pushing", "", front...))
		must(t, err)
		if asked.RedirectURI != "https://jar.example/cb" || asked.Scope.String() != "openid" || asked.State != "st" || asked.Nonce != "n-1" ||
			asked.Mode != oauth.ModeQuery || asked.Pushed != iam.HashPushed(uri) || len(asked.Prompt) != 0 {
			t.Fatalf("read as %+v", asked)
		}
		again, err := h.parser.Again(t.Context(), asked.Query())
		if err != nil || again.Pushed != asked.Pushed || again.Query() != asked.Query() {
			t.Fatalf("kept as %s, read as %+v, %v", asked.Query(), again, err)
		}
	}
	refused := func(what, query string) {
		t.Helper()
		_, err := h.parse(t, query)
		var refusal *request.Refusal
		if oauth.CodeOf(err) != "invalid_request_uri" || errors.As(err, &refusal) {
			t.Errorf("%s: %v", what, err)
		}
	}
	refused("P02 another client", jar("jar", "", "request_uri", uri))
	refused("P05 never pushed", jar("pushing", "", "request_uri", iam.RequestURN+iam.NewSecret(iam.PrefixPushed)))
	refused("C20 a code in its place", jar("pushing", "", "request_uri", iam.RequestURN+iam.NewSecret(iam.PrefixCode)))
	refused("P04 malformed", jar("pushing", "", "request_uri", iam.RequestURN+"x"))
	late := h.pushed(t, "pushing", query)
	h.now = h.now.Add(91 * time.Second)
	refused("P04 too late", jar("pushing", "", "request_uri", late))
	if _, err := h.parse(t, jar("pushing", "", "request_uri", uri)); err != nil {
		t.Errorf("it has arrived, and lives as long as the sign-in: %v", err)
	}
	h.now = h.now.Add(request.ArrivalLife)
	refused("P04 after that", jar("pushing", "", "request_uri", uri))
	must(t, h.parser.Waiting.EndPushed(t.Context(), iam.HashPushed(uri)))
	refused("P03 ended", jar("pushing", "", "request_uri", uri))
}

func TestP08P09WhatMayNotBePushed(t *testing.T) {
	h := open(t)
	base := []string{"redirect_uri", "https://jar.example/cb"}
	for name, c := range map[string]struct{ query, code string }{
		"P08 a request_uri":              {asking("pushing", append(base, "request_uri", iam.RequestURN+"x")...).Encode(), "invalid_request"},
		"P08 an external one":            {asking("byref", append(base, "request_uri", "https://jar.example/r")...).Encode(), "invalid_request"},
		"P09 an unregistered redirect":   {asking("pushing", "redirect_uri", "https://new.example/cb").Encode(), "invalid_request"},
		"P02 another client_id":          {asking("jar", base...).Encode(), "invalid_request"},
		"C07 no challenge":               {asking("pushing", append(base, "code_challenge", "-")...).Encode(), "invalid_request"},
		"a mark of ours":                 {asking("pushing", append(base, "garde.signed", "1", "garde.pushed", challenge)...).Encode(), ""},
		"no client_id, which was proved": {asking("pushing", append(base, "client_id", "-")...).Encode(), ""},
	} {
		t.Run(name, func(t *testing.T) {
			asked, err := h.push("pushing")(t, c.query)
			if name == "P08 an external one" {
				asked, err = h.push("byref")(t, c.query)
			}
			if oauth.CodeOf(err) != c.code || c.code == "" && err != nil {
				t.Fatalf("error %v", err)
			}
			var refusal *request.Refusal
			if errors.As(err, &refusal) {
				t.Error("an error of /par would be redirected")
			}
			if err == nil && (asked.Signed || asked.Pushed != iam.PushedHash{} || asked.Client.ID != "pushing") {
				t.Errorf("read as %+v", asked)
			}
		})
	}
	if asked, err := h.parse(t, asking("web", "garde.signed", "1", "garde.pushed", challenge).Encode()); err != nil || asked.Signed || asked.Pushed != (iam.PushedHash{}) {
		t.Errorf("a browser marks its request: %v", err)
	}
}

func TestBindingARequestToAKey(t *testing.T) {
	h := open(t)
	other := "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
	asked, err := h.parse(t, asking("web", "dpop_jkt", challenge).Encode())
	must(t, err)
	if asked.JKT != challenge {
		t.Errorf("the key is %q", asked.JKT)
	}
	if err := asked.BindTo(other); oauth.CodeOf(err) != "invalid_dpop_proof" || asked.JKT != challenge {
		t.Errorf("another key: %v", err)
	}
	must(t, asked.BindTo(challenge))
	free, err := h.parse(t, asking("web").Encode())
	must(t, err)
	must(t, free.BindTo(other))
	if again, err := h.parser.Again(t.Context(), free.Query()); err != nil || again.JKT != other {
		t.Errorf("the key is not kept: %v", err)
	}
}

// The other doors read the same words by the same steps.
func TestDeviceAndBackchannel(t *testing.T) {
	h := open(t)
	client, err := h.tenant.Client(t.Context(), "jar")
	must(t, err)
	details := `[{"type":"payment","creditor":"A","amount":{"value":"1.00","currency":"EUR"}}]`
	for name, c := range map[string]struct {
		door  request.Door
		query string
		code  string
	}{
		"device":                            {request.Device, "scope=openid+payments.write&acr_values=a&authorization_details=" + details, ""},
		"device, unknown scope":             {request.Device, "scope=nothing", "invalid_scope"},
		"device, unknown resource":          {request.Device, "scope=openid&resource=https://evil.example", "invalid_target"},
		"device, details that are none":     {request.Device, "scope=openid&authorization_details=x", "invalid_authorization_details"},
		"device, a request object":          {request.Device, "scope=openid&request=x", "request_not_supported"},
		"device, a request_uri":             {request.Device, "scope=openid&request_uri=x", "invalid_request"},
		"backchannel":                       {request.Backchannel, "scope=openid&binding_message=M1", ""},
		"backchannel, another client_id":    {request.Backchannel, "client_id=rs&scope=openid", "invalid_request"},
		"backchannel, a malformed object":   {request.Backchannel, "request=x", "invalid_request_object"},
		"backchannel, signed without times": {request.Backchannel, "request=" + h.sign(t, jose.ES256, "JWT", members{"iss": "jar", "aud": issuer, "scope": "openid"}), "invalid_request_object"},
		"backchannel, without a jti": {request.Backchannel, "request=" + h.sign(t, jose.ES256, "JWT", members{
			"iss": "jar", "aud": issuer, "scope": "openid", "iat": h.now.Unix(), "nbf": h.now.Unix(), "exp": h.now.Add(time.Minute).Unix(),
		}), "invalid_request_object"},
		"backchannel, signed": {request.Backchannel, "binding_message=evil&request=" + h.sign(t, jose.ES256, "JWT", members{
			"iss": "jar", "aud": issuer, "scope": "openid", "iat": h.now.Unix(), "nbf": h.now.Unix(), "exp": h.now.Add(time.Minute).Unix(), "jti": "j-9",
			"binding_message": "M1",
		}), ""},
	} {
		t.Run(name, func(t *testing.T) {
			asked, err := h.parser.ParseOf(t.Context(), c.door, client, formOf(t, c.query))
			if oauth.CodeOf(err) != c.code || c.code == "" && err != nil {
				t.Fatalf("error %v", err)
			}
			if err == nil && c.door == request.Backchannel && asked.Param("binding_message") != "M1" {
				t.Errorf("the message is %q", asked.Param("binding_message"))
			}
			if err == nil && c.door == request.Device && asked.Details != details {
				t.Errorf("the details are %s", asked.Details)
			}
		})
	}
}
