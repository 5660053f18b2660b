package accounts_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/gardeauth/garde/internal/demo/accounts"
)

const plumber = `{"name":"Plomberie Durand","number":"XX29 0001 0002 0003"}`

// checked gives an account number whose check digits add up.
func checked(t *testing.T) string {
	t.Helper()
	return holdings(t, &accounts.API{}, "usr_somebody_else").Accounts[0].Number
}

func TestRecipientsAndPayments(t *testing.T) {
	api, number := &accounts.API{}, checked(t)
	before := holdings(t, api, "usr_a")
	from := before.Accounts[0].ID
	added := `{"name":"Plomberie Durand","number":"` + number + `"}`
	pays := func(to, cents string) string {
		return `{"from":"` + from + `","to":"` + to + `","cents":` + cents + `}`
	}
	const details = "Garde-Authorization-Details"
	for _, row := range []struct {
		what, path, subject, body, details string
		status                             int
	}{
		{"paying somebody unknown", "/payments", "usr_a", pays(number, "100"), "", 422},
		{"a number that does not add up", "/recipients", "usr_a", plumber, "", 400},
		{"a number of another country", "/recipients", "usr_a", `{"name":"A","number":"FR76 3000 6000 0112"}`, "", 400},
		{"a name that can't be seen", "/recipients", "usr_a", `{"name":"A\u200b","number":"` + number + `"}`, "", 400},
		{"a member that is unknown", "/recipients", "usr_a", `{"name":"A","number":"` + number + `","admin":"1"}`, "", 400},
		{"cents for a recipient", "/recipients", "usr_a", `{"name":"A","number":"` + number + `","cents":1}`, "", 400},
		{"a member twice", "/recipients", "usr_a", `{"name":"A","name":"B","number":"` + number + `"}`, "", 400},
		{"by a detail about balances", "/recipients", "usr_a", added, `[{"type":"account_information","until":"2999-01-01"}]`, 403},
		{"by a detail about a payment", "/recipients", "usr_a", added, `[{"type":"payment"}]`, 403},
		{"a recipient", "/recipients", "usr_a", added, `[{"type":"recipient"}]`, 201},
		{"the same again", "/recipients", "usr_a", added, "", 422},
		{"a payment", "/payments", "usr_a", pays(number, "1250"), `[{"type":"payment"}]`, 201},
		{"more than there is", "/payments", "usr_a", pays(number, "1000000"), "", 422},
		{"nothing", "/payments", "usr_a", pays(number, "0"), "", 400},
		{"less than nothing", "/payments", "usr_a", pays(number, "-5"), "", 400},
		{"somebody else's recipient", "/payments", "usr_b", pays(number, "100"), "", 422},
	} {
		var more []string
		if row.details != "" {
			more = []string{details, row.details}
		}
		if w := ask(api, "POST", row.path, row.subject, row.body, more...); w.Code != row.status {
			t.Errorf("%s: answered %d %s", row.what, w.Code, w.Body)
		}
	}
	after := holdings(t, api, "usr_a")
	if after.Cents != before.Cents-1250 {
		t.Errorf("%d, then %d", before.Cents, after.Cents)
	}
	var list struct{ Recipients []accounts.Recipient }
	w := ask(api, "GET", "/recipients", "usr_a", "")
	if err := json.Unmarshal(w.Body.Bytes(), &list); err != nil || len(list.Recipients) != 1 || list.Recipients[0].Number != number {
		t.Errorf("%v %s", err, w.Body)
	}
	if w := ask(api, "GET", "/accounts/"+from, "usr_a", ""); !strings.Contains(w.Body.String(), "Plomberie Durand") {
		t.Errorf("no entry: %s", w.Body)
	}
}
