package password_test

import (
	"errors"
	"testing"

	"github.com/gardeauth/garde/internal/password"
)

func TestS23ACompanysOwnListNeedNotBeSorted(t *testing.T) {
	list, err := password.ReadList([]byte("zebra crossing nine\r\nacme for ever and ever\n\nmidway through winter\n"))
	if err != nil {
		t.Fatal(err)
	}
	policy := password.Policy{Breached: list}
	for _, secret := range []string{"zebra crossing nine", "acme for ever and ever", "midway through winter"} {
		if err := policy.Check(secret); !errors.Is(err, password.ErrBreached) {
			t.Errorf("%q: %v", secret, err)
		}
	}
	if err := policy.Check("something else entirely"); err != nil {
		t.Error(err)
	}
	if _, err := password.ReadList([]byte("\n\n")); err == nil {
		t.Error("an empty list passed")
	}
}
