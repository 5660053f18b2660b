package client

import "strings"

// challenges reads the parameters of each challenge of WWW-Authenticate (RFC 9110 section 11.6.1), header by header in lines.
// Of a parameter that stands twice the first counts. What can't be printed is a question mark.
func challenges(text string) (all []map[string]string) {
	for line := range strings.Lines(text) {
		var last map[string]string
		rest := line
		for rest != "" {
			var word string
			if word, rest = tokenOf(rest); word == "" {
				rest = rest[1:] // a comma, a space, or what should not stand there
				continue
			}
			if value, ok := strings.CutPrefix(strings.TrimLeft(rest, " \t"), "="); ok && last != nil {
				value, rest = valueOf(strings.TrimLeft(value, " \t"))
				if _, twice := last[strings.ToLower(word)]; !twice {
					last[strings.ToLower(word)] = printable(value)
				}
				continue
			}
			last = map[string]string{} // the word is a scheme
			all = append(all, last)
		}
	}
	return all
}

// tokenOf reads a token (RFC 9110 section 5.6.2).
func tokenOf(text string) (word, rest string) {
	end := strings.IndexFunc(text, func(c rune) bool {
		return c <= ' ' || c >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, c)
	})
	if end < 0 {
		end = len(text)
	}
	return text[:end], text[end:]
}

// valueOf reads a token or a quoted string (RFC 9110 section 5.6.4).
func valueOf(text string) (value, rest string) {
	if !strings.HasPrefix(text, `"`) {
		return tokenOf(text)
	}
	var plain []byte
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			return string(plain), text[i+1:]
		case c == '\\' && i+1 < len(text):
			i++
			plain = append(plain, text[i])
		default:
			plain = append(plain, c)
		}
	}
	return string(plain), ""
}

func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text)
}
