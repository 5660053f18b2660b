package consent_test

import (
	"bytes"
	"context"
	"image"
	"image/png"
	"strings"
	"testing"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/page"
	"github.com/gardeauth/garde/internal/server/consent"
	"github.com/gardeauth/garde/recipe"
)

// Who registered itself could borrow anybody's logo: only a client that somebody vouches for shows one.
func TestN09ALogoIsShownOfWhomSomebodyVouchesFor(t *testing.T) {
	var dot bytes.Buffer
	if err := png.Encode(&dot, image.NewRGBA(image.Rect(0, 0, 4, 4))); err != nil {
		t.Fatal(err)
	}
	asked := 0
	logos := &page.Logos{Fetch: func(context.Context, string) ([]byte, error) { asked++; return dot.Bytes(), nil }}
	client := iam.Client{ID: "app", Metadata: recipe.Metadata{
		LogoURI: "https://app.example/logo.png", PolicyURI: "https://app.example/privacy", TermsURI: "https://app.example/terms",
	}}
	client.Unverified = true
	if who := consent.Who(t.Context(), client, nil, logos); who.Logo != "" || asked != 0 || !who.Unverified {
		t.Errorf("of a stranger it shows %.40s after %d fetches", who.Logo, asked)
	}
	client.Unverified = false
	who := consent.Who(t.Context(), client, nil, logos)
	if !strings.HasPrefix(who.Logo, "data:image/png;base64,") || who.Policy != client.PolicyURI || who.Terms != client.TermsURI || who.Name != "app" {
		t.Errorf("it shows %+v", who)
	}
}
