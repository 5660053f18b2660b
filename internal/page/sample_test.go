package page_test

import (
	"maps"
	"net/url"
	"time"

	"github.com/gardeauth/garde/internal/page"
)

var noon = time.Date(2026, 2, 1, 12, 4, 0, 0, time.UTC)

func sampleCommon() page.Common {
	return page.Common{CSRF: "csrf-of-this-browser", Trace: "7F3KQ2M9XH", FormTarget: "https://budget.example/callback"}
}

func sampleClient() page.Client {
	return page.Client{Name: "Budget", Host: "budget.example", Policy: "https://budget.example/privacy", Terms: "https://budget.example/terms"}
}

func sampleScopes() []page.Scope {
	return []page.Scope{
		{Name: "openid"}, {Name: "profile"},
		{Name: "accounts.read", Say: map[string]string{"en": "See your balances", "fr": "Voir vos soldes"},
			Means: map[string]string{"en": "The balance and the last entries of each of your accounts.", "fr": "Le solde et les dernières écritures de chacun de vos comptes."}},
		{Name: "transfers.write", Say: map[string]string{"en": "Move money between yours"}},
		{Name: "odd.one"},
		{Name: "offline_access"},
	}
}

func sampleAccount() page.Account {
	return page.Account{
		Common: sampleCommon(), Action: "/account", Username: "ada", Name: "Ada Lovelace", Email: "ada@example.com", EmailVerified: true,
		Sessions: []page.Session{
			{ID: "s1", Device: "Firefox on Linux", Place: "Lyon, France", Since: noon, Seen: noon, Current: true},
			{ID: "s2", Device: "Safari on iPhone", Place: "Paris, France", Since: noon, Seen: noon.Add(-49 * time.Hour)},
			{ID: "s3", Since: noon, Seen: noon.Add(-200 * time.Hour)},
		},
		Consents: []page.Permission{
			{ID: "c1", Client: sampleClient(), Scopes: sampleScopes(), Since: noon},
			{ID: "c2", Client: page.Client{Name: "Ledger Export"}, Scopes: sampleScopes()[:2], Since: noon},
		},
		Activity: []page.Activity{
			{Kind: "signed_in", When: noon, Device: "Firefox on Linux", Place: "Lyon, France"},
			{Kind: "consent_given", When: noon, Client: "Budget"},
			{Kind: "never heard of", When: noon},
		},
		Notice: page.NotePasswordChanged,
	}
}

// samples has every view at least once, and the variants that show other parts.
func samples() map[string]page.View {
	c, client := sampleCommon(), sampleClient()
	unverified := client
	unverified.Unverified = true
	wrong := c
	wrong.Problems = []page.Problem{{Field: page.FieldPassword, Fault: page.FaultCredentials}}
	weak := c
	weak.Problems = []page.Problem{
		{Field: page.FieldNewPassword, Fault: page.FaultShort},
		{Field: page.FieldNewPassword, Fault: page.FaultCommon},
		{Field: page.FieldNewPasswordAgain, Fault: page.FaultDiffer},
	}
	short := c
	short.Problems = weak.Problems[:2]
	stale := c
	stale.Problems = []page.Problem{{Fault: page.FaultStale}}
	miscoded := c
	miscoded.Problems = []page.Problem{{Field: page.FieldUserCode, Fault: page.FaultUserCode}}
	account := sampleAccount()
	account.Waiting = true
	bad := sampleAccount()
	bad.Notice = ""
	bad.Problems = []page.Problem{{Field: page.FieldCurrentPassword, Fault: page.FaultCurrent}}
	all := map[string]page.View{
		"signin":          page.SignIn{Common: c, Password: true, Flow: "f1", Client: client, SignUp: "/signup", Forgot: "/forgot"},
		"signin-plain":    page.SignIn{Common: c, Password: true},
		"signin-hint":     page.SignIn{Common: c, Password: true, Action: "/login", Flow: "f1", Client: unverified, Username: "ada", Switch: "/switch", Forgot: "/forgot"},
		"signin-wrong":    page.SignIn{Common: wrong, Password: true, Flow: "f1", Client: client, Username: "ada", SignUp: "/signup", Forgot: "/forgot"},
		"signin-again":    page.SignIn{Common: c, Password: true, Flow: "f1", Client: client, Username: "ada", Known: "ada", Switch: "/switch"},
		"signin-stale":    page.SignIn{Common: stale, Password: true, Flow: "f1"},
		"signup":          page.SignUp{Common: c, Flow: "f1", Client: client, SignIn: "/login"},
		"signup-weak":     page.SignUp{Common: short, Flow: "f1", Username: "ada", Email: "ada@example.com"},
		"checkmail":       page.CheckMail{Common: c, Email: "ada@example.com", SignIn: "/login"},
		"checkmail-reset": page.CheckMail{Common: c, Email: "ada@example.com", Reset: true},
		"verifymail":      page.VerifyMail{Common: c, Token: "t1", Email: "ada@example.com"},
		"forgot":          page.Forgot{Common: c, SignIn: "/login"},
		"reset":           page.Reset{Common: c, Token: "t1", Username: "ada"},
		"reset-weak":      page.Reset{Common: weak, Token: "t1", Username: "ada"},
		"enrol":           page.Enrol{Common: c, Token: "t1", Username: "ada"},
		"enrol-admin":     page.Enrol{Common: c, Token: "t1", Username: "ada", Admin: true},
		"consent":         page.Consent{Common: c, Flow: "f1", Client: client, Username: "ada", Scopes: sampleScopes(), Remembered: true, Account: "/account", Switch: "/switch"},
		"consent-details": page.Consent{Common: c, Flow: "f1", Client: client, Username: "ada", Scopes: sampleScopes()[:1], Details: []page.Detail{
			{
				Type: "payment", Say: map[string]string{"en": "Pay {amount.value} {amount.currency} to {creditor}, for {reference}", "fr": "Payer {amount.value} {amount.currency} à {creditor}, motif {reference}"},
				Values: map[string]string{"amount.value": "123.50", "amount.currency": "EUR", "creditor": "Merchant A"},
				Rest:   []page.Member{{Name: "iban", Value: "DE02100100109307118603"}},
			},
			{Type: "odd_one", Rest: []page.Member{{Name: "months", Value: "3"}}},
		}},
		"entercode":       page.EnterCode{Common: c},
		"entercode-link":  page.EnterCode{Common: c, Action: "/device", Code: "WDJB-MJHT"},
		"entercode-wrong": page.EnterCode{Common: miscoded, Action: "/device", Code: "WDJB-MJHT"},
		"asked-device":    page.Asked{Common: c, Action: "/device/confirm", Flow: "f1", Client: unverified, Username: "ada", Scopes: sampleScopes()[2:3], Code: "WDJB-MJHT", Place: "192.0.2.7", Agent: "Firefox on Linux", Far: true, When: noon, Switch: "/switch", Back: "/device"},
		"asked-request": page.Asked{Common: c, Action: "/account/requests", ID: "r1", Client: client, Username: "ada", Scopes: sampleScopes()[:3], Message: "Till 7, 12.50", When: noon, Details: []page.Detail{
			{Type: "odd_one", Rest: []page.Member{{Name: "months", Value: "3"}}},
		}},
		"asked-plain":     page.Asked{Common: c, ID: "r1", Client: client, Username: "ada", Scopes: sampleScopes()[:1], When: noon},
		"requests":        page.Requests{Common: c, Action: "/account/requests", Account: "/account", Notice: page.NoteRequestAllowed, Requests: []page.Asked{{ID: "r1", Client: client, Message: "Till 7", When: noon}, {ID: "r2", Client: unverified, When: noon}}},
		"requests-none":   page.Requests{Common: c, Account: "/account"},
		"consent-new":     page.Consent{Common: c, Flow: "f1", Client: unverified, Username: "ada", Scopes: sampleScopes()[:2]},
		"account":         account,
		"account-wrong":   bad,
		"account-bare":    page.Account{Common: c, Action: "/account", Username: "ada"},
		"logout":          page.LogoutConfirm{Common: c, Flow: "f1", Username: "ada", Client: client},
		"logout-plain":    page.LogoutConfirm{Common: c},
		"signedout":       page.SignedOut{Common: c, SignIn: "/login"},
		"error":           page.Error{Common: c, Code: "invalid_request", Reason: "redirect_uri", Detail: "redirect_uri is not registered for this client", Client: client},
		"error-plain":     page.Error{Common: c, Code: "server_error", Retry: "/login"},
		"embedded":        page.Embedded{Common: c, Client: client, Address: "https://id.example/authorize?a=b", Open: "intent://id.example/authorize?a=b#Intent;scheme=https;end"},
		"embedded-stay":   page.Embedded{Common: c, Address: "https://id.example/authorize?a=b", Stay: "/authorize?a=b&view=embedded"},
		"refused":         page.Refused{Common: c, Client: client, Why: []map[string]string{{"en": "Payments above 10,000 EUR need a call with your adviser."}}, Help: "https://bank.example/help", Back: "/authorize?decline=1&flow=f1"},
		"refused-mail":    page.Refused{Common: c, Client: client, Help: "mailto:help@bank.example", Back: "/authorize?decline=1&flow=f1"},
		"refused-plain":   page.Refused{Common: c},
		"refused-waits":   page.Refused{Common: c, Client: client, Action: "/device/confirm", Flow: "f1", Back: "/device"},
		"refused-request": page.Refused{Common: c, Client: unverified, Action: "/account/requests", ID: "r1", Back: "/account/requests", Help: "mailto:help@bank.example"},
		"operations": page.Operations{Common: c, API: "accounts", Place: "https://api.bank.example/accounts", Bound: true, List: []page.Operation{
			{Name: "GET /rates", Open: "public prices"},
			{Name: "GET /balance", People: true, Scope: "accounts.read", Rules: true},
			{Name: "POST /transfers", People: true, Scope: "transfers.write", Level: "basic", Fresh: 5 * time.Minute, Rules: true},
			{Name: "POST /recipients", People: true, Clients: true, Scope: "recipients.write", Level: "strong", Fresh: 30 * time.Second, Detail: "recipient", Rules: true},
			{Name: "GET /report", Clients: true, Scope: "accounts.read"},
		}},
		"operations-none": page.Operations{Common: c, API: "accounts", Place: "https://api.bank.example/accounts"},
		"formpost":        page.FormPost{Common: c, Action: "https://budget.example/callback?a=(1)", Values: url.Values{"code": {"c0de"}, "state": {"st"}, "iss": {"https://id.example"}}, Client: client},
		"message":         page.Message{Common: c, Note: page.NoteMailVerified, Next: "/account"},
		"message-words":   page.Message{Common: c, Title: "A title", Text: "A text."},
		"locked":          page.Locked{Common: c, Wait: 4 * time.Minute, Forgot: "/forgot"},
		"locked-later":    page.Locked{Common: c},
	}
	maps.Copy(all, factorSamples())
	maps.Copy(all, proofSamples())
	return all
}
