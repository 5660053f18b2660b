// Package signals is how a Gate without storage follows the recipe in force at its Server. It believes a recipe only with
// the Server's signed statement for this Gate. What is revoked, verify.Feed follows.
package signals

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/verify"
	"github.com/gardeauth/garde/recipe"
)

const maxAnswer = 16 << 20

func call(client *http.Client, request *http.Request, into any) (int, error) {
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return response.StatusCode, err
	}
	if response.StatusCode == http.StatusNotModified {
		return response.StatusCode, nil
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return response.StatusCode, fmt.Errorf("status %d without the JSON that was expected", response.StatusCode)
	}
	return response.StatusCode, nil
}

// Recipes follows the recipe in force at the Server. All fields but Now are required.
type Recipes struct {
	Issuer     string
	Client     string                                // of the Gate, at the Server
	Node, Name string                                // of this process
	Authorize  func(context.Context) (string, error) // gives the value of the Authorization header
	Keys       verify.KeySource
	Adopt      func(number int64, bundle *recipe.Bundle) error
	Ready      func() bool
	HTTP       *http.Client // its timeout must be longer than the Server's wait (8 s)
	Log        *slog.Logger
	Now        func() time.Time // nil: time.Now

	epoch   string // numbers count within one history of the storage: a restore begins another
	number  int64
	problem string
	held    string // authorization that the Server took: a new token for each wait would fill the journal
}

// Run follows until ctx ends. A recipe that can't be adopted leaves the former in force; the Server is told why, and it is
// tried again, more and more slowly, because the cause may go without a newer revision.
func (f *Recipes) Run(ctx context.Context) error {
	pause, told := firstPause, ""
	for ctx.Err() == nil {
		err := f.Once(ctx)
		if err == nil {
			pause, told = firstPause, ""
			continue
		}
		if ctx.Err() != nil {
			return nil
		}
		if text := err.Error(); text != told {
			f.Log.Warn("follow the recipe in force", "error", err)
			told = text
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		pause = min(2*pause, longestPause)
	}
	return nil
}

const (
	firstPause   = 100 * time.Millisecond
	longestPause = 5 * time.Second
)

// Once asks once, and adopts what is newer.
func (f *Recipes) Once(ctx context.Context) error {
	said, bundle, err := f.ask(ctx)
	if err != nil || bundle == nil {
		return err
	}
	if err := f.Adopt(said.Revision, bundle); err != nil {
		f.problem = err.Error() // the number stays that of the recipe that is obeyed
		return fmt.Errorf("adopt revision %d: %w", said.Revision, err)
	}
	f.epoch, f.number, f.problem = said.Epoch, said.Revision, ""
	f.Log.Info("adopted", "revision", said.Revision)
	return nil
}

// answer is what the Server says of its recipe.
type answer struct {
	Statement string `json:"statement"`
	Bundle    []byte `json:"bundle"`
}

func (f *Recipes) ask(ctx context.Context) (statement, *recipe.Bundle, error) {
	held := f.held != ""
	if !held {
		authorization, err := f.Authorize(ctx)
		if err != nil {
			return statement{}, nil, err
		}
		f.held = authorization
	}
	said, status, err := f.wait(ctx)
	if status == http.StatusUnauthorized || status == http.StatusForbidden {
		f.held = ""
	}
	switch {
	case status == http.StatusUnauthorized && held:
		return f.ask(ctx) // it has expired, or was revoked: once more with a new one
	case err != nil:
		return statement{}, nil, err
	case status == http.StatusNotModified:
		return statement{}, nil, nil
	case status == http.StatusUnauthorized:
		return statement{}, nil, errors.New("the Server no longer takes the Gate's token")
	case status != http.StatusOK:
		return statement{}, nil, fmt.Errorf("the Server answers %d", status)
	}
	return f.vouched(ctx, said)
}

// wait asks the Server for what is newer, which answers late if nothing is.
func (f *Recipes) wait(ctx context.Context) (said answer, status int, err error) {
	ready := "no"
	if f.Ready() && f.problem == "" {
		ready = "yes"
	}
	query := url.Values{
		"after": {strconv.FormatInt(f.number, 10)}, "node": {f.Node}, "name": {f.Name}, "ready": {ready},
		"epoch": {f.epoch},
	}
	if f.problem != "" {
		query.Set("problem", f.problem)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, f.Issuer+"/signals/recipe?"+query.Encode(), nil)
	if err != nil {
		return answer{}, 0, err
	}
	request.Header.Set("Authorization", f.held)
	status, err = call(f.HTTP, request, &said)
	return said, status, err
}

const typeRecipe = "garde-recipe+jwt"

// statement is what the Server signs beside a recipe.
type statement struct {
	Issuer   string           `json:"iss"`
	Audience string           `json:"aud"`
	Expires  jose.NumericDate `json:"exp"`
	Epoch    string           `json:"epoch"`
	Revision int64            `json:"revision"`
	Digest   string           `json:"digest"`
}

// vouched checks that the Server signed this bundle, for this Gate, just now, and gives both.
func (f *Recipes) vouched(ctx context.Context, said answer) (statement, *recipe.Bundle, error) {
	unverified, err := jose.Parse(said.Statement)
	if err != nil {
		return statement{}, nil, err
	}
	if unverified.Header.Typ != typeRecipe {
		return statement{}, nil, errors.New("the statement beside the recipe is another kind of token")
	}
	key, err := f.Keys.Key(ctx, unverified.Header.KeyID)
	if err != nil {
		return statement{}, nil, err
	}
	payload, err := key.Verify(unverified)
	if err != nil {
		return statement{}, nil, err
	}
	var claims statement
	if err := jose.DecodeJSON(payload, &claims); err != nil {
		return statement{}, nil, err
	}
	now := time.Now
	if f.Now != nil {
		now = f.Now
	}
	switch {
	case claims.Issuer != f.Issuer || claims.Audience != f.Client:
		return statement{}, nil, errors.New("the recipe is for another Gate, or from another Server")
	case now().Unix() >= int64(claims.Expires):
		return statement{}, nil, errors.New("the statement beside the recipe has expired")
	case claims.Epoch == "" || claims.Revision < 1:
		return statement{}, nil, errors.New("the statement names no revision")
	case claims.Epoch == f.epoch && claims.Revision <= f.number:
		return statement{}, nil, errors.New("the recipe is not newer than the one that is obeyed")
	}
	bundle, err := recipe.Parse(said.Bundle)
	if err != nil {
		return statement{}, nil, err
	}
	if claims.Digest != bundle.Digest() {
		return statement{}, nil, errors.New("the recipe is not the one that the Server signed for")
	}
	return claims, bundle, nil
}
