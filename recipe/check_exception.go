package recipe

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// The exceptions: each is weak, and each has somebody who can't do without it yet.
const (
	AllowNoPKCE            = "no_pkce"            // a confidential client sends a nonce in place of a code challenge
	AllowNoNonce           = "no_nonce"           // beside no_pkce: not even a nonce, as a plan of conformance asks
	AllowRequestURI        = "request_uri"        // request objects are fetched from registered addresses
	AllowSecretPost        = "client_secret_post" // a secret in the body, where logs and proxies may keep it
	AllowSecretJWT         = "client_secret_jwt"  // an assertion under a secret that both sides hold
	AllowAssertionAudience = "assertion_audience" // an assertion may name an endpoint as its audience
	AllowAskOften          = "ask_often"          // people may be asked over the backchannel without end
	AllowErrorRedirect     = "error_redirect"     // errors go back to clients that registered themselves
)

// frontTypes are the response types that need an exception (OpenID Connect Core sections 3.2 and 3.3).
var frontTypes = []string{"id_token", "id_token token", "code id_token", "code token", "code id_token token"}

// AllowResponseType names the exception that a response type needs; code needs none.
func AllowResponseType(responseType string) string {
	if responseType == "code" {
		return ""
	}
	return "response_type." + strings.ReplaceAll(responseType, " ", "+")
}

// exceptionSays tells what each exception allows.
var exceptionSays = map[string]string{
	AllowNoPKCE:            "a confidential client may leave PKCE out where it sends a nonce",
	AllowNoNonce:           "a client with no_pkce may leave the nonce out too, so that nothing protects its codes from being injected: for tests of conformance",
	AllowRequestURI:        "request objects are fetched from the addresses under request_uris",
	AllowSecretPost:        "the secret may stand in the body of a request",
	AllowSecretJWT:         "assertions may be signed with a secret, which the server keeps sealed",
	AllowAssertionAudience: "an assertion may name the token, PAR or backchannel endpoint as its audience",
	AllowAskOften:          "the client may ask a person over the backchannel as often as it likes, until they give in: for tests of conformance",
	AllowErrorRedirect:     "errors go back to clients that registered themselves, which could make the server send people anywhere",
}

// Exceptions lists the names of all exceptions.
func Exceptions() []string {
	names := slices.Collect(maps.Keys(exceptionSays))
	for _, responseType := range frontTypes {
		names = append(names, AllowResponseType(responseType))
	}
	slices.Sort(names)
	return names
}

// ExceptionSays tells what an exception allows; "" if there is none of that name.
func ExceptionSays(name string) string {
	responseType, front := strings.CutPrefix(name, "response_type.")
	responseType = strings.ReplaceAll(responseType, "+", " ")
	if front && slices.Contains(frontTypes, responseType) {
		return "the browser may be given " + responseType + ", where tokens leak (RFC 9700 section 2.1.2); never for native and service clients"
	}
	return exceptionSays[name]
}

func checkExceptions(r *reading) {
	there := "the exceptions are " + listed(Exceptions())
	for name, exception := range r.recipe.Exceptions {
		at := path("exceptions").key(name)
		r.name(at, name)
		r.exceptionFor(at, exception)
		if len(exception.Allow) == 0 {
			r.fault(at.key("allow"), "allows nothing", there)
		}
		twice := doubles(exception.Allow)
		for i, allowed := range exception.Allow {
			switch {
			case !slices.Contains(Exceptions(), allowed):
				hint := there
				if near := nearest(allowed, Exceptions()); near != "" {
					hint = "did you mean " + near + "?"
				}
				r.fault(at.key("allow").index(i), "there is no exception "+show(allowed), hint)
			case twice[i]:
				r.fault(at.key("allow").index(i), "stands twice", "name each exception once")
			default:
				r.fits(at.key("allow").index(i), exception, allowed)
				if allowed == AllowNoNonce && !slices.Contains(exception.Allow, AllowNoPKCE) {
					r.fault(at.key("allow").index(i), "allows nothing without "+AllowNoPKCE, "write "+AllowNoPKCE+" beside it, or leave it out")
				}
			}
		}
		if strings.TrimSpace(exception.Why) == "" || !plainText(exception.Why) {
			r.fault(at.key("why"), "has no reason", "write for the next reader and the auditor")
		}
		r.until(at.key("until"), exception.Until)
	}
}

func (r *reading) exceptionFor(at path, exception Exception) {
	switch {
	case exception.Client == "" && exception.Policy == "":
		if !r.unread(at.key("client")) && !r.unread(at.key("registration")) {
			r.fault(at, "is for nobody", "write client: NAME or registration: NAME; there are no exceptions for all")
		}
	case exception.Client != "" && exception.Policy != "":
		r.fault(at.key("registration"), "is for two at once", "write one exception for the client and one for the policy")
	case exception.Client != "":
		if !has(r.recipe.Clients, exception.Client) {
			r.dangling(at.key("client"), "client", exception.Client, keysOf(r.recipe.Clients))
		}
	case !has(r.recipe.Registration, exception.Policy):
		r.missing(at.key("registration"), "registration policy", "registration", exception.Policy, keysOf(r.recipe.Registration))
	}
}

// fits refuses an exception that its client could not use, or whose profile knows none.
func (r *reading) fits(at path, exception Exception, allowed string) {
	profile := r.recipe.Registration[exception.Policy].Profile
	if client, declared := r.recipe.Clients[exception.Client]; declared {
		profile = client.Profile
		if text, hint := unfit(client, allowed); text != "" {
			r.fault(at, text, hint)
		}
	}
	for _, rule := range profile.Rules() {
		if slices.Contains(rule.Excludes, allowed) {
			r.fault(at, "the profile "+string(profile)+" knows no such exception: "+rule.Say+" ("+rule.Section+")", "leave the exception or the profile out")
		}
	}
}

func unfit(client Client, allowed string) (text, hint string) {
	kind := string(client.Type)
	responseType, front := strings.CutPrefix(allowed, "response_type.")
	responseType = strings.ReplaceAll(responseType, "+", " ")
	switch {
	case front && (client.Type == Native || client.Type == Service):
		return "nothing but a code ever comes back to a " + kind + " client", "leave it out"
	case front && !slices.Contains(client.ResponseTypes, responseType):
		return "the client does not use the response type " + responseType, "write it under response_types, or leave the exception out"
	case (allowed == AllowNoPKCE || allowed == AllowNoNonce) && client.Public():
		return "a " + kind + " client has nothing but PKCE to protect its codes (RFC 7636)", "leave it out"
	case allowed == AllowErrorRedirect:
		return "errors go back to every client that stands in the recipe", "leave it out: it is for registration policies"
	case allowed == AllowSecretPost && client.Auth != "client_secret_post", allowed == AllowSecretJWT && client.Auth != "client_secret_jwt":
		return "the client does not prove itself in this way", "leave it out"
	case allowed == AllowAskOften && !client.uses(grantCIBA):
		return "the client asks nobody over the backchannel", "leave it out"
	case allowed == AllowRequestURI && len(client.RequestURIs) == 0:
		return "the client has no request_uris", "leave it out"
	}
	return "", ""
}

func (r *reading) until(at path, text string) {
	last, err := time.Parse(time.DateOnly, text)
	switch {
	case err != nil:
		r.fault(at, show(text)+" is not a day", "write YYYY-MM-DD")
	case !r.now.IsZero() && !r.now.Before(last.Add(day)):
		r.fault(at, "the day has passed", "take the exception out, or renew it with a new reason")
	}
}

// allows tells whether an exception is written for a client. Whether its day has passed is judged where it stands, and
// again whenever it is used.
func (r *reading) allows(client, name string) bool {
	for _, exception := range r.recipe.Exceptions {
		if exception.Client == client && client != "" && slices.Contains(exception.Allow, name) {
			return true
		}
	}
	return false
}

// needs reports what only an exception allows.
func (r *reading) needs(at path, client, name, text string) {
	if !r.allows(client, name) {
		hint := "better do without; else write exceptions: NAME: {client: " + shown(client) + ", allow: [" + name + "], why: ..., until: YYYY-MM-DD}"
		if r.policy != "" {
			hint = "better do without; else ask whoever runs the server for the exception " + name
		}
		r.fault(at, text+" and needs an exception", hint)
	}
}

// End is the moment after the last day of the exception, in UTC; the zero time if the day can't be read.
func (e Exception) End() time.Time {
	last, err := time.Parse(time.DateOnly, e.Until)
	if err != nil {
		return time.Time{}
	}
	return last.Add(day)
}

// Ending is an exception that ends soon, or has ended.
type Ending struct {
	Name string // key of the exception
	Exception
	Ended bool
}

// EndingExceptions gives the exceptions that end within a while from now or have ended, the earliest first.
func (r *Recipe) EndingExceptions(now time.Time, within time.Duration) []Ending {
	var ending []Ending
	for _, name := range slices.Sorted(maps.Keys(r.Exceptions)) {
		exception := r.Exceptions[name]
		if end := exception.End(); !now.Add(within).Before(end) {
			ending = append(ending, Ending{name, exception, !now.Before(end)})
		}
	}
	slices.SortStableFunc(ending, func(a, b Ending) int { return cmp.Compare(a.Until, b.Until) })
	return ending
}

// ExceptionsOf gives the exceptions of a declared client, or of a registration policy: names and ends. The other is "".
func (r *Recipe) ExceptionsOf(client, policy string) map[string]time.Time {
	ends := map[string]time.Time{}
	for _, exception := range r.Exceptions {
		if (client == "" || exception.Client != client) && (policy == "" || exception.Policy != policy) {
			continue
		}
		for _, name := range exception.Allow {
			if end := exception.End(); end.After(ends[name]) {
				ends[name] = end
			}
		}
	}
	return ends
}
