package endpointslice

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"
)

func endpointFor(i int, ready bool) discoveryv1.Endpoint {
	return discoveryv1.Endpoint{
		Addresses:  []string{fmt.Sprint("10.0.", i/256, ".", i%256)},
		Conditions: discoveryv1.EndpointConditions{Ready: &ready},
		TargetRef:  &corev1.ObjectReference{UID: types.UID(fmt.Sprint(i))},
	}
}

// However pods come, go and change, every wanted endpoint stands in exactly one
// slice, as it is wanted, no slice holds more than 100, and a slice none of whose
// endpoints changed is written only to fill it.
func TestFillKeepsEveryEndpointOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var present []*discoveryv1.EndpointSlice
		for round := range 4 {
			w := &want{at: map[types.UID]int{}}
			skip := rapid.IntRange(2, 40).Draw(t, "skip every")
			flip := rapid.IntRange(2, 40).Draw(t, "not ready every")
			for i := range rapid.IntRange(0, 450).Draw(t, "pods") {
				if i%skip == 1 {
					continue
				}
				e := endpointFor(i, i%flip != 1)
				w.at[e.TargetRef.UID] = len(w.endpoints)
				w.endpoints = append(w.endpoints, e)
			}
			drafts := w.fill(present)
			seen := map[types.UID]bool{}
			present = nil
			for i, d := range drafts {
				if len(d.endpoints) > endpointsMax {
					t.Fatalf("round %d: %d endpoints in slice %d", round, len(d.endpoints), i)
				}
				for j := range d.endpoints {
					e := &d.endpoints[j]
					at, ok := w.at[e.TargetRef.UID]
					if !ok || seen[e.TargetRef.UID] || !sameEndpoint(e, &w.endpoints[at]) {
						t.Fatalf("round %d: endpoint %s is not wanted, twice, or not up to date", round, e.TargetRef.UID)
					}
					seen[e.TargetRef.UID] = true
				}
				if len(d.endpoints) > 0 {
					present = append(present, &discoveryv1.EndpointSlice{Endpoints: d.endpoints})
				}
			}
			if len(seen) != len(w.endpoints) {
				t.Fatalf("round %d: %d endpoints, wanted are %d", round, len(seen), len(w.endpoints))
			}
			for i, d := range w.fill(present) {
				if d.changed {
					t.Fatalf("round %d: nothing changed, and slice %d would be written", round, i)
				}
			}
		}
	})
}
