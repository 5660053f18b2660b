package facts_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
)

// deaf is a storage that has lost its devices.
type deaf struct{ iam.Devices }

func (deaf) UserDevices(context.Context, string, time.Time) ([]iam.Device, error) {
	return nil, errors.New("the table is gone")
}

func TestDevicesThatCantBeReadRaise(t *testing.T) {
	h := newHouse(t)
	h.live(t, 10)
	h.Devices = deaf{h.tenant}
	h.pass(time.Minute)
	if spoke := h.speaks(t, at(home)); spoke != "new_device unknown" {
		t.Errorf("%q spoke", spoke)
	}
}

// Where nothing is learned, a device is known a day after its first sign-in.
func TestADeviceOfSomebodyWhoTeachesNothing(t *testing.T) {
	h := newHouse(t)
	if err := h.Switch(t.Context(), ada, false); err != nil {
		t.Fatal(err)
	}
	h.device(t, ada, "phone", "Firefox on Android")
	if spoke := h.speaks(t, at(home)); spoke != "" {
		t.Errorf("the first device: %q", spoke)
	}
	h.pass(24 * time.Hour)
	h.device(t, ada, "laptop", "Chrome on Windows")
	laptop := at(home)
	laptop.Device, laptop.Agent = "laptop", "Chrome on Windows"
	if spoke := h.speaks(t, laptop); spoke != "new_device" {
		t.Errorf("the second, at once: %q", spoke)
	}
	h.pass(24 * time.Hour)
	if spoke := h.speaks(t, laptop); spoke != "" {
		t.Errorf("the second, a day later: %q", spoke)
	}
}

// Whoever can write the storage can't give one person the habits of another.
func TestHabitsOpenOnlyForTheirPerson(t *testing.T) {
	h := newHouse(t)
	h.live(t, 3)
	kept, err := h.tenant.Habits(t.Context(), ada)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.tenant.LearnHabits(t.Context(), iam.Habits{User: bob, Sealed: kept.Sealed}, 0); err != nil {
		t.Fatal(err)
	}
	ask := at(home)
	ask.User = bob
	if spoke := h.speaks(t, ask); !strings.HasSuffix(spoke, "unknown") {
		t.Errorf("%q spoke", spoke)
	}
	if _, err := h.Export(t.Context(), bob); err == nil {
		t.Error("bob reads the ways of ada")
	}
}

// racing lets another node be faster, once.
type racing struct {
	iam.HabitKeeping
	once  sync.Once
	first func()
}

func (r *racing) LearnHabits(ctx context.Context, habits iam.Habits, from int64) error {
	r.once.Do(r.first)
	return r.HabitKeeping.LearnHabits(ctx, habits, from)
}

func TestWhoIsOvertakenLearnsOnTop(t *testing.T) {
	h := newHouse(t)
	other := h.desk(h.Sealer)
	h.Habits = &racing{HabitKeeping: h.tenant, first: func() {
		other.Learn(at(office))
		settle(t, other)
	}}
	h.Learn(at(home))
	h.settle(t)
	text, err := h.Export(t.Context(), ada)
	if err != nil || !strings.Contains(string(text), "203.0.113.0/24") || !strings.Contains(string(text), "198.51.100.0/24") {
		t.Errorf("%s, %v", text, err)
	}
}
