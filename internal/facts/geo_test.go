package facts_test

import (
	"bytes"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	"github.com/gardeauth/garde/internal/assurance/signal"
	"github.com/gardeauth/garde/internal/facts"
)

// database writes a database of places.
func database(t testing.TB, file, kind string, records map[string]mmdbtype.DataType) {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: kind, RecordSize: 24, IncludeReservedNetworks: true})
	if err != nil {
		t.Fatal(err)
	}
	for network, record := range records {
		_, parsed, err := net.ParseCIDR(network)
		if err != nil {
			t.Fatal(err)
		}
		if err := tree.Insert(parsed, record); err != nil {
			t.Fatal(err)
		}
	}
	var text bytes.Buffer
	if _, err := tree.WriteTo(&text); err != nil {
		t.Fatal(err)
	}
	replace(t, file, text.Bytes())
}

// replace puts a file in the place of another, as an operator should.
func replace(t testing.TB, file string, content []byte) {
	t.Helper()
	if err := os.WriteFile(file+".new", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

func city(country string, lat, lon float64) mmdbtype.Map {
	return mmdbtype.Map{
		"country":  mmdbtype.Map{"iso_code": mmdbtype.String(country), "names": mmdbtype.Map{"en": mmdbtype.String("a country")}},
		"location": mmdbtype.Map{"latitude": mmdbtype.Float64(lat), "longitude": mmdbtype.Float64(lon)},
	}
}

func cities(t testing.TB) string {
	file := filepath.Join(t.TempDir(), "city.mmdb")
	database(t, file, "Test-City", map[string]mmdbtype.DataType{
		"203.0.112.0/23":  city("FR", 48.86, 2.35),
		"198.51.100.0/24": city("FR", 48.89, 2.24),
		"192.0.2.0/24":    city("JP", 35.68, 139.69),
		"2001:db8::/32":   mmdbtype.Map{"country": mmdbtype.Map{"iso_code": mmdbtype.String("BE")}},
		"100.0.0.0/24":    city("not a country", 1000, 0),
		"100.0.3.0/24":    mmdbtype.Map{"country": mmdbtype.Map{"iso_code": mmdbtype.String("f;")}},
		"100.0.1.0/24":    mmdbtype.Map{"country": mmdbtype.String("text")},
		"100.0.2.0/24":    mmdbtype.String("text"),
	})
	return file
}

func networks(t testing.TB) string {
	file := filepath.Join(t.TempDir(), "asn.mmdb")
	database(t, file, "Test-ASN", map[string]mmdbtype.DataType{
		"203.0.112.0/23":  mmdbtype.Map{"autonomous_system_number": mmdbtype.Uint32(64500)},
		"198.51.100.0/24": mmdbtype.Map{"autonomous_system_number": mmdbtype.Uint32(64501)},
		"192.0.2.0/24":    mmdbtype.Map{"autonomous_system_number": mmdbtype.Uint32(64502)},
	})
	return file
}

func TestWhereAddressesAre(t *testing.T) {
	places := &facts.Places{City: cities(t), AS: networks(t), Log: slog.New(slog.DiscardHandler)}
	for name, row := range map[string]struct {
		address string
		place   signal.Place
		known   bool
	}{
		"a city with its network":       {"203.0.113.7", signal.Place{Country: "FR", AS: "AS64500", Lat: 48.86, Lon: 2.35, Located: true}, true},
		"the same, as IPv6 writes it":   {"::ffff:203.0.113.7", signal.Place{Country: "FR", AS: "AS64500", Lat: 48.86, Lon: 2.35, Located: true}, true},
		"a country without coordinates": {"2001:db8::1", signal.Place{Country: "BE"}, true},
		"with a zone":                   {"2001:db8::1%eth0", signal.Place{Country: "BE"}, true},
		"an address that nobody lists":  {"10.0.0.1", signal.Place{}, true},
		"what is no country, nor place": {"100.0.0.1", signal.Place{}, true},
		"what is written otherwise":     {"100.0.3.1", signal.Place{}, true},
		"a record of another form":      {"100.0.1.1", signal.Place{}, false},
		"a record that is none":         {"100.0.2.1", signal.Place{}, false},
	} {
		if place, known := places.Find(netip.MustParseAddr(row.address)); place != row.place || known != row.known {
			t.Errorf("%s: %+v, %v", name, place, known)
		}
	}
	if place, known := (&facts.Places{}).Find(home); place != (signal.Place{}) || !known {
		t.Errorf("without a database: %+v, %v", place, known)
	}
}

func TestDatabasesThatCantAnswer(t *testing.T) {
	good, err := os.ReadFile(cities(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"missing": nil, "empty": {}, "text": []byte("this is no database"), "cut": good[:len(good)/2],
		"no tree": good[len(good)-200:],
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			file := filepath.Join(t.TempDir(), "city.mmdb")
			if content != nil {
				replace(t, file, content)
			}
			h.Places = &facts.Places{City: file, Now: h.now, Log: h.Log}
			for range 50 {
				if spoke := h.speaks(t, at(home)); spoke != "unknown" {
					t.Fatalf("%q spoke", spoke)
				}
				h.pass(10 * time.Second)
			}
			if n := h.said.count("places are unknown"); n != 1 {
				t.Errorf("it was said %d times", n)
			}
			if found, err := facts.Examine(file); err == nil && found.Odd == nil {
				t.Error("the doctor finds it good")
			}
			replace(t, file, good)
			h.pass(time.Minute)
			if spoke := h.speaks(t, at(home)); spoke != "" {
				t.Errorf("mended: %q", spoke)
			}
			if h.moment(t, at(home)).Place.Country != "FR" {
				t.Error("the mended one was not read")
			}
		})
	}
}

func TestDatabasesAreReadAgain(t *testing.T) {
	clock := time.Now()
	var mu sync.Mutex
	now := func() time.Time { mu.Lock(); defer mu.Unlock(); return clock }
	pass := func(span time.Duration) { mu.Lock(); defer mu.Unlock(); clock = clock.Add(span) }
	file := cities(t)
	places := &facts.Places{City: file, Now: now, Log: slog.New(slog.DiscardHandler)}
	is := func(when, country string) {
		t.Helper()
		if place, known := places.Find(home); place.Country != country || !known {
			t.Fatalf("%s: %+v, %v", when, place, known)
		}
	}
	is("at first", "FR")
	database(t, file, "Test-City", map[string]mmdbtype.DataType{"203.0.113.0/24": city("ES", 40, -3)})
	is("before a minute", "FR")
	pass(time.Minute)
	is("after a minute", "ES")
	replace(t, file, []byte("broken"))
	pass(time.Minute)
	is("with a broken one in its place", "ES")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	pass(time.Minute)
	is("without a file", "ES")
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for range 200 {
				places.Find(home)
				pass(10 * time.Second)
			}
		})
	}
	for range 20 {
		database(t, file, "Test-City", map[string]mmdbtype.DataType{"203.0.113.0/24": city("IT", 42, 12)})
	}
	callers.Wait()
	pass(time.Minute)
	is("in the end", "IT")
}

// A file that is cut while it is mapped makes touching it a fault of memory: the node must live on.
func TestAFileThatIsCutInPlaceEndsNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "city.mmdb")
	records := map[string]mmdbtype.DataType{}
	for i := range 200 {
		for j := range 20 {
			prefix := netip.PrefixFrom(netip.AddrFrom4([4]byte{203, byte(i), byte(j), 0}), 24)
			records[prefix.String()] = city("FR", float64(i)/10, float64(j))
		}
	}
	database(t, file, "Test-City", records)
	places := &facts.Places{City: file, Log: slog.New(slog.DiscardHandler)}
	if place, known := places.Find(home); place.Country != "" || !known {
		t.Fatalf("%+v, %v", place, known)
	}
	if err := os.Truncate(file, 0); err != nil {
		t.Fatal(err)
	}
	if place, known := places.Find(home); place != (signal.Place{}) || known {
		t.Errorf("%+v, %v", place, known)
	}
}
