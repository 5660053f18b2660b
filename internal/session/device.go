package session

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/seal"
)

// Devices knows the browsers from which somebody has signed in before: a sealed cookie per browser, set after a success
// and bound to the accounts, and a row for each of them, which its person can list and forget. It proves nothing about a
// person; it keeps strangers from using up the tries of the account's owner, and tells what is new. All fields but Kept
// and Now are required.
type Devices struct {
	Keeper *Keeper
	Sealer seal.Sealer
	Tenant iam.Tenant
	Kept   iam.Devices // nil: the cookie alone tells
}

const (
	cookieDevice = "garde-device"
	deviceLife   = 180 * 24 * time.Hour // since the last sign-in; then it is as new
	maxAccounts  = 4                    // of one browser
)

type known struct {
	User   string `json:"u"`
	Device string `json:"d"`
	Turn   int64  `json:"n,omitempty"` // see iam.Device
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

// Known gives the id of this browser if that person has signed in from it before and has not forgotten it since, else "".
// What can't be told is not known.
func (d *Devices) Known(r *http.Request, user string) string {
	id := d.said(r, user).Device
	if id == "" || d.Kept == nil {
		return id
	}
	if _, err := d.fits(r, user); err != nil {
		return ""
	}
	return id
}

// said is what the cookie says; the zero value: nothing of that person.
func (d *Devices) said(r *http.Request, user string) known {
	for _, entry := range d.all(r) {
		if user != "" && entry.User == user {
			return entry
		}
	}
	return known{}
}

// pace is how long the cookie before the last one still counts: that of a tab whose request was under way.
const pace = 10 * time.Second

// fits gives the device of the cookie. The cookie changes at each sign-in: ErrSpent for one that is older than the last, which
// somebody has copied, or put back. ErrNotFound when there is none, or it is forgotten.
func (d *Devices) fits(r *http.Request, user string) (iam.Device, error) {
	entry := d.said(r, user)
	if entry.Device == "" {
		return iam.Device{}, iam.ErrNotFound
	}
	now := d.Keeper.now()
	kept, err := d.Kept.Device(r.Context(), user, entry.Device, now)
	behind := kept.Turn - entry.Turn
	if err == nil && (behind > 1 || behind == 1 && now.Sub(kept.Seen) > pace) {
		err = iam.ErrSpent
	}
	return kept, err
}

// Seen is a device as it was found at a sign-in.
type Seen struct {
	ID    string
	New   bool // this person has not signed in from it before, or has forgotten it
	First bool // and from no other either
	turn  int64
}

// Remember marks this browser as one that the person signs in from, at that network. It comes before the session, which
// is told the ID: a device that is forgotten meanwhile begins none.
//
// Each sign-in changes the cookie. One that comes again although it was changed has been copied, and nobody can tell who holds
// the copy: the device is forgotten, which ends every session on it and all that was given there, the thief's too, and this
// browser is a new one.
func (d *Devices) Remember(w http.ResponseWriter, r *http.Request, user, address string) (Seen, error) {
	seen, err := d.find(r, user, address)
	if err != nil {
		return Seen{}, err
	}
	if err := d.keep(r, user, address, &seen); err != nil {
		return Seen{}, err
	}
	rest := slices.DeleteFunc(d.all(r), func(other known) bool { return other.User == user })
	list := append([]known{{user, seen.ID, seen.turn}}, rest...)
	body, err := json.Marshal(list[:min(len(list), maxAccounts)])
	if err != nil {
		return Seen{}, err
	}
	sealed, err := d.Sealer.Seal(d.place(), body)
	if err != nil {
		return Seen{}, err
	}
	d.Keeper.Set(w, cookieDevice, sealed, deviceLife)
	return seen, nil
}

// find tells which device it is, and what number its next cookie holds.
func (d *Devices) find(r *http.Request, user, address string) (Seen, error) {
	entry := d.said(r, user)
	if d.Kept == nil {
		if entry.Device != "" {
			return Seen{ID: entry.Device}, nil
		}
		return Seen{ID: rand.Text(), New: true}, nil
	}
	kept, err := d.fits(r, user)
	switch {
	case err == nil:
		return Seen{ID: kept.ID, turn: max(entry.Turn+1, kept.Turn)}, nil
	case errors.Is(err, iam.ErrSpent):
		event := journal.New(d.Keeper.now(), journal.DeviceForgotten{Device: kept.ID})
		event.Actor, event.User = "system", user
		event.Personal = map[string]string{"address": address, "agent": Agent(r)}
		if err := d.Kept.ForgetDevice(r.Context(), user, kept.ID, event); err != nil && !errors.Is(err, iam.ErrNotFound) {
			return Seen{}, err
		}
	case !errors.Is(err, iam.ErrNotFound):
		return Seen{}, err
	}
	return Seen{ID: rand.Text(), New: true}, nil
}

func (d *Devices) keep(r *http.Request, user, address string, seen *Seen) error {
	if d.Kept == nil {
		return nil
	}
	now := d.Keeper.now()
	if seen.New {
		others, err := d.Kept.UserDevices(r.Context(), user, now)
		if err != nil {
			return err
		}
		seen.First = len(others) == 0
	}
	return d.Kept.KeepDevice(r.Context(), iam.Device{
		ID: seen.ID, User: user, Agent: Agent(r), Address: address, Created: now, Seen: now, Expires: now.Add(deviceLife), Turn: seen.turn,
	})
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
