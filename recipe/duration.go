package recipe

import (
	"fmt"
	"strconv"
	"time"
)

// maxDuration bounds what a recipe may say: ten years.
const maxDuration = 3650 * day

const durationHint = "write a whole number and one unit: 90s, 5m, 12h or 30d"

// durationUnits, largest first, as String looks for them.
var durationUnits = []struct {
	letter byte
	unit   time.Duration
}{{'d', day}, {'h', time.Hour}, {'m', time.Minute}, {'s', time.Second}}

// ParseDuration reads 90s, 5m, 12h or 30d: one positive whole number and one unit, at most ten years.
func ParseDuration(text string) (Duration, error) {
	if len(text) < 2 || len(text) > 12 || text[0] < '1' || text[0] > '9' {
		return 0, refuse(durationHint, "%s is not a duration", show(text))
	}
	last := len(text) - 1
	number, err := strconv.ParseUint(text[:last], 10, 40)
	if err != nil {
		return 0, refuse(durationHint, "%s is not a duration", show(text))
	}
	for _, u := range durationUnits {
		if u.letter != text[last] {
			continue
		}
		if time.Duration(number) > maxDuration/u.unit {
			return 0, refuse("the longest is 3650d", "%s is too long", show(text))
		}
		return Duration(time.Duration(number) * u.unit), nil
	}
	return 0, refuse(durationHint, "%s is not a duration", show(text))
}

// String writes d in the largest unit that divides it.
func (d Duration) String() string {
	for _, u := range durationUnits {
		if d != 0 && d.Std()%u.unit == 0 {
			return strconv.FormatInt(int64(d.Std()/u.unit), 10) + string(u.letter)
		}
	}
	return d.Std().String()
}

// MarshalText writes d for YAML and JSON. A duration that no recipe can hold is an error.
func (d Duration) MarshalText() ([]byte, error) {
	if d <= 0 || d.Std() > maxDuration || d.Std()%time.Second != 0 {
		return nil, fmt.Errorf("recipe: %s is not a duration that a recipe can hold", d.Std())
	}
	return []byte(d.String()), nil
}

// UnmarshalText reads what MarshalText writes.
func (d *Duration) UnmarshalText(text []byte) error {
	read, err := ParseDuration(string(text))
	if err != nil {
		return err
	}
	*d = read
	return nil
}
