package conform_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/language"

	"github.com/gardeauth/garde/internal/lab"
)

// TestConfig is the plan that reads the metadata, and whether it tells the truth.
func TestConfig(t *testing.T) {
	h := newProvider(t, lab.Options{MTLS: true})
	reply := h.Get("/.well-known/openid-configuration")
	about := bodyOf(reply)
	if reply.Status != 200 || reply.Header.Get("Content-Type") != "application/json" || about["issuer"] != h.Issuer {
		t.Fatalf("%d %v", reply.Status, reply.Header)
	}
	list := func(name string) []string {
		raw, err := json.Marshal(about[name])
		must(t, err)
		var all []string
		if err := json.Unmarshal(raw, &all); err != nil || len(all) == 0 {
			t.Errorf("%s: %s", name, raw)
		}
		return all
	}
	t.Run("RFC 8414 says the same", func(t *testing.T) {
		if other := h.Get("/.well-known/oauth-authorization-server"); string(other.Body) != string(reply.Body) {
			t.Errorf("%s", other.Body)
		}
	})
	t.Run("every endpoint is https, and answers", func(t *testing.T) {
		aliases, _ := about["mtls_endpoint_aliases"].(members)
		for _, each := range []members{about, aliases} {
			for name, value := range each {
				address, ok := value.(string)
				if !ok || !strings.HasSuffix(name, "_endpoint") && name != "jwks_uri" && name != "check_session_iframe" {
					continue
				}
				if !strings.HasPrefix(address, "https://") {
					t.Errorf("%s: %s", name, address)
				}
				if reply := h.Through(h.With(nil), lab.Request("GET", address, "")); reply.Status == 404 {
					t.Errorf("%s leads nowhere: %s", name, address)
				}
			}
		}
		for _, name := range []string{"token_endpoint", "userinfo_endpoint", "introspection_endpoint", "revocation_endpoint", "pushed_authorization_request_endpoint"} {
			if address, _ := aliases[name].(string); !strings.HasPrefix(address, h.MTLSURL+"/") {
				t.Errorf("the alias of %s is %v", name, aliases[name])
			}
		}
	})
	t.Run("what must stand there", func(t *testing.T) {
		for name, wanted := range map[string][]string{
			"scopes_supported":                      {"openid"},
			"response_types_supported":              {"code", "id_token", "id_token token", "code id_token", "code token", "code id_token token"},
			"response_modes_supported":              {"query", "fragment", "form_post", "jwt"},
			"grant_types_supported":                 {"authorization_code", "implicit", "refresh_token"},
			"subject_types_supported":               {"public", "pairwise"},
			"id_token_signing_alg_values_supported": {"RS256", "ES256", "PS256"},
			"code_challenge_methods_supported":      {"S256"},
			"claims_supported":                      {"sub", "name", "email", "address"},
			"token_endpoint_auth_methods_supported": {"client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth"},
			"dpop_signing_alg_values_supported":     {"ES256", "PS256"},
			"prompt_values_supported":               {"none", "login", "consent"},
		} {
			if all := list(name); slices.ContainsFunc(wanted, func(one string) bool { return !slices.Contains(all, one) }) {
				t.Errorf("%s: %v", name, all)
			}
		}
		for name, wanted := range map[string]any{
			"authorization_response_iss_parameter_supported": true, "request_parameter_supported": true, "request_uri_parameter_supported": true,
			"claims_parameter_supported": true, "backchannel_logout_supported": true, "backchannel_logout_session_supported": true,
			"frontchannel_logout_supported": true, "frontchannel_logout_session_supported": true, "tls_client_certificate_bound_access_tokens": true,
			"registration_endpoint": h.Issuer + "/register", "require_pushed_authorization_requests": false,
		} {
			if about[name] != wanted {
				t.Errorf("%s is %v", name, about[name])
			}
		}
	})
	t.Run("none is no signature", func(t *testing.T) {
		for name := range about {
			if strings.HasSuffix(name, "alg_values_supported") && slices.Contains(list(name), "none") {
				t.Errorf("%s has none", name)
			}
		}
		if slices.Contains(list("dpop_signing_alg_values_supported"), "RS256") {
			t.Error("RS256 where clients sign")
		}
	})
	t.Run("languages as BCP 47 writes them", func(t *testing.T) {
		for _, name := range []string{"ui_locales_supported", "claims_locales_supported"} {
			for _, each := range list(name) {
				if tag, err := language.Parse(each); err != nil || tag.String() != each {
					t.Errorf("%s: %s", name, each)
				}
			}
		}
	})
	t.Run("J33 the keys", func(t *testing.T) {
		var set struct{ Keys []map[string]any }
		// The key for RS256 takes long to make, which is why the house makes it behind its start.
		h.Within(30*time.Second, "the keys are made", func() bool { set.Keys = nil; h.Get("/jwks").Into(&set); return len(set.Keys) > 1 })
		seen, algs := map[any]bool{}, map[any]bool{}
		for _, key := range set.Keys {
			for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "k", "oth"} {
				if key[private] != nil {
					t.Errorf("a key has %s", private)
				}
			}
			if seen[key["kid"]] || key["kid"] == nil || key["kty"] == "oct" || key["use"] == nil {
				t.Errorf("%v", key)
			}
			seen[key["kid"]], algs[key["alg"]] = true, true
		}
		if !algs["RS256"] || !algs["ES256"] {
			t.Errorf("the algorithms are %v", algs)
		}
	})
	t.Run("an ID token by RS256 is verified by a key of the set", func(t *testing.T) {
		p := h.register(t, members{"id_token_signed_response_alg": "RS256"})
		query := plain(p, "openid")
		p.redeemPlain(t, p.signIn(t, h.browser(t), query).Get("code"), query)
	})
	t.Run("G15 a Host of somebody else", func(t *testing.T) {
		for _, header := range []string{"Host", "X-Forwarded-Host", "Forwarded", "X-Original-Host"} {
			r := lab.Request("GET", "/.well-known/openid-configuration", "", header, "evil.example")
			if header == "Host" {
				r.Host = "evil.example"
			}
			if reply := h.Do(r); strings.Contains(string(reply.Body), "evil.example") || header == "Host" && reply.Status == 200 {
				t.Errorf("%s: %d %s", header, reply.Status, reply.Body)
			}
		}
	})
}
