package lab_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/gardeauth/garde/internal/lab"
)

// TestWhatAnAPIAsksFor: whoever writes a client reads what to ask for, and never by which rules it may be more.
func TestWhatAnAPIAsksFor(t *testing.T) {
	h := lab.New(t, lab.Options{Gate: true, Recipe: addWeighed, Files: weighedFiles})
	reply := h.Get("/apis/weighed")
	var said struct {
		API, Resource string
		Bound         bool
		Levels        []struct{ Name, ACR string }
		Operations    []map[string]any
	}
	reply.Into(&said)
	if said.API != "weighed" || said.Resource != h.GateURL+"/weighed" || len(said.Levels) == 0 || len(said.Operations) != 5 || said.Operations[0]["operation"] != "GET /inner" ||
		said.Operations[0]["rules"] != true || said.Operations[0]["scope"] != "weighed" || said.Operations[2]["authorization_details_type"] != "payment" || said.Operations[3]["rules"] != nil {
		t.Errorf("%s", reply.Body)
	}
	if strings.Contains(string(reply.Body), "staff") || strings.Contains(string(reply.Body), "token.age") || strings.Contains(string(reply.Body), "our own people") {
		t.Errorf("it tells the rules: %s", reply.Body)
	}
	if !strings.HasPrefix(reply.Header.Get("Cache-Control"), "public") || reply.Header.Get("ETag") == "" || reply.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("%v", reply.Header)
	}
	if again := h.Get("/apis/weighed", "If-None-Match", reply.Header.Get("ETag")); again.Status != 304 || len(again.Body) > 0 {
		t.Errorf("%d %s", again.Status, again.Body)
	}
	accounts := h.Get("/apis/accounts")
	if !strings.Contains(string(accounts.Body), `{"operation":"POST /transfers","for":["user"],"scope":"transfers.write","level":"basic","acr":"`+lab.Basic+`","max_age":300}`) ||
		!strings.Contains(string(accounts.Body), `{"operation":"GET /rates","open":true}`) {
		t.Errorf("%s", accounts.Body)
	}
	for _, lang := range []string{"en", "fr"} {
		seen := h.Get("/apis/accounts", "Accept", "text/html,application/xhtml+xml,*/*;q=0.8", "Accept-Language", lang)
		words := map[string]string{"en": "For people, through an application", "fr": "Pour les personnes, par une application"}
		if seen.Status != 200 || !strings.HasPrefix(seen.Header.Get("Content-Type"), "text/html") || !strings.Contains(string(seen.Body), words[lang]) || !strings.Contains(string(seen.Body), "POST /transfers") {
			t.Errorf("%s: %d %v", lang, seen.Status, seen.Header)
		}
	}
	if nothing := h.Get("/apis/nothing"); nothing.Status != 404 {
		t.Errorf("%d", nothing.Status)
	}
	if posted := h.Post("/apis/accounts", nil); posted.Status != 405 {
		t.Errorf("%d", posted.Status)
	}
	var about map[string]any
	must(t, json.Unmarshal(h.Call("GET", "/.well-known/oauth-protected-resource/accounts", "").Body, &about))
	if about["resource_documentation"] != h.Issuer+"/apis/accounts" {
		t.Errorf("%v", about)
	}
}
