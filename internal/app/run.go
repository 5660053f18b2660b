package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/gardeauth/garde/internal/config"
	"github.com/gardeauth/garde/internal/doctor"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/keys"
	"github.com/gardeauth/garde/internal/web"
)

// Run serves until ctx ends, then lets requests under way finish. It logs one line "ready" once every listener listens
// and the server may be asked. It is called once.
func (s *Server) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	public, private, err := s.Lab.servers(s.Node.Listen, s.Node.TLS, s.Node.Metrics, s.Log)
	if err != nil {
		return err
	}
	certified, err := s.forCertified()
	if err != nil {
		return err
	}
	if err := s.serveAdmin(ctx, group); err != nil {
		return err
	}
	where := public.Listener.Addr().String() // before the listener may be closed
	public.Handler = s.Handler
	context.AfterFunc(ctx, func() { close(s.leaving) })
	group.Go(func() error { return public.Run(ctx) })
	if certified != nil {
		group.Go(func() error { return certified.Run(ctx) })
	}
	if private != nil {
		private.Handler = s.metrics.health(s.problem)
		group.Go(func() error { return private.Run(ctx) })
	}
	for _, background := range s.background() {
		group.Go(func() error { return background(ctx) })
	}
	s.beat(ctx)
	s.Log.Info("ready", "issuer", s.Node.Issuer, "listen", where, "metrics", s.Node.Metrics,
		"revision", s.revision())
	err = group.Wait()
	leave, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	return errors.Join(err, s.House.LeaveNode(leave, s.ID))
}

// background is everything that runs beside the doors.
func (s *Server) background() []func(context.Context) error {
	return []func(context.Context) error{
		s.Follower.Run,
		s.Force.Run,
		func(ctx context.Context) error { return s.Keys.Run(ctx, s.lease("keys")) },
		s.completeKeys,
		pace,
		s.failures.Run,
		s.post.Run,
		s.decisions.Run,
		s.moments.desk.Run,
		s.notary.Run,
		s.farewell.Run,
		s.usage.Run,
		every(5*time.Second, s.beat),
		every(time.Minute, s.sweep),
		every(forgetEvery, s.forget),
	}
}

// completeKeys makes the keys that take long, once the server is up.
func (s *Server) completeKeys(ctx context.Context) error {
	err := errors.Join(s.Keys.Ensure(ctx, keys.Defaults...), s.Keys.EnsureOpeners(ctx, jose.ECDHES, jose.RSAOAEP256))
	if err != nil && ctx.Err() == nil {
		s.Log.Error("make the signing keys that OpenID clients may ask for", "error", err)
	}
	return nil
}

// lease tells whether this node may do what only one may do at a time.
func (s *Server) lease(name string) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		now := s.now().UTC()
		return s.House.Lease(ctx, name, s.ID, now, now.Add(2*time.Minute))
	}
}

// leaseOf is lease for those who say how long.
func (s *Server) leaseOf(name string) func(ctx context.Context, now, until time.Time) (bool, error) {
	return func(ctx context.Context, now, until time.Time) (bool, error) {
		return s.House.Lease(ctx, name, s.ID, now.UTC(), until.UTC())
	}
}

// every calls do now and then until ctx ends.
func every(pause time.Duration, do func(context.Context)) func(context.Context) error {
	return func(ctx context.Context) error {
		tick := time.NewTicker(pause)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
				do(ctx)
			}
		}
	}
}

// beat tells the other nodes, and garde apply, how far this one is, and who watches the metrics what ends soon.
func (s *Server) beat(ctx context.Context) {
	if bundle := s.bundle(); bundle != nil {
		s.metrics.ending.Set(float64(len(bundle.Recipe.EndingExceptions(s.now(), doctor.ExceptionsSoon))))
	}
	name, _ := os.Hostname() // a node without a name is told by its id
	node := iam.Node{
		ID: s.ID, Name: name, Role: "server", Revision: s.revision(), Ready: s.problem(nil) == "",
		Problem: s.Force.Problem(), Seen: s.now().UTC(),
	}
	if err := s.House.Beat(ctx, node); err != nil && ctx.Err() == nil {
		s.Log.Warn("tell the other nodes that this one lives", "error", err)
	}
}

func (s *Server) revision() int64 {
	if force := s.Force.InForce(); force != nil {
		return force.Number
	}
	return 0
}

func (s *Server) sweep(ctx context.Context) {
	if _, err := s.House.Sweep(ctx, s.now().UTC()); err != nil && ctx.Err() == nil {
		s.Log.Warn("sweep what has expired", "error", err)
	}
	s.revoked.Prune()
}

// problem says why the server should get no requests now, or "".
func (s *Server) problem(r *http.Request) string {
	ctx := context.Background()
	if r != nil {
		ctx = r.Context()
	}
	switch {
	case s.Force.Problem() != "":
		return "the newest recipe can't be adopted: " + s.Force.Problem()
	case s.Force.InForce() == nil:
		return "no recipe is in force yet: garde apply recipe.yaml"
	case !s.Follower.Fresh():
		return "what was revoked can't be read from the storage"
	}
	if err := s.Store.Ready(ctx); err != nil {
		return "the storage: " + err.Error()
	}
	return ""
}

func (l Lab) listen(where string) (net.Listener, error) {
	open := l.Listen
	if open == nil {
		open = net.Listen
	}
	listener, err := open("tcp", where)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w (is another garde running, or the port taken?)", where, err)
	}
	return listener, nil
}

func certificate(files config.TLS, log *slog.Logger) (*tls.Config, error) {
	if files.Cert == "" {
		return nil, nil //nolint:nilnil // no TLS is no fault: loopback, or behind a proxy
	}
	pair := &web.Certificate{CertFile: files.Cert, KeyFile: files.Key, Log: log}
	return pair.Config()
}

// servers opens every listener of a node before anything runs, so that a port that is taken or a certificate that can't be
// read ends the start and nothing else. private is nil without an address for metrics.
func (l Lab) servers(listen string, files config.TLS, metrics string, log *slog.Logger) (public, private *web.Server, err error) {
	settings, err := certificate(files, log)
	if err != nil {
		return nil, nil, err
	}
	listener, err := l.listen(listen)
	if err != nil {
		return nil, nil, err
	}
	public = &web.Server{Listener: listener, TLS: settings, Log: log}
	if metrics == "" {
		return public, nil, nil
	}
	beside, err := l.listen(metrics)
	if err != nil {
		return nil, nil, errors.Join(err, listener.Close())
	}
	return public, &web.Server{Listener: beside, Log: log}, nil
}
