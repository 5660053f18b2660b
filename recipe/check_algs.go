package recipe

import (
	"encoding/json"
	"slices"
)

// signatureAlgs are the signatures that a client can ask for or bind itself to; there is no none. RS256 is among them for
// every message: OpenID Connect, JARM and RFC 9701 make it the default, and libraries of both sides that sign with nothing
// else are many. It signs only where a client names it, and the profiles refuse it.
var signatureAlgs = []string{"ES256", "ES384", "ES512", "EdDSA", "PS256", "PS384", "PS512", "RS256"}

// secretAlgs sign with a secret that both sides hold: assertions of client_secret_jwt, and nothing else.
var secretAlgs = []string{"HS256", "HS384", "HS512"}

// wrapAlgs wrap the key of something encrypted. RSA1_5 can be broken by asking (RFC 8725 section 3.2), RSA-OAEP is SHA-1,
// dir and the AES wraps need a secret that both sides hold.
var wrapAlgs = []string{"ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A256KW", "RSA-OAEP-256"}

// contentAlgs encrypt the content.
var contentAlgs = []string{"A128GCM", "A256GCM", "A128CBC-HS256", "A256CBC-HS512"}

// IDTokenAlgs lists the signatures that a client can ask for, for discovery.
func IDTokenAlgs() []string { return slices.Clone(signatureAlgs) }

// EncryptionAlgs lists the ways to wrap a key that a client can ask for, for discovery.
func EncryptionAlgs() []string { return slices.Clone(wrapAlgs) }

// EncryptionEncs lists the ways to encrypt content that a client can ask for, for discovery.
func EncryptionEncs() []string { return slices.Clone(contentAlgs) }

// signed is one message that is signed by the client or for it.
type signed struct{ key, alg string }

// signatures lists what a client says of signatures, but for its assertions, whose algorithms depend on its proof.
func (c Client) signatures() []signed {
	return []signed{
		{"id_token_signed_response_alg", c.IDTokenAlg}, {"userinfo_signed_response_alg", c.UserInfoAlg},
		{"introspection_signed_response_alg", c.IntrospectAlg}, {"authorization_signed_response_alg", c.ResponseAlg},
		{"request_object_signing_alg", c.RequestAlg}, {"backchannel_authentication_request_signing_alg", c.CIBAAlg},
	}
}

// sealed is one message that is encrypted, to the client or to the server.
type sealed struct {
	what     string // the key without _alg and _enc
	alg, enc string
	answer   bool // to the client
}

func (c Client) seals() []sealed {
	return []sealed{
		{"id_token_encrypted_response", c.IDTokenEncryption, c.IDTokenContent, true},
		{"userinfo_encrypted_response", c.UserInfoEncryption, c.UserInfoContent, true},
		{"introspection_encrypted_response", c.IntrospectWrap, c.IntrospectContent, true},
		{"authorization_encrypted_response", c.ResponseEncryption, c.ResponseContent, true},
		{"request_object_encryption", c.RequestEncryption, c.RequestContent, false},
	}
}

func checkAlgorithms(r *reading) {
	for name, client := range r.recipe.Clients {
		at := path("clients").key(name)
		for _, s := range client.signatures() {
			if s.alg != "" && !slices.Contains(signatureAlgs, s.alg) {
				r.fault(at.key(s.key), show(s.alg)+" is not an algorithm that signs", "the algorithms are "+listed(signatureAlgs))
			}
		}
		keyed := client.JWKS != "" || client.JWKSURI != "" || r.unread(at.key("jwks")) || r.unread(at.key("jwks_uri"))
		for _, s := range client.seals() {
			r.seal(at, s)
			if s.alg != "" && s.answer && !keyed {
				r.fault(at.key(s.what+"_alg"), "there is no key to encrypt with", "write jwks: FILE or jwks_uri: https://... with a key for encryption")
			}
		}
		r.assertionAlg(at.key("token_endpoint_auth_signing_alg"), client)
		for key, signs := range map[string]bool{
			"request_object_signing_alg": client.RequestAlg != "", "require_signed_request_object": client.SignedRequest,
			"backchannel_authentication_request_signing_alg": client.CIBAAlg != "",
		} {
			if signs && !keyed {
				r.fault(at.key(key), "there are no keys to check a signature with", "write jwks: FILE or jwks_uri: https://...")
			}
		}
	}
}

// seal checks one pair of algorithms.
func (r *reading) seal(at path, s sealed) {
	if s.alg != "" && !slices.Contains(wrapAlgs, s.alg) {
		r.fault(at.key(s.what+"_alg"), show(s.alg)+" is not a way to wrap a key", "the ways are "+listed(wrapAlgs))
	}
	if s.enc == "" {
		return
	}
	if !slices.Contains(contentAlgs, s.enc) {
		r.fault(at.key(s.what+"_enc"), show(s.enc)+" is not a way to encrypt content", "the ways are "+listed(contentAlgs))
	}
	if s.alg == "" && !r.unread(at.key(s.what+"_alg")) {
		r.fault(at.key(s.what+"_enc"), "nothing says how the key is wrapped", "write "+s.what+"_alg too, or leave both out")
	}
}

// keysFit sees that what is to be encrypted can be: the key sets are there now, so that nobody finds out at the first token.
func (r *reading) keysFit(files map[string][]byte) {
	for name, client := range r.recipe.Clients {
		for _, s := range client.seals() {
			if s.answer {
				r.keyFits(path("clients").key(name).key(s.what+"_alg"), s.alg, client.JWKS, files)
			}
		}
	}
	for name, api := range r.recipe.APIs {
		r.keyFits(path("apis").key(name).key("access_token_encryption_alg"), api.Encryption, api.JWKS, files)
	}
}

func (r *reading) keyFits(at path, alg, file string, files map[string][]byte) {
	set, there := files[file]
	if alg == "" || file == "" || !there || !slices.Contains(wrapAlgs, alg) || useKeys.check(set) != nil {
		return // nothing to do, or a fault already
	}
	if !keyFor(set, alg) {
		r.fault(at, "no key of the set can be used with "+alg, "add a key with \"use\": \"enc\": EC or X25519 for ECDH-ES, RSA for RSA-OAEP-256")
	}
}

// keyFor tells whether a key set holds a key that a wrap algorithm can use (RFC 7517 sections 4.2 and 4.4).
func keyFor(set []byte, alg string) bool {
	var read struct {
		Keys []struct {
			Kty, Crv, Use, Alg string
		}
	}
	if json.Unmarshal(set, &read) != nil {
		return false
	}
	for _, key := range read.Keys {
		if key.Use != "" && key.Use != "enc" || key.Alg != "" && key.Alg != alg {
			continue
		}
		agrees := key.Kty == "EC" || key.Kty == "OKP" && key.Crv == "X25519"
		if alg == "RSA-OAEP-256" && key.Kty == "RSA" || alg != "RSA-OAEP-256" && agrees {
			return true
		}
	}
	return false
}

// assertionAlg: the proof of a client decides what can sign it (OpenID Connect Core section 9).
func (r *reading) assertionAlg(at path, client Client) {
	alg := client.AuthAlg
	if alg == "" {
		return
	}
	algs := signatureAlgs
	switch client.AuthMethod() {
	case "private_key_jwt":
	case "client_secret_jwt":
		algs = secretAlgs
	default:
		r.fault(at, "the client makes no assertions", "leave it out, or write auth: private_key_jwt")
		return
	}
	if !slices.Contains(algs, alg) {
		r.fault(at, show(alg)+" is not an algorithm that signs assertions of "+client.Auth, "the algorithms are "+listed(algs))
	}
}
