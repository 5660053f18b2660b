package web

import (
	"bytes"
	"io"
	"net/http"
	"time"
)

// smallBody is what an honest request needs; a longer body waits for one of few places before the rest of it is read.
const smallBody = 8 << 10

// arrived is a body that has come, with how it ended.
type arrived struct {
	*bytes.Reader
	err error // instead of io.EOF
}

func (a *arrived) Read(into []byte) (int, error) {
	n, err := a.Reader.Read(into)
	if err == io.EOF && a.err != nil { // bytes.Reader wraps nothing
		err = a.err
	}
	return n, err
}

// Close does nothing: the bytes are here.
func (a *arrived) Close() error { return nil }

// arrive takes the body in before a request takes its place, so that those who send theirs drop by drop wait where they
// keep nobody out. What is too long for any form is left, and the connection ends with the answer: net/http would else
// read it, in the request's place, before it answers. It tells whether there was room.
func arrive(w http.ResponseWriter, r *http.Request, long chan struct{}, patience time.Duration) bool {
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		return true
	}
	if _, here := r.Body.(*arrived); here {
		return true
	}
	if r.ContentLength > MaxForm {
		w.Header().Set("Connection", "close")
		return true
	}
	content, err := io.ReadAll(io.LimitReader(r.Body, smallBody+1))
	if err == nil && len(content) > smallBody {
		if !within(r, long, patience) {
			return false
		}
		defer func() { <-long }()
		var rest []byte
		rest, err = io.ReadAll(io.LimitReader(r.Body, MaxForm+1-int64(len(content))))
		content = append(content, rest...)
	}
	if err != nil || len(content) > MaxForm {
		w.Header().Set("Connection", "close")
	}
	r.Body = &arrived{bytes.NewReader(content), err}
	return true
}

// within waits for a place in running, and tells whether it came.
func within(r *http.Request, running chan struct{}, patience time.Duration) bool {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case running <- struct{}{}:
		return true
	case <-timer.C:
	case <-r.Context().Done():
	}
	return false
}
