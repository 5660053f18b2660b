package main

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"sync/atomic"
	"time"
)

// side is one of the two that a ratio compares.
type side struct {
	called  string // for people; empty: as its process is
	address string
	tls     *tls.Config // nil: without TLS
	do      deed
	process *process
	between func(lasting time.Duration) error // before each stretch, outside of the measurement
}

const (
	tokenPath      = "/token"
	introspectPath = "/introspect"
	accountPath    = "/accounts/42"
	authorizePath  = "/authorize?"
)

func basic(client string) string {
	both := url.QueryEscape(client) + ":" + url.QueryEscape(clientSecret)
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(both)) + "\r\n"
}

// clientCredentials gets one token for the client itself. The bare signer is asked in the same words.
func clientCredentials(c *caller, _ int) error {
	got, err := c.post(tokenPath, "grant_type=client_credentials&scope=accounts.read", nightly)
	return wanted(got, err, 200)
}

var nightly, notes, web = basic("nightly"), basic("notes-svc"), basic("web")

// introspection asks about one of the tokens that there are, another each time.
func introspection(tokens []string) deed {
	return introspecting(tokens, "", `{"active":true`)
}

// signedIntrospection asks for the answer as a JWT (RFC 9701 section 4).
func signedIntrospection(tokens []string) deed {
	header := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256",`)) // how it begins
	return introspecting(tokens, "Accept: application/token-introspection+jwt\r\n", header)
}

func introspecting(tokens []string, accept, begins string) deed {
	var next atomic.Int64
	return func(c *caller, _ int) error {
		token := tokens[int(next.Add(1))%len(tokens)]
		got, err := c.post(introspectPath, "token="+token, notes, accept)
		if err = wanted(got, err, 200); err == nil && !bytes.HasPrefix(got.body, []byte(begins)) {
			err = fmt.Errorf("not what was asked for: %s", got.body)
		}
		return err
	}
}

func plainTokens() []string {
	tokens := make([]string, tokensKnown)
	for number := range tokens {
		tokens[number] = fmt.Sprintf("token-%d", number)
	}
	return tokens
}

// refreshing rotates: each connection has a family of its own and goes on where it was.
func refreshing(current []string) deed {
	return func(c *caller, number int) error {
		got, err := c.post(tokenPath, "grant_type=refresh_token&client_id=app&refresh_token="+current[number])
		if err = wanted(got, err, 200); err != nil {
			return err
		}
		next, err := member(got.body, "refresh_token")
		if err == nil && next == current[number] {
			err = errors.New("the refresh token did not rotate")
		}
		current[number] = next
		return err
	}
}

const verifier = "a-verifier-that-is-long-enough-for-pkce-0123456789"

// codeFlow goes from a session to tokens: an access token, an ID token and a refresh token.
func codeFlow(cookies []string) deed {
	query := url.Values{
		"client_id": {"web"}, "response_type": {"code"}, "redirect_uri": {redirect}, "scope": {"openid accounts.read"},
		"state": {"af0ifjsldkj"}, "nonce": {"n-0S6_WzA2Mj"}, "code_challenge": {challenge(verifier)}, "code_challenge_method": {"S256"},
	}.Encode()
	rest := "&grant_type=authorization_code&redirect_uri=" + url.QueryEscape(redirect) + "&code_verifier=" + verifier
	return func(c *caller, number int) error {
		got, err := c.get(authorizePath+query, "Cookie: garde-session="+cookies[number]+"\r\n")
		if err = wanted(got, err, 303); err != nil {
			return err
		}
		code, err := codeIn(got)
		if err != nil {
			return err
		}
		got, err = c.post(tokenPath, "code="+code+rest, web)
		if err = wanted(got, err, 200); err != nil {
			return err
		}
		_, err = member(got.body, "id_token")
		return err
	}
}

// codeIn is the code that an answer sends the browser away with.
func codeIn(got answer) (string, error) {
	_, after, found := bytes.Cut(got.location, []byte("code="))
	code, _, _ := bytes.Cut(after, []byte("&"))
	if !found {
		return "", fmt.Errorf("no code in %s", got.location)
	}
	return string(code), nil
}

// account calls the API with a token that draw gives.
func account(draw func() string) deed {
	return func(c *caller, _ int) error {
		got, err := c.get(accountPath, "Authorization: Bearer "+draw()+"\r\n")
		return wanted(got, err, 200)
	}
}

// fresh draws tokens that were never shown before, signed between the stretches.
type fresh struct {
	house  *house
	tokens []string
	next   atomic.Int64
}

func (f *fresh) draw() string {
	at := f.next.Add(1) - 1
	if at >= int64(len(f.tokens)) {
		return "none-left"
	}
	return f.tokens[at]
}

const mostPerSecond = 15_000 // far beyond what a machine of two processors can do

// refill makes more tokens than the next stretch can use.
func (f *fresh) refill(lasting time.Duration) (err error) {
	f.tokens, err = f.house.tokens(int(mostPerSecond*lasting.Seconds()) + 1000)
	f.next.Store(0)
	return err
}
