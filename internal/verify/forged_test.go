package verify_test

import (
	"net/http"
	"strings"
	"testing"
)

// A token that has expired and that somebody else signed is forged first of all: nobody who asks whether it is merely
// expired gets a yes.
func TestJ29ExpiredAndForged(t *testing.T) {
	bank, thief := newRealm(t, issuer, "k1"), newRealm(t, issuer, "k1")
	v := verifier(t, bank.config(t))
	past := claims{"exp": noon.Unix() - 10, "iat": noon.Unix() - 100}
	_, expired := v.Verify(t.Context(), bank.token(t, past))
	if status(expired) != http.StatusUnauthorized || !strings.Contains(expired.Error(), "expired") {
		t.Fatalf("one that has only expired: %v", expired)
	}
	got, err := v.Verify(t.Context(), thief.token(t, past))
	if status(err) != http.StatusUnauthorized || got.Subject != "" || strings.Contains(err.Error(), "expired") {
		t.Errorf("%v %+v", err, got)
	}
}
