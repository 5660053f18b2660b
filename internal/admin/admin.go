// Package admin is the administrator's API: JSON over the unix socket of a running node, described by OpenAPI 3.1 at
// /openapi.json, with problems as RFC 9457 has them. It reads, asks a deed of manage, and answers; it decides nothing.
// Secrets go in and never come out, but for the one answer that makes them.
//
// Whoever may open the socket is the operator: its mode is 0600, and the peer's user stands in the journal as the actor.
package admin

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/go-json-experiment/json"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/manage"
	"github.com/gardeauth/garde/internal/notary"
	"github.com/gardeauth/garde/internal/web"
)

// Deps are what the API stands on. Desk, Notary and Issuer are required; a nil function answers 501.
type Deps struct {
	Desk   *manage.Desk
	Notary *notary.Notary
	Issuer string
	// Refusal finds a refusal of this node by its trace id; its fields hold no secret.
	Refusal func(trace string) (Refusal, bool)
	// Backup writes everything to a new file.
	Backup func(ctx context.Context, path string) error
	// AdminsOnly tells whether a restore waits to be confirmed; Confirm does so.
	AdminsOnly func(ctx context.Context) (bool, error)
	Confirm    func(ctx context.Context, by string) error
	// Problem says why this node should get no requests, or "".
	Problem func() string
	Log     *slog.Logger     // nil: slog.Default
	Now     func() time.Time // nil: time.Now
}

// Refusal is one answer that was an error.
type Refusal struct {
	At     time.Time         `json:"at"`
	Trace  string            `json:"trace"`
	Fields map[string]string `json:"fields"`
}

// api carries what every operation needs.
type api struct {
	Deps
	huma huma.API
}

// The bounds of a request's body.
const (
	maxBody  = 1 << 20
	maxLarge = 64 << 20 // bundles and imports
)

// Handler is the API. Requests must bear an operator (see As); others are refused.
func Handler(deps Deps) http.Handler {
	if deps.Log == nil {
		deps.Log = slog.Default()
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	mux := http.NewServeMux()
	a := &api{Deps: deps, huma: humago.New(mux, settings())}
	a.system()
	a.users()
	a.groups()
	a.sessions()
	a.factors()
	a.clients()
	a.registration()
	a.keys()
	a.recipes()
	a.journal()
	a.describeExport()
	mux.Handle("GET /journal/export", http.HandlerFunc(a.export))
	return web.Traced(a.guarded(mux))
}

func settings() huma.Config {
	config := huma.DefaultConfig("Garde", "1")
	config.Info.Description = "What an administrator of Garde may do. Served on a unix socket, never on a public listener."
	config.DocsPath, config.SchemasPath = "", ""
	config.CreateHooks = nil // no $schema in answers
	config.RejectUnknownQueryParameters = true
	strict := huma.Format{Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: func(data []byte, v any) error {
		return json.Unmarshal(data, v) // exact names, no doubled members, valid UTF-8, nothing behind the document
	}}
	config.Formats = map[string]huma.Format{"application/json": strict, "json": strict}
	config.Transformers = []huma.Transformer{unechoed}
	return config
}

// unechoed takes the values out of problems: one of them may be a password in the wrong field.
func unechoed(_ huma.Context, _ string, v any) (any, error) {
	if problem, ok := v.(*huma.ErrorModel); ok {
		for _, detail := range problem.Errors {
			detail.Value = nil
		}
	}
	return v, nil
}

// guarded lets operators in, and nothing out that a panic would leave behind.
func (a *api) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if broken := recover(); broken != nil {
				a.Log.ErrorContext(r.Context(), "panic in the admin API", "panic", broken, "trace", web.Trace(r.Context()))
				tell(w, a.problem(r.Context(), errors.New("panic")))
			}
		}()
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if Operator(r.Context()) == "" {
			tell(w, &huma.ErrorModel{Status: http.StatusForbidden, Title: "Forbidden", Detail: "the admin API is for the user who runs this node"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// operatorKey is the place of the caller in a context.
type operatorKey struct{}

// As marks a context's requests as those of an operator, by the name of the OS user.
func As(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, operatorKey{}, "operator:"+name)
}

// Operator gives the actor, operator:NAME, or "".
func Operator(ctx context.Context) string {
	actor, _ := ctx.Value(operatorKey{}).(string) // absent is nobody
	return actor
}

// op registers one operation: the method, the path, its name, what it does, and the deed.
func op[In, Out any](a *api, operation huma.Operation, do func(context.Context, *In) (*Out, error)) {
	if operation.MaxBodyBytes == 0 {
		operation.MaxBodyBytes = maxBody
	}
	huma.Register(a.huma, operation, func(ctx context.Context, in *In) (*Out, error) {
		out, err := do(ctx, in)
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		return out, nil
	})
}

func route(method, path, id, summary string) huma.Operation {
	return huma.Operation{Method: method, Path: path, OperationID: id, Summary: summary}
}

func made(operation huma.Operation) huma.Operation {
	operation.DefaultStatus = http.StatusCreated
	return operation
}

// problem turns an error into what may be told. What is our fault is logged, and told as a trace id.
func (a *api) problem(ctx context.Context, err error) *huma.ErrorModel {
	var refusal *manage.Refusal
	var model *huma.ErrorModel
	switch {
	case errors.As(err, &model):
		return model
	case errors.As(err, &refusal):
		return refused(refusal)
	case errors.Is(err, iam.ErrNotFound):
		return titled(http.StatusNotFound, "there is no such thing")
	case errors.Is(err, errUnsupported):
		return titled(http.StatusNotImplemented, err.Error())
	}
	status, detail := http.StatusInternalServerError, "something went wrong here; the log tells more under this trace id"
	var unavailable interface{ Unavailable() bool }
	if errors.As(err, &unavailable) && unavailable.Unavailable() {
		status, detail = http.StatusServiceUnavailable, "the storage can't do it now; the log tells more under this trace id"
	}
	a.Log.ErrorContext(ctx, "admin API", "error", err, "trace", web.Trace(ctx))
	problem := titled(status, detail)
	problem.Instance = "urn:garde:trace:" + web.Trace(ctx)
	return problem
}

// errUnsupported answers what this set-up has no means for.
var errUnsupported = errors.New("this node can't do that; ask the one that serves")

func titled(status int, detail string) *huma.ErrorModel {
	return &huma.ErrorModel{Status: status, Title: http.StatusText(status), Detail: detail}
}

func refused(refusal *manage.Refusal) *huma.ErrorModel {
	status := map[manage.Reason]int{
		manage.Invalid: http.StatusUnprocessableEntity, manage.Missing: http.StatusNotFound, manage.Conflict: http.StatusConflict,
	}[refusal.Reason]
	if status == 0 {
		status = http.StatusUnprocessableEntity
	}
	problem := titled(status, "")
	for i, fault := range refusal.Faults {
		if i == 0 {
			problem.Detail = fault.String()
		}
		message := fault.Text
		if fault.Hint != "" {
			message += " (" + fault.Hint + ")"
		}
		problem.Errors = append(problem.Errors, &huma.ErrorDetail{Message: message, Location: fault.Place})
	}
	return problem
}

// tell writes a problem outside of an operation.
func tell(w http.ResponseWriter, problem *huma.ErrorModel) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(problem.Status)
	_ = huma.DefaultJSONFormat.Marshal(w, problem) // the caller has gone: nobody is left to tell
}

// none is the body of what has none.
type none struct{}

// some is an answer with a body.
type some[T any] struct{ Body T }

func answer[T any](body T, err error) (*some[T], error) {
	if err != nil {
		return nil, err
	}
	return &some[T]{body}, nil
}

func nothing(err error) (*none, error) {
	if err != nil {
		return nil, err
	}
	return &none{}, nil
}
