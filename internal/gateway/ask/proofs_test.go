package ask_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/gateway/ask"
	"github.com/gardeauth/garde/internal/once"
)

// remembering asks a Server that answers as given; tokens counts those that it gave to the Gate.
func remembering(t *testing.T, answer func(http.ResponseWriter, *http.Request)) (asked *ask.Proofs, tokens *atomic.Int64) {
	t.Helper()
	listening := httptest.NewServer(http.HandlerFunc(answer))
	t.Cleanup(listening.Close)
	tokens = &atomic.Int64{}
	return &ask.Proofs{URL: listening.URL, Authorize: func(context.Context) (string, error) {
		return "Bearer " + strings.Repeat("t", int(tokens.Add(1))), nil
	}}, tokens
}

// TestD08ProofsAreAskedAboutTogether: of many callers few questions come, and each hears its own answer.
func TestD08ProofsAreAskedAboutTogether(t *testing.T) {
	var questions atomic.Int64
	var mu sync.Mutex
	known := map[string]bool{}
	asked, tokens := remembering(t, func(w http.ResponseWriter, r *http.Request) {
		questions.Add(1)
		time.Sleep(5 * time.Millisecond)
		var said struct {
			Proofs []struct{ ID string } `json:"proofs"`
		}
		if err := json.NewDecoder(r.Body).Decode(&said); err != nil || len(said.Proofs) > 256 || r.Header.Get("Authorization") == "" {
			t.Errorf("%v %d", err, len(said.Proofs))
		}
		var fresh []bool
		mu.Lock()
		for _, each := range said.Proofs {
			fresh = append(fresh, !known[each.ID])
			known[each.ID] = true
		}
		mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string][]bool{"fresh": fresh})
	})
	var good atomic.Int64
	var group sync.WaitGroup
	for i := range 400 {
		group.Go(func() {
			fresh, err := asked.Seen(t.Context(), once.Proof, "key", string(rune('a'+i%200)), time.Now().Add(time.Minute))
			if err != nil {
				t.Error(err)
			}
			if fresh {
				good.Add(1)
			}
		})
	}
	group.Wait()
	if good.Load() != 200 || questions.Load() > 100 || tokens.Load() != 1 {
		t.Errorf("%d fresh of 200, %d questions, %d tokens", good.Load(), questions.Load(), tokens.Load())
	}
}

func TestD08NoAnswerIsNoLeave(t *testing.T) {
	many := func(w http.ResponseWriter, status int, body string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
	for name, answer := range map[string]func(http.ResponseWriter, *http.Request){
		"an error":         func(w http.ResponseWriter, _ *http.Request) { many(w, 503, `{"fresh":[true]}`) },
		"no answer":        func(w http.ResponseWriter, _ *http.Request) { many(w, 200, `{}`) },
		"too many answers": func(w http.ResponseWriter, _ *http.Request) { many(w, 200, `{"fresh":[true,true]}`) },
		"doubled answers":  func(w http.ResponseWriter, _ *http.Request) { many(w, 200, `{"fresh":[false],"fresh":[true]}`) },
		"no JSON":          func(w http.ResponseWriter, _ *http.Request) { many(w, 200, `yes`) },
		"another place": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		},
		"never, until late": func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // only then it is seen that the Gate has gone
			<-r.Context().Done()
		},
	} {
		t.Run(name, func(t *testing.T) {
			asked, _ := remembering(t, answer)
			begun := time.Now()
			if fresh, err := asked.Seen(t.Context(), once.Proof, "key", "id", time.Now().Add(time.Minute)); fresh || err == nil || time.Since(begun) > 3*time.Second {
				t.Errorf("%v %v after %s", fresh, err, time.Since(begun))
			}
		})
	}
	t.Run("a token that is no longer taken is replaced once", func(t *testing.T) {
		var gone atomic.Bool
		asked, tokens := remembering(t, func(w http.ResponseWriter, r *http.Request) {
			if gone.Load() && r.Header.Get("Authorization") == "Bearer t" {
				many(w, 401, `{}`)
				return
			}
			many(w, 200, `{"fresh":[true]}`)
		})
		for want := range 3 {
			if fresh, err := asked.Seen(t.Context(), once.Proof, "key", "id", time.Now().Add(time.Minute)); !fresh || err != nil || tokens.Load() != int64(min(want+1, 2)) {
				t.Errorf("%v %v %d", fresh, err, tokens.Load())
			}
			gone.Store(true)
		}
	})
	t.Run("no token", func(t *testing.T) {
		asked := &ask.Proofs{URL: "http://127.0.0.1:1", Authorize: func(context.Context) (string, error) { return "", errors.New("no") }}
		if fresh, err := asked.Seen(t.Context(), once.Proof, "key", "id", time.Now()); fresh || err == nil {
			t.Errorf("%v %v", fresh, err)
		}
	})
}
