package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/gardeauth/garde/internal/demo/client"
)

// What the two apps ask for. Only the first asks for a device secret; the second finds it in the keychain.
const (
	pocketScope  = "openid profile device_sso accounts.read"
	savingsScope = "openid profile accounts.read"
)

// Apps are two native apps of the bank on one device, which share a keychain (OpenID Native SSO), and a thief who copied
// what is in it.
type Apps struct {
	Site   Site
	NoOpen bool // only print the address
	Wait   time.Duration
	Out    io.Writer
	Err    io.Writer // what a person is asked to do
	JSON   bool
	Colour bool
	Open   func(address string) error // nil: OpenBrowser
}

// deed is one thing that an app did, and what the Server or the Gate said.
type deed struct {
	App   string `json:"app"`
	Did   string `json:"did"`
	Said  string `json:"said"`
	Right bool   `json:"right"`
}

// Run signs in to the first app by the browser and to the second without it, lets the thief try, signs out of both, and
// tells each step. Whatever comes otherwise than it should is ErrWorth.
func (a Apps) Run(ctx context.Context) error {
	key, err := client.NewKey() // in the keychain of a telephone, from where it can't be copied
	if err != nil {
		return err
	}
	app := func(id string, key *client.Key) *client.Client {
		return &client.Client{ID: id, Issuer: a.Site.Issuer, Resource: a.Site.Gate, Proof: key, HTTP: client.NewHTTP(), Now: time.Now}
	}
	own, err := client.NewKey()
	if err != nil {
		return err
	}
	pocket, savings, thief := app(PocketApp, key), app(SavingsApp, key), app(SavingsApp, own)
	a.begin()
	first, err := a.signIn(ctx, pocket)
	if err != nil {
		return err
	}
	if first.Device == "" {
		return fmt.Errorf("the Server gave no device secret: %w", ErrWorth)
	}
	done := a.tell(deed{PocketApp, "signs in by the system browser", who(ctx, pocket, first) + "; a device secret for the keychain", true})
	second, err := savings.Share(ctx, first.ID, first.Device, savingsScope)
	if err != nil {
		return fmt.Errorf("the second app is not signed in: %w", errors.Join(err, ErrWorth))
	}
	done = a.tell(deed{SavingsApp, "shows what is in the keychain, and proves the key", who(ctx, savings, second) + ", without typing", true}) && done
	done = a.tell(a.balance(ctx, savings, second, http.StatusOK)) && done
	_, err = thief.Share(ctx, first.ID, first.Device, savingsScope)
	done = a.tell(refusal("a thief", "shows a copy of it, and proves another key", err)) && done
	if err := pocket.Revoke(ctx, first.Device); err != nil {
		return fmt.Errorf("sign out: %w", err)
	}
	done = a.tell(deed{PocketApp, "signs out of all apps on the device", "the session has ended", true}) && done
	_, err = savings.Renew(ctx, second)
	done = a.tell(refusal(SavingsApp, "asks for a new token", err)) && done
	_, err = savings.Share(ctx, first.ID, first.Device, savingsScope)
	done = a.tell(refusal(SavingsApp, "shows what is in the keychain once more", err)) && done
	done = a.tell(a.ended(ctx, savings, second)) && done
	if !done {
		return ErrWorth
	}
	return nil
}

func (a Apps) signIn(ctx context.Context, pocket *client.Client) (client.Grant, error) {
	open := a.Open
	if open == nil {
		open = OpenBrowser
	}
	t := &terminal{party: pocket, site: a.Site, noOpen: a.NoOpen, wait: a.Wait, stdout: a.Out, stderr: a.Err, open: open}
	return t.browse(ctx, pocketScope)
}

// who says whom an app takes for signed in: it asks the Server, with its token.
func who(ctx context.Context, app *client.Client, g client.Grant) string {
	door := &client.Client{ID: app.ID, Issuer: app.Issuer, Resource: app.Issuer, Proof: app.Proof, HTTP: app.HTTP, Now: app.Now}
	var told struct {
		Subject string `json:"sub"`
		Name    string `json:"name"`
	}
	reply, _ := door.Show(ctx, http.MethodGet, "/userinfo", g.Access, nil)
	if json.Unmarshal(reply.Raw, &told) != nil || told.Subject != g.Subject || told.Name == "" {
		return "signed in"
	}
	return "signed in as " + told.Name
}

func (a Apps) balance(ctx context.Context, app *client.Client, g client.Grant, want int) deed {
	reply, _ := app.Show(ctx, http.MethodGet, "/balance", g.Access, nil)
	said := fmt.Sprintf("%d %s", reply.Status, reply.Reason())
	if reply.Failed != nil {
		said = reply.Failed.Error()
	}
	return deed{app.ID, "reads the balance through the Gate", said, reply.Status == want}
}

// gateTime is how long the Gate may take to hear of a sign-out.
const gateTime = time.Second

// ended asks the Gate until it refuses, for as long as it may go on.
func (a Apps) ended(ctx context.Context, app *client.Client, g client.Grant) deed {
	for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if told := a.balance(ctx, app, g, http.StatusUnauthorized); told.Right || time.Since(begun) > gateTime {
			return told
		}
	}
}

// refusal is right if the Server said no.
func refusal(app, did string, err error) deed {
	if no := (*client.Denied)(nil); errors.As(err, &no) {
		return deed{app, did, no.Error(), no.Status == http.StatusBadRequest}
	}
	if err != nil {
		return deed{app, did, err.Error(), false}
	}
	return deed{app, did, "the Server gave tokens", false}
}

func (a Apps) begin() {
	if !a.JSON {
		fmt.Fprintf(a.Out, "\n  %s\n\n", painter(a.Colour).bold("Two apps of the bank on one device, and one sign-in"))
	}
}

// tell writes one deed and tells whether it came as it should.
func (a Apps) tell(done deed) bool {
	if a.JSON {
		encoder := json.NewEncoder(a.Out)
		encoder.SetEscapeHTML(false)
		return encoder.Encode(done) == nil && done.Right
	}
	p := painter(a.Colour)
	said := p.good(done.Said)
	if !done.Right {
		said = p.bad(done.Said + " (this is not what should have happened)")
	}
	_, err := fmt.Fprintf(a.Out, "  %s %s\n      %s\n", p.bold(done.App), done.Did, said)
	return err == nil && done.Right
}
