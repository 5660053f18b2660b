package lab_test

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/lab"
	"github.com/gardeauth/garde/internal/otp"
	"github.com/gardeauth/garde/internal/passkey"
	"github.com/gardeauth/garde/internal/passkey/authenticator"
	"github.com/gardeauth/garde/internal/token"

	"crypto/rand"
)

// enters writes down that a session of a browser began or went on by what was proved.
func (w *walk) enters(b *window, sent sentForm, proof *secretly, fresh bool) {
	b.era++
	if !fresh || proof == nil {
		w.tell("  %s is led on, by a page of before", b.name)
		b.certain = false
		return
	}
	p := proof.person
	w.tell("  %s is %s now", b.name, p.user.Username)
	goesOn := b.certain && b.current == p
	if b.certain && b.current != nil && b.current != p {
		w.kill(b, b.current) // the session of somebody else, who is not set aside, ends
	}
	for _, one := range w.proofs {
		switch {
		case one.browser != b.name || one.user != p.user.ID || one.dead:
		case one.flow == sent.flow:
			one.entered = true
		case goesOn || !one.entered: // what is half proved in another tab may enter later
		case b.certain && !b.aside[p]:
			one.dead = true
		default:
			one.sure = false
		}
	}
	b.current, b.certain = p, true
}

// kill writes down that the session of a person in a browser has ended, and with it what was proved in it.
func (w *walk) kill(b *window, p *soul) {
	twice := b.aside[p] && b.current == p // one of the two lives on
	for _, one := range w.proofs {
		if one.browser == b.name && one.user == p.user.ID && one.entered {
			one.sure, one.dead = false, one.dead || !twice
		}
	}
	if twice {
		return
	}
	delete(b.aside, p)
	for _, held := range w.tokens {
		if held.browser == b.name && held.user == p.user.ID && held.killed.IsZero() {
			held.killed = time.Now()
		}
	}
}

func (w *walk) decide(b *window, node *lab.Node, page *leaf, decision string) lab.Reply {
	w.tell("%s says %s", b.name, decision)
	page.used = true
	return w.follow(b, node, b.post(node, "/consent", page.reply, "decision", decision), page.client)
}

var accountIn = regexp.MustCompile(`(?s)name="session" value="([^"]*)".*?((?:ada|ben)-[a-z0-9]{8})`)

// choose answers the page that asks as whom to go on.
func (w *walk) choose(b *window, node *lab.Node, page *leaf) lab.Reply {
	accounts := accountIn.FindAllStringSubmatch(string(page.reply.Body), -1)
	if len(accounts) == 0 || w.chance(30) {
		reply := b.post(node, "/choose", page.reply, "other", "yes")
		w.tell("%s goes on as somebody else: %d", b.name, reply.Status)
		if reply.Status == http.StatusSeeOther {
			b.era++
			if b.current != nil && b.certain {
				b.aside[b.current] = true
			}
			if !b.certain {
				for _, p := range w.people {
					b.aside[p] = true
				}
			}
			b.current, b.certain = nil, true
		}
		return w.follow(b, node, reply, page.client)
	}
	account := one(w, accounts)
	reply := b.post(node, "/choose", page.reply, "session", account[1])
	w.tell("%s chooses %s: %d", b.name, account[2], reply.Status)
	if p := w.soulOf(account[2]); reply.Status == http.StatusSeeOther && (!b.certain || b.current != p) {
		b.era++
		if b.certain && b.current != nil {
			b.aside[b.current] = true
		}
		delete(b.aside, p)
		for _, one := range w.proofs { // which of their sessions here it was may not be known
			if one.browser == b.name && one.user == p.user.ID {
				one.sure = false
			}
		}
		b.current, b.certain = p, true
	}
	return w.follow(b, node, reply, page.client)
}

// climb goes one authorization to its end, as somebody who proves all that is asked.
func (w *walk) climb(b *window) {
	p, again := one(w, w.people), false
	w.h.Pass(time.Minute)
	client, pairs := w.wishes()
	w.tell("%s: %s climbs for %s %v", b.name, p.user.Username, client, pairs)
	most := len(fieldOf) + 1 + 2
	if slices.Contains(pairs, "select_account") {
		most++
	}
	reply := w.ask(b, w.node(), client, pairs)
	for pages := 0; ; pages++ {
		page := read(reply, client)
		if reply.Status == http.StatusTooManyRequests && !again {
			w.h.Pass(25 * time.Minute)
			again, pages, reply = true, -1, w.ask(b, w.node(), client, pairs)
			continue
		}
		if page == nil {
			w.arrives(b, p, reply, client, pairs)
			return
		}
		if pages >= most {
			w.wrong("%s: %s has answered %d pages and sees another (%s %s)", b.name, p.user.Username, pages, page.kind, page.by)
		}
		page = b.pages[len(b.pages)-1]
		reply = w.honest(b, p, page)
	}
}

var wayIn = regexp.MustCompile(`id="by-(\w+)"`)

// honest answers one page as well as the person can.
func (w *walk) honest(b *window, p *soul, page *leaf) lab.Reply {
	switch page.kind {
	case "consent":
		return w.decide(b, w.node(), page, "allow")
	case "choose":
		return w.choose(b, w.node(), page)
	}
	if ways := wayIn.FindAllStringSubmatch(string(page.reply.Body), -1); page.kind == "next" && len(ways) > 0 && w.chance(50) {
		node, by := w.node(), one(w, ways)[1]
		w.follow(b, node, b.get(node, "/signin/next?flow="+page.flow+"&by="+by), page.client)
		if page = b.pages[len(b.pages)-1]; page.by != by {
			w.wrong("%s is offered %s, and shown %s", b.name, by, page.by)
		}
	}
	by := page.by
	if page.kind == "signin" {
		if by = "password"; b.certain && b.current != nil {
			p = b.current // "you have signed in a while ago"
		}
	} else if known := w.soulOf(page.person); known != nil {
		p = known
	}
	proof := w.secret(p, by, page)
	if proof == nil {
		w.wrong("%s: %s is asked for a %s, and has none", b.name, p.user.Username, by)
	}
	w.tell("%s: %s proves honestly by %s", b.name, p.user.Username, by)
	return w.send(b, w.node(), page, by, p, proof, proof.value)
}

// arrives holds that who proved everything came to a code, or could not reach what was asked.
func (w *walk) arrives(b *window, p *soul, reply lab.Reply, client string, pairs []string) {
	back, ok := reply.Sent(lab.Redirect(client))
	if b.certain && b.current != nil {
		p = b.current
	}
	silent := slices.Contains(pairs, "none")
	whole := p.held["passkey"] && p.held["totp"] && !slices.ContainsFunc(w.people, func(p *soul) bool { return !p.held["passkey"] })
	switch {
	case ok && back.Get("code") != "":
	case ok && silent && slices.Contains([]string{"login_required", "interaction_required", "consent_required", "unmet_authentication_requirements"}, back.Get("error")):
	case !whole && (ok && back.Get("error") == "unmet_authentication_requirements" || !ok && reply.Status < 500):
	default:
		w.wrong("%s: %s has proved all that was asked, and is led to %d %s\n%s", b.name, p.user.Username, reply.Status, reply.Header.Get("Location"), reply.Body)
	}
}

// replay sends a form once more, from its own browser or the other.
func (w *walk) replay() {
	if len(w.forms) == 0 {
		return
	}
	sent, b := w.forms[max(0, len(w.forms)-1-w.dice.IntN(min(len(w.forms), 8)))], one(w, w.windows)
	w.tell("%s: what %s sent is sent again", b.name, sent.owner)
	if sent.owner != b.name {
		before := maps.Clone(b.cookies)
		if reply := b.keep(w.node().Post(sent.path, sent.form, b.cookie()...)); reply.Status < 400 {
			w.wrong("%s: a form of another browser is taken: %d to %s", b.name, reply.Status, reply.Header.Get("Location"))
		}
		b.cookies = before
		return
	}
	w.post(b, w.node(), sent, false)
	for _, page := range b.pages { // whatever came of it
		page.used = page.used || page.flow == sent.flow
	}
}

// elsewhere opens a page of one browser in the other.
func (w *walk) elsewhere(b *window) {
	if len(b.pages) == 0 {
		return
	}
	page, other := one(w, b.pages), w.windows[0]
	if other == b {
		other = w.windows[1]
	}
	w.tell("%s: a transaction of %s is gone on with", other.name, b.name)
	for _, path := range []string{"/authorize?flow=", "/signin/next?flow=", "/consent?flow=", "/signin?flow=", "/choose?flow=", "/signin/enrol?flow="} {
		if reply := w.node().Get(path+page.flow, other.cookie()...); reply.Status < 400 {
			w.wrong("%s%s of another browser: %d to %s", path, page.flow, reply.Status, reply.Header.Get("Location"))
		}
	}
	// In its own browser one may go on by hand, at any step: it leads no further than what was proved.
	path := one(w, []string{"/authorize?flow=", "/signin/next?flow=", "/consent?flow="})
	w.tell("%s: by hand to %s", b.name, path)
	w.follow(b, w.node(), b.get(w.node(), path+page.flow), page.client)
}

func (w *walk) signOut(b *window) {
	node := w.node()
	page := b.get(node, "/account")
	reply := b.post(node, "/account/signout", page)
	w.tell("%s signs out: %d", b.name, reply.Status)
	if reply.Status != http.StatusSeeOther {
		return
	}
	b.era++
	if b.certain && b.current != nil {
		w.kill(b, b.current)
	}
	if !b.certain { // somebody's session ended
		for _, one := range w.proofs {
			one.sure = one.sure && one.browser != b.name
		}
	}
	b.current = nil
}

// endEverywhere ends all of a person's sessions, at any node.
func (w *walk) endEverywhere() {
	p := one(w, w.people)
	w.tell("%s signs out everywhere", p.user.Username)
	must(w.t, w.node().Store().EndUserSessions(w.t.Context(), p.user.ID, ""))
	for _, b := range w.windows {
		b.era++
		delete(b.aside, p)
		if b.certain && b.current == p {
			b.current = nil
		}
	}
	w.ended(p)
}

// ended: nothing that a person has proved, also in sign-ins under way, is worth anything any more.
func (w *walk) ended(p *soul) {
	for _, one := range w.proofs {
		one.dead = one.dead || one.user == p.user.ID
	}
	for _, held := range w.tokens {
		if held.user == p.user.ID && held.killed.IsZero() {
			held.killed = time.Now()
		}
	}
}

// changeFactor takes a factor from a person, or gives it back, at any node.
func (w *walk) changeFactor() {
	p, kind, house := one(w, w.people), one(w, []string{"totp", "passkey"}), w.node().Server.House
	for _, b := range w.windows {
		b.era++
	}
	if !p.held[kind] {
		w.tell("%s adds a %s", p.user.Username, kind)
		w.add(p, kind)
		return
	}
	id := map[string]string{"totp": p.app, "passkey": p.passkeyID}[kind]
	w.tell("%s removes the %s", p.user.Username, kind)
	must(w.t, house.RemoveAuthenticator(w.t.Context(), p.user.ID, id, "", anyWayIn))
	p.held[kind] = false
	for _, b := range w.windows {
		rests := func(sure bool) bool {
			return slices.ContainsFunc(w.proofs, func(one *proven) bool {
				return one.browser == b.name && one.credential == id && one.entered && !one.dead && one.sure == sure
			})
		}
		switch {
		case rests(true) && b.certain && b.current == p && !b.aside[p]:
			w.kill(b, p)
			b.current = nil
		case rests(true), rests(false), !b.certain:
			b.certain = false
		}
	}
	for _, one := range w.proofs {
		one.dead = one.dead || one.credential == id
		one.sure = one.sure && one.user != p.user.ID
	}
}

func (w *walk) add(p *soul, kind string) {
	p.held[kind] = true
	house := w.node().Server.House
	if kind == "totp" {
		p.secret, p.app, p.shown = otp.NewSecret(), rand.Text(), time.Time{}
		added := iam.Authenticator{ID: p.app, User: p.user.ID, Kind: iam.FactorTOTP, Name: "App", Created: w.h.Clock.Now()}
		var err error
		added.Sealed, err = otp.Seal(w.h.Server.Seal, iam.DefaultTenant, added.ID, p.secret)
		must(w.t, err)
		must(w.t, house.AddAuthenticator(w.t.Context(), added))
		return
	}
	party := passkey.Party{ID: "localhost", Origin: w.h.Issuer, Name: "The house", Sealer: w.h.Server.Seal, Tenant: iam.DefaultTenant, Now: w.h.Clock.Now}
	p.key = authenticator.New(w.h.Issuer)
	asked, err := party.BeginRegistration(p.user, iam.FactorPasskey, nil)
	must(w.t, err)
	said, err := p.key.Create(asked.Options)
	must(w.t, err)
	added, err := party.FinishRegistration(asked.State, said, "Phone")
	must(w.t, err)
	must(w.t, house.AddAuthenticator(w.t.Context(), added))
	p.passkeyID = added.ID
}

func (w *walk) redeem() {
	if len(w.codes) == 0 {
		return
	}
	at := w.dice.IntN(len(w.codes))
	given := w.codes[at]
	w.codes = slices.Delete(w.codes, at, at+1)
	w.cash(given)
}

// cash redeems a code and holds what it gives against what was proved when it was given.
func (w *walk) cash(given givenCode) *givenTokens {
	back, _ := given.reply.Sent(lab.Redirect(given.client))
	reply := w.node().As(given.client, "/token", lab.Form("grant_type", "authorization_code", "code", back.Get("code"), "code_verifier", lab.Verifier, "redirect_uri", lab.Redirect(given.client)))
	w.tell("a code of %s is redeemed for %s: %s", given.browser, given.client, reply.Says())
	if reply.Status != http.StatusOK {
		return nil
	}
	var answer token.Answer
	reply.Into(&answer)
	_, id := peek(w.t, answer.IDToken)
	_, access := peek(w.t, answer.AccessToken)
	held := &givenTokens{client: given.client, browser: given.browser, access: answer.AccessToken, refresh: answer.RefreshToken, scope: answer.Scope}
	held.user, _ = id["sub"].(string)
	held.acr, _ = id["acr"].(string)
	at, _ := id["auth_time"].(float64)
	held.authTime = int64(at)
	if access["acr"] != id["acr"] || access["auth_time"] != id["auth_time"] || access["sub"] != id["sub"] {
		w.wrong("the ID token says %v, the access token %v", id, access)
	}
	w.warranted(given.browser, held.user, held.acr, held.authTime, given.known)
	w.demanded(given, held)
	w.tokens = append(w.tokens, held)
	return held
}

func (w *walk) refresh() {
	if len(w.tokens) == 0 {
		return
	}
	held := one(w, w.tokens)
	if held.refresh == "" {
		return
	}
	w.tell("tokens of %s are refreshed for %s", held.browser, held.client)
	reply := w.dies(held, func() lab.Reply { return w.node().Refresh(held.client, held.refresh) })
	if reply.Status != http.StatusOK {
		return
	}
	_, said := peek(w.t, reply.Text("access_token"))
	at, _ := said["auth_time"].(float64)
	if said["acr"] != held.acr || int64(at) != held.authTime || said["sub"] != held.user {
		w.wrong("refreshed, it says %v, and %+v before", said, *held)
	}
	held.access = reply.Text("access_token")
	if next := reply.Text("refresh_token"); next != "" {
		held.refresh = next
	}
}

// dies does what may not succeed for longer than a second after what it rests on has ended.
func (w *walk) dies(held *givenTokens, do func() lab.Reply) lab.Reply {
	reply := do()
	for !held.killed.IsZero() && reply.Status == http.StatusOK {
		if time.Since(held.killed) > time.Second {
			w.wrong("it works %s after its end: %+v", time.Since(held.killed), *held)
		}
		time.Sleep(5 * time.Millisecond)
		reply = do()
	}
	return reply
}

func (w *walk) call() {
	if len(w.tokens) == 0 {
		return
	}
	held := one(w, w.tokens)
	method, path, scope, rung, fresh := "GET", "/accounts/balance", "accounts.read", lab.Basic, int64(0)
	if w.chance(60) {
		method, path, scope, rung, fresh = "POST", "/accounts/transfers", "transfers.write", lab.Strong, 300
	}
	reply := w.dies(held, func() lab.Reply { return w.h.Call(method, path, held.access) })
	w.tell("%s with tokens of %s: %d", path, held.browser, reply.Status)
	if reply.Status != http.StatusOK {
		return
	}
	old := w.h.Clock.Now().Unix() - held.authTime
	if heightOf(held.acr) < heightOf(rung) || fresh > 0 && old > fresh+1 || !slices.Contains(strings.Fields(held.scope), scope) {
		w.wrong("%s %s is let through with %q and %s of %d s ago", method, path, held.scope, held.acr, old)
	}
}

// demanded holds what a client may count on: an essential level, and how long ago it was proved. What was asked for within
// the transaction may have taken its time.
func (w *walk) demanded(given givenCode, held *givenTokens) {
	const patience = 5 * 60
	for i := 0; i < len(given.asked); i += 2 {
		switch value := given.asked[i+1]; given.asked[i] {
		case "claims":
			essential := lab.Strong
			if strings.Contains(value, top) {
				essential = top
			}
			if heightOf(held.acr) < heightOf(essential) {
				w.wrong("%s: %s is essential, and %s is given", given.browser, essential, held.acr)
			}
		case "max_age":
			most, err := strconv.ParseInt(value, 10, 64)
			must(w.t, err)
			if old := given.at - held.authTime; given.direct && (most == 0 || old > most+1) || old > max(most, patience)+1 {
				w.wrong("%s: max_age is %s, and it was %d s ago", given.browser, value, old)
			}
		}
	}
}

// warranted holds an acr and its time against what was proved: there is a set of factors for it, all proved by that person
// in that browser, the oldest of them just then, and no newer whole set that the house knew of.
func (w *walk) warranted(browser, user, acr string, at int64, known []proven) {
	height := heightOf(acr)
	if height < 0 {
		w.wrong("%s: nobody knows the level %q", browser, acr)
	}
	warrants, newest := false, int64(0)
	for _, set := range walked[height].sets {
		fits, exact, oldest := true, false, int64(1<<62)
		for _, factor := range set {
			later, mine := false, int64(0)
			for _, one := range known {
				if one.browser != browser || one.user != user || one.factor != factor || one.dead {
					continue
				}
				later = later || one.to >= at
				exact = exact || one.from <= at && at <= one.to
				if one.sure && one.entered {
					mine = max(mine, one.from)
				}
			}
			fits, oldest = fits && later, min(oldest, mine)
		}
		warrants = warrants || fits && exact
		newest = max(newest, oldest)
	}
	if !warrants {
		w.wrong("%s: %s of %s at %d was never proved there: %+v", browser, acr, user, at, known)
	}
	if at < newest {
		w.wrong("%s: %s of %s was proved at %d, and %d is said: %+v", browser, acr, user, newest, at, known)
	}
}

// silently asks who is signed in for proofs that are not old, without a page: what comes is judged by demanded.
func (w *walk) silently(b *window) {
	before := len(w.codes)
	w.ask(b, w.node(), lab.WebB, []string{"scope", "openid accounts.read", "prompt", "none", "max_age", one(w, []string{"10", "60", "300"})})
	if len(w.codes) > before {
		given := w.codes[before]
		w.codes = w.codes[:before]
		w.cash(given)
	}
}

// hold looks, after an act, at what everybody could see.
func (w *walk) hold() {
	b := one(w, w.windows)
	reply := w.ask(b, w.node(), lab.WebB, []string{"scope", "openid accounts.read", "prompt", "none"})
	if back, _ := reply.Sent(lab.Redirect(lab.WebB)); back.Get("code") != "" {
		given := w.codes[len(w.codes)-1]
		w.codes = w.codes[:len(w.codes)-1]
		if held := w.cash(given); held != nil && b.certain && (b.current == nil || held.user != b.current.user.ID) {
			w.wrong("%s: tokens for %s", b.name, held.user)
		}
		w.silently(b)
		return
	}
	if b.certain && b.current != nil {
		return // signed in, and asked for more
	}
	for _, p := range w.people {
		if slices.ContainsFunc(w.proofs, func(one *proven) bool {
			return one.browser == b.name && one.user == p.user.ID && one.entered && !one.dead
		}) {
			return // set aside, perhaps
		}
	}
	w.opensNothing(b)
}

// opensNothing holds that who has proved nothing, or half of it, finds every door closed.
func (w *walk) opensNothing(b *window) {
	node := w.node()
	for _, path := range []string{"/account", "/account/security", "/account/devices", "/account/habits"} {
		if reply := node.Get(path, b.cookie()...); reply.Status != http.StatusSeeOther || !strings.HasPrefix(reply.Header.Get("Location"), "/signin") {
			w.wrong("%s: half a sign-in opens %s: %d to %s", b.name, path, reply.Status, reply.Header.Get("Location"))
		}
	}
	values := slices.Collect(maps.Values(b.cookies))
	for _, page := range b.pages {
		values = append(values, page.flow)
	}
	for _, value := range values {
		if value == "" {
			continue
		}
		for where, reply := range map[string]lab.Reply{
			"userinfo": node.Get("/userinfo", "Authorization", "Bearer "+value, "Cookie", b.cookie()[1]),
			"the Gate": w.h.Call("GET", "/accounts/balance", value, "Cookie", b.cookie()[1]),
		} {
			if reply.Status != http.StatusUnauthorized {
				w.wrong("%s: half a sign-in opens %s: %d", b.name, where, reply.Status)
			}
		}
	}
}
