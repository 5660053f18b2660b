package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAPromiseIsHeldByATestThatExists(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for name, text := range map[string]string{
		"internal/web/form_test.go":            "package web\nfunc TestForm(t *testing.T) { t.Run(\"two of one\", nil); t.Run(\"POST /x\", nil); _ = map[string]int{\"C01 a\": 1} }\nfunc FuzzForm(f *testing.F) {}",
		"internal/store/sqlite/engine_test.go": "package sqlite\nfunc TestContract(t *testing.T) {}",
		"internal/store/storetest/codes.go":    "package storetest\nvar all = []string{\"one wins\"}",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, tt := range map[string]struct {
		promise promise
		want    string
	}{
		"a test":                       {promise{"p", []string{"internal/web.TestForm"}, ""}, ""},
		"a subtest":                    {promise{"p", []string{"internal/web.TestForm/two of one"}, ""}, ""},
		"a subtest as go prints it":    {promise{"p", []string{"internal/web.TestForm/two_of_one"}, ""}, ""},
		"a subtest with a slash":       {promise{"p", []string{"internal/web.TestForm/C01 a/POST /x"}, ""}, ""},
		"a fuzzer":                     {promise{"p", []string{"internal/web.FuzzForm"}, ""}, ""},
		"the engines' contract":        {promise{"p", []string{"internal/store/sqlite.TestContract/one wins"}, ""}, ""},
		"something still to come":      {promise{"p", nil, "with DPoP"}, ""},
		"nothing":                      {promise{"p", nil, ""}, "promise 1 has neither a test nor"},
		"no words":                     {promise{"", nil, "with DPoP"}, "promise 1 says nothing"},
		"a package that is not":        {promise{"p", []string{"internal/gone.TestForm"}, ""}, "has no tests"},
		"a test that is not":           {promise{"p", []string{"internal/web.TestGone"}, ""}, "have no TestGone"},
		"a subtest that is not":        {promise{"p", []string{"internal/web.TestForm/three"}, ""}, "names the subtest \"three\""},
		"half a subtest":               {promise{"p", []string{"internal/web.TestForm/two"}, ""}, "names the subtest \"two\""},
		"no test's name":               {promise{"p", []string{"internal/web"}, ""}, "is not PACKAGE.Test"},
		"another room's texts":         {promise{"p", []string{"internal/web.TestForm/one wins"}, ""}, "names the subtest"},
		"a test beside one that's not": {promise{"p", []string{"internal/web.TestForm", "internal/web.TestGone"}, ""}, "have no TestGone"},
	} {
		t.Run(name, func(t *testing.T) {
			err := gaps([]promise{tt.promise}, &tree{root: root})
			switch {
			case tt.want == "" && err != nil:
				t.Error(err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("want %q, got %v", tt.want, err)
			}
		})
	}
}

func TestTheListIsReadStrictly(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"a key that nobody knows": "- promise: p\n  test: [x]\n",
		"no list":                 "promise: p\n",
	} {
		if got, err := read([]byte(text)); err == nil {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

func TestAStandardNamesItsRoomsAndTests(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	path := filepath.Join(root, "internal/web/form_test.go")
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("package web\nfunc TestForm(t *testing.T) {}"), 0o600); err != nil {
		t.Fatal(err)
	}
	rooms, tests := []string{"internal/web"}, []string{"internal/web.TestForm"}
	for name, tt := range map[string]struct {
		part part
		want string
	}{
		"supported":             {part{"w", "yes", "", rooms, tests}, ""},
		"by exception":          {part{"w", "exception", "", rooms, tests}, ""},
		"not, and why":          {part{"w", "no", "because", nil, nil}, ""},
		"not":                   {part{"w", "no", "", nil, nil}, "why"},
		"perhaps":               {part{"w", "perhaps", "", rooms, tests}, "state"},
		"without a room":        {part{"w", "yes", "", nil, tests}, "no room or no test"},
		"without a test":        {part{"w", "exception", "", rooms, nil}, "no room or no test"},
		"a room that is not":    {part{"w", "yes", "", []string{"internal/gone"}, tests}, "no room internal/gone"},
		"a test that is not":    {part{"w", "yes", "", rooms, []string{"internal/web.TestGone"}}, "no TestGone"},
		"a refusal's lost test": {part{"w", "no", "because", nil, []string{"internal/web.TestGone"}}, "no TestGone"},
	} {
		err := standardGaps([]standard{{"S", "T", []part{tt.part}}}, &tree{root: root})
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: want %q, got %v", name, tt.want, err)
		}
	}
	good := part{"w", "yes", "", rooms, tests}
	if standardGaps([]standard{{"S", "T", []part{good}}, {"S", "T", []part{good}}}, &tree{root: root}) == nil {
		t.Error("one specification stands twice")
	}
}
