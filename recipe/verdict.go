package recipe

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"
)

// judge says what one change does. Old or New is "" when the value was not there or is gone.
type judge func(*comparison, Change) (Verdict, string)

// rule has a judge for a value that a recipe can hold, by path: * is a name, [] a member of a set. A test holds the tables
// complete.
type rule struct {
	pattern string
	judge   judge
}

var baseVerdicts = []rule{
	{"garde", always(Neutral, "another format says the same")},
	{"company.name", text}, {"company.logo", text}, {"company.accent", text}, {"company.help", text},

	{"levels", always(Weaker, "levels changed places, and with them what every operation asks for")},
	{"levels.*", always(Neutral, "a level alone opens and closes nothing")},
	{"levels.*.name", text},
	{"levels.*.acr", always(Neutral, "tokens carry another word for the same level")},
	{"levels.*.any[]", admits("another way reaches the level", "fewer ways reach the level")},

	{"scopes.*", came(Neutral, "a scope alone opens nothing", Stronger, "grants of this scope end")},
	{"scopes.*.say.*", text},

	{"apis.*", came(Neutral, "the API is guarded from its first day; its open operations are told apart", Stronger, "the API is closed")},
	{"apis.*.at", secure("tokens are for another audience")},
	{"apis.*.upstream", secure("requests go to another place")},
	{"apis.*.client", admits("another client may introspect the API's tokens", "no client may introspect the API's tokens")},
	{"apis.*.token", ladder([]string{"jwt", "opaque"}, "whoever holds a token can read it", "tokens can't be read any more")},
	{"apis.*.timeout", always(Neutral, "a slow upstream is judged otherwise")},
	{"apis.*.body", number("larger bodies pass", "larger bodies are refused")},
	{operationPattern, operation},
	{openPattern, open},
	{operationPattern + ".for[]", admits("another kind of caller is admitted", "fewer kinds of caller are admitted")},
	{operationPattern + ".scope", always(Weaker, "tokens with another scope are admitted")},
	{operationPattern + ".level", level},
	{operationPattern + ".fresh", fresh},

	{"clients.*", came(Weaker, "another application may ask for tokens", Stronger, "the application is gone and its grants end")},
	{"clients.*.type", always(Weaker, "another kind of application takes over the name")},
	{"clients.*.name.*", text},
	{"clients.*.was", always(Neutral, "the application is the same under another name")},
	{"clients.*.auth", ladder(authLadder, "the proof is easier to steal", "the proof is harder to steal")},
	{"clients.*.secrets[]", admits("another secret opens the client", "fewer secrets open the client")},
	{"clients.*.jwks", admits("other keys open the client", "these keys open the client no more")},
	{"clients.*.jwks_uri", admits("keys from another address open the client", "keys from this address open the client no more")},
	{"clients.*.scopes[]", admits("it may ask for more", "it may ask for less")},
	{"clients.*.grants[]", admits("it may use another grant", "it may use fewer grants")},
	{"clients.*.redirect_uris[]", admits("codes may go to another place", "codes go to fewer places")},
	{"clients.*.post_logout_redirect_uris[]", admits("people may be sent to another place", "people are sent to fewer places")},
	{"clients.*.origins[]", admits("scripts of another page may call", "scripts of fewer pages may call")},
	{"clients.*.consent", ladder([]string{"implied", "ask"}, "people are asked no more", "people are asked")},
	{"clients.*.rotate", ladder([]string{"", "true"}, "a stolen refresh token is noticed later", "a stolen refresh token is noticed")},
	{"clients.*.id_token_signed_response_alg", idTokenAlg},

	{"signin.signup", ladder([]string{"true", ""}, "people may make accounts", "people make no accounts any more")},
	{"signin.signup_hosts[]", signUpHosts},
	{"signin.reset", ladder([]string{"true", "false"}, "whoever reads the mail may set a password", "the mail opens no account any more")},
	{"signin.password_list", passwordList},

	{"lifetimes.code", life}, {"lifetimes.access", life}, {"lifetimes.id", life}, {"lifetimes.refresh_idle", life}, {"lifetimes.refresh", life},
	{"lifetimes.session_idle", life}, {"lifetimes.session", life},
	{"lifetimes.journal", longer("personal fields are kept longer", "personal fields are kept shorter")},

	{"exceptions.*", came(Weaker, "something weak is allowed", Stronger, "the exception has ended")},
	{"exceptions.*.client", always(Weaker, "something weak is allowed to another client")},
	{"exceptions.*.allow[]", admits("more that is weak is allowed", "less that is weak is allowed")},
	{"exceptions.*.why", text},
	{"exceptions.*.until", until},
}

// authLadder: what is sent is easier to steal than what signs, and a key that one side alone holds is hardest.
var authLadder = []string{"none", "client_secret_post", "client_secret_basic", "client_secret_jwt",
	"self_signed_tls_client_auth", "tls_client_auth", "private_key_jwt"}

const statementPattern = "registration.*.software_statements[]" // ISSUER=FILE

// filePatterns are the values that name files.
var filePatterns = []string{"company.logo", "signin.password_list", "signin.passkeys.roots[]", "risk.addresses", "clients.*.jwks", "apis.*.jwks", "issuers.*.jwks",
	"apis.*.authorization_details.*.schema", statementPattern}

func ruleOf(pattern string) (judge, bool) {
	for _, rule := range verdicts {
		if rule.pattern == pattern {
			return rule.judge, true
		}
	}
	return nil, false
}

// stamped is the name of a file with a mark of its content.
func stamped(name string, content []byte) string {
	sum := sha256.Sum256(content)
	return name + " (sha256 " + hex.EncodeToString(sum[:6]) + ")"
}

func unstamped(value string) string {
	name, _, _ := strings.Cut(value, " (sha256 ")
	return name
}

func always(v Verdict, why string) judge {
	return func(*comparison, Change) (Verdict, string) { return v, why }
}

func text(*comparison, Change) (Verdict, string) { return Neutral, "only people read it" }

// came judges a thing that can only come and go.
func came(v Verdict, why string, gone Verdict, whyGone string) judge {
	return func(_ *comparison, c Change) (Verdict, string) {
		if c.New == "" {
			return gone, whyGone
		}
		return v, why
	}
}

// admits judges what lets something in: new and other values weaken, only their end strengthens.
func admits(more, less string) judge { return came(Weaker, more, Stronger, less) }

// ladder judges values with an order, weakest first. A value outside it is the weakest.
func ladder(rungs []string, weaker, stronger string) judge {
	return func(_ *comparison, c Change) (Verdict, string) {
		if slices.Index(rungs, c.New) > slices.Index(rungs, c.Old) {
			return Stronger, stronger
		}
		return Weaker, weaker
	}
}

// secure judges an address: another one is what it is for, but not one without TLS.
func secure(otherwise string) judge {
	return func(_ *comparison, c Change) (Verdict, string) {
		old, now := strings.HasPrefix(c.Old, "https:"), strings.HasPrefix(c.New, "https:")
		switch {
		case c.New == "":
			return Stronger, "nothing is forwarded any more"
		case old && !now:
			return Weaker, "the way is not encrypted any more"
		case c.Old != "" && now && !old:
			return Stronger, "the way is encrypted"
		}
		return Neutral, otherwise
	}
}

func number(more, less string) judge {
	return func(_ *comparison, c Change) (Verdict, string) {
		old, errOld := strconv.ParseInt(c.Old, 10, 64)
		now, errNow := strconv.ParseInt(c.New, 10, 64)
		if errOld == nil && errNow == nil && now < old {
			return Stronger, less
		}
		return Weaker, more
	}
}

func longer(more, less string) judge {
	return func(_ *comparison, c Change) (Verdict, string) {
		old, errOld := ParseDuration(c.Old)
		now, errNow := ParseDuration(c.New)
		if errOld == nil && errNow == nil && now < old {
			return Stronger, less
		}
		return Weaker, more
	}
}

func life(c *comparison, change Change) (Verdict, string) {
	return longer("what is stolen can be used longer", "what is stolen can be used shorter")(c, change)
}

// operation judges one that came or went.
func operation(_ *comparison, c Change) (Verdict, string) {
	switch {
	case c.New == "":
		return Stronger, "the operation is refused"
	case strings.HasPrefix(c.New, `{"open":`):
		return Weaker, "anyone may call the operation"
	}
	return Neutral, "the operation is guarded from its first day"
}

func open(_ *comparison, c Change) (Verdict, string) {
	switch {
	case c.Old == "":
		return Weaker, "anyone may call the operation"
	case c.New == "":
		return Stronger, "the operation is guarded"
	}
	return text(nil, c)
}

// level judges on the new ladder, or on the old one while it still has both rungs. Without a common ladder nobody can
// say that the change is harmless.
func level(c *comparison, change Change) (Verdict, string) {
	switch {
	case change.Old == "":
		return Stronger, "a level is asked for"
	case change.New == "":
		return Weaker, "no level is asked for"
	}
	for _, rungs := range [][]string{levelNames(c.new.Levels), levelNames(c.old.Levels)} {
		old, now := slices.Index(rungs, change.Old), slices.Index(rungs, change.New)
		if old >= 0 && now > old {
			return Stronger, "a higher level is asked for"
		}
		if old >= 0 && now >= 0 {
			return Weaker, "a lower level is asked for"
		}
	}
	return Weaker, "the two levels never stood on one ladder"
}

func fresh(c *comparison, change Change) (Verdict, string) {
	switch {
	case change.Old == "":
		return Stronger, "people have to have signed in recently"
	case change.New == "":
		return Weaker, "people may have signed in long ago"
	}
	return longer("people may have signed in longer ago", "people have to have signed in more recently")(c, change)
}

// idTokenAlg: RS256 is there because OpenID Connect demands it, and for no other reason.
func idTokenAlg(_ *comparison, c Change) (Verdict, string) {
	switch {
	case c.New == "RS256":
		return Weaker, "an older signature is used"
	case c.Old == "RS256":
		return Stronger, "a newer signature is used"
	}
	return Neutral, "both signatures are strong"
}

// signUpHosts: an empty list means any host, so its first member closes and its last one opens.
func signUpHosts(c *comparison, change Change) (Verdict, string) {
	switch {
	case len(c.old.SignIn.SignUpHosts) == 0:
		return Stronger, "not every mail domain may sign up any more"
	case len(c.new.SignIn.SignUpHosts) == 0:
		return Weaker, "any mail domain may sign up"
	}
	return admits("another mail domain may sign up", "fewer mail domains may sign up")(c, change)
}

func passwordList(c *comparison, change Change) (Verdict, string) {
	if linesKept(c.oldFiles[unstamped(change.Old)], c.newFiles[unstamped(change.New)]) {
		return Stronger, "no fewer passwords are refused"
	}
	return Weaker, "passwords that were refused are allowed"
}

// linesKept tells whether every line of the old file stands in the new one.
func linesKept(old, now []byte) bool {
	there := map[string]bool{}
	for line := range strings.Lines(string(now)) {
		there[strings.TrimSpace(line)] = true
	}
	for line := range strings.Lines(string(old)) {
		if line = strings.TrimSpace(line); line != "" && !there[line] {
			return false
		}
	}
	return true
}

func until(_ *comparison, c Change) (Verdict, string) {
	old, errOld := time.Parse(time.DateOnly, c.Old)
	now, errNow := time.Parse(time.DateOnly, c.New)
	if errOld == nil && errNow == nil && now.Before(old) {
		return Stronger, "the exception ends earlier"
	}
	return Weaker, "the exception ends later"
}
