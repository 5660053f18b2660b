package recipe

import (
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strconv"
	"strings"
	"time"
)

const maxEnrol = 20

// Words of the rules for passkeys.
const (
	AttestationOff      = "off"
	AttestationRequired = "required"
	SyncedAllowed       = "allowed"
	SyncedRefused       = "refused"
)

// checkFactorsOffered sees that people have ways to prove who they are, and that what they must add can be added.
func checkFactorsOffered(r *reading) {
	at := path("signin").key("factors")
	if _, written := r.places[at]; written && r.recipe.SignIn.Factors != nil && len(r.recipe.SignIn.Factors) == 0 {
		r.fault(at, "names no factor, so that nobody could sign in", "leave it out, or name factors: "+listed(r.factors))
	}
	twice := doubles(r.recipe.SignIn.Factors)
	for i, factor := range r.recipe.SignIn.Factors {
		switch {
		case !slices.Contains(r.factors, factor):
			r.fault(at.index(i), "there is no factor "+show(factor)+" in this version", "the factors are: "+listed(r.factors))
		case twice[i]:
			r.fault(at.index(i), "stands twice", "name each factor once")
		}
	}
	r.enrolments(path("signin").key("enrol"))
	r.passkeys(path("signin").key("passkeys"))
}

// checkMailbox: a reset sets a password by what a mailbox holds, so a set of nothing but a password and a mailed code would be
// reached by the mailbox alone. Recovery is never weaker than the sign-in.
func checkMailbox(r *reading) {
	if reset := r.recipe.SignIn.Reset; reset != nil && !*reset {
		return
	}
	alone := -1 // the highest level that a mailbox alone may reach, as the recipe says itself
	for i, level := range r.recipe.Levels {
		if slices.Contains(level.Any, "email") {
			alone = i
		}
	}
	for i, level := range r.recipe.Levels {
		for j, set := range level.Any {
			if i > alone && (set == "password+email" || set == "email+password") {
				r.fault(path("levels").index(i).key("any").index(j), "a mailbox alone reaches it: it resets the password and gets the code",
					"write signin: {reset: false}, or put another factor in the place of email")
			}
		}
	}
}

func (r *reading) enrolments(at path) {
	duties := r.recipe.SignIn.Enrol
	if len(duties) > maxEnrol {
		r.fault(at, "there are more than "+strconv.Itoa(maxEnrol), "join groups")
		return
	}
	names := levelNames(r.recipe.Levels)
	seen := map[string]bool{}
	for i, duty := range duties {
		here := at.index(i)
		if !slices.Contains(names, duty.Level) {
			r.dangling(here.key("level"), "level", duty.Level, names)
		}
		if seen[enrolName(duty)] {
			r.fault(here, "the same people are asked for the same before", "keep one of the two")
		}
		seen[enrolName(duty)] = true
		twice := doubles(duty.Groups)
		for j, group := range duty.Groups {
			switch {
			case strings.TrimSpace(group) != group || group == "" || len(group) > 64 || strings.Contains(group, ",") || !plainText(group):
				r.fault(here.key("groups").index(j), show(group)+" is not the name of a group", "write its name, at most 64 bytes of plain text")
			case twice[j]:
				r.fault(here.key("groups").index(j), "stands twice", "name each group once")
			}
		}
		if _, err := time.Parse(time.DateOnly, duty.Until); duty.Until != "" && err != nil {
			r.fault(here.key("until"), show(duty.Until)+" is not a day", "write YYYY-MM-DD")
		}
	}
}

// End is the first moment at which the duty can't be put off any more; zero: at once.
func (e Enrol) End() time.Time {
	day, err := time.Parse(time.DateOnly, e.Until)
	if err != nil {
		return time.Time{}
	}
	return day.AddDate(0, 0, 1)
}

func (r *reading) passkeys(at path) {
	rules := r.recipe.SignIn.Passkeys
	if rules.Attestation != "" && rules.Attestation != AttestationOff && rules.Attestation != AttestationRequired {
		r.fault(at.key("attestation"), show(rules.Attestation)+" is not a rule", "write off or required")
	}
	if rules.Synced != "" && rules.Synced != SyncedAllowed && rules.Synced != SyncedRefused {
		r.fault(at.key("synced"), show(rules.Synced)+" is not a rule", "write allowed or refused")
	}
	twice := doubles(rules.Models)
	for i, model := range rules.Models {
		switch {
		case !likeUser(model): // an AAGUID is written as a UUID (WebAuthn Level 3 section 6.5.1)
			r.fault(at.key("models").index(i), show(model)+" is no AAGUID", "write it in small letters, as fbfc3007-154e-4ecc-8c0b-6e020557d7bd")
		case twice[i]:
			r.fault(at.key("models").index(i), "stands twice", "name each model once")
		}
	}
	if len(rules.Models) > 0 && rules.Attestation != AttestationRequired {
		r.finding(at.key("models"), "without attestation, a model is what a device says of itself", "write attestation: required")
	}
	r.roots(at.key("roots"), rules)
}

// roots: without them nobody could prove a model, and every authenticator would be refused.
func (r *reading) roots(at path, rules Passkeys) {
	twice := doubles(rules.Roots)
	for i, name := range rules.Roots {
		switch {
		case name == "":
			r.fault(at.index(i), "names no file", "name a file with certificates (PEM) below the recipe's folder")
		case twice[i]:
			r.fault(at.index(i), "stands twice", "name each file once")
		}
	}
	switch {
	case rules.Attestation == AttestationRequired && len(rules.Roots) == 0:
		r.fault(at, "nobody is believed about the model of an authenticator, so that none could be added", "name files with the certificates of their makers, or write attestation: off")
	case rules.Attestation != AttestationRequired && len(rules.Roots) > 0:
		r.finding(at, "without attestation, nobody is asked about a model", "write attestation: required")
	}
}

// Roots reads a file of certificates (PEM, RFC 7468 section 5): of authorities, or of single models, which FIDO metadata
// lists in place of their authority.
func Roots(content []byte) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return nil, refuse("leave only certificates in it; a private key that stood here is to be replaced", "the file holds a block %s", show(block.Type))
		}
		root, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, refuse("save it again as PEM", "certificate %d of the file can't be read", len(all)+1)
		}
		all = append(all, root)
	}
	if len(all) == 0 {
		return nil, refuse("save it as PEM: -----BEGIN CERTIFICATE-----", "the file holds no certificate")
	}
	return all, nil
}

func checkRoots(content []byte) error {
	_, err := Roots(content)
	return err
}

// apps: only native apps share a sign-in on a device (OpenID Native SSO section 1).
func (r *reading) apps(at path, client Client) {
	switch {
	case client.Apps == "":
	case client.Type != Native:
		r.fault(at.key("apps"), "only native apps share a sign-in on a device", "leave it out, or write type: native")
	default:
		r.name(at.key("apps"), client.Apps)
	}
}
