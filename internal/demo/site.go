// Package demo is a small bank that Garde protects: an accounts API behind the Gate, a web client, a command-line
// client, an account aggregator of another company, and the recipe, people and guide that go with them. It is a customer of Garde like any other: it knows the
// protocol and its own data, speaks to Garde over HTTP alone, and knows nothing of how Garde works inside.
package demo

import (
	"fmt"
	"net"
	"strconv"
)

// Where the demonstration listens, and keeps its data, unless it is told otherwise.
const (
	DefaultListen = "localhost:7777"
	DefaultData   = "garde-demo"
)

// The clients of the bank, as its recipe names them.
const (
	WebClient     = "bank-web"
	CLIClient     = "bank-cli"
	ServiceClient = "bank-nightly"
	BudgetClient  = "budget" // another company's
	PocketApp     = "rive-pocket"
	SavingsApp    = "rive-savings"
)

// Site is where the parts of the demonstration are.
type Site struct {
	Issuer string // the Server's base URL, and the issuer
	Gate   string // the Gate's base URL, and the audience of the accounts API
	Bank   string // the web client's base URL; always on 127.0.0.1, so that Garde's cookies never travel to it

	Budget string // the base URL of another company's web site. A real one has a host of its own, and is sent no cookie of the bank

	IssuerListen, GateListen, BankListen, BudgetListen string // what each of them listens on
}

// At plans the site whose Server listens on host:port; the Gate, the bank and Budget take the next three ports.
// It refuses everything but loopback: the demonstration speaks plain http.
func At(listen string) (Site, error) {
	host, text, err := net.SplitHostPort(listen)
	if err != nil {
		return Site{}, fmt.Errorf("--listen wants host:port, such as %s: %w", DefaultListen, err)
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 || port > 65532 {
		return Site{}, fmt.Errorf("--listen %s: the port must be between 1 and 65532, since the next three are used as well", listen)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return Site{}, fmt.Errorf("--listen %s: the demonstration speaks plain http and so listens on localhost only", listen)
	}
	at := func(host string, port uint64) string { return net.JoinHostPort(host, strconv.FormatUint(port, 10)) }
	site := Site{IssuerListen: at(host, port), GateListen: at(host, port+1), BankListen: at("127.0.0.1", port+2), BudgetListen: at("127.0.0.1", port+3)}
	site.Issuer, site.Gate, site.Bank = "http://"+site.IssuerListen, "http://"+site.GateListen, "http://"+site.BankListen
	site.Budget = "http://" + site.BudgetListen
	return site, nil
}
