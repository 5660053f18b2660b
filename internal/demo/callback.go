package demo

import (
	"errors"
	"net/http"
	"sync"

	"github.com/gardeauth/garde/internal/demo/client"
	"github.com/gardeauth/garde/internal/demo/local"
)

// callback is the command line's own door: it takes the first answer that bears the right state, and then no more.
type callback struct {
	party   *client.Client
	attempt client.Attempt
	done    chan outcome // holds one

	mu    sync.Mutex
	spent bool
}

type outcome struct {
	grant client.Grant
	err   error
}

// ServeHTTP answers /callback with a small page; an answer that was not asked for changes nothing, since any program
// or page on this machine can send one.
func (c *callback) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	pages, err := readPages()
	if err != nil {
		http.Error(w, "the page can't be shown", http.StatusInternalServerError)
		return
	}
	lang := language(r)
	if r.Method != http.MethodGet || r.URL.Path != "/callback" || !local.IsLoopback(local.Host(r.Host)) {
		http.NotFound(w, r)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.spent {
		pages.small(w, http.StatusConflict, lang, "cli.again")
		return
	}
	g, err := c.party.Finish(r.Context(), c.attempt, r.URL.Query())
	if no := (*client.Forged)(nil); errors.As(err, &no) && r.URL.Query().Get("state") != c.attempt.State {
		pages.small(w, http.StatusBadRequest, lang, "cli.foreign")
		return
	}
	c.spent = true
	c.done <- outcome{g, err}
	if err != nil {
		pages.small(w, http.StatusBadRequest, lang, "cli.failed")
		return
	}
	pages.small(w, http.StatusOK, lang, "cli.done")
}
