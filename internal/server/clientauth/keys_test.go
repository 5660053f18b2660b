package clientauth_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/fetch"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/server/clientauth"
	"github.com/gardeauth/garde/recipe"
)

// ticking is a clock that the test moves.
type ticking struct{ at atomic.Int64 }

func (c *ticking) now() time.Time          { return now.Add(time.Duration(c.at.Load())) }
func (c *ticking) pass(span time.Duration) { c.at.Add(int64(span)) }

func TestKeysBehindAnAddressAreReadAgainWhenOneIsMissed(t *testing.T) {
	_, first := signerOf(t, "one", jose.ES256)
	_, second := signerOf(t, "two", jose.ES256)
	var served atomic.Value
	served.Store(first)
	var reads atomic.Int32
	clock := &ticking{}
	keys := &clientauth.Keys{Now: clock.now, Fetcher: fetched(func(context.Context, string) ([]byte, error) {
		reads.Add(1)
		if text, _ := served.Load().(string); text != "" {
			return []byte(text), nil
		}
		return nil, errors.New("down")
	})}
	client := iam.Client{ID: "app", JWKSURI: "https://app.example/jwks"}
	ask := func(kid string, found bool, wanted int32) {
		t.Helper()
		_, err := keys.For(t.Context(), client, jose.Header{Alg: jose.ES256, KeyID: kid})
		if (err == nil) != found || reads.Load() != wanted {
			t.Errorf("kid %s: error %v after %d reads, wanted %d", kid, err, reads.Load(), wanted)
		}
	}
	ask("one", true, 1)
	ask("two", false, 1) // during the cool-down, from memory
	served.Store(second)
	clock.pass(11 * time.Second)
	ask("two", true, 2)
	ask("one", false, 2)
	ask("", true, 2) // the only one that fits
	served.Store("")
	clock.pass(11 * time.Second)
	ask("three", false, 3)
	ask("two", true, 3) // what was read well stays
	other := client
	other.ID = "other"
	if _, err := keys.For(t.Context(), other, jose.Header{Alg: jose.ES256, KeyID: "two"}); err == nil {
		t.Error("T23 the keys of one client are another's")
	}
}

// TestASilentHostHoldsUpNobodyElse: the jwks_uri of many clients lead to a host that takes connections and says nothing. Its
// own clients are refused, most of them at once, and the others are served as if nothing were.
func TestASilentHostHoldsUpNobodyElse(t *testing.T) {
	hole, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = hole.Close() })
	signer, set := signerOf(t, "k", jose.ES256)
	honest := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(set)) }))
	t.Cleanup(honest.Close)
	fetcher, err := fetch.New(fetch.Settings{AllowHosts: []string{hole.Addr().String(), honest.Listener.Addr().String()}})
	if err != nil {
		t.Fatal(err)
	}
	d := newDesk(t, fetcher.Fetch)
	d.Report = nil
	d.Used = nil
	add := func(id, address string) {
		d.clients[id] = iam.Client{ID: id, Kind: recipe.Web, Auth: oauth.AuthPrivateKey, JWKSURI: address}
	}
	for _, id := range strings.Fields("a b c d e f g h i j k l m n o p") {
		add(id, "http://"+hole.Addr().String()+"/"+id)
	}
	add("good", honest.URL+"/jwks")
	var all sync.WaitGroup
	var busy, refused atomic.Int32
	for id := range d.clients {
		if id == "good" {
			continue
		}
		for range 20 {
			token := signed(t, signer, claims(id, nil))
			all.Go(func() {
				_, err := d.ask(t, asserted(token))
				var later interface{ Unavailable() bool }
				if errors.As(err, &later) {
					busy.Add(1)
				} else if oauth.CodeOf(err) == "invalid_client" {
					refused.Add(1)
				}
			})
		}
	}
	time.Sleep(100 * time.Millisecond)
	begun := time.Now()
	for range 10 {
		if _, err := d.ask(t, asserted(signed(t, signer, claims("good", nil)))); err != nil {
			t.Fatal("a client of another host:", err)
		}
	}
	if took := time.Since(begun); took > time.Second {
		t.Errorf("clients of another host waited for %v", took)
	}
	if busy.Load() < 200 {
		t.Errorf("only %d of 320 were sent away at once: the others hold places", busy.Load())
	}
	all.Wait()
	if busy.Load()+refused.Load() != 320 || time.Since(begun) > 2*fetch.MaxTime {
		t.Errorf("%d sent away, %d refused, after %v", busy.Load(), refused.Load(), time.Since(begun))
	}
}

func TestG02KeysOfTheInsideAreNotRead(t *testing.T) {
	var reached atomic.Int32
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	t.Cleanup(inside.Close)
	fetcher, err := fetch.New(fetch.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	signer, _ := signerOf(t, "k", jose.ES256)
	for _, address := range []string{inside.URL, strings.Replace(inside.URL, "http:", "https:", 1), "https://169.254.169.254/latest"} {
		d := newDesk(t, fetcher.Fetch)
		d.clients["app"] = iam.Client{ID: "app", Kind: recipe.Web, Auth: oauth.AuthPrivateKey, JWKSURI: address}
		_, err := d.ask(t, asserted(signed(t, signer, claims("app", nil))))
		d.wants(t, err, "invalid_client", "can't be read")
		if told, _ := errors.AsType[*oauth.Error](err); told == nil || strings.Contains(told.Description, "fetched") {
			t.Errorf("G09 the answer tells of the inside: %v", told)
		}
	}
	if reached.Load() != 0 {
		t.Errorf("the inside was reached %d times", reached.Load())
	}
}
