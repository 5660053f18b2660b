package factor

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/otp"
	"github.com/gardeauth/garde/internal/seal"
	"github.com/gardeauth/garde/internal/web"
)

// How long a mailed code lives, and how often it may be tried.
const (
	CodeLife  = 10 * time.Minute
	codeTries = 5
)

// email proves that a person reads their mail, by a code that is typed into the browser that asked. A code that was read
// elsewhere completes nothing there (S02).
type email struct{ Needs }

func (email) Is() Traits                     { return Traits{Name: "email", First: true, Guessable: true} }
func (email) Able(held Held) bool            { return held.Mailed() }
func (email) Missing(form web.Form) []string { return empty(form, FieldCode) }

// mailed is a code that was sent, as its flow keeps it.
type mailed struct {
	User  string    `json:"user,omitempty"` // empty: nobody, and no code is right
	Count string    `json:"count"`          // under which name its tries are counted
	Name  string    `json:"name"`           // as it was typed
	Salt  string    `json:"salt"`
	Begun time.Time `json:"begun"`
	Tries int       `json:"tries"`
	Check string    `json:"check"` // sealed, so that nobody who reads the storage can try codes
}

func (email) place(tenant iam.Tenant, salt string) seal.AD {
	return seal.AD{Tenant: string(tenant), Table: "flows", Row: salt}
}

func (m email) Ask(_ context.Context, asking Asking) (Asked, error) {
	code, salt := otp.NewMailCode(), rand.Text()
	said := mailed{Salt: salt, Begun: asking.Now.UTC(), Count: asking.Count, Name: asking.Name}
	if m.Able(Held{User: asking.User}) {
		said.User = asking.User.ID
	}
	hash := otp.HashMailCode(salt, code)
	var err error
	if said.Check, err = m.Sealer.Seal(m.place(m.Tenant, salt), hash[:]); err != nil {
		return Asked{}, err
	}
	state, err := json.Marshal(said)
	return Asked{State: string(state), Code: code}, err
}

func read(state string) (mailed, bool) {
	var said mailed
	return said, json.Unmarshal([]byte(state), &said) == nil && said.Salt != "" // ours: no browser writes it
}

// Waits tells whether a mailed code could still be typed in that state.
func Waits(state string, now time.Time) bool {
	said, ok := read(state)
	return ok && said.Tries < codeTries && now.Sub(said.Begun) < CodeLife
}

// Addressee is whom a code was mailed to.
type Addressee struct {
	User  string // empty: nobody
	Count string
	Name  string
}

// MailedTo gives whom the code of that state was mailed to.
func MailedTo(state string) Addressee {
	said, _ := read(state)
	return Addressee{said.User, said.Count, said.Name}
}

// Spend counts the try.
func (email) Spend(state string, now time.Time) (string, error) {
	if !Waits(state, now) {
		return "", ErrStale
	}
	said, _ := read(state)
	said.Tries++
	counted, err := json.Marshal(said)
	return string(counted), err
}

func (m email) Prove(_ context.Context, try Try) (Proof, error) {
	said, ok := read(try.State)
	if !ok {
		return Proof{}, ErrStale
	}
	raw, err := m.Sealer.Open(m.place(m.Tenant, said.Salt), said.Check)
	if err != nil || len(raw) != len(iam.Digest{}) {
		return Proof{}, ErrStale
	}
	right := iam.Digest(raw).Equal(otp.HashMailCode(said.Salt, try.Form.Value(FieldCode)))
	if !right || said.User == "" || try.User.ID != said.User {
		return Proof{User: said.User}, ErrWrong
	}
	return Proof{User: said.User, Proved: iam.Proved{
		Factor: "email", At: whole(try.Now), Begun: said.Begun, Methods: []string{"otp"},
	}}, nil
}
