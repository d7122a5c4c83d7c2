package job

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const completionsOfTest = 40

func drawIndexes(t *rapid.T, name string) (set indexes, list []int32) {
	list = rapid.SliceOfDistinct(rapid.Int32Range(0, completionsOfTest-1), rapid.ID[int32]).Draw(t, name)
	set = indexes(nil).with(slices.Clone(list))
	slices.Sort(list)
	return set, list
}

// A set says the same of itself as the list of what is in it, and comes back from
// its text as it was.
func TestIndexes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		set, list := drawIndexes(t, "indexes")
		for i := range int32(completionsOfTest) {
			if set.has(i) != slices.Contains(list, i) {
				t.Fatalf("%v says %v of %d", list, set.has(i), i)
			}
		}
		if int(set.count()) != len(list) {
			t.Fatalf("%v are %d, not %d", list, len(list), set.count())
		}
		if back := parseIndexes(set.String(), completionsOfTest); !slices.Equal(back, set) {
			t.Fatalf("%v comes back from %q as %v", set, set, back)
		}
		less := rapid.Int32Range(0, completionsOfTest).Draw(t, "fewer completions")
		kept := slices.DeleteFunc(slices.Clone(list), func(i int32) bool { return i >= less })
		if cut := parseIndexes(set.String(), less); !slices.Equal(cut, indexes(nil).with(kept)) {
			t.Fatalf("%q with %d completions is %v", set, less, cut)
		}
	})
}

// Two sets have in common what both lists have; what neither has is absent.
func TestIndexesTogether(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, xs := drawIndexes(t, "x")
		y, ys := drawIndexes(t, "y")
		n := rapid.IntRange(0, completionsOfTest).Draw(t, "n")
		var common int32
		var absent []int32
		for i := range int32(completionsOfTest) {
			inX, inY := slices.Contains(xs, i), slices.Contains(ys, i)
			if inX && inY {
				common++
			}
			if !inX && !inY && len(absent) < n {
				absent = append(absent, i)
			}
		}
		if x.common(y) != common || y.common(x) != common {
			t.Fatalf("%q and %q have %d in common, not %d or %d", x, y, common, x.common(y), y.common(x))
		}
		both := union(slices.Concat(x, y))
		if got := both.absent(completionsOfTest, n); !slices.Equal(got, absent) {
			t.Fatalf("absent from %q: %v, not %v", both, absent, got)
		}
		if !slices.Equal(both, x.with(ys)) {
			t.Fatalf("%q and %q make %q, and %q", x, y, both, x.with(ys))
		}
	})
}

// Whatever a text says, it makes a set in order, with gaps, within the completions.
func TestParseIndexes(t *testing.T) {
	part := rapid.OneOf(rapid.StringMatching(`[0-9]{1,2}`), rapid.StringMatching(`[0-9]{1,2}-[0-9]{1,2}`), rapid.StringMatching(`[-0-9x]{0,12}`))
	rapid.Check(t, func(t *rapid.T) {
		s := strings.Join(rapid.SliceOf(part).Draw(t, "parts"), ",")
		last := int32(-2)
		for _, sp := range parseIndexes(s, completionsOfTest) {
			if sp.first <= last+1 || sp.last < sp.first || sp.first < 0 || sp.last >= completionsOfTest {
				t.Fatalf("%q makes %v", s, parseIndexes(s, completionsOfTest))
			}
			last = sp.last
		}
	})
}
