package request_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/oauth"
)

// reasonOf is the finer word of an error, for a page.
func reasonOf(err error) oauth.Reason {
	var told *oauth.Error
	if !errors.As(err, &told) {
		return ""
	}
	return told.Reason
}

// A person reads why it stopped; what they read is the same whatever else is registered.
func TestR20N08ARefusalSaysWhatHappened(t *testing.T) {
	h := open(t)
	for name, c := range map[string]struct {
		form string
		want oauth.Reason
	}{
		"no client":               {asking("web", "client_id", "-").Encode(), oauth.ReasonClientMissing},
		"unknown client":          {asking("nobody").Encode(), oauth.ReasonUnknownClient},
		"disabled client":         {asking("off", "redirect_uri", "https://off.example/cb").Encode(), oauth.ReasonClientDisabled},
		"no redirect_uri":         {asking("web", "redirect_uri", "-").Encode(), oauth.ReasonRedirectMissing},
		"another redirect_uri":    {asking("web", "redirect_uri", "https://evil.example/cb").Encode(), oauth.ReasonRedirectURI},
		"nearly the right one":    {asking("web", "redirect_uri", "https://app.example/cb/").Encode(), oauth.ReasonRedirectURI},
		"that of another client":  {asking("web", "redirect_uri", "https://other.example/cb").Encode(), oauth.ReasonRedirectURI},
		"no response_type":        {asking("web", "response_type", "-").Encode(), oauth.ReasonResponseTypeAbsent},
		"one that it may not use": {asking("web", "response_type", "id_token").Encode(), oauth.ReasonResponseType},
		"never pushed":            {"client_id=web&request_uri=" + iam.RequestURN + strings.Repeat("A", 43), oauth.ReasonPushedUnknown},
		"malformed":               {"client_id=web&request_uri=" + iam.RequestURN + "x", oauth.ReasonPushedUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := h.parse(t, c.form)
			if got := reasonOf(err); got != c.want {
				t.Errorf("%v has the reason %q, want %q", err, got, c.want)
			}
			var told *oauth.Error
			if errors.As(err, &told) && strings.Contains(told.Description, "example") {
				t.Errorf("it repeats an address: %s", told.Description)
			}
		})
	}
}

// Another client's request is never told from one that never was; one's own may be told to be late.
func TestP02AForeignPushedRequestReadsAsOneThatNeverWas(t *testing.T) {
	h := open(t)
	query := asking("pushing", "redirect_uri", "https://jar.example/cb").Encode()
	for name, c := range map[string]struct {
		client, uri string
		late        time.Duration
		want        oauth.Reason
	}{
		"another client's":           {"jar", h.pushed(t, "pushing", query), 0, oauth.ReasonPushedUnknown},
		"another client's, too late": {"jar", h.pushed(t, "pushing", query), 2 * time.Minute, oauth.ReasonPushedUnknown},
		"its own, too late":          {"pushing", h.pushed(t, "pushing", query), 2 * time.Minute, oauth.ReasonPushedExpired},
		"never pushed":               {"pushing", iam.RequestURN + iam.NewSecret(iam.PrefixPushed), 0, oauth.ReasonPushedUnknown},
		"not pushed at all":          {"pushing", "", 0, oauth.ReasonPushNeeded},
		"at an unregistered address": {"byref", "https://jar.example/nowhere", 0, oauth.ReasonRequestURI},
	} {
		t.Run(name, func(t *testing.T) {
			now := h.now
			defer func() { h.now = now }()
			h.now = now.Add(c.late)
			_, err := h.parse(t, jar(c.client, "", "request_uri", c.uri))
			if got := reasonOf(err); got != c.want {
				t.Errorf("%v has the reason %q, want %q", err, got, c.want)
			}
		})
	}
}
