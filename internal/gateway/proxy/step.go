package proxy

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/binding"
	"github.com/gardeauth/garde/internal/gateway/route"
	"github.com/gardeauth/garde/internal/gateway/shield"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/verify"
	"github.com/gardeauth/garde/internal/web"
)

// Call is one request on its way through the Gate. What a field says is true as soon as the step that sets it has passed.
type Call struct {
	In *http.Request
	route.Match
	Peer   netip.Addr    // the client's address, as far as it can be believed
	Token  string        // as presented, until it is verified
	DPoP   bool          // it was presented in the scheme DPoP
	Proven verify.Proof  // which keys the sender has proved
	Claims verify.Claims // zero on open operations

	proof  binding.Proof // not spent before "replay"
	looked bool          // asks is known
	gate   *Gate
	house  *house
	door   *door
	pace   pace
	body   body
	asks   *asking       // nil: nothing beyond a good token is asked for
	words  [words]string // values of the headers that go upstream
	back   answer

	context.Context // of the request; the call is found in it again
}

// Value finds the call itself, or what the request's own context holds.
func (c *Call) Value(key any) any {
	if key == (callKey{}) {
		return c
	}
	return c.Context.Value(key)
}

// Step is one check. Always says that it runs for open operations too.
type Step struct {
	Name   string
	Always bool
	Check  func(*Call) error
}

// Steps is an ordered table of checks.
type Steps []Step

// Standard is what every request goes through. Nothing is believed of a request before "shield", nothing is known of what
// it asks for before "route", and nothing of the caller before "token".
var Standard = Steps{
	{"shield", true, plainHTTP},
	{"route", true, knownOperation},
	{"peer", true, believedPeer},
	{"scheme", true, rightScheme},
	{"size", true, withinSize},
	{"credentials", false, oneToken},
	{"proof", false, provenKeys},
	{"token", false, goodToken},
	{"bound", false, boundWhereDemanded},
	// After the token, so that only who holds a good one can fill the memory of proofs.
	{"replay", false, neverBefore},
	{"caller", false, rightCaller},
	{"scope", false, hasScope},
	{"level", false, highEnough},
	{"fresh", false, freshEnough},
	{"rules", false, rulesHold},
	// The body is read only for who passed all that needs none.
	{"request", false, readValues},
	{"exact", false, exactRequest},
	// From here on the use is reserved, and what fails must release it. Before the Server is asked: what it permits is in the
	// journal as done, and teaches, so that whoever shows a spent detail again must not get as far.
	{"once", false, neverTwice},
	{"online", false, permittedOrReleased},
}

// Without is the table less one step, for labs and mutation tests only. An unknown name panics: a test that takes nothing
// away would prove nothing.
func (s Steps) Without(name string) Steps {
	less := slices.DeleteFunc(slices.Clone(s), func(step Step) bool { return step.Name == name })
	if len(less) == len(s) {
		panic("proxy: there is no step " + name)
	}
	return less
}

// permittedOrReleased asks the Server, and gives the reserved use back where it refuses: nothing was sent.
func permittedOrReleased(c *Call) error {
	err := serverPermits(c)
	if err != nil {
		c.release()
	}
	return err
}

func plainHTTP(c *Call) error { return shield.Check(c.In) }

func knownOperation(c *Call) (err error) {
	c.Match, err = c.house.table.Match(c.In.Method, c.In.Host, c.In.RequestURI)
	if err == nil {
		c.door = c.house.doors[c.API]
	}
	return err
}

// believedPeer refuses forwarding headers that contradict themselves, from peers that are listed; those of all others are
// dropped later.
func believedPeer(c *Call) (err error) {
	if c.Peer, err = c.gate.config.Peers.ClientIP(c.In); err != nil {
		return oauth.InvalidRequest("the forwarding headers can't be believed").Because(err)
	}
	return nil
}

// rightScheme refuses what came in clear for an API with https: the token was sent in clear, and no redirect makes that
// undone (L01). It also refuses a TLS connection that was opened for another host (W21).
func rightScheme(c *Call) error {
	scheme, err := c.gate.config.Peers.Scheme(c.In)
	if err != nil {
		return oauth.InvalidRequest("the forwarding headers can't be believed").Because(err)
	}
	if c.API.Secure && scheme != "https" {
		return misdirected("this API is served by https only; behind a proxy that ends TLS, the Gate must list that proxy as trusted")
	}
	if c.In.TLS != nil && c.In.TLS.ServerName != "" {
		host := c.In.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if !strings.EqualFold(c.In.TLS.ServerName, host) {
			return misdirected("the connection was opened for another host")
		}
	}
	return nil
}

func misdirected(text string) error {
	return &oauth.Error{Code: "invalid_request", Description: text, Status: http.StatusMisdirectedRequest}
}

func withinSize(c *Call) error {
	if c.In.ContentLength > c.API.Body {
		return tooLarge(c.API.Body)
	}
	return nil
}

func tooLarge(most int64) *oauth.Error {
	refusal := oauth.InvalidRequest("the body is larger than the %d bytes that this API takes", most)
	refusal.Status = http.StatusRequestEntityTooLarge
	return refusal
}

// oneToken takes the token from the one place where it may stand (RFC 6750 section 2.1, RFC 9449 section 7.1). A cookie, a form field, Basic
// and the query are no places. A field of that name in a body is the upstream's own, which hears from the Gate alone who calls.
func oneToken(c *Call) error {
	header := c.In.Header["Authorization"]
	if len(header) == 0 {
		return web.ErrNoCredentials
	}
	if len(header) > 1 {
		return oauth.InvalidRequest("Authorization was sent more than once")
	}
	scheme, rest, found := strings.Cut(header[0], " ")
	if c.DPoP = strings.EqualFold(scheme, "DPoP"); !c.DPoP && !strings.EqualFold(scheme, "Bearer") {
		return web.ErrNoCredentials
	}
	token := strings.TrimLeft(rest, " ")
	if !found || !token68(token) {
		return oauth.InvalidRequest("Authorization must read: Bearer or DPoP, one space, one token")
	}
	c.Token = token
	return nil
}

// token68 is the form of a Bearer token (RFC 6750 section 2.1).
func token68(token string) bool {
	body := strings.TrimRight(token, "=")
	for i := range len(body) {
		if !inToken[body[i]] {
			return false
		}
	}
	return body != ""
}

var inToken = func() (table [256]bool) {
	for _, c := range []byte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/") {
		table[c] = true
	}
	return table
}()

func goodToken(c *Call) (err error) {
	c.Claims, err = c.door.tokens.VerifyProven(c.In.Context(), c.Token, c.Proven)
	return err
}

// Person tells whether claims speak for a person through a client: somebody authenticated, and it is not the client itself.
func Person(claims verify.Claims) bool {
	return claims.AuthTime > 0 && claims.Subject != "" && claims.Subject != claims.ClientID
}

func rightCaller(c *Call) error {
	person := Person(c.Claims)
	// A client acts for itself only where it is its own subject (RFC 9068 section 2.2): a token that names a person of whom
	// nobody says when they authenticated, as one for an assertion may, is neither.
	itself := !person && c.Claims.Subject == c.Claims.ClientID
	if person && c.Operation.User || itself && c.Operation.Client {
		return nil
	}
	text := "this operation is for clients that act for themselves, and the token speaks for a person"
	if !person {
		text = "this operation is for people, and the token is a client's own: let somebody sign in"
	}
	return web.NeedScope(oauth.InsufficientScope("%s", text), oauth.Scope{c.Operation.Scope})
}

func hasScope(c *Call) error {
	if c.Operation.Scope != "" && c.Claims.Scope.Has(c.Operation.Scope) {
		return nil
	}
	return web.NeedScope(oauth.InsufficientScope("this operation needs the scope %s: ask for a token that has it", c.Operation.Scope),
		oauth.Scope{c.Operation.Scope})
}

// highEnough and freshEnough apply to whoever is let in, so a client's own token, which has no level, never passes where a
// level is asked for.
func highEnough(c *Call) error {
	if c.Operation.ACR == "" || c.house.table.Satisfied(c.Operation.ACR, c.Claims.ACR) {
		return nil
	}
	return c.stepUp("this operation needs a stronger sign-in: ask for a token with the acr_values of this answer")
}

// clockLeeway is how far the clock of the Server may be ahead of ours.
const clockLeeway = verify.DefaultLeeway

func freshEnough(c *Call) error {
	if c.Operation.Fresh == 0 {
		return nil
	}
	age := c.gate.config.Now().Sub(time.Unix(int64(c.Claims.AuthTime), 0))
	if c.Claims.AuthTime > 0 && age <= c.Operation.Fresh && age >= -clockLeeway {
		return nil
	}
	return c.stepUp("this operation needs a recent sign-in: ask for a token with the max_age of this answer")
}

// stepUp names all that the operation asks for, so that one new sign-in is enough (RFC 9470 section 3).
func (c *Call) stepUp(text string) error {
	var levels []string
	if c.Operation.ACR != "" {
		levels = []string{c.Operation.ACR}
	}
	age := time.Duration(-1)
	if c.Operation.Fresh > 0 {
		age = c.Operation.Fresh
	}
	return web.StepUp(oauth.InsufficientAuthentication("%s", text), levels, age)
}
