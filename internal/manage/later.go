package manage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
)

// Later is an event of a journal that is newer than a backup.
type Later struct {
	At                         time.Time
	Kind, User, Client, Detail string
}

// Replayed is what a newer journal made of a restored storage.
type Replayed struct {
	Disabled []string `json:"disabled"` // people and clients
	Removed  []string `json:"removed"`
	Unknown  []string `json:"unknown"` // what happened and can't be done again from the journal
}

// ReplayLater ends again, in a storage that was just restored, what a newer journal says was ended after the backup. It
// never opens anything: what was enabled or added later is told as unknown.
func ReplayLater(ctx context.Context, house House, events []Later, backup, now time.Time) (Replayed, error) {
	last := map[string]string{} // what is so at the end, by user:ID and client:ID
	unknown := map[string]bool{}
	for _, event := range events {
		if !event.At.After(backup) {
			continue
		}
		var detail struct {
			What string `json:"what"`
		}
		_ = json.Unmarshal([]byte(event.Detail), &detail) // a kind without what stays unknown
		whom := "user:" + event.User
		switch event.Kind {
		case string(journal.ClientChanged{}.Kind()):
			whom = "client:" + event.Client
		case string(journal.UserChanged{}.Kind()):
		case "consent.revoked", "recipe.applied", "group.changed":
			unknown[event.Kind] = true
			continue
		default:
			continue
		}
		switch what := detail.What; {
		case what == "disabled", what == "enabled", what == "removed", strings.HasPrefix(what, "removed:"):
			last[whom], _, _ = strings.Cut(what, ":")
		default:
			unknown[whom+": "+what] = true
		}
	}
	return replay(ctx, house, last, unknown, now)
}

func replay(ctx context.Context, house House, last map[string]string, unknown map[string]bool, now time.Time) (Replayed, error) {
	done := Replayed{Disabled: []string{}, Removed: []string{}, Unknown: []string{}}
	for _, whom := range slices.Sorted(maps.Keys(last)) {
		noun, id, _ := strings.Cut(whom, ":")
		var err error
		switch {
		case last[whom] == "enabled":
			unknown[whom+": enabled"] = true
			continue
		case noun == "user":
			err = replayUser(ctx, house, id, last[whom], now)
		default:
			err = replayClient(ctx, house, id, last[whom], now)
		}
		switch {
		case errors.Is(err, iam.ErrNotFound): // added and ended after the backup
		case err != nil:
			return done, fmt.Errorf("%s: %w", whom, err)
		case last[whom] == "removed":
			done.Removed = append(done.Removed, whom)
		default:
			done.Disabled = append(done.Disabled, whom)
		}
	}
	done.Unknown = append(done.Unknown, slices.Sorted(maps.Keys(unknown))...)
	return done, nil
}

func replayUser(ctx context.Context, house House, id, what string, now time.Time) error {
	again := event(now.UTC(), "system", journal.UserChanged{What: what + ": a newer journal says so"})
	again.User = id
	if what == "removed" {
		return house.RemoveUser(ctx, id, again)
	}
	user, err := house.User(ctx, id)
	if err != nil {
		return err
	}
	user.Disabled = true
	return house.SetUser(ctx, user, again)
}

func replayClient(ctx context.Context, house House, id, what string, now time.Time) error {
	again := event(now.UTC(), "system", journal.ClientChanged{What: what + ": a newer journal says so"})
	again.Client = id
	if what == "removed" {
		return house.RemoveClient(ctx, id, again)
	}
	return house.SetClientDisabled(ctx, id, true, again)
}
