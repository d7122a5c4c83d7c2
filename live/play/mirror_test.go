package play

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
)

// Whatever order watches bring the writes in, they are handed on in that of versions, as
// soon as none before them can come; a write that never comes holds the others up for
// lagMax at most.
func TestOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 30).Draw(t, "writes")
		lost := map[int]bool{}
		var coming []int
		for i := 1; i <= n; i++ {
			if lost[i] = rapid.IntRange(0, 9).Draw(t, "lost") == 0; !lost[i] {
				coming = append(coming, i)
			}
		}
		coming = rapid.Permutation(coming).Draw(t, "order")
		m := &mirror{state: store.New(0)}
		now := time.Unix(0, 0)
		last := map[int]time.Time{}
		var got []int
		drain := func() {
			for {
				e, wait, ok := m.next(now)
				if !ok {
					if wait < 0 || wait > lagMax {
						t.Fatalf("wait for %v", wait)
					}
					return
				}
				var version int
				if _, err := fmt.Sscan(e.Object.GetResourceVersion(), &version); err != nil {
					t.Fatal(err)
				}
				got = append(got, version)
				last[version] = now
			}
		}
		for _, version := range coming {
			o := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint(version), ResourceVersion: fmt.Sprint(version)}}
			m.take(arrival{store.Event{Type: store.Added, Ref: kinds.RefOf(o), RV: uint64(version), Object: o}, now})
			drain()
		}
		if len(lost) > 0 {
			now = now.Add(lagMax)
			drain()
		}
		if len(got) != len(coming) {
			t.Fatalf("%d of %d came out: %v", len(got), len(coming), got)
		}
		for i := 1; i < len(got); i++ {
			if got[i] < got[i-1] {
				t.Fatalf("out of order: %v", got)
			}
		}
	})
}
