package page

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strings"
)

// MinContrast is the least ratio between text and what is behind it (WCAG 2.2,
// 1.4.3, level AA).
const MinContrast = 4.5

// Theme is the company's look. The zero value is Garde's own.
type Theme struct {
	Name string // shown on top and in the browser's tab; empty is "Garde"
	// Logo is a path on the issuer ("/brand/logo.svg") or a data: image in
	// base64. No page ever fetches from another host.
	Logo        string
	Light, Dark Palette
}

// Palette is the choice of colours for one scheme, each #rrggbb. What is empty
// is Garde's own. All other colours are derived from these.
type Palette struct {
	Accent   string // buttons, links, focus
	OnAccent string // text on buttons; empty picks what reads best
	Ground   string // behind all
	Surface  string // cards and fields
	Ink      string // text
}

// rgb is a colour of the sRGB space.
type rgb struct{ r, g, b uint8 }

// palette is a complete set of colours that can be read.
type palette struct {
	accent, onAccent, accentSoft, accentDeep rgb
	ground, surface, sunk, ink, muted        rgb
	line, edge                               rgb
	danger, dangerSoft, good, goodSoft       rgb
}

// Contrast is the ratio of two colours, from 1 to 21 (WCAG 2.2, relative
// luminance).
func Contrast(a, b string) (float64, error) {
	x, err := colour(a)
	if err != nil {
		return 0, err
	}
	y, err := colour(b)
	if err != nil {
		return 0, err
	}
	return contrast(x, y), nil
}

// palettes completes and checks both schemes and tells all faults at once.
func (t *Theme) palettes() (light, dark palette, err error) {
	if t.Name = clean(t.Name); t.Name == "" {
		t.Name = "Garde"
	}
	var faults []error
	if t.Logo != "" && picture(t.Logo, true) == "" {
		faults = append(faults, errors.New("logo: must be a path on this host, or a data: image in base64"))
	}
	light, err = t.Light.complete(false)
	if err != nil {
		faults = append(faults, fmt.Errorf("light: %w", err))
	}
	dark, err = t.Dark.complete(true)
	if err != nil {
		faults = append(faults, fmt.Errorf("dark: %w", err))
	}
	return light, dark, errors.Join(faults...)
}

func house(dark bool) (Palette, rgb, rgb) {
	if dark {
		return Palette{Accent: "#74d3b7", OnAccent: "#06231b", Ground: "#0d1312", Surface: "#151d1b", Ink: "#e9efed"},
			rgb{0xff, 0x9c, 0x92}, rgb{0x83, 0xd9, 0x9b}
	}
	return Palette{Accent: "#0e5c4c", OnAccent: "#ffffff", Ground: "#f3f4f1", Surface: "#ffffff", Ink: "#14211e"},
		rgb{0xae, 0x1f, 0x1f}, rgb{0x1a, 0x66, 0x34}
}

// complete fills what is empty, derives the rest and checks every pair that
// carries text.
func (p Palette) complete(dark bool) (palette, error) {
	own, danger, good := house(dark)
	if p.Accent == "" {
		p.Accent = own.Accent
		if p.OnAccent == "" {
			p.OnAccent = own.OnAccent
		}
	}
	var faults []error
	read := func(what, chosen, otherwise string) rgb {
		if chosen == "" {
			chosen = otherwise
		}
		c, err := colour(chosen)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", what, err))
		}
		return c
	}
	full := palette{
		accent: read("accent", p.Accent, ""), ground: read("ground", p.Ground, own.Ground),
		surface: read("surface", p.Surface, own.Surface), ink: read("ink", p.Ink, own.Ink),
		danger: danger, good: good,
	}
	full.onAccent = read("on_accent", p.OnAccent, readable(full.accent).String())
	if faults != nil {
		return palette{}, errors.Join(faults...)
	}
	full.derive()
	return full, full.check()
}

// derive mixes the quiet colours: as quiet as they may be and still be read.
func (p *palette) derive() {
	p.sunk = mix(p.ink, p.surface, 0.04)
	p.line = mix(p.ink, p.surface, 0.13)
	p.accentSoft = mix(p.accent, p.surface, 0.09)
	p.accentDeep = mix(p.ink, p.accent, 0.18)
	if contrast(p.accentDeep, p.onAccent) < MinContrast {
		p.accentDeep = p.accent
	}
	p.dangerSoft = mix(p.danger, p.surface, 0.08)
	p.goodSoft = mix(p.good, p.surface, 0.10)
	p.muted = quiet(p.ink, 6, p.surface, p.ground, p.sunk)
	p.edge = quiet(p.ink, 3.2, p.surface, p.ground)
}

func (p *palette) check() error {
	var faults []error
	for _, pair := range []struct {
		text, back string
		a, b       rgb
	}{
		{"ink", "surface", p.ink, p.surface},
		{"ink", "ground", p.ink, p.ground},
		{"on_accent", "accent", p.onAccent, p.accent},
		{"accent", "surface", p.accent, p.surface},
		{"accent", "ground", p.accent, p.ground},
		{"accent", "its tint", p.accent, p.accentSoft},
		{"muted text", "surface", p.muted, p.surface},
		{"muted text", "ground", p.muted, p.ground},
		{"error text", "surface", p.danger, p.surface},
		{"error text", "its tint", p.danger, p.dangerSoft},
		{"success text", "its tint", p.good, p.goodSoft},
	} {
		if c := contrast(pair.a, pair.b); c < MinContrast {
			faults = append(faults, fmt.Errorf("%s %s on %s %s has contrast %.2f:1, at least %.1f:1 is needed",
				pair.text, pair.a, pair.back, pair.b, c, MinContrast))
		}
	}
	return errors.Join(faults...)
}

func colour(text string) (rgb, error) {
	if len(text) == 7 && text[0] == '#' {
		if b, err := hex.DecodeString(text[1:]); err == nil {
			return rgb{b[0], b[1], b[2]}, nil
		}
	}
	return rgb{}, fmt.Errorf("%q is not a colour: write #rrggbb", text)
}

func (c rgb) String() string { return fmt.Sprintf("#%02x%02x%02x", c.r, c.g, c.b) }

func (c rgb) luminance() float64 {
	linear := func(v uint8) float64 {
		s := float64(v) / 255
		if s <= 0.04045 {
			return s / 12.92
		}
		return math.Pow((s+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(c.r) + 0.7152*linear(c.g) + 0.0722*linear(c.b)
}

func contrast(a, b rgb) float64 {
	x, y := a.luminance(), b.luminance()
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// mix lays a over b with the given weight.
func mix(a, b rgb, weight float64) rgb {
	part := func(x, y uint8) uint8 { return uint8(math.Round(float64(x)*weight + float64(y)*(1-weight))) }
	return rgb{part(a.r, b.r), part(a.g, b.g), part(a.b, b.b)}
}

// quiet fades ink into the first ground as far as the ratio on all of them allows.
func quiet(ink rgb, ratio float64, grounds ...rgb) rgb {
	for weight := 0.3; weight < 1; weight += 0.02 {
		c, enough := mix(ink, grounds[0], weight), true
		for _, ground := range grounds {
			enough = enough && contrast(c, ground) >= ratio
		}
		if enough {
			return c
		}
	}
	return ink
}

func readable(on rgb) rgb {
	white, black := rgb{255, 255, 255}, rgb{0x10, 0x14, 0x13}
	if contrast(white, on) >= contrast(black, on) {
		return white
	}
	return black
}

// stylesheet puts the colours before the sheet, which names none itself.
func stylesheet(light, dark palette, sheet string) string {
	return ":root{color-scheme:light dark;" + light.properties() + "}" +
		"@media(prefers-color-scheme:dark){:root{" + dark.properties() + "}}" + compact(sheet)
}

func (p palette) properties() string {
	var b strings.Builder
	for _, v := range []struct {
		name string
		c    rgb
	}{
		{"accent", p.accent}, {"on-accent", p.onAccent}, {"accent-soft", p.accentSoft}, {"accent-deep", p.accentDeep},
		{"ground", p.ground}, {"surface", p.surface}, {"sunk", p.sunk}, {"ink", p.ink}, {"muted", p.muted},
		{"line", p.line}, {"edge", p.edge}, {"danger", p.danger}, {"danger-soft", p.dangerSoft},
		{"good", p.good}, {"good-soft", p.goodSoft},
	} {
		b.WriteString("--" + v.name + ":" + v.c.String() + ";")
	}
	return b.String()
}

// compact drops the indentation and comment lines of the sheet: it travels with each page.
func compact(sheet string) string {
	var b strings.Builder
	for line := range strings.Lines(sheet) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "/*") {
			b.WriteString(line)
		}
	}
	return b.String()
}
