package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/manage"
	"github.com/gardeauth/garde/recipe"
)

// Client is an application as the API tells of it: of secrets, only that they live.
type Client struct {
	ID           string       `json:"id"`
	Source       string       `json:"source" enum:"recipe,admin,registration,document"`
	Type         string       `json:"type"`
	Name         recipe.Text  `json:"name,omitempty"`
	Auth         string       `json:"auth"`
	Scopes       []string     `json:"scopes"`
	Grants       []string     `json:"grants"`
	RedirectURIs []string     `json:"redirect_uris,omitempty"`
	LogoutURIs   []string     `json:"post_logout_redirect_uris,omitempty"`
	Origins      []string     `json:"origins,omitempty"`
	Consent      string       `json:"consent,omitempty"`
	Rotate       bool         `json:"rotate,omitempty"`
	IDTokenAlg   string       `json:"id_token_signed_response_alg,omitempty"`
	JWKSURI      string       `json:"jwks_uri,omitempty"`
	JWKS         bool         `json:"jwks,omitempty" doc:"whether public keys are kept here"`
	Secrets      []SecretView `json:"secrets" doc:"generated ones that live"`
	References   int          `json:"secret_references,omitempty" doc:"how many the recipe refers to"`
	Disabled     bool         `json:"disabled"`
	Changed      time.Time    `json:"changed,omitzero"`
	Profile      string       `json:"profile,omitempty"`
	Policy       string       `json:"policy,omitempty" doc:"registration policy that it stands under"`
	Unverified   bool         `json:"unverified,omitempty" doc:"people are told that nobody vouches for it"`
	Exceptions   []Exception  `json:"exceptions,omitempty" doc:"what the recipe allows it by name"`
	recipe.Metadata
}

// Exception is something weak that a client may do until a moment.
type Exception struct {
	Name  string    `json:"name"`
	Until time.Time `json:"until"`
}

// SecretView tells of a secret all but the secret.
type SecretView struct {
	ID      string    `json:"id"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero"`
}

func clientView(client iam.Client) Client {
	view := Client{
		ID: client.ID, Source: string(client.Source), Type: string(client.Kind), Name: client.Name, Auth: string(client.Auth),
		Scopes: append([]string{}, client.Scope...), RedirectURIs: client.RedirectURIs, LogoutURIs: client.LogoutURIs,
		Origins: client.Origins, Consent: string(client.Consent), Rotate: client.Rotate, IDTokenAlg: client.IDTokenAlg,
		JWKSURI: client.JWKSURI, JWKS: client.JWKS != "", References: len(client.SecretRefs), Disabled: client.Disabled,
		Changed: client.Changed, Secrets: []SecretView{}, Grants: []string{},
		Profile: string(client.Profile), Policy: client.Policy, Unverified: client.Unverified, Metadata: client.Metadata,
	}
	for _, allowed := range client.Allowed {
		view.Exceptions = append(view.Exceptions, Exception(allowed))
	}
	for _, grant := range client.Grants {
		view.Grants = append(view.Grants, string(grant))
	}
	for _, secret := range client.Secrets {
		view.Secrets = append(view.Secrets, SecretView{secret.ID, secret.Created, secret.Expires})
	}
	return view
}

// NewClient declares a client in the words of the recipe.
type NewClient struct {
	Type         string          `json:"type" enum:"web,native,browser,service"`
	Name         recipe.Text     `json:"name,omitempty"`
	Auth         string          `json:"auth,omitempty" enum:"none,client_secret_basic,client_secret_post,private_key_jwt,client_secret_jwt,tls_client_auth,self_signed_tls_client_auth"`
	Scopes       []string        `json:"scopes,omitempty"`
	Grants       []string        `json:"grants,omitempty"`
	RedirectURIs []string        `json:"redirect_uris,omitempty"`
	LogoutURIs   []string        `json:"post_logout_redirect_uris,omitempty"`
	Origins      []string        `json:"origins,omitempty"`
	Consent      string          `json:"consent,omitempty" enum:"ask,implied"`
	Rotate       bool            `json:"rotate,omitempty"`
	IDTokenAlg   string          `json:"id_token_signed_response_alg,omitempty"`
	JWKSURI      string          `json:"jwks_uri,omitempty"`
	JWKS         json.RawMessage `json:"jwks,omitempty" doc:"JWK Set with the client's public keys"`
	Profile      string          `json:"profile,omitempty" enum:"oauth21,fapi2-security,fapi2-message-signing,ipsie-sl1"`
	recipe.Metadata
}

// Declare gives the words of a recipe's client as the API takes them, with the keys that its file holds. What only a recipe
// can say is left out: callers refuse it.
func Declare(said recipe.Client, keys []byte) NewClient {
	return NewClient{
		Type: string(said.Type), Name: said.Name, Auth: said.Auth, Scopes: said.Scopes, Grants: said.Grants, RedirectURIs: said.RedirectURIs,
		LogoutURIs: said.LogoutURIs, Origins: said.Origins, Consent: string(said.Consent), Rotate: said.Rotate, IDTokenAlg: said.IDTokenAlg,
		JWKSURI: said.JWKSURI, JWKS: keys, Profile: string(said.Profile), Metadata: said.Metadata,
	}
}

func (n NewClient) declared() manage.Declaration {
	return manage.Declaration{Keys: string(n.JWKS), Client: recipe.Client{
		Type: recipe.ClientType(n.Type), Name: n.Name, Auth: n.Auth, Scopes: n.Scopes, Grants: n.Grants, RedirectURIs: n.RedirectURIs,
		LogoutURIs: n.LogoutURIs, Origins: n.Origins, Consent: recipe.Consent(n.Consent), Rotate: n.Rotate, IDTokenAlg: n.IDTokenAlg,
		JWKSURI: n.JWKSURI, Profile: recipe.Profile(n.Profile), Metadata: n.Metadata,
	}}
}

// AddedClient is the answer to adding a client. The secret is told this once.
type AddedClient struct {
	Client Client            `json:"client"`
	Secret *manage.NewSecret `json:"secret,omitempty"`
}

// ClientRef names a client in a path.
type ClientRef struct {
	Client string `path:"client" maxLength:"200"`
}

func (a *api) clients() {
	id := func(client iam.Client) string { return client.ID }
	op(a, route("GET", "/clients", "list-clients", "List clients"), func(ctx context.Context, in *Paging) (*some[paged[Client]], error) {
		page, err := in.page("clients")
		if err != nil {
			return nil, err
		}
		rows, err := more(page, func(page iam.Page) ([]iam.Client, error) { return a.Desk.House.ListClients(ctx, page) }, id)
		return answer(part("clients", in.Limit, rows, id, clientView), err)
	})
	op(a, made(route("POST", "/clients", "add-client", "Add a client")), func(ctx context.Context, in *some[NewClient]) (*some[AddedClient], error) {
		client, secret, err := a.Desk.Clients.Add(ctx, Operator(ctx), in.Body.declared())
		return answer(AddedClient{clientView(client), secret}, err)
	})
	op(a, route("GET", "/clients/{client}", "show-client", "Show a client"), func(ctx context.Context, in *ClientRef) (*some[Client], error) {
		client, err := a.Desk.Clients.Find(ctx, in.Client)
		return answer(clientView(client), err)
	})
	type clientChange struct {
		ClientRef
		Body NewClient
	}
	op(a, route("PUT", "/clients/{client}", "set-client", "Replace what a client is"), func(ctx context.Context, in *clientChange) (*some[Client], error) {
		client, err := a.Desk.Clients.Set(ctx, Operator(ctx), in.Client, in.Body.declared())
		return answer(clientView(client), err)
	})
	op(a, route("DELETE", "/clients/{client}", "remove-client", "End a client with all it was given"), func(ctx context.Context, in *ClientRef) (*none, error) {
		return nothing(a.Desk.Clients.Remove(ctx, Operator(ctx), in.Client))
	})
	a.clientState()
}

func (a *api) clientState() {
	type clientState struct {
		ClientRef
		Body struct {
			Disabled bool `json:"disabled"`
		}
	}
	op(a, route("PUT", "/clients/{client}/state", "switch-client", "Disable or enable a client of any source"), func(ctx context.Context, in *clientState) (*none, error) {
		return nothing(a.Desk.Clients.SetDisabled(ctx, Operator(ctx), in.Client, in.Body.Disabled))
	})
	type newSecret struct {
		ClientRef
		Body struct {
			Life string `json:"life,omitempty" doc:"90d, 12h; without it, until it is removed"`
		}
	}
	op(a, made(route("POST", "/clients/{client}/secrets", "add-secret", "Generate a secret; it is told this once")),
		func(ctx context.Context, in *newSecret) (*some[*manage.NewSecret], error) {
			var life time.Duration
			if in.Body.Life != "" {
				parsed, err := recipe.ParseDuration(in.Body.Life)
				if err != nil {
					return nil, titled(http.StatusUnprocessableEntity, "life: "+err.Error())
				}
				life = parsed.Std()
			}
			return answer(a.Desk.Clients.AddSecret(ctx, Operator(ctx), in.Client, life))
		})
	type secretRef struct {
		ClientRef
		Secret string `path:"secret" maxLength:"200"`
	}
	op(a, route("DELETE", "/clients/{client}/secrets/{secret}", "remove-secret", "End a generated secret"), func(ctx context.Context, in *secretRef) (*none, error) {
		return nothing(a.Desk.Clients.RemoveSecret(ctx, Operator(ctx), in.Client, in.Secret))
	})
}
