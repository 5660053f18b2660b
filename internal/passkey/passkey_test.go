package passkey_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/passkey"
	"github.com/gardeauth/garde/internal/passkey/authenticator"
	"github.com/gardeauth/garde/internal/seal"
	"github.com/gardeauth/garde/recipe"
)

const origin = "https://id.bank.example"

var alice = iam.User{ID: "0190b0e6-aaaa-7000-8000-000000000001", Username: "alice", Name: "Alice"}

func party(t testing.TB) passkey.Party {
	t.Helper()
	master, err := seal.ParseMaster(seal.GenerateMaster())
	if err != nil {
		t.Fatal(err)
	}
	return passkey.Party{
		ID: "id.bank.example", Origin: origin, Name: "Bank", Sealer: seal.Sealer{Current: master}, Tenant: iam.DefaultTenant,
	}
}

// enrolled registers a device's key for alice.
func enrolled(t testing.TB, p passkey.Party, kind iam.FactorKind, device *authenticator.Authenticator) iam.Authenticator {
	t.Helper()
	added, err := enrol(p, kind, device)
	if err != nil {
		t.Fatal(err)
	}
	return added
}

func enrol(p passkey.Party, kind iam.FactorKind, device *authenticator.Authenticator) (iam.Authenticator, error) {
	asked, err := p.BeginRegistration(alice, kind, nil)
	if err != nil {
		return iam.Authenticator{}, err
	}
	said, err := device.Create(asked.Options)
	if err != nil {
		return iam.Authenticator{}, err
	}
	return p.FinishRegistration(asked.State, said, "My phone")
}

// signed asks for a signature and verifies it.
func signed(p passkey.Party, kept iam.Authenticator, device *authenticator.Authenticator) (passkey.Used, error) {
	user := ""
	if kept.Kind == iam.FactorSecurityKey {
		user = kept.User
	}
	asked, err := p.BeginLogin(kept.Kind, user, []iam.Authenticator{kept})
	if err != nil {
		return passkey.Used{}, err
	}
	said, err := device.Get(asked.Options)
	if err != nil {
		return passkey.Used{}, err
	}
	return finish(p, asked.State, said, kept)
}

func finish(p passkey.Party, state, said string, kept iam.Authenticator) (passkey.Used, error) {
	assertion, err := passkey.ReadAssertion(said)
	if err != nil {
		return passkey.Used{}, err
	}
	if !assertion.Handle().Equal(kept.Handle) {
		return passkey.Used{}, errors.New("storage would find another authenticator")
	}
	return p.FinishLogin(state, assertion, kept)
}

func TestAnAuthenticatorIsRegisteredAndSigns(t *testing.T) {
	for name, test := range map[string]struct {
		kind   iam.FactorKind
		device func(*authenticator.Authenticator)
		want   string
	}{
		"a passkey of this device": {iam.FactorPasskey, func(*authenticator.Authenticator) {}, "hwk user mfa"},
		"a synced passkey":         {iam.FactorPasskey, func(a *authenticator.Authenticator) { a.Synced = true }, "swk user mfa"},
		"a security key":           {iam.FactorSecurityKey, func(*authenticator.Authenticator) {}, "hwk user"},
		"a security key without a PIN": {
			iam.FactorSecurityKey, func(a *authenticator.Authenticator) { a.NoVerify = true }, "hwk user",
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, device := party(t), authenticator.New(origin)
			device.Model = [16]byte{1, 2, 3}
			test.device(device)
			kept := enrolled(t, p, test.kind, device)
			if kept.User != alice.ID || kept.Kind != test.kind || kept.Name != "My phone" || kept.Synced != device.Synced || !strings.HasPrefix(kept.Model, "01020300-") {
				t.Errorf("kept %+v", kept)
			}
			for try := int64(1); try < 3; try++ {
				used, err := signed(p, kept, device)
				if err != nil {
					t.Fatal(err)
				}
				if used.From != try-1 || used.To != try || strings.Join(used.Methods, " ") != test.want || used.Begun.IsZero() {
					t.Errorf("used %+v", used)
				}
				kept.Mark = used.To
			}
		})
	}
}

// lies are what an authenticator or a browser may say that is not so.
var lies = map[string]func(*authenticator.Authenticator){
	"another origin":             func(a *authenticator.Authenticator) { a.Origin = "https://id.bank.example.evil.example" },
	"the origin with a path":     func(a *authenticator.Authenticator) { a.Origin += "/x" },
	"the origin in capitals":     func(a *authenticator.Authenticator) { a.Origin = "https://ID.bank.example" },
	"the origin without TLS":     func(a *authenticator.Authenticator) { a.Origin = "http://id.bank.example" },
	"another port":               func(a *authenticator.Authenticator) { a.Origin += ":8443" },
	"a name in front":            func(a *authenticator.Authenticator) { a.Origin = "https://evil@id.bank.example" },
	"another relying party":      func(a *authenticator.Authenticator) { a.RPID = "bank.example" },
	"a frame of another site":    func(a *authenticator.Authenticator) { a.CrossOrigin = true },
	"no user present":            func(a *authenticator.Authenticator) { a.NoPresence = true },
	"no user verified":           func(a *authenticator.Authenticator) { a.NoVerify = true },
	"a challenge of its own":     func(a *authenticator.Authenticator) { a.Challenge = strings.Repeat("A", 43) },
	"an empty challenge":         func(a *authenticator.Authenticator) { a.Challenge = "-" },
	"backup flags that it lacks": func(a *authenticator.Authenticator) { a.Synced = !a.Synced },
	"another user's handle":      func(a *authenticator.Authenticator) { a.User = []byte("bob") },
	"no user's handle":           func(a *authenticator.Authenticator) { a.User = []byte{} },
}

func TestS22WhatIsNotSoIsRefused(t *testing.T) {
	for name, lie := range lies {
		t.Run("S22 "+name, func(t *testing.T) {
			p, device := party(t), authenticator.New(origin)
			kept := enrolled(t, p, iam.FactorPasskey, device)
			lie(device)
			if used, err := signed(p, kept, device); !errors.Is(err, passkey.ErrRefused) && !errors.Is(err, passkey.ErrStale) {
				t.Errorf("used %+v, error %v", used, err)
			}
			switch name {
			case "backup flags that it lacks", "another user's handle", "no user's handle":
				return // only of a signature
			}
			fresh := authenticator.New(origin)
			lie(fresh)
			if added, err := enrol(p, iam.FactorPasskey, fresh); !errors.Is(err, passkey.ErrRefused) && !errors.Is(err, passkey.ErrStale) {
				t.Errorf("registered %+v, error %v", added, err)
			}
		})
	}
}

func TestS22AnAnswerIsForItsOwnCeremony(t *testing.T) {
	p, device := party(t), authenticator.New(origin)
	kept := enrolled(t, p, iam.FactorPasskey, device)
	first, err := p.BeginLogin(iam.FactorPasskey, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	second, err := p.BeginLogin(iam.FactorPasskey, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	said, err := device.Get(first.Options)
	if err != nil {
		t.Fatal(err)
	}
	creating, err := p.BeginRegistration(alice, iam.FactorPasskey, nil)
	if err != nil {
		t.Fatal(err)
	}
	late := p
	late.Now = func() time.Time { return time.Now().Add(passkey.Life + time.Second) }
	for name, test := range map[string]struct {
		party passkey.Party
		state string
	}{
		"of another sign-in": {p, second.State}, "of a registration": {p, creating.State}, "none": {p, ""}, "spent": {p, "{}"},
		"too late": {late, first.State}, "in another's words": {p, strings.Replace(first.State, "deed", "Deed", 1)},
	} {
		if _, err := finish(test.party, test.state, said, kept); !errors.Is(err, passkey.ErrStale) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := finish(p, first.State, said, kept); err != nil {
		t.Error(err)
	}
	if _, err := p.FinishRegistration(first.State, said, ""); !errors.Is(err, passkey.ErrStale) {
		t.Errorf("a sign-in registers: %v", err)
	}
}

func TestS22ASecurityKeyIsAskedOfItsPersonAlone(t *testing.T) {
	p, device := party(t), authenticator.New(origin)
	kept := enrolled(t, p, iam.FactorSecurityKey, device)
	if _, err := p.BeginLogin(iam.FactorSecurityKey, "", nil); err == nil {
		t.Error("a list for nobody")
	}
	if _, err := p.BeginLogin(iam.FactorSecurityKey, "bob", []iam.Authenticator{kept}); err == nil {
		t.Error("alice's key is listed for bob")
	}
	twin := kept
	twin.User = "bob"
	asked, err := p.BeginLogin(iam.FactorSecurityKey, "bob", []iam.Authenticator{twin})
	if err != nil {
		t.Fatal(err)
	}
	said, err := device.Get(asked.Options)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := finish(p, asked.State, said, kept); !errors.Is(err, passkey.ErrRefused) {
		t.Errorf("alice's key proves bob: %v", err)
	}
	// A second factor never passes as a passkey, nor a passkey as one that was asked for by name.
	open, err := p.BeginLogin(iam.FactorPasskey, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(open.Options, `"id"`) {
		t.Errorf("the options tell of credentials: %s", open.Options)
	}
	if said, err = device.Get(open.Options); err != nil {
		t.Fatal(err)
	}
	if _, err := finish(p, open.State, said, kept); !errors.Is(err, passkey.ErrRefused) {
		t.Errorf("a security key signs in alone: %v", err)
	}
}

func TestS22ACounterThatDoesNotGrowTellsOfACopy(t *testing.T) {
	p, device := party(t), authenticator.New(origin)
	kept := enrolled(t, p, iam.FactorPasskey, device)
	device.SetCounter(7)
	copied := device.Clone()
	used, err := signed(p, kept, device)
	if err != nil || used.To != 8 {
		t.Fatal(used, err)
	}
	kept.Mark = used.To
	if _, err := signed(p, kept, copied); !errors.Is(err, passkey.ErrCloned) {
		t.Errorf("the copy signs in: %v", err)
	}
	none := authenticator.New(origin)
	none.Still = true
	plain := enrolled(t, p, iam.FactorPasskey, none)
	for range 2 { // what never counts is no copy
		if used, err := signed(p, plain, none); err != nil || used.To != 0 {
			t.Error(used, err)
		}
	}
}

func TestSignaturesAndKeysAreNotMixed(t *testing.T) {
	p, device, other := party(t), authenticator.New(origin), authenticator.New(origin)
	kept, foreign := enrolled(t, p, iam.FactorPasskey, device), enrolled(t, p, iam.FactorPasskey, other)
	asked, err := p.BeginLogin(iam.FactorPasskey, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	good, err := device.Get(asked.Options)
	if err != nil {
		t.Fatal(err)
	}
	assertion, err := passkey.ReadAssertion(good)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.FinishLogin(asked.State, assertion, foreign); !errors.Is(err, passkey.ErrRefused) {
		t.Errorf("another credential's key: %v", err)
	}
	moved := kept
	moved.ID = foreign.ID // somebody moved the sealed row in the storage
	if _, err := p.FinishLogin(asked.State, assertion, moved); err == nil || errors.Is(err, passkey.ErrRefused) {
		t.Errorf("a sealed row opens elsewhere: %v", err)
	}
	for _, member := range []string{"signature", "authenticatorData", "clientDataJSON"} {
		var parts map[string]any
		if err := json.Unmarshal([]byte(good), &parts); err != nil {
			t.Fatal(err)
		}
		response, _ := parts["response"].(map[string]any)
		text, _ := response[member].(string)
		raw, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		for at := 0; at < len(raw); at += 7 {
			raw[at] ^= 1
			response[member] = base64.RawURLEncoding.EncodeToString(raw)
			bent, err := json.Marshal(parts)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := finish(p, asked.State, string(bent), kept); err == nil {
				t.Errorf("%s with a bit flipped at %d passes", member, at)
			}
			raw[at] ^= 1
		}
	}
}

func TestTheRecipeSaysWhichModelsAreAdmitted(t *testing.T) {
	maker, err := authenticator.NewMaker()
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := authenticator.NewMaker()
	if err != nil {
		t.Fatal(err)
	}
	model := [16]byte{0xaa, 15: 1}
	const written = "aa000000-0000-0000-0000-000000000001"
	required := recipe.Passkeys{Attestation: "required"}
	for name, test := range map[string]struct {
		rules  recipe.Passkeys
		vouch  *authenticator.Maker
		model  [16]byte
		synced bool
		ok     bool
	}{
		"without rules anything goes":           {recipe.Passkeys{}, nil, model, true, true},
		"a vouched model where none is asked":   {recipe.Passkeys{}, maker, model, false, true},
		"a vouched model":                       {required, maker, model, false, true},
		"a model on the list":                   {recipe.Passkeys{Attestation: "required", Models: []string{written}}, maker, model, false, true},
		"another model":                         {recipe.Passkeys{Attestation: "required", Models: []string{written}}, maker, [16]byte{0xbb}, false, false},
		"nobody vouches":                        {required, nil, model, false, false},
		"a stranger vouches":                    {required, stranger, model, false, false},
		"one that stays, where copies may not":  {recipe.Passkeys{Synced: "refused"}, nil, model, false, true},
		"one that leaves, where copies may not": {recipe.Passkeys{Synced: "refused"}, nil, model, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			p, device := party(t), authenticator.New(origin)
			p.Rules, p.Roots, device.Vouch, device.Model, device.Synced = test.rules, maker.Roots(), test.vouch, test.model, test.synced
			_, err := enrol(p, iam.FactorPasskey, device)
			if (err == nil) != test.ok || err != nil && !errors.Is(err, passkey.ErrModel) {
				t.Errorf("error %v", err)
			}
			if p.Roots = nil; test.rules.Attestation == "required" {
				if _, err := enrol(p, iam.FactorPasskey, device); !errors.Is(err, passkey.ErrModel) {
					t.Errorf("without roots: %v", err)
				}
			}
		})
	}
}

func TestAnAuthenticatorIsRegisteredOnce(t *testing.T) {
	p, device := party(t), authenticator.New(origin)
	kept := enrolled(t, p, iam.FactorPasskey, device)
	asked, err := p.BeginRegistration(alice, iam.FactorPasskey, []iam.Authenticator{kept})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := device.Create(asked.Options); err == nil {
		t.Error("the browser was not told of it")
	}
}

func TestWhereBrowsersTakePart(t *testing.T) {
	for issuer, want := range map[string]bool{
		"https://id.bank.example": true, "https://id.bank.example:8443/garde": true, "http://localhost:8080": true,
		"http://127.0.0.1:8080": false, "https://[::1]:8443": false, "http://id.bank.example": false, "": false, "https://": false,
	} {
		id, at, ok := passkey.Home(issuer)
		if ok != want || ok && (strings.Contains(id, ":") || !strings.HasPrefix(issuer, at)) {
			t.Errorf("%s: %s, %s, %v", issuer, id, at, ok)
		}
	}
}

func TestOddAnswersAreRefused(t *testing.T) {
	p := party(t)
	asked, err := p.BeginRegistration(alice, iam.FactorPasskey, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"nothing": "", "null": "null", "no members": "{}", "a list": "[]", "too long": `"` + strings.Repeat("x", passkey.MaxAnswer) + `"`,
		"two ids":         `{"id":"AA","id":"AA","rawId":"AA","type":"public-key"}`,
		"ids that differ": `{"id":"AA","rawId":"AQ","type":"public-key"}`,
		"a line break":    `{"id":"AA\n","rawId":"AA\n","type":"public-key"}`,
		"another type":    `{"id":"AA","rawId":"AA","type":"password"}`,
		"folded names":    `{"ID":"AA","rawid":"AA","Type":"public-key"}`,
	} {
		if _, err := passkey.ReadAssertion(text); !errors.Is(err, passkey.ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := p.FinishRegistration(asked.State, text, ""); !errors.Is(err, passkey.ErrRefused) {
			t.Errorf("%s registers: %v", name, err)
		}
	}
}

func FuzzAnswers(f *testing.F) {
	p, device := party(f), authenticator.New(origin)
	kept := enrolled(f, p, iam.FactorPasskey, device)
	creating, err := p.BeginRegistration(alice, iam.FactorPasskey, nil)
	if err != nil {
		f.Fatal(err)
	}
	made, err := device.Create(creating.Options)
	if err != nil {
		f.Fatal(err)
	}
	getting, err := p.BeginLogin(iam.FactorPasskey, "", nil)
	if err != nil {
		f.Fatal(err)
	}
	got, err := device.Get(getting.Options)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(made)
	f.Add(got)
	f.Add(`{"id":"AA","rawId":"AA","type":"public-key","response":{}}`)
	f.Fuzz(func(t *testing.T, text string) {
		if added, err := p.FinishRegistration(creating.State, text, ""); err == nil && added.User != alice.ID {
			t.Errorf("registered for %q", added.User)
		}
		assertion, err := passkey.ReadAssertion(text)
		if err != nil {
			return
		}
		if used, err := p.FinishLogin(getting.State, assertion, kept); err == nil && !assertion.Handle().Equal(kept.Handle) {
			t.Errorf("used %+v", used)
		}
	})
}

func BenchmarkFinishLogin(b *testing.B) {
	p, device := party(b), authenticator.New(origin)
	kept := enrolled(b, p, iam.FactorPasskey, device)
	asked, err := p.BeginLogin(iam.FactorPasskey, "", nil)
	if err != nil {
		b.Fatal(err)
	}
	said, err := device.Get(asked.Options)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := finish(p, asked.State, said, kept); err != nil {
			b.Fatal(err)
		}
	}
}

// A key of a hundred thousand bits makes each sign-in with it the work of thousands.
func TestL07AnRSAKeyIsNeitherTooShortNorTooLong(t *testing.T) {
	p := party(t)
	for bits, fits := range map[int]bool{1024: false, 2040: false, 2048: true, 3072: true, 4096: true, 4104: false, 16384: false, 100_000: false} {
		device := authenticator.New(origin)
		device.RSA = bytes.Repeat([]byte{0xff}, bits/8)
		if _, err := enrol(p, iam.FactorPasskey, device); (err == nil) != fits {
			t.Errorf("%d bits: %v", bits, err)
		}
	}
}
