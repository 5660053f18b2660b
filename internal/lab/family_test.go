package lab_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/lab"
)

// family is what a code and its refresh tokens must do, in the fewest words.
type family struct {
	h      *lab.House
	person *lab.Person
	owner  string
	thief  string
	code   lab.Code
	wrong  int
	made   time.Time

	redeemed bool
	dead     bool
	chain    []link // refresh tokens, oldest first
	access   string
}

// link is one refresh token of a rotating family.
type link struct {
	value     string
	rotatedAt time.Time // zero: not yet
	used      bool
	replaced  bool // its predecessor was shown again, and got another successor
}

func (f *family) is(t *rapid.T, what string, reply lab.Reply, want bool) {
	if (reply.Status == 200) != want {
		t.Fatalf("%s: got %d %s, want success: %v (redeemed %v, dead %v, wrong %d, chain %d)", what, reply.Status, reply.Body, want, f.redeemed, f.dead, f.wrong, len(f.chain))
	}
	if !want && reply.Text("error") != "invalid_grant" {
		t.Fatalf("%s: refused with %s", what, reply.Body)
	}
}

func (f *family) living() bool {
	return !f.redeemed && !f.dead && f.wrong <= iam.MaxCodeTries && f.h.Clock.Now().Sub(f.made) < time.Minute
}

// Redeem shows the code rightly: once it works, and then it kills what it gave.
func (f *family) Redeem(t *rapid.T) {
	reply := f.h.Redeem(f.code)
	lives := f.living()
	f.is(t, "redeem", reply, lives)
	if lives {
		f.redeemed, f.access = true, reply.Text("access_token")
		f.chain = append(f.chain, link{value: reply.Text("refresh_token")})
		return
	}
	f.dead = f.dead || f.redeemed
}

// Misuse shows the code wrongly: never an answer, and a few tries only.
func (f *family) Misuse(t *rapid.T) {
	wrong := f.code
	switch rapid.IntRange(0, 2).Draw(t, "how") {
	case 0:
		wrong.Client = f.thief
	case 1:
		wrong.Verifier = "another-verifier-of-more-than-forty-three-letters"
	default:
		wrong.Redirect = "https://evil.example/cb"
	}
	f.is(t, "misuse", f.h.Redeem(wrong), false)
	f.wrong++
}

// Refresh shows one of the refresh tokens, as the owner.
func (f *family) Refresh(t *rapid.T) {
	if len(f.chain) == 0 {
		t.Skip("none yet")
	}
	at := rapid.IntRange(0, len(f.chain)-1).Draw(t, "which")
	shown, now := &f.chain[at], f.h.Clock.Now()
	reply := f.h.Refresh(f.owner, shown.value)
	switch {
	case f.dead:
		f.is(t, "refresh of a dead family", reply, false)
	case shown.rotatedAt.IsZero() && !shown.replaced:
		f.is(t, "refresh", reply, true)
		shown.rotatedAt, shown.used = now, true
		f.chain = append(f.chain, link{value: reply.Text("refresh_token")})
	case !shown.replaced && now.Sub(shown.rotatedAt) <= iam.Grace-time.Second && at == f.lastUsed() && !f.chain[len(f.chain)-1].used:
		f.is(t, "refresh after a lost answer", reply, true)
		f.chain[len(f.chain)-1].replaced = true
		f.chain = append(f.chain, link{value: reply.Text("refresh_token")})
	case now.Sub(shown.rotatedAt) > iam.Grace-time.Second && now.Sub(shown.rotatedAt) <= iam.Grace+time.Second:
		t.Fatal("the test's clock stands at the edge")
	default:
		f.is(t, "a replay", reply, false)
		f.dead = true
	}
}

// lastUsed is the newest token that was used rightly.
func (f *family) lastUsed() int {
	for at := len(f.chain) - 1; at >= 0; at-- {
		if f.chain[at].used {
			return at
		}
	}
	return -1
}

// Steal shows one of them as another client: nothing comes of it, and nothing is lost.
func (f *family) Steal(t *rapid.T) {
	if len(f.chain) == 0 {
		t.Skip("none yet")
	}
	at := rapid.IntRange(0, len(f.chain)-1).Draw(t, "which")
	f.is(t, "theft", f.h.Refresh(f.thief, f.chain[at].value), false)
}

// Revoke gives one of them back; as another client it does nothing.
func (f *family) Revoke(t *rapid.T) {
	if len(f.chain) == 0 || rapid.IntRange(0, 3).Draw(t, "seldom") > 0 {
		t.Skip("not now")
	}
	at := rapid.IntRange(0, len(f.chain)-1).Draw(t, "which")
	client := rapid.SampledFrom([]string{f.owner, f.thief}).Draw(t, "who")
	if reply := f.h.As(client, "/revoke", lab.Form("token", f.chain[at].value)); reply.Status != 200 {
		t.Fatalf("revoke: %d %s", reply.Status, reply.Body)
	}
	f.dead = f.dead || client == f.owner
}

// Wait lets time pass: a little, more than the grace, or more than a code lives.
func (f *family) Wait(t *rapid.T) {
	f.h.Pass(rapid.SampledFrom([]time.Duration{2 * time.Second, 12 * time.Second, 61 * time.Second}).Draw(t, "how long"))
}

// Check holds what is always true: the access token lives as long as its family.
func (f *family) Check(t *rapid.T) {
	if f.access == "" || !f.dead {
		return
	}
	if err := f.h.Server.Follower.Catch(t.Context()); err != nil {
		t.Fatal(err)
	}
	if reply := f.h.UserInfo(f.access); reply.Status != 401 {
		t.Fatalf("the access token outlives its family: %d %s", reply.Status, reply.Body)
	}
}

// TestFamiliesOfCodesAndRefreshTokens drives codes and their refresh tokens through the doors at random, beside a model.
func TestFamiliesOfCodesAndRefreshTokens(t *testing.T) {
	h := lab.New(t, lab.Options{})
	rapid.Check(t, func(t *rapid.T) {
		pair := rapid.SampledFrom([][2]string{{lab.Native, lab.Browser}, {lab.WebKey, lab.WebA}, {lab.Browser, lab.WebB}}).Draw(t, "clients")
		f := &family{h: h, person: h.NewPerson("alice"), owner: pair[0], thief: pair[1]}
		f.code, f.made = h.Code(f.person, lab.Plant{Client: f.owner}), h.Clock.Now()
		t.Repeat(map[string]func(*rapid.T){
			"redeem": f.Redeem, "misuse": f.Misuse, "refresh": f.Refresh, "steal": f.Steal, "revoke": f.Revoke, "wait": f.Wait, "": f.Check,
		})
	})
}
