package recipe

import (
	"strings"
	"time"
)

func checkSignIn(r *reading) {
	signin, at := r.recipe.SignIn, path("signin")
	if len(signin.SignUpHosts) > 0 && !signin.SignUp {
		r.fault(at.key("signup_hosts"), "nobody may sign up", "write signup: true, or leave signup_hosts out")
	}
	twice := doubles(signin.SignUpHosts)
	for i, host := range signin.SignUpHosts {
		here := at.key("signup_hosts").index(i)
		if strings.Contains(host, "*") || strings.Contains(host, "@") {
			r.fault(here, show(host)+" is not a mail domain", "write the part after the @, such as bank.example")
		} else {
			r.refused(here, checkHost(host))
		}
		if twice[i] {
			r.fault(here, "stands twice", "name each domain once")
		}
	}
}

// checkLifetimes bounds what outlives a decision. Short lives harm nobody but their owner, so only the journal has a least.
func checkLifetimes(r *reading) {
	at, lives := path("lifetimes"), r.recipe.Lifetimes
	for _, bound := range []struct {
		key   string
		value Duration
		most  time.Duration
	}{
		{"code", lives.Code, time.Minute}, {"access", lives.Access, time.Hour}, {"id", lives.ID, time.Hour},
		{"refresh_idle", lives.RefreshIdle, 365 * day}, {"refresh", lives.Refresh, 365 * day},
		{"session_idle", lives.SessionIdle, 90 * day}, {"session", lives.Session, 90 * day}, {"journal", lives.Journal, maxDuration},
	} {
		if bound.value.Std() > bound.most {
			r.fault(at.key(bound.key), "is too long", "the longest is "+Duration(bound.most).String())
		}
	}
	if lives.Journal != 0 && lives.Journal.Std() < day {
		r.fault(at.key("journal"), "is too short to look anything up", "write 1d or more")
	}
	full := lives.Lives()
	if full.RefreshIdle > full.Refresh {
		r.fault(at.key("refresh_idle"), "is longer than refresh, "+Duration(full.Refresh).String(), "shorten it, or lengthen refresh")
	}
	if full.SessionIdle > full.Session {
		r.fault(at.key("session_idle"), "is longer than session, "+Duration(full.Session).String(), "shorten it, or lengthen session")
	}
}
