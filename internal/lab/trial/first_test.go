package trial

import (
	"syscall"
	"testing"
	"time"
)

func TestTheHouseAsProcessesServesAndEndsAtOnce(t *testing.T) {
	t.Parallel()
	h := setUp(t, nil)
	h.serve()
	h.open()
	if got := h.call("POST", "/accounts/entries", h.mustToken("ledger.post")); got.status != 200 {
		t.Errorf("the Gate says %d %s", got.status, got.body)
	}
	_, tokens := h.signIn("openid accounts.read offline_access")
	if tokens.status != 200 || tokens.text("refresh_token") == "" {
		t.Fatalf("no tokens: %d %s", tokens.status, tokens.body)
	}
	if got := h.call("GET", "/accounts/balance", tokens.text("access_token")); got.status != 200 {
		t.Errorf("the Gate says %d %s", got.status, got.body)
	}
	if status, why := h.get(h.gates + "/readyz"); status != 200 {
		t.Errorf("the Gate is not ready: %s", why)
	}
	if took := h.server.stop(syscall.SIGTERM); took > 2*time.Second || h.server.code != 0 {
		t.Errorf("the Server took %s to end, with %d", took, h.server.code)
	}
	if took := h.gate.stop(syscall.SIGINT); took > 2*time.Second || h.gate.code != 0 {
		t.Errorf("the Gate took %s to end, with %d", took, h.gate.code)
	}
}
