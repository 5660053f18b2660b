package doorman_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"os"
	"testing"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"github.com/oschwald/maxminddb-golang/v2"

	"github.com/gardeauth/garde/internal/demo/doorman"
)

// TestTheDatabaseKnowsThePlaces reads the database as a Server would. GARDE_UPDATE=1 writes it anew.
func TestTheDatabaseKnowsThePlaces(t *testing.T) {
	if os.Getenv("GARDE_UPDATE") != "" {
		write(t)
		return
	}
	db, err := maxminddb.OpenBytes(doorman.Database)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Verify(); err != nil { // garde doctor does the same
		t.Error(err)
	}
	for _, place := range doorman.Places() {
		var found struct {
			Country struct {
				Code string `maxminddb:"iso_code"`
			} `maxminddb:"country"`
			Location struct {
				Lat float64 `maxminddb:"latitude"`
				Lon float64 `maxminddb:"longitude"`
			} `maxminddb:"location"`
			Network uint32 `maxminddb:"autonomous_system_number"`
		}
		if err := db.Lookup(netip.MustParseAddr(place.Address)).Decode(&found); err != nil {
			t.Fatal(err)
		}
		if found.Country.Code != place.Country || found.Network != place.Network || found.Location.Lat != place.Lat || found.Location.Lon != place.Lon {
			t.Errorf("%s: %+v", place.Key, found)
		}
	}
}

func write(t *testing.T) {
	tree, err := mmdbwriter.New(mmdbwriter.Options{
		DatabaseType: "Garde-Demo-City-ASN", RecordSize: 24, IncludeReservedNetworks: true, BuildEpoch: 1,
		Description: map[string]string{"en": "Places of the demo, each at an address that nobody has"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, place := range doorman.Places() {
		_, network, err := net.ParseCIDR(place.Address + "/24")
		if err != nil {
			t.Fatal(err)
		}
		if err := tree.Insert(network, mmdbtype.Map{
			"country":                  mmdbtype.Map{"iso_code": mmdbtype.String(place.Country)},
			"location":                 mmdbtype.Map{"latitude": mmdbtype.Float64(place.Lat), "longitude": mmdbtype.Float64(place.Lon)},
			"autonomous_system_number": mmdbtype.Uint32(place.Network),
		}); err != nil {
			t.Fatal(err)
		}
	}
	var file bytes.Buffer
	if _, err := tree.WriteTo(&file); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("places.mmdb", file.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestWhereAndAtWhat shows what the Server is told, and that each device has its own session.
func TestWhereAndAtWhat(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/in" {
			http.SetCookie(w, &http.Cookie{Name: "garde-session", Value: "s-" + r.UserAgent()[:4], Path: "/"})
			http.SetCookie(w, &http.Cookie{Name: "other", Value: "1", Path: "/"})
		}
		session, _ := r.Cookie("garde-session")
		other, _ := r.Cookie("other")
		text := r.Host + "|" + r.Header.Get("X-Forwarded-For") + "|" + r.Header.Get("Forwarded") + "|"
		if session != nil {
			text += session.Value
		}
		if other != nil {
			text += "|" + other.Value
		}
		_, _ = io.WriteString(w, text)
	}))
	defer server.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	where := &doorman.Where{}
	ended := make(chan error, 1)
	go func() { ended <- (&doorman.Doorman{Server: server.URL, Where: where}).Run(ctx, l) }()
	jar, _ := cookiejar.New(nil)
	browser := &http.Client{Jar: jar}
	get := func(path string) string {
		t.Helper()
		r, err := http.NewRequestWithContext(ctx, "GET", "http://"+l.Addr().String()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("User-Agent", "Really/1.0")
		r.Header.Set("X-Forwarded-For", "6.6.6.6")
		r.Header.Set("Forwarded", "for=6.6.6.6")
		response, err := browser.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, _ := io.ReadAll(response.Body)
		return string(text)
	}
	host := l.Addr().String()
	get("/in")
	for _, step := range []struct {
		place, device, path, want string
	}{
		{"home", "own", "/", host + "|192.0.2.10||s-Real|1"},
		{"tokyo", "own", "/", host + "|198.51.100.20||s-Real|1"},
		{"tokyo", "phone", "/", host + "|198.51.100.20|||1"},
		{"home", "phone", "/in", host + "|192.0.2.10|||1"},
		{"home", "phone", "/", host + "|192.0.2.10||s-Mozi|1"},
		{"home", "own", "/", host + "|192.0.2.10||s-Real|1"},
	} {
		if !where.Go(step.place, step.device) {
			t.Fatalf("%s %s", step.place, step.device)
		}
		if got := get(step.path); got != step.want {
			t.Errorf("at %s, %s: %q, not %q", step.place, step.device, got, step.want)
		}
	}
	if where.Go("moon", "own") || where.Go("home", "") {
		t.Error("somewhere that there is not")
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
