package page

import (
	"html/template"
	"regexp"
	"sort"
)

// permission is a scope in the person's words.
type permission struct{ Say, Means, Name string }

// scope finds words for a scope: the recipe's in this language, ours, the
// recipe's in the fallback language, and last the bare name.
func (w words) scope(s Scope) permission {
	p := permission{Name: clean(s.Name), Say: s.Say[w.lang], Means: s.Means[w.lang]}
	if p.Say == "" {
		p.Say = w.entries["scope."+s.Name]
		p.Means = w.entries["scope."+s.Name+".means"]
	}
	if p.Say == "" {
		p.Say, p.Means = s.Say["en"], s.Means["en"]
	}
	if p.Say == "" {
		p.Say = w.text("scope.other", "name", p.Name)
	}
	return p
}

// explained is an error in four sentences.
type explained struct{ Code, Title, What, Why, Do string }

var codeShape = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)

// sentences explains an error by reason, then by code, then in general. A code
// that does not look like one is not shown: it may have come from outside.
func (w words) sentences(e Error) explained {
	x := explained{Code: e.Code}
	if !codeShape.MatchString(x.Code) {
		x.Code = "server_error"
	}
	kind := "other"
	for _, k := range []string{e.Reason, x.Code} {
		if _, ok := w.entries["error."+k+".title"]; ok && k != "" {
			kind = k
			break
		}
	}
	x.Title = w.text("error." + kind + ".title")
	x.What = w.text("error." + kind + ".what")
	x.Why = w.text("error." + kind + ".why")
	x.Do = w.text("error." + kind + ".do")
	return x
}

func (w words) activity(a Activity) template.HTML {
	key := "activity." + a.Kind
	if _, ok := w.entries[key]; !ok {
		key = "activity.other"
	}
	return w.say(key, "client", a.Client)
}

// noted is a note in words. Done is set when something went well.
type noted struct {
	Title, Text string
	Done        bool
}

func (w words) note(n Note) noted {
	return noted{
		Title: w.text("note." + string(n) + ".title"), Text: w.text("note." + string(n) + ".text"),
		Done: n != NoteLinkSpent && n != NoteDenied && n != NoteStillSignedIn,
	}
}

// noted gives the words of a message: its note, or what the handler wrote.
func (w words) noted(m Message) noted {
	if m.Note != "" {
		return w.note(m.Note)
	}
	return noted{Title: m.Title, Text: m.Text}
}

// title is what the browser's tab says.
func (w words) title(view View) string {
	if v, ok := view.(interface{ title(words) string }); ok {
		return v.title(w)
	}
	return w.text(view.name() + ".title")
}

func (e Error) title(w words) string   { return w.sentences(e).Title }
func (m Message) title(w words) string { return w.noted(m).Title }

// pair is one hidden field.
type pair struct{ Name, Value string }

// pairs lists the values of a form in a stable order.
func pairs(f FormPost) []pair {
	var list []pair
	for name, values := range f.Values {
		for _, value := range values {
			list = append(list, pair{name, value})
		}
	}
	sort.SliceStable(list, func(i, j int) bool { return list[i].Name < list[j].Name })
	return list
}
