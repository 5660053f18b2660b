package authorize_test

import (
	"context"
	"strings"
	"testing"

	"github.com/gardeauth/garde/internal/server/authorize"
	"github.com/gardeauth/garde/internal/session"
)

// owing is a house whose recipe makes people add factors; what each of them owes is said by the test.
func owing(t *testing.T, owes map[string]authorize.Duty) *house {
	h := openWith(t, strings.Replace(ladder, "apis:", "signin: {enrol: [{level: strong}]}\napis:", 1))
	h.moment.Place.Country = "FR"
	h.front.Due = func(_ context.Context, user string) (authorize.Duty, error) { return owes[user], nil }
	return h
}

func TestS06WhoMustAddAFactorDoesSoBeforeAnythingIsGiven(t *testing.T) {
	owes := map[string]authorize.Duty{"u-alice": authorize.OwedNow}
	h := owing(t, owes)
	b := h.browser()
	at := b.does(b.get("/authorize?"+ask("own")).to("/signin"), "user=u-alice&did=login").to("/signin/enrol")
	if !strings.HasPrefix(at.location(), session.EnrolAt("")) {
		t.Errorf("to %s", at.location())
	}
	for range 3 { // a guess by what the node remembers gives nothing either
		b.get("/authorize?" + ask("own")).to("/signin/enrol")
	}
	b.get("/authorize?" + ask("own", "prompt", "login")).to("/signin") // who is there is asked first
	b.get("/authorize?"+ask("own", "prompt", "none")).gives("error", "interaction_required")
	b.does(at, "did="+session.StepLater).to("/signin/enrol") // it can't be put off
	bob := h.browser().signIn("u-bob")
	bob.get("/authorize?"+ask("own")).gives("code", "")
	owes["u-alice"] = authorize.OwedNothing
	b.get("/authorize?flow="+flowOf(at)).gives("code", "")
}

func TestWhatMayWaitIsAskedOnceASignIn(t *testing.T) {
	h := owing(t, map[string]authorize.Duty{"u-alice": authorize.OwedLater})
	b := h.browser()
	at := b.does(b.get("/authorize?"+ask("own")).to("/signin"), "user=u-alice&did=login").to("/signin/enrol")
	b.get("/authorize?flow=" + flowOf(at)).to("/signin/enrol") // not answered
	b.get("/authorize?"+ask("own")).gives("code", "")          // who is signed in already is not bothered
	b.get("/authorize?"+ask("own", "prompt", "none")).gives("code", "")
	b.does(at, "did="+session.StepLater).gives("code", "")
	t.Run("what another session put off says nothing of this one", func(*testing.T) {
		at := b.get("/authorize?" + ask("own", "prompt", "login")).to("/signin")
		b.does(at, "did="+session.StepLater).to("/signin")
		b.does(at, "user=u-alice&did=login").gives("code", "") // same flow, and put off within it
		b.does(b.get("/authorize?"+ask("own", "prompt", "login")).to("/signin"), "user=u-alice&did=login").to("/signin/enrol")
	})
}
