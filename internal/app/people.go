package app

import (
	"cmp"
	"net/http"
	"path/filepath"
	"runtime"
	"time"

	"github.com/gardeauth/garde/internal/deliver"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/password"
	"github.com/gardeauth/garde/internal/seal"
	"github.com/gardeauth/garde/internal/server/account"
	"github.com/gardeauth/garde/internal/server/authorize"
	"github.com/gardeauth/garde/internal/server/consent"
	"github.com/gardeauth/garde/internal/server/discovery"
	"github.com/gardeauth/garde/internal/server/login"
	"github.com/gardeauth/garde/internal/server/logout"
	"github.com/gardeauth/garde/internal/web"
)

// people are the doors that people use in a browser.
func (s *Server) people(doors *http.ServeMux) {
	face := s.pageFace()
	handle := func(path string, door func(http.ResponseWriter, *http.Request) error) {
		doors.Handle(path, face.Handle(door))
	}
	kept := s.newCrowd()
	front := &authorize.Endpoint{
		Issuer: s.Node.Issuer, Parser: s.parser(), Sessions: s.sessions, Flows: kept, Codes: s.recalled, Accounts: s.accounts(),
		Consents: s.recalled, Recalled: s.recalled, Pages: s.pages.get, Face: face, Now: s.Lab.Now,
		Assurance: s.decisions, Address: s.caller, Help: s.help,
		Desk: s.mint, Signer: s.mint, Waiting: s.House, Subject: s.subject, Extra: s.answered, Due: s.owes,
	}
	handle(discovery.Standard.Authorize, s.outside(front.Authorize))
	signing := s.login(kept)
	// Each proof of a password is work that anybody can ask for. Those who wait for it wait where they cost nothing: a
	// thousand of them, each with a little work, would keep /token from its own.
	proofs := http.NewServeMux()
	limited := web.Overload{Running: 16, Waiting: 64, Patience: 3 * time.Second, Face: face}.Wrap(proofs)
	for path, door := range map[string]web.Handler{
		"/signin": signing.SignIn, "/signin/next": signing.Next, "/signup": signing.SignUp, "/forgot": signing.Forgot,
		"/link/" + string(iam.LinkVerify): signing.Verify, "/link/" + string(iam.LinkReset): signing.Reset,
		"/link/" + string(iam.LinkEnrol): signing.Enrol,
	} {
		handle(path, door)
		doors.Handle("POST "+path, limited)
		proofs.Handle(path, face.Handle(door))
	}
	asking := &consent.Endpoint{
		Sessions: s.sessions, Flows: kept, Users: s.House, Clients: s.known, Consents: s.House,
		Say: s.say, Pages: s.pages.get, Now: s.Lab.Now,
		Details: s.shown, Logos: s.logos,
	}
	handle("/consent", asking.Consent)
	s.own(handle, signing, kept)
	s.deciding(handle, signing, kept)
}

// own are the pages about the person who is signed in, and the way out.
func (s *Server) own(handle func(string, func(http.ResponseWriter, *http.Request) error), signing *login.Endpoint, kept crowd) {
	own := &account.Endpoint{
		Keeping: kept, Access: s.House, Clients: s.known, Sessions: s.sessions, Devices: signing.Devices,
		Hasher: s.hasher, Tries: signing.Tries, Network: s.network, Judge: signing.Judge,
		Changed: signing.TellChanged, Failed: signing.Fail, Locked: signing.Locked, Waits: s.elsewhere.open.Any, Say: s.say, Pages: s.pages.get, Face: signing.Face, Now: s.Lab.Now,
	}
	handle("/account", own.Account)
	handle("/account/password", own.Password)
	handle("/account/sessions", own.EndSession)
	handle("/account/consents", own.Revoke)
	handle("/account/everywhere", own.Everywhere)
	handle("/account/signout", own.SignOut)
	s.corners(own, handle)
	own.Factors.Due, own.Approves, own.Wary = s.owed, s.approves, s.guard(true)
	out := &logout.Endpoint{
		Hints: s.parser(), Flows: kept, Sessions: s.sessions, Living: s.House, Users: s.House, Clients: s.known,
		Reads: s.House, Issuer: s.Node.Issuer, Subject: s.subject, Accounts: own.Accounts,
		Pages: s.pages.get, Face: signing.Face, Now: s.Lab.Now,
	}
	handle(discovery.Standard.Logout, out.Logout)
	handle(discovery.Standard.Logout+"/confirm", out.Confirm)
	handle(discovery.Standard.Logout+"/done", out.Done)
	handle(discovery.Standard.CheckSession, out.CheckSession)
}

// say gives the recipe's words for a scope, by language.
func (s *Server) say(scope string) map[string]string { return s.Policy().Recipe.Scopes[scope].Say }

// newHasher leaves one processor to all who ask for something else: hashing would take as many as there are.
func newHasher() *password.Hasher { return password.NewHasher(max(1, runtime.NumCPU()-1), 64) }

// openPost sets up the queue of messages, and how mails leave.
func (s *Server) openPost() error {
	sender, err := s.sender()
	if err != nil {
		return err
	}
	s.post = deliver.New(deliver.Queue{
		Deliveries: s.House, Journal: s.House, Sealer: s.Seal, Tenant: iam.DefaultTenant, Log: s.Log, Now: s.Lab.Now,
		Works: map[string]deliver.Work{login.KindMail: deliver.MailWork(sender)},
	})
	return nil
}

func (s *Server) sender() (deliver.Sender, error) {
	mail := s.Node.Mail
	if mail.SMTP == "" {
		folder := mail.Folder
		if folder == "" {
			folder = filepath.Join(s.Node.Dir, "mail")
		}
		return deliver.Folder{Path: folder, From: cmp.Or(mail.From, "garde@localhost")}, nil
	}
	sender := deliver.SMTP{Server: mail.SMTP, From: mail.From, User: mail.User}
	if mail.Password != "" {
		sender.Password = func() (seal.Secret, error) { return seal.Resolve(mail.Password, s.Node.Dir) }
	}
	return sender, sender.Check()
}
