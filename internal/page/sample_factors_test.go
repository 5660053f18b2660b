package page_test

import (
	"time"

	"github.com/gardeauth/garde/internal/page"
)

func sampleBar(here string) []page.Corner {
	var bar []page.Corner
	for _, name := range []string{"account", "security", "devices", "habits"} {
		bar = append(bar, page.Corner{Name: name, At: "/account", Here: name == here})
	}
	return bar
}

func sampleFactors() []page.HeldFactor {
	return []page.HeldFactor{
		{ID: "f1", Kind: "passkey", Name: "Ada’s phone", Model: "iCloud Keychain", Synced: true, Created: noon, Used: noon},
		{ID: "f2", Kind: "security_key", Name: "Blue key", Created: noon},
		{ID: "f3", Kind: "totp", Name: "Safari on iPhone", Created: noon, Used: noon},
	}
}

// factorSamples are the pages about factors, devices, habits and accounts.
func factorSamples() map[string]page.View {
	c, client := sampleCommon(), sampleClient()
	coded := c
	coded.Problems = []page.Problem{{Field: page.FieldNewCode, Fault: page.FaultNewCode}}
	refused := c
	refused.Problems = []page.Problem{{Fault: page.FaultKey}}
	last := c
	last.Problems = []page.Problem{{Fault: page.FaultLast}}
	device := page.Known{ID: "d1", Name: "Ada’s laptop", Agent: "Firefox on Linux", Place: "192.0.2.7", Created: noon, Seen: noon, Current: true, Sessions: 1}
	full := sampleAccount()
	full.Bar, full.Asked, full.Switch, full.NotYou = sampleBar("account"), true, "/choose", true
	full.Sessions[0].Factors = []string{"password", "totp"}
	less := sampleAccount()
	less.Passwordless = true
	waiting := page.WaitingSignIn{ID: "a1", Agent: "Chrome on Windows", Place: "198.51.100.7", When: noon, Numbers: []string{"17", "42", "83"}}
	ways := []page.Way{{Kind: "passkey", At: "/account/security/passkey?flow=f1"}, {Kind: "totp", At: "/account/security/totp?flow=f1"}}
	return map[string]page.View{
		"account-full":   full,
		"account-less":   less,
		"security":       page.Security{Common: c, Action: "/account/security", Bar: sampleBar("security"), Factors: sampleFactors(), Adds: []string{"passkey", "security_key", "totp"}, Password: true, Home: "/account", Codes: true, Left: 7, Notice: page.NoteFactorAdded},
		"security-bare":  page.Security{Common: last, Action: "/account/security", Adds: []string{"passkey"}, Home: "/account", Codes: true},
		"factor":         page.OneFactor{Common: c, Action: "/account/security/factor", Factor: sampleFactors()[0], Back: "/account/security"},
		"factor-last":    page.OneFactor{Common: last, Action: "/account/security/factor", Factor: sampleFactors()[2], Back: "/account/security"},
		"newkey":         page.NewKey{Common: c, Action: "/account/security/passkey", Flow: "f1", Kind: "passkey", Name: "Firefox on Linux", Options: `{"challenge":"AA","user":{"id":"AA"}}`, Back: "/account/security"},
		"newkey-link":    page.NewKey{Common: c, Action: "/link/enrol", Token: "grd_lnk_x", State: "sealed", Kind: "passkey", Name: "Firefox on Linux", Options: `{"challenge":"AA","user":{"id":"AA"}}`},
		"newkey-refused": page.NewKey{Common: refused, Action: "/account/security/security_key", Flow: "f1", Kind: "security_key", Options: `{}`, Back: "/account/security"},
		"newtotp":        page.NewTOTP{Common: c, Action: "/account/security/totp", Flow: "f1", Name: "Phone", Secret: []string{"GEZD", "GNBV"}, URI: "otpauth://totp/Bank:ada?secret=GEZDGNBV", Picture: "M0 0h7v1h-7z", Size: 29, Back: "/account/security"},
		"newtotp-wrong":  page.NewTOTP{Common: coded, Action: "/account/security/totp", Flow: "f1", Name: "Phone", Secret: []string{"GEZD"}, URI: "otpauth://totp/Bank:ada?secret=GEZD", Picture: "M0 0h7v1h-7z", Size: 29, Back: "/account/security"},
		"codes":          page.Codes{Common: c, Username: "ada", Codes: []string{"bcdf-ghjk-mnpq-rstv", "2345-6789-wxyz-bcdf"}, Back: "/account/security"},
		"addfactor":      page.AddFactor{Common: c, Action: "/signin/enrol", Flow: "f1", Client: client, Username: "ada", Ways: ways},
		"addfactor-soon": page.AddFactor{Common: c, Action: "/signin/enrol", Flow: "f1", Username: "ada", Ways: ways, Until: noon.Add(240 * time.Hour)},
		"devices":        page.Devices{Common: c, Action: "/account/devices", Bar: sampleBar("devices"), Devices: []page.Known{device, {ID: "d2", Seen: noon}}, Notice: page.NoteDeviceForgotten},
		"devices-none":   page.Devices{Common: c, Action: "/account/devices"},
		"onedevice":      page.OneDevice{Common: c, Action: "/account/devices", Device: device, Back: "/account/devices"},
		"onedevice-lost": page.OneDevice{Common: c, Action: "/account/devices", Device: page.Known{ID: "d2", Name: "Old phone", Created: noon, Seen: noon}, Back: "/account/devices"},
		"habits":         page.Habits{Common: c, Action: "/account/habits", Bar: sampleBar("habits"), Kept: true, Since: noon},
		"habits-off":     page.Habits{Common: c, Action: "/account/habits", Off: true, Notice: page.NoteHabitsOff},
		"habits-none":    page.Habits{Common: c, Action: "/account/habits"},
		"approvals":      page.Approvals{Common: c, Action: "/account/approvals", Bar: sampleBar(""), Waiting: []page.WaitingSignIn{waiting, {ID: "a2", When: noon, Numbers: []string{"10", "11", "12"}}}},
		"approvals-none": page.Approvals{Common: c, Action: "/account/approvals", Notice: page.NoteSignInOver},
		"choose":         page.Choose{Common: c, Action: "/choose", Flow: "f1", Client: client, More: true, Accounts: []page.SignedIn{{Session: "s1", Username: "ada", Name: "Ada Lovelace", Email: "ada@example.com", Current: true}, {Session: "s2", Username: "bob"}}},
		"choose-nobody":  page.Choose{Common: c, Action: "/choose", More: true},
	}
}
