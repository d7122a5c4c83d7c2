package job

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// span is a run of completion indexes; both its ends belong to it.
type span struct{ first, last int32 }

// indexes is a set of completion indexes: spans in order, with a gap between any
// two. What it costs depends on the spans, not on how many indexes a Job has.
type indexes []span

// parseIndexes reads the form of status.completedIndexes ("0,2-4"); what lies
// beyond completions, and what is no number, is left out.
func parseIndexes(s string, completions int32) indexes {
	if s == "" {
		return nil
	}
	var spans []span
	for _, part := range strings.Split(s, ",") {
		from, to, isRange := strings.Cut(part, "-")
		a, err := strconv.ParseInt(from, 10, 32)
		if err != nil {
			continue
		}
		b := a
		if isRange {
			if b, err = strconv.ParseInt(to, 10, 32); err != nil {
				continue
			}
		}
		spans = append(spans, span{int32(max(a, 0)), min(int32(b), completions-1)})
	}
	return union(spans)
}

// union makes a set of spans in any order; those that end before they begin are
// left out.
func union(spans []span) (out indexes) {
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.first, b.first) })
	for _, s := range spans {
		switch n := len(out); {
		case s.first > s.last:
		case n > 0 && s.first <= out[n-1].last+1:
			out[n-1].last = max(out[n-1].last, s.last)
		default:
			out = append(out, s)
		}
	}
	return out
}

// with is the set with more indexes in it.
func (x indexes) with(more []int32) indexes {
	if len(more) == 0 {
		return x
	}
	spans := slices.Clone(x)
	for _, i := range more {
		spans = append(spans, span{i, i})
	}
	return union(spans)
}

// String is the form of status.completedIndexes: in order, with "-" for three or
// more in a row and "," otherwise.
func (x indexes) String() string {
	var b strings.Builder
	for _, s := range x {
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(int(s.first)))
		switch {
		case s.last == s.first+1:
			b.WriteString("," + strconv.Itoa(int(s.last)))
		case s.last > s.first:
			b.WriteString("-" + strconv.Itoa(int(s.last)))
		}
	}
	return b.String()
}

func (x indexes) has(i int32) bool {
	n, _ := slices.BinarySearchFunc(x, i, func(s span, i int32) int { return cmp.Compare(s.last, i) })
	return n < len(x) && x[n].first <= i
}

func (x indexes) count() (n int32) {
	for _, s := range x {
		n += s.last - s.first + 1
	}
	return n
}

// common is how many indexes are in both sets.
func (x indexes) common(y indexes) (n int32) {
	for i, j := 0, 0; i < len(x) && j < len(y); {
		n += max(0, min(x[i].last, y[j].last)-max(x[i].first, y[j].first)+1)
		if x[i].last < y[j].last {
			i++
		} else {
			j++
		}
	}
	return n
}

// absent are the n lowest indexes below completions that are not in the set.
func (x indexes) absent(completions int32, n int) (out []int32) {
	next := int32(0)
	for _, s := range append(slices.Clone(x), span{completions, completions}) {
		for ; next < min(s.first, completions) && len(out) < n; next++ {
			out = append(out, next)
		}
		next = max(next, s.last+1)
	}
	return out
}
