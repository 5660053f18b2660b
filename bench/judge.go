package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/gardeauth/garde/internal/app"
	"github.com/gardeauth/garde/internal/binding"
	"github.com/gardeauth/garde/internal/binding/prover"
	"github.com/gardeauth/garde/internal/config"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/once"
)

// judging measures what the check of a proof costs beside one bare verification, both in this process: in processor time,
// so that what else the machine does has no part in it.
func (b *bench) judging(ctx context.Context) error {
	const name = "DPoP proof check, replay in the node"
	if !b.wants(name) {
		return nil
	}
	const place = "https://api.example/accounts/42"
	key, err := prover.New(jose.ES256)
	if err != nil {
		return err
	}
	count := int(2000 * b.stretch.Seconds())
	bare, err := bareVerification(count)
	if err != nil {
		return err
	}
	check := func(judge *binding.Judge, callers int) (time.Duration, error) {
		shown := make([]binding.Shown, count)
		if err := inParallel(numbers(count), func(i int) error {
			text, err := key.Proof(http.MethodGet, place, "a-token", nil)
			shown[i] = binding.Shown{Header: http.Header{"Dpop": {text}}, Method: http.MethodGet, Places: []binding.Place{place}, Token: "a-token"}
			return err
		}); err != nil {
			return 0, err
		}
		return processorOf(count, func() error {
			if callers > 1 {
				return inParallel(shown, func(one binding.Shown) error { return good(judge.Check(ctx, one)) })
			}
			for _, one := range shown {
				if err := good(judge.Check(ctx, one)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	var each, verification, times []float64
	node := &binding.Judge{Once: once.NewNode(1<<20, nil)}
	for round := -1; round < b.rounds; round++ {
		one, err := processorOf(count, bare)
		if err != nil {
			return err
		}
		ours, err := check(node, 1)
		if err != nil {
			return err
		}
		if round >= 0 {
			each, verification = append(each, float64(ours)), append(verification, float64(one))
			times = append(times, float64(ours)/float64(one))
		}
	}
	b.rows = append(b.rows, row{name: name, ours: median(times), limit: 1.5, unit: "verifications"})
	shared, closing, err := b.sharedJudge(ctx)
	if err != nil {
		return err
	}
	took, err := check(shared, connections)
	if err := errors.Join(err, closing()); err != nil {
		return err
	}
	b.apart = append(b.apart, fmt.Sprintf("DPoP proof check: %.0f µs of processor with replay in the node, %.0f µs with replay shared by nodes (SQLite, durable, "+
		"%d at once); a bare verification %.0f µs", median(each)/1000, float64(took)/1000, connections, median(verification)/1000))
	return nil
}

func good(proof binding.Proof, err error) error {
	if err == nil && proof.JKT == "" {
		err = errors.New("no proof was seen")
	}
	return err
}

// bareVerification is one verification of ES256 by number of them, hash included.
func bareVerification(count int) (func() error, error) {
	key, err := jose.GenerateKey(jose.ES256)
	if err != nil {
		return nil, err
	}
	private, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, errors.New("a key of another kind")
	}
	message := make([]byte, 400) // as long as a proof
	sum := sha256.Sum256(message)
	signature, err := ecdsa.SignASN1(rand.Reader, private, sum[:])
	if err != nil {
		return nil, err
	}
	return func() error {
		for range count {
			sum := sha256.Sum256(message)
			if !ecdsa.VerifyASN1(&private.PublicKey, sum[:], signature) {
				return errors.New("a good signature was refused")
			}
		}
		return nil
	}, nil
}

// processorOf is the processor time of this process for each of count.
func processorOf(count int, do func() error) (time.Duration, error) {
	var before, after syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &before); err != nil {
		return 0, err
	}
	if err := do(); err != nil {
		return 0, err
	}
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &after); err != nil {
		return 0, err
	}
	spent := time.Duration(after.Utime.Nano() - before.Utime.Nano() + after.Stime.Nano() - before.Stime.Nano())
	return spent / time.Duration(count), nil
}

// sharedOnce asks this node's memory, then the storage.
type sharedOnce struct {
	*once.Node
	storage iam.Once
}

func (o sharedOnce) Seen(ctx context.Context, kind once.Kind, issuer, id string, until time.Time) (bool, error) {
	fresh, err := o.Node.Seen(ctx, kind, issuer, id, until)
	if err != nil || !fresh {
		return fresh, err
	}
	return o.storage.Fresh(ctx, string(kind), issuer, id, time.Now(), until)
}

// sharedJudge remembers proofs in a storage of its own.
func (b *bench) sharedJudge(ctx context.Context) (*binding.Judge, func() error, error) {
	dir := filepath.Join(b.dir, "judge")
	house, err := newHouse(dir, "sqlite:garde.db", b.upstream)
	if err != nil {
		return nil, nil, err
	}
	node, err := config.Load(house.config)
	if err != nil {
		return nil, nil, err
	}
	server, err := app.NewServer(ctx, node, slog.New(slog.DiscardHandler), app.Lab{})
	if err != nil {
		return nil, nil, err
	}
	judge := &binding.Judge{Once: sharedOnce{once.NewNode(1<<20, nil), server.House}}
	return judge, func() error { return errors.Join(server.Close(), os.RemoveAll(dir)) }, nil
}
