package app

import (
	"context"
	"net/url"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/gardeauth/garde/internal/admin"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/manage"
	"github.com/gardeauth/garde/internal/notary"
)

// desk holds the administrator's deeds.
func (s *Server) desk() *manage.Desk {
	return manage.New(manage.Needs{
		House: s.House, Enactor: s.Force, Sealed: s.Store.Sealing(iam.DefaultTenant), Seal: s.sealSecret, Ring: s.Keys, Hasher: s.hasher, Issuer: s.Node.Issuer, Now: s.Lab.Now,
	})
}

// newNotary keeps the tree over the journal. Of many nodes, the one that holds the lease writes.
func (s *Server) newNotary() *notary.Notary {
	origin := s.Node.Issuer
	if issuer, err := url.Parse(origin); err == nil {
		origin = issuer.Host
	}
	return &notary.Notary{
		Tree: s.House, Sealer: s.Seal, Tenant: iam.DefaultTenant, Origin: origin, Lease: s.lease("notary"),
	}
}

// serveAdmin answers the administrator on the unix socket of node.yaml; without one, nobody.
func (s *Server) serveAdmin(ctx context.Context, group *errgroup.Group) error {
	if s.Node.Admin == "" {
		return nil
	}
	socket := admin.Socket{Path: s.Node.Admin, Log: s.Log, Handler: admin.Handler(admin.Deps{
		Desk: s.desk(), Notary: s.notary, Issuer: s.Node.Issuer, Refusal: s.Refusals.Find, Backup: s.Store.Backup,
		AdminsOnly: s.House.AdminsOnly,
		Confirm: func(ctx context.Context, by string) error {
			return s.House.Confirm(ctx, manage.Confirmed(s.now(), by))
		},
		Problem: func() string { return s.problem(nil) }, Log: s.Log, Now: s.Lab.Now,
	})}
	listener, err := socket.Listen()
	if err != nil {
		return err
	}
	group.Go(func() error { return socket.Serve(ctx, listener) })
	return nil
}

// forget erases the personal fields of the journal once the recipe's time for them is over.
func (s *Server) forget(ctx context.Context) {
	life := s.Policy().Lives.Journal
	if life <= 0 {
		return
	}
	mine, err := s.lease("forget")(ctx)
	if err == nil && mine {
		_, err = s.House.ErasePersonal(ctx, "", s.now().Add(-life))
	}
	if err != nil && ctx.Err() == nil {
		s.Log.Warn("erase personal fields of the journal", "error", err)
	}
}

const forgetEvery = time.Hour
