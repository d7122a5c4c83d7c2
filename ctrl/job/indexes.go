package job

import (
	"strconv"
	"strings"
)

// indexes is a set of completion indexes.
type indexes []bool

// parseIndexes reads the form of status.completedIndexes ("0,2-4"); what lies
// beyond completions, and what is no number, is left out.
func parseIndexes(s string, completions int32) indexes {
	set := make(indexes, completions)
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
		for i := max(a, 0); i <= b && i < int64(completions); i++ {
			set[i] = true
		}
	}
	return set
}

// String is the form of status.completedIndexes: in order, with "-" for three or
// more in a row and "," otherwise.
func (x indexes) String() string {
	var b strings.Builder
	for i := 0; i < len(x); i++ {
		if !x[i] {
			continue
		}
		j := i
		for j+1 < len(x) && x[j+1] {
			j++
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(i))
		switch {
		case j == i+1:
			b.WriteString("," + strconv.Itoa(j))
		case j > i:
			b.WriteString("-" + strconv.Itoa(j))
		}
		i = j
	}
	return b.String()
}

func (x indexes) count() (n int32) {
	for _, in := range x {
		if in {
			n++
		}
	}
	return n
}

// missing are the n lowest indexes that are in neither set.
func (x indexes) missing(also indexes, n int) (out []int32) {
	for i := range x {
		if len(out) == n {
			break
		}
		if !x[i] && !also[i] {
			out = append(out, int32(i))
		}
	}
	return out
}
