package page

import (
	"html/template"
	"net/url"
	"time"
)

// What can be wrong when a factor is added or removed.
const (
	FaultNewCode  Fault = "new_code"  // the code is not the one that the application shows now
	FaultKey      Fault = "key"       // the authenticator's answer was not accepted
	FaultKeyKind  Fault = "key_kind"  // the company does not admit this kind of authenticator
	FaultKeyTaken Fault = "key_taken" // it is registered already
	FaultFull     Fault = "full"      // there are as many as there may be
	FaultLast     Fault = "last"      // without it nobody could sign in any more
	FaultName     Fault = "name"      // too long, or nothing
	FaultAccounts Fault = "accounts"  // this browser has as many accounts as it may
)

// What was done with a factor.
const (
	NoteFactorAdded   Note = "factor_added"
	NoteFactorRenamed Note = "factor_renamed"
	NoteFactorRemoved Note = "factor_removed"
	NoteConfirmed     Note = "confirmed" // it is you: go on with what you were about to do
)

// The HTML ids of the fields of these pages.
const (
	FieldFactorName = "factor-name"
	FieldNewCode    = "new-code"
)

// Corner is one of the pages of an account, as the bar on top of them lists it.
type Corner struct {
	Name string // a word of the catalogue: nav.*
	At   string
	Here bool
}

// HeldFactor is something that the person can sign in with.
type HeldFactor struct {
	ID, Kind, Name string // Kind is the recipe's name of the factor
	Model          string // make of the authenticator, when it is known
	Synced         bool   // it is, or may be, on several devices
	Created, Used  time.Time
}

// Security is the page of all that the person can sign in with. Its rows lead to Action/factor?id=, what can be added to
// Action/KIND. Posts to Action/codes.
type Security struct {
	Common
	Action   string
	Bar      []Corner
	Factors  []HeldFactor
	Adds     []string // kinds that can be added
	Password bool     // there is one
	Home     string   // address where it is changed; empty: passwords are not used here
	Codes    bool     // recovery codes may be made
	Left     int      // of them
	Notice   Note
}

// OneFactor shows one. Posts id, do=rename|remove, factor_name.
type OneFactor struct {
	Common
	Action string
	Factor HeldFactor
	Back   string
}

// NewKey adds a passkey or a security key: its script asks the browser by Options and fills in the answer. Posts flow,
// answer, factor_name. To a new account it is added by a one-time link: then it posts token and state in place of flow.
type NewKey struct {
	Common
	Action, Flow string
	Token, State string
	Admin        bool // the new account will administer Garde
	Kind         string
	Name         string
	Options      string // PublicKeyCredentialCreationOptionsJSON (WebAuthn Level 3)
	Back         string // empty: there is nothing to go back to
}

// NewTOTP adds an application for one-time passwords. Posts flow, new_code, factor_name.
type NewTOTP struct {
	Common
	Action, Flow string
	Name         string
	Secret       []string // in groups, to be typed
	URI          string   // otpauth:, for a phone that shows this very page
	Picture      string   // the URI as path data of a QR code
	Size         int      // of the picture, in its units, without the quiet zone
	Back         string
}

// Codes shows new recovery codes, this once.
type Codes struct {
	Common
	Codes    []string
	Username string
	Back     string
}

// AddFactor says that a further factor is needed, before the person goes on or by a day. Posts flow, when it may be put
// off.
type AddFactor struct {
	Common
	Action, Flow string
	Client       Client
	Username     string
	Ways         []Way
	Until        time.Time // last day on which it may be put off; zero: now
}

// Way is a factor that can be added.
type Way struct{ Kind, At string }

func (Security) name() string  { return "security" }
func (OneFactor) name() string { return "onefactor" }
func (NewKey) name() string    { return "newkey" }
func (NewTOTP) name() string   { return "newtotp" }
func (Codes) name() string     { return "codes" }
func (AddFactor) name() string { return "addfactor" }

func (Account) wide()  {}
func (Security) wide() {}

// scripted pages run a script of their own, by its nonce.
func (NewKey) scripted() {}
func (Codes) scripted()  {}

// title of the page that adds a key is that of its kind.
func (k NewKey) title(w words) string { return w.text("add." + k.Kind) }
func (f OneFactor) title(w words) string {
	return w.text("factor." + f.Factor.Kind)
}

// margin is the view box of a QR code with the margin of four modules that readers need.
func margin(size int) int { return size + 8 }

// otpauth lets the address of a one-time password's key through, which is no web address, and nothing else.
func otpauth(address string) template.URL {
	if at, err := url.Parse(address); err != nil || at.Scheme != "otpauth" || at.Host != "totp" {
		return ""
	}
	return template.URL(address) //nolint:gosec // one closed shape
}
