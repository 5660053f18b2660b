package shield_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/gateway/shield"
	"github.com/gardeauth/garde/internal/web"
)

func status(err error) int {
	if err == nil {
		return 200
	}
	answer, _ := web.Judge(err)
	return answer.Status
}

func TestOnlyPlainRequestsPass(t *testing.T) {
	many := http.Header{}
	for i := range shield.MaxFields + 1 {
		many.Set(fmt.Sprint("X-", i), "x")
	}
	large := http.Header{}
	for i := range 4 {
		large.Set(fmt.Sprint("X-", i), strings.Repeat("x", 15<<10))
	}
	for name, c := range map[string]struct {
		change func(*http.Request)
		status int
	}{
		"plain": {func(*http.Request) {}, 200},
		"W26 length beside chunked": {func(r *http.Request) {
			r.TransferEncoding, r.Header["Content-Length"] = []string{"chunked"}, []string{"3"}
		}, 400},
		"W26 two codings":             {func(r *http.Request) { r.TransferEncoding = []string{"gzip", "chunked"} }, 501},
		"W26 coding left over":        {func(r *http.Request) { r.Header["Transfer-Encoding"] = []string{"x"} }, 400},
		"W26 chunked over HTTP/1.0":   {func(r *http.Request) { r.TransferEncoding, r.ProtoMinor = []string{"chunked"}, 0 }, 400},
		"W26 two lengths":             {func(r *http.Request) { r.Header["Content-Length"] = []string{"3", "4"} }, 400},
		"W11 two Authorization":       {func(r *http.Request) { r.Header["Authorization"] = []string{"Bearer a", "Bearer b"} }, 400},
		"two content types":           {func(r *http.Request) { r.Header["Content-Type"] = []string{"a/b", "c/d"} }, 400},
		"W21 Host beside authority":   {func(r *http.Request) { r.Header["Host"] = []string{"other.example"} }, 400},
		"W21 no host":                 {func(r *http.Request) { r.Host = "" }, 400},
		"L04 many headers":            {func(r *http.Request) { r.Header = many }, 431},
		"L04 large headers":           {func(r *http.Request) { r.Header = large }, 431},
		"L04 one large header":        {func(r *http.Request) { r.Header.Set("X", strings.Repeat("x", shield.MaxFieldBytes+1)) }, 431},
		"W27 websocket":               {func(r *http.Request) { r.Header.Set("Upgrade", "websocket") }, 501},
		"W27 h2c is an offer":         {func(r *http.Request) { r.Header.Set("Upgrade", "h2c") }, 200},
		"W27 h2c and more":            {func(r *http.Request) { r.Header.Set("Upgrade", "h2c, websocket") }, 501},
		"W27 CONNECT":                 {func(r *http.Request) { r.Method = "CONNECT" }, 501},
		"TRACE":                       {func(r *http.Request) { r.Method = "TRACE" }, 501},
		"unknown method":              {func(r *http.Request) { r.Method = "PROPFIND" }, 501},
		"small method":                {func(r *http.Request) { r.Method = "post" }, 501},
		"W39 early data, POST":        {func(r *http.Request) { r.Header.Set("Early-Data", "1") }, 425},
		"W39 early data, GET":         {func(r *http.Request) { r.Method = "GET"; r.Header.Set("Early-Data", "1") }, 200},
		"W10 token":                   {func(r *http.Request) { r.URL.RawQuery = "a=b&access_token=x" }, 400},
		"W10 token in capitals":       {func(r *http.Request) { r.URL.RawQuery = "ACCESS_TOKEN=x" }, 400},
		"W10 token behind semicolon":  {func(r *http.Request) { r.URL.RawQuery = "a=b;access_token=x" }, 400},
		"W10 token encoded":           {func(r *http.Request) { r.URL.RawQuery = "access%5Ftoken=x" }, 400},
		"W10 token after a space":     {func(r *http.Request) { r.URL.RawQuery = "+%20access_token=x" }, 400},
		"W10 another name":            {func(r *http.Request) { r.URL.RawQuery = "my_access_token=x&access_tokens=y" }, 200},
		"W10 a value that looks like": {func(r *http.Request) { r.URL.RawQuery = "q=access_token" }, 200},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "http://api.example/x", strings.NewReader("abc"))
			c.change(r)
			if got := status(shield.Check(r)); got != c.status {
				t.Errorf("status %d, want %d", got, c.status)
			}
		})
	}
}

func TestW14HeadersAreTakenByWhatAnyReaderMakesOfTheirName(t *testing.T) {
	for _, name := range []string{"Garde-Subject", "garde-subject", "GARDE-ACR", "Garde_Subject", "gArDe-", "Garde", "X_User", "X-User_Id", "X-user-id",
		"X-Auth-Request-User", "Remote-User", "REMOTE-USER", "X-Forwarded-For", "x-forwarded-anything", "Forwarded", "X-Real-IP", "Authorization",
		"authorization", "Cookie", "Proxy", "X-HTTP-Method-Override", "X-Original-URL", "Garde-Subject ", "Garde-Subject\t", " X", "X.User", "", "Content_Length",
		"Ssl-Client-Verify", "X-SSL-Client-DN", "Via", "Proxy-Connection", "Transfer_Encoding", "X-Remote-Group"} {
		header := http.Header{name: {"evil"}}
		shield.Strip(header)
		if len(header) > 0 {
			t.Errorf("%q passes", name)
		}
	}
	harmless := http.Header{}
	for _, name := range []string{"Accept", "Content-Type", "Idempotency-Key", "If-Match", "Traceparent", "X-Request-Id", "X-Client-Version", "Range",
		"User-Agent", "Origin", "Access-Control-Request-Method", "X-Tenant-Id", "Gardenia", "X-Requested-With", "Prefer", "Referer"} {
		harmless.Set(name, "x")
	}
	before := len(harmless)
	shield.Strip(harmless)
	if len(harmless) != before {
		t.Errorf("only these are left: %v", harmless)
	}
}

// serve runs net/http behind the strict listener and gives its address.
func serve(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		_, _ = fmt.Fprintf(w, "%s %s %q", r.Method, r.RequestURI, body)
	}))
	server.Listener.Close()
	server.Listener = shield.Strict(listener)
	server.Config.ErrorLog = nil
	server.Start()
	t.Cleanup(server.Close)
	return listener.Addr().String()
}

// exchange sends bytes in pieces and gives what comes back.
func exchange(t testing.TB, address, text string, size int) (bodies []string, closed bool) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for text != "" {
		n := min(size, len(text))
		if _, err := io.WriteString(conn, text[:n]); err != nil {
			break
		}
		text = text[n:]
	}
	_ = conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	reader := bufio.NewReader(conn)
	for {
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			var timeout net.Error
			return bodies, !errors.As(err, &timeout) || !timeout.Timeout()
		}
		content, _ := io.ReadAll(response.Body)
		response.Body.Close()
		bodies = append(bodies, fmt.Sprint(response.StatusCode, " ", string(content)))
	}
}

const host = "Host: api.example\r\n"

func TestW26TheStrictListenerPassesWhatIsPlain(t *testing.T) {
	address := serve(t)
	for name, c := range map[string]struct{ text, want string }{
		"two requests":        {"GET /a HTTP/1.1\r\n" + host + "\r\nGET /b HTTP/1.1\r\n" + host + "\r\n", `200 GET /a ""|200 GET /b ""`},
		"a body":              {"POST /a HTTP/1.1\r\n" + host + "Content-Length: 3\r\n\r\nabcGET /b HTTP/1.1\r\n" + host + "\r\n", `200 POST /a "abc"|200 GET /b ""`},
		"chunks":              {"POST /a HTTP/1.1\r\n" + host + "transfer-encoding:  Chunked \r\n\r\n3\r\nabc\r\nA\r\n\n\r\n\r\n12345\r\n0\r\n\r\n", `200 POST /a "abc\n\r\n\r\n12345"`},
		"trailers":            {"POST /a HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\nTrailer: X\r\n\r\n0\r\nX: y\r\n\r\nGET /b HTTP/1.1\r\n" + host + "\r\n", `200 POST /a ""|200 GET /b ""`},
		"HTTP/1.0, no Host":   {"GET /a HTTP/1.0\r\n\r\n", `200 GET /a ""`},
		"no value":            {"GET /a HTTP/1.1\r\n" + host + "X:\r\n\r\n", `200 GET /a ""`},
		"tab and UTF-8 value": {"GET /a HTTP/1.1\r\n" + host + "X: a\tb\xc3\xa9\r\n\r\n", `200 GET /a ""`},
	} {
		for _, size := range []int{1, 7, 1 << 20} {
			t.Run(fmt.Sprint(name, " in pieces of ", size), func(t *testing.T) {
				bodies, _ := exchange(t, address, c.text, size)
				if got := strings.Join(bodies, "|"); got != c.want {
					t.Errorf("%s\nwant %s", got, c.want)
				}
			})
		}
	}
}

func TestW26TheStrictListenerEndsWhatIsNot(t *testing.T) {
	address := serve(t)
	const inner = "GET /inner HTTP/1.1\r\n" + host + "\r\n"
	for name, text := range map[string]string{
		"CL.TE":                      "POST /a HTTP/1.1\r\n" + host + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner,
		"TE.CL":                      "POST /a HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n" + inner,
		"TE.TE":                      "POST /a HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner,
		"TE list":                    "POST /a HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n" + inner,
		"TE over HTTP/1.0":           "POST /a HTTP/1.0\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner,
		"the same length twice":      "POST /a HTTP/1.1\r\n" + host + "Content-Length: 0\r\nContent-Length: 0\r\n\r\n" + inner,
		"length with a sign":         "POST /a HTTP/1.1\r\n" + host + "Content-Length: +0\r\n\r\n" + inner,
		"length in hexadecimal":      "POST /a HTTP/1.1\r\n" + host + "Content-Length: 0x0\r\n\r\n" + inner,
		"duplicate Host":             "GET /a HTTP/1.1\r\n" + host + host + "\r\n",
		"no Host":                    "GET /a HTTP/1.1\r\n\r\n",
		"bare CR":                    "GET /a HTTP/1.1\r\n" + host + "X: a\rY: b\r\n\r\n",
		"bare LF":                    "GET /a HTTP/1.1\r\n" + host + "X: a\nY: b\r\n\r\n",
		"bare LF before the body":    "GET /a HTTP/1.1\r\n" + host + "\n" + inner,
		"folded line":                "GET /a HTTP/1.1\r\n" + host + "X: a\r\n Transfer-Encoding: chunked\r\n\r\n",
		"folded first line":          "GET /a HTTP/1.1\r\n " + host + "\r\n",
		"folded with a tab":          "GET /a HTTP/1.1\r\n" + host + "Transfer-Encoding:\r\n\tchunked\r\n\r\n",
		"space before the colon":     "GET /a HTTP/1.1\r\n" + host + "Transfer-Encoding : chunked\r\n\r\n",
		"NUL in a name":              "GET /a HTTP/1.1\r\n" + host + "X\x00: a\r\n\r\n",
		"NUL in a value":             "GET /a HTTP/1.1\r\n" + host + "X: \x00\r\n\r\n",
		"line without a colon":       "GET /a HTTP/1.1\r\n" + host + "X\r\n\r\n",
		"empty line first":           "\r\nGET /a HTTP/1.1\r\n" + host + "\r\n",
		"two spaces":                 "GET  /a HTTP/1.1\r\n" + host + "\r\n",
		"tab in the request line":    "GET\t/a HTTP/1.1\r\n" + host + "\r\n",
		"HTTP/0.9":                   "GET /a\r\n\r\n",
		"HTTP/1.2":                   "GET /a HTTP/1.2\r\n" + host + "\r\n",
		"HTTP/2":                     "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"TLS":                        "\x16\x03\x01\x02\x00\x01\x00\n",
		"many lines":                 "GET /a HTTP/1.1\r\n" + host + strings.Repeat("X: y\r\n", 300) + "\r\n",
		"an endless line":            "GET /" + strings.Repeat("a", 40<<10),
		"chunk extension":            "POST /a HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n0;a=b\r\n\r\n" + inner,
		"chunk size with a space":    "POST /a HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n0 \r\n\r\n" + inner,
		"chunk size with bare LF":    "POST /a HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n0\n\r\n" + inner,
		"chunk longer than it said":  "POST /a HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n" + inner,
		"chunk size that overflows":  "POST /a HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n" + inner,
		"chunk size 0x":              "POST /a HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n" + inner,
		"a length as trailer":        "POST /a HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n" + inner,
		"second request, folded too": "GET /a HTTP/1.1\r\n" + host + "\r\nGET /b HTTP/1.1\r\n" + host + "X: a\r\n b\r\n\r\n",
	} {
		for _, size := range []int{3, 1 << 20} {
			t.Run(fmt.Sprint(name, " in pieces of ", size), func(t *testing.T) {
				bodies, closed := exchange(t, address, text, size)
				for _, body := range bodies {
					if strings.Contains(body, "/inner") || strings.Contains(body, "/b") || strings.HasPrefix(body, "200") && !strings.Contains(name, "second") {
						t.Errorf("it was answered %q", body)
					}
				}
				if !closed {
					t.Error("the connection lives on")
				}
			})
		}
	}
}

// Whatever passes whole is read by net/http as the same messages: the same number, and none in error.
func FuzzStrictAndNetHTTPAgree(f *testing.F) {
	f.Add([]byte("GET /a HTTP/1.1\r\n" + host + "\r\nGET /b HTTP/1.1\r\n" + host + "\r\n"))
	f.Add([]byte("POST /a HTTP/1.1\r\n" + host + "Content-Length: 3\r\n\r\nabc"))
	f.Add([]byte("POST /a HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n"))
	f.Add([]byte("POST /a HTTP/1.1\r\n" + host + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"))
	f.Add([]byte("GET /a HTTP/1.1\r\n" + host + "X: a\r\n b\r\n\r\n"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		messages, whole := shield.Frames(stream)
		if !whole {
			return
		}
		reader := bufio.NewReader(bytes.NewReader(stream))
		for i := range messages {
			r, err := http.ReadRequest(reader)
			if err != nil {
				// It may be stricter about targets and values; it must not see other frames.
				return
			}
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				t.Fatalf("message %d of %q: %v", i, stream, err)
			}
		}
		if rest, _ := io.ReadAll(reader); len(rest) > 0 {
			t.Fatalf("%q: net/http leaves %q", stream, rest)
		}
	})
}

func BenchmarkStrip(b *testing.B) {
	header := http.Header{}
	for _, name := range []string{"Accept", "Accept-Encoding", "Content-Type", "User-Agent", "X-Request-Id", "Traceparent", "Origin", "Idempotency-Key"} {
		header.Set(name, "x")
	}
	b.ReportAllocs()
	for b.Loop() {
		shield.Strip(header)
	}
}

func BenchmarkFraming(b *testing.B) {
	stream := []byte("GET /accounts/42?limit=20 HTTP/1.1\r\n" + host + "Authorization: Bearer " + strings.Repeat("x", 600) +
		"\r\nAccept: application/json\r\nUser-Agent: something/1.0\r\nAccept-Encoding: gzip\r\nTraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n")
	b.ReportAllocs()
	for b.Loop() {
		if !shield.Feed(stream) {
			b.Fatal("it is refused")
		}
	}
}
