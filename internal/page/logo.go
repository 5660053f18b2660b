package page

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"image"
	"image/color"
	"image/draw"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"net/http"
	"sync"
	"time"
)

// What a client's logo may cost us.
const (
	logoSide   = 104                     // of the square that is drawn, in pixels: 52 on a fine screen
	logoPixels = 1 << 20                 // of what is sent to us: decoding allocates by them
	logoWait   = 1500 * time.Millisecond // of a page for a logo that nobody has seen yet
	logoDraw   = 500 * time.Millisecond  // of a decoder: few bytes can be work for long (a JPEG of thousands of scans)
	logoBite   = 256                     // bytes between two looks at the clock: some 20 ms of the worst
	logoLife   = 24 * time.Hour
	logoRetry  = 10 * time.Minute // before an address that failed is asked again
	logoMost   = 256              // kept; each is some 20 KiB
)

// Logos draws the logos of clients anew, as small pictures of ours that travel inside the page: no browser asks a client's
// host for anything, so no host learns who is about to sign in, and no byte that a stranger chose reaches a browser's
// decoder. A nil Logos has none. It is safe for use by many goroutines.
type Logos struct {
	// Fetch gets a document by the rules for what strangers name, as fetch.Fetcher does. It bounds size and time.
	Fetch func(ctx context.Context, target string) (body []byte, err error)
	Now   func() time.Time // nil: time.Now

	drawing sync.Mutex // one at a time, so that many large pictures at once are no attack
	mu      sync.Mutex
	kept    map[string]*drawn
}

// drawn is one logo, or that there is none; ready is closed once the rest is known.
type drawn struct {
	ready chan struct{}
	data  string
	until time.Time
}

// Of gives the picture at the address for Client.Logo, or "" when there is none, or none in time: the page then shows the
// first letter of the name. An address that fails costs one page a moment, and then nobody for a while.
func (l *Logos) Of(ctx context.Context, address string) string {
	if l == nil || link(address) == "" {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, logoWait)
	defer cancel()
	one, first := l.find(address)
	if first {
		l.fill(ctx, address, one)
	}
	select {
	case <-one.ready:
		return one.data
	case <-ctx.Done():
		return ""
	}
}

func (l *Logos) now() time.Time {
	if l.Now != nil {
		return l.Now()
	}
	return time.Now()
}

// find gives what is kept of the address, and whether the caller is the one to fill it in.
func (l *Logos) find(address string) (one *drawn, first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if one = l.kept[address]; one != nil && (one.until.IsZero() || l.now().Before(one.until)) {
		return one, false
	}
	if l.kept == nil {
		l.kept = map[string]*drawn{}
	}
	if one == nil && len(l.kept) >= logoMost {
		delete(l.kept, l.least())
	}
	one = &drawn{ready: make(chan struct{})}
	l.kept[address] = one
	return one, true
}

// least gives the address that has the least to lose: what failed before what was drawn, the old before the new, and what is
// being drawn last. Whoever waits for it gets it all the same.
func (l *Logos) least() string {
	var address string
	var least time.Time
	for each, one := range l.kept {
		if address == "" || !one.until.IsZero() && (least.IsZero() || one.until.Before(least)) {
			address, least = each, one.until
		}
	}
	return address
}

func (l *Logos) fill(ctx context.Context, address string, one *drawn) {
	life := logoRetry
	defer func() { // also when a decoder panics: nobody waits for ever
		l.mu.Lock()
		one.until = l.now().Add(life)
		l.mu.Unlock()
		close(one.ready)
	}()
	body, err := l.Fetch(ctx, address)
	if err == nil {
		l.drawing.Lock()
		defer l.drawing.Unlock()
		if ctx.Err() != nil { // it waited for the pictures of others, which says nothing of this one
			life = 0
			return
		}
		one.data, err = redraw(ctx, body)
	}
	switch {
	case err == nil:
		life = logoLife
	case errors.Is(ctx.Err(), context.Canceled): // the person went away: that says nothing of the host
		life = 0
	}
}

var errNoLogo = errors.New("no PNG, JPEG or GIF of a bearable size")

// decoders are by what the first bytes say, whatever the content type was. There is none for SVG, which is a program.
var decoders = map[string]struct {
	measure func(io.Reader) (image.Config, error)
	decode  func(io.Reader) (image.Image, error)
}{
	"image/png":  {png.DecodeConfig, png.Decode},
	"image/jpeg": {jpeg.DecodeConfig, jpeg.Decode},
	"image/gif":  {gif.DecodeConfig, gif.Decode},
}

// bites feeds a decoder in small pieces, and nothing more once over says so.
type bites struct {
	from io.Reader
	over func() error
}

func (b bites) Read(into []byte) (int, error) {
	if err := b.over(); err != nil {
		return 0, err
	}
	return b.from.Read(into[:min(len(into), logoBite)])
}

// redraw makes of a picture a square one of ours, as a data: address.
func redraw(ctx context.Context, body []byte) (string, error) {
	with, known := decoders[http.DetectContentType(body)]
	if !known {
		return "", errNoLogo
	}
	ctx, cancel := context.WithTimeout(ctx, logoDraw)
	defer cancel()
	size, err := with.measure(bites{bytes.NewReader(body), ctx.Err})
	if err != nil || size.Width < 1 || size.Height < 1 || size.Width > logoPixels/size.Height {
		return "", errNoLogo
	}
	picture, err := with.decode(bites{bytes.NewReader(body), ctx.Err})
	if err != nil || picture.Bounds().Empty() { // the first frame of a GIF may be smaller than what was measured
		return "", errNoLogo
	}
	var out bytes.Buffer
	if err := png.Encode(&out, square(picture)); err != nil {
		return "", err
	}
	return "data:image/png;base64," + base64.StdEncoding.EncodeToString(out.Bytes()), nil
}

// square draws a picture into the middle of the square, whole, each pixel the mean of those that it stands for.
func square(shown image.Image) image.Image {
	from := image.NewRGBA(image.Rect(0, 0, shown.Bounds().Dx(), shown.Bounds().Dy()))
	draw.Draw(from, from.Bounds(), shown, shown.Bounds().Min, draw.Src)
	wide, high := from.Rect.Dx(), from.Rect.Dy()
	long := max(wide, high)
	width, height := max(1, wide*logoSide/long), max(1, high*logoSide/long)
	to := image.NewRGBA(image.Rect(0, 0, logoSide, logoSide))
	left, top := (logoSide-width)/2, (logoSide-height)/2
	for y := range height {
		for x := range width {
			area := image.Rect(x*wide/width, y*high/height, (x+1)*wide/width, (y+1)*high/height)
			area.Max.X, area.Max.Y = max(area.Max.X, area.Min.X+1), max(area.Max.Y, area.Min.Y+1)
			to.SetRGBA(left+x, top+y, mean(from, area))
		}
	}
	return to
}

func mean(from *image.RGBA, area image.Rectangle) color.RGBA {
	var sum [4]int
	for y := area.Min.Y; y < area.Max.Y; y++ {
		for x := area.Min.X; x < area.Max.X; x++ {
			at := from.PixOffset(x, y)
			for i := range sum {
				sum[i] += int(from.Pix[at+i])
			}
		}
	}
	count := area.Dx() * area.Dy()
	byteOf := func(i int) uint8 { return uint8(sum[i] / count) } //nolint:gosec // a mean of bytes
	return color.RGBA{R: byteOf(0), G: byteOf(1), B: byteOf(2), A: byteOf(3)}
}
