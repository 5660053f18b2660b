package recipe

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestEveryValueHasAVerdict holds the table complete: a new key of the recipe without a judge turns this red, and so
// does a judge without a key.
func TestEveryValueHasAVerdict(t *testing.T) {
	wanted := leavesOf(reflect.TypeFor[Recipe](), "")
	wanted = append(wanted, "levels") // the order of the ladder
	var judged []string
	for _, rule := range verdicts {
		if slices.Contains(judged, rule.pattern) {
			t.Errorf("%s has two judges", rule.pattern)
		}
		judged = append(judged, rule.pattern)
		if !slices.Contains(wanted, rule.pattern) {
			t.Errorf("%s is judged and no recipe can hold it", rule.pattern)
		}
	}
	for _, pattern := range wanted {
		if !slices.Contains(judged, pattern) {
			t.Errorf("%s has no judge", pattern)
		}
	}
	for _, pattern := range filePatterns {
		if !slices.Contains(wanted, pattern) {
			t.Errorf("%s names no file", pattern)
		}
	}
	for _, pattern := range overlayMay {
		if !slices.ContainsFunc(wanted, func(w string) bool { return strings.TrimSuffix(w, "[]") == pattern }) {
			t.Errorf("an overlay may say %s, which no recipe can hold", pattern)
		}
	}
}

// leavesOf walks the types as flatten walks the values.
func leavesOf(t reflect.Type, pattern string) []string {
	switch {
	case t == durationType:
		return []string{pattern}
	case t.Kind() == reflect.Pointer:
		return leavesOf(t.Elem(), pattern)
	case t.Kind() == reflect.Struct:
		var all []string
		for _, f := range fieldsOf(t) {
			all = append(all, leavesOf(t.FieldByIndex(f.index).Type, strings.TrimPrefix(pattern+"."+f.name, "."))...)
		}
		return all
	case t.Kind() == reflect.Map, t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		all := leavesOf(t.Elem(), pattern+".*")
		if t.Elem().Kind() == reflect.Struct {
			all = append(all, pattern+".*")
		}
		return all
	case t.Kind() == reflect.Slice:
		return []string{pattern + "[]"}
	}
	return []string{pattern}
}

// TestAChangeThatNobodyJudgedIsWeaker: deny is the zero value here too.
func TestAChangeThatNobodyJudgedIsWeaker(t *testing.T) {
	var c comparison
	c.judge("a.b", "no.such.pattern", "", "x")
	if c.changes[0].Verdict != Weaker || len(Weakenings([]Change{{Path: "a"}})) != 1 {
		t.Errorf("%+v", c.changes)
	}
}

func TestLadders(t *testing.T) {
	for name, c := range map[string]struct {
		levels         []Level
		faults, spares int
	}{
		"a ladder":       {[]Level{{"basic", "b", []string{"password", "passkey"}}, {"strong", "s", []string{"passkey", "password+totp"}}}, 0, 0},
		"upside down":    {[]Level{{"strong", "s", []string{"passkey", "password+totp"}}, {"basic", "b", []string{"password", "passkey"}}}, 1, 1},
		"twice the same": {[]Level{{"basic", "b", []string{"password"}}, {"more", "m", []string{"password"}}}, 0, 1},
		"another branch": {[]Level{{"basic", "b", []string{"password"}}, {"other", "o", []string{"passkey"}}}, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReading("recipe.yaml", time.Time{})
			r.factors = []string{"password", "passkey", "totp"}
			r.recipe.Levels = c.levels
			checkLevels(r)
			checkLadder(r)
			if len(r.faults) != c.faults || len(r.findings) != c.spares {
				t.Errorf("faults: %v\nfindings: %v", r.faults, r.findings)
			}
		})
	}
}

func TestEachCheckHasANameOfItsOwn(t *testing.T) {
	var names []string
	for _, c := range checks {
		if c.name == "" || c.find == nil || slices.Contains(names, c.name) {
			t.Errorf("%q", c.name)
		}
		names = append(names, c.name)
	}
}

func TestNearest(t *testing.T) {
	known := []string{"redirect_uris", "scopes", "secrets", "type"}
	for name, want := range map[string]string{"redirect_urls": "redirect_uris", "scoeps": "scopes", "tpye": "type", "colour": "", "": ""} {
		if got := nearest(name, known); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func TestPathsAreApart(t *testing.T) {
	root := path("")
	for p, want := range map[path]string{
		root.key("clients").key("mobile").key("scopes").index(0): "clients.mobile.scopes[0]",
		root.key("scopes").key("accounts.read").key("say"):       "scopes[accounts.read].say",
		root.key("apis").key("a").key("GET /x.y/{id}"):           "apis.a[GET /x.y/{id}]",
		root.key("a\x1b]b"): `["a\x1b]b"]`,
	} {
		if string(p) != want {
			t.Errorf("%s, want %s", p, want)
		}
	}
	if p := root.key("scopes").key("accounts.read").key("say"); p.parent() != "scopes[accounts.read]" || p.parent().parent() != "scopes" {
		t.Errorf("parents of %s", p)
	}
}
