package session

import (
	"errors"
	"net/http"

	"github.com/gardeauth/garde/internal/oauth"
)

// Own refuses a POST that no form of ours sent: shown must be the token that was made for this browser and purpose. What
// a browser says of itself in Sec-Fetch-Site is the second lock. Origin is not asked: under our own referrer policy
// browsers send "null" there.
func (k *Keeper) Own(r *http.Request, purpose, shown string) error {
	switch site := r.Header.Values("Sec-Fetch-Site"); {
	case len(site) > 1, len(site) == 1 && site[0] != "same-origin" && site[0] != "none":
		return foreign(errors.New("the browser says that another site sent it"))
	case !k.Known(r).Made(purpose, shown):
		return foreign(errors.New("the token of the form is not of this browser and purpose"))
	}
	return nil
}

func foreign(cause error) error {
	refused := &oauth.Error{
		Code: "csrf", Status: http.StatusForbidden,
		Description: "the form was not made for this browser, or is too old: reload the page and try again",
	}
	return refused.Because(cause)
}

// SeeOther is always 303: a browser then never sends a body again (RFC 9700 section 4.12).
func SeeOther(w http.ResponseWriter, location string) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("Location", location)
	w.WriteHeader(http.StatusSeeOther)
}
