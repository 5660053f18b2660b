package app

import (
	"net/http"
	"time"

	"github.com/gardeauth/garde/internal/binding"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/limit"
	"github.com/gardeauth/garde/internal/page"
	"github.com/gardeauth/garde/internal/server/approve"
	"github.com/gardeauth/garde/internal/server/callback"
	"github.com/gardeauth/garde/internal/server/ciba"
	"github.com/gardeauth/garde/internal/server/consent"
	"github.com/gardeauth/garde/internal/server/device"
	"github.com/gardeauth/garde/internal/server/discovery"
	"github.com/gardeauth/garde/internal/server/grant"
	"github.com/gardeauth/garde/internal/server/login"
	"github.com/gardeauth/garde/internal/web"
)

// elsewhere is what people decide on another device than the one that asks: devices without a browser, and clients that
// ask over the backchannel.
type elsewhere struct {
	key     []byte // of the hash of user codes
	notices callback.Notices
	limits  *ciba.Limits
	open    *consent.Elsewhere
}

// userCodes names the subkey under which user codes are hashed.
const userCodes = "user codes"

func (s *Server) grantNeeds() grant.Needs {
	return grant.Needs{
		Codes: s.recalled, Refreshes: s.recalled, Policy: s.Policy, Asking: s.House, Users: s.users,
		Assertions: s.assertions(), Native: s.native(), Now: s.Lab.Now,
	}
}

func (s *Server) openElsewhere() error {
	key, err := s.Seal.Current.Subkey(userCodes)
	if err != nil {
		return err
	}
	s.elsewhere = elsewhere{
		key: key, notices: callback.Notices{Sealer: s.Seal, Tenant: iam.DefaultTenant},
		limits: ciba.NewLimits(ciba.Budgets{}, s.Lab.Now),
	}
	teller := &callback.Teller{
		Queue: s.post, Notices: s.elsewhere.notices, Clients: s.known, Sender: s.fetcher, Orders: grant.Decided{Needs: s.grantNeeds()},
		Issuer: s.mint, Grants: s.House, Denied: s.elsewhere.limits.Denied, Now: s.Lab.Now,
	}
	s.post.Works[callback.KindDecided] = teller.Work
	s.post.Works[callback.KindPush] = teller.Push
	s.post.Works[callback.KindLapsed] = teller.Lapse
	s.elsewhere.open = &consent.Elsewhere{
		Asking: s.House, Clients: s.known, Parser: s.parser(), Life: func() time.Duration { return s.Policy().Lives.Refresh },
		Say: s.say, Details: s.shown, Desk: s.decisions, Help: s.help, Owes: s.owesElsewhere, Pages: s.pages.get, Logos: s.logos, Teller: teller, Now: s.Lab.Now,
	}
	return nil
}

// shown puts authorization_details into the recipe's words.
func (s *Server) shown(text string) []page.Detail { return s.details.get().Shown(text) }

// asking are the doors of clients that ask without a browser, and of applications in which people decide.
func (s *Server) asking(doors *http.ServeMux, scripts web.CORS) {
	plain := web.Face{As: web.OAuth{}, Log: s.Log}
	bearer := web.Face{As: web.Bearer{DPoP: binding.Challenge()}, Log: s.Log}
	devices := &device.Endpoint{
		Issuer: s.Node.Issuer, Clients: s.prover, Parser: s.parser(), Asking: s.House, Key: s.elsewhere.key, Network: s.network,
		Proofs: s.proofs, Throttle: limit.New(limit.Rate{Burst: 60, Every: time.Second}, 50_000, s.Lab.Now), Now: s.Lab.Now,
		Complete: s.completes,
	}
	calls := &ciba.Endpoint{
		Issuer: s.Node.Issuer, Clients: s.prover, Parser: s.parser(), Asking: s.House, Users: s.House, Notices: s.elsewhere.notices,
		Limits: s.elsewhere.limits, Network: s.network, Proofs: s.proofs, Keys: s.clientKeys, Subject: s.subject, Lapsed: s.post,
		Now: s.Lab.Now,
	}
	api := &approve.Approvals{Tokens: s.tokens, Grants: s.House, Users: s.House, Elsewhere: s.elsewhere.open, Address: s.caller}
	at := discovery.Standard
	doors.Handle(at.Device, scripts.Wrap(plain.Handle(devices.Authorize)))
	doors.Handle(at.Backchannel, plain.Handle(calls.Authorize))
	doors.Handle("/requests", scripts.Wrap(s.proofs.Fresh(bearer.Handle(api.List))))
	doors.Handle("/requests/{id}", scripts.Wrap(s.proofs.Fresh(bearer.Handle(api.Decide))))
}

// completes tells whether the recipe gives a client's devices an address that has the code in it.
func (s *Server) completes(client iam.Client) bool {
	bundle := s.bundle()
	return bundle != nil && bundle.Recipe.Clients[client.ID].Complete
}

// deciding are the pages on which a person decides what was asked elsewhere.
func (s *Server) deciding(handle func(string, func(http.ResponseWriter, *http.Request) error), signing *login.Endpoint, kept crowd) {
	typing := &device.Pages{
		Sessions: s.sessions, Flows: kept, Users: s.House, Elsewhere: s.elsewhere.open, Key: s.elsewhere.key,
		Tries: device.NewTries(device.Budgets{}, s.House, s.Lab.Now), Network: s.network, Address: s.caller, Locked: signing.Locked, Pages: s.pages.get,
		Face: signing.Face, Now: s.Lab.Now,
	}
	own := &approve.Pages{Sessions: s.sessions, Flows: kept, Users: s.House, Elsewhere: s.elsewhere.open, Address: s.caller, Pages: s.pages.get}
	handle("/device", typing.Enter)
	handle("/device/confirm", typing.Confirm)
	handle("/device/done", typing.Done)
	handle("/account/requests", own.Requests)
}
