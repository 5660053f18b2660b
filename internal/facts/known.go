package facts

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/gardeauth/garde/internal/assurance/signal"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/seal"
)

// known is what was read of a person. It is never changed.
type known struct {
	read      time.Time
	profile   *profile // nil: it could not be read
	off       bool     // nothing is learned
	devices   []iam.Device
	noDevices bool                 // they could not be read
	factors   map[string]time.Time // when authenticators were added, by id
	noFactors bool
}

const (
	// patience bounds the reading of one person: a decision can't wait longer, and what is late is unknown.
	patience = 250 * time.Millisecond
	// lasts is how long what was read serves: whatever changes takes effect within a second.
	lasts = time.Second
	// crowd is how many people are remembered at most, in each of two halves.
	crowd = 1000
	// aged is how old a device is before it counts as known without having been learned.
	aged = 24 * time.Hour
)

// known gives what is known of a person: as it was a moment ago, or as it can be read now. What was read before the device
// of the moment was kept does not serve: who has just signed in on it would be on an unknown one.
func (d *Desk) known(ctx context.Context, user, device string, forget time.Duration) *known {
	if found := d.memory.find(user, d.now()); found != nil && found.keeps(device) {
		return found
	}
	answer, _, _ := d.flight.Do(user, func() (any, error) {
		// Others wait for the same reading: one who leaves must not end it for them.
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		mark := d.memory.mark()
		found := d.read(bounded, user, forget)
		if found.profile != nil && !found.noDevices && !found.noFactors {
			d.memory.keep(user, found, mark)
		}
		return found, nil
	})
	found, ok := answer.(*known)
	if !ok { // it is what the line above gave
		return &known{noDevices: true, noFactors: true}
	}
	return found
}

// taught adds what is still to be written of what the person has just done. Else the first call after a sign-in would come
// from a place and a device that nobody knows yet.
func (d *Desk) taught(found *known, user string, forget time.Duration) *known {
	waiting := d.queue.of(user)
	if len(waiting) == 0 || found.profile == nil || found.off {
		return found
	}
	raw, err := found.profile.encode()
	if err != nil {
		return found
	}
	next := *found
	if next.profile, err = decode(raw, d.now(), forget); err != nil {
		return found
	}
	for _, ask := range waiting {
		place, _ := d.place(ask.Address)
		next.profile.learn(ask, place)
	}
	return &next
}

// keeps tells whether a device is among those that were read, if one is named.
func (k *known) keeps(device string) bool {
	return device == "" || slices.ContainsFunc(k.devices, func(kept iam.Device) bool { return kept.ID == device })
}

func (d *Desk) read(ctx context.Context, user string, forget time.Duration) *known {
	found := &known{read: d.now()}
	var err error
	if found.profile, found.off, _, err = d.readHabits(ctx, user, forget); err != nil {
		d.log().WarnContext(ctx, "can't read habits: the risk is counted as unknown", "user", user, "error", err)
	}
	if found.devices, err = d.Devices.UserDevices(ctx, user, found.read); err != nil {
		found.noDevices = true
		d.log().WarnContext(ctx, "can't read known devices: the risk is counted as unknown", "user", user, "error", err)
	}
	if d.Authenticators == nil {
		return found
	}
	kept, err := d.Authenticators.Authenticators(ctx, user)
	if err != nil {
		found.noFactors = true
		d.log().WarnContext(ctx, "can't read authenticators: the risk is counted as unknown", "user", user, "error", err)
		return found
	}
	found.factors = make(map[string]time.Time, len(kept))
	for _, one := range kept {
		found.factors[one.ID] = one.Created.UTC()
	}
	return found
}

// readHabits gives a profile, an empty one where nothing was learned, and the version to write on top of.
func (d *Desk) readHabits(ctx context.Context, user string, forget time.Duration) (p *profile, off bool, version int64, err error) {
	kept, err := d.Habits.Habits(ctx, user)
	switch {
	case errors.Is(err, iam.ErrNotFound):
		return newProfile(), false, 0, nil
	case err != nil:
		return nil, false, 0, err
	case kept.Off || kept.Sealed == "":
		return newProfile(), kept.Off, kept.Version, nil
	}
	plain, err := d.Sealer.Open(d.sealed(user), kept.Sealed)
	if err != nil {
		return nil, false, 0, err
	}
	p, err = decode(plain, d.now(), forget)
	return p, false, kept.Version, err
}

func (d *Desk) sealed(user string) seal.AD {
	return seal.AD{Tenant: string(d.Tenant), Table: "habits", Row: user}
}

// device says what is known of the device of a moment. A device is known when a completed authentication at the level
// that was needed has taught it, and it was not forgotten since. Where nothing is taught, because learning is off or was
// erased, it is known a day after its first sign-in.
func (k *known) device(found *signal.Device, id string, now time.Time) {
	var learned list
	if k.profile != nil {
		learned = k.profile.Devices
	}
	kept := iam.Device{}
	for _, device := range k.devices {
		if device.ID == id {
			kept = device
			continue
		}
		found.Others++
	}
	found.Others = max(found.Others, len(learned))
	if kept.ID == "" {
		return
	}
	found.Learned = label(kept.Agent)
	taught, ok := learned.find(id)
	switch {
	case ok:
		found.Known, found.Others = true, max(found.Others-1, 0)
		if taught.note != "" {
			found.Learned = taught.note
		}
	case len(learned) == 0 && k.profile != nil:
		found.Known = now.Sub(kept.Created) >= aged
	}
}

// memory keeps what was read of people for a moment, in two halves: when the newer is full, it takes the place of the older.
// Its zero value is ready.
type memory struct {
	mu      sync.Mutex
	newer   map[string]*known
	older   map[string]*known
	changes int64 // what was read before the last of them is not kept
}

func (m *memory) find(user string, now time.Time) *known {
	m.mu.Lock()
	defer m.mu.Unlock()
	found := m.newer[user]
	if found == nil {
		found = m.older[user]
	}
	// A clock that went back makes nothing last longer.
	if found == nil || now.Sub(found.read) >= lasts || now.Before(found.read) {
		return nil
	}
	return found
}

func (m *memory) mark() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changes
}

func (m *memory) keep(user string, found *known, mark int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.changes != mark {
		return
	}
	if m.newer == nil || len(m.newer) >= crowd {
		m.older, m.newer = m.newer, make(map[string]*known)
	}
	m.newer[user] = found
}

func (m *memory) forget(user string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.changes++
	delete(m.newer, user)
	delete(m.older, user)
}
