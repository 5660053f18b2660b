// Package enact puts recipes in force. A revision is adopted whole: every part of the node prepares, then all swap at
// once; a node that can't keeps the old one, says why, and is not ready. It knows what a recipe means for storage
// (declared clients) and nothing of any endpoint.
package enact

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/password"
	"github.com/gardeauth/garde/recipe"
)

// Force is a revision that this node obeys. It never changes.
type Force struct {
	Number    int64
	Digest    string
	Bundle    *recipe.Bundle
	Policy    *assurance.Policy
	Passwords password.Policy // of new passwords, whoever sets them
}

// Part is something of the node that depends on the recipe. It prepares for a revision without any effect; swap then
// takes effect and can't fail. A nil swap means that there is nothing to do.
type Part func(next *Force) (swap func(), err error)

// Enactor holds what is in force on this node. Revisions and Issuer are required.
type Enactor struct {
	Revisions iam.Revisions
	Issuer    string
	Parts     []Part
	Log       *slog.Logger // nil: slog.Default

	mu      sync.Mutex // one adoption at a time
	current atomic.Pointer[Force]
	problem atomic.Pointer[string]
}

func (e *Enactor) log() *slog.Logger {
	if e.Log != nil {
		return e.Log
	}
	return slog.Default()
}

// InForce gives what this node obeys, or nil before the first adoption.
func (e *Enactor) InForce() *Force { return e.current.Load() }

// Policy gives the compiled recipe in force. Before the first adoption it is the zero policy, which allows nothing.
func (e *Enactor) Policy() *assurance.Policy {
	if force := e.current.Load(); force != nil {
		return force.Policy
	}
	return &assurance.Policy{}
}

// Passwords judges new passwords by the recipe in force; before the first adoption, by the list that is built in.
func (e *Enactor) Passwords() password.Policy {
	if force := e.current.Load(); force != nil {
		return force.Passwords
	}
	return password.Policy{}
}

// passwordsOf reads what a recipe says of new passwords.
func passwordsOf(bundle *recipe.Bundle) (password.Policy, error) {
	policy := password.Policy{Company: bundle.Recipe.Company.Name}
	name := bundle.Recipe.SignIn.PasswordList
	if name == "" {
		return policy, nil
	}
	list, err := password.ReadList(bundle.Files[name])
	if err != nil {
		return password.Policy{}, fmt.Errorf("signin.password_list: %w", err)
	}
	policy.Breached = list
	return policy, nil
}

// Problem says why the newest revision can't be adopted here, or "".
func (e *Enactor) Problem() string {
	if text := e.problem.Load(); text != nil {
		return *text
	}
	return ""
}

// Run tries again what could not be adopted, every few seconds until ctx ends: the cause may have gone (a storage that
// answers again, a file that is there now) without a newer revision to tell of it.
func (e *Enactor) Run(ctx context.Context) error {
	tick := time.NewTicker(retry)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if before := e.Problem(); before != "" {
			if err := e.Adopt(ctx); err != nil && ctx.Err() == nil && err.Error() != before {
				e.log().Error("the newest recipe still can't be adopted", "error", err)
			}
		}
	}
}

const retry = 5 * time.Second

// Adopt brings this node to the newest revision. When it fails, what was in force stays, and Problem tells why. A
// storage without any revision is no problem: nothing is allowed then.
func (e *Enactor) Adopt(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	err := e.adopt(ctx)
	text := ""
	if err != nil {
		text = err.Error()
	}
	e.problem.Store(&text)
	return err
}

func (e *Enactor) adopt(ctx context.Context) error {
	newest, err := e.Revisions.InForce(ctx)
	switch {
	case errors.Is(err, iam.ErrNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("read the recipe in force: %w", err)
	}
	if now := e.current.Load(); now != nil && now.Number == newest.Number {
		return nil
	}
	bundle, err := recipe.Parse(newest.Bundle)
	if err != nil {
		return fmt.Errorf("read revision %d: %w", newest.Number, err)
	}
	if bundle.Digest() != newest.Digest {
		return fmt.Errorf("revision %d is not what was applied: its digest differs", newest.Number)
	}
	next, swaps, err := e.prepare(bundle, newest.Number)
	if err != nil {
		return fmt.Errorf("prepare revision %d: %w", newest.Number, err)
	}
	for _, swap := range swaps {
		swap()
	}
	e.current.Store(next)
	return nil
}

// prepare makes a bundle ready to be obeyed, in every part and without any effect.
func (e *Enactor) prepare(bundle *recipe.Bundle, number int64) (*Force, []func(), error) {
	passwords, err := passwordsOf(bundle)
	if err != nil {
		return nil, nil, err
	}
	policy, err := assurance.Assemble(bundle, number, e.Issuer)
	if err != nil {
		return nil, nil, err
	}
	next := &Force{Number: number, Digest: bundle.Digest(), Bundle: bundle, Policy: policy, Passwords: passwords}
	var swaps []func()
	for _, part := range e.Parts {
		swap, err := part(next)
		if err != nil {
			return nil, nil, err
		}
		if swap != nil {
			swaps = append(swaps, swap)
		}
	}
	return next, swaps, nil
}
