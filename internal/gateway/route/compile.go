package route

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/gardeauth/garde/internal/level"
	"github.com/gardeauth/garde/recipe"
)

// Compile makes the table of all APIs that have an upstream, or says everything that is wrong with them. It trusts no
// earlier check of the recipe: an operation whose admission is not said in full is a fault, never an open door.
func Compile(r *recipe.Recipe) (*Table, error) {
	c := compiler{table: &Table{hosts: map[string]*site{}}}
	for _, each := range r.Levels {
		c.ladder = append(c.ladder, level.Level{Name: each.Name, ACR: each.ACR})
	}
	c.table.ladder = c.ladder
	for _, name := range slices.Sorted(maps.Keys(r.APIs)) {
		if api := r.APIs[name]; api.Upstream != "" {
			c.add(name, api)
		}
	}
	if err := errors.Join(c.faults...); err != nil {
		return nil, err
	}
	return c.table, nil
}

type compiler struct {
	table  *Table
	ladder level.Ladder
	faults []error
}

func (c *compiler) fault(format string, args ...any) {
	c.faults = append(c.faults, fmt.Errorf(format, args...))
}

func (c *compiler) add(name string, from recipe.API) {
	at, err := place(from.At)
	if err != nil {
		c.fault("apis.%s.at: %w", name, err)
		return
	}
	upstream, err := place(from.Upstream)
	if err != nil {
		c.fault("apis.%s.upstream: %w", name, err)
		return
	}
	api := &API{
		Name: name, Audience: from.At, Secure: at.Scheme == "https", Upstream: upstream, Opaque: from.Token == recipe.TokenOpaque,
		Sealed: from.Encryption != "", Client: from.Client, Timeout: from.Timeout.Std(), Body: from.Body,
		Metadata: at.Scheme + "://" + at.Host + WellKnown + at.EscapedPath(),
		Bound:    from.Bound, Details: slices.Sorted(maps.Keys(from.Details)),
	}
	if from.Profile.Demands().Bound {
		api.Bound = recipe.BoundRequired
	}
	if api.Timeout <= 0 {
		api.Timeout = DefaultTimeout
	}
	if api.Body <= 0 {
		api.Body = DefaultBody
	}
	tree := &node{}
	for _, key := range slices.Sorted(maps.Keys(from.Operations)) {
		where := "apis." + name + ".operations[" + key + "]"
		if operation := c.operation(where, key, from.Operations[key]); operation != nil {
			c.plant(where, tree, operation)
			if operation.Scope != "" && !slices.Contains(api.Scopes, operation.Scope) {
				api.Scopes = append(api.Scopes, operation.Scope)
			}
		}
	}
	slices.Sort(api.Scopes)
	tree.follow()
	c.settle(name, api, at, tree)
}

// place reads a base URL and refuses what would make two spellings of one place.
func place(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("it is not a URL")
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "", u.Opaque != "":
		return nil, errors.New("it is not an absolute http or https URL")
	case u.User != nil, strings.ContainsAny(text, "?#"):
		return nil, errors.New("it holds more than scheme, host and path")
	case u.Host != lower(u.Host), strings.HasSuffix(u.Hostname(), "."):
		return nil, errors.New("its host is not in canonical spelling")
	}
	if u.Path = strings.TrimSuffix(u.Path, "/"); u.Path == "" {
		u.RawPath = ""
		return u, nil
	}
	u.RawPath = strings.TrimSuffix(u.RawPath, "/")
	return u, readPath(u.EscapedPath())
}

// operation compiles one operation; nil after a fault.
func (c *compiler) operation(where, key string, from recipe.Operation) *Operation {
	user, client, known := callers(from.For)
	operation := &Operation{Name: key, Open: from.Open != "", User: user, Client: client, Scope: from.Scope, Fresh: from.Fresh.Std()}
	rung, isLevel := c.ladder.Named(from.Level)
	switch {
	case !known:
		c.fault("%s.for: a caller is user or client", where)
	case operation.Open && (user || client || from.Scope != "" || from.Level != "" || from.Fresh != 0):
		c.fault("%s: it is open, and at the same time it asks for something", where)
	case !operation.Open && (!user && !client || from.Scope == ""):
		c.fault("%s: it must be open, or say for whom and with which scope it is", where)
	case from.Level != "" && !isLevel:
		c.fault("%s.level: there is no level %q", where, from.Level)
	case from.Fresh < 0:
		c.fault("%s.fresh: it is negative", where)
	default:
		operation.ACR = rung.ACR
		return operation
	}
	return nil
}

// plant puts the operation into the tree of its API.
func (c *compiler) plant(where string, tree *node, operation *Operation) {
	pattern, err := recipe.ParsePattern(operation.Name)
	if err != nil {
		c.fault("%s: %w", where, err)
		return
	}
	for _, segment := range pattern.Segments {
		tree = tree.grow(segment.Text, segment.Param)
	}
	if slices.Contains(tree.allowed(), pattern.Method) {
		c.fault("%s: another operation has the same method and path", where)
		return
	}
	tree.verbs = append(tree.verbs, verb{pattern.Method, operation})
}

func (n *node) grow(text string, param bool) *node {
	if param {
		if n.param == nil {
			n.param = &node{}
		}
		return n.param
	}
	if n.text == nil {
		n.text = map[string]*node{}
	}
	if n.text[text] == nil {
		n.text[text] = &node{}
	}
	return n.text[text]
}

// follow lets HEAD follow GET (RFC 9110 section 9.3.2) throughout the tree.
func (n *node) follow() {
	methods := n.allowed()
	if at := slices.Index(methods, "GET"); at >= 0 && !slices.Contains(methods, "HEAD") {
		n.verbs = append(n.verbs, verb{"HEAD", n.verbs[at].operation})
	}
	slices.SortFunc(n.verbs, func(a, b verb) int { return strings.Compare(a.method, b.method) })
	for _, next := range n.text {
		next.follow()
	}
	if n.param != nil {
		n.param.follow()
	}
}

// settle puts the API at its host and base path.
func (c *compiler) settle(name string, api *API, at *url.URL, tree *node) {
	here := c.table.hosts[at.Host]
	if here == nil {
		here = &site{documents: map[string]*API{}}
	}
	for _, host := range spellings(at) {
		if taken := c.table.hosts[host]; taken != nil && taken != here {
			c.fault("apis.%s.at: its host is also the host of an API by another scheme", name)
			return
		}
		c.table.hosts[host] = here
	}
	end := &here.base
	for left := at.Path; left != ""; {
		var segment string
		segment, left = cut(left)
		end = end.grow(segment, false)
	}
	if end.api != nil {
		c.fault("apis.%s.at: it is the address of %s", name, end.api.Name)
		return
	}
	end.api, end.tree = api, tree
	here.documents[WellKnown+at.EscapedPath()] = api
	c.table.apis = append(c.table.apis, api)
}

// spellings are the values of Host by which clients reach at: with a default port or without.
func spellings(at *url.URL) []string {
	if at.Port() != "" {
		return []string{at.Host}
	}
	return []string{at.Host, at.Host + map[string]string{"http": ":80", "https": ":443"}[at.Scheme]}
}
