package quality

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Write writes the table: a line for each measure, a column for each policy. The best of a
// line bears a star, with those that cannot be told from it.
func (r *Result) Write(w io.Writer) {
	fmt.Fprintf(w, "%s; %d seeds\n", r.Workload, len(r.Seeds))
	rows := [][]string{{"measure", ""}}
	for _, l := range r.Lines {
		rows[0] = append(rows[0], l.Policy)
	}
	for _, m := range Measures() {
		row := []string{m.Name, m.Unit}
		some := false
		for i := range r.Lines {
			e, ok := r.Lines[i].Measures[m.Name]
			some = some || ok
			row = append(row, r.text(m, e, ok))
		}
		if some {
			rows = append(rows, row)
		}
	}
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for k, cell := range row {
			widths[k] = max(widths[k], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		var b strings.Builder
		for k, cell := range row {
			pad := strings.Repeat(" ", widths[k]-utf8.RuneCountInString(cell))
			if k < 2 {
				b.WriteString(cell + pad + "  ")
			} else {
				b.WriteString(pad + cell + "  ")
			}
		}
		fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
	for _, n := range r.Notes {
		fmt.Fprintln(w, "note:", n)
	}
}

func (r *Result) text(m Measure, e Estimate, ok bool) string {
	if !ok {
		return "-"
	}
	s := fmt.Sprintf("%.*f", m.Digits, e.Mean)
	switch {
	case m.Name == Cell && len(e.Each) > 1:
		s += fmt.Sprintf(" [%.*f, %.*f]", m.Digits, e.Low, m.Digits, e.High)
	case len(e.Each) > 1:
		s += fmt.Sprintf(" ± %.*f", m.Digits, e.High-e.Mean)
	}
	if len(r.Lines) > 1 && r.best(m, e) {
		s += " *"
	}
	return s
}

// best says whether no policy is better than this one beyond doubt: the difference to a
// better one, seed by seed, has a confidence interval that holds 0.
func (r *Result) best(m Measure, e Estimate) bool {
	if m.Better == 0 {
		return false
	}
	distinct := false
	for i := range r.Lines {
		o, ok := r.Lines[i].Measures[m.Name]
		if !ok || len(o.Each) != len(e.Each) {
			continue
		}
		distinct = distinct || o.Mean != e.Mean
		ahead := make([]float64, len(o.Each))
		for k := range ahead {
			ahead[k] = float64(m.Better) * (o.Each[k] - e.Each[k])
		}
		if student(ahead).Low > 0 {
			return false
		}
	}
	return distinct
}
