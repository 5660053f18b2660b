// Package doorman lets one person at one machine seem to be somewhere else, and at another device: it stands before the
// Server of the demonstration as a company's proxy would, says where requests come from, and keeps the Server's cookies of
// each device apart. A real proxy says what it sees; this one says what somebody chose on the bank's page.
package doorman

import (
	"context"
	_ "embed" // the database of places
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/gardeauth/garde/internal/demo/local"
)

// Database is a GeoIP database of Places, in the format of MaxMind.
//
//go:embed places.mmdb
var Database []byte

// Place is somewhere that a request can come from. Its address is of those that are kept for documentation (RFC 5737).
type Place struct {
	Key     string
	Address string
	Country string // ISO 3166-1
	Lat     float64
	Lon     float64
	Network uint32 // number of the autonomous system, of those for documentation (RFC 5398)
}

// Places are where somebody can be; the first is home.
func Places() []Place {
	return []Place{
		{"home", "192.0.2.10", "FR", 45.76, 4.84, 64496},
		{"tokyo", "198.51.100.20", "JP", 35.68, 139.69, 64500},
		{"recife", "203.0.113.30", "BR", -8.05, -34.88, 64505},
	}
}

// Device is what somebody holds in their hand.
type Device struct {
	Key   string
	Agent string // what its browser says of itself; empty: what the browser says that is really there
}

// Devices are what there is; the first is the browser that is really there.
func Devices() []Device {
	return []Device{
		{"own", ""},
		{"phone", "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.0 Mobile/15E148 Safari/604.1"},
	}
}

// Where is where the person of the demonstration is, and at which device. Its zero value is at home, at their own browser.
// It is safe for concurrent use.
type Where struct {
	mu            sync.Mutex
	place, device int
}

// Now gives the place and the device.
func (w *Where) Now() (Place, Device) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return Places()[w.place], Devices()[w.device]
}

// Go moves the person; an empty or unknown key leaves it as it is, and says so.
func (w *Where) Go(place, device string) bool {
	to := slices.IndexFunc(Places(), func(p Place) bool { return p.Key == place })
	at := slices.IndexFunc(Devices(), func(d Device) bool { return d.Key == device })
	if to < 0 || at < 0 {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.place, w.device = to, at
	return true
}

// Doorman stands before the Server. All fields are required.
type Doorman struct {
	Server string // base URL where the Server really listens
	Where  *Where
}

// Run serves on a loopback listener until ctx ends; it refuses any other.
func (d *Doorman) Run(ctx context.Context, l net.Listener) error {
	target, err := url.Parse(d.Server)
	if err != nil {
		return err
	}
	return local.Serve(ctx, l, &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(target)
			p.Out.Host = p.In.Host
			d.rewrite(p.Out.Header)
		},
		FlushInterval: -1, // a Gate listens for what is revoked
		ModifyResponse: func(r *http.Response) error {
			d.keep(r.Header)
			return nil
		},
		ErrorLog: log.New(io.Discard, "", 0), // the Server says itself when it is going
	})
}

// rewrite says where the request comes from, whatever it says itself, and shows the Server the cookies of the device.
func (d *Doorman) rewrite(header http.Header) {
	place, device := d.Where.Now()
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		header.Del(name)
	}
	header.Set("X-Forwarded-For", place.Address)
	if device.Agent != "" && header.Get("User-Agent") != "" {
		header.Set("User-Agent", device.Agent)
	}
	request := http.Request{Header: header}
	cookies := request.Cookies()
	header.Del("Cookie")
	for _, cookie := range cookies {
		name, own := of(device, cookie.Name)
		if own {
			request.AddCookie(&http.Cookie{Name: name, Value: cookie.Value}) //nolint:gosec // a request's cookie has no attributes
		}
	}
}

// keep marks the cookies that the Server sets as those of the device.
func (d *Doorman) keep(header http.Header) {
	_, device := d.Where.Now()
	if device.Agent == "" {
		return
	}
	for i, line := range header["Set-Cookie"] {
		if strings.HasPrefix(line, mark) {
			header["Set-Cookie"][i] = device.Key + "-" + line
		}
	}
}

// mark begins the name of every cookie of the Server.
const mark = "garde-"

// of gives a cookie's name as the Server knows it, and whether the device has it. Cookies of the language and the like
// belong to all.
func of(device Device, name string) (string, bool) {
	for _, other := range Devices()[1:] {
		if plain, its := strings.CutPrefix(name, other.Key+"-"+mark); its {
			return mark + plain, other.Key == device.Key
		}
	}
	return name, !strings.HasPrefix(name, mark) || device.Agent == ""
}
