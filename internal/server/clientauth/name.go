package clientauth

import (
	"bytes"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Name is a distinguished name (X.501), first what stands first in its certificate. Two are compared by what they mean,
// never as text: a part of a name that is written into another part must not read like it.
type Name struct{ parts []nameSet }

// nameSet is one relative distinguished name: mostly one attribute, whose order says nothing when there are more.
type nameSet []attribute

type attribute struct {
	kind  string // object identifier
	value string // text, folded; what is no text, as its DER behind a NUL
}

// shortKinds are the keywords that RFC 4514 section 3 asks every reader to know, and those that certificates of clients
// bear beside them.
var shortKinds = map[string]string{
	"CN": "2.5.4.3", "SN": "2.5.4.4", "SERIALNUMBER": "2.5.4.5", "C": "2.5.4.6", "L": "2.5.4.7", "ST": "2.5.4.8", "S": "2.5.4.8",
	"STREET": "2.5.4.9", "O": "2.5.4.10", "OU": "2.5.4.11", "T": "2.5.4.12", "TITLE": "2.5.4.12", "BUSINESSCATEGORY": "2.5.4.15",
	"POSTALCODE": "2.5.4.17", "GIVENNAME": "2.5.4.42", "DNQUALIFIER": "2.5.4.46", "ORGANIZATIONIDENTIFIER": "2.5.4.97",
	"DC": "0.9.2342.19200300.100.1.25", "UID": "0.9.2342.19200300.100.1.1",
	"EMAILADDRESS": "1.2.840.113549.1.9.1", "E": "1.2.840.113549.1.9.1",
	"JURISDICTIONC": "1.3.6.1.4.1.311.60.2.1.3", "JURISDICTIONCOUNTRYNAME": "1.3.6.1.4.1.311.60.2.1.3",
}

// Bounds of a name.
const (
	maxName  = 2000 // bytes
	maxParts = 64
)

var errName = errors.New("is no distinguished name as RFC 4514 writes it")

// Equal tells whether two names mean the same (distinguishedNameMatch, RFC 4517 section 4.2.15). The empty name equals none.
func (n Name) Equal(other Name) bool {
	return len(n.parts) > 0 && slices.EqualFunc(n.parts, other.parts, func(a, b nameSet) bool { return slices.Equal(a, b) })
}

// ParseName reads a name as RFC 4514 writes it. Keywords that it does not know are refused: write the object identifier.
func ParseName(text string) (Name, error) {
	if text == "" || len(text) > maxName || !utf8.ValidString(text) {
		return Name{}, errName
	}
	var name Name
	for {
		set, rest, more, err := parseSet(text)
		if err != nil || len(name.parts) >= maxParts {
			return Name{}, errName
		}
		name.parts = append(name.parts, set)
		if !more {
			break
		}
		text = rest
	}
	slices.Reverse(name.parts) // as text, a name begins with what stands last in its certificate
	return name, nil
}

// parseSet reads up to the next comma.
func parseSet(text string) (set nameSet, rest string, more bool, err error) {
	for {
		kind, after, found := strings.Cut(text, "=")
		if !found || len(set) >= maxParts {
			return nil, "", false, errName
		}
		kind = strings.Trim(kind, " ")
		oid, known := shortKinds[strings.ToUpper(kind)]
		if !known {
			if !isOID(kind) {
				return nil, "", false, errName
			}
			oid = kind
		}
		value, end, err := parseValue(after)
		if err != nil {
			return nil, "", false, err
		}
		set = append(set, attribute{oid, value})
		switch {
		case end == len(after):
			return set.sorted(), "", false, nil
		case after[end] == ',':
			return set.sorted(), after[end+1:], true, nil
		}
		text = after[end+1:] // behind a plus
	}
}

// isOID tells whether text is an object identifier in its one spelling.
func isOID(text string) bool {
	numbers := strings.Split(text, ".")
	if len(numbers) < 2 || len(numbers) > 32 {
		return false
	}
	for _, number := range numbers {
		read, err := strconv.ParseUint(number, 10, 31)
		if err != nil || strconv.FormatUint(read, 10) != number {
			return false
		}
	}
	return true
}

// parseValue reads up to the next comma or plus that is not escaped, and tells where that is.
func parseValue(text string) (value string, end int, err error) {
	text, skipped := strings.TrimLeft(text, " "), len(text)-len(strings.TrimLeft(text, " "))
	if strings.HasPrefix(text, "#") {
		return parseHex(text, skipped)
	}
	var out []byte
	kept := 0 // behind the last byte that is not a trailing space
	for end < len(text) && text[end] != ',' && text[end] != '+' {
		switch c := text[end]; c {
		case '"', ';', '<', '>', 0:
			return "", 0, errName
		case '\\':
			plain, width, err := unescape(text[end+1:])
			if err != nil {
				return "", 0, err
			}
			out = append(out, plain)
			end += 1 + width
			kept = len(out)
		default:
			out = append(out, c)
			end++
			if c != ' ' {
				kept = len(out)
			}
		}
	}
	if out = out[:kept]; !utf8.Valid(out) || bytes.IndexByte(out, 0) >= 0 {
		return "", 0, errName
	}
	return fold(string(out)), end + skipped, nil
}

// unescape reads what follows a backslash: a special character, or two hexadecimal digits.
func unescape(text string) (plain byte, width int, err error) {
	if text != "" && strings.IndexByte(` "#+,;<=>\`, text[0]) >= 0 {
		return text[0], 1, nil
	}
	if len(text) >= 2 {
		if raw, err := hex.DecodeString(text[:2]); err == nil {
			return raw[0], 2, nil
		}
	}
	return 0, 0, errName
}

// parseHex reads a value that is written as its BER encoding.
func parseHex(text string, skipped int) (value string, end int, err error) {
	end = len(text)
	if at := strings.IndexAny(text, ",+"); at >= 0 {
		end = at
	}
	raw, err := hex.DecodeString(strings.TrimRight(text[1:end], " "))
	if err != nil {
		return "", 0, errName
	}
	var encoded asn1.RawValue
	if rest, err := asn1.Unmarshal(raw, &encoded); err != nil || len(rest) > 0 {
		return "", 0, errName
	}
	value, err = textOf(encoded)
	return value, end + skipped, err
}

// readName reads a name as a certificate holds it.
func readName(der []byte) (Name, error) {
	var sequence []asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &sequence); err != nil || len(rest) > 0 || len(sequence) > maxParts {
		return Name{}, errName
	}
	var name Name
	for _, raw := range sequence {
		var pairs []struct {
			Kind  asn1.ObjectIdentifier
			Value asn1.RawValue
		}
		rest, err := asn1.UnmarshalWithParams(raw.FullBytes, &pairs, "set")
		if err != nil || len(rest) > 0 || len(pairs) == 0 || len(pairs) > maxParts {
			return Name{}, errName
		}
		var set nameSet
		for _, pair := range pairs {
			value, err := textOf(pair.Value)
			if err != nil {
				return Name{}, err
			}
			set = append(set, attribute{pair.Kind.String(), value})
		}
		name.parts = append(name.parts, set.sorted())
	}
	return name, nil
}

// textOf gives what a value says, whichever kind of string it is; what is no string is known by its encoding alone.
func textOf(value asn1.RawValue) (string, error) {
	if value.Class != asn1.ClassUniversal || value.IsCompound {
		return "\x00" + string(value.FullBytes), nil
	}
	var text string
	switch value.Tag {
	case asn1.TagUTF8String, asn1.TagPrintableString, asn1.TagIA5String, asn1.TagNumericString:
		text = string(value.Bytes)
	case asn1.TagT61String: // written as Latin 1, whatever the standard says
		for _, c := range value.Bytes {
			text += string(rune(c))
		}
	case asn1.TagBMPString:
		if len(value.Bytes)%2 != 0 {
			return "", errName
		}
		var units []uint16
		for i := 0; i < len(value.Bytes); i += 2 {
			units = append(units, uint16(value.Bytes[i])<<8|uint16(value.Bytes[i+1]))
		}
		text = string(utf16.Decode(units))
	default:
		return "\x00" + string(value.FullBytes), nil
	}
	if !utf8.ValidString(text) || strings.IndexByte(text, 0) >= 0 {
		return "", errName
	}
	return fold(text), nil
}

// fold prepares a value for comparison as caseIgnoreMatch does (RFC 4518), for ASCII: outside of it, letters are compared as
// they are, so that no look-alike folds into another letter. Spaces at the ends say nothing, and several say one.
func fold(text string) string {
	return lowerASCII(strings.Join(strings.FieldsFunc(text, func(c rune) bool { return c == ' ' }), " "))
}

func lowerASCII(text string) string {
	return strings.Map(func(c rune) rune {
		if 'A' <= c && c <= 'Z' {
			return c + 'a' - 'A'
		}
		return c
	}, text)
}

func (s nameSet) sorted() nameSet {
	slices.SortFunc(s, func(a, b attribute) int {
		if a.kind != b.kind {
			return strings.Compare(a.kind, b.kind)
		}
		return strings.Compare(a.value, b.value)
	})
	return s
}
