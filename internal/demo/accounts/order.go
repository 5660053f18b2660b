package accounts

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Recipient is somebody outside whom a person pays.
type Recipient struct {
	Name   string `json:"name"`
	Number string `json:"number"` // of their account, in groups of four
}

// Payment is an order to pay a recipient.
type Payment struct {
	From  string `json:"from"`
	To    string `json:"to"` // number of a recipient
	Cents int64  `json:"cents"`
	Note  string `json:"note,omitempty"`
}

// maxRecipients bounds those of one person.
const maxRecipients = 50

// recipients tells whom the person may pay.
func (a *API) recipients(w http.ResponseWriter, _ *http.Request, who Caller) {
	answer(w, http.StatusOK, map[string]any{"recipients": a.ledger.recipients(who.Subject)})
}

func (a *API) addRecipient(w http.ResponseWriter, r *http.Request, who Caller) {
	body, ok := order(w, r)
	if !ok {
		return
	}
	var added Recipient
	err := fields(body, "a recipient has name and number, and nothing else", map[string]*string{"name": &added.Name, "number": &added.Number}, nil)
	switch {
	case err != nil:
	case !shown(added.Name, maxNote) || strings.TrimSpace(added.Name) != added.Name:
		err = fmt.Errorf("a name is one line of at most %d characters", maxNote)
	case !plausible(added.Number):
		err = errors.New("this is no account number: its check digits do not add up")
	}
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	if fault := a.ledger.add(who.Subject, added); fault != "" {
		problem(w, http.StatusUnprocessableEntity, fault)
		return
	}
	answer(w, http.StatusCreated, added)
}

func (a *API) pay(w http.ResponseWriter, r *http.Request, who Caller) {
	body, ok := order(w, r)
	if !ok {
		return
	}
	var wanted Payment
	err := fields(body, "a payment has from, to, cents and note, and nothing else",
		map[string]*string{"from": &wanted.From, "to": &wanted.To, "note": &wanted.Note}, &wanted.Cents)
	switch {
	case err != nil:
	case wanted.From == "" || wanted.To == "" || wanted.Cents == 0:
		err = errors.New("a payment needs from, to and cents")
	case wanted.Note != "" && !shown(wanted.Note, maxNote):
		err = fmt.Errorf("a note is one line of at most %d characters", maxNote)
	}
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	if fault := a.ledger.pay(who.Subject, wanted); fault != "" {
		problem(w, http.StatusUnprocessableEntity, fault)
		return
	}
	answer(w, http.StatusCreated, wanted)
}

// readTransfer reads an order strictly. The standard decoder takes names in any case and lets the last of two win, and
// so could read another order than whoever looked at it before.
func readTransfer(body []byte) (Transfer, error) {
	var wanted Transfer
	err := fields(body, "a transfer has from, to, cents and note, and nothing else",
		map[string]*string{"from": &wanted.From, "to": &wanted.To, "note": &wanted.Note}, &wanted.Cents)
	switch {
	case err != nil:
		return Transfer{}, err
	case wanted.From == "" || wanted.To == "" || wanted.Cents == 0:
		return Transfer{}, errors.New("a transfer needs from, to and cents")
	case wanted.Note != "" && !shown(wanted.Note, maxNote):
		return Transfer{}, fmt.Errorf("a note is one line of at most %d characters", maxNote)
	}
	return wanted, nil
}

// fields reads a flat object into texts and, if it is not nil, cents.
func fields(body []byte, nothingElse string, texts map[string]*string, cents *int64) error {
	members, err := flatObject(body)
	if err != nil {
		return err
	}
	for name, value := range members {
		if name == "cents" && cents != nil {
			number, ok := value.(json.Number)
			if ok {
				*cents, err = number.Int64()
			}
			if !ok || err != nil || *cents <= 0 || *cents > maxTransfer {
				return fmt.Errorf("cents is a whole number from 1 to %d", maxTransfer)
			}
			continue
		}
		into, known := texts[name]
		if !known {
			return errors.New(nothingElse)
		}
		text, ok := value.(string)
		if !ok {
			return fmt.Errorf("%s is a text", name)
		}
		*into = text
	}
	return nil
}

// shown tells whether text is one line that people can read whole.
func shown(text string, most int) bool {
	return text != "" && utf8.RuneCountInString(text) <= most && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

// plausible tells whether a number has the form of those of this country, and check digits that add up (ISO 7064).
func plausible(number string) bool {
	plain := strings.ReplaceAll(number, " ", "")
	if len(plain) != 16 || !strings.HasPrefix(plain, "XX") || strings.Trim(plain[2:], "0123456789") != "" {
		return false
	}
	rest := 0
	for _, digit := range plain[4:] + "3333" + plain[2:4] { // X counts as 33
		rest = (rest*10 + int(digit-'0')) % 97
	}
	return rest == 1
}
