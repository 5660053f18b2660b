package page_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/page"
)

// hollow is a GIF whose only frame is so large, within a screen that is larger.
func hollow(wide, high uint16) []byte {
	out := []byte("GIF89a\x0a\x00\x0a\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff\x2c\x00\x00\x00\x00")
	out = binary.LittleEndian.AppendUint16(out, wide)
	out = binary.LittleEndian.AppendUint16(out, high)
	return append(out, 0, 2, 1, 0x2c, 0, ';') // clear, end
}

// slowToDraw is a progressive JPEG of few bytes and many scans, each of which walks over every block of a large picture.
func slowToDraw(t testing.TB, scans int) []byte {
	t.Helper()
	out := []byte{0xff, 0xd8}
	segment := func(marker byte, body ...byte) {
		out = append(out, 0xff, marker)
		out = binary.BigEndian.AppendUint16(out, uint16(len(body)+2))
		out = append(out, body...)
	}
	segment(0xdb, append([]byte{0}, bytes.Repeat([]byte{1}, 64)...)...)
	segment(0xc2, 8, 0x04, 0, 0x04, 0, 1, 1, 0x11, 0) // 1024 x 1024, grey
	// Two codes of one bit: 0 ends a band for 2^14 blocks, of which there are just as many.
	segment(0xc4, append([]byte{0x10, 2}, append(make([]byte, 15), 0xe0, 0x00)...)...)
	for n := range scans {
		segment(0xda, 1, 1, 0, 1, 63, map[bool]byte{true: 0x01, false: 0x10}[n == 0])
		out = append(out, 0x00, 0x01)
	}
	return append(out, 0xff, 0xd9)
}

func TestN09G08APictureWithoutAPixelIsALetter(t *testing.T) {
	for name, size := range map[string][2]uint16{"nothing": {0, 0}, "no width": {0, 5}, "no height": {5, 0}} {
		t.Run(name, func(t *testing.T) {
			if got := giving(hollow(size[0], size[1]), nil).Of(t.Context(), logoAt); got != "" {
				t.Errorf("it gives %.60s", got)
			}
		})
	}
}

// TestG08APictureThatIsWorkToDrawCostsAMoment: a quarter of a megabyte that would keep a processor busy for long is given up,
// and the next client's logo is there.
func TestG08APictureThatIsWorkToDrawCostsAMoment(t *testing.T) {
	bomb, good := slowToDraw(t, 21_000), painted(t, 30, 30, asPNG)
	if len(bomb) > 256<<10 {
		t.Fatalf("%d bytes would not be fetched", len(bomb))
	}
	if giving(slowToDraw(t, 3), nil).Of(t.Context(), logoAt) == "" {
		t.Fatal("it is no picture at all, so the test tells nothing")
	}
	logos := &page.Logos{Fetch: func(_ context.Context, at string) ([]byte, error) {
		if strings.Contains(at, "bomb") {
			return bomb, nil
		}
		return good, nil
	}}
	begun := time.Now()
	if logos.Of(t.Context(), "https://x.example/bomb") != "" || time.Since(begun) > 5*time.Second {
		t.Errorf("it was drawn, or a page waited %s for it", time.Since(begun))
	}
	var pages sync.WaitGroup
	for n := range 5 {
		pages.Go(func() { logos.Of(t.Context(), fmt.Sprintf("https://x.example/bomb/%d", n)) })
	}
	for begun = time.Now(); logos.Of(t.Context(), logoAt) == ""; {
		if time.Since(begun) > 10*time.Second {
			t.Fatal("an honest client's logo never came")
		}
	}
	pages.Wait()
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("five pages together waited %s", took)
	}
}
