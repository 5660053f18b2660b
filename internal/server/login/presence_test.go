package login_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestS37ManySignInsAtOnceNeverCross(t *testing.T) {
	h := open(t)
	const people, rounds = 4, 3
	for i := range people {
		h.person(fmt.Sprint("u-", i), fmt.Sprint("person", i), "", right)
	}
	var group sync.WaitGroup
	for i := range people * rounds {
		b, name := h.browser(), fmt.Sprint("person", i%people)
		b.header.Set("Test-Network", name)
		group.Go(func() {
			page := b.follow(b.get("/account"))
			b.post("/signin", "flow", page.hidden("flow"), "csrf", page.hidden("csrf"), "username", name, "password", right)
			own := b.get("/account")
			for other := range people {
				if there := strings.Contains(own.body, fmt.Sprint("<bdi>person", other, "<")); there != (other == i%people) {
					t.Errorf("%s sees person%d: %v", name, other, there)
				}
			}
		})
	}
	group.Wait()
}

func TestS40NoSessionLivesForEver(t *testing.T) {
	h := open(t)
	h.person("u-alice", "alice", "", right)
	b := h.browser()
	b.enter("alice")
	days := 0.0
	for range 30 {
		h.clock.pass(10 * time.Hour)
		days += 10.0 / 24
		if b.get("/account").status != http.StatusOK {
			break
		}
	}
	if days < 6.5 || days > 7.5 {
		t.Errorf("a session that is used lives for %.1f days, want about 7", days)
	}
	b.enter("alice")
	h.clock.pass(13 * time.Hour)
	b.get("/account").to("/signin")
}

func TestS24EndlessPasswords(t *testing.T) {
	h := open(t)
	h.person("u-alice", "alice", "", right)
	b := h.browser()
	page := b.follow(b.get("/account"))
	cost := hashes(func() {
		b.post("/signin", "flow", page.hidden("flow"), "csrf", page.hidden("csrf"), "username", "alice", "password", strings.Repeat("x", 1<<20)).is(413)
		b.post("/signin", "flow", page.hidden("flow"), "csrf", page.hidden("csrf"), "username", strings.Repeat("a", 1<<20), "password", right).is(413)
	})
	if cost != 0 {
		t.Errorf("%d hashes", cost)
	}
	// Nothing is cut off: what differs after the 72nd byte is another password.
	long := strings.Repeat("seven rivers and a lamp. ", 8)
	h.person("u-long", "long", "", long)
	b.signIn(b.get("/account"), "long", long[:len(long)-1]+"!").is(422)
	b.signIn(b.get("/account"), "long", long).to("/account")
}

func TestS08OneNetworkOverManyAccountsIsSlowedDown(t *testing.T) {
	h := open(t)
	b := h.browser()
	page := b.follow(b.get("/account"))
	tries := 0
	for ; tries < 120; tries++ {
		answer := b.post("/signin", "flow", page.hidden("flow"), "csrf", page.hidden("csrf"), "username", fmt.Sprint("user", tries), "password", "x")
		if answer.status == http.StatusTooManyRequests {
			break
		}
	}
	if tries < 95 || tries > 110 {
		t.Errorf("S23 one network has tried %d accounts", tries)
	}
	// S18: another network is not locked.
	h.person("u-alice", "alice", "", right)
	other := h.browser()
	other.header.Set("Test-Network", "elsewhere")
	other.enter("alice")
}
