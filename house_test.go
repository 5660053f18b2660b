package garde_test

// The plan of the house, as docs/plan.md tells it and house_check_test.go holds it. Rooms are named by their path below
// internal/; those outside of it begin with a slash. A star stands for one part of a path, two stars for any rest.

// floors, lowest first. A room imports what lies on floors below its own, and nothing else (but see edges).
var floors = []floor{
	{"words", []string{"oauth", "jose", "/recipe", "journal", "level", "ssf", "authzen"}},
	{"nouns", []string{"iam", "seal"}},
	{"keepers", []string{
		"store", "store/migrate", "store/sealed", "store/deeds", "store/registry", "store/factors", "store/sqlstore", "store/sqlite", "store/postgres", "store/storetest", "store/storetest/pgtest",
		"keys", "web", "assurance", "assurance/signal", "fetch", "once", "limit", "password", "passkey", "otp", "chain",
	}},
	{"mechanisms", []string{
		"token", "verify", "binding", "binding/prover", "passkey/authenticator", "session", "page", "facts", "notary", "follow", "recall", "deliver", "saml",
	}},
	{"deeds", []string{"issue", "decide", "enact", "manage", "manage/*", "doctor", "/gate"}},
	{"helpers", []string{
		"server/clientauth", "server/request", "server/login", "server/login/factor", "server/consent", "server/inspect", "server/proof", "server/assertion", "server/callback",
		"gateway/route", "gateway/shield", "gateway/weigh",
	}},
	{"faces", []string{
		"server/grant", "server/authorize", "server/par", "server/device", "server/ciba", "server/approve", "server/introspect",
		"server/revoke", "server/userinfo", "server/logout", "server/farewell", "server/register", "server/discovery", "server/account",
		"server/authzen", "server/operations", "server/signals", "server/source", "server/source/*", "server/samlidp", "server/federation",
		"gateway/proxy", "gateway/extauthz", "gateway/forwardauth", "gateway/ask",
		"gateway/signals", "gateway/watch",
		"coach/probe", "coach/rule", "coach/rules/*", "coach/report", "coach/checklist", "coach/lesson", "coach/blueprint",
		"admin", "console", "scim",
	}},
	{"app", []string{"config", "app"}},
	{"top", []string{"lab", "lab/browser", "lab/trial", "lab/conform", "demo", "demo/client", "demo/local", "demo/accounts", "demo/doorman", "cli", "/cmd/garde", "/bench", "/scripts/*", "password/listing", "/"}},
}

// edges are the imports that stay on their floor, each for a reason that somebody could dispute.
var edges = []edge{
	{"authzen", "jose", "foreign JSON has one strict reader"},
	{"store", "store/*", "store opens an engine by its name"},
	{"store/sqlstore", "store/registry", "one view keeps every contract, that of clients too"},
	{"store/sqlstore", "store/deeds", "nouns are kept by deeds"},
	{"store/registry", "store/deeds", "nouns are kept by deeds"},
	{"store/sqlstore", "store/factors", "one view keeps every contract, that of authenticators and devices too"},
	{"store/factors", "store/deeds", "nouns are kept by deeds"},
	{"store/sqlite", "store/deeds", "an engine is the doors that deeds pass through"},
	{"store/postgres", "store/deeds", "an engine is the doors that deeds pass through"},
	{"store/sealed", "store/deeds", "it walks the rows through the doors of an engine"},
	{"store/sqlite", "store/migrate", "the schema is written once"},
	{"store/postgres", "store/migrate", "the schema is written once"},
	{"store/storetest", "store/storetest/pgtest", "the contract is proved on both engines"},
	{"assurance", "assurance/signal", "the family of risk signals"},
	{"verify", "binding", "a bound token is verified together with its proof"},
	{"app", "config", "app reads what this node is"},
	{"coach/**", "coach/rule", "rules, reports and lists speak of findings in one form"},
	{"server/source", "server/source/*", "the family of upstream identity sources"},
	{"manage", "manage/*", "the family of the administrator's deeds"},
	{"manage", "enact", "to apply a recipe is an administrator's deed too; enact knows how"},
	{"server/consent", "server/request", "what is decided on another device is read again by the table that read it first"},
	{"server/clientauth", "server/assertion", "what a client says of itself stands by the same rules as what an issuer says of others"},
	{"server/login", "server/login/factor", "the family of ways to prove who one is"},
	{"cli", "lab", "garde lab"},
	{"cli", "demo", "garde demo"},
	{"demo", "demo/client", "its applications know the protocol by it"},
	{"demo", "demo/local", "all of it listens on loopback alone"},
	{"demo", "demo/accounts", "its applications speak to the bank's API, in the API's words"},
	{"demo", "demo/doorman", "the bank's page says where the person is"},
	{"demo/local", "demo/client", "a port is kept as a secret is: for its owner alone"},
	{"demo/accounts", "demo/local", "all of it listens on loopback alone"},
	{"demo/doorman", "demo/local", "all of it listens on loopback alone"},
	{"cli", "demo/*", "garde demo"},
	{"lab", "lab/browser", "labs are driven as a person would"},
	{"/cmd/garde", "cli", "main is ten lines"},
	{"/scripts/*", "cli", "the verbs themselves tell of their flags, for docs/cli.md"},
	{"/bench", "lab", "the reference of a figure may be the house less one step"},
}

// never lists the imports that the floors alone would allow. Whoever is named in but may.
var never = []ban{
	{from: []string{"server/**"}, to: []string{"gateway/**", "coach/**"}, why: "the wings share the lower floors and never each other"},
	{from: []string{"gateway/**"}, to: []string{"server/**", "coach/**"}, why: "the wings share the lower floors and never each other"},
	{from: []string{"coach/**"}, to: []string{"server/**", "gateway/**"}, why: "the wings share the lower floors and never each other"},
	{from: []string{"coach/**"}, to: []string{"iam", "store/**", "token"}, why: "the coach sees servers from outside"},
	{from: []string{"**"}, but: []string{"app", "lab", "cli", "/bench", "store/**", "/scripts/*"}, to: []string{"store/**"},
		why: "a capability knows the contract beside its noun, never the engine"},
	{from: []string{"**"}, but: []string{"app", "lab", "cli", "/bench"}, to: []string{"config"}, why: "a capability's settings are its fields"},
	{from: []string{"**"}, but: []string{"cli", "lab", "/bench"}, to: []string{"app"}, why: "app puts together, and nobody builds on it"},
	{from: []string{"**"}, but: []string{"lab", "/bench"}, to: []string{"binding/prover"}, why: "the product judges proofs; only tests make them"},
	{from: []string{"**"}, but: []string{"lab", "/bench"}, to: []string{"passkey/authenticator"}, why: "the product verifies what authenticators sign; only tests are one"},
	{from: []string{"**"}, but: []string{"store/storetest/**", "lab", "/bench", "/scripts/*"}, to: []string{"store/storetest/**", "lab/browser"},
		why: "what serves the tests is not part of the product"},
	{from: []string{"demo", "demo/*"}, but: nil, to: []string{"**"}, not: []string{"/gate", "/recipe", "demo/*"}, why: "the bank uses Garde only from outside"},
	{from: []string{"/cmd/garde"}, to: []string{"**"}, not: []string{"cli"}, why: "main is ten lines"},
	{from: []string{"/gate"}, to: []string{"**"}, not: []string{"oauth", "jose", "level", "fetch", "once", "verify", "binding"},
		why: "whoever protects an API takes the verification and nothing more"},
	{from: []string{"**"}, but: []string{"demo", "/bench", "/scripts/*"}, to: []string{"/gate"}, why: "gate is for the APIs of others; the house stands on verify itself"},
}

// foreign modules that stand behind one door each, so that their policy is decided in one place.
var foreign = []ban{
	{from: []string{"**"}, but: []string{"jose"}, to: []string{"github.com/go-jose/go-jose/v4/**"}, why: "one algorithm policy"},
	{from: []string{"**"}, but: []string{"password"}, to: []string{"golang.org/x/crypto/argon2", "golang.org/x/crypto/bcrypt"},
		why: "slow hashes run under one bound of their concurrency"},
	{from: []string{"**"}, but: []string{"store/**", "/bench"}, to: []string{"github.com/jackc/pgx/v5/**", "modernc.org/sqlite/**", "database/sql/**", "github.com/pressly/goose/v3/**"},
		why: "SQL is spoken by the engines alone"},
	{from: []string{"**"}, but: []string{"passkey", "passkey/authenticator"}, to: []string{"github.com/go-webauthn/**", "github.com/fxamacker/cbor/**"}, why: "what authenticators say is judged in one place"},
	{from: []string{"**"}, but: []string{"otp"}, to: []string{"rsc.io/qr/**"}, why: "only the key of an application for one-time passwords is drawn"},
	{from: []string{"**"}, but: []string{"assurance"}, to: []string{"cel.dev/cel-go/**"}, why: "rules are compiled, and bounded, in one place"},
	{from: []string{"**"}, but: []string{"facts"}, to: []string{"github.com/oschwald/maxminddb-golang/**"}, why: "where an address is, and that nobody knows, is told in one place"},
	{from: []string{"**"}, but: []string{"deliver"}, to: []string{"github.com/wneessen/go-mail/**", "net/smtp"}, why: "mail is queued and retried in one place"},
	{from: []string{"**"}, but: []string{"admin", "cli"}, to: []string{"github.com/danielgtaylor/huma/v2/**"}, why: "only the admin API is described so"},
	{from: []string{"**"}, but: []string{"cli"}, to: []string{"github.com/spf13/cobra/**"}, why: "the command line is the cli's"},
	{from: []string{"**"}, but: []string{"lab/browser"}, to: []string{"github.com/chromedp/**"}, why: "one browser for all tests"},
	{from: []string{"**"}, but: []string{"store/storetest/**", "lab", "lab/browser"}, to: []string{"testing", "testing/**"}, why: "the product carries no tests"},
	{from: []string{"**"}, but: []string{"/scripts/*", "store/postgres"}, to: []string{"math/rand", "math/rand/v2"},
		why: "what is guessable ends up in a secret one day: crypto/rand (only the wait before a retry may be guessed)"},
	{from: []string{"**"}, to: []string{"unsafe", "net/http/pprof", "net/rpc", "encoding/gob"}, why: "nothing here needs it, and each has been a hole"},
}

// walls bound what one reader can hold in mind (STYLE, Sizes).
var walls = wall{
	fileLines:   600,
	funcLines:   80,
	roomLines:   3000,
	methods:     6,
	ownImports:  8,
	importsFree: []string{"app", "cli", "lab", "/bench"},
}

// exceptions maps the key of a fault to the reason why it stands. One that excuses nothing is itself a fault.
var exceptions = map[string]string{
	"lines /recipe": "types, reader, checks and verdicts of one file format: each new key touches all of them (decision 0008)",
	"lines cli":     "a file per noun, each small and alike; none knows another (decision 0008)",
}
