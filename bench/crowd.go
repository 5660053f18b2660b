package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/gardeauth/garde/internal/app"
	"github.com/gardeauth/garde/internal/config"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/recipe"
)

// crowded measures a server that knows a million people and a hundred thousand clients that registered themselves: how
// long it takes to start, what it holds, and how fast it is beside one that knows few.
func (b *bench) crowded(ctx context.Context) error {
	const started, held = "start to ready, a million people", "resident memory under load, a million people"
	const credentials, code = "client_credentials, a million people beside few", "code flow, a million people beside few"
	if !b.wants(started) && !b.wants(held) && !b.wants(credentials) && !b.wants(code) {
		return nil
	}
	few, err := b.peopled(ctx, "few", 0)
	if err != nil {
		return err
	}
	many, err := b.peopled(ctx, "many", b.crowd)
	if err != nil {
		return err
	}
	var took []float64
	for range 3 {
		node, ready, err := startNode(ctx, b.program, "serve", "--config", many.config)
		if err != nil {
			return err
		}
		took = append(took, float64(ready.Microseconds())/1000)
		if err := node.stop(); err != nil {
			return err
		}
	}
	small, err := b.serve(ctx, "serve", few)
	if err != nil {
		return err
	}
	defer small.stop() //nolint:errcheck // it tells nothing
	large, err := b.serve(ctx, "serve", many)
	if err != nil {
		return err
	}
	defer large.stop() //nolint:errcheck // it tells nothing
	peak := watch(large)
	b.rows = append(b.rows, row{name: started, ours: median(took), limit: 2000, unit: "ms"})
	if err := b.beside(ctx, credentials, 0.85, side{called: "many", address: many.server, do: registered(many.apps), process: large},
		side{called: "few", address: few.server, do: registered(few.apps), process: small}); err != nil {
		return err
	}
	if err := b.beside(ctx, code, 0.85, side{called: "many", address: many.server, do: codeFlow(many.sessions), process: large},
		side{called: "few", address: few.server, do: codeFlow(few.sessions), process: small}); err != nil {
		return err
	}
	if most := peak(); most > 0 {
		b.rows = append(b.rows, row{name: held, ours: most, limit: 400, unit: "MiB"})
	}
	return nil
}

// registered gets tokens for clients that registered themselves, another each time.
func registered(apps []string) deed {
	next := make([]int, connections)
	headers := make([]string, len(apps))
	for i, app := range apps {
		headers[i] = basic(app)
	}
	return func(c *caller, number int) error {
		header := headers[(number*len(headers)/connections+next[number])%len(headers)]
		next[number]++
		got, err := c.post(tokenPath, "grant_type=client_credentials&scope=accounts.read", header)
		return wanted(got, err, 200)
	}
}

// appsUsed is how many of the registered clients ask for tokens in turn.
const appsUsed = 1024

// peopled is a house where some clients have registered themselves, and many more with so many people beside them.
func (b *bench) peopled(ctx context.Context, name string, people int) (*house, error) {
	dir := filepath.Join(b.dir, name)
	h, err := newHouse(dir, "sqlite:garde.db", b.upstream)
	if err != nil {
		return nil, err
	}
	node, err := config.Load(h.config)
	if err != nil {
		return nil, err
	}
	server, err := app.NewServer(ctx, node, slog.New(slog.DiscardHandler), app.Lab{})
	if err != nil {
		return nil, err
	}
	// One of each through the contracts: the others are made in their likeness.
	now := time.Now().UTC()
	template := uuid.NewString()
	err = server.House.AddUser(ctx, iam.User{
		ID: template, Username: "likeness", Email: "likeness@bench.example", EmailKey: "likeness@bench.example", EmailVerified: true,
		Created: now, Changed: now,
	}, iam.Password{User: template, PHC: "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGhhcyBpdA$bm9ib2R5IGtub3dzIHdoYXQgaXQgaXMgb2YuLi4uLi4"})
	if err == nil {
		err = register(ctx, server.House, "likeness", now)
	}
	if err := errors.Join(err, server.Close()); err != nil {
		return nil, err
	}
	if err := multiply(ctx, filepath.Join(dir, "garde.db"), template, people); err != nil {
		return nil, fmt.Errorf("make %d people: %w", people, err)
	}
	for number := range appsUsed {
		h.apps = append(h.apps, fmt.Sprintf("app-%08d", number))
	}
	return h, h.plant(ctx)
}

// register adds a client that registered itself.
func register(ctx context.Context, house iam.Registrations, id string, now time.Time) error {
	return house.Register(ctx, iam.Registered{
		Client: iam.Client{
			ID: id, Kind: recipe.Service, Name: recipe.Text{"en": "An application"}, Auth: oauth.AuthBasic, Scope: oauth.Scope{"openid", "accounts.read"},
			Grants: []oauth.GrantType{oauth.ClientCredentials}, Policy: "partners",
			Secrets: []iam.ClientSecret{{ID: "first", Hash: iam.Hash(clientSecret), Created: now}},
		},
		Document: `{"client_id":"` + id + `","client_name":"An application","redirect_uris":["` + redirect + `"]}`, Created: now, Used: now,
	}, iam.InitialHash{}, 1_000_000)
}

// multiply copies people and clients in the storage itself: through the contracts a million would take half an hour.
func multiply(ctx context.Context, path, user string, people int) error {
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return err
	}
	defer db.Close() //nolint:errcheck // what was written is committed
	db.SetMaxOpenConns(1)
	clients := max(people/10, appsUsed)
	for _, setting := range []string{"PRAGMA synchronous = OFF", "PRAGMA cache_size = -131072"} { // nobody else is there yet
		if _, err := db.ExecContext(ctx, setting); err != nil {
			return err
		}
	}
	for _, table := range []struct {
		name, own string
		of        string
		count     int
		change    map[string]string
	}{
		{"clients", "id", "likeness", clients, map[string]string{
			"id": "printf('app-%08d', n)", "body": "replace(body, 'likeness', printf('app-%08d', n))",
		}},
		{"client_secrets", "client", "likeness", clients, map[string]string{"client": "printf('app-%08d', n)"}},
		{"registrations", "id", "likeness", clients, map[string]string{"id": "printf('app-%08d', n)"}},
		{"users", "id", user, people, map[string]string{
			"id": spread, "username": "printf('person.%08x', n * 2654435761 % 4294967296)", "email": "printf('%08x@bench.example', n * 2654435761 % 4294967296)",
			"email_key": "printf('%08x@bench.example', n * 2654435761 % 4294967296)",
		}},
		{"passwords", "user_id", user, people, map[string]string{"user_id": spread}},
	} {
		if err := copyRows(ctx, db, table.name, table.own, table.of, table.count, table.change); err != nil {
			return fmt.Errorf("%s: %w", table.name, err)
		}
	}
	_, err = db.ExecContext(ctx, "UPDATE counters SET value = $1 WHERE name = 'policy:partners'", clients+1)
	return err
}

// spread is an id that stands anywhere among others, as a random one does.
const spread = "printf('%08x-0000-4000-8000-000000000000', n * 2654435761 % 4294967296)"

// copyRows makes count rows like the one of that name, with some columns changed by the number n. They are written in the
// order of their keys: that takes a tenth of the time.
func copyRows(ctx context.Context, db *sql.DB, table, own, of string, count int, change map[string]string) error {
	rows, err := db.QueryContext(ctx, "SELECT name FROM pragma_table_info($1) ORDER BY cid", table)
	if err != nil {
		return err
	}
	defer rows.Close()
	var columns []string
	for rows.Next() {
		var column string
		if err := rows.Scan(&column); err != nil {
			return err
		}
		if changed, ok := change[column]; ok {
			column = changed + " AS " + column
		}
		columns = append(columns, column)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < $2) INSERT INTO "+table+ //nolint:gosec // names that stand above
		" SELECT "+strings.Join(columns, ", ")+" FROM numbers, (SELECT * FROM "+table+" WHERE "+own+" = $1) WHERE n < $2 ORDER BY "+change[own], of, count)
	return err
}
