package page

import (
	"errors"
	"html/template"
	"strconv"
	"strings"
)

// Fault is what can be wrong with a field; its sentence is in the catalogue.
type Fault string

// The faults that the pages have words for.
const (
	FaultCredentials Fault = "credentials" // username or password, never which
	FaultMissing     Fault = "missing"
	FaultEmail       Fault = "email"
	FaultUsername    Fault = "username"
	FaultTaken       Fault = "taken"
	FaultShort       Fault = "short"
	FaultLong        Fault = "long"
	FaultCommon      Fault = "common" // on the list of common and breached passwords
	FaultSame        Fault = "same"   // the new password is the old one
	FaultDiffer      Fault = "differ" // the two entries are not the same
	FaultCurrent     Fault = "current"
	FaultUserCode    Fault = "user_code" // no device waits with this code
	FaultBusy        Fault = "busy"      // we could not check just now
	FaultStale       Fault = "stale"     // the page was too old; try again
)

// The HTML ids of the fields.
const (
	FieldUsername         = "username"
	FieldEmail            = "email"
	FieldPassword         = "password"
	FieldCurrentPassword  = "current-password"
	FieldNewPassword      = "new-password"
	FieldNewPasswordAgain = "new-password-again"
	FieldUserCode         = "user-code"
)

// Problem is one fault of one field. An empty Field means the page as a whole.
type Problem struct {
	Field string
	Fault Fault
}

// Note is a short message; its title and text are in the catalogue.
type Note string

// The notes that the pages have words for.
const (
	NoteMailVerified    Note = "mail_verified"
	NotePasswordChanged Note = "password_changed"
	NoteEnrolled        Note = "enrolled"
	NoteOpened          Note = "opened" // by the passkey that was added
	NoteSessionEnded    Note = "session_ended"
	NoteSignedOutAll    Note = "signed_out_everywhere"
	NoteConsentRevoked  Note = "consent_revoked"
	NoteLinkSpent       Note = "link_spent" // expired, used or unknown
	NoteDenied          Note = "denied"
	NoteStillSignedIn   Note = "still_signed_in"

	NoteDeviceAllowed  Note = "device_allowed" // the application on the other device goes on
	NoteDeviceDenied   Note = "device_denied"
	NoteRequestAllowed Note = "request_allowed" // the application that asked goes on
	NoteRequestDenied  Note = "request_denied"
)

// input is one labelled field as its template sees it.
type input struct {
	ID, Name, Type, Complete, Mode string
	Value, Label, Hint             string
	Faults                         []string
	DescribedBy                    string
	Max                            int
	Focus, ReadOnly                bool
}

// field makes the input with this id. It takes the focus when it is the first
// faulty one, or when nothing is faulty and the template wishes it.
func (w words) field(f frame, id, value string, focus bool) (input, error) {
	in := input{ID: id, Name: strings.ReplaceAll(id, "-", "_"), Type: "text", Value: value, Max: 256}
	switch id {
	case FieldUsername:
		in.Complete = "username"
	case FieldEmail:
		in.Type, in.Complete, in.Mode = "email", "email", "email"
	case FieldPassword, FieldCurrentPassword:
		in.Type, in.Complete, in.Max = "password", "current-password", 1024
	case FieldNewPassword, FieldNewPasswordAgain:
		in.Type, in.Complete, in.Max = "password", "new-password", 1024
	case FieldUserCode:
		in.Complete, in.Max = "off", 64
	case FieldFactorName:
		in.Complete, in.Max = "off", 64
		in.Hint = w.text("field.factor-name.hint")
	case FieldRecoveryCode:
		in.Complete, in.Max = "off", 40
	case FieldNewCode, FieldCode:
		in.Complete, in.Mode, in.Max = "one-time-code", "numeric", 16
	default:
		return input{}, errors.New("no such field: " + id)
	}
	if in.Type == "password" {
		in.Value = "" // a password never travels back
	}
	in.Label = w.text("field." + id)
	var described []string
	if id == FieldNewPassword {
		in.Hint = w.text("field.new-password.hint", "min", minimum(f))
	}
	if in.Hint != "" {
		described = append(described, id+"-hint")
	}
	for _, p := range f.Problems {
		if p.Field == id {
			in.Faults = append(in.Faults, w.fault(f, p.Fault))
		}
	}
	if in.Faults != nil {
		described = append(described, id+"-error")
	}
	in.DescribedBy = strings.Join(described, " ")
	in.Focus = focus && len(f.Problems) == 0 || len(f.Problems) > 0 && f.Problems[0].Field == id
	return in, nil
}

// whoami makes the username field that can be read, not changed: password
// managers need it to know whose password is new.
func (w words) whoami(username string) input {
	return input{
		ID: FieldUsername, Name: "username", Type: "text", Complete: "username",
		Value: username, Label: w.text("field.username"), ReadOnly: true, Max: 256,
	}
}

func (w words) fault(f frame, fault Fault) string {
	return w.oneOf([]string{"problem." + string(fault), "problem.other"}, "min", minimum(f))
}

func minimum(f frame) string {
	if f.MinPassword > 0 {
		return strconv.Itoa(f.MinPassword)
	}
	return "8"
}

// csrf gives the hidden token of a form and refuses to make a form without one.
func csrf(f frame) (string, error) {
	if f.CSRF == "" {
		return "", errors.New("the view has no CSRF token")
	}
	return f.CSRF, nil
}

// funcs are what the templates of one language may call.
func (w words) funcs() template.FuncMap {
	return template.FuncMap{
		"t": w.text, "say": w.say, "when": w.when, "date": w.date, "wait": w.wait,
		"field": w.field, "whoami": w.whoami, "fault": w.fault, "csrf": csrf,
		"scope": w.scope, "asks": w.asks, "spoken": w.spoken, "sentences": w.sentences, "activity": w.activity,
		"note": w.note, "noted": w.noted, "circumstances": w.circumstances,
		"clean": clean, "detail": cleanDetail, "initial": initial, "image": clientImage, "link": link, "action": formAction,
		"pairs": pairs, "margin": margin, "webauthn": webauthn, "otpauth": otpauth,
	}
}
