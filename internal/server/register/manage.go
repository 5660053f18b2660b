package register

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/web"
)

// Manage is GET, PUT and DELETE of Place/{policy}/{client} (RFC 7592). The registration access token of the client opens it,
// and that of any other client, or of one that is no more, is refused in the same words (G10).
func (e *Endpoint) Manage(w http.ResponseWriter, r *http.Request) error {
	token, shown, err := bearer(r)
	if err != nil {
		return err
	}
	if !shown {
		return nobody()
	}
	registered, err := e.Store.Registered(r.Context(), r.PathValue("client"), iam.HashKeeper(token))
	if errors.Is(err, iam.ErrNotFound) || err == nil && registered.Policy != r.PathValue("policy") {
		return badKeeper(err)
	}
	if err != nil {
		return err
	}
	if registered.Disabled && r.Method != http.MethodDelete {
		return &oauth.Error{Code: "access_denied", Description: "an administrator has disabled this client", Status: http.StatusForbidden}
	}
	switch r.Method {
	case http.MethodGet:
		return e.answer(w, http.StatusOK, registered, token, "")
	case http.MethodPut:
		return e.update(w, r, registered)
	case http.MethodDelete:
		return e.end(w, r, registered)
	}
	return web.MethodNotAllowed(http.MethodGet, http.MethodPut, http.MethodDelete)
}

func badKeeper(cause error) error {
	return challenge("invalid_token", oauth.InvalidToken("the registration access token does not open this client").Because(cause))
}

// notSent are members of our answers that an update must not bring back (RFC 7592 section 2.2).
var notSent = []string{"registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at"}

// update replaces all metadata by what is sent, under the rules for new clients (G11), and gives the token anew: whoever
// has seen the old one can do nothing with it any more.
func (e *Endpoint) update(w http.ResponseWriter, r *http.Request, old iam.Registered) error {
	name, policy, err := e.Rules.policy(old.Policy)
	if err != nil {
		return err
	}
	said, err := e.Rules.read(r, policy)
	if err != nil {
		return err
	}
	if err := sameClient(old, said); err != nil {
		return err
	}
	if said.SectorURI != "" && !(policy.Open && policy.Trusted) { // else one client could have any host asked without end
		if err := e.slow(r); err != nil {
			return err
		}
	}
	client, err := e.Rules.judge(r.Context(), name, said)
	if err != nil {
		return err
	}
	if err := keeps(old.Client, client); err != nil {
		return err
	}
	client.ID, client.Source, client.Disabled = old.ID, iam.FromRegistration, old.Disabled
	secret, err := e.carry(&client, old.Client)
	if err != nil {
		return err
	}
	next := iam.Registered{Client: client, Created: old.Created, Used: old.Used}
	if next.Document, err = kept(client, said); err != nil {
		return err
	}
	keeper := iam.NewSecret(iam.PrefixKeeper)
	next.Keeper = iam.HashKeeper(keeper)
	err = e.Store.Reregister(r.Context(), next, old.Keeper, e.event(r, client, "registered anew under "+client.Policy))
	if errors.Is(err, iam.ErrNotFound) { // somebody else was faster with the same token
		return badKeeper(err)
	}
	if err != nil {
		return err
	}
	return e.answer(w, http.StatusOK, next, keeper, secret)
}

// sameClient refuses an update that is about another client, or that leaves behind what let the client in: one that came by
// a software statement shows one of the same software again, or its metadata would be vouched for by nobody.
func sameClient(old iam.Registered, said Metadata) error {
	if said.ClientID != old.ID {
		return oauth.InvalidClientMetadata("client_id: an update names its client (RFC 7592 section 2.2)")
	}
	for _, name := range notSent {
		if _, there := said.sent[name]; there {
			return oauth.InvalidClientMetadata("%s: is not sent back (RFC 7592 section 2.2)", name)
		}
	}
	if !holds(old.Client, said.sent["client_secret"]) {
		return oauth.InvalidClientMetadata("client_secret: a client does not choose its secret")
	}
	var before Metadata
	if err := json.Unmarshal([]byte(old.Document), &before); err != nil {
		return err
	}
	if before.Statement == "" {
		return nil
	}
	if said.Statement == "" {
		return oauth.InvalidSoftwareStatement("the client registered by a software statement, and shows one at each update")
	}
	was, errWas := claimsOf(before.Statement)
	is, errIs := claimsOf(said.Statement)
	if err := errors.Join(errWas, errIs); err != nil {
		return oauth.InvalidSoftwareStatement("the claims of the software statement can't be read").Because(err)
	}
	if was.Issuer != is.Issuer || was.Software != is.Software {
		return oauth.InvalidSoftwareStatement("the software statement is not of the software that registered")
	}
	return nil
}

// holds tells whether an update names a secret that the client has, or none (RFC 7592 section 2.2).
func holds(old iam.Client, sent json.RawMessage) bool {
	if sent == nil {
		return true
	}
	var value string
	if jose.DecodeJSON(sent, &value) != nil {
		return false
	}
	hash, known := iam.Hash(value), false
	for _, secret := range old.Secrets {
		known = hash.Equal(secret.Hash) || known
	}
	return known
}

// claimsOf reads a statement that was verified already.
func claimsOf(text string) (statement, error) {
	var claims statement
	verified, err := jose.Parse(text)
	if err == nil {
		err = verified.Peek(&claims)
	}
	return claims, err
}

// keeps refuses what an update can't change: what the client was given before was judged by its type, and people bear
// their names in its sector.
func keeps(old, next iam.Client) error {
	if old.Kind != next.Kind {
		return oauth.InvalidClientMetadata("application_type: a client keeps its type, which was %s; register another", old.Kind)
	}
	if old.Pairwise() && !next.Pairwise() { // and back again, in another sector
		return oauth.InvalidClientMetadata("subject_type: a client that knows people by names of its sector goes on to; register another")
	}
	if old.Pairwise() && old.Sector != next.Sector {
		return oauth.InvalidClientMetadata("sector_identifier_uri: a client keeps its sector, which was %s; register another", old.Sector)
	}
	return nil
}

// carry keeps the secrets of a client that goes on proving itself by them. One that begins to, or whose secrets were kept as
// hashes when they are needed themselves, gets a new one.
func (e *Endpoint) carry(client *iam.Client, old iam.Client) (string, error) {
	if !secretive(client.Auth) || len(old.Secrets) == 0 {
		return e.newSecret(client)
	}
	for _, secret := range old.Secrets {
		if client.Auth == oauth.AuthSecretJWT && secret.Sealed == "" {
			return e.newSecret(client)
		}
		if client.Auth != oauth.AuthSecretJWT {
			secret.Sealed = ""
		}
		client.Secrets = append(client.Secrets, secret)
	}
	return "", nil
}

func (e *Endpoint) end(w http.ResponseWriter, r *http.Request, old iam.Registered) error {
	err := e.Store.Unregister(r.Context(), old.ID, old.Keeper, e.event(r, old.Client, "ended its registration"))
	if errors.Is(err, iam.ErrNotFound) {
		return badKeeper(err)
	}
	if err != nil {
		return err
	}
	web.NoStore(w)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// answer tells what is kept, with what only this answer can tell: secrets are not readable afterwards.
func (e *Endpoint) answer(w http.ResponseWriter, status int, registered iam.Registered, keeper, secret string) error {
	told := map[string]any{}
	var document map[string]json.RawMessage
	if err := json.Unmarshal([]byte(registered.Document), &document); err != nil {
		return err
	}
	for name, value := range document {
		told[name] = value
	}
	told["client_id"] = registered.ID
	told["client_id_issued_at"] = registered.Created.Unix()
	told["registration_access_token"] = keeper
	told["registration_client_uri"] = e.Issuer + Place + "/" + registered.Policy + "/" + registered.ID
	if secret != "" {
		told["client_secret"], told["client_secret_expires_at"] = secret, 0
	}
	return web.JSON(w, status, true, told)
}
