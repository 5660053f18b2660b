// Package notary makes the journal provable: it adds each committed row to a Merkle tree, signs the tree's head, and tells
// exactly what was altered when somebody asks. A signed head that stands elsewhere proves later that nothing before it
// was changed, added or taken away.
package notary

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
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
	// Now is the clock; nil is time.Now. Ids of events tell the time of the nodes that made them.
	Now func() time.Time

	turn  sync.Mutex
	known *known // nil when it has to be read anew
}

const (
	pace  = 400 * time.Millisecond // rows are leaves within a second
	batch = 4096                   // rows in one deed: some twenty tiles, written in two milliseconds
	// Deeds of many callers are not committed in the order of their events' ids. Most of that is over after a moment, and
	// whoever waits for it has not to look for late rows.
	settle = 100 * time.Millisecond
)

// ErrAltered says that the tree in storage is not the one whose head was signed: nothing is added to it.
var ErrAltered = errors.New("the journal's tree is not the one that was signed: garde journal verify tells what was altered")

// state is what stands in storage as the checkpoint: the signed head, and the key that signs, sealed. The key is made
// with the first head, and both are replaced in one deed.
type state struct {
	Checkpoint string `json:"checkpoint"`
	Verifier   string `json:"verifier"`
	Signer     string `json:"signer"` // sealed
	Whole      int64  `json:"whole"`  // rows of slots before this one are leaves, all of them
}

func (n *Notary) now() time.Time {
	if n.Now != nil {
		return n.Now()
	}
	return time.Now()
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
		err := n.catchUp(ctx, n.now().Add(-settle))
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
func (n *Notary) CatchUp(ctx context.Context) error { return n.catchUp(ctx, time.Time{}) }

// catchUp adds rows made before then; the zero time says all, and to look again for late ones.
func (n *Notary) catchUp(ctx context.Context, before time.Time) error {
	n.turn.Lock()
	defer n.turn.Unlock()
	for more := true; more; {
		var err error
		if more, err = n.once(ctx, before); err != nil {
			n.known = nil
			return err
		}
	}
	return nil
}

// once adds at most a batch, and tells whether there may be more.
func (n *Notary) once(ctx context.Context, before time.Time) (bool, error) {
	if n.known == nil {
		if waits, err := n.waits(ctx); err != nil || !waits {
			return false, err
		}
		if err := n.recall(ctx); err != nil {
			return false, err
		}
	}
	found, err := n.gather(ctx, before)
	if err != nil || len(found.rows) == 0 {
		return false, err
	}
	if mine, err := n.mine(ctx); err != nil || !mine {
		n.known = nil
		return false, err
	}
	switch err := n.add(ctx, found); {
	case errors.Is(err, iam.ErrRaced): // another node has added: see how far it came
		n.known = nil
		return true, nil
	case err != nil:
		return false, err
	}
	n.known.listed(found)
	return found.more, nil
}

func (n *Notary) mine(ctx context.Context) (bool, error) {
	if n.Lease == nil {
		return true, nil
	}
	return n.Lease(ctx)
}

// waits tells whether this node has something to do that does not know the tree yet.
func (n *Notary) waits(ctx context.Context) (bool, error) {
	if n.Lease == nil {
		return true, nil
	}
	head, err := n.Tree.Head(ctx)
	if err != nil {
		return false, err
	}
	rows, err := n.Tree.LeavesAfter(ctx, head.Newest, "", 1)
	if err != nil || len(rows) == 0 {
		return false, err
	}
	return n.mine(ctx)
}

func (n *Notary) add(ctx context.Context, found found) error {
	head, err := n.Tree.Head(ctx)
	if err != nil {
		return err
	}
	if head.Size != n.known.size {
		return iam.ErrRaced
	}
	kept, err := n.load(head.Checkpoint)
	if err != nil {
		return err
	}
	grown, err := openFrontier(ctx, n.Tree, head.Size)
	if err == nil {
		err = unaltered(kept, head.Size, grown)
	}
	if errors.Is(err, ErrAltered) {
		if now, err := n.Tree.Head(ctx); err == nil && now.Size != head.Size {
			return iam.ErrRaced // it grew between the two looks
		}
	}
	if err != nil {
		return err
	}
	var buffer []byte
	for _, row := range found.rows {
		buffer = append(append(buffer[:0], 0), row.Data...) // tlog.RecordHash, without making something for each row
		grown.add(row.Event, sha256.Sum256(buffer))
	}
	root, err := tlog.TreeHash(grown.size, grown)
	if err != nil {
		return err
	}
	kept.Whole = found.whole
	text, err := n.sign(kept, tlog.Tree{N: grown.size, Hash: root})
	if err != nil {
		return err
	}
	return n.Tree.Append(ctx, head.Size, int64(len(found.rows)), grown.changed(), text)
}

// unaltered compares the tree in storage with the head that was signed last: a forged tree never gets a signature.
func unaltered(kept *state, size int64, hashes tlog.HashReader) error {
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
func (n *Notary) load(text string) (*state, error) {
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
	// While somebody puts all that is sealed under a new master key, this write must not bring back the old.
	if next.Signer, err = n.Sealer.Rewrap(n.place(), kept.Signer); err != nil {
		return "", err
	}
	text, err := json.Marshal(next)
	return string(text), err
}

// Head gives the last signed head and the key that verifies it; both empty before the first row.
func (n *Notary) Head(ctx context.Context) (checkpoint, verifier string, err error) {
	head, err := n.Tree.Head(ctx)
	if err != nil || head.Checkpoint == "" {
		return "", "", err
	}
	kept, err := n.load(head.Checkpoint)
	if err != nil {
		return "", "", err
	}
	return kept.Checkpoint, kept.Verifier, nil
}
