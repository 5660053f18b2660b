package account

import (
	"context"
	"encoding/json"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/page"
)

const (
	read  = 200 // of the journal, most of which is of no interest to people
	shown = 15
)

// activity tells what happened lately with the account, newest first.
func (e *Endpoint) activity(ctx context.Context, here presence, languages []string) ([]page.Activity, error) {
	events, err := e.Keeping.Events(ctx, iam.JournalQuery{User: here.user.ID, Limit: read})
	if err != nil {
		return nil, err
	}
	var list []page.Activity
	for _, event := range events {
		kind := kindOf(string(event.Kind), event.Detail)
		if kind == "" {
			continue
		}
		line := page.Activity{
			Kind: kind, When: event.At, Device: event.Personal["agent"], Place: place(event.Personal["address"]),
		}
		if event.Client != "" {
			line.Client = e.nameOf(ctx, event.Client, languages)
		}
		if list = append(list, line); len(list) == shown {
			break
		}
	}
	return list, nil
}

// kindOf gives the catalogue's word for an event, or "" for what people need not see, such as each token.
func kindOf(kind string, raw json.RawMessage) string {
	var detail struct {
		What       string `json:"what"`
		Everywhere bool   `json:"everywhere"`
	}
	if json.Unmarshal(raw, &detail) != nil { // our own
		return ""
	}
	if detail.Everywhere {
		return "signed_out_everywhere"
	}
	return map[string]string{
		"user.signed_in": "signed_in", "user.signin_failed": "sign_in_failed", "user.signed_out": "signed_out",
		"consent.given": "consent_given", "access.asked": "asked", "access.revoked session": "session_ended", "access.revoked consent": "consent_revoked",
		"user.changed password": "password_changed", "user.changed password reset": "password_reset",
		"user.changed verified": "mail_verified", "user.changed enrolled": "enrolled",
		"factor.changed added": "factor_added", "factor.changed renamed": "factor_renamed", "factor.changed removed": "factor_removed",
		"factor.changed codes made": "codes_made", "factor.changed code used": "code_used", "device.forgotten": "device_forgotten",
		"user.changed " + habitsOn: "habits_on", "user.changed " + habitsOff: "habits_off", "user.changed " + habitsErased: "habits_erased",
		"user.changed " + signInAllowed: "signin_allowed", "user.changed " + signInDenied: "signin_denied",
	}[join(kind, detail.What)]
}

func join(kind, what string) string {
	if what == "" {
		return kind
	}
	return kind + " " + what
}
