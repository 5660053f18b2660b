package follow_test

import (
	"context"
	"errors"
	"testing"

	"github.com/gardeauth/garde/internal/follow"
	"github.com/gardeauth/garde/internal/iam"
)

func TestPeopleAreRememberedUntilTheyChange(t *testing.T) {
	tenant, ctx := open(t), t.Context()
	cached, err := follow.NewUsers(tenant, 10)
	if err != nil {
		t.Fatal(err)
	}
	f := &follow.Follower{Changes: tenant, Listeners: []func(context.Context, iam.Change){cached.Hear}}
	ada := iam.User{ID: "11111111-2222-4333-8444-555555555555", Username: "ada", Name: "Ada"}
	if err := tenant.AddUser(ctx, ada, iam.Password{}); err != nil {
		t.Fatal(err)
	}
	is := func(name string, disabled bool) {
		t.Helper()
		if err := f.Catch(ctx); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if got, err := cached.User(ctx, ada.ID); err != nil || got.Name != name || got.Disabled != disabled {
				t.Errorf("%q, disabled %v, error %v", got.Name, got.Disabled, err)
			}
		}
	}
	is("Ada", false)
	ada.Name = "Ada L."
	if err := tenant.SetUser(ctx, ada); err != nil {
		t.Fatal(err)
	}
	is("Ada L.", false)
	ada.Disabled = true
	if err := tenant.SetUser(ctx, ada); err != nil {
		t.Fatal(err)
	}
	is("Ada L.", true)
	if found, err := cached.UserByName(ctx, "ada"); err != nil || found.ID != ada.ID {
		t.Errorf("by name: %+v, %v", found, err)
	}
	if err := tenant.RemoveUser(ctx, ada.ID); err != nil {
		t.Fatal(err)
	}
	if err := f.Catch(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := cached.User(ctx, ada.ID); !errors.Is(err, iam.ErrNotFound) {
		t.Errorf("a removed person: %v", err)
	}
}
