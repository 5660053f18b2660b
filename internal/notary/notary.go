// Package notary makes the journal provable: it adds each committed row to a Merkle tree, signs the tree's head, and tells
// exactly what was altered when somebody asks. A signed head that stands elsewhere proves later that nothing before it
// was changed, added or taken away.
package notary

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/seal"
)

// Notary keeps the tree of one tenant. Tree, Sealer, Tenant and Origin are required.
type Notary struct {
	Tree   iam.Tree
	Sealer seal.Sealer
	Tenant iam.Tenant
	// Origin names this journal in its checkpoints: the host of the issuer does.
	Origin string
	// Lease tells whether this node may write now; nil says yes. It is asked only when there is something to write.
	Lease func(context.Context) (bool, error)
}

const (
	pace  = 400 * time.Millisecond // rows are leaves within a second
	batch = 256                    // rows in one deed: a larger one would keep others waiting
)

// ErrAltered says that the tree in storage is not the one whose head was signed: nothing is added to it.
var ErrAltered = errors.New("the journal's tree is not the one that was signed: garde journal verify tells what was altered")

// state is what stands in storage as the checkpoint: the signed head, and the key that signs, sealed. The key is made
// with the first head, and both are replaced in one deed.
type state struct {
	Checkpoint string `json:"checkpoint"`
	Verifier   string `json:"verifier"`
	Signer     string `json:"signer"` // sealed
}

// Run adds rows until ctx ends.
func (n *Notary) Run(ctx context.Context) error {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	told := ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		err := n.CatchUp(ctx)
		switch {
		case err == nil:
			told = ""
		case ctx.Err() == nil && err.Error() != told: // said once, not twice a second
			told = err.Error()
			slog.Error("add to the journal's tree", "error", err)
		}
	}
}

// CatchUp adds all rows that are not yet leaves.
func (n *Notary) CatchUp(ctx context.Context) error {
	for {
		rows, err := n.Tree.Unlisted(ctx, batch)
		if err != nil || len(rows) == 0 {
			return err
		}
		if n.Lease != nil {
			mine, err := n.Lease(ctx)
			if err != nil || !mine {
				return err
			}
		}
		if err := n.add(ctx, rows); err != nil && !errors.Is(err, iam.ErrRaced) {
			return err
		}
		if len(rows) < batch {
			return nil
		}
	}
}

func (n *Notary) add(ctx context.Context, rows []iam.Unlisted) error {
	size, err := n.Tree.Size(ctx)
	if err != nil {
		return err
	}
	kept, err := n.load(ctx)
	if err != nil {
		return err
	}
	hashes := &overlay{below: stored(ctx, n.Tree), added: map[int64][32]byte{}}
	if err := n.unaltered(kept, size, hashes); err != nil {
		return err
	}
	leaves := make([]iam.Leaf, len(rows))
	for i, row := range rows {
		index := size + int64(i)
		leaf := tlog.RecordHash(row.Data)
		more, err := tlog.StoredHashesForRecordHash(index, leaf, hashes)
		if err != nil {
			return err
		}
		leaves[i] = iam.Leaf{Index: index, Event: row.Event, Hash: leaf}
		at := tlog.StoredHashIndex(0, index)
		for j, hash := range more {
			hashes.added[at+int64(j)] = hash
		}
	}
	grown := size + int64(len(rows))
	root, err := tlog.TreeHash(grown, hashes)
	if err != nil {
		return err
	}
	text, err := n.sign(kept, tlog.Tree{N: grown, Hash: root})
	if err != nil {
		return err
	}
	return n.Tree.Append(ctx, size, leaves, hashes.added, text)
}

// unaltered compares the tree in storage with the head that was signed last: a forged tree never gets a signature.
func (n *Notary) unaltered(kept *state, size int64, hashes tlog.HashReader) error {
	if kept.Checkpoint == "" {
		if size == 0 {
			return nil
		}
		return ErrAltered
	}
	head, err := openHead(kept.Checkpoint, kept.Verifier)
	if err != nil {
		return errors.Join(ErrAltered, err)
	}
	root, err := tlog.TreeHash(size, hashes)
	if err != nil && !errors.Is(err, iam.ErrNotFound) {
		return err
	}
	if err != nil || head.N != size || head.Hash != root {
		return ErrAltered
	}
	return nil
}

func (n *Notary) place() seal.AD {
	return seal.AD{Tenant: string(n.Tenant), Table: "notary", Row: "signer"}
}

// load reads the state, or makes a signer where there is none. The verifier is the signer's own: one that was put beside
// it counts for nothing.
func (n *Notary) load(ctx context.Context) (*state, error) {
	text, err := n.Tree.Checkpoint(ctx)
	if err != nil {
		return nil, err
	}
	if text == "" {
		return n.begin()
	}
	var kept state
	if err := json.Unmarshal([]byte(text), &kept); err != nil {
		return nil, errors.Join(ErrAltered, err)
	}
	opened, err := n.Sealer.Open(n.place(), kept.Signer)
	if err != nil {
		return nil, fmt.Errorf("open the journal's signing key: %w", err)
	}
	_, verifier, found := strings.Cut(string(opened), "\n")
	if !found || verifier != kept.Verifier {
		return nil, ErrAltered
	}
	return &kept, nil
}

func (n *Notary) begin() (*state, error) {
	signer, verifier, err := note.GenerateKey(rand.Reader, n.name())
	if err != nil {
		return nil, err
	}
	kept := &state{Verifier: verifier}
	kept.Signer, err = n.Sealer.Seal(n.place(), []byte(signer+"\n"+verifier))
	return kept, err
}

// name is the origin in the alphabet of signed notes.
func (n *Notary) name() string {
	return strings.Map(func(r rune) rune {
		if r == '+' || r <= ' ' || r > '~' {
			return '-'
		}
		return r
	}, n.Origin) + "/journal"
}

func (n *Notary) sign(kept *state, head tlog.Tree) (string, error) {
	opened, err := n.Sealer.Open(n.place(), kept.Signer)
	if err != nil {
		return "", fmt.Errorf("open the journal's signing key: %w", err)
	}
	private, _, _ := strings.Cut(string(opened), "\n")
	signer, err := note.NewSigner(private)
	if err != nil {
		return "", errors.New("the journal's signing key can't be read") // the cause would show it
	}
	signed, err := note.Sign(&note.Note{Text: headText(signer.Name(), head)}, signer)
	if err != nil {
		return "", err
	}
	next := *kept
	next.Checkpoint = string(signed)
	text, err := json.Marshal(next)
	return string(text), err
}

// Head gives the last signed head and the key that verifies it; both empty before the first row.
func (n *Notary) Head(ctx context.Context) (checkpoint, verifier string, err error) {
	text, err := n.Tree.Checkpoint(ctx)
	if err != nil || text == "" {
		return "", "", err
	}
	kept, err := n.load(ctx)
	if err != nil {
		return "", "", err
	}
	return kept.Checkpoint, kept.Verifier, nil
}

// Rewrap puts the signing key under the current master key; it gives how many values were not.
func (n *Notary) Rewrap(ctx context.Context) (int, error) {
	text, err := n.Tree.Checkpoint(ctx)
	if err != nil || text == "" {
		return 0, err
	}
	kept, err := n.load(ctx)
	if err != nil {
		return 0, err
	}
	sealed, err := n.Sealer.Rewrap(n.place(), kept.Signer)
	if err != nil || sealed == kept.Signer {
		return 0, err
	}
	kept.Signer = sealed
	next, err := json.Marshal(kept)
	if err != nil {
		return 0, err
	}
	head, err := openHead(kept.Checkpoint, kept.Verifier)
	if err != nil {
		return 0, errors.Join(ErrAltered, err)
	}
	return 1, n.Tree.Append(ctx, head.N, nil, nil, string(next))
}

// overlay reads hashes that are about to be kept before those that are.
type overlay struct {
	below tlog.HashReader
	added map[int64][32]byte
}

func (o *overlay) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	var missing []int64
	var places []int
	for i, index := range indexes {
		if hash, ok := o.added[index]; ok {
			hashes[i] = hash
			continue
		}
		missing, places = append(missing, index), append(places, i)
	}
	if len(missing) == 0 {
		return hashes, nil
	}
	below, err := o.below.ReadHashes(missing)
	for i := range below {
		hashes[places[i]] = below[i]
	}
	return hashes, err
}

// stored reads hashes from storage.
func stored(ctx context.Context, tree iam.Tree) tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		raw, err := tree.Hashes(ctx, indexes)
		if err != nil {
			return nil, err
		}
		hashes := make([]tlog.Hash, len(raw))
		for i := range raw {
			hashes[i] = raw[i]
		}
		return hashes, nil
	})
}
