package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/demo/client"
	"github.com/gardeauth/garde/internal/demo/doorman"
)

// decision is what the Server decided, as its administration tells of it.
type decision struct {
	At     time.Time `json:"at"`
	Client string    `json:"client"`
	Trace  string    `json:"trace"`
	Detail struct {
		Door      string   `json:"door"`
		Operation string   `json:"operation"`
		Verdict   string   `json:"verdict"`
		Level     string   `json:"level"`
		Reached   string   `json:"reached"`
		Fresh     int64    `json:"fresh"`
		Score     int      `json:"score"`
		Signals   []string `json:"signals"`
		Say       []string `json:"say"`
		Rules     []string `json:"rules"`
	} `json:"detail"`
	Personal struct {
		Signals string `json:"signals"` // what the signs of risk said, a sentence a line
	} `json:"personal"`
}

// Why gives the sentences about it.
func (d decision) Why() []string {
	return slices.DeleteFunc(append(slices.Clone(d.Detail.Say), strings.Split(d.Personal.Signals, "\n")...), func(said string) bool { return said == "" })
}

// Permitted tells whether it was let through.
func (d decision) Permitted() bool { return d.Detail.Verdict == "permit" }

// Denied tells whether it was refused.
func (d decision) Denied() bool { return d.Detail.Verdict == "deny" }

// How many decisions the page shows: a few while it renews itself, so that it is read at a glance on a phone too, and more
// when it is held still.
const (
	liveDecisions = 4
	heldDecisions = 25
)

// decisions shows, live, what the Server decided lately and why, and lets the person be somewhere else.
func (b *Bank) decisions(w http.ResponseWriter, r *http.Request) error {
	live := r.URL.Query().Get("still") == ""
	most := heldDecisions
	if live {
		most = liveDecisions
	}
	list, err := b.decided(r.Context(), most)
	if err != nil {
		b.log.WarnContext(r.Context(), "the decisions can't be read", "error", err)
	}
	page := map[string]any{"Decisions": list, "Failed": err != nil, "Where": b.Where != nil}
	if b.Where != nil {
		place, device := b.Where.Now()
		page["Place"], page["Device"], page["Places"], page["Devices"] = place.Key, device.Key, doorman.Places(), doorman.Devices()
	}
	if live {
		w.Header().Set("Refresh", "3")
		page["Live"] = true
	}
	b.show(w, r, http.StatusOK, "decisions.html", "decisions.title", page)
	return nil
}

// move puts the person somewhere else, or at another device. It needs no visit: it is no deed of the bank's.
func (b *Bank) move(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return errors.Join(errUnasked, err)
	}
	if b.Where == nil || !b.Where.Go(r.PostForm.Get("place"), r.PostForm.Get("device")) {
		return errUnasked
	}
	redirect(w, "/decisions")
	return nil
}

// decided asks the Server's administration, which answers on a socket of this machine.
func (b *Bank) decided(ctx context.Context, most int) ([]decision, error) {
	if b.Admin == "" {
		return nil, errors.New("the bank does not know the Server's administration")
	}
	socket := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", b.Admin)
		},
	}}
	back := client.Call(ctx, socket, "http://garde", http.MethodGet, fmt.Sprintf("/journal?kind=decision.made&order=newest&limit=%d", most), nil, nil)
	if !back.OK() {
		return nil, errors.Join(fmt.Errorf("the administration answered %d", back.Status), back.Failed)
	}
	var told struct {
		Items []decision `json:"items"`
	}
	return told.Items, json.Unmarshal(back.Raw, &told)
}
