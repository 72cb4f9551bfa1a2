package main

import (
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// table prints rows in aligned columns, two spaces apart, without anything at the ends of
// lines. On a terminal no line is longer than the terminal is wide; elsewhere nothing is cut.
type table struct {
	columns []column
	rows    [][]string
}

type column struct {
	title string
	right bool // numbers
	keep  bool // shown though no row has anything in it
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// write prints the table to w.
func (t *table) write(w io.Writer) error {
	widths := t.widths()
	most := terminalWidth(w)
	var b strings.Builder
	titles := make([]string, len(t.columns))
	for i, c := range t.columns {
		titles[i] = c.title
	}
	for _, row := range append([][]string{titles}, t.rows...) {
		b.WriteString(cut(t.line(row, widths), most))
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// widths returns the width of each column; 0 leaves it out.
func (t *table) widths() []int {
	widths := make([]int, len(t.columns))
	for i, c := range t.columns {
		for _, row := range t.rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(clean(row[i])))
		}
		if widths[i] > 0 || c.keep {
			widths[i] = max(widths[i], utf8.RuneCountInString(c.title))
		}
	}
	return widths
}

func (t *table) line(row []string, widths []int) string {
	var b strings.Builder
	for i, width := range widths {
		if width == 0 {
			continue
		}
		if b.Len() > 0 {
			b.WriteString("  ")
		}
		cell := clean(row[i])
		pad := strings.Repeat(" ", width-utf8.RuneCountInString(cell))
		if t.columns[i].right {
			b.WriteString(pad + cell)
		} else {
			b.WriteString(cell + pad)
		}
	}
	return strings.TrimRight(b.String(), " ")
}

// clean takes control characters out of a cell: names come from hosts and other members,
// and must not move the cursor of whoever reads them.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == utf8.RuneError {
			return '?'
		}
		return r
	}, s)
}

// cut shortens a line to width runes; 0 leaves it as it is.
func cut(line string, width int) string {
	if width == 0 || utf8.RuneCountInString(line) <= width {
		return line
	}
	runes := []rune(line)
	return string(runes[:width-1]) + "…"
}

// terminalWidth returns the width of the terminal that w is, or 0 where it is none.
func terminalWidth(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok {
		return 0
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil || size.Col < 20 {
		return 0
	}
	return int(size.Col)
}
