package page

// What can be wrong when somebody proves who they are.
const (
	FaultProof  Fault = "proof"  // it was not accepted, never why
	FaultDenied Fault = "denied" // another device said no
)

// The HTML ids of fields for codes.
const (
	FieldCode         = "code"          // of an application, or of a mail
	FieldRecoveryCode = "recovery-code" // of those that were put away
)

// The mails of the sign-in.
const (
	MailCode      MailKind = "code"       // a code to sign in; needs Code, Link and Expires
	MailNewDevice MailKind = "new_device" // somebody signed in from a new device; needs When
)

// ProveNone is the Kind of a page that has no way on.
const ProveNone = "none"

// Prove asks for one factor of who has proved another, or is signed in and must prove more. Posts flow, by, and password,
// code, recovery_code or answer; with deed=ask it asks for what is mailed or shown elsewhere.
type Prove struct {
	Common
	Action, Flow string
	Kind         string // the recipe's name of the factor, or ProveNone
	Client       Client
	Username     string // who is about to be signed in, or the name that was typed
	Again        bool   // is signed in already
	Switch       string // address to begin again, as somebody else
	Options      string // PublicKeyCredentialRequestOptionsJSON (WebAuthn Level 3)
	Waits        bool   // a code was mailed, or another device was asked
	Code         string // that came with the link of the mail
	Number       string // to be compared with what the other device shows
	Others       []Way  // that would do as well
	Help         string // address of human help
}

// CodeElsewhere shows the code of a mail to who opened its link in another browser than the one that asked.
type CodeElsewhere struct {
	Common
	Code string
}

func (Prove) name() string         { return "prove" }
func (CodeElsewhere) name() string { return "codeelsewhere" }

// scripts: see policy. What speaks to authenticators has a script, and the same page without them has none.
func (p Prove) scripts() bool  { return p.Options != "" }
func (s SignIn) scripts() bool { return s.Passkey != "" }

// refresh tells after how many seconds the browser asks again by itself; 0: never.
func (p Prove) refresh() int {
	if p.Kind == "approval" && p.Waits {
		return 4
	}
	return 0
}

// Mail is the address to write to, if that is what Help is.
func (p Prove) Mail() string { return Refused{Help: p.Help}.Mail() }

func (p Prove) title(w words) string { return w.text("prove." + p.Kind + ".title") }

// webauthn makes a field offer passkeys as well (WebAuthn Level 3 section 5.1.4, conditional mediation).
func webauthn(in input) input {
	in.Complete += " webauthn"
	return in
}
