package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/notary"
)

// Event is one entry of the journal.
type Event struct {
	ID       string            `json:"id"`
	At       time.Time         `json:"at"`
	Kind     string            `json:"kind"`
	Actor    string            `json:"actor,omitempty"`
	Client   string            `json:"client,omitempty"`
	User     string            `json:"user,omitempty"`
	Session  string            `json:"session,omitempty"`
	Grant    string            `json:"grant,omitempty"`
	Trace    string            `json:"trace,omitempty"`
	Detail   json.RawMessage   `json:"detail,omitempty"`
	Personal map[string]string `json:"personal,omitempty" doc:"erasable"`
}

// search selects entries; all conditions are joined by and.
type search struct {
	After   string    `query:"after" maxLength:"600" doc:"cursor"`
	Limit   int       `query:"limit" default:"100" minimum:"1" maximum:"500"`
	Order   string    `query:"order" enum:"newest,oldest" default:"newest"`
	Since   time.Time `query:"since"`
	Before  time.Time `query:"before"`
	Kind    string    `query:"kind" maxLength:"100"`
	User    string    `query:"user" maxLength:"200" doc:"id"`
	Client  string    `query:"client" maxLength:"200"`
	Session string    `query:"session" maxLength:"200"`
	Grant   string    `query:"grant" maxLength:"200"`
	Trace   string    `query:"trace" maxLength:"200"`
}

func (a *api) journal() {
	op(a, route("GET", "/journal", "search-journal", "Search the journal"), func(ctx context.Context, in *search) (*some[paged[Event]], error) {
		return answer(a.events(ctx, *in))
	})
	type verification struct {
		Body struct {
			Earlier string `json:"earlier,omitempty" maxLength:"10000" doc:"a checkpoint that was noted before"`
		}
	}
	op(a, route("POST", "/journal/verification", "verify-journal", "Prove that nothing in the journal was altered"),
		func(ctx context.Context, in *verification) (*some[notary.Report], error) {
			if err := a.Notary.CatchUp(ctx); err != nil {
				a.Log.WarnContext(ctx, "add to the journal's tree", "error", err) // verification tells why
			}
			return answer(a.Notary.Verify(ctx, in.Body.Earlier))
		})
}

func (a *api) events(ctx context.Context, in search) (paged[Event], error) {
	page, err := Paging{After: in.After, Limit: in.Limit}.page("journal")
	if err != nil {
		return paged[Event]{}, err
	}
	rows, err := a.Desk.House.Events(ctx, iam.JournalQuery{
		After: in.Since, Before: in.Before, AfterID: page.After, Kind: in.Kind, User: in.User, Client: in.Client, Trace: in.Trace,
		Session: in.Session, Grant: in.Grant, Oldest: in.Order == "oldest", Limit: in.Limit + 1,
	})
	if err != nil {
		return paged[Event]{}, err
	}
	var answer paged[Event]
	if len(rows) > in.Limit {
		rows = rows[:in.Limit]
		answer.Next = cursor("journal", rows[in.Limit-1].ID)
	}
	answer.Items = make([]Event, len(rows))
	for i, row := range rows {
		answer.Items[i] = Event{
			ID: row.ID, At: row.At, Kind: string(row.Kind), Actor: row.Actor, Client: row.Client, User: row.User,
			Session: row.Session, Grant: row.Grant, Trace: row.Trace, Detail: row.Detail, Personal: row.Personal,
		}
	}
	return answer, nil
}

// describeExport tells of the one operation that is no JSON document: its lines are written as they are read.
func (a *api) describeExport() {
	lowest := 0.0
	a.huma.OpenAPI().AddOperation(&huma.Operation{
		OperationID: "export-journal", Method: http.MethodGet, Path: "/journal/export",
		Summary: "Export the journal with the proofs of its tree, a JSON document on each line",
		Parameters: []*huma.Param{{
			Name: "from", In: "query", Description: "number of the first row (default 0)",
			Schema: &huma.Schema{Type: huma.TypeInteger, Format: "int64", Minimum: &lowest},
		}},
		Responses: map[string]*huma.Response{
			"200":     {Description: "the lines", Content: map[string]*huma.MediaType{"application/jsonl": {Schema: &huma.Schema{Type: huma.TypeString}}}},
			"default": {Description: "Error", Content: map[string]*huma.MediaType{"application/problem+json": {Schema: &huma.Schema{Ref: "#/components/schemas/ErrorModel"}}}},
		},
	})
}

// export streams the journal with its proofs as JSON lines, which may be of any size.
func (a *api) export(w http.ResponseWriter, r *http.Request) {
	from, err := strconv.ParseInt(r.URL.Query().Get("from"), 10, 64)
	if (err != nil && r.URL.RawQuery != "") || from < 0 {
		tell(w, titled(http.StatusUnprocessableEntity, "from is the number of a row"))
		return
	}
	if err := a.Notary.CatchUp(r.Context()); err != nil {
		tell(w, a.problem(r.Context(), err))
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // in-process there is no connection
	w.Header().Set("Content-Type", "application/jsonl")
	if err := a.Notary.Export(r.Context(), from, w); err != nil {
		a.Log.ErrorContext(r.Context(), "export the journal", "error", err)
		panic(http.ErrAbortHandler) // half an export must not look like a whole one
	}
}
