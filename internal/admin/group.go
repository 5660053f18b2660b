package admin

import (
	"context"

	"github.com/gardeauth/garde/internal/iam"
)

// NewGroup is a flat group to make.
type NewGroup struct {
	Name string `json:"name" maxLength:"64"`
	Say  string `json:"say,omitempty" doc:"what it is for"`
}

// GroupRef names a group in a path.
type GroupRef struct {
	Group string `path:"group" maxLength:"64"`
}

func (a *api) groups() {
	op(a, route("GET", "/groups", "list-groups", "List groups"), func(ctx context.Context, in *Paging) (*some[paged[iam.Group]], error) {
		page, err := in.page("groups")
		if err != nil {
			return nil, err
		}
		rows, err := more(page, func(page iam.Page) ([]iam.Group, error) { return a.Desk.House.ListGroups(ctx, page) },
			func(group iam.Group) string { return group.Name })
		return answer(part("groups", in.Limit, rows, func(group iam.Group) string { return group.Name }, same[iam.Group]), err)
	})
	op(a, made(route("POST", "/groups", "add-group", "Make a group")), func(ctx context.Context, in *some[NewGroup]) (*some[iam.Group], error) {
		return answer(a.Desk.Groups.Add(ctx, Operator(ctx), iam.Group{Name: in.Body.Name, Say: in.Body.Say}))
	})
	type groupChange struct {
		GroupRef
		Body struct {
			Say string `json:"say"`
		}
	}
	op(a, route("PUT", "/groups/{group}", "set-group", "Say what a group is for"), func(ctx context.Context, in *groupChange) (*some[iam.Group], error) {
		return answer(a.Desk.Groups.Set(ctx, Operator(ctx), iam.Group{Name: in.Group, Say: in.Body.Say}))
	})
	op(a, route("DELETE", "/groups/{group}", "remove-group", "End a group; its members stay people"), func(ctx context.Context, in *GroupRef) (*none, error) {
		return nothing(a.Desk.Groups.Remove(ctx, Operator(ctx), in.Group))
	})
	a.members()
}

func (a *api) members() {
	type list struct {
		GroupRef
		Paging
	}
	op(a, route("GET", "/groups/{group}/members", "list-members", "List the members of a group"), func(ctx context.Context, in *list) (*some[paged[User]], error) {
		page, err := in.page("members")
		if err != nil {
			return nil, err
		}
		rows, err := more(page, func(page iam.Page) ([]iam.User, error) { return a.Desk.House.GroupMembers(ctx, in.Group, page) },
			func(user iam.User) string { return user.ID })
		return answer(part("members", in.Limit, rows, func(user iam.User) string { return user.ID }, userView), err)
	})
	type member struct {
		GroupRef
		UserRef
	}
	op(a, route("PUT", "/groups/{group}/members/{user}", "add-member", "Make a person a member"), func(ctx context.Context, in *member) (*none, error) {
		return nothing(a.Desk.Groups.Member(ctx, Operator(ctx), in.Group, in.User, true))
	})
	op(a, route("DELETE", "/groups/{group}/members/{user}", "remove-member", "End a membership"), func(ctx context.Context, in *member) (*none, error) {
		return nothing(a.Desk.Groups.Member(ctx, Operator(ctx), in.Group, in.User, false))
	})
}

func same[T any](row T) T { return row }

// more reads one row more than the page asks for. Where the page is as large as storage gives, that row takes a second look.
func more[T any](page iam.Page, read func(iam.Page) ([]T, error), id func(T) string) ([]T, error) {
	const most = 500
	if page.Limit < most {
		page.Limit++
		return read(page)
	}
	rows, err := read(page)
	if err != nil || len(rows) < most {
		return rows, err
	}
	last, err := read(iam.Page{After: id(rows[len(rows)-1]), Limit: 1})
	return append(rows, last...), err
}
