package lab_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/lab"
	"github.com/gardeauth/garde/recipe"
)

// familyControls are those of the matrix as they concern an app that is signed in by another, and those of its family. ends
// tells whether the exchange ends.
func familyControls(client string) map[string]bool {
	ends := map[string]bool{}
	for control := range controls() {
		ends[control] = true
	}
	// Not for an app: it never proves itself. Not by an exchange: no address, no time of tokens, no grant but its own.
	delete(ends, "T08 the client gets another way to prove itself")
	for _, goesOn := range []string{
		"C28 the client loses its redirect URI by a new recipe", "the API with opaque tokens is removed", "six minutes pass",
		"the client loses its grants by a new recipe", // the family gives the exchange, and apps: is what takes it
	} {
		ends[goesOn] = false
	}
	if client == mail { // the first app may change all that is its own; it has to stand, in the family
		for _, goesOn := range []string{"A14 X15 the client loses its scopes by a new recipe"} {
			ends[goesOn] = false
		}
	}
	return ends
}

func leaves(id string) control {
	return control{do: func(_ *testing.T, n *lab.Node, _ *rights) {
		n.Change(clients(func(c map[string]recipe.Client) {
			app := c[id]
			app.Apps, app.Scopes = "", slices.DeleteFunc(slices.Clone(app.Scopes), func(scope string) bool { return scope == "device_sso" })
			c[id] = app
		}))
	}, after: asItWas}
}

// TestMatrixOfFamilies crosses every control of the matrix with the exchange: done to the app that exchanges, and to the
// one that has signed in. What a control ends, ends within a second, on the other node.
func TestMatrixOfFamilies(t *testing.T) {
	for name, options := range map[string]lab.Options{
		"one node on SQLite": {Gate: true}, "two nodes on PostgreSQL": {Gate: true, Engine: lab.Postgres, Nodes: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, _ := newFamilies(t, options)
			for _, client := range []string{careful, mail} {
				all, ends := controls(), familyControls(client)
				all["the app leaves its family"], ends["the app leaves its family"] = leaves(client), true
				for _, name := range slices.Sorted(maps.Keys(ends)) {
					t.Run(client+": "+name, func(t *testing.T) { crossFamily(t, h, client, all[name], ends[name]) })
				}
			}
		})
	}
}

func crossFamily(t *testing.T, h *lab.House, client string, c control, ends bool) {
	r := &rights{h: h, client: client, person: h.NewPerson("alice")}
	h.Allow(r.person, careful, "openid", "accounts.read")
	h.Allow(r.person, mail, "openid", "accounts.read")
	r.seen = h.Tokens(r.person, ofApp(mail, shares))
	works := func() bool {
		return h.As(careful, "/token", exchange(h, r.seen.IDToken, r.seen.DeviceSecret)).Status == 200
	}
	if !works() {
		t.Fatal("it never worked, so that its end proves nothing")
	}
	acting := h.Nodes[len(h.Nodes)-1]
	c.do(t, acting, r)
	done := time.Now()
	for ends && works() {
		if time.Since(done) > time.Second {
			t.Error("a second later one can still exchange")
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	if !ends {
		h.Followed(h.Nodes[0].Server.Force.InForce().Number)
		if !works() {
			t.Error("one can no longer exchange")
		}
	}
	if c.after != nil {
		c.after(t, acting, r)
	}
}

// TestALostDeviceIsCutOff: who forgets a device ends all that began on it, also what was to outlive its session, within a
// second at every node.
func TestALostDeviceIsCutOff(t *testing.T) {
	for name, options := range map[string]lab.Options{
		"one node on SQLite": {Gate: true}, "two nodes on PostgreSQL": {Gate: true, Engine: lab.Postgres, Nodes: 2},
	} {
		t.Run(name, func(t *testing.T) { cutOff(t, options) })
	}
}

func cutOff(t *testing.T, options lab.Options) {
	h, _ := newFamilies(t, options)
	person := h.NewPerson("grace")
	now := h.Clock.Now().UTC().Truncate(time.Second)
	value := iam.NewSecret(iam.PrefixSession)
	device := iam.Device{ID: "d-lost-" + person.ID, User: person.ID, Name: "Grace's phone", Created: now, Seen: now, Expires: now.Add(24 * time.Hour)}
	devices := h.Server.House
	must(t, devices.KeepDevice(t.Context(), device))
	session := iam.Session{
		ID: "s-lost-" + person.ID, Hash: iam.HashSession(value), User: person.ID, AuthTime: now, AMR: []string{"pwd"}, ACR: lab.Basic, Device: device.ID,
		Proofs:  []iam.Proved{{Factor: "password", At: now, Begun: now, Methods: []string{"pwd"}}},
		Created: now, Seen: now, Expires: now.Add(24 * time.Hour),
	}
	must(t, h.Store().StartSession(t.Context(), session, iam.SessionHash{}))
	lost := *person
	lost.Session = session.ID
	first, safe := h.Tokens(&lost, ofApp(mail, shares+" offline_access")), h.Tokens(person, ofApp(mail, shares))
	second := h.As(pay, "/token", exchange(h, first.IDToken, first.DeviceSecret))
	granted(t, second)
	browser := &at{t, map[string]string{"garde-session": value}}
	for _, node := range h.Nodes {
		if reply := browser.get(node, "/account"); reply.Status != 200 {
			t.Fatalf("%d to %s", reply.Status, reply.Header.Get("Location"))
		}
	}
	must(t, h.Nodes[len(h.Nodes)-1].Server.House.ForgetDevice(t.Context(), person.ID, device.ID))
	for what, works := range map[string]func() bool{
		"exchange":              func() bool { return h.As(pay, "/token", exchange(h, first.IDToken, first.DeviceSecret)).Status == 200 },
		"refresh the first app": func() bool { return h.Refresh(mail, first.RefreshToken).Status == 200 },
		"refresh the second":    func() bool { return h.Refresh(pay, second.Text("refresh_token")).Status == 200 },
		"call the API":          func() bool { return h.Call("GET", "/accounts/balance", second.Text("access_token")).Status == 200 },
		"open the account":      func() bool { return browser.get(h.Node, "/account").Status == 200 },
		"redeem by the device secret elsewhere": func() bool {
			return h.Nodes[len(h.Nodes)-1].As(pay, "/token", exchange(h, first.IDToken, first.DeviceSecret)).Status == 200
		},
		"call it as the first does": func() bool { return h.Call("GET", "/accounts/balance", first.AccessToken).Status == 200 },
	} {
		h.Within(time.Second, "the lost device can no longer "+what, func() bool { return !works() })
	}
	granted(t, h.As(pay, "/token", exchange(h, safe.IDToken, safe.DeviceSecret)))
}

// TestAStepUpRenewsTheSession: what apps share goes on in the new session, under its new name, and ends with that.
func TestAStepUpRenewsTheSession(t *testing.T) {
	h, _ := newFamilies(t, lab.Options{})
	person := h.NewPerson("heidi")
	first := h.Tokens(person, ofApp(mail, shares))
	now := h.Clock.Now().UTC().Truncate(time.Second)
	old := iam.HashSession(person.Cookie[len("garde-session="):])
	next := iam.Session{
		ID: "s-next-" + person.ID, Hash: iam.HashSession(iam.NewSecret(iam.PrefixSession)), User: person.ID, AuthTime: now, AMR: []string{"pwd"}, ACR: lab.Basic,
		Proofs:  []iam.Proved{{Factor: "password", At: now, Begun: now, Methods: []string{"pwd"}}},
		Created: now, Seen: now, Expires: now.Add(24 * time.Hour),
	}
	must(t, h.Store().StartSession(t.Context(), next, old))
	granted(t, h.As(pay, "/token", exchange(h, first.IDToken, first.DeviceSecret)))
	reply := h.Refresh(mail, first.RefreshToken, "device_secret", first.DeviceSecret)
	granted(t, reply)
	second := h.As(pay, "/token", exchange(h, reply.Text("id_token"), first.DeviceSecret))
	granted(t, second)
	if _, said := peek(t, second.Text("id_token")); said["sid"] != next.ID {
		t.Errorf("sid %v", said["sid"])
	}
	must(t, h.Store().EndSession(t.Context(), next.ID))
	refused(t, h.As(pay, "/token", exchange(h, reply.Text("id_token"), first.DeviceSecret)), 400, "invalid_grant")
	refused(t, h.Refresh(pay, second.Text("refresh_token")), 400, "invalid_grant")
}
