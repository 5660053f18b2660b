package recipe

import (
	"strconv"
	"strings"
)

// path says where in a recipe a value stands: clients.mobile.scopes[0], scopes[accounts.read].say.en. A key that is not
// a plain word stands in brackets, so that no two places share a path.
type path string

func (p path) key(name string) path {
	if !plainWord(name) {
		return p + path("["+shown(name)+"]")
	}
	if p == "" {
		return path(name)
	}
	return p + "." + path(name)
}

func (p path) index(i int) path { return p + path("["+strconv.Itoa(i)+"]") }

// item is the path of a member of a set, by its value.
func (p path) item(value string) path { return p + path("["+shown(value)+"]") }

// parent is the path that holds p; the parent of a top-level key is "".
func (p path) parent() path {
	cut := strings.LastIndexByte(string(p), '.')
	if strings.HasSuffix(string(p), "]") {
		cut = strings.LastIndexByte(string(p), '[')
	}
	return p[:max(cut, 0)]
}

// plainWord tells whether a key can stand in a path without brackets.
func plainWord(name string) bool {
	for i := range len(name) {
		c := name[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
		if !letter && (i == 0 || c != '-' && (c < '0' || c > '9')) {
			return false
		}
	}
	return name != "" && len(name) <= 64
}

// shown keeps printable names as they are and quotes all others.
func shown(name string) string {
	quoted := strconv.Quote(name)
	if len(name) <= 256 && quoted == `"`+name+`"` {
		return name
	}
	return show(name)
}
