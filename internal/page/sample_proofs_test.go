package page_test

import "github.com/gardeauth/garde/internal/page"

const sampleOptions = `{"challenge":"AAAA","rpId":"id.example","timeout":300000,"userVerification":"required","allowCredentials":[]}`

// proofSamples are the pages on which people prove who they are.
func proofSamples() map[string]page.View {
	c, client := sampleCommon(), sampleClient()
	wrong := c
	wrong.Problems = []page.Problem{{Fault: page.FaultProof}}
	denied := c
	denied.Problems = []page.Problem{{Fault: page.FaultDenied}}
	others := []page.Way{
		{Kind: "totp", At: "/signin/next?flow=f1&by=totp"}, {Kind: "approval", At: "/signin/next?flow=f1&by=approval"},
		{Kind: "recovery_code", At: "/signin/next?flow=f1&by=recovery_code"},
	}
	prove := func(kind string) page.Prove {
		return page.Prove{Common: c, Action: "/signin/next", Flow: "f1", Kind: kind, Client: client, Username: "ada", Switch: "/signin?other=1&flow=f1"}
	}
	passkey, key, totp, recovery := prove("passkey"), prove("security_key"), prove("totp"), prove("recovery_code")
	passkey.Options, passkey.Others, passkey.Again = sampleOptions, others, true
	key.Options, key.Others, totp.Others = sampleOptions, others, others[1:]
	faulty := prove("totp")
	faulty.Common = wrong
	mail, sent, asks, waits := prove("email"), prove("email"), prove("approval"), prove("approval")
	sent.Waits, sent.Code, waits.Waits, waits.Number, asks.Common = true, "12345678", true, "47", denied
	password, none, helped := prove("password"), prove(page.ProveNone), prove(page.ProveNone)
	none.Help, helped.Help = "mailto:help@bank.example", "https://bank.example/help"
	return map[string]page.View{
		"signin-passkey": page.SignIn{Common: c, Action: "/signin", Flow: "f1", Client: client, Password: true, Passkey: sampleOptions, SignUp: "/signup", Forgot: "/forgot"},
		"signin-keyonly": page.SignIn{Common: c, Action: "/signin", Flow: "f1", Client: client, Passkey: sampleOptions},
		"signin-mail":    page.SignIn{Common: c, Action: "/signin", Flow: "f1", Mail: true},
		"signin-all":     page.SignIn{Common: c, Action: "/signin", Flow: "f1", Client: client, Password: true, Mail: true, Passkey: sampleOptions, Known: "ada", Username: "ada", Switch: "/switch", Others: "/signin/next?flow=f1"},
		"prove-passkey":  passkey, "prove-key": key, "prove-totp": totp, "prove-wrong": faulty, "prove-recovery": recovery, "prove-mail": mail,
		"prove-sent": sent, "prove-asks": asks, "prove-waits": waits, "prove-password": password, "prove-none": none, "prove-helped": helped,
		"codeelsewhere": page.CodeElsewhere{Common: c, Code: "1234 5678"},
	}
}
