package web_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/web"
)

const formType = "application/x-www-form-urlencoded"

func post(target, kind, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(body))
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	return r
}

func TestPostForm(t *testing.T) {
	long := strings.Repeat("x", web.MaxForm)
	for name, row := range map[string]struct {
		request *http.Request
		status  int // 0: accepted
	}{
		"plain":                              {post("/token", formType, "a=1&b=2"), 0},
		"utf-8 named":                        {post("/token", formType+"; charset=UTF-8", "a=1"), 0},
		"empty body":                         {post("/token", formType, ""), 0},
		"resource twice, as RFC 8707 allows": {post("/token", formType, "resource=a&resource=b"), 0},
		"T01 GET":                            {httptest.NewRequest(http.MethodGet, "/token?a=1", nil), 405},
		"T01 PUT":                            {httptest.NewRequest(http.MethodPut, "/token", strings.NewReader("a=1")), 405},
		"T02 credentials in the query":       {post("/token?client_id=app&client_secret=s", formType, "a=1"), 400},
		"T03 code in query and body":         {post("/token?code=1", formType, "code=2"), 400},
		"a bare question mark":               {post("/token?", formType, "code=2"), 400},
		"T04 JSON":                           {post("/token", "application/json", `{"a":1}`), 400},
		"T04 multipart":                      {post("/token", "multipart/form-data; boundary=x", "a=1"), 400},
		"T04 utf-16":                         {post("/token", formType+"; charset=utf-16", "a=1"), 400},
		"T04 no content type":                {post("/token", "", "a=1"), 400},
		"T04 broken content type":            {post("/token", formType+"; charset", "a=1"), 400},
		"T28 flood of parameters":            {post("/token", formType, strings.Repeat("a=1&", 10_000)), 400},
		"T28 huge scope":                     {post("/token", formType, "scope="+long), 413},
		"C26 R19 doubled":                    {post("/token", formType, "a=1&b=2&a=1"), 400},
		"C26 doubled by another spelling":    {post("/token", formType, "abc=1&%61bc=2"), 400},
		"C26 doubled, first empty":           {post("/token", formType, "a=&a=1"), 400},
		"C26 doubled, second empty":          {post("/token", formType, "a=1&a"), 400},
		"broken percent encoding":            {post("/token", formType, "a=%zz"), 400},
		"cut percent encoding":               {post("/token", formType, "a=%4"), 400},
		"invalid UTF-8, escaped":             {post("/token", formType, "a=%ff"), 400},
		"invalid UTF-8, raw":                 {post("/token", formType, "a=\xff"), 400},
		"NUL":                                {post("/token", formType, "a=%00"), 400},
		"NUL in the name":                    {post("/token", formType, "a%00=1"), 400},
		"semicolon as separator":             {post("/token", formType, "a=1;b=2"), 400},
		"a raw line end":                     {post("/token", formType, "a=1\n"), 400},
		"a value without a name":             {post("/token", formType, "=1"), 400},
		"T04 doubled content type":           {doubled(post("/token", formType, "a=1"), "Content-Type", formType), 400},
		"L09 compressed body":                {doubled(post("/token", formType, "a=1"), "Content-Encoding", "gzip"), 415},
		"T28 huge without a length":          {unsized(post("/token", formType, "scope="+long)), 413},
		"a body that breaks off":             {broken(post("/token", formType, "a=1")), 400},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			_, err := web.PostForm(row.request)
			if took := time.Since(began); took > 50*time.Millisecond {
				t.Errorf("it took %v", took)
			}
			if got := status(err); got != row.status {
				t.Errorf("status %d, want %d (%v)", got, row.status, err)
			}
		})
	}
}

func doubled(r *http.Request, name, value string) *http.Request {
	r.Header.Add(name, value)
	return r
}

func unsized(r *http.Request) *http.Request {
	r.ContentLength = -1
	return r
}

func broken(r *http.Request) *http.Request {
	r.Body = io.NopCloser(io.MultiReader(strings.NewReader("a=1"), failing{}))
	return r
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// status gives the HTTP status of an error of ours, 0 for none.
func status(err error) int {
	if err == nil {
		return 0
	}
	answer, _ := web.Judge(err)
	return answer.Status
}

func TestFormValues(t *testing.T) {
	form, err := web.PostForm(post("/token", formType, "&b=2&&a=x%0d%0a+%C3%A9&empty=&none&resource=u&resource=v"))
	if err != nil {
		t.Fatal(err)
	}
	if got := form.Value("a"); got != "x\r\n é" {
		t.Errorf("R26 a value changed on its way: %q", got)
	}
	if form.Has("empty") || form.Has("none") || form.Has("missing") {
		t.Error("C13 an empty parameter counts as present")
	}
	if got := strings.Join(form.Names(), " "); got != "b a resource" {
		t.Errorf("names %q", got)
	}
	if got := strings.Join(form.Values("resource"), " "); got != "u v" {
		t.Errorf("resource %q", got)
	}
	if got := form.Map().Encode(); got != "a=x%0D%0A+%C3%A9&b=2&resource=u&resource=v" {
		t.Errorf("map %q", got)
	}
}

func TestTheBodyIsReadOnce(t *testing.T) {
	r := post("/token", formType, "a=1")
	if _, err := web.PostForm(r); err != nil {
		t.Fatal(err)
	}
	if r.FormValue("a") != "" {
		t.Error("net/http found the body")
	}
	_, err := web.PostForm(r)
	var told *oauth.Error
	if err == nil || errors.As(err, &told) {
		t.Errorf("a second reading gave %v, want a fault of ours", err)
	}
}

func TestT28AHugeBodyIsNotEvenRead(t *testing.T) {
	r := post("/token", formType, "")
	r.ContentLength, r.Body = 1<<30, io.NopCloser(unread{t})
	if _, err := web.PostForm(r); status(err) != 413 {
		t.Errorf("%v", err)
	}
}

type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("it was read")
	return 0, io.EOF
}

func TestOnlyNamedParametersRepeat(t *testing.T) {
	if _, err := web.PostForm(post("/", formType, "scope_choice=a&scope_choice=b"), "scope_choice"); err != nil {
		t.Error(err)
	}
	if _, err := web.PostForm(post("/", formType, "resource=a&resource=b"), "scope_choice"); err == nil {
		t.Error("resource repeats although the door did not name it")
	}
}

func TestQuery(t *testing.T) {
	for name, row := range map[string]struct {
		method, query string
		status        int
	}{
		"plain":                    {"GET", "a=1&b=2", 0},
		"HEAD":                     {"HEAD", "a=1", 0},
		"none":                     {"GET", "", 0},
		"POST":                     {"POST", "a=1", 405},
		"R19 two redirect URIs":    {"GET", "redirect_uri=a&redirect_uri=b", 400},
		"semicolon":                {"GET", "a=1;a=2", 400},
		"broken percent encoding":  {"GET", "a=%", 400},
		"invalid UTF-8":            {"GET", "a=%c0%af", 400},
		"R26 T28 longer than read": {"GET", "state=" + strings.Repeat("x", web.MaxForm), 414},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(row.method, "/authorize", nil)
			r.URL.RawQuery = row.query
			if _, err := web.Query(r); status(err) != row.status {
				t.Errorf("%v, want status %d", err, row.status)
			}
		})
	}
}

func FuzzForm(f *testing.F) {
	for _, seed := range []string{"a=1&b=2", "a=%00", "a=;", "&&=", "resource=1&resource=2", "a=%ff", "a=1&a=", "é=ü", "%61=1&a=2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		form, err := web.PostForm(post("/token", formType, body))
		if err != nil {
			if s := status(err); s != 400 && s != 413 {
				t.Fatalf("status %d for %q", s, body)
			}
			return
		}
		// What we read is what the standard library reads, without the names that have no value.
		values, err := url.ParseQuery(body)
		if err != nil {
			t.Fatalf("%q was read, but the standard library says %v", body, err)
		}
		for name, all := range values {
			if len(all) > 1 && name != "resource" {
				t.Fatalf("%q holds %q twice", body, name)
			}
			if all[0] != form.Value(name) && name != "resource" {
				t.Fatalf("%q: %q is %q, want %q", body, name, form.Value(name), all[0])
			}
		}
		for _, name := range form.Names() {
			if !values.Has(name) {
				t.Fatalf("%q: the name %q was invented", body, name)
			}
		}
	})
}
