package signals_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/server/signals"
	"github.com/gardeauth/garde/internal/store"
	"github.com/gardeauth/garde/internal/verify"
	"github.com/gardeauth/garde/internal/web"
)

// askProofs sends a body to /signals/proofs, as who holds a scope, on a storage.
func askProofs(t *testing.T, kept *store.Store, scope, method, kind, body string) (int, string) {
	t.Helper()
	door := &signals.Proofs{Tokens: one{verify.Claims{ClientID: "gate", Scope: oauth.Scope{scope}}}, Once: kept.Tenant(iam.DefaultTenant)}
	face := web.Face{As: web.Bearer{}, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	r := httptest.NewRequest(method, "/signals/proofs", strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer good")
	r.Header.Set("Content-Type", kind)
	w := httptest.NewRecorder()
	face.Handle(door.Proofs).ServeHTTP(w, r)
	return w.Code, strings.TrimSpace(w.Body.String())
}

func toldOf(id string, until time.Time) string {
	sum := sha256.Sum256([]byte(id))
	return fmt.Sprintf(`{"id":%q,"until":%d}`, base64.RawURLEncoding.EncodeToString(sum[:]), until.Unix())
}

func list(told ...string) string { return `{"proofs":[` + strings.Join(told, ",") + `]}` }

func TestD08ProofsOfAllGates(t *testing.T) {
	kept, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "garde.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	soon, many := time.Now().Add(time.Minute), make([]string, signals.MaxProofs+1)
	for i := range many {
		many[i] = toldOf("one of many "+strconv.Itoa(i), soon)
	}
	const json = "application/json"
	for _, c := range []struct {
		name, scope, method, kind, body string
		status                          int
		says                            string
	}{
		{"two that are new", oauth.ScopeGate, "POST", json, list(toldOf("a", soon), toldOf("b", soon)), 200, `{"fresh":[true,true]}`},
		{"one of them again", oauth.ScopeGate, "POST", json, list(toldOf("c", soon), toldOf("b", soon)), 200, `{"fresh":[true,false]}`},
		{"one that is past", oauth.ScopeGate, "POST", json, list(toldOf("d", soon.Add(-time.Hour))), 200, `{"fresh":[false]}`},
		{"one from the future", oauth.ScopeGate, "POST", json, list(toldOf("e", soon.Add(time.Hour))), 200, `{"fresh":[false]}`},
		{"as many as may be asked", oauth.ScopeGate, "POST", json, list(many[1:]...), 200, "true"},
		{"one more", oauth.ScopeGate, "POST", json, list(many...), 400, "invalid_request"},
		{"none", oauth.ScopeGate, "POST", json, list(), 400, "invalid_request"},
		{"an id that is no digest", oauth.ScopeGate, "POST", json, list(`{"id":"x","until":1}`), 400, "invalid_request"},
		{"an id with another last letter", oauth.ScopeGate, "POST", json, list(`{"id":"` + strings.Repeat("A", 42) + `B","until":1}`), 400, "invalid_request"},
		{"J18 twice the same member", oauth.ScopeGate, "POST", json, `{"proofs":[],"proofs":[` + toldOf("f", soon) + `]}`, 400, "invalid_request"},
		{"too long", oauth.ScopeGate, "POST", json, list(toldOf("g", soon)) + strings.Repeat(" ", 64<<10), 400, "invalid_request"},
		{"a form", oauth.ScopeGate, "POST", "application/x-www-form-urlencoded", "proofs=x", 400, "invalid_request"},
		{"another method", oauth.ScopeGate, "GET", json, "", 405, "invalid_request"},
		{"somebody who is no Gate", "accounts.read", "POST", json, list(toldOf("h", soon)), 403, "insufficient_scope"},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, says := askProofs(t, kept, c.scope, c.method, c.kind, c.body)
			if status != c.status || !strings.Contains(says, c.says) {
				t.Errorf("%d %s", status, says)
			}
		})
	}
	if err := kept.Close(); err != nil {
		t.Fatal(err)
	}
	t.Run("a storage that can't tell", func(t *testing.T) {
		if status, says := askProofs(t, kept, oauth.ScopeGate, "POST", json, list(toldOf("i", soon))); status != http.StatusServiceUnavailable {
			t.Errorf("%d %s", status, says)
		}
	})
}
