package recall_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/follow"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/recall"
	"github.com/gardeauth/garde/internal/store"
	"github.com/gardeauth/garde/internal/store/sqlstore"
	"github.com/gardeauth/garde/recipe"
)

const person, client, redirect = "u-ada", "c-app", "https://app.example/cb"

// house is a node with its memory, and the storage as another node sees it.
type house struct {
	t     *testing.T
	node  *recall.House
	other *sqlstore.Tenant
	now   time.Time
}

func newHouse(t *testing.T) *house {
	t.Helper()
	kept, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "garde.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kept.Close() })
	h := &house{t: t, other: kept.Tenant(iam.DefaultTenant), now: time.Now().UTC().Truncate(time.Second)}
	if h.node, err = recall.New(h.other, 10); err != nil {
		t.Fatal(err)
	}
	h.must(h.other.PutClient(t.Context(), iam.Client{
		ID: client, Source: iam.FromAdmin, Kind: recipe.Web, Auth: oauth.AuthBasic, Scope: oauth.Scope{"a", "b"}, RedirectURIs: []string{redirect},
	}))
	h.must(h.other.AddUser(t.Context(), iam.User{ID: person, Username: "ada"}, iam.Password{}))
	h.allow("a")
	return h
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) want(err, wanted error) {
	h.t.Helper()
	if !errors.Is(err, wanted) {
		h.t.Fatalf("%v, want %v", err, wanted)
	}
}

func (h *house) allow(scope ...string) {
	h.t.Helper()
	h.must(h.other.GiveConsent(h.t.Context(), iam.Consent{User: person, Client: client, Scope: scope, Given: h.now}))
}

func (h *house) session(old iam.SessionHash) iam.Session {
	h.t.Helper()
	value := iam.NewSecret(iam.PrefixSession)
	session := iam.Session{ID: "s-" + value[3:20], Hash: iam.HashSession(value), User: person, AuthTime: h.now, Created: h.now, Seen: h.now, Expires: h.now.Add(time.Hour)}
	h.must(h.other.StartSession(h.t.Context(), session, old))
	return session
}

// code gives one within a session, by this node.
func (h *house) code(session string) (iam.Code, iam.CodeProof) {
	h.t.Helper()
	value := iam.NewSecret(iam.PrefixCode)
	code := iam.Code{
		Hash: iam.HashCode(value), RedirectURI: redirect, Challenge: "c", Created: h.now, Expires: h.now.Add(time.Minute),
		Grant: iam.Grant{ID: "g-" + value[3:20], Client: client, User: person, Session: session, Scope: oauth.Scope{"a"}, Created: h.now, Expires: h.now.Add(time.Hour)},
	}
	h.must(h.node.AddCode(h.t.Context(), code, iam.FlowHash{}, nil))
	return code, iam.CodeProof{Hash: code.Hash, Client: client, RedirectURI: redirect, Challenge: "c"}
}

func (h *house) refresh(grant string) *iam.Refresh {
	return &iam.Refresh{Hash: iam.HashRefresh(iam.NewSecret(iam.PrefixRefresh)), Grant: grant, Created: h.now, Idle: h.now.Add(time.Hour)}
}

// redeem gives a first refresh token.
func (h *house) redeem(session string) *iam.Refresh {
	h.t.Helper()
	code, proof := h.code(session)
	first := h.refresh(code.Grant.ID)
	h.must(h.node.Issue(h.t.Context(), iam.Issue{Now: h.now, Client: client, User: person, Session: session, Code: &proof, NewRefresh: first}))
	return first
}

func (h *house) rotate(shown *iam.Refresh, session string) (*iam.Refresh, error) {
	next := h.refresh(shown.Grant)
	return next, h.node.Issue(h.t.Context(), iam.Issue{
		Now: h.now, Client: client, User: person, Session: session, Refresh: &iam.RefreshProof{Hash: shown.Hash, Client: client}, Replace: next,
	})
}

func TestC01ACodeIsGivenFromMemoryOnceAndAReplayIsTheStoragesToAnswer(t *testing.T) {
	h, ctx := newHouse(t), t.Context()
	code, proof := h.code("")
	h.must(h.other.RevokeConsent(ctx, person, client)) // takes the code away: only memory can know it
	got, err := h.node.Try(ctx, proof, h.now)
	h.must(err)
	if got.Grant.ID != code.Grant.ID {
		t.Errorf("%+v", got)
	}
	_, err = h.node.Try(ctx, proof, h.now)
	h.want(err, iam.ErrNotFound)
	h.want(h.node.Issue(ctx, iam.Issue{Now: h.now, Client: client, User: person, Code: &proof}), iam.ErrNotFound)

	code, proof = h.code("")
	h.must(h.node.Issue(ctx, iam.Issue{Now: h.now, Client: client, User: person, Code: &proof}))
	_, err = h.node.Try(ctx, proof, h.now) // by memory, since nobody tried before; the deed sees the replay
	h.must(err)
	h.want(h.node.Issue(ctx, iam.Issue{Now: h.now, Client: client, User: person, Code: &proof}), iam.ErrSpent)
	if grant, err := h.other.Grant(ctx, code.Grant.ID); err != nil || grant.Revoked.IsZero() {
		t.Errorf("the grant of a replayed code stands: %v", err)
	}
}

func TestC22AWrongProofIsCountedByTheStorage(t *testing.T) {
	for name, spoil := range map[string]func(*iam.CodeProof){
		"another client":       func(p *iam.CodeProof) { p.Client = "c-other" },
		"another verifier":     func(p *iam.CodeProof) { p.Challenge = "x" },
		"another redirect URI": func(p *iam.CodeProof) { p.RedirectURI = "https://evil.example/cb" },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			_, proof := h.code("")
			wrong := proof
			spoil(&wrong)
			for range iam.MaxCodeTries + 1 {
				_, err := h.node.Try(t.Context(), wrong, h.now)
				h.want(err, iam.ErrMismatch)
			}
			h.want(h.node.Issue(t.Context(), iam.Issue{Now: h.now, Client: client, User: person, Code: &proof}), iam.ErrNotFound)
		})
	}
}

func TestAnExpiredCodeIsTheStoragesToRefuse(t *testing.T) {
	h := newHouse(t)
	code, proof := h.code("")
	_, err := h.node.Try(t.Context(), proof, code.Expires)
	h.want(err, iam.ErrExpired)
}

func TestASessionIsKnownWhileItCanNotHaveRunOut(t *testing.T) {
	h, ctx := newHouse(t), t.Context()
	session := h.session(iam.SessionHash{})
	known := func(after, idle time.Duration, want bool, when string) {
		t.Helper()
		if _, got := h.node.Known(session.Hash, h.now.Add(after), idle); got != want {
			t.Errorf("%s: known is %v", when, got)
		}
	}
	known(0, time.Hour, false, "before it was read")
	_, err := h.node.Session(ctx, session.Hash, h.now, time.Hour)
	h.must(err)
	known(0, time.Hour, true, "just read")
	known(30*time.Second, 20*time.Second, false, "idle for too long")
	known(2*time.Minute, time.Hour, false, "not noted as seen for long")
	known(time.Hour, 2*time.Hour, false, "over")
	h.must(h.other.EndSession(ctx, session.ID))
	_, err = h.node.Session(ctx, session.Hash, h.now, time.Hour)
	h.want(err, iam.ErrNotFound)
	known(0, time.Hour, false, "after the storage said that it ended")
}

func TestAConsentIsKnownIfItCoversWhatIsAsked(t *testing.T) {
	h, ctx := newHouse(t), t.Context()
	known := func(want bool, scope ...string) {
		t.Helper()
		if _, got := h.node.Allowed(person, client, scope); got != want {
			t.Errorf("%v: %v", scope, got)
		}
	}
	known(false, "a")
	_, err := h.node.Consent(ctx, person, client)
	h.must(err)
	known(true, "a")
	known(false, "a", "b")
	if _, got := h.node.Allowed(person, "c-other", nil); got {
		t.Error("another client's")
	}
	h.allow("b")
	known(false, "a", "b")
	stale, _ := h.node.Allowed(person, client, oauth.Scope{"a"})
	h.want(h.node.Issue(ctx, iam.Issue{Now: h.now, Client: client, User: person, Allowed: &stale}), iam.ErrRaced)
	known(false, "a") // forgotten
}

func TestF02ARotatedTokenIsNeverGuessedAgain(t *testing.T) {
	h, ctx := newHouse(t), t.Context()
	first := h.redeem("")
	_, grant, err := h.node.Refresh(ctx, first.Hash)
	h.must(err)
	second, err := h.rotate(first, "")
	h.must(err)
	third, err := h.rotate(second, "")
	h.must(err)
	h.must(h.other.RevokeGrant(ctx, grant.ID)) // on another node: only memory can take it for standing
	if _, got, err := h.node.Refresh(ctx, third.Hash); err != nil || !got.Revoked.IsZero() || got.ID != grant.ID {
		t.Errorf("the newest token is not remembered: %v", err)
	}
	_, err = h.rotate(third, "")
	h.want(err, iam.ErrRevoked)
	for name, token := range map[string]*iam.Refresh{"rotated": second, "refused": third} {
		if _, got, err := h.node.Refresh(ctx, token.Hash); err != nil || got.Revoked.IsZero() {
			t.Errorf("a %s token is guessed: %v", name, err)
		}
	}
	first = h.redeem("")
	second, err = h.rotate(first, "")
	h.must(err)
	_, err = h.rotate(second, "")
	h.must(err)
	_, err = h.rotate(first, "")
	h.want(err, iam.ErrSpent)
}

func TestASessionThatBeganAnewIsReadAnew(t *testing.T) {
	h, ctx := newHouse(t), t.Context()
	old := h.session(iam.SessionHash{})
	token := h.redeem(old.ID)
	_, _, err := h.node.Refresh(ctx, token.Hash)
	h.must(err)
	_, proof := h.code(old.ID)
	next := h.session(old.Hash)
	_, err = h.rotate(token, old.ID)
	h.want(err, iam.ErrRaced)
	_, grant, err := h.node.Refresh(ctx, token.Hash)
	h.must(err)
	code, err := h.node.Try(ctx, proof, h.now)
	h.must(err)
	h.want(h.node.Issue(ctx, iam.Issue{Now: h.now, Client: client, User: person, Session: code.Grant.Session, Code: &proof}), iam.ErrRaced)
	code, err = h.node.Try(ctx, proof, h.now)
	h.must(err)
	if grant.Session != next.ID || code.Grant.Session != next.ID {
		t.Errorf("token of %s, code of %s, want %s", grant.Session, code.Grant.Session, next.ID)
	}
}

func TestAClientThatGotAnotherNameKeepsItsTokens(t *testing.T) {
	h, ctx := newHouse(t), t.Context()
	declare := func(expect int64, declared iam.Client) {
		t.Helper()
		declared.Kind, declared.Auth, declared.RedirectURIs = recipe.Web, oauth.AuthBasic, []string{redirect}
		_, err := h.other.Apply(ctx, expect, iam.Revision{Digest: declared.ID, Bundle: []byte(declared.ID)}, []iam.Client{declared})
		h.must(err)
	}
	declare(0, iam.Client{ID: "c-old"})
	value := iam.NewSecret(iam.PrefixCode)
	h.must(h.node.AddCode(ctx, iam.Code{
		Hash: iam.HashCode(value), Challenge: "c", Created: h.now, Expires: h.now.Add(time.Minute),
		Grant: iam.Grant{ID: "g-1", Client: "c-old", User: person, Created: h.now, Expires: h.now.Add(time.Hour)},
	}, iam.FlowHash{}, nil))
	token := h.refresh("g-1")
	h.must(h.node.Issue(ctx, iam.Issue{
		Now: h.now, Client: "c-old", Code: &iam.CodeProof{Hash: iam.HashCode(value), Client: "c-old", Challenge: "c"}, NewRefresh: token,
	}))
	_, _, err := h.node.Refresh(ctx, token.Hash)
	h.must(err)
	declare(1, iam.Client{ID: "c-new", Was: "c-old"})
	follower := follow.Follower{Changes: h.other, Listeners: []func(context.Context, iam.Change){h.node.Hear}}
	h.must(follower.Catch(ctx))
	if _, grant, err := h.node.Refresh(ctx, token.Hash); err != nil || grant.Client != "c-new" {
		t.Errorf("the grant is of %q, %v", grant.Client, err)
	}
}
