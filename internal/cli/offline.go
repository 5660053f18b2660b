package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/gardeauth/garde/internal/admin"
	"github.com/gardeauth/garde/internal/config"
	"github.com/gardeauth/garde/internal/enact"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/keys"
	"github.com/gardeauth/garde/internal/manage"
	"github.com/gardeauth/garde/internal/notary"
	"github.com/gardeauth/garde/internal/password"
	"github.com/gardeauth/garde/internal/seal"
	"github.com/gardeauth/garde/internal/server/request"
	"github.com/gardeauth/garde/internal/store"
)

// offline opens the storage under its lock and gives the API that a running node would serve.
func offline(ctx context.Context, node *config.Node) (http.Handler, func() error, error) {
	sealer, err := openSealer(node)
	if err != nil {
		return nil, nil, err
	}
	opened, err := store.Open(ctx, node.Storage, store.Options{})
	if err != nil {
		return nil, nil, err
	}
	handler, err := offlineHandler(ctx, node, opened, sealer)
	if err != nil {
		return nil, nil, errors.Join(err, opened.Close())
	}
	return handler, opened.Close, nil
}

func offlineHandler(ctx context.Context, node *config.Node, opened *store.Store, sealer seal.Sealer) (http.Handler, error) {
	house := opened.Tenant(iam.DefaultTenant)
	enactor := &enact.Enactor{Revisions: house, Issuer: node.Issuer, Parts: []enact.Part{readDetails}}
	if err := enactor.Adopt(ctx); err != nil {
		return nil, err
	}
	ring := &keys.Ring{Store: house, Sealer: sealer, Tenant: iam.DefaultTenant}
	return admin.Handler(admin.Deps{
		Desk: manage.New(manage.Needs{
			House: house, Enactor: enactor, Sealed: opened.Sealing(iam.DefaultTenant), Ring: ring, Hasher: password.NewHasher(0, 0), Issuer: node.Issuer,
			Seal: func(id, secret string) (string, error) {
				return sealer.ClientSecret(string(iam.DefaultTenant), id, secret)
			},
		}),
		Notary:     &notary.Notary{Tree: house, Sealer: sealer, Tenant: iam.DefaultTenant, Origin: origin(node)},
		Issuer:     node.Issuer,
		Backup:     opened.Backup,
		AdminsOnly: house.AdminsOnly,
		Confirm: func(ctx context.Context, by string) error {
			return house.Confirm(ctx, manage.Confirmed(time.Now(), by))
		},
	}), nil
}

// readDetails refuses a recipe whose types of rich authorization requests no node could compile.
func readDetails(next *enact.Force) (func(), error) {
	_, err := request.NewDetails(next.Bundle)
	return nil, err
}

func openSealer(node *config.Node) (seal.Sealer, error) {
	var sealer seal.Sealer
	var err error
	if sealer.Current, err = seal.LoadMaster(node.Master, node.Dir); err != nil {
		return sealer, fmt.Errorf("load the master key: %w", err)
	}
	for _, ref := range node.Previous {
		older, err := seal.LoadMaster(ref, node.Dir)
		if err != nil {
			return sealer, fmt.Errorf("load a previous master key: %w", err)
		}
		sealer.Previous = append(sealer.Previous, older)
	}
	return sealer, nil
}

// origin names the journal of a house: the host of its issuer.
func origin(node *config.Node) string {
	issuer, err := url.Parse(node.Issuer)
	if err != nil {
		return node.Issuer
	}
	return issuer.Host
}
