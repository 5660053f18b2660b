package request

import (
	"context"
	"slices"
	"strings"

	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/recipe"
)

// Modes are the response modes that every client may ask for, for discovery.
var Modes = []oauth.ResponseMode{
	oauth.ModeQuery, oauth.ModeFragment, oauth.ModeFormPost,
	oauth.ModeJWT, oauth.ModeQueryJWT, oauth.ModeFragmentJWT, oauth.ModeFormPostJWT,
}

// frontTypes are the response types that need an exception.
var frontTypes = []oauth.ResponseType{
	oauth.TypeIDToken, oauth.TypeIDTokenToken, oauth.TypeCodeIDToken, oauth.TypeCodeToken, oauth.TypeCodeIDTokenToken,
}

// PromptsOf lists the prompts that the recipe lets the server understand, for discovery.
func PromptsOf(r *recipe.Recipe) []string {
	if r != nil && r.SignIn.SignUp { // nil: no recipe is in force yet
		return append(slices.Clone(Prompts), promptCreate)
	}
	return Prompts
}

// parseType reads a set of response types in whichever order (OAuth Multiple Response Types section 3); "" is none that
// is known. Doubles make it unknown.
func parseType(text string) oauth.ResponseType {
	asked := strings.Fields(text)
	slices.Sort(asked)
	if text != strings.TrimSpace(text) || strings.ContainsAny(text, "\t\r\n") {
		return ""
	}
	sorted := oauth.ResponseType(strings.Join(asked, " ")) // the names sort as the specification orders them
	if sorted == oauth.TypeCode || slices.Contains(frontTypes, sorted) {
		return sorted
	}
	return ""
}

// usual is how an answer travels that says nothing of it: whatever holds a token never by query (OAuth Multiple Response
// Types section 5). Types that are refused have a way back too.
func usual(responseType string) oauth.ResponseMode {
	asked := strings.Fields(responseType)
	if slices.Contains(asked, "token") || slices.Contains(asked, "id_token") {
		return oauth.ModeFragment
	}
	return oauth.ModeQuery
}

// knownMode finds out how to answer, before anything is asked that could be refused.
func knownMode(_ context.Context, _ *Parser, r *reading) error {
	normal := usual(r.form.Value("response_type"))
	r.Mode = normal
	if !r.form.Has("response_mode") {
		return nil
	}
	mode := oauth.ResponseMode(r.form.Value("response_mode"))
	if !slices.Contains(Modes, mode) {
		return oauth.InvalidRequest("response_mode must be query, fragment or form_post, or one of these with .jwt, or jwt")
	}
	if mode == oauth.ModeJWT {
		mode = normal + ".jwt"
	}
	switch {
	case mode.Plain() == oauth.ModeQuery && normal != oauth.ModeQuery:
		// Servers log queries, and browsers send them on (OAuth Multiple Response Types section 5).
		if mode.Signed() {
			r.Mode = oauth.ModeFragmentJWT
		}
		return oauth.InvalidRequest("a token never travels in a query: response_mode must be fragment or form_post")
	case mode.Plain() == oauth.ModeFormPost:
		if err := mayPost(r); err != nil {
			return err
		}
	}
	r.Mode = mode
	return nil
}

func mayPost(r *reading) error {
	uri := r.RedirectURI
	if !strings.HasPrefix(uri, "https://") && !strings.HasPrefix(uri, "http://") {
		return oauth.InvalidRequest("form_post needs an http address to post to")
	}
	if strings.ContainsAny(r.State, "\r\n") {
		return oauth.InvalidRequest("state holds a line break, which a form can't carry unchanged")
	}
	return nil
}

// allowedType lets everyone ask for a code, and for anything else only a client that registered it, by an exception of
// its own, if it can keep apart what comes back through the browser: never an application on a device or a service.
func allowedType(_ context.Context, p *Parser, r *reading) error {
	text := r.form.Value("response_type")
	if text == "" {
		return oauth.InvalidRequest("response_type is missing").For(oauth.ReasonResponseTypeAbsent)
	}
	asked := parseType(text)
	if asked == "" {
		return oauth.UnsupportedResponseType("this server has no such response_type")
	}
	registered := []oauth.ResponseType{oauth.TypeCode}
	if len(r.Client.ResponseTypes) > 0 {
		registered = nil
		for _, each := range r.Client.ResponseTypes {
			registered = append(registered, parseType(each))
		}
	}
	client := r.Client
	fits := slices.Contains(registered, asked)
	if asked.Front() {
		fits = fits && client.Allows(recipe.AllowResponseType(string(asked)), p.now()) && !client.Demands().CodeOnly &&
			(client.Kind == recipe.Web || client.Kind == recipe.Browser)
	}
	if !fits {
		return oauth.UnsupportedResponseType("this client may not use this response_type").For(oauth.ReasonResponseType)
	}
	if asked.Gives("id_token") && !slices.Contains(strings.Fields(r.form.Value("scope")), oauth.ScopeOpenID) {
		return oauth.InvalidRequest("an ID token needs the scope openid")
	}
	r.Type = asked
	return nil
}

func mayAuthorize(_ context.Context, _ *Parser, r *reading) error {
	if r.Type.Gives("code") && !r.Client.MayUse(oauth.AuthorizationCode) {
		return oauth.UnauthorizedClient("the client is not registered for the authorization code grant")
	}
	if !r.Type.Gives("code") && !r.Client.MayUse(oauth.Implicit) {
		return oauth.UnauthorizedClient("the client is not registered for the grant implicit")
	}
	return nil
}
