// Package operations tells what an API asks for: each operation with its level, freshness, scope and detail, as a page for
// people who write clients, and as JSON for programs, such as the middleware gate. It tells whether rules may ask for more,
// and never which. It is public: a client must know what to ask for, and an API refuses by the policy, not by secrecy.
package operations

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/page"
	"github.com/gardeauth/garde/internal/web"
	"github.com/gardeauth/garde/recipe"
)

// Place is the path of the page of an API, whose name follows.
const Place = "/apis/"

// List is what an API asks for, as JSON.
type List struct {
	API        string      `json:"api"`
	Resource   string      `json:"resource"` // the audience of its tokens
	Bound      bool        `json:"bound"`    // it takes only tokens that are bound to a key
	Levels     []Level     `json:"levels"`   // weakest first
	Operations []Operation `json:"operations"`
}

// Level is a level of assurance.
type Level struct {
	Name string `json:"name"`
	ACR  string `json:"acr"`
}

// Operation is one operation. Without open it asks for a token.
type Operation struct {
	Name   string          `json:"operation"`                            // POST /transfers
	Open   bool            `json:"open,omitempty"`                       // anybody may call it
	For    []recipe.Caller `json:"for,omitempty"`                        // user, client
	Scope  string          `json:"scope,omitempty"`                      //
	Level  string          `json:"level,omitempty"`                      //
	ACR    string          `json:"acr,omitempty"`                        // of the level
	MaxAge int64           `json:"max_age,omitempty"`                    // how many seconds ago the person may have authenticated
	Detail string          `json:"authorization_details_type,omitempty"` // the person must have allowed exactly this call, once
	Rules  bool            `json:"rules,omitempty"`                      // rules may ask for more, or refuse

	why string // why it is open, for people
}

// Endpoint is /apis/{name}. All fields are required.
type Endpoint struct {
	Policy func() *assurance.Policy
	Pages  func() *page.Pages
}

// Operations answers with a page where the caller asks for one, and else with JSON.
func (e *Endpoint) Operations(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return web.MethodNotAllowed(http.MethodGet, http.MethodHead)
	}
	list, found := Of(e.Policy(), r.PathValue("name"))
	if !found {
		return web.NotFound()
	}
	w.Header().Add("Vary", "Accept, Accept-Language")
	if wantsPage(r) {
		return e.Pages().Render(w, r, http.StatusOK, view(list))
	}
	body, err := json.Marshal(list)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	tag := `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
	header := w.Header()
	header.Set("Cache-Control", "public, max-age="+strconv.Itoa(int(fresh/time.Second)))
	header.Set("ETag", tag)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Access-Control-Allow-Origin", "*")
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	header.Set("Content-Type", "application/json")
	_, _ = w.Write(body) // the client is gone; there is nobody to tell
	return nil
}

// fresh is how long a cache may keep the list.
const fresh = time.Minute

// wantsPage tells whether the caller names HTML and not JSON; programs that take anything get JSON.
func wantsPage(r *http.Request) bool {
	page := false
	for _, header := range r.Header.Values("Accept") {
		for each := range strings.SplitSeq(header, ",") {
			kind, _, _ := mime.ParseMediaType(each)
			if kind == "application/json" {
				return false
			}
			page = page || kind == "text/html"
		}
	}
	return page
}

// Of lists what the API of that name asks for.
func Of(policy *assurance.Policy, name string) (List, bool) {
	if policy == nil || policy.Recipe == nil {
		return List{}, false
	}
	api, found := policy.Recipe.APIs[name]
	if !found {
		return List{}, false
	}
	list := List{API: name, Resource: api.At, Bound: api.Bound == recipe.BoundRequired || api.Profile.Demands().Bound}
	acr := map[string]string{}
	for _, rung := range policy.Recipe.Levels {
		list.Levels = append(list.Levels, Level{rung.Name, rung.ACR})
		acr[rung.Name] = rung.ACR
	}
	for _, key := range slices.SortedFunc(maps.Keys(api.Operations), byPath) {
		from := api.Operations[key]
		list.Operations = append(list.Operations, Operation{
			Name: key, Open: from.Open != "", For: from.For, Scope: from.Scope, Level: from.Level, ACR: acr[from.Level],
			MaxAge: int64(from.Fresh.Std() / time.Second), Detail: from.Details,
			Rules: from.Open == "" && (len(from.Raise) > 0 || len(policy.Recipe.Raise) > 0), why: from.Open,
		})
	}
	return list, true
}

// byPath puts the operations of one path together.
func byPath(a, b string) int {
	verbA, pathA, _ := strings.Cut(a, " ")
	verbB, pathB, _ := strings.Cut(b, " ")
	return cmp.Or(strings.Compare(pathA, pathB), strings.Compare(verbA, verbB))
}

func view(list List) page.Operations {
	shown := page.Operations{API: list.API, Place: list.Resource, Bound: list.Bound}
	for _, each := range list.Operations {
		shown.List = append(shown.List, page.Operation{
			Name: each.Name, Open: each.why, People: slices.Contains(each.For, recipe.ForUser), Clients: slices.Contains(each.For, recipe.ForClient),
			Scope: each.Scope, Level: each.Level, Fresh: time.Duration(each.MaxAge) * time.Second, Detail: each.Detail, Rules: each.Rules,
		})
	}
	return shown
}
