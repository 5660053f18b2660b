package session_test

import (
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/session"
)

func TestWhereASignInLeads(t *testing.T) {
	hash := iam.UserHash(iam.Hash("a code"))
	device := *session.ForDevice(iam.Asked{Client: "tv", UserCode: hash})
	mark := "garde.device=" + iam.Digest(hash).String()
	for name, c := range map[string]struct {
		flow iam.Flow
		want string
	}{
		"a device":                       {device, "/device/confirm?flow=k+%26"},
		"what waits for the person":      {*session.ForRequests(), "/account/requests"},
		"nothing":                        {iam.Flow{}, "/account"},
		"an application":                 {iam.Flow{Client: "web", Query: "scope=openid&client_id=web"}, "/authorize?flow=k+%26"},
		"an application that says so":    {iam.Flow{Client: "web", Query: "client_id=web&" + mark}, "/authorize?flow=k+%26"},
		"a device without a code":        {iam.Flow{Client: "tv", Query: "garde.device="}, "/authorize?flow=k+%26"},
		"a device with half a code":      {iam.Flow{Client: "tv", Query: mark[:30]}, "/authorize?flow=k+%26"},
		"a device of no client":          {iam.Flow{Query: mark}, "/account"},
		"requests within an application": {iam.Flow{Client: "web", Query: "garde.requests"}, "/authorize?flow=k+%26"},
	} {
		if got := session.Return(c.flow, "k &"); got != c.want {
			t.Errorf("%s: to %s, want %s", name, got, c.want)
		}
	}
	if session.DeviceOf(device) != hash || !iam.Digest(session.DeviceOf(iam.Flow{})).Zero() {
		t.Error("the code of a transaction is another")
	}
	if wishes := session.WishesOf(device); len(wishes.Scope) > 0 || wishes.RedirectURI != "" {
		t.Errorf("V09 another page could ask for %+v", wishes)
	}
}

func TestAGrantEndsWithItsSessionUnlessItSaysOtherwise(t *testing.T) {
	now := time.Now()
	in := iam.Session{ID: "s", User: "alice", AuthTime: now.Add(-time.Hour), AMR: []string{"pwd"}, ACR: "urn:basic"}
	for scope, want := range map[string]string{"openid": "s", "openid offline_access": ""} {
		asked, err := oauth.ParseScope(scope)
		if err != nil {
			t.Fatal(err)
		}
		grant := session.GrantIn(in, "tv", asked, now, time.Hour)
		if grant.Session != want || grant.Login != "s" || grant.User != "alice" || grant.Client != "tv" || grant.ACR != "urn:basic" ||
			!grant.AuthTime.Equal(in.AuthTime) || !grant.Expires.Equal(now.Add(time.Hour)) || grant.ID == "" {
			t.Errorf("%s: %+v", scope, grant)
		}
	}
}
