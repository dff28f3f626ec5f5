package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"pelton/internal/human"
)

// table is rows of text, the first of them the head. Columns are as wide as
// their content; the last takes what is left.
type table [][]string

// write prints the table. A width above 0 is the terminal's: longer lines are
// cut, so that a row stays one line.
func (t table) write(w io.Writer, width int) error {
	widths := t.widths()
	var b strings.Builder
	for _, row := range t {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(oneLine(cell))
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
			}
		}
		b.WriteString(human.Clip(strings.TrimRight(line.String(), " "), width) + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// widths are those of the columns.
func (t table) widths() []int {
	var widths []int
	for _, row := range t {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	return widths
}

// giveWay cuts the first column where a row would not fit the width, to 12
// characters at least.
func (t table) giveWay(width int) {
	room := width
	for _, n := range t.widths()[1:] {
		room -= n + 2
	}
	for _, row := range t {
		if width > 0 {
			row[0] = human.Clip(row[0], max(12, room))
		}
	}
}

// markdown prints the table for a document.
func (t table) markdown(w io.Writer, _ int) error {
	var b strings.Builder
	for i, row := range t {
		cells := make([]string, len(row))
		for k, cell := range row {
			cells[k] = strings.ReplaceAll(oneLine(cell), "|", "\\|")
		}
		b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
		if i == 0 {
			b.WriteString("|" + strings.Repeat("---|", len(row)) + "\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// oneLine makes control characters harmless to a terminal.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}

// writeJSON prints v, indented, as people and jq read it.
func writeJSON(w io.Writer, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", data)
	return err
}

// bytesText is a size for people.
func bytesText(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	size, unit := float64(n), 0
	for size >= 1024 && unit < len(units)-1 {
		size, unit = size/1024, unit+1
	}
	if unit == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", size, units[unit])
}
