package policy

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/recipe"
)

// Explained is a whole decision and what it rests on.
type Explained struct {
	Case Case `json:"question"`
	Told
}

// Explain decides one case at now.
func Explain(policy *assurance.Policy, one Case, now time.Time) (Explained, error) {
	question, err := one.Question(policy, now)
	if err != nil {
		return Explained{}, err
	}
	return Explained{one, Tell(policy, policy.Decide(&question))}, nil
}

// Lines tells it as pairs of a word and what it is, for a table.
func (e Explained) Lines() [][2]string {
	var lines [][2]string
	add := func(word, text string) {
		if text != "" {
			lines = append(lines, [2]string{word, text})
		}
	}
	asks := strings.TrimSpace(e.Case.API + " " + e.Case.Operation)
	if asks == "" {
		asks = "scope " + strings.Join(e.Case.Scopes, " ")
	}
	add("asks", asks)
	add("client", e.Case.Client)
	add("groups", strings.Join(e.Case.User.Groups, " "))
	add("could prove", strings.Join(e.Case.User.Factors, " "))
	add("verdict", e.Verdict)
	add("level needed", strings.TrimSpace(e.Level+" "+e.ACR))
	add("no older than", e.Fresh)
	if e.Bound {
		add("token", "bound to a key")
	}
	for i, set := range e.Sets {
		text := set
		if i < len(e.Missing) && e.Missing[i] != set {
			text += ", of which " + e.Missing[i] + " is still to be proved"
		}
		add("would be enough", text)
	}
	for _, set := range e.Enrol {
		add("after adding it", set)
	}
	for _, rule := range e.Rules {
		add("rule", rule)
	}
	for _, reason := range e.Reasons {
		add("because", reason.Say)
	}
	return lines
}

// Set sets one thing that is known of the moment, by its name in the command line.
func (c *Case) Set(name, value string) error {
	if factor, ok := strings.CutPrefix(name, "proved."); ok {
		age, err := recipe.ParseDuration(value)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if c.Proved == nil {
			c.Proved = map[string]recipe.Duration{}
		}
		c.Proved[factor] = age
		return nil
	}
	if key, ok := strings.CutPrefix(name, "values."); ok {
		if c.Values == nil {
			c.Values = map[string]any{}
		}
		c.Values[key] = typed(value)
		return nil
	}
	var err error
	form := "" // how it is to be written
	switch name {
	case "groups":
		c.User.Groups = strings.Split(value, ",")
	case "factors":
		c.User.Factors = strings.Split(value, ",")
	case "signals":
		c.Risk.Signals = strings.Split(value, ",")
	case "score":
		form = "a whole number"
		c.Risk.Score, err = strconv.Atoi(value)
	case "country":
		c.Place.Country = value
	case "network":
		c.Place.Network = value
	case "amount":
		form = "a whole number of minor units"
		var amount int64
		amount, err = strconv.ParseInt(value, 10, 64)
		c.Amount = &amount
	case "currency":
		c.Currency = value
	case "payee":
		c.Payee = value
	case "bound":
		form = "true or false"
		c.Bound, err = strconv.ParseBool(value)
	case "max_age":
		c.Wish.MaxAge, err = recipe.ParseDuration(value)
	case "acr":
		c.Wish.ACR = strings.Split(value, ",")
	case "at":
		form = "a time as 2026-01-31T09:30:00Z"
		c.At, err = time.Parse(time.RFC3339, value)
	default:
		return fmt.Errorf("nothing of a moment is called %s: there are proved.FACTOR, values.NAME, groups, factors, signals, score, country, network, amount, currency, payee, bound, max_age, acr and at", name)
	}
	switch {
	case err != nil && form != "":
		return fmt.Errorf("%s=%s: write %s", name, value, form)
	case err != nil:
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// typed reads a value as what it looks like: a number, a truth, else a text.
func typed(value string) any {
	if number, err := strconv.ParseInt(value, 10, 64); err == nil {
		return number
	}
	if truth, err := strconv.ParseBool(value); err == nil {
		return truth
	}
	return value
}
