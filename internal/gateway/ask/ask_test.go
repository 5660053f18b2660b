package ask_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gardeauth/garde/internal/gateway/ask"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/seal"
)

const secret = "s+cret/with:signs"

// at1 is an opaque token that could be one of the Server's.
var at1 = iam.NewSecret(iam.PrefixAccess)

// server answers with what the test says, and keeps what it was sent.
func server(t *testing.T, answer func(http.ResponseWriter, *http.Request)) *ask.Server {
	t.Helper()
	listening := httptest.NewServer(http.HandlerFunc(answer))
	t.Cleanup(listening.Close)
	asked, err := ask.New(ask.Config{
		Issuer: "https://id.example", Token: listening.URL + "/token", Introspect: listening.URL + "/introspect", Client: "gate:1",
		Secret: func() (seal.Secret, error) { return seal.Secret(secret), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return asked
}

func says(status int, kind, body string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestIntrospectGivesWhatTheServerSays(t *testing.T) {
	asked := server(t, func(w http.ResponseWriter, r *http.Request) {
		id, proof, _ := r.BasicAuth()
		if err := r.ParseForm(); err != nil || id != "gate%3A1" || proof != "s%2Bcret%2Fwith%3Asigns" || r.PostForm.Get("token") != at1 || r.URL.RawQuery != "" {
			t.Errorf("it was asked %v %v %v", id, proof, r.PostForm)
		}
		says(200, "application/json;charset=utf-8", `{"active":true,"sub":"u","aud":"https://api","client_id":"c","scope":"a b","jti":"j",
			"iat":1,"exp":2,"auth_time":1,"acr":"x","amr":["pwd"],"sid":"s","grant_id":"g","unknown":1}`)(w, r)
	})
	claims, err := asked.Introspect(context.Background(), at1)
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(claims.Issuer, claims.Subject, claims.Audience, claims.ClientID, claims.Scope, claims.ID, claims.IssuedAt,
		claims.Expires, claims.AuthTime, claims.ACR, claims.AMR, claims.SessionID, claims.Grant)
	if want := "https://id.exampleu[https://api]ca bj1 2 1x[pwd]sg"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

func TestOnlyALiteralTrueIsActiveAndOnlyThatAnswerRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		status     int
		kind, body string
		refused    bool // as invalid_token; else the Gate doesn't know
	}{
		"not active":          {200, "application/json", `{"active":false}`, true},
		"says nothing":        {200, "application/json", `{}`, true},
		"active as a text":    {200, "application/json", `{"active":"true"}`, false},
		"X doubled active":    {200, "application/json", `{"active":false,"active":true}`, false},
		"capital Active":      {200, "application/json", `{"Active":true}`, true},
		"two documents":       {200, "application/json", `{"active":true}{"active":false}`, false},
		"our client is wrong": {401, "application/json", `{"error":"invalid_client"}`, false},
		"busy":                {429, "application/json", `{}`, false},
		"broken":              {500, "text/html", `oops`, false},
		"not JSON":            {200, "text/html", `{"active":true}`, false},
		"empty audience":      {200, "application/json", `{"active":true,"aud":""}`, false},
		"too long":            {200, "application/json", `{"active":true,"x":"` + strings.Repeat("x", 70<<10) + `"}`, false},
		"malformed scope":     {200, "application/json", `{"active":true,"scope":"a\"b"}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := server(t, says(c.status, c.kind, c.body)).Introspect(context.Background(), at1)
			if err == nil || (oauth.CodeOf(err) == "invalid_token") != c.refused {
				t.Errorf("the error is %v", err)
			}
			if err != nil && (strings.Contains(err.Error(), "oops") || strings.Contains(err.Error(), at1) || strings.Contains(err.Error(), secret)) {
				t.Errorf("the error repeats what was sent or answered: %v", err)
			}
		})
	}
}

func TestNoRedirectTakesTheCredentialsAway(t *testing.T) {
	reached := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer other.Close()
	asked := server(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	})
	if _, err := asked.Introspect(context.Background(), at1); err == nil || reached {
		t.Errorf("it followed: %v %v", err, reached)
	}
}

func TestAuthorizeGivesTheGatesOwnToken(t *testing.T) {
	asked := server(t, func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil || r.PostForm.Get("grant_type") != "client_credentials" || r.PostForm.Get("scope") != "garde.gate" {
			t.Errorf("it was asked %v", r.PostForm)
		}
		says(200, "application/json", `{"access_token":"abc","token_type":"bearer","expires_in":300}`)(w, r)
	})
	if value, err := asked.Authorize(context.Background()); err != nil || value != "Bearer abc" {
		t.Errorf("%q %v", value, err)
	}
	for _, body := range []string{`{}`, `{"access_token":"abc","token_type":"DPoP"}`, `{"access_token":"a\r\nb","token_type":"Bearer"}`} {
		if value, err := server(t, says(200, "application/json", body)).Authorize(context.Background()); err == nil {
			t.Errorf("%s gives %q", body, value)
		}
	}
}

func TestASecretThatCannotBeReadIsAFault(t *testing.T) {
	asked, err := ask.New(ask.Config{Issuer: "i", Token: "http://127.0.0.1:1", Introspect: "http://127.0.0.1:1", Client: "c",
		Secret: func() (seal.Secret, error) { return "", errors.New("no such file") }})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := asked.Introspect(context.Background(), at1); err == nil || oauth.CodeOf(err) != "" {
		t.Error(err)
	}
	if _, err := ask.New(ask.Config{}); err == nil {
		t.Error("it was made of nothing")
	}
}

func TestStrangersCannotMakeTheGateAsk(t *testing.T) {
	asked := server(t, func(http.ResponseWriter, *http.Request) { t.Error("it asked") })
	for _, token := range []string{"", "x", "at_1", at1[:len(at1)-1] + "!", at1 + "x", iam.NewSecret(iam.PrefixCode), "eyJhbGciOiJFUzI1NiJ9.e30.c2ln"} {
		if _, err := asked.Introspect(t.Context(), token); oauth.CodeOf(err) != "invalid_token" {
			t.Errorf("%q: %v", token, err)
		}
	}
}
