package page_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/page"
)

// painted is a picture with a red left half.
func painted(t testing.TB, wide, high int, encode func(*bytes.Buffer, image.Image) error) []byte {
	t.Helper()
	picture := image.NewRGBA(image.Rect(0, 0, wide, high))
	for y := range high {
		for x := range wide {
			picture.Set(x, y, color.RGBA{R: map[bool]uint8{true: 255}[x < wide/2], B: 90, A: 255})
		}
	}
	var out bytes.Buffer
	if err := encode(&out, picture); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func asPNG(out *bytes.Buffer, picture image.Image) error  { return png.Encode(out, picture) }
func asJPEG(out *bytes.Buffer, picture image.Image) error { return jpeg.Encode(out, picture, nil) }
func asGIF(out *bytes.Buffer, picture image.Image) error  { return gif.Encode(out, picture, nil) }

// giving answers every address with one body.
func giving(body []byte, err error) *page.Logos {
	return &page.Logos{Fetch: func(context.Context, string) ([]byte, error) { return body, err }}
}

const logoAt = "https://app.example/logo.png"

func TestN09ALogoIsDrawnAnew(t *testing.T) {
	for name, body := range map[string][]byte{
		"PNG": painted(t, 300, 300, asPNG), "JPEG": painted(t, 90, 40, asJPEG), "GIF": painted(t, 20, 64, asGIF), "a dot": painted(t, 1, 1, asPNG),
		"a line": painted(t, 4000, 1, asPNG), "a tail of script": append(painted(t, 200, 100, asPNG), "<script>alert(1)</script>"...),
	} {
		t.Run(name, func(t *testing.T) {
			got := giving(body, nil).Of(t.Context(), logoAt)
			coded, ok := strings.CutPrefix(got, "data:image/png;base64,")
			raw, err := base64.StdEncoding.DecodeString(coded)
			if !ok || err != nil || bytes.Contains(raw, []byte("script")) {
				t.Fatalf("it gives %.60s, %v", got, err)
			}
			picture, err := png.Decode(bytes.NewReader(raw))
			if err != nil || picture.Bounds().Dx() != 104 || picture.Bounds().Dy() != 104 {
				t.Fatalf("it is no square of ours: %v", err)
			}
			if _, _, _, alpha := picture.At(51, 51).RGBA(); alpha == 0 {
				t.Error("the middle is empty")
			}
			_, _, body := show(t, pages(t), page.Consent{Common: sampleCommon(), Flow: "f", Client: page.Client{Name: "Budget", Logo: got}}, "en")
			if !strings.Contains(body, `src="data:image/png;base64,`) {
				t.Error("the page does not show it")
			}
		})
	}
}

func TestN09WhatIsNoLogoIsALetter(t *testing.T) {
	large := painted(t, 1<<11, 1<<10, asPNG)
	for name, c := range map[string]struct {
		at   string
		body []byte
		err  error
	}{
		"SVG":              {logoAt, []byte(`<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`), nil},
		"HTML":             {logoAt, []byte("<!doctype html><title>x</title>"), nil},
		"nothing":          {logoAt, nil, nil},
		"half a picture":   {logoAt, painted(t, 300, 300, asPNG)[:200], nil},
		"too many pixels":  {logoAt, large, nil},
		"a dead host":      {logoAt, nil, errors.New("dead")},
		"plain http":       {"http://app.example/logo.png", painted(t, 8, 8, asPNG), nil},
		"a data address":   {"data:image/png;base64,AAAA", painted(t, 8, 8, asPNG), nil},
		"with credentials": {"https://a:b@app.example/logo.png", painted(t, 8, 8, asPNG), nil},
		"none":             {"", painted(t, 8, 8, asPNG), nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := giving(c.body, c.err).Of(t.Context(), c.at); got != "" {
				t.Errorf("it gives %.60s", got)
			}
		})
	}
	if got := (*page.Logos)(nil).Of(t.Context(), logoAt); got != "" {
		t.Errorf("nobody draws %.60s", got)
	}
}

func TestG08ADeadLogoCostsOnePageAMoment(t *testing.T) {
	now, asked := time.Now(), 0
	var mu sync.Mutex
	body := painted(t, 8, 8, asPNG)
	logos := &page.Logos{
		Now: func() time.Time { return now },
		Fetch: func(ctx context.Context, target string) ([]byte, error) {
			mu.Lock()
			asked++
			mu.Unlock()
			if strings.Contains(target, "dead") {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return body, nil
		},
	}
	begun := time.Now()
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() { logos.Of(t.Context(), "https://dead.example/logo") })
	}
	all.Wait()
	if took := time.Since(begun); asked != 1 || took > 3*time.Second {
		t.Errorf("%d fetches, %s", asked, took)
	}
	if begun = time.Now(); logos.Of(t.Context(), "https://dead.example/logo") != "" || time.Since(begun) > 500*time.Millisecond || asked != 1 {
		t.Errorf("the second page waited %s, %d fetches", time.Since(begun), asked)
	}
	for range 3 {
		if logos.Of(t.Context(), logoAt) == "" {
			t.Error("another host's logo is not there")
		}
	}
	if now = now.Add(25 * time.Hour); logos.Of(t.Context(), logoAt) == "" || asked != 3 {
		t.Errorf("%d fetches after a day", asked)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	fresh := &page.Logos{Fetch: func(ctx context.Context, _ string) ([]byte, error) { return body, ctx.Err() }}
	fresh.Of(gone, logoAt)
	if fresh.Of(t.Context(), logoAt) == "" {
		t.Error("a person who went away took the logo from the next one")
	}
}

// TestAFullMemoryOfLogosForgetsOne: what is drawn stays when hosts that give nothing fill the memory.
func TestAFullMemoryOfLogosForgetsOne(t *testing.T) {
	asked, picture := map[string]int{}, painted(t, 40, 40, asPNG)
	now := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	logos := &page.Logos{Now: func() time.Time { return now }, Fetch: func(_ context.Context, target string) ([]byte, error) {
		asked[target]++
		if strings.HasPrefix(target, "https://app.example/") {
			return picture, nil
		}
		return nil, errors.New("nobody answers")
	}}
	old, young := logoAt+"?old", logoAt+"?young"
	for _, each := range []string{old, young} {
		if logos.Of(t.Context(), each) == "" {
			t.Fatalf("%s is not drawn", each)
		}
		now = now.Add(time.Minute)
	}
	for n := range 600 {
		logos.Of(t.Context(), fmt.Sprintf("https://%d.example/logo.png", n))
	}
	for _, each := range []string{old, young} {
		if logos.Of(t.Context(), each) == "" || asked[each] != 1 {
			t.Errorf("%s was asked for %d times", each, asked[each])
		}
	}
	for n := range 255 { // with the young one all that fits
		if logos.Of(t.Context(), fmt.Sprintf("%s?%d", logoAt, n)) == "" {
			t.Fatalf("the logo %d is not drawn", n)
		}
	}
	logos.Of(t.Context(), young)
	logos.Of(t.Context(), old)
	if asked[young] != 1 || asked[old] != 2 {
		t.Errorf("the young one was asked for %d times, the old one %d times", asked[young], asked[old])
	}
}

func FuzzN09Logo(f *testing.F) {
	for _, body := range [][]byte{painted(f, 9, 5, asPNG), painted(f, 9, 5, asJPEG), painted(f, 9, 5, asGIF), []byte("GIF89a"), hollow(0, 5), slowToDraw(f, 3), nil} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got := giving(body, nil).Of(t.Context(), logoAt)
		if len(got) > 100<<10 {
			t.Errorf("%d bytes", len(got))
		}
	})
}
