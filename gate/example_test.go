package gate_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/gardeauth/garde/gate"
)

// An API with a balance that people may see, and a transfer for which they must have signed in strongly a moment ago.
func Example() {
	g, err := gate.New(gate.Config{
		Issuer:   "https://id.bank.example",
		Audience: "https://api.bank.example/accounts",
		Levels:   []string{"urn:garde:loa:basic", "urn:garde:loa:strong"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	balance := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, _ := gate.Token(r.Context())
		_, _ = fmt.Fprintf(w, "the balance of %s", who.Subject)
	})
	transfer := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusCreated) })

	mux := http.NewServeMux()
	mux.Handle(g.Metadata())
	mux.Handle("GET /accounts/balance", g.Protect(balance, gate.Scope("accounts.read")))
	mux.Handle("POST /accounts/transfers", g.Protect(transfer,
		gate.Scope("transfers.write"), gate.Level("urn:garde:loa:strong"), gate.Fresh(5*time.Minute)))

	// Whoever comes without a token learns where to get one.
	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, httptest.NewRequest("GET", "/accounts/balance", nil))
	fmt.Println(answer.Code)
	fmt.Println(answer.Header().Get("WWW-Authenticate"))

	answer = httptest.NewRecorder()
	mux.ServeHTTP(answer, httptest.NewRequest("GET", "/.well-known/oauth-protected-resource/accounts", nil))
	fmt.Println(answer.Body)

	// Output:
	// 401
	// Bearer realm="garde", resource_metadata="https://api.bank.example/.well-known/oauth-protected-resource/accounts"
	// {"resource":"https://api.bank.example/accounts","authorization_servers":["https://id.bank.example"],"bearer_methods_supported":["header"],"dpop_signing_alg_values_supported":["ES256","ES384","ES512","EdDSA","Ed25519","PS256","PS384","PS512"]}
}
