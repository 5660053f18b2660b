package page

import (
	"net/url"
	"time"
)

// A Client in a view may be the zero value where no client is concerned.
//
// Every form posts to the view's Action (empty: the page's own address) the
// hidden fields "csrf" and, where the view has one, "flow" or "token". Names of
// the visible fields are their HTML ids with "_" for "-".

// Client is what a person is told of an application. All of it is the client's
// own word: it is shown escaped, shortened, isolated and without control
// characters.
type Client struct {
	Name   string
	Logo   string // a path of ours or a data: PNG, JPEG, WebP or GIF; others are not shown
	Host   string // the host (or scheme) that the answer goes to
	Policy string // https link to its privacy policy
	Terms  string // https link to its terms of service
	// Unverified warns that nobody at the company has vouched for this client.
	Unverified bool
}

// SignIn asks for what a sign-in may begin with: username and password (posts flow, username, password; with by=email it
// asks for a code by mail instead), or any passkey (posts flow, by=passkey, answer).
type SignIn struct {
	Common
	Action, Flow string
	Client       Client
	Username     string // login_hint or the last try
	Known        string // who is signed in already and must prove it again
	Password     bool   // a password may be the beginning
	Mail         bool   // a code by mail may be
	Passkey      string // options for any passkey, as JSON; empty: none may be
	// Addresses of the neighbours; an empty one is not offered.
	SignUp, Forgot, Switch, Others string
}

// SignUp makes an account. Posts flow, username, email, new_password.
type SignUp struct {
	Common
	Action, Flow    string
	Client          Client
	Username, Email string
	SignIn          string // address of the sign-in page
}

// CheckMail says that a mail is on its way, in the same words whether the
// address is known or not.
type CheckMail struct {
	Common
	Email  string
	Reset  bool   // a password reset; otherwise the confirmation of an address
	SignIn string // address of the sign-in page
}

// VerifyMail confirms an address with a button, because scanners open links.
// Posts token.
type VerifyMail struct {
	Common
	Action, Token string
	Email         string
}

// Forgot asks for a reset mail. Posts flow, email.
type Forgot struct {
	Common
	Action, Flow string
	Email        string
	SignIn       string
}

// Reset sets a new password. Posts token, new_password, new_password_again.
type Reset struct {
	Common
	Action, Token string
	Username      string
}

// Enrol opens an account from a one-time link. Posts token, new_password,
// new_password_again.
type Enrol struct {
	Common
	Action, Token string
	Username      string
	Admin         bool // the account will administer Garde
}

// Scope is one permission. Say and Means are by language; the scopes of OpenID
// Connect have words of their own.
type Scope struct {
	Name  string
	Say   map[string]string // See your balances
	Means map[string]string // what the application can then do, in a sentence
}

// Consent asks for permission. Posts flow, decision=allow|deny.
type Consent struct {
	Common
	Action, Flow string
	Client       Client
	Username     string
	Scopes       []Scope
	Details      []Detail // what is allowed this once, beyond the scopes
	Remembered   bool     // the answer will not be asked again
	Account      string   // address where it can be taken back
	Switch       string   // address for "not you?"
}

// Session is one signed-in browser.
type Session struct {
	ID          string
	Device      string // Firefox on Linux
	Place       string
	Since, Seen time.Time
	Factors     []string // that were proved, by the recipe's names
	Current     bool
}

// Permission is one remembered consent.
type Permission struct {
	ID     string
	Client Client
	Scopes []Scope
	Since  time.Time
}

// Activity is one line of what happened lately. Kind is a name of the
// catalogue (activity.*); an unknown one is shown in general words.
type Activity struct {
	Kind          string
	When          time.Time
	Device, Place string
	Client        string
}

// Account is the person's own page. Its forms post below Action:
// /password (current_password, new_password, new_password_again),
// /sessions (session), /consents (consent), /everywhere, /notme, /signout.
type Account struct {
	Common
	Action        string
	Username      string
	Name, Email   string
	EmailVerified bool
	Sessions      []Session
	Consents      []Permission
	Activity      []Activity
	Notice        Note // what was just done, if anything
	Waiting       bool // something waits for a decision, at Action/requests
	Asked         bool // a sign-in on another device waits, at Action/approvals
	Bar           []Corner
	Switch        string // address where another account is chosen; empty: there is no such page
	NotYou        bool   // what the person did not do can be answered, by Action/notme
	Passwordless  bool   // no password is set
}

// LogoutConfirm asks whether to sign out. Posts flow, decision=yes|no.
type LogoutConfirm struct {
	Common
	Action, Flow string
	Username     string
	Client       Client // who asks, if it could be proved
}

// SignedOut says that it is done.
type SignedOut struct {
	Common
	SignIn string
	// Frames are pages of applications that are loaded so that they sign out as well (OpenID Connect Front-Channel
	// Logout); their origins, and no others, may stand in a frame of this page.
	Frames []string
	Next   string // where the person goes on by themselves, in a moment or with a click
}

// CheckSession is the page that an application loads in a hidden frame to ask whether the person is still the same
// (OpenID Connect Session Management section 3.3). It shows nothing, runs its own script, and may stand in any frame.
type CheckSession struct {
	Common
	Cookie string // name of the cookie that holds the browser's state
}

// Error tells what happened, why, and what to do. The words come from the
// catalogue by Reason if it has that, else by Code, else in general.
type Error struct {
	Common
	Code   string // OAuth error code, visible on the page
	Reason string // a finer word of ours: see the catalogue's error.* keys
	// Detail is our own sentence for the client's developer (oauth.Error's
	// description). It must not repeat what came with the request.
	Detail string
	Client Client
	Retry  string // address to begin anew, if there is one
}

// FormPost hands the authorization response over (OAuth 2.0 Form Post Response
// Mode section 2). Action must be http or https; its origin is the only target
// that the page's policy allows besides our own. Line breaks in a value do not
// survive HTML: the request is where they are refused.
type FormPost struct {
	Common
	Action string
	Values url.Values
	Client Client
}

// Message is one of our notes, or Title and Text as given, in the person's
// language.
type Message struct {
	Common
	Note        Note
	Title, Text string
	Next        string // address of the one thing to do next
}

// Locked says that there were too many tries. The handler sets status and
// Retry-After.
type Locked struct {
	Common
	Wait   time.Duration // until another try makes sense; zero says "in a few minutes"
	Forgot string
}

func (SignIn) name() string        { return "signin" }
func (SignUp) name() string        { return "signup" }
func (CheckMail) name() string     { return "checkmail" }
func (VerifyMail) name() string    { return "verifymail" }
func (Forgot) name() string        { return "forgot" }
func (Reset) name() string         { return "reset" }
func (Enrol) name() string         { return "enrol" }
func (Consent) name() string       { return "consent" }
func (Account) name() string       { return "account" }
func (LogoutConfirm) name() string { return "logout" }
func (SignedOut) name() string     { return "signedout" }
func (CheckSession) name() string  { return "checksession" }
func (Error) name() string         { return "error" }
func (FormPost) name() string      { return "formpost" }
func (Message) name() string       { return "message" }
func (Locked) name() string        { return "locked" }

// handsTo tells where the form goes: the policy of the page follows it.
func (f FormPost) handsTo() string { return f.Action }

// framed tells which pages may be loaded in frames of this one.
func (s SignedOut) framed() []string { return s.Frames }

// frameable tells that any site may frame this page.
func (CheckSession) frameable() {}
