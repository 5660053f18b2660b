package storetest

import (
	"errors"

	"pgregory.net/rapid"

	"github.com/gardeauth/garde/internal/iam"
)

// model is a code and its family as the contracts describe them.
type model struct {
	h       *house
	code    iam.Code
	tries   int
	spent   bool
	revoked bool
	chain   []*link // all tokens of the family that were given, in order
}

type link struct {
	token    *iam.Refresh
	rotated  int64 // when it was first rotated; 0: lives
	next     *link // its present successor
	replaced bool  // by another successor of its predecessor
}

func (m *model) now() int64 { return m.h.clock.Now().UnixMicro() }

func (m *model) answer(rt *rapid.T, got, want error) {
	if !errors.Is(got, want) {
		rt.Fatalf("got %v, want %v", got, want)
	}
}

func (m *model) redeem(rt *rapid.T) {
	token := m.h.newRefresh(m.code.Grant.ID)
	err := m.h.Issue(m.h.ctx, iam.Issue{Now: m.h.clock.Now(), Client: "c-app", User: "u-ada", Code: proofOf(m.code), NewRefresh: token})
	switch {
	case m.spent:
		m.answer(rt, err, iam.ErrSpent)
		m.revoked = true
	case m.tries > iam.MaxCodeTries:
		m.answer(rt, err, iam.ErrNotFound)
	case !m.code.Expires.After(m.h.clock.Now()):
		m.answer(rt, err, iam.ErrExpired)
	default:
		m.answer(rt, err, nil)
		m.spent = true
		m.chain = []*link{{token: token}}
	}
}

func (m *model) guess(rt *rapid.T) {
	wrong := *proofOf(m.code)
	switch rapid.IntRange(0, 2).Draw(rt, "what is wrong") {
	case 0:
		wrong.Challenge = "guess"
	case 1:
		wrong.Client = "c-other"
	case 2:
		wrong.RedirectURI = "https://evil.example/"
	}
	err := m.h.Issue(m.h.ctx, iam.Issue{Now: m.h.clock.Now(), Client: wrong.Client, Code: &wrong})
	if !m.spent && m.tries > iam.MaxCodeTries {
		m.answer(rt, err, iam.ErrNotFound)
		return
	}
	m.answer(rt, err, iam.ErrMismatch)
	if !m.spent {
		m.tries++
	}
}

func (m *model) pick(rt *rapid.T) *link {
	if len(m.chain) == 0 {
		rt.Skip("no family yet")
	}
	return m.chain[rapid.IntRange(max(0, len(m.chain)-3), len(m.chain)-1).Draw(rt, "token")]
}

func (m *model) rotate(rt *rapid.T) {
	shown := m.pick(rt)
	token, err := m.h.rotate(shown.token)
	next := &link{token: token}
	switch {
	case m.revoked:
		m.answer(rt, err, iam.ErrRevoked)
		return
	case shown.rotated == 0 && !shown.replaced:
		m.answer(rt, err, nil)
		shown.rotated = m.now()
	case !shown.replaced && m.now()-shown.rotated <= iam.Grace.Microseconds() && shown.next.rotated == 0 && !shown.next.replaced:
		m.answer(rt, err, nil)
		shown.next.replaced = true
	default:
		m.answer(rt, err, iam.ErrSpent)
		m.revoked = true
		return
	}
	shown.next = next
	m.chain = append(m.chain, next)
}

func (m *model) steal(rt *rapid.T) {
	shown := m.pick(rt)
	err := m.h.Issue(m.h.ctx, iam.Issue{Now: m.h.clock.Now(), Client: "c-other", Refresh: &iam.RefreshProof{Hash: shown.token.Hash, Client: "c-other"},
		Replace: m.h.newRefresh(m.code.Grant.ID)})
	m.answer(rt, err, iam.ErrMismatch)
}

func (m *model) revoke(rt *rapid.T) {
	if len(m.chain) == 0 || rapid.IntRange(0, 9).Draw(rt, "rarely") != 0 {
		rt.Skip("rarely")
	}
	m.answer(rt, m.h.RevokeGrant(m.h.ctx, m.code.Grant.ID), nil)
	m.revoked = true
}
