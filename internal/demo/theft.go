package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gardeauth/garde/internal/demo/client"
)

// thefts shows what a token is worth that is bound to the owner's key: to its owner, and to a thief who has it, has seen
// all that was sent with it, and has no key but one of his own. The calls are made one after the other, since the thief
// sends what the owner has sent before.
func thefts(ctx context.Context, owner *client.Client, token string) ([]trial, error) {
	own, err := client.NewKey()
	if err != nil {
		return nil, err
	}
	thief := &client.Client{Resource: owner.Resource, Proof: own, HTTP: owner.HTTP, Now: owner.Now}
	const path = "/balance"
	authorized := "Authorization: DPoP " + short(token)
	first, used := owner.Show(ctx, http.MethodGet, path, token, nil)
	other, forged := thief.Show(ctx, http.MethodGet, path, token, nil)
	send := func(header http.Header) client.Reply {
		return client.Call(ctx, owner.HTTP, owner.Resource, http.MethodGet, path, header, nil)
	}
	trials := []trial{
		{Key: "owner", Good: true, Header: []string{authorized, "DPoP: " + short(used)}, Reply: first},
		{Key: "bearer", Header: []string{"Authorization: Bearer " + short(token)}, Reply: send(client.Bearer(token))},
		{Key: "naked", Header: []string{authorized}, Reply: send(http.Header{"Authorization": {"DPoP " + token}})},
		{Key: "key", Header: []string{authorized, "DPoP: " + short(forged)}, Reply: other},
		{Key: "replay", Header: []string{authorized, "DPoP: " + short(used)}, Reply: send(client.Proved(token, used))},
	}
	last, fresh := owner.Show(ctx, http.MethodGet, path, token, nil)
	trials = append(trials, trial{Key: "again", Good: true, Header: []string{authorized, "DPoP: " + short(fresh)}, Reply: last})
	for i := range trials {
		trials[i].Family, trials[i].Method, trials[i].Path = "theft", http.MethodGet, path
	}
	return trials, nil
}

// right tells whether all of them came to what they should.
func right(trials []trial) bool {
	return !slices.ContainsFunc(trials, func(one trial) bool { return !one.Right() })
}

// Theft is one run of Steal.
type Theft struct {
	Site   Site
	Dir    string // of the demonstration's data
	Out    io.Writer
	JSON   bool
	Colour bool             // whether Out is a terminal
	Now    func() time.Time // nil: time.Now
}

// ErrWorth says that a thief got what the owner alone should get, or that the owner did not.
var ErrWorth = errors.New("this is not what should have happened")

// Steal takes the token that Budget holds of whoever connected an account last, and shows by the Gate's own answers that
// it is of no use without Budget's key. It stands for both, Budget and the thief, and so reads Budget's keys too.
func (t Theft) Steal(ctx context.Context) error {
	if t.Now == nil {
		t.Now = time.Now
	}
	g, err := t.loot()
	if err != nil {
		return err
	}
	keys, err := Furnish(t.Dir)
	if err != nil {
		return err
	}
	owner := aggregator(t.Site, keys, t.Now)
	if !t.Now().Before(g.Expires.Add(-5 * time.Second)) {
		// A refresh token of a client that proves itself is not rotated, so the running Budget keeps its own.
		if g, err = owner.Renew(ctx, g); err != nil {
			return fmt.Errorf("renew Budget's token (connect an account at %s again): %w", t.Site.Budget, err)
		}
	}
	trials, err := thefts(ctx, owner, g.Access)
	if err != nil {
		return err
	}
	for _, trial := range trials {
		if trial.Reply.Failed != nil {
			return fmt.Errorf("the Gate at %s does not answer: is garde demo running? %w", t.Site.Gate, trial.Reply.Failed)
		}
	}
	tell := t.tell
	if t.JSON {
		tell = t.encode
	}
	if err := tell(trials); err != nil {
		return err
	}
	if !right(trials) {
		return ErrWorth
	}
	return nil
}

// loot reads what Budget was given last.
func (t Theft) loot() (client.Grant, error) {
	path := filepath.Join(t.Dir, grantFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return client.Grant{}, fmt.Errorf("there is no token to steal in %s: connect an account at %s first", t.Dir, t.Site.Budget)
	}
	if err != nil {
		return client.Grant{}, fmt.Errorf("read what Budget was given: %w", err)
	}
	var g client.Grant
	if err := json.Unmarshal(text, &g); err != nil || g.Access == "" {
		return client.Grant{}, errors.Join(fmt.Errorf("%s can't be read: connect an account at %s again", path, t.Site.Budget), err)
	}
	return g, nil
}

// tell writes the calls as a table, for a person.
func (t Theft) tell(trials []trial) error {
	pages, err := readPages()
	if err != nil {
		return err
	}
	rows := make([][3]string, 0, len(trials))
	var wide [2]int
	for _, one := range trials {
		row := [3]string{pages.text("en", one.Words()), fmt.Sprintf("%d %s", one.Reply.Status, one.Reply.Reason()), one.Reply.Why()}
		rows = append(rows, row)
		for i := range wide {
			wide[i] = max(wide[i], utf8.RuneCountInString(row[i]))
		}
	}
	p := painter(t.Colour)
	var b strings.Builder
	fmt.Fprintf(&b, "\n  %s  GET %s/balance\n\n", p.bold("Budget's token, stolen"), t.Site.Gate)
	for i, row := range rows {
		status := fmt.Sprintf("%-*s", wide[1], row[1])
		if trials[i].Reply.OK() {
			status = p.good(status)
		} else {
			status = p.bad(status)
		}
		line := fmt.Sprintf("  %-*s  %s  %s", wide[0], row[0], status, row[2])
		b.WriteString(strings.TrimRight(line, " ") + "\n")
		if !trials[i].Right() {
			fmt.Fprintf(&b, "  %s\n", p.bad("    "+pages.text("en", "try.surprise")))
		}
	}
	if right(trials) {
		fmt.Fprintf(&b, "\n  %s\n\n", pages.text("en", "theft.moral"))
	}
	_, err = io.WriteString(t.Out, b.String())
	return err
}

// encode writes the calls for a program.
func (t Theft) encode(trials []trial) error {
	type line struct {
		Call      string   `json:"call"`
		Sent      []string `json:"sent"`
		Status    int      `json:"status"`
		Challenge string   `json:"challenge,omitempty"`
		Trace     string   `json:"trace,omitempty"`
		Right     bool     `json:"right"`
	}
	lines := make([]line, 0, len(trials))
	for _, one := range trials {
		lines = append(lines, line{one.Key, one.Header, one.Reply.Status, one.Reply.Challenge, one.Reply.Trace, one.Right()})
	}
	encoder := json.NewEncoder(t.Out)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(lines)
}
