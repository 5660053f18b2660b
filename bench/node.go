package main

import (
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"github.com/gardeauth/garde/internal/app"
	"github.com/gardeauth/garde/internal/binding/prover"
	"github.com/gardeauth/garde/internal/config"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/seal"
)

const (
	tokensKnown  = 10_000 // opaque tokens that introspection may be asked about
	clientSecret = "of-the-bench-and-long-enough-to-be-accepted"
	redirect     = "http://127.0.0.1:9/callback"
	levelACR     = "urn:garde:loa:basic"
)

// house is one node's folder with everything that the rows need, planted before the node starts.
type house struct {
	config   string // path of node.yaml
	server   string // address
	gate     string
	mutual   string // address for clients with certificates
	trust    pairs
	client   *prover.Key  // of the client that pushes its requests
	signer   *jose.Signer // of the node: the rows of the Gate sign tokens without asking it
	sessions []string     // cookies, one for each connection
	people   []person
	refresh  []string // tokens, each of a family of its own
	opaque   []string
	apps     []string // clients that registered themselves
}

const nodeFile = `issuer: http://%[1]s
listen: %[1]s
metrics: %[5]s
storage: %[2]q
master_key: file:master.key
recipe: recipe.yaml
mtls: {listen: "%[6]s", url: "https://%[6]s", tls: {cert: server.crt, key: server.key}, authorities: authority.crt}
gate: {listen: "%[3]s", client: gate, secret: "file:client.secret", metrics: "%[4]s"}
`

const recipeFile = `garde: 1
levels:
  - {name: basic, acr: ` + levelACR + `, any: [password]}
scopes:
  accounts.read: {say: {en: See your balances}}
  notes.read: {say: {en: Read your notes}}
apis:
  accounts:
    at: http://%[1]s
    upstream: http://%[2]s
    operations:
      GET /accounts/{id}: {for: [user, client], scope: accounts.read}
      POST /transfers:
        for: [user]
        scope: accounts.read
        send: {sum: body.sum}
        raise: [{when: "risk.score > 99 || values.sum > 100000", deny: It is too much.}]
  notes:
    at: http://127.0.0.1:8999
    client: notes-svc
    token: opaque
    operations:
      GET /notes: {for: [client], scope: notes.read}
clients:
  nightly: {type: service, auth: client_secret_basic, secrets: ["file:client.secret"], scopes: [accounts.read, notes.read]}
  notes-svc: {type: service, auth: client_secret_basic, secrets: ["file:client.secret"], scopes: [accounts.read]}
  gate: {type: service, auth: client_secret_basic, secrets: ["file:client.secret"], scopes: [garde.gate]}
  web:
    type: web
    auth: client_secret_basic
    secrets: ["file:client.secret"]
    redirect_uris: ["` + redirect + `"]
    scopes: [openid, accounts.read]
  aggregator:
    type: web
    auth: private_key_jwt
    jwks: aggregator.jwks.json
    redirect_uris: ["` + redirect + `"]
    scopes: [openid, accounts.read]
    dpop_bound_access_tokens: true
    require_pushed_authorization_requests: true
  mutual:
    type: service
    auth: tls_client_auth
    tls_client_auth_subject_dn: CN=mutual
    tls_client_certificate_bound_access_tokens: true
    scopes: [accounts.read]
  app: {type: native, redirect_uris: ["` + redirect + `"], scopes: [accounts.read, offline_access]}
registration:
  partners:
    types: [web, service]
    scopes: [openid, accounts.read]
    grants: [authorization_code, client_credentials]
    most: 1000000
lifetimes: {access: 1h}
`

// newHouse writes a node's folder; upstream is where its API really is.
func newHouse(dir, storage, upstream string) (*house, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	ports, err := freePorts(5)
	if err != nil {
		return nil, err
	}
	h := &house{config: filepath.Join(dir, "node.yaml"), server: ports[0], gate: ports[1], mutual: ports[4]}
	if h.client, err = prover.New(jose.ES256); err != nil {
		return nil, err
	}
	if h.trust, err = newPairs(dir); err != nil {
		return nil, err
	}
	for name, text := range map[string]string{
		"node.yaml":            fmt.Sprintf(nodeFile, h.server, storage, h.gate, ports[2], ports[3], h.mutual),
		"aggregator.jwks.json": `{"keys":[` + string(h.client.JWK) + `]}`,
		"recipe.yaml":          fmt.Sprintf(recipeFile, h.gate, upstream),
		"master.key":           seal.GenerateMaster().Reveal() + "\n",
		"client.secret":        clientSecret + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// freePorts finds ports that nobody listens on.
func freePorts(count int) ([]string, error) {
	var addresses []string
	for range count {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer func(l net.Listener) { _ = l.Close() }(listener) // at the end: else the next could be the same
		addresses = append(addresses, listener.Addr().String())
	}
	return addresses, nil
}

// plant puts people, sessions, refresh families and opaque tokens into the node's storage, through the contracts of its
// keeping, and takes its signer.
func (h *house) plant(ctx context.Context) (err error) {
	node, err := config.Load(h.config)
	if err != nil {
		return err
	}
	server, err := app.NewServer(ctx, node, slog.New(slog.DiscardHandler), app.Lab{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	if h.signer, err = server.Keys.Signer(jose.ES256); err != nil {
		return err
	}
	for number := range connections {
		if err := h.plantPerson(ctx, server, number); err != nil {
			return err
		}
	}
	now := time.Now().UTC()
	for range tokensKnown {
		token := iam.NewSecret(iam.PrefixAccess)
		h.opaque = append(h.opaque, token)
	}
	return inParallel(h.opaque, func(token string) error {
		return server.House.Issue(ctx, iam.Issue{Now: now, Client: "nightly", NewAccess: &iam.Access{
			Hash: iam.HashAccess(token), ID: uuid.NewString(), Client: "nightly", Audience: "http://127.0.0.1:8999",
			Scope: []string{"notes.read"}, Issued: now, Expires: now.Add(time.Hour),
		}})
	})
}

// plantPerson adds one person with a session, what they allowed, and one refresh family.
func (h *house) plantPerson(ctx context.Context, server *app.Server, number int) error {
	now := time.Now().UTC()
	user := iam.User{ID: uuid.NewString(), Username: fmt.Sprintf("person-%d", number), Created: now, Changed: now}
	if err := server.House.AddUser(ctx, user, iam.Password{}); err != nil {
		return err
	}
	cookie := iam.NewSecret(iam.PrefixSession)
	session := iam.Session{
		ID: uuid.NewString(), Hash: iam.HashSession(cookie), User: user.ID, AuthTime: now, AMR: []string{"pwd"}, ACR: levelACR,
		Proofs:  []iam.Proved{{Factor: "password", At: now, Begun: now, Methods: []string{"pwd"}}},
		Created: now, Seen: now, Expires: now.Add(24 * time.Hour),
	}
	if err := server.House.StartSession(ctx, session, iam.SessionHash{}); err != nil {
		return err
	}
	for client, scope := range map[string][]string{
		"web": {"openid", "accounts.read"}, "aggregator": {"openid", "accounts.read"}, "app": {"accounts.read", "offline_access"},
	} {
		if err := server.House.GiveConsent(ctx, iam.Consent{User: user.ID, Client: client, Scope: scope, Given: now}); err != nil {
			return err
		}
	}
	code, refresh := iam.NewSecret(iam.PrefixCode), iam.NewSecret(iam.PrefixRefresh)
	grant := iam.Grant{
		ID: uuid.NewString(), Client: "app", User: user.ID, Scope: []string{"accounts.read", "offline_access"},
		AuthTime: now, AMR: session.AMR, ACR: session.ACR, Created: now, Expires: now.Add(24 * time.Hour),
	}
	if err := server.House.AddCode(ctx, iam.Code{
		Hash: iam.HashCode(code), RedirectURI: redirect, Challenge: "none", Grant: grant, Created: now, Expires: now.Add(time.Minute),
	}, iam.FlowHash{}, nil); err != nil {
		return err
	}
	h.sessions, h.refresh, h.people = append(h.sessions, cookie), append(h.refresh, refresh), append(h.people, person{user.ID, session.ID})
	return server.House.Issue(ctx, iam.Issue{
		Now: now, Client: "app", User: user.ID,
		Code:       &iam.CodeProof{Hash: iam.HashCode(code), Client: "app", RedirectURI: redirect, Challenge: "none"},
		NewRefresh: &iam.Refresh{Hash: iam.HashRefresh(refresh), Grant: grant.ID, Created: now, Idle: now.Add(24 * time.Hour)},
	})
}

func numbers(count int) []int {
	all := make([]int, count)
	for i := range all {
		all[i] = i
	}
	return all
}

// inParallel does something with each of many, so that commits are shared.
func inParallel[T any](each []T, do func(T) error) error {
	results := make(chan error, connections)
	share := (len(each) + connections - 1) / connections
	parts := 0
	for from := 0; from < len(each); from += share {
		parts++
		go func() {
			for _, one := range each[from:min(from+share, len(each))] {
				if err := do(one); err != nil {
					results <- err
					return
				}
			}
			results <- nil
		}()
	}
	var errs []error
	for range parts {
		errs = append(errs, <-results)
	}
	return errors.Join(errs...)
}

// point is the node's public key as an uncompressed point, for the bare verifier.
func (h *house) point() (string, error) { return pointOf(h.signer.Key.Public()) }

func pointOf(public crypto.PublicKey) (string, error) {
	key, ok := public.(interface{ Bytes() ([]byte, error) })
	if !ok {
		return "", errors.New("a key of another kind")
	}
	raw, err := key.Bytes()
	return base64.RawURLEncoding.EncodeToString(raw), err
}

// tokens signs access tokens for the Gate, as the Server would.
func (h *house) tokens(count int) ([]string, error) {
	tokens := make([]string, count)
	now := time.Now().Unix()
	return tokens, inParallel(numbers(count), func(place int) (err error) {
		tokens[place], err = h.signer.Sign("at+jwt", claims{
			Issuer: "http://" + h.server, Subject: "nightly", Audience: "http://" + h.gate, ClientID: "nightly",
			Scope: "accounts.read", ID: uuid.NewString(), IssuedAt: now, Expires: now + 3600,
		})
		return err
	})
}

func challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
