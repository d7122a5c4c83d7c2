package view

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
)

// TestSlicesOfFollowsEveryChange compares the index with a walk over all slices, after
// random writes that also move slices between services.
func TestSlicesOfFollowsEveryChange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, v := store.New(store.WindowDefault), New(kinds.EndpointSlice)
		for range rapid.IntRange(1, 40).Draw(t, "writes") {
			o := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "ns"),
				Name: fmt.Sprintf("s%d", rapid.IntRange(0, 4).Draw(t, "name"))}}
			if service := rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, "service"); service != "" {
				o.Labels = map[string]string{discoveryv1.LabelServiceName: service}
			}
			ref := kinds.RefOf(o)
			var e store.Event
			var err error
			switch old := s.Get(ref); {
			case old == nil:
				e, err = s.Create(o)
			case rapid.IntRange(0, 3).Draw(t, "delete") == 0:
				e, err = s.Delete(ref, nil, 0)
			default:
				e, err = s.Update(o, 0)
			}
			require.NoError(t, err)
			v.Apply(e)
		}
		for _, key := range []kinds.Key{{Namespace: "a", Name: "x"}, {Namespace: "a", Name: "y"}, {Namespace: "b", Name: "x"}, {Namespace: "b", Name: "y"}} {
			var want, got []string
			for o := range In[*discoveryv1.EndpointSlice](v, kinds.EndpointSlice, key.Namespace) {
				if ServiceOfSlice(o) == key {
					want = append(want, o.Name)
				}
			}
			for o := range v.SlicesOf(key) {
				got = append(got, o.Name)
			}
			require.Equal(t, want, got)
		}
	})
}
