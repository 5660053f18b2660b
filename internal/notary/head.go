package notary

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// headText is the text that is signed: origin, number of leaves and root, a line each.
func headText(origin string, head tlog.Tree) string {
	return fmt.Sprintf("%s\n%d\n%s\n", origin, head.N, head.Hash)
}

// openHead verifies a signed head and reads it.
func openHead(checkpoint, verifierKey string) (tlog.Tree, error) {
	verifier, err := note.NewVerifier(verifierKey)
	if err != nil {
		return tlog.Tree{}, errors.New("the key that verifies checkpoints can't be read")
	}
	opened, err := note.Open([]byte(checkpoint), note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("the checkpoint was not signed by this journal: %w", err)
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() {
		return tlog.Tree{}, errors.New("the checkpoint is not one of this journal")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || strconv.FormatInt(size, 10) != lines[1] {
		return tlog.Tree{}, errors.New("the checkpoint has no size")
	}
	root, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: root}, err
}

// leafFields are the parts of a leaf, in its order, behind the name of the format.
func leafFields() []string {
	return []string{"id", "at", "kind", "actor", "client", "user", "session", "grant", "trace", "detail", "commitment"}
}

const leafFormat = "garde-journal-1"

// Decode takes the bytes of a leaf apart: every part is its length, a colon, its bytes and a comma.
func Decode(leaf []byte) (map[string]string, error) {
	wrong := errors.New("the leaf is not in the format " + leafFormat)
	rest := string(leaf)
	var parts []string
	for rest != "" {
		size, after, found := strings.Cut(rest, ":")
		length, err := strconv.Atoi(size)
		if !found || err != nil || strconv.Itoa(length) != size || length < 0 || length >= len(after) || after[length] != ',' {
			return nil, wrong
		}
		parts = append(parts, after[:length])
		rest = after[length+1:]
	}
	names := leafFields()
	if len(parts) != len(names)+1 || parts[0] != leafFormat {
		return nil, wrong
	}
	fields := make(map[string]string, len(names))
	for i, name := range names {
		if parts[i+1] != "" {
			fields[name] = parts[i+1]
		}
	}
	return fields, nil
}
