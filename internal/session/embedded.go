package session

import "strings"

// Embedded guesses from a User-Agent whether a page is shown by an application in a view of its own and not by a browser
// (RFC 8252 section 8.12). Whoever wants to deceive it can: it is there to explain, and guards nothing.
//
// Android's views say "; wv)", older ones "Version/" before "Chrome/", which no browser does. On iOS a view lacks the
// "Safari/" that every browser there says; so do pages that were added to the home screen. Some large applications name
// themselves.
func Embedded(agent string) bool {
	has := func(part string) bool { return strings.Contains(agent, part) }
	switch {
	case has("FBAN/"), has("FBAV/"), has("Instagram "), has("MicroMessenger/"), has("musical_ly_"), has("Line/"), has("LinkedInApp"), has("Snapchat "):
		return true
	case has("Android"):
		version, chrome := strings.Index(agent, " Version/"), strings.Index(agent, " Chrome/")
		return has("; wv)") || version >= 0 && chrome > version
	case has("iPhone"), has("iPad"), has("iPod"):
		return has("AppleWebKit/") && !has("Safari/")
	}
	return false
}

// Outside gives the address that opens the browser on the device of that User-Agent with an https address from within
// such a view; empty: none is known. The address has no fragment.
func Outside(agent, address string) string {
	rest, https := strings.CutPrefix(address, "https://")
	switch {
	case !https || strings.Contains(rest, "#"):
		return ""
	case strings.Contains(agent, "Android"):
		return "intent://" + rest + "#Intent;scheme=https;action=android.intent.action.VIEW;category=android.intent.category.BROWSABLE;end"
	case strings.Contains(agent, "iPhone"), strings.Contains(agent, "iPad"), strings.Contains(agent, "iPod"):
		return "x-safari-https://" + rest // since iOS 17
	}
	return ""
}
