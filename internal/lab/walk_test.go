package lab_test

import (
	"crypto/rand"
	"fmt"
	"html"
	mathrand "math/rand/v2"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/lab"
	"github.com/gardeauth/garde/internal/otp"
	"github.com/gardeauth/garde/recipe"
)

// walked are the levels of the house that is walked, once more and apart from the recipe: the oracle knows nothing else.
var walked = []struct {
	acr  string
	sets [][]string
}{
	{lab.Basic, [][]string{{"password"}, {"passkey"}}},
	{lab.Strong, [][]string{{"passkey"}, {"password", "totp"}, {"password", "recovery_code"}}},
	{top, [][]string{{"password", "passkey"}}},
}

func walking(r *recipe.Recipe) {
	climbing(r)
	r.Levels = append(r.Levels, recipe.Level{Name: "top", ACR: top, Any: []string{"password+passkey"}})
	addWeighed(r)
	pay := r.APIs["weighed"].Operations["POST /pay"]
	pay.Level, pay.Fresh = "strong", recipe.Duration(5*time.Minute)
	r.APIs["weighed"].Operations["POST /pay"] = pay
}

func heightOf(acr string) int {
	return slices.IndexFunc(walked, func(rung struct {
		acr  string
		sets [][]string
	}) bool {
		return rung.acr == acr
	})
}

// proven is one right proof that was sent from a browser: what the house may believe, and, where it is sure that the house
// took it, what it must know.
type proven struct {
	browser, user, factor, credential, flow string
	from, to                                int64 // the seconds between which it was sent
	sure                                    bool  // the house said that it took it
	entered                                 bool  // into a session
	dead                                    bool
}

// secretly is the content of a form field that proves, and whether the house has taken it already.
type secretly struct {
	person             *soul
	factor, credential string
	value              string
	spent              bool
}

// soul is a person as the walk knows them.
type soul struct {
	*climber
	shown     time.Time // when the app showed the newest code that was read from it
	codes     []string  // recovery codes that are left
	held      map[string]bool
	passkeyID string
}

// window is one browser.
type window struct {
	*at
	name    string
	current *soul // who is signed in, if certain
	certain bool
	aside   map[*soul]bool // who has a further session there, perhaps
	pages   []*leaf
	era     int // grows when something changes that pages were made for
}

// leaf is a page that a browser was shown.
type leaf struct {
	reply  lab.Reply
	flow   string
	kind   string // signin, next, consent, choose
	by     string // of next: the factor
	person string // of next: the username
	client string
	era    int
	used   bool
}

type sentForm struct {
	path, flow, owner string
	form              map[string][]string
	proof             *secretly
	client            string
}

type givenCode struct {
	client  string
	reply   lab.Reply
	browser string
	known   []proven // as it stood when the code was given
	asked   []string // the parameters of its request
	at      int64
	direct  bool // no page was between
}

type givenTokens struct {
	client, browser, access, refresh string
	acr, user, scope                 string
	authTime                         int64
	killed                           time.Time // real time at which what it rests on was ended; zero: it was not
}

type walk struct {
	t       *testing.T
	h       *lab.House
	seed    uint64
	dice    *mathrand.Rand
	people  []*soul
	windows []*window
	proofs  []*proven
	forms   []sentForm
	codes   []givenCode
	tokens  []*givenTokens
	asked   map[string][]string // the parameters of the request behind a transaction
	story   []string
}

func (w *walk) tell(format string, args ...any) {
	w.story = append(w.story, fmt.Sprintf(format, args...))
}

func (w *walk) wrong(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("seed %d, act %d: %s\n%s", w.seed, len(w.story), fmt.Sprintf(format, args...), strings.Join(w.story[max(0, len(w.story)-40):], "\n"))
}

func (w *walk) node() *lab.Node { return w.h.Nodes[w.dice.IntN(len(w.h.Nodes))] }

func one[T any](w *walk, of []T) T { return of[w.dice.IntN(len(of))] }

func (w *walk) chance(percent int) bool { return w.dice.IntN(100) < percent }

func (w *walk) soulOf(user string) *soul {
	at := slices.IndexFunc(w.people, func(p *soul) bool { return p.user.ID == user || p.user.Username == user })
	if at < 0 {
		return nil
	}
	return w.people[at]
}

// TestNoWalkReachesALevelWithoutItsFactors walks two people at random through sign-ins, step-ups and everything that may
// come between, in two browsers at two nodes, and holds after each act that nothing claims more than was proved, by that
// person, in that browser, and since it was last ended there; that whoever proves all that is asked arrives; and that half a
// sign-in opens nothing. WALK_SEED repeats one walk.
func TestNoWalkReachesALevelWithoutItsFactors(t *testing.T) {
	walks, acts := 4, 60
	if testing.Short() {
		walks, acts = 1, 25
	}
	until := time.Time{}
	if lasts, err := time.ParseDuration(os.Getenv("GARDE_SOAK")); err == nil {
		until = time.Now().Add(lasts)
	}
	seed, err := strconv.ParseUint(os.Getenv("WALK_SEED"), 10, 64)
	if err == nil {
		walks = 1
	} else {
		seed = mathrand.Uint64()
	}
	h := onLocalhost(t, lab.Options{Engine: lab.Postgres, Nodes: 2, Gate: true, Recipe: walking, Files: weighedFiles})
	for i := 0; i < walks || time.Now().Before(until); i++ {
		seed := seed + uint64(i)
		w := newWalk(t, h, seed)
		for range acts {
			w.act()
			w.hold()
		}
		w.tally()
	}
}

// tally tells how far a walk came: one that reaches nothing proves nothing.
func (w *walk) tally() {
	reached := map[string]int{}
	for _, held := range w.tokens {
		reached[held.acr]++
	}
	w.t.Logf("seed %d: %d forms, %d proofs, tokens by level %v", w.seed, len(w.forms), len(w.proofs), reached)
	if len(w.tokens) == 0 {
		w.wrong("the walk reached nothing")
	}
}

func newWalk(t *testing.T, h *lab.House, seed uint64) *walk {
	w := &walk{t: t, h: h, seed: seed, asked: map[string][]string{}, dice: mathrand.New(mathrand.NewPCG(seed, 1))}
	for _, name := range []string{"ada", "ben"} {
		p := &soul{held: map[string]bool{"password": true, "passkey": true, "totp": true, "recovery_code": true}}
		p.climber = newClimber(t, h, fmt.Sprintf("%s-%s", name, strings.ToLower(rand.Text()[:8])))
		must(t, h.Store().RevokeConsent(t.Context(), p.user.ID, lab.WebA)) // of one client they are asked
		kept, err := h.Server.House.Authenticators(t.Context(), p.user.ID)
		must(t, err)
		for _, each := range kept {
			if each.Kind == iam.FactorPasskey {
				p.passkeyID = each.ID
			}
		}
		w.people = append(w.people, p)
		w.print(p)
	}
	for _, name := range []string{"left", "right"} {
		w.windows = append(w.windows, &window{at: &at{t, map[string]string{}}, name: name, certain: true, aside: map[*soul]bool{}})
	}
	return w
}

// print gives a person new recovery codes.
func (w *walk) print(p *soul) {
	p.codes = otp.NewRecovery()
	var hashes []iam.Digest
	for _, code := range p.codes {
		hashes = append(hashes, otp.HashRecovery(p.user.ID, code))
	}
	must(w.t, w.h.Server.House.SetRecovery(w.t.Context(), p.user.ID, hashes))
	for _, f := range w.forms {
		if f.proof != nil && f.proof.person == p && f.proof.factor == "recovery_code" {
			f.proof.spent = true
		}
	}
}

// act does one thing.
func (w *walk) act() {
	b := one(w, w.windows)
	switch dice := w.dice.IntN(100); {
	case dice < 8:
		w.begin(b)
	case dice < 44:
		w.answerAny(b)
	case dice < 55:
		w.climb(b)
	case dice < 62:
		w.replay()
	case dice < 67:
		w.elsewhere(b)
	case dice < 71:
		w.signOut(b)
	case dice < 73:
		w.endEverywhere()
	case dice < 78:
		w.changeFactor()
	case dice < 84:
		w.redeem()
	case dice < 88:
		w.refresh()
	case dice < 93:
		w.call()
	default:
		d := one(w, []time.Duration{10 * time.Second, 40 * time.Second, 3 * time.Minute, 6 * time.Minute, 20 * time.Minute})
		w.tell("%s pass", d)
		w.h.Pass(d)
	}
}

// wishes are random parameters of an authorization request.
func (w *walk) wishes() (client string, pairs []string) {
	client = one(w, []string{lab.WebA, lab.WebB})
	pairs = append(pairs, "scope", one(w, []string{"openid", "openid accounts.read", "openid accounts.read transfers.write", "openid transfers.write"}))
	if w.chance(50) {
		pairs = append(pairs, "acr_values", one(w, []string{lab.Basic, lab.Strong, top, top + " " + lab.Strong, "urn:test:nowhere"}))
	}
	if w.chance(15) {
		pairs = append(pairs, "claims", `{"id_token":{"acr":{"essential":true,"values":["`+one(w, []string{lab.Strong, top})+`"]}}}`)
	}
	if w.chance(25) {
		pairs = append(pairs, "max_age", one(w, []string{"0", "10", "60", "300"}))
	}
	if w.chance(30) {
		pairs = append(pairs, "prompt", one(w, []string{"none", "login", "consent", "select_account", "login consent"}))
	}
	if w.chance(10) {
		client, pairs = lab.WebA, append(pairs, "authorization_details", `[{"type":"payment","amount":100}]`)
		pairs[1] = "openid"
	}
	return client, pairs
}

func (w *walk) ask(b *window, node *lab.Node, client string, pairs []string) lab.Reply {
	query := lab.Ask(client)
	for i := 0; i < len(pairs); i += 2 {
		query.Set(pairs[i], pairs[i+1])
	}
	before := len(w.codes)
	reply := w.follow(b, node, b.get(node, "/authorize?"+query.Encode()), client)
	if page := read(reply, client); page != nil {
		w.asked[page.flow] = pairs
	} else if len(w.codes) > before {
		given := &w.codes[len(w.codes)-1]
		given.asked, given.direct = pairs, true
	}
	return reply
}

// follow goes where redirects lead within the house, keeps what they end at, and holds it against what is known.
func (w *walk) follow(b *window, node *lab.Node, reply lab.Reply, client string) lab.Reply {
	flow := ""
	for range 10 {
		to := reply.Header.Get("Location")
		if reply.Status != http.StatusSeeOther || !strings.HasPrefix(to, "/") {
			break
		}
		if _, key, found := strings.Cut(to, "flow="); found {
			flow, _, _ = strings.Cut(key, "&")
		}
		reply = b.get(node, to)
	}
	if reply.Status >= 500 {
		w.wrong("%d: %s", reply.Status, reply.Body)
	}
	if back, ok := reply.Sent(lab.Redirect(client)); ok && back.Get("code") != "" {
		w.tell("  %s gets a code for %s", b.name, client)
		w.codes = append(w.codes, givenCode{client, reply, b.name, w.snapshot(b.name), w.asked[flow], w.h.Clock.Now().Unix(), false})
	}
	if page := read(reply, client); page != nil {
		page.era = b.era
		b.pages = append(b.pages, page)
		b.pages = b.pages[max(0, len(b.pages)-5):]
	}
	return reply
}

func (w *walk) snapshot(browser string) (known []proven) {
	for _, p := range w.proofs {
		if p.browser == browser && !p.dead {
			known = append(known, *p)
		}
	}
	b := w.window(browser)
	if !b.certain { // what the house knows of it can't be told
		for i := range known {
			known[i].sure = false
		}
	}
	return known
}

func (w *walk) window(name string) *window {
	return w.windows[slices.IndexFunc(w.windows, func(b *window) bool { return b.name == name })]
}

var (
	flowIn    = regexp.MustCompile(`name="flow" value="([^"]*)"`)
	byIn      = regexp.MustCompile(`name="by" value="([^"]*)"`)
	optionsIn = regexp.MustCompile(`data-options="([^"]*)"`)
	whoIn     = regexp.MustCompile(`(?s)id="prove-who">.*?((?:ada|ben)-[a-z0-9]{8})`)
)

// read tells what a page asks; nil: it asks for nothing that leads on.
func read(reply lab.Reply, client string) *leaf {
	body := string(reply.Body)
	page := &leaf{reply: reply, client: client}
	if found := flowIn.FindStringSubmatch(body); found != nil {
		page.flow = found[1]
	}
	switch {
	case page.flow == "":
		return nil
	case strings.Contains(body, `action="/signin/next"`):
		page.kind = "next"
		if found := byIn.FindStringSubmatch(body); found != nil {
			page.by = found[1]
		}
		if found := whoIn.FindStringSubmatch(body); found != nil {
			page.person = found[1]
		}
	case strings.Contains(body, `action="/signin"`):
		page.kind = "signin"
	case strings.Contains(body, `name="decision"`):
		page.kind = "consent"
	case strings.Contains(body, `action="/choose"`):
		page.kind = "choose"
	default:
		return nil
	}
	return page
}

func (w *walk) begin(b *window) lab.Reply {
	client, pairs := w.wishes()
	w.tell("%s asks for %s %v", b.name, client, pairs)
	return w.ask(b, w.node(), client, pairs)
}

// secret gives a right proof of a factor, or nil if the person has none now.
func (w *walk) secret(p *soul, factor string, page *leaf) *secretly {
	if !p.held[factor] {
		return nil
	}
	proof := &secretly{person: p, factor: factor}
	switch factor {
	case "password":
		proof.value = lamp
	case "totp":
		if now := w.h.Clock.Now(); now.Unix()/30 <= p.shown.Unix()/30 {
			w.h.Pass(31 * time.Second)
		}
		p.shown = w.h.Clock.Now()
		code, err := otp.Code(p.secret, p.shown)
		must(w.t, err)
		proof.value, proof.credential = code, p.app
	case "recovery_code":
		if len(p.codes) == 0 {
			w.print(p)
		}
		proof.value, p.codes = p.codes[0], p.codes[1:]
	case "passkey":
		options := optionsIn.FindSubmatch(page.reply.Body)
		if options == nil {
			return nil
		}
		said, err := p.key.Get(html.UnescapeString(string(options[1])))
		if err != nil { // the page asks for somebody else's
			return nil
		}
		proof.value, proof.credential = said, p.passkeyID
	}
	return proof
}

var fieldOf = map[string]string{"password": "password", "totp": "code", "recovery_code": "recovery_code", "passkey": "answer"}

// answerAny answers a page that the browser was shown, the last or one before, rightly or not.
func (w *walk) answerAny(b *window) {
	if len(b.pages) == 0 || w.chance(30) {
		w.begin(b)
	}
	if len(b.pages) == 0 {
		return
	}
	page := b.pages[len(b.pages)-1]
	if w.chance(15) {
		page = one(w, b.pages)
	}
	node := w.node()
	switch page.kind {
	case "consent":
		w.decide(b, node, page, one(w, []string{"allow", "allow", "deny"}))
		return
	case "choose":
		w.choose(b, node, page)
		return
	}
	if page.kind == "next" && w.chance(20) { // "not you?"
		w.tell("%s: somebody else goes on", b.name)
		w.follow(b, node, b.get(node, "/signin?other=1&flow="+page.flow), page.client)
		page = b.pages[len(b.pages)-1]
	}
	by, p := page.by, w.soulOf(page.person)
	if page.kind == "signin" {
		by = one(w, []string{"password", "password", "passkey", "totp"})
	}
	if p == nil || w.chance(15) {
		p = one(w, w.people)
	}
	if page.kind == "next" && w.chance(30) { // by another way, which the page may offer or not
		by = one(w, []string{"password", "passkey", "totp", "recovery_code"})
		next := w.follow(b, node, b.get(node, "/signin/next?flow="+page.flow+"&by="+by), page.client)
		if shown := read(next, page.client); shown == nil || shown.kind != "next" || shown.by != by {
			return
		}
		page = b.pages[len(b.pages)-1]
	}
	proof := w.secret(p, by, page)
	switch {
	case proof == nil, w.chance(20):
		wrong := map[string]string{"password": "not the lamp at all", "totp": "000000", "recovery_code": "aaaa-bbbb-cccc", "passkey": "{}"}[by]
		w.tell("%s: a wrong %s for %s", b.name, by, p.user.Username)
		w.send(b, node, page, by, p, nil, wrong)
	default:
		w.tell("%s: the %s of %s on a page of %q (%s)", b.name, by, p.user.Username, page.person, page.kind)
		w.send(b, node, page, by, p, proof, proof.value)
	}
}

// send sends a page's form.
func (w *walk) send(b *window, node *lab.Node, page *leaf, by string, p *soul, proof *secretly, value string) lab.Reply {
	path := "/signin"
	if page.kind == "next" {
		path = "/signin/next"
	}
	form := lab.Form("by", by, "username", p.user.Username, fieldOf[by], value)
	for _, hidden := range regexp.MustCompile(`type="hidden" name="(\w+)" value="([^"]*)"`).FindAllStringSubmatch(string(page.reply.Body), -1) {
		if !form.Has(hidden[1]) {
			form.Set(hidden[1], hidden[2])
		}
	}
	sent := sentForm{path, page.flow, b.name, form, proof, page.client}
	w.forms = append(w.forms, sent)
	fresh := page.era == b.era && !page.used && (page.kind == "signin" || page.by == by && page.person == p.user.Username)
	page.used = true
	for _, other := range b.pages { // of one transaction the last page counts
		if other.flow == page.flow && other != page {
			other.used = true
		}
	}
	if page.kind == "next" && page.person != "" && page.person != p.user.Username {
		sent.proof = nil // of nobody who is asked here
	}
	return w.post(b, node, sent, fresh)
}

// post sends a form and writes down what it proves. fresh: what the answer says can be trusted.
func (w *walk) post(b *window, node *lab.Node, sent sentForm, fresh bool) lab.Reply {
	proof, from := sent.proof, w.h.Clock.Now().Unix()
	reply := b.keep(node.Post(sent.path, sent.form, b.cookie()...))
	to := reply.Header.Get("Location")
	entered := reply.Status == http.StatusSeeOther && (strings.HasPrefix(to, "/authorize") || to == "/account")
	took := entered || reply.Status == http.StatusSeeOther && strings.HasPrefix(to, "/signin/next")
	spent := proof != nil && proof.spent
	switch {
	case fresh && took && (proof == nil || spent):
		w.wrong("%s: what proves nothing, or proved before, was taken: %v leads to %s", b.name, sent.form, to)
	case took && !spent && proof != nil && sent.owner == b.name:
		w.proofs = append(w.proofs, &proven{
			browser: b.name, user: proof.person.user.ID, factor: proof.factor, credential: proof.credential, flow: sent.flow,
			from: from, to: w.h.Clock.Now().Unix(), sure: fresh,
		})
		proof.spent = fresh && proof.factor != "password"
	}
	if entered {
		w.enters(b, sent, proof, fresh)
	}
	return w.follow(b, node, reply, sent.client)
}
