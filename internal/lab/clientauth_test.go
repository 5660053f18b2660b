package lab_test

import (
	"context"
	"encoding/base64"
	"maps"
	"net/url"
	"strings"
	"testing"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/lab"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/recipe"
)

// proving is one attempt of a client to prove itself.
type proving struct {
	headers []string
	form    url.Values
	status  int // 200: believed
	code    string
}

func basic(client, secret string) []string {
	return []string{"Authorization", lab.BasicAuth(client, secret)}
}

func raw64(text string) []string {
	return []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(text))}
}

func asserted(value string, more ...string) url.Values {
	return lab.Form(append([]string{"client_assertion_type", lab.AssertionType, "client_assertion", value}, more...)...)
}

const odd = "p%41+:é ~&=" + "0123456789012345678901234567"

func refusedClient(headers []string, form url.Values) proving {
	return proving{headers, form, 401, "invalid_client"}
}

func malformed(headers []string, form url.Values) proving {
	return proving{headers, form, 400, "invalid_request"}
}

// provings crosses the clients with the ways to prove oneself.
func provings(h *lab.House) map[string]proving {
	a, b := h.Secret(lab.WebA), h.Secret(lab.WebB)
	assertion := func() string { return h.Assertion(lab.JobKey, nil) }
	post := func(id, secret string) url.Values { return lab.Form("client_id", id, "client_secret", secret) }
	return map[string]proving{
		"Basic as registered":                                    {basic(lab.WebA, a), nil, 200, ""},
		"Basic with client_id repeated in the body":              {basic(lab.WebA, a), lab.Form("client_id", lab.WebA), 200, ""},
		"the scheme in lower case":                               {[]string{"Authorization", strings.Replace(lab.BasicAuth(lab.WebA, a), "Basic", "basic", 1)}, nil, 200, ""},
		"post as registered":                                     {nil, post(lab.WebB, b), 200, ""},
		"an assertion as registered":                             {nil, asserted(assertion()), 200, ""},
		"an assertion with client_id":                            {nil, asserted(assertion(), "client_id", lab.JobKey), 200, ""},
		"T11 an odd secret, form-encoded":                        {basic("c-odd", odd), nil, 200, ""},
		"T11 an odd secret, not form-encoded":                    refusedClient(raw64("c-odd:"+odd), nil),
		"T11 Basic that does not decode":                         malformed(raw64("c-odd:%zz"), nil),
		"T05 nothing at all":                                     malformed(nil, nil),
		"T06 an empty client_id":                                 malformed(nil, lab.Form("client_id", "")),
		"T05 only the name of a confidential client":             refusedClient(nil, lab.Form("client_id", lab.WebA)),
		"T05 a wrong secret by Basic":                            refusedClient(basic(lab.WebA, b), nil),
		"T05 a wrong secret in the body":                         refusedClient(nil, post(lab.WebB, a)),
		"an unknown client":                                      refusedClient(basic("nobody", a), nil),
		"a name of a kilobyte":                                   refusedClient(basic(strings.Repeat("n", 1024), a), nil),
		"B's name with A's proof":                                refusedClient(basic(lab.WebA, a), lab.Form("client_id", lab.WebB)),
		"T07 Basic and a secret in the body":                     malformed(basic(lab.WebA, a), lab.Form("client_secret", a)),
		"T07 Basic and an assertion":                             malformed(basic(lab.WebA, a), asserted(assertion())),
		"T07 an assertion and a secret":                          malformed(nil, asserted(assertion(), "client_id", lab.JobKey, "client_secret", a)),
		"T07 Basic beside Bearer":                                malformed(append(basic(lab.WebA, a), "Authorization", "Bearer x"), nil),
		"a Bearer token in the place of Basic":                   malformed([]string{"Authorization", "Bearer x"}, lab.Form("client_id", lab.WebA)),
		"T08 the key's client with a secret":                     refusedClient(nil, post(lab.JobKey, a)),
		"T08 the key's client by Basic":                          refusedClient(basic(lab.JobKey, a), nil),
		"T08 the key's client by its name alone":                 refusedClient(nil, lab.Form("client_id", lab.JobKey)),
		"T08 a secret and an unsigned assertion":                 malformed(nil, asserted(b64([]byte(`{"alg":"none"}`))+"."+b64([]byte(`{"sub":"job-key"}`))+".", "client_id", lab.WebB, "client_secret", b)),
		"T08 the Basic client with its secret in the body":       refusedClient(nil, post(lab.WebA, a)),
		"T08 the post client with its secret by Basic":           refusedClient(basic(lab.WebB, b), nil),
		"T08 the Basic client with another's assertion":          refusedClient(nil, asserted(assertion(), "client_id", lab.WebA)),
		"a native client with a secret":                          refusedClient(nil, post(lab.Native, a)),
		"a browser client with a secret":                         refusedClient(basic(lab.Browser, a), nil),
		"T10 an empty secret by Basic":                           refusedClient(basic(lab.WebA, ""), nil),
		"T10 an empty secret in the body":                        refusedClient(nil, post(lab.WebB, "")),
		"T10 a client without any secret, shown an empty one":    refusedClient(basic("c-unset", ""), nil),
		"T10 a client without any secret, shown one":             refusedClient(basic("c-unset", a), nil),
		"Basic without a colon":                                  malformed(raw64("web-a"), nil),
		"Basic that is no base64":                                malformed([]string{"Authorization", "Basic !!!"}, nil),
		"Basic without a value":                                  malformed([]string{"Authorization", "Basic"}, nil),
		"an empty Authorization":                                 malformed([]string{"Authorization", ""}, lab.Form("client_id", lab.Native)),
		"T19 B's name with A's assertion":                        refusedClient(nil, asserted(h.Assertion(lab.WebKey, nil), "client_id", lab.JobKey)),
		"an assertion without its type":                          malformed(nil, lab.Form("client_assertion", assertion())),
		"an assertion of the wrong type":                         malformed(nil, lab.Form("client_assertion", assertion(), "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer")),
		"a type without an assertion":                            refusedClient(nil, lab.Form("client_assertion_type", lab.AssertionType)),
		"T18 typ is client-authentication+jwt":                   {nil, asserted(typed(h, "client-authentication+jwt")), 200, ""},
		"T20 typ is at+jwt":                                      refusedClient(nil, asserted(typed(h, "at+jwt"))),
		"T20 typ is a request object's":                          refusedClient(nil, asserted(typed(h, "oauth-authz-req+jwt"))),
		"T20 an access token of ours as an assertion":            refusedClient(nil, asserted(h.Credentials(lab.Job, "scope", "ledger.post").Text("access_token"))),
		"T23 signed with another client's key under its own kid": refusedClient(nil, asserted(crossed(h, false))),
		"T23 signed with another client's key under this kid":    refusedClient(nil, asserted(crossed(h, true))),
	}
}

func claimsOf(h *lab.House, client string) map[string]any {
	now := h.Clock.Now().Unix()
	return map[string]any{"iss": client, "sub": client, "aud": h.Issuer, "jti": iam.NewSecret("j"), "iat": now, "exp": now + 60}
}

func typed(h *lab.House, typ string) string {
	signed, err := h.Signer(lab.JobKey).Sign(typ, claimsOf(h, lab.JobKey))
	if err != nil {
		panic(err)
	}
	return signed
}

// crossed is an assertion of JobKey under the key of WebKey.
func crossed(h *lab.House, disguised bool) string {
	signer := *h.Signer(lab.WebKey)
	if disguised {
		signer.KeyID = h.Signer(lab.JobKey).KeyID
	}
	signed, err := signer.Sign("JWT", claimsOf(h, lab.JobKey))
	if err != nil {
		panic(err)
	}
	return signed
}

// oddClients are made at run time: one with a secret that needs encoding, one with none at all.
func oddClients(t *testing.T, h *lab.House) {
	t.Helper()
	for _, id := range []string{"c-odd", "c-unset"} {
		err := h.Store().PutClient(context.Background(), iam.Client{
			ID: id, Kind: recipe.Service, Auth: oauth.AuthBasic, Scope: oauth.Scope{"ledger.post"},
			Grants: []oauth.GrantType{oauth.ClientCredentials, oauth.RefreshToken},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Store().AddClientSecret(context.Background(), "c-odd", iam.ClientSecret{ID: "s1", Hash: iam.Hash(odd)}); err != nil {
		t.Fatal(err)
	}
}

// TestClientAuthentication crosses every client with every way to prove oneself, at every door that asks.
func TestClientAuthentication(t *testing.T) {
	for path, form := range map[string]url.Values{
		// Whoever is believed is told invalid_grant or unauthorized_client.
		"/token": lab.Form("grant_type", "refresh_token", "refresh_token", "x"), "/introspect": lab.Form("token", "x"), "/revoke": lab.Form("token", "x"),
	} {
		t.Run(path[1:], func(t *testing.T) {
			t.Parallel()
			h := lab.New(t, lab.Options{})
			oddClients(t, h)
			for name, row := range provings(h) {
				t.Run(name, func(t *testing.T) {
					h.Pass(0)
					sent := maps.Clone(form)
					maps.Copy(sent, row.form)
					reply := h.Post(path, sent, row.headers...)
					if row.status == 200 {
						if code := reply.Text("error"); reply.Status != 200 && code != "invalid_grant" && code != "unauthorized_client" {
							t.Errorf("not believed: %d %s", reply.Status, reply.Body)
						}
						return
					}
					refused(t, reply, row.status, row.code)
					if challenged := reply.Header.Get("WWW-Authenticate") != ""; challenged != (row.status == 401 && len(row.headers) > 0) {
						t.Errorf("T05 WWW-Authenticate: %q", reply.Header.Get("WWW-Authenticate"))
					}
				})
			}
			t.Run("X08 a public client", func(t *testing.T) {
				sent := maps.Clone(form)
				sent.Set("client_id", lab.Native)
				reply := h.Post(path, sent)
				if path == "/introspect" {
					refused(t, reply, 401, "invalid_client")
				} else if reply.Status == 401 {
					t.Errorf("got %d %s", reply.Status, reply.Body)
				}
			})
			if !strings.Contains(h.Log.String(), "it is not secret") {
				t.Error("a public client that showed a secret was not reported")
			}
		})
	}
}

// TestClientAssertions breaks assertions in every way (T15-T18, J rows), at the token endpoint.
func TestClientAssertions(t *testing.T) {
	h := lab.New(t, lab.Options{})
	show := func(assertion string) lab.Reply {
		form := asserted(assertion)
		form.Set("grant_type", "client_credentials")
		form.Set("scope", "ledger.post")
		return h.Post("/token", form)
	}
	honest := func(twist map[string]any) string {
		return h.Assertion(lab.JobKey, func(claims map[string]any) {
			maps.Copy(claims, twist)
			maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
		})
	}
	now := h.Clock.Now().Unix()
	for name, twist := range map[string]map[string]any{
		"honest": {}, "T16 iat is not needed": {"iat": nil}, "J14 iat nine seconds ahead": {"iat": now + 9}, "T16 nbf is past": {"nbf": now - 5},
	} {
		t.Run(name, func(t *testing.T) { granted(t, show(honest(twist))) })
	}
	for name, twist := range map[string]map[string]any{
		"T16 iss is missing": {"iss": nil}, "T16 iss is another client": {"iss": lab.WebKey}, "T16 sub is missing": {"sub": nil},
		"T16 sub is another client": {"sub": lab.Job}, "T16 jti is missing": {"jti": nil}, "T16 jti is huge": {"jti": strings.Repeat("j", 300)},
		"T16 exp is past": {"exp": now - 1}, "T16 exp is two hours ahead": {"exp": now + 7200}, "T16 nbf is ahead": {"nbf": now + 60},
		"T16 iat is ahead": {"iat": now + 60}, "T16 aud is missing": {"aud": nil}, "T16 exp is missing": {"exp": nil},
		"T18 aud is the token endpoint": {"aud": h.Issuer + "/token"}, "T18 aud is a list of the issuer": {"aud": []string{h.Issuer}},
		"T18 aud is a list of two": {"aud": []string{h.Issuer, "https://evil.example"}}, "T18 aud ends in a slash": {"aud": h.Issuer + "/"},
		"T18 aud is another's": {"aud": "https://evil.example"},
	} {
		t.Run(name, func(t *testing.T) { refused(t, show(honest(twist)), 401, "invalid_client"); calm(h) })
	}
	f := forger{t, h.Signer(lab.JobKey), members{"alg": "ES256", "typ": "JWT", "kid": h.Signer(lab.JobKey).KeyID}, claimsOf(h, lab.JobKey)}
	for name, token := range f.broken() {
		t.Run(name, func(t *testing.T) { refused(t, show(token), 401, "invalid_client"); calm(h) })
	}
	t.Run("T15 RS256 is no algorithm for assertions", func(t *testing.T) {
		refused(t, show(f.with(members{"alg": "RS256"}, nil)), 401, "invalid_client")
	})
	t.Run("T17 the same assertion twice", func(t *testing.T) {
		once := honest(nil)
		granted(t, show(once))
		refused(t, show(once), 401, "invalid_client")
	})
	t.Run("T17 the same assertion at another endpoint", func(t *testing.T) {
		once := honest(nil)
		granted(t, h.Post("/introspect", asserted(once, "token", "x")))
		refused(t, show(once), 401, "invalid_client")
		refused(t, h.Post("/revoke", asserted(once, "token", "x")), 401, "invalid_client")
	})
	t.Run("T17 of fifty that show one assertion at once exactly one is believed", func(t *testing.T) {
		once := honest(nil)
		if said := lab.Together(50, func(int) string { return show(once).Says() }); said["ok"] != 1 {
			t.Errorf("%v", said)
		}
		calm(h)
	})
	t.Run("T17 a jti is another's affair", func(t *testing.T) {
		same := map[string]any{"jti": "one-and-the-same"}
		granted(t, show(honest(same)))
		other := h.Assertion(lab.WebKey, func(claims map[string]any) { maps.Copy(claims, same) })
		granted(t, h.Post("/token", asserted(other, "grant_type", "client_credentials", "scope", "accounts.read")))
	})
	t.Run("T20 an assertion is no access token", func(t *testing.T) {
		if h.UserInfo(honest(nil)).Status != 401 || h.Introspect(lab.Job, honest(nil)).True("active") {
			t.Error("it was believed")
		}
	})
}

// calm lets the budget of failed proofs fill up again: the rows are many, and come from one network.
func calm(h *lab.House) { h.Pass(2e9) }

// TestT12SecretGuessing shows wrong secrets until the server slows down, and that nobody else is slowed by it.
func TestT12SecretGuessing(t *testing.T) {
	h := lab.New(t, lab.Options{})
	said := map[string]int{}
	var last lab.Reply
	for range 200 {
		last = h.Post("/token", lab.Form("grant_type", "client_credentials"), basic(lab.WebSpare, iam.NewSecret("cs_"))...)
		said[last.Says()]++
	}
	if said["invalid_client"] > 40 || said["temporarily_unavailable"] < 150 {
		t.Errorf("%v", said)
	}
	if last.Status != 429 || last.Header.Get("Retry-After") == "" {
		t.Errorf("%d, Retry-After %q", last.Status, last.Header.Get("Retry-After"))
	}
	granted(t, h.Credentials(lab.Job, "scope", "ledger.post"))
}

// TestT13UnknownAndWrongReadTheSame holds that an unknown client, a wrong secret and a disabled client read the same.
func TestT13UnknownAndWrongReadTheSame(t *testing.T) {
	h := lab.New(t, lab.Options{})
	if err := h.Store().SetClientDisabled(context.Background(), lab.WebSpare, true); err != nil {
		t.Fatal(err)
	}
	form := lab.Form("grant_type", "client_credentials")
	h.Within(1e9, "the client is disabled", func() bool { return h.As(lab.WebSpare, "/token", form).Status == 401 })
	wrong := h.Post("/token", form, basic(lab.WebA, "wrong")...)
	for name, other := range map[string]lab.Reply{
		"unknown": h.Post("/token", form, basic("nobody", "wrong")...), "X16 disabled": h.As(lab.WebSpare, "/token", form),
		"wrong method": h.Post("/token", form, basic(lab.JobKey, "wrong")...),
	} {
		if !lab.Same(wrong, other) {
			t.Errorf("%s tells itself apart: %d %s %v", name, other.Status, other.Body, other.Header)
		}
	}
}
