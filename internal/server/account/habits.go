package account

import (
	"context"
	"errors"
	"net/http"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/page"
	"github.com/gardeauth/garde/internal/web"
)

// Habits is what the page about learned habits needs. All fields are required.
type Habits struct {
	Kept     iam.HabitKeeping
	Learning Learning
}

// Learning is who learns.
type Learning interface {
	Switch(ctx context.Context, user string, on bool, events ...journal.Event) error // off erases
	Erase(ctx context.Context, user string, events ...journal.Event) error
	Export(ctx context.Context, user string) ([]byte, error) // all that was learned, as JSON
}

// The journal's words for what a person does with what is learned of them.
const (
	habitsOn     = "habits on"
	habitsOff    = "habits off"
	habitsErased = "habits erased"
)

// HabitsPage is /account/habits: what is learned of the person, and its end.
func (e *Endpoint) HabitsPage(w http.ResponseWriter, r *http.Request) error {
	return either(w, r, e.showHabits, e.changeHabits)
}

func (e *Endpoint) showHabits(w http.ResponseWriter, r *http.Request) error {
	query, here, err := e.visit(w, r, "habits")
	if err != nil || here.user.ID == "" {
		return err
	}
	kept, err := e.Habits.Kept.Habits(r.Context(), here.user.ID)
	if err != nil && !errors.Is(err, iam.ErrNotFound) {
		return err
	}
	return e.Pages().Render(w, r, http.StatusOK, page.Habits{
		Common: e.common(w, r, here), Action: habits, Bar: e.bar(habits), Off: kept.Off, Kept: kept.Sealed != "", Since: kept.Changed,
		Notice: e.noticed(r, here, query),
	})
}

func (e *Endpoint) changeHabits(w http.ResponseWriter, r *http.Request) error {
	form, here, err := e.deed(r)
	if err != nil {
		return err
	}
	user := here.user.ID
	event := func(what string) journal.Event { return e.event(r, here, journal.UserChanged{What: what}) }
	note := page.NoteHabitsOn
	// What is learned guards the person from who knows a password alone, and tells where they go: it is not for a weaker factor.
	if form.Value("do") != "on" && e.Factors != nil {
		if need, err := e.Factors.Demand(r, here.user, here.session); err != nil || need != nil {
			return e.prove(w, r, need, "habits", err)
		}
	}
	switch form.Value("do") {
	case "on":
		err = e.Habits.Learning.Switch(r.Context(), user, true, event(habitsOn))
	case "off":
		note, err = page.NoteHabitsOff, e.Habits.Learning.Switch(r.Context(), user, false, event(habitsOff))
	case "erase":
		note, err = page.NoteHabitsErased, e.Habits.Learning.Erase(r.Context(), user, event(habitsErased))
	case "export":
		return e.exportHabits(w, r, user)
	default:
		return oauth.InvalidRequest("do must be on, off, erase or export")
	}
	if err != nil && !errors.Is(err, iam.ErrNotFound) { // erased in another tab
		return err
	}
	return e.done(w, r, here, habits, note)
}

func (e *Endpoint) exportHabits(w http.ResponseWriter, r *http.Request, user string) error {
	body, err := e.Habits.Learning.Export(r.Context(), user)
	if err != nil {
		return err
	}
	web.NoStore(w)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Disposition", `attachment; filename="habits.json"`)
	_, _ = w.Write(body) // a write that fails means that the browser has gone
	return nil
}
