package kinds

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"
)

// InputError says what is wrong with a file that a person wrote, and where.
type InputError struct {
	File    string // as it was given to Decode; may be empty
	Line    int    // first line is 1; 0 where no line is known
	Field   string // "spec.template.spec.containers[0].image"; empty for the whole document
	Value   string // the offending value as written, where there is one
	Problem string
}

// Error is "file:line: field: problem", without the parts that are not known.
func (e *InputError) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		if e.File == "" {
			b.WriteString("line ")
		} else {
			b.WriteByte(':')
		}
		b.WriteString(strconv.Itoa(e.Line))
	}
	if b.Len() > 0 {
		b.WriteString(": ")
	}
	if e.Field != "" {
		b.WriteString(e.Field)
		b.WriteString(": ")
	}
	b.WriteString(e.Problem)
	return b.String()
}

// JoinInputErrors joins errors in the order of file and line; nil if there is
// none. Errors of equal place keep their order.
func JoinInputErrors(list []*InputError) error {
	if len(list) == 0 {
		return nil
	}
	slices.SortStableFunc(list, func(a, b *InputError) int {
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	joined := make([]error, len(list))
	for i, e := range list {
		joined[i] = e
	}
	return errors.Join(joined...)
}

// Nearest returns the candidate that a person most likely meant by word, or ""
// where none is near: at most a third of its letters would have to change.
// Of equally near candidates the first wins.
func Nearest(word string, candidates []string) string {
	best, bestDistance := "", len(word)/3+1
	for _, c := range candidates {
		if strings.EqualFold(c, word) {
			return c
		}
		if d := editDistance(strings.ToLower(word), strings.ToLower(c), bestDistance); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// editDistance counts insertions, deletions, replacements and swaps of two
// neighbours that turn a into b (optimal string alignment); it gives up with
// limit as soon as the answer cannot be less.
func editDistance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replace := last[j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			row[j] = min(replace, last[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
