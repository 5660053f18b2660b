// Package recall keeps in a node's memory what the node has just read or written: sessions, consents, codes, refresh
// tokens. What it gives is a guess, and it hears of hardly any change. Whoever acts on a guess does so by a deed (AddCode, Issue)
// that asks the storage for all of it again, within its own transaction: a guess that was wrong does nothing, is
// forgotten, and the storage is asked. Nobody may refuse anything, or answer without such a deed, by what is kept here.
package recall

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/oauth"
)

// Keeping is the storage behind the memory.
type Keeping interface {
	iam.Sessions
	iam.Consents
	iam.Codes
	iam.Refreshes
	iam.Issuing
}

// House is the storage with a memory before it. It keeps the contracts of Keeping, but that Try and Refresh may give what
// has ended since; the deed that uses it finds out.
type House struct {
	Keeping

	sessions  *otter.Cache[iam.SessionHash, iam.Session]
	consents  *otter.Cache[pair, iam.Consent]
	codes     *otter.Cache[iam.CodeHash, iam.Code]
	refreshes *otter.Cache[iam.RefreshHash, family]
	recipes   atomic.Int64 // heard of: what was read before one is not remembered after it
}

type pair struct{ user, client string }

type family struct {
	refresh iam.Refresh
	grant   iam.Grant
}

// New remembers at most size of each kind.
func New(storage Keeping, size int) (*House, error) {
	sessions, err := otter.New(&otter.Options[iam.SessionHash, iam.Session]{MaximumSize: size})
	if err != nil {
		return nil, err
	}
	consents, err := otter.New(&otter.Options[pair, iam.Consent]{MaximumSize: size})
	if err != nil {
		return nil, err
	}
	codes, err := otter.New(&otter.Options[iam.CodeHash, iam.Code]{MaximumSize: size})
	if err != nil {
		return nil, err
	}
	refreshes, err := otter.New(&otter.Options[iam.RefreshHash, family]{MaximumSize: size})
	return &House{Keeping: storage, sessions: sessions, consents: consents, codes: codes, refreshes: refreshes}, err
}

// Session asks the storage, and remembers.
func (h *House) Session(ctx context.Context, hash iam.SessionHash, now time.Time, idle time.Duration) (iam.Session, error) {
	session, err := h.Keeping.Session(ctx, hash, now, idle)
	if err != nil {
		h.sessions.Invalidate(hash)
		return iam.Session{}, err
	}
	h.sessions.Set(hash, session)
	return session, nil
}

// seenWithin is how long a session is guessed without the storage: then it is asked, so that it notes when it was seen.
const seenWithin = time.Minute

// Known gives a session as it was read a moment ago, if it was, and if it can't have idled out.
func (h *House) Known(hash iam.SessionHash, now time.Time, idle time.Duration) (iam.Session, bool) {
	session, ok := h.sessions.GetIfPresent(hash)
	if !ok || !session.Expires.After(now) || now.Sub(session.Seen) > min(seenWithin, idle) {
		return iam.Session{}, false
	}
	return session, true
}

// Consent asks the storage, and remembers.
func (h *House) Consent(ctx context.Context, user, client string) (iam.Consent, error) {
	consent, err := h.Keeping.Consent(ctx, user, client)
	if err != nil {
		h.consents.Invalidate(pair{user, client})
		return iam.Consent{}, err
	}
	h.consents.Set(pair{user, client}, consent)
	return consent, nil
}

// Allowed gives what the person had allowed the client a while ago, if that is remembered and covers scope.
func (h *House) Allowed(user, client string, scope oauth.Scope) (iam.Consent, bool) {
	consent, ok := h.consents.GetIfPresent(pair{user, client})
	return consent, ok && scope.Within(consent.Scope)
}

// AddCode keeps a code and remembers it. A refusal may be a wrong guess of session or consent: both are forgotten.
func (h *House) AddCode(ctx context.Context, code iam.Code, flow iam.FlowHash, consent *iam.Consent, events ...journal.Event) error {
	err := h.Keeping.AddCode(ctx, code, flow, consent, events...)
	if err != nil {
		h.consents.Invalidate(pair{code.Grant.User, code.Grant.Client})
		return err
	}
	code.From, code.Allowed, code.Pushed = "", nil, iam.PushedHash{} // as the storage gives it
	h.codes.Set(code.Hash, code)
	return nil
}

// Hear forgets grants when a new recipe is in force: it may have given a client another name, and then no deed would find
// out, since the grant is refused as another client's before. It is a listener of follow.Follower, and all it listens for.
func (h *House) Hear(_ context.Context, change iam.Change) {
	if change.Kind == iam.ChangedRecipe {
		h.recipes.Add(1)
		h.codes.InvalidateAll()
		h.refreshes.InvalidateAll()
	}
}

// Forget forgets a session: a deed refused it.
func (h *House) Forget(hash iam.SessionHash) { h.sessions.Invalidate(hash) }

// Try gives a code to the right proof from memory, once: whoever comes again, and whoever is wrong, is the storage's to
// answer, which counts and ends.
func (h *House) Try(ctx context.Context, proof iam.CodeProof, now time.Time) (iam.Code, error) {
	if code, ok := h.codes.GetIfPresent(proof.Hash); ok && code.Fits(proof) && code.Expires.After(now) {
		if _, mine := h.codes.Invalidate(proof.Hash); mine {
			return code, nil
		}
	}
	return h.Keeping.Try(ctx, proof, now)
}

// Refresh gives a token and its grant as they were when the token was made or last read.
func (h *House) Refresh(ctx context.Context, hash iam.RefreshHash) (iam.Refresh, iam.Grant, error) {
	if known, ok := h.refreshes.GetIfPresent(hash); ok {
		return known.refresh, known.grant, nil
	}
	before := h.recipes.Load()
	refresh, grant, err := h.Keeping.Refresh(ctx, hash)
	if err == nil && grant.Revoked.IsZero() {
		h.remember(before, hash, family{refresh, grant})
	}
	return refresh, grant, err
}

func (h *House) remember(before int64, hash iam.RefreshHash, known family) {
	h.refreshes.Set(hash, known)
	if h.recipes.Load() != before {
		h.refreshes.Invalidate(hash)
	}
}

// Issue does the deed. On ErrRaced a guess was wrong: it is forgotten, and whoever asks again hears the storage.
func (h *House) Issue(ctx context.Context, issue iam.Issue) error {
	err := h.Keeping.Issue(ctx, issue)
	if errors.Is(err, iam.ErrRaced) && issue.Allowed != nil {
		h.consents.Invalidate(pair{issue.Allowed.User, issue.Allowed.Client})
	}
	if issue.Refresh == nil || err == nil && issue.Replace == nil {
		return err
	}
	// A rotated token is never guessed again: if it comes, the storage says whether it is a theft.
	before := h.recipes.Load()
	known, ok := h.refreshes.Invalidate(issue.Refresh.Hash)
	if err == nil && ok {
		h.remember(before, issue.Replace.Hash, family{*issue.Replace, known.grant})
	}
	return err
}
