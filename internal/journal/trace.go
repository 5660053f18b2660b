package journal

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"time"
)

// A trace id names one request, in logs, answers and events: 48 bits of its time in milliseconds and 80 random ones, in
// base32. The time lets the journal look where the request's events can be, without an index on every row.
const traceLen = 26

var traceText = base32.StdEncoding.WithPadding(base32.NoPadding)

// NewTrace gives the trace id of a request that begins at now.
func NewTrace(now time.Time) string {
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[:8], uint64(now.UnixMilli())<<16) // times after 1970
	rand.Read(raw[6:])                                               // crypto/rand.Read never returns an error since Go 1.24
	return traceText.EncodeToString(raw[:])
}

// TraceTime gives the time of a trace id; false for what is none of ours.
func TraceTime(trace string) (time.Time, bool) {
	if len(trace) != traceLen {
		return time.Time{}, false
	}
	raw, err := traceText.DecodeString(trace)
	if err != nil {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(binary.BigEndian.Uint64(raw[:8]) >> 16)), true // 48 bits
}

// FirstID is the smallest event id that New can have given at the time or later: ids are UUIDv7 (RFC 9562 section 5.7).
func FirstID(at time.Time) string {
	var raw [8]byte
	binary.BigEndian.PutUint64(raw[:], uint64(max(0, at.UnixMilli()))) // not negative
	text := hex.EncodeToString(raw[2:])
	return text[:8] + "-" + text[8:] + "-7000-8000-000000000000"
}
