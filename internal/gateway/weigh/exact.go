package weigh

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/authzen"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/verify"
)

// Exact finds the detail of the token that was granted for exactly this request, and gives the names of its one use, all of
// which must be free: by the grant and the members that operations compare, so that no other token of the grant, and no other
// spelling of the detail, is a second use; and by the grant and the whole detail, so that a recipe which compares others does
// not make it free again.
func (o *Operation) Exact(claims verify.Claims, values Values) ([]iam.Use, error) {
	details, err := detailsOf(claims)
	if err != nil {
		return nil, err
	}
	carried := false
	for _, detail := range details {
		if detail["type"] != o.Detail {
			continue
		}
		carried = true
		if o.equals(detail, values) {
			return o.uses(claims, detail), nil
		}
	}
	if !carried {
		return nil, insufficient("this operation needs a token that was granted for exactly this request: ask for one with authorization_details of type " + o.Detail)
	}
	return nil, insufficient("the token was granted for another request than this one: send what the person allowed, or ask them again with authorization_details of type " + o.Detail)
}

// Spent refuses a second use.
func (o *Operation) Spent() error {
	return insufficient("what the person allowed was done already, and serves once: ask them again with authorization_details of type " + o.Detail)
}

// insufficient says that the token does not allow this request, in the one word of RFC 6750 section 3.1 for it.
func insufficient(text string) error {
	return &oauth.Error{Code: "insufficient_scope", Status: http.StatusForbidden, Description: text}
}

// detailsOf reads the details of a token, with numbers as they are written.
func detailsOf(claims verify.Claims) ([]map[string]any, error) {
	if len(claims.Details) == 0 {
		return nil, nil
	}
	var raw []json.RawMessage
	if err := jose.DecodeJSON(claims.Details, &raw); err != nil {
		return nil, oauth.InvalidToken("the token's authorization_details can't be read").Because(err)
	}
	list := make([]map[string]any, 0, len(raw))
	for _, each := range raw {
		detail, err := authzen.Values(each)
		if err != nil {
			return nil, oauth.InvalidToken("the token's authorization_details can't be read").Because(err)
		}
		list = append(list, detail)
	}
	return list, nil
}

func (o *Operation) equals(detail map[string]any, values Values) bool {
	for _, each := range o.match {
		granted, there := member(detail, strings.Split(each.name, "."))
		got, sent := values[each.place.text]
		if !there || !sent || !got.is(granted) {
			return false
		}
	}
	return len(o.match) > 0
}

// is tells whether a value of a request is what was granted. Of a body it has the same kind too; a text of path or query
// is what it spells. Numbers are compared by their decimal value, however large.
func (v Value) is(granted any) bool {
	if !v.raw {
		return slices.Equal(compact(v.json), compact(granted))
	}
	switch wanted := granted.(type) {
	case string:
		return v.text == wanted
	case bool:
		return v.text == strconv.FormatBool(wanted)
	case json.Number:
		got, ok := decimalOf(v.text)
		want, known := decimalOf(string(wanted))
		return ok && known && got == want
	}
	return false
}

func (o *Operation) uses(claims verify.Claims, detail map[string]any) []iam.Use {
	parts := []string{"use of a detail", claims.Grant, o.Detail}
	if claims.Grant == "" { // no grant: the token stands for itself
		parts = []string{"use of a detail of a token", claims.ClientID + " " + claims.ID, o.Detail}
	}
	whole := named(claims, append(parts[:len(parts):len(parts)], "whole", string(compact(detail))))
	for _, name := range o.named {
		value, _ := member(detail, strings.Split(name, "."))
		parts = append(parts, name, string(compact(value)))
	}
	return []iam.Use{whole, named(claims, parts)}
}

func named(claims verify.Claims, parts []string) iam.Use {
	hash := sha256.New()
	for _, part := range parts { // each with its length, so that no two read alike
		_ = binary.Write(hash, binary.BigEndian, uint64(len(part)))
		_, _ = hash.Write([]byte(part))
	}
	return iam.Use{Key: iam.Digest(hash.Sum(nil)), Grant: claims.Grant, Expires: time.Unix(int64(claims.Expires), 0)}
}

// decimal is the value of a number: digits without zeros at either end, times ten to exp. Zero has no digits.
type decimal struct {
	negative bool
	digits   string
	exp      int
}

func (d decimal) String() string {
	sign := ""
	if d.negative {
		sign = "-"
	}
	return sign + "0" + d.digits + "e" + strconv.Itoa(d.exp)
}

// The bounds of a number that is compared.
const (
	maxDigits   = 100
	maxExponent = 1000
)

// decimalOf reads a number as JSON spells it (RFC 8259 section 6), exactly.
func decimalOf(text string) (decimal, bool) {
	var d decimal
	rest, negative := strings.CutPrefix(text, "-")
	mantissa, exponent, powered := strings.Cut(strings.ToLower(rest), "e")
	whole, fraction, pointed := strings.Cut(mantissa, ".")
	if !onlyDigits(whole) || len(whole) > 1 && whole[0] == '0' || pointed && !onlyDigits(fraction) || len(mantissa) > maxDigits {
		return d, false
	}
	if powered {
		sign := strings.TrimLeft(exponent, "+-")
		power, err := strconv.Atoi(exponent)
		if !onlyDigits(sign) || len(exponent)-len(sign) > 1 || err != nil || power > maxExponent || power < -maxExponent {
			return d, false
		}
		d.exp = power
	}
	d.exp -= len(fraction)
	all := strings.TrimLeft(whole+fraction, "0")
	d.digits = strings.TrimRight(all, "0")
	d.exp += len(all) - len(d.digits)
	if d.negative = negative; d.digits == "" {
		return decimal{}, true
	}
	return d, true
}

func onlyDigits(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
}

func sortedNames(object map[string]any) []string { return slices.Sorted(maps.Keys(object)) }
