package recipe

import (
	"slices"
	"strings"
)

// answers are the parameters of an authorization response: a redirect URI that already carries one could make the
// client read two (RFC 6749 section 4.1.2, RFC 9207, Session Management).
var answers = []string{"code", "state", "iss", "error", "error_description", "error_uri", "session_state", "response",
	"access_token", "id_token", "token_type", "expires_in"}

// CheckRedirect tells whether a client of type t may register uri as a place where codes or people may be sent. It is
// the one rule for recipes, the administrator's API and registration: https; http on 127.0.0.1 or [::1]; for native
// clients also http://localhost (RFC 8252 section 8.3 advises against it) and a private-use scheme with a dot
// (RFC 8252 section 7.1). There is one spelling of each place: requests are compared with it byte for byte.
// The error is a *Refusal.
func CheckRedirect(uri string, t ClientType) error {
	if t != Web && t != Native && t != Browser {
		return refuse("leave redirect URIs out", "a client of type %s sends nobody anywhere", show(string(t)))
	}
	if err := plainBytes(uri); err != nil {
		return err
	}
	scheme, rest, ok := strings.Cut(uri, ":")
	switch lower := strings.ToLower(scheme); {
	case !ok || !isScheme(lower):
		return refuse("write an absolute address, https://...", "%s is not absolute", show(uri))
	case lower != scheme:
		return refuse("write the scheme in lower case", "%s has a scheme in upper case", show(uri))
	case scheme == "https" || scheme == "http":
		return checkWebRedirect(uri, t)
	case t != Native:
		return refuse("write https://", "%s is not https", show(uri))
	case !strings.Contains(scheme, "."):
		return refuse("use a scheme made from a domain that you own, such as com.example.app:/callback", "the scheme %s has no dot", show(scheme))
	}
	return checkPrivateUse(uri, scheme, rest)
}

func checkWebRedirect(uri string, t ClientType) error {
	a, err := splitAddress(uri)
	if err != nil {
		return err
	}
	if a.scheme == "http" && !a.loopback() && (a.host != "localhost" || t != Native) {
		if a.host == "localhost" {
			return refuse("write 127.0.0.1", "localhost is a name that can be pointed elsewhere")
		}
		return refuse("write https://; http is for 127.0.0.1 and [::1] only", "%s is not https", show(uri))
	}
	return checkQuery(a.query)
}

// checkPrivateUse admits com.example.app:/path and com.example.app://host/path.
func checkPrivateUse(uri, scheme, rest string) error {
	for label := range strings.SplitSeq(scheme, ".") {
		if label == "" {
			return refuse("write it as com.example.app", "the scheme %s is not a domain name in reverse", show(scheme))
		}
	}
	rest, query, _ := strings.Cut(rest, "?")
	if authority, ok := strings.CutPrefix(rest, "//"); ok {
		host, after, slash := strings.Cut(authority, "/")
		if strings.ContainsAny(host, "@:[") {
			return refuse("write "+scheme+":/callback", "%s has more than a plain host", show(scheme+"://..."))
		}
		if err := checkHost(host); err != nil {
			return err
		}
		rest = ""
		if slash {
			rest = "/" + after
		}
	} else if !strings.HasPrefix(rest, "/") {
		return refuse("write "+scheme+":/callback", "%s has no path after its scheme", show(uri))
	}
	if err := checkPath(rest); err != nil {
		return err
	}
	return checkQuery(query)
}

func checkQuery(query string) error {
	if strings.ContainsAny(query, "[]") {
		return refuse("percent-encode them", "the query holds a bracket")
	}
	for _, name := range queryNames(query) {
		if slices.Contains(answers, name) {
			return refuse("choose another name", "the query already holds %s, which the answer will carry", name)
		}
		// An encoded name could be decoded to one of the answers.
		if strings.Contains(name, "%") {
			return refuse("write the names of parameters in plain letters", "the query has a percent-encoded name")
		}
	}
	return nil
}

// isScheme follows RFC 3986 section 3.1, in lower case.
func isScheme(text string) bool {
	return text != "" && text[0] >= 'a' && text[0] <= 'z' &&
		strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789+.-") == ""
}
