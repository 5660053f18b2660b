package factors

import (
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/store/deeds"
)

// The rows below are how storage spells what stands within a session or a flow. They are short, because every session and
// every sign-in carries them, and a field that is renamed elsewhere does not change what is kept.

type provedRow struct {
	Factor     string   `json:"f"`
	At         int64    `json:"t"`
	Begun      int64    `json:"b"`
	Credential string   `json:"c,omitempty"`
	Methods    []string `json:"m,omitempty"`
}

type answerRow struct {
	Cause string `json:"c"`
	ACR   string `json:"l"`
	At    int64  `json:"t"`
}

type needRow struct {
	ACR     string   `json:"l"`
	Fresh   int64    `json:"f,omitempty"`
	Sets    []string `json:"s,omitempty"`
	Since   int64    `json:"t"`
	Cause   string   `json:"c,omitempty"`
	Reasons []string `json:"r,omitempty"`
	Enrol   bool     `json:"e,omitempty"`
	Vouch   bool     `json:"v,omitempty"`
}

// ProofsText spells proofs; empty for none.
func ProofsText(proofs []iam.Proved) (string, error) {
	if len(proofs) == 0 {
		return "", nil
	}
	rows := make([]provedRow, len(proofs))
	for i, p := range proofs {
		rows[i] = provedRow{p.Factor, deeds.Micro(p.At), deeds.Micro(p.Begun), p.Credential, p.Methods}
	}
	return deeds.AsJSON(rows)
}

// ProofsOf reads what ProofsText spelt.
func ProofsOf(text string) ([]iam.Proved, error) {
	var rows []provedRow
	if err := deeds.FromJSON(text, &rows); err != nil || len(rows) == 0 {
		return nil, err
	}
	proofs := make([]iam.Proved, len(rows))
	for i, r := range rows {
		proofs[i] = iam.Proved{Factor: r.Factor, At: deeds.At(r.At), Begun: deeds.At(r.Begun), Credential: r.Credential, Methods: r.Methods}
	}
	return proofs, nil
}

// AnswersText spells answers; empty for none.
func AnswersText(answers []iam.Answer) (string, error) {
	if len(answers) == 0 {
		return "", nil
	}
	rows := make([]answerRow, len(answers))
	for i, a := range answers {
		rows[i] = answerRow{a.Cause.String(), a.ACR, deeds.Micro(a.At)}
	}
	return deeds.AsJSON(rows)
}

// AnswersOf reads what AnswersText spelt.
func AnswersOf(text string) ([]iam.Answer, error) {
	var rows []answerRow
	if err := deeds.FromJSON(text, &rows); err != nil || len(rows) == 0 {
		return nil, err
	}
	answers := make([]iam.Answer, len(rows))
	for i, r := range rows {
		cause, err := deeds.Digest(r.Cause)
		if err != nil {
			return nil, err
		}
		answers[i] = iam.Answer{Cause: cause, ACR: r.ACR, At: deeds.At(r.At)}
	}
	return answers, nil
}

// NeedText spells what a flow needs; empty for nothing.
func NeedText(need *iam.Need) (string, error) {
	if need == nil {
		return "", nil
	}
	row := needRow{ACR: need.ACR, Fresh: atLeast(need.Fresh), Sets: need.Sets, Since: deeds.Micro(need.Since), Reasons: need.Reasons, Enrol: need.Enrol, Vouch: need.Vouch}
	if !need.Cause.Zero() {
		row.Cause = need.Cause.String()
	}
	return deeds.AsJSON(row)
}

// atLeast counts microseconds, and of less than one still one: nothing would mean any age.
func atLeast(fresh time.Duration) int64 {
	return int64((max(fresh, 0) + time.Microsecond - 1) / time.Microsecond)
}

// NeedOf reads what NeedText spelt.
func NeedOf(text string) (*iam.Need, error) {
	if text == "" {
		return nil, nil
	}
	var row needRow
	if err := deeds.FromJSON(text, &row); err != nil {
		return nil, err
	}
	need := &iam.Need{ACR: row.ACR, Fresh: time.Duration(row.Fresh) * time.Microsecond, Sets: row.Sets, Since: deeds.At(row.Since), Reasons: row.Reasons, Enrol: row.Enrol, Vouch: row.Vouch}
	var err error
	if row.Cause != "" {
		need.Cause, err = deeds.Digest(row.Cause)
	}
	return need, err
}

// rests tells whether proofs name a credential.
func rests(proofs []iam.Proved, credential string) bool {
	for _, p := range proofs {
		if p.Credential == credential {
			return true
		}
	}
	return false
}

// Rests is nil if what a session rests on is there: the device was not forgotten, and no authenticator was removed since it
// was proved. What the session before rested on has ended with the authenticator, or was let go on by whoever removed it.
// The deed holds the person.
func Rests(d *deeds.Deed, session, before iam.Session) error {
	for _, p := range session.Proofs {
		switch iam.FactorKind(p.Factor) {
		case iam.FactorPasskey, iam.FactorSecurityKey, iam.FactorTOTP:
			if p.Credential == "" || before.User == session.User && rests(before.Proofs, p.Credential) {
				continue
			}
			if err := deeds.Only(d, iam.ErrRevoked, `SELECT 1 FROM authenticators WHERE tenant = $1 AND id = $2 AND user_id = $3`,
				[]any{d.Tenant, p.Credential, session.User}, new(int64)); err != nil {
				return err
			}
		}
	}
	if session.Device == "" {
		return nil
	}
	return deeds.Only(d, iam.ErrRevoked, `SELECT 1 FROM users WHERE tenant = $1 AND id = $2 AND NOT EXISTS (
		SELECT 1 FROM devices v WHERE v.tenant = $1 AND v.user_id = $2 AND v.id = $3 AND v.forgotten > 0)`,
		[]any{d.Tenant, session.User, deeds.Clean(session.Device)}, new(int64))
}
