package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/gardeauth/garde/internal/authzen"
)

// person is somebody whom tokens speak of.
type person struct{ user, session string }

// send posts a body of any kind.
func (c *caller) send(target, kind string, body []byte, headers ...string) (answer, error) {
	c.begin("POST ", target, headers)
	c.out = append(append(append(c.out, "Content-Type: "...), kind...), "\r\nContent-Length: "...)
	c.out = append(strconv.AppendInt(c.out, int64(len(body)), 10), "\r\n\r\n"...)
	c.out = append(c.out, body...)
	return c.exchange()
}

// evaluating asks, as a Gate, whether a person may call an operation whose rule reads the risk of the moment and a value of
// the request: the same for each person, or another each time.
func evaluating(people []person, audience string, another bool) (deed, error) {
	questions := make([][]byte, len(people))
	for i, each := range people {
		question := authzen.Evaluation{
			Subject: authzen.Subject{Type: "user", ID: each.user, Properties: map[string]any{
				"client_id": "web", "scope": "openid accounts.read", "acr": levelACR, "auth_time": time.Now().Unix(), "sid": each.session,
			}},
			Action: authzen.Action{Name: "POST /transfers"}, Resource: authzen.Resource{Type: "api", ID: audience},
			Context: map[string]any{"address": "127.0.0.1", "agent": "bench", "values": map[string]any{"sum": 120}},
		}
		var err error
		if questions[i], err = json.Marshal(question); err != nil {
			return nil, err
		}
	}
	var asked atomic.Int64
	return func(c *caller, number int) error {
		question := questions[number%len(questions)]
		if another {
			question = bytes.Replace(question, []byte(`"sum":120`), strconv.AppendInt([]byte(`"sum":`), asked.Add(1)%100_000, 10), 1)
		}
		got, err := c.send(authzen.EvaluationPlace, "application/json", question, asGate)
		if err = wanted(got, err, 200); err == nil && !bytes.HasPrefix(got.body, []byte(`{"decision":true`)) {
			err = fmt.Errorf("not permitted: %s", got.body)
		}
		return err
	}, nil
}

var asGate = basic("gate")

// bareJSON reads a question and answers yes: what remains of an evaluation when nothing is decided.
func bareJSON() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var question authzen.Evaluation
		if err == nil {
			err = json.Unmarshal(body, &question)
		}
		if err != nil || question.Subject.ID == "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		write(w, authzen.Decision{Decision: true, Context: &authzen.Context{Trace: "none", Lifetime: 1}})
	})
}
