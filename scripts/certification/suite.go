package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// plan is a plan of the suite.
type plan struct {
	Plan     string              `yaml:"plan"`
	Folder   string              `yaml:"folder"`
	Variants map[string][]string `yaml:"variants"`
	Clients  map[string]string   `yaml:"clients"`
}

func readPlans(text []byte) (plans []plan, err error) {
	err = strictly(text, &plans)
	return plans, err
}

// combinations gives every choice of one value for each variant.
func (p plan) combinations() []map[string]string {
	all := []map[string]string{{}}
	for _, name := range slices.Sorted(maps.Keys(p.Variants)) {
		var more []map[string]string
		for _, chosen := range all {
			for _, value := range p.Variants[name] {
				next := maps.Clone(chosen)
				next[name] = value
				more = append(more, next)
			}
		}
		all = more
	}
	return all
}

// name tells a combination from the others of its plan.
func (p plan) name(chosen map[string]string) string {
	parts := []string{p.Plan}
	for _, name := range slices.Sorted(maps.Keys(chosen)) {
		if len(p.Variants[name]) > 1 {
			parts = append(parts, strings.ReplaceAll(chosen[name], " ", "-"))
		}
	}
	return strings.Join(parts, ".")
}

// write makes one file for each combination, and the line by which the suite's run-test-plan.py is told of it.
func (p plan) write(dir string, at place, clients map[string]identity) error {
	var lines strings.Builder
	for _, chosen := range p.combinations() {
		configuration, err := p.configuration(chosen, at, clients)
		if err != nil {
			return err
		}
		text, err := json.MarshalIndent(configuration, "", "  ")
		if err != nil {
			return err
		}
		file := p.name(chosen) + ".json"
		if err := os.WriteFile(filepath.Join(dir, file), append(text, '\n'), 0o600); err != nil {
			return err
		}
		lines.WriteString(p.Plan)
		for _, name := range slices.Sorted(maps.Keys(chosen)) {
			fmt.Fprintf(&lines, "[%s=%s]", name, strings.ReplaceAll(chosen[name], " ", `\ `))
		}
		lines.WriteString(" " + file + "\n")
	}
	return os.WriteFile(filepath.Join(dir, p.Plan+".txt"), []byte(lines.String()), 0o600)
}

func (p plan) configuration(chosen map[string]string, at place, clients map[string]identity) (map[string]any, error) {
	said := map[string]any{
		"alias": at.Alias, "description": "Garde, " + p.name(chosen), "browser": browser(at),
		"server": map[string]any{"discoveryUrl": at.Issuer + "/.well-known/openid-configuration"},
	}
	if strings.HasPrefix(p.Plan, "fapi2") {
		said["override"] = overrides(at)
	}
	if strings.HasPrefix(p.Plan, "fapi") {
		resource := map[string]any{"resourceUrl": at.Resource + "/accounts"}
		if chosen["authorization_request_type"] == "rar" {
			resource["richAuthorizationRequest"] = []any{map[string]any{"type": "account_information", "what": "all"}}
		}
		said["resource"] = resource
	}
	if p.Folder == "fapi-ciba" {
		said["automated_ciba_approval_url"] = at.Resource + "/device/decide?auth_req_id={auth_req_id}&action={action}"
	}
	for role, name := range p.Clients {
		for variant, value := range chosen {
			name = strings.ReplaceAll(name, "{"+variant+"}", strings.ReplaceAll(value, "_", "-"))
		}
		own, known := clients[name]
		if !known {
			return nil, fmt.Errorf("%s: %w", name, errNoClient)
		}
		said[role] = own.told(name, chosen)
		if own.cert != "" {
			said[strings.Replace(role, "client", "mtls", 1)] = map[string]any{"cert": own.cert, "key": own.key}
		}
	}
	return said, nil
}

// told is a client as the suite is told of it.
func (i identity) told(name string, chosen map[string]string) map[string]any {
	client := map[string]any{"client_id": name}
	if i.secret != "" {
		client["client_secret"] = i.secret
	}
	if i.keys == nil {
		return client
	}
	scopes := i.scopes
	if chosen["openid"] == "plain_oauth" {
		scopes = []string{"accounts"}
	}
	client["jwks"], client["scope"] = i.keys, strings.Join(scopes, " ")
	if chosen["sender_constrain"] == "dpop" {
		client["dpop_signing_alg"] = "ES256"
	}
	if _, ciba := chosen["ciba_mode"]; ciba {
		client["hint_type"], client["hint_value"] = "login_hint", "buffy"
	}
	return client
}

// browser is what the suite does on the pages. Each of them is optional: a session that stands asks nothing, and an error
// page ends the way.
func browser(at place) []any {
	return []any{visit(at, "buffy", "consent-allow"), map[string]any{"match": at.Issuer + "/logout*", "tasks": []any{
		task(at, "Sign out", "/logout*", []any{"click", "id", "logout-yes", "optional"}), // asked where no hint is good
		task(at, "Signed out", "/logout/done*", wait("signed-out")),
		task(at, "An error page", "/logout?*", wait("error-page")), // not the pages below /logout
	}}}
}

// overrides are what the browser does otherwise in single modules: in one the person says no, and is somebody who never said
// yes, since a yes is remembered and then nobody is asked; in one nobody signs in at the first visit.
func overrides(at place) map[string]any {
	const module = "fapi2-security-profile-final-"
	look := map[string]any{"match": at.Issuer + "/authorize*", "match-limit": 1, "tasks": []any{task(at, "Look, and go", "/signin*", wait("login-submit"))}}
	return map[string]any{
		module + "user-rejects-authentication": map[string]any{"browser": []any{visit(at, "willow", "consent-deny")}},
		module + "par-ensure-reused-request-uri-prior-to-auth-completion-succeeds": map[string]any{
			"browser": []any{look, visit(at, "buffy", "consent-allow")},
		},
	}
}

// visit is what happens at the authorization endpoint: who signs in, with which answer to the question of consent.
func visit(at place, who, answer string) map[string]any {
	return map[string]any{"match": at.Issuer + "/authorize*", "tasks": []any{
		task(at, "An error page", "/authorize*", wait("error-page")),
		task(at, "Sign in", "/signin*", wait("login-submit"),
			[]any{"text", "id", "username", who}, []any{"text", "id", "password", at.Password}, []any{"click", "id", "login-submit"}),
		task(at, "Consent", "/consent*", []any{"click", "id", answer}),
		task(at, "Hand the form over, where scripts do not run", "/authorize*", []any{"click", "id", "formpost-submit", "optional"}),
		map[string]any{"task": "Back at the suite", "match": at.Suite + "/test/*", "optional": true,
			"commands": []any{[]any{"wait", "id", "submission_complete", 10}}},
	}}
}

// picture has the suite keep what the page looks like, where a module wants to see it.
const picture = "update-image-placeholder-optional"

func wait(id string) []any { return []any{"wait", "id", id, 10, ".*", picture} }

func task(at place, name, match string, commands ...[]any) map[string]any {
	return map[string]any{"task": name, "match": at.Issuer + match, "optional": true, "commands": commands}
}
