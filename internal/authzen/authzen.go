// Package authzen is the JSON of the OpenID AuthZEN Authorization API 1.0: what an enforcement point asks and what it is
// answered, read strictly. It decides nothing, and knows no HTTP beyond the places of the API.
package authzen

import "strings"

// The places of the API (sections 10 and 9.2), below the identifier of the decision point.
const (
	EvaluationPlace  = "/access/v1/evaluation"
	EvaluationsPlace = "/access/v1/evaluations"
	MetadataPlace    = "/.well-known/authzen-configuration"
)

// Subject is who acts (section 5.1).
type Subject struct {
	Type       string         `json:"type"`
	ID         string         `json:"id"`
	Properties map[string]any `json:"properties,omitempty"`
}

// Action is what is done (section 5.3).
type Action struct {
	Name       string         `json:"name"`
	Properties map[string]any `json:"properties,omitempty"`
}

// Resource is what it is done to (section 5.2).
type Resource struct {
	Type       string         `json:"type"`
	ID         string         `json:"id"`
	Properties map[string]any `json:"properties,omitempty"`
}

// Evaluation is one question (section 6.1). One from ReadEvaluation or ReadEvaluations names subject, action and resource.
// Its numbers are int64 where they are whole and fit, else float64.
type Evaluation struct {
	Subject  Subject        `json:"subject"`
	Action   Action         `json:"action"`
	Resource Resource       `json:"resource"`
	Context  map[string]any `json:"context,omitempty"`

	// Languages are those of whom the reasons are for, best first; none: English. They are the header Accept-Language of a
	// request, and no part of its body.
	Languages []string `json:"-"`
}

// Semantic says how many of several questions are answered (section 7.1.2.1).
type Semantic string

// The semantics. ExecuteAll is the default.
const (
	ExecuteAll          Semantic = "execute_all"
	DenyOnFirstDeny     Semantic = "deny_on_first_deny"
	PermitOnFirstPermit Semantic = "permit_on_first_permit"
)

// Ends tells whether nothing after a decision is answered any more.
func (s Semantic) Ends(permitted bool) bool {
	return s == DenyOnFirstDeny && !permitted || s == PermitOnFirstPermit && permitted
}

// Decision is an answer (section 5.5). Its zero value denies.
type Decision struct {
	Decision bool     `json:"decision"`
	Context  *Context `json:"context,omitempty"`
}

// Context is what an answer of this house says besides. Seconds are whole.
type Context struct {
	Reasons  []Reason `json:"reasons,omitempty"`
	ACR      string   `json:"acr_values,omitempty"`                 // the levels that would do, space-separated: what is to be asked for (RFC 9470)
	MaxAge   *int64   `json:"max_age,omitempty"`                    // how long ago it may have been reached; nil: any time
	Details  string   `json:"authorization_details_type,omitempty"` // the call must also carry a detail of this type for exactly this request, once: who asks sees to that
	Lifetime int64    `json:"lifetime,omitempty"`                   // how long this answer may serve for the very same question; 0: only now
	Trace    string   `json:"trace,omitempty"`
	Error    *Fault   `json:"error,omitempty"` // this question could not be decided
}

// Reason is one sentence about a decision.
type Reason struct {
	Code string `json:"code"`
	Say  string `json:"say"`
}

// Fault is why one of several questions was not decided (section 7.2.1); it goes with a denial.
type Fault struct {
	Status  int    `json:"status"`
	Message string `json:"message"`
}

// Decisions is the answer to several questions (section 7.2).
type Decisions struct {
	Evaluations []Decision `json:"evaluations"`
}

// Metadata is the description of a decision point (section 9). What it can't do is absent.
type Metadata struct {
	Point       string `json:"policy_decision_point"`
	Evaluation  string `json:"access_evaluation_endpoint"`
	Evaluations string `json:"access_evaluations_endpoint,omitempty"`
}

// Describe gives the metadata of a decision point whose identifier is point: no search is offered.
func Describe(point string) Metadata {
	base := strings.TrimSuffix(point, "/")
	return Metadata{Point: point, Evaluation: base + EvaluationPlace, Evaluations: base + EvaluationsPlace}
}
