package demo_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/demo"
	"github.com/gardeauth/garde/recipe"
)

// shown checks the proof of a request, if it has one, and gives the thumbprint of its key.
func (g *garde) shown(w http.ResponseWriter, r *http.Request, address, token string) (jkt, fault string) {
	proof := r.Header.Get("DPoP")
	if proof == "" {
		return "", ""
	}
	head, _, _ := strings.Cut(proof, ".")
	raw, _ := base64.RawURLEncoding.DecodeString(head)
	var header struct {
		Typ, Alg string
		JWK      map[string]string
	}
	if json.Unmarshal(raw, &header) != nil || header.Typ != "dpop+jwt" || header.Alg != "ES256" || len(header.JWK) != 4 {
		return "", "invalid_dpop_proof"
	}
	x, _ := base64.RawURLEncoding.DecodeString(header.JWK["x"])
	y, _ := base64.RawURLEncoding.DecodeString(header.JWK["y"])
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
	if err != nil {
		return "", "invalid_dpop_proof"
	}
	_, claims, ok := verified(proof, public)
	g.proofs = append(g.proofs, claims)
	hash := sha256.Sum256([]byte(token))
	if token != "" && claims["ath"] != b64(hash[:]) || token == "" && claims["ath"] != nil {
		ok = false
	}
	made, _ := claims["iat"].(float64)
	if age := time.Since(time.Unix(int64(made), 0)); !ok || age > time.Minute || age < -time.Second || claims["htm"] != r.Method || claims["htu"] != address {
		return "", "invalid_dpop_proof"
	}
	if g.restless {
		g.nonce = rand.Text()
	}
	if g.nonce != "" && claims["nonce"] != g.nonce {
		w.Header().Set("DPoP-Nonce", g.nonce)
		return "", "use_dpop_nonce"
	}
	if g.jtis[claims["jti"]] {
		return "", "invalid_dpop_proof"
	}
	g.jtis[claims["jti"]] = true
	sum := sha256.Sum256([]byte(`{"crv":"P-256","kty":"EC","x":"` + header.JWK["x"] + `","y":"` + header.JWK["y"] + `"}`))
	return b64(sum[:]), ""
}

func (g *garde) par(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := r.ParseForm(); err != nil {
		g.t.Error(err)
	}
	if fault := g.proved(r.PostForm); fault != "" {
		g.say(w, 401, map[string]string{"error": "invalid_client", "error_description": fault})
		return
	}
	if _, fault := g.shown(w, r, g.site.Issuer+"/par", ""); fault != "" {
		g.say(w, 400, map[string]string{"error": fault})
		return
	}
	name := "urn:ietf:params:oauth:request_uri:" + rand.Text()
	g.pushed[name] = r.PostForm
	answer := map[string]any{"request_uri": name, "expires_in": 60}
	if g.twistPushed != nil {
		g.twistPushed(answer)
	}
	g.say(w, 201, answer)
}

// visitor is a browser at Budget.
func (g *garde) visitor() *browser {
	jar, _ := cookiejar.New(nil)
	return &browser{t: g.t, base: g.budget.URL, http: &http.Client{Jar: jar}}
}

func TestBudgetShowsTheBalanceByAProofForEachCall(t *testing.T) {
	g := newGarde(t)
	b := g.visitor()
	if page := b.get("/connect"); page.URL.Path != "/overview" || !strings.Contains(page.Body, `id="balance"`) {
		t.Fatalf("answered %s:\n%s", page.URL, page.Body)
	}
	asked := g.asked[0]
	if asked.Get("scope") != demo.BudgetScope || asked.Get("code_challenge_method") != "S256" || asked.Get("state") == "" ||
		!strings.HasPrefix(asked.Get("authorization_details"), `[{"type":"account_information","until":"20`) {
		t.Errorf("P01 it asked for %v", asked)
	}
	if len(g.asked) != 1 || len(g.pushed) != 1 {
		t.Errorf("pushed %d, asked %d times", len(g.pushed), len(g.asked))
	}
	seen := map[any]bool{}
	for _, claims := range g.proofs {
		if seen[claims["jti"]] {
			t.Error("D08 a proof was shown twice")
		}
		seen[claims["jti"]] = true
	}
	before := len(g.proofs)
	g.nonce = "n-2"
	if page := b.get("/overview"); page.Status != 200 || !strings.Contains(page.Body, `id="balance"`) {
		t.Errorf("after a new nonce: %d at %s", page.Status, page.URL)
	}
	if made := len(g.proofs) - before; made != 3 { // one refused, one in its place, one for the second call
		t.Errorf("D14 %d proofs after a new nonce", made)
	}
	if page := b.get("/overview"); !strings.Contains(page.Body, "the person did not allow this") {
		t.Errorf("what was not allowed was shown:\n%s", page.Body)
	}
}

func TestBudgetIsNotTalkedOutOfItsKey(t *testing.T) {
	for name, row := range map[string]struct {
		twist  func(*garde)
		status int
	}{
		"D12 the token is none that is bound":    {func(g *garde) { g.twistToken = func(a map[string]any) { a["token_type"] = "Bearer" } }, 502},
		"P01 the server knows no PAR":            {meta(func(m map[string]any) { delete(m, "pushed_authorization_request_endpoint") }), 400},
		"K18 the request is to go elsewhere":     {meta(func(m map[string]any) { m["pushed_authorization_request_endpoint"] = "http://127.0.0.1:9/par" }), 400},
		"the server knows no DPoP":               {meta(func(m map[string]any) { delete(m, "dpop_signing_alg_values_supported") }), 400},
		"the pushed request has no name":         {func(g *garde) { g.twistPushed = func(a map[string]any) { delete(a, "request_uri") } }, 502},
		"D14 the server is never content":        {func(g *garde) { g.restless = true }, 502},
		"K01 the answer is to another's request": {func(g *garde) { g.twistAnswer = func(v url.Values) { v.Set("state", "x") } }, 400},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGarde(t)
			row.twist(g)
			b := g.visitor()
			if page := b.get("/connect"); page.Status != row.status {
				t.Errorf("answered %d at %s, want %d", page.Status, page.URL, row.status)
			}
			if _, err := os.Stat(filepath.Join(g.dir, "budget-grant.json")); err == nil || len(g.proofs) > 4 {
				t.Errorf("it was given something, or asked too often: %d proofs", len(g.proofs))
			}
			if page := b.get("/overview"); page.URL.Path != "/" {
				t.Error("a visit is open")
			}
		})
	}
}

func meta(twist func(map[string]any)) func(*garde) {
	return func(g *garde) { g.twistMeta = twist }
}

func TestSteal(t *testing.T) {
	steal := func(g *garde, asJSON, colour bool) (string, error) {
		var out bytes.Buffer
		err := demo.Theft{Site: g.site, Dir: g.dir, Out: &out, JSON: asJSON, Colour: colour}.Steal(t.Context())
		return out.String(), err
	}
	g := newGarde(t)
	if _, err := steal(g, false, false); err == nil || !strings.Contains(err.Error(), "connect an account at "+g.site.Budget) {
		t.Errorf("before anybody connected: %v", err)
	}
	b := g.visitor()
	b.get("/connect")
	t.Run("D08 D10 D12 a thief gets nothing, and the owner goes on", func(t *testing.T) {
		plain, err := steal(g, false, false)
		if err != nil || strings.Count(plain, "401 Unauthorized") != 4 || strings.Count(plain, "200 OK") != 2 || strings.Contains(plain, "\x1b") {
			t.Errorf("%v\n%s", err, plain)
		}
		if coloured, err := steal(g, false, true); err != nil || !strings.Contains(coloured, "\x1b[31m401 Unauthorized") {
			t.Errorf("%v\n%s", err, coloured)
		}
		text, err := steal(g, true, true)
		var calls []map[string]any
		if err != nil || json.Unmarshal([]byte(text), &calls) != nil || len(calls) != 6 || strings.Contains(text, "\x1b") {
			t.Errorf("%v\n%s", err, text)
		}
		kept, err := os.ReadFile(filepath.Join(g.dir, "budget-grant.json"))
		var grant struct {
			Access string `json:"access_token"`
		}
		if err != nil || json.Unmarshal(kept, &grant) != nil || grant.Access == "" || strings.Contains(plain+text, grant.Access) {
			t.Errorf("a whole token was printed, or none is kept: %v", err)
		}
		if info, err := os.Stat(filepath.Join(g.dir, "budget-grant.json")); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("others may read the token: %v", err)
		}
	})
	t.Run("a token that has run out is renewed first", func(t *testing.T) {
		path := filepath.Join(g.dir, "budget-grant.json")
		var grant map[string]any
		if text, err := os.ReadFile(path); err != nil || json.Unmarshal(text, &grant) != nil {
			t.Fatal(err)
		}
		grant["expires"] = time.Now().Add(-time.Minute)
		text, _ := json.Marshal(grant)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		before := len(g.exchanged)
		if out, err := steal(g, false, false); err != nil || len(g.exchanged) == before || g.exchanged[len(g.exchanged)-1].Get("grant_type") != "refresh_token" {
			t.Errorf("%d token requests: %v\n%s", len(g.exchanged)-before, err, out)
		}
	})
	t.Run("a Gate that takes the token from anybody is found out", func(t *testing.T) {
		g.openGate = true
		out, err := steal(g, false, false)
		if !errors.Is(err, demo.ErrWorth) || !strings.Contains(out, "This is not what should have happened") || strings.Contains(out, "worth nothing") {
			t.Errorf("%v\n%s", err, out)
		}
		if page := b.get("/theft"); !strings.Contains(page.Body, "This is not what should have happened") || strings.Contains(page.Body, `id="moral"`) {
			t.Errorf("the page says nothing of it:\n%s", page.Body)
		}
		g.openGate = false
	})
	t.Run("after disconnecting there is nothing left", func(t *testing.T) {
		page := b.post("/disconnect", map[string][]string{"csrf": {field(b.get("/overview").Body, `name="csrf"`)}})
		if page.Status != 200 || !strings.Contains(page.Body, `id="disconnected"`) || len(g.refresh) != 0 {
			t.Errorf("answered %d, %d refresh tokens live", page.Status, len(g.refresh))
		}
		if _, err := steal(g, false, false); err == nil {
			t.Error("there was still a token")
		}
	})
}

// TestBudgetMeetsFAPIButForHTTPS: what a recipe of http can't say by the profile's one word, it says by its members.
func TestBudgetMeetsFAPIButForHTTPS(t *testing.T) {
	client := theRecipe(t).Clients[demo.BudgetClient]
	demands := recipe.FAPI2Security.Demands()
	if !client.PAR || !client.DPoP || !slices.Contains(demands.Auth, client.Auth) || client.Rotate {
		t.Errorf("it declares %+v", client)
	}
	breaches := recipe.FAPI2Security.Refusals(client)
	if len(breaches) != 1 || breaches[0].Name != "https redirects" {
		t.Errorf("it does not meet %v", breaches)
	}
}
