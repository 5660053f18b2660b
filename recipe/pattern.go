package recipe

import (
	"slices"
	"strings"
)

// methods are the methods that an operation may have. TRACE and CONNECT are never let through.
var methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// Pattern is the key of an operation, taken apart: a method and a canonical path relative to the base of its API.
type Pattern struct {
	Method   string
	Segments []Segment // none for the path /
}

// Segment is one segment of a path: a literal text, or a parameter that stands for exactly one segment that is not empty.
type Segment struct {
	Text  string
	Param bool
}

// ParsePattern reads METHOD /path. The path is canonical: no dot or empty segment, no percent-encoding, no parameters
// behind a semicolon, no slash at the end; {name} is a whole segment. The error is a *Refusal.
func ParsePattern(key string) (Pattern, error) {
	method, route, ok := strings.Cut(key, " ")
	if !ok || !strings.HasPrefix(route, "/") {
		return Pattern{}, refuse("write the method, one space and the path: GET /accounts/{id}", "%s is not an operation", show(key))
	}
	if !slices.Contains(methods, method) {
		return Pattern{}, refuse("the methods are "+listed(methods), "%s is not a method that an operation may have", show(method))
	}
	pattern := Pattern{Method: method}
	if route == "/" {
		return pattern, nil
	}
	if len(route) > maxAddress {
		return Pattern{}, refuse("shorten it", "the path is longer than %d bytes", maxAddress)
	}
	for text := range strings.SplitSeq(route[1:], "/") {
		segment, err := parseSegment(text)
		if err != nil {
			return Pattern{}, err
		}
		if segment.Param && slices.Contains(pattern.Segments, segment) {
			return Pattern{}, refuse("give each parameter a name of its own", "the parameter {%s} stands twice", segment.Text)
		}
		pattern.Segments = append(pattern.Segments, segment)
	}
	return pattern, nil
}

const (
	letters       = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits        = "0123456789"
	segmentLetter = letters + digits + "-._~!$&'()+,=:@"
)

func parseSegment(text string) (Segment, error) {
	switch {
	case text == "":
		return Segment{}, refuse("write single slashes, and none at the end", "the path has an empty segment")
	case text == "." || text == "..":
		return Segment{}, refuse("write the path that is meant", "the path has a dot segment")
	case strings.Contains(text, "%"):
		return Segment{}, refuse("write plain letters; the Gate decodes before it compares", "the segment %s is percent-encoded", show(text))
	}
	if name, ok := strings.CutPrefix(text, "{"); ok {
		name, ok = strings.CutSuffix(name, "}")
		if !ok || !plainWord(name) || strings.Contains(name, "-") {
			return Segment{}, refuse("a parameter is a whole segment: {id}", "%s is not a parameter", show(text))
		}
		return Segment{Text: name, Param: true}, nil
	}
	if strings.ContainsAny(text, "{}*") {
		return Segment{}, refuse("a parameter is a whole segment, {id}, and there are no wildcards", "%s mixes text and parameter", show(text))
	}
	if strings.Trim(text, segmentLetter) != "" {
		return Segment{}, refuse("letters, digits and -._~!$&'()+,=:@ make a segment", "the segment %s holds another character", show(text))
	}
	return Segment{Text: text}, nil
}

// String gives the key again.
func (p Pattern) String() string {
	if len(p.Segments) == 0 {
		return p.Method + " /"
	}
	text := p.Method + " "
	for _, segment := range p.Segments {
		if segment.Param {
			text += "/{" + segment.Text + "}"
		} else {
			text += "/" + segment.Text
		}
	}
	return text
}

// shape is the pattern without the names of its parameters: two operations of one shape are the same operation.
func (p Pattern) shape() string {
	nameless := Pattern{Method: p.Method, Segments: slices.Clone(p.Segments)}
	for i := range nameless.Segments {
		if nameless.Segments[i].Param {
			nameless.Segments[i].Text = ""
		}
	}
	return nameless.String()
}

// Overlaps tells how p and other meet: whether some request matches both, and whether one of them is the more special
// (it has text wherever they differ), which then wins.
func (p Pattern) overlaps(other Pattern) (meet, decided bool) {
	if p.Method != other.Method || len(p.Segments) != len(other.Segments) {
		return false, true
	}
	mine, theirs := false, false
	for i, segment := range p.Segments {
		o := other.Segments[i]
		switch {
		case !segment.Param && !o.Param && segment.Text != o.Text:
			return false, true
		case !segment.Param && o.Param:
			mine = true
		case segment.Param && !o.Param:
			theirs = true
		}
	}
	return true, mine != theirs
}
