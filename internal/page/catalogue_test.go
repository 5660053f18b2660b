package page

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"
	"text/template/parse"
	"time"
	"unicode"

	"html/template"

	"golang.org/x/net/html"

	"github.com/gardeauth/garde/internal/oauth"
)

func tonguesFor(t *testing.T) *tongues {
	t.Helper()
	tongues, err := readTongues()
	if err != nil {
		t.Fatal(err)
	}
	return tongues
}

var placeholder = regexp.MustCompile(`\{[^}]*\}`)

func TestBothLanguagesHaveTheSameKeysAndPlaceholders(t *testing.T) {
	tongues := tonguesFor(t)
	en, fr := tongues.words["en"].entries, tongues.words["fr"].entries
	for key, text := range en {
		other, ok := fr[key]
		if !ok {
			t.Errorf("fr lacks %s", key)
			continue
		}
		a, b := placeholder.FindAllString(text, -1), placeholder.FindAllString(other, -1)
		sort.Strings(a)
		sort.Strings(b)
		if !slices.Equal(a, b) {
			t.Errorf("%s has %v in English and %v in French", key, a, b)
		}
		if strings.TrimSpace(text) == "" || strings.TrimSpace(other) == "" {
			t.Errorf("%s is empty", key)
		}
		if strings.ContainsAny(text+other, "\r\n<>") {
			t.Errorf("%s has markup or a line break", key)
		}
		if regexp.MustCompile(` [:?!;»]|« `).MatchString(other) {
			t.Errorf("%s: French wants a no-break space there: %s", key, other)
		}
	}
	for key := range fr {
		if _, ok := en[key]; !ok {
			t.Errorf("en lacks %s", key)
		}
	}
}

func TestNoKeyStandsTwice(t *testing.T) {
	for _, lang := range []string{"en", "fr"} {
		data, err := files.ReadFile("catalogue/" + lang + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var once map[string]string
		if err := json.Unmarshal(data, &once); err != nil {
			t.Fatal(err)
		}
		if lines := strings.Count(string(data), `": "`); lines != len(once) {
			t.Errorf("%s: %d lines for %d keys", lang, lines, len(once))
		}
	}
}

// trees are all templates, parsed.
func trees(t *testing.T) []*parse.Tree {
	t.Helper()
	set, err := template.New("").Funcs(tonguesFor(t).words["en"].funcs()).ParseFS(files, "templates/*.html")
	if err != nil {
		t.Fatal(err)
	}
	var list []*parse.Tree
	for _, tmpl := range set.Templates() {
		if tmpl.Tree != nil {
			list = append(list, tmpl.Tree)
		}
	}
	return list
}

// walk calls f for each node of a template.
func walk(node parse.Node, f func(parse.Node)) {
	if node == nil {
		return
	}
	f(node)
	branch := func(b parse.BranchNode) {
		walk(b.Pipe, f)
		walk(b.List, f)
		if b.ElseList != nil {
			walk(b.ElseList, f)
		}
	}
	switch n := node.(type) {
	case *parse.ListNode:
		for _, child := range n.Nodes {
			walk(child, f)
		}
	case *parse.ActionNode:
		walk(n.Pipe, f)
	case *parse.TemplateNode:
		if n.Pipe != nil {
			walk(n.Pipe, f)
		}
	case *parse.PipeNode:
		for _, command := range n.Cmds {
			walk(command, f)
		}
	case *parse.CommandNode:
		for _, arg := range n.Args {
			walk(arg, f)
		}
	case *parse.IfNode:
		branch(n.BranchNode)
	case *parse.WithNode:
		branch(n.BranchNode)
	case *parse.RangeNode:
		branch(n.BranchNode)
	}
}

func TestEveryKeyThatATemplateNamesExistsAndEveryKeyIsUsed(t *testing.T) {
	en := tonguesFor(t).words["en"].entries
	used := map[string]bool{}
	for _, tree := range trees(t) {
		walk(tree.Root, func(node parse.Node) {
			c, ok := node.(*parse.CommandNode)
			if !ok || len(c.Args) < 2 || c.Args[0].String() != "t" && c.Args[0].String() != "say" {
				return
			}
			if key, ok := c.Args[1].(*parse.StringNode); ok {
				used[key.Text] = true
				if en[key.Text] == "" {
					t.Errorf("%s names %s, which the catalogue lacks", tree.Name, key.Text)
				}
			}
		})
	}
	// Families whose keys are made at run time, and the titles of views.
	family := regexp.MustCompile(`^(problem|nav|factor|add|newkey|prove|scope|note|activity|error|mail|time|field|locked)\.|\.title$`)
	for key := range en {
		if !used[key] && !family.MatchString(key) {
			t.Errorf("nobody uses %s", key)
		}
	}
}

func TestTemplatesHaveNoWordsOfTheirOwn(t *testing.T) {
	for _, tree := range trees(t) {
		var b strings.Builder
		walk(tree.Root, func(node parse.Node) {
			if text, ok := node.(*parse.TextNode); ok {
				b.Write(text.Text)
			}
		})
		tokens := html.NewTokenizer(strings.NewReader(b.String()))
		raw := ""
		for kind := tokens.Next(); kind != html.ErrorToken; kind = tokens.Next() {
			token := tokens.Token()
			switch kind {
			case html.StartTagToken:
				raw = token.Data
				for _, a := range token.Attr {
					if slices.Contains([]string{"aria-label", "alt", "title", "placeholder", "value"}, a.Key) &&
						!slices.Contains([]string{"allow", "deny", "yes", "no", "rename", "remove", "forget", "on", "off", "erase", "export", "email", "passkey", "ask"}, a.Val) && letters(a.Val) {
						t.Errorf("%s: %s=%q", tree.Name, a.Key, a.Val)
					}
				}
			case html.EndTagToken:
				raw = ""
			case html.TextToken:
				if raw != "script" && raw != "style" && letters(token.Data) {
					t.Errorf("%s: %q", tree.Name, token.Data)
				}
			default: // nothing that people read
			}
		}
	}
}

func letters(text string) bool { return strings.IndexFunc(text, unicode.IsLetter) >= 0 }

func TestEveryWordThatGoNamesIsInTheCatalogue(t *testing.T) {
	en := tonguesFor(t).words["en"].entries
	for _, fault := range []Fault{
		FaultCredentials, FaultMissing, FaultEmail, FaultUsername, FaultTaken, FaultShort, FaultLong, FaultCommon,
		FaultSame, FaultDiffer, FaultCurrent, FaultBusy, FaultStale,
	} {
		if en["problem."+string(fault)] == "" {
			t.Errorf("no words for %s", fault)
		}
	}
	for _, note := range []Note{
		NoteMailVerified, NotePasswordChanged, NoteEnrolled, NoteOpened, NoteSessionEnded, NoteSignedOutAll, NoteConsentRevoked,
		NoteLinkSpent, NoteDenied, NoteStillSignedIn,
	} {
		if en["note."+string(note)+".title"] == "" || en["note."+string(note)+".text"] == "" {
			t.Errorf("no words for %s", note)
		}
	}
	for _, view := range []View{
		SignIn{}, SignUp{}, CheckMail{}, VerifyMail{}, Forgot{}, Reset{}, Enrol{}, Consent{}, Account{}, LogoutConfirm{},
		SignedOut{}, FormPost{}, Locked{},
	} {
		if en[view.name()+".title"] == "" {
			t.Errorf("no title for %s", view.name())
		}
	}
	for _, scope := range []string{
		oauth.ScopeOpenID, oauth.ScopeProfile, oauth.ScopeEmail, oauth.ScopeAddress, oauth.ScopePhone, oauth.ScopeOffline,
	} {
		if en["scope."+scope] == "" || en["scope."+scope+".means"] == "" {
			t.Errorf("no words for scope %s", scope)
		}
	}
}

func TestEveryOAuthErrorIsExplained(t *testing.T) {
	known := []*oauth.Error{
		oauth.InvalidRequest(""), oauth.InvalidClient(), oauth.InvalidGrant(""), oauth.InvalidScope(""), oauth.InvalidTarget(""),
		oauth.UnauthorizedClient(""), oauth.UnsupportedGrantType(""), oauth.UnsupportedResponseType(""), oauth.AccessDenied(""),
		oauth.LoginRequired(""), oauth.ConsentRequired(""), oauth.InteractionRequired(""), oauth.UnmetAuthentication(""),
		oauth.RequestNotSupported(), oauth.RequestURINotSupported(), oauth.InvalidToken(""), oauth.InsufficientScope(""),
		oauth.InsufficientAuthentication(""), oauth.Unavailable(""), oauth.TooManyRequests(""), oauth.ServerError(http.ErrAbortHandler),
	}
	for lang, words := range tonguesFor(t).words {
		other := words.sentences(Error{Code: "never_heard_of"})
		if other.Title == "" || other.Code != "never_heard_of" {
			t.Errorf("%s: no fallback: %+v", lang, other)
		}
		for _, e := range known {
			if x := words.sentences(Error{Code: e.Code}); x.Title == other.Title || x.Code != e.Code {
				t.Errorf("%s: %s is not explained", lang, e.Code)
			}
		}
		for key := range words.entries {
			kind, ok := strings.CutSuffix(key, ".title")
			if !ok || !strings.HasPrefix(key, "error.") {
				continue
			}
			for _, part := range []string{".what", ".why", ".do"} {
				if words.entries[kind+part] == "" {
					t.Errorf("%s: %s has no %s", lang, kind, part)
				}
			}
		}
		general := words.sentences(Error{Code: "invalid_request"})
		for _, reason := range []oauth.Reason{
			oauth.ReasonClientMissing, oauth.ReasonUnknownClient, oauth.ReasonClientDisabled, oauth.ReasonRedirectMissing,
			oauth.ReasonRedirectURI, oauth.ReasonPushedExpired, oauth.ReasonPushedSpent, oauth.ReasonPushedUnknown,
			oauth.ReasonPushNeeded, oauth.ReasonRequestURI, oauth.ReasonResponseType, oauth.ReasonResponseTypeAbsent,
			oauth.ReasonNotFound, oauth.ReasonForeignForm, oauth.ReasonTooManyRequests,
		} {
			finer := words.sentences(Error{Code: "invalid_request", Reason: string(reason)})
			if finer.Code != "invalid_request" || finer.What == general.What || finer.Why == general.Why {
				t.Errorf("%s: the reason %s must be finer than its code", lang, reason)
			}
		}
	}
}

func TestTheLanguageIsThePersons(t *testing.T) {
	tongues := tonguesFor(t)
	for name, row := range map[string]struct {
		wishes []string
		accept string
		want   string
	}{
		"nothing said":                 {nil, "", "en"},
		"fr-CA is French":              {nil, "fr-CA", "fr"},
		"unknown falls back":           {nil, "de-DE,ja;q=0.5", "en"},
		"the better of two":            {nil, "en;q=0.5, fr;q=0.9", "fr"},
		"unknown first, French second": {nil, "de, fr;q=0.3", "fr"},
		"a wish beats the header":      {[]string{"fr-CA"}, "en", "fr"},
		"the first wish that we speak": {[]string{"de", "en-GB", "fr"}, "fr", "en"},
		"an unknown wish, the header":  {[]string{"ja"}, "fr", "fr"},
		"junk":                         {[]string{"", "%%", "_"}, ";;q=,*", "en"},
		"longer than a tag may be":     {[]string{"fr-x-" + strings.Repeat("abcdefgh-", 9) + "a"}, "", "en"},
		"upper case":                   {[]string{"FR"}, "", "fr"},
	} {
		if got := tongues.choose(row.wishes, row.accept); got != row.want {
			t.Errorf("%s: %s, want %s", name, got, row.want)
		}
	}
}

func TestAScopeIsToldInTheBestWords(t *testing.T) {
	fr := tonguesFor(t).words["fr"]
	for _, row := range []struct {
		scope Scope
		want  string
	}{
		{Scope{Name: "a", Say: map[string]string{"en": "E", "fr": "F"}}, "F"},
		{Scope{Name: "a", Say: map[string]string{"en": "E"}}, "E"},
		{Scope{Name: "email", Say: map[string]string{"en": "E"}}, "Voir votre adresse e-mail"},
		{Scope{Name: "a.b"}, "Utiliser l’autorisation «\u00a0a.b\u00a0»"},
	} {
		if got := fr.scope(row.scope).Say; got != row.want {
			t.Errorf("%v is told as %q", row.scope, got)
		}
	}
}

func TestTheWaitIsRoundedUp(t *testing.T) {
	en := tonguesFor(t).words["en"]
	for wait, want := range map[time.Duration]string{
		0: "Try again in a few minutes.", -time.Hour: "Try again in a few minutes.", time.Second: "Try again in a minute.",
		time.Minute: "Try again in a minute.", 61 * time.Second: "Try again in 2 minutes.", time.Hour: "Try again in 60 minutes.",
	} {
		if got := en.wait(wait); got != want {
			t.Errorf("%v: %s", wait, got)
		}
	}
}

func TestAPasswordNeverTravelsBack(t *testing.T) {
	en := tonguesFor(t).words["en"]
	for _, id := range []string{FieldPassword, FieldCurrentPassword, FieldNewPassword, FieldNewPasswordAgain} {
		if in, err := en.field(frame{}, id, "hunter2", false); err != nil || in.Value != "" || in.Type != "password" {
			t.Errorf("%s: %+v, %v", id, in, err)
		}
	}
	if _, err := en.field(frame{}, "surname", "", false); err == nil {
		t.Error("an unknown field was made")
	}
}

func TestAValueCannotNameAnotherValue(t *testing.T) {
	got := tonguesFor(t).words["en"].say("activity.consent_given", "client", "{client}<b>")
	if want := "Access given to <strong><bdi>{client}&lt;b&gt;</bdi></strong>"; string(got) != want {
		t.Errorf("%s", got)
	}
}
