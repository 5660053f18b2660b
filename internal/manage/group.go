package manage

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
)

// Groups are the deeds about flat groups. Groups and People are required.
type Groups struct {
	Groups iam.Groups
	People *Users
	Now    func() time.Time // nil: time.Now
}

const groupCharacters = "abcdefghijklmnopqrstuvwxyz0123456789._-"

// Add makes a group. Its name stands in tokens, so it is plain.
func (g *Groups) Add(ctx context.Context, by string, group iam.Group) (iam.Group, error) {
	if err := checkGroup(group); err != nil {
		return iam.Group{}, err
	}
	_, err := g.Groups.GroupMembers(ctx, group.Name, iam.Page{Limit: 1})
	if err == nil {
		return iam.Group{}, refuse(Conflict, "name", "garde group set changes it", "there is a group %s already", show(group.Name))
	}
	if !errors.Is(err, iam.ErrNotFound) {
		return iam.Group{}, err
	}
	return g.put(ctx, by, group, "added")
}

// Set changes what a group says of itself.
func (g *Groups) Set(ctx context.Context, by string, group iam.Group) (iam.Group, error) {
	if err := checkGroup(group); err != nil {
		return iam.Group{}, err
	}
	if _, err := g.Groups.GroupMembers(ctx, group.Name, iam.Page{Limit: 1}); err != nil {
		return iam.Group{}, missing(err, "group", group.Name)
	}
	return g.put(ctx, by, group, "set")
}

func (g *Groups) put(ctx context.Context, by string, group iam.Group, what string) (iam.Group, error) {
	now := clock(g.Now)
	if group.Created.IsZero() {
		group.Created = now
	}
	return group, g.Groups.PutGroup(ctx, group, event(now, by, journal.GroupChanged{What: what, Name: group.Name}))
}

func checkGroup(group iam.Group) error {
	var found faults
	if group.Name == "" || len(group.Name) > 64 || strings.Trim(group.Name, groupCharacters) != "" {
		found.add("name", "1 to 64 of a-z, 0-9, dot, dash and underscore", "%s can be no group's name", show(group.Name))
	}
	if !plain(group.Say) {
		found.add("say", "at most 200 characters, without control characters", "the text can't be kept")
	}
	return found.orNil()
}

// Remove ends a group; its members stay people.
func (g *Groups) Remove(ctx context.Context, by, name string) error {
	return missing(g.Groups.RemoveGroup(ctx, name, event(clock(g.Now), by, journal.GroupChanged{What: "removed", Name: name})), "group", name)
}

// Member makes a person a member, or not.
func (g *Groups) Member(ctx context.Context, by, name, ref string, member bool) error {
	user, err := g.People.Find(ctx, ref)
	if err != nil {
		return err
	}
	what := "member added"
	if !member {
		what = "member removed"
	}
	changed := event(clock(g.Now), by, journal.GroupChanged{What: what, Name: name})
	changed.User = user.ID
	return missing(g.Groups.SetMember(ctx, name, user.ID, member, changed), "group", name)
}
