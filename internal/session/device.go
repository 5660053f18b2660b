package session

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/seal"
)

// Devices knows the browsers from which somebody has signed in before: a sealed cookie per browser, set after a success
// and bound to the accounts. It proves nothing about a person; it only keeps strangers from using up the tries of the
// account's owner. All fields are required.
type Devices struct {
	Keeper *Keeper
	Sealer seal.Sealer
	Tenant iam.Tenant
}

const (
	cookieDevice = "garde-device"
	deviceLife   = 400 * 24 * time.Hour // the most that browsers keep
	maxAccounts  = 4                    // of one browser
)

type known struct {
	User   string `json:"u"`
	Device string `json:"d"`
}

func (d *Devices) place() seal.AD {
	return seal.AD{Tenant: string(d.Tenant), Table: "cookie", Row: "device"}
}

func (d *Devices) all(r *http.Request) []known {
	value := d.Keeper.read(r, cookieDevice)
	if value == "" || len(value) > 4096 {
		return nil
	}
	plain, err := d.Sealer.Open(d.place(), value)
	if err != nil {
		return nil
	}
	var list []known
	if json.Unmarshal(plain, &list) != nil { // ours: nobody else can seal
		return nil
	}
	return list
}

// Known gives the id of this browser if that person has signed in from it before, else "".
func (d *Devices) Known(r *http.Request, user string) string {
	for _, entry := range d.all(r) {
		if user != "" && entry.User == user {
			return entry.Device
		}
	}
	return ""
}

// Remember marks this browser as one that the person has signed in from.
func (d *Devices) Remember(w http.ResponseWriter, r *http.Request, user string) error {
	entry := known{user, d.Known(r, user)}
	if entry.Device == "" {
		entry.Device = rand.Text()
	}
	rest := slices.DeleteFunc(d.all(r), func(other known) bool { return other.User == user })
	list := append([]known{entry}, rest...)
	body, err := json.Marshal(list[:min(len(list), maxAccounts)])
	if err != nil {
		return err
	}
	sealed, err := d.Sealer.Seal(d.place(), body)
	if err != nil {
		return err
	}
	d.Keeper.Set(w, cookieDevice, sealed, deviceLife)
	return nil
}

// Agent gives a short label of a browser, such as "Firefox on Linux", from what it says of itself. It is for people to
// recognise their devices by, and decides nothing.
func Agent(r *http.Request) string {
	said := r.UserAgent()
	browser := first(said, [][2]string{
		{"Edg", "Edge"}, {"OPR/", "Opera"}, {"Firefox/", "Firefox"}, {"FxiOS/", "Firefox"}, {"CriOS/", "Chrome"},
		{"Chrome/", "Chrome"}, {"Safari/", "Safari"}, {"curl/", "curl"},
	})
	system := first(said, [][2]string{
		{"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Android", "Android"}, {"Windows", "Windows"}, {"Mac OS X", "macOS"},
		{"CrOS", "ChromeOS"}, {"Linux", "Linux"},
	})
	switch {
	case browser == "":
		return system
	case system == "":
		return browser
	}
	return browser + " on " + system
}

func first(text string, marks [][2]string) string {
	for _, mark := range marks {
		if strings.Contains(text, mark[0]) {
			return mark[1]
		}
	}
	return ""
}
