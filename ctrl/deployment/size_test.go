package deployment

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"
)

// The rows are those of upstream's TestResolveFenceposts and the examples in the
// documentation of Deployments.
func TestFenceposts(t *testing.T) {
	for _, c := range []struct {
		surge, unavailable string
		replicas           int32
		wantS, wantU       int32
	}{
		{"0%", "0%", 0, 0, 1},
		{"39%", "39%", 0, 0, 1},
		{"25%", "25%", 10, 3, 2},
		{"25%", "25%", 4, 1, 1},
		{"25%", "25%", 1, 1, 0},
		{"1", "0", 3, 1, 0},
		{"0", "0%", 7, 0, 1},
		{"100%", "100%", 3, 3, 3},
		{"oops", "25%", 10, 0, 2},
	} {
		s, u := intstr.Parse(c.surge), intstr.Parse(c.unavailable)
		gotS, gotU := fenceposts(&s, &u, c.replicas)
		assert.Equal(t, [2]int32{c.wantS, c.wantU}, [2]int32{gotS, gotU}, "%+v", c)
	}
}

func drawBounds(t *rapid.T) bounds {
	b := bounds{replicas: rapid.Int32Range(0, 50).Draw(t, "replicas"), surge: rapid.Int32Range(0, 20).Draw(t, "surge")}
	b.unavailable = rapid.Int32Range(0, b.replicas).Draw(t, "unavailable")
	if b.surge == 0 && b.unavailable == 0 {
		b.surge = 1
	}
	return b
}

func drawSlot(t *rapid.T, name string) slot {
	size := rapid.Int32Range(0, 40).Draw(t, name)
	return slot{size, rapid.Int32Range(0, size).Draw(t, name+" available")}
}

// A new set never grows beyond the limit of the whole or its own replicas.
func TestNewSizeStaysInBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := drawBounds(t)
		size := rapid.Int32Range(0, b.replicas).Draw(t, "size")
		total := size + rapid.Int32Range(0, 80).Draw(t, "old")
		n := b.newSize(true, total, size)
		if n < size || n > b.replicas {
			t.Fatalf("from %d to %d of %d", size, n, b.replicas)
		}
		if n > size && total-size+n > b.limit() {
			t.Fatalf("%d pods, allowed are %d", total-size+n, b.limit())
		}
	})
}

// Old sets shrink only, and never below the least number of available pods.
func TestShrinkOldKeepsAvailable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := drawBounds(t)
		fresh := drawSlot(t, "new")
		var old []slot
		was, is := fresh.available, fresh.available
		for i := range rapid.IntRange(0, 4).Draw(t, "sets") {
			old = append(old, drawSlot(t, fmt.Sprint("old", i)))
			was += old[i].available
		}
		for i, n := range b.shrinkOld(old, fresh) {
			if n < 0 || n > old[i].size {
				t.Fatalf("set %d from %d to %d", i, old[i].size, n)
			}
			is += min(n, old[i].available)
		}
		if is < was && is < b.leastAvailable() {
			t.Fatalf("%d available, at least %d must be (were %d)", is, b.leastAvailable(), was)
		}
	})
}

// Proportional scaling adds up to the limit and moves no set the wrong way.
func TestProportionalAddsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := drawBounds(t)
		var sets []share
		var total int32
		for i := range rapid.IntRange(1, 5).Draw(t, "sets") {
			s := share{size: rapid.Int32Range(1, 40).Draw(t, fmt.Sprint("size", i)), max: rapid.Int32Range(0, 150).Draw(t, fmt.Sprint("max", i))}
			sets = append(sets, s)
			total += s.size
		}
		allowed := b.limit()
		if b.replicas == 0 {
			allowed = 0
		}
		var sum int32
		for i, n := range b.proportional(sets, total) {
			sum += n
			if n < 0 || (i > 0 && allowed > total && sets[i].max > 0 && sets[i].max <= b.limit() && n < sets[i].size) {
				t.Fatalf("set %d from %d to %d while the whole goes from %d to %d", i, sets[i].size, n, total, allowed)
			}
		}
		if b.replicas == 0 && sum != 0 {
			t.Fatalf("%d left of a Deployment of none", sum)
		}
		if allowed >= total && sum != allowed {
			t.Fatalf("together %d, not %d", sum, allowed)
		}
	})
}

// A rollout whose pods become available ends with the new set alone, and keeps to
// both bounds all the way.
func TestRolloutConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := drawBounds(t)
		old := []slot{drawSlot(t, "old0"), drawSlot(t, "old1")}
		fresh := slot{}
		for range 400 {
			sum := fresh.size + old[0].size + old[1].size
			if fresh.size == b.replicas && sum == b.replicas && fresh.available == fresh.size {
				return
			}
			n := b.newSize(true, sum, fresh.size)
			if n != fresh.size {
				fresh.size = n
			} else {
				for i, n := range b.shrinkOld(old, fresh) {
					old[i].size = n
					old[i].available = min(n, old[i].available)
				}
			}
			if fresh.available < fresh.size && rapid.Bool().Draw(t, "one more ready") {
				fresh.available++
			}
		}
		if fresh.available == fresh.size {
			t.Fatalf("stuck: bounds %+v, new %+v, old %+v", b, fresh, old)
		}
	})
}
