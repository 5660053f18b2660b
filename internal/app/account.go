package app

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/enact"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/otp"
	"github.com/gardeauth/garde/internal/page"
	"github.com/gardeauth/garde/internal/passkey"
	"github.com/gardeauth/garde/internal/server/account"
	"github.com/gardeauth/garde/internal/server/login"
	"github.com/gardeauth/garde/internal/session"
	"github.com/gardeauth/garde/recipe"
)

// corners are the pages of an account about what its person signs in with, on which devices, what is learned of them, and
// their further accounts.
func (s *Server) corners(own *account.Endpoint, handle func(string, func(http.ResponseWriter, *http.Request) error)) {
	own.Factors = &account.Factors{
		Kept: s.House, Makes: registrar{s}, Offered: s.addable, Notes: session.Notes{Sealer: s.Seal, Tenant: iam.DefaultTenant},
		Demand: s.guard(false), WayIn: func(left iam.Left) bool { return s.Policy().WayIn(left) }, Due: s.due, Tell: s.tellFactor,
	}
	own.Known, own.Approvals = s.House, s.House
	own.Habits = &account.Habits{Kept: s.House, Learning: s.moments.desk}
	own.Accounts = s.accounts()
	handle("/account/security", own.Security)
	handle("/account/security/factor", own.Factor)
	handle("/account/security/codes", own.Codes)
	for _, kind := range account.Kinds() {
		handle("/account/security/"+kind, own.Add(kind))
	}
	handle("/account/devices", own.DevicesPage)
	handle("/account/habits", own.HabitsPage)
	handle("/account/approvals", own.ApprovalsPage)
	handle("/account/notme", own.NotMe)
	handle("/choose", own.Choose)
	handle("/signin/enrol", own.Enrol)
}

// accounts are the further ones of browsers.
func (s *Server) accounts() *session.Accounts {
	return &session.Accounts{Keeper: s.sessions, Sealer: s.Seal, Tenant: iam.DefaultTenant}
}

// addable are the factors of the recipe, but for authenticators where no browser would take part.
func (s *Server) addable() []string {
	said := s.Policy().Recipe
	if said == nil {
		return nil
	}
	offered := said.SignIn.Offered()
	if _, here := s.party(); here {
		return offered
	}
	return slices.DeleteFunc(offered, func(factor string) bool {
		return factor == string(iam.FactorPasskey) || factor == string(iam.FactorSecurityKey)
	})
}

// party is this server as authenticators know it; false where no browser would take part.
func (s *Server) party() (passkey.Party, bool) {
	id, origin, here := passkey.Home(s.Node.Issuer)
	party := passkey.Party{ID: id, Origin: origin, Sealer: s.Seal, Tenant: iam.DefaultTenant, Now: s.Lab.Now, Roots: s.makers.get()}
	if said := s.Policy().Recipe; said != nil {
		party.Name, party.Rules = said.Company.Name, said.SignIn.Passkeys
	}
	// A browser's dialogue and an app of codes show a name: a company that told none is known by the host of its pages.
	party.Name = cmp.Or(party.Name, id)
	return party, here
}

// makersPart reads who is believed about the models of authenticators; without a list, nobody is.
func (s *Server) makersPart(next *enact.Force) (func(), error) {
	var pool *x509.CertPool
	for _, name := range next.Bundle.Recipe.SignIn.Passkeys.Roots {
		roots, err := recipe.Roots(next.Bundle.Files[name])
		if err != nil {
			return nil, fmt.Errorf("signin.passkeys.roots: %w", err)
		}
		if pool == nil {
			pool = x509.NewCertPool()
		}
		for _, root := range roots {
			pool.AddCert(root)
		}
	}
	return func() { s.makers.set(pool) }, nil
}

// within tells whether every factor of a set, such as password+totp, is among those held.
func within(set string, held []string) bool {
	for factor := range strings.SplitSeq(set, "+") {
		if !slices.Contains(held, factor) {
			return false
		}
	}
	return set != ""
}

// due is what the recipe wants a person to add.
func (s *Server) due(ctx context.Context, user iam.User) ([]string, time.Time, error) {
	if said := s.Policy().Recipe; said == nil || len(said.SignIn.Enrol) == 0 { // nobody owes anything
		return nil, time.Time{}, nil
	}
	held, err := s.factors(ctx, user)
	if err != nil {
		return nil, time.Time{}, err
	}
	duty, is := s.Policy().EnrolDue(user.Groups, held, s.now().UTC())
	switch {
	case !is:
		return nil, time.Time{}, nil
	case duty.Now:
		return duty.Sets, time.Time{}, nil
	}
	return duty.Sets, duty.Until.Add(-time.Second), nil // the day before its end
}

// tellFactor writes to a person that what they sign in with has changed, if there is a proved address to write to.
func (s *Server) tellFactor(r *http.Request, user iam.User, kind page.MailKind) error {
	if user.Email == "" || !user.EmailVerified {
		return nil
	}
	locale := user.Locale
	if wished := session.Languages(r, nil); locale == "" && len(wished) > 0 {
		locale = wished[0]
	}
	subject, text, html, err := s.pages.get().Mail(kind, locale, page.MailData{
		Username: user.Username, When: s.now().UTC(), Device: session.Agent(r), Place: strings.TrimSuffix(s.network(r), "/32"),
	})
	if err != nil {
		return err
	}
	body, err := json.Marshal(login.Letter{To: user.Email, Subject: subject, Text: text, HTML: html})
	if err != nil {
		return err
	}
	return s.post.Enqueue(r.Context(), login.KindMail, body)
}

// registrar makes factors by the recipe in force.
type registrar struct{ *Server }

func (g registrar) BeginKey(user iam.User, kind iam.FactorKind, have []iam.Authenticator) (options, state string, err error) {
	party, _ := g.party()
	asked, err := party.BeginRegistration(user, kind, have)
	return asked.Options, asked.State, err
}

func (g registrar) FinishKey(state, answer, name string) (iam.Authenticator, page.Fault, error) {
	return g.holdings().FinishPasskey(state, answer, name)
}

func (g registrar) ShowTOTP(user iam.User, secret string) (account.TOTP, error) {
	if secret == "" {
		secret = otp.NewSecret()
	}
	party, _ := g.party()
	made := account.TOTP{Secret: secret, URI: otp.URI(party.Name, user.Username, secret)}
	var err error
	made.Picture, made.Size, err = otp.QR(made.URI)
	return made, err
}

func (g registrar) FinishTOTP(user iam.User, secret, code, name string) (iam.Authenticator, page.Fault, error) {
	now := g.now().UTC()
	step, ok := otp.Verify(secret, code, 0, now)
	if !ok {
		return iam.Authenticator{}, page.FaultNewCode, nil
	}
	made := iam.Authenticator{
		ID: rand.Text(), User: user.ID, Kind: iam.FactorTOTP, Name: name, Mark: step, Created: now, // the code that confirmed it is used
	}
	var err error
	made.Sealed, err = otp.Seal(g.Seal, iam.DefaultTenant, made.ID, secret)
	return made, "", err
}

func (registrar) Codes(user string) (shown []string, kept []iam.Digest) {
	shown = otp.NewRecovery()
	for _, code := range shown {
		kept = append(kept, otp.HashRecovery(user, code))
	}
	return shown, kept
}
