package manage_test

import (
	"strings"
	"testing"

	"github.com/gardeauth/garde/internal/manage"
)

func TestReadPeople(t *testing.T) {
	for name, row := range map[string]struct {
		file, text string
		people     int
		says       string // of the fault; empty: none
	}{
		"YAML":                       {"p.yaml", "users:\n  - {username: ada, claims: {given_name: Ada}}\n  - username: bea\n", 2, ""},
		"CSV":                        {"p.csv", "username,email_verified\nada,false\nbea,\n", 2, ""},
		"CSV with a byte order mark": {"p.csv", "\ufeffusername\nada\n", 1, ""},
		"CSV with CRLF":              {"P.CSV", "username\r\nada\r\n", 1, ""},
		"nothing":                    {"p.yaml", "", 0, ""},
		"an unknown top key":         {"p.yaml", "people:\n  - username: ada\n", 0, "users:"},
		"an unknown field":           {"p.yaml", "users:\n  - {username: ada, colour: red}\n", 0, "p.yaml:2: there is no field \"colour\""},
		"a field twice":              {"p.yaml", "users:\n  - {username: ada, username: bea}\n", 0, "p.yaml:2"},
		"a wrong type":               {"p.yaml", "users:\n  - {username: [ada]}\n", 0, "wrong type"},
		"no list":                    {"p.yaml", "users: 7\n", 0, "wrong type"},
		"no mapping":                 {"p.yaml", "users:\n  - ada\n", 0, "p.yaml:2"},
		"two documents":              {"p.yaml", "users: []\n---\nusers:\n  - username: ada\n", 0, "more than one document"},
		"broken":                     {"p.yaml", "users: [", 0, "p.yaml"},
		"an administrator":           {"p.yaml", "users:\n  - {username: ada, admin: true}\n", 0, "no field \"admin\""},
		"CSV without a head":         {"p.csv", "", 0, "p.csv:1"},
		"CSV, an unknown field":      {"p.csv", "username,colour\n", 0, "no field \"colour\""},
		"CSV, a field twice":         {"p.csv", "username,username\nada,bea\n", 0, "stands twice"},
		"CSV, a short line":          {"p.csv", "username,name\nada\n", 0, "p.csv:2: the line has 1 fields"},
		"CSV, a flag that is none":   {"p.csv", "username,disabled\nada,perhaps\n", 0, "write true or false"},
		"CSV, a broken quote":        {"p.csv", "username\n\"ada\n", 0, "p.csv"},
	} {
		people, err := manage.ReadPeople(row.file, []byte(row.text))
		if row.says == "" {
			if err != nil || len(people) != row.people {
				t.Errorf("%s: %d people, %v", name, len(people), err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), row.says) {
			t.Errorf("%s: %v, want %q", name, err, row.says)
		}
	}
}

// A08: a fault never repeats what may be a password.
func TestA08FaultsOfAnImportHoldNoPassword(t *testing.T) {
	for file, text := range map[string]string{
		"p.yaml": "users:\n  - {username: two words, password: [Xk29-plum]}\n",
		"q.yaml": "users:\n  - {username: ada, password: Xk29-plum, pasword: Xk29-plum}\n",
		"p.csv":  "username,password\nada,Xk29-plum,more\n",
	} {
		if _, err := manage.ReadPeople(file, []byte(text)); err == nil || strings.Contains(err.Error(), "Xk29") {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func FuzzReadPeople(f *testing.F) {
	f.Add("p.yaml", []byte("users:\n  - {username: ada, groups: [a], claims: {address: {country: FR}}}\n"))
	f.Add("p.yaml", []byte("users: &a\n  - *a\n"))
	f.Add("p.csv", []byte("username,claims.given_name,phone\nada,\"x\ny\",\n"))
	f.Fuzz(func(t *testing.T, name string, raw []byte) {
		people, err := manage.ReadPeople(name, raw)
		if err != nil && people != nil {
			t.Error("people and a fault")
		}
	})
}
