package session_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gardeauth/garde/internal/session"
	"github.com/gardeauth/garde/recipe"
)

func TestTheStateOfABrowserSaysNothingAndIsReadByScript(t *testing.T) {
	keeper := &session.Keeper{Secure: true, Lives: func() recipe.Lives { return recipe.Lifetimes{}.Lives() }}
	answer := httptest.NewRecorder()
	state := keeper.State(answer, httptest.NewRequest(http.MethodGet, "/", nil))
	line := answer.Header().Get("Set-Cookie")
	for _, part := range []string{"__Host-garde-state=" + state, "; Path=/", "; Secure", "; SameSite=None"} {
		if !strings.Contains(line, part) {
			t.Errorf("%s lacks %s", line, part)
		}
	}
	if strings.Contains(line, "HttpOnly") || len(state) < 22 {
		t.Errorf("no script can read %s", line)
	}
	again := httptest.NewRequest(http.MethodGet, "/", nil)
	again.AddCookie(&http.Cookie{Name: keeper.StateCookie(), Value: state})
	if quiet := httptest.NewRecorder(); keeper.State(quiet, again) != state || quiet.Header().Get("Set-Cookie") != "" {
		t.Error("a state that is there is not kept")
	}
	plain := &session.Keeper{Lives: keeper.Lives}
	if got := plain.State(answer, httptest.NewRequest(http.MethodGet, "/", nil)); got != "" {
		t.Errorf("without https there is a state: %s", got)
	}
}

func TestSessionStateIsWhatTheFrameReckons(t *testing.T) {
	told := session.ClientState("web", "https://app.example:8443/cb?x=1", "opbs")
	sum, salt, _ := strings.Cut(told, ".")
	want := sha256.Sum256([]byte("web https://app.example:8443 opbs " + salt))
	if sum != base64.RawURLEncoding.EncodeToString(want[:]) || salt == "" {
		t.Errorf("session_state %s", told)
	}
	for _, none := range []string{session.ClientState("web", "com.app:/cb", "opbs"), session.ClientState("web", "https://app.example/cb", "")} {
		if none != "" {
			t.Errorf("a state where none can be asked for: %s", none)
		}
	}
}
