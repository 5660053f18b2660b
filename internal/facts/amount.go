package facts

import (
	"crypto/sha256"
	"encoding/base64"
	"math"
	"strconv"
	"strings"

	"github.com/gardeauth/garde/internal/assurance/signal"
)

// Amounts are kept as a histogram of four buckets for each doubling: what a person spends is told to a fifth, and no single
// amount is kept.
const (
	perDoubling = 4
	buckets     = 63*perDoubling + 2
)

// bucket gives the bucket of an amount; all that is not above zero shares the first.
func bucket(amount int64) int {
	if amount <= 0 {
		return 0
	}
	return min(int(math.Ceil(math.Log2(float64(amount))*perDoubling))+1, buckets-1)
}

// top gives the highest amount of a bucket.
func top(bucket int) int64 {
	if bucket <= 0 {
		return 0
	}
	high := math.Floor(math.Exp2(float64(bucket-1) / perDoubling))
	if high >= math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(high)
}

func amountKey(money signal.Transaction) string {
	return currencyKey(money.Currency) + " " + strconv.Itoa(bucket(money.Amount))
}

// currencyKey leaves room for a bucket behind a currency, whatever a request calls one.
func currencyKey(currency string) string {
	if len(currency) <= 16 {
		return short(currency)
	}
	sum := sha256.Sum256([]byte(currency))
	return "#" + base64.RawURLEncoding.EncodeToString(sum[:8])
}

// usual counts the amounts of a currency and of all, and gives what 95 of 100 of the former did not pass.
func (l list) usual(currency string) (count int, usual int64, all int) {
	var histogram [buckets]int
	currency = currencyKey(currency)
	for i := range l {
		all += l[i].times
		name, number, ok := cutLast(l[i].key)
		if !ok || name != currency {
			continue
		}
		at, err := strconv.Atoi(number)
		if err != nil || at < 0 || at >= buckets {
			continue
		}
		histogram[at] += l[i].times
		count += l[i].times
	}
	below, wanted := 0, (count*95+99)/100
	for at, times := range histogram {
		if below += times; below >= wanted {
			return count, top(at), all
		}
	}
	return count, 0, all
}

func cutLast(key string) (before, after string, ok bool) {
	at := strings.LastIndexByte(key, ' ')
	if at < 0 {
		return "", "", false
	}
	return key[:at], key[at+1:], true
}
