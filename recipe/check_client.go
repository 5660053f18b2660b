package recipe

import (
	"maps"
	"slices"
	"strings"
)

// authMethods are the ways in which a client may prove who it is (OpenID Connect Core section 9
// and RFC 8705 section 2).
var authMethods = []string{"none", "client_secret_basic", "client_secret_post", "private_key_jwt", "client_secret_jwt",
	"tls_client_auth", "self_signed_tls_client_auth"}

// secretMethods are the ways that need a secret.
var secretMethods = []string{"client_secret_basic", "client_secret_post", "client_secret_jwt"}

// AuthMethod gives the authentication method of c: none is the only one for native and browser clients.
func (c Client) AuthMethod() string {
	if c.Auth == "" && c.Public() {
		return "none"
	}
	return c.Auth
}

// Public tells whether c runs where it can keep nothing secret (OAuth 2.1 section 2.1).
func (c Client) Public() bool { return c.Type == Native || c.Type == Browser }

func checkClients(r *reading) {
	for name, client := range r.recipe.Clients {
		at := path("clients").key(name)
		r.name(at, name)
		if likeUser(name) { // in a token, sub is either: nobody may take one for the other (RFC 9068 section 5)
			r.fault(at, show(name)+" looks like the id of a user", "choose a name that says what the client is")
		}
		if _, known := grantsOf[client.Type]; !known {
			r.fault(at.key("type"), "there is no type "+show(string(client.Type)), "the types are web, native, browser, service")
		}
		r.text(at.key("name"), client.Name, false)
		if client.Consent != "" && client.Consent != ConsentAsk && client.Consent != ConsentImplied {
			r.fault(at.key("consent"), show(string(client.Consent))+" is not a kind of consent", "write ask, or implied for the company's own applications")
		}
		if client.Profile != "" && !slices.Contains(profileNames, string(client.Profile)) {
			r.fault(at.key("profile"), "there is no profile "+show(string(client.Profile)), "the profiles are "+listed(profileNames))
		}
		r.apps(at, client)
		if client.Type == Service {
			r.nobodySignsIn(at, client)
		}
		if client.Rotate && client.Public() {
			r.finding(at.key("rotate"), "the refresh tokens of this type always rotate", "leave rotate out")
		}
	}
}

// likeUser tells whether a name has the form of a user's id, which is a UUID.
func likeUser(name string) bool {
	groups := strings.Split(name, "-")
	if len(groups) != 5 || strings.Trim(name, "0123456789abcdef-") != "" {
		return false
	}
	for i, long := range [...]int{8, 4, 4, 4, 12} {
		if len(groups[i]) != long {
			return false
		}
	}
	return true
}

// nobodySignsIn refuses what only makes sense with a person.
func (r *reading) nobodySignsIn(at path, client Client) {
	for _, held := range []struct {
		key   string
		there bool
	}{
		{"consent", client.Consent != ""}, {"rotate", client.Rotate},
		{"id_token_signed_response_alg", client.IDTokenAlg != ""}, {"redirect_uris", len(client.RedirectURIs) > 0},
		{"post_logout_redirect_uris", len(client.LogoutURIs) > 0}, {"response_types", len(client.ResponseTypes) > 0},
		{"initiate_login_uri", client.InitiateLogin != ""}, {"default_max_age", client.MaxAge != nil},
		{"require_auth_time", client.AuthTime}, {"default_acr_values", len(client.ACRs) > 0},
		{"subject_type", client.SubjectType != ""}, {"sector_identifier_uri", client.SectorURI != ""},
		{"id_token_encrypted_response_alg", client.IDTokenEncryption != ""}, {"userinfo_signed_response_alg", client.UserInfoAlg != ""},
		{"userinfo_encrypted_response_alg", client.UserInfoEncryption != ""},
		{"authorization_signed_response_alg", client.ResponseAlg != ""}, {"authorization_encrypted_response_alg", client.ResponseEncryption != ""},
		{"request_object_signing_alg", client.RequestAlg != ""}, {"request_object_encryption_alg", client.RequestEncryption != ""},
		{"require_signed_request_object", client.SignedRequest}, {"request_uris", len(client.RequestURIs) > 0},
		{"require_pushed_authorization_requests", client.PAR},
		{"backchannel_logout_uri", client.BackLogoutURI != ""}, {"frontchannel_logout_uri", client.FrontLogoutURI != ""},
	} {
		if held.there {
			r.fault(at.key(held.key), "nobody signs in through a service", "leave it out, or write type: web")
		}
	}
	for i, scope := range client.Scopes {
		if slices.Contains(standardScopes, scope) {
			r.fault(at.key("scopes").index(i), scope+" is about a person, and nobody signs in through a service", "leave it out")
		}
	}
}

func checkProofs(r *reading) {
	for name, client := range r.recipe.Clients {
		at := path("clients").key(name)
		if _, known := grantsOf[client.Type]; !known {
			continue
		}
		if client.Auth != "" && !slices.Contains(authMethods, client.Auth) {
			r.fault(at.key("auth"), "there is no method "+show(client.Auth), "the methods are "+listed(authMethods))
			continue
		}
		switch {
		case client.Public():
			r.publicProof(at, client)
		case client.Auth == "":
			r.fault(at.key("auth"), "is missing: a "+string(client.Type)+" client proves who it is", "write auth: private_key_jwt (better) or client_secret_basic")
		case client.Auth == "none":
			r.fault(at.key("auth"), "a "+string(client.Type)+" client proves who it is", "write auth: private_key_jwt (better) or client_secret_basic")
		default:
			r.confidentialProof(at, name, client)
		}
		r.secrets(at.key("secrets"), client.Secrets)
		if client.JWKSURI != "" {
			r.refused(at.key("jwks_uri"), checkHTTPS(client.JWKSURI))
		}
	}
}

// publicProof: what is delivered to every user is no secret (OAuth 2.1 section 2.1, recommendation 1).
func (r *reading) publicProof(at path, client Client) {
	kind := string(client.Type)
	if client.Auth != "" && client.Auth != "none" {
		r.fault(at.key("auth"), "a "+kind+" client can't keep a secret or key", "write auth: none, or type: web if it runs on your server")
	}
	for key, there := range map[string]bool{"secrets": len(client.Secrets) > 0, "jwks": client.JWKS != "", "jwks_uri": client.JWKSURI != ""} {
		if there {
			r.fault(at.key(key), "a "+kind+" client can't keep a secret or key", "leave it out; PKCE protects its codes")
		}
	}
}

func (r *reading) confidentialProof(at path, name string, client Client) {
	keyed := client.JWKS != "" || client.JWKSURI != "" || r.unread(at.key("jwks")) || r.unread(at.key("jwks_uri"))
	if client.JWKS != "" && client.JWKSURI != "" { // RFC 7591 section 2
		r.fault(at.key("jwks_uri"), "the keys stand in two places", "keep jwks or jwks_uri")
	}
	switch client.Auth {
	case "private_key_jwt":
		if !keyed {
			r.fault(at.key("auth"), "private_key_jwt needs the client's public keys", "write jwks: FILE or jwks_uri: https://...")
		}
	case "self_signed_tls_client_auth": // RFC 8705 section 2.2.2
		if !keyed {
			r.fault(at.key("auth"), "self_signed_tls_client_auth needs the client's certificates", "write jwks: FILE or jwks_uri: https://..., each key with its x5c")
		}
	case "client_secret_post":
		r.needs(at.key("auth"), name, AllowSecretPost, "puts the secret into the body, where logs may keep it,")
	case "client_secret_jwt":
		r.needs(at.key("auth"), name, AllowSecretJWT, "makes the server keep the secret itself,")
	}
	secret := slices.Contains(secretMethods, client.Auth)
	if !secret && len(client.Secrets) > 0 {
		r.fault(at.key("secrets"), "a client with a key has no secret", "leave secrets out")
	}
	if secret && keyed && !client.keysNeeded() {
		key := "jwks"
		if client.JWKS == "" {
			key = "jwks_uri"
		}
		r.finding(at.key(key), "the client proves itself by a secret; its keys can sign requests at most", "write auth: private_key_jwt, if that is what they are for")
	}
}

// keysNeeded tells whether something but the proof asks for keys of the client.
func (c Client) keysNeeded() bool {
	return c.SignedRequest || c.RequestAlg != "" || c.CIBAAlg != "" ||
		slices.ContainsFunc(c.seals(), func(s sealed) bool { return s.answer && s.alg != "" })
}

// secrets checks references. What is not one may be a secret, so no fault repeats it.
func (r *reading) secrets(at path, secrets []string) {
	if len(secrets) > 2 {
		r.fault(at, "there are more than two live secrets", "keep the old and the new one while you rotate")
	}
	twice := doubles(secrets)
	for i, secret := range secrets {
		env, isEnv := strings.CutPrefix(secret, "env:")
		file, isFile := strings.CutPrefix(secret, "file:")
		switch {
		case isEnv && env != "" && !strings.Contains(digits, env[:1]) && strings.Trim(env, letters+digits+"_") == "":
		case isFile && file != "" && len(file) <= 1000 && plainText(file):
		default:
			r.fault(at.index(i), "is not a reference to a secret", "write env:NAME or file:PATH; if it is the secret itself, it is known now: replace it")
		}
		if twice[i] {
			r.fault(at.index(i), "stands twice", "name each reference once")
		}
	}
}

func checkRights(r *reading) {
	for name, client := range r.recipe.Clients {
		at := path("clients").key(name)
		r.rights(at, client)
		twice := doubles(client.Scopes)
		for i, scope := range client.Scopes {
			_, declared := r.recipe.Scopes[scope]
			switch {
			case twice[i]:
				r.fault(at.key("scopes").index(i), "stands twice", "name each scope once")
			case r.policy != "": // the policy's own list has judged it
			case scope == deviceScope && client.Apps != "":
			case scope == deviceScope:
				r.fault(at.key("scopes").index(i), scope+" shares a sign-in with the other apps of a family, and this client is in none", "leave it out, or write apps: NAME in each of them")
			case scope == gateScope && client.Type == Service, scope == approveScope && client.Type != Service:
			case scope == gateScope:
				r.fault(at.key("scopes").index(i), scope+" is for Gates alone", "leave it out, or write type: service")
			case scope == approveScope:
				r.fault(at.key("scopes").index(i), scope+" is about a person, and nobody signs in through a service", "leave it out")
			case !declared && !slices.Contains(standardScopes, scope):
				known := append(keysOf(r.recipe.Scopes), standardScopes...)
				r.dangling(at.key("scopes").index(i), "scope", scope, known)
			}
		}
	}
}

func checkAddresses(r *reading) {
	for name, client := range r.recipe.Clients {
		at := path("clients").key(name)
		if _, known := grantsOf[client.Type]; !known || client.Type == Service {
			if client.Type == Service && len(client.Origins) > 0 {
				r.fault(at.key("origins"), "only browser clients call by script from a page", "leave it out")
			}
			continue
		}
		for key, uris := range map[string][]string{"redirect_uris": client.RedirectURIs, "post_logout_redirect_uris": client.LogoutURIs} {
			twice := doubles(uris)
			for i, uri := range uris {
				r.redirect(at.key(key).index(i), uri, client.Type, twice[i])
			}
		}
		if client.Type != Browser && len(client.Origins) > 0 {
			r.fault(at.key("origins"), "only browser clients call by script from a page", "leave it out, or write type: browser")
			continue
		}
		twice := doubles(client.Origins)
		for i, origin := range client.Origins {
			r.refused(at.key("origins").index(i), checkOrigin(origin))
			if twice[i] {
				r.fault(at.key("origins").index(i), "stands twice", "name each origin once")
			}
		}
	}
}

func (r *reading) redirect(at path, uri string, t ClientType, twice bool) {
	if err := CheckRedirect(uri, t); err != nil {
		r.refused(at, err)
		return
	}
	a, err := splitAddress(uri)
	switch {
	case twice:
		r.fault(at, "stands twice", "name each address once")
	case err == nil && a.host == "localhost" && a.scheme == "http":
		r.finding(at, "localhost is a name that can be pointed elsewhere (RFC 8252 section 8.3)", "write 127.0.0.1, where any port may be used")
	case err == nil && a.scheme == "http" && t != Native:
		r.finding(at, "works on one machine only", "write https:// for everyone else")
	}
}

func checkRenames(r *reading) {
	owners := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(r.recipe.Clients)) {
		was, at := r.recipe.Clients[name].Was, path("clients").key(name).key("was")
		if was == "" {
			continue
		}
		r.name(at, was)
		_, alive := r.recipe.Clients[was]
		switch owner, taken := owners[was]; {
		case was == name:
			r.fault(at, "is the name it has", "leave was out")
		case alive:
			r.fault(at, "a client of that name is still here", "remove it, or leave was out")
		case taken:
			r.fault(at, "the client "+shown(owner)+" was that one too", "one client takes over its grants")
		}
		owners[was] = name
	}
}
