package facts

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
)

// The bounds of one entry. Longer keys are kept by their hash, longer notes are cut.
const (
	maxKey   = 64
	maxNote  = 40
	maxTimes = 999
)

// entry is one thing that was seen: how often, and on which day (since 1970, UTC) the last time.
type entry struct {
	key   string
	note  string
	times int
	day   int
}

// MarshalText writes "times day key", and the note behind a tab.
func (e entry) MarshalText() ([]byte, error) {
	out := strconv.AppendInt(make([]byte, 0, 16+len(e.key)+len(e.note)), int64(e.times), 10)
	out = strconv.AppendInt(append(out, ' '), int64(e.day), 10)
	out = append(append(out, ' '), e.key...)
	if e.note != "" {
		out = append(append(out, '\t'), e.note...)
	}
	return out, nil
}

var errEntry = errors.New("an entry of the habits is malformed")

// UnmarshalText reads what MarshalText wrote, and nothing else.
func (e *entry) UnmarshalText(text []byte) error {
	times, rest, ok := strings.Cut(string(text), " ")
	day, rest, more := strings.Cut(rest, " ")
	if !ok || !more {
		return errEntry
	}
	var err error
	if e.times, err = strconv.Atoi(times); err != nil || e.times < 1 || e.times > maxTimes {
		return errEntry
	}
	if e.day, err = strconv.Atoi(day); err != nil || e.day < 0 || e.day > maxDay {
		return errEntry
	}
	e.key, e.note, _ = strings.Cut(rest, "\t")
	if e.key == "" || len(e.key) > maxKey || len(e.note) > maxNote || strings.Contains(e.note, "\t") {
		return errEntry
	}
	return nil
}

// maxDay lies in the year 4707; what claims to be later is no day.
const maxDay = 1_000_000

// list is a bounded list of what was seen, in no order.
type list []entry

func (l list) find(key string) (entry, bool) {
	key = short(key)
	for i := range l {
		if l[i].key == key {
			return l[i], true
		}
	}
	return entry{}, false
}

func (l list) times(key string) int {
	seen, _ := l.find(key)
	return seen.times
}

// add counts key once more. When there is no room, what was seen longest ago makes room, of those the rarest.
func (l *list) add(key, note string, day, room int) {
	key, note = short(key), label(note)
	for i := range *l {
		if seen := &(*l)[i]; seen.key == key {
			seen.times, seen.day = seen.times+1, max(seen.day, day)
			if note != "" {
				seen.note = note
			}
			if seen.times > maxTimes {
				l.halve()
			}
			return
		}
	}
	for len(*l) >= room {
		l.drop()
	}
	*l = append(*l, entry{key: key, note: note, times: 1, day: day})
}

// halve makes room in the counts; what was seen at all stays seen.
func (l *list) halve() {
	for i := range *l {
		(*l)[i].times = max((*l)[i].times/2, 1)
	}
}

// drop forgets what was seen longest ago, of those the rarest.
func (l *list) drop() {
	if len(*l) == 0 {
		return
	}
	old := 0
	for i := range *l {
		if a, b := (*l)[i], (*l)[old]; a.day < b.day || a.day == b.day && a.times < b.times {
			old = i
		}
	}
	(*l)[old] = (*l)[len(*l)-1]
	*l = (*l)[:len(*l)-1]
}

// forget drops what was not seen since a day.
func (l *list) forget(since int) {
	kept := (*l)[:0]
	for _, seen := range *l {
		if seen.day >= since {
			kept = append(kept, seen)
		}
	}
	*l = kept
}

// short gives a key that fits and has no tab: a long one is hashed.
func short(key string) string {
	if len(key) <= maxKey && !strings.ContainsAny(key, "\t") {
		return key
	}
	sum := sha256.Sum256([]byte(key))
	return "#" + base64.RawURLEncoding.EncodeToString(sum[:16])
}

// label cuts what a browser says of itself to what is kept and compared.
func label(text string) string {
	if len(text) > maxNote {
		text = text[:maxNote]
	}
	if strings.ContainsAny(text, "\t") {
		text = strings.ReplaceAll(text, "\t", " ")
	}
	return strings.ToValidUTF8(text, "")
}
