package client

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// claimsOf reads a JWT without judging it.
func claimsOf(token string) (claims map[string]any) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(raw, &claims) != nil {
		return nil
	}
	return claims
}

func TestDiscoveryThatLies(t *testing.T) {
	for name, row := range map[string]struct {
		meta  map[string]any
		bound bool // the client binds its tokens
		good  bool
	}{
		"honest":                            {nil, false, true},
		"honest, for bound tokens":          {nil, true, true},
		"another issuer":                    {map[string]any{"issuer": "https://evil.example"}, false, false},
		"the issuer with a slash":           {map[string]any{"issuer": "HERE/"}, false, false},
		"no issuer":                         {map[string]any{"issuer": nil}, false, false},
		"codes are sent elsewhere":          {map[string]any{"token_endpoint": "https://evil.example/token"}, false, false},
		"people are sent elsewhere":         {map[string]any{"authorization_endpoint": "https://evil.example/authorize"}, false, false},
		"keys come from elsewhere":          {map[string]any{"jwks_uri": "https://evil.example/jwks"}, false, false},
		"people leave to elsewhere":         {map[string]any{"end_session_endpoint": "https://evil.example/logout"}, false, false},
		"refresh tokens are ended there":    {map[string]any{"revocation_endpoint": "https://evil.example/revoke"}, false, false},
		"people are named elsewhere":        {map[string]any{"userinfo_endpoint": "https://evil.example/userinfo"}, false, false},
		"requests are pushed elsewhere":     {map[string]any{"pushed_authorization_request_endpoint": "https://evil.example/par"}, true, false},
		"the same host by another scheme":   {map[string]any{"token_endpoint": "https:HOST/token"}, false, false},
		"the host of the issuer as a user":  {map[string]any{"token_endpoint": "HERE@evil.example/token"}, false, false},
		"an address without a host":         {map[string]any{"token_endpoint": "/token"}, false, false},
		"nowhere to send people":            {map[string]any{"authorization_endpoint": nil}, false, false},
		"nowhere to send codes":             {map[string]any{"token_endpoint": nil}, false, false},
		"no keys":                           {map[string]any{"jwks_uri": nil}, false, false},
		"no PKCE":                           {map[string]any{"code_challenge_methods_supported": nil}, false, false},
		"PKCE in clear alone":               {map[string]any{"code_challenge_methods_supported": []string{"plain"}}, false, false},
		"no PAR, and none is needed":        {map[string]any{"pushed_authorization_request_endpoint": nil}, false, true},
		"no PAR for bound tokens":           {map[string]any{"pushed_authorization_request_endpoint": nil}, true, false},
		"no DPoP for bound tokens":          {map[string]any{"dpop_signing_alg_values_supported": nil}, true, false},
		"DPoP by another algorithm for one": {map[string]any{"dpop_signing_alg_values_supported": []string{"RS256"}}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			l := open(t)
			for member, value := range row.meta {
				if text, ok := value.(string); ok {
					value = strings.NewReplacer("HERE", l.URL, "HOST", strings.TrimPrefix(l.URL, "http:")).Replace(text)
				}
				l.meta[member] = value
			}
			l.token = func(w http.ResponseWriter, _ *http.Request) { answer(w, 201, map[string]any{"request_uri": "urn:x"}) }
			c := l.client()
			if row.bound {
				c.Proof = l.other
			}
			_, address, err := c.Begin(t.Context(), "http://app.example/cb", "openid")
			if (err == nil) != row.good || err == nil && !strings.HasPrefix(address, l.URL+"/authorize?") {
				t.Errorf("%q, %v", address, err)
			}
			if !row.good && l.asked != 0 {
				t.Error("something was sent before the lie was seen")
			}
			l.meta = map[string]any{}
			if _, _, err := c.Begin(t.Context(), "http://app.example/cb", "openid"); err != nil {
				t.Errorf("honest again, and not believed: %v", err)
			}
		})
	}
}

func TestAnswersThatAreForged(t *testing.T) {
	const code = "&code=c"
	for name, row := range map[string]struct {
		query  string // of the answer; STATE and HERE stand for what is right
		told   map[string]any
		claims map[string]any
		by     bool // another key signs
		good   bool
		sent   bool // the code is sent
	}{
		"honest":                         {query: "state=STATE&iss=HERE" + code, good: true, sent: true},
		"no state":                       {query: "iss=HERE" + code},
		"another state":                  {query: "state=x&iss=HERE" + code},
		"two states":                     {query: "state=STATE&state=x&iss=HERE" + code},
		"two codes":                      {query: "state=STATE&iss=HERE&code=a&code=b"},
		"two issuers":                    {query: "state=STATE&iss=HERE&iss=https://evil.example" + code},
		"no issuer, though one was told": {query: "state=STATE" + code},
		"another issuer":                 {query: "state=STATE&iss=https://evil.example" + code},
		"no code":                        {query: "state=STATE&iss=HERE"},
		"an error beside the code":       {query: "state=STATE&iss=HERE&error=access_denied" + code},
		"an error of another issuer":     {query: "state=STATE&iss=https://evil.example&error=access_denied"},
		"no ID token":                    {query: "state=STATE&iss=HERE" + code, told: map[string]any{"id_token": nil}, sent: true},
		"no access token":                {query: "state=STATE&iss=HERE" + code, told: map[string]any{"access_token": nil}, sent: true},
		"a token of another kind":        {query: "state=STATE&iss=HERE" + code, told: map[string]any{"token_type": "DPoP"}, sent: true},
		"a token without an end":         {query: "state=STATE&iss=HERE" + code, told: map[string]any{"expires_in": nil}, sent: true},
		"a token for a year":             {query: "state=STATE&iss=HERE" + code, told: map[string]any{"expires_in": 31_536_000}, sent: true},
		"an ID token by another key":     {query: "state=STATE&iss=HERE" + code, by: true, sent: true},
		"... of another sign-in":         {query: "state=STATE&iss=HERE" + code, claims: map[string]any{"nonce": "x"}, sent: true},
		"... of no sign-in":              {query: "state=STATE&iss=HERE" + code, claims: map[string]any{"nonce": nil}, sent: true},
		"... of another issuer":          {query: "state=STATE&iss=HERE" + code, claims: map[string]any{"iss": "https://evil.example"}, sent: true},
		"... for another client":         {query: "state=STATE&iss=HERE" + code, claims: map[string]any{"aud": "other"}, sent: true},
		"... for another as well":        {query: "state=STATE&iss=HERE" + code, claims: map[string]any{"aud": []string{"app", "other"}}, sent: true},
		"... that another asked for":     {query: "state=STATE&iss=HERE" + code, claims: map[string]any{"azp": "other"}, sent: true},
		"... about nobody":               {query: "state=STATE&iss=HERE" + code, claims: map[string]any{"sub": ""}, sent: true},
		"... that has ended":             {query: "state=STATE&iss=HERE" + code, claims: map[string]any{"exp": time.Now().Add(-time.Minute).Unix()}, sent: true},
		"... from the future":            {query: "state=STATE&iss=HERE" + code, claims: map[string]any{"iat": time.Now().Add(time.Hour).Unix()}, sent: true},
		"... of another access token":    {query: "state=STATE&iss=HERE" + code, claims: map[string]any{"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}, sent: true},
	} {
		t.Run(name, func(t *testing.T) {
			l := open(t)
			c := l.client()
			attempt, _, err := c.Begin(t.Context(), "http://app.example/cb", "openid")
			if err != nil {
				t.Fatal(err)
			}
			by := l.key
			if row.by {
				by = l.other
			}
			l.token = func(w http.ResponseWriter, _ *http.Request) {
				said := map[string]any{"access_token": "t", "token_type": "Bearer", "expires_in": 60, "id_token": l.says(by, attempt.Nonce, row.claims)}
				maps.Copy(said, row.told)
				answer(w, 200, said)
			}
			back, err := url.ParseQuery(strings.NewReplacer("STATE", attempt.State, "HERE", url.QueryEscape(l.URL)).Replace(row.query))
			if err != nil {
				t.Fatal(err)
			}
			grant, err := c.Finish(t.Context(), attempt, back)
			if (err == nil) != row.good || row.good && grant.Subject != "u-alice" || !row.good && grant.Subject != "" {
				t.Errorf("%+v, %v", grant, err)
			}
			if (l.asked > 0) != row.sent {
				t.Errorf("the code was sent %d times", l.asked)
			}
		})
	}
}

func TestUserinfoThatSpeaksOfSomebodyElse(t *testing.T) {
	l := open(t)
	var forged *Forged
	if name, err := l.client().Named(t.Context(), Grant{Access: "t", Subject: "u-alice"}); name != "" || !errors.As(err, &forged) {
		t.Errorf("%q, %v", name, err)
	}
	if name, err := l.client().Named(t.Context(), Grant{Access: "t", Subject: "u-mallory"}); name != "Mallory" || err != nil {
		t.Errorf("%q, %v", name, err)
	}
}

// TestNoncesAreAskedForOnce: a server that never has enough of nonces is asked twice, each time with the newest.
func TestNoncesAreAskedForOnce(t *testing.T) {
	for name, row := range map[string]struct {
		nonces []string // given with each answer that asks for one; "": none is given
		asked  int
		good   bool
	}{
		"none is asked for":             {nil, 1, true},
		"one":                           {[]string{"n1"}, 2, true},
		"without end":                   {[]string{"n1", "n2", "n3", "n4"}, 2, false},
		"asked for, and none is given":  {[]string{"", "", ""}, 2, false},
		"the same again":                {[]string{"n1", "n1", "n1"}, 2, false},
		"one, after which none is good": {[]string{"n1", "n2"}, 2, false},
	} {
		for door, challenged := range map[string]bool{"the Server": false, "the Gate": true} {
			t.Run(name+" by "+door, func(t *testing.T) {
				l := open(t)
				c := l.client()
				c.Proof = l.other
				l.token = func(w http.ResponseWriter, _ *http.Request) {
					if l.asked > len(row.nonces) {
						answer(w, 200, map[string]any{"access_token": "t", "token_type": "DPoP", "expires_in": 60})
						return
					}
					if nonce := row.nonces[l.asked-1]; nonce != "" {
						w.Header().Set("DPoP-Nonce", nonce)
					}
					if challenged {
						w.Header().Set("WWW-Authenticate", `DPoP error="use_dpop_nonce", algs="ES256"`)
						w.WriteHeader(http.StatusUnauthorized)
						return
					}
					answer(w, 400, map[string]any{"error": "use_dpop_nonce"})
				}
				var good bool
				if challenged {
					good = c.Call(t.Context(), http.MethodGet, "/balance", "t", nil).OK()
				} else {
					_, err := c.Itself(t.Context(), "accounts.read")
					good = err == nil
				}
				if good != row.good || l.asked != row.asked {
					t.Errorf("good: %v, asked %d times", good, l.asked)
				}
				ids := map[any]bool{}
				for i, proof := range l.proofs {
					want := any(nil)
					if i > 0 && row.nonces[i-1] != "" {
						want = row.nonces[i-1]
					}
					if proof["nonce"] != want || ids[proof["jti"]] {
						t.Errorf("proof %d: %v", i, proof)
					}
					ids[proof["jti"]] = true
				}
			})
		}
	}
}

// TestANonceBelongsToItsHost: what one host gave is told to no other.
func TestANonceBelongsToItsHost(t *testing.T) {
	one, two := open(t), open(t)
	c := one.client()
	c.Proof, c.Resource = one.other, two.URL+"/calls"
	one.token = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("DPoP-Nonce", "of one")
		answer(w, 200, map[string]any{"access_token": "t", "token_type": "DPoP", "expires_in": 60})
	}
	two.token = func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, nil) }
	for range 2 {
		if _, err := c.Itself(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		c.Call(t.Context(), http.MethodGet, "/balance", "t", nil)
	}
	if got := []any{one.proofs[0]["nonce"], one.proofs[1]["nonce"], two.proofs[0]["nonce"], two.proofs[1]["nonce"]}; got[0] != nil || got[1] != "of one" || got[2] != nil || got[3] != nil {
		t.Errorf("%v", got)
	}
}

func FuzzChallenges(f *testing.F) {
	for _, seed := range []string{"", `Bearer error="x", a=b`, "a=\n=b", `DPoP x="\`, "\xff=\"\xfe\"", `Basic abc==`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, challenge := range challenges(text) {
			for name, value := range challenge {
				if name == "" || printable(value) != value {
					t.Errorf("%q gives %q=%q", text, name, value)
				}
			}
		}
	})
}

func TestChallengesThatAskForMore(t *testing.T) {
	const asked = `error="insufficient_user_authentication"`
	for name, row := range map[string]struct {
		challenges []string
		want       Step
	}{
		"none":                          {nil, Step{}},
		"another error":                 {[]string{`Bearer error="invalid_token", max_age="5"`}, Step{}},
		"a level":                       {[]string{`Bearer ` + asked + `, acr_values="urn:strong"`}, Step{true, "urn:strong", ""}},
		"several levels":                {[]string{`Bearer ` + asked + `, acr_values="urn:a urn:b"`}, Step{true, "urn:a urn:b", ""}},
		"an age in quotes":              {[]string{`Bearer ` + asked + `, max_age="5"`}, Step{true, "", "5"}},
		"an age as the RFC writes it":   {[]string{`Bearer ` + asked + `, max_age=5, acr_values="x"`}, Step{true, "x", "5"}},
		"an age that is none":           {[]string{`Bearer ` + asked + `, max_age=soon`}, Step{true, "", ""}},
		"neither":                       {[]string{`Bearer ` + asked}, Step{true, "", ""}},
		"behind another challenge":      {[]string{`DPoP error="invalid_token"`, `Bearer ` + asked + `, max_age="0"`}, Step{true, "", "0"}},
		"the error stands last":         {[]string{`Bearer realm="bank", max_age="9", ` + asked}, Step{true, "", "9"}},
		"what can't be printed":         {[]string{"Bearer " + asked + ", acr_values=\"a\tb\""}, Step{true, "a?b", ""}},
		"it is told, and not asked for": {[]string{`Bearer error="invalid_token", error_description="not insufficient_user_authentication"`}, Step{}},
		"an error of another name":      {[]string{`Bearer last_error="insufficient_user_authentication", error="invalid_token"`}, Step{}},
		"words about an age":            {[]string{`Bearer ` + asked + `, error_description="max_age=1 is meant"`}, Step{true, "", ""}},
		"a quote in a quote":            {[]string{`Bearer error_description="say \", ` + `error=\"x", ` + asked}, Step{true, "", ""}},
		"a scheme with a token":         {[]string{`Basic, Negotiate abc==, Bearer ` + asked + `, max_age = "4"`}, Step{true, "", "4"}},
		"a quote that never ends":       {[]string{`Bearer realm="x, ` + asked}, Step{}},
		"two in one line":               {[]string{`DPoP error="invalid_token", Bearer ` + asked + `, max_age="3"`}, Step{true, "", "3"}},
	} {
		t.Run(name, func(t *testing.T) {
			l := open(t)
			l.token = func(w http.ResponseWriter, _ *http.Request) {
				for _, challenge := range row.challenges {
					w.Header().Add("WWW-Authenticate", challenge)
				}
				w.WriteHeader(http.StatusUnauthorized)
			}
			back := l.client().Call(t.Context(), http.MethodGet, "/balance", "t", nil)
			if got := back.StepUp(); got != row.want {
				t.Errorf("%+v, want %+v", got, row.want)
			}
		})
	}
}
