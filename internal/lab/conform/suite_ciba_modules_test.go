package conform_test

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/lab"
)

// modulesOfBackchannel are those of the plan, without their common prefix; where is the value of a variant that one of them
// needs, "" for none.
var modulesOfBackchannel = []struct {
	name, where string
	do          func(*backchannel)
}{
	{"discovery-end-point-verification", "", func(b *backchannel) {
		discovered(b.module, false)
		modes, _ := b.about["backchannel_token_delivery_modes_supported"].([]any)
		algs, _ := b.about["backchannel_authentication_request_signing_alg_values_supported"].([]any)
		if !containsText(modes, "poll") || !containsText(modes, "ping") || !containsText(algs, "PS256") || containsText(algs, "none") ||
			b.about["tls_client_certificate_bound_access_tokens"] != true {
			b.Errorf("%v", b.about)
		}
	}},
	{"", "", func(b *backchannel) {
		id := b.asked(members{"requested_expiry": 300})
		b.pending(id)
		b.decides(id, "allow")
		b.waits(id)
		b.after(5*time.Second, func() { // as long as a client waits between polls
			access := b.given(id)["access_token"].(string)
			b.refuses(b.fetches(id), "invalid_grant")
			// Client 1's token with client 2's certificate.
			if got := b.second().calls("Bearer", access); got.status != http.StatusUnauthorized {
				b.Errorf("another's certificate: %d %s", got.status, got.body)
			}
		})
	}},
	{" (the second client)", "", func(b *backchannel) { b.other().flow(nil) }},
	{"user-rejects-authentication", "", func(b *backchannel) {
		id := b.asked(nil)
		b.decides(id, "deny")
		b.waits(id)
		b.refuses(b.fetches(id), "access_denied")
	}},
	{"multiple-call-to-token-endpoint", "", func(b *backchannel) {
		id := b.asked(nil)
		b.pending(id)
		for range 3 {
			b.refuses(b.fetches(id), "slow_down", "authorization_pending")
		}
		b.refuses(b.fetches(id), "slow_down")
		b.decides(id, "allow") // nothing is left waiting
	}},
	{"auth-req-id-expired", "", func(b *backchannel) {
		id := b.asked(members{"requested_expiry": 6})
		b.after(7*time.Second, func() { b.refuses(b.fetches(id), "expired_token") })
	}},
	{"ensure-authorization-request-with-binding-message-succeeds", "", func(b *backchannel) { b.flow(members{"binding_message": "1234"}) }},
	{"ensure-authorization-request-with-potentially-bad-binding-message", "", func(b *backchannel) {
		b.refuses(b.begins(b.object(b.desire(members{"binding_message": "1234 \U0001F44D\U0001F3FF \u54c1\u5ddd " + strings.Repeat("lorem ipsum ", 36)}))), "invalid_binding_message")
	}},
	{"ensure-other-scope-order-succeeds", "", func(b *backchannel) {
		scopes := strings.Fields(b.c.Scope)
		slices.Reverse(scopes)
		b.flow(members{"scope": strings.Join(scopes, " ")})
	}},
	{"ensure-requested-expiry-as-string-succeeds", "", func(b *backchannel) { b.flow(members{"requested_expiry": "30"}) }},
	{"ensure-request-object-missing-aud-fails", "", fixed(members{"aud": nil})},
	{"ensure-request-object-bad-aud-fails", "", fixed(members{"aud": "https://other.example"})},
	{"ensure-request-object-missing-iss-fails", "", fixed(members{"iss": nil})},
	{"ensure-request-object-bad-iss-fails", "", badObject(func(b *backchannel) members { return members{"iss": b.Client2.ID} })},
	{"ensure-request-object-missing-exp-fails", "", fixed(members{"exp": nil})},
	{"ensure-request-object-expired-exp-fails", "", moved("exp", -5*time.Minute)},
	{"ensure-request-object-exp-is-70-minutes-in-future-fails", "", moved("exp", 70*time.Minute)},
	{"ensure-request-object-missing-iat-fails", "", fixed(members{"iat": nil})},
	{"ensure-request-object-missing-nbf-fails", "", fixed(members{"nbf": nil})},
	{"ensure-request-object-nbf-is-10-minutes-in-future-fails", "", moved("nbf", 10*time.Minute)},
	{"ensure-request-object-nbf-is-70-minutes-in-past-fails", "", moved("nbf", -70*time.Minute)},
	{"ensure-request-object-missing-jti-fails", "", fixed(members{"jti": nil})},
	{"ensure-request-object-signature-algorithm-is-none-fails", "", signedOtherwise(func(b *backchannel, said members) string { return unsigned(b.object(said)) })},
	{"ensure-request-object-signature-algorithm-is-bad-fails", "", signedOtherwise(func(b *backchannel, said members) string {
		parts := strings.Split(b.object(said), ".")
		return parts[0] + "." + parts[1] + "." + lab.Challenge("no signature")
	})},
	{"ensure-request-object-signature-algorithm-is-RS256-fails", "", signedOtherwise(func(b *backchannel, said members) string {
		return b.by("RS256", said, "oauth-authz-req+jwt")
	})},
	{"ensure-request-object-signed-by-other-client-fails", "", signedOtherwise(func(b *backchannel, said members) string {
		text, err := b.Client2.signer.Sign("oauth-authz-req+jwt", said)
		must(b.T, err)
		return text
	})},
	{"ensure-authorization-request-with-multiple-hints-fails", "", fixed(members{"id_token_hint": "e30.e30.e30"})},
	{"ensure-authorization-request-with-multiple-hints-fails (no hint at all)", "", badObject(func(b *backchannel) members { return members{b.c.HintType: nil} })},
	{"ensure-wrong-auth-req-id-in-token-endpoint-request", "", func(b *backchannel) {
		b.refuses(b.fetches(b.asked(nil)+"x"), "invalid_grant")
		b.refuses(b.other().fetches(b.asked(nil)), "invalid_grant")
	}},
	{"ensure-different-client-id-and-issuer-in-backchannel-authorization-request", "mtls", func(b *backchannel) {
		b.refuses(b.other().begins(b.object(b.desire(nil))), "invalid_request")
	}},
	{"ensure-wrong-client-id-in-token-endpoint-request", "mtls", func(b *backchannel) {
		form := lab.Form("grant_type", "urn:openid:params:grant-type:ciba", "auth_req_id", b.asked(nil), "client_id", b.Client2.ID)
		b.refuses(b.send("POST", b.end("token_endpoint"), form.Encode()), "invalid_client", "invalid_grant")
	}},
	{"ensure-wrong-client-id-in-backchannel-authorization-request", "mtls", func(b *backchannel) {
		form := lab.Form("request", b.object(b.desire(nil)), "client_id", b.Client2.ID)
		b.refuses(b.send("POST", b.end("backchannel_authentication_endpoint"), form.Encode()), "invalid_client", "invalid_request")
	}},
	{"ensure-client-assertion-bad-aud (backchannel)", "private_key_jwt", proving("backchannel_authentication_endpoint", func(_ *backchannel, c members) { c["aud"] = "https://other.example" }, nil)},
	{"ensure-client-assertion-bad-aud (token)", "private_key_jwt", proving("token_endpoint", func(_ *backchannel, c members) { c["aud"] = "https://other.example" }, nil)},
	{"ensure-client-assertion-expired", "private_key_jwt", proving("token_endpoint", func(_ *backchannel, c members) { c["exp"] = time.Now().Add(-5 * time.Minute).Unix() }, nil)},
	{"ensure-client-assertion-no-sub", "private_key_jwt", proving("backchannel_authentication_endpoint", func(_ *backchannel, c members) { delete(c, "sub") }, nil)},
	{"ensure-client-assertion-of-another-key", "private_key_jwt", proving("token_endpoint", nil, func(b *backchannel, c members) string {
		text, err := b.Client2.signer.Sign("JWT", c)
		must(b.T, err)
		return text
	})},
	{"ensure-without-client-assertion-in-token-endpoint-fails", "private_key_jwt", without("token_endpoint")},
	{"ensure-without-client-assertion-in-backchannel-authorization-request-fails", "private_key_jwt", without("backchannel_authentication_endpoint")},
	{"ensure-client-assertion-signature-algorithm-in-backchannel-authorization-request-is-RS256-fails", "private_key_jwt", proving("backchannel_authentication_endpoint", nil, rs256)},
	{"ensure-client-assertion-signature-algorithm-in-token-endpoint-request-is-RS256-fails", "private_key_jwt", proving("token_endpoint", nil, rs256)},
	{"ensure-client-assertion-with-iss-aud-to-token-endpoint-succeeds", "private_key_jwt", func(b *backchannel) { b.flow(nil) }},
	{"ping-notification-endpoint-returns-a-body", "ping", unwanted(status(http.StatusOK, "Content-Type", "application/json"))},
	{"ping-notification-endpoint-returns-401", "ping", unwanted(status(http.StatusUnauthorized))},
	{"ping-notification-endpoint-returns-403", "ping", unwanted(status(http.StatusForbidden))},
	{"ping-notification-endpoint-returns-401-and-require-server-does-not-retry", "ping", unwanted(status(http.StatusUnauthorized))},
	{"ping-notification-endpoint-returns-redirect-request", "ping", unwanted(status(http.StatusMovedPermanently, "Location", "/moved"))},
	{"ensure-backchannel-authorization-request-without-request-fails", "", func(b *backchannel) {
		form := lab.Form("scope", b.c.Scope, b.c.HintType, b.c.HintValue, "binding_message", "1234", "client_notification_token", "t")
		b.refuses(b.posts("backchannel_authentication_endpoint", form), "invalid_request")
	}},
	{"refresh-token", "", func(b *backchannel) {
		said := b.flow(nil)
		refresh, _ := said["refresh_token"].(string)
		form := lab.Form("grant_type", "refresh_token", "refresh_token", refresh)
		next := b.tokens(b.posts("token_endpoint", form))
		b.resource(next["access_token"].(string))
		if text, _ := next["id_token"].(string); text != "" {
			b.opens(text)
		}
		fresh, _ := next["refresh_token"].(string)
		if fresh != "" {
			form.Set("refresh_token", fresh)
		}
		b.refuses(b.second().posts("token_endpoint", form), "invalid_grant")
	}},
	{"ensure-mtls-holder-of-key-required", "", func(b *backchannel) {
		id := b.asked(nil)
		b.decides(id, "allow")
		bare := *b.c
		bare.cert = nil
		form, _ := b.proven(lab.Form("grant_type", "urn:openid:params:grant-type:ciba", "auth_req_id", id), b.issuer)
		b.refuses((&module{T: b.T, run: b.run, c: &bare}).send("POST", b.end("token_endpoint"), form.Encode()), "invalid_client", "invalid_request", "invalid_grant")
	}},
}
