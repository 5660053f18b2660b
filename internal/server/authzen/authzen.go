// Package authzen is the decision point for other people's gateways, and for the Gate: the OpenID AuthZEN Authorization API
// 1.0. A subject is a person or a client, an action an operation of the recipe, a resource one of its APIs, by the audience
// of its tokens. Who asks has verified the token, and says what stands in it (decision 0016). It offers no search.
package authzen

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/authzen"
	"github.com/gardeauth/garde/internal/decide"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/verify"
	"github.com/gardeauth/garde/internal/web"
)

// Bearer reads the token of a request.
type Bearer interface {
	Bearer(r *http.Request) (verify.Claims, error)
}

// Clients proves who calls; a client that shows no proof of its own is refused.
type Clients interface {
	Identify(r *http.Request, form web.Form) (iam.Client, error)
}

// Desk decides about a call.
type Desk interface {
	Operation(ctx context.Context, call decide.Call) (decide.Answer, error)
	// Settle journals what needs no policy.
	Settle(ctx context.Context, call decide.Call, verdict assurance.Verdict, reason assurance.Reason) (decide.Answer, error)
}

// Grants finds grants.
type Grants interface {
	Grant(ctx context.Context, id string) (iam.Grant, error)
}

// Endpoint is the API. All fields are required, but Naming where no subject is pairwise.
type Endpoint struct {
	Issuer  string
	Tokens  Bearer
	Clients Clients
	Policy  func() *assurance.Policy
	Desk    Desk
	Grants  Grants
	// Naming gives the subject by which a client's tokens name a person, whose id is user.
	Naming func(ctx context.Context, client, user string) (string, error)
}

// asker is who asks, and about which APIs: a Gate about all, an API's own client about that API.
type asker struct {
	client string
	gate   bool
	speaks []string // languages, best first; none: English
}

// Evaluation answers one question.
func (e *Endpoint) Evaluation(w http.ResponseWriter, r *http.Request) error {
	who, body, err := e.begin(w, r)
	if err != nil {
		return err
	}
	question, err := authzen.ReadEvaluation(body)
	if err != nil {
		return oauth.InvalidRequest("%s", err)
	}
	decision, err := e.decide(r.Context(), who, question)
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, true, decision)
}

// Evaluations answers several, in their order, as long as their semantic says.
func (e *Endpoint) Evaluations(w http.ResponseWriter, r *http.Request) error {
	who, body, err := e.begin(w, r)
	if err != nil {
		return err
	}
	batch, err := authzen.ReadEvaluations(body)
	if err != nil {
		return oauth.InvalidRequest("%s", err)
	}
	if batch.Alone {
		decision, err := e.decide(r.Context(), who, batch.Items[0].Evaluation)
		if err != nil {
			return err
		}
		return web.JSON(w, http.StatusOK, true, decision)
	}
	answer := authzen.Decisions{Evaluations: make([]authzen.Decision, 0, len(batch.Items))}
	for _, item := range batch.Items {
		decision, err := e.item(r.Context(), who, item)
		if err != nil {
			return err
		}
		answer.Evaluations = append(answer.Evaluations, decision)
		if batch.Semantic.Ends(decision.Decision) {
			break
		}
	}
	return web.JSON(w, http.StatusOK, true, answer)
}

// item answers one of several. What is wrong with it alone is told in its place, and denies; a fault of ours ends all.
func (e *Endpoint) item(ctx context.Context, who asker, item authzen.Item) (authzen.Decision, error) {
	err := item.Err
	if err != nil {
		err = oauth.InvalidRequest("%s", err)
	} else {
		var decision authzen.Decision
		if decision, err = e.decide(ctx, who, item.Evaluation); err == nil {
			return decision, nil
		}
	}
	var told *oauth.Error
	if !errors.As(err, &told) || told.Status >= http.StatusInternalServerError {
		return authzen.Decision{}, err
	}
	return authzen.Decision{Context: &authzen.Context{
		Trace: web.Trace(ctx), Error: &authzen.Fault{Status: told.Status, Message: told.Description},
	}}, nil
}

// Metadata describes the decision point.
func (e *Endpoint) Metadata(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return web.MethodNotAllowed(http.MethodGet, http.MethodHead)
	}
	w.Header().Set("Cache-Control", "public, max-age=300")
	return web.JSON(w, http.StatusOK, false, authzen.Describe(e.Issuer))
}

// The bounds of a request's own name.
const (
	requestID    = "X-Request-Id"
	maxRequestID = 256
)

// begin echoes the name of the request, finds out who asks, and reads the body.
func (e *Endpoint) begin(w http.ResponseWriter, r *http.Request) (asker, []byte, error) {
	if ids := r.Header[requestID]; len(ids) > 0 {
		if len(ids) > 1 || !echoed(ids[0]) {
			return asker{}, nil, oauth.InvalidRequest("X-Request-ID must stand once, and be at most %d printable characters", maxRequestID)
		}
		w.Header().Set(requestID, ids[0])
	}
	if r.Method != http.MethodPost {
		return asker{}, nil, web.MethodNotAllowed(http.MethodPost)
	}
	who, err := e.authenticate(r)
	if err != nil {
		return asker{}, nil, err
	}
	kind, with, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" || with["charset"] != "" && !strings.EqualFold(with["charset"], "utf-8") {
		return asker{}, nil, oauth.InvalidRequest("Content-Type must be application/json")
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, authzen.MaxBody+1))
	switch {
	case err != nil:
		return asker{}, nil, oauth.InvalidRequest("the body could not be read to its end").Because(err)
	case len(body) > authzen.MaxBody:
		refusal := oauth.InvalidRequest("the body is longer than %d bytes", authzen.MaxBody)
		refusal.Status = http.StatusRequestEntityTooLarge
		return asker{}, nil, refusal
	}
	return who, body, nil
}

func echoed(text string) bool {
	return text != "" && len(text) <= maxRequestID && !strings.ContainsFunc(text, func(c rune) bool { return c < 0x20 || c > 0x7e })
}

// authenticate takes the token of a client for itself with the scope of a Gate, or a client's own proof. A token of a
// person is none: whoever signs in could ask what others may do.
func (e *Endpoint) authenticate(r *http.Request) (asker, error) {
	scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") && !strings.EqualFold(scheme, "DPoP") {
		if r.Header.Get("Authorization") == "" {
			return asker{}, web.ErrNoCredentials
		}
		client, err := e.Clients.Identify(r, web.Form{})
		return asker{client.ID, client.Scope.Has(oauth.ScopeGate), web.Languages(r)}, err
	}
	claims, err := e.Tokens.Bearer(r)
	if err != nil {
		return asker{}, err
	}
	if !claims.Scope.Has(oauth.ScopeGate) || claims.Subject != claims.ClientID {
		return asker{}, web.NeedScope(oauth.InsufficientScope("only a client for itself with the scope %s may ask", oauth.ScopeGate), oauth.Scope{oauth.ScopeGate})
	}
	return asker{claims.ClientID, true, web.Languages(r)}, nil
}
