package recipe

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Source is a file as it was written, comments included.
type Source struct {
	Name string `json:"name"`
	Text []byte `json:"text"`
}

// Bundle is what is applied: the recipe with its overlay, and every file that they name. A bundle that Load, Assemble or
// Parse returned has passed every check; nobody changes one.
type Bundle struct {
	Recipe   *Recipe           // base and overlay merged
	Env      string            // name of the overlay, or ""
	Sources  []Source          // recipe.yaml, then the overlay
	Files    map[string][]byte // what the recipe names: keys, logo, password list
	Findings Faults            // what is allowed and deserves a look; not part of the digest
}

// bundleFormat is the number of the encoding, so that storage may outlive it.
const bundleFormat = 1

// maxBundle bounds an encoded bundle.
const maxBundle = 32 << 20

type encodedBundle struct {
	Bundle  int               `json:"bundle"`
	Env     string            `json:"env"`
	Sources []Source          `json:"sources"`
	Files   map[string][]byte `json:"files"`
}

// Assemble checks sources (the recipe, then at most one overlay) and the files that they name, without touching a disk.
// A zero now leaves dates uncompared. A file that is not named is an error, and so is a named one that is not there.
func Assemble(env string, sources []Source, files map[string][]byte, now time.Time) (*Bundle, error) {
	if err := checkSources(env, sources); err != nil {
		return nil, err
	}
	bundle, r, _ := gather(sources, now)
	if bundle == nil {
		return nil, r.faults.orNil()
	}
	err := r.attach(bundle, env, func(named namedFile) ([]byte, error) {
		content, ok := files[named.name]
		if !ok {
			return nil, refuse("put it beside the recipe", "the file %s is not there", show(named.name))
		}
		return content, nil
	})
	if err != nil {
		return nil, err
	}
	for name := range files {
		if _, named := bundle.Files[name]; !named {
			return nil, fmt.Errorf("recipe: nothing names the file %s", show(name))
		}
	}
	return bundle, nil
}

// attach gives the bundle every file that its recipe names, and then says all that is wrong with both.
func (r *reading) attach(bundle *Bundle, env string, open func(namedFile) ([]byte, error)) error {
	bundle.Env, bundle.Files = env, map[string][]byte{}
	for _, named := range bundle.Recipe.files() {
		if !localName(named.name) {
			r.fault(named.at, show(named.name)+" is not a file below the recipe's folder", "write a relative path with forward slashes, without ..")
			continue
		}
		content, err := open(named)
		if err == nil {
			err = named.use.check(content)
		}
		r.refused(named.at, err)
		bundle.Files[named.name] = content
	}
	r.keysFit(bundle.Files)
	return r.faults.orNil()
}

func checkSources(env string, sources []Source) error {
	switch {
	case env != "" && !isName(env):
		return fmt.Errorf("recipe: %s is not the name of an environment: %s", show(env), nameHint)
	case env == "" && len(sources) != 1 || env != "" && len(sources) != 2:
		return errors.New("recipe: a bundle has a recipe, and one overlay if it is for an environment")
	}
	for _, source := range sources {
		if !localName(source.Name) {
			return fmt.Errorf("recipe: %s is not the name of a file", show(source.Name))
		}
	}
	return nil
}

// Marshal gives the canonical encoding: the same bundle always gives the same bytes. It holds the sources as they were
// written and no secret.
func (b *Bundle) Marshal() []byte {
	files := map[string][]byte{}
	for name, content := range b.Files {
		files[name] = append([]byte{}, content...) // nil and empty are the same file
	}
	encoded, err := json.Marshal(encodedBundle{bundleFormat, b.Env, b.Sources, files})
	if err != nil {
		panic("recipe: strings and bytes always have an encoding: " + err.Error())
	}
	return encoded
}

// Parse reads what Marshal wrote, and nothing else: an encoding that is not canonical to the byte is refused. The recipe
// in it is checked again, except that no date is compared with today.
func Parse(encoded []byte) (*Bundle, error) {
	if len(encoded) > maxBundle {
		return nil, errors.New("recipe: the bundle is too long")
	}
	var read encodedBundle
	if err := json.Unmarshal(encoded, &read); err != nil {
		return nil, fmt.Errorf("recipe: this is not a bundle: %w", err)
	}
	if read.Bundle != bundleFormat {
		return nil, fmt.Errorf("recipe: bundle format %d is not one that this program reads", read.Bundle)
	}
	bundle, err := Assemble(read.Env, read.Sources, read.Files, time.Time{})
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(bundle.Marshal(), encoded) {
		return nil, errors.New("recipe: the bundle is not in its canonical encoding")
	}
	return bundle, nil
}

// Digest names the bundle: sha256 of the canonical encoding, in hexadecimal. The order of files does not matter, their
// every byte does.
func (b *Bundle) Digest() string {
	sum := sha256.Sum256(b.Marshal())
	return hex.EncodeToString(sum[:])
}
