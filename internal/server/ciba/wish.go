package ciba

import (
	"errors"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/server/callback"
	"github.com/gardeauth/garde/internal/server/request"
)

// The limits of what only this endpoint reads.
const (
	maxMessage = 100  // characters of binding_message: a person reads all of it
	maxToken   = 1024 // of client_notification_token (section 7.1)
	maxExpiry  = 10   // digits
)

// wish is what a request says beyond what every authorization request says.
type wish struct {
	login, idToken, hintToken string // exactly one
	message                   string
	life                      time.Duration
	token                     string
}

// unread are parameters that would change the meaning of a request, and have none here.
var unread = []string{"claims", "max_age", "dpop_jkt", "prompt"}

// read checks what the table of request does not know, in the order of section 7.1.
func read(asked *request.Request) (wish, error) {
	client := asked.Client
	if (client.CIBAAlg != "" || client.Demands().SignedRequest) && !asked.Signed {
		return wish{}, oauth.InvalidRequest("this client's requests must be signed, in a request object")
	}
	if !asked.Scope.Has(oauth.ScopeOpenID) {
		return wish{}, oauth.InvalidScope("scope must hold openid")
	}
	for _, name := range unread {
		if asked.Param(name) != "" {
			return wish{}, oauth.InvalidRequest("the parameter %s has no meaning here", name)
		}
	}
	if asked.Param("user_code") != "" {
		return wish{}, oauth.InvalidRequest("the parameter user_code is not supported")
	}
	wish := wish{
		login: asked.Param("login_hint"), idToken: asked.Param("id_token_hint"), hintToken: asked.Param("login_hint_token"),
		message: asked.Param("binding_message"),
	}
	if err := oneHint(wish); err != nil {
		return wish, err
	}
	if err := bounded(wish.message); err != nil {
		return wish, err
	}
	if wish.message == "" && asked.Details == "" && client.Demands().CodeOnly {
		return wish, oauth.InvalidBindingMessage("the client's profile demands a binding_message where nothing else tells requests apart")
	}
	var err error
	if wish.life, err = expiry(asked.Param("requested_expiry")); err != nil {
		return wish, err
	}
	wish.token, err = notification(client.Delivery(), asked.Param("client_notification_token"))
	return wish, err
}

// spoken says what is wrong with a request object in the words of this endpoint: section 13 knows no code of its own for it.
func spoken(err error) error {
	var told *oauth.Error
	if errors.As(err, &told) && told.Code == oauth.InvalidRequestObject("").Code {
		return oauth.InvalidRequest("%s", told.Description).Because(err)
	}
	return err
}

func oneHint(wish wish) error {
	hints := 0
	for _, hint := range []string{wish.login, wish.idToken, wish.hintToken} {
		if hint != "" {
			hints++
		}
	}
	if hints != 1 {
		return oauth.InvalidRequest("exactly one of login_hint, id_token_hint and login_hint_token is needed")
	}
	return nil
}

// bounded refuses a message that the person would not read as the client wrote it.
func bounded(message string) error {
	switch {
	case utf8.RuneCountInString(message) > maxMessage:
		return oauth.InvalidBindingMessage("binding_message is longer than %d characters", maxMessage)
	case strings.ContainsFunc(message, unseen):
		return oauth.InvalidBindingMessage("binding_message holds characters that can't be seen")
	case message != "" && strings.TrimSpace(message) == "":
		return oauth.InvalidBindingMessage("binding_message says nothing")
	}
	return nil
}

func unseen(c rune) bool {
	return c == unicode.ReplacementChar || !unicode.IsGraphic(c) || unicode.In(c, unicode.Cf, unicode.Co) || c != ' ' && unicode.IsSpace(c)
}

// expiry reads requested_expiry, a positive number, which a request object may hold as a number or as a text. Longer than
// MaxLife is MaxLife: the answer tells what holds.
func expiry(text string) (time.Duration, error) {
	if text == "" {
		return Life, nil
	}
	seconds, err := strconv.ParseUint(text, 10, 31)
	if err != nil || seconds == 0 || len(text) > maxExpiry {
		return 0, oauth.InvalidRequest("requested_expiry must be a positive number of seconds")
	}
	return min(time.Duration(seconds)*time.Second, MaxLife), nil
}

// notification reads client_notification_token, which has the grammar of a Bearer credential (RFC 6750 section 2.1). A
// client that polls needs none, and what it sends is not kept.
func notification(delivery, token string) (string, error) {
	switch {
	case delivery == callback.Poll:
		return "", nil
	case token == "":
		return "", oauth.InvalidRequest("client_notification_token is missing: the client is told by %s", delivery)
	case len(token) > maxToken || strings.Trim(strings.TrimRight(token, "="), bearer) != "" || token[0] == '=':
		return "", oauth.InvalidRequest("client_notification_token is no Bearer credential of at most %d characters", maxToken)
	}
	return token, nil
}

const bearer = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/"
