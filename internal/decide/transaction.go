package decide

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/assurance/signal"
	"github.com/gardeauth/garde/recipe"
)

// maxDetails bounds of how many details of one request the facts are asked.
const maxDetails = 8

// readDetails reads authorization_details that a parser accepted.
func readDetails(text string) ([]assurance.Detail, error) {
	if text == "" {
		return nil, nil
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var list []map[string]any
	if err := decoder.Decode(&list); err != nil {
		return nil, fmt.Errorf("authorization_details: %w", err)
	}
	details := make([]assurance.Detail, 0, len(list))
	for _, each := range list {
		kind, ok := each["type"].(string)
		if !ok {
			return nil, errors.New("authorization_details: one has no type")
		}
		details = append(details, assurance.Detail{Type: kind, Values: settled(each)})
	}
	return details, nil
}

// settled gives numbers one form, so that what is journaled and decided again is the same: int64 where they are whole,
// else float64.
func settled(values map[string]any) map[string]any {
	if values == nil {
		return nil
	}
	clean := make(map[string]any, len(values))
	for name, value := range values {
		clean[name] = settle(value)
	}
	return clean
}

func settle(value any) any {
	switch value := value.(type) {
	case json.Number:
		if whole, err := value.Int64(); err == nil {
			return whole
		}
		if broken, err := value.Float64(); err == nil {
			return settle(broken)
		}
		return value.String()
	case float64:
		if value == math.Trunc(value) && math.Abs(value) < 1<<53 {
			return int64(value)
		}
	case int:
		return int64(value)
	case map[string]any:
		return settled(value)
	case []any:
		clean := make([]any, len(value))
		for i := range value {
			clean[i] = settle(value[i])
		}
		return clean
	}
	return value
}

// transactions gives what details pay for, as the recipe reads them: one for each detail of a type that says what its
// amount or payee is.
func transactions(policy *assurance.Policy, details []assurance.Detail) []signal.Transaction {
	var paid []signal.Transaction
	for _, detail := range details {
		kind, known := policy.Detail(detail.Type)
		if !known || kind.Amount == "" && kind.Payee == "" || len(paid) == maxDetails {
			continue
		}
		paid = append(paid, transaction(kind, func(path string) any { return member(detail.Values, path) }))
	}
	return paid
}

func transaction(kind recipe.Detail, value func(path string) any) signal.Transaction {
	paid := signal.Transaction{Currency: text(value(kind.Currency)), Payee: text(value(kind.Payee))}
	paid.Amount, paid.Priced = whole(value(kind.Amount))
	return paid
}

// together is what several transactions of one request come to. What they do not agree on is not known, which raises.
func together(paid []signal.Transaction) signal.Transaction {
	if len(paid) == 0 {
		return signal.Transaction{}
	}
	sum := paid[0]
	for _, next := range paid[1:] {
		if !next.Priced || next.Currency != sum.Currency || next.Amount < 0 || sum.Amount > math.MaxInt64-next.Amount {
			sum.Priced = false
		}
		if sum.Priced {
			sum.Amount += next.Amount
		}
		if next.Payee != sum.Payee {
			sum.Payee = ""
		}
	}
	if !sum.Priced {
		sum.Amount, sum.Currency = 0, ""
	}
	return sum
}

// member follows a path such as transfer.amount.
func member(values map[string]any, path string) any {
	if path == "" {
		return nil
	}
	if value, ok := values[path]; ok {
		return value
	}
	head, rest, deep := strings.Cut(path, ".")
	inner, ok := values[head].(map[string]any)
	if !deep || !ok {
		return nil
	}
	return member(inner, rest)
}

func text(value any) string {
	said, _ := value.(string)
	return said
}

// whole reads an amount in minor units. What is no whole number is not known, rather than rounded.
func whole(value any) (int64, bool) {
	switch value := settle(value).(type) {
	case int64:
		return value, true
	case string:
		number, err := strconv.ParseInt(value, 10, 64)
		return number, err == nil
	}
	return 0, false
}

// operationTransaction is what an operation pays for: by the names of the values that the recipe sends along, else by the
// type of detail that the operation must match.
func operationTransaction(policy *assurance.Policy, audience, operation string, values map[string]any) signal.Transaction {
	paid := transaction(recipe.Detail{Amount: assurance.SentAmount, Currency: assurance.SentCurrency, Payee: assurance.SentPayee}, func(path string) any { return values[path] })
	if policy == nil || policy.Recipe == nil {
		return paid
	}
	for _, api := range policy.Recipe.APIs {
		kind, known := api.Details[api.Operations[operation].Details]
		if api.At != audience || !known {
			continue
		}
		matched := transaction(kind, func(path string) any { return member(values, path) })
		if !paid.Priced {
			paid.Amount, paid.Priced = matched.Amount, matched.Priced
		}
		if paid.Currency == "" {
			paid.Currency = matched.Currency
		}
		if paid.Payee == "" {
			paid.Payee = matched.Payee
		}
	}
	return paid
}

// called tells whether an operation demands a detail of that type, and so decides about it, and learns it, when it is called.
func called(policy *assurance.Policy, kind string) bool {
	if policy == nil || policy.Recipe == nil {
		return false
	}
	for _, api := range policy.Recipe.APIs {
		for _, operation := range api.Operations {
			if operation.Details == kind {
				return true
			}
		}
	}
	return false
}
