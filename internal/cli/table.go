package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// table aligns columns. Cells are foreign text: what could move a terminal's cursor is made visible.
type table struct {
	rows [][]string
}

func (t *table) row(cells ...any) {
	row := make([]string, len(cells))
	for i, cell := range cells {
		row[i] = cellText(cell)
	}
	t.rows = append(t.rows, row)
}

func cellText(cell any) string {
	switch cell := cell.(type) {
	case time.Time:
		if cell.IsZero() {
			return "-"
		}
		return cell.Local().Format("2006-01-02 15:04:05")
	case []string:
		return printable(strings.Join(cell, " "))
	case bool:
		if cell {
			return "yes"
		}
		return "no"
	}
	if text := strings.TrimSpace(fmt.Sprint(cell)); text != "" {
		return printable(text)
	}
	return "-"
}

// printable takes from a text what a terminal would obey.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return '?'
		}
		return r
	}, text)
}

// write prints the rows, each column as wide as its widest cell.
func (t *table) write(out io.Writer, paint func(row, column int, text string) string) {
	var widths []int
	for _, row := range t.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for i, row := range t.rows {
		var line strings.Builder
		for j, cell := range row {
			shown := cell
			if paint != nil {
				shown = paint(i, j, cell)
			}
			line.WriteString(shown)
			if j < len(row)-1 {
				line.WriteString(strings.Repeat(" ", widths[j]-utf8.RuneCountInString(cell)+2))
			}
		}
		fmt.Fprintln(out, line.String())
	}
}

// show prints a value: as JSON where that was asked, else as the rows that fill gives.
func (p *program) show(value any, fill func(*table)) error {
	if p.asJSON {
		return p.printJSON(value)
	}
	var t table
	fill(&t)
	t.write(p.stdout, nil)
	return nil
}

// list prints rows under a head.
func (p *program) list(value any, head []any, fill func(*table)) error {
	if p.asJSON {
		return p.printJSON(value)
	}
	var t table
	t.row(head...)
	fill(&t)
	t.write(p.stdout, func(row, _ int, text string) string {
		if row == 0 {
			return p.paint(dim, text)
		}
		return text
	})
	return nil
}

func (p *program) printJSON(value any) error {
	encoder := json.NewEncoder(p.stdout)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

// colour is a sequence of ECMA-48.
type colour string

const (
	red    colour = "31"
	green  colour = "32"
	yellow colour = "33"
	dim    colour = "2"
)

// paint colours a text, on a terminal that wants it.
func (p *program) paint(c colour, text string) string {
	if !p.coloured() {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}

func (p *program) coloured() bool {
	if p.noColor || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	out, ok := p.stdout.(*os.File)
	return ok && term.IsTerminal(int(out.Fd()))
}
