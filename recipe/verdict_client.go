package recipe

import "slices"

// metadataVerdicts judge the members of Metadata, wherever they stand.
var metadataVerdicts = []rule{
	{"clients.*.profile", profile},
	{"clients.*.client_uri", text}, {"clients.*.logo_uri", text}, {"clients.*.policy_uri", text}, {"clients.*.tos_uri", text},
	{"clients.*.contacts[]", text},
	{"clients.*.initiate_login_uri", always(Neutral, "where a sign-in may be begun; the address gets nothing")},

	{"clients.*.response_types[]", admits("more comes back through the browser", "less comes back through the browser")},
	{"clients.*.default_max_age", maxAge},
	{"clients.*.require_auth_time", always(Neutral, "the time of sign-in is told anyway")},
	{"clients.*.default_acr_values[]", always(Neutral, "a wish of the client; what operations ask for stands")},
	{"clients.*.subject_type", ladder([]string{"public", "pairwise"}, "people bear the same name everywhere", "people bear a name of their own at each sector")},
	{"clients.*.sector_identifier_uri", always(Weaker, "people bear other names, and others may know them")},

	{"clients.*.id_token_encrypted_response_alg", encrypted}, {"clients.*.id_token_encrypted_response_enc", content},
	{"clients.*.userinfo_signed_response_alg", demanded("userinfo is signed", "userinfo is not signed any more")},
	{"clients.*.userinfo_encrypted_response_alg", encrypted}, {"clients.*.userinfo_encrypted_response_enc", content},
	{"clients.*.introspection_signed_response_alg", idTokenAlg},
	{"clients.*.introspection_encrypted_response_alg", encrypted}, {"clients.*.introspection_encrypted_response_enc", content},
	{"clients.*.authorization_signed_response_alg", idTokenAlg},
	{"clients.*.authorization_encrypted_response_alg", encrypted}, {"clients.*.authorization_encrypted_response_enc", content},

	{"clients.*.request_object_signing_alg", demanded("one signature alone is accepted", "other signatures are accepted")},
	{"clients.*.request_object_encryption_alg", demanded("one way to encrypt alone is accepted", "other ways to encrypt are accepted")},
	{"clients.*.request_object_encryption_enc", content},
	{"clients.*.require_signed_request_object", flag("requests may be unsigned", "requests have to be signed")},
	{"clients.*.request_uris[]", admits("requests are fetched from another address", "requests are fetched from fewer addresses")},
	{"clients.*.require_pushed_authorization_requests", flag("requests may come through the browser", "requests have to be pushed")},
	{"clients.*.authorization_details_types[]", admits("it may ask for more", "it may ask for less")},

	{"clients.*.token_endpoint_auth_signing_alg", demanded("one signature alone is accepted", "other signatures are accepted")},
	{"clients.*.dpop_bound_access_tokens", flag("a stolen token may be of use", "a stolen token is of no use")},
	{"clients.*.tls_client_certificate_bound_access_tokens", flag("a stolen token may be of use", "a stolen token is of no use")},
	{"clients.*.tls_client_auth_subject_dn", certificate}, {"clients.*.tls_client_auth_san_dns", certificate},
	{"clients.*.tls_client_auth_san_uri", certificate}, {"clients.*.tls_client_auth_san_ip", certificate},
	{"clients.*.tls_client_auth_san_email", certificate},

	{"clients.*.backchannel_logout_uri", hears}, {"clients.*.frontchannel_logout_uri", hears},
	{"clients.*.backchannel_logout_session_required", always(Neutral, "the session is named anyway")},
	{"clients.*.frontchannel_logout_session_required", always(Neutral, "the session is named anyway")},

	{"clients.*.verification_uri_complete", ladder([]string{"true", ""}, "a link is enough to lead somebody to the code of a device", "people type the code that they see")},
	{"clients.*.backchannel_token_delivery_mode", ladder([]string{"push", "ping", "poll", ""}, "more is sent to the client unasked", "less is sent to the client unasked")},
	{"clients.*.backchannel_client_notification_endpoint", admits("notices go to another place", "notices go to this place no more")},
	{"clients.*.backchannel_authentication_request_signing_alg", demanded("backchannel requests have to be signed", "backchannel requests may be unsigned")},
}

// doorVerdicts judge what issuers, registration policies and proofs say.
var doorVerdicts = []rule{
	{"apis.*.profile", profile},
	{"apis.*.bound", ladder([]string{"off", "offered", "required"}, "a stolen token may be of use", "a stolen token is of no use")},
	{"apis.*.authorization_details.*", came(Neutral, "a type alone opens nothing: clients are told apart", Stronger, "nobody can ask for this type any more")},
	{"apis.*.authorization_details.*.schema", always(Weaker, "details are judged otherwise, and nobody has compared the two")},
	{"apis.*.authorization_details.*.say.*", text},
	{"apis.*.authorization_details.*.scopes[]", came(Stronger, "one more scope has to be asked for", Weaker, "one scope less has to be asked for")},
	{"apis.*.jwks", came(Neutral, "keys that nobody uses yet, or that came with encryption", Neutral, "its end is judged with the encryption")},
	{"apis.*.access_token_encryption_alg", encrypted}, {"apis.*.access_token_encryption_enc", content},

	{"issuers.*", came(Weaker, "assertions of another issuer are believed", Stronger, "the issuer is believed no more")},
	{"issuers.*.at", always(Weaker, "assertions of another issuer are believed")},
	{"issuers.*.jwks", admits("other keys are believed", "these keys are believed no more")},
	{"issuers.*.jwks_uri", admits("keys from another address are believed", "keys from this address are believed no more")},
	{"issuers.*.clients[]", admits("another client may show assertions", "fewer clients may show assertions")},
	{"issuers.*.scopes[]", admits("assertions are worth more", "assertions are worth less")},
	{"issuers.*.subjects", always(Weaker, "assertions speak for others")},

	{"registration.*", came(Weaker, "clients may register themselves", Stronger, "nobody registers under it any more, and its clients are shut out")},
	{"registration.*.open", ladder([]string{"true", ""}, "anyone may register", "a token or a statement is needed to register")},
	{"registration.*.software_statements[]", admits("other keys vouch for clients", "these keys vouch for clients no more")},
	{"registration.*.client_id_hosts[]", admits("documents of other hosts are believed", "documents of fewer hosts are believed")},
	{"registration.*.types[]", admits("another kind of application may register", "fewer kinds of application may register")},
	{"registration.*.scopes[]", admits("its clients may ask for more", "its clients may ask for less")},
	{"registration.*.grants[]", admits("its clients may use another grant", "its clients may use fewer grants")},
	{"registration.*.authorization_details_types[]", admits("its clients may ask for more", "its clients may ask for less")},
	{"registration.*.profile", profile},
	{"registration.*.most", number("more clients may stand under it", "fewer clients may stand under it")},
	{"registration.*.unused", longer("what nobody uses stays longer", "what nobody uses goes earlier")},
	{"registration.*.trusted", ladder([]string{"true", ""}, "people are not told that nobody vouches for its clients", "people are told that nobody vouches for its clients")},

	{"proofs.nonce", flag("a proof may have been made beforehand", "a proof is made for the moment")},
	{"proofs.shared_replay", flag("a proof may be shown once at each node", "a proof is good once")},

	{"exceptions.*.registration", always(Weaker, "something weak is allowed to other clients")},
}

// flag judges a yes or no whose yes is the stricter.
func flag(off, on string) judge { return ladder([]string{"", "true"}, off, on) }

// profile: only a profile that asks for all that the old one asked for can't weaken.
func profile(_ *comparison, c Change) (Verdict, string) {
	if Profile(c.New).Meets(Profile(c.Old)) {
		return Stronger, "all rules of the old profile stand, and more"
	}
	return Weaker, "rules of the old profile stand no more"
}

// encrypted: every way that can be written down is strong; what counts is whether there is one.
func encrypted(_ *comparison, c Change) (Verdict, string) {
	switch {
	case c.Old == "":
		return Stronger, "only the holder of the key can read it"
	case c.New == "":
		return Weaker, "whoever sees it can read it"
	}
	return Neutral, "both ways to encrypt are strong"
}

func content(*comparison, Change) (Verdict, string) {
	return Neutral, "each way to encrypt the content is strong"
}

// demanded judges an algorithm without which anything of the policy, or nothing at all, would do.
func demanded(on, off string) judge {
	return func(c *comparison, change Change) (Verdict, string) {
		switch {
		case change.Old == "":
			return Stronger, on
		case change.New == "":
			return Weaker, off
		}
		return idTokenAlg(c, change)
	}
}

// certificate: each name is a door of its own, even where another one is gone.
func certificate(c *comparison, change Change) (Verdict, string) {
	return admits("another certificate opens the client", "this certificate opens the client no more")(c, change)
}

// hears: whoever is told of sign-outs can end what it still holds.
func hears(_ *comparison, c Change) (Verdict, string) {
	switch {
	case c.Old == "":
		return Stronger, "the client hears of sign-outs"
	case c.New == "":
		return Weaker, "the client hears of sign-outs no more"
	}
	return Weaker, "another address hears of sign-outs"
}

// maxAge judges seconds since sign-in.
func maxAge(c *comparison, change Change) (Verdict, string) {
	switch {
	case change.Old == "":
		return Stronger, "people have to have signed in recently"
	case change.New == "":
		return Weaker, "people may have signed in long ago"
	}
	return number("people may have signed in longer ago", "people have to have signed in more recently")(c, change)
}

// verdicts are all judges.
var verdicts = slices.Concat(baseVerdicts, metadataVerdicts, doorVerdicts, assuranceVerdicts)
