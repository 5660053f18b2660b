package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/manage"
	"github.com/gardeauth/garde/recipe"
)

// RegisteredClient is a client that came by itself.
type RegisteredClient struct {
	ID       string      `json:"id"`
	Source   string      `json:"source" enum:"registration,document"`
	Policy   string      `json:"policy"`
	Name     recipe.Text `json:"name,omitempty"`
	Type     string      `json:"type"`
	Disabled bool        `json:"disabled,omitempty"`
	Created  time.Time   `json:"created"`
	Used     time.Time   `json:"used" doc:"within a day"`
}

func registeredView(made iam.Registered) RegisteredClient {
	return RegisteredClient{
		ID: made.ID, Source: string(made.Source), Policy: made.Policy, Name: made.Name, Type: string(made.Kind), Disabled: made.Disabled,
		Created: made.Created, Used: made.Used,
	}
}

// InitialToken is an initial access token; its value was told when it was made.
type InitialToken struct {
	ID      string    `json:"id"`
	Policy  string    `json:"policy"`
	Left    int       `json:"left" doc:"how many clients it may still register"`
	Note    string    `json:"note,omitempty"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
}

// NewInitial orders an initial access token.
type NewInitial struct {
	Policy string `json:"policy" maxLength:"64"`
	Uses   int    `json:"uses,omitempty" doc:"how many clients it may register; without it, one"`
	Life   string `json:"life,omitempty" doc:"90d, 12h; without it, 1d"`
	Note   string `json:"note,omitempty" doc:"whom it is for"`
}

func (n NewInitial) order() (manage.InitialOrder, error) {
	order := manage.InitialOrder{Policy: n.Policy, Uses: n.Uses, Note: n.Note}
	if n.Life == "" {
		return order, nil
	}
	life, err := recipe.ParseDuration(n.Life)
	if err != nil {
		return order, titled(http.StatusUnprocessableEntity, "life: "+err.Error())
	}
	order.Life = life.Std()
	return order, nil
}

func (a *api) registration() {
	type clients struct {
		Paging
		Policy string `query:"policy" maxLength:"64" doc:"only those under this policy"`
	}
	id := func(made iam.Registered) string { return made.ID }
	op(a, route("GET", "/registration/clients", "list-registered", "List clients that came by themselves"),
		func(ctx context.Context, in *clients) (*some[paged[RegisteredClient]], error) {
			page, err := in.page("registered")
			if err != nil {
				return nil, err
			}
			rows, err := more(page, func(page iam.Page) ([]iam.Registered, error) {
				return a.Desk.Registrations.Made.ListSelfMade(ctx, in.Policy, page)
			}, id)
			return answer(part("registered", in.Limit, rows, id, registeredView), err)
		})
	op(a, route("DELETE", "/registration/clients/{client}", "remove-registered", "End a client that came by itself, with all it was given"),
		func(ctx context.Context, in *registeredRef) (*none, error) {
			return nothing(a.Desk.Registrations.Remove(ctx, Operator(ctx), in.Client))
		})
	a.initials()
}

// registeredRef names a client in a path; its id may be an address.
type registeredRef struct {
	Client string `path:"client" maxLength:"512"`
}

func (a *api) initials() {
	op(a, route("GET", "/registration/tokens", "list-initials", "List initial access tokens that live"),
		func(ctx context.Context, _ *struct{}) (*some[[]InitialToken], error) {
			tokens := []InitialToken{}
			initials, err := a.Desk.Registrations.Initials.ListInitials(ctx)
			for _, initial := range initials {
				tokens = append(tokens, InitialToken{initial.ID, initial.Policy, initial.Left, initial.Note, initial.Created, initial.Expires})
			}
			return answer(tokens, err)
		})
	op(a, made(route("POST", "/registration/tokens", "add-initial", "Make an initial access token; it is told this once")),
		func(ctx context.Context, in *some[NewInitial]) (*some[*manage.MadeInitial], error) {
			order, err := in.Body.order()
			if err != nil {
				return nil, err
			}
			return answer(a.Desk.Registrations.AddToken(ctx, Operator(ctx), order))
		})
	type tokenRef struct {
		Token string `path:"token" maxLength:"64"`
	}
	op(a, route("DELETE", "/registration/tokens/{token}", "remove-initial", "End an initial access token"),
		func(ctx context.Context, in *tokenRef) (*none, error) {
			return nothing(a.Desk.Registrations.RemoveToken(ctx, Operator(ctx), in.Token))
		})
}
