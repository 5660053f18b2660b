package issue_test

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/issue"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/token"
	"github.com/gardeauth/garde/recipe"
)

// bad is an order, or a house, with one thing wrong that one step sees.
type bad struct {
	twist   func(*house, *token.Order)
	code    string // what the step says
	without string // what the rest of the house says then; "": tokens
}

func steps() map[string][]bad {
	return map[string][]bad{
		"policy in force": {{func(h *house, o *token.Order) {
			h.desk.Policy, o.Scope = func() *assurance.Policy { return &assurance.Policy{} }, nil
		}, "temporarily_unavailable", "invalid_grant"}}, // a policy of nothing holds nobody for sure
		"client in good standing": {
			{func(_ *house, o *token.Order) { o.Client.Disabled = true }, "invalid_client", ""},
			{func(_ *house, o *token.Order) { o.Client.ID = "" }, "invalid_client", "invalid_grant"},
		},
		"grant type allowed": {
			{func(_ *house, o *token.Order) { o.GrantType = "password" }, "unauthorized_client", ""},
			{func(_ *house, o *token.Order) { o.Client.Grants = nil }, "unauthorized_client", ""},
		},
		"scope within client": {{func(_ *house, o *token.Order) { o.Client.Scope = oauth.Scope{"openid"} }, "invalid_scope", ""}},
		"scope known": {{func(_ *house, o *token.Order) {
			o.Scope, o.Client.Scope, o.Client.Consent = oauth.Scope{"ghost"}, oauth.Scope{"ghost"}, recipe.ConsentImplied
		}, "invalid_scope", ""}},
		"audience": {{func(_ *house, o *token.Order) { o.Audience = "" }, "invalid_target", ""}},
		"profile": {
			{func(_ *house, o *token.Order) {
				o.Client.Kind, o.Client.Profile, o.Proven = recipe.Native, recipe.FAPI2Security, key
			}, "unauthorized_client", ""},
			{func(_ *house, o *token.Order) { o.Client.Profile, o.Proven = recipe.FAPI2Security, key }, "unauthorized_client", ""},
			{func(h *house, o *token.Order) {
				h.api(func(api *recipe.API) { api.Profile = recipe.FAPI2Security })
				o.Proven = key
			}, "unauthorized_client", ""},
		},
		"details": {
			{func(_ *house, o *token.Order) {
				o.Details, o.Grant.Details = `[{"type":"pay","amount":2}]`, `[{"type":"pay","amount":1}]`
			},
				"invalid_authorization_details", ""},
			{func(_ *house, o *token.Order) { o.Details, o.Grant.Details = `[{"type":"pay"}]`, `[{"type":"pay"}]` }, "invalid_authorization_details", ""},
			{func(h *house, o *token.Order) {
				h.api(pays)
				o.Details, o.Grant.Details = `[{"type":"pay"}]`, `[{"type":"pay"}]`
			}, "invalid_authorization_details", ""},
			{func(_ *house, o *token.Order) { o.Details = `[{"type":"pay"}` }, "invalid_authorization_details", ""},
		},
		"binding": {
			{func(_ *house, o *token.Order) { o.Client.DPoP = true }, "invalid_dpop_proof", ""},
			{func(_ *house, o *token.Order) { o.Client.DPoP, o.Proven.X5T = true, "x" }, "invalid_dpop_proof", ""},
			{func(_ *house, o *token.Order) { o.Client.TLSBound, o.Proven.JKT = true, "j" }, "invalid_request", ""},
			{func(h *house, _ *token.Order) { h.api(func(api *recipe.API) { api.Bound = recipe.BoundRequired }) }, "invalid_dpop_proof", ""},
			{func(h *house, o *token.Order) {
				h.api(func(api *recipe.API) { api.Bound = recipe.BoundOff })
				o.Client.DPoP, o.Proven = true, key
			}, "invalid_target", ""},
		},
		"user in good standing": {
			{func(_ *house, o *token.Order) {
				o.Subject, o.Grant.User, o.Client.Consent = "u-nobody", "u-nobody", recipe.ConsentImplied
			}, "invalid_grant", "invalid_grant"}, // the deed compares the person with the code's
			{func(h *house, _ *token.Order) {
				user, err := h.tenant.User(h.t.Context(), "u-alice")
				h.must(err)
				user.Disabled = true
				h.must(h.tenant.SetUser(h.t.Context(), user))
			}, "invalid_grant", "invalid_grant"},
		},
		"assurance": {
			{func(h *house, o *token.Order) { h.api(levelled); o.Grant.ACR = "" }, "invalid_grant", ""},
			{func(h *house, o *token.Order) { h.api(levelled); o.Grant.ACR = "urn:gone" }, "invalid_grant", ""},
		},
		"restore confirmed": {{func(h *house, _ *token.Order) { h.desk.Confined = func() bool { return true } }, "temporarily_unavailable", ""}},
		"grant in good standing": {
			{func(h *house, o *token.Order) { o.Grant.Revoked = h.now }, "invalid_grant", ""},
			{func(h *house, o *token.Order) { o.Grant.Expires = h.now }, "invalid_grant", ""},
			{func(_ *house, o *token.Order) { o.Grant.Client = "c-own" }, "invalid_grant", ""},
			{func(_ *house, o *token.Order) { o.Grant.User = "u-root" }, "invalid_grant", ""},
		},
		"consent current": {
			{func(h *house, o *token.Order) { h.must(h.tenant.RevokeConsent(h.t.Context(), "u-alice", o.Client.ID)) }, "invalid_grant", "invalid_grant"},
			{func(_ *house, o *token.Order) {
				o.Client.Scope, o.Scope = append(slices.Clone(everything), "profile"), oauth.Scope{"openid", "profile"}
			}, "invalid_grant", ""},
		},
	}
}

// levelled asks for a level at the one operation that "read" opens.
func levelled(api *recipe.API) {
	api.Operations["GET /"] = recipe.Operation{Scope: "read", For: []recipe.Caller{recipe.ForUser}, Level: "basic"}
}

// TestEachStepStandsAlone gives each step what it alone is for: by itself it refuses that and lets a good order through;
// and it shows what would come of it in a house without the step.
func TestEachStepStandsAlone(t *testing.T) {
	rows := steps()
	for _, step := range issue.Standard {
		t.Run(step.Name, func(t *testing.T) {
			if len(rows[step.Name]) == 0 {
				t.Fatal("nothing tells what the step is for: give it a row here")
			}
			h := open(t)
			h.desk.Steps = []issue.Step{step}
			if got := h.issued(h.code("c-web")); got.AccessToken == "" {
				t.Error("the step alone gives a good order nothing")
			}
			for i, row := range rows[step.Name] {
				t.Run(fmt.Sprint(i), func(t *testing.T) {
					for what, of := range map[string]struct {
						steps []issue.Step
						code  string
					}{"alone": {[]issue.Step{step}, row.code}, "with all": {issue.Standard, row.code}, "without": {issue.Without(step.Name), row.without}} {
						h := open(t)
						order := h.code("c-web")
						row.twist(h, &order)
						h.desk.Steps = of.steps
						if answer, err := h.desk.Issue(t.Context(), order); oauth.CodeOf(err) != of.code || (err == nil) != (answer.AccessToken != "") {
							t.Errorf("%s: %+v, error %v, want %q", what, answer, err, of.code)
						}
					}
				})
			}
		})
		delete(rows, step.Name)
	}
	for name := range rows {
		t.Errorf("there is no step %q any more", name)
	}
	defer func() {
		if recover() == nil {
			t.Error("a step that there is not could be left out")
		}
	}()
	issue.Without("nothing")
}

// TestWhoHasTokensAfterARestore: administrators and the Gates, nobody else, until it is confirmed.
func TestWhoHasTokensAfterARestore(t *testing.T) {
	h := open(t)
	confined := true
	h.desk.Confined = func() bool { return confined }
	admins := h.code("c-web")
	h.refused(admins, "temporarily_unavailable")
	admins.Subject, admins.Grant.User, admins.Code, admins.GiveRefresh = "u-root", "u-root", nil, false
	h.issued(admins)
	gate := token.Order{
		GrantType: oauth.ClientCredentials, Client: h.client("c-own"), Audience: issuer, Kind: recipe.TokenJWT, Scope: oauth.Scope{oauth.ScopeGate},
	}
	gate.Client.Scope = append(slices.Clone(everything), oauth.ScopeGate)
	h.issued(gate)
	for _, scope := range []oauth.Scope{nil, {"read"}, {oauth.ScopeGate, "read"}} {
		gate.Scope = scope
		h.refused(gate, "temporarily_unavailable")
	}
	confined = false
	h.issued(gate)
}

// TestT29RefusalsReadTheSame: whatever the storage says of a proof, an attacker reads one text (T29); the cause stays inside.
func TestT29RefusalsReadTheSame(t *testing.T) {
	want := issue.Refused(errors.New("whatever"))
	for _, cause := range []error{iam.ErrNotFound, iam.ErrMismatch, iam.ErrSpent, iam.ErrExpired, iam.ErrRevoked} {
		var told, reference *oauth.Error
		if err := issue.Spoken(fmt.Errorf("spend the code: %w", cause)); !errors.As(err, &told) || !errors.As(want, &reference) || !errors.Is(err, cause) {
			t.Errorf("%v becomes %v", cause, err)
			continue
		}
		if told.Code != "invalid_grant" || told.Code != reference.Code || told.Description != reference.Description || told.Status != reference.Status {
			t.Errorf("%v is told as %+v", cause, told)
		}
	}
	for _, ours := range []error{iam.ErrUnavailable, errors.New("a fault"), context.Canceled} {
		if got := issue.Spoken(ours); !errors.Is(got, ours) || oauth.CodeOf(got) == "invalid_grant" {
			t.Errorf("%v is blamed on the client: %v", ours, got)
		}
	}
	h := open(t)
	spent := h.code("c-web")
	h.issued(spent)
	wrong, unknown, late := h.code("c-web"), h.code("c-web"), h.code("c-web")
	wrong.Code.Challenge = strings.Repeat("A", 43)
	unknown.Code.Hash = iam.HashCode(iam.NewSecret(iam.PrefixCode))
	texts := map[string]bool{h.told(spent): true, h.told(wrong): true, h.told(unknown): true}
	h.now = h.now.Add(2 * time.Minute)
	texts[h.told(late)] = true
	if len(texts) != 1 {
		t.Errorf("they tell themselves apart: %v", texts)
	}
}

// told is all that a client may know of a refusal.
func (h *house) told(order token.Order) string {
	h.t.Helper()
	var told *oauth.Error
	if err := h.refused(order, "invalid_grant"); !errors.As(err, &told) {
		h.t.Fatal(err)
	}
	return fmt.Sprint(told.Code, told.Status, told.Description)
}

// TestIDTokens signs ID tokens by each algorithm that a client may register, and looks at all they say: at_hash is made by
// the hash of that algorithm, and is of the access token that came along (OpenID Connect Core section 3.1.3.6).
func TestIDTokens(t *testing.T) {
	h := open(t)
	h.must(h.ring.Ensure(t.Context(), jose.ES384, jose.ES512, jose.EdDSA, jose.PS256))
	half256 := func(v string) []byte { sum := sha256.Sum256([]byte(v)); return sum[:16] }
	half384 := func(v string) []byte { sum := sha512.Sum384([]byte(v)); return sum[:24] }
	half512 := func(v string) []byte { sum := sha512.Sum512([]byte(v)); return sum[:32] }
	for alg, half := range map[jose.Alg]func(string) []byte{
		"": half256, jose.ES256: half256, jose.ES384: half384, jose.ES512: half512, jose.EdDSA: half512, jose.PS256: half256,
	} {
		for _, kind := range []recipe.TokenKind{recipe.TokenJWT, recipe.TokenOpaque} {
			t.Run("J30 "+string(alg)+" beside "+string(kind), func(t *testing.T) {
				order := h.code("c-web")
				order.Client.IDTokenAlg, order.Kind = string(alg), kind
				order.Claims = `{"id_token":{"email":null,"sub":null,"aud":null,"phone_number":null}}`
				answer := h.issued(order)
				if alg == "" {
					alg = jose.ES256
				}
				claims := h.verified(answer.IDToken, alg, token.TypeID)
				for name, want := range map[string]any{
					"iss": issuer, "sub": "u-alice", "aud": "c-web", "nonce": "a-nonce", "acr": "urn:basic", "email": "u-alice@bank.example",
					"at_hash": base64.RawURLEncoding.EncodeToString(half(answer.AccessToken)), "auth_time": float64(order.Grant.AuthTime.Unix()),
					"iat": float64(h.now.Unix()), "exp": float64(h.now.Add(h.desk.Policy().Lives.ID).Unix()),
				} {
					if got := number(claims[name]); got != want {
						t.Errorf("%s is %v, want %v", name, got, want)
					}
				}
				for _, name := range []string{"scope", "client_id", "azp", "jti", "phone_number", "email_verified"} {
					if claims[name] != nil {
						t.Errorf("it says %s: %v", name, claims[name])
					}
				}
				if kind == recipe.TokenJWT && h.verified(answer.AccessToken, jose.ES256, token.TypeAccess)["aud"] != audience {
					t.Error("J34 the access token is not for its API")
				}
			})
		}
	}
	t.Run("a scope that the client lost takes its claims along", func(t *testing.T) {
		order := h.code("c-web")
		order.Claims, order.Client.Scope = `{"id_token":{"email":null}}`, oauth.Scope{"openid", "read"}
		if claims := h.verified(h.issued(order).IDToken, jose.ES256, token.TypeID); claims["email"] != nil {
			t.Errorf("%v", claims)
		}
	})
	t.Run("J01 no algorithm of nobody's key", func(t *testing.T) {
		for _, alg := range []string{"none", "HS256", "RS1"} {
			order := h.code("c-web")
			order.Client.IDTokenAlg = alg
			if answer, err := h.desk.Issue(t.Context(), order); err == nil || answer.IDToken != "" {
				t.Errorf("%s: %+v", alg, answer)
			}
		}
	})
}

func number(value any) any {
	if n, ok := value.(json.Number); ok {
		f, _ := n.Float64()
		return f
	}
	return value
}

// TestRefreshTokens: who gets one, whose rotate, and how long they live.
func TestRefreshTokens(t *testing.T) {
	for client, rotates := range map[string]bool{"c-web": false, "c-own": false, "c-turns": true, "c-native": true, "c-page": true} {
		t.Run(client, func(t *testing.T) {
			h := open(t)
			idle := h.desk.Policy().Lives.RefreshIdle
			first := h.code(client)
			none := h.code(client)
			none.GiveRefresh = false
			if got := h.issued(none); got.RefreshToken != "" {
				t.Error("a refresh token that nobody ordered")
			}
			given := h.issued(first)
			if !iam.WellFormed(iam.PrefixRefresh, given.RefreshToken) {
				t.Fatalf("%q", given.RefreshToken)
			}
			h.now = h.now.Add(time.Hour)
			second := h.issued(again(first, given.RefreshToken))
			if (second.RefreshToken != "") != rotates || second.RefreshToken == given.RefreshToken || second.AccessToken == given.AccessToken {
				t.Errorf("it gave %q", second.RefreshToken)
			}
			living := given.RefreshToken
			if rotates {
				living = second.RefreshToken
			}
			row, grant, err := h.tenant.Refresh(t.Context(), iam.HashRefresh(living))
			h.must(err)
			if !row.Idle.Equal(h.now.Add(idle)) || grant.ID != first.Grant.ID {
				t.Errorf("it lives until %v, in the grant %s", row.Idle, grant.ID)
			}
			h.issued(again(first, living))
			if !rotates {
				h.now = h.now.Add(idle + time.Second)
				h.refused(again(first, living), "invalid_grant")
				return
			}
			h.now = h.now.Add(iam.Grace + time.Second)
			h.refused(again(first, given.RefreshToken), "invalid_grant") // F02: a theft, which ends the family
			h.refused(again(first, living), "invalid_grant")
		})
	}
	t.Run("F07 another client's", func(t *testing.T) {
		h := open(t)
		first := h.code("c-web")
		given := h.issued(first)
		thief := again(first, given.RefreshToken)
		thief.Client, thief.Refresh.Client, thief.Grant.Client = h.client("c-own"), "c-own", "c-own"
		h.refused(thief, "invalid_grant")
		h.issued(again(first, given.RefreshToken))
	})
	t.Run("T25 none for a client alone", func(t *testing.T) {
		h := open(t)
		answer := h.issued(token.Order{
			GrantType: oauth.ClientCredentials, Client: h.client("c-web"), Audience: audience, Kind: recipe.TokenJWT, Scope: oauth.Scope{"read"}, GiveRefresh: true,
		})
		if answer.RefreshToken != "" || answer.IDToken != "" {
			t.Errorf("%+v", answer)
		}
		claims := h.verified(answer.AccessToken, jose.ES256, token.TypeAccess)
		if claims["sub"] != "c-web" || claims["auth_time"] != nil || claims["sid"] != nil || claims["acr"] != nil {
			t.Errorf("T27 it speaks of a person: %v", claims)
		}
	})
}

// TestOneCommit: what is answered is kept and journalled, and what is refused leaves no trace that looks like tokens.
func TestOneCommit(t *testing.T) {
	h := open(t)
	order := h.code("c-web")
	order.Kind = recipe.TokenOpaque
	answer := h.issued(order)
	if answer.TokenType != "Bearer" || answer.ExpiresIn != int64(h.desk.Policy().Lives.Access/time.Second) || answer.Scope != "openid read" {
		t.Errorf("%+v", answer)
	}
	row, err := h.tenant.Access(t.Context(), iam.HashAccess(answer.AccessToken), h.now)
	h.must(err)
	if row.Audience != audience || row.User != "u-alice" || row.Client != "c-web" || row.Grant != order.Grant.ID || row.Scope.String() != "openid read" {
		t.Errorf("kept as %+v", row)
	}
	events, err := h.tenant.Events(t.Context(), iam.JournalQuery{Kind: "token.issued"})
	h.must(err)
	if len(events) != 1 {
		t.Fatalf("%d events", len(events))
	}
	event := events[0]
	var detail struct {
		GrantType string   `json:"grant_type"`
		Audience  string   `json:"audience"`
		TokenID   string   `json:"token_id"`
		Gave      []string `json:"gave"`
	}
	h.must(json.Unmarshal(event.Detail, &detail))
	if event.Actor != "client:c-web" || event.Client != "c-web" || event.User != "u-alice" || event.Grant != order.Grant.ID || detail.TokenID != row.ID ||
		detail.GrantType != "authorization_code" || detail.Audience != audience || !slices.Equal(detail.Gave, []string{"access_token", "id_token", "refresh_token"}) {
		t.Errorf("journalled as %+v %s", event, event.Detail)
	}
	for _, secret := range []string{answer.AccessToken, answer.IDToken, answer.RefreshToken} {
		if strings.Contains(fmt.Sprintf("%+v %s", event, event.Detail), secret) {
			t.Error("J37 the journal holds a token")
		}
	}
	h.refused(order, "invalid_grant")
	wrong := h.code("c-web")
	wrong.Code.Challenge = strings.Repeat("A", 43)
	h.refused(wrong, "invalid_grant")
	events, err = h.tenant.Events(t.Context(), iam.JournalQuery{Kind: "token.issued"})
	h.must(err)
	if len(events) != 1 {
		t.Errorf("%d events say that tokens were issued", len(events))
	}
}
