package binding_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/binding"
	"github.com/gardeauth/garde/internal/binding/prover"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
)

func noncesOf(t *testing.T, letter string) *binding.Nonces {
	t.Helper()
	nonces, err := binding.NewNonces(bytes.Repeat([]byte(letter), 32))
	must(t, err)
	return nonces
}

func TestD14Nonces(t *testing.T) {
	// The beginning of a slot, so that the cases count from there.
	now := &clock{time.Now().Truncate(time.Minute)}
	asked := true
	node := func() *binding.Judge { // each with a memory of its own, under the key that they share
		judge := judgeAt(now.now)
		judge.Nonces, judge.Demand = noncesOf(t, "s"), func() bool { return asked }
		return judge
	}
	one, two := node(), node()
	api := judgeAt(now.now)
	api.Nonces, api.Demand = noncesOf(t, "g"), one.Demand
	key := newKey(t, jose.ES256)
	key.Now = now.now
	given := one.Nonce()
	check := func(judge *binding.Judge, with prover.Members) string {
		_, err := judge.Check(t.Context(), request("GET", token, proofOf(t, key, "GET", here, token, with)))
		return refused(err)
	}
	after := func(later time.Duration, judge *binding.Judge, with prover.Members) string {
		now.at = now.at.Add(later)
		defer func() { now.at = now.at.Add(-later) }()
		return check(judge, with)
	}
	for _, c := range []struct{ name, got, want string }{
		{"ours", check(one, prover.Members{"nonce": given}), ""},
		{"of another node", check(two, prover.Members{"nonce": given}), ""},
		{"none", check(one, nil), "use_dpop_nonce"},
		{"an empty one", check(one, prover.Members{"nonce": ""}), "use_dpop_nonce"},
		{"another", check(one, prover.Members{"nonce": given + "x"}), "use_dpop_nonce"},
		{"of another kind of door", check(api, prover.Members{"nonce": given}), "use_dpop_nonce"},
		{"in the next slot", after(119*time.Second, one, prover.Members{"nonce": given}), ""},
		{"in the slot after that", after(121*time.Second, one, prover.Members{"nonce": given}), "use_dpop_nonce"},
		{"of the next slot, long before it", after(-30*time.Second, one, prover.Members{"nonce": given}), "use_dpop_nonce"},
		{"of a node whose clock is five seconds ahead", after(-5*time.Second, one, prover.Members{"nonce": given}), ""},
		{"by a clock that is four minutes slow", check(one, prover.Members{"nonce": given, "iat": now.at.Add(-4 * time.Minute).Unix()}), ""},
		{"by a clock that is four minutes fast", check(one, prover.Members{"nonce": given, "iat": now.at.Add(4 * time.Minute).Unix()}), ""},
		{"D09 by a clock that is ten minutes slow", check(one, prover.Members{"nonce": given, "iat": now.at.Add(-10 * time.Minute).Unix()}), "invalid_dpop_proof"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.got != c.want {
				t.Errorf("%q, want %q", c.got, c.want)
			}
		})
	}
	t.Run("D08 a jti whose proof lacked a nonce may come again with one, once", func(t *testing.T) {
		same := prover.Members{"jti": "again"}
		if got := check(one, same); got != "use_dpop_nonce" {
			t.Fatal(got)
		}
		same["nonce"] = given
		if first, second := check(one, same), check(one, same); first != "" || second != "invalid_dpop_proof" {
			t.Errorf("%q, then %q", first, second)
		}
	})
	t.Run("a new nonce each minute", func(t *testing.T) {
		now.at = now.at.Add(time.Minute)
		if one.Nonce() == given || one.Nonce() != two.Nonce() || one.Nonce() == api.Nonce() {
			t.Error(given, one.Nonce(), two.Nonce(), api.Nonce())
		}
	})
	t.Run("none where nobody asks for one", func(t *testing.T) {
		asked = false
		if one.Nonce() != "" || check(one, nil) != "" {
			t.Error("asked")
		}
	})
}

func TestD08AProofWithANonceStaysSpentAsLongAsItIsInTime(t *testing.T) {
	now := &clock{time.Now().Truncate(time.Minute)}
	judge := judgeAt(now.now)
	judge.Nonces, judge.Demand = noncesOf(t, "s"), func() bool { return true }
	key := newKey(t, jose.ES256)
	shown := request("GET", token, proofOf(t, key, "GET", here, token, prover.Members{
		"nonce": judge.Nonce(), "iat": now.at.Add(-4*time.Minute - 30*time.Second).Unix(),
	}))
	if _, err := judge.Check(t.Context(), shown); err != nil {
		t.Fatal(err)
	}
	for range 300 {
		now.at = now.at.Add(time.Second)
		if _, err := judge.Check(t.Context(), shown); oauth.CodeOf(err) == "" {
			t.Fatalf("let in again at %s", now.at)
		}
	}
}

func TestNoncesNeedAKey(t *testing.T) {
	if _, err := binding.NewNonces([]byte("short")); err == nil {
		t.Error("accepted")
	}
	if new(binding.Judge).Nonce() != "" {
		t.Error("a judge without nonces gives one")
	}
}
