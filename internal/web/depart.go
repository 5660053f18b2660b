package web

import "net/http"

// atOnce is what net/http takes without waiting for the client: the buffer of an answer holds 2 KB.
const atOnce = 2000

// departing holds an answer back from the first byte on that might wait for the client, so that the request's place is
// free before a client that does not read can hold it. It can't be flushed.
type departing struct {
	http.ResponseWriter
	gone int
	kept []byte
}

func (d *departing) Write(body []byte) (int, error) {
	if d.kept == nil && d.gone+len(body) <= atOnce {
		d.gone += len(body)
		return d.ResponseWriter.Write(body)
	}
	d.kept = append(d.kept, body...)
	return len(body), nil
}

// leave sends what was held back.
func (d *departing) leave() {
	if len(d.kept) > 0 {
		_, _ = d.ResponseWriter.Write(d.kept) // the client is gone; there is nobody to tell
	}
}
