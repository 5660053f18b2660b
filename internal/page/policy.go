package page

import (
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
)

// headers sets what every page carries: nothing of it may be kept, framed,
// sniffed, indexed, or told to the next site.
func headers(h http.Header, lang, policy string) {
	for name, value := range map[string]string{
		"Content-Type":                 "text/html; charset=utf-8",
		"Content-Language":             lang,
		"Content-Security-Policy":      policy,
		"Cache-Control":                "no-store",
		"Referrer-Policy":              "no-referrer",
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
		"X-Content-Type-Options":       "nosniff",
		"X-Frame-Options":              "DENY",
		"X-Robots-Tag":                 "noindex, nofollow",
	} {
		h.Set(name, value)
	}
}

// policy is the Content-Security-Policy of a page (CSP Level 3). Only the
// form_post page, the one that answers about sessions and those that speak to an
// authenticator may run a script, their own; only the second may be framed; only the page after a sign-out frames
// others, those of the applications that it signs out.
func policy(view View, c Common) string {
	target := c.FormTarget
	script := ""
	if post, ok := view.(interface{ handsTo() string }); ok {
		target = post.handsTo()
		script = "; script-src 'nonce-" + nonce(c.Nonce) + "'"
	}
	ancestors := "'none'"
	if may, ok := view.(interface{ scripts() bool }); ok && may.scripts() {
		script = "; script-src 'nonce-" + nonce(c.Nonce) + "'"
	}
	if _, ok := view.(interface{ scripted() }); ok {
		script = "; script-src 'nonce-" + nonce(c.Nonce) + "'"
	}
	if _, ok := view.(interface{ frameable() }); ok {
		script, ancestors = "; script-src 'nonce-"+nonce(c.Nonce)+"'", "*"
	}
	if framing, ok := view.(interface{ framed() []string }); ok {
		for i, frame := range framing.framed() {
			if i == 0 {
				script += "; frame-src"
			}
			script += " " + source(frame)
		}
	}
	form := "'self'"
	if s := source(target); s != "" {
		form += " " + s
	}
	return "default-src 'none'; style-src 'nonce-" + nonce(c.Nonce) + "'" + script +
		"; img-src 'self' data:; form-action " + form + "; frame-ancestors " + ancestors + "; base-uri 'none'"
}

// nonce drops what could end the source expression.
func nonce(text string) string {
	return strings.Map(func(r rune) rune {
		if r > ' ' && r < 0x7f && !strings.ContainsRune(`;,'"`, r) {
			return r
		}
		return -1
	}, text)
}

var (
	sourceHost   = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?$`)
	sourceScheme = regexp.MustCompile(`^[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+$`)
)

// source turns a redirect URI into the source expression that allows it: an
// origin, or the scheme of a native application (which has a dot, so that no
// data: or https: slips in). What is neither allows nothing.
func source(target string) string {
	u, err := url.Parse(target)
	if err != nil || u.User != nil {
		return ""
	}
	switch scheme := u.Scheme; {
	case scheme == "https" || scheme == "http":
		if sourceHost.MatchString(u.Host) {
			return scheme + "://" + u.Host
		}
		// The grammar of CSP has no IPv6 address: for the loopback one, and only
		// for it, the whole scheme must stand in.
		if ip, err := netip.ParseAddr(u.Hostname()); err == nil && ip == netip.IPv6Loopback() {
			return scheme + ":"
		}
	case sourceScheme.MatchString(scheme):
		return scheme + ":"
	}
	return ""
}
