// Package factor is the family of ways to prove who one is: a file each, and one visible list. A factor asks and judges; it
// knows no page, no session and no flow but the little that it must see again, and decides nothing about what is enough.
package factor

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/passkey"
	"github.com/gardeauth/garde/internal/password"
	"github.com/gardeauth/garde/internal/seal"
	"github.com/gardeauth/garde/internal/web"
)

// What a try ends with when nothing was proved. Anything else is a fault of ours.
var (
	ErrWrong   = errors.New("wrong")             // not proved; why is for the journal alone
	ErrStale   = errors.New("to be asked anew")  // what was asked is over, used up or another's
	ErrPending = errors.New("not decided yet")   // ask again in a moment
	ErrDenied  = errors.New("denied elsewhere")  // the person said no
	ErrBusy    = errors.New("asked too often")   // nothing more is asked for now
	ErrNotHere = errors.New("not possible here") // this server, or this person, can't have it
)

// Factor is one way to prove who one is.
type Factor interface {
	// Is tells what it is.
	Is() Traits
	// Able tells whether a person could prove it.
	Able(held Held) bool
	// Missing names the fields of the form that are empty: nothing is tried then.
	Missing(form web.Form) []string
	// Ask begins, where there is something to begin.
	Ask(ctx context.Context, asking Asking) (Asked, error)
	// Spend gives what the state becomes when a try at it is judged, before it is: so that no state serves twice, and each
	// try is counted. ErrStale: it is not to be tried at all.
	Spend(state string, now time.Time) (string, error)
	// Prove judges a try. Somebody who can't sign in (unknown, disabled) comes as the zero User: the answer is ErrWrong,
	// after the same work. Where the form itself names the person, Proof.User is set, also of a try that failed.
	Prove(ctx context.Context, try Try) (Proof, error)
}

// Traits are what a factor is.
type Traits struct {
	Name      string // in the recipe
	First     bool   // it may be the first that somebody proves; all others are asked of a known person only
	Guessable bool   // trying often enough would succeed: each try is paid for before it is judged
}

// Asking is what a factor is asked with.
type Asking struct {
	User    iam.User // zero: not known, or nobody; what is asked then looks the same
	Name    string   // that was typed, or by which they are known
	Count   string   // under which name tries are counted
	Known   bool     // the person has proved something else, so that they may be told what they have
	Flow    iam.FlowHash
	Agent   string
	Address string
	Now     time.Time
}

// Asked is what was begun.
type Asked struct {
	State   string // to be kept, and shown to Spend and Prove
	Options string // for the browser's authenticators
	Number  string // to be compared on the other device
	Code    string // to be mailed, if there is somebody to mail it to
}

// Try is one try.
type Try struct {
	User  iam.User
	Form  web.Form
	State string // as it was before it was spent
	Flow  iam.FlowHash
	Here  string // session of this browser, or ""
	Now   time.Time
}

// Proof is what a try proved, and whose it is.
type Proof struct {
	User string
	iam.Proved
	Why string // in the journal, when nothing was proved; empty: wrong
}

// Needs is what the factors need.
type Needs struct {
	Passwords      iam.Passwords
	Hasher         *password.Hasher
	Authenticators iam.Authenticators
	Approvals      iam.Approvals
	Sessions       iam.Sessions
	Party          func() (passkey.Party, bool) // false: browsers take no part here
	Sealer         seal.Sealer
	Tenant         iam.Tenant
	// Vouches tells whether a session that knows these proofs may approve a sign-in elsewhere: it reaches whatever an approval
	// helps to reach. Else who stole a password would sign in twice, and approve themselves. Nil: none may.
	Vouches func(proofs []iam.Proved) bool
}

func (n Needs) vouches(one iam.Session) bool { return n.Vouches != nil && n.Vouches(one.Proofs) }

// All are the factors, in the order in which pages offer them.
func All(needs Needs) []Factor {
	return []Factor{
		passwords{needs},
		passkeys{needs, iam.FactorPasskey},
		passkeys{needs, iam.FactorSecurityKey},
		totp{needs},
		approval{needs},
		email{needs},
		recovery{needs},
	}
}

// Without gives the factors but the one of that name.
func Without(all []Factor, name string) []Factor {
	return slices.DeleteFunc(slices.Clone(all), func(one Factor) bool { return one.Is().Name == name })
}

// Named gives the factor of that name.
func Named(all []Factor, name string) (Factor, bool) {
	for _, one := range all {
		if one.Is().Name == name {
			return one, true
		}
	}
	return nil, false
}

// Held is what a person could prove something with.
type Held struct {
	User           iam.User
	Authenticators []iam.Authenticator
	Password       bool
	Recovery       int // codes that are left
	Elsewhere      int // browsers that may approve a sign-in, but this one
}

// has tells whether an authenticator of that kind is among them.
func (h Held) has(kind iam.FactorKind) bool {
	return slices.ContainsFunc(h.Authenticators, func(one iam.Authenticator) bool { return one.Kind == kind })
}

// Mailed tells whether there is a mailbox that was proved to be theirs.
func (h Held) Mailed() bool { return h.User.EmailVerified && h.User.Email != "" }

// HeldBy finds what a person has. Sessions are counted only if elsewhere is set; here is the one of this browser, or "".
func (n Needs) HeldBy(ctx context.Context, user iam.User, elsewhere bool, here string) (Held, error) {
	held := Held{User: user}
	var err error
	if held.Authenticators, err = n.Authenticators.Authenticators(ctx, user.ID); err != nil {
		return Held{}, err
	}
	if held.Recovery, err = n.Authenticators.RecoveryLeft(ctx, user.ID); err != nil {
		return Held{}, err
	}
	switch kept, err := n.Passwords.Password(ctx, user.ID); {
	case err == nil:
		held.Password = kept.PHC != ""
	case !errors.Is(err, iam.ErrNotFound):
		return Held{}, err
	}
	if !elsewhere {
		return held, nil
	}
	sessions, err := n.Sessions.UserSessions(ctx, user.ID)
	if err != nil {
		return Held{}, err
	}
	for _, one := range sessions {
		if one.ID != here && n.vouches(one) {
			held.Elsewhere++
		}
	}
	return held, nil
}

// Able names those of the factors that a person could prove.
func Able(all []Factor, held Held) []string {
	var names []string
	for _, one := range all {
		if one.Able(held) {
			names = append(names, one.Is().Name)
		}
	}
	return names
}

// whole is a moment in whole seconds, as tokens say it.
func whole(at time.Time) time.Time { return at.UTC().Truncate(time.Second) }

// plain is what factors without a beginning share.
type plain struct{}

func (plain) Ask(context.Context, Asking) (Asked, error)      { return Asked{}, nil }
func (plain) Spend(state string, _ time.Time) (string, error) { return state, nil }
