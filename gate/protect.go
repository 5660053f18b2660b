package gate

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/binding"
	"github.com/gardeauth/garde/internal/level"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/verify"
)

// need is what a handler asks of a token.
type need struct {
	scope           string
	acr             string
	fresh           time.Duration
	people, clients bool

	operation string       // of the Server's list
	open      bool         // no token is asked for
	bound     bool         // only tokens that are bound to a key
	more      bool         // there are rules that the list does not tell
	ladder    level.Ladder // that acr stands on
}

// Option is something that a handler asks for.
type Option func(*need)

// Scope asks for a scope. Every protected handler must have one.
func Scope(name string) Option { return func(n *need) { n.scope = name } }

// Level asks for at least a level of assurance, by its acr value; Config.Levels must list it.
func Level(acr string) Option { return func(n *need) { n.acr = acr } }

// Fresh asks that the person authenticated within so long.
func Fresh(within time.Duration) Option { return func(n *need) { n.fresh = within } }

// People admits clients on behalf of a person. It is the default.
func People() Option { return func(n *need) { n.people = true } }

// Clients admits clients for themselves, and unless People is there too, nobody else.
func Clients() Option { return func(n *need) { n.clients = true } }

// Facts is what a verified token says.
type Facts struct {
	Subject  string // the person, or the client itself
	Client   string
	Scope    []string
	ACR      string    // the level that the person reached; "": none
	AMR      []string  // how
	AuthTime time.Time // when the person authenticated; zero: nobody did
	Session  string
	ID       string // of the token
	// Details is what was granted in detail (authorization_details, RFC 9396): a JSON array of objects; nil: nothing.
	Details json.RawMessage
	Expires time.Time
}

// Person tells whether the token speaks for a person, and not for the client itself.
func (f Facts) Person() bool {
	return !f.AuthTime.IsZero() && f.Subject != "" && f.Subject != f.Client
}

// HasScope tells whether the token has a scope beyond the one that the handler asked for.
func (f Facts) HasScope(name string) bool { return oauth.Scope(f.Scope).Has(name) }

type factsKey struct{}

// Token gives what the verified token of a protected request says. Outside of one there are no facts.
func Token(ctx context.Context) (Facts, bool) {
	facts, ok := ctx.Value(factsKey{}).(Facts)
	return facts, ok
}

// Protect lets only requests with a good token that has all that the options ask for reach next. Without Scope or Operation, with a
// level that Config.Levels does not list, or with a level or freshness asked of clients that act for themselves, it panics:
// that is a mistake of the program, to be seen at its start.
func (g *Gate) Protect(next http.Handler, options ...Option) http.Handler {
	var n need
	for _, option := range options {
		option(&n)
	}
	switch {
	case n.operation != "" && g.lists == nil:
		panic("gate: gate.Operation needs Config.Operations")
	case n.operation != "" && (n.scope != "" || n.acr != "" || n.fresh != 0 || n.people || n.clients):
		panic("gate: gate.Operation stands for itself: the Server's list says the rest")
	case n.operation != "":
		return g.listed(next, n.operation)
	}
	n.people, n.ladder = n.people || !n.clients, g.ladder
	switch {
	case !oauth.ValidScopeName(n.scope):
		panic("gate: Protect needs gate.Scope with a valid name")
	case n.acr != "" && !g.ladder.Satisfied(n.acr, n.acr):
		panic("gate: the level " + n.acr + " is not one of Config.Levels")
	case n.fresh < 0:
		panic("gate: Fresh needs a positive time")
	case n.clients && (n.acr != "" || n.fresh > 0):
		panic("gate: clients that act for themselves have no level and no sign-in")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { g.serve(w, r, next, n) })
}

// listed protects by what the Server's list says of an operation when a request comes.
func (g *Gate) listed(next http.Handler, operation string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, refused := g.lists.need(operation)
		switch {
		case refused != nil:
			g.answer(w, r, refused)
		case n.open:
			next.ServeHTTP(w, r)
		default:
			g.serve(w, r, next, n)
		}
	})
}

func (g *Gate) serve(w http.ResponseWriter, r *http.Request, next http.Handler, n need) {
	claims, refused := g.admit(w, r, n)
	if refused == nil {
		refused = g.apply(r, n, factsOf(claims))
	}
	if refused != nil {
		g.answer(w, r, refused)
		return
	}
	next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), factsKey{}, factsOf(claims))))
}

// admit is read, prove, decide.
func (g *Gate) admit(w http.ResponseWriter, r *http.Request, n need) (verify.Claims, *refusal) {
	if nonce := g.judge.Nonce(); nonce != "" {
		w.Header().Set(binding.NonceHeader, nonce)
	}
	token, dpop, refused := presented(r)
	if refused != nil {
		return verify.Claims{}, refused
	}
	proven, proof, err := g.proven(r, token, dpop)
	if err != nil {
		return verify.Claims{}, refuse(binding.Unauthorized(err))
	}
	claims, err := g.verifier.VerifyProven(r.Context(), token, proven)
	if err != nil {
		return verify.Claims{}, refuse(err)
	}
	if (g.config.Bound || n.bound) && !claims.Confirmation.Bound() {
		return verify.Claims{}, refuse(oauth.InvalidToken("this API takes only tokens that are bound to a key: ask for one with a DPoP proof or a certificate"))
	}
	// Spent after the token was found good, so that only who holds a good one can fill the memory of proofs.
	if err := g.spend(r.Context(), proof); err != nil {
		return verify.Claims{}, refuse(binding.Unauthorized(err))
	}
	return claims, g.suffices(claims, n)
}

// suffices tells what a token lacks.
func (g *Gate) suffices(claims verify.Claims, n need) *refusal {
	facts, now := factsOf(claims), g.config.Now()
	issued := time.Unix(int64(claims.IssuedAt), 0)
	switch {
	case g.feed == nil && now.Sub(issued) > g.config.MaxAge:
		return refuse(oauth.InvalidToken("the token is older than this API accepts: ask for a new one"))
	case facts.Person() && !n.people:
		return refuse(oauth.InsufficientScope("this operation is for clients that act for themselves")).with("scope", n.scope)
	case !facts.Person() && facts.Subject != facts.Client: // a person of whom nobody says when they authenticated: neither
		return refuse(oauth.InsufficientScope("the token does not say when its person authenticated")).with("scope", n.scope)
	case !facts.Person() && !n.clients:
		return refuse(oauth.InsufficientScope("this operation is for people: let somebody sign in")).with("scope", n.scope)
	case !claims.Scope.Has(n.scope):
		return refuse(oauth.InsufficientScope("this operation needs the scope %s: ask for a token that has it", n.scope)).with("scope", n.scope)
	case n.acr != "" && !n.ladder.Satisfied(n.acr, claims.ACR):
		return n.stepUp("this operation needs a stronger sign-in: ask for a token with the acr_values of this answer")
	case n.fresh > 0 && !recent(now.Sub(facts.AuthTime), n.fresh):
		return n.stepUp("this operation needs a recent sign-in: ask for a token with the max_age of this answer")
	}
	return nil
}

// recent tells whether a sign-in of such an age is fresh; one in the future is only as far as clocks differ.
func recent(age, within time.Duration) bool { return age <= within && age >= -verify.DefaultLeeway }

// stepUp names all that is asked for, so that one new sign-in is enough (RFC 9470 section 3).
func (n need) stepUp(text string) *refusal {
	refused := refuse(oauth.InsufficientAuthentication("%s", text))
	if n.acr != "" {
		refused.with("acr_values", n.acr)
	}
	if n.fresh > 0 {
		refused.with("max_age", fmt.Sprint(int64(n.fresh/time.Second)))
	}
	return refused
}

// presented takes the token from the one place where it may stand (RFC 6750 section 2.1, RFC 9449 section 7.1), and refuses
// one in the URL. It tells whether the scheme was DPoP.
func presented(r *http.Request) (token string, dpop bool, refused *refusal) {
	if oauth.TokenInQuery(r.URL.RawQuery) {
		return "", false, refuse(oauth.InvalidRequest("a token in the URL is never accepted: send it as Authorization: Bearer"))
	}
	header := r.Header["Authorization"]
	if len(header) > 1 {
		return "", false, refuse(oauth.InvalidRequest("Authorization was sent more than once"))
	}
	if len(header) == 0 {
		return "", false, noCredentials()
	}
	scheme, rest, _ := strings.Cut(header[0], " ")
	dpop = strings.EqualFold(scheme, "DPoP")
	if !dpop && !strings.EqualFold(scheme, "Bearer") {
		return "", false, noCredentials()
	}
	token = strings.TrimLeft(rest, " ")
	if token == "" || strings.ContainsAny(token, ", \t") {
		return "", false, refuse(oauth.InvalidRequest("Authorization must read: Bearer or DPoP, one space, one token"))
	}
	return token, dpop, nil
}

func factsOf(claims verify.Claims) Facts {
	facts := Facts{
		Subject: claims.Subject, Client: claims.ClientID, Scope: claims.Scope, ACR: claims.ACR, AMR: claims.AMR,
		Session: claims.SessionID, ID: claims.ID, Expires: time.Unix(int64(claims.Expires), 0),
		Details: claims.Details,
	}
	if claims.AuthTime > 0 {
		facts.AuthTime = time.Unix(int64(claims.AuthTime), 0)
	}
	return facts
}
