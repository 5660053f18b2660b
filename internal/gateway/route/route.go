// Package route compiles the APIs of a recipe into a table that says, for the bytes of a request line, which API and which
// operation are meant, or why none is. There is one canonical reading of a path; whatever could be read in two ways is
// refused, so what is matched here is what is authorised and, byte for byte, what is forwarded. It knows no token and
// sends nothing.
package route

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/level"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/web"
	"github.com/gardeauth/garde/recipe"
)

// The defaults of an API that says nothing (recipe.API).
const (
	DefaultTimeout = 30 * time.Second
	DefaultBody    = 10 << 20
)

// WellKnown begins the place of a protected resource's metadata (RFC 9728 section 3).
const WellKnown = "/.well-known/oauth-protected-resource"

// API is one API of the recipe that has an upstream. It is shared by all requests and never changed.
type API struct {
	Name     string
	Audience string   // the base URL from outside, which is also the audience of its tokens
	Secure   bool     // Audience is https
	Upstream *url.URL // where it is forwarded to; Path has no slash at its end
	Opaque   bool     // its tokens must be introspected
	Sealed   bool     // its tokens are encrypted
	Client   string
	Timeout  time.Duration // until the upstream begins its answer
	Body     int64         // largest request body
	Scopes   []string      // all that its operations ask for, sorted
	Metadata string        // URL of its protected resource metadata
	Bound    recipe.Bound  // whether its tokens are bound to a key; "": offered
	Details  []string      // types of its authorization_details, sorted
}

// Operation is one method on one path. Its zero value admits nobody.
type Operation struct {
	Name   string // as the recipe writes it
	Open   bool   // no token is asked for
	User   bool   // admits a client on behalf of a person
	Client bool   // admits a client for itself
	Scope  string
	ACR    string        // the level that the person must have reached; "": any
	Fresh  time.Duration // how old the authentication may be; 0: any age
}

// Match is what a request line means.
type Match struct {
	API       *API
	Operation *Operation
	Path      string // the part below the API's base, as it was sent: "" or beginning with a slash
	Query     string // as it was sent, without the question mark
	Asked     bool   // a question mark was there
}

// Table finds the operation of a request. It is safe for concurrent use. Its zero value knows no host.
type Table struct {
	hosts  map[string]*site
	apis   []*API
	ladder level.Ladder
}

// site is what stands at one host.
type site struct {
	base      node // the APIs by the segments of their base path
	documents map[string]*API
}

// node is one segment deep in a tree of paths.
type node struct {
	text  map[string]*node // by decoded text, which goes before any parameter
	param *node
	verbs []verb

	api  *API  // at the end of an API's base
	tree *node // and the operations below it
}

type verb struct {
	method    string
	operation *Operation
}

// APIs gives all APIs of the table, sorted by name.
func (t *Table) APIs() []*API { return t.apis }

// Satisfied tells whether who has reached the level got has reached wanted; both are acr values.
func (t *Table) Satisfied(wanted, got string) bool { return t.ladder.Satisfied(wanted, got) }

// Match reads the request line and gives what it means. The Host must be one of the recipe's, else 421; the target must
// have one reading, else 400 or 414; path and operation must be known, else 404; and the method listed, else 405 with
// Allow. HEAD is allowed where GET is. A good match allocates nothing.
func (t *Table) Match(method, host, target string) (Match, error) {
	at, err := t.site(host)
	if err != nil {
		return Match{}, err
	}
	path, query, asked := strings.Cut(target, "?")
	if err := readTarget(path, query, len(target)); err != nil {
		return Match{}, err
	}
	api, tree, rest := at.find(path)
	if api == nil {
		return Match{}, unknown("no API stands at this path")
	}
	found := tree.match(rest)
	if found == nil {
		return Match{}, unknown("this API has no operation at this path")
	}
	for i := range found.verbs {
		if found.verbs[i].method == method {
			return Match{API: api, Operation: found.verbs[i].operation, Path: rest, Query: query, Asked: asked}, nil
		}
	}
	return Match{}, web.MethodNotAllowed(found.allowed()...)
}

// Document tells whether the request line asks for the metadata of one of the APIs (RFC 9728 section 3.1).
func (t *Table) Document(host, target string) (*API, bool) {
	if !strings.HasPrefix(target, WellKnown) {
		return nil, false
	}
	at, err := t.site(host)
	if err != nil {
		return nil, false
	}
	api, ok := at.documents[target]
	return api, ok
}

// site finds a host by its one canonical spelling; DNS names have no case.
func (t *Table) site(host string) (*site, error) {
	if at, ok := t.hosts[host]; ok {
		return at, nil
	}
	if at, ok := t.hosts[lower(host)]; ok {
		return at, nil
	}
	return nil, &oauth.Error{Code: "invalid_request", Status: http.StatusMisdirectedRequest,
		Description: "no API of this Gate has this host; use the address that the recipe names"}
}

// lower is for ASCII only: other letters never meet a host of the table, whatever their small form is.
func lower(host string) string {
	for i := range len(host) {
		if 'A' <= host[i] && host[i] <= 'Z' {
			small := []byte(host)
			for j, c := range small {
				if 'A' <= c && c <= 'Z' {
					small[j] = c + 'a' - 'A'
				}
			}
			return string(small)
		}
	}
	return host
}

func unknown(text string) error {
	return &oauth.Error{Code: "invalid_request", Status: http.StatusNotFound,
		Description: text + "; what the recipe does not list is refused"}
}

// find chooses the API with the longest base. There is no way back to a shorter one: a path that one API owns is never
// judged by the rules of another.
func (s *site) find(path string) (api *API, tree *node, rest string) {
	if path == "/" {
		path = "" // the only path that may end with a slash, which nobody can leave out
	}
	here, left := &s.base, path
	for {
		if here.api != nil {
			api, tree, rest = here.api, here.tree, left
		}
		if left == "" || here.text == nil {
			return api, tree, rest
		}
		segment, more := cut(left)
		if here = here.child(segment); here == nil {
			return api, tree, rest
		}
		left = more
	}
}

// match finds the node of path whose operations are meant: the path is settled before the method is looked at, and text
// goes before a parameter. Each node is visited once at most, so a path costs no more than the table is large.
func (n *node) match(path string) *node {
	if path == "" {
		if len(n.verbs) == 0 {
			return nil
		}
		return n
	}
	segment, rest := cut(path)
	if next := n.child(segment); next != nil {
		if found := next.match(rest); found != nil {
			return found
		}
	}
	if n.param != nil && segment != "" {
		return n.param.match(rest)
	}
	return nil
}

// child finds the text child that segment spells, percent-encoded or not: the upstream will decode it too, so a segment
// that only looks different must not pass for a parameter.
func (n *node) child(segment string) *node {
	if strings.IndexByte(segment, '%') < 0 {
		return n.text[segment]
	}
	for text, next := range n.text {
		if spells(segment, text) {
			return next
		}
	}
	return nil
}

// allowed lists the methods for Allow (RFC 9110 section 10.2.1).
func (n *node) allowed() []string {
	list := make([]string, len(n.verbs))
	for i := range n.verbs {
		list[i] = n.verbs[i].method
	}
	return list
}

// cut takes the first segment of a path that begins with a slash; rest is "" or begins with a slash.
func cut(path string) (segment, rest string) {
	path = path[1:]
	if end := strings.IndexByte(path, '/'); end >= 0 {
		return path[:end], path[end:]
	}
	return path, ""
}

// caller kinds of an operation, as the recipe lists them.
func callers(kinds []recipe.Caller) (user, client, known bool) {
	known = true
	for _, kind := range kinds {
		switch kind {
		case recipe.ForUser:
			user = true
		case recipe.ForClient:
			client = true
		default:
			known = false
		}
	}
	return user, client, known
}
