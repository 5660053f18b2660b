package session_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/seal"
	"github.com/gardeauth/garde/internal/session"
	"github.com/gardeauth/garde/recipe"
)

func sealer(t *testing.T) seal.Sealer {
	t.Helper()
	master, err := seal.ParseMaster(seal.GenerateMaster())
	if err != nil {
		t.Fatal(err)
	}
	return seal.Sealer{Current: master}
}

// with gives a request that carries the cookies of an answer.
func with(answers ...*httptest.ResponseRecorder) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "https://id.example/", nil)
	for _, answer := range answers {
		for _, cookie := range answer.Result().Cookies() {
			r.AddCookie(cookie)
		}
	}
	return r
}

func TestS18DevicesAreKnownToTheirOwnAccounts(t *testing.T) {
	devices := &session.Devices{Keeper: &session.Keeper{Secure: true}, Sealer: sealer(t), Tenant: iam.DefaultTenant}
	first := httptest.NewRecorder()
	if _, err := devices.Remember(first, with(), "alice", "192.0.2.1"); err != nil {
		t.Fatal(err)
	}
	id := devices.Known(with(first), "alice")
	if id == "" || devices.Known(with(first), "bob") != "" || devices.Known(with(first), "") != "" || devices.Known(with(), "alice") != "" {
		t.Errorf("alice is %q", id)
	}
	if text := first.Header().Get("Set-Cookie"); strings.Contains(text, "alice") || strings.Contains(text, id) {
		t.Errorf("the cookie tells: %s", text)
	}
	// A second account on the same browser, and the first one again: the id stays.
	last := first
	for _, user := range []string{"bob", "alice", "carol", "dave", "alice", "erin"} {
		next := httptest.NewRecorder()
		if _, err := devices.Remember(next, with(last), user, "192.0.2.1"); err != nil {
			t.Fatal(err)
		}
		last = next
	}
	if devices.Known(with(last), "alice") != id || devices.Known(with(last), "bob") != "" {
		t.Error("the newest four are not the ones that are known")
	}
	cookie := last.Result().Cookies()[0]
	if len(cookie.Value) > 4000 {
		t.Errorf("the cookie has %d bytes", len(cookie.Value))
	}
	for what, value := range map[string]string{
		"altered": cookie.Value[:len(cookie.Value)-2] + "AA", "empty": "", "rubbish": "x", "long": strings.Repeat("x", 5000),
	} {
		r := httptest.NewRequest(http.MethodGet, "https://id.example/", nil)
		r.AddCookie(&http.Cookie{Name: cookie.Name, Value: value})
		if devices.Known(r, "alice") != "" {
			t.Errorf("%s: known", what)
		}
	}
	if devices.Known(with(last, last), "alice") != "" {
		t.Error("of two cookies one was believed")
	}
	other := &session.Devices{Keeper: devices.Keeper, Sealer: sealer(t), Tenant: iam.DefaultTenant}
	if other.Known(with(last), "alice") != "" {
		t.Error("another server's cookie was believed")
	}
}

func TestNotesStandInOneRow(t *testing.T) {
	notes := session.Notes{Sealer: sealer(t), Tenant: iam.DefaultTenant}
	mine, other := iam.HashLink(iam.NewSecret(iam.PrefixLink)), iam.HashLink(iam.NewSecret(iam.PrefixLink))
	sealed, err := notes.Seal(mine, []byte("a note"))
	if err != nil || strings.Contains(sealed, "a note") {
		t.Fatal(sealed, err)
	}
	if got, err := notes.Open(mine, sealed); err != nil || string(got) != "a note" {
		t.Error(string(got), err)
	}
	if _, err := notes.Open(other, sealed); err == nil {
		t.Error("it opens in another row")
	}
}

func TestAgents(t *testing.T) {
	for said, want := range map[string]string{
		"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0":                                                "Firefox on Linux",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36 Edg/140.0": "Edge on Windows",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Mobile/15E148 Safari/604.1":   "Safari on iPhone",
		"Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Mobile Safari/537.36":              "Chrome on Android",
		"curl/8.1": "curl", "": "", "<script>alert(1)</script>": "",
	} {
		r := with()
		r.Header.Set("User-Agent", said)
		if got := session.Agent(r); got != want {
			t.Errorf("%q is %q, want %q", said, got, want)
		}
	}
}

func TestN16Languages(t *testing.T) {
	for said, want := range map[string]string{
		"fr-CA,fr;q=0.9,en;q=0.8": "fr-CA fr fr en", "": "", "*": "mul", strings.Repeat("a,", 500): "", "\xff": "",
	} {
		r := with()
		r.Header.Set("Accept-Language", said)
		if got := strings.Join(session.Languages(r, nil), " "); got != want {
			t.Errorf("%q gives %q, want %q", said, got, want)
		}
	}
	wished := make([]string, 1, 8)
	wished[0] = "de"
	r := with()
	r.Header.Set("Accept-Language", "fr")
	if got := strings.Join(session.Languages(r, wished), " "); got != "de fr" {
		t.Errorf("gives %q", got)
	}
}

func TestWishes(t *testing.T) {
	flow := iam.Flow{Query: "scope=openid+accounts.read&login_hint=alice&redirect_uri=https%3A%2F%2Fa.example%2F&ui_locales=fr+en"}
	got := session.WishesOf(flow)
	if got.LoginHint != "alice" || got.Scope.String() != "openid accounts.read" || got.RedirectURI != "https://a.example/" || len(got.Locales) != 2 {
		t.Errorf("%+v", got)
	}
	for _, query := range []string{"", "%zz", "scope=%22", "login_hint=" + strings.Repeat("a", 300), "ui_locales=" + strings.Repeat("x+", 500)} {
		got := session.WishesOf(iam.Flow{Query: query})
		if got.LoginHint != "" || len(got.Scope) != 0 || len(got.Locales) > 10 {
			t.Errorf("%.20q gives %+v", query, got)
		}
	}
}

func TestN03WhoIsRemembered(t *testing.T) {
	for _, row := range []struct {
		kind recipe.ClientType
		uri  string
		want bool
	}{
		{recipe.Web, "https://a.example/", true}, {recipe.Browser, "https://a.example/", true}, {recipe.Native, "https://a.example/", true},
		{recipe.Native, "com.app:/x", false}, {recipe.Native, "http://127.0.0.1:5/x", false}, {recipe.Native, "", false},
	} {
		if session.Remembers(iam.Client{Kind: row.kind}, row.uri) != row.want {
			t.Errorf("%s %s", row.kind, row.uri)
		}
	}
}

func FuzzWishes(f *testing.F) {
	f.Add("scope=openid&ui_locales=fr&login_hint=a&claims=%7B%7D", "fr-CA,en")
	f.Add("%zz;&&=", "x;q=")
	f.Fuzz(func(t *testing.T, query, accept string) {
		wishes := session.WishesOf(iam.Flow{Query: query})
		if len(wishes.Locales) > 10 || len(wishes.LoginHint) > iam.MaxName {
			t.Fatalf("%+v", wishes)
		}
		r := with()
		r.Header.Set("Accept-Language", accept)
		if len(session.Languages(r, wishes.Locales)) > 40 {
			t.Fatal("too many languages")
		}
	})
}

func TestADeviceThatIsForgottenOrTooOldIsNew(t *testing.T) {
	d := newDesk(t)
	devices := &session.Devices{Keeper: d.Keeper, Sealer: sealer(t), Tenant: iam.DefaultTenant, Kept: d.tenant}
	remember := func(r *http.Request) (session.Seen, *httptest.ResponseRecorder) {
		t.Helper()
		w := httptest.NewRecorder()
		seen, err := devices.Remember(w, r, "alice", "192.0.2.0/24")
		if err != nil {
			t.Fatal(err)
		}
		return seen, w
	}
	first, cookie := remember(with())
	if !first.New || !first.First || devices.Known(with(cookie), "alice") != first.ID {
		t.Fatalf("the first is %+v", first)
	}
	again, cookie := remember(with(cookie))
	if again.New || again.ID != first.ID {
		t.Errorf("the same again is %+v", again)
	}
	other, _ := remember(with())
	if !other.New || other.First {
		t.Errorf("another browser is %+v", other)
	}
	list, err := d.tenant.UserDevices(t.Context(), "alice", d.time)
	if err != nil || len(list) != 2 || list[0].Address != "192.0.2.0/24" {
		t.Errorf("listed %+v (%v)", list, err)
	}
	if err := d.tenant.ForgetDevice(t.Context(), "alice", first.ID); err != nil {
		t.Fatal(err)
	}
	if devices.Known(with(cookie), "alice") != "" {
		t.Error("what was forgotten is known")
	}
	anew, cookie := remember(with(cookie))
	if !anew.New || anew.ID == first.ID {
		t.Errorf("what was forgotten comes back as %+v", anew)
	}
	d.time = d.time.Add(181 * 24 * time.Hour)
	if devices.Known(with(cookie), "alice") != "" {
		t.Error("what was not seen for half a year is known")
	}
}
