package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"syscall"

	"github.com/gardeauth/garde/internal/app"
	"github.com/gardeauth/garde/internal/config"
)

// profiled runs a node as garde does, and writes what its processor and its memory went to: NAME.cpu and NAME.heap.
func profiled(verb string, args []string) (err error) {
	if len(args) != 2 {
		return fmt.Errorf("-node %s needs the node's settings and where the profiles go", verb)
	}
	if err := os.MkdirAll(filepath.Dir(args[1]), 0o700); err != nil {
		return err
	}
	cpu, err := os.Create(args[1] + ".cpu")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cpu.Close()) }()
	heap, err := os.Create(args[1] + ".heap")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, heap.Close()) }()
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return err
	}
	defer pprof.StopCPUProfile()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return errors.Join(runNode(ctx, verb, args[0]), pprof.Lookup("allocs").WriteTo(heap, 0))
}

func runNode(ctx context.Context, verb, path string) error {
	node, err := config.Load(path)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	if verb == "gate" {
		gateway, err := app.NewGateway(ctx, node, log, app.Lab{})
		if err != nil {
			return err
		}
		return gateway.Run(ctx)
	}
	server, err := app.NewServer(ctx, node, log, app.Lab{})
	if err != nil {
		return err
	}
	return errors.Join(server.Run(ctx), server.Close())
}
