package verify_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/verify"
)

func someone() verify.Claims {
	return verify.Claims{ID: "t", Grant: "g", SessionID: "s", Subject: "u", ClientID: "c", KeyID: "k", IssuedAt: 1000, Expires: 1300}
}

func TestDead(t *testing.T) {
	for name, row := range map[string]struct {
		fact verify.Revocation
		dead bool
	}{
		"its token":                              {verify.Revocation{Kind: verify.TokenRevoked, ID: "t"}, true},
		"its grant":                              {verify.Revocation{Kind: verify.GrantRevoked, ID: "g"}, true},
		"its session":                            {verify.Revocation{Kind: verify.SessionRevoked, ID: "s"}, true},
		"its key":                                {verify.Revocation{Kind: verify.KeyRevoked, ID: "k"}, true},
		"its user, later":                        {verify.Revocation{Kind: verify.UserRevoked, ID: "u", Before: 1001}, true},
		"its user, in the same second":           {verify.Revocation{Kind: verify.UserRevoked, ID: "u", Before: 1000}, true},
		"its user, before it was issued":         {verify.Revocation{Kind: verify.UserRevoked, ID: "u", Before: 999}, false},
		"its client, in the same second":         {verify.Revocation{Kind: verify.ClientRevoked, ID: "c", Before: 1000}, true},
		"its client, before it was issued":       {verify.Revocation{Kind: verify.ClientRevoked, ID: "c", Before: 999}, false},
		"another token":                          {verify.Revocation{Kind: verify.TokenRevoked, ID: "t2"}, false},
		"another token of the name of its grant": {verify.Revocation{Kind: verify.TokenRevoked, ID: "g"}, false},
		"another user of the name of its client": {verify.Revocation{Kind: verify.UserRevoked, ID: "c", Before: 2000}, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := verify.Revocations{Now: func() time.Time { return time.Unix(1100, 0) }}
			row.fact.Until = 1300
			if err := r.Add(row.fact); err != nil {
				t.Fatal(err)
			}
			if err := r.Dead(someone()); (err != nil) != row.dead {
				t.Error(err)
			}
			if err := r.Dead(verify.Claims{IssuedAt: 1000}); err != nil {
				t.Errorf("a token without names: %v", err)
			}
		})
	}
}

func TestFactsThatNobodyUnderstands(t *testing.T) {
	r := verify.Revocations{Now: func() time.Time { return time.Unix(1100, 0) }}
	for name, fact := range map[string]verify.Revocation{
		"an unknown kind":         {Kind: "device", ID: "d", Until: 1300},
		"no kind":                 {ID: "d", Until: 1300},
		"no id":                   {Kind: verify.TokenRevoked, Until: 1300},
		"no end":                  {Kind: verify.TokenRevoked, ID: "t"},
		"a user without a moment": {Kind: verify.UserRevoked, ID: "u", Until: 1300},
	} {
		if r.Add(fact) == nil {
			t.Errorf("%s: taken in", name)
		}
	}
}

func TestFactsAddUpAndAreForgotten(t *testing.T) {
	now := time.Unix(1100, 0)
	r := verify.Revocations{Now: func() time.Time { return now }}
	add := func(before, until int64) {
		t.Helper()
		if err := r.Add(verify.Revocation{Kind: verify.UserRevoked, ID: "u", Before: before, Until: until}); err != nil {
			t.Fatal(err)
		}
	}
	add(1050, 1400)
	add(900, 1200) // told again, older: takes nothing back
	if r.Dead(someone()) == nil || r.Len() != 1 {
		t.Errorf("an older fact replaced a newer one; %d facts", r.Len())
	}
	for at, want := range map[int64]int{1300: 1, 1400: 1} {
		now = time.Unix(at, 0)
		if r.Prune(); r.Len() != want {
			t.Errorf("at %d: %d facts", at, r.Len())
		}
	}
	now = time.Unix(1401, 0)
	if r.Prune(); r.Len() != 0 {
		t.Errorf("%d facts outlive what they kill", r.Len())
	}
	for i := range 10_000 {
		now = now.Add(time.Second)
		if err := r.Add(verify.Revocation{Kind: verify.TokenRevoked, ID: fmt.Sprint(i), Until: now.Unix() + 300}); err != nil {
			t.Fatal(err)
		}
	}
	if r.Len() > 320 {
		t.Errorf("%d facts where 300 can live", r.Len())
	}
}

func TestWhoAddsIsSeenByWhoReads(t *testing.T) {
	var r verify.Revocations
	var wait sync.WaitGroup
	for i := range 4 {
		wait.Go(func() {
			for j := range 500 {
				id := fmt.Sprint(i, "-", j)
				if r.Dead(verify.Claims{ID: id}) != nil {
					t.Error("dead before it was revoked")
				}
				_ = r.Add(verify.Revocation{Kind: verify.TokenRevoked, ID: id, Until: time.Now().Unix() + 300})
				if r.Dead(verify.Claims{ID: id}) == nil {
					t.Error("alive after it was revoked")
				}
			}
		})
	}
	wait.Wait()
	if r.Len() != 2000 {
		t.Errorf("%d facts", r.Len())
	}
}

func BenchmarkDead(b *testing.B) {
	for _, count := range []int{0, 100_000} {
		b.Run(fmt.Sprint(count), func(b *testing.B) {
			var r verify.Revocations
			kinds := []verify.Kind{verify.TokenRevoked, verify.GrantRevoked, verify.SessionRevoked, verify.UserRevoked, verify.ClientRevoked}
			for i := range count {
				_ = r.Add(verify.Revocation{Kind: kinds[i%len(kinds)], ID: fmt.Sprint(i), Before: 1, Until: time.Now().Unix() + 3600})
			}
			b.RunParallel(func(pb *testing.PB) {
				claims := someone()
				for pb.Next() {
					if r.Dead(claims) != nil {
						b.Error("dead")
					}
				}
			})
		})
	}
}
