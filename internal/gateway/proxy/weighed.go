package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/gardeauth/garde/internal/gateway/weigh"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/web"
	"github.com/gardeauth/garde/recipe"
)

// asking is what a call goes through at an operation that asks for more than a good token.
type asking struct {
	of     *weigh.Operation
	server bool // the token can't tell: the Server must be asked
	values weigh.Values
	body   []byte       // as it was read, and as it is forwarded; nil: it was not read
	uses   []weigh.Use  // the names of its one use; those that are reserved, as soon as sent is set
	sent   *atomic.Bool // a connection to the API was taken for it; nil: no use is reserved
}

// book prepares what operations ask beyond a good token.
func (g *Gate) book(r *recipe.Recipe) (*weigh.Book, error) {
	book, err := weigh.Compile(r, g.config.Issuer)
	if err != nil {
		return nil, err
	}
	switch rules, once := book.Asks(); {
	case rules && g.config.Decider == nil:
		return nil, errors.New("raise: this Gate has nobody to ask what rules need to know")
	case once && g.config.Uses == nil:
		return nil, errors.New("details: this Gate has nobody to share its memory of used details with")
	}
	return book, nil
}

// more gives what the operation asks beyond a good token; nil: nothing.
func (c *Call) more() *weigh.Operation {
	if !c.looked {
		c.looked = true
		if asks := c.house.book.Operation(c.API.Name, c.Operation.Name); asks != nil {
			c.asks = &asking{of: asks}
		}
	}
	if c.asks == nil {
		return nil
	}
	return c.asks.of
}

func (c *Call) caller() weigh.Caller {
	return weigh.Caller{Claims: c.Claims, Person: Person(c.Claims), Address: c.Peer, Now: c.gate.config.Now(), Languages: web.Languages(c.In)}
}

// rulesHold applies the rules as far as the token tells. What it can't tell is left to "online".
func rulesHold(c *Call) error {
	asks := c.more()
	if asks == nil || !asks.Rules {
		return nil
	}
	answer := asks.Offline(c.caller())
	if c.asks.server = answer.Ask; answer.Ask {
		return nil
	}
	return c.obey(answer)
}

// obey turns an answer into a refusal, or nil.
func (c *Call) obey(answer weigh.Answer) error {
	var cause error
	if answer.Trace != "" {
		cause = errors.New("decided by the Server under the trace " + answer.Trace)
	}
	switch {
	case answer.Permits():
		return nil
	case answer.StepUp():
		refusal := oauth.InsufficientAuthentication("this operation needs more at this moment: ask for a token with the acr_values and max_age of this answer")
		return web.StepUp(refusal.Because(cause), answer.ACR, answer.MaxAge)
	}
	text := answer.Say
	if text == "" {
		text = "this is refused at this moment, for reasons that the provider of the API can look up by the trace"
	}
	return (&oauth.Error{Code: "access_denied", Status: http.StatusForbidden, Description: text}).Because(cause)
}

// readValues reads the body once, and takes from the request the values that the recipe maps.
func readValues(c *Call) (err error) {
	asks := c.more()
	if asks == nil || !asks.Reads(c.asks.server) {
		return nil
	}
	if asks.NeedsBody(c.asks.server) {
		if err := c.readBody(); err != nil {
			return err
		}
	}
	c.asks.values, err = asks.Read(weigh.Source{Path: c.Path, Query: c.Query, Header: c.In.Header, Body: c.asks.body}, c.asks.server)
	return err
}

// readBody reads the whole body. What was read is what will be forwarded, byte for byte.
func (c *Call) readBody() error {
	c.asks.body = []byte{}
	if c.In.Body == nil || c.In.Body == http.NoBody || c.In.ContentLength == 0 {
		return nil
	}
	most := min(c.API.Body, weigh.MaxBody)
	if c.In.ContentLength > most {
		return tooLarge(most)
	}
	c.body = body{from: c.In.Body, left: most, pace: &c.pace}
	read, err := io.ReadAll(&c.body)
	switch {
	case c.body.exceeded():
		return tooLarge(most)
	case err != nil:
		return c.failure(err)
	case c.In.ContentLength >= 0 && int64(len(read)) != c.In.ContentLength:
		return oauth.InvalidRequest("the body is shorter than was announced")
	}
	c.asks.body = read
	return nil
}

// exactRequest sees that the token was granted for exactly this request (RFC 9396).
func exactRequest(c *Call) (err error) {
	asks := c.more()
	if asks == nil || asks.Detail == "" {
		return nil
	}
	c.asks.uses, err = asks.Exact(c.Claims, c.asks.values)
	return err
}

// serverPermits asks the Server what the token could not tell. Who can't be asked has not permitted.
func serverPermits(c *Call) error {
	asks := c.more()
	if asks == nil || !c.asks.server {
		return nil
	}
	answer, err := asks.Online(c.In.Context(), c.gate.config.Decider, c.caller(), c.asks.values)
	if err != nil {
		return oauth.Unavailable("it can't be decided at the moment whether this is allowed").Because(err)
	}
	return c.obey(answer)
}

// neverTwice reserves the use of a detail with the Server, before a byte of the request is sent on.
func neverTwice(c *Call) error {
	asks := c.more()
	if asks == nil || asks.Detail == "" {
		return nil
	}
	wanted := c.asks.uses
	c.asks.uses, c.asks.sent = nil, &atomic.Bool{}
	for _, use := range wanted {
		first, err := c.gate.config.Uses.ReserveUse(c.In.Context(), use)
		switch {
		case err != nil:
			c.release()
			return oauth.Unavailable("it can't be known at the moment whether this was done already").Because(err)
		case !first:
			return asks.Spent()
		}
		c.asks.uses = append(c.asks.uses, use)
	}
	return nil
}

// prepared gives the request that goes upstream: with the body that was read, if it was, and watched, if its use is
// reserved.
func (c *Call) prepared() *http.Request {
	if c.asks == nil {
		return c.In
	}
	if c.asks.body != nil {
		c.In.Body, c.In.ContentLength, c.In.TransferEncoding = http.NoBody, int64(len(c.asks.body)), nil
		if len(c.asks.body) > 0 {
			c.In.Body = io.NopCloser(bytes.NewReader(c.asks.body))
		}
	}
	if sent := c.asks.sent; sent != nil {
		// From the moment that a connection is there, nobody can tell any more how much of the request went over it.
		c.In = c.In.WithContext(httptrace.WithClientTrace(c.In.Context(), &httptrace.ClientTrace{
			GotConn: func(httptrace.GotConnInfo) { sent.Store(true) },
		}))
	}
	return c.In
}

const releaseTime = 2 * time.Second

// release makes a reserved use free again, if nothing of the request was sent.
func (c *Call) release() {
	if c.asks == nil || c.asks.sent == nil || c.asks.sent.Load() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.In.Context()), releaseTime)
	defer cancel()
	for _, use := range c.asks.uses {
		if err := c.gate.config.Uses.ReleaseUse(ctx, use.Key); err != nil && c.gate.config.Log != nil {
			// The person must be asked again: that is a nuisance, and no danger.
			c.gate.config.Log.Warn("a use that did not happen stays reserved", "trace", web.Trace(c.In.Context()), "error", err)
		}
	}
}
