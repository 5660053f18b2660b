package cli

import (
	"strings"

	"github.com/spf13/cobra"
)

// examples are what people type, by verb. They show in --help and in docs/cli.md; a test holds them to the flags.
func examples() map[string][]string {
	return map[string][]string{
		"init":            {"garde init my", "garde init /etc/garde --issuer https://login.example.com --listen 127.0.0.1:8080"},
		"serve":           {"garde serve --config my/node.yaml"},
		"gate":            {"garde gate --config my/node.yaml"},
		"demo":            {"garde demo", "garde demo --listen localhost:9400 --data /tmp/bank"},
		"demo cli":        {"garde demo cli", "garde demo cli --at localhost:9400 token"},
		"demo apps":       {"garde demo apps", "garde demo apps --at localhost:9400 --no-browser"},
		"demo steal":      {"garde demo steal", "garde demo steal --at localhost:9400 --data /tmp/bank --json"},
		"apply":           {"garde apply recipe.yaml --note 'open the price list'", "garde apply recipe.yaml --accept-weaker 'apis.hello.operations[GET /open]'"},
		"recipe check":    {"garde recipe check recipe.yaml", "garde recipe check --env production recipe.yaml"},
		"recipe diff":     {"garde recipe diff old.yaml new.yaml"},
		"recipe history":  {"garde recipe history"},
		"recipe rollback": {"garde recipe rollback 2 --note 'the new rules shut partners out'"},
		"recipe schema":   {"garde recipe schema > recipe.schema.json"},
		"user add":        {"garde user add --admin ada", "garde user add bob --name 'Bob Roy' --email bob@example.com --group staff"},
		"user set":        {"garde user set bob --group staff --group payments"},
		"user list":       {"garde user list --admin", "garde user list --json"},
		"user import":     {"garde user import people.csv --skip-existing"},
		"user password":   {"garde user password bob --password-file -"},
		"client add":      {"garde client add --type web --auth client_secret_basic --name en=Budget --redirect https://budget.example/callback --scope openid"},
		"policy test":     {"garde policy test recipe.yaml"},
		"policy explain":  {`garde policy explain --user ada --client app --operation 'bank POST /transfers' --context proved.password=3h --context amount=120000`},
		"policy replay":   {"garde policy replay --since 7d recipe-new.yaml"},
		"client token":    {"garde client token my-app", "curl -H \"Authorization: Bearer $(garde client token my-app)\" http://localhost:8081/hello/greeting"},
		"session list":    {"garde session list bob"},
		"key rotate":      {"garde key rotate", "garde key rotate --now"},
		"key master":      {"garde key master new.key"},
		"key rewrap":      {"garde key rewrap"},
		"journal tail":    {"garde journal tail --follow"},
		"journal search":  {"garde journal search --kind token.issued --user bob"},
		"journal export":  {"garde journal export journal.jsonl"},
		"journal verify":  {"garde journal verify"},
		"explain":         {"garde explain DAYT3PSMDJD65GTB3DIMFHW2J7"},
		"doctor":          {"garde doctor --config my/node.yaml"},
		"backup":          {"garde backup garde-monday.backup"},
		"restore":         {"garde restore garde-monday.backup --journal journal.jsonl", "garde restore --confirm"},
		"status":          {"garde status --json"},
	}
}

func exemplify(root *cobra.Command) {
	for path, lines := range examples() {
		command, rest, err := root.Find(strings.Fields(path))
		if err == nil && len(rest) == 0 {
			command.Example = "  " + strings.Join(lines, "\n  ")
		}
	}
}
