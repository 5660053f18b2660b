package authorize_test

import (
	"encoding/base64"
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/server/request"
	"github.com/gardeauth/garde/internal/token"
	"github.com/gardeauth/garde/recipe"
)

// claims reads a JWT of this server, whose signature it checks.
func (h *house) claims(text string) map[string]any {
	h.t.Helper()
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		h.t.Fatalf("no JWT: %q", text)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	h.must(err)
	var header struct{ Kid string }
	raw, err := base64.RawURLEncoding.DecodeString(parts[0])
	h.must(err)
	h.must(json.Unmarshal(raw, &header))
	key, err := h.Key(h.t.Context(), header.Kid)
	h.must(err)
	h.must(verifies(key, text))
	var claims map[string]any
	h.must(json.Unmarshal(payload, &claims))
	return claims
}

func verifies(key jose.PublicKey, text string) error {
	unverified, err := jose.Parse(text)
	if err != nil {
		return err
	}
	_, err = key.Verify(unverified)
	return err
}

func TestTheFrontChannelGivesWhatWasAsked(t *testing.T) {
	h := open(t)
	b := h.browser().signIn("u-alice")
	for types, gives := range map[string][]string{
		"id_token":            {"id_token"},
		"id_token token":      {"access_token", "id_token"},
		"code id_token":       {"code", "id_token"},
		"code token":          {"access_token", "code"},
		"code id_token token": {"access_token", "code", "id_token"},
	} {
		t.Run(types, func(t *testing.T) {
			got := b.get("/authorize?" + ask("front", "response_type", types, "nonce", "n-1"))
			got.t = t
			if !strings.HasPrefix(got.location(), "https://front.example/cb#") || strings.Contains(got.location(), "?") {
				t.Fatalf("status %d, location %q %s", got.status, got.location(), got.body)
			}
			values := got.gives(gives[0], "").values()
			want := append(slices.Clone(gives), "iss", "state")
			if slices.Contains(gives, "access_token") {
				want = append(want, "expires_in", "scope", "token_type")
				if values.Get("token_type") != "Bearer" || values.Get("expires_in") != "300" {
					t.Errorf("an access token of %s for %s", values.Get("token_type"), values.Get("expires_in"))
				}
			}
			var names []string
			for name := range values {
				names = append(names, name)
			}
			slices.Sort(names)
			slices.Sort(want)
			if !slices.Equal(names, want) {
				t.Errorf("it gives %v, want %v", names, want)
			}
			h.hashes(t, values)
			if code := values.Get("code"); code != "" {
				stored, err := h.tenant.Try(t.Context(), iam.CodeProof{Hash: iam.HashCode(code), Client: "front", Challenge: challenge}, h.now())
				if err != nil || stored.Grant.User != "u-alice" {
					t.Errorf("its code: %+v, %v", stored, err)
				}
			}
		})
	}
}

// hashes holds an ID token to what stands beside it (OpenID Connect Core section 3.3.2.11).
func (h *house) hashes(t *testing.T, values url.Values) {
	t.Helper()
	if !values.Has("id_token") {
		return
	}
	claims := h.claims(values.Get("id_token"))
	if claims["nonce"] != "n-1" || claims["aud"] != "front" || claims["sub"] != "u-alice" {
		t.Errorf("the ID token says %v", claims)
	}
	for name, claim := range map[string]string{"access_token": "at_hash", "code": "c_hash"} {
		want, there := any(nil), claims[claim]
		if values.Has(name) {
			want = token.LeftHash("ES256", values.Get(name))
		}
		if there != want {
			t.Errorf("%s is %v, want %v", claim, there, want)
		}
	}
}

func TestFrontChannelErrorsTravelLikeAnswers(t *testing.T) {
	h := open(t)
	b := h.browser().signIn("u-alice")
	for name, c := range map[string]struct{ query, code string }{
		"C25 no nonce":            {ask("front", "response_type", "code id_token"), "invalid_request"},
		"C16 another client":      {ask("own", "response_type", "id_token", "nonce", "n"), "unsupported_response_type"},
		"R28 a token by query":    {ask("front", "response_type", "code token", "response_mode", "query"), "invalid_request"},
		"nobody may be asked":     {ask("front", "response_type", "code id_token", "nonce", "n", "prompt", "none", "max_age", "0"), "login_required"},
		"for two APIs at once":    {ask("front", "response_type", "code token", "scope", "openid email", "resource", "https://evil.example"), "invalid_target"},
		"an unknown scope":        {ask("front", "response_type", "id_token token", "nonce", "n", "scope", "openid nothing"), "invalid_scope"},
		"C15 a type there is not": {ask("front", "response_type", "token"), "unsupported_response_type"},
	} {
		t.Run(name, func(t *testing.T) {
			got := b.get("/authorize?"+c.query).gives("error", c.code)
			if strings.Contains(got.location(), "?") || strings.Contains(got.location(), "token=") {
				t.Errorf("it goes to %s", got.location())
			}
		})
	}
}

func TestFrontChannelTokensAreOfStandingPeople(t *testing.T) {
	h := open(t)
	b := h.browser().signIn("u-alice")
	query := "/authorize?" + ask("front", "response_type", "code id_token token", "nonce", "n-1", "scope", "openid offline_access")
	b.get(query).gives("code", "")
	h.must(h.tenant.SetClientDisabled(t.Context(), "front", true))
	b.get(query).page("invalid_request")
	h.must(h.tenant.SetClientDisabled(t.Context(), "front", false))
	user, err := h.tenant.User(t.Context(), "u-alice")
	h.must(err)
	user.Disabled = true
	h.must(h.tenant.SetUser(t.Context(), user))
	b.get(query).to("/signin")
}

var postedField = regexp.MustCompile(`<input type="hidden" name="([a-z_]+)" value="([^"]*)">`)

// posted reads the form that a page posts to a client by itself.
func (s seen) posted(action string) url.Values {
	s.t.Helper()
	if s.status != http.StatusOK || !strings.Contains(s.body, `action="`+action+`"`) || s.location() != "" {
		s.t.Fatalf("status %d, location %q, %s", s.status, s.location(), s.body)
	}
	values := url.Values{}
	for _, found := range postedField.FindAllStringSubmatch(s.body, -1) {
		values.Add(found[1], html.UnescapeString(found[2]))
	}
	return values
}

func TestR25R27FormPost(t *testing.T) {
	h := open(t)
	b := h.browser().signIn("u-alice")
	const state = `"><svg onload=alert(1)>`
	got := b.get("/authorize?" + ask("front", "response_type", "code id_token token", "nonce", "n-1", "response_mode", "form_post", "state", state))
	values := got.posted(redirects["front"])
	if values.Get("state") != state || values.Get("iss") != h.server.URL || values.Get("code") == "" || values.Get("id_token") == "" || values.Get("access_token") == "" {
		t.Errorf("posted %v", values)
	}
	if strings.Contains(got.body, "<svg onload") || !strings.Contains(got.header.Get("Content-Security-Policy"), "https://front.example") {
		t.Errorf("R27 the page: %s", got.header.Get("Content-Security-Policy"))
	}
	failed := b.get("/authorize?" + ask("front", "response_type", "code id_token", "response_mode", "form_post")).posted(redirects["front"])
	if failed.Get("error") != "invalid_request" || failed.Get("state") != "st" || failed.Get("iss") != h.server.URL {
		t.Errorf("an error is posted as %v", failed)
	}
}

func TestP16SignedResponses(t *testing.T) {
	h := open(t)
	b := h.browser().signIn("u-alice")
	response := func(got seen, mode string) string {
		t.Helper()
		var values url.Values
		switch mode {
		case "form_post.jwt":
			values = got.posted(redirects["front"])
		default:
			values = got.values()
		}
		for name := range values {
			if name != "response" && name != "_" {
				t.Errorf("%s: %s stands beside the signature", mode, name)
			}
		}
		if query := strings.Contains(got.location(), "?response="); query != (mode == "jwt" || mode == "query.jwt") && mode != "form_post.jwt" {
			t.Errorf("%s goes to %s", mode, got.location())
		}
		return values.Get("response")
	}
	for _, mode := range []string{"jwt", "query.jwt", "fragment.jwt", "form_post.jwt"} {
		claims := h.claims(response(b.get("/authorize?"+ask("front", "response_mode", mode)), mode))
		if claims["iss"] != h.server.URL || claims["aud"] != "front" || claims["state"] != "st" || claims["code"] == nil || claims["exp"] == nil {
			t.Errorf("%s: %v", mode, claims)
		}
		failed := h.claims(response(b.get("/authorize?"+ask("front", "response_mode", mode, "prompt", "none", "max_age", "0")), mode))
		if failed["error"] != "login_required" || failed["iss"] != h.server.URL || failed["aud"] != "front" || failed["state"] != "st" {
			t.Errorf("an error by %s: %v", mode, failed)
		}
		early := h.claims(response(b.get("/authorize?"+ask("front", "response_mode", mode, "scope", "openid nothing")), mode))
		if early["error"] != "invalid_scope" {
			t.Errorf("an early error by %s: %v", mode, early)
		}
	}
	hybrid := b.get("/authorize?" + ask("front", "response_mode", "jwt", "response_type", "code id_token", "nonce", "n-1"))
	if claims := h.claims(hybrid.values().Get("response")); claims["id_token"] == nil || !strings.Contains(hybrid.location(), "#response=") {
		t.Errorf("hybrid: %v by %s", claims, hybrid.location())
	}
	pay := b.pushes("pay", "response_mode", "jwt")
	if claims := h.claims(b.get(pushed("pay", pay)).values().Get("response")); claims["aud"] != "pay" || claims["code"] == nil {
		t.Errorf("pushed: %v", claims)
	}
}

func TestExtraParametersAndPairwiseNames(t *testing.T) {
	h := open(t)
	h.front.Extra = func(_ http.ResponseWriter, _ *http.Request, to *request.Request) map[string]string {
		return map[string]string{"session_state": "of " + to.Client.ID}
	}
	h.front.Subject = func(client iam.Client, user string) string { return client.ID + "-" + user }
	b := h.browser().signIn("u-alice")
	b.get("/authorize?"+ask("own")).gives("session_state", "of own")
	if values := h.browser().get("/authorize?" + ask("own", "prompt", "none")).values(); values.Has("session_state") {
		t.Errorf("nobody is signed in: %v", values)
	}
	hint := func(user string) seen {
		return b.get("/authorize?" + ask("own", "prompt", "none", "id_token_hint", h.hint(user)))
	}
	hint("own-u-alice").gives("code", "")
	hint("u-alice").gives("error", "login_required")
	hint("front-u-alice").gives("error", "login_required")
}

func TestR21R22NobodyVouchesForTheClient(t *testing.T) {
	h := open(t)
	self := iam.Client{
		ID: "c-self", Source: iam.FromAdmin, Kind: recipe.Browser, Auth: oauth.AuthNone, Scope: oauth.Scope{"openid"}, Unverified: true,
		Grants: []oauth.GrantType{oauth.AuthorizationCode}, RedirectURIs: []string{redirects["c-self"]}, Consent: recipe.ConsentAsk,
	}
	h.must(h.tenant.PutClient(t.Context(), self))
	b := h.browser()
	for name, query := range map[string]string{
		"R21 scope": ask("c-self", "scope", "nothing"), "R21 response type": ask("c-self", "response_type", "token"), "R22": ask("c-self", "prompt", "none"),
	} {
		t.Run(name, func(t *testing.T) {
			if got := b.get("/authorize?" + query); got.status != http.StatusBadRequest || got.location() != "" {
				t.Errorf("before sign-in: %d %s", got.status, got.location())
			}
		})
	}
	b.signIn("u-alice")
	b.get("/authorize?"+ask("c-self", "scope", "nothing")).gives("error", "invalid_scope")
	b.get("/authorize?"+ask("c-self", "prompt", "none")).gives("error", "consent_required")
	self.Allowed = []iam.Allowed{{Name: recipe.AllowErrorRedirect, Until: h.now().AddDate(0, 0, 1)}}
	h.must(h.tenant.PutClient(t.Context(), self))
	h.browser().get("/authorize?"+ask("c-self", "prompt", "none")).gives("error", "login_required")
}

func TestPromptCreate(t *testing.T) {
	h := open(t)
	b := h.browser().signIn("u-alice")
	at := b.get("/authorize?" + ask("own", "prompt", "create")).to("/signup")
	b.does(at, "user=u-bob&did=login").gives("code", "")
}

func TestP17ThePersonSeesEachDetailEachTime(t *testing.T) {
	h := open(t)
	b := h.browser().signIn("u-alice")
	h.consent("u-alice", "pay", "openid payments.write")
	for range 2 {
		uri := b.pushes("pay", "scope", "openid payments.write", "authorization_details", payment)
		at := b.get(pushed("pay", uri)).to("/consent") // though nobody is asked for the scopes
		shown := b.get(at.location())
		for _, want := range []string{
			"Pay <strong><bdi>123.50</bdi></strong> EUR to <strong><bdi>Merchant &lt;b&gt;A&lt;/b&gt;</bdi></strong>", "<bdi>iban</bdi>", "<bdi>DE02</bdi>", `id="consent-details"`,
		} {
			if shown.status != http.StatusOK || !strings.Contains(shown.body, want) {
				t.Errorf("the page does not say %s", want)
			}
		}
		if strings.Contains(shown.body, "We will remember") {
			t.Error("the page says that the answer is remembered")
		}
		target, err := url.Parse(at.location())
		h.must(err)
		form := url.Values{"flow": {target.Query().Get("flow")}, "decision": {"allow"}}
		for _, found := range postedField.FindAllStringSubmatch(shown.body, -1) {
			if found[1] == "csrf" {
				form.Set("csrf", html.UnescapeString(found[2]))
			}
		}
		back := b.post("/consent", form.Encode())
		code := b.get(back.location()).gives("code", "").values().Get("code")
		stored, err := h.tenant.Try(t.Context(), iam.CodeProof{Hash: iam.HashCode(code), Client: "pay", Challenge: challenge}, h.now())
		if err != nil || stored.Grant.Details != payment {
			t.Errorf("the code carries %s, %v", stored.Grant.Details, err)
		}
	}
	quiet := b.pushes("pay", "scope", "openid payments.write", "authorization_details", payment, "prompt", "none")
	b.get(pushed("pay", quiet)).gives("error", "consent_required")
}
